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
from concurrent.futures import ThreadPoolExecutor
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
# Largest gradient in a row's unit, and in the unit of λ times a parameter.
LOOSE, SHARE = 1e-4, 0.5
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

    def evaluate(self, *exponents: int) -> None:
        """Evaluate exponents side by side: products of sparse matrices keep one core busy at the most."""
        new = [j for j in exponents if j not in self.points]
        if not new:
            return
        starts = [self._start(j) for j in new]
        with ThreadPoolExecutor(len(new)) as pool:
            for j, (point, theta) in zip(new, pool.map(self._point, new, starts), strict=True):
                self.points[j], self.thetas[j] = point, theta
                if self.on_point:
                    self.on_point(point)

    def loss(self, j: int) -> float:
        """Return the mean leave-one-out loss at exponent j."""
        self.evaluate(j)
        return self.points[j].loo_loss

    def _start(self, j: int) -> Tensor | None:
        return self.thetas[min(self.thetas, key=lambda i: abs(i - j))] if self.thetas else None

    def _point(self, j: int, start: Tensor | None) -> tuple[PathPoint, Tensor]:
        objective = replace(self.objective, l2=self.scale * 2.0**j)
        # The gradient has the unit of a row, so the tolerance has it too; the parameters are off by up to the
        # gradient over λ, so it follows λ.
        loose = FitSettings(tolerance=min(LOOSE, SHARE * 2.0**j) * self.scale**0.5)
        theta = minimise(objective, start, settings=loose).theta
        forms = path_forms(objective, theta)
        losses = objective.model.loss.value(leave_one_out_scores(objective, theta, forms), objective.rows.y)
        share = objective.rows.weight / objective.rows.weight.sum()
        mean = share @ losses
        error = float(torch.linalg.vector_norm(share * (losses - mean)))
        return PathPoint(objective.l2, float(mean), error), theta


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
    search.evaluate(best, best - 2)
    direction = -2 if search.loss(best - 2) < search.loss(best) else 2
    while LOWEST <= (ahead := best + direction) <= HIGHEST:
        if ahead not in search.points:  # the step after it as well, which is needed as a rule
            search.evaluate(*(j for j in (ahead, ahead + direction) if LOWEST <= j <= HIGHEST))
        if search.loss(ahead) >= search.loss(best):
            break
        best = ahead
    search.evaluate(best - 1, best + 1)
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
