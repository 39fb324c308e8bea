"""What a command says while it works and when it is done, all of it on stderr."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from threading import Lock
from types import TracebackType
from typing import TYPE_CHECKING, Annotated, Literal, Self

from dataaudit.cli.bridge import OUTPUT
from dataaudit.escape import inert, visible
from dataaudit.options import Opt, Options

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress as Bars
    from rich.progress import TaskID

SILENT = 2  # -qq: nothing but errors
EVERY = 5.0  # seconds between two lines of a stage, where there is no terminal
TRUSTED = 0.2  # share of a stage from which on the time that is left goes by what is done alone
MINUTES = 100.0  # seconds from which on it is said in minutes
Color = Annotated[
    Literal["auto", "always", "never"], Opt("Colour on stderr; NO_COLOR is respected.", OUTPUT, place=3)
]


@dataclass(slots=True)
class _State:
    """What is shown now, and when each stage began and was last heard of."""

    console: Console | None = None
    bars: Bars | None = None
    tasks: dict[str, TaskID] = field(default_factory=dict)
    times: dict[str, tuple[float, float]] = field(default_factory=dict)
    expected: dict[str, float] = field(default_factory=dict)  # seconds of stages to come
    said: float = 0.0  # when a line was last said
    lock: Lock = field(default_factory=Lock)  # two stages may go on at once, each on its thread


class Progress(Options):
    """Progress and sentences: a bar with the time left on a terminal, one plain line a stage elsewhere."""

    quiet: Annotated[
        int, Opt("No progress; -qq: no summary either.", OUTPUT, flags="--quiet -q", kind="count", place=1)
    ] = 0
    color: Color = "auto"
    state: _State = field(default_factory=_State, init=False, repr=False, compare=False)

    @property
    def console(self) -> Console:
        """The terminal, or what stands for it."""
        if self.state.console is None:
            self.state.console = console_of(self.color)
        return self.state.console

    def __enter__(self) -> Self:
        if self.console.is_terminal and not self.quiet:
            self.state.bars = _bars(self.console)
            self.state.tasks.clear()  # those of a run that asked something first
            self.state.bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.state.bars:
            self.state.bars.stop()

    def step(self, stage: str, done: int, total: int) -> None:
        """Take note that `done` of `total` parts of `stage` are done; a total of 0 is not known."""
        now, state = time.monotonic(), self.state
        with state.lock:
            begins = stage not in state.times
            if begins and 0 < total <= done:  # a word, such as that a stage is resumed
                self._say_unless_quiet(stage)
                return
            state.times[stage] = (state.times.get(stage, (now, now))[0], now)
            if state.bars is not None:
                self._move(state.bars, stage, done, total)
            elif begins:
                self._note(now, f"{stage} …")
            elif now - state.said > EVERY and not 0 < total <= done:
                parts = f"{done:,} of {total:,}" if total else f"{done:,}"
                self._note(
                    now, f"{stage}: {', '.join(filter(None, (parts, self._left(stage, done, total))))}"
                )

    __call__ = step

    def foresee(self, seconds: Mapping[str, float]) -> None:
        """Take note of how long stages may take."""
        with self.state.lock:
            self.state.expected |= seconds

    def _left(self, stage: str, done: int, total: int) -> str:
        """Return the time that is left of a stage, in words; empty where nothing is known of it."""
        took = time.monotonic() - self.state.times[stage][0]
        return left(took, done / total if total else 0.0, self.state.expected.get(stage))

    def _note(self, now: float, sentence: str) -> None:
        self.state.said = now
        self._say_unless_quiet(sentence)

    def _say_unless_quiet(self, sentence: str) -> None:
        if not self.quiet:
            self.say(sentence)

    def _move(self, bars: Bars, stage: str, done: int, total: int) -> None:
        """Show how far a stage is, and no longer when it is done."""
        tasks = self.state.tasks
        if stage not in tasks:
            expected = self.state.expected.get(stage)
            tasks[stage] = bars.add_task(visible(stage), total=total or None, expected=expected)
        bars.update(tasks[stage], completed=done, total=total or None)
        if 0 < total <= done:
            bars.remove_task(tasks.pop(stage))

    def say(self, sentence: str) -> None:
        """Write one line as it is, whatever brackets, colons or control characters it has."""
        self.console.print(
            inert(visible(sentence)), markup=False, emoji=False, highlight=False, soft_wrap=True
        )

    def close(self, sentences: Iterable[str]) -> None:
        """Say how it went, unless nothing is to be said."""
        if self.quiet < SILENT:
            for sentence in sentences:
                self.say(sentence)


def console_of(color: str) -> Console:
    """Return stderr with or without colour."""
    from rich.console import Console

    if color == "never":
        return Console(stderr=True, color_system=None, highlight=False)
    force = True if color == "always" else None
    return Console(stderr=True, highlight=False, force_terminal=force, force_interactive=sys.stderr.isatty())


def left(took: float, share: float, expected: float | None) -> str:
    """Return the time that is left of a stage after some seconds, by the share that is done.

    As long as little is done, what was expected of the whole counts more.
    """
    by_share = took * (1.0 - share) / share if share > 0 else None
    by_plan = None if expected is None else expected - took
    if by_share is None or by_plan is None:
        seconds = by_plan if by_share is None else by_share
    else:
        trust = min(1.0, share / TRUSTED)
        seconds = trust * by_share + (1.0 - trust) * max(by_plan, 0.0)
    if seconds is None or seconds <= 0:
        return ""
    return f"{seconds / 60:.0f} min left" if seconds >= MINUTES else f"{max(1.0, seconds):.0f} s left"


def _bars(console: Console) -> Bars:
    from rich.progress import BarColumn, MofNCompleteColumn, ProgressColumn, Task, TextColumn
    from rich.progress import Progress as Bars
    from rich.text import Text

    class Left(ProgressColumn):
        """The time that is left."""

        def render(self, task: Task) -> Text:
            share = task.completed / task.total if task.total else 0.0
            return Text(left(task.elapsed or 0.0, share, task.fields["expected"]))

    text = TextColumn("{task.description}", markup=False)
    columns = text, BarColumn(bar_width=24), MofNCompleteColumn(), Left()
    return Bars(*columns, console=console, transient=True)
