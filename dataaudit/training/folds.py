"""λ for several classes, judged by rows that are left out a fifth at a time.

The exact leave-one-out loss (`path.DensePath`) takes the Hessian of all classes: n d² k²/2 multiplications
to build, (d k)³ to factor, and with rows that nearly fit themselves one step says little of them. Five fits
take 2 n d K a product and have no such rows. All are made at once, so one product with X serves all of them,

    S = X Θ,   Θ (d+1, K·folds)

each by Newton's method, its steps solved by conjugate gradients. With K symmetric scores, which have the same
minimum as the K - 1 of `model.linear`, the Hessian's blocks of one class each are

    H_a = (1/n) Xᵀ diag(p_a (1 - p_a)) X + λ I

Rows are turned to the principal axes of X, where Xᵀ X is diagonal and the ridge is what it was. There H_a is
nearly diagonal too, and its diagonal, which the folds share and every step makes anew, is a better
preconditioner than the inverse of each block as it was at the start: *measured* on four tables, half the
products with X and a third of the time.

Sparse rows (`SparseFolds`) are neither centred nor turned: the diagonal is good enough there as well. Blocks
that are dense for the most frequent columns take as many products, *measured* on 1,000 to 100,000 texts of 5
to 77 classes, and up to three times as long. Of many rows one fifth is left out, and 5,000 of it are judged:
λ needs no more.

n stays that of all rows, as everywhere when rows leave: what is compared is one prior on the parameters.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

import numpy as np
import torch
from scipy.sparse import csr_array
from torch import Tensor

from dataaudit.model.rows import multiplied
from dataaudit.solvers.cg import conjugate_gradients
from dataaudit.solvers.classes import Products
from dataaudit.solvers.operator import Product
from dataaudit.solvers.schur import threaded
from dataaudit.training.curve import Curve, PathLoss, group_sums

if TYPE_CHECKING:
    from dataaudit.influence.groups import Groups
    from dataaudit.model.rows import MemoryRows

FOLDS: Final = 5
# Products with X that the fits of one λ take, as a rule.
PRODUCTS: Final = 25
# Multiplications a λ above which the step is not halved around the minimum.
DEAR: Final = 1.5e10
# Directions of less variance than this share of the largest are rounding, in float32.
FLAT: Final = 1e-7
# Of sparse rows: entries times classes times folds up to which five fits are made; judged rows of one fit.
FEW, JUDGED = 2e7, 5000
STEPS, SOLVES = 12, 25
# Relative residual of a step; the fall of R, in nats, that ends a fit: far below any standard error.
FORCING, SMALL = 0.3, 1e-4


def fold_cost(n: int, d: int, n_classes: int) -> float:
    """Return the multiplications that a λ takes."""
    return 2.0 * n * d * n_classes * FOLDS * PRODUCTS


class FoldPath(Curve):
    """Fits and judges one λ after another."""

    def __init__(self, X: Tensor, y: Tensor, n_classes: int, *, groups: Groups | None = None) -> None:
        super().__init__()
        n, self.groups = len(X), groups
        # The intercept is free, so centring changes nothing but the conditioning, which float32 needs.
        self.centre: Tensor | None = X.mean(0)
        Z = (X - self.centre).float()
        self.axes = principal_axes(Z)
        self.X = torch.cat([Z @ self.axes, torch.ones(n, 1)], dim=1)
        self.width = self.X.shape[1]
        self.E = torch.nn.functional.one_hot(y, n_classes).float()
        self.fold = torch.from_numpy(folds_of(y.numpy(), None if groups is None else groups.group))
        self.judged = torch.arange(n)
        self.inside = 1.0 - torch.nn.functional.one_hot(self.fold, FOLDS).float()[:, :, None]
        self.dear = fold_cost(n, self.X.shape[1], n_classes) > DEAR

    def _evaluate(self, l2: float) -> PathLoss:
        near = self.nearest(l2)
        Theta = self._minimise(l2, self._initial() if near is None else self.starts[near.l2])
        self.starts[l2] = Theta
        return PathLoss(l2, self._losses(Theta), self._mean(Theta))

    def _losses(self, Theta: Tensor) -> Tensor:
        """Return the left-out losses of the judged rows, or groups."""
        S = self._scores(Theta)[self.judged, self.fold[self.judged]].double()
        losses = torch.logsumexp(S, 1) - (S * self.E[self.judged]).sum(1)
        if self.groups:  # their rows are not independent, they are
            losses = group_sums(losses, self.groups)
            losses *= len(losses) / len(self.judged)
        return losses

    def _initial(self) -> Tensor:
        """Return no slopes, and intercepts that give the classes their shares."""  # -> (d+1, folds, K)
        Theta = torch.zeros(self.width, self.inside.shape[1], self.E.shape[1])
        Theta[-1] = self.E.mean(0).clamp_min(1e-6).log()
        return Theta

    def _scores(self, Theta: Tensor) -> Tensor:
        """Return the scores of all rows in every fold's fit."""  # (d+1, folds, K) -> (n, folds, K)
        return (self.X @ Theta.flatten(1)).view(-1, *Theta.shape[1:])

    def _pull(self, U: Tensor) -> Tensor:
        """Return the mean of ``x̃ ⊗ u``."""  # (n, folds, K) -> (d+1, folds, K)
        return (self.X.T @ U.flatten(1)).view(-1, *U.shape[1:]) / len(U)

    def _ridge(self, l2: float, Theta: Tensor) -> Tensor:
        R = l2 * Theta
        # Adding one number to the intercepts of all classes changes nothing: a hair holds them in place.
        R[-1] = 1e-4 * Theta[-1].mean(-1, keepdim=True)
        return R

    def _minimise(self, l2: float, Theta: Tensor) -> Tensor:
        """Return the minima at λ of all folds, to float32's means."""  # (d+1, folds, K)
        S = self._scores(Theta)
        value = self._values(S, Theta, l2)
        for _ in range(STEPS):
            P = torch.softmax(S, 2)
            G = self._pull(self.inside * (P - self.E[:, None])) + self._ridge(l2, Theta)
            step, _ = conjugate_gradients(
                partial(self._product, P, l2),
                _columns(G),
                precondition=self._precondition(P, l2),
                tolerance=FORCING,
                max_steps=SOLVES,
            )
            step = _folded(step, G)
            size, moved = torch.ones(Theta.shape[1], 1), self._scores(step)
            for _ in range(7):
                after = self._values(S - size * moved, Theta - size * step, l2)
                if bool((after <= value).all()):
                    break
                size[after > value] *= 0.5
            size[after > value] = 0.0
            Theta, S = Theta - size * step, S - size * moved
            fall, value = value - torch.minimum(after, value), torch.minimum(after, value)
            if float(fall.max()) < SMALL:
                break
        return Theta

    def _values(self, S: Tensor, Theta: Tensor, l2: float) -> Tensor:
        """Return R of every fold."""  # -> (folds,)
        losses = torch.logsumexp(S, 2) - (S * self.E[:, None]).sum(2)
        data = (self.inside[:, :, 0] * losses).mean(0)
        value: Tensor = data + 0.5 * (Theta * self._ridge(l2, Theta)).sum((0, 2))
        return value

    def _product(self, P: Tensor, l2: float, V: Tensor) -> Tensor:
        """Return H V, one column a fold."""
        T = _folded(V, P)
        A = P * self._scores(T)
        A = self.inside * (A - P * A.sum(2, keepdim=True))
        return _columns(self._pull(A) + self._ridge(l2, T))

    def _precondition(self, P: Tensor, l2: float) -> Product:
        """Return the inverse of the mean diagonal of the folds' Hessians."""
        diagonal = self._squared((P * (1.0 - P)).mean(1)) / len(P)  # (n, folds, K) -> (d+1, K)
        diagonal[:-1] += l2
        diagonal[-1] += 1e-6 * diagonal.max()
        return partial(torch.mul, diagonal.reciprocal().view(-1, 1))

    def _squared(self, W: Tensor) -> Tensor:
        """Return the sums of w x̃² over the rows."""  # (n, K) -> (d+1, K)
        return multiplied(self.X.square().T, W)

    def _mean(self, Theta: Tensor) -> Tensor:
        """Return the mean of the folds, for features that are not centred and against the first class."""
        Theta = Theta.mean(1).double()  # (d+1, folds, K) -> (p,)
        Theta = Theta[:, 1:] - Theta[:, :1]
        if self.centre is not None:
            Theta = torch.cat([self.axes.double() @ Theta[:-1], Theta[-1:]])
            Theta[-1] -= self.centre.double() @ Theta[:-1]
        return Theta.reshape(-1)


