"""Every slice that a person might name: levels, cuts, ranges, missing cells and words, as sparse columns.

A slice is the rows, of training and of test, for which one thing can be said of one source column. All columns
are cut that either table has, used as features or not: an annotator or a date explains labels well.

    levels, booleans    every level; the levels that training never has, together
    numbers, dates      below and from each quantile of training on, between neighbours; frequent values;
                        below and above all of training
    texts               every word of the model's vocabulary that enough rows have
    all of them         missing cells

Rows are kept as two sparse matrices of zeros and ones, a column a slice: what is asked of all slices at once
is then one product.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.sparse import csc_array

from dataaudit.audits.mismatch.suspects import slice_name
from dataaudit.audits.testset import Pair, Tested
from dataaudit.features.categorical import to_levels
from dataaudit.features.columns import MISSING, values_of
from dataaudit.features.numeric import read_datetime
from dataaudit.training.trained import Trained

# Where numbers are cut; dates are cut at tenths, since labels change on a day.
QUANTILES, TENTHS = (0.1, 0.25, 0.5, 0.75, 0.9), tuple(np.linspace(0.1, 0.9, 9))
# A slice has so many training or test rows at least.
FEWEST = 3
# Of both tables it has no larger share: what is nearly all rows is no slice, but what it leaves out is.
WIDEST = 0.85
# A value of a number is a slice where so large a share of either table has it, or where all are whole and few.
FREQUENT, FEW_VALUES = 0.02, 25
UNSEEN = "(not in training)"

Rows = NDArray[np.int64]
Masks = tuple[str, pl.Series, pl.Series]  # name of a slice, and which rows are in it


@dataclass(frozen=True)
class Slice:
    """Rows for which one thing can be said, or several together."""

    columns: tuple[str, ...]  # source columns
    levels: tuple[str, ...]  # what is said of each: a level, ``< 40``, ``[20, 30)``, a word
    train: Rows  # positions of its training rows, increasing
    test: Rows  # positions of its test rows, increasing

    @property
    def name(self) -> str:
        """The slice as people write it: ``age = [0-10) and mass < 40``."""
        return slice_name(self.columns, self.levels)


@dataclass(frozen=True)
class Cuts:
    """m slices of one thing each."""

    columns: tuple[str, ...]  # (m,) source column of each
    levels: tuple[str, ...]  # (m,)
    train: csc_array  # (n, m) ones for its training rows
    test: csc_array  # (t, m) and test rows

    @property
    def m(self) -> int:
        """Number of slices."""
        return len(self.levels)

    def take(self, slices: Rows) -> Cuts:
        """Return some of the slices."""
        columns, levels = (tuple(values[i] for i in slices) for values in (self.columns, self.levels))
        return Cuts(columns, levels, self.train[:, slices], self.test[:, slices])

    def slice(self, *members: int) -> Slice:
        """Return one slice, or what several have in common."""
        train, test = (_common(matrix, members) for matrix in (self.train, self.test))
        columns, levels = (tuple(values[i] for i in members) for values in (self.columns, self.levels))
        return Slice(columns, levels, train, test)

    @cached_property
    def sizes(self) -> tuple[Rows, Rows]:
        """Numbers of training and of test rows of every slice."""  # 2 × (m,)
        return np.diff(self.train.indptr), np.diff(self.test.indptr)


def _common(matrix: csc_array, members: tuple[int, ...]) -> Rows:
    rows = [matrix.indices[matrix.indptr[i] : matrix.indptr[i + 1]] for i in members]
    common = rows[0]
    for other in rows[1:]:
        common = np.intersect1d(common, other, assume_unique=True)
    return common.astype(np.int64)


def cut(pair: Pair, trained: Trained, tested: Tested) -> Cuts:
    """Cut the rows into slices by every column but the label."""
    known, new = pair.train.frame, pair.test.frame
    roles = {role.column: role.role for role in trained.roles}
    parts: list[Cuts] = []
    for column in dict.fromkeys([*known.columns, *new.columns]):
        if column == pair.train.target:
            continue
        if roles.get(column) == "text":
            parts.append(_words(trained, tested, column))
            continue
        sides = [values_of(f, column) if column in f.columns else None for f in (known, new)]
        a, b = (_empty(f.height, sides) if s is None else s for s, f in zip(sides, (known, new), strict=True))
        parts.append(_gathered(column, list(_masks(a, b, roles.get(column, ""))), (known.height, new.height)))
    return _joined(parts, (known.height, new.height))


def _empty(n: int, sides: list[pl.Series | None]) -> pl.Series:
    """Return a column that one side lacks: no row of it is in any slice."""
    dtype = next(side.dtype for side in sides if side is not None)
    return pl.Series([None] * n, dtype=dtype)


def _masks(known: pl.Series, new: pl.Series, role: str) -> Iterator[Masks]:
    """Yield the slices of one column."""
    if known.dtype.is_nested() or known.dtype in (pl.Binary, pl.Object):
        return
    if known.dtype != new.dtype and not (known.dtype.is_numeric() and new.dtype.is_numeric()):
        temporal = known.dtype.is_temporal()
        new = read_datetime(new, known.dtype) if temporal else new.cast(known.dtype, strict=False)
    whole = [len(side) == side.null_count() for side in (known, new)]
    if role == "datetime" or known.dtype.is_temporal():
        known, new = (read_datetime(side, known.dtype) for side in (known, new))
        yield from _numbers(known, new, TENTHS)
    elif role == "numeric" or (known.dtype.is_numeric() and role != "categorical"):
        yield from _numbers(known, new, QUANTILES)
    else:
        yield from _levels(known, new)
    if not any(whole):
        a, b = (to_levels(side, side.dtype).is_null() for side in (known, new))
        yield MISSING, a, b


def _levels(known: pl.Series, new: pl.Series) -> Iterator[Masks]:
    a, b = (to_levels(side, side.dtype) for side in (known, new))
    levels = pl.concat([a, b]).drop_nulls().unique().sort()
    kind = pl.Enum(levels)
    codes = [side.cast(kind).to_physical() for side in (a, b)]
    counts = [np.bincount(side.drop_nulls().to_numpy(), minlength=len(levels)) for side in codes]
    for code in np.flatnonzero(np.maximum(*counts) >= FEWEST).tolist():
        yield levels[code], *(side == code for side in codes)
    if counts[0].any():
        yield UNSEEN, pl.repeat(value=False, n=len(a), eager=True), ~b.is_in(a.unique().implode())


def _numbers(known: pl.Series, new: pl.Series, at: tuple[float, ...]) -> Iterator[Masks]:
    """Yield the slices of numbers or dates."""
    dtype = known.dtype
    a, b = (_floats(side) for side in (known, new))
    values = a.drop_nulls() if a.null_count() < len(a) else b.drop_nulls()
    if not len(values):
        return
    numbers = values.to_numpy()
    edges = np.unique(np.quantile(numbers, at, method="nearest"))
    names = dict(zip(edges.tolist(), _shown(edges, dtype), strict=True))
    low, high = float(numbers.min()), float(numbers.max())
    for value in _frequent(a, b):
        yield _shown(np.array([value]), dtype)[0], a == value, b == value
    for edge, name in names.items():
        yield f"< {name}", a < edge, b < edge
        yield f"≥ {name}", a >= edge, b >= edge
    for (left, first), (right, second) in pairwise(names.items()):
        yield f"[{first}, {second})", (a >= left) & (a < right), (b >= left) & (b < right)
    if a.null_count() < len(a):
        ends = _shown(np.array([low, high]), dtype)
        yield f"< {ends[0]}", a < low, b < low
        yield f"> {ends[1]}", a > high, b > high


def _frequent(a: pl.Series, b: pl.Series) -> list[float]:
    """Return values that many rows of a table have; all where they are few and whole."""
    both = pl.concat([a, b]).drop_nulls()
    distinct = both.unique()
    if len(distinct) <= FEW_VALUES and (distinct % 1 == 0).all():
        return sorted(distinct.to_list())
    found = set[float]()
    for side in (a.drop_nulls(), b.drop_nulls()):
        counts = side.value_counts().filter(pl.col("count") >= max(FEWEST, FREQUENT * len(side)))
        found |= set(counts[side.name].to_list())
    return sorted(found)


def _floats(series: pl.Series) -> pl.Series:
    """Return numbers, dates as they are stored, and null for anything else."""
    if series.dtype.is_temporal():
        return series.to_physical().cast(pl.Float64)
    if series.dtype == pl.String:
        series = series.str.strip_chars()
    values = series.cast(pl.Float64, strict=False)
    return values.set(~values.is_finite().fill_null(value=True), None)


def _shown(edges: NDArray[np.float64], dtype: pl.DataType) -> list[str]:
    """Return numbers or dates as people write them."""
    if not dtype.is_temporal():
        return [f"{edge:.6g}" for edge in edges]
    physical = pl.Int32() if dtype == pl.Date else pl.Int64()
    dates = pl.Series(edges).cast(physical).cast(dtype)
    plain = (
        dates.dt.to_string("iso").str.replace(r"[ T]00:00:00(\.0+)?", "")
        if dtype != pl.Duration
        else dates.cast(pl.String)
    )
    return plain.to_list()


def _words(trained: Trained, tested: Tested, column: str) -> Cuts:
    """Return one slice for each word of the vocabulary that enough rows have."""
    encoded = trained.encoded
    if encoded is None:
        return _joined([], (trained.objective.rows.n, tested.n))
    features = encoded.columns.term_features
    mine = np.flatnonzero([f.column == column for f in features])
    sides = [_ones(columns.terms[:, mine].tocsc()) for columns in (encoded.columns, tested.columns)]
    kept = np.flatnonzero(np.maximum(*(np.diff(side.indptr) for side in sides)) >= FEWEST)
    names = tuple(features[mine[i]].level or features[mine[i]].name for i in kept)
    return Cuts((column,) * len(kept), names, sides[0][:, kept], sides[1][:, kept])


def _ones(matrix: csc_array) -> csc_array:
    matrix.sort_indices()
    return csc_array((np.ones(matrix.nnz), matrix.indices, matrix.indptr), shape=matrix.shape)


def _gathered(column: str, masks: list[Masks], rows: tuple[int, int]) -> Cuts:
    """Return the slices of a column that have rows enough, are not all rows, and not another one's rows."""
    kept: dict[bytes, tuple[str, Rows, Rows]] = {}
    for name, known, new in masks:
        train, test = (np.flatnonzero(side.fill_null(value=False).to_numpy()) for side in (known, new))
        share = min(len(train) / rows[0], len(test) / rows[1])
        if max(len(train), len(test)) >= FEWEST and share <= WIDEST:
            kept.setdefault(train.tobytes() + b"|" + test.tobytes(), (name, train, test))
    sides = [_of_rows([one[side] for one in kept.values()], rows[side - 1]) for side in (1, 2)]
    return Cuts((column,) * len(kept), tuple(one[0] for one in kept.values()), *sides)


def _of_rows(rows: list[Rows], n: int) -> csc_array:
    ends = np.cumsum([0, *(len(some) for some in rows)])
    indices = np.concatenate([np.empty(0, dtype=np.int64), *rows])
    return csc_array((np.ones(len(indices)), indices, ends), shape=(n, len(rows)))


def _joined(parts: list[Cuts], rows: tuple[int, int]) -> Cuts:
    columns = tuple(column for part in parts for column in part.columns)
    levels = tuple(level for part in parts for level in part.levels)
    sides = []
    for name, n in zip(("train", "test"), rows, strict=True):
        matrices = [getattr(part, name) for part in parts]
        ends = np.concatenate([[0], *(np.diff(m.indptr) for m in matrices)]).cumsum()
        indices = np.concatenate([np.empty(0, dtype=np.int64), *(m.indices for m in matrices)])
        sides.append(csc_array((np.ones(len(indices)), indices, ends), shape=(n, len(levels))))
    return Cuts(columns, levels, *sides)
