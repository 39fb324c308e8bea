"""From findings to a summary: grouping, counting and cutting, no words and no formats."""

from __future__ import annotations

import dataclasses
import math
import shlex
from collections.abc import Iterable, Sequence
from pathlib import PurePosixPath
from typing import Any, Final

import numpy as np
import polars as pl

from dataaudit.findings.schemas import Findings
from dataaudit.statistics import FEWEST, agreement
from dataaudit.summary.shapes import (
    Bar,
    BudgetPoint,
    BudgetStep,
    CalibrationBin,
    Cell,
    Check,
    Choice,
    Command,
    LabelCount,
    Neighbour,
    Rate,
    Refit,
    ReviewRow,
    Summary,
    Term,
    Trust,
    cell_of,
    first_picture,
)
from dataaudit.summary.verdict import verdict

TOP: Final = 500  # rows with their evidence; more make the page larger than 1 MB
REPAIR: Final = "Carry out the decisions of a review"
_EXCERPT: Final = 240  # characters of a neighbour: enough to recognise a text
_CURVE: Final = 120  # points of the budget curve
_BINARY: Final = 2
_BARS: Final = {"p_wrong": 20, "loo_loss": 24}


def summarise(findings: Findings, top: int = TOP, *, folder: str = "") -> Summary:
    """Gather what a report shows.

    Parameters
    ----------
    findings : Findings
    top : int
        How many rows to show with their evidence.
    folder : str
        Where the findings are written, for the commands to type next; empty if nowhere.

    Returns
    -------
    Summary
    """
    labels, provenance = findings.labels, findings.provenance
    budget = tuple(BudgetStep(*row) for row in findings.budget.sort("share").iter_rows())
    by_label = _by_label(labels)
    trust = _trust(findings)
    return Summary(
        verdict=verdict(findings, budget, by_label=by_label, trust=trust),
        rows=_rows(findings, top),
        p_wrong=_histogram(labels["p_wrong"], _BARS["p_wrong"], high=1.0),
        loo_loss=_histogram(labels["loo_loss"], _BARS["loo_loss"]),
        budget=budget,
        curve=_curve(labels["p_wrong"]),
        selection=tuple(Choice(*row) for row in findings.selection.iter_rows()),
        noise=tuple(Rate(*row) for row in findings.noise.iter_rows()),
        by_label=by_label,
        trust=trust,
        next_commands=_commands(findings, folder),
        provenance=provenance.to_dict(),
    )


def _rows(findings: Findings, top: int) -> tuple[ReviewRow, ...]:
    """Return the first rows of the ranking, each with its cells, evidence and neighbours."""
    head = findings.labels.head(top)
    ids = set(head["row_id"])
    terms = _grouped(findings.evidence.filter(pl.col("row_id").is_in(ids)).sort("row_id", "position"))
    near = _grouped(findings.neighbours.filter(pl.col("row_id").is_in(ids)).sort("row_id", "position"))
    cells = _grouped(findings.cells)
    roles = {role.get("column"): role.get("role", "") for role in findings.provenance.roles}
    names = [field.name for field in dataclasses.fields(ReviewRow) if field.name in head.columns]
    rows = []
    for values in head.select(names).iter_rows(named=True):
        key = values["row_id"]
        evidence = tuple(Term(roles.get(entry[1], ""), *entry[1:]) for entry in terms.get(key, ()))
        first = tuple(dict.fromkeys(term.column for term in evidence))
        neighbours = tuple(
            _neighbour(values, _cells(cells.get(values[0], ()), first)) for _, *values in near.get(key, ())
        )
        shown = _cells(cells.get(key, ()), first)
        rows.append(ReviewRow(**values, cells=shown, evidence=evidence, neighbours=neighbours))
    return tuple(rows)


def _neighbour(values: Sequence[Any], cells: tuple[Cell, ...]) -> Neighbour:
    other, label, similarity, same = values
    return Neighbour(other, label, similarity, same, excerpt(cells), first_picture(cells))


def _grouped(frame: pl.DataFrame) -> dict[str, list[tuple[Any, ...]]]:
    """Return the other columns' values by `row_id`, in the frame's order."""
    groups: dict[str, list[tuple[Any, ...]]] = {}
    for key, *values in frame.iter_rows():
        groups.setdefault(key, []).append(tuple(values))
    return groups


def _cells(cells: Iterable[tuple[Any, ...]], first: tuple[str, ...]) -> tuple[Cell, ...]:
    """Order cells: the columns of the evidence first, in its order; the others as they come."""
    return order_cells([cell_of(column, text) for column, text in cells], first)


def order_cells(cells: Iterable[Cell], first: tuple[str, ...]) -> tuple[Cell, ...]:
    """Return the cells of the columns in `first`, in its order, then the others as they come."""
    place = {column: at for at, column in enumerate(first)}
    return tuple(sorted(cells, key=lambda cell: place.get(cell.column, len(place))))


