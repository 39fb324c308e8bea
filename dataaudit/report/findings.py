"""Findings of a mismatch, the training rows that they trace back to, and traced test rows, as cards."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, Final

import polars as pl

from dataaudit.findings.schemas import MismatchFindings
from dataaudit.report import blocks, figures, words
from dataaudit.report.blocks import Block, Cell, Inline, Line, Only, Section, Sentence, Table, Words
from dataaudit.report.common import LABEL, NAME, charts, few
from dataaudit.report.rows import Value, cell, value_of

Fact = dict[str, Any]
Rows = Mapping[tuple[str, str], tuple[Value, ...]]

_FINDINGS: Final = 40
_PAIRS, _PARTNERS, _PAIR_COLUMNS = 10, 2, 12  # traced test rows; harmful and helpful rows of each; columns
_ROWS: Final = 10  # training rows of a finding that are shown with their cells
_COLUMNS: Final = 8  # of them
_CARRIERS: Final = 5
_HARMFUL: Final = 20
_TEXT: Final = 240
_SEVERITIES: Final[dict[str, tuple[Inline, Inline]]] = {  # on a card, and in a table
    "high": (Words("High severity", "against"), Words("high", "against")),
    "medium": (Words("Medium severity", "against"), Words("medium", "strong")),
    "note": (Words("Note", "quiet"), Words("note", "quiet")),
}
_HOW: Final = {
    "remove": "remove the rows",
    "down-weight": "halve their weight",
    "relabel": "relabel them",
    "reweigh": "weigh by class",
    "ridge": "another λ",
    "collect": "collect more rows",
}


def values_of(f: MismatchFindings) -> dict[tuple[str, str], tuple[Value, ...]]:
    """Return the cells of the rows whose cells were kept, by part and name."""
    found: dict[tuple[str, str], list[Value]] = {}
    for row_id, column, text, part in f.cells.iter_rows():
        found.setdefault((part, row_id), []).append(value_of(column, text))
    return {key: tuple(values) for key, values in found.items()}


def slices_of(f: MismatchFindings) -> list[Fact]:
    """Return every slice with its name as people write it, the most harmful first."""
    first = pl.format("{} = {}", "column", "level")
    second = pl.format(" and {} = {}", "second_column", "second_level").fill_null("")
    return list(f.slices.sort("rank").with_columns(name=first + second).iter_rows(named=True))


def _named(rows: Rows, part: str, key: str, target: str) -> Fact:
    values = rows.get((part, key), ())
    label = next((value.text for value in values if value.column == target), "")
    return {"row_id": key, "label": label, "cells": tuple(v for v in values if v.column != target)}


def mismatch_findings(f: MismatchFindings, rows: Rows, slices: Sequence[Fact]) -> list[Fact]:
    """Return every finding with its rows, the columns that carry it, and its remedies."""
    lines = {line["name"]: line for line in slices}
    carriers, cards = _carriers(f), []
    for one in f.findings.iter_rows(named=True):
        number, keys, line = one["finding"], one["train_row_ids"], lines.get(one["slice"])
        carried = carriers.get(number, [])
        columns = [line["column"], line["second_column"]] if line else []
        card = {
            "row_ids": keys,
            "rows": [_named(rows, "train", key, f.provenance.target) for key in keys[:_ROWS]],
            "telling": [column for column in (*columns, *(name for name, _ in carried)) if column],
            "carriers": carried,
            "line": line,
            "predicted": one["predicted_delta_loss"],
            "measured": one["measured_delta_loss"],
            "remedies": list(f.remedies.filter(finding=number).iter_rows(named=True)),
        }
        cards.append(one | card)
    return cards


def _carriers(f: MismatchFindings) -> dict[int, list[tuple[str, float]]]:
    """Sum the effects of whole columns over the training rows of each finding, the strongest first."""
    whole = f.features.filter(pl.col("level").is_null())
    sums = whole.group_by("finding", "column").agg(pl.col("finite_effect").sum().alias("effect"))
    sums = sums.sort(pl.col("effect").abs(), "column", descending=[True, False])
    numbers = sums["finding"].unique()
    pairs = {number: sums.filter(finding=number).select("column", "effect") for number in numbers}
    return {number: list(some.head(_CARRIERS).iter_rows()) for number, some in pairs.items()}


def record_of(card: Fact) -> Fact:
    """Return a finding as a line of JSON has it."""
    left_out = ("train_row_ids", "telling", "features", "predicted_delta_loss", "measured_delta_loss")
    line = card["line"]
    return _without(card, left_out) | {
        "rows": [row | {"cells": [asdict(value) for value in row["cells"]]} for row in card["rows"]],
        "carriers": [{"column": column, "effect": effect} for column, effect in card["carriers"]],
        "remedies": [_without(one, ("finding",)) for one in card["remedies"]],
        "line": line and _without(line, ("name", "error_rate", "low", "high", "harm_low")),
    }


def _without(fact: Fact, names: Sequence[str]) -> Fact:
    return {name: value for name, value in fact.items() if name not in names}


def section(f: MismatchFindings, cards: Sequence[Fact]) -> Section:
    """Return the findings, and what to do about the first."""
    n = len(cards)
    many = "One finding" if n == 1 else f"{words.count(n)} findings, the most severe first"
    lead = (
        f"{many}. Predicted is one Newton step for the whole group of rows (for class rates: Bayes’ rule), "
        "measured is a true refit of the model without them; in both, the other rows and λ stay as they are. "
        "The two part where the loss is far from a parabola on the way, mostly for larger groups."
    )
    shown = blocks.Cards(
        items=tuple(_card(f, one) for one in cards[:_FINDINGS]),
        overview=_overview(cards),
        numbered=True,
        total=n,
        rest=("finding", "findings, all in findings.parquet"),
    )
    none = Sentence("No slice and no group of training rows stands out.", "quiet")
    parts = (shown, *_begin(f, cards[0])) if cards else (Only(blocks.PAGE, (none,)),)
    return Section("Findings", parts, rank=0, key="findings", lead=lead if n else "")


def _overview(cards: Sequence[Fact]) -> Table:
    rows: tuple[Line, ...] = tuple(
        (
            str(one["finding"]),
            _SEVERITIES.get(one["severity"], ("", ""))[1],
            Cell(one["slice"], NAME) if one["slice"] else one["title"][:NAME],
            words.count(one["n_errors"]),
            words.count(one["n_train_rows"]) if one["n_train_rows"] else "all",
            _change(one["predicted"]),
            _change(one["measured"]),
        )
        for one in cards
    )
    legend = (
        "Wrong: mispredicted test rows; rows: training rows behind them; then what their mean loss does, "
        "in nats, without those training rows (all: once rows weigh by class)."
    )
    head = ("", "severity", "about", "wrong", "rows", "predicted", "measured")
    return Table(caption="Findings", head=head, rows=rows, total=len(rows), short=10, legend=legend)


def _change(value: float | None) -> str:
    if value is None or not words.known(value):
        return words.MISSING
    return f"{'falls' if value < 0 else 'rises'} {words.short(abs(value), 2)}"


def _begin(f: MismatchFindings, card: Fact) -> tuple[Block, ...]:
    """Say what the first finding is and what to do; Markdown shows the rows that it rests on."""
    title = Words(f"{card['finding']}. {card['title']}.", "strong")
    proved = Only(blocks.MARKDOWN, (Sentence(_proof(card)), _rows(f, card, columns=3)))
    return (Only(blocks.BRIEF, (Sentence((title, " ", card["advice"])),)), proved)


def _card(f: MismatchFindings, one: Fact) -> blocks.Card:
    key = f"f{one['finding']}"
    strips = [one["line"] and figures.rates(key, one["line"]), figures.proof(key, one)]
    along = figures.errors_along_l2(key, one["remedies"], f.provenance.l2)
    columns = [tuple(blocks.Figure(chart) for chart in column if chart) for column in (strips, [along])]
    parts: list[Block] = [Sentence(one["advice"]), Sentence(_proof(one), "quiet")]
    if any(columns):
        parts.append(blocks.Grid(tuple(filter(None, columns))))
    if one["carriers"]:
        carriers = blocks.List(tuple(map(_carrier, one["carriers"])))
        parts.append(blocks.Fold("Columns that carry it", (carriers,), open=True))
    if one["rows"]:
        parts.append(blocks.Fold(_rows_title(one), (_rows(f, one),)))
    if one["remedies"]:
        parts.append(_remedies(one))
    return blocks.Card(
        title=one["title"],
        name=f"Finding {one['finding']}",
        key=key,
        number=str(one["finding"]),
        badge=_SEVERITIES.get(one["severity"], ("", ""))[0],
        blocks=tuple(parts),
    )


def _proof(card: Fact) -> str:
    if not words.known(card["predicted"]):
        return "Not proved by a refit."
    changed = "Without these training rows" if card["row_ids"] else "With rows weighed by class as in test"
    if card["n_train_rows"] == 1:
        changed = "Without this training row"
    known = words.known(card["measured"])
    measured = f"; measured by a true refit, it {words.moved(card['measured'])}" if known else ""
    whose = f"{changed} the mean loss of its {words.count(card['n_errors'])} mispredicted test rows"
    return f"{whose} {words.moved(card['predicted'])} (predicted){measured}."


def _carrier(carrier: tuple[str, float]) -> Inline:
    column, effect = carrier
    size = f"{words.short(abs(effect), 2)} nats {'lower' if effect < 0 else 'higher'}"
    would = f": with other cells in it the mean loss of the wrong test rows would be {size}."
    nothing = not words.known(effect) or effect == 0
    return (Cell(column, LABEL), ": other cells would change nothing." if nothing else would)


def _rows_title(card: Fact) -> str:
    shown, n = len(card["rows"]), card["n_train_rows"]
    if n > shown:
        return f"The {words.count(shown)} most harmful of its {words.count(n)} training rows"
    return "Its training row" if shown == 1 else f"Its {words.count(shown)} training rows"


def _rows(f: MismatchFindings, card: Fact, columns: int = _COLUMNS) -> Table:
    """Return the cells of a finding's rows, one line a row; columns that matter are among them."""
    names = [value.column for value in next((row["cells"] for row in card["rows"] if row["cells"]), ())]
    shown = [names[at] for at in blocks.chosen(names, card["telling"], columns)]
    left = len(names) - len(shown)
    lines = tuple((*_head(row), *_cells(row, shown)) for row in card["rows"])
    legend = f"… and {few(left, 'more column')}, all in cells.parquet next to this page." if left else ""
    head: Line = ("row", Cell(f.provenance.target, LABEL), *(Cell(name, LABEL) for name in shown))
    return Table(caption=_rows_title(card), head=head, rows=lines, lead=legend)


