"""How columns are distributed in training, in test, and in test once they are fixed: what a page draws."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np
import polars as pl
from numpy.typing import NDArray

from dataaudit.audits.mismatch.world import World
from dataaudit.audits.mismatch.worth import Judged
from dataaudit.audits.shift.covariates import numbers
from dataaudit.features.categorical import to_levels
from dataaudit.features.columns import MISSING, values_of
from dataaudit.findings.schemas import PROFILES

# Findings whose columns are described; bins of numbers; levels that have names of their own.
DESCRIBED, BINS, LEVELS = 5, 20, 6
OTHERS = "(others)"
# Share of a value from which on it has a bin of its own, how much more frequent it is than elsewhere, and how
# many there may be.
PEAK, TIMES, APART = 0.05, 5.0, 2
# Ratio of the medians of positive numbers from which on bins widen with the numbers.
WIDE = 4.0

Reals = NDArray[np.float64]
Sides = dict[str, pl.Series]  # train, test, fixed


def profile_table(world: World, found: Sequence[Judged], *, target: str) -> pl.DataFrame:
    """Return the table `PROFILES` of the columns of the first findings."""
    rows: list[dict[str, object]] = []
    for number, one in enumerate(found[:DESCRIBED], start=1):
        for column, position, level, shares in _profiles(world, one, target):
            where = {"finding": number, "column": column, "position": position, "level": level}
            rows += [where | {"part": part, "share": share} for part, share in shares.items()]
    return pl.DataFrame(rows, schema=PROFILES)


def _profiles(world: World, one: Judged, target: str) -> Iterator[tuple[str, int, str, dict[str, float]]]:
    """Yield column, place, bin or level, and its shares."""
    if one.suspect.kind == "rates":
        names = pl.Series(world.trained.classes)
        sides = {"train": names[world.objective.rows.y.numpy()], "test": names[world.y]}
        yield from _levels(target, sides)
    if one.suspect.kind not in ("column", "exchange"):
        return
    fixed = one.best.fix.apply(world, exact=False).new
    frames = {"train": world.known, "test": world.new, "fixed": fixed}
    roles = {role.column: role.role for role in world.trained.roles}
    for column in one.suspect.columns:
        dtype = world.known.schema[column]
        sides = {part: values_of(frame, column) for part, frame in frames.items()}
        if sides["test"].equals(sides["fixed"]) or sides["fixed"].null_count() == len(fixed):
            del sides["fixed"]  # left out, or put right in another way
        if roles[column] in ("numeric", "datetime"):
            yield from _numbers(column, {part: numbers(side, dtype) for part, side in sides.items()}, dtype)
        elif roles[column] in ("categorical", "boolean"):
            yield from _levels(column, {part: to_levels(side, dtype) for part, side in sides.items()})


def _levels(column: str, sides: Sides) -> Iterator[tuple[str, int, str, dict[str, float]]]:
    """Yield the levels that are most frequent anywhere, and the others together."""
    counted = {part: dict(side.fill_null(MISSING).value_counts().iter_rows()) for part, side in sides.items()}
    shares = {
        part: {level: n / len(sides[part]) for level, n in some.items()} for part, some in counted.items()
    }
    most = {
        level: max(of.get(level, 0.0) for of in shares.values()) for of in shares.values() for level in of
    }
    order = sorted(most, key=lambda level: (-most[level], level))
    named = order if len(order) <= LEVELS + 1 else order[:LEVELS]
    for position, level in enumerate(named):
        yield column, position, level, {part: of.get(level, 0.0) for part, of in shares.items()}
    if len(named) < len(order):
        rest = {part: 1.0 - sum(of.get(level, 0.0) for level in named) for part, of in shares.items()}
        yield column, len(named), OTHERS, rest


def _numbers(
    column: str, sides: dict[str, Reals], dtype: pl.DataType
) -> Iterator[tuple[str, int, str, dict[str, float]]]:
    """Yield the bins of numbers; missing cells, and a value that one side has far more often, come first."""
    apart = _peaks(sides)
    lacks = any(np.isnan(side).any() for side in sides.values())
    alone = {
        part: [*([np.isnan(side)] if lacks else ()), *(side == value for value in apart)]
        for part, side in sides.items()
    }
    texts = [*([MISSING] if lacks else ()), *(_text(value, dtype) for value in apart)]
    for position, level in enumerate(texts):
        yield column, position, level, {part: float(mask[position].mean()) for part, mask in alone.items()}
    rest = {part: side[~np.any([np.isnan(side), *alone[part]], axis=0)] for part, side in sides.items()}
    pooled = np.concatenate(list(rest.values()))
    if not len(pooled):
        return
    edges = _edges(pooled, rest)
    totals = {part: max(len(side), 1) for part, side in sides.items()}
    counts = {part: np.histogram(np.clip(v, edges[0], edges[-1]), edges)[0] for part, v in rest.items()}
    for at, (low, high) in enumerate(pairwise(edges)):
        shares = {part: float(count[at]) / totals[part] for part, count in counts.items()}
        yield column, len(texts) + at, f"{_text(low, dtype)} to {_text(high, dtype)}", shares


def _peaks(sides: dict[str, Reals]) -> list[float]:
    """Return values that one of training and test has far more often than the other, if they are few."""
    found: set[float] = set()
    for one, other in (("test", "train"), ("train", "test")):
        values, counts = np.unique(sides[one][~np.isnan(sides[one])], return_counts=True)
        often = values[counts >= PEAK * len(sides[one])].tolist()
        found |= {v for v in often if (sides[one] == v).mean() >= TIMES * (sides[other] == v).mean()}
    return sorted(found) if len(found) <= APART else []  # else bins show them


def _edges(pooled: Reals, sides: dict[str, Reals]) -> Reals:
    """Return the ends of bins of equal width, or of equal ratio where numbers differ by orders."""
    low, high = np.quantile(pooled, (0.005, 0.995))
    low, high = (low, high) if high > low else (low - 0.5, high + 0.5)
    middles = [float(np.median(side)) for side in sides.values() if len(side)]
    if low > 0.0 and max(middles) > WIDE * min(middles):
        return np.geomspace(low, high, BINS + 1)
    return np.linspace(low, high, BINS + 1)


def _text(value: float, dtype: pl.DataType) -> str:
    """Return a number, or a day, as text."""
    if dtype.is_temporal() and dtype not in (pl.Time, pl.Duration):
        return str(np.datetime64(round(value), "D"))
    return f"{value:.4g}".replace("-", "−")
