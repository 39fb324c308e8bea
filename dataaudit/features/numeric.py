"""Numbers, two-valued columns, and components of dates.

Missing values get the median of training, and a 0/1 indicator if training had any. Infinities, and magnitudes
beyond ``HUGE`` (whose squares soon overflow), count as missing: no measurement is that large, and one such
row would otherwise set the scale of the whole column.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from dataaudit.features.columns import (
    MISSING,
    ColumnBlocks,
    Feature,
    FeatureKind,
    cast_series,
    counted,
    indicator,
    missing_feature,
)

HUGE = 1e100
ISO_DATE = r"^\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}(:\d{2}(\.\d+)?)?Z?)?$"
_MS_PER_DAY = 86_400_000.0
_MS_PER_HOUR = 3_600_000.0


@dataclass(frozen=True)
class _Component:
    """One number per row that is kept, with the median that stands for missing values."""

    name: str | None  # None: the column itself
    median: float


@dataclass(frozen=True)
class NumericEncoder:
    """A column of numbers, in the user's units."""

    column: str
    dtype: pl.DataType
    components: tuple[_Component, ...]  # none if all values present were equal
    has_missing: bool
    notes: tuple[str, ...] = ()

    @property
    def features(self) -> tuple[Feature, ...]:
        """The number, then the missing indicator."""
        return _features(self.column, self.components, "numeric", has_missing=self.has_missing)

    def transform(self, series: pl.Series) -> ColumnBlocks:
        """Encode n values; raises EncodeError where training had numbers and these are not."""
        values, _ = to_floats(series, lenient=self.dtype == pl.String)
        return _impute({None: values}, self.components, np.isnan(values), has_missing=self.has_missing)

    def unseen(self, series: pl.Series) -> tuple[str, ...]:
        """Numbers have no levels."""
        return ()


@dataclass(frozen=True)
class DatetimeEncoder:
    """A date, a time or a duration as its components; those that do not vary in training are left out."""

    column: str
    dtype: pl.DataType
    components: tuple[_Component, ...]
    has_missing: bool
    notes: tuple[str, ...] = ()

    @property
    def features(self) -> tuple[Feature, ...]:
        """Components, then the missing indicator."""
        return _features(self.column, self.components, "datetime", has_missing=self.has_missing)

    def transform(self, series: pl.Series) -> ColumnBlocks:
        """Encode n values; raises EncodeError if they cannot be read as the type of training."""
        values = datetime_components(read_datetime(series, self.dtype))
        missing = np.isnan(next(iter(values.values())))
        return _impute(values, self.components, missing, has_missing=self.has_missing)

    def unseen(self, series: pl.Series) -> tuple[str, ...]:
        """Dates have no levels."""
        return ()


@dataclass(frozen=True)
class BooleanEncoder:
    """True/false, or an integer column with at most two values: 1 for the larger."""

    column: str
    dtype: pl.DataType
    values: tuple[int, ...]  # one or two, ascending
    has_missing: bool
    notes: tuple[str, ...] = ()

    @property
    def features(self) -> tuple[Feature, ...]:
        """The larger value, then the missing indicator."""
        one = self.dtype == pl.Boolean
        high = "true" if one else str(self.values[-1])
        name = self.column if one else f"{self.column}={high}"
        own = (Feature(name, self.column, high, "boolean"),) if len(self.values) > 1 else ()
        return own + missing_feature(self.column, has_missing=self.has_missing)

    def transform(self, series: pl.Series) -> ColumnBlocks:
        """Encode n values; a third value counts as the smaller one and is listed by `unseen`."""
        read = cast_series(series, self.dtype)
        groups = []
        if len(self.values) > 1:
            high = bool(self.values[-1]) if self.dtype == pl.Boolean else self.values[-1]
            groups.append(indicator((read == high).fill_null(value=False).to_numpy()))
        if self.has_missing:
            groups.append(indicator(read.is_null().to_numpy()))
        return ColumnBlocks(groups=tuple(groups))

    def unseen(self, series: pl.Series) -> tuple[str, ...]:
        """Values that training did not have."""
        read = cast_series(series, self.dtype)
        values = read.drop_nulls().unique().sort().to_list()
        found = [value for value in values if int(value) not in self.values]
        missing = (MISSING,) if read.null_count() and not self.has_missing else ()
        return tuple(str(value).lower() for value in found) + missing


def fit_numeric(column: str, series: pl.Series) -> NumericEncoder:
    """Learn the median and whether values are missing."""
    values, infinite = to_floats(series, lenient=series.dtype == pl.String)
    components = _varying({None: values})
    notes = []
    if infinite:
        notes.append(
            f"Column {column!r}: {counted(infinite, 'value')} infinite or beyond {HUGE:.0e} in size, "
            "taken as missing."
        )
    if series.dtype == pl.String:
        words = series.filter(pl.Series(np.isnan(values))).drop_nulls()
        if len(words):
            shown = ", ".join(repr(word) for word in words.unique().sort().head(4).to_list())
            rows = counted(len(words), "row")
            notes.append(f"Column {column!r} is read as numbers, taking {shown} ({rows}) as missing.")
    return NumericEncoder(column, series.dtype, components, bool(np.isnan(values).any()), tuple(notes))


