"""What a command says while it works and when it is done, all of it on stderr."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from threading import Lock
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from dataaudit.escape import visible

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress, TaskID

    from dataaudit.report.blocks import Report


class Talk:
    """Progress and summary: a bar with the time left on a terminal, one plain line per stage elsewhere.

    Parameters
    ----------
    quiet : int
        1 for no progress, 2 for no summary either.
    verbose : bool
        Also tell the columns' roles, the settings, and what each stage took.
    color : str
        ``"auto"``, ``"always"`` or ``"never"``.
    """

    def __init__(self, *, quiet: int = 0, verbose: bool = False, color: str = "auto") -> None:
        self.quiet = quiet
        self.verbose = verbose
        self.console = _console(color)
        self._bar: Progress | None = None
        self._tasks: dict[str, TaskID] = {}  # stage → its bar, while it goes on
        self._times: dict[str, tuple[float, float]] = {}  # stage → when it began and was last heard of
        self._lock = Lock()  # two stages may go on at once, each on its thread

    def __enter__(self) -> Self:
        if self.console.is_terminal and not self.quiet:
            self._bar = _bar(self.console)
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar:
            self._bar.stop()

    def step(self, stage: str, done: int, total: int) -> None:
        """Take note that `done` of `total` parts of `stage` are done; a total of 0 is not known."""
        now = time.monotonic()
        with self._lock:
            begins = stage not in self._times
            self._times[stage] = (self._times.get(stage, (now, now))[0], now)
            if self._bar is not None:
                self._move(self._bar, stage, done, total)
            elif begins and not self.quiet:
                self.say(f"{stage} …")

    def _move(self, bar: Progress, stage: str, done: int, total: int) -> None:
        """Show how far a stage is, and no longer when it is done."""
        if stage not in self._tasks:
            self._tasks[stage] = bar.add_task(visible(stage), total=total or None)
        bar.update(self._tasks[stage], completed=done, total=total or None)
        if 0 < total <= done:
            bar.remove_task(self._tasks.pop(stage))

    def say(self, sentence: str) -> None:
        """Write one line as it is, whatever brackets, colons or control characters it has."""
        self.console.print(visible(sentence), markup=False, emoji=False, highlight=False, soft_wrap=True)

    def conclude(self, report: Report) -> None:
        """Show the report."""
        if self.quiet > 1:
            return
        from dataaudit.writers.console import show

        if self.verbose:
            self._details(report.provenance)
        show(report, self.console)

    def _details(self, provenance: Mapping[str, Any]) -> None:
        for role in provenance["roles"]:
            self.say(f"column {role['column']}: {role['role']} ({role['reason']})")
        for name, value in sorted(provenance["settings"].items()):
            self.say(f"setting {name} = {value}")
        self.say(f"solver: {provenance['solver']} ({provenance['solver_reason']})")
        for stage, (began, ended) in self._times.items():
            self.say(f"time for {stage}: {ended - began:.2f} s")


def _console(color: str) -> Console:
    from rich.console import Console

    if color == "never":
        return Console(stderr=True, color_system=None, highlight=False)
    force = True if color == "always" else None
    return Console(stderr=True, highlight=False, force_terminal=force, force_interactive=sys.stderr.isatty())


def _bar(console: Console) -> Progress:
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    text = TextColumn("{task.description}", markup=False)
    columns = text, BarColumn(bar_width=24), MofNCompleteColumn(), TimeRemainingColumn(compact=True)
    return Progress(*columns, console=console, transient=True)
