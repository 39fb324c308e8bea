"""Newton's method to a stationary point, where influence functions hold.

Each step solves ``∇²R(θ) s = -∇R(θ)`` by conjugate gradients, to a tolerance that tightens with the gradient
(Dembo, Eisenstat & Steihaug 1982, so convergence is superlinear), then halves s until R falls enough
(Armijo). Where p is small the preconditioner is the Cholesky factor of a Hessian met on the way, made anew
only when it has grown stale; otherwise no p × p matrix exists. Then with K > 2 classes of a softmax it is
the Hessian's blocks of one class each, H_a = (1/n) X̃ᵀ diag(p_a (1 - p_a)) X̃ + λ I. In K symmetric scores u
these are next to all of it, and with s = T u the K - 1 of `model.linear`, a step in these is
T diag(H_a)⁻¹ Tᵀ g. Some rows suffice to make them. Else it is the Hessian's diagonal.

The hinge of support vector machines has a kink at margin 1, where about as many rows as there are free
directions sit at the minimum. Influence there is that of the smooth hinge of a small temperature t (Koh &
Liang 2017, section 4.2), whose minimum is within O(t) of the hinge's. Newton's method from afar would step
over the kinks, so it goes down in t by factors of four, each minimum a start for the next: 5 to 10 steps
each, as *measured* on 13,000 digits down to t = 1e-6.

A point θ minimises the hinge's R if slopes a_i in [0, 1] for the rows at the kink make a subgradient vanish,

    min over a   ‖ λ θ - (1/n) Σ_short ω c x̃ - (1/n) Σ_kink a_i ω c x̃ ‖

with c the labels as ±1: least squares with bounds. Rows count as at the kink within a width of the margin,
since solvers stop with margins that are off by their tolerance.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from dataaudit.errors import NotConverged, SettingError
from dataaudit.model.losses import SmoothHinge, Softmax
from dataaudit.model.objective import Objective
from dataaudit.model.rows import MemoryRows
from dataaudit.options import NOT_KEPT, Checkpoint
from dataaudit.options.progress import Fall
from dataaudit.solvers.cg import conjugate_gradients
from dataaudit.solvers.cholesky import cholesky_solve, inverse
from dataaudit.solvers.operator import Product

if TYPE_CHECKING:
    from dataaudit.solvers.classes import Classes

# More steps of conjugate gradients than this cost more than a new factor of the Hessian.
STALE = 25
# Blocks of one class each take longer to make than so many.
BLOCKS_STALE = 100
# Relative residual to which float32 solves.
FINEST = 1e-4
# Up to this many parameters a factor costs next to nothing, however few the rows.
TINY = 500
# Most numbers that the blocks of all classes hold, and rows for each column to make them of.
BLOCK_NUMBERS, BLOCK_ROWS = 4e7, 4
# Gradient to which a minimum is sharpened where a factor is at hand, and steps for it at most.
SHARP, SHARPENINGS = 1e-12, 4
# The paper's temperature for influence on weights that were trained with the hinge.
TEMPERATURE = 1e-3
# Margins that are this near to 1 are at the kink; LIBSVM's default tolerance is a tenth of it.
WIDTH = 1e-2
_FIRST, _FACTOR = 1.0, 4.0


@dataclass(frozen=True)
class FitSettings:
    """When to stop."""

    tolerance: float = 1e-8  # largest entry of ∇R(θ) at the end
    max_steps: int = 100  # Newton steps at the most
    direct_limit: int = 6000  # largest p for which a p × p Hessian is factored
    forcing: float = 0.1  # largest relative residual at which a step's conjugate gradients end

    def __post_init__(self) -> None:
        """Check the values."""
        if self.tolerance <= 0 or self.max_steps < 1:
            got = f"{self.tolerance} and {self.max_steps}"
            raise SettingError(f"tolerance and max_steps must be positive: got {got}", "leave them out")


@dataclass(frozen=True)
class Fit:
    """A point, and how near it is to a minimum."""

    theta: Tensor  # (p,)
    gradient_norm: float
    steps: int
    tolerance: float  # what was asked of the gradient norm

    @property
    def converged(self) -> bool:
        """Whether the gradient is as small as was asked."""
        return self.gradient_norm <= self.tolerance

    def require_converged(self) -> Fit:
        """Return the fit itself; raise where it is not at a minimum."""
        if not self.converged:
            what = f"the fit stopped at gradient norm {self.gradient_norm:.1e}, above {self.tolerance:.0e}"
            raise NotConverged(what, "raise --l2, or look for columns with huge values")
        return self


def minimise(
    objective: Objective,
    start: Tensor | None = None,  # (p,) where to begin; zeros by default
    *,
    precondition: Product | None = None,  # an inverse Hessian from a nearby problem, ``(p, m) -> (p, m)``
    settings: FitSettings = FitSettings(),
    kept: Checkpoint = NOT_KEPT,  # of where every step leads to
) -> Fit:
    """Minimise R(θ); ask `Fit.require_converged` before the end point is used for influence."""
    p = objective.model.n_params
    theta = torch.zeros(p, dtype=torch.float64) if start is None else start.clone()
    # And the point where the preconditioner was made, and the products of the step before.
    first, theta, made_at, used = kept.get("step") or (0, theta, None, 0)
    if precondition is None and _by_classes(objective):
        made_at = theta if made_at is None else made_at
        return minimise_by_classes(
            objective,
            theta,
            _class_inverse(objective, made_at),
            settings=settings,
            kept=kept,
            begun=(first, made_at),
        )
    if made_at is not None:
        precondition = _preconditioner(objective, made_at, settings)
    gradient, falling = objective.gradient(theta), Fall(settings.tolerance)
    stale = BLOCKS_STALE if _in_blocks(objective) else STALE
    for step in range(first, settings.max_steps):
        norm = float(gradient.abs().max())
        if norm <= settings.tolerance:
            theta, norm = _sharpened(objective, theta, gradient, precondition)
            return Fit(theta, norm, step, settings.tolerance)
        falling.to(norm)
        if precondition is None or used > stale:
            precondition, made_at = _preconditioner(objective, theta, settings), theta
        forcing = min(settings.forcing, float(torch.linalg.vector_norm(gradient)) ** 0.5)
        direction, used = conjugate_gradients(
            objective.hvp_at(theta), -gradient[:, None], precondition=precondition, tolerance=forcing
        )
        moved = _line_search(objective, theta, direction[:, 0], gradient)
        if moved is None:
            return Fit(theta, norm, step, settings.tolerance)
        kept.put("step", (step + 1, moved, made_at, used))
        theta, gradient = moved, objective.gradient(moved)
    return Fit(theta, float(gradient.abs().max()), settings.max_steps, settings.tolerance)


def _sharpened(
    objective: Objective, theta: Tensor, gradient: Tensor, precondition: Product | None
) -> tuple[Tensor, float]:
    """Return a point nearer to a minimum that is met, and its gradient: a factor at hand brings it cheaply.

    So scores do not depend on the way to the minimum by more than rounding.
    """
    norm = float(gradient.abs().max())
    if not (isinstance(precondition, partial) and precondition.func is cholesky_solve):
        return theta, norm
    for _ in range(SHARPENINGS):
        if norm <= SHARP:
            break
        moved = theta - precondition(gradient[:, None])[:, 0]
        gradient = objective.gradient(moved)
        now = float(gradient.abs().max())
        if now >= norm / 2:
            break
        theta, norm = moved, now
    return theta, norm


def _by_classes(objective: Objective) -> bool:
    """Return whether several classes of sparse rows have too many parameters for other ways."""
    rows, k = objective.rows, objective.model.loss.n_scores
    if not isinstance(rows, MemoryRows) or isinstance(rows.X, Tensor):
        return False
    return k > 1 and objective.model.n_params > TINY and not _in_blocks(objective)


def _class_inverse(objective: Objective, theta: Tensor) -> Classes:
    from dataaudit.solvers.classes import Classes  # noqa: PLC0415 - few tables are so wide

    return Classes.of(objective, theta)


def minimise_by_classes(
    objective: Objective,
    theta: Tensor,
    inverse: Classes,  # of a nearby problem
    *,
    settings: FitSettings = FitSettings(),
    kept: Checkpoint = NOT_KEPT,
    begun: tuple[int, Tensor | None] = (0, None),  # steps that were made, and where the inverse is of
) -> Fit:
    """Minimise with directions that are solved for in float32, on all cores."""
    (first, made_at), gradient, falling = begun, objective.gradient(theta), Fall(settings.tolerance)
    for step in range(first, settings.max_steps):
        norm = float(gradient.abs().max())
        if norm <= settings.tolerance:
            return Fit(theta, norm, step, settings.tolerance)
        falling.to(norm)
        forcing = max(FINEST, min(settings.forcing, float(torch.linalg.vector_norm(gradient)) ** 0.5))
        direction = inverse.at(objective, theta).solve(-gradient[:, None], forcing)[:, 0]
        moved = _line_search(objective, theta, direction, gradient)
        if moved is None:
            return Fit(theta, norm, step, settings.tolerance)
        kept.put("step", (step + 1, moved, made_at, 0))
        theta, gradient = moved, objective.gradient(moved)
    return Fit(theta, float(gradient.abs().max()), settings.max_steps, settings.tolerance)


def _preconditioner(objective: Objective, theta: Tensor, settings: FitSettings) -> Product:
    """Return the inverse of the Hessian at θ where p is small, else of its blocks or its diagonal."""
    if _in_blocks(objective):
        return partial(_times_blocks, class_blocks(objective, theta))
    if objective.model.n_params <= min(settings.direct_limit, max(TINY, 2 * objective.rows.n)):
        L, failed = torch.linalg.cholesky_ex(objective.hessian(theta))
        if not failed:
            return partial(cholesky_solve, L)
    diagonal = objective.hessian_diagonal(theta).clamp_min(1e-12)
    return lambda V: V / diagonal[:, None]


def _in_blocks(objective: Objective) -> bool:
    """Return whether blocks of one class each pay."""
    loss, width = objective.model.loss, objective.rows.width + 1
    several = isinstance(loss, Softmax) and loss.n_scores > 1
    return several and width * loss.n_scores > TINY and (loss.n_scores + 1) * width**2 <= BLOCK_NUMBERS


def class_blocks(objective: Objective, theta: Tensor) -> Tensor:
    """Return the inverses of the blocks of one class each, in symmetric scores, by some of the rows."""
    n, width = objective.rows.n, objective.rows.width + 1  # (p,) -> (K, d+1, d+1)
    some = objective.rows.take(torch.linspace(0, n - 1, min(n, BLOCK_ROWS * width)).long())
    X, s = some.dense().float(), objective.model.scores(theta, some).float()
    P = torch.softmax(torch.nn.functional.pad(s, (1, 0)), 1)
    W = P * (1.0 - P) * (some.weight[:, None] / len(X)).float()
    H = torch.stack([X.T @ (X * w[:, None]) for w in W.T])
    ridge = X.new_full((width,), objective.l2)
    ridge[-1] *= objective.model.intercept_ridge
    diagonal = H.diagonal(dim1=1, dim2=2)
    diagonal += ridge
    # Scaled to a unit diagonal, which float32 carries whatever the columns' units.
    size = diagonal.clamp_min(1e-30).rsqrt()
    H *= size[:, :, None] * size[:, None]
    diagonal += 1e-6
    return inverse(torch.linalg.cholesky(H)) * size[:, :, None] * size[:, None]


def _times_blocks(inverses: Tensor, V: Tensor) -> Tensor:
    """Return T diag(H_a)⁻¹ Tᵀ V."""  # (K, d+1, d+1), (p, m) -> (p, m)
    G = V.view(inverses.shape[1], -1, V.shape[1]).to(inverses.dtype)
    # From the left, as rows: symmetric all the same, and three times as fast where there is one.
    Z = torch.cat([-G.sum(1, keepdim=True), G], dim=1).permute(1, 2, 0) @ inverses
    return (Z[1:] - Z[:1]).permute(2, 0, 1).reshape(V.shape).to(V.dtype)


def _line_search(objective: Objective, theta: Tensor, direction: Tensor, gradient: Tensor) -> Tensor | None:
    """Return the first of θ + s, θ + s/2, … at which R has fallen enough, or None where rounding hides it."""
    before, slope = objective.value(theta), float(gradient @ direction)
    slack = 1e-13 * abs(before)
    size = 1.0
    for _ in range(40):
        moved = theta + size * direction
        if objective.value(moved) <= before + 1e-4 * size * slope + slack:
            return moved
        size *= 0.5
    return None


def smoothed(objective: Objective, temperature: float) -> Objective:
    """Return the same objective with the smooth hinge of a temperature."""
    return replace(objective, model=replace(objective.model, loss=SmoothHinge(temperature)))


def minimise_hinge(objective: Objective, start: Tensor | None = None, *, kept: Checkpoint = NOT_KEPT) -> Fit:
    """Minimise R(θ) with a smooth hinge."""  # start (p,)
    loss = objective.model.loss
    last = loss.temperature if isinstance(loss, SmoothHinge) else _FIRST
    temperature, steps = _FIRST, 0
    while temperature > last:
        smooth = partial(minimise, smoothed(objective, temperature), start)
        fit = kept.once(f"temperature {temperature:g}", smooth)
        start, steps, temperature = fit.theta, steps + fit.steps, temperature / _FACTOR
    fit = minimise(objective, start, kept=kept)
    return replace(fit, steps=steps + fit.steps)


def subgradient_norm(objective: Objective, theta: Tensor) -> float:
    """Return the largest entry of the hinge's subgradient of least length: 0 at a minimum."""  # theta (p,)
    from scipy.optimize import lsq_linear  # noqa: PLC0415 - 0.2 s that few models need

    rows, hinge = objective.rows, smoothed(objective, 0.0)
    s = hinge.scores(theta)
    away = (1.0 - (2.0 * rows.y - 1.0) * s[:, 0]).abs() > WIDTH
    fixed = hinge.reweighted(torch.where(away, rows.weight, 0.0)).gradient(theta)
    kink = rows.take(torch.nonzero(~away)[:, 0])
    if not len(kink.y):
        return float(fixed.abs().max())
    pull = ((2.0 * kink.y - 1.0) * kink.weight / rows.n)[:, None] * kink.dense()
    found = lsq_linear(pull.T.numpy(), fixed.numpy(), bounds=(0.0, 1.0), tol=1e-12)
    return float(np.abs(found.fun).max())
