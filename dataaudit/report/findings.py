"""Findings of a mismatch: what fixing each is worth, its picture, its rows; and traced test rows."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict
from typing import Any, Final

import polars as pl

from dataaudit.findings.schemas import MismatchFindings
from dataaudit.report import blocks, figures, words
from dataaudit.report.blocks import Block, Cell, Inline, Line, Only, Section, Sentence, Table, Words
from dataaudit.report.charts import lengths
from dataaudit.report.common import LABEL, NAME, few
from dataaudit.report.rows import Rows, side_by_side
from dataaudit.report.words import row_name

Fact = dict[str, Any]
_FIRST: Final = 3  # causes that are shown in full
_NOTES: Final = 5  # where nothing is more than a note
_PAIRS, _PARTNERS, _PAIR_COLUMNS = 10, 2, 12  # traced test rows; harmful and helpful rows of each; columns
_ROWS: Final = 10  # training rows of a finding that are shown with their cells, and test rows
_COLUMNS: Final = 8  # of them
_CARRIERS: Final = 3
_HARMFUL: Final = 10
_LOOKED_AT: Final = 10  # coefficients that people look at
_SEVERITIES: Final[dict[str, tuple[Inline, Inline]]] = {  # on a card, and in a table
    "high": (Words("High severity", "against"), Words("high", "against")),
    "medium": (Words("Medium severity", "against"), Words("medium", "strong")),
    "note": (Words("Note", "quiet"), Words("note", "quiet")),
}
_ABOUT: Final = {"rates": "class rates", "copies": "copies with another label"}  # where there is no column
_OF_ROWS: Final = ("copies", "row", "rows")  # kinds whose rows are their picture


def _named(rows: Rows, part: str, key: str, target: str) -> Fact:
    values = rows.get((part, key), ())
    label = next((value.text for value in values if value.column == target), "")
    return {"row_id": key, "part": part, "label": label, "cells": [v for v in values if v.column != target]}


def findings_of(f: MismatchFindings, rows: Rows) -> list[Fact]:
    """Return every finding with what was tried for it, its by-products and its rows."""
    found: list[Fact] = []
    carriers = _carriers(f)
    for one in f.findings.iter_rows(named=True):
        number, target = one["finding"], f.provenance.target
        shown = [_named(rows, "train", key, target) for key in one["train_row_ids"]]
        tests = [key for key in one["test_row_ids"] if one["kind"] in _OF_ROWS and ("test", key) in rows]
        against = [_named(rows, "test", key, target) for key in tests]
        if one["kind"] == "copies":
            shown, against = _twins(shown, against), []
        shown = [*shown[:_ROWS], *against[:_ROWS]]
        more = {
            "about": _about(one),
            "rows": shown,
            "telling": {*one["columns"], *carriers.get(number, ())},
            "fixes": list(f.fixes.filter(finding=number).iter_rows(named=True)),
            "profiles": f.profiles.filter(finding=number),
        }
        found.append(one | more)
    return found


def _twins(train: list[Fact], test: list[Fact]) -> list[Fact]:
    """Return the rows that have the same cells in both tables, next to each other, if some have."""

    def cells(row: Fact) -> list[str]:
        return [value.text for value in row["cells"]]

    both = [[cells(row) for row in part] for part in (train, test)]
    same = [row for row in (*train, *test) if all(cells(row) in known for known in both)]
    return sorted(same, key=cells) or train


def _carriers(f: MismatchFindings) -> dict[int, list[str]]:
    """Return the columns that carry most of the influence of the training rows of each finding."""
    size = pl.col("finite_effect").sum().abs()
    sums = f.features.group_by("finding", "column").agg(size).sort("finite_effect", "column", descending=True)
    return dict(sums.group_by("finding").agg(pl.col("column").head(_CARRIERS)).iter_rows())


def _about(one: Fact) -> str:
    """Name a finding in a few words."""
    if one["kind"] == "row" and one["train_row_ids"]:
        return f"training {row_name(one['train_row_ids'][0])}"
    if one["kind"] == "rows":
        return few(one["n_train_rows"], "training row")
    columns = " and ".join(one["columns"])
    if one["cause"] == "level":
        return "level of the labels"
    return str(one["slice"] or _ABOUT.get(one["kind"], f"{columns} ({one['cause']})"))


def causes(found: Sequence[Fact]) -> list[Fact]:
    """Return the findings that are more than a note, or than a by-product of another one."""
    return [one for one in found if one["severity"] != "note" and one["under"] is None]


def notes(found: Sequence[Fact]) -> list[Fact]:
    """Return the findings that are notes, of their own."""
    return [one for one in found if one["severity"] == "note" and one["under"] is None]


def record_of(one: Fact) -> Fact:
    """Return a finding as a line of JSON has it."""
    left_out = ("about", "telling", "features", "profiles", "test_row_ids")
    return _without(one, left_out) | {
        "rows": [row | {"cells": [asdict(value) for value in row["cells"]]} for row in one["rows"]],
        "fixes": [_without(fix, ("finding",)) for fix in one["fixes"]],
    }


def _without(fact: Fact, names: Sequence[str]) -> Fact:
    return {name: value for name, value in fact.items() if name not in names}


def section(f: MismatchFindings, found: Sequence[Fact]) -> Section:
    """Return the first causes with their pictures, then the others, then notes."""
    first, small = causes(found), notes(found)
    lead = (
        "Each fix was tried on the labelled test rows: its worth is the loss that it takes from them, in "
        "nats. What disappears once a cause is fixed is its by-product."
    )
    shown: list[Block] = []
    if first:
        shown.append(
            Only(blocks.BRIEF, (Sentence((Words("What to do:", "strong"), " ", first[0]["advice"])),))
        )
    cards = [_card(f, one, found) for one in first]
    overview = _overview(first or small[:_NOTES])
    shown.append(blocks.Cards(items=tuple(cards[:_FIRST]), overview=overview, numbered=True))
    tried = (
        blocks.Fold(f"Finding {one['finding']}: what was tried", (_fixes(one),)) for one in first[:_FIRST]
    )
    shown.append(Only(blocks.MARKDOWN, tuple(tried)))
    if cards[_FIRST:]:
        more = blocks.Cards(items=tuple(cards[_FIRST:]), numbered=True)
        title = f"{few(len(cards) - _FIRST, 'further cause')}, each worth less"
        shown.append(Only(blocks.PAGE, (blocks.Fold(title, (more,)),)))
    if not first:
        none = "Nothing that was tried takes more loss from the test rows than chance does."
        shown.insert(0, Only(blocks.PAGE, (Sentence(none, "quiet"),)))
    if small:
        title = f"{few(len(small), 'note')}: worth little, or no more than chance"
        shown.append(Only(("page", "markdown"), (blocks.Fold(title, (_overview(small, f"{title}."),)),)))
    return Section("Findings", tuple(shown), rank=0, key="findings", lead=lead if first else "")


def _overview(found: Sequence[Fact], caption: str = "What to look at first") -> Table:
    rows: tuple[Line, ...] = tuple(
        (
            str(one["finding"]),
            _SEVERITIES.get(one["severity"], ("", ""))[1],
            Cell(one["about"], NAME),
            words.nats(one["worth"]),
            words.share(one["share"], 0),
            _wrong(one),
        )
        for one in found
    )
    n = next((fix["rows"] for one in found for fix in one["fixes"]), None)
    of = f" of {words.count(n)} test rows" if n else ""
    legend = f"Worth: nats of test loss that fixing it takes away, and their share; wrong{of} before → after."
    head = ("", "severity", "about", "worth", "of loss", "wrong")
    bars = lengths([max(one["worth"], 0.0) for one in found])
    return Table(caption=caption, head=head, rows=rows, bars=bars, total=len(rows), short=10, legend=legend)


def _card(f: MismatchFindings, one: Fact, found: Sequence[Fact]) -> blocks.Card:
    key, of_rows = f"f{one['finding']}", one["kind"] in _OF_ROWS
    picture = (
        [] if of_rows else [blocks.Figure(chart) for chart in figures.pictures(key, one, f.provenance.roles)]
    )
    parts: list[Block] = [Sentence(one["advice"]), Sentence(_worth(one), "quiet")]
    parts += (
        [Sentence(_coefficients(one, f.provenance.n_features), "quiet")] if words.known(one["larger"]) else []
    )
    parts.append(blocks.Grid((*((chart,) for chart in picture), (_fixes(one),))))
    if one["rows"]:
        parts.append(blocks.Fold(_rows_title(one), (_rows(f, one),), open=of_rows))
    if under := [other for other in found if other["under"] == one["finding"]]:
        title = f"{few(len(under), 'by-product')}: gone, or nearly, once it is fixed"
        parts.append(blocks.Fold(title, (_by_products(under, title),)))
    return blocks.Card(
        title=one["title"],
        name=f"Finding {one['finding']}",
        key=key,
        number=str(one["finding"]),
        badge=_SEVERITIES.get(one["severity"], ("", ""))[0],
        blocks=tuple(parts),
    )


def _worth(one: Fact) -> str:
    size = f"{words.nats(one['worth'])} nats of the summed test loss ({words.share(one['share'], 0)}"
    ends = f"95 % interval {words.nats(one['worth_low'])} to {words.nats(one['worth_high'])})"
    carried = f" Columns that carry it: {one['features']}." if one["features"] else ""
    proved = ""
    if words.known(one["measured_delta_loss"]):
        moves = [words.moved(one[f"{how}_delta_loss"]) for how in ("predicted", "measured")]
        proved = f" By one Newton step the mean test loss {moves[0]}, by a true refit it {moves[1]}."
    return f"Fixing it is worth {size}; {ends}.{proved}{carried}"


def _coefficients(one: Fact, n: int) -> str:
    """Say whether a look at the largest coefficients would show it (Koh & Liang 2017, section 5.3)."""
    larger = one["larger"]
    shows = "would not show it" if larger >= _LOOKED_AT else "would show it"
    n_larger = f"{words.count(larger)} of {words.count(n)}" if larger else f"none of {words.count(n)}"
    return f"A look at the coefficients {shows}: {n_larger} {'are' if larger > 1 else 'is'} larger."


def _by_products(under: Sequence[Fact], caption: str) -> Table:
    rows: tuple[Line, ...] = tuple(
        (Cell(one["about"], NAME), f"{words.nats(one['worth'])} nats", words.share(one["left"], 0))
        for one in under
    )
    return Table(caption=caption, head=("about", "worth alone", "left of it then"), rows=rows)


def _fixes(one: Fact) -> Table:
    """List what was tried for a finding, and what it changed."""
    tried = sorted(one["fixes"], key=lambda fix: -(fix["worth"] or 0.0))
    rows: tuple[Line, ...] = tuple(
        (
            Words(fix["detail"][:250], "strong") if fix["best"] else fix["detail"][:250],
            words.nats(fix["worth"]),
            _wrong(fix),
        )
        for fix in tried
    )
    return Table(
        caption="What was tried, on all test rows",
        head=("fix", "worth (nats)", "wrong"),
        rows=rows,
        style="plain",
    )


def _wrong(fact: Fact) -> str:
    """Return how many test rows are wrong before and after a fix."""
    return words.became(*(words.count(fact[f"errors_{when}"]) for when in ("before", "after")))


def _rows_title(one: Fact) -> str:
    n, shown = one["n_train_rows"], sum(row["part"] == "train" for row in one["rows"])
    title = "Its training row" if n == 1 else f"Its {words.count(n)} training rows"
    if n > shown:
        which = "" if one["kind"] == "copies" else " most harmful"
        title = f"{words.count(shown)}{which} of its {words.count(n)} training rows"
    return f"{title}, next to test rows" if shown < len(one["rows"]) else title


def _rows(f: MismatchFindings, one: Fact) -> Table:
    """Return the cells of a finding's rows, one line a row; columns that matter are among them."""
    both = len({row["part"] for row in one["rows"]}) > 1
    parts = {"train": "training", "test": "test"}
    rows = [
        (f"{parts[r['part']]} {row_name(r['row_id'])}" if both else r["row_id"], r["label"], r["cells"], ())
        for r in one["rows"]
    ]
    title, target = _rows_title(one), f.provenance.target
    return side_by_side(rows, target=target, caption=title, most=_COLUMNS, tells=one["telling"])


