"""Findings and traced test rows as the page shows them: everything a string, cut to length, safe to print."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from dataaudit.escape import line
from dataaudit.report import words
from dataaudit.report.charts import Lanes, Plot
from dataaudit.summary import Carrier, Cell, FindingCard, NamedRow, TracedRow, TracedTest, Tried
from dataaudit.writers import mismatch_figures as figures
from dataaudit.writers.cards import PLAIN, picture_or_text
from dataaudit.writers.run import more

_NAME: Final = 60  # characters of a column's name
_SEVERITIES: Final = {"high": "High severity", "medium": "Medium severity", "note": "Note"}
_HOW: Final = {
    "remove": "remove the rows",
    "down-weight": "halve their weight",
    "relabel": "relabel them",
    "reweigh": "weigh by class",
    "ridge": "another λ",
    "collect": "collect more rows",
}


@dataclass(frozen=True, slots=True)
class Detail:
    """How much is shown: findings, characters of sentences and cells, rows, columns, lines, charts."""

    findings: int = 40
    prose: int = 1000
    rows: int = 10
    columns: int = 8
    text: int = 240
    pairs: int = 10
    pair_columns: int = 12
    lines: int = 150
    charts: int = 40


@dataclass(frozen=True, slots=True)
class Grid:
    """A table of cells: a head, rows that begin with a name, and what is left out."""

    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    more: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FindingText:
    """A finding, in words."""

    number: int
    severity: str
    tone: str
    name: str
    title: str
    advice: str
    proof: str
    carriers: tuple[str, ...]
    rows: Grid | None
    rows_title: str
    remedies: tuple[tuple[str, ...], ...]
    counted: str
    charts: tuple[Lanes, ...]
    grid: Plot | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """A test row beside the training rows that harm and help it most."""

    title: str
    sentences: tuple[str, ...]
    effects: tuple[str, ...]
    cells: Grid


def finding_text(card: FindingCard, *, l2: float, detail: Detail, label: str) -> FindingText:
    """Return a finding in words.

    Parameters
    ----------
    card : FindingCard
    l2 : float
        The ridge in use.
    detail : Detail
        What is cut.
    label : str
        Name of the label column.

    Returns
    -------
    FindingText
    """
    charted = card.finding <= detail.charts
    counted = words.count(card.remedies[0].n_counted) if card.remedies else words.MISSING
    strips = (figures.rates(card), figures.proof(card)) if charted else ()
    return FindingText(
        number=card.finding,
        severity=_SEVERITIES.get(card.severity, line(card.severity)),
        tone="lo" if card.severity == "note" else "p",
        name=line(card.slice or card.title, 160),
        title=line(card.title, detail.prose // 2),
        advice=line(card.advice, detail.prose),
        proof=proof_sentence(card),
        carriers=tuple(_carrier(carrier) for carrier in card.carriers),
        rows=_grid_of(card.rows, detail, label) if card.rows else None,
        rows_title=_rows_title(card, detail),
        remedies=tuple(_remedy(tried, detail) for tried in card.remedies),
        counted=counted,
        charts=tuple(chart for chart in strips if chart),
        grid=figures.grid(card, l2) if charted else None,
    )


def proof_sentence(card: FindingCard) -> str:
    """Say what was predicted and what was measured."""
    if not words.known(card.predicted):
        return "Not proved by a refit."
    changed = "Without these training rows" if card.row_ids else "With rows weighed by class as in test"
    if card.n_train_rows == 1:
        changed = "Without this training row"
    measured = (
        f"measured by a true refit, it {words.moved(card.measured)}" if words.known(card.measured) else ""
    )
    said = f"{changed} the mean loss of its {words.count(card.n_errors)} mispredicted test rows"
    return f"{said} {words.moved(card.predicted)} (predicted){'; ' + measured if measured else ''}."


def _carrier(carrier: Carrier) -> str:
    """Say what another cell in that column would do."""
    effect, name = carrier.effect, line(carrier.column, _NAME)
    if not words.known(effect) or effect == 0:
        return f"{name}: other cells would change nothing"
    size = f"{words.short(abs(effect), 2)} nats {'lower' if effect < 0 else 'higher'}"
    return f"{name}: with other cells in it the mean loss of the wrong test rows would be {size}"


def _rows_title(card: FindingCard, detail: Detail) -> str:
    shown = len(card.rows[: detail.rows])
    if card.n_train_rows <= shown:
        return "Its training row" if shown == 1 else f"Its {words.count(shown)} training rows"
    return f"The {words.count(shown)} most harmful of its {words.count(card.n_train_rows)} training rows"


def _grid_of(rows: Sequence[NamedRow], detail: Detail, label: str) -> Grid:
    """Return the cells of some rows, one line a row, those columns first that matter."""
    columns = [cell.column for cell in next((row.cells for row in rows if row.cells), ())]
    shown = columns[: detail.columns]
    lines = []
    for row in rows[: detail.rows]:
        known = {cell.column: cell for cell in row.cells}
        cells = (_cell(known.get(name), detail) for name in shown)
        lines.append((line(row.row_id, 120), line(row.label, _NAME) or words.MISSING, *cells))
    left = more(len(columns) - len(shown), "column", "columns, all in cells.parquet beside this page")
    return Grid(("row", line(label, _NAME), *(line(name, _NAME) for name in shown)), tuple(lines), left)


def _cell(cell: Cell | None, detail: Detail) -> str:
    return picture_or_text(cell, detail.text, PLAIN) if cell and cell.text else words.MISSING


def _remedy(tried: Tried, detail: Detail) -> tuple[str, ...]:
    return (
        _HOW.get(tried.remedy, line(tried.remedy)),
        line(tried.detail, detail.prose // 4),
        _became(words.count(tried.errors_before), words.count(tried.errors_after), tried.errors_after),
        _became(
            words.fixed(tried.slice_loss_before, 3), _nats(tried.slice_loss_after), tried.slice_loss_after
        ),
        _became(
            words.count(tried.test_errors_before),
            words.count(tried.test_errors_after),
            tried.test_errors_after,
        ),
        _became(words.fixed(tried.test_loss_before, 3), _nats(tried.test_loss_after), tried.test_loss_after),
        words.moved(tried.predicted) if words.known(tried.predicted) else words.MISSING,
        words.moved(tried.measured) if words.known(tried.measured) else words.MISSING,
        {True: "cures it", False: "no cure", None: "not tried"}[tried.cures],
    )


def _became(before: str, after: str, value: float | None) -> str:
    return f"{before} → {after}" if words.known(value) else f"{before}"


def _nats(value: float | None) -> str:
    return f"{words.fixed(value, 3)} nats"


def pair(trace: TracedTest, *, first: Sequence[str], detail: Detail, label: str) -> Pair:
    """Return a test row and the training rows behind it, side by side.

    Parameters
    ----------
    trace : TracedTest
    first : sequence of str
        Columns to show first.
    detail : Detail
        What is cut.
    label : str
        Name of the label column.

    Returns
    -------
    Pair
    """
    behind = (*trace.harmful, *trace.helpful)
    names = [cell.column for cell in trace.test.cells]
    ordered = [*dict.fromkeys(name for name in first if name in names), *names]
    shown = list(dict.fromkeys(ordered))[: detail.pair_columns]
    rows = [trace.test, *(one.row for one in behind)]
    known = [{cell.column: cell for cell in row.cells} for row in rows]
    head = ("column", "test row", *(f"{_effect(one)} training row" for one in behind))
    body = [
        ("row", *(line(row.row_id, 120) for row in rows)),
        (line(label, _NAME), *(line(row.label, _NAME) or words.MISSING for row in rows)),
    ]
    body += [(line(name, _NAME), *(_cell(cells.get(name), detail) for cells in known)) for name in shown]
    left = more(len(names) - len(shown), "column", "columns, all in cells.parquet beside this page")
    return Pair(
        title=f"Test row {line(trace.test.row_id, 120)}",
        sentences=_sentences(trace),
        effects=tuple(_effect_sentence(one, trace) for one in behind),
        cells=Grid(head, tuple(body), left),
    )


def _sentences(trace: TracedTest) -> tuple[str, ...]:
    label, predicted = line(trace.test.label, _NAME), line(trace.predicted_label, _NAME)
    said = f"Labelled “{label}”, predicted “{predicted}”: the model gives its label probability "
    said += f"{words.share(trace.p_label)}, a loss of {words.fixed(trace.loss)} nats."
    rests = f"The prediction rests on {words.count(trace.effective_rows)} training rows (effective number); "
    rests += f"the strongest one has {words.share(trace.top_share)} of the influence."
    about = f" It belongs to finding {trace.finding}." if trace.finding is not None else ""
    return said, rests + about


def _effect(one: TracedRow) -> str:
    return "harmful" if one.change < 0 else "helpful"


def _effect_sentence(one: TracedRow, trace: TracedTest) -> str:
    """Write an influence as a sentence in loss units."""
    verb = "lowers" if one.change < 0 else "raises"
    size = words.short(abs(one.change), 2)
    return (
        f"Removing training row {line(one.row.row_id, 120)} {verb} the loss of test row "
        f"{line(trace.test.row_id, 120)} by {size} nats: {_effect(one)}."
    )
