"""True refits next to the predictions, for the rows that people will look at first; and better predictions.

One step from the fit is exact for a quadratic loss. A row that determines much of its own fit, or is far on
the wrong side, moves the model far when it leaves, and the curvature of the other rows changes on the way:
*measured* on tables of 150 to 1,000 rows one step is off by up to 40 % (3.60 for 5.86 nats, leverage .65;
2.37 for 3.06 at .15). From the point that it leads to, two more steps are within 1 %, relabelled rows take
three. They are made for rows at the top of the list alone, and for as many as cost little.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Final

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray
from torch import Tensor

from dataaudit.errors import SettingError
from dataaudit.influence.leave_one_out import SHARP
from dataaudit.influence.refits import minimise_together
from dataaudit.model.losses import Normal
from dataaudit.model.objective import Change
from dataaudit.model.rows import ShardedRows
from dataaudit.options import NOT_KEPT, Checkpoint
from dataaudit.solvers.classwise import METHOD as CLASSWISE
from dataaudit.solvers.newton import FitSettings, minimise
from dataaudit.training.trained import RowScores, Trained

if TYPE_CHECKING:
    from dataaudit.training.networks.network import Network

DIGITS: Final = 9  # of a measured change, in nats: those behind are rounding's, and differ between processes
LEVERAGE: Final = 0.15  # share of its own fit, and nats, from which on one step may not do
MOVED: Final = 0.1
STEPS: Final = FitSettings(tolerance=1e-10, max_steps=3)
ENOUGH: Final = 1e-8  # of a gradient, where no factor brings it lower at little cost
TRUE: Final = replace(SHARP, tolerance=1e-11)  # likewise, of true refits: a loss is off by less than DIGITS
BY_LOSS, BY_INFLUENCE = 30, 12  # rows of either order that are looked at
TOGETHER: Final = 12  # rows that are refitted at once
_COST: Final = 20_000_000  # rows times parameters, all refined rows together
_WORK: Final = 300_000_000_000  # multiplications with a factor of each class, likewise
_DIGITS: Final = 9  # after the point, of a refined score


@dataclass(frozen=True)
class Refit:
    """One change, predicted and done."""

    row: int  # position of the row
    change: str  # ``"removed"``, with its group, or ``"relabelled"``, alone
    predicted: float  # change of the row's own loss, in nats: of its label when removed
    measured: float  # the same after a true refit


def verify(
    trained: Trained,
    scores: RowScores,
    rows: NDArray[np.int64],
    *,
    on_refit: Callable[[int], None],
    kept: Checkpoint = NOT_KEPT,
) -> tuple[Refit, ...]:
    """Retrain without each row and its group, and with its suggested label, to the minimum."""
    refits: list[Refit] = []
    for part in np.array_split(rows, -(-len(rows) // TOGETHER)) if len(rows) else ():
        stage = "refits of " + ", ".join(map(str, part.tolist()))
        for one in kept.once(stage, partial(_refits, trained, scores, part)):
            refits.append(one)
            on_refit(len(refits))
    return tuple(refits)


def _refits(trained: Trained, scores: RowScores, rows: NDArray[np.int64]) -> list[Refit]:
    """Return refits without each row and its group, and with its suggested label, from where they are due."""
    if trained.network is not None:
        return _retrained(trained, scores, rows)
    fit, changes, starts = trained.fit, list[Change](), list[Tensor]()
    predicted = np.stack([scores.loo_scores[rows], scores.relabelled_scores[rows]])
    begun = None if trained.prepared.changed else _starts(trained, rows, torch.from_numpy(predicted))
    for at, row in enumerate(rows.tolist()):
        group = torch.from_numpy(trained.mates(row))
        changes += [Change(group), Change(torch.tensor([row]), scores.suggested[row].item())]
        left, anew = (fit.theta, fit.theta) if begun is None else begun[:, at]
        starts += [left if len(group) == 1 else fit.theta, anew]
    thetas, made = minima(trained, changes, starts), []
    for at, row in enumerate(rows.tolist()):
        label, other, before = (
            trained.objective.rows.y[row].item(),
            scores.suggested[row].item(),
            float(scores.train_loss[row]),
        )
        for change, predicted, after, said in (
            ("removed", scores.loo_loss, thetas[2 * at], label),
            ("relabelled", scores.relabelled_loss, thetas[2 * at + 1], other),
        ):
            measured = round(_loss(trained, after, row, said) - before, DIGITS)
            made.append(Refit(row, change, float(predicted[row]) - before, measured))
    return made


def _retrained(trained: Trained, scores: RowScores, rows: NDArray[np.int64]) -> list[Refit]:
    """Return the same of a network, what training it on does by itself taken off."""
    objective, made = trained.objective, list[Refit]()
    now = objective.scores(trained.fit.theta)
    for row in rows.tolist():
        label, other, before = int(objective.rows.y[row]), int(scores.suggested[row]), scores.train_loss[row]
        for change, predicted, how, said in (
            ("removed", scores.loo_loss, Change(torch.from_numpy(trained.mates(row))), label),
            ("relabelled", scores.relabelled_loss, Change(torch.tensor([row]), other), other),
        ):
            moved = retrained_loss(trained, how, row=row, label=said)
            own = float(trained.loss(now[row : row + 1], torch.tensor([said]))[0])
            made.append(
                Refit(row, change, float(predicted[row] - before), round(own + moved - before, DIGITS))
            )
    return made


def retrained_loss(
    trained: Trained, change: Change, *, row: int, label: int, frame: pl.DataFrame | None = None
) -> float:
    """Return what a change of the training rows does to the loss of a row, of training or of a frame."""
    network, y = _network(trained), torch.tensor([label])
    there = (network.frame if frame is None else frame)[row]
    before, after = _retrained_scores(trained, change, there, seeds=network.single)
    losses = [np.mean([float(trained.loss(s, y)[0]) for s in scores]) for scores in (before, after)]
    return float(losses[1] - losses[0])


def retrained_move(trained: Trained, change: Change, frame: pl.DataFrame) -> Tensor:
    """Return how a change of the training rows moves the scores of a frame's rows, the mean of seeds."""
    before, after = _retrained_scores(trained, change, frame)
    return torch.stack(after).mean(0) - torch.stack(before).mean(0)


