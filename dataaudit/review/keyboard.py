"""A terminal that is taken over: another screen, keys one by one, and everything as it was afterwards."""

from __future__ import annotations

import codecs
import contextlib
import os
import select
import signal
import sys
import time
from typing import TYPE_CHECKING, Any, Final, NoReturn, Self

from dataaudit.errors import SettingError

if TYPE_CHECKING:
    from rich.console import Console


LOOK: Final = ""  # no key: the window has another size, the process goes on, or another thread has news
GONE: Final = "gone"  # nobody is at the other end any more
_ESCAPE_SECONDS: Final = 0.05  # after which an escape character is the key, and not the beginning of one
_NAMES: Final = {
    "A": "up", "B": "down", "H": "home", "F": "end",
    "1~": "home", "4~": "end", "5~": "page up", "6~": "page down", "7~": "home", "8~": "end",
}  # fmt: skip
_PLAIN: Final = {"\r": "enter", "\n": "enter", "\x7f": "backspace", "\b": "backspace", "\x04": GONE}
_WINDOWS: Final = {"H": "up", "P": "down", "I": "page up", "Q": "page down", "G": "home", "O": "end"}


def require_terminal(console: Console, hint: str) -> None:
    """Refuse to begin where nobody could press a key or see a row."""
    for name, stream in (("stdin", sys.stdin), ("stderr", sys.stderr)):
        if stream is None or not stream.isatty():
            raise SettingError(f"a review needs a terminal, and {name} is not one", hint)
    if console.is_dumb_terminal:
        kind = os.environ.get("TERM", "")
        raise SettingError(f"the terminal cannot move its cursor: got TERM={kind}", hint)


class Terminal:
    """The other screen and the keyboard, for as long as the context lasts."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self._text = ""
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")  # a read may end within a character
        self._is_woken = False
        self._wake_end, self._wake_start = os.pipe()
        self._handlers: dict[int, Any] = {}
        self._modes: Any = None

    def __enter__(self) -> Self:
        ends = dict.fromkeys(("SIGTERM", "SIGHUP"), _leave)
        acts: dict[str, Any] = {**ends, "SIGTSTP": self._stop, "SIGWINCH": self.wake}
        for name, act in acts.items():
            number = getattr(signal, name, None)  # Windows has none but the first
            if number is not None:
                self._handlers[number] = signal.signal(number, act)
        self._open()
        return self

    def __exit__(self, *_: object) -> None:
        self._close()
        for number, handler in self._handlers.items():
            signal.signal(number, handler)

    def wake(self, *_: object) -> None:
        """Make `key` return at once; from any thread, and from a signal."""
        self._is_woken = True
        with contextlib.suppress(OSError):  # the pipe is full: nobody waits then
            os.write(self._wake_start, b".")

    def waiting(self) -> bool:
        """Whether another key was pressed already."""
        if self._text or sys.platform == "win32":
            return bool(self._text)
        return _ready(0)

    def key(self) -> str:
        """Wait for a key and return it, or `LOOK`, or `GONE`."""
        if sys.platform == "win32":
            return self._key_of_windows()
        while not self._text:
            if self._wake_end in select.select([sys.stdin.fileno(), self._wake_end], [], [])[0]:
                os.read(self._wake_end, 4096)
                return LOOK
            if not self._read():
                return GONE
        return self._next()

    def _next(self) -> str:
        """Take one key off what was typed; a sequence that is not known does nothing."""
        first, self._text = self._text[0], self._text[1:]
        if first != "\x1b":
            return _PLAIN.get(first, first)
        if not self._text and _ready(_ESCAPE_SECONDS):
            self._read()
        if not self._text.startswith(("[", "O")):
            return "escape"
        end = next((at for at, c in enumerate(self._text[1:], start=2) if "@" <= c <= "~"), len(self._text))
        sequence, self._text = self._text[1:end], self._text[end:]
        return _NAMES.get(sequence, LOOK)

    def _read(self) -> bool:
        """Read what was typed; False at its end."""
        try:
            read = os.read(sys.stdin.fileno(), 4096)
        except OSError:  # Linux's way to say that the other end is closed
            return False
        self._text += self._decoder.decode(read)
        return bool(read)

    def _key_of_windows(self) -> str:
        import msvcrt  # noqa: PLC0415 - on this system alone

        wait: Any = msvcrt  # its names are known on Windows only
        while not wait.kbhit():
            if self._is_woken:
                self._is_woken = False
                return LOOK
            time.sleep(_ESCAPE_SECONDS)
        first = str(wait.getwch())
        if first in ("\x00", "\xe0"):
            return _WINDOWS.get(str(wait.getwch()), LOOK)
        return {"\x1b": "escape"}.get(first, _PLAIN.get(first, first))

    def _open(self) -> None:
        if sys.platform != "win32":
            import termios  # noqa: PLC0415 - on this system alone
            import tty  # noqa: PLC0415 - on this system alone

            os.set_blocking(self._wake_start, False)
            self._modes = termios.tcgetattr(sys.stdin)
            tty.setcbreak(sys.stdin, termios.TCSADRAIN)  # what was typed already is kept
        self.console.set_alt_screen(True)
        self.console.show_cursor(False)

    def _close(self) -> None:
        with contextlib.suppress(OSError):  # the terminal may be gone
            self.console.show_cursor(True)
            self.console.set_alt_screen(False)
        if sys.platform != "win32":
            import termios  # noqa: PLC0415 - on this system alone

            with contextlib.suppress(termios.error):
                termios.tcsetattr(sys.stdin, termios.TCSADRAIN, self._modes)

    def _stop(self, number: int, frame: object) -> None:
        """Give the terminal back, stop as Ctrl-Z asks, and take it again afterwards."""
        self._close()
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
        signal.signal(number, self._stop)
        self._open()
        self.wake()


def _ready(seconds: float) -> bool:
    return bool(select.select([sys.stdin.fileno()], [], [], seconds)[0])


def _leave(number: int, _frame: object) -> NoReturn:
    """End as the signal asks, but by the way out on which the terminal is restored."""
    raise SystemExit(128 + number)
