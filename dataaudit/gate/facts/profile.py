"""What one pass over all cells tells: per column its missing cells and its range, per row a hash.

The hash of a row is a 64-bit number over what it holds besides label, id and weight: two rows are copies if
it is equal. Two of 5 million different rows share one with probability 7·10⁻⁷. Memory: 8 bytes a row. Cost:
O(cells).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import polars as pl

from dataaudit.encode.feature import EncoderSettings, Role
from dataaudit.encode.roles import infer_roles
from dataaudit.gate.data import Data
from dataaudit.gate.material import Material
from dataaudit.gate.settings import DatasetSettings
from dataaudit.likeness import hashable

SAMPLE: Final = 10_000  # rows by which a column's role is told


@dataclass(frozen=True, slots=True)
class Column:
    """One column's sums over all rows.

    Attributes
    ----------
    missing, infinite : int
        Cells without a value: null, NaN, the empty text; cells that are ±∞.
    low, high : object
        Least and greatest value; None where there is none, or no order.
    ordered : bool
        Whether the type has an order, so that `low` and `high` say something.
    """

    missing: int = 0
    infinite: int = 0
    low: Any = None
    high: Any = None
    ordered: bool = True

    def plus(self, other: Column) -> Column:
        """Return the sums over both."""
        lows = [value for value in (self.low, other.low) if value is not None]
        highs = [value for value in (self.high, other.high) if value is not None]
        return Column(
            self.missing + other.missing,
            self.infinite + other.infinite,
            min(lows, default=None),
            max(highs, default=None),
            self.ordered and other.ordered,
        )


@dataclass(frozen=True, slots=True)
class Profile:
    """All columns by name, and the rows' hashes: UInt64, (n,)."""

    columns: Mapping[str, Column]
    hashes: pl.Series


def profile(material: Material) -> Profile:
    """Return what a pass over the data tells, made once."""
    return material.once("profile", lambda: _profile(material.rows, content(material)))


def roles(material: Material) -> Mapping[str, Role]:
    """Return what each feature column would be used as, told by the first rows."""
    return material.once("roles", lambda: roles_of(material.rows, material.settings))


def roles_of(data: Data, settings: DatasetSettings) -> Mapping[str, Role]:
    """Return what each column but the label would be used as, told by the first rows."""
    head = data.lazy.head(SAMPLE).collect()
    known = set(head.columns)
    said = EncoderSettings(
        text=tuple(name for name in settings.text if name in known),
        categorical=tuple(name for name in settings.categorical if name in known),
    )
    return {role.column: role for role in infer_roles(head, settings.label, settings=said)}


def is_identifier(role: Role) -> bool:
    """Tell whether a column names its rows rather than says something of them."""
    named = role.reason.startswith(("an identifier", "it counts the rows"))
    return role.role == "left out" and named


def content(material: Material) -> list[str]:
    """Return the columns in which copies of a row are equal: not label, id, weight, nor what names rows."""
    settings = material.settings
    told = roles(material)
    return [
        name
        for name in material.rows.schema
        if name not in (settings.label, settings.id, settings.weight)
        and not (name in told and is_identifier(told[name]) and name not in settings.features)
    ]


def _profile(data: Data, keys: Sequence[str]) -> Profile:
    schema = data.schema
    sums = {name: Column(ordered=_ordered(dtype)) for name, dtype in schema.items()}
    tests = [test for name, dtype in schema.items() for test in _tests(name, dtype)]
    cells = [hashable(name, schema[name]) for name in keys]
    hashes = []
    for batch in data.batches(list(schema)):
        found = batch.select(tests).row(0, named=True)
        for name, old in sums.items():
            parts: dict[str, Any] = {p: found[f"{name}\0{p}"] for p in _PARTS if f"{name}\0{p}" in found}
            sums[name] = old.plus(Column(**parts))
        if cells:
            hashes.append(batch.select(cells).hash_rows())
    none = pl.Series(dtype=pl.UInt64)
    return Profile(sums, pl.concat(hashes) if hashes else none)


_PARTS: Final = ("missing", "infinite", "low", "high")


def _tests(name: str, dtype: pl.DataType) -> list[pl.Expr]:
    cell = pl.col(name)
    tests = {"missing": cell.null_count()}
    if dtype.is_float():
        tests["missing"] += cell.is_nan().sum()
        tests["infinite"] = cell.is_infinite().sum()
        cell = cell.fill_nan(None)
    if dtype == pl.String:
        tests["missing"] += (cell.str.len_bytes() == 0).sum()
    if _ordered(dtype):
        tests |= {"low": cell.min(), "high": cell.max()}
    return [test.alias(f"{name}\0{part}") for part, test in tests.items()]


def _ordered(dtype: pl.DataType) -> bool:
    return dtype.is_numeric() or dtype.is_temporal() or dtype in (pl.String, pl.Boolean)
