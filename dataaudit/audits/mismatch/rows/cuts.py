"""Every slice that a person might name: levels, cuts, ranges, missing cells and words, as sparse columns.

A slice is the rows, of training and of test, for which one thing can be said of one source column. All
columns are cut that either table has, used as features or not: an annotator or a date explains labels well.

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
from itertools import chain, pairwise

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.sparse import csc_array

from dataaudit.audits.mismatch.suspects import slice_name
from dataaudit.audits.testset import Tested
from dataaudit.data.dataset import Dataset
from dataaudit.features.categorical import to_levels
from dataaudit.features.columns import MISSING, values_of
from dataaudit.features.numeric import ISO_DATE, read_datetime
from dataaudit.options.progress import ticking
from dataaudit.training.trained import Trained

# Where numbers are cut; dates are cut at tenths, since labels change on a day.
QUANTILES, TENTHS = (0.1, 0.25, 0.5, 0.75, 0.9), tuple(np.linspace(0.1, 0.9, 9))
# A slice has so many training or test rows at least.
FEWEST = 3
# Of both tables it has no larger share: what is nearly all rows is no slice, but what it leaves out is.
WIDEST = 0.85
# A number is a slice where so large a share of either table has it, or where all are whole and few.
FREQUENT, FEW_VALUES = 0.02, 25
UNSEEN = "(not in training)"

Rows = NDArray[np.int64]
Reals = NDArray[np.float64]
Masks = tuple[
    str, pl.Series, pl.Series, float, float
]  # name, which rows are in it, and between which numbers


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
class Numbers:
    """A column of numbers or dates."""

    train: Reals  # (n,) nan where missing
    test: Reals  # (t,)
    dtype: pl.DataType

    def name(self, low: float, high: float) -> str:
        """Return how people write what lies between two numbers."""
        ends = _shown(np.array([end for end in (low, high) if np.isfinite(end)]), self.dtype)
        if np.isfinite(low) and np.isfinite(high):
            return f"[{ends[0]}, {ends[1]})"
        return f"≥ {ends[0]}" if np.isfinite(low) else f"< {ends[0]}"


@dataclass(frozen=True)
class Cuts:
    """m slices of one thing each."""

    columns: tuple[str, ...]  # (m,) source column of each
    levels: tuple[str, ...]  # (m,)
    train: csc_array  # (n, m) ones for its training rows
    test: csc_array  # (t, m) and test rows
    low: Reals  # (m,) numbers from which on, nan where a slice is not cut by numbers
    high: Reals  # (m,) and below which
    numbers: dict[str, Numbers]  # the columns that were cut so

    @property
    def m(self) -> int:
        """Number of slices."""
        return len(self.levels)

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
    found: Rows = common.astype(np.int64)
    return found


def cut(train: Dataset, trained: Trained, tested: Tested) -> Cuts:
    """Cut the rows into slices by every column but the label."""
    known, new = train.frame, tested.dataset.frame
    roles = {role.column: role.role for role in trained.roles}
    parts: list[_Part] = []
    numbers: dict[str, Numbers] = {}
    for column in ticking(list(dict.fromkeys([*known.columns, *new.columns]))):
        if column == train.target:
            continue
        role = roles.get(column, "")
        if role == "text":
            parts.append(_words(trained, tested, column))
            continue
        sides = [values_of(f, column) if column in f.columns else None for f in (known, new)]
        a, b = (_empty(f.height, sides) if s is None else s for s, f in zip(sides, (known, new), strict=True))
        if a.dtype.is_nested() or a.dtype in (pl.Binary, pl.Object):
            continue
        a, b = _of_one_type(a, b)
        found = _masks(a, b, role)
        if _is_number(a, role):
            numbers[column] = Numbers(_floats(a).to_numpy(), _floats(b).to_numpy(), a.dtype)
            at = TENTHS if a.dtype.is_temporal() else QUANTILES
            found = chain(_cuts(numbers[column], at), found)
        parts.append(_gathered(column, list(found), (known.height, new.height)))
    return _joined(parts, numbers, (known.height, new.height))


def _empty(n: int, sides: list[pl.Series | None]) -> pl.Series:
    """Return a column that one side lacks: no row of it is in any slice."""
    dtype = next(side.dtype for side in sides if side is not None)
    return pl.Series([None] * n, dtype=dtype)


def _of_one_type(known: pl.Series, new: pl.Series) -> tuple[pl.Series, pl.Series]:
    """Return both sides as what training has; ISO dates as dates."""
    if known.dtype == pl.String and known.str.contains(ISO_DATE).all() and known.null_count() < len(known):
        known = read_datetime(known, pl.String())
    if known.dtype.is_temporal():
        return known, read_datetime(new, known.dtype)
    if known.dtype == new.dtype or (known.dtype.is_numeric() and new.dtype.is_numeric()):
        return known, new
    return known, new.cast(known.dtype, strict=False)


def _is_number(known: pl.Series, role: str) -> bool:
    return (
        known.dtype.is_temporal() or role == "numeric" or (known.dtype.is_numeric() and role != "categorical")
    )


def _masks(known: pl.Series, new: pl.Series, role: str) -> Iterator[Masks]:
    """Yield the slices of one column that need no order."""
    if not _is_number(known, role):
        yield from _levels(known, new)
    if known.null_count() < len(known) and new.null_count() < len(new):
        a, b = (to_levels(side, side.dtype).is_null() for side in (known, new))
        yield MISSING, a, b, np.nan, np.nan


def _levels(known: pl.Series, new: pl.Series) -> Iterator[Masks]:
    a, b = (to_levels(side, side.dtype) for side in (known, new))
    levels = pl.concat([a, b]).drop_nulls().unique().sort()
    kind = pl.Enum(levels)
    codes = [side.cast(kind).to_physical() for side in (a, b)]
    counts = [np.bincount(side.drop_nulls().to_numpy(), minlength=len(levels)) for side in codes]
    for code in np.flatnonzero(np.maximum(*counts) >= FEWEST).tolist():
        yield levels[code], *(side == code for side in codes), np.nan, np.nan
    if counts[0].any():
        none = pl.repeat(value=False, n=len(a), eager=True)
        yield UNSEEN, none, ~b.is_in(a.unique().implode()), np.nan, np.nan


def _cuts(column: Numbers, at: tuple[float, ...]) -> Iterator[Masks]:
    """Yield the slices of numbers or dates."""
    a, b = column.train, column.test
    values = a[~np.isnan(a)] if not np.isnan(a).all() else b[~np.isnan(b)]
    if not len(values):
        return
    for value in _frequent(a, b):
        yield _shown(np.array([value]), column.dtype)[0], *_series(a == value, b == value), np.nan, np.nan
    edges = [-np.inf, *np.unique(np.quantile(values, at, method="nearest")).tolist(), np.inf]
    ends = [(low, high) for edge in edges[1:-1] for low, high in ((-np.inf, edge), (edge, np.inf))]
    if not np.isnan(a).all():
        ends += [(-np.inf, float(values.min())), (float(np.nextafter(values.max(), np.inf)), np.inf)]
    for low, high in dict.fromkeys([*ends, *pairwise(edges)]):
        sides = _series((a >= low) & (a < high), (b >= low) & (b < high))
        yield column.name(low, high), *sides, low, high


def _series(known: NDArray[np.bool_], new: NDArray[np.bool_]) -> tuple[pl.Series, pl.Series]:
    return pl.Series(known), pl.Series(new)


def _frequent(a: Reals, b: Reals) -> list[float]:
    """Return values that many rows of a table have; all where they are few and whole."""
    distinct = np.unique(np.concatenate([a, b]))
    distinct = distinct[~np.isnan(distinct)]
    if len(distinct) <= FEW_VALUES and (distinct % 1 == 0).all():
        return list(distinct.tolist())
    found = set[float]()
    for side in (a, b):
        values, counts = np.unique(side[~np.isnan(side)], return_counts=True)
        found |= set(values[counts >= max(FEWEST, FREQUENT * len(side))].tolist())
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


@dataclass(frozen=True)
class _Part:
    """Slices of one column."""

    column: str
    levels: tuple[str, ...]
    train: csc_array
    test: csc_array
    low: tuple[float, ...]
    high: tuple[float, ...]


def _words(trained: Trained, tested: Tested, column: str) -> _Part:
    """Return one slice for each word of the vocabulary that enough rows have."""
    encoded = trained.described
    if encoded is None:
        return _Part(column, (), _of_rows([], trained.objective.rows.n), _of_rows([], tested.n), (), ())
    features = encoded.columns.term_features
    mine = np.flatnonzero([f.column == column for f in features])
    sides = [_ones(columns.terms[:, mine].tocsc()) for columns in (encoded.columns, tested.columns)]
    kept = np.flatnonzero(np.maximum(*(np.diff(side.indptr) for side in sides)) >= FEWEST)
    names = tuple(features[mine[i]].level or features[mine[i]].name for i in kept)
    none = (np.nan,) * len(kept)
    return _Part(column, names, sides[0][:, kept], sides[1][:, kept], none, none)


def _ones(matrix: csc_array) -> csc_array:
    matrix.sort_indices()
    return csc_array((np.ones(matrix.nnz), matrix.indices, matrix.indptr), shape=matrix.shape)


def _gathered(column: str, masks: list[Masks], rows: tuple[int, int]) -> _Part:
    """Return the slices of a column that have rows enough, are not nearly all, and not another one's rows."""
    kept: dict[bytes, tuple[str, Rows, Rows, float, float]] = {}
    for name, known, new, low, high in masks:
        train, test = (np.flatnonzero(side.fill_null(value=False).to_numpy()) for side in (known, new))
        share = min(len(train) / rows[0], len(test) / rows[1])
        if max(len(train), len(test)) >= FEWEST and share <= WIDEST:
            kept.setdefault(train.tobytes() + b"|" + test.tobytes(), (name, train, test, low, high))
    found = list(kept.values())
    return _Part(
        column,
        tuple(name for name, *_ in found),
        _of_rows([train for _, train, *_ in found], rows[0]),
        _of_rows([test for _, _, test, *_ in found], rows[1]),
        tuple(low for *_, low, _ in found),
        tuple(high for *_, high in found),
    )


def _of_rows(rows: list[Rows], n: int) -> csc_array:
    ends = np.cumsum([0, *(len(some) for some in rows)])
    indices = np.concatenate([np.empty(0, dtype=np.int64), *rows])
    return csc_array((np.ones(len(indices)), indices, ends), shape=(n, len(rows)))


def _joined(parts: list[_Part], numbers: dict[str, Numbers], rows: tuple[int, int]) -> Cuts:
    columns = tuple(part.column for part in parts for _ in part.levels)
    levels = tuple(level for part in parts for level in part.levels)
    sides = []
    for name, n in zip(("train", "test"), rows, strict=True):
        matrices = [getattr(part, name) for part in parts]
        ends = np.concatenate([[0], *(np.diff(m.indptr) for m in matrices)]).cumsum()
        indices = np.concatenate([np.empty(0, dtype=np.int64), *(m.indices for m in matrices)])
        sides.append(csc_array((np.ones(len(indices)), indices, ends), shape=(n, len(levels))))
    low, high = (np.array([end for part in parts for end in getattr(part, name)]) for name in ("low", "high"))
    return Cuts(columns, levels, sides[0], sides[1], low, high, numbers)