def excerpt(cells: tuple[Cell, ...], length: int = _EXCERPT) -> str:
    """Return the beginning of a row as one line: its text, or ``column value`` of its first columns."""
    if len(cells) == 1:
        text = cells[0].text
    else:
        text = " · ".join(f"{cell.column} {cell.text[:length]}" for cell in cells[:8])
    text = " ".join(text[: 4 * length].split())
    return text if len(text) <= length else text[: length - 1].rstrip() + "…"


def _finite(values: pl.Series) -> np.ndarray[Any, np.dtype[np.float64]]:
    numbers = np.asarray(values.drop_nulls().to_numpy(), dtype=np.float64)
    return np.asarray(numbers[np.isfinite(numbers)])


def _histogram(values: pl.Series, bars: int, high: float | None = None) -> tuple[Bar, ...]:
    numbers = _finite(values)
    if not len(numbers):
        return ()
    top = high if high is not None else float(numbers.max()) or 1.0
    counts, edges = np.histogram(numbers, bins=bars, range=(0.0, top))
    return tuple(
        Bar(float(a), float(b), int(c)) for a, b, c in zip(edges[:-1], edges[1:], counts, strict=True)
    )


def _curve(p_wrong: pl.Series) -> tuple[BudgetPoint, ...]:
    """Sum the expected wrong labels met after so many rows, in review order, at about `_CURVE` even steps."""
    found = np.cumsum(np.nan_to_num(p_wrong.fill_null(0.0).to_numpy()))
    n = len(found)
    if not n or found[-1] <= 0:
        return ()
    at = np.unique(np.linspace(0, n, _CURVE).round().astype(int))
    return tuple(BudgetPoint(int(k), float(found[k - 1]) if k else 0.0) for k in at)


def _by_label(labels: pl.DataFrame) -> tuple[LabelCount, ...]:
    wrong = pl.col("p_wrong").fill_nan(None).sum()
    counts = labels.group_by("label").agg(pl.len(), wrong).sort("p_wrong", "label", descending=[True, False])
    return tuple(LabelCount(*row) for row in counts.iter_rows())


def _trust(findings: Findings) -> Trust:
    refits = tuple(Refit(*row) for row in findings.verification.iter_rows())
    found = agreement(refits)
    known = len(refits) >= FEWEST
    return Trust(
        checks=tuple(Check(*row) for row in findings.health.iter_rows()),
        refits=refits,
        slope=found.slope if known and math.isfinite(found.slope) else None,
        pearson=found.pearson if known and math.isfinite(found.pearson) else None,
        calibration=_calibration(findings),
    )


def _calibration(findings: Findings) -> tuple[CalibrationBin, ...]:
    """Bin the left-out probability of the second class; for two classes only, else it is not known."""
    classes = findings.provenance.classes
    if len(classes) != _BINARY:
        return ()
    is_second, p = pl.col("label") == classes[1], pl.col("loo_p_label")
    rows = findings.labels.select(
        pl.when(is_second).then(p).otherwise(1 - p).alias("p"), is_second.alias("y")
    )
    rows = rows.filter(pl.col("p").is_between(0, 1))
    bins = rows.group_by((pl.col("p") * 10).floor().clip(0, 9).alias("bin")).agg(
        pl.col("p").mean(), pl.col("y").mean(), pl.len()
    )
    return tuple(CalibrationBin(*row[1:]) for row in bins.sort("bin").iter_rows())


def _commands(findings: Findings, folder: str) -> tuple[Command, ...]:
    """Return what to type next: look, review, repair, prove."""
    command = findings.provenance.command
    commands = [Command("Open the page", f"{folder.rstrip('/')}/report.html")] if folder else []
    if command.startswith("audit ") and folder:
        named = shlex.quote(folder)
        commands.append(Command("Review the rows here", f"audit review {named}"))
        if repair := _repair(findings, named):
            commands.append(Command(REPAIR, repair))
        prove = f"audit verify {named} --top 50"
        commands.append(Command("Retrain without the first rows, and compare", prove))
    if command.startswith("audit "):
        commands.append(Command("The ranked rows for your own tools", f"{command} --format jsonl"))
    return tuple(commands)


def _repair(findings: Findings, folder: str) -> str:
    """Return the command that carries decisions out; empty where not just one file was audited."""
    files: list[str] = list(findings.provenance.settings.get("source") or ())
    if len(files) != 1 or len(findings.provenance.origins) != 1 or files[0] == "-":
        return ""
    return (
        f"audit apply {folder} decisions.jsonl {shlex.quote(files[0])} -o {shlex.quote(fixed_name(files[0]))}"
    )


def fixed_name(path: str) -> str:
    """Return the name of a repaired file, without a folder: that of the data may be closed."""
    stem, dot, ending = PurePosixPath(path).name.partition(".")
    return f"{stem}.fixed{dot}{ending}"
