"""True refits next to the predictions, for the rows that people will look at first."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dataaudit.influence.leave_one_out import one_step_parameters, refit_relabelled, refit_without
from dataaudit.model.rows import Block
from dataaudit.solvers.newton import Fit
from dataaudit.training.trained import RowScores, Trained

DIGITS: Final = 9  # of a measured change, in nats: those behind are rounding's, and differ between processes


@dataclass(frozen=True)
class Refit:
    """One change, predicted and done."""

    row: int  # position of the row
    change: str  # ``"removed"``, with its group, or ``"relabelled"``, alone
    predicted: float  # change of the row's own loss, in nats: of its label when removed
    measured: float  # the same after a true refit


def verify(
    trained: Trained, scores: RowScores, rows: NDArray[np.int64], *, on_refit: Callable[[int], None]
) -> tuple[Refit, ...]:
    """Retrain without each row and its group, and with its suggested label, to the minimum."""
    scores_now = trained.objective.scores(trained.fit.theta)
    refits: list[Refit] = []
    # Products of a sparse matrix keep one core busy, those of a dense one all of them.
    workers = 1 if isinstance(trained.objective.rows.X, Tensor) else torch.get_num_threads()
    with ThreadPoolExecutor(workers) as pool:
        for pair in pool.map(
            partial(_refit, trained, scores, scores_now), rows.tolist(), _moved(trained, rows)
        ):
            for one in pair:
                refits.append(one)
                on_refit(len(refits))
    return tuple(refits)


def _refit(
    trained: Trained, scores: RowScores, scores_now: Tensor, row: int, moved: Tensor
) -> tuple[Refit, Refit]:
    """Retrain without a row and its group, and with its suggested label, from the predicted minimum."""
    dense = trained.prepared.method == "cholesky"
    warm = trained.prepared.solve if dense else None  # a dual solve costs more than the steps that it saves
    objective, fit = trained.objective, trained.fit
    before, label = float(scores.train_loss[row]), int(objective.rows.y[row])
    other = int(scores.suggested[row])
    step = partial(one_step_parameters, fit, moved, form=trained.forms[row])
    group = torch.from_numpy(trained.mates(row))
    alone = torch.from_numpy(scores.loo_scores[row]) - scores_now[row]
    start = step(by=alone) if len(group) == 1 else None
    removed = refit_without(objective, fit, group, start=start, precondition=warm)
    start = step(by=torch.from_numpy(scores.relabelled_scores[row]) - scores_now[row])
    changed = refit_relabelled(objective, fit, row, label=other, start=start, precondition=warm)
    found = (
        ("removed", scores.loo_loss, _loss(trained, removed, row, label)),
        ("relabelled", scores.relabelled_loss, _loss(trained, changed, row, other)),
    )
    first, second = (
        Refit(row, change, float(predicted[row]) - before, round(measured - before, DIGITS))
        for change, predicted, measured in found
    )
    return first, second


def _moved(trained: Trained, rows: NDArray[np.int64]) -> list[Tensor]:
    """Return H⁻¹ (x̃ ⊗ I) of each row, from one solve."""  # (b,) -> b × (p, k)
    if not len(rows):
        return []
    k = len(trained.classes) - 1
    B = lifted(trained.objective.rows.take(torch.from_numpy(rows)), k)
    return list(trained.prepared.solve(B).view(-1, len(rows), k).unbind(1))


def lifted(block: Block, k: int) -> Tensor:
    """Return x̃ ⊗ I of rows, k columns a row."""  # -> (p, b k)
    X = block.dense()
    return torch.einsum("bd,kl->dkbl", X, torch.eye(k, dtype=X.dtype)).reshape(-1, len(X) * k)


def _loss(trained: Trained, fit: Fit, row: int, label: int) -> float:
    """Return the loss of one row for one label under a refit."""
    model = trained.objective.model
    s = model.scores(fit.theta, trained.objective.rows.take(torch.tensor([row])))
    return float(trained.loss(s, torch.tensor([label]))[0])
