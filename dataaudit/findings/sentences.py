"""Sentences made of facts: columns of words, and what stands in for a sentence that quotes the data."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import polars as pl

if TYPE_CHECKING:
    from dataaudit.findings.record import Record

Row = Mapping[str, Any]

ENOUGH: Final = 59  # other rows, under which the least of three chances cannot be 5 %
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
CAUSES: Final[Mapping[str, str]] = {  # what a column of test may have gone through: says it of the column
    "scaled": "is on another scale in test than in training",
    "stuck": "has one value alone in test",
    "exchanged": "and another column look exchanged in test",
    "renamed": "has other names for its levels in test",
    "permuted": "has its levels permuted in test",
    "fill value": "has a value in test that stands for missing cells",
    "missing": "is missing in test more often than in training",
    "offset": "has another zero in test than in training",
    "scaled in part": "is on another scale in some rows of test",
    "sign": "has the other sign in test",
    "reversed": "has its scale reversed in test",
    "transformed": "is transformed in test",
    "rounded": "is rounded in test",
    "row shift": "has its cells in other rows in test",
    "dead": "says less of the labels in test than in training",
    "written": "is written in another way in test",
    "cut": "is cut short in test",
    "added": "has other words in nearly every row of test",
    "unseen": "has levels in test that training never has",
    "out of range": "is outside the range of training in test",
    "dead leak": "gives the label away in training and not in test",
    "date": "goes beyond the dates of training in test",
    "moved": "is distributed differently in test",
}
FIXES: Final[Mapping[str, str]] = {  # every way to put something right, as an advice that names no cell
    "draw": "Fix the feed of the column: with cells drawn from training",
    "rank": "Fix the scale of the column: with each value moved to the same quantile of training",
    "scale": "Fix the unit of the column: with its values scaled back",
    "exchange": "Exchange the two columns back: then",
    "rename": "Name the levels as in training: then",
    "set missing": "Read that value as missing: then",
    "fill": "Fill the missing cells: then",
    "shift": "Move the cells of the column back by a row: then",
    "rewrite": "Write the texts of the column as in training: then",
    "cut": "Cut the texts of training as short as those of test: then",
    "leave out column": "Leave the column out: then",
    "remove": "Look at the labels of its training rows: without them",
    "relabel": "Look at the labels of its training rows: with other labels",
    "down-weight": "Look at its training rows: at half weight",
    "reweigh": "Weigh the training rows by class as in test: then",
    "offset": "Collect training rows like its test rows: with their share of each class",
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


def expected(frame: pl.DataFrame, _record: Record) -> pl.Series:
    """Say what test rows without labels would show, had only the inputs shifted."""
    return pl.Series("message", [_expected(row) for row in frame.iter_rows(named=True)], pl.String)


def _expected(row: Row) -> str:
    rows, unlike = (f"{row[name]:,} test row{'s' * (row[name] != 1)}" for name in ("rows", "unlike"))
    if row["value"] is None:
        effective = f"the {row['effective_rows']:.0f} that are left once they are weighed"
        few = f"Too few training rows are like the test rows ({effective}; {unlike} like none)"
        return f"{few}: accuracy and loss cannot be known from the inputs alone."
    percent, digits, unit = (100.0, 1, " %") if row["measure"] == "accuracy" else (1.0, 3, " nats")
    value, low, high = (f"{percent * row[name]:.{digits}f}" for name in ("value", "low", "high"))
    left = f"; nothing is known of {unlike} that no training row is like" if row["unlike"] else ""
    return f"Expected {row['measure']} of {rows}: {value}{unit} (90 %: {low} to {high}{unit}){left}."


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


def title(row: Row, columns: Sequence[str], name: str) -> str:
    """Say what a finding is, by the names that its columns and its slice may have."""
    rows, named = _rows(row["n_train_rows"]), listed(columns)
    match row["kind"]:
        case "exchange":
            return f"{named} look exchanged in test"
        case "column":
            return f"{named} {CAUSES.get(row['cause'], CAUSES['moved'])}"
        case "copies":
            return f"{row['n_test_rows']:,} test rows are in training with another label"
        case "rates" if row["cause"] == "level":
            return "labels are higher or lower in test than the columns say"
        case "rates":
            return f"{named}: classes come at other rates in test than in training"
        case "slice":
            wrong = f"{row['n_errors']:,} of {row['n_test_rows']:,} test rows are wrong"
            return f"{name}: {wrong}, of {rows}"
    return f"{rows} {'misleads' if row['n_train_rows'] == 1 else 'mislead'} the model"


def fix(row: Row) -> str:
    """Say what a fix came to, as far as it names no cell and no class."""
    left = "an unknown number" if row["errors_after"] is None else f"{row['errors_after']:,}"
    how = FIXES.get(row["fix"], "Look at its rows: then")
    return f"{how} {left} instead of {row['errors_before'] or 0:,} of the judged test rows are wrong."


def listed(names: Sequence[str]) -> str:
    """Return names as a sentence lists them."""
    return f"{', '.join(names[:-1])} and {names[-1]}" if len(names) > 1 else "".join(names)


def flip(found: Mapping[str, Any]) -> str:
    """Say how few rows flip a conclusion, not which one it is: it may name a level."""
    by = ("removal", "Removing") if not found.get("relabel") else ("relabelling", "Relabelling")
    if not found.get("found"):
        return f"No set of training rows was found whose {by[0]} flips the conclusion that was asked about."
    rows = f"{_rows(found.get('rows') or 0)} ({100 * (found.get('share') or 0.0):.2g} %)"
    return f"{by[1]} {rows} flips the conclusion that was asked about (confirmed by retraining)."


def _number_without(found: Row, where: str, before: str, after: str) -> str:
    """Say the same of a number: of its errors those count that are unusually large."""
    row = f"is predicted {after} rather than {before}"
    if after == before:
        row = f"is still predicted {before}"
    errors = ""
    if found["tests"]:
        rather = "as now" if found["after"] == found["before"] else f"rather than {found['before']:,}"
        errors = f", and {found['after']:,} of {found['tests']:,} test rows are unusually far off, {rather}"
    return f"Without {_share(found)} {where}, this row {row}{errors} (confirmed by retraining)."


def _share(found: Row) -> str:
    return f"{_rows(found['rows'])} ({100 * found['share']:.2g} %)"


def without(found: Row, where: str, *, before: str, after: str) -> str:
    """Say what leaving rows out does to a prediction, and to the errors on the test rows."""
    if found["p"] is None:
        return _number_without(found, where, before, after)
    now, then = (f"{100 * found[name]:.1f} %" for name in ("p", "p_after"))
    row = f"is predicted “{after}” ({then}) rather than “{before}” ({now})"
    if not found["changes"]:
        row = f"is still predicted “{before}” ({then}, now {now})"
    errors, n = "", found["tests"]
    if n:
        rather = "as now" if found["after"] == found["before"] else f"rather than {found['before']:,}"
        errors = f", and {found['after']:,} of {n:,} test rows are predicted wrong, {rather}"
    return f"Without {_share(found)} {where}, this row {row}{errors} (confirmed by retraining)."


def trust(found: Row) -> str:
    """Say whether the rows behind a prediction are as near as those of other test rows."""
    others, m = found["n_others"], found["rows"]
    number = found.get("is_number")
    most = f"{m:,} training rows that raise it most" if number else f"{m:,} most helpful training rows"
    behind = f"by distance, the {most} have place {found['helpful']:,.0f} of "
    behind += f"{found['n_train']:,} in the mean, those of {others:,} other test rows {found['usual']:,.0f}"
    behind += f" ({found['as_far']:,} as far or farther)"
    if not found["unusual"]:
        few = "" if others >= ENOUGH else f", of which {ENOUGH} would be enough to call a row unusual"
        return f"The prediction rests on its neighbours as is usual: {behind}{few}."
    what = ["rests on training rows that are far from it", "is contradicted from afar", "has no near rows"]
    if number:
        what[:2] = "is raised by training rows that are far", "is lowered from afar"
        what.append("is far from the labels of near rows")
    chance = f"a chance of {100 * found['p_value']:.2g} % for a row like them"
    return f"Look before you trust it: the prediction {what[found['farthest']]}, {chance}; {behind}."


def _rows(n: int) -> str:
    return f"{n:,} training row{'' if n == 1 else 's'}"


def _known(value: float | None) -> bool:
    return value is not None and math.isfinite(value)
