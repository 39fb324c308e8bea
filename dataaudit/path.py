"""The regularisation path, judged by approximate leave-one-out.

The mean loss at the leave-one-out scores (`leaveout`) estimates out-of-sample loss from the training rows
alone, wrong labels among them, with no refit per fold. Along log λ it falls and then rises. The search
brackets its minimum in steps of a factor four, halves the steps there, and takes the largest λ whose loss
is within one standard error of the least (Breiman et al. 1984): wrong labels pull the minimum towards too
little ridge, since a model that bends to them is less surprised, and ranking them wants more.

Fits are warm-started and need no high precision; quadratic forms are exact where that is cheap and sketched
where it is not, with the same projection for every λ.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from dataaudit.fit import FitSettings, minimise
from dataaudit.leaveout import leave_one_out_scores
from dataaudit.models import LinearModel
from dataaudit.objective import Objective
from dataaudit.rows import MemoryRows
from dataaudit.solvers import Cholesky, Dual
from dataaudit.solvers.sketch import Sketch

# Multiplications below which exact quadratic forms cost less than a sketch's iterations.
CHEAP = 1e10
LOOSE = 1e-5
# Exponents of 2 that λ may take, times the scale of the rows.
LOWEST, HIGHEST = -26, 8
# Where a few thousand short texts with some wrong labels end up, as a rule.
START = -10


@dataclass(frozen=True)
class PathPoint:
    """One λ.

    Attributes
    ----------
    l2 : float
        λ.
    loo_loss : float
        Mean approximate leave-one-out loss, in nats.
    standard_error : float
        Of that mean, over rows.
    """

    l2: float
    loo_loss: float
    standard_error: float


@dataclass(frozen=True)
class Path:
    """What was tried, by increasing λ.

    Attributes
    ----------
    points : tuple of PathPoint
        All of them.
    chosen : PathPoint
        The largest λ within one standard error of the least loss.
    theta : Tensor (p,)
        Parameters near the minimum at the chosen λ, to start from.
    """

    points: tuple[PathPoint, ...]
    chosen: PathPoint
    theta: Tensor


class _Search:
    """Evaluates λ = scale · 2^j once each, warm-started from the nearest j."""

    def __init__(
        self, rows: MemoryRows, model: LinearModel, on_point: Callable[[PathPoint], None] | None
    ) -> None:
        self.objective = Objective(rows, model, 1.0)
        self.scale = _row_scale(rows)
        self.on_point = on_point
        self.points: dict[int, PathPoint] = {}
        self.thetas: dict[int, Tensor] = {}

    def loss(self, j: int) -> float:
        """Return the mean leave-one-out loss at exponent j."""
        if j not in self.points:
            objective = replace(self.objective, l2=self.scale * 2.0**j)
            start = self.thetas[min(self.thetas, key=lambda i: abs(i - j))] if self.thetas else None
            # The gradient has the unit of a row, so the tolerance has it too.
            loose = FitSettings(tolerance=LOOSE * self.scale**0.5)
            theta = minimise(objective, start, settings=loose).theta
            forms = path_forms(objective, theta)
            losses = objective.model.loss.value(
                leave_one_out_scores(objective, theta, forms), objective.rows.y
            )
            share = objective.rows.weight / objective.rows.weight.sum()
            mean = share @ losses
            error = float(torch.linalg.vector_norm(share * (losses - mean)))
            self.points[j] = PathPoint(objective.l2, float(mean), error)
            self.thetas[j] = theta
            if self.on_point:
                self.on_point(self.points[j])
        return self.points[j].loo_loss


def path_forms(objective: Objective, theta: Tensor) -> Tensor:
    """Return quadratic forms good enough to choose λ by."""  # -> (n, k, k)
    p, n, d = objective.model.n_params, objective.rows.n, objective.rows.width
    size = n * objective.model.loss.n_scores
    primal, dual = p**2 * (n + p), n**2 * d + size**3
    if min(primal, dual) <= CHEAP:
        solver = Cholesky() if primal <= dual else Dual()
        return solver.prepare(objective, theta).quadratic_forms()
    return Sketch().quadratic_forms(objective, theta)


def l2_path(
    rows: MemoryRows, model: LinearModel, *, on_point: Callable[[PathPoint], None] | None = None
) -> Path:
    """Choose λ.

    Parameters
    ----------
    rows : MemoryRows
        The training rows.
    model : LinearModel
        The formulas.
    on_point : callable, optional
        Called after each λ.

    Returns
    -------
    Path
        The curve and the choice; 5 to 8 points as a rule.
    """
    search = _Search(rows, model, on_point)
    best = START
    direction = -2 if search.loss(best - 2) < search.loss(best) else 2
    while LOWEST <= best + direction <= HIGHEST and search.loss(best + direction) < search.loss(best):
        best += direction
    for j in (best - 1, best + 1):
        search.loss(j)
    best = min(search.points, key=lambda j: search.points[j].loo_loss)
    limit = search.points[best].loo_loss + search.points[best].standard_error
    chosen = best
    while chosen < HIGHEST and search.loss(chosen + 1) <= limit:
        chosen += 1
    ordered = tuple(search.points[j] for j in sorted(search.points))
    return Path(ordered, search.points[chosen], search.thetas[chosen])


def _row_scale(rows: MemoryRows) -> float:
    """Return the mean of ‖x‖²/4, the most curvature that a row adds: λ in these units knows no scale."""
    total = sum(float((block.X**2).sum()) for block in rows.blocks())
    return max(total / rows.n / 4.0, 1e-12)
