"""Sentences of the tables said again without the words of the data: from numbers, and what a veil lets by.

A sentence was made of cells, labels and names, and cutting them out of it would miss some; so none is kept.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from dataaudit.summary.veil import WITHHELD, WORD, Veil

Row = Mapping[str, Any]
_CHANCE: Final = {True: "beyond chance", False: "no more than by chance", None: "not tested"}
_PARTS: Final = ("total", "inputs", "labels")  # of a difference of loss
_WITHOUT_LEVELS: Final = ("two-sample", "loss", "label", "missing", "duplicate", "conflict")
_COMPARED: Final = {
    "two-sample": "how well train and test can be told apart",
    "loss": "the difference of loss",
    "label": "shares of classes",
    "concept": "labels given the column",
    "covariate": "the distribution",
    "missing": "missing cells",
    "unseen": "levels that training never has",
    "out-of-range": "values outside the training range",
    "duplicate": "rows that training has too",
    "conflict": "rows that training has with another label",
}
_NUMBERS: Final = re.compile(
    r"[\d,]+ training rows? (removed|at half weight)|λ = [\d.e+-]+, [\d.e+-]+ times the one in use"
)
_FLIP: Final = ("found", "rows", "share", "before", "predicted", "measured")  # numbers
_VERSUS: Final = ("models", "order_correlation", "shared", "of")
_CURES: Final = {
    "remove": "removing its training rows",
    "down-weight": "halving their weight",
    "relabel": "relabelling them",
    "reweigh": "weighing rows by class",
    "ridge": "another λ",
}


def check(_veil: Veil, row: Row) -> str:
    """Say how a check of the audit itself went."""
    state = "in order" if row["ok"] else "not in order"
    if not _known(row["value"]):
        return f"The check “{row['check']}” is {state}."
    limit = f", limit {row['limit']:.3g}" if _known(row["limit"]) else ""
    return f"The check “{row['check']}” is {state}: {row['value']:.3g}{limit}."


def removal(_veil: Veil, row: Row) -> str:
    """Say what removing a training row does to the test row."""
    change = row["delta_loss_if_removed"]
    whose = "the loss of the test row"
    if not change:
        return f"removing this row does not change {whose}"
    does, is_so = ("lowers", "harmful") if change < 0 else ("raises", "helpful")
    return f"removing this row {does} {whose} by {abs(change):.3g} nats: {is_so}"


def contribution(veil: Veil, row: Row) -> str:
    """Say what a column, or a word, does to the score."""
    name = veil.column(row["column"])
    what = f"{name} = {WITHHELD}" if row["level"] is None else f"{WORD} of {name}"
    does = "raises" if row["contribution"] > 0 else "lowers"
    return f"{what} {does} the log-odds of the predicted class by {abs(row['contribution']):.3g}"


def difference(veil: Veil, row: Row) -> str:
    """Say how far test differs from train; what names no level is kept, unless names are withheld."""
    measure, level, size = row["measure"], shift_level(veil, row), ""
    if measure in _WITHOUT_LEVELS and not veil.all:
        return str(row["message"])
    where = "all columns" if row["column"] is None else f"“{veil.column(row['column'])}”"
    named = f" ({level})" if level is not None else ""
    if _known(row["value"]):
        size = f" {row['value']:.3g},"
    return (
        f"In {where}, {_COMPARED.get(measure, 'a difference')}{named}:{size} {_CHANCE[row['significant']]}."
    )


def shift_level(veil: Veil, row: Row) -> str | None:
    """Return what may be told of the level of a difference: a class, a part of the loss, or a level."""
    level, column = row["level"], row["column"]
    if level is None or (row["measure"] == "loss" and level in _PARTS):
        return level  # type: ignore[no-any-return]  # a row's values are of any type
    if row["measure"] == "label":
        return veil.label(level)
    return veil.level(column or "", level)


def title(row: Row, name: str) -> str:
    """Say what a finding is about."""
    rows = f"{row['n_train_rows']:,} training row{'' if row['n_train_rows'] == 1 else 's'}"
    rows = rows if row["n_train_rows"] else "all training rows"
    return f"{name + ': ' if name else ''}{row['n_errors']:,} wrong test rows trace back to {rows}"


def advice(tried: list[str]) -> str:
    """Say which remedies cure a finding."""
    cures = [_CURES[name] for name in dict.fromkeys(tried) if name in _CURES]
    if not cures:
        return "Look at the labels of its training rows first."
    *first, last = cures
    return f"It is cured by {', '.join(first)}{' or ' if first else ''}{last}."


def remedy(veil: Veil, row: Row) -> str:
    """Say how a remedy was tried."""
    classes = row["remedy"] in ("relabel", "reweigh") and not veil.all
    return str(row["detail"]) if classes or _NUMBERS.fullmatch(row["detail"]) else WITHHELD


def flip(found: Mapping[str, Any]) -> dict[str, Any]:
    """Say how few rows overturn the conclusion, not which one it is: it may name a level."""
    if not found:
        return {}
    said = "No set of training rows was found whose removal overturns the conclusion that was asked about."
    if found.get("found"):
        n, share = found.get("rows") or 0, found.get("share") or 0.0
        rows = f"{n:,} training row{'' if n == 1 else 's'} ({100 * share:.2g} %)"
        said = f"Removing {rows} overturns the conclusion that was asked about (confirmed by retraining)."
    numbers = {name: found[name] for name in _FLIP if name in found}
    return {**numbers, "conclusion": WITHHELD, "sentence": said}


def versus(found: Mapping[str, Any]) -> dict[str, Any]:
    """Return how far two models agree: their names are ours, the rest is numbers."""
    return {name: found[name] for name in _VERSUS if name in found}


def _known(value: float | None) -> bool:
    return value is not None and math.isfinite(value)


BY_CELLS: Final[Mapping[tuple[str, str], Callable[[Veil, Row], str]]] = {
    ("shift", "message"): difference,
    ("contributions", "effect"): contribution,
    ("remedies", "detail"): remedy,
}  # table and column → what says it again; what has no cells in it is kept unless all is withheld
BY_ALL: Final[Mapping[tuple[str, str], Callable[[Veil, Row], str]]] = {
    ("health", "message"): check,
    ("influences", "effect"): removal,
    ("neighbours", "effect"): removal,
}
