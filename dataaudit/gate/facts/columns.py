"""Facts about the table as a whole and about each of its columns, from one pass."""

from __future__ import annotations

from typing import Final

import polars as pl

from dataaudit.gate.facts.profile import Column, profile
from dataaudit.gate.facts.table import FactTable
from dataaudit.gate.material import Material
from dataaudit.tablefolder import schema

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
