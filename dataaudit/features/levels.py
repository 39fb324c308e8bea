"""Any column as a few levels, to count by: months or quarters, quantiles, values; no feature is made of it.

Dates, ISO strings too, are cut by month; over two years by quarter, over six by year; within one month by
day. Of other numbers than whole ones with few values, which stand for themselves, tenths are cut at rounded
quantiles. Strings, categories and booleans stand for themselves. What is missing is a level.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from dataaudit.errors import EncodeError, SettingError
from dataaudit.features.columns import MISSING, counted, values_of
from dataaudit.features.numeric import ISO_DATE, read_datetime
from dataaudit.features.roles import named_as_code
from dataaudit.options import ColumnOptions, TrainingOptions

Kind = Literal["values", "numbers", "dates"]

FEW: Final = 50  # different whole numbers that stand for themselves
PARTS: Final = 10  # of numbers
DATES: Final = 24  # levels of a date at most, but for years
_DAY: Final = 86_400  # seconds
_WHOLE: Final = 2.0**53  # below which whole numbers are exact
_FEWEST: Final = 2  # levels that can be compared, and rows of one on average
_EXAMPLES: Final = "name a column with several rows a value, such as an annotator, a source or a date"


@dataclass(frozen=True)
class Cut:
    """The levels of a column of n rows."""

    column: str
    kind: Kind  # values have no order
    names: tuple[str, ...]  # in their order, what is missing last
    code: NDArray[np.int64]  # (n,) number of each row's level

    @property
    def texts(self) -> pl.Series:
        """The level of each row, (n,)."""
        return pl.Series("level", self.names, pl.String).gather(self.code)


def cut_levels(frame: pl.DataFrame, column: str, *, categorical: Collection[str] = ()) -> Cut:
    """Cut a column into levels; refuse what has one, or nearly one for each row."""
    series = values_of(frame, column)
    if series.dtype.is_nested() or series.dtype in (pl.Binary, pl.Object):
        what = f"column {column!r} is {series.dtype}: nothing can be counted by it"
        raise EncodeError(what, "name a column of text, numbers or dates")
    kind, levels, names = _levels(series, named=column in categorical or named_as_code(column))
    if levels.null_count():
        names = [*(name for name in names if name != MISSING), MISSING]
    if len(names) < _FEWEST:
        raise SettingError(f"column {column!r} has one value in all rows: nothing to compare", _EXAMPLES)
    if _FEWEST * len(names) > len(series):
        found = f"{counted(len(names), 'value')} in {counted(len(series), 'row')}"
        raise SettingError(f"column {column!r} nearly names the rows: {found}", _EXAMPLES)
    numbers = pl.DataFrame({"level": names, "code": np.arange(len(names))})
    rows = levels.fill_null(MISSING).alias("level").to_frame()
    code = rows.join(numbers, on="level", how="left", maintain_order="left")["code"]
    return Cut(column, kind, tuple(names), code.to_numpy())


def require_levels(frame: pl.DataFrame, by: Sequence[str], settings: TrainingOptions) -> None:
    """Refuse columns that nothing can be counted by, before any model is trained."""
    for column in by:
        if column == settings.label:
            what = f"column {column!r} is the label: wrong labels are counted by class anyway"
            raise SettingError(what, _EXAMPLES)
        if column == settings.id:
            raise SettingError(f"column {column!r} names the rows: each is a level of its own", _EXAMPLES)
        cut_levels(frame, column, categorical=settings.categorical)


def only_counted(by: Sequence[str], columns: ColumnOptions) -> tuple[str, ...]:
    """Return those of the columns to count by that were left out as features."""
    named = {*columns.features, *columns.text, *columns.categorical}
    kept = named if columns.features else {*by} - {*columns.exclude}
    return tuple(column for column in by if column not in kept)


def _levels(series: pl.Series, *, named: bool) -> tuple[Kind, pl.Series, list[str]]:
    """Return what a column holds, the level of each row, null where it is missing, and all in their order."""
    dtype = series.dtype
    if dtype in (pl.Categorical, pl.Enum, pl.Boolean):
        return _values(series.cast(pl.String))
    if dtype == pl.Time:
        return _values(series.dt.to_string("%H:00"))
    if dtype.is_temporal() and dtype != pl.Duration:
        return "dates", *_sorted(_periods(series))
    if dtype == pl.String:
        texts = series.set((series == "").fill_null(value=False), None)
        present = texts.drop_nulls()
        if len(present) and present.str.contains(ISO_DATE).all():
            return "dates", *_sorted(_periods(read_datetime(texts, pl.String())))
        series = texts.str.strip_chars()
        if named or present.n_unique() <= FEW or _has_words(series):
            return _values(texts)
    numbers = (series.dt.total_seconds() / _DAY if dtype == pl.Duration else series).cast(pl.Float64)
    numbers = numbers.set(~numbers.is_finite().fill_null(value=True), None)
    values = numbers.drop_nulls().unique().sort()
    if ((values % 1 == 0) & (values.abs() < _WHOLE)).all() and (named or len(values) <= FEW):
        whole = values.cast(pl.Int64).cast(pl.String).to_list()
        return "values", numbers.cast(pl.Int64).cast(pl.String), whole
    return "numbers", *_binned(numbers)


def _has_words(texts: pl.Series) -> bool:
    return texts.cast(pl.Float64, strict=False).null_count() > texts.null_count()


def _values(texts: pl.Series) -> tuple[Kind, pl.Series, list[str]]:
    texts = texts.set((texts == "").fill_null(value=False), None)
    return "values", *_sorted(texts)


def _sorted(texts: pl.Series) -> tuple[pl.Series, list[str]]:
    return texts, texts.drop_nulls().unique().sort().to_list()


def _periods(series: pl.Series) -> pl.Series:
    """Return months, quarters, years or days, the first that are neither one nor too many."""
    month, year = series.dt.to_string("%Y-%m"), series.dt.to_string("%Y")
    if month.drop_nulls().n_unique() < _FEWEST:
        return series.dt.to_string("%Y-%m-%d")
    if month.drop_nulls().n_unique() <= DATES:
        return month
    quarter = year + "-Q" + series.dt.quarter().cast(pl.String)
    return quarter if quarter.drop_nulls().n_unique() <= DATES else year


def _binned(numbers: pl.Series) -> tuple[pl.Series, list[str]]:
    """Return the parts between quantiles, which are rounded to be read."""
    present = numbers.drop_nulls().to_numpy()
    inner = np.quantile(present, np.linspace(0, 1, PARTS + 1)[1:-1])
    edges = np.unique([float(f"{edge:.4g}") for edge in inner])
    edges = edges[(edges > present.min()) & (edges <= present.max())]
    shown = [f"{edge:.4g}" for edge in edges]
    between = [f"{low} to {high}" for low, high in pairwise(shown)]
    names = [f"below {shown[0]}", *between, f"{shown[-1]} or more"] if shown else ["all"]
    at = np.searchsorted(edges, numbers.fill_null(float("nan")).to_numpy(), side="right")
    texts = pl.Series(names, dtype=pl.String).gather(np.minimum(at, len(names) - 1))
    return texts.set(numbers.is_null(), None), names
