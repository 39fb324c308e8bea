"""The fit without a row, or with another label for it: one step for all rows at once, true refits for a few.

Removing row i from R leaves a Newton step from θ̂ that moves the row's own scores to (Pregibon 1981; Rad &
Maleki 2020, "approximate leave-one-out")

    s₋ = s + (ω/n) Q (I - W Q/n)⁻¹ r

with r and W the slope and curvature at s. That is an n-fold cross-validation from one factorisation. With
another label y' the row's scores solve ``s' = s₋ - (ω/n) Q₋ r(s', y')`` with Q₋ = Q (I - W Q/n)⁻¹ the form
without the row; with y' = y the solution is s itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import torch
from torch import Tensor

from dataaudit.model.losses import Loss
from dataaudit.model.objective import Objective
from dataaudit.solvers.newton import Fit, FitSettings, minimise
from dataaudit.solvers.operator import Product

# The last bits of a sum depend on where memory lies, and flat directions of R multiply them: refits to a
# gradient of 1e-8 were seen to differ by 5e-9 nats from one process to the next, sharp ones by 1e-11.
SHARP = FitSettings(tolerance=1e-14, max_steps=20)
BYTES: Final = 2**24  # of forms at a time


def leave_one_out_scores(objective: Objective, theta: Tensor, forms: Tensor) -> Tensor:
    """Return the scores that every row would have if it had not been in the training set."""  # -> (n, k)
    return torch.cat([base for _, base, _ in _without(objective, theta, forms)])


def _without(objective: Objective, theta: Tensor, forms: Tensor) -> Iterator[tuple[slice, Tensor, Tensor]]:
    """Yield some rows, their scores without themselves, and ω/n times their forms without themselves."""
    s, rows, loss = objective.scores(theta), objective.rows, objective.model.loss
    k = forms.shape[1]
    eye, size = torch.eye(k, dtype=forms.dtype), max(1, BYTES // (8 * k**2))
    for some in (slice(at, at + size) for at in range(0, len(s), size)):
        here, y, Q = s[some], rows.y[some], forms[some]
        weight = rows.weight[some, None, None] / rows.n
        pull = weight * _solve(eye - Q @ (weight * loss.curvature(here, y)), Q)
        yield some, here + (pull @ loss.slope(here, y)[:, :, None])[:, :, 0], pull


def _solve(M: Tensor, B: Tensor) -> Tensor:
    """Return M⁻¹ B of small matrices; of one number each the library takes ten times as long."""
    return B / M if M.shape[-1] == 1 else torch.linalg.solve(M, B)  # (n, k, k), (n, k, m)


def relabelled_scores(objective: Objective, theta: Tensor, forms: Tensor, *, y: Tensor) -> Tensor:
    """Return the scores that every row would have if it alone had another label in training."""  # -> (n, k)
    loss = objective.model.loss
    return torch.cat(
        [_relabelled(loss, base, pull, y[some]) for some, base, pull in _without(objective, theta, forms)]
    )


def _relabelled(loss: Loss, base: Tensor, pull: Tensor, y: Tensor) -> Tensor:
    """Return the scores that solve for other labels, from those without the rows."""
    eye = torch.eye(base.shape[1], dtype=base.dtype)  # (b, k), (b, k, k), (b,) -> (b, k)
    s, moving = base.clone(), torch.arange(len(base))
    low, high = torch.full_like(s, -torch.inf), torch.full_like(s, torch.inf)
    for _ in range(200):
        here, label, form = s[moving], y[moving], pull[moving]
        excess = here - base[moving] + (form @ loss.slope(here, label)[:, :, None])[:, :, 0]
        step = _solve(eye + form @ loss.curvature(here, label), excess[:, :, None])[:, :, 0]
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
