"""The nouns of encoding: what a column is used as, and what an encoded feature stands for.

``Columns`` is what an encoding makes of a frame, before a basis (scaling, splines, RBF) turns it into one
design matrix: four blocks, each in the form in which it is cheapest to hold. The encoder of one column gives
its share of each, a ``ColumnBlocks``; what all encoders need (casting, indicators) is here too.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal, Protocol

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.sparse import csr_array

from dataaudit.errors import EncodeError

FeatureKind = Literal["numeric", "spline", "boolean", "level", "missing", "datetime", "term", "vector", "rbf"]
RoleName = Literal["numeric", "boolean", "categorical", "datetime", "text", "vector", "left out"]

MISSING = "(missing)"


@dataclass(frozen=True, slots=True)
class Feature:
    """One encoded feature and where it comes from."""

    name: str  # how the feature is shown
    column: str
    level: str | None  # level, term, part of a date, coordinate, number of a spline; None for all of a column
    kind: FeatureKind
    scale: float = 1.0  # a step in the encoded unit times this is the step in the user's; 1 where meaningless


@dataclass(frozen=True, slots=True)
class Role:
    """What a source column is used as, and why, in words for people."""

    column: str
    role: RoleName
    reason: str


@dataclass(frozen=True)
class Columns:
    """The encoded columns of n rows, before a basis is chosen."""

    numeric: NDArray[np.float64]  # (n, dn) in the user's units; parts of dates too; the median where missing
    numeric_features: tuple[Feature, ...]
    vectors: NDArray[np.float64]  # (n, dv) centred by the training mean, one scale per source column
    vector_features: tuple[Feature, ...]
    levels: csr_array  # (n, dl) one-hot levels, booleans and missing indicators: zeros and ones
    level_features: tuple[Feature, ...]
    terms: csr_array  # (n, dt) tf-idf with rows of length 1 per text column, or counts
    term_features: tuple[Feature, ...]

    @property
    def n(self) -> int:
        """Number of rows."""
        return int(self.numeric.shape[0])

    @property
    def features(self) -> tuple[Feature, ...]:
        """All features: numeric, vectors, levels, terms."""
        return self.numeric_features + self.vector_features + self.level_features + self.term_features

    @property
    def nbytes(self) -> int:
        """Bytes in memory."""
        return sum(bytes_of(block) for block in (self.numeric, self.vectors, self.levels, self.terms))

    @property
    def entries(self) -> int:
        """Numbers that a sparse matrix of them stores."""
        return int(self.numeric.size + self.vectors.size + self.levels.nnz + self.terms.nnz)

    def number(self, j: int) -> NDArray[np.float64]:
        """Return the values of one numeric feature."""  # -> (n,)
        return self.numeric[:, j]

    def blocks(self) -> Iterator[Columns]:
        """Yield the rows block by block: as one."""
        yield self

    def take(self, rows: NDArray[np.int64]) -> Columns:
        """Return some rows, in the order given and as often as given."""  # (b,) positions
        return replace(
            self,
            numeric=self.numeric[rows],
            vectors=self.vectors[rows],
            levels=self.levels[rows],
            terms=self.terms[rows],
        )

    def with_column(self, name: str, donors: Columns) -> Columns:
        """Return the rows with one source column's features taken from as many other rows."""
        numeric = _of(self.numeric_features, name)
        vectors = _of(self.vector_features, name)
        return replace(
            self,
            numeric=np.where(numeric, donors.numeric, self.numeric) if numeric.any() else self.numeric,
            vectors=np.where(vectors, donors.vectors, self.vectors) if vectors.any() else self.vectors,
            levels=_mixed(self.levels, donors.levels, _of(self.level_features, name)),
            terms=_mixed(self.terms, donors.terms, _of(self.term_features, name)),
        )


class AnyColumns(Protocol):
    """Encoded columns, in memory or not."""

    @property
    def n(self) -> int:
        """Number of rows."""

    @property
    def features(self) -> tuple[Feature, ...]:
        """All features, as in `Columns`."""

    @property
    def numeric_features(self) -> tuple[Feature, ...]:
        """Those of numbers."""

    @property
    def vector_features(self) -> tuple[Feature, ...]:
        """Those of vectors."""

    @property
    def level_features(self) -> tuple[Feature, ...]:
        """Those of levels."""

    @property
    def term_features(self) -> tuple[Feature, ...]:
        """Those of terms."""

    def number(self, j: int) -> NDArray[np.float64]:
        """Return the values of one numeric feature."""

    def blocks(self) -> Iterator[Columns]:
        """Yield all rows in their order, block by block."""

    def take(self, rows: NDArray[np.int64]) -> Columns:
        """Return some rows, in the order given and as often as given."""


def _of(features: tuple[Feature, ...], name: str) -> NDArray[np.bool_]:
    """Return which features stand for a source column."""
    return np.array([feature.column == name for feature in features], dtype=bool)


def _mixed(mine: csr_array, theirs: csr_array, where: NDArray[np.bool_]) -> csr_array:
    """Return a matrix with some columns taken from another."""
    if not where.any():
        return mine
    mixed = csr_array(mine.multiply(~where) + theirs.multiply(where))
    mixed.eliminate_zeros()
    return mixed


