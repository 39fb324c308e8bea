"""What test rows gain when training rows leave or change labels: a move of θ in one step, losses after it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dataaudit.audits.tested import Tested
from dataaudit.audits.trained import Trained

# Scores of training rows up to which leaving is a Newton step.
FEW = 64


def is_few(trained: Trained, rows: NDArray[np.int64]) -> bool:
    """Tell whether `move_without` takes Newton's step for so many rows."""
    return len(rows) * trained.objective.model.loss.n_scores <= FEW


def move_without(trained: Trained, rows: NDArray[np.int64]) -> Tensor:
    """Return how θ moves when training rows leave.

    Few rows get Newton's step with the Hessian that is left, by Woodbury's identity: with A = x̃ ⊗ √W of the
    rows, ``(H - AAᵀ/n)⁻¹ = H⁻¹ + H⁻¹A (nI - AᵀH⁻¹A)⁻¹ AᵀH⁻¹``. Many get the sum of their influences, which
    is too small for rows that are alike.

    Parameters
    ----------
    trained : Trained
        The model.
    rows : ndarray (m,) int64
        Positions of the rows.

    Returns
    -------
    Tensor (p,)
        The move.
    """
    objective, theta, n = trained.objective, trained.fit.theta, trained.objective.rows.n
    block = objective.rows.take(torch.from_numpy(rows))
    pull = objective.model.gradient(theta, block)[:, None] / n
    if not is_few(trained, rows):
        return trained.prepared.for_groups(pull)[:, 0]
    values, vectors = torch.linalg.eigh(objective.model.curvature(theta, block))
    root = vectors * values.clamp_min(0.0).sqrt()[:, None, :]  # W = root rootᵀ
    A = torch.einsum("bi,bkl->ikbl", block.dense(), root).reshape(len(theta), -1)
    solved = trained.prepared.for_groups(torch.cat([pull, A], dim=1))
    first, HA = solved[:, :1], solved[:, 1:]
    left = n * torch.eye(A.shape[1], dtype=A.dtype) - A.T @ HA
    moved: Tensor = first + HA @ torch.linalg.solve(left, A.T @ first)
    return moved[:, 0]


def relabellings(trained: Trained, rows: NDArray[np.int64], label: int) -> list[NDArray[np.int64]]:
    """Return labels that training rows could have instead, every class keeping a row.

    Parameters
    ----------
    trained : Trained
        The model.
    rows : ndarray (m,) int64
        Positions of the rows.
    label : int
        One label for all of them; of two classes they may also be swapped.

    Returns
    -------
    list of ndarray (m,) int64
        At most two, none like the labels that they have.
    """
    y, n = trained.objective.rows.y.numpy(), len(trained.classes)
    one = [np.full(len(rows), label, dtype=np.int64)]
    found = []
    for new in one + ([1 - y[rows]] if n == 2 else []):  # noqa: PLR2004 - only two can be swapped
        after = y.copy()
        after[rows] = new
        if (new != y[rows]).any() and len(np.unique(after)) == n:
            found.append(new)
    return found


def move_relabelled(trained: Trained, rows: NDArray[np.int64], new: NDArray[np.int64]) -> Tensor:
    """Return how θ moves when training rows get other labels.

    It is Newton's step, H⁻¹ Σ (g_i - g'_i)/n: of logistic regression H does not change with the labels.

    Parameters
    ----------
    trained : Trained
        The model.
    rows : ndarray (m,) int64
        Positions of the rows.
    new : ndarray (m,) int64
        Their new labels.

    Returns
    -------
    Tensor (p,)
        The move.
    """
    objective, theta, n = trained.objective, trained.fit.theta, trained.objective.rows.n
    block = objective.rows.take(torch.from_numpy(rows))
    other = replace(block, y=torch.from_numpy(new).to(block.y))
    pull = objective.model.gradient(theta, block) - objective.model.gradient(theta, other)
    moved: Tensor = trained.prepared.for_groups(pull[:, None] / n)[:, 0]
    return moved


def loss_without(
    trained: Trained, tested: Tested, rows: NDArray[np.int64], *, move: Tensor
) -> tuple[NDArray[np.float64], int]:
    """Return what test rows gain when θ moves.

    Parameters
    ----------
    trained : Trained
        The model.
    tested : Tested
        Test rows.
    rows : ndarray (m,) int64
        Positions of the test rows to ask about.
    move : Tensor (p,)
        The move of θ.

    Returns
    -------
    tuple of ndarray (m,) and int
        The fall of each row's loss, in nats, and of the number of errors.
    """
    loss = trained.objective.model.loss
    block = tested.take(rows)
    scores = tested.scores[torch.from_numpy(rows)] + trained.objective.model.scores(move, block)
    after = loss.value(scores, block.y).numpy()
    guess = torch.nn.functional.pad(scores, (1, 0)).argmax(1)
    errors = int((guess != block.y).sum())
    return tested.loss[rows] - after, int(tested.wrong[rows].sum()) - errors