class SparseFolds(FoldPath):
    """The same for sparse rows; of many, some rows are left out and judged."""

    def __init__(self, rows: MemoryRows, n_classes: int, *, groups: Groups | None = None) -> None:
        Curve.__init__(self)
        self.rows, self.products, self.centre = rows, Products.of(rows.X), None
        X = rows.X
        self.squares = X.square().T.float() if isinstance(X, Tensor) else threaded(csr_array(X.multiply(X).T))
        self.width, y = rows.width + 1, rows.y
        self.E = torch.nn.functional.one_hot(y, n_classes).float()
        self.fold = torch.from_numpy(folds_of(y.numpy(), None if groups is None else groups.group))
        entries = rows.X.numel() if isinstance(rows.X, Tensor) else rows.X.nnz
        self.judged, self.groups, parts = torch.arange(rows.n), groups, FOLDS
        if entries * n_classes * FOLDS > FEW:
            out = torch.nonzero(self.fold == 0)[:, 0]
            self.judged = out[torch.linspace(0, len(out) - 1, min(len(out), JUDGED)).long()]
            self.groups, parts = groups and groups.take(self.judged.numpy()), 1
            self.fold = torch.where(torch.isin(torch.arange(rows.n), self.judged), 0, 1)
        self.inside = (self.fold[:, None] != torch.arange(parts)).float()[:, :, None]
        self.starts: dict[float, Tensor] = {}
        self.dear = True

    def _scores(self, Theta: Tensor) -> Tensor:
        return self.products.scores(Theta)

    def _pull(self, U: Tensor) -> Tensor:
        return self.products.pull(U) / len(U)

    def _squared(self, W: Tensor) -> Tensor:
        return torch.cat([self.squares @ W, W.sum(0, keepdim=True)])


