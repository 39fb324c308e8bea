"""The regularisation path, judged by approximate leave-one-out loss, with no refit per fold.

The mean loss at the leave-one-out scores (`influence.leave_one_out`) estimates out-of-sample loss from the
training rows alone, wrong labels among them; rows of a group, of which one would give away the next, are left
out together. Along log λ it falls and then rises. The choice is not its minimum but the largest λ that is
hardly worse (`curve`): wrong labels pull the minimum towards too little ridge, since a model that bends to
them is less surprised, and ranking them wants more.

`DensePath`, for dense rows in float32, is fast enough to compare bases. At each λ Newton's method starts from
the nearest λ's solution, its steps solved by conjugate gradients. With H = D + λI, D the data's Hessian that
the λ before left behind, the preconditioner is a Cholesky factor of D + λ_new I: only the curvature has
moved, so a few products with X suffice, and D is built once per λ, at the minimum, where the leave-one-out
scores need it:

    s₋ = s + (Q/n)(I - W Q/n)⁻¹ r        Q[a, b] = x̃ᵀ [H⁻¹]_ab x̃

Cost per λ: n d² k(k+1)/2 for D, p³ for the factor and its inverse, b d² k(k+1)/2 for the Q of b judged
rows.

`l2_path`, for sparse or wide rows and for other losses, brackets the minimum in steps of a factor four,
halves the steps there, and keeps the one-standard-error rule. Fits are warm-started and need no high
precision; quadratic forms are exact where that is cheap and sketched where it is not, with the same
projection for every λ. A sketch of several scores a row errs more the less the ridge: *measured* on 1,340
titles of seven classes, it says .76 nats where the exact forms say 1.15, and its least loss is at a
sixteenth of the λ of theirs. So several classes are judged by rows that are left out a fifth at a time,
which takes about as many products with X.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from dataaudit.influence.leave_one_out import leave_one_out_scores
from dataaudit.model.linear import LinearModel
from dataaudit.model.losses import Softmax
from dataaudit.model.objective import Objective
from dataaudit.model.rows import MemoryRows
from dataaudit.options import NOT_KEPT, Checkpoint
from dataaudit.solvers import Cholesky, Dual, Prepared
from dataaudit.solvers.cg import conjugate_gradients
from dataaudit.solvers.cholesky import cholesky_solve, inverse, squares
from dataaudit.solvers.newton import FitSettings, minimise
from dataaudit.solvers.sketch import Sketch, Sketched
from dataaudit.training.curve import Curve, PathLoss, group_sums
from dataaudit.training.folds import SparseFolds

if TYPE_CHECKING:
    from dataaudit.influence.groups import Groups, Partition

# Multiplications a λ above which the step is not halved around the minimum.
DEAR = 2e10
JUDGED_ROWS = 2000
# Each takes k³ multiplications, so of many classes fewer rows are judged, but never less than these.
JUDGED_WORK, FEWEST_JUDGED = 4e9, 200
SCREEN_L2 = tuple(10.0 ** (-j / 2) for j in range(10))
# Multiplications below which exact quadratic forms cost less than a sketch's iterations.
CHEAP = 1e10
# Largest gradient in a row's unit, and in the unit of λ times a parameter.
LOOSE, SHARE = 1e-4, 0.5
# Exponents of 2 that λ may take, times the scale of the rows.
LOWEST, HIGHEST = -26, 8
# Where texts with some wrong labels end up: *measured* on 1,500 and 5,172 mails, -12 with 5 % of the labels
# flipped, -9 with 20 %, -16 with none. From here the same λ is chosen as from -10, by fewer points.
START = -12
# Fits of folds begin at nothing: from more ridge on they take a third of the steps.
FOLDS_START = -10


def dense_cost(n: int, d: int, n_classes: int) -> float:
    """Return the multiplications that a λ of a `DensePath` takes."""
    k = n_classes - 1
    return float(n) * d**2 * k * (k + 1) / 2 + float(d * k) ** 3


class DensePath(Curve):
    """Fits and judges one λ after another."""

    def __init__(self, X: Tensor, y: Tensor, n_classes: int, *, groups: Groups | None = None) -> None:
        super().__init__()
        n, self.k = len(X), n_classes - 1
        # The intercept is free, so centring changes nothing but the conditioning, which float32 needs.
        self.centre = X.mean(0)
        self.X = torch.cat([(X - self.centre).float(), torch.ones(n, 1)], dim=1)
        self.E = torch.nn.functional.one_hot(y, n_classes)[:, 1:].float()
        most = min(JUDGED_ROWS, max(FEWEST_JUDGED, int(JUDGED_WORK / max(self.k, 1) ** 3)))
        self.judged = torch.arange(n) if n <= most else torch.linspace(0, n - 1, most).long()
        whole = groups.draw(most, 0) if groups and n > most else None
        self.judged = self.judged if whole is None else torch.from_numpy(whole)
        self.groups = groups and groups.take(self.judged.numpy())
        self.y = y[self.judged]
        self.model = LinearModel(Softmax(n_classes), X.shape[1])
        self.known: tuple[Tensor, Tensor] | None = None  # Θ and the data's Hessian there
        self.dear = dense_cost(n, self.X.shape[1], n_classes) > DEAR

    def _evaluate(self, l2: float) -> PathLoss:
        near = self.nearest(l2)
        Theta = self._minimise(l2, self._initial() if near is None else self.starts[near.l2])
        self.starts[l2] = Theta
        return PathLoss(l2, self._judge(l2, Theta), self._uncentred(Theta))

    @property
    def data(self) -> Tensor:
        """D at the minimum of the last λ."""
        last = next(reversed(self.starts.values()), None)
        if self.known is None or (last is not None and self.known[0] is not last):
            Theta = self._initial() if last is None else last
            self.known = Theta, self._data_hessian(Theta)
        return self.known[1]

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

    def _data_hessian(self, Theta: Tensor, rows: Tensor | None = None) -> Tensor:
        """Return D at Θ, or what some rows add to it, laid out class by class."""
        (n, d), k = self.X.shape, self.k  # (d+1, k) -> (k (d+1), k (d+1))
        X = self.X if rows is None else self.X[rows]
        P = self._probabilities(X @ Theta)
        D = torch.empty(k, d, k, d)
        for a in range(k):
            for b in range(a + 1):
                w = P[:, a] * (float(a == b) - P[:, b]) / n
                D[a, :, b] = D[b, :, a] = X.T @ (X * w[:, None])
        return D.view(k * d, k * d)

    def _factor(self, l2: float, without: Tensor | None = None) -> tuple[Tensor, bool]:
        """Return the factor of the Hessian at λ, without the data Hessian of some rows."""
        H, d = self.data.clone() if without is None else self.data - without, self.X.shape[1]
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
        G = inverse(L).view(k, d, k, d)
        Q = torch.empty(len(X), k, k, dtype=torch.float64)
        for a in range(k):
            for b in range(a + 1):
                Q[:, a, b] = Q[:, b, a] = squares(X, G[a, :, b]) / n
        S = (X @ Theta).double()
        P = self._probabilities(S)
        W, r = torch.diag_embed(P) - P[:, :, None] * P[:, None, :], (P - E)[:, :, None]
        inside = torch.eye(k, dtype=torch.float64) - W @ Q
        moved = Q @ torch.linalg.solve(inside, r)
        if self.groups:
            part = self.groups.partition
            together = part.change(
                partial(self._joint_forms, G),
                W=W,
                r=r,
                step=partial(self._step, l2, Theta, r),
                n_params=len(L),
            )
            moved = torch.where(part.together[:, None, None], together, moved)
        S = S + moved[:, :, 0]
        losses: Tensor = torch.logsumexp(torch.nn.functional.pad(S, (1, 0)), dim=1) - (S * E).sum(1)
        if self.groups:  # their rows are not independent, they are
            losses = group_sums(losses, self.groups)
            losses *= len(losses) / len(self.judged)
        return losses

    def _joint_forms(self, G: Tensor, rows: Tensor) -> Tensor:
        """Return the forms of groups of d judged rows, divided by n."""  # (g, d) -> (g, dk, dk)
        (g, d), k = rows.shape, self.k
        X = self.X[self.judged[rows.reshape(-1)]]
        Q = torch.empty(g, d, k, d, k, dtype=torch.float64)
        for a in range(k):
            for b in range(a + 1):
                part = (X @ G[a, :, b]).view(g, d, -1) @ X.view(g, d, -1).mT / len(self.X)
                Q[:, :, a, :, b], Q[:, :, b, :, a] = part, part.mT
        return Q.view(g, d * k, d * k)

    def _step(self, l2: float, Theta: Tensor, r: Tensor, group: Tensor, rows: Tensor) -> Tensor:
        """Return how the scores of some judged rows change without a group, by a step of the parameters."""
        X = self.X[self.judged[group]]  # (m,), (d,) -> (d, k, 1)
        L, _ = self._factor(l2, self._data_hessian(Theta, self.judged[group]))
        push = (X.T @ r[group, :, 0].float() / len(self.X)).T.reshape(-1, 1)
        step = cholesky_solve(L, push).view(self.k, -1).T
        return (self.X[self.judged[rows]] @ step).double()[:, :, None]

    def _uncentred(self, Theta: Tensor) -> Tensor:
        """Return θ for features that are not centred."""  # (d+1, k) -> (p,)
        Theta = Theta.double().clone()
        Theta[-1] -= self.centre.double() @ Theta[:-1]
        flat: Tensor = Theta.reshape(-1)
        return flat


class LeastSquares:
    """Ridge regression at any λ by one factor, and exact errors of left-out rows (Allen 1974)."""

    def __init__(self, X: Tensor, Y: Tensor, *, groups: Groups | None = None) -> None:
        self.groups, self.centre, self.mean = groups, X.mean(0), Y.mean(0)  # (n, d), (n, m)
        X, self.Y = X - self.centre, Y - self.mean
        self.w, self.V = torch.linalg.eigh(X.T @ X / len(X))
        self.U = X @ self.V
        self.projected, self.squares = self.U.T @ self.Y / len(X), self.U**2

    def _shrink(self, l2: float) -> Tensor:
        shrink: Tensor = 1.0 / (self.w.clamp_min(0.0) + l2)
        return shrink

    def errors(self, l2: float) -> Tensor:
        """Return the error of each row without itself, and without its group."""  # -> (n, m)
        n, shrink = len(self.U), self._shrink(l2)
        h = (self.squares @ shrink) / n + 1.0 / n
        residual = self.Y - self.U @ (shrink[:, None] * self.projected)
        error: Tensor = residual / (1.0 - h).clamp_min(1e-3)[:, None]
        if self.groups:
            error = _without_groups(self.groups.partition, self.U, shrink, residual, error)
        return error

    def theta(self, l2: float) -> Tensor:
        """Return the parameters."""  # -> (p,)
        Theta = self.V @ (self._shrink(l2)[:, None] * self.projected)
        theta: Tensor = torch.cat([Theta, (self.mean - self.centre @ Theta)[None]]).reshape(-1)
        return theta


def least_squares_loss(X: Tensor, Y: Tensor, *, groups: Groups | None = None) -> tuple[float, float]:
    """Return the least mean squared leave-one-out error of ridge regression over `SCREEN_L2`, and its λ.

    Errors are summed over the columns of Y, in its units squared; an intercept is added.
    """  # (n, d), (n, m)
    # Centred before it is rounded.
    ridge = LeastSquares((X - X.mean(0)).float(), Y.float(), groups=groups)
    return min((float((ridge.errors(l2) ** 2).sum(1).mean()), l2) for l2 in SCREEN_L2)


class RidgePath(Curve):
    """One λ after another of a ridge regression: exact, by one factor for all of them."""

    dear = False

    def __init__(self, X: Tensor, y: Tensor, *, groups: Groups | None = None) -> None:
        super().__init__()
        self.ridge, self.groups = LeastSquares(X.double(), y[:, None], groups=groups), groups

    def _evaluate(self, l2: float) -> PathLoss:
        losses = 0.5 * self.ridge.errors(l2)[:, 0] ** 2
        if self.groups:  # as of `DensePath`
            n, losses = len(losses), group_sums(losses, self.groups)
            losses *= len(losses) / n
        return PathLoss(l2, losses, self.ridge.theta(l2))


def _without_groups(part: Partition, U: Tensor, shrink: Tensor, residual: Tensor, alone: Tensor) -> Tensor:
    """Return the errors of least squares without each row's group."""
    n = len(U)  # U (n, d), shrink (d,), residual and alone (n, m) -> (n, m)
    U, shrink = torch.cat([U, U.new_ones(n, 1)], dim=1), torch.cat([shrink, shrink.new_ones(1)])

    def forms(rows: Tensor) -> Tensor:
        Q: Tensor = (U[rows] * shrink) @ U[rows].mT / n
        return Q

    def step(group: Tensor, rows: Tensor) -> Tensor:
        inside = torch.diag(n / shrink) - U[group].T @ U[group]
        solved: Tensor = torch.linalg.solve_ex(inside, U[group].T @ residual[group])[0]
        return (U[rows] @ solved)[:, None]

    change = part.change(forms, W=torch.ones(n, 1, 1), r=residual[:, None], step=step, n_params=len(shrink))[
        :, 0
    ]
    error: Tensor = torch.where(part.together[:, None], residual + change, alone)
    return error


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
        self,
        rows: MemoryRows,
        model: LinearModel,
        groups: Groups | None,
        on_point: Callable[[PathPoint], None] | None,
        kept: Checkpoint,
    ) -> None:
        self.kept = kept
        self.objective = Objective(rows, model, 1.0)
        self.groups = groups
        self.scale = _row_scale(rows)
        several = model.loss.n_scores > 1 and not is_cheap(self.objective)
        self.folds = SparseFolds(rows, model.loss.n_scores + 1, groups=groups) if several else None
        self.on_point = on_point
        self.points: dict[int, PathPoint] = {}
        self.thetas: dict[int, Tensor] = {}

    def loss(self, j: int) -> float:
        """Return the mean leave-one-out loss at exponent j."""
        if j not in self.points:
            made = partial(self._point, j, self._start(j))
            found = self.kept.once(f"{j}", made) if self.folds is None else self._folded(self.folds, j)
            self.points[j], self.thetas[j] = found
            if self.on_point:
                self.on_point(self.points[j])
        return self.points[j].loo_loss

    def _start(self, j: int) -> Tensor | None:
        return self.thetas[min(self.thetas, key=lambda i: abs(i - j))] if self.thetas else None

    def _point(self, j: int, start: Tensor | None) -> tuple[PathPoint, Tensor]:
        objective = replace(self.objective, l2=self.scale * 2.0**j)
        # The gradient has the unit of a row, so the tolerance has it too; the parameters are off by up to the
        # gradient over λ, so it follows λ.
        loose = FitSettings(tolerance=min(LOOSE, SHARE * 2.0**j) * self.scale**0.5)
        theta = minimise(objective, start, settings=loose, kept=self.kept.below(f"{j}")).theta
        inverse = path_inverse(objective, theta)
        left_out = left_out_scores(objective, theta, inverse, groups=self.groups)
        losses = objective.model.loss.value(left_out, objective.rows.y)
        share = objective.rows.weight / objective.rows.weight.sum()
        mean = share @ losses
        apart = share * (losses - mean)
        if self.groups:
            apart = group_sums(apart, self.groups)
        error = float(torch.linalg.vector_norm(apart))
        return PathPoint(objective.l2, float(mean), error), theta

    def _folded(self, folds: SparseFolds, j: int) -> tuple[PathPoint, Tensor]:
        """Judge several classes by rows that are left out, as if all of them had been."""
        l2 = self.scale * 2.0**j
        found, start = self.kept.once(f"{j}", lambda: (folds.at(l2), folds.starts[l2]))
        folds.found[l2], folds.starts[l2] = found, start
        error = found.standard_error * (len(folds.judged) / folds.rows.n) ** 0.5
        return PathPoint(l2, found.mean, error), found.theta


