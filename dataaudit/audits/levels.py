"""Who mislabels: wrong labels by the levels of columns, and what leaving levels out does for the other rows.

Without the rows of a level the model moves by one Newton step (`influence.groups`), and a refit says where to
in truth. Either gives leave-one-out losses of the other rows as an audit of these alone would, with the same
features and the same ridge in all: their mean is compared with what it is now. A smaller one says that the
other rows contradict each other less where the level has no say.

Cost: for each change a step, a refit and two inverse Hessians, for at most `SINGLE` levels and one set of
them a column.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, NamedTuple

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray
from torch import Tensor

from dataaudit.data.dataset import Dataset
from dataaudit.errors import AuditError
from dataaudit.features.levels import Cut, cut_levels
from dataaudit.findings.levels import by_table
from dataaudit.findings.schemas import LEVELS, WITHOUT
from dataaudit.influence.groups import group_step, refit_group
from dataaudit.model.objective import Change, Objective
from dataaudit.model.rows import MemoryRows
from dataaudit.options import LabelOptions, StepCallback
from dataaudit.solvers import prepare
from dataaudit.training.trained import Trained

SINGLE: Final = 3  # levels that are left out alone, over all columns
LARGEST: Final = 0.5  # share of the rows that is left out together
_LEAST: Final = 2  # rows of each class that stay


@dataclass(frozen=True)
class Without:
    """The model without some rows, of the others alone."""

    predicted: Trained  # after one Newton step
    measured: Trained  # after a refit
    others: NDArray[np.int64]  # (m,) positions of the rows that stay
    at: NDArray[np.int64]  # (m,) and their positions among the rows of these models


@dataclass(frozen=True)
class Left:
    """Levels of a column that are left out at once, and what that does to the others' loss."""

    column: str
    levels: tuple[str, ...]
    n: int  # rows of theirs
    effect: tuple[float | None, float | None] = (None, None)  # predicted and measured


def level_tables(
    dataset: Dataset,
    trained: Trained | None,  # None where no model is fitted here, so that none can be without a level
    labels: pl.DataFrame,
    *,
    settings: LabelOptions,
    interval: tuple[float, float],
    on_step: StepCallback,
) -> dict[str, pl.DataFrame]:
    """Return the tables ``by``, ``without`` and ``levels`` of the columns that were asked for."""
    cuts, levels, by = count_by(dataset, labels, settings, interval=interval)
    alone, sets = _changes(by.filter("significant"), dataset.n) if trained else ([], [])
    done = _left_out(trained, {cut.column: cut for cut in cuts}, [*alone, *sets], on_step) if trained else []
    singly, at_once = done[: len(alone)], done[len(alone) :]
    facts = {(one.column, one.levels[0]): one.effect for one in singly}
    marked = {(one.column, level) for one in at_once for level in one.levels}
    pairs = list(by.select("column", "level").iter_rows())
    return {
        "by": by.with_columns(
            pl.Series("others_predicted", [facts.get(p, (None, None))[0] for p in pairs], pl.Float64),
            pl.Series("others_measured", [facts.get(p, (None, None))[1] for p in pairs], pl.Float64),
            pl.Series("together", [pair in marked for pair in pairs], pl.Boolean),
        ),
        "without": pl.DataFrame(
            [(one.column, one.n, *one.effect) for one in at_once], schema=WITHOUT, orient="row"
        ),
        "levels": levels.cast(LEVELS),
    }


class Counted(NamedTuple):
    """Wrong labels by the levels of columns."""

    cuts: tuple[Cut, ...]
    levels: pl.DataFrame
    by: pl.DataFrame


def count_by(
    dataset: Dataset, labels: pl.DataFrame, settings: LabelOptions, *, interval: tuple[float, float]
) -> Counted:
    """Count the wrong labels of some rows by the columns that were asked for."""
    columns = dict.fromkeys(settings.by)
    cuts = tuple(cut_levels(dataset.frame, one, categorical=settings.categorical) for one in columns)
    levels = pl.concat(
        pl.DataFrame({"row_id": dataset.row_id, "column": [cut.column] * dataset.n, "level": cut.texts})
        for cut in cuts
    )
    found = pl.concat(map(_described, cuts))
    return Counted(cuts, levels, by_table(labels, levels, found, interval=interval))


