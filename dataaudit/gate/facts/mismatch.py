"""Facts about the domain: how test data differ from the data, and the slices that few rows spoil.

Facts about influence: how much hangs on single rows, on few, and on those behind the same errors.
"""

from __future__ import annotations

import numpy as np
import polars as pl

from dataaudit.audits.shift.audit import measure_shift
from dataaudit.audits.stability import Dependence, depend
from dataaudit.gate.data import Material
from dataaudit.gate.facts.audited import TABLES
from dataaudit.gate.facts.fitted import against, fitted, test_of, wanted
from dataaudit.options import EncoderOptions

_SLICES = next(table.schema for table in TABLES if table.name == "slices")


def shift(material: Material) -> pl.DataFrame:
    """Return the table ``shift``, over the columns that data and test data share."""
    settings, test = material.settings, test_of(material)
    left = {settings.label, settings.weight}
    shared = [name for name in wanted(material, material.rows) if name in test.schema and name not in left]
    sides = [
        data.read([*shared, *([settings.label] if settings.label in data.schema else [])])
        for data in (material.rows, test)
    ]
    columns = EncoderOptions(
        text=tuple(name for name in settings.text if name in shared),
        categorical=tuple(name for name in settings.categorical if name in shared),
    )
    found = measure_shift(*sides, target=settings.label, columns=columns, seed=material.seed)
    apart = found.filter(measure="two-sample").drop_nulls("column")["column"].to_list()
    return found.with_columns(
        pl.lit(", ".join(apart) or "no single column").alias("by"),
        pl.col("column").fill_null(""),
        pl.col("level").fill_null(""),
        pl.col("value").abs().fill_nan(None).alias("size"),
        pl.col("significant").fill_null(value=False),
        pl.col("message").alias("found"),
    )


def slices(material: Material) -> pl.DataFrame:
    """Return the table ``slices``; empty where no test row can be judged."""
    model = against(material)
    rows = [
        (
            found.slice.column,
            found.common,
            found.severity,
            len(found.slice.train),
            len(found.errors),
            found.fixed,
            found.p_value,
            found.title,
            found.advice,
        )
        for found in (model.searched.found if model is not None else ())
        if found.slice is not None
    ]
    return pl.DataFrame(rows, schema=_SLICES, orient="row")


_SCHEMAS = {table.name: table.schema for table in TABLES}


def groups(material: Material) -> pl.DataFrame:
    """Return the table ``groups``; empty where no test row can be judged."""
    other, rows = against(material), []
    found = () if other is None else other.searched.found
    model, named = fitted(material), np.zeros(0, dtype=np.int64)
    grouped = [one for one in found if one.slice is None and len(one.rows)]
    for number, one in enumerate(grouped, start=1):
        for row in np.setdiff1d(one.rows, named):
            place = (int(model.positions[row]), model.labels[row])
            rows.append((*place, number, len(one.rows), len(one.errors), one.fixed, one.severity))
        named = np.concatenate([named, one.rows])
    return pl.DataFrame(rows, schema=_SCHEMAS["groups"], orient="row")


def dependence(material: Material) -> pl.DataFrame:
    """Return the table ``dependence``, the row that turns most predictions first."""
    model, found = fitted(material), _depend(material)
    return pl.DataFrame(
        {
            "row": model.positions[found.rows],
            "label": pl.Series(model.labels[found.rows], dtype=pl.String),
            "changed": found.changed,
            "watched": np.full(len(found.rows), found.watched),
            "share": found.changed / found.watched,
        },
        schema=_SCHEMAS["dependence"],
    )


def strongest(material: Material) -> pl.DataFrame:
    """Return the table ``strongest``, one row."""
    found = _depend(material)
    row = (
        len(found.strongest),
        found.changed_together,
        found.watched,
        found.changed_together / found.watched,
    )
    return pl.DataFrame([row], schema=_SCHEMAS["strongest"], orient="row")


def _depend(material: Material) -> Dependence:
    """Watch the predictions of the test rows where there are any, else those of the rows themselves."""

    def make() -> Dependence:
        model = fitted(material)
        other = against(material) if material.test is not None else None
        block = None if other is None else other.tested.block
        return depend(model.trained, model.scores, test=block, seed=material.seed)

    return material.once("dependence", make)