@dataclass(frozen=True)
class Group:
    """Level features of which a row has at most one: one-hot levels, a boolean, a missing indicator."""

    codes: NDArray[np.int32]  # (n,) the feature of each row, 0 to ``width - 1``; -1 where the row has none
    width: int


@dataclass(frozen=True)
class ColumnBlocks:
    """What one source column gives to the blocks of ``Columns``."""

    numeric: tuple[NDArray[np.float64], ...] = ()  # each (n,)
    vectors: NDArray[np.float64] | None = None  # (n, dv)
    groups: tuple[Group, ...] = ()
    terms: csr_array | None = None  # (n, dt)


class ColumnEncoder(Protocol):
    """A fitted encoder of one column: a frozen value that can be pickled."""

    @property
    def column(self) -> str:
        """The source column."""

    @property
    def features(self) -> tuple[Feature, ...]:
        """All its features, block by block, in the order of their columns."""

    @property
    def notes(self) -> tuple[str, ...]:
        """Decisions to state to the user, full sentences."""

    def transform(self, series: pl.Series) -> ColumnBlocks:
        """Encode n values; raises EncodeError if they do not fit."""

    def unseen(self, series: pl.Series) -> tuple[str, ...]:
        """Levels that training did not have, sorted."""


def values_of(frame: pl.DataFrame, column: str) -> pl.Series:
    """Return a column without its name: Polars takes a name like "*" or "^a.*$" for a pattern."""
    return frame.get_column(column).alias("")


def counted(n: int, thing: str) -> str:
    """Return "1 row" or "2,000 rows"."""
    return f"{n:,} {thing}{'s' if n != 1 else ''}"


def cast_series(series: pl.Series, dtype: pl.DataType) -> pl.Series:
    """Cast to the type seen in training; raise EncodeError for a value that has none in it."""
    if series.dtype == dtype:
        return series
    plain = series.cast(pl.String) if series.dtype in (pl.Categorical, pl.Enum) else series
    if plain.dtype.is_float():
        plain = plain.fill_nan(None)
    loose = _loose_cast(plain, dtype)
    lost = loose.is_null() & plain.is_not_null()
    if dtype.is_integer() and plain.dtype.is_float():  # 1.7 is not the integer 1
        lost |= (loose.cast(pl.Float64) != plain).fill_null(value=False)
    if lost.any():
        value = str(plain.filter(lost)[0])
        then, now = types_apart(dtype, series.dtype)
        what = f"{then} in training and {now} now: got {value[:60]!r}"
        raise EncodeError(what, f"give it as {then} again, or exclude it")
    return loose


def types_apart(one: pl.DataType, other: pl.DataType) -> tuple[str, str]:
    """Return what people call two types; the types themselves where that is the same."""
    first, second = _kind(one), _kind(other)
    return (first, second) if first != second else (str(one), str(other))


def _kind(dtype: pl.DataType) -> str:
    if dtype.is_numeric():
        return "numbers"
    if dtype.is_temporal():
        return "dates"
    if dtype == pl.Boolean:
        return "true or false"
    return "text" if dtype in (pl.String, pl.Categorical, pl.Enum) else str(dtype)


def _loose_cast(series: pl.Series, dtype: pl.DataType) -> pl.Series:
    # Polars would read a date as its number of days, and a number as a date: no user means that.
    mixed = (series.dtype.is_temporal() and dtype.is_numeric()) or (
        series.dtype.is_numeric() and dtype.is_temporal()
    )
    if not mixed and not series.dtype.is_nested():  # a struct of one number would be cast to it
        try:
            if dtype == pl.Boolean and series.dtype == pl.String:
                words = {"true": True, "false": False}
                return series.str.to_lowercase().replace_strict(words, default=None, return_dtype=pl.Boolean)
            return series.cast(dtype, strict=False)
        except pl.exceptions.PolarsError:
            pass
    return pl.Series(series.name, [None] * len(series), dtype=dtype)


def bytes_of(X: NDArray[np.float64] | csr_array) -> int:
    """Return the bytes of a matrix in memory."""
    parts = (X.data, X.indices, X.indptr) if isinstance(X, csr_array) else (X,)
    return sum(int(part.nbytes) for part in parts)


def missing_feature(column: str, *, has_missing: bool) -> tuple[Feature, ...]:
    """Return the feature of a missing indicator, if the column has one."""
    return (Feature(f"{column} {MISSING}", column, MISSING, "missing"),) if has_missing else ()


def indicator(where: NDArray[np.bool_]) -> Group:
    """Return a group of one feature, which is 1 where the condition holds."""
    return Group(np.where(where, 0, -1).astype(np.int32), 1)


def one_hot(groups: list[Group], n: int) -> csr_array:
    """Assemble groups side by side as one sparse 0/1 matrix, in O(n × groups), never n × levels."""
    widths = [group.width for group in groups]
    if not groups:
        return csr_array((n, 0), dtype=np.float64)
    offsets = np.concatenate([[0], np.cumsum(widths)[:-1]])
    codes = np.empty((n, len(groups)), dtype=np.int32)
    for j, group in enumerate(groups):
        codes[:, j] = np.where(group.codes >= 0, group.codes + np.int32(offsets[j]), -1)
    present = codes >= 0  # (n, groups)
    indptr = np.concatenate([[0], np.cumsum(present.sum(axis=1))])
    indices = codes[present]
    return csr_array((np.ones(len(indices)), indices, indptr.astype(np.int32)), shape=(n, sum(widths)))