def _head(row: Fact) -> tuple[Inline, Inline]:
    return Cell(row["row_id"], NAME), Cell(row["label"], LABEL) if row["label"] else words.MISSING


def _cells(row: Fact, names: Sequence[str]) -> list[Inline]:
    known = {value.column: value for value in row["cells"] if value.text}
    return [cell(known[name], _TEXT) if name in known else words.MISSING for name in names]


def _remedies(card: Fact) -> blocks.Fold:
    counted = words.count(card["remedies"][0]["n_counted"])
    table = Table(
        caption="Each remedy was tried by a true refit; wrong rows and losses before → after",
        head=(
            "Remedy", "What was done", f"Wrong of {counted}", "Their mean loss (nats)", "Wrong of all",
            "Mean loss of all (nats)", "Loss of its wrong rows, predicted", "measured", "So it",
        ),
        rows=tuple(map(_remedy, card["remedies"])),
        style="plain",
    )  # fmt: skip
    return blocks.Fold("What was tried, and what came of it", (table,))


def _remedy(one: Fact) -> tuple[Inline, ...]:
    def became(name: str, text: Any) -> str:
        before, after = one[f"{name}_before"], one[f"{name}_after"]
        return f"{text(before)} → {text(after)}" if words.known(after) else text(before)

    def nats(name: str) -> str:
        return became(name, lambda value: words.fixed(value, 3)) + " nats" * words.known(one[f"{name}_after"])

    moves = (one["predicted"], one["measured"])
    return (
        _HOW.get(one["remedy"], one["remedy"]),
        one["detail"][:250],
        became("errors", words.count),
        nats("slice_loss"),
        became("test_errors", words.count),
        nats("test_loss"),
        *(words.moved(move) if words.known(move) else words.MISSING for move in moves),
        {True: "cures it", False: "no cure", None: "not tried"}[one["cures"]],
    )


