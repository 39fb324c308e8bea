"""A column in training and in test, as numbers or as levels, and guesses made of it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Final, Generic, TypeVar

import numpy as np
import polars as pl

from dataaudit.audits.mismatch.causes.fixes import (
    NAME,
    Guess,
    Reals,
    Rewrite,
    level_cells,
    levels_of,
    number_cells,
    numbers_of,
    quoted,
)
from dataaudit.audits.mismatch.world import World
from dataaudit.statistics import ks_distance

Change = Callable[[Reals], Reals]
Texts = pl.Series
Values = TypeVar("Values")
POINTS: Final = 2000  # quantiles that stand for all values
# The Kolmogorov-Smirnov distance at 1 %, times the root of n m / (n + m).
CRITICAL: Final = 1.628
LEFT: Final = 0.3  # of the distance that a guess may leave
TIES: Final = 0.01  # of the spread of training by which a value may miss its place


@dataclass(frozen=True)
class Sides(ABC, Generic[Values]):
    """A column in training and in the judged test rows."""

    column: str
    dtype: pl.DataType  # in training
    known: Values  # (n,)
    new: Values  # (t,)

    @property
    def name(self) -> str:
        """The column in quotation marks."""
        return quoted(self.column, NAME)

    @abstractmethod
    def cells(self, world: World, change: Callable[[Values], Values]) -> pl.Series:
        """Return the changed cells of the test rows, as the encoding of the column reads them."""

    def guess(
        self,
        cause: str,
        title: str,
        change: Callable[[Values], Values],
        *,
        fix: str,
        done: str,
        advice: str,
    ) -> Guess:
        """Return a guess whose fix changes the values; `done` follows “x” of the test rows."""
        detail = f"{self.name} of the test rows {done}"
        return Guess(cause, title, Rewrite(fix, detail, advice, lambda world: (self.cells(world, change),)))


class NumberSides(Sides[Reals]):
    """A column of numbers, or of dates as days; NaN where missing."""

    @cached_property
    def a(self) -> Reals:
        """Quantiles of the training values."""
        return _thin(self.known)

    @cached_property
    def b(self) -> Reals:
        """Quantiles of the test values."""
        return _thin(self.new)

    @cached_property
    def spread(self) -> float:
        """From the first to the last decile of training; the range where these are equal."""
        middle = float(np.subtract(*np.quantile(self.a, (0.9, 0.1))))
        return middle or float(self.a[-1] - self.a[0])

    @cached_property
    def distance(self) -> float:
        """How far the two distributions are apart."""
        return self.left(lambda v: v)

    @cached_property
    def chance(self) -> float:
        """How far they are apart by chance."""
        n, m = (float(np.count_nonzero(~np.isnan(v))) for v in (self.known, self.new))
        return CRITICAL * float(np.sqrt((n + m) / (n * m))) + 1.0 / POINTS

    @property
    def limit(self) -> float:
        """How far a guess may leave them apart."""
        return max(self.chance, LEFT * self.distance)

    def left(self, change: Change) -> float:
        """Return how far the changed test values are from training."""
        with np.errstate(all="ignore"):
            values = change(self.b)
        values = values[np.isfinite(values)]
        if len(values) < len(self.b) / 2:
            return 1.0
        return ks_distance(self.a, values, tolerance=TIES * self.spread)[0]

    def fits(self, change: Change) -> bool:
        """Tell whether a change makes the test values like those of training."""
        return self.left(change) <= self.limit

    def shown(self, value: float) -> str:
        """Return a value as people write it: a date where the column holds dates."""
        if self.dtype.is_temporal():
            return str(number_cells(np.array([value]), "", self.dtype)[0]).removesuffix(" 00:00:00")
        return f"{value:.6g}"

    def cells(self, world: World, change: Change) -> pl.Series:
        """Return the changed cells of the test rows."""
        with np.errstate(all="ignore"):
            values = change(numbers_of(world.new, world.known, self.column))
        return number_cells(np.where(np.isfinite(values), values, np.nan), self.column, self.dtype)


def _thin(values: Reals) -> Reals:
    present = np.sort(values[~np.isnan(values)])
    if len(present) <= POINTS:
        return present
    return present[np.linspace(0, len(present) - 1, POINTS).astype(np.int64)]


class LevelSides(Sides[Texts]):
    """A column of levels; null where missing."""

    @cached_property
    def before(self) -> dict[str, float]:
        """The share of every level among the training rows, the most frequent first."""
        return _shares(self.known)

    @cached_property
    def after(self) -> dict[str, float]:
        """The share of every level among the test rows."""
        return _shares(self.new)

    @property
    def missing(self) -> tuple[float, float]:
        """The share of missing cells in training and in test."""
        return tuple(s.null_count() / max(len(s), 1) for s in (self.known, self.new))  # type: ignore[return-value]

    @cached_property
    def unseen(self) -> list[str]:
        """Levels that training never has, the most frequent first."""
        return [level for level in self.after if level not in self.before]

    @cached_property
    def lost(self) -> list[str]:
        """Levels that training has and test has not, or hardly, the most frequent first."""
        return [k for k, share in self.before.items() if self.after.get(k, 0.0) < share / 10]

    def cells(self, world: World, change: Callable[[Texts], Texts]) -> pl.Series:
        """Return the changed cells of the test rows."""
        return level_cells(change(levels_of(world.new, world.known, self.column)), self.column, self.dtype)


def _shares(levels: Texts) -> dict[str, float]:
    counts = levels.alias("level").to_frame().drop_nulls().group_by("level").len()
    counts = counts.sort(["len", "level"], descending=[True, False])
    return dict(zip(counts["level"], (counts["len"] / max(len(levels), 1)).to_list(), strict=True))
