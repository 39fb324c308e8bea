"""Tables of facts that take a fitted model, or a comparison with test data; their makers load torch.

Everything comes from one fit of the data (`fitted`): nothing is trained twice. ``labels``, ``wrong`` and
``health`` come from a folder of findings as well, without a fit and without torch.

Facts that an audit holds already: taken from its folder where one is given, else from a fit made now.

Nothing here loads torch; the modules that fit are imported where they are needed.
"""

from __future__ import annotations

from importlib import import_module
from typing import Final

import polars as pl

from dataaudit.findings.schemas import Findings
from dataaudit.findings.tables import schema
from dataaudit.gate.data import Material
from dataaudit.gate.facts import FactTable
from dataaudit.gate.rules import Need

_HERE: Final = __name__.rpartition(".")[0]
_FIT: Final = frozenset[Need]({"fit"})
_ROWS: Final = frozenset[Need]({"fit", "label"})  # the rows themselves: findings alone do not do
_TEST: Final = frozenset[Need]({"fit", "test"})

TABLES: Final = (
    FactTable(
        name="labels",
        maker=f"{_HERE}.audited:labels",
        schema=schema(
            "source text, row whole, line whole, row_id text, label text, suggested_label text, p_wrong real,"
            "p_label real, loo_p_label real, loo_loss real, self_influence real, leverage real"
        ),
        scope="row",
        key=("row",),
        score="p_wrong",
        needs=_FIT,
        cost=2,
        doc="Each labelled row: the probability that its label is wrong, and what the model says without it.",
    ),
    FactTable(
        name="wrong",
        maker=f"{_HERE}.audited:wrong",
        schema=schema(
            "rows whole, expected real, low real, high real, share real, low_share real, high_share real,"
            "supported flag"
        ),
        scope="dataset",
        key=(),
        needs=_FIT,
        cost=2,
        doc="Expected number of wrong labels with its 90 % interval, and the same as shares of the rows.",
    ),
    FactTable(
        name="batch",
        maker=f"{_HERE}.labels:batch",
        schema=schema(
            "row whole, label text, suggested_label text, p_label real, loss real, beyond real, suspect flag,"
            "rows whole, suspects whole, expected real, chance real"
        ),
        scope="row",
        key=("row",),
        score="loss",
        needs=frozenset({"fit", "base"}),
        cost=2,
        doc="Each new or changed row under a model of the known rows: whether its label surprises as few of "
        "theirs do (suspect), and the chance that so many would.",
    ),
    FactTable(
        name="shift",
        maker=f"{_HERE}.mismatch:shift",
        schema=schema(
            "column text, measure text, level text, value real, size real, p_value real, n whole,"
            "significant flag, by text, found text"
        ),
        scope="column",
        key=("column", "measure", "level"),
        score="size",
        cells=frozenset({"level", "found"}),
        needs=frozenset({"label", "test"}),
        cost=1,
        doc="Comparisons of the test data with the data, corrected for their number; no column: all of "
        "them, told apart by some of the columns (by).",
    ),
    FactTable(
        name="slices",
        maker=f"{_HERE}.mismatch:slices",
        schema=schema(
            "column text, slice text, severity text, rows whole, errors whole, fixed whole, p_value real,"
            "found text, advice text"
        ),
        scope="column",
        key=("column", "slice"),
        score="fixed",
        cells=frozenset({"slice", "found", "advice"}),
        needs=_TEST,
        cost=2,
        doc="Levels, bins and words whose own few rows carry and spoil the predictions of their test rows.",
    ),
    FactTable(
        name="groups",
        maker=f"{_HERE}.mismatch:groups",
        schema=schema(
            "row whole, label text, group whole, size whole, errors whole, fixed whole, severity text"
        ),
        scope="row",
        key=("row",),
        score="errors",
        needs=_TEST,
        cost=2,
        doc="Rows to which the same wrong predictions of test rows trace back.",
    ),
    FactTable(
        name="dependence",
        maker=f"{_HERE}.mismatch:dependence",
        schema=schema("row whole, label text, changed whole, watched whole, share real"),
        scope="row",
        key=("row",),
        score="share",
        needs=_ROWS,
        cost=2,
        doc="Rows without which most other predictions change, of test rows where there are any; by refits.",
    ),
    FactTable(
        name="strongest",
        maker=f"{_HERE}.mismatch:strongest",
        schema=schema("removed whole, changed whole, watched whole, share real"),
        scope="dataset",
        key=(),
        needs=_ROWS,
        cost=2,
        doc="Predictions that change without the hundredth of the rows that is strongest; by a refit.",
    ),
    FactTable(
        name="health",
        maker=f"{_HERE}.audited:health",
        schema=schema("aspect text, value real, bound real, ok flag, found text"),
        scope="dataset",
        key=("aspect",),
        needs=_FIT,
        cost=2,
        doc="Checks of the audit itself: minimum, solver, calibration, verification, noise model, classes.",
    ),
)

_WRONG = next(table.schema for table in TABLES if table.name == "wrong")


def labels(material: Material) -> pl.DataFrame:
    """Return the table ``labels``, by rank."""
    found = _findings(material)
    return _made("labels:labels", material) if found is None else found.labels


def wrong(material: Material) -> pl.DataFrame:
    """Return the table ``wrong``, one row."""
    found = _findings(material)
    if found is None:
        return _made("labels:wrong", material)
    said = found.provenance
    supported = bool(found.health.filter(check="noise model")["ok"].all())
    interval = said.expected_low, said.expected_high
    return wrong_table(said.n_rows, said.expected_wrong, interval, supported=supported)


def health(material: Material) -> pl.DataFrame:
    """Return the table ``health``, one row a check."""
    found = _findings(material)
    table = _made("labels:health", material) if found is None else found.health
    return table.rename({"check": "aspect", "limit": "bound", "message": "found"})


def wrong_table(n: int, expected: float, interval: tuple[float, float], *, supported: bool) -> pl.DataFrame:
    """Return the table ``wrong`` of n rows, from the expected number of wrong labels and its interval."""
    numbers = (expected, *interval)
    row = (n, *numbers, *(number / n for number in numbers), supported)
    return pl.DataFrame([row], schema=_WRONG, orient="row")


def _findings(material: Material) -> Findings | None:
    """Return the findings that were given, read once; None where there are data to fit."""
    folder = material.folder
    return None if folder is None else material.once("findings", lambda: Findings.read(folder))


def _made(maker: str, material: Material) -> pl.DataFrame:
    module, _, function = maker.partition(":")
    made: pl.DataFrame = getattr(import_module(f"{__package__}.{module}"), function)(material)
    return made
