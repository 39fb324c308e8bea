"""The stage at work: how far it is, said from inside it, and what it came to, kept for a run that goes on.

Loops need not be handed who hears of their progress.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Sized
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol, TypeVar, runtime_checkable

Item = TypeVar("Item")
T = TypeVar("T")
Part = TypeVar("Part", bound=Sized)
_here: ContextVar[Callable[[int, int], None] | None] = ContextVar("stage", default=None)


@runtime_checkable
class Foreseeing(Protocol):
    """Who hears of progress, and wants to know beforehand how long stages may take."""

    def foresee(self, seconds: Mapping[str, float]) -> None:
        """Take note of seconds by stage."""


def foresee(on_step: object, seconds: Mapping[str, float]) -> None:
    """Say how long stages may take, to whoever wants to know."""
    if isinstance(on_step, Foreseeing):
        on_step.foresee(seconds)


@contextmanager
def within(
    on_step: Callable[[str, int, int], None], stage: str, *, done: int = 0, parts: int = 1
) -> Iterator[None]:
    """Let what runs here, in this thread, say how far it is: a part of a stage, after others."""
    token = _here.set(lambda at, total: on_step(stage, done * total + at, parts * total))
    try:
        yield
    finally:
        _here.reset(token)


def tick(done: int, total: int) -> None:
    """Say that so many of so many parts of the stage at work are done; its end is for who began it."""
    hear = _here.get()
    if hear is not None and done < total:
        hear(done, total)


@contextmanager
def portion(done: int, parts: int, *, size: int = 1) -> Iterator[None]:
    """Let what runs here say how far it is, as so many parts of the stage at work, after others."""
    tick(done, parts)
    hear = _here.get()
    token = _here.set(hear and (lambda at, total: hear(done * total + size * at, parts * total)))
    try:
        yield
    finally:
        _here.reset(token)


def ticking(items: Sequence[Item]) -> Iterable[Item]:
    """Yield the parts of a stage, and say how many are done."""
    for done, item in enumerate(items):
        with portion(done, len(items)):
            yield item


def heard(parts: Iterable[Part], n: int) -> Iterable[Part]:
    """Yield what is made of some of n rows after others, and say how many rows are done."""
    done = 0
    for made in parts:
        done += len(made)
        tick(done, n)
        yield made


class Fall:
    """A norm on its way down: how many of the digits that it is to lose are lost."""

    def __init__(self, last: float) -> None:
        self.last, self.first, self.least = max(last, 1e-300), 0.0, math.inf

    def to(self, norm: float) -> None:
        """Take note of the norm after another step."""
        self.first, self.least = max(self.first, norm), min(self.least, norm)
        lost, whole = (
            round(10 * math.log10(self.first / max(one, 1e-300))) for one in (self.least, self.last)
        )
        tick(lost, whole)


class Checkpoint:
    """What the stages of a run came to, for a run that goes on after it: here nothing is kept.

    `checkpoint.folder` keeps it in a folder. What a stage came to is an array, a tensor, a number, a text, a
    frozen dataclass of the package, or tuples, lists and dicts of these.
    """

    def get(self, stage: str) -> Any:
        """Return what a stage came to, or None."""
        return None

    def put(self, stage: str, value: Any) -> None:
        """Keep what a stage came to, or how far it is."""

    def once(self, stage: str, make: Callable[[], T]) -> T:
        """Return what a stage came to, or let it come to it."""
        kept: T | None = self.get(stage)
        if kept is None:
            kept = make()
            self.put(stage, kept)
        return kept

    def folder(self) -> Path | None:
        """Return a folder for files that a run goes on with, or None."""
        return None

    def below(self, stage: str) -> Checkpoint:
        """Return the same for the parts of a stage."""
        return _Below(self, stage)


@dataclass(frozen=True)
class _Below(Checkpoint):
    """The parts of one stage."""

    whole: Checkpoint
    stage: str

    def get(self, stage: str) -> Any:
        return self.whole.get(f"{self.stage}: {stage}")

    def put(self, stage: str, value: Any) -> None:
        self.whole.put(f"{self.stage}: {stage}", value)


NOT_KEPT: Final = Checkpoint()
