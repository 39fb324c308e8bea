"""Influence of training rows: sign and scale are set here and nowhere else.

With g the gradient of a row's own loss at θ̂ (no ridge in it) and H = ∇²R(θ̂), Koh & Liang (2017) define

    I_up,loss(z, t) = -g_tᵀ H⁻¹ g_z          removing z changes the loss of t by -(1/n) of it, to first order
    I_up,loss(z, z) = -g_zᵀ H⁻¹ g_z ≤ 0      self-influence; its magnitude is reported

For scores that are linear in x, g = x̃ ⊗ r with r the slope of the loss, so the magnitude of a row's
self-influence is ``rᵀ Q r`` with Q its quadratic form of H⁻¹ (see `solvers.base.Prepared`), and its leverage
is ``h = tr(W Q)/n`` with W its weighted curvature (Pregibon 1981; Cook & Weisberg 1982).
"""

from __future__ import annotations

from torch import Tensor

from dataaudit.objective import Objective


def self_influence(objective: Objective, theta: Tensor, forms: Tensor) -> Tensor:
    """Return the magnitude of I_up,loss(z, z) of every training row, in nats times n.

    Parameters
    ----------
    objective : Objective
        The training objective.
    theta : Tensor (p,)
        Its minimum.
    forms : Tensor (n, k, k)
        Quadratic forms Q of the rows.

    Returns
    -------
    Tensor (n,)
        ``rᵀ Q r``, never negative.
    """
    r = objective.model.loss.slope(objective.scores(theta), objective.rows.y)[:, :, None]
    return (r.mT @ forms @ r)[:, 0, 0].clamp_min(0.0)


def leverage(objective: Objective, theta: Tensor, forms: Tensor) -> Tensor:
    """Return how far every row determines its own fit: 0 not at all, 1 wholly (k for k scores).

    Parameters
    ----------
    objective : Objective
        The training objective.
    theta : Tensor (p,)
        Its minimum.
    forms : Tensor (n, k, k)
        Quadratic forms Q of the rows.

    Returns
    -------
    Tensor (n,)
        ``tr(W Q)/n``.
    """
    W = objective.curvature(theta)
    return (W * forms).sum((1, 2)) / objective.rows.n
