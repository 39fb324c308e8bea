"""The regularisation path, judged by approximate leave-one-out loss, with no refit per fold.

The mean loss at the leave-one-out scores (`influence.leave_one_out`) estimates out-of-sample loss from the
training rows alone, wrong labels among them. Along log λ it falls and then rises. The choice is not its
minimum but the largest λ that is hardly worse (Breiman et al. 1984): wrong labels pull the minimum towards
too little ridge, since a model that bends to them is less surprised, and ranking them wants more.

`DensePath`, for dense rows in float32, is fast enough to compare bases. At each λ Newton's method starts from
the nearest λ's solution, its steps solved by conjugate gradients. With H = D + λI, D the data's Hessian that
the λ before left behind, the preconditioner is a Cholesky factor of D + λ_new I: only the curvature has
moved, so a few products with X suffice, and D is built once per λ, at the minimum, where the leave-one-out
scores need it:

    s₋ = s + (Q/n)(I - W Q/n)⁻¹ r        Q[a, b] = x̃ᵀ [H⁻¹]_ab x̃

Cost per λ: n d² k(k+1)/2 for D, p³ for the factor and its inverse, b d² k(k+1)/2 for the Q of b judged
rows.

Its choice is the largest λ whose loss is above the least by no more than 1.5 standard errors of the
difference, row by row. The one-standard-error rule proper takes the error of the loss itself, which is ten
times larger: on 13 tables with flipped labels it allows a ridge that is plainly worse for finding them. There
1.5 to 2 was best.

`l2_path`, for sparse or wide rows and for other losses, brackets the minimum in steps of a factor four,
halves the steps there, and keeps the one-standard-error rule. Fits are warm-started and need no high
precision; quadratic forms are exact where that is cheap and sketched where it is not, with the same
projection for every λ.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor

from dataaudit.influence.leave_one_out import leave_one_out_scores
from dataaudit.model.linear import LinearModel
from dataaudit.model.losses import Softmax
from dataaudit.model.objective import Objective
from dataaudit.model.rows import MemoryRows
from dataaudit.solvers import Cholesky, Dual
from dataaudit.solvers.cg import conjugate_gradients
from dataaudit.solvers.cholesky import cholesky_solve
from dataaudit.solvers.newton import FitSettings, minimise
from dataaudit.solvers.sketch import Sketch

LEAST, MOST = 1e-7, 1e2
# Multiplications a λ above which the step is not halved around the minimum.
DEAR = 2e10
JUDGED_ROWS = 2000
# Each takes k³ multiplications, so of many classes fewer rows are judged, but never less than these.
JUDGED_WORK, FEWEST_JUDGED = 4e9, 200
SCREEN_L2 = tuple(10.0 ** (-j / 2) for j in range(10))
STANDARD_ERRORS = 1.5
# Multiplications below which exact quadratic forms cost less than a sketch's iterations.
CHEAP = 1e10
# Largest gradient in a row's unit, and in the unit of λ times a parameter.
LOOSE, SHARE = 1e-4, 0.5
# Exponents of 2 that λ may take, times the scale of the rows.
LOWEST, HIGHEST = -26, 8
# Where a few thousand short texts with some wrong labels end up, as a rule.
START = -10


@dataclass(frozen=True)
class PathLoss:
    """One λ of a `DensePath`."""

    l2: float
    losses: Tensor  # (b,) leave-one-out losses of the judged rows, in nats; infinite where the fit failed
    theta: Tensor  # (p,) parameters near the minimum, float64, laid out as in `model.linear`

    @property
    def mean(self) -> float:
        """Mean loss."""
        return float(self.losses.mean())

    @property
    def standard_error(self) -> float:
        """Standard error of the mean, over rows."""
        return standard_error(self.losses)


def standard_error(values: Tensor) -> float:
    """Return the standard error of a mean."""
    return float(values.std() / len(values) ** 0.5) if len(values) > 1 else math.inf


class DensePath:
    """Fits and judges one λ after another."""

    def __init__(self, X: Tensor, y: Tensor, n_classes: int) -> None:
        n, self.k = len(X), n_classes - 1
        # The intercept is free, so centring changes nothing but the conditioning, which float32 needs.
        self.centre = X.mean(0)
        self.X = torch.cat([(X - self.centre).float(), torch.ones(n, 1)], dim=1)
        self.E = torch.nn.functional.one_hot(y, n_classes)[:, 1:].float()
        most = min(JUDGED_ROWS, max(FEWEST_JUDGED, int(JUDGED_WORK / max(self.k, 1) ** 3)))
        self.judged = torch.arange(n) if n <= most else torch.linspace(0, n - 1, most).long()
        self.y = y[self.judged]
        self.model = LinearModel(Softmax(n_classes), X.shape[1])
        self.data = self._data_hessian(self._initial())
        self.found: dict[float, PathLoss] = {}
        self.starts: dict[float, Tensor] = {}

    @property
    def dear(self) -> bool:
        """Whether a λ costs more than a second or so."""
        n, d = self.X.shape
        return n * d**2 * self.k * (self.k + 1) / 2 + (d * self.k) ** 3 > DEAR

    def at(self, l2: float) -> PathLoss:
        """Return the leave-one-out losses at λ."""
        if l2 not in self.found:
            near = min(self.starts, key=lambda other: abs(math.log(other / l2)), default=None)
            Theta = self._minimise(l2, self._initial() if near is None else self.starts[near])
            self.data = self._data_hessian(Theta)
            self.starts[l2] = Theta
            self.found[l2] = PathLoss(l2, self._judge(l2, Theta), self._uncentred(Theta))
        return self.found[l2]

    def search(self, start: float) -> PathLoss:
        """Search from one λ, and return the choice; everything that was tried is in `found`."""
        best, factor = self.at(start), 10.0
        lower = self._try(best.l2 / factor)
        towards = 1 / factor if lower.mean < best.mean else factor
        while (further := self._try(best.l2 * towards)).mean < best.mean:
            best = further
        if not self.dear:
            for factor in (10.0**-0.5, 10.0**0.5):
                self._try(best.l2 * factor)
        return self.choice()

    def choice(self) -> PathLoss:
        """Return the largest λ that is not clearly worse than the best."""
        best = min(self.found.values(), key=lambda point: point.mean)
        if not math.isfinite(best.mean):
            return max(self.found.values(), key=lambda point: point.l2)

        def near(point: PathLoss) -> bool:
            difference = point.losses - best.losses
            return float(difference.mean()) <= STANDARD_ERRORS * standard_error(difference)

        return max((p for p in self.found.values() if p is best or near(p)), key=lambda point: point.l2)

    def _try(self, l2: float) -> PathLoss:
        l2 = float(f"{l2:.4g}")
        if LEAST <= l2 <= MOST:
            return self.at(l2)
        return PathLoss(l2, torch.tensor([math.inf]), torch.empty(0))

    def _initial(self) -> Tensor:
        """Return no slopes, and intercepts that give the classes their shares."""
        Theta = torch.zeros(self.X.shape[1], self.k)
        share = self.E.mean(0).clamp_min(1e-6)
        Theta[-1] = share.log() - (1.0 - self.E.sum(1)).mean().clamp_min(1e-6).log()
        return Theta

    def _probabilities(self, S: Tensor) -> Tensor:
        return torch.softmax(torch.nn.functional.pad(S, (1, 0)), dim=1)[:, 1:]

    def _value(self, S: Tensor, Theta: Tensor, l2: float) -> float:
        loss = torch.logsumexp(torch.nn.functional.pad(S, (1, 0)), dim=1) - (S * self.E).sum(1)
        return float(loss.mean() + 0.5 * l2 * (Theta * self._ridge(Theta)).sum())

    def _ridge(self, Theta: Tensor) -> Tensor:
        """Return the ridge's gradient at λ = 1."""  # (d+1, k) -> (d+1, k)
        return self.model.ridge(Theta.reshape(-1, 1)).view_as(Theta)

    def _data_hessian(self, Theta: Tensor) -> Tensor:
        """Return D at Θ, laid out class by class."""  # (d+1, k) -> (k (d+1), k (d+1))
        (n, d), k = self.X.shape, self.k
        P = self._probabilities(self.X @ Theta)
        D = torch.empty(k, d, k, d)
        for a in range(k):
            for b in range(a + 1):
                w = P[:, a] * (float(a == b) - P[:, b]) / n
                D[a, :, b] = D[b, :, a] = self.X.T @ (self.X * w[:, None])
        return D.view(k * d, k * d)

    def _factor(self, l2: float) -> tuple[Tensor, bool]:
        H, d = self.data.clone(), self.X.shape[1]
        # float32 carries D to 1e-7 of its largest entries; the intercepts need no more than that either.
        H.diagonal().add_(1e-7 * float(H.diagonal().max()))
        blocks = H.view(self.k, d, self.k, d)[:, :-1, :, :-1].diagonal(dim1=1, dim2=3)
        blocks.add_(l2 * self.model.coupling.float()[:, :, None])
        L, failed = torch.linalg.cholesky_ex(H)
        return L, bool(failed)

    def _minimise(self, l2: float, Theta: Tensor) -> Tensor:
        """Return the minimum at λ, to float32's means."""
        L, failed = self._factor(l2)
        if failed:
            return Theta
        S = self.X @ Theta
        value = self._value(S, Theta, l2)
        for _ in range(8):
            P = self._probabilities(S)
            G = self.X.T @ (P - self.E) / len(S) + l2 * self._ridge(Theta)
            step, _ = conjugate_gradients(
                self._product(P, l2),
                G.T.reshape(-1, 1),
                precondition=partial(cholesky_solve, L),
                tolerance=0.1,
                max_steps=25,
            )
            step = step.view(self.k, -1).T
            gain = float((step * G).sum())
            size, moved = 1.0, S - self.X @ step
            while (after := self._value(moved, Theta - size * step, l2)) > value and size > 1e-2:  # noqa: PLR2004
                size *= 0.5
                moved = S - size * (self.X @ step)
            if after > value:
                break
            Theta, S, value = Theta - size * step, moved, after
            if gain < 1e-5:  # noqa: PLR2004 - nats: far below any standard error
                break
        return Theta

    def _product(self, P: Tensor, l2: float) -> Callable[[Tensor], Tensor]:
        """Return ``V -> H V`` at probabilities P, for one column V laid out class by class."""

        def product(V: Tensor) -> Tensor:
            T = V.view(self.k, -1).T
            A = P * (self.X @ T)
            A = A - P * A.sum(1, keepdim=True)
            return (self.X.T @ A / len(P) + l2 * self._ridge(T)).T.reshape(-1, 1)

        return product

    def _judge(self, l2: float, Theta: Tensor) -> Tensor:
        """Return the leave-one-out losses of the judged rows."""  # (d+1, k) -> (b,)
        L, failed = self._factor(l2)
        if failed:
            return torch.full((len(self.judged),), math.inf, dtype=torch.float64)
        n, d, k = len(self.X), self.X.shape[1], self.k
        X, E = self.X[self.judged], self.E[self.judged].double()
        G = torch.cholesky_inverse(L).view(k, d, k, d)
        Q = torch.empty(len(X), k, k, dtype=torch.float64)
        for a in range(k):
            for b in range(a + 1):
                Q[:, a, b] = Q[:, b, a] = ((X @ G[a, :, b]) * X).sum(1) / n
        S = (X @ Theta).double()
        P = self._probabilities(S)
        W = torch.diag_embed(P) - P[:, :, None] * P[:, None, :]
        inside = torch.eye(k, dtype=torch.float64) - W @ Q
        S = S + (Q @ torch.linalg.solve(inside, (P - E)[:, :, None]))[:, :, 0]
        losses: Tensor = torch.logsumexp(torch.nn.functional.pad(S, (1, 0)), dim=1) - (S * E).sum(1)
        return losses

    def _uncentred(self, Theta: Tensor) -> Tensor:
        """Return θ for features that are not centred."""  # (d+1, k) -> (p,)
        Theta = Theta.double().clone()
        Theta[-1] -= self.centre.double() @ Theta[:-1]
        flat: Tensor = Theta.reshape(-1)
        return flat


