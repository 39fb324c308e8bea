"""Facts that take a fitted model, or a comparison with test data: wrong labels, slices, influence, health.

Everything comes from one fit of the data (`fitted`): nothing is trained twice. ``labels``, ``wrong`` and
``health`` are taken from a folder of findings where one is given, without a fit. What loads torch is imported
where it is needed.
"""

from __future__ import annotations

from typing import Final

import polars as pl

from dataaudit.findings.schemas import Findings
from dataaudit.gate.data import Material
from dataaudit.gate.facts.table import FactTable, Rows
from dataaudit.gate.rules import Need

_FIT: Final = frozenset[Need]({"fit"})
_ROWS: Final = frozenset[Need]({"fit", "label"})  # the rows themselves: findings alone do not do
_TEST: Final = frozenset[Need]({"fit", "test"})


@FactTable(
    "source text, row whole, line whole, row_id text, label text, suggested_label text, p_wrong real,"
    "p_label real, loo_p_label real, loo_loss real, self_influence real, leverage real",
    scope="row",
    score="p_wrong",
    needs=_FIT,
    cost=2,
)
def labels(material: Material) -> pl.DataFrame:
    """Each labelled row: the probability that its label is wrong, and what the model says without it."""
    if material.folder is not None:
        return _findings(material).labels
    from dataaudit.gate.facts.labels import ranked_labels  # noqa: PLC0415 - torch

    return ranked_labels(material)


@FactTable(
    "rows whole, expected real, low real, high real, share real, low_share real, high_share real,"
    "supported flag",
    scope="dataset",
    needs=_FIT,
    cost=2,
)
def wrong(material: Material) -> Rows:
    """Expected number of wrong labels with its 90 % interval, and the same as shares of the rows."""
    if material.folder is not None:
        findings = _findings(material)
        known = findings.provenance
        n, numbers = known.n_rows, known.count
        counted = "expected" in known.learned  # by looks at a sample: no model of the noise is needed
        supported = counted or bool(findings.health.filter(check="noise model")["ok"].all())
    else:
        from dataaudit.gate.facts.fitted import fitted  # noqa: PLC0415 - torch

        model = fitted(material)
        n, numbers = model.dataset.n, (model.noise.expected, *model.noise.interval)
        supported = model.noise.supported
    yield (n, *numbers, *(number / n for number in numbers), supported)


@FactTable(
    "row whole, label text, suggested_label text, p_label real, loss real, beyond real, suspect flag,"
    "rows whole, suspects whole, expected real, chance real",
    scope="row",
    score="loss",
    needs={"fit", "base"},
    cost=2,
)
def batch(material: Material) -> pl.DataFrame:
    """New and changed rows under a model of the known ones; suspect: as surprising as few of these."""
    from dataaudit.gate.facts.labels import judged_batch  # noqa: PLC0415 - torch

    return judged_batch(material)


@FactTable(
    "column text, measure text, level text, value real, size real, p_value real, n whole,"
    "significant flag, by text, where_most text, found text",
    scope="column",
    key=("column", "measure", "level"),
    score="size",
    needs={"label", "test"},
    cells={"level", "where_most", "found"},
    cost=1,
)
def shift(material: Material) -> pl.DataFrame:
    """Test data against the data, corrected for the number of tests; no column: all columns together."""
    from dataaudit.gate.facts.mismatch import compared_columns  # noqa: PLC0415 - torch

    return compared_columns(material)


@FactTable(
    "column text, slice text, severity text, rows whole, errors whole, fixed whole, p_value real,"
    "found text, advice text",
    scope="column",
    key=("column", "slice"),
    score="fixed",
    needs=_TEST,
    cells={"slice", "found", "advice"},
    cost=2,
)
def slices(material: Material) -> Rows:
    """Levels, bins and words whose own few rows carry and spoil the predictions of their test rows."""
    from dataaudit.gate.facts.mismatch import found_slices  # noqa: PLC0415 - torch

    return found_slices(material)


@FactTable(
    "row whole, label text, group whole, size whole, errors whole, fixed whole, severity text",
    scope="row",
    score="errors",
    needs=_TEST,
    cost=2,
)
def groups(material: Material) -> Rows:
    """Rows to which the same wrong predictions of test rows trace back."""
    from dataaudit.gate.facts.mismatch import grouped_rows  # noqa: PLC0415 - torch

    return grouped_rows(material)


@FactTable(
    "row whole, label text, changed whole, watched whole, share real",
    scope="row",
    score="share",
    needs=_ROWS,
    cost=2,
)
def dependence(material: Material) -> Rows:
    """Rows without which most other predictions change, of test rows where there are any; by refits."""
    from dataaudit.gate.facts.fitted import fitted  # noqa: PLC0415 - torch
    from dataaudit.gate.facts.mismatch import dependence_of  # noqa: PLC0415 - torch

    model, found = fitted(material), dependence_of(material)
    for row, changed in zip(found.rows, found.changed.tolist(), strict=True):
        yield int(model.positions[row]), model.labels[row], changed, found.watched, changed / found.watched


@FactTable("removed whole, changed whole, watched whole, share real", scope="dataset", needs=_ROWS, cost=2)
def strongest(material: Material) -> Rows:
    """Predictions that change without the hundredth of the rows that is strongest; by a refit."""
    from dataaudit.gate.facts.mismatch import dependence_of  # noqa: PLC0415 - torch

    found = dependence_of(material)
    changed, watched = found.changed_together, found.watched
    yield len(found.strongest), changed, watched, changed / watched


@FactTable(
    "aspect text, value real, bound real, ok flag, found text",
    scope="dataset",
    key=("aspect",),
    needs=_FIT,
    cost=2,
)
def health(material: Material) -> pl.DataFrame:
    """Checks of the audit itself: minimum, solver, calibration, verification, noise model, classes."""
    if material.folder is not None:
        checks = _findings(material).health
    else:
        from dataaudit.gate.facts.labels import checked_audit  # noqa: PLC0415 - torch

        checks = checked_audit(material)
    return checks.rename({"check": "aspect", "limit": "bound", "message": "found"})


def _findings(material: Material) -> Findings:
    """Return the findings in the folder that was given, read once."""
    return material.once("findings", lambda: Findings.read(material.findings_folder))
