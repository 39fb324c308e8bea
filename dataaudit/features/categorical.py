"""Categories, one 0/1 feature per level.

Levels are pooled by their number, not by their rows: a column keeps its 100 most frequent levels, however
rare, since a level with four rows can be the culprit. Null (and the empty string) is a level of its own.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from dataaudit.features.columns import MISSING, ColumnBlocks, Feature, Group, cast_series, counted


@dataclass(frozen=True)
class CategoricalEncoder:
    """One-hot levels of one column."""

    column: str
    dtype: pl.DataType  # in training; values are cast to it before they become text, so that 1 and 1.0 agree
    levels: tuple[str, ...]  # levels with a feature of their own, sorted
    pooled: tuple[str, ...]  # rarer levels, which share one feature, sorted
    has_missing: bool  # whether training had missing values, which then are a level
    notes: tuple[str, ...] = ()  # decisions to state to the user

    @property
    def features(self) -> tuple[Feature, ...]:
        """Levels in order, then missing, then the pool."""
        names = list(self.levels)
        if self.has_missing:
            names.append(MISSING)
        if self.pooled:
            names.append(f"(other: {counted(len(self.pooled), 'level')})")
        return tuple(Feature(f"{self.column}={name}", self.column, name, "level") for name in names)

    def transform(self, series: pl.Series) -> ColumnBlocks:
        """Encode n values; an unseen level goes to the pool if there is one, else to no feature at all."""
        text = _as_text(series, self.dtype)
        width = len(self.levels) + self.has_missing + bool(self.pooled)
        elsewhere = width - 1 if self.pooled else -1
        # The enum hashes every value once in compiled code; values beyond its categories become null.
        known = text.cast(pl.Enum(self.levels), strict=False).to_physical().cast(pl.Int32)
        codes = known.fill_null(elsewhere).to_numpy(writable=True)
        if self.has_missing:
            unknown = known.is_null().arg_true()
            codes[unknown.filter(_with_nulls(text.gather(unknown)).is_null())] = len(self.levels)
        return ColumnBlocks(groups=(Group(codes.astype(np.int32, copy=False), width),))

    def unseen(self, series: pl.Series) -> tuple[str, ...]:
        """Levels that training did not have, sorted; "(missing)" last."""
        text = to_levels(series, self.dtype)
        seen = {*self.levels, *self.pooled}
        found = tuple(level for level in text.drop_nulls().unique().sort().to_list() if level not in seen)
        return found + ((MISSING,) if text.null_count() and not self.has_missing else ())


def fit_categorical(column: str, series: pl.Series, *, max_levels: int) -> CategoricalEncoder:
    """Learn the levels of a column."""
    text = to_levels(series, series.dtype)
    present = text.drop_nulls().alias("level")
    # Not value_counts: its order among ties is not fixed.
    counts = present.to_frame().group_by("level").len().sort(["len", "level"], descending=[True, False])
    kept = tuple(sorted(counts["level"].head(max_levels).to_list()))
    rest = counts.slice(max_levels)
    pooled = tuple(sorted(rest["level"].to_list()))
    notes: tuple[str, ...] = ()
    if pooled:
        rows = int(rest["len"].sum())
        most = f"the {max_levels:,} most frequent have a feature each"
        share = f"the other {len(pooled):,} ({counted(rows, 'row')}) share one"
        notes = (f"Column {column!r} has {len(counts):,} levels: {most}, {share}.",)
    return CategoricalEncoder(column, series.dtype, kept, pooled, text.null_count() > 0, notes)


def to_levels(series: pl.Series, dtype: pl.DataType) -> pl.Series:
    """Return values as text, null where missing: null, empty, or ``(missing)`` itself."""
    return _with_nulls(_as_text(series, dtype))


def _as_text(series: pl.Series, dtype: pl.DataType) -> pl.Series:
    # New data may have other categories than the Enum of training; they are unseen levels, not errors.
    plain = pl.String() if dtype in (pl.Categorical, pl.Enum) else dtype
    read = cast_series(series, plain)
    if read.dtype.is_float():
        read = read.fill_nan(None)
    return read.dt.to_string() if read.dtype == pl.Duration else read.cast(pl.String)


def _with_nulls(text: pl.Series) -> pl.Series:
    return text.set(text.is_in(["", MISSING]).fill_null(value=False), None)
