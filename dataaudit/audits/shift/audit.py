"""How test differs from train, in inputs or in labels, with chance accounted for.

One table, one row per comparison, most telling first:

=============  ==================================================================  ============
measure        question                                                            module
=============  ==================================================================  ============
two-sample     can train and test be told apart, and by which columns?             `membership`
covariate      is a column distributed alike?                                      `covariates`
missing        is it missing as often?                                             `covariates`
unseen         levels that training never has                                      `covariates`
out-of-range   values beyond those of training                                     `covariates`
label          are the classes as frequent?                                        `labelshift`
concept        do labels given a column differ, beyond the classes' frequency?     `labelshift`
loss           is a difference of loss due to inputs, or to labels given them?     `labelshift`
duplicate      test rows that training holds                                       `duplicates`
conflict       those with another label there                                      `duplicates`
=============  ==================================================================  ============

**Chance.** p-values are corrected for all comparisons of the table: by Holm within a measure, times the
number of tested measures. For train and test from one source, any of them is below α in a share α of audits
at most. `significant` asks for 1 %.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from dataaudit.audits.shift.comparison import Shifted, percent
from dataaudit.audits.shift.covariates import Strata, compare_column, cut_levels, cut_numbers, numbers
from dataaudit.audits.shift.duplicates import copy_rows, find_copies
from dataaudit.audits.shift.labels import compare_classes, compare_given, loss_rows, split_loss
from dataaudit.audits.shift.two_sample import Separation, separate
from dataaudit.errors import EncodeError, MissingColumn, SettingError
from dataaudit.features import Role
from dataaudit.features.columns import values_of
from dataaudit.features.roles import infer_roles
from dataaudit.features.target import class_texts
from dataaudit.findings.schemas import SHIFT
from dataaudit.options import EncoderOptions
from dataaudit.statistics import holm

# What a comparison may be due to chance with, over a whole audit.
ALPHA: Final = 0.01
MEASURES: Final = (
    "two-sample", "loss", "label", "concept", "covariate", "missing", "unseen", "out-of-range", "duplicate",
    "conflict",
)  # fmt: skip
# Rows of each sample over which the loss is split by all columns together.
SCORED = 20_000
# Columns that are named as telling train from test; shares below this are left out.
NAMED, LEAST_SHARE = 3, 0.05

Losses = tuple[NDArray[np.float64], NDArray[np.float64]]


def measure_shift(
    train: pl.DataFrame,
    test: pl.DataFrame,
    *,
    target: str,
    columns: EncoderOptions | None = None,
    losses: Losses | None = None,
    seed: int = 0,
) -> pl.DataFrame:
    """Compare test with train: inputs, labels, loss and rows.

    Parameters
    ----------
    train, test : pl.DataFrame
        n and m rows with the same feature columns; test may lack the label column, or have it empty.
    target : str
        The label column.
    columns : EncoderOptions, optional
        Roles of columns; all of them are inferred by default.
    losses : tuple of ndarray (n,), (m,), optional
        Losses of the training rows, leave-one-out, and of the test rows, in nats; NaN where there is none.
        Without them the loss is not split.
    seed : int
        Draws rows, permutations and redraws.

    Returns
    -------
    pl.DataFrame
        One row per comparison, by the schema `mismatch_findings.SHIFT`. `p_value` is corrected for the whole
        table, and null where something is counted and not tested. A `two-sample` row with a column holds that
        column's share of the separation. Values: AUC (two-sample), distances from 0 to 1 (covariate),
        differences of shares (missing, label, concept), shares of the test rows (unseen, out-of-range,
        duplicate), nats (loss).

    Raises
    ------
    MissingColumn
        If test lacks a feature column that is used.
    EncodeError
        If a column has types in train and test that no type holds.
    SettingError
        If losses are not of the rows given, or one of the tables has no rows.
    """
    _check(train, test, losses)
    columns = columns or EncoderOptions()
    roles = tuple(r for r in infer_roles(train, target, settings=columns) if r.role != "left out")
    train, test = _of_one_type(train, test, [*(role.column for role in roles), target], target)
    found: list[Shifted] = []
    split = losses is not None and _labelled(test, target)
    apart = separate(train, test, roles, settings=columns, score=SCORED if split else 0, seed=seed)
    if apart is not None:
        found += _separation_rows(apart)
    for role in roles:
        found += compare_column(train, test, role)
    found += _label_rows(train, test, roles, target=target)
    if losses is not None and split:
        found += _loss_rows(train, test, roles, apart=apart, losses=losses, seed=seed)
    named = [role.column for role in roles]
    labelled = target if _labelled(test, target) else None
    if named:
        found += copy_rows(
            find_copies(train, test, columns=named, target=labelled), n_test=test.height, target=target
        )
    return _table(found)


def _check(train: pl.DataFrame, test: pl.DataFrame, losses: Losses | None) -> None:
    """Check the sizes."""
    if not train.height or not test.height:
        which = "training" if not train.height else "test"
        raise SettingError(f"there are no {which} rows to compare", "give at least one row of each")
    if losses is not None and (len(losses[0]), len(losses[1])) != (train.height, test.height):
        got = f"{len(losses[0])} and {len(losses[1])} for {train.height} and {test.height} rows"
        raise SettingError(f"there must be one loss a row: got {got}", "give the losses of the same rows")


def _of_one_type(
    train: pl.DataFrame, test: pl.DataFrame, names: list[str], target: str
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return both tables with the same columns of the same types; the label is text, absent it is null.

    Raises
    ------
    MissingColumn, EncodeError
        If a column is not there, or types do not go together.
    """
    sides: tuple[dict[str, pl.Series], dict[str, pl.Series]] = ({}, {})
    for name in names:
        if name == target:
            pair = [class_texts(f[name]) if _labelled(f, name) else _nothing(f.height) for f in (train, test)]
        elif name not in test.columns:
            raise MissingColumn(name, test.columns, "the test rows")
        else:
            pair = list(_common(name, train[name], test[name]))
        for side, series in zip(sides, pair, strict=True):
            side[name] = series
    return pl.DataFrame(sides[0]), pl.DataFrame(sides[1])


