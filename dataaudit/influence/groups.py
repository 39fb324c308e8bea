"""The fit without a group of rows, or with it down-weighted or relabelled: one Newton step, and the truth.

Removing the rows S from R leaves, from the minimum θ̂ of R, the gradient -(1/n) Σ_S ω g and the Hessian H -
H_S, so Newton's step for the problem without them is (Koh, Ang, Teo & Liang 2019; Pregibon 1981)

    θ' = θ̂ + (H - H_S)⁻¹ (1/n) Σ_S ω g            in general    θ̂ - H'⁻¹ (1/n) Σ_S (ω' g' - ω g)

with g', ω' and H' those of the changed problem at θ̂. The plain sum of influences uses H⁻¹ and thereby misses
that the group also adds to the Hessian in its own directions: for rows that are alike it is several times too
small.

Where p is small H' is formed and factored: n p²/k + p³/3 multiplications. Otherwise it is never formed: one
system is solved by conjugate gradients, preconditioned by H⁻¹ at θ̂ where the caller has it (then at most
about as many steps as the group has rows), else by the diagonal of H'.
"""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor

from dataaudit.errors import NotPositiveDefinite, SettingError
from dataaudit.model.objective import Objective
from dataaudit.solvers.cg import conjugate_gradients
from dataaudit.solvers.cholesky import cholesky_solve
from dataaudit.solvers.newton import TINY, Fit, FitSettings, minimise
from dataaudit.solvers.operator import Product

TOLERANCE = 1e-10


def changed_objective(
    objective: Objective, rows: Tensor, *, y: Tensor | None = None, weight: float | None = None
) -> Objective:
    """Return the objective with a group of rows changed; n and the ridge stay as they are.

    Labels y are new ones; weights are multiplied by `weight`, by default 1 with y and 0 (removal) without.
    """  # rows (m,), each once; y (m,)
    factor = (0.0 if y is None else 1.0) if weight is None else weight
    _require_rows(objective, rows)
    labels, weights = objective.rows.y.clone(), objective.rows.weight.clone()
    weights[rows] *= factor
    if y is not None:
        classes = objective.model.loss.n_scores + 1
        if len(y) != len(rows) or (len(y) and not 0 <= int(y.min()) <= int(y.max()) < classes):
            what = f"y must hold one class number from 0 to {classes - 1} for each row"
            raise SettingError(
                f"{what}: got {len(y)} for {len(rows)} rows", "give the new labels of the rows"
            )
        labels[rows] = y
    if factor < 0 or not float(weights.sum()) > 0:
        raise SettingError(
            f"nothing would be left to fit: got {len(rows)} rows at weight {factor:g}", "take fewer rows"
        )
    return objective.relabelled(labels).reweighted(weights)


def _require_rows(objective: Objective, rows: Tensor) -> None:
    """Refuse positions that are not there, or given twice."""
    n = objective.rows.n
    if len(rows) and not 0 <= int(rows.min()) <= int(rows.max()) < n:
        span = f"{int(rows.min())} to {int(rows.max())}"
        raise SettingError(
            f"rows must lie between 0 and {n - 1}: got {span}", "give positions of training rows"
        )
    if len(set(rows.tolist())) < len(rows):
        raise SettingError("a row is in the group twice", "give each row once")


def group_step(
    objective: Objective,
    theta: Tensor,  # (p,) its minimum; elsewhere the step is that of the group alone
    rows: Tensor,  # (m,) positions of the rows, each once
    *,
    y: Tensor | None = None,  # (m,) new labels
    weight: float | None = None,  # as in `changed_objective`
    precondition: Product | None = None,  # H⁻¹ at θ, used where p is large
) -> Tensor:
    """Return the parameters after one Newton step for a changed group of rows."""  # -> (p,)
    changed = changed_objective(objective, rows, y=y, weight=weight)
    before, after = objective.rows.take(rows), changed.rows.take(rows)
    push = objective.model.gradient(theta, before) - objective.model.gradient(theta, after)
    solve = changed_inverse(changed, theta, precondition=precondition)
    return theta + solve(push[:, None] / objective.rows.n)[:, 0]


def changed_inverse(changed: Objective, theta: Tensor, *, precondition: Product | None = None) -> Product:
    """Return ``V -> ∇²R'(θ)⁻¹ V`` for a problem near one whose inverse Hessian may be at hand."""
    p, n = changed.model.n_params, changed.rows.n
    direct = min(FitSettings().direct_limit, max(TINY, 2 * n))
    if p <= (TINY if precondition is not None else direct):
        L, failed = torch.linalg.cholesky_ex(changed.hessian(theta))
        if failed:
            what = f"the Hessian of the changed problem is singular at λ = {changed.l2:g}"
            raise NotPositiveDefinite(what, "raise --l2, or take fewer rows")
        return partial(cholesky_solve, L)
    product = changed.hvp_at(theta)
    if precondition is None:
        diagonal = changed.hessian_diagonal(theta).clamp_min(1e-12)
        precondition = lambda V: V / diagonal[:, None]  # noqa: E731 - as short as it is clear
    inverse = precondition
    return lambda V: conjugate_gradients(product, V, precondition=inverse, tolerance=TOLERANCE)[0]


def refit_group(
    objective: Objective,
    fit: Fit,  # its minimum, where the refit begins
    rows: Tensor,  # (m,) positions of the rows, each once
    *,
    y: Tensor | None = None,  # (m,) new labels
    weight: float | None = None,  # as in `changed_objective`
    precondition: Product | None = None,
) -> Fit:
    """Return the true minimum with a group of rows removed, down-weighted or relabelled."""
    changed = changed_objective(objective, rows, y=y, weight=weight)
    return minimise(changed, fit.theta, precondition=precondition)
