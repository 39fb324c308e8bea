"""Facts about test data: how they differ, the slices that few rows spoil, and how much hangs on few rows."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl

from dataaudit.audits.mismatch.audit import in_fifths
from dataaudit.audits.mismatch.tables import errors_of
from dataaudit.audits.mismatch.worth import Judged
from dataaudit.audits.shift.audit import measure_shift
from dataaudit.audits.stability import Dependence, measure_dependence
from dataaudit.features.target import encode_target
from dataaudit.gate.data import Material
from dataaudit.gate.facts.columns import as_named
from dataaudit.gate.facts.fitted import against, fitted, wanted
from dataaudit.gate.facts.table import Inapplicable, Rows


def compared_columns(material: Material) -> pl.DataFrame:
    """Return the table ``shift`` over the columns that data and test data share."""
    settings, test = material.settings, material.test_rows
    left = {settings.label, settings.weight, settings.group, *material.only_counted}
    shared = [name for name in wanted(material, material.rows) if name in test.schema and name not in left]
    if not shared:
        raise Inapplicable("Data and test data share no feature column.")
    sides = [
        data.read([*shared, *([settings.label] if settings.label in data.schema else [])])
        for data in (material.rows, test)
    ]
    columns = as_named(settings, shared)
    if settings.task in ("regression", "count") and settings.label in sides[0].columns:
        quantity = encode_target(sides[0][settings.label], settings.task).quantity
        labelled = (settings.label in side.columns for side in sides)
        sides = [
            in_fifths(side, settings.label, quantity) if known and quantity else side
            for side, known in zip(sides, labelled, strict=True)
        ]
    found = measure_shift(*sides, target=settings.label, columns=columns, seed=material.seed)
    apart = found.filter(measure="two-sample").drop_nulls("column")["column"].to_list()
    return found.with_columns(
        pl.lit(f"the two differ most in {', '.join(apart)}" if apart else "no single column shows it").alias(
            "by"
        ),
        pl.col("level").fill_null("no level in particular").alias("where_most"),
        pl.col("column").fill_null(""),
        pl.col("level").fill_null(""),
        pl.col("value").abs().fill_nan(None).alias("size"),
        pl.col("significant").fill_null(value=False),
        pl.col("message").alias("found"),
    )


def found_slices(material: Material) -> Rows:
    """Yield the rows of the table ``slices``; none where no test row can be judged."""
    for found, errors in _found(material):
        one, (before, after) = found.suspect, found.best.errors
        if one.kind == "slice":
            said = one.columns[0], one.name, found.severity
            sizes = len(one.train), errors, before - after
            yield *said, *sizes, one.p_value, one.title, found.best.fix.advice


def grouped_rows(material: Material) -> Rows:
    """Yield the rows of the table ``groups``, each row once; none where no test row can be judged."""
    model, named = fitted(material), np.zeros(0, dtype=np.int64)
    grouped = [(found, errors) for found, errors in _found(material) if found.suspect.kind in ("row", "rows")]
    for number, (found, errors) in enumerate(grouped, start=1):
        rows, (before, after) = found.suspect.train, found.best.errors
        for row in np.setdiff1d(rows, named):
            sizes = len(rows), errors, before - after
            yield int(model.positions[row]), model.labels[row], number, *sizes, found.severity
        named = np.concatenate([named, rows])


def _found(material: Material) -> Sequence[tuple[Judged, int]]:
    """Return what was found, with the number of mispredicted test rows of each."""
    other = against(material)
    if other is None:
        raise Inapplicable("The test data have no label that the data know, or lack a column of the data.")
    return [(one, len(errors_of(one, other.tested))) for one in other.searched.judged]


def dependence_of(material: Material) -> Dependence:
    """Watch the predictions of the test rows where there are any, else those of the rows themselves."""

    def make() -> Dependence:
        model = fitted(material)
        if not model.trained.classes:
            raise Inapplicable("The label is a number: no predicted class can change.")
        other = against(material) if material.test is not None else None
        block = None if other is None else other.tested.block
        return measure_dependence(model.trained, model.scores, test=block, seed=material.seed)

    return material.once("dependence", make)
