"""Dual (Woodbury) Cholesky: factor an nk × nk matrix where rows are few and features are many.

With K = X Xᵀ, W_i = R_i R_iᵀ the weighted curvature of row i, R = diag(R_i), S = [R_1ᵀ; …; R_nᵀ] (nk × k) and
D the inverse of the ridge's form C, τ its share for intercepts (`model.linear`; D = 1 for one score). With a
damping δ, C and τ C stand for C + (δ/λ) I and τ C + (δ/λ) I, which makes H into H + δ I:

    M = nλ I + Rᵀ (K ⊗ D) R = L Lᵀ                        α = M⁻¹ S        σ = λ (Sᵀ α + τ C)
    H_i = I - nλ ([M⁻¹]_ii - λ α_i σ⁻¹ α_iᵀ)              T_i = nλ R_i⁻ᵀ α_i
    Q_i = n R_i⁻ᵀ H_i R_i⁻¹

(Woodbury's identity; σ is the Schur complement of the unpenalised intercepts, which border the penalised
block A, and T_i is what row i adds to them.) H_i holds row i's leverage: its trace is tr(W_i Q_i)/n. For a
row whose curvature is tiny that quotient cancels, and

    Q_i = (K_ii D - ‖L⁻¹ Rᵀ (K_·i ⊗ D)‖²)/λ + T_iᵀ σ⁻¹ T_i

is used. Rows with equal features have equal forms, and what they add to H is one row's with the sum of their
curvatures: each is taken once, so n is the number of different rows there (but of all in nλ). Cost: n³k³/6
multiplications for L and as many for L⁻¹, whose column norms are the diagonal of M⁻¹ (a product of two such
matrices takes n³k³); 3 matrices of (nk)² numbers.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_array
from torch import Tensor

from dataaudit.errors import NotPositiveDefinite, SolveError
from dataaudit.memory import memory_limit, require_memory
from dataaudit.model.objective import Objective
from dataaudit.model.rows import MemoryRows, times, times_transposed
from dataaudit.options.progress import portion, tick
from dataaudit.solvers.base import (
    Prepared,
    damped_ridge,
    probe_residual,
    with_damping,
)
from dataaudit.solvers.cholesky import cholesky_solve

# Below this leverage 1 - nλ[M⁻¹]_ii has lost more than half of its digits.
CANCELS = 1e-5
LEAF = 512


@dataclass(frozen=True)
class Dual:
    """Solver for few rows."""

    reason: str = "asked for"
    gram: Gram | None = None  # if it is at hand
    dtype: torch.dtype = torch.float64  # float32 halves time and memory, enough to choose λ by
    damping: float = 0.0

    def prepare(self, objective: Objective, theta: Tensor) -> Prepared:
        """Factor M at θ."""
        if objective.l2 <= 0:
            raise SolveError(
                f"more features than rows need a ridge: got λ = {objective.l2:g}", "give --l2 above 0"
            )
        size = objective.rows.n * objective.model.loss.n_scores
        require_memory(objective.size.dual, f"a {size} × {size} dual matrix", memory_limit())
        rows = Gram.of(objective.rows) if self.gram is None else self.gram
        factor = _factor(objective, theta, rows, dtype=self.dtype, damping=self.damping)
        exact, solve = self.dtype == torch.float64, factor.solve
        return Prepared(
            solve=solve,
            quadratic_forms=factor.quadratic_forms,
            joint_forms=factor.joint_forms,
            residual=probe_residual(objective, theta, solve, damping=self.damping) if exact else float("nan"),
            method="dual" if exact else "dual, float32",
            reason=with_damping(self.reason, self.damping),
            damping=self.damping,
            near=factor.solve_single if exact else None,
        )


@dataclass(frozen=True)
class Gram:
    """The rows of different features, and their products with each other."""

    X: Tensor | csr_array  # (n', d) each of them once
    K: Tensor  # (n', n') ``X Xᵀ``
    which: Tensor  # (n,) which of these each row is

    @classmethod
    def of(cls, rows: MemoryRows) -> Gram:
        """Compare rows, and multiply them."""
        alike = _alike(rows.X, np.random.default_rng(0).standard_normal((rows.width, 2)))
        first, which = np.unique(alike, return_inverse=True)
        if len(first) < rows.n:
            at = torch.from_numpy(first)
            rows = replace(rows, X=rows.X[first], y=rows.y[at], weight=rows.weight[at])
        return cls(rows.X, rows.gram(), torch.from_numpy(which))

    def sums(self, W: Tensor) -> Tensor:
        """Return the sums of curvatures over rows that are the same."""  # (n, k, k) -> (n', k, k)
        if len(self.K) == len(W):
            return W
        return W.new_zeros(len(self.K), *W.shape[1:]).index_add_(0, self.which, W)


def _alike(X: Tensor | csr_array, directions: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the first row that has the features of each."""  # (n, d), (d, 2) -> (n,)
    along = np.ascontiguousarray(X @ directions if isinstance(X, csr_array) else X.numpy() @ directions)
    _, first, which = np.unique(along.view(np.complex128)[:, 0], return_index=True, return_inverse=True)
    every, alike = np.arange(len(along)), first[which]
    again = np.flatnonzero(alike != every)
    apart = X[again] - X[alike[again]]
    differs = (apart != 0).sum(1) if isinstance(apart, csr_array) else (apart != 0).sum(1).numpy()
    other = again[np.asarray(differs).reshape(-1) > 0]
    alike[other] = other  # what rounding hid
    return np.asarray(alike, dtype=np.int64)