def _retrained_scores(
    trained: Trained, change: Change, new: pl.DataFrame, *, seeds: int | None = None
) -> tuple[list[Tensor], list[Tensor]]:
    """Return the scores of rows by each seed once a network is trained again, as it is and with a change."""
    network, objective = _network(trained), trained.objective
    before, after = (
        network.retrained(network.frame, new, y=one.rows.y, weight=one.rows.weight, seeds=seeds)
        for one in (objective, change.of(objective))
    )
    return before, after


def _network(trained: Trained) -> Network:
    if trained.network is None:
        raise SettingError("there is no network to train again", "leave the refits out")
    return trained.network


def minima(trained: Trained, changes: Sequence[Change], starts: Sequence[Tensor]) -> list[Tensor]:
    """Return the minima of problems that differ in some rows."""
    objective, prepared = trained.objective, trained.prepared
    if isinstance(objective.rows, ShardedRows):  # no weights and labels of all rows for each, few passes
        from dataaudit.influence.passes import minimise_changes  # noqa: PLC0415 - few tables are so large

        columns = torch.stack(list(starts), 1)
        return list(minimise_changes(objective, changes, starts=columns, solve=prepared.solve).T)
    changed = [change.of(objective) for change in changes]
    if prepared.changed is not None:
        return [prepared.changed.refit(one, TRUE.tolerance, TRUE.max_steps) for one in changed]
    settings = TRUE if prepared.method == CLASSWISE else SHARP
    fits = minimise_together(changed, starts, precondition=prepared.precondition, settings=settings)
    return [fit.theta for fit in fits]


def _starts(trained: Trained, rows: NDArray[np.int64], scores: Tensor) -> Tensor:
    """Return where refits begin: where the scores of each row are predicted ones, in several ways."""
    at, objective = torch.from_numpy(rows), trained.objective  # (m,), (j, m, k) -> (j, m, p)
    block, solve, (ways, m, k) = objective.rows.take(at), trained.prepared.to_three_digits, scores.shape
    by, form = scores - objective.model.scores(trained.fit.theta, block), trained.forms[at]
    along = torch.linalg.lstsq(form.expand(ways, m, k, k), by[..., None]).solution[..., 0]
    if k <= ways:  # the step is H⁻¹ (x̃ ⊗ I) along
        moved = solve(objective.model.lifted(block)).view(-1, m, k)
        return trained.fit.theta + torch.einsum("pmk,jmk->jmp", moved, along)
    return trained.fit.theta + torch.stack([solve(objective.model.outer(block, one)).T for one in along])