def _labelled(frame: pl.DataFrame, target: str) -> bool:
    """Tell whether a table has a label at all."""
    return target in frame.columns and frame[target].null_count() < frame.height


def _nothing(n: int) -> pl.Series:
    return pl.Series([None] * n, dtype=pl.String)


def _common(name: str, train: pl.Series, test: pl.Series) -> tuple[pl.Series, pl.Series]:
    """Return two columns in a type that holds the values of both."""
    pair = [s.cast(pl.String) if s.dtype in (pl.Categorical, pl.Enum) else s for s in (train, test)]
    if pair[0].dtype == pair[1].dtype:
        return pair[0], pair[1]
    try:
        both = pl.concat([s.alias("v").to_frame() for s in pair], how="vertical_relaxed")["v"]
    except pl.exceptions.PolarsError:
        what = f"column {name!r} does not fit: {train.dtype} in training and {test.dtype} in test"
        raise EncodeError(what, f"give the column as {train.dtype}") from None
    return both.slice(0, len(train)), both.slice(len(train))


def _separation_rows(apart: Separation) -> Iterator[Shifted]:
    """Say how well train and test are told apart, and by which columns."""
    leading = [(name, share) for name, share in apart.columns if share >= LEAST_SHARE][:NAMED]
    by = ", ".join(f"“{name}” ({percent(share)})" for name, share in leading)
    auc = f"a test row scores above a training row with probability {apart.auc:.3f}"
    interval = f"{apart.low:.3f} to {apart.high:.3f}"
    yield Shifted(
        None, "two-sample", None, value=apart.auc, low=apart.low, high=apart.high, p=apart.p, n=apart.rows,
        found=f"Train and test can be told apart: {auc} ({interval}; one half if they were alike)"
        + (f", most by {by}." if by else "."),
        otherwise=f"Train and test cannot be told apart: {auc} ({interval}; one half if they were alike).",
    )  # fmt: skip
    for name, share in leading if apart.p < ALPHA else ():
        said = f"“{name}” makes up {percent(share)} of what tells train from test."
        yield Shifted(name, "two-sample", "share", value=share, n=apart.rows, found=said, otherwise=said)


