"""The model trained again with changed rows, and what that makes of a test row."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import torch
from scipy.sparse import csr_array, vstack
from torch import Tensor

from dataaudit.audits.attack.domain import Reals, Whole
from dataaudit.audits.attack.reach import Probe
from dataaudit.audits.trained import Trained
from dataaudit.fit import Fit, FitSettings, minimise
from dataaudit.influence import loss_gradients
from dataaudit.objective import Objective
from dataaudit.rows import Block
from dataaudit.solvers.cg import conjugate_gradients

# On the way a loss to four figures and the signs of slopes are enough; what is reported is sharp.
ON_THE_WAY, LAST = FitSettings(tolerance=1e-7), FitSettings(tolerance=1e-11)
_SOLVE: Final = 1e-4  # relative residual of a solve for H⁻¹ g_t on the way
_NEWTON, _SETTLED = 200, 1e-10  # steps at the most, and when scores stand still
_LEVERAGE: Final = 1e-6  # of one for leverages


@dataclass(frozen=True)
class Outcome:
    """A test row under some parameters.

    Attributes
    ----------
    predicted : int
        Its likeliest class.
    p : float
        Probability of its own class.
    loss : float
        In nats.
    """

    predicted: int
    p: float
    loss: float


def outcome(trained: Trained, theta: Tensor, test: Block) -> Outcome:
    """Return what parameters make of one test row."""
    s = trained.objective.model.scores(theta, test)
    p = trained.log_probabilities(s).exp()[0]
    return Outcome(int(p.argmax()), float(p[test.y[0]]), float(trained.loss(s, test.y)[0]))


def with_rows(objective: Objective, rows: Whole, X: Tensor | csr_array) -> Objective:
    """Return the objective with other features in some rows.

    Parameters
    ----------
    objective : Objective
    rows : ndarray (m,) int64
        Positions.
    X : Tensor (m, d) or csr_array (m, d)
        Their features, in the form of the objective's.

    Returns
    -------
    Objective
    """
    old = objective.rows.X
    new: Tensor | csr_array
    if isinstance(old, Tensor):
        dense = X if isinstance(X, Tensor) else torch.from_numpy(X.toarray())
        new = old.clone()
        new[torch.from_numpy(rows)] = dense
    else:
        sparse = X if isinstance(X, csr_array) else csr_array(X.numpy())
        order = np.arange(old.shape[0])
        order[rows] = old.shape[0] + np.arange(len(rows))
        new = csr_array(vstack([old, sparse], format="csr")[order])
    return replace(objective, rows=replace(objective.rows, X=new))


def refit(trained: Trained, objective: Objective, start: Tensor, *, sharp: bool = False) -> Fit:
    """Return the minimum with changed rows, from a point near by."""
    settings = LAST if sharp else ON_THE_WAY
    return minimise(objective, start, precondition=trained.prepared.solve, settings=settings)


def probe_at(trained: Trained, objective: Objective, theta: Tensor, *, test: Block) -> Probe:
    """Return the test row as training rows see it at some parameters; H is that of the changed rows."""
    g = loss_gradients(objective.model, theta, test)
    if objective is trained.objective:
        solved = trained.prepared.solve(g)
    else:
        solved, _ = conjugate_gradients(
            objective.hvp_at(theta), g, precondition=trained.prepared.solve, tolerance=_SOLVE
        )
    loose = objective.model.matrix(1.0 / objective.hessian_diagonal(theta))
    return Probe(objective.model, theta, solved[:, 0], loose, objective.rows.n)


def predicted_parameters(trained: Trained, rows: Whole, new: Block) -> Tensor:
    """Return where the minimum goes when rows are changed, from one solve.

    What the unchanged rows contribute is taken as quadratic around θ̂, what the m changed rows contribute as
    it is. With B the columns x̃ ⊗ I of the new rows, H₋ the Hessian without the old rows and g₋ the gradient
    of those, the new rows' scores then solve mk equations,

        s = Bᵀ(θ̂ + H₋⁻¹ g₋/n) - K r(s)/n        K = Bᵀ H₋⁻¹ B

    and θ moves by ``H₋⁻¹ (g₋ - B r(s))/n``. To first order it is the paper's ``-H⁻¹ Σ (g_zδ - g_z)/n``, which
    credits a row whose new cells give it a large leverage with many times what it can do.
    """  # -> (p,)
    model, theta, n = trained.objective.model, trained.fit.theta, trained.objective.rows.n
    k = model.loss.n_scores
    old = trained.objective.rows.take(torch.from_numpy(rows))
    B, A = _directions(new, k), _directions(old, k)
    Z = trained.prepared.solve(torch.cat([B, A, model.gradient(theta, old)[:, None]], dim=1))
    W = _diagonal(model.curvature(theta, old))
    ZA = Z[:, B.shape[1] : -1]
    # H₋⁻¹ V = H⁻¹ V + H⁻¹A W (nI - AᵀH⁻¹A W)⁻¹ AᵀH⁻¹ V
    inner = n * torch.eye(len(W), dtype=W.dtype) - (A.T @ ZA) @ W
    Z = Z + ZA @ (W @ torch.linalg.solve(inner, A.T @ Z))
    weight = new.weight.repeat_interleave(k)
    K, base = B.T @ Z[:, : B.shape[1]], (B.T @ (theta + Z[:, -1] / n)).view(-1, k)
    s = base.clone()
    for _ in range(_NEWTON):
        r = weight * model.loss.slope(s, new.y).reshape(-1)
        D = _diagonal(new.weight[:, None, None] * model.loss.curvature(s, new.y))
        step = torch.linalg.solve(
            torch.eye(len(r), dtype=r.dtype) + K @ D / n, (s - base).reshape(-1) + K @ r / n
        )
        # The curvature may vanish far out, where a full step overshoots; a unit of score at a time does not.
        s = s - step.clamp(-1.0, 1.0).view(-1, k)
        if float(step.abs().max()) < _SETTLED:
            break
    r = weight * model.loss.slope(s, new.y).reshape(-1)
    moved: Tensor = theta + (Z[:, -1] - Z[:, : B.shape[1]] @ r) / n
    return moved


def _diagonal(blocks: Tensor) -> Tensor:
    """Return the blocks along a diagonal."""  # (m, k, k) -> (mk, mk)
    m, k, _ = blocks.shape
    whole = blocks.new_zeros(m, k, m, k)
    whole[torch.arange(m), :, torch.arange(m)] = blocks
    return whole.view(m * k, m * k)


def _directions(block: Block, k: int) -> Tensor:
    """Return x̃ ⊗ I of rows, k columns a row."""  # -> (p, b k)
    x = block.dense()
    eye = torch.eye(k, dtype=x.dtype)
    return torch.einsum("bi,kl->ikbl", x, eye).reshape(-1, len(x) * k)


def leverages(trained: Trained, objective: Objective, theta: Tensor, *, block: Block) -> Reals:
    """Return the leverage tr(W Q)/n of rows of a refitted model."""  # -> (b,)
    model, k = objective.model, objective.model.loss.n_scores
    x, B = block.dense(), _directions(block, k)
    b = len(x)
    Z, _ = conjugate_gradients(
        objective.hvp_at(theta), B, precondition=trained.prepared.solve, tolerance=_LEVERAGE
    )
    Q = torch.einsum("bi,ikbl->bkl", x, Z.view(model.width + 1, k, b, k))
    return ((model.curvature(theta, block) * Q).sum((1, 2)) / objective.rows.n).numpy()
