"""Sentences made of facts: columns of words, and what stands in for a sentence that quotes the data."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import polars as pl

if TYPE_CHECKING:
    from dataaudit.findings.record import Record

Row = Mapping[str, Any]

_CHANCE: Final = {True: "beyond chance", False: "no more than by chance", None: "not tested"}
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
_CURES: Final = {
    "remove": "removing its training rows",
    "down-weight": "halving their weight",
    "relabel": "relabelling them",
    "reweigh": "weighing rows by class",
    "ridge": "another λ",
}


def removals(frame: pl.DataFrame, record: Record) -> pl.Series:
    """Say what removing a training row does to the loss of the test row that is explained."""
    whose = _loss_explained(record)
    return pl.Series(
        "effect", [_removal(change, whose) for change in frame["delta_loss_if_removed"]], pl.String
    )


def _removal(change: float, whose: str) -> str:
    if change == 0:
        return f"removing this row does not change {whose}"
    does, is_so = ("lowers", "harmful") if change < 0 else ("raises", "helpful")
    return f"removing this row {does} {whose} by {abs(change):.3g} nats: {is_so}"


def _loss_explained(record: Any) -> str:
    """Return how sentences of an explanation name the loss that changes."""
    as_class = "" if record.label is not None else f" as “{record.explained_label}”"
    return f"the loss of test row {record.test_row}{as_class}"


def column_effects(frame: pl.DataFrame, record: Record) -> pl.Series:
    """Say what another cell in a column, or a text without a word, would do to that loss."""
    whose = _loss_explained(record)
    columns = (frame[name] for name in ("column", "level", "finite_effect"))
    effects = [_swap(*row, whose=whose) for row in zip(*columns, strict=True)]
    return pl.Series("effect", effects, pl.String)


def _swap(column: str, level: str | None, change: float, *, whose: str) -> str:
    changed = f"another {column} in this row" if level is None else f"this row without the word “{level}”"
    if change == 0:
        return f"{changed} would not change {whose}"
    return f"{changed} would {'lower' if change < 0 else 'raise'} {whose} by {abs(change):.3g} nats"


def traces(frame: pl.DataFrame, _record: Record) -> pl.Series:
    """Say what removing a training row does to the loss of a test row."""
    change = pl.col("delta_loss_if_removed")
    word = (
        pl.when(change < 0)
        .then(pl.lit("harmful: removing it lowers the loss by "))
        .otherwise(pl.lit("helpful: removing it raises the loss by "))
    )
    size = change.abs().round_sig_figs(3).cast(pl.String)
    return frame.select(pl.concat_str(word, size).alias("effect")).to_series()


def check(row: Row) -> str:
    """Say how a check of the audit itself went."""
    state = "in order" if row["ok"] else "not in order"
    if not _known(row["value"]):
        return f"The check “{row['check']}” is {state}."
    limit = f", limit {row['limit']:.3g}" if _known(row["limit"]) else ""
    return f"The check “{row['check']}” is {state}: {row['value']:.3g}{limit}."


def contribution(what: str, value: float) -> str:
    """Say what a column, or a word, does to the score."""
    does = "raises" if value > 0 else "lowers"
    return f"{what} {does} the log-odds of the predicted class by {abs(value):.3g}"


def difference(row: Row, column: str | None, level: str | None) -> str:
    """Say how far test differs from train."""
    where = "all columns" if column is None else f"“{column}”"
    named = f" ({level})" if level is not None else ""
    size = f" {row['value']:.3g}," if _known(row["value"]) else ""
    compared = _COMPARED.get(row["measure"], "a difference")
    return f"In {where}, {compared}{named}:{size} {_CHANCE[row['significant']]}."


def title(row: Row, name: str) -> str:
    """Say what a finding about a slice, or about no slice, is."""
    rows = f"{_rows(row['n_train_rows'])}" if row["n_train_rows"] else "all training rows"
    return f"{name + ': ' if name else ''}{row['n_errors']:,} wrong test rows trace back to {rows}"


def advice(cures: Sequence[str]) -> str:
    """Say which remedies cure a finding."""
    named = [_CURES[name] for name in dict.fromkeys(cures) if name in _CURES]
    if not named:
        return "Look at the labels of its training rows first."
    *first, last = named
    return f"It is cured by {', '.join(first)}{' or ' if first else ''}{last}."


def remedy(row: Row, n_rows: int, l2: float) -> str | None:
    """Say how a remedy was tried on some rows, as far as it names no cell and no class."""
    match row["remedy"]:
        case "remove":
            return f"{_rows(n_rows)} removed"
        case "down-weight":
            return f"{_rows(n_rows)} at half weight"
        case "ridge":
            return f"λ = {row['l2']:.3g}, {row['l2'] / l2:.3g} times the one in use"
    return None


def flip(found: Mapping[str, Any]) -> str:
    """Say how few rows flip a conclusion, not which one it is: it may name a level."""
    if not found.get("found"):
        return "No set of training rows was found whose removal flips the conclusion that was asked about."
    rows = f"{_rows(found.get('rows') or 0)} ({100 * (found.get('share') or 0.0):.2g} %)"
    return f"Removing {rows} flips the conclusion that was asked about (confirmed by retraining)."


def _rows(n: int) -> str:
    return f"{n:,} training row{'' if n == 1 else 's'}"


def _known(value: float | None) -> bool:
    return value is not None and math.isfinite(value)