@dataclass(frozen=True)
class _Factor:
    """The pieces of H⁻¹ in the dual; letters as in the module's docstring."""

    objective: Objective
    rows: Gram
    D: Tensor  # (k, k)
    R: Tensor  # (n, k, k), as all that follows of different rows
    L: Tensor  # (nk, nk)
    alpha: Tensor  # (nk, k)
    sigma: Tensor  # (k, k)

    def solve(self, B: Tensor) -> Tensor:
        """Return H⁻¹ B by eliminating the penalised block."""  # (p, m) -> (p, m)
        d, k, m, X = self.objective.rows.width, self.R.shape[1], B.shape[1], self.rows.X
        if not m:  # shapes of nothing are ambiguous below
            return B.clone()
        B = B.view(d + 1, k, m)
        AB = self._solve_penalised(B[:-1])
        R_alpha = self.D @ self.R @ self.alpha.view(-1, k, k)
        U = times_transposed(X, R_alpha.reshape(-1, k * k)).view(d * k, k)
        intercepts = torch.linalg.solve(self.sigma, B[-1] - U.T @ B[:-1].reshape(d * k, m))
        slopes = AB.reshape(d * k, m) - U @ intercepts
        return torch.cat([slopes, intercepts])

    @cached_property
    def _single(self) -> _Factor:
        return replace(self, L=self.L.float())

    def solve_single(self, B: Tensor) -> Tensor:
        """Return H⁻¹ B to float32's digits: reading the factor is what takes the time."""
        return self._single.solve(B)  # (p, m) -> (p, m)

    def _solve_penalised(self, V: Tensor) -> Tensor:
        """Return ``A⁻¹ V = D (V - Xᵀ R M⁻¹ Rᵀ X D V)/λ``."""  # (d, k, m) -> (d, k, m)
        (d, k, m), X = V.shape, self.rows.X
        V = _times(self.D, V)
        XV = times(X, V.reshape(d, k * m)).view(-1, k, m)
        inner = cholesky_solve(self.L, _times(self.R.mT, XV).reshape(-1, m).to(self.L.dtype)).to(V.dtype)
        back = times_transposed(X, _times(self.D @ self.R, inner.view(-1, k, m)).reshape(-1, k * m))
        return (V - back.view(d, k, m)) / self.objective.l2

    def quadratic_forms(self) -> Tensor:
        """Return Q_i of every row."""  # -> (n, k, k)
        n, k = self.R.shape[:2]
        ridge = self.objective.rows.n * self.objective.l2
        eye = torch.eye(k, dtype=torch.float64)
        inverse = inverse_factor(self.L).view(n * k, n, k)
        M_inverse = _column_products(inverse).double()
        del inverse
        H0 = eye - ridge * M_inverse  # leverage without the intercepts
        certain = torch.linalg.eigvalsh(H0)[:, 0] > CANCELS if k > 1 else H0[:, 0, 0] > CANCELS
        Q = torch.empty(n, k, k, dtype=torch.float64)
        R_inverse = torch.linalg.inv(self.R[certain])
        alpha = self.alpha.view(n, k, k)
        T = ridge * R_inverse.mT @ alpha[certain]
        scaled = self.objective.rows.n * R_inverse.mT @ H0[certain] @ R_inverse
        Q[certain] = scaled + T @ torch.linalg.solve(self.sigma, T.mT)
        for rows in torch.split(torch.nonzero(~certain)[:, 0], max(1, 1024 // k)):
            Q[rows] = self._joint(rows[:, None])
        return Q[self.rows.which]

    def joint_forms(self, rows: Tensor) -> Tensor:
        """Return the forms of groups of d rows."""
        return self._joint(self.rows.which[rows])  # (g, d) -> (g, dk, dk)

    def _joint(self, rows: Tensor) -> Tensor:
        """Return the forms of groups of d different rows, without a division by their curvature."""
        (g, d), (n, k) = rows.shape, self.R.shape[:2]  # (g, d) -> (g, dk, dk)
        once, at = torch.unique(rows, return_inverse=True)  # copies are many where groups are
        K = self.rows.K[:, once]
        columns = torch.einsum("nm,nkc->nkmc", K, self.R.mT @ self.D).reshape(n * k, -1)
        V = torch.linalg.solve_triangular(self.L, columns.to(self.L.dtype), upper=False).double()
        V = V.view(n * k, -1, k)[:, at].reshape(n * k, g, d * k).permute(1, 2, 0)
        inside = self.rows.K[rows[:, :, None], rows[:, None, :]]
        Q0 = torch.einsum("gij,kl->gikjl", inside, self.D).reshape(g, d * k, d * k) - V @ V.mT
        R_alpha = (self.D @ self.R @ self.alpha.view(n, k, k)).view(n, k * k)
        T = torch.eye(k, dtype=torch.float64) - (K.T @ R_alpha)[at].view(g, d, k, k)
        T = T.reshape(g, d * k, k)
        forms: Tensor = Q0 / self.objective.l2 + T @ torch.linalg.solve(self.sigma, T.mT)
        return forms


def _times(A: Tensor, V: Tensor) -> Tensor:
    """Return a product for each row, without a call for each where a matrix is one number."""
    return A * V if A.shape[-1] == 1 else A @ V  # (…, k, k), (n, k, m) -> (n, k, m)


def _factor(
    objective: Objective, theta: Tensor, rows: Gram, *, dtype: torch.dtype, damping: float
) -> _Factor:
    """Factor M and border it with the intercepts."""
    n, k = len(rows.K), objective.model.loss.n_scores
    W = rows.sums(objective.curvature(theta))
    slopes, intercepts = damped_ridge(objective, damping)
    R, D = square_root(W), torch.linalg.inv(slopes)
    M = _curved_gram(rows.K, R, D @ R, dtype)
    M.diagonal().add_(objective.rows.n * objective.l2)
    L, failed = torch.linalg.cholesky_ex(M)
    if failed:
        what = f"the dual matrix is not positive definite at λ = {objective.l2:g}"
        raise NotPositiveDefinite(what, "raise --l2, or look for columns with huge values")
    S = R.mT.reshape(n * k, k)
    alpha = cholesky_solve(L, S.to(dtype)).double()
    return _Factor(objective, rows, D, R, L, alpha, objective.l2 * (S.T @ alpha + intercepts))


def _curved_gram(K: Tensor, R: Tensor, DR: Tensor, dtype: torch.dtype) -> Tensor:
    """Return ``Rᵀ (K ⊗ D) R``, one pair of scores at a time."""  # (n, n), 2 × (n, k, k) -> (nk, nk)
    n, k = R.shape[:2]
    if k == 1:  # without a copy of the matrix
        return (R[:, :, 0] @ DR[:, :, 0].T).mul_(K).to(dtype)
    M = torch.empty(n, k, n, k, dtype=dtype)
    for a in range(k):
        for b in range(a + 1):
            part = (R[:, :, a] @ DR[:, :, b].T).mul_(K)
            M[:, a, :, b] = part
            if a != b:
                M[:, b, :, a] = part.T
    return M.view(n * k, n * k)


def square_root(W: Tensor) -> Tensor:
    """Return R with W = R Rᵀ; by eigenvalues, since a softmax's W may be singular to rounding."""
    if W.shape[1] == 1:
        return W.sqrt()  # (n, k, k) -> (n, k, k)
    values, vectors = torch.linalg.eigh(W)
    R: Tensor = vectors * values.clamp_min(0.0).sqrt()[:, None, :]
    return R


def _column_products(inverse: Tensor) -> Tensor:
    """Return the k × k blocks on the diagonal of ``L⁻ᵀ L⁻¹``."""  # (nk, n, k) -> (n, k, k)
    blocks = [torch.einsum("rna,rnb->nab", part, part) for part in torch.split(inverse, 256)]
    return torch.stack(blocks).sum(0)


def inverse_factor(L: Tensor) -> Tensor:
    """Return L⁻¹ of a lower triangular L by halves.

    ``[[A, 0], [B, C]]⁻¹ = [[A⁻¹, 0], [-C⁻¹ B A⁻¹, C⁻¹]]``: n³/6 multiplications, nearly all in large
    triangular solves, where one solve against the identity takes n³/2.
    """  # (n, n) -> (n, n)
    inverse = torch.zeros_like(L)
    _invert_into(L, inverse)
    return inverse


def _invert_into(L: Tensor, out: Tensor) -> None:
    n = len(L)
    if n <= LEAF:
        out.copy_(torch.linalg.solve_triangular(L, torch.eye(n, dtype=L.dtype), upper=False))
        return
    half = n // 2
    with portion(0, 8):  # of n³ multiplications a half takes an eighth
        _invert_into(L[:half, :half], out[:half, :half])
    with portion(1, 8):
        _invert_into(L[half:, half:], out[half:, half:])
    tick(2, 8)
    BA = torch.linalg.solve_triangular(L[:half, :half], L[half:, :half], upper=False, left=False)
    out[half:, :half] = torch.linalg.solve_triangular(L[half:, half:], BA, upper=False).neg_()
