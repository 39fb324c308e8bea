"""Which training rows are responsible for the wrong predictions, and which errors share them.

Influence on an ordinary prediction is spread over most of the training rows. Where a few rows carry it, the
effective number of rows (participation ratio)

    N = (Σ_i |I|)² / Σ_i I²

is small: the signature of a mismatch. Errors that trace back to the same few harmful rows form a group: two
rows belong together when at least half of the errors that either of them dominates name both.

What test rows gain when training rows leave or change labels is the loss after one step of θ. Few rows that
leave get Newton's step with the Hessian that is left, by Woodbury's identity: with A = x̃ ⊗ √W of the rows,
``(H - AAᵀ/n)⁻¹ = H⁻¹ + H⁻¹A (nI - AᵀH⁻¹A)⁻¹ AᵀH⁻¹``. Many get the sum of their influences, which is too small
for rows that are alike. Other labels get Newton's step too, H⁻¹ Σ (g_i - g'_i)/n: the Hessian of logistic
regression does not change with the labels.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components
from torch import Tensor

from dataaudit.audits.testset import Tested
from dataaudit.influence.influence import pair_influences
from dataaudit.influence.topk import Strongest
from dataaudit.model.rows import Block
from dataaudit.training.trained import Trained

TOP = 5
# An error is carried by few rows when N is so many times below the usual N.
CONCENTRATED = 5.0
# Harm of a row that counts, as a share of the most harmful one's, and of all that count together, in nats.
COUNTS, FELT = 1 / 3, 0.05
GROUP_ROWS, GROUP_ERRORS = 20, 3
FEW = 64  # scores of training rows up to which leaving is a Newton step

Rows = NDArray[np.int64]
Reals = NDArray[np.float64]


@dataclass(frozen=True)
class Concentration:
    """How many training rows carry each test row."""

    effective: Reals  # (t,) N, in rows
    top_share: Reals  # (t,) share of Σ|I| of the five strongest rows


@dataclass(frozen=True)
class Traced:
    """Test rows whose training rows were searched."""

    rows: Rows  # (m,) their positions among the test rows
    found: Strongest  # extremes of I_up,loss, one row each
    concentration: Concentration  # how many training rows carry them


@dataclass(frozen=True)
class ErrorGroup:
    """Test errors that trace back to the same training rows."""

    train: Rows  # (b,) positions of the training rows, the one named by most errors first
    errors: Rows  # (m,) places among the traced test rows


def concentration(found: Strongest) -> Concentration:
    """Return the effective number of rows and the share of the strongest ones."""
    total, square = found.total.numpy(), found.square.numpy()
    ends = np.abs(np.hstack([found.harmful.numpy()[:, :TOP], found.helpful.numpy()[:, :TOP]]))
    # With few training rows the two ends overlap: the same row is not counted twice.
    same = (found.helpful_rows[:, :TOP, None] == found.harmful_rows[:, None, :TOP]).any(2).numpy()
    ends[:, -same.shape[1] :][same] = 0.0
    top = np.sort(ends, axis=1)[:, -TOP:].sum(1)
    some = total > 0
    effective = np.divide(total**2, square, out=np.zeros_like(total), where=some)
    return Concentration(effective, np.divide(top, total, out=np.zeros_like(total), where=some))


def total_harm(trained: Trained, tested: Tested, rows: Rows) -> Reals:
    """Return Σ_t I_up,loss(i, t) of every training row over some test rows: one solve, one product."""
    objective, theta = trained.objective, trained.fit.theta
    block = tested.take(rows)
    summed = objective.model.gradient(theta, Block(block.X, block.y, torch.ones_like(block.weight)))
    solved = trained.prepared.solve(summed[:, None])
    parts = [pair_influences(objective.model, theta, solved, block=b)[:, 0] for b in objective.rows.blocks()]
    return torch.cat(parts).numpy()


def group_errors(found: Strongest, concentrated: Concentration, n: int) -> tuple[ErrorGroup, ...]:
    """Group test errors by the few training rows that carry them."""
    if not len(concentrated.effective):
        return ()
    harmful, rows = found.harmful.numpy() / n, found.harmful_rows.numpy()
    named = (harmful >= COUNTS * harmful[:, :1]) & (harmful > 0)
    few = concentrated.effective * CONCENTRATED <= np.median(concentrated.effective)
    few &= (harmful * named).sum(1) >= FELT
    few &= ~named[:, -1] | (named.shape[1] == n)  # where all of the k rows count, they are not few
    at, column = np.nonzero(named & few[:, None])
    if not len(at):
        return ()
    names, code = np.unique(rows[at, column], return_inverse=True)
    table = csr_array((np.ones(len(at)), (at, code)), shape=(len(rows), len(names)))
    together = (table.T @ table).tocoo()
    counts = together.diagonal()
    close = together.data >= 0.5 * np.maximum(counts[together.row], counts[together.col])
    graph = csr_array(
        (np.ones(int(close.sum())), (together.row[close], together.col[close])), shape=(len(names),) * 2
    )
    _, component = connected_components(graph, directed=False)
    groups = [_group(table, names, np.flatnonzero(component == c)) for c in range(component.max() + 1)]
    kept = [g for g in groups if len(g.errors) >= GROUP_ERRORS and len(g.train) <= GROUP_ROWS]
    return tuple(sorted(kept, key=lambda g: (-len(g.errors), int(g.train[0]))))


def _group(table: csr_array, names: Rows, members: Rows) -> ErrorGroup:
    """Return a component's rows, and the errors at least half of whose named rows are among them."""
    own = np.asarray(table[:, members].sum(1)).ravel()
    errors = np.flatnonzero((own > 0) & (2 * own >= np.asarray(table.sum(1)).ravel()))
    strength = np.asarray(table[:, members].sum(0)).ravel()
    return ErrorGroup(names[members[np.argsort(-strength, kind="stable")]], errors)


