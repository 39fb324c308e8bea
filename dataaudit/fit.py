"""Newton's method to a stationary point, where influence functions hold.

Each step solves ``∇²R(θ) s = -∇R(θ)`` by conjugate gradients, to a tolerance that tightens with the gradient
(Dembo, Eisenstat & Steihaug 1982, so convergence is superlinear), then halves s until R falls enough
(Armijo). Where p is small the preconditioner is the Cholesky factor of a Hessian met on the way, made anew
only when it has grown stale; otherwise it is the Hessian's diagonal, and no p × p matrix exists.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from dataaudit.errors import NotConverged, SettingError
from dataaudit.objective import Objective
from dataaudit.solvers.cg import Operator, conjugate_gradients
from dataaudit.solvers.triangular import cholesky_solve

# More steps of conjugate gradients than this cost more than a new factor of the Hessian.
STALE = 25
# Up to so many parameters a factor costs next to nothing, however few the rows.
TINY = 500


@dataclass(frozen=True)
class FitSettings:
    """When to stop.

    Parameters
    ----------
    tolerance : float
        Largest entry of ∇R(θ) at the end.
    max_steps : int
        Newton steps at the most.
    direct_limit : int
        Largest p for which a p × p Hessian is factored.
    forcing : float
        Largest relative residual at which a step's conjugate gradients end.

    Raises
    ------
    SettingError
        If a value is not positive.
    """

    tolerance: float = 1e-8
    max_steps: int = 100
    direct_limit: int = 6000
    forcing: float = 0.1

    def __post_init__(self) -> None:
        """Check the values."""
        if self.tolerance <= 0 or self.max_steps < 1:
            got = f"{self.tolerance} and {self.max_steps}"
            raise SettingError(f"tolerance and max_steps must be positive: got {got}", "leave them out")


@dataclass(frozen=True)
class Fit:
    """A point, and how near it is to a minimum.

    Attributes
    ----------
    theta : Tensor (p,)
        Parameters.
    gradient_norm : float
        ‖∇R(θ)‖_∞.
    steps : int
        Newton steps taken.
    tolerance : float
        What was asked of the gradient norm.
    """

    theta: Tensor
    gradient_norm: float
    steps: int
    tolerance: float

    @property
    def converged(self) -> bool:
        """Whether the gradient is as small as was asked."""
        return self.gradient_norm <= self.tolerance

    def require_converged(self) -> Fit:
        """Return the fit itself.

        Raises
        ------
        NotConverged
            If the gradient is too large for influence to be trusted.
        """
        if not self.converged:
            what = f"the fit stopped at gradient norm {self.gradient_norm:.1e}, above {self.tolerance:.0e}"
            raise NotConverged(what, "raise --l2, or look for columns with huge values")
        return self


def minimise(
    objective: Objective,
    start: Tensor | None = None,
    *,
    precondition: Operator | None = None,
    settings: FitSettings = FitSettings(),
) -> Fit:
    """Minimise R(θ).

    Parameters
    ----------
    objective : Objective
        What to minimise.
    start : Tensor (p,), optional
        Where to begin; zeros by default.
    precondition : callable, optional
        An inverse Hessian from a nearby problem, ``(p, m) -> (p, m)``; makes warm refits cheap.
    settings : FitSettings
        When to stop.

    Returns
    -------
    Fit
        The end point; ask `Fit.require_converged` before using it for influence.
    """
    p = objective.model.n_params
    theta = torch.zeros(p, dtype=torch.float64) if start is None else start.clone()
    gradient = objective.gradient(theta)
    used = 0
    for step in range(settings.max_steps):
        norm = float(gradient.abs().max())
        if norm <= settings.tolerance:
            return Fit(theta, norm, step, settings.tolerance)
        if precondition is None or used > STALE:
            precondition = _preconditioner(objective, theta, settings)
        forcing = min(settings.forcing, float(torch.linalg.vector_norm(gradient)) ** 0.5)
        direction, used = conjugate_gradients(
            objective.hvp_at(theta), -gradient[:, None], precondition=precondition, tolerance=forcing
        )
        moved = _line_search(objective, theta, direction[:, 0], gradient)
        if moved is None:
            return Fit(theta, norm, step, settings.tolerance)
        theta, gradient = moved, objective.gradient(moved)
    return Fit(theta, float(gradient.abs().max()), settings.max_steps, settings.tolerance)


def _preconditioner(objective: Objective, theta: Tensor, settings: FitSettings) -> Operator:
    """Return the inverse of the Hessian at θ where p is small, else of its diagonal."""
    if objective.model.n_params <= min(settings.direct_limit, max(TINY, 2 * objective.rows.n)):
        L, failed = torch.linalg.cholesky_ex(objective.hessian(theta))
        if not failed:
            return partial(cholesky_solve, L)
    diagonal = objective.hessian_diagonal(theta).clamp_min(1e-12)
    return lambda V: V / diagonal[:, None]


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