def traced(f: MismatchFindings, rows: Rows, cards: Sequence[Fact]) -> Section:
    """Return traced test rows, each with the training rows that harm and help it most."""
    telling = {one["finding"]: one["telling"] for one in cards}
    pairs = (_pair(f, trace, telling.get(trace["finding"], ())) for trace in _traces(f, rows))
    shown: list[Block] = [blocks.Cards(items=tuple(pairs), empty="No test row was traced.")]
    if chart := figures.concentration(f.responsible["effective_rows"]):
        shown.insert(0, charts(chart))
    if len(f.harmful):
        shown.append(blocks.Group("Training rows that cost most", (harmful_rows(f),)))
    lead = (
        "Test rows and the training rows that harm and help their prediction most. Harmful is a row whose "
        "removal lowers the loss of the test row."
    )
    return Section("Traced rows", tuple(shown), rank=2, key="traced", lead=lead)


def _traces(f: MismatchFindings, rows: Rows) -> list[Fact]:
    """Return traced test rows with the training rows behind them: first those of findings, in their order."""
    numbers = f.findings.sort("finding", descending=True).select("finding", "test_row_ids")
    about_ = {key: number for number, keys in numbers.iter_rows() for key in keys}
    kept = {key for part, key in rows if part == "test"}
    facts = list(f.responsible.filter(pl.col("test_row_id").is_in(kept)).iter_rows(named=True))
    facts.sort(key=lambda one: (about_.get(one["test_row_id"], math.inf), -one["loss"], one["test_row"]))
    behind, target = _sides(f, [one["test_row_id"] for one in facts]), f.provenance.target
    found = []
    for one in _spread([fact for fact in facts if fact["test_row_id"] in behind], about_):
        key = one["test_row_id"]
        training = [(_named(rows, "train", name, target), change) for name, change in behind[key]]
        test = _named(rows, "test", key, target) | {"label": one["label"]}
        found.append(one | {"finding": about_.get(key), "test": test, "behind": training})
    return found


