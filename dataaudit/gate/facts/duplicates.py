"""Facts about rows that are there twice: in the data, in the test data, and almost.

Rows are copies if they are equal in all columns but label, id and weight; almost, if their normal forms are:
texts without case, punctuation and digits, numbers by three figures. Whether two equal rows are one thing
entered twice or two things alike is judged by how much a row says: it is *telling* if it has a text of
several words, or if values as rare as its own would meet by chance with probability below 2⁻⁸⁰.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import numpy as np
import polars as pl

from dataaudit.cells import hashable, normal_form
from dataaudit.features.roles import BITS, surprise
from dataaudit.findings.tables import schema
from dataaudit.gate.data import Data, Material
from dataaudit.gate.facts.columns import NO_FEATURE, content, profile, roles
from dataaudit.gate.facts.table import FactTable, Inapplicable

GROUPS: Final = 100_000  # of copies that are looked at for whether they tell anything
_SAMPLE: Final = 20_000  # by which the share of a value is estimated
_PAIR: Final = (
    "row whole, first whole, copies whole, again flag, conflict flag, telling flag, label text, labels text"
)


@FactTable(_PAIR, scope="row", score="copies")
def twins(material: Material) -> pl.DataFrame:
    """Rows that have a copy: the first of them, whether labels conflict, whether they are telling."""
    return _groups(material, profile(material).hashes)


@FactTable(_PAIR, scope="row", score="copies", cost=1)
def near_twins(material: Material) -> pl.DataFrame:
    """The same of rows that are almost equal to one that they are no copy of."""
    exact = profile(material).hashes
    forms = hash_rows(material.rows, _normal(material, content(material), material.rows.schema))
    found = _groups(material, forms)
    kinds = (
        found.select("first", exact=exact.gather(found["row"]))
        .group_by("first")
        .agg(pl.col("exact").n_unique())
    )
    mixed = kinds.filter(pl.col("exact") > 1)["first"]
    return found.filter(pl.col("first").is_in(mixed.implode()))


@FactTable(
    "row whole, test_row whole, near flag, telling flag, same_label flag, excess flag, and_label text",
    scope="row",
    needs={"test"},
    cost=1,
)
def test_twins(material: Material) -> pl.DataFrame:
    """Rows of which the test data hold a copy, or almost; excess: more than copies within explain."""
    test = material.test_rows
    shared = [name for name in content(material) if name in test.schema]
    if not shared:
        raise Inapplicable("Data and test data share no column but label, id and weight.")
    sides = _of_one_type(material.rows, test, shared), _of_one_type(test, material.rows, shared)
    kinds = sides[0].schema
    exact = _met(*(hash_rows(side, [hashable(name, kinds[name]) for name in shared]) for side in sides))
    near = _met(*(hash_rows(side, _normal(material, shared, kinds)) for side in sides))
    near = near.join(exact, on="row", how="anti").with_columns(near=pl.lit(value=True))
    met = pl.concat([exact.with_columns(near=pl.lit(value=False)), near])
    met = met.sort("row").with_columns(telling=telling(material, met.sort("row")["row"], shared))
    natural = twins.make(material).height / material.rows.n
    expected = test.n * (
        natural + 1 / material.rows.n
    )  # one more than seen, lest a table without copies expects none
    leaked = exact["test_row"].n_unique()
    return met.with_columns(
        excess=pl.lit(leaked > expected + 4 * np.sqrt(expected + 1)),
        same_label=_same_label(material, met),
    ).with_columns(
        and_label=pl.when("same_label")
        .then(pl.lit(", with the same label"))
        .when(pl.col("same_label").not_())
        .then(pl.lit(", with another label"))
        .otherwise(pl.lit(""))
    )


def hash_rows(data: Data, cells: Sequence[pl.Expr]) -> pl.Series:
    """Return a hash of each row's `cells`, UInt64 (n,)."""
    parts = [batch.hash_rows() for batch in data.lazy.select(cells).collect_batches(maintain_order=True)]
    return pl.concat(parts) if parts else pl.Series(dtype=pl.UInt64)


