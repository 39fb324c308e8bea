"""What if some training rows were not there: the section of an explanation that says so."""

from __future__ import annotations

from typing import Final

import polars as pl

from dataaudit.findings.record import WITHHELD
from dataaudit.findings.schemas import ExplanationFindings
from dataaudit.report import blocks as b
from dataaudit.report import words
from dataaudit.report.common import LABEL, NAME, Fact, joined

_TURNED: Final = 20  # test rows
_CLASSES: Final = 6
_WHEN: Final = ("before", "predicted", "after")
_PREDICTED: Final = ("predicted_label", "predicted_without")
_SCOPES: Final = {"prediction": "this prediction", "test": "all test rows"}
_LEAD: Final = (
    "The training rows that fulfil the condition are left out all at once. What that does is predicted by "
    "one Newton step for the whole group and measured by training again; encoding and λ stay as they are."
)


def sentence(f: ExplanationFindings) -> str:
    """Say what leaving the rows out does; nothing where it was not asked."""
    return str(f.provenance.without.get("sentence", ""))


def sections(f: ExplanationFindings) -> tuple[b.Section, ...]:
    """Return the section about the rows that are left out, if there are some."""
    if not len(f.without):
        return ()
    condition = str(f.provenance.without.get("condition", ""))
    named = "some training rows" if condition == WITHHELD else condition[:LABEL]
    blocks = (b.Sentence(_leaving(f)), _effects(f), *_turned(f))
    return (b.Section(f"Without {named}", blocks, rank=0, key="without", nav="Without", lead=_LEAD),)


def _leaving(f: ExplanationFindings) -> b.Inline:
    """Say how many rows of each class leave, those of the largest share first."""
    leave = f.without_classes.filter(pl.col("n_removed") > 0).sort(
        pl.col("n_removed") / pl.col("n"), descending=True
    )
    parts = [
        (f"{words.count(gone)} of {words.count(n)} rows of “", b.Cell(name, LABEL), "”")
        for name, n, gone in leave.head(_CLASSES).iter_rows()
    ]
    rest = words.more(len(leave) - _CLASSES, "class", "classes").rstrip(".")
    return "These are ", *joined(parts), f" {rest}." if rest else "."


def _effects(f: ExplanationFindings) -> b.Table:
    where = str(f.provenance.without.get("where") or "")
    scopes = _SCOPES | {"slice": "a slice of them" if where == WITHHELD else f"test rows where {where}"}
    rows: list[b.Line] = []
    for one in f.without.iter_rows(named=True):
        errors = (words.count(one[f"errors_{when}"]) for when in _WHEN)
        losses = (words.short(one[f"loss_{when}"]) for when in _WHEN)
        rows.append((b.Cell(scopes.get(one["scope"], ""), 40), words.count(one["n"]), *errors, *losses))
    return b.Table(
        caption="Wrong predictions and mean loss (nats) without them",
        head=("of", "rows", "wrong now", "one step", "refit", "loss now", "one step", "refit"),
        rows=tuple(rows),
    )


def _turned(f: ExplanationFindings) -> tuple[b.Block, ...]:
    """List the test rows that get another class."""
    turned = f.turned.filter(pl.col("predicted_label") != pl.col("predicted_without"))
    if not len(turned):
        return (b.Sentence("No test row gets another class."),)
    rows = tuple(_turn(one) for one in turned.head(_TURNED).iter_rows(named=True))
    table = b.Table(
        caption="Test rows that get another class",
        head=("test row", "label", "now", "without", "p(label)"),
        rows=rows,
        short=6,
        total=len(turned),
        rest=("test row", "test rows: turned.parquet"),
        legend="Probability of the row’s own label: now, predicted by one step, after the refit.",
    )
    return (table,)


def _turn(one: Fact) -> b.Line:
    label = one["label"]
    now, then = (b.Cell(one[name], 24, "for" if one[name] == label else "") for name in _PREDICTED)
    p = ", ".join(words.fixed(one[f"p_{when}"]) for when in ("before", "predicted", "after"))
    return (
        b.Cell(one["test_row_id"], NAME),
        words.MISSING if label is None else b.Cell(label, 24),
        now,
        then,
        p,
    )
