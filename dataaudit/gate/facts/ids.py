"""Facts about names and dates of rows: ids that repeat or are test rows' too, columns of names, dates."""

from __future__ import annotations

from typing import Final

import polars as pl

from dataaudit.findings.tables import schema
from dataaudit.gate.data import Material
from dataaudit.gate.facts import FactTable
from dataaudit.gate.facts.columns import is_identifier, roles

_HERE: Final = __name__

TABLES: Final = (
    FactTable(
        name="ids",
        maker=f"{_HERE}:ids",
        schema=schema("row whole, problem text, copies whole"),
        scope="row",
        key=("row",),
        score="copies",
        needs=frozenset({"id"}),
        doc="Rows whose id is missing, or another row's too (repeated).",
    ),
    FactTable(
        name="shared_ids",
        maker=f"{_HERE}:shared_ids",
        schema=schema("row whole, test_row whole"),
        scope="row",
        key=("row",),
        needs=frozenset({"id", "test"}),
        doc="Rows whose id a test row has too.",
    ),
    FactTable(
        name="id_columns",
        maker=f"{_HERE}:id_columns",
        schema=schema("column text, reason text"),
        scope="column",
        key=("column",),
        doc="Feature columns that name rows rather than say something of them.",
    ),
    FactTable(
        name="later",
        maker=f"{_HERE}:later",
        schema=schema("row whole, date text, first_test text"),
        scope="row",
        key=("row",),
        cells=frozenset({"date", "first_test"}),
        needs=frozenset({"date", "test"}),
        doc="Rows dated after the earliest test row.",
    ),
)


def ids(material: Material) -> pl.DataFrame:
    """Return the table ``ids``."""
    rows = _ids(material.rows.lazy, material.settings.id)
    counts = rows.group_by("id").len("copies")
    found = rows.join(counts, on="id", how="left", nulls_equal=True)
    missing = pl.col("id").is_null()
    found = found.filter(missing | (pl.col("copies") > 1)).sort("row")
    return found.with_columns(problem=pl.when(missing).then(pl.lit("missing")).otherwise(pl.lit("repeated")))


def shared_ids(material: Material) -> pl.DataFrame:
    """Return the table ``shared_ids``; none where the test data have no such column."""
    name, test = material.settings.id, material.test
    if test is None or name not in test.schema:
        return pl.DataFrame(schema=TABLES[1].schema)
    there = _ids(test.lazy, name).rename({"row": "test_row"}).drop_nulls().unique("id", keep="first")
    return _ids(material.rows.lazy, name).drop_nulls().join(there, on="id", how="inner").sort("row")


def id_columns(material: Material) -> pl.DataFrame:
    """Return the table ``id_columns``."""
    told = roles(material)
    found = [(name, told[name].reason) for name in material.features if is_identifier(told[name])]
    return pl.DataFrame(found, schema=TABLES[2].schema, orient="row")


def later(material: Material) -> pl.DataFrame:
    """Return the table ``later``."""
    name, test = material.settings.date, material.test
    if test is None or name is None or name not in test.schema:
        return pl.DataFrame(schema=TABLES[3].schema)
    first = test.lazy.select(pl.col(name).min()).collect().item()
    dates = material.rows.lazy.select(pl.int_range(pl.len()).alias("row"), pl.col(name).alias("date"))
    found = dates.filter(pl.col("date") > first).collect(engine="streaming").sort("row")
    return found.with_columns(pl.col("date").cast(pl.String), first_test=pl.lit(str(first)))


def _ids(rows: pl.LazyFrame, name: str | None) -> pl.DataFrame:
    """Return row, id; an empty id is none."""
    cell = pl.col(name or "").cast(pl.String)
    named = pl.when(cell != "").then(cell).alias("id")
    return rows.select(pl.int_range(pl.len()).alias("row"), named).collect()