def traced(f: MismatchFindings, rows: Rows, found: Sequence[Fact]) -> Section:
    """Return traced test rows, each with the training rows that harm and help it most."""
    telling = {one["finding"]: one["telling"] for one in found}
    pairs = tuple(_pair(f, trace, telling.get(trace["finding"], ())) for trace in _traces(f, rows))
    chart = figures.concentration(f.responsible["effective_rows"])
    columns = [(blocks.Figure(chart),)] if chart else []
    harmful: list[tuple[Block, ...]] = [(harmful_rows(f),)] if len(f.harmful) else []
    none = Sentence("No test row was traced.", "quiet")
    lead = (
        "Test rows and the training rows that harm and help their prediction most. Harmful is a row whose "
        "removal lowers the loss of the test row."
    )
    shown = (blocks.Grid((*columns, *harmful)), *(pairs or (none,)))
    return Section("Traced rows", shown, rank=2, key="traced", lead=lead)


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


def _pair(f: MismatchFindings, trace: Fact, telling: Collection[str]) -> blocks.Fold:
    test, name = trace["test"], f"Test {row_name(trace['test_row_id'])}"
    sides = [("", test, 0.0), *(("harmful" if c < 0 else "helpful", row, c) for row, c in trace["behind"])]
    rows = [
        (f"{kind} {row_name(row['row_id'])}" if kind else name, row["label"], row["cells"], ())
        for kind, row, _ in sides
    ]
    known = words.known(trace["p_label"])  # of numbers there is none
    likely = f"The model gives its label probability {words.share(trace['p_label'])}. " if known else ""
    numbers = (
        f"{likely}The prediction rests on "
        f"{words.count(trace['effective_rows'])} training rows (effective number); the strongest one has "
        f"{words.share(trace['top_share'])} of the influence."
    )
    belongs = f" It belongs to finding {trace['finding']}." if trace["finding"] is not None else ""
    effects = blocks.List(tuple(_effect(row, change) for _, row, change in sides[1:]))
    caption = f"{name} and its training rows"
    table = side_by_side(rows, target=f.provenance.target, caption=caption, most=_PAIR_COLUMNS, tells=telling)
    labels = f"labelled “{trace['label'][:LABEL]}”, predicted “{trace['predicted_label'][:LABEL]}”"
    title = f"{name}, {labels}: a loss of {words.fixed(trace['loss'])} nats"
    return blocks.Fold(title, (Sentence(numbers + belongs), effects, table))


def _effect(row: Fact, change: float) -> Inline:
    verb, kind = ("lowers", "harmful") if change < 0 else ("raises", "helpful")
    by = f" {verb} its loss by {words.short(abs(change), 2)} nats: {kind}."
    return ("Removing training ", Cell(row_name(row["row_id"]), NAME), by)


def harmful_rows(f: MismatchFindings) -> Table:
    """List the training rows that cost the mispredicted test rows most."""
    shown = f.harmful.sort("rank").head(_HARMFUL)
    said = "What the summed loss of the mispredicted rows, and of all test rows, does without each, in nats."
    return Table(
        caption="Training rows that cost most",
        head=("training row", Cell(f.provenance.target, LABEL), "wrong rows", "all rows"),
        rows=tuple(
            (Cell(row_id, NAME), Cell(label, LABEL), *(words.change(-harm) for harm in harms))
            for row_id, label, *harms in shown.select(
                "train_row_id", "label", "harm_on_errors", "harm_on_test"
            ).iter_rows()
        ),
        bars=lengths([max(harm or 0.0, 0.0) for harm in shown["harm_on_errors"]]),
        lead=said,
        legend=said,
    )