def _loss(trained: Trained, theta: Tensor, row: int, label: float) -> float:
    """Return the loss of one row for one label under a refit."""
    model = trained.objective.model
    s = model.scores(theta, trained.objective.rows.take(torch.tensor([row])))
    return float(trained.loss(s, torch.tensor([label], dtype=trained.objective.rows.y.dtype))[0])


def refined(trained: Trained, scores: RowScores) -> RowScores:
    """Return the scores with the rows of high leverage at the top of the list as two more steps see them."""
    if isinstance(trained.objective.model.loss, Normal):
        return scores  # of which one step is exact
    rows = _insufficient(trained, scores)
    if not len(rows):
        return scores
    without, relabelled = scores.loo_scores.copy(), scores.relabelled_scores.copy()
    for part in np.array_split(rows, -(-len(rows) // TOGETHER)):
        predicted = torch.from_numpy(np.stack([without[part], relabelled[part]]))
        starts = _starts(trained, part, predicted)
        left = [Change(torch.tensor([row])) for row in part.tolist()]
        anew = [Change(torch.tensor([row]), scores.suggested[row].item()) for row in part.tolist()]
        found = _stepped(trained, part, [*left, *anew], starts.flatten(0, 1))
        without[part], relabelled[part] = np.split(found, 2)
    return patched(trained, scores, rows, without=without[rows], relabelled=relabelled[rows])


def patched(
    trained: Trained,
    scores: RowScores,
    rows: NDArray[np.int64],
    *,
    without: NDArray[np.float64],  # (m, k) scores of these rows without themselves
    relabelled: NDArray[np.float64],  # (m, k) and with the suggested label
) -> RowScores:
    """Return the scores with those of some rows replaced, and what follows from them."""
    left, anew, y = torch.from_numpy(without), torch.from_numpy(relabelled), trained.objective.rows.y
    new = {
        "loo_scores": left,
        "relabelled_scores": anew,
        "loo_log_odds": trained.log_odds(left),
        "loo_p": trained.log_probabilities(left).exp(),
        "loo_loss": trained.loss(left, y[torch.from_numpy(rows)]),
        "relabelled_loss": trained.loss(anew, torch.from_numpy(scores.suggested[rows])),
    }
    copies = {name: getattr(scores, name).copy() for name in new}
    for name, values in new.items():
        copies[name][rows] = values.numpy()
    return replace(scores, **copies)


def _insufficient(trained: Trained, scores: RowScores) -> NDArray[np.int64]:
    """Return the rows for which one step is not enough, as many as cost little."""
    objective = trained.objective
    n, k = objective.rows.n, objective.model.loss.n_scores
    most = _COST // max(n * objective.model.n_params, 1)
    if trained.prepared.method == CLASSWISE:
        most = _WORK // (60 * (k + 1) * n**2)
    first = [
        np.argsort(-values, kind="stable")[:count]
        for values, count in ((scores.loo_loss, BY_LOSS), (scores.self_influence, BY_INFLUENCE))
    ]
    rows: NDArray[np.int64] = np.array(list(dict.fromkeys(np.concatenate(first).tolist())), dtype=np.int64)
    moved = np.abs(scores.loo_loss - scores.train_loss)
    rows = rows[(scores.leverage[rows] >= LEVERAGE) | (moved[rows] >= MOVED)][:most]
    return np.array([row for row in rows.tolist() if len(trained.mates(row)) == 1], dtype=np.int64)


def _stepped(
    trained: Trained, rows: NDArray[np.int64], changes: list[Change], starts: Tensor
) -> NDArray[np.float64]:
    """Return the scores of rows two steps on, in each change the next row's."""  # (m,), (jm, p) -> (jm, k)
    objective, prepared = trained.objective, trained.prepared
    precondition = {"cholesky": prepared.solve, CLASSWISE: prepared.precondition}.get(prepared.method)
    changed = [change.of(objective) for change in changes]
    if prepared.method == CLASSWISE:
        enough = replace(STEPS, tolerance=ENOUGH)
        fits = minimise_together(changed, list(starts), precondition=precondition, settings=enough)
    else:
        fits = [
            minimise(one, start, precondition=precondition, settings=STEPS)
            for one, start in zip(changed, starts, strict=True)
        ]
    blocks = [objective.rows.take(torch.tensor([row])) for row in np.resize(rows, len(fits)).tolist()]
    found = [objective.model.scores(fit.theta, one)[0] for fit, one in zip(fits, blocks, strict=True)]
    # Where memory lies decides the last bits of a sum: two runs are to be equal to the byte.
    rounded: NDArray[np.float64] = torch.stack(found).numpy().round(_DIGITS)
    return rounded