def _label_rows(
    train: pl.DataFrame, test: pl.DataFrame, roles: tuple[Role, ...], *, target: str
) -> Iterator[Shifted]:
    """Compare labels, and labels given each column."""
    if not _labelled(test, target) or not _labelled(train, target):
        said = (
            "The test rows have no labels: only the inputs were compared, nothing is known about the labels."
        )
        yield Shifted(target, "label", None, value=float("nan"), n=0, found=said, otherwise=said)
        return
    train, test = (frame.filter(frame[target].is_not_null()) for frame in (train, test))
    names = tuple(pl.concat([train[target], test[target]]).unique().sort().to_list())
    y = tuple(
        frame[target].cast(pl.Enum(names)).to_physical().cast(pl.Int64).to_numpy() for frame in (train, test)
    )
    yield from compare_classes(target, names, train=y[0], test=y[1])
    for role in roles:
        if role.role in ("numeric", "datetime", "categorical", "boolean"):
            yield compare_given(role.column, _cut(train, test, role), names, train=y[0], test=y[1])


def _cut(train: pl.DataFrame, test: pl.DataFrame, role: Role) -> Strata:
    """Cut a column of levels, or of numbers."""
    first, second = values_of(train, role.column), values_of(test, role.column)
    if role.role in ("categorical", "boolean"):
        return cut_levels(first, second)
    return cut_numbers(numbers(first, first.dtype), numbers(second, first.dtype))


def _loss_rows(
    train: pl.DataFrame,
    test: pl.DataFrame,
    roles: tuple[Role, ...],
    *,
    apart: Separation | None,
    losses: Losses,
    seed: int,
) -> Iterator[Shifted]:
    """Split the difference of loss, over all columns and by each."""
    kept = [np.isfinite(loss) for loss in losses]
    used = (losses[0][kept[0]], losses[1][kept[1]])
    if not (len(used[0]) and len(used[1])):
        return
    if apart is not None:
        scores = apart.scores_train, apart.scores_test
        known = [k & np.isfinite(s) for k, s in zip(kept, scores, strict=True)]
        whole = cut_numbers(scores[0][known[0]], scores[1][known[1]])
        split = split_loss(whole, (losses[0][known[0]], losses[1][known[1]]), seed=seed)
        yield from loss_rows(None, split, n=int(known[1].sum()))
    train, test = train.filter(pl.Series(kept[0])), test.filter(pl.Series(kept[1]))
    for role in roles:
        if role.role in ("numeric", "datetime", "categorical", "boolean"):
            split = split_loss(_cut(train, test, role), used, seed=seed)
            yield from loss_rows(role.column, split, n=len(used[1]))


def _table(found: list[Shifted]) -> pl.DataFrame:
    """Correct the p-values, choose the sentences, and sort."""
    corrected = _corrected(found)
    rows = []
    for item, p in zip(found, corrected, strict=True):
        significant = None if p is None else p < ALPHA
        message = item.otherwise if significant is False else item.found
        values = (item.value, item.low, item.high, p, item.n, significant, message)
        rows.append((item.column, item.measure, item.level, *values))
    table = pl.DataFrame(rows, schema=SHIFT, orient="row")
    rank = pl.col("measure").replace_strict(list(MEASURES), list(range(len(MEASURES))), return_dtype=pl.Int64)
    # Within a measure: over all columns first, then what is surest, then what is largest.
    keys = (rank, pl.col("column").is_not_null(), pl.col("p_value"), pl.col("value").abs(), "column", "level")
    descending = [False, False, False, True, False, False]
    return table.sort(*keys, descending=descending, nulls_last=[False, False, True, True, False, False])


def _corrected(found: list[Shifted]) -> list[float | None]:
    """Return p-values by Holm within a measure, times the measures that are tested."""
    corrected: list[float | None] = [None] * len(found)
    families = [
        measure for measure in MEASURES if any(i.measure == measure and i.p is not None for i in found)
    ]
    for measure in families:
        members = [i for i, item in enumerate(found) if item.measure == measure and item.p is not None]
        within = holm(np.array([found[i].p for i in members], dtype=np.float64))
        for i, p in zip(members, within * len(families), strict=True):
            corrected[i] = min(1.0, float(p))
    return corrected
