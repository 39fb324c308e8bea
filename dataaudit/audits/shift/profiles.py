"""One column in training, in test, and in test once it is fixed, as shares of levels or bins, to be drawn."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import pairwise

import numpy as np
import polars as pl

from dataaudit.audits.shift.comparison import Reals
from dataaudit.features.columns import MISSING

# Bins of numbers; levels that have names of their own.
BINS, LEVELS = 20, 6
OTHERS = "(others)"
# Share of a value from which on it has a bin of its own, how much more frequent it is than elsewhere, and how
# many there may be.
PEAK, TIMES, APART = 0.05, 5.0, 2
# Ratio of the medians of positive numbers from which on bins widen with the numbers.
WIDE = 4.0

Shares = dict[str, float]  # of the rows of each part: train, test, fixed


def level_profile(sides: Mapping[str, pl.Series]) -> Iterator[tuple[str, Shares]]:
    """Yield the levels that are most frequent anywhere, and the others together."""
    parts = [side.fill_null(MISSING).alias("level").value_counts(normalize=True) for side in sides.values()]
    shares = dict(zip(sides, (dict(part.iter_rows()) for part in parts), strict=True))
    most = pl.concat(parts).group_by("level").max().sort("proportion", "level", descending=[True, False])
    order = most["level"].to_list()
    named = order if len(order) <= LEVELS + 1 else order[:LEVELS]
    yield from ((level, {part: of.get(level, 0.0) for part, of in shares.items()}) for level in named)
    if len(named) < len(order):
        rest = {part: sum(of.get(level, 0.0) for level in order[LEVELS:]) for part, of in shares.items()}
        yield OTHERS, rest


def number_profile(sides: Mapping[str, Reals], dtype: pl.DataType) -> Iterator[tuple[str, Shares]]:
    """Yield missing cells, values that are frequent on one side alone, and bins of the other numbers."""
    apart = _peaks(sides["train"], sides["test"])
    missing = {part: np.isnan(side) for part, side in sides.items()}
    if any(mask.any() for mask in missing.values()):
        yield MISSING, {part: float(mask.mean()) for part, mask in missing.items()}
    for value in apart:
        yield _text(value, dtype), {part: float((side == value).mean()) for part, side in sides.items()}
    rest = {part: side[~missing[part] & ~np.isin(side, apart)] for part, side in sides.items()}
    edges = _edges(list(rest.values()))
    if not len(edges):
        return
    clipped = {part: np.clip(side, edges[0], edges[-1]) for part, side in rest.items()}
    counts = {part: np.histogram(side, edges)[0] / len(sides[part]) for part, side in clipped.items()}
    for at, (low, high) in enumerate(pairwise(edges.tolist())):
        yield (
            f"{_text(low, dtype)} to {_text(high, dtype)}",
            {part: float(count[at]) for part, count in counts.items()},
        )


def _peaks(train: Reals, test: Reals) -> list[float]:
    """Return values that one side has far more often than the other, if they are few."""
    found: set[float] = set()
    for one, other in ((test, train), (train, test)):
        values, counts = np.unique(one[~np.isnan(one)], return_counts=True)
        often = values[counts >= PEAK * len(one)].tolist()
        found |= {value for value in often if (one == value).mean() >= TIMES * (other == value).mean()}
    return sorted(found) if len(found) <= APART else []  # else bins show them


def _edges(sides: list[Reals]) -> Reals:
    """Return the ends of bins of equal width, or of equal ratio where numbers differ by orders."""
    sides = [side for side in sides if len(side)]
    if not sides:
        return np.empty(0)  # nothing is left
    low, high = np.quantile(np.concatenate(sides), (0.005, 0.995))
    low, high = (low, high) if high > low else (low - 0.5, high + 0.5)
    middles = [float(np.median(side)) for side in sides]
    wide = low > 0.0 and max(middles) > WIDE * min(middles)
    return np.geomspace(low, high, BINS + 1) if wide else np.linspace(low, high, BINS + 1)


def _text(value: float, dtype: pl.DataType) -> str:
    """Return a number, or a day, as text."""
    if dtype.is_temporal() and dtype not in (pl.Time, pl.Duration):
        return str(np.datetime64(round(value), "D"))
    return f"{value:.4g}".replace("-", "−")