def _spread(facts: Sequence[Fact], about_: Mapping[str, int]) -> list[Fact]:
    """Take one test row of every finding, then second ones, then the rest, up to the number shown."""
    seen: Counter[int | None] = Counter()
    turns = []
    for fact in facts:
        group = about_.get(fact["test_row_id"])
        seen[group] += 1
        turns.append(seen[group] + (_PAIRS if group is None else 0))
    order = sorted(range(len(facts)), key=lambda i: (turns[i], i))[:_PAIRS]
    return [facts[i] for i in sorted(order)]


def _sides(f: MismatchFindings, keys: list[str]) -> dict[str, list[tuple[str, float]]]:
    """Return the most harmful and then the most helpful training rows of some test rows."""
    found: dict[str, tuple[list[tuple[str, float]], list[tuple[str, float]]]] = {}
    some = f.traces.filter(pl.col("test_row_id").is_in(keys)).sort("test_row", "rank")
    some = some.select("test_row_id", "train_row_id", "delta_loss_if_removed")
    for key, row_id, change in some.iter_rows():
        side = found.setdefault(key, ([], []))[0 if change < 0 else 1]
        if len(side) < _PARTNERS:
            side.append((row_id, change))
    return {key: [*harmful, *helpful] for key, (harmful, helpful) in found.items()}