def path_inverse(objective: Objective, theta: Tensor) -> Prepared | Sketched:
    """Return quadratic forms good enough to choose λ by."""
    if not is_cheap(objective):
        return Sketch().prepare(objective, theta)
    primal, dual = _costs(objective)
    return (Cholesky() if primal <= dual else Dual()).prepare(objective, theta)


def is_cheap(objective: Objective) -> bool:
    """Tell whether exact quadratic forms take no longer than a sketch."""
    return min(_costs(objective)) <= CHEAP


def _costs(objective: Objective) -> tuple[int, int]:
    """Return the multiplications that exact forms take by either factorisation."""
    p, n, d = objective.model.n_params, objective.rows.n, objective.rows.width
    return p**2 * (n + p), n**2 * d + (n * objective.model.loss.n_scores) ** 3


def left_out_scores(
    objective: Objective, theta: Tensor, inverse: Prepared | Sketched, *, groups: Groups | None
) -> Tensor:
    """Return the scores that every row would have without itself, and without its group."""  # -> (n, k)
    forms = inverse.quadratic_forms()
    if groups is None:
        return leave_one_out_scores(objective, theta, forms)
    from dataaudit.influence.groups import scores_without_groups  # noqa: PLC0415 - few tables have groups

    joint, partition = inverse.joint_forms, groups.partition
    return scores_without_groups(objective, theta, forms, joint=joint, partition=partition)


def l2_path(
    rows: MemoryRows,
    model: LinearModel,
    *,
    groups: Groups | None = None,
    on_point: Callable[[PathPoint], None] | None = None,
    kept: Checkpoint = NOT_KEPT,
) -> Path:
    """Choose λ, as a rule after 5 to 8 of them."""
    search = _Search(rows, model, groups, on_point, kept)
    best = START if search.folds is None else FOLDS_START
    direction = -2 if search.loss(best - 2) < search.loss(best) else 2
    while LOWEST <= (ahead := best + direction) <= HIGHEST and search.loss(ahead) < search.loss(best):
        best = ahead
    best = min((best, best - 1, best + 1), key=search.loss)
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
