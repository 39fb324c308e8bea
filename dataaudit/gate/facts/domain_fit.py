"""Facts about the domain: how test data differ from the data, and the slices that few rows spoil."""

from __future__ import annotations

import polars as pl

from dataaudit.audits.shift import measure_shift
from dataaudit.encode import EncoderSettings
from dataaudit.gate.facts.audited import TABLES
from dataaudit.gate.facts.fitted import against, test_of, wanted
from dataaudit.gate.material import Material

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
    columns = EncoderSettings(
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
