"""Ways to put columns of the test rows right: other cells in some of them, or none on both sides."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from dataaudit.audits.mismatch.suspects import Fix
from dataaudit.audits.mismatch.world import World
from dataaudit.audits.shift.covariates import numbers
from dataaudit.escape import line
from dataaudit.features.categorical import to_levels
from dataaudit.features.columns import values_of

Reals = NDArray[np.float64]
Mask = NDArray[np.bool_]
NAME: Final = 60  # characters of a column's name in a sentence
VALUE: Final = 40  # and of a value
_MS_PER_DAY: Final = 86_400_000.0


@dataclass(frozen=True)
class Guess:
    """What may have happened to a column, with the fix that undoes it."""

    cause: str
    title: str
    fix: Fix
    levels: tuple[str, ...] = ()

    def about(self, *levels: str) -> Guess:
        """Return the guess with the levels or values that it is about."""
        return replace(self, levels=levels)


@dataclass(frozen=True)
class Rewrite:
    """Other cells in columns of the test rows, made of the cells that stand there."""

    name: str
    detail: str
    advice: str
    change: Callable[[World], tuple[pl.Series, ...]]  # named columns, each of t values

    def apply(self, world: World, *, exact: bool) -> World:
        """Return the world with these cells."""
        return world.with_cells(*self.change(world))


@dataclass(frozen=True)
class LeaveOut:
    """Columns that are left out on both sides, with a refit."""

    columns: tuple[str, ...]

    @property
    def name(self) -> str:
        """One of `FIXES`."""
        return "leave out column"

    @property
    def detail(self) -> str:
        """What was done."""
        return f"{listed(self.columns)} left out of training and test"

    @property
    def advice(self) -> str:
        """What to do."""
        return f"Leave {listed(self.columns)} out on both sides and train again."

    def apply(self, world: World, *, exact: bool) -> World:
        """Return the world without them."""
        return world.without_columns(self.columns, exact=exact)


def draw(column: str) -> Rewrite:
    """Return the fix that takes a column of the test rows from training, the same cells whenever asked."""

    def change(world: World) -> tuple[pl.Series, ...]:
        known = values_of(world.known, column)
        places = np.random.default_rng(0).integers(0, len(known), world.new.height)
        return (known[places].alias(column),)

    name = quoted(column, NAME)
    return Rewrite(
        "draw",
        f"{name} of the test rows drawn from training",
        f"Find out where {name} of the test rows comes from; until then draw it from the training rows.",
        change,
    )


def never_filled(column: str, share: str) -> Guess:
    """Return the guess about a column that test rows never have; training lacks it in a share of the rows."""
    title = f"{quoted(column, NAME)} is missing in every test row and in {share} of the training rows"
    return Guess("missing", f"{title}: is it not filled?", draw(column))


def quoted(text: object, length: int = VALUE) -> str:
    """Return a value or a name in quotation marks, on one line and shortened."""
    return f"“{line(str(text), length)}”"


def listed(names: tuple[str, ...]) -> str:
    """Return names in quotation marks: “a”, “b” and “c”."""
    *first, last = [quoted(name, NAME) for name in names]
    return f"{', '.join(first)} and {last}" if first else last


def numbers_of(frame: pl.DataFrame, known: pl.DataFrame, column: str) -> Reals:
    """Return a column as numbers, dates as days, NaN where missing."""  # -> (n,)
    return numbers(values_of(frame, column), known.schema[column])


def levels_of(frame: pl.DataFrame, known: pl.DataFrame, column: str) -> pl.Series:
    """Return a column as text, null where missing."""  # -> (n,)
    return to_levels(values_of(frame, column), known.schema[column])


def number_cells(values: Reals, column: str, dtype: pl.DataType) -> pl.Series:
    """Return numbers as cells that the encoding of a column reads; days as dates."""  # (n,)
    cells = pl.Series(column, values).fill_nan(None)
    if dtype.is_temporal():
        moments = (cells * _MS_PER_DAY).round().cast(pl.Int64).cast(pl.Datetime("ms"))
        return moments.cast(dtype) if dtype == pl.Date else moments
    return cells


def level_cells(texts: pl.Series, column: str, dtype: pl.DataType) -> pl.Series:
    """Return levels as cells of the type that the column has in training; null where they do not fit."""
    if dtype == pl.Boolean:
        return (texts == "true").alias(column)
    plain = dtype in (pl.Categorical, pl.Enum, pl.String)
    return (texts if plain else texts.cast(dtype, strict=False)).alias(column)
