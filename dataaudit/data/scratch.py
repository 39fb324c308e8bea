"""A folder for what does not fit in memory: made when it is first needed, removed whatever happens.

A process that is killed cannot remove its own. So each folder has a file that its process has locked for as
long as it lives, and the next run removes those whose lock is free.
"""

from __future__ import annotations

import io
import os
import shutil
import sys
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path
from tempfile import gettempdir, mkdtemp
from types import TracebackType
from typing import IO, Any, Final, Self

from dataaudit.errors import WriteError
from dataaudit.escape import shown

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

_HINT = "make room there, or set TMPDIR to a folder on a larger disk"
_PREFIX: Final = "dataaudit-"
_LOCK: Final = ".dataaudit-scratch"
_ROOM = 1 << 26  # bytes that are left to others


def lock(file: IO[str]) -> None:
    """Take a file for this process until it ends, however it does; raise an OSError if another has it."""
    if sys.platform == "win32":
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
    else:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


class Scratch:
    """Names files in a folder of its own, which is gone when the block ends."""

    def __init__(self, engine: Any = None) -> None:
        self.engine = engine  # who passes over rows that are not in memory; None for this process
        self.kept: Any = None  # where files may be that outlive the run (`options.Checkpoint`)
        self.folder: Path | None = None
        self.lock: IO[str] | None = None  # of the folder, as long as this process lives
        self.files = 0
        self.checks: list[Callable[[], None]] = []  # of what was read, before anything is said of it
        self.until_then = ExitStack()  # what ends with it

    def __enter__(self) -> Self:
        """Make nothing yet, but remove what processes left that were killed."""
        with suppress(OSError):
            for entry in os.scandir(gettempdir()):
                if entry.name.startswith(_PREFIX) and entry.is_dir(follow_symlinks=False):
                    _remove_dead(Path(entry.path))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Remove the folder; check what was read, or say in words that the disk is full."""
        self.until_then.close()
        self.remove()
        if error is None:
            for check in self.checks:
                check()
        if (
            isinstance(error, OSError)
            and error.errno is not None
            and not isinstance(error, FileNotFoundError)
        ):
            what = f"what does not fit in memory cannot be written to {shown(gettempdir())}: {error.strerror}"
            raise WriteError(what, _HINT) from error

    def remove(self) -> None:
        """Remove the folder and what is in it."""
        folder, self.folder = self.folder, None
        if self.lock is not None:
            self.lock.close()
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)

    def room_for(self, size: int) -> Path | None:
        """Return a folder for files that outlive the run, with room for them; None where there is none."""
        folder: Path | None = None if self.kept is None else self.kept.folder()
        return folder if folder and shutil.disk_usage(folder).free > 2 * size + _ROOM else None

    def path(self, suffix: str) -> Path:
        """Return the path of a new file."""
        if self.folder is None:
            try:
                self.folder, self.lock = _made()
            except OSError as error:
                what = f"no folder can be made in {shown(gettempdir())}: {error.strerror}"
                raise WriteError(what, _HINT) from error
        self.files += 1
        return self.folder / f"{self.files}{suffix}"

    @staticmethod
    def require_room(size: int) -> None:
        """Refuse, before the work, what the disk has no room for."""
        with suppress(OSError):
            free = shutil.disk_usage(gettempdir()).free
            if size + _ROOM > free:
                what = f"{size / 2**30:.1f} GiB do not fit in {shown(gettempdir())}"
                raise WriteError(f"{what}, which has {free / 2**30:.1f} GiB free", _HINT)


def _made() -> tuple[Path, IO[str]]:
    """Make a folder and lock it: another run may have looked into it before it was locked."""
    while True:
        folder = Path(mkdtemp(prefix=_PREFIX))
        file = (folder / _LOCK).open("w", encoding="utf-8")
        try:
            lock(file)
        except (BlockingIOError, PermissionError):
            file.close()
            continue
        except OSError:  # there are no locks here
            pass
        if (folder / _LOCK).exists():
            return folder, file
        file.close()


def _remove_dead(folder: Path) -> None:
    """Remove the folder of a process that ended without."""
    # It is another's, or its process lives.
    with suppress(OSError), (folder / _LOCK).open("r+", encoding="utf-8") as file:
        lock(file)
        shutil.rmtree(folder, ignore_errors=True)


class Plain(io.RawIOBase):
    """A file that a library writes to by Python's own calls: these say why a disk refuses."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.file = path.open("wb")

    def writable(self) -> bool:
        """Whether it can be written to."""
        return True

    def write(self, data: Any) -> int:
        """Write some bytes."""
        return self.file.write(data)

    def tell(self) -> int:
        """Return how many bytes were written."""
        return self.file.tell()

    def close(self) -> None:
        """Bring what was written to the file."""
        self.file.close()
        super().close()
