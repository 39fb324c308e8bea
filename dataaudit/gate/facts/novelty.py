"""Facts about values that are new to the rows one knows: unseen levels, and numbers out of range.

The known rows are the data where the other side is test data, and the base where it is new rows of the data.
Some novelty is to be expected of any sample, so each fact bears a *chance*: the probability of as much if
both sides were drawn alike.

Levels: of n known rows, those whose level is met only once are s, so that a further row brings a level unseen
with probability about s/n (Good, Biometrika 40, 1953; at least ½ is taken for s). That k or more of m rows do
has the probability of the tail of a Poisson distribution of mean m·s/n.

Range: that the k greatest of n + m exchangeable values are all among the m has probability
m/(n + m) · (m − 1)/(n + m − 1) · …, k factors, whatever their distribution.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

import polars as pl

from dataaudit.gate.data import Data, Material
from dataaudit.gate.facts.columns import roles
from dataaudit.gate.facts.table import FactTable, Inapplicable, Rows

_LEVELS: Final = "column text, level text, rows whole, share real, row whole, chance real"
_RANGES: Final = (
    "column text, side text, rows whole, value real, bound real, beyond real, row whole, chance real"
)
_SHOWN: Final = 100  # levels of a column that are named one by one
_levels_table = partial(
    FactTable, _LEVELS, scope="column", key=("column", "level"), score="rows", cells={"level"}
)
_ranges_table = partial(
    FactTable,
    _RANGES,
    scope="column",
    key=("column", "side"),
    score="beyond",
    cells={"value", "bound", "beyond"},
)


@dataclass(frozen=True, slots=True)
class _Sides:
    """Known rows, the rows whose values may be new, and how many of these rows are not known."""

    known: Data
    other: Data
    fresh: int

    def columns(self, material: Material) -> Iterator[str]:
        shared = self.known.schema.keys() & self.other.schema.keys()
        features = (name for name in material.features if name in shared)
        yield from (name for name in features if not self.known.schema[name].is_nested())


@_levels_table(place="test", needs={"test"})
def test_levels(material: Material) -> Rows:
    """Levels of test rows that the data have not; chance is of all such rows of the column."""
    return _levels(material, _against_test(material))


@_levels_table(needs={"base"})
def new_levels(material: Material) -> Rows:
    """Levels of new rows that the base has not; chance is of all such rows of the column."""
    return _levels(material, _against_base(material))


@_ranges_table(place="test", needs={"test"})
def test_ranges(material: Material) -> Rows:
    """Columns with test values below or above all of the data; beyond counts in their range."""
    return _ranges(material, _against_test(material))


@_ranges_table(needs={"base"})
def new_ranges(material: Material) -> Rows:
    """Columns with values of new rows below or above all of the base; beyond counts in its range."""
    return _ranges(material, _against_base(material))


def _against_test(material: Material) -> _Sides:
    return _Sides(material.rows, material.test_rows, material.test_rows.n)


def _against_base(material: Material) -> _Sides:
    return _Sides(material.base_rows, material.rows, material.fresh)


def _levels(material: Material, sides: _Sides) -> Rows:
    used = roles(material)
    names = [name for name in sides.columns(material) if used[name].role in ("categorical", "boolean")]
    _require(names, sides, "levels")
    for name in names:
        yield from _unseen_levels(name, sides)


def _require(names: Sequence[str], sides: _Sides, what: str) -> None:
    """Raise `Inapplicable` where there is nothing that could be new."""
    if not names:
        raise Inapplicable(f"There is no column of {what} on both sides.")
    if not sides.fresh:
        raise Inapplicable("No row is new or changed.")


def _unseen_levels(name: str, sides: _Sides) -> Rows:
    known, other = (
        side.lazy.select(level=pl.col(name).cast(pl.String), row=pl.int_range(pl.len(), dtype=pl.Int64))
        .filter(pl.col("level") != "")
        .group_by("level")
        .agg(pl.len().alias("rows"), pl.col("row").min())
        .collect(engine="streaming")
        for side in (sides.known, sides.other)
    )
    unseen = other.join(known, on="level", how="anti").sort("rows", "level", descending=[True, False])
    once = max(known.filter(pl.col("rows") == 1).height, 0.5)
    chance = _tail(int(unseen["rows"].sum()), sides.fresh * once / sides.known.n)
    for level, rows, row in unseen.head(_SHOWN).select("level", "rows", "row").iter_rows():
        yield name, level, rows, rows / sides.other.n, row, chance


def _tail(k: int, mean: float) -> float:
    """Return the probability that a Poisson variable of this mean is k or more."""
    if k > mean + 40 * math.sqrt(mean) + 40:  # nothing is left of it, and no sum is needed to know
        return 0.0
    terms = (math.exp(i * math.log(mean) - mean - math.lgamma(i + 1)) for i in range(k))
    below = sum(terms) if mean > 0 else 1.0
    return min(1.0, max(0.0, 1.0 - below))


def _ranges(material: Material, sides: _Sides) -> Rows:
    used, both = roles(material), (sides.known.schema, sides.other.schema)
    numbers = (n for n in sides.columns(material) if all(schema[n].is_numeric() for schema in both))
    names = [name for name in numbers if used[name].role == "numeric"]
    _require(names, sides, "numbers")
    for name in names:
        yield from _out_of_range(name, sides)


def _out_of_range(name: str, sides: _Sides) -> Rows:
    cell = pl.col(name).cast(pl.Float64)
    cell = pl.when(cell.is_finite()).then(cell)
    low, high = sides.known.lazy.select(cell.min().alias("low"), cell.max().alias("high")).collect().row(0)
    if low is None:
        return
    tests = {
        "below": (cell < low).sum(),
        "above": (cell > high).sum(),
        "low": cell.min(),
        "high": cell.max(),
        "row_low": cell.arg_min(),
        "row_high": cell.arg_max(),
    }
    found = sides.other.lazy.select(**tests).collect().row(0, named=True)
    width = (high - low) or abs(high) or 1.0
    for side, end, bound in (("below", "low", low), ("above", "high", high)):
        if found[side]:
            beyond, row = abs(found[end] - bound) / width, found[f"row_{end}"]
            yield name, side, found[side], found[end], bound, beyond, row, _extreme(found[side], sides)


def _extreme(k: int, sides: _Sides) -> float:
    """Return the probability that the k greatest values are all on the other side."""
    n, m = sides.known.n, max(sides.fresh, k)
    logs = (math.log((m - i) / (n + m - i)) for i in range(min(k, 1_000)))
    return math.exp(sum(logs))
