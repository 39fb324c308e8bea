"""What may be why test rows are mispredicted: one kind of thing, whatever found it, with fixes to try."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from dataaudit.audits.mismatch.world import World

Rows = NDArray[np.int64]
NONE: Rows = np.empty(0, dtype=np.int64)
# The simplest first: of suspects that are worth the same, it is named.
Kind = Literal["exchange", "column", "copies", "rates", "row", "rows", "slice"]


class Fix(Protocol):
    """One way to put a suspect right, tried on test rows whose labels are known."""

    @property
    def name(self) -> str:
        """Which way it is, in the words of `findings.sentences.FIXES`: a fixed vocabulary."""

    @property
    def detail(self) -> str:
        """What was done, in words that may quote the data: ``“mass” of the test rows divided by 2.2``."""

    @property
    def advice(self) -> str:
        """What to do, as one sentence in the imperative."""

    def apply(self, world: World, *, exact: bool) -> World:
        """Return the world after it: refitted where it concerns training rows, or by a few Newton steps."""


@dataclass(frozen=True)
class Suspect:
    """One thing that may be wrong."""

    kind: Kind
    cause: str  # which of the kind: scaled, stuck, renamed, fill value, unseen, dead leak, moved, labels, …
    columns: tuple[str, ...]  # source columns it is about; those of one cause are one suspect
    title: str  # one sentence: what the two tables show
    fixes: tuple[Fix, ...]  # what is tried, the plainest first
    levels: tuple[str, ...] = ()  # levels, cuts or words of those columns
    train: Rows = field(default_factory=NONE.copy)  # positions of its training rows; empty if all
    test: Rows = field(default_factory=NONE.copy)  # positions among the labelled test rows; empty if all
    p_value: float = 1.0  # of the test that screened it, corrected for all that were screened
    evidence: float = 0.0  # nats by which labels of its rows differ between the tables, given the model

    @property
    def key(self) -> tuple[Kind, tuple[str, ...], tuple[str, ...]]:
        """What it is about: the same for suspects that are one."""
        return self.kind, self.columns, self.levels

    @property
    def name(self) -> str:
        """Columns and levels as people write them: ``age = [0-10) and sex = F``."""
        if len(self.columns) != len(self.levels):
            return " and ".join(self.columns)
        return slice_name(self.columns, self.levels)


def slice_name(columns: tuple[str, ...], levels: tuple[str, ...]) -> str:
    """Return columns and levels as people write them; a cut says itself which side it means."""
    parts = zip(columns, levels, strict=True)
    return " and ".join(f"{c} {v}" if v.startswith(("< ", "≥ ", "> ")) else f"{c} = {v}" for c, v in parts)