def _pair(f: MismatchFindings, trace: Fact, telling: Sequence[str]) -> blocks.Card:
    key, target, test = trace["test_row_id"], f.provenance.target, trace["test"]
    names = [value.column for value in test["cells"]]
    shown = [names[at] for at in blocks.chosen(names, telling, _PAIR_COLUMNS)]
    rows = [test, *(row for row, _ in trace["behind"])]
    row_ids, labels = zip(*map(_head, rows), strict=True)
    cells = zip(*(_cells(row, shown) for row in rows), strict=True)
    body: list[Line] = [("row", *row_ids), (Cell(target, LABEL), *labels)]
    body += [(Cell(name, LABEL), *values) for name, values in zip(shown, cells, strict=True)]
    kinds = ["harmful" if change < 0 else "helpful" for _, change in trace["behind"]]
    table = Table(
        caption=f"Test row {key[:NAME]} and its training rows",
        head=("column", "test row", *(f"{kind} training row" for kind in kinds)),
        rows=tuple(body),
        total=len(body) + len(names) - len(shown),
        rest=("column", "columns, all in cells.parquet next to this page"),
    )
    belongs = f" It belongs to finding {trace['finding']}." if trace["finding"] is not None else ""
    numbers = (
        f"”: the model gives its label probability {words.share(trace['p_label'])}, a loss of "
        f"{words.fixed(trace['loss'])} nats. The prediction rests on {words.count(trace['effective_rows'])} "
        f"training rows (effective number); the strongest one has {words.share(trace['top_share'])} of the "
        f"influence.{belongs}"
    )
    sentence = (
        "Labelled “", Cell(trace["label"], LABEL), "”, predicted “", Cell(trace["predicted_label"], LABEL),
        numbers,
    )  # fmt: skip
    effects = blocks.List(tuple(_effect(key, row, change) for row, change in trace["behind"]))
    fold = blocks.Fold("Side by side", (table,), of=f"Test row {key[:NAME]}")
    return blocks.Card(title=("Test row ", Cell(key, NAME)), blocks=(Sentence(sentence), effects, fold))


def _effect(test: str, row: Fact, change: float) -> Inline:
    verb, kind = ("lowers", "harmful") if change < 0 else ("raises", "helpful")
    train, by = Cell(row["row_id"], NAME), f" by {words.short(abs(change), 2)} nats: {kind}."
    return ("Removing training row ", train, f" {verb} the loss of test row ", Cell(test, NAME), by)


def harmful_rows(f: MismatchFindings) -> Table:
    """List the training rows that cost the mispredicted test rows most."""
    return Table(
        caption="Training rows by the loss of the mispredicted test rows that they cost",
        head=("training row", Cell(f.provenance.target, LABEL), "removing it", "and"),
        rows=tuple(
            (
                Cell(one["train_row_id"], NAME),
                Cell(one["label"], LABEL),
                _lowers("summed loss of the mispredicted test rows", one["harm_on_errors"]),
                _lowers("summed loss of all test rows", one["harm_on_test"]),
            )
            for one in f.harmful.sort("rank").head(_HARMFUL).iter_rows(named=True)
        ),
    )


def _lowers(loss: str, harm: float) -> str:
    if not words.known(harm):
        return f"changes the {loss} by an unknown amount"
    return f"{'lowers' if harm > 0 else 'raises'} the {loss} by {words.short(abs(harm))} nats"
