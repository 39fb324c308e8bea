"""How test differs from train, in inputs or in labels, with chance accounted for.

One table, one row per comparison, most telling first:

=============  ==================================================================  ============
measure        question                                                            module
=============  ==================================================================  ============
two-sample     does a classifier tell train from test, and by which columns?       `two_sample`
covariate      is a column distributed alike?                                      `covariates`
missing        is it missing as often?                                             `covariates`
unseen         levels that training never has                                      `covariates`
out-of-range   values beyond those of training                                     `covariates`
label          are the classes as frequent?                                        `labels`
concept        do labels given a column differ, beyond the classes' frequency?     `labels`
loss           is a difference of loss due to inputs, or to labels given them?     `labels`
duplicate      test rows that training holds                                       `duplicates`
conflict       those with another label there                                      `duplicates`
=============  ==================================================================  ============

Chance is accounted for over all comparisons together (`comparison`).
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import polars as pl

from dataaudit.audits.shift.comparison import Comparison, Reals, comparison_table
from dataaudit.audits.shift.covariates import (
    Strata,
    compare_column,
    cut_levels,
    cut_numbers,
    numbers,
    without_rounding,
)
from dataaudit.audits.shift.duplicates import copy_rows
from dataaudit.audits.shift.labels import compare_classes, compare_given, loss_rows, split_loss
from dataaudit.audits.shift.two_sample import TwoSampleTest, separation_rows, two_sample_test
from dataaudit.errors import EncodeError, SettingError
from dataaudit.features import Role
from dataaudit.features.columns import types_apart, values_of
from dataaudit.features.roles import infer_roles
from dataaudit.features.target import class_texts
from dataaudit.options import EncoderOptions
from dataaudit.options.progress import portion, ticking

# Rows of each sample over which the loss is split by all columns together.
SCORED = 20_000
_UNLABELLED = (
    "The test rows have no labels: only the inputs were compared, nothing is known about the labels."
)
Losses = tuple[Reals, Reals]


def measure_shift(
    train: pl.DataFrame,
    test: pl.DataFrame,
    *,
    target: str,
    columns: EncoderOptions | None = None,
    losses: Losses | None = None,
    seed: int = 0,
) -> pl.DataFrame:
    """Compare test with train: inputs, labels, loss and rows."""
    _check(train, test, losses)
    columns = columns or EncoderOptions()
    alone = set(train.columns).symmetric_difference(test.columns) - {target}
    columns, train = columns.without(alone), train.drop(alone, strict=False)
    roles = tuple(r for r in infer_roles(train, target, settings=columns) if r.role != "left out")
    train, test = of_one_type(train, test, names=[*(role.column for role in roles), target], target=target)
    found: list[Comparison] = []
    split = losses is not None and _labelled(test, target)
    with portion(0, 10, size=7):  # on one table, of 20,000 hospital stays, it took nearly all
        apart = two_sample_test(train, test, roles, settings=columns, score=SCORED if split else 0, seed=seed)
    if apart is not None:
        found += separation_rows(apart)
    with portion(7, 10):
        for role in ticking(roles):
            found += compare_column(train, test, role, text_units=columns.text_units)
    with portion(8, 10):
        found += _label_rows(train, test, roles, target=target)
    if losses is not None and split:
        with portion(9, 10):
            found += _loss_rows(train, test, roles, apart=apart, losses=losses, seed=seed)
    if named := [role.column for role in roles]:
        found += copy_rows(train, test, columns=named, target=target, labelled=_labelled(test, target))
    return comparison_table(found)


def _check(train: pl.DataFrame, test: pl.DataFrame, losses: Losses | None) -> None:
    if not train.height or not test.height:
        which = "training" if not train.height else "test"
        raise SettingError(f"there are no {which} rows to compare", "give at least one row of each")
    if losses is not None and (len(losses[0]), len(losses[1])) != (train.height, test.height):
        got = f"{len(losses[0])} and {len(losses[1])} for {train.height} and {test.height} rows"
        raise SettingError(f"there must be one loss a row: got {got}", "give the losses of the same rows")


def of_one_type(
    train: pl.DataFrame, test: pl.DataFrame, *, names: list[str], target: str = ""
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return both tables with the same columns of the same types; the label is text, absent it is null."""
    sides: tuple[dict[str, pl.Series], dict[str, pl.Series]] = ({}, {})
    for name in names:
        if name == target:
            pair = [class_texts(f[name]) if _labelled(f, name) else _nothing(f.height) for f in (train, test)]
        else:
            known, new = _common(name, train[name], test[name])
            if known.dtype.is_float():
                near = without_rounding(known.to_numpy(), new.to_numpy())
                new = pl.Series(new.name, near, new.dtype, nan_to_null=True)
            pair = [known, new]
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
        then, now = types_apart(train.dtype, test.dtype)
        what = f"column {name!r} does not fit: {then} in training and {now} in test"
        raise EncodeError(what, f"give it as {then} again, or exclude it") from None
    return both.slice(0, len(train)), both.slice(len(train))


def _label_rows(
    train: pl.DataFrame, test: pl.DataFrame, roles: tuple[Role, ...], *, target: str
) -> Iterator[Comparison]:
    """Compare labels, and labels given each column."""
    if not _labelled(test, target) or not _labelled(train, target):
        yield Comparison(target, "label", None, value=float("nan"), n=0, found=_UNLABELLED)
        return
    train, test = (frame.filter(frame[target].is_not_null()) for frame in (train, test))
    names = tuple(pl.concat([train[target], test[target]]).unique().sort().to_list())
    coded = (frame[target].cast(pl.Enum(names)).to_physical() for frame in (train, test))
    y = tuple(codes.cast(pl.Int64).to_numpy() for codes in coded)
    yield from compare_classes(target, names, train=y[0], test=y[1])
    for column, strata in _strata(train, test, roles):
        yield compare_given(column, strata, names, train=y[0], test=y[1])


def _loss_rows(
    train: pl.DataFrame,
    test: pl.DataFrame,
    roles: tuple[Role, ...],
    *,
    apart: TwoSampleTest | None,
    losses: Losses,
    seed: int,
) -> Iterator[Comparison]:
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
    for column, strata in _strata(train, test, roles):
        yield from loss_rows(column, split_loss(strata, used, seed=seed), n=len(used[1]))


def _strata(train: pl.DataFrame, test: pl.DataFrame, roles: tuple[Role, ...]) -> Iterator[tuple[str, Strata]]:
    """Cut every column of levels, or of numbers."""
    for role in ticking(roles):
        first, second = values_of(train, role.column), values_of(test, role.column)
        if role.role in ("categorical", "boolean"):
            yield role.column, cut_levels(first, second)
        elif role.role in ("numeric", "datetime"):
            yield role.column, cut_numbers(numbers(first, first.dtype), numbers(second, first.dtype))
