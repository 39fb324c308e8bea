"""Facts about columns that give the label away: what each one alone predicts (`features.leaks`)."""

from __future__ import annotations

import polars as pl

from dataaudit.features.leaks import FEW, ROWS, codes, few_outside, gains
from dataaudit.gate.data import Material
from dataaudit.gate.facts.classes import classes
from dataaudit.gate.facts.columns import roles
from dataaudit.gate.facts.table import FactTable, Inapplicable, Rows


@FactTable(
    "column text, values whole, accuracy real, most real, gain real, copy flag",
    scope="column",
    key=("column",),
    score="gain",
    needs={"label"},
    cost=1,
)
def leaks(material: Material) -> Rows:
    """How well each column alone predicts the label of rows it was not counted on."""
    label = material.settings.label
    if classes.make(material).height < 2:  # noqa: PLR2004 - one class leaks nothing
        raise Inapplicable("There is one class: any column predicts it.")
    used = {name for name, role in roles(material).items() if role.role != "text"} & set(material.features)
    names = [name for name in roles(material) if name in used and not material.rows.schema[name].is_nested()]
    if not names:
        raise Inapplicable("There is no feature column but text and lists.")
    step = max(1, material.rows.n // ROWS)
    rows = material.rows.lazy.select([label, *names]).gather_every(step).collect()
    rows = rows.filter(pl.col(label).cast(pl.String) != "")
    y = codes(rows[label].cast(pl.String))
    if few_outside(y):
        raise Inapplicable(f"Fewer than {FEW} rows are outside the greatest class.")
    for one in gains(rows, y, names):
        yield one.column, one.values, one.accuracy, one.most, one.gain, one.is_copy
