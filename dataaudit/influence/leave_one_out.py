"""The fit without a row, or with another label for it: one step for all rows at once, true refits for a few.

Removing row i from R leaves a Newton step from θ̂ that moves the row's own scores to (Pregibon 1981; Rad &
Maleki 2020, "approximate leave-one-out")

    s₋ = s + (ω/n) Q (I - W Q/n)⁻¹ r

with r and W the slope and curvature at s. That is an n-fold cross-validation from one factorisation. With
another label y' the row's scores solve ``s' = s₋ - (ω/n) Q₋ r(s', y')`` with Q₋ = Q (I - W Q/n)⁻¹ the form
without the row; with y' = y the solution is s itself.
"""

from __future__ import annotations

import torch
from torch import Tensor

from dataaudit.model.objective import Objective
from dataaudit.solvers.newton import Fit, FitSettings, minimise
from dataaudit.solvers.operator import Product

# The last bits of a sum depend on where memory lies, and flat directions of R multiply them: refits to a
# gradient of 1e-8 were seen to differ by 5e-9 nats from one process to the next, sharp ones by 1e-11.
SHARP = FitSettings(tolerance=1e-14, max_steps=20)


def leave_one_out_scores(objective: Objective, theta: Tensor, forms: Tensor) -> Tensor:
    """Return the scores that every row would have if it had not been in the training set."""  # -> (n, k)
    s = objective.scores(theta)
    r = objective.model.loss.slope(s, objective.rows.y)
    without = _forms_without(objective, theta, forms)
    weight = objective.rows.weight[:, None, None] / objective.rows.n
    return s + (weight * without @ r[:, :, None])[:, :, 0]


def _forms_without(objective: Objective, theta: Tensor, forms: Tensor) -> Tensor:
    """Return ``Q (I - W Q/n)⁻¹`` of every row."""  # (n, k, k) -> (n, k, k)
    W = objective.curvature(theta)
    eye = torch.eye(forms.shape[1], dtype=forms.dtype)
    return forms @ _inverse(eye - W @ forms / objective.rows.n)


def _inverse(M: Tensor) -> Tensor:
    """Return the inverses of small matrices; of one number each the library takes ten times as long."""
    return 1.0 / M if M.shape[-1] == 1 else torch.linalg.inv(M)  # (n, k, k)


def relabelled_scores(objective: Objective, theta: Tensor, forms: Tensor, *, y: Tensor) -> Tensor:
    """Return the scores that every row would have if it alone had another label in training."""  # -> (n, k)
    loss = objective.model.loss
    base = leave_one_out_scores(objective, theta, forms)
    weight = objective.rows.weight[:, None, None] / objective.rows.n
    pull = weight * _forms_without(objective, theta, forms)
    eye = torch.eye(forms.shape[1], dtype=forms.dtype)
    s, moving = base.clone(), torch.arange(len(base))
    low, high = torch.full_like(s, -torch.inf), torch.full_like(s, torch.inf)
    for _ in range(200):
        here, label, form = s[moving], y[moving], pull[moving]
        excess = here - base[moving] + (form @ loss.slope(here, label)[:, :, None])[:, :, 0]
        step = (_inverse(eye + form @ loss.curvature(here, label)) @ excess[:, :, None])[:, :, 0]
        # The curvature may vanish far out, where a full step overshoots; a unit of score at a time does not.
        moved = here - step.clamp(-1.0, 1.0)
        if s.shape[1] == 1:  # next to a kink steps would go to and fro; one equation that rises has a bracket
            low[moving] = below = torch.where(excess < 0, here, low[moving])
            high[moving] = above = torch.where(excess > 0, here, high[moving])
            moved = torch.where((below <= moved) & (moved <= above), moved, (below + above) / 2)
        s[moving] = moved
        moving = moving[(here - moved).abs().amax(1) >= 1e-12]  # noqa: PLR2004 - rounding of a score
        if not len(moving):
            break
    return s


def one_step_parameters(fit: Fit, moved: Tensor, *, form: Tensor, by: Tensor) -> Tensor:
    """Return the parameters at which one row's scores have changed by `by`, along its own direction.

    For the change that `leave_one_out_scores` or `relabelled_scores` predict, this is the point that they
    stand for, and a good one to start a refit from.
    """  # moved (p, k), form (k, k), by (k,) -> (p,)
    along: Tensor = torch.linalg.lstsq(form, by[:, None]).solution[:, 0]
    return fit.theta + moved @ along


def without(objective: Objective, row: int | Tensor) -> Objective:
    """Return the same objective without one row, or several."""  # positions
    weight = objective.rows.weight.clone()
    weight[row] = 0.0
    return objective.reweighted(weight)


def relabelled(objective: Objective, row: int, label: int) -> Objective:
    """Return the same objective with another label for one row."""
    y = objective.rows.y.clone()
    y[row] = label
    return objective.relabelled(y)


def refit_without(
    objective: Objective,
    fit: Fit,
    row: int | Tensor,  # position of the row that leaves, or of several
    *,
    start: Tensor | None = None,  # (p,) where to begin; θ̂ by default
    precondition: Product | None = None,
) -> Fit:
    """Return the true minimum without one row, or several."""
    begin = fit.theta if start is None else start
    return minimise(without(objective, row), begin, precondition=precondition, settings=SHARP)


def refit_relabelled(
    objective: Objective,
    fit: Fit,
    row: int,
    *,
    label: int,
    start: Tensor | None = None,  # (p,) where to begin; θ̂ by default
    precondition: Product | None = None,
) -> Fit:
    """Return the true minimum with another label for one row."""
    begin = fit.theta if start is None else start
    return minimise(relabelled(objective, row, label), begin, precondition=precondition, settings=SHARP)