def _described(cut: Cut) -> pl.DataFrame:
    """Return what is known of the levels of a column before their labels are looked at."""
    return pl.DataFrame({"level": cut.names, "position": range(1, len(cut.names) + 1)}).with_columns(
        pl.lit(cut.column).alias("column"), pl.lit(cut.kind).alias("kind")
    )


def _changes(first: pl.DataFrame, n: int) -> tuple[list[Left], list[Left]]:
    """Return the levels to leave out alone, and those of each column to leave out at once."""
    alone = [
        Left(column, (level,), m) for column, level, m in first.select("column", "level", "n").iter_rows()
    ]
    sets = []
    for own in first.partition_by("column", maintain_order=True):
        few = own.filter(pl.col("n").cum_sum() <= LARGEST * n)
        if few.height > 1:
            sets.append(Left(few["column"][0], tuple(few["level"]), int(few["n"].sum())))
    return alone[:SINGLE], sets


def _left_out(
    trained: Trained, cuts: Mapping[str, Cut], changes: Sequence[Left], on_step: StepCallback
) -> list[Left]:
    """Return the changes with their effects."""
    found = []
    for done, one in enumerate(changes):
        on_step("leave levels out", done, len(changes))
        cut = cuts[one.column]
        rows = np.flatnonzero(np.isin(cut.code, [cut.names.index(level) for level in one.levels]))
        found.append(replace(one, effect=others_loss(trained, rows)))
    if changes:
        on_step("leave levels out", len(changes), len(changes))
    return found


def others_loss(trained: Trained, rows: NDArray[np.int64]) -> tuple[float | None, float | None]:
    """Return the change of the other rows' mean leave-one-out loss without some, predicted and measured.

    None where no model of the others can be had.
    """
    stay = np.delete(trained.objective.rows.y.numpy(), rows)
    if trained.network is not None:  # of which every refit takes its time
        return None, None
    counts = np.bincount(stay, minlength=len(trained.classes)) if trained.classes else np.array([len(stay)])
    if counts.min() < _LEAST:
        return None, None
    try:
        found = without(trained, rows)
        now, at = _mean_loss(trained, found.others), found.at
        return _mean_loss(found.predicted, at) - now, _mean_loss(found.measured, at) - now
    except AuditError:  # a fit that does not converge, or a Hessian that cannot be inverted
        return None, None


def without(trained: Trained, rows: NDArray[np.int64]) -> Without:
    """Return the model of the other rows, with the same features and ridge."""  # rows (m,)
    objective, gone = trained.objective, torch.from_numpy(rows)
    others = np.setdiff1d(np.arange(objective.rows.n), rows)
    alone, at, groups = _alone(objective, gone, others), others, trained.groups
    if alone.rows.n < objective.rows.n:
        at, groups = np.arange(len(others)), groups and groups.take(others)
    stepped = group_step(objective, trained.fit.theta, gone, precondition=trained.prepared.precondition)
    fit, damping = replace(trained.fit, theta=stepped), trained.prepared.damping
    there = prepare(alone, stepped, damping=damping)
    dense = there.method == "cholesky"  # a dual solve costs more than the steps that it saves
    refit = refit_group(objective, fit, gone, precondition=there.precondition if dense else None)
    refit.require_converged()
    same = replace(trained, objective=alone, groups=groups, given=None, exact=None, solved={})
    return Without(
        replace(same, fit=fit, prepared=there),
        replace(same, fit=refit, prepared=prepare(alone, refit.theta, damping=damping)),
        others,
        at,
    )


def _alone(objective: Objective, gone: Tensor, others: NDArray[np.int64]) -> Objective:
    """Return the objective of the rows that stay: those on disk with no weight for the others."""
    if not objective.rows.in_memory:
        return Change(gone).of(objective)
    stay = objective.rows.take(torch.from_numpy(others))
    # The same minimum with another n: the mean is over fewer rows, and λ grows by as much.
    l2 = objective.l2 * objective.rows.n / len(others)
    return replace(objective, rows=MemoryRows(stay.X, stay.y, stay.weight), l2=l2)


def _mean_loss(trained: Trained, rows: NDArray[np.int64]) -> float:
    """Return the mean leave-one-out loss of some rows, in nats."""
    return float(trained.loss(trained.left_out, trained.objective.rows.y)[torch.from_numpy(rows)].mean())
