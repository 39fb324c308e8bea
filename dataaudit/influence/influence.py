"""Influence of training rows: sign and scale are set here and nowhere else.

With g the gradient of a row's own loss at θ̂ (no ridge in it) and H = ∇²R(θ̂), Koh & Liang (2017) define

    I_up,loss(z, t) = -g_tᵀ H⁻¹ g_z          removing z changes the loss of t by -(1/n) of it, to first order
    I_up,loss(z, z) = -g_zᵀ H⁻¹ g_z ≤ 0      self-influence; its magnitude is reported
    I_up,params(z)  = -H⁻¹ g_z               the parameters move by -(1/n) of it when z is removed
    I_pert,loss(z, t) = -g_tᵀ H⁻¹ ∂g_z/∂x    the loss of t moves by (1/n) of it per unit of a cell of z

For scores that are linear in x, g = x̃ ⊗ r with r the slope of the loss, so the magnitude of a row's
self-influence is ``rᵀ Q r`` with Q its quadratic form of H⁻¹ (see `solvers.base.Prepared`), and its leverage
is ``h = tr(W Q)/n`` with W its weighted curvature (Pregibon 1981; Cook & Weisberg 1982).

Gradients are those of a row's loss alone: neither the ridge nor the row's weight ω is in them. What removing
or changing a row does is ω times what is said above.
"""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor

from dataaudit.model.linear import LinearModel
from dataaudit.model.objective import Objective
from dataaudit.model.rows import Block
from dataaudit.solvers.base import Prepared


def self_influence(objective: Objective, theta: Tensor, forms: Tensor) -> Tensor:
    """Return the magnitude of I_up,loss(z, z) of every training row, in nats times n."""  # -> (n,)
    r = objective.model.loss.slope(objective.scores(theta), objective.rows.y)[:, :, None]
    return (r.mT @ forms @ r)[:, 0, 0].clamp_min(0.0)


def leverage(objective: Objective, theta: Tensor, forms: Tensor) -> Tensor:
    """Return how far every row determines its own fit: 0 not at all, 1 wholly (k for k scores)."""  # -> (n,)
    W = objective.curvature(theta)
    return (W * forms).sum((1, 2)) / objective.rows.n


def pushed(objective: Objective, theta: Tensor, forms: Tensor) -> Tensor:
    """Return ``ω (I - W Q/n)⁻¹ r`` of every row: without it the parameters move by ``H⁻¹ (x̃ ⊗ that)/n``."""
    n, weight = objective.rows.n, objective.rows.weight[:, None]  # -> (n, k)
    r = weight * objective.model.loss.slope(objective.scores(theta), objective.rows.y)
    eye = torch.eye(forms.shape[1], dtype=forms.dtype)
    solved: Tensor = torch.linalg.solve(eye - objective.curvature(theta) @ forms / n, r[:, :, None])
    return solved[:, :, 0]


def cooks_distance(objective: Objective, theta: Tensor, forms: Tensor) -> Tensor:
    """Return how far all parameters move without each row, in the metric of their confidence ellipsoid.

    With Δ the one-step change of the parameters, ``Δᵀ (n H) Δ``; divided by the number of parameters and the
    dispersion it is the distance of Cook (1977; of logistic fits Pregibon 1981).
    """  # -> (n,)
    push = pushed(objective, theta, forms)[:, :, None]
    return (push.mT @ forms @ push)[:, 0, 0] / objective.rows.n


def loss_gradients(model: LinearModel, theta: Tensor, block: Block) -> Tensor:
    """Return the gradient of every row's own loss, in nats per unit of θ."""  # theta (p,) -> (p, b)
    return model.outer(block, model.loss.slope(model.scores(theta, block), block.y))


def up_params(objective: Objective, theta: Tensor, prepared: Prepared, *, block: Block) -> Tensor:
    """Return I_up,params of rows: removing such a training row moves θ by -(1/n) of it."""  # -> (p, b)
    return prepared.solve(loss_gradients(objective.model, theta, block)).neg_()


def up_loss(objective: Objective, theta: Tensor, prepared: Prepared, *, test: Block) -> Tensor:
    """Return I_up,loss of every training row on every test row, in nats times n.

    Positive is harmful: removing training row i changes the loss of test row t by -(1/n) of it. The whole
    matrix is kept; `topk.strongest_influences` keeps the largest entries alone.
    """  # theta (p,) -> (t, n)
    solved = prepared.solve(loss_gradients(objective.model, theta, test))
    return torch.cat(list(objective.rows.map(partial(objective.model.pair_influences, theta, solved)))).T


def pert_loss(objective: Objective, theta: Tensor, prepared: Prepared, *, test: Block) -> Tensor:
    """Return I_pert,loss of every cell of the training set on the summed loss of the test rows.

    Adding a small δ to cell j of training row i and fitting again changes the summed loss by (1/n) δ times
    entry (i, j). With v = H⁻¹ Σ g_t, read as V (d+1, k), and u = Vᵀ x̃,

        -∂(vᵀ g)/∂x_j = -(V_j · r + Θ_j · W u)

    so the whole table is two products with k columns. A large entry need not belong to a value that the row
    has: it is a slope, in nats times n per unit of the feature, and the unit of an absent indicator is large.
    """  # theta (p,) -> (n, d)
    model = objective.model
    total = model.gradient(theta, Block(test.X, test.y, torch.ones_like(test.weight)))
    v = prepared.solve(total[:, None])[:, 0]
    return torch.cat(list(objective.rows.map(partial(_slopes, model, theta, v), dense=True)))


def _slopes(model: LinearModel, theta: Tensor, v: Tensor, block: Block) -> Tensor:
    """Return ``-(r Vᵀ + W u Θᵀ)`` without the intercepts."""  # (p,), (p,) -> (b, d)
    s, V, T = model.scores(theta, block), model.matrix(v), model.matrix(theta)
    bent = model.loss.curvature(s, block.y) @ block.scores(V)[:, :, None]
    return -(model.loss.slope(s, block.y) @ V[:-1].T + bent[:, :, 0] @ T[:-1].T)