def least_squares_loss(X: Tensor, Y: Tensor) -> tuple[float, float]:
    """Return the least mean squared leave-one-out error of ridge regression over `SCREEN_L2`, and its λ.

    Errors are summed over the columns of Y, in its units squared; an intercept is added.
    """  # (n, d), (n, m)
    n = len(X)
    X, Y = (X - X.mean(0)).float(), Y.float()
    mean = Y.mean(0)
    w, V = torch.linalg.eigh(X.T @ X / n)
    U = X @ V
    projected, squares = U.T @ (Y - mean) / n, U**2
    found = []
    for l2 in SCREEN_L2:
        shrink = 1.0 / (w.clamp_min(0.0) + l2)
        h = (squares @ shrink) / n + 1.0 / n
        error = (Y - mean - U @ (shrink[:, None] * projected)) / (1.0 - h).clamp_min(1e-3)[:, None]
        found.append((float((error**2).sum(1).mean()), l2))
    return min(found)


@dataclass(frozen=True)
class PathPoint:
    """One λ of `l2_path`."""

    l2: float
    loo_loss: float  # mean approximate leave-one-out loss, in nats
    standard_error: float  # of that mean, over rows


@dataclass(frozen=True)
class Path:
    """What was tried, by increasing λ."""

    points: tuple[PathPoint, ...]
    chosen: PathPoint  # the largest λ within one standard error of the least loss
    theta: Tensor  # (p,) parameters near the minimum at the chosen λ, to start from


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
    """Choose λ, as a rule after 5 to 8 of them."""
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
