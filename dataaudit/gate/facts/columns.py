"""Facts about the table as a whole and about each of its columns, from one pass.

What one pass over all cells tells: per column its missing cells and its range, per row a hash.

The hash of a row is a 64-bit number over what it holds besides label, id and weight: two rows are copies if
it is equal. Two of 5 million different rows share one with probability 7·10⁻⁷. Memory: 8 bytes a row. Cost:
O(cells).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import polars as pl

from dataaudit.cells import hashable
from dataaudit.features.columns import Role
from dataaudit.features.roles import infer_roles
from dataaudit.findings.tables import schema
from dataaudit.gate.data import Data, Material
from dataaudit.gate.facts import FactTable
from dataaudit.gate.settings import DatasetSettings
from dataaudit.options import EncoderOptions

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
    said = EncoderOptions(
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


_HERE: Final = __name__
TABLES: Final = (
    FactTable(
        name="reading",
        maker=f"{_HERE}:reading",
        schema=schema("problem text"),
        scope="dataset",
        key=("problem",),
        doc="What kept the data from being read; no row where they were.",
    ),
    FactTable(
        name="dataset",
        maker=f"{_HERE}:dataset",
        schema=schema("rows whole, columns whole"),
        scope="dataset",
        key=(),
        doc="The size of the table.",
    ),
    FactTable(
        name="growth",
        maker=f"{_HERE}:growth",
        schema=schema("rows whole, base_rows whole, lost_share real, grown real"),
        scope="dataset",
        key=(),
        needs=frozenset({"base"}),
        doc="Rows now and in the base: the share that is gone, and how many times as many there are.",
    ),
    FactTable(
        name="columns",
        maker=f"{_HERE}:columns",
        schema=schema(
            "column text, dtype text, part text, missing whole, missing_share real, constant flag,"
            "infinite whole, low text, high text"
        ),
        scope="column",
        key=("column",),
        score="missing",
        cells=frozenset({"low", "high"}),
        doc="Each column's missing and infinite cells and its range; part: feature, label, id, weight, date.",
    ),
    FactTable(
        name="schema",
        maker=f"{_HERE}:schema_change",
        schema=schema("column text, change text, was text, now text"),
        scope="column",
        key=("column", "change"),
        needs=frozenset({"base"}),
        doc="Columns that the base has and the data lack (removed), the reverse (added), or of another type.",
    ),
    FactTable(
        name="test_schema",
        maker=f"{_HERE}:test_schema",
        schema=schema("column text, change text, was text, now text"),
        scope="column",
        key=("column", "change"),
        needs=frozenset({"test"}),
        doc="The same, from the data to the test data.",
    ),
)


def reading(_: Material) -> pl.DataFrame:
    """Return the table ``reading`` of data that could be read: nothing is to be said."""
    return pl.DataFrame(schema=TABLES[0].schema)


def dataset(material: Material) -> pl.DataFrame:
    """Return the table ``dataset``."""
    return pl.DataFrame({"rows": [material.rows.n], "columns": [len(material.rows.schema)]})


def growth(material: Material) -> pl.DataFrame:
    """Return the table ``growth``."""
    now, was = material.rows.n, _base(material).rows.n
    values = {"rows": now, "base_rows": was, "lost_share": max(0.0, 1 - now / was), "grown": now / was}
    return pl.DataFrame([values])


def columns(material: Material) -> pl.DataFrame:
    """Return the table ``columns``."""
    settings, n = material.settings, material.rows.n
    named = {settings.label: "label", settings.id: "id", settings.weight: "weight", settings.date: "date"}
    rows = [
        {
            "column": name,
            "dtype": str(material.rows.schema[name]),
            "part": named.get(name, "feature"),
            "missing": found.missing,
            "missing_share": found.missing / n,
            "constant": _is_constant(found, n),
            "infinite": found.infinite,
            "low": _shown(found.low),
            "high": _shown(found.high),
        }
        for name, found in profile(material).columns.items()
    ]
    return pl.DataFrame(rows, schema=next(t.schema for t in TABLES if t.name == "columns"))


def schema_change(material: Material) -> pl.DataFrame:
    """Return the table ``schema``."""
    return _changes(_base(material).rows.schema, material.rows.schema)


def test_schema(material: Material) -> pl.DataFrame:
    """Return the table ``test_schema``; a label may be absent from test data."""
    if material.test is None:
        raise ValueError("there are no test data")
    was = {name: dtype for name, dtype in material.rows.schema.items() if name != material.settings.label}
    now = {name: dtype for name, dtype in material.test.schema.items() if name != material.settings.label}
    return _changes(pl.Schema(was), pl.Schema(now))


def _changes(was: pl.Schema, now: pl.Schema) -> pl.DataFrame:
    rows = [(name, "removed", str(was[name]), "") for name in was if name not in now]
    rows += [(name, "added", "", str(now[name])) for name in now if name not in was]
    rows += [
        (name, "type", str(was[name]), str(now[name]))
        for name in was
        if name in now and _family(was[name]) != _family(now[name])
    ]
    return pl.DataFrame(rows, schema=schema("column text, change text, was text, now text"), orient="row")


def _family(dtype: pl.DataType) -> str:
    """Return what a type is for: another width of number is no change, and a whole column may gain a half."""
    if dtype.is_numeric():
        return "number"
    if isinstance(dtype, pl.String | pl.Categorical | pl.Enum):
        return "text"
    if dtype.is_nested():
        return "nested"
    return "time" if dtype.is_temporal() else str(dtype)


def _is_constant(found: Column, n: int) -> bool | None:
    if not found.ordered:
        return None
    return found.missing == 0 and n > 1 and bool(found.low == found.high)


def _shown(value: object) -> str | None:
    return None if value is None else str(value)[:80]


def _base(material: Material) -> Material:
    if material.base is None:
        raise ValueError("there is no base")
    return material.base