def fit_boolean(column: str, series: pl.Series) -> BooleanEncoder:
    """Learn the two values of a boolean or two-valued integer column."""
    values = tuple(int(value) for value in series.drop_nulls().unique().sort().to_list())
    return BooleanEncoder(column, series.dtype, values, series.null_count() > 0)


def fit_datetime(column: str, series: pl.Series) -> DatetimeEncoder:
    """Learn which components of a date, time or duration vary, and their medians."""
    values = datetime_components(read_datetime(series, series.dtype))
    missing = np.isnan(next(iter(values.values())))
    notes: tuple[str, ...] = ()
    lost = int(missing.sum()) - series.null_count()
    if lost:
        notes = (f"Column {column!r} is read as dates, taking {counted(lost, 'other value')} as missing.",)
    return DatetimeEncoder(column, series.dtype, _varying(values), bool(missing.any()), notes)


def to_floats(series: pl.Series, *, lenient: bool) -> tuple[NDArray[np.float64], int]:
    """Return numbers with NaN where missing or beyond ``HUGE``, and how many were beyond it."""  # -> (n,)
    if series.dtype in (pl.Categorical, pl.Enum):
        series = series.cast(pl.String)
    if series.dtype == pl.String:
        series = series.str.strip_chars()
        if lenient:
            series = series.cast(pl.Float64, strict=False)
    read = cast_series(series, pl.Float64())
    values = read.to_numpy(writable=True)  # nulls become NaN
    beyond = np.abs(values) > HUGE  # false for NaN
    values[beyond] = np.nan
    return values, int(beyond.sum())


def read_datetime(series: pl.Series, dtype: pl.DataType) -> pl.Series:
    """Return n dates of the type of training; strings must be ISO dates, others of them become null."""
    if dtype != pl.String:
        if series.dtype == pl.String and dtype.is_temporal() and dtype not in (pl.Duration, pl.Time):
            series = _parse_iso(series)
        zone = getattr(dtype, "time_zone", None)
        if zone and getattr(series.dtype, "time_zone", zone) is None:
            series = series.dt.replace_time_zone(zone, non_existent="null", ambiguous="earliest")
        return cast_series(series, dtype)
    return _parse_iso(series) if series.dtype == pl.String else cast_series(series, pl.Datetime("ms"))


def datetime_components(series: pl.Series) -> dict[str | None, NDArray[np.float64]]:
    """Split into days since 1970 (UTC), month, weekday (1 is Monday) and local hour."""  # -> each (n,)
    dtype = series.dtype
    if dtype == pl.Duration:
        return {"days": _floats(series.dt.total_milliseconds()) / _MS_PER_DAY}
    if dtype == pl.Time:
        return {"hour": _floats(series.to_physical()) / (_MS_PER_HOUR * 1e6)}  # nanoseconds since midnight
    parts: dict[str | None, NDArray[np.float64]] = {
        "days": _floats(series.dt.epoch("ms")) / _MS_PER_DAY,
        "month": _floats(series.dt.month()),
        "weekday": _floats(series.dt.weekday()),
    }
    if dtype != pl.Date:
        parts["hour"] = _floats(series.dt.hour())
    return parts


def _floats(series: pl.Series) -> NDArray[np.float64]:
    return series.cast(pl.Float64).to_numpy()


def _parse_iso(series: pl.Series) -> pl.Series:
    # One fixed format is several times faster than guessing, and the same in training and test.
    text = series.str.strip_chars().str.strip_suffix("Z").str.replace("T", " ", literal=True).str.slice(0, 19)
    text = (text + " 00:00:00").zip_with(text.str.len_chars() == len("2020-01-01"), text)
    text = (text + ":00").zip_with(text.str.len_chars() == len("2020-01-01 00:00"), text)
    return text.str.to_datetime("%Y-%m-%d %H:%M:%S", time_unit="ms", strict=False)


def _varying(values: dict[str | None, NDArray[np.float64]]) -> tuple[_Component, ...]:
    kept = []
    for name, column in values.items():
        present = column[~np.isnan(column)]
        if len(present) and present.min() < present.max():
            kept.append(_Component(name, float(np.median(present))))
    return tuple(kept)


def _impute(
    values: dict[str | None, NDArray[np.float64]],
    components: tuple[_Component, ...],
    missing: NDArray[np.bool_],
    *,
    has_missing: bool,
) -> ColumnBlocks:
    numeric = tuple(np.where(missing, part.median, values[part.name]) for part in components)
    return ColumnBlocks(numeric=numeric, groups=(indicator(missing),) if has_missing else ())


def _features(
    column: str, components: tuple[_Component, ...], kind: FeatureKind, *, has_missing: bool
) -> tuple[Feature, ...]:
    own = tuple(
        Feature(column if part.name is None else f"{column} ({part.name})", column, part.name, kind)
        for part in components
    )
    return own + missing_feature(column, has_missing=has_missing)