def telling(material: Material, rows: pl.Series, columns: Sequence[str]) -> pl.Series:
    """Return whether each of some rows says so much that no other is like it by chance, Boolean (m,)."""
    data, used = material.rows, roles(material)
    head = rows.head(GROUPS)
    if head.is_empty():
        return pl.Series(dtype=pl.Boolean)
    sample = data.lazy.select(columns).gather_every(max(1, data.n // _SAMPLE)).collect()
    asked = data.at(head.to_list(), columns)
    texts = {name for name in columns if name in used and used[name].role == "text"}
    bits = surprise(asked, sample, texts)
    found = pl.Series(bits >= BITS)
    return found.extend_constant(value=False, n=len(rows) - len(head))


def _groups(material: Material, hashes: pl.Series) -> pl.DataFrame:
    """Return the rows whose hash another one shares."""
    if not content(material):
        raise Inapplicable(NO_FEATURE)
    if hashes.is_empty() or hashes.n_unique() == len(hashes):  # five times faster than to mark them
        return twins.of(())
    rows = pl.DataFrame({"row": hashes.is_duplicated().arg_true().cast(pl.Int64)})
    rows = rows.with_columns(hash=hashes.gather(rows["row"]))
    label = material.settings.label
    labels = material.rows.read([label]).to_series().cast(pl.String) if label else None
    own = labels.gather(rows["row"]) if labels is not None else pl.lit(None, pl.String)
    rows = rows.with_columns(label=own)
    groups = rows.group_by("hash").agg(
        pl.col("row").min().alias("first"),
        pl.len().alias("copies"),
        pl.col("label").drop_nulls().unique().sort().alias("labels"),
    )
    labels_of = pl.col("labels").list
    groups = groups.sort("first").with_columns(conflict=labels_of.len() > 1, labels=labels_of.join(" / "))
    groups = groups.with_columns(telling=telling(material, groups["first"], content(material)))
    found = rows.join(groups, on="hash", how="left").sort("row")
    return found.with_columns(again=pl.col("row") != pl.col("first")).select(twins.schema.names())


def _normal(material: Material, columns: Sequence[str], kinds: pl.Schema) -> list[pl.Expr]:
    """Return normal forms of cells of these types."""
    used = roles(material)
    texts = {name for name in columns if name in used and used[name].role == "text"}
    return [normal_form(name, kinds[name], text=name in texts) for name in columns]


def _of_one_type(data: Data, other: Data, columns: Sequence[str]) -> Data:
    """Return the data with columns of a type in which both tables say the same alike."""
    cells = []
    for name in columns:
        here, there = data.schema[name], other.schema[name]
        if here != there and here.is_numeric() and there.is_numeric():
            cells.append(pl.col(name).cast(pl.Float64).fill_nan(None))
        elif here != there and not here.is_nested():
            cells.append(pl.col(name).cast(pl.String))
    return replace(data, lazy=data.lazy.with_columns(cells)) if cells else data


def _met(mine: pl.Series, theirs: pl.Series) -> pl.DataFrame:
    """Return the rows whose hash the other table has: row, test_row."""
    if mine.is_empty() or theirs.is_empty():
        return pl.DataFrame(schema=schema("row whole, test_row whole"))
    known = pl.DataFrame({"hash": theirs, "test_row": pl.int_range(len(theirs), eager=True)})
    known = known.unique("hash", keep="first", maintain_order=True)
    rows = pl.DataFrame({"hash": mine, "row": pl.int_range(len(mine), eager=True)})
    return rows.join(known, on="hash", how="inner").select(pl.col("row", "test_row").cast(pl.Int64))


def _same_label(material: Material, met: pl.DataFrame) -> pl.Series:
    label, test = material.settings.label, material.test
    if test is None or not label or label not in test.schema or met.is_empty():
        return pl.repeat(None, met.height, dtype=pl.Boolean, eager=True)
    mine, theirs = (d.read([label]).to_series().cast(pl.String) for d in (material.rows, test))
    return mine.gather(met["row"]) == theirs.gather(met["test_row"])
