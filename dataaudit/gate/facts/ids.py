"""Facts about names and dates of rows: ids that repeat or are test rows' too, columns of names, dates.

An id is compared as text, and an empty one is missing. A date is compared by the order of its column's type.
"""

from __future__ import annotations

import polars as pl

from dataaudit.features.roles import names_rows
from dataaudit.gate.data import Material
from dataaudit.gate.facts.columns import NO_FEATURE, roles
from dataaudit.gate.facts.table import FactTable, Inapplicable, Rows


@FactTable("row whole, problem text, copies whole, said text", scope="row", score="copies", needs={"id"})
def ids(material: Material) -> pl.DataFrame:
    """Rows whose id is missing, or another row's too (repeated)."""
    rows = _ids(material.rows.lazy, material.settings.id)
    counts = rows.group_by("id").len("copies")
    found = rows.join(counts, on="id", how="left", nulls_equal=True)
    missing = pl.col("id").is_null()
    found = found.filter(missing | (pl.col("copies") > 1)).sort("row")
    said = pl.format("The id is that of {} rows.", "copies")
    return found.with_columns(
        problem=pl.when(missing).then(pl.lit("missing")).otherwise(pl.lit("repeated")),
        said=pl.when(missing).then(pl.lit("The row has no id.")).otherwise(said),
    )


@FactTable("row whole, test_row whole", scope="row", needs={"id", "test"})
def shared_ids(material: Material) -> pl.DataFrame:
    """Rows whose id a test row has too."""
    name, test = material.settings.id, material.test
    if test is None or name not in test.schema:
        raise Inapplicable(f"The test data lack the id column {name!r}.")
    there = _ids(test.lazy, name).rename({"row": "test_row"}).drop_nulls().unique("id", keep="first")
    return _ids(material.rows.lazy, name).drop_nulls().join(there, on="id", how="inner").sort("row")


@FactTable("column text, reason text", scope="column", key=("column",))
def id_columns(material: Material) -> Rows:
    """Feature columns that name rows rather than say something of them."""
    used = roles(material)
    if not material.features:
        raise Inapplicable(NO_FEATURE)
    # "an identifier: short strings, …" would say twice what the rule says
    return [
        (name, used[name].reason.removeprefix("an identifier: "))
        for name in material.features
        if names_rows(used[name])
    ]


@FactTable(
    "row whole, date text, first_test text", scope="row", needs={"date", "test"}, cells={"date", "first_test"}
)
def later(material: Material) -> pl.DataFrame:
    """Rows dated after the earliest test row."""
    name, test = material.settings.date, material.test
    if test is None or name is None or name not in test.schema:
        raise Inapplicable(f"The test data lack the date column {name!r}.")
    first = test.lazy.select(pl.col(name).min()).collect().item()
    if first is None or material.rows.lazy.select(pl.col(name).is_null().all()).collect().item():
        raise Inapplicable(f"Column {name!r} holds no date in the {'test ' if first is None else ''}data.")
    dates = material.rows.lazy.select(pl.int_range(pl.len()).alias("row"), pl.col(name).alias("date"))
    found = dates.filter(pl.col("date") > first).collect(engine="streaming").sort("row")
    return found.with_columns(pl.col("date").cast(pl.String), first_test=pl.lit(str(first)))


def _ids(rows: pl.LazyFrame, name: str | None) -> pl.DataFrame:
    """Return row, id; an empty id is missing."""
    cell = pl.col(name or "").cast(pl.String)
    named = pl.when(cell != "").then(cell).alias("id")
    return rows.select(pl.int_range(pl.len()).alias("row"), named).collect()
