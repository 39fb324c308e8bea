"""Slices of the data by the user's own columns.

Slices are cut on the raw columns, whatever the encoding pools: every level of a categorical column and of a
whole-number column with few values, quantile bins (of the training rows) of the other numbers and dates,
``(missing)``, and the terms of a text. The first 400 terms by test errors are taken, and the levels that any
test row has.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import polars as pl
from numpy.typing import NDArray

from dataaudit.audits.testset import Tested
from dataaudit.data.dataset import Dataset
from dataaudit.features import Columns, Role
from dataaudit.features.categorical import to_levels
from dataaudit.features.columns import MISSING, values_of
from dataaudit.training.trained import Trained

# Distinct whole numbers that make a level each; bins of other numbers; terms of a text.
FEW_VALUES, BINS, TERMS = 25, 8, 400

Rows = NDArray[np.int64]


@dataclass(frozen=True)
class Slice:
    """Rows that share a level of a column, or of two."""

    column: str
    level: str  # the level, bin, term or ``(missing)``
    train: Rows  # positions of its training rows, increasing
    test: Rows  # positions of its test rows, increasing
    second_column: str | None = None  # of a pair
    second_level: str | None = None

    @property
    def name(self) -> str:
        """The slice as people write it: ``age = [0-10)``."""
        second = "" if self.second_column is None else f" and {self.second_column} = {self.second_level}"
        return f"{self.column} = {self.level}{second}"


def cut_slices(trained: Trained, train: Dataset, tested: Tested) -> tuple[Slice, ...]:
    """Cut the rows into slices by every column in use."""
    slices: list[Slice] = []
    for role in trained.roles:
        if role.role in ("left out", "vector"):
            continue
        if role.role == "text":
            slices.extend(_term_slices(trained, tested, role.column))
            continue
        known, new = values_of(train.frame, role.column), values_of(tested.dataset.frame, role.column)
        texts, others = _as_levels(known, new, role)
        slices.extend(_level_slices(role.column, texts, others))
    return tuple(slices)


def _as_levels(known: pl.Series, new: pl.Series, role: Role) -> tuple[pl.Series, pl.Series]:
    """Return the level of every training and every test row as text."""
    if role.role == "categorical" or (role.role == "boolean" and not known.dtype.is_float()):
        return _texts(known), _texts(new)
    a, b = _numbers(known), _numbers(new)
    distinct = a.drop_nulls().n_unique()
    if distinct <= FEW_VALUES and (a.drop_nulls() % 1 == 0).all():
        return _whole_texts(a), _whole_texts(b)
    edges = np.unique(np.quantile(a.drop_nulls().to_numpy(), np.linspace(0, 1, BINS + 1)[1:-1]))
    dates = known.dtype if known.dtype.is_temporal() else None
    names = _bin_names(edges, dates)
    return _binned(a, edges, names), _binned(b, edges, names)


def _texts(series: pl.Series) -> pl.Series:
    return to_levels(series, series.dtype).fill_null(MISSING)


def _whole_texts(values: pl.Series) -> pl.Series:
    text = values.cast(pl.Int64, strict=False).cast(pl.String)
    return text.fill_null(MISSING)


def _numbers(series: pl.Series) -> pl.Series:
    """Return numbers, dates as days since 1970, and null for anything else."""
    if series.dtype.is_temporal():
        return series.to_physical().cast(pl.Float64)
    if series.dtype == pl.String:
        series = series.str.strip_chars()
    values = series.cast(pl.Float64, strict=False)
    return values.set(~values.is_finite().fill_null(value=True), None)


def _bin_names(edges: NDArray[np.float64], dates: pl.DataType | None) -> list[str]:
    """Return one name per bin: below the first edge, between edges, from the last edge on."""
    if dates is None:
        shown = [f"{edge:.6g}" for edge in edges]
    else:
        physical = pl.Int32() if dates == pl.Date else pl.Int64()
        shown = pl.Series(edges).cast(physical).cast(dates).cast(pl.String).to_list()
    between = [f"[{low}, {high})" for low, high in pairwise(shown)]
    return [f"< {shown[0]}", *between, f"≥ {shown[-1]}"]


def _binned(values: pl.Series, edges: NDArray[np.float64], names: list[str]) -> pl.Series:
    filled = values.fill_null(float("nan")).to_numpy()
    codes = np.searchsorted(edges, filled, side="right")
    text = pl.Series(np.array(names, dtype=object)[np.minimum(codes, len(names) - 1)], dtype=pl.String)
    return text.set(values.is_null(), MISSING)


def _level_slices(column: str, known: pl.Series, new: pl.Series) -> Iterator[Slice]:
    """Yield one slice for each level that a test row has, in the order of the alphabet."""
    levels = new.unique().sort()
    kind = pl.Enum(levels)
    train, test = _grouped(known.cast(kind, strict=False), len(levels)), _grouped(new.cast(kind), len(levels))
    for name, train_rows, test_rows in zip(levels.to_list(), train, test, strict=True):
        yield Slice(column, name, train_rows, test_rows)


def _grouped(levels: pl.Series, count: int) -> list[Rows]:
    """Return the rows of every level; null belongs to none."""
    codes = levels.to_physical().cast(pl.Int64).fill_null(count).to_numpy()
    order = np.argsort(codes, kind="stable")
    ends = np.searchsorted(codes[order], np.arange(count + 1))
    return [order[start:end] for start, end in pairwise(ends)]


def _term_slices(trained: Trained, tested: Tested, column: str) -> Iterator[Slice]:
    """Yield one slice for each of the terms that most test errors contain."""
    encoded = trained.encoded
    if encoded is None:
        return
    names = [f.level or f.name for f in encoded.columns.term_features]
    mine = np.flatnonzero([f.column == column for f in encoded.columns.term_features])
    counts = np.bincount(tested.columns.terms[np.flatnonzero(tested.wrong)].indices, minlength=len(names))
    ordered = mine[np.argsort(-counts[mine], kind="stable")][:TERMS]
    train, test = _occurrences(encoded.columns, ordered), _occurrences(tested.columns, ordered)
    for j, train_rows, test_rows in zip(ordered.tolist(), train, test, strict=True):
        if len(test_rows):
            yield Slice(column, names[j], train_rows, test_rows)


def _occurrences(columns: Columns, terms: Rows) -> list[Rows]:
    """Return the rows in which each term occurs."""
    by_column = columns.terms[:, terms].tocsc()
    by_column.sort_indices()
    return [by_column.indices[a:b].astype(np.int64) for a, b in pairwise(by_column.indptr)]