def _columns(T: Tensor) -> Tensor:
    """Return one column a fold."""  # (d+1, folds, K) -> ((d+1) K, folds)
    return T.transpose(1, 2).reshape(-1, T.shape[1])


def _folded(V: Tensor, like: Tensor) -> Tensor:
    """Return one column a fold as parameters."""  # ((d+1) K, folds) -> (d+1, folds, K)
    return V.view(-1, like.shape[2], V.shape[1]).transpose(1, 2).contiguous()


def principal_axes(Z: Tensor) -> Tensor:
    """Return the directions in which centred rows vary."""  # (n, d) -> (d, r)
    w, V = torch.linalg.eigh(Z.T @ Z / len(Z))
    axes: Tensor = V[:, w > FLAT * w[-1]] if len(w) else V
    return axes


def folds_of(y: np.ndarray, group: np.ndarray | None) -> np.ndarray:
    """Return each row's fold: the rows, or groups, of a class are dealt to the folds in turn."""  # (n,)
    if group is None:
        group = np.arange(len(y))
    _, first, number = np.unique(group, return_index=True, return_inverse=True)
    shuffled = np.random.default_rng(0).permutation(len(first))
    fold = np.empty(len(first), dtype=np.int64)
    fold[shuffled[np.argsort(y[first][shuffled], kind="stable")]] = np.arange(len(first)) % FOLDS
    return np.asarray(fold[number.reshape(-1)])
