"""Columns cut into few levels, the same in train and test: what shares and rates are compared over."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import polars as pl
from numpy.typing import NDArray

from dataaudit.encode.categorical import to_levels
from dataaudit.encode.feature import MISSING
from dataaudit.encode.numeric import read_datetime, to_floats

QUANTILES = 10
# Levels of a categorical column that stay apart; the others form one stratum.
LEVELS = 50
OTHER = "(other)"


@dataclass(frozen=True)
class Strata:
    """One column in both samples, cut the same way.

    Attributes
    ----------
    train, test : ndarray (n,), (m,) int64
        Stratum of each row.
    names : tuple of str
        Names of the strata.
    """

    train: NDArray[np.int64]
    test: NDArray[np.int64]
    names: tuple[str, ...]

    @property
    def counts(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Rows of each stratum in train and in test."""  # -> (L,), (L,)
        size = len(self.names)
        return np.bincount(self.train, minlength=size), np.bincount(self.test, minlength=size)


def numbers(series: pl.Series, dtype: pl.DataType) -> NDArray[np.float64]:
    """Return numbers, or dates as days, with NaN where missing.

    Parameters
    ----------
    series : pl.Series
        n values.
    dtype : pl.DataType
        Their type in training.

    Returns
    -------
    ndarray (n,)
    """
    if series.dtype.is_temporal() or dtype.is_temporal() or _holds_dates(series):
        moments = read_datetime(series, dtype)
        if moments.dtype == pl.Time:
            return moments.to_physical().cast(pl.Float64).to_numpy() / 8.64e13
        if moments.dtype == pl.Duration:
            return moments.dt.total_milliseconds().cast(pl.Float64).to_numpy() / 8.64e7
        return moments.dt.epoch("ms").cast(pl.Float64).to_numpy() / 8.64e7
    return to_floats(series, lenient=True)[0]


def _holds_dates(series: pl.Series) -> bool:
    """Tell whether strings are ISO dates, by the first that is there."""
    first = series.drop_nulls().head(1)
    return (
        series.dtype == pl.String and bool(first.str.contains(r"^\d{4}-\d{2}-\d{2}").all()) and len(first) > 0
    )


def cut_numbers(train: NDArray[np.float64], test: NDArray[np.float64]) -> Strata:
    """Cut numbers at the deciles of both samples together; missing values are a stratum of their own.

    Parameters
    ----------
    train, test : ndarray (n,), (m,)
        Values, NaN where missing.

    Returns
    -------
    Strata
    """
    pooled = np.concatenate([train, test])
    present = pooled[~np.isnan(pooled)]
    inner = np.arange(1, QUANTILES) / QUANTILES
    edges = np.unique(np.quantile(present, inner)) if len(present) else np.empty(0)
    between = [f"{low:.6g} to {high:.6g}" for low, high in pairwise(edges)]
    names = [f"below {edges[0]:.6g}", *between, f"{edges[-1]:.6g} and above"] if len(edges) else ["present"]

    def codes(values: NDArray[np.float64]) -> NDArray[np.int64]:
        cut = np.searchsorted(edges, values, side="right")
        return np.where(np.isnan(values), len(names), cut).astype(np.int64)

    return Strata(codes(train), codes(test), (*names, MISSING))


def cut_levels(train: pl.Series, test: pl.Series, *, most: int | None = LEVELS) -> Strata:
    """Give every level a stratum, missing values too.

    Parameters
    ----------
    train, test : pl.Series
        n and m values.
    most : int or None
        Levels that stay apart, the most frequent in both samples together; None for all.

    Returns
    -------
    Strata
    """
    texts = to_levels(train, train.dtype), to_levels(test, train.dtype)
    both = pl.concat([text.alias("level") for text in texts])
    ordered = both.fill_null(MISSING).to_frame().group_by("level").len()
    ordered = ordered.sort(["len", "level"], descending=[True, False])
    kept = ordered["level"].head(most or ordered.height)
    names = tuple(kept.to_list())
    coded = both.fill_null(MISSING).cast(pl.Enum(names), strict=False).to_physical().cast(pl.Int64)
    codes = coded.fill_null(len(names)).to_numpy()
    return Strata(codes[: len(train)], codes[len(train) :], (*names, OTHER))
