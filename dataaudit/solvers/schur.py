"""A Hessian too large to factor: the columns of most curvature are eliminated, the rest is iterated on.

With the columns that bend the loss most (and the intercept) as F and all others as R, H x = b is

    S x_R = b_R - H_RF H_FF⁻¹ b_F        x_F = H_FF⁻¹ (b_F - H_FR x_R)        S = H_RR - H_RF H_FF⁻¹ H_FR

H_FF is factored; S is solved by conjugate gradients, preconditioned by the diagonal of H_RR in K symmetric
scores (as in `newton`). In text the frequent words carry nearly all curvature above the ridge: *measured* on
20,000 mails of 63,621 words, 1,000 of them eliminated, a relative residual of 1e-3 takes 8 steps, where the
diagonal alone takes 29. S is never formed: a step is a product with X and one with its transpose, in float32,
on all cores, few right-hand sides at a time: *measured* on 100,000 texts of 67,375 words, products of 16 to
32 columns are 4 times as fast as of 128, whose rows do not stay in the cache; and a form to 1e-8 takes 17
steps with 447 columns eliminated, 13 with 1,024, 11 with 2,048.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_array, hstack
from torch import Tensor

from dataaudit.errors import SolveError
from dataaudit.model.costs import columns_at_once, eliminated
from dataaudit.model.objective import Objective
from dataaudit.solvers.base import damped_ridge
from dataaudit.solvers.cg import conjugate_gradients

# Multiplications that the block of columns that are eliminated may take; a pair of numbers of a sparse row
# takes as long as so many of dense ones.
WORK, PAIR = 4e10, 400
# Sparse rows whose transposed product is made at a time: so many that they have this many numbers for each
# column, so that what is multiplied stays in the cache and what is added is little.
PART, SHARE = 1 << 13, 8
STEPS: Final = 500
_DENSE_BYTES: Final = 32 * 2**20  # of rows made dense at a time


@dataclass(frozen=True)
class Half:
    """Some columns of X, to multiply from either side."""

    X: Tensor  # (n, f)
    XT: Tensor | Transposed  # (f, n); sparse products are twice as fast with rows that lie together

    @classmethod
    def of(cls, X: Tensor | csr_array, columns: NDArray[np.int64]) -> Half:
        """Take columns in float32."""
        if isinstance(X, Tensor):
            some = X[:, torch.from_numpy(columns)].float()
            return cls(some, some.T)
        part = X[:, columns]
        return cls(threaded(part), Transposed.of(part))


@dataclass(frozen=True)
class Transposed:
    """Xᵀ of sparse rows, in parts of them."""

    parts: tuple[Tensor, ...]

    @classmethod
    def of(cls, X: csr_array, dtype: torch.dtype = torch.float32) -> Transposed:
        """Take all rows."""
        n, width = X.shape
        step = max(PART, SHARE * width * n // max(X.nnz, 1))
        parts = (csr_array(X[start : start + step].T) for start in range(0, max(n, 1), step))
        return cls(tuple(threaded(part, dtype) for part in parts))

    def __matmul__(self, U: Tensor) -> Tensor:
        """Return ``Xᵀ U``."""  # (n, m) -> (d, m)
        first, *others = self.parts
        at = first.shape[1]
        total = first @ U[:at]
        for part in others:
            total += part @ U[at : at + part.shape[1]]
            at += part.shape[1]
        return total

    def square(self) -> Transposed:
        """Return the same of squared numbers."""
        return Transposed(tuple(_squared(part) for part in self.parts))


@dataclass(frozen=True)
class Schur:
    """(H + δ I) at one θ, split in two; vectors are those of θ, m at a time."""

    first: NDArray[np.int64]  # (f,) columns of X that are eliminated
    rest: NDArray[np.int64]  # (d - f,)
    F: Half
    R: Half
    W: Tensor  # (n, k, k), weighted curvature / n
    slopes: Tensor  # (k, k) ridge of a column
    inverse: Tensor  # ((f+1)k, (f+1)k), H_FF⁻¹

    @classmethod
    def of(
        cls, objective: Objective, theta: Tensor, *, damping: float = 0.0, most: int | None = None
    ) -> Schur:
        """Split the Hessian of an objective at θ."""
        X, n, k = objective.rows.X, objective.rows.n, objective.model.loss.n_scores
        bent = objective.hessian_diagonal(theta).view(-1, k)[:-1].sum(1).numpy()
        order = np.argsort(-bent, kind="stable")
        most = eliminated(objective.size.numbers) if most is None else most
        f = min(most, _affordable(X, order)) // k
        first, rest = np.sort(order[:f]), np.sort(order[f:])
        W = (objective.curvature(theta) / n).float()
        slopes, intercepts = (objective.l2 * ridge for ridge in damped_ridge(objective, damping))
        H = _block(X, first, W).view(f + 1, k, f + 1, k)
        diagonal = H.diagonal(dim1=0, dim2=2)  # (k, k, f+1)
        diagonal[:, :, :-1] += slopes[:, :, None]
        diagonal[:, :, -1] += intercepts
        inverse = _inverse(H.view((f + 1) * k, -1)).float()
        return cls(first, rest, Half.of(X, first), Half.of(X, rest), W, slopes.float(), inverse)

    @cached_property
    def diagonal(self) -> Tensor:
        """What preconditions S: inverse curvatures of each column, for one score or in K symmetric ones."""
        W, k = self.W, len(self.slopes)  # -> (d - f, K or 1)
        of_scores = W.diagonal(dim1=1, dim2=2)
        bent = of_scores if k == 1 else torch.cat([W.sum((1, 2))[:, None], of_scores], dim=1)
        squares = self.R.XT.square() @ bent.contiguous()
        ridge = self.slopes[0, 0] if k == 1 else self.slopes[0, 0] - self.slopes[0, 1]
        return 1.0 / (squares + ridge)

    @property
    def columns(self) -> int:
        """How many right-hand sides are solved for at a time."""
        n, k = self.W.shape[:2]
        sparse = self.F.X.layout != torch.strided
        return columns_at_once(n, len(self.first) + len(self.rest) + 1, k, cached=sparse)

    def solve(self, B: Tensor, tolerance: float, *, missing: float = 0.0) -> Tensor:
        """Return H⁻¹ B to a relative residual, or so that but a share of ``bᵀ H⁻¹ b`` is missing."""
        parts = torch.split(B, self.columns, dim=1)  # (p, m) -> (p, m)
        return torch.cat([self._solve(part, tolerance, missing) for part in parts], dim=1)

    def energy(self, B: Tensor) -> Tensor:
        """Return about ``bᵀ H⁻¹ b`` of each column, by the preconditioner alone."""  # (p, m) -> (m,)
        f, r = self._halves(B.float())
        return ((self.inverse @ f) * f).sum(0) + (self._precondition(r) * r).sum(0)

    def scores(self, V: Tensor) -> Tensor:
        """Return ``X̃ V``."""  # (p, m) -> (n, k, m)
        f, r = self._halves(V)
        return self._first(f) + self._rest(r)

    def pull(self, U: Tensor) -> Tensor:
        """Return ``X̃ᵀ U``."""  # (n, k, m) -> (p, m)
        return self._whole(self._pull_first(U), self._pull_rest(U))

    def _solve(self, B: Tensor, tolerance: float, missing: float) -> Tensor:
        # Squares of small numbers vanish, in single precision below 1e-23: columns of size 1, or of 0.
        size = B.abs().amax(0, keepdim=True)
        f, r = self._halves((B / torch.where(size > 0, size, 1.0)).float())
        whole = (f.square().sum(0) + r.square().sum(0)).sqrt()
        right = r - self._pull_rest(self._bend(self._first(self.inverse @ f)))
        # The residual of S is that of H: relative to B, of which little may be left on the right.
        share = right.norm(dim=0).clamp_min(1e-30) / whole.clamp_min(1e-30)
        right = right / share
        known = ((self.inverse @ f) * f).sum(0) / share.square()  # of the form
        x, steps = conjugate_gradients(
            self._schur,
            right,
            precondition=self._precondition,
            tolerance=tolerance,
            max_steps=STEPS,
            missing=(lambda found: missing * (known + found)) if missing else None,
        )
        if steps == STEPS:
            what = (
                f"conjugate gradients did not reach a relative residual of {tolerance:.0e} in {STEPS} steps"
            )
            raise SolveError(what, "raise --l2, or give --damping")
        x = x * share
        f = self.inverse @ (f - self._pull_first(self._bend(self._rest(x))))
        return self._whole(f, x).to(B.dtype) * size

    def _schur(self, V: Tensor) -> Tensor:
        """Return ``S V``."""  # ((d-f)k, m) -> ((d-f)k, m)
        U = self._bend(self._rest(V))
        U = U.sub_(self._bend(self._first(self.inverse @ self._pull_first(U))))
        return self._pull_rest(U).add_(self._ridge(V))

    def _ridge(self, V: Tensor) -> Tensor:
        k, m = len(self.slopes), V.shape[1]
        if k == 1:
            return V * self.slopes[0, 0]
        return (self.slopes @ V.reshape(-1, k, m)).reshape(-1, m)

    def _precondition(self, V: Tensor) -> Tensor:
        k, m = len(self.slopes), V.shape[1]
        if k == 1:
            return V * self.diagonal
        Z = V.reshape(-1, k, m)
        Z = torch.cat([-Z.sum(1, keepdim=True), Z], dim=1) * self.diagonal[:, :, None]
        return (Z[:, 1:] - Z[:, :1]).reshape(-1, m)

    def _bend(self, U: Tensor) -> Tensor:
        """Return W U."""  # (n, k, m) -> (n, k, m)
        return self.W * U if len(self.slopes) == 1 else self.W @ U

    def _first(self, V: Tensor) -> Tensor:
        """Return the scores of the columns that are eliminated, and of the intercept."""
        k, m = len(self.slopes), V.shape[1]  # ((f+1)k, m) -> (n, k, m)
        V = V.reshape(-1, k, m)
        return (self.F.X @ V[:-1].reshape(-1, k * m)).reshape(-1, k, m) + V[-1]

    def _rest(self, V: Tensor) -> Tensor:
        k, m = len(self.slopes), V.shape[1]  # ((d-f)k, m) -> (n, k, m)
        return (self.R.X @ V.reshape(-1, k * m)).reshape(-1, k, m)

    def _pull_first(self, U: Tensor) -> Tensor:
        n, k, m = U.shape  # (n, k, m) -> ((f+1)k, m)
        return torch.cat([(self.F.XT @ U.reshape(n, k * m)).reshape(-1, m), U.sum(0)])

    def _pull_rest(self, U: Tensor) -> Tensor:
        n, k, m = U.shape  # (n, k, m) -> ((d-f)k, m)
        return (self.R.XT @ U.reshape(n, k * m)).reshape(-1, m)

    def _halves(self, V: Tensor) -> tuple[Tensor, Tensor]:
        """Return the rows of the columns that are eliminated, and of the rest."""
        k, m = len(self.slopes), V.shape[1]  # (p, m) -> ((f+1)k, m), ((d-f)k, m)
        V = V.reshape(-1, k, m)
        first = np.append(self.first, len(V) - 1)
        return tuple(V[torch.from_numpy(at)].reshape(-1, m) for at in (first, self.rest))  # type: ignore[return-value]

    def _whole(self, f: Tensor, r: Tensor) -> Tensor:
        """Return what `_halves` took apart."""
        k, m = len(self.slopes), f.shape[1]
        V = f.new_empty(len(self.first) + len(self.rest) + 1, k, m)
        f = f.reshape(-1, k, m)
        V[torch.from_numpy(self.first)], V[-1] = f[:-1], f[-1]
        V[torch.from_numpy(self.rest)] = r.reshape(-1, k, m)
        return V.view(-1, m)


def _affordable(X: Tensor | csr_array, order: NDArray[np.int64]) -> int:
    """Return how many columns, in an order, have a block that takes no more than `WORK`."""
    n, width = X.shape
    work = n * np.arange(1.0, width + 1) ** 2
    if isinstance(X, csr_array):
        held = np.cumsum(np.bincount(X.indices, minlength=width)[order])
        work = np.minimum(work, PAIR * held**2 / max(n, 1))
    return int((work <= WORK).sum())


def _block(X: Tensor | csr_array, columns: NDArray[np.int64], W: Tensor) -> Tensor:
    """Return ``Σ (x̃ x̃ᵀ) ⊗ W`` over some columns and the intercept."""
    k, width = W.shape[1], len(columns) + 1
    H = torch.zeros(width, k, width, k, dtype=torch.float64)
    some = X[:, torch.from_numpy(columns)] if isinstance(X, Tensor) else X[:, columns]
    for a in range(k):
        for b in range(a + 1):
            H[:, a, :, b] = H[:, b, :, a] = weighted_gram(some, W[:, a, b])
    return H


def weighted_gram(X: Tensor | csr_array, w: Tensor) -> Tensor:
    """Return ``[X, 1]ᵀ diag(w) [X, 1]``."""  # (n, f), (n,) -> (f+1, f+1), in float64
    n, width = X.shape
    if not isinstance(X, Tensor) and pairs(X) < n * width**2:
        ones = csr_array(hstack([X, np.ones((n, 1))], format="csr"))
        bent = ones.multiply(w.double().numpy()[:, None]).T.tocsr()
        return torch.from_numpy((bent @ ones).toarray())
    H = torch.zeros(width + 1, width + 1, dtype=torch.float64)
    step = max(1, _DENSE_BYTES // (4 * (width + 1)))
    for start in range(0, n, step):
        part = X[start : start + step]
        dense = part.float() if isinstance(part, Tensor) else torch.from_numpy(part.astype("f4").toarray())
        D = torch.cat([dense, torch.ones(len(dense), 1)], dim=1)
        H += D.T @ (D * w[start : start + step, None])
    return H


def pairs(X: csr_array) -> float:
    """Return the multiplications that the pairs of numbers of all rows are worth."""
    return float(PAIR * ((np.diff(X.indptr) + 1.0) ** 2).sum())


def _inverse(H: Tensor) -> Tensor:
    """Return the inverse of a block that was summed in float32, by a factor of it with a unit diagonal."""
    size = H.diagonal().clamp_min(1e-300).rsqrt()
    scaled = H * size[:, None] * size
    for shift in (1e-7, 1e-6, 1e-5, 1e-4):
        L, failed = torch.linalg.cholesky_ex(scaled + shift * torch.eye(len(H), dtype=H.dtype))
        if not failed:
            return torch.cholesky_inverse(L) * size[:, None] * size
    raise SolveError("the Hessian of the columns of most curvature has no factor", "raise --l2")


def _squared(X: Tensor) -> Tensor:
    return torch.sparse_csr_tensor(
        X.crow_indices(), X.col_indices(), X.values().square(), size=X.shape, check_invariants=False
    )


def threaded(X: csr_array, dtype: torch.dtype = torch.float32) -> Tensor:
    """Return a sparse matrix as torch's: its products run on all cores, scipy's on one."""
    place = np.int32 if max(X.nnz, *X.shape) < 2**31 else np.int64  # of other ones every product makes a copy
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Sparse CSR tensor support is in beta state")
        return torch.sparse_csr_tensor(
            torch.from_numpy(X.indptr.astype(place, copy=False)),
            torch.from_numpy(X.indices.astype(place, copy=False)),
            torch.from_numpy(X.data).to(dtype),
            size=X.shape,
            check_invariants=False,
        )