def is_few(trained: Trained, rows: Rows) -> bool:
    """Tell whether `move_without` takes Newton's step for so many rows."""
    return len(rows) * trained.objective.model.loss.n_scores <= FEW


def move_without(trained: Trained, rows: Rows) -> Tensor:
    """Return how θ moves when training rows leave."""  # rows (m,) -> (p,)
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


def relabellings(trained: Trained, rows: Rows, label: int) -> list[Rows]:
    """Return labels that training rows could have instead, every class keeping a row."""  # rows (m,) -> (m,)
    y, n = trained.objective.rows.y.numpy(), len(trained.classes)
    one = [np.full(len(rows), label, dtype=np.int64)]
    found = []
    for new in one + ([1 - y[rows]] if n == 2 else []):  # noqa: PLR2004 - only two can be swapped
        after = y.copy()
        after[rows] = new
        if (new != y[rows]).any() and len(np.unique(after)) == n:
            found.append(new)
    return found


def move_relabelled(trained: Trained, rows: Rows, new: Rows) -> Tensor:
    """Return how θ moves when training rows get other labels."""  # rows (m,), new (m,) -> (p,)
    objective, theta, n = trained.objective, trained.fit.theta, trained.objective.rows.n
    block = objective.rows.take(torch.from_numpy(rows))
    other = replace(block, y=torch.from_numpy(new).to(block.y))
    pull = objective.model.gradient(theta, block) - objective.model.gradient(theta, other)
    moved: Tensor = trained.prepared.for_groups(pull[:, None] / n)[:, 0]
    return moved


def loss_gain(trained: Trained, tested: Tested, rows: Rows, *, move: Tensor) -> tuple[Reals, int]:
    """Return what each test row gains when θ moves, and by how many their errors fall."""
    loss = trained.objective.model.loss
    block = tested.take(rows)
    scores = tested.scores[torch.from_numpy(rows)] + trained.objective.model.scores(move, block)
    after = loss.value(scores, block.y).numpy()
    guess = torch.nn.functional.pad(scores, (1, 0)).argmax(1)
    errors = int((guess != block.y).sum())
    return tested.loss[rows] - after, int(tested.wrong[rows].sum()) - errors
