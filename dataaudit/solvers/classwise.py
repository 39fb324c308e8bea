"""The exact inverse Hessian of several classes by one n × n factor a class, where rows are few.

In K symmetric scores a row bends the loss by c (diag(p) - p pᵀ), c = ω/n: blocks of one class each, less one
direction. So nothing of nK × nK is needed (Rasmussen & Williams 2006, section 3.5). With G = X Xᵀ/λ of
slopes alone and W_a = diag(c p_a),

    N_a = I - (I + √W_a G √W_a)⁻¹        E_a = (G + W_a⁻¹)⁻¹ = √W_a (I - N_a) √W_a
    M = Σ_a E_a = L Lᵀ                   Φ_a = (G⁻¹ + W_a)⁻¹ = √W_a⁻¹ N_a √W_a⁻¹

and E = diag(E_a) - [E_a] M⁻¹ [E_a]ᵀ is what the dual matrix is the inverse of. The K intercepts border it:
with S the sums over rows and F = E S, σ = Sᵀ F. With T_a = L⁻¹ W_a Φ_a and t_i what row i adds to σ,

    H⁻¹ V = (V - Xᵀ E X V/λ)/λ           Q_i = diag(Φ_a[ii]) + T_iᵀ T_i + t_iᵀ σ⁺ t_i

in symmetric scores, and in their K - 1 differences between T and Tᵀ of `classes`. _Factors are in float64.
One half of each N_a is kept, in float32 where that is much: forms are then within 1e-6 of those of the dual,
as N_a has all its digits where it is near 0. Cost: K n³ multiplications; 2 K n² bytes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Final

import torch
from torch import Tensor

from dataaudit.errors import NotPositiveDefinite
from dataaudit.memory import memory_limit, require_memory
from dataaudit.model.objective import Objective
from dataaudit.solvers.base import Prepared, probe_residual
from dataaudit.solvers.cg import conjugate_gradients
from dataaudit.solvers.cholesky import cholesky_solve
from dataaudit.solvers.classes import Coupled, Products, probabilities, symmetric

METHOD: Final = "dual, class by class"
TOLERANCE: Final = 5e-9  # relative residual of a solve
LEAST: Final = 1e-9  # of a row's w_a G[ii]: less counts as this
PARTS: Final = 8  # in which N_a is stored, so that little of it is stored twice
DOUBLE: Final = 2**28  # bytes up to which they are kept in float64
NUMBERS: Final = 2**22  # of right-hand sides at a time
LANES: Final = 16  # right-hand sides, a multiple of which takes half the time
FEWEST: Final = 32  # of them: of fewer, products take longer
FORMS: Final = 2**21  # numbers of T at a time


@dataclass(frozen=True)
class Classwise:
    """Solver for few rows of many classes."""

    reason: str = "asked for"

    def prepare(self, objective: Objective, theta: Tensor) -> Prepared:
        """Factor every class at θ."""
        n, k = objective.rows.n, objective.model.loss.n_scores
        require_memory(objective.size.classwise, f"{k + 1} matrices of {n} × {n}", memory_limit())
        factors = _factors(objective, theta)
        single, product = factors.single(), Coupled.of(objective, theta).product

        def solve(B: Tensor) -> Tensor:
            if not B.shape[1]:
                return B
            found = [
                conjugate_gradients(product, part, precondition=single.solve, tolerance=TOLERANCE)[0]
                for part in torch.split(B, single.columns, dim=1)
            ]
            return torch.cat(found, dim=1)

        return Prepared(
            solve=solve,
            quadratic_forms=lambda: factors.joint_forms(torch.arange(n)[:, None]),
            joint_forms=factors.joint_forms,
            residual=probe_residual(objective, theta, solve),
            method=METHOD,
            reason=self.reason,
            near=single.solve,
            iterates=True,
        )


@dataclass(frozen=True)
class _Halves:
    """N_a of all classes: of every part of the columns the rows from its first one on."""

    parts: tuple[tuple[slice, Tensor], ...]  # columns, (K, n - first, columns)

    @classmethod
    def empty(cls, n: int, K: int, dtype: torch.dtype) -> _Halves:
        """Make room."""
        ends = [n * part // PARTS for part in range(PARTS + 1)]
        spans = [slice(*span) for span in pairwise(ends) if span[0] < span[1]]
        parts = [torch.empty(K, n - one.start, one.stop - one.start, dtype=dtype) for one in spans]
        return cls(tuple(zip(spans, parts, strict=True)))

    def put(self, a: int, N: Tensor) -> None:
        """Store one."""
        for span, part in self.parts:
            part[a] = N[span.start :, span]

    def times(self, V: Tensor) -> Tensor:
        """Return N_a V of each class."""  # (K, n, m) -> (K, n, m)
        m = V.shape[2]
        V = torch.nn.functional.pad(V, (0, -m % LANES))
        product = torch.zeros_like(V)
        for span, part in self.parts:
            width = part.shape[2]
            product[:, span.start :] += part @ V[:, span]
            product[:, span] += part[:, width:].mT @ V[:, span.stop :]
        return product[:, :, :m]

    def columns(self, rows: Tensor) -> Tensor:
        """Return the columns of some rows."""  # (m,) -> (K, n, m)
        (K, n, _), m = self.parts[0][1].shape, len(rows)
        found = self.parts[0][1].new_empty(K, n, m)
        for span, part in self.parts:
            inside, below = (rows >= span.start) & (rows < span.stop), rows >= span.stop
            found[:, span.start :, inside] = part[:, :, rows[inside] - span.start]
            found[:, span, below] = part[:, rows[below] - span.start].mT
        return found


@dataclass(frozen=True)
class _Factors:
    """The pieces of H⁻¹; letters as in the module's docstring."""

    objective: Objective
    X: Products
    N: _Halves
    root: Tensor  # (n, K) √W
    L: Tensor  # (n, n)
    E1: Tensor  # (n, K) L⁻¹ E_a 1
    own: Tensor  # (n, K) 1 - Φ_a W_a 1
    sigma: Tensor  # (K, K) σ⁺

    def single(self) -> _Factors:
        """Return the same in single precision, which is read in half the time."""
        if self.root.dtype == torch.float32:
            return self
        names = ("root", "L", "E1", "own", "sigma")
        parts = {name: getattr(self, name).float() for name in names}
        halves = _Halves(tuple((span, part.float()) for span, part in self.N.parts))
        return replace(self, X=Products.of(self.objective.rows.X), N=halves, **parts)

    @property
    def columns(self) -> int:
        """How many right-hand sides are solved for at a time."""
        (n, K), width = self.root.shape, self.objective.rows.width + 1
        return max(FEWEST, NUMBERS // ((n + width) * K))

    def solve(self, B: Tensor) -> Tensor:
        """Return H⁻¹ B to the digits that are kept."""  # (p, m) -> (p, m)
        return torch.cat([self._solve(part) for part in torch.split(B, self.columns, dim=1)], dim=1)

    def _solve(self, B: Tensor) -> Tensor:
        size, l2 = B.abs().amax(0, keepdim=True).clamp_min(1e-30), self.objective.l2
        V = symmetric((B / size).to(self.root.dtype), self.objective.rows.width + 1)  # (d+1, K, m)
        slopes = torch.cat([V[:-1], torch.zeros_like(V[:1])])
        bent = self._blocks((self.X.scores(slopes) / l2).transpose(0, 1))  # (K, n, m)
        # E applied to what the intercepts add shares the second product.
        sums = bent.sum(1) - torch.linalg.solve_triangular(self.L.T, self.E1, upper=True).T @ bent.sum(0)
        intercepts = self.sigma @ (V[-1] - sums)
        bent += (self.L @ self.E1).T[:, :, None] * intercepts[:, None]
        bent -= self._blocks(cholesky_solve(self.L, bent.sum(0)).expand_as(bent))
        V -= self.X.pull(bent.transpose(0, 1))
        V /= l2
        V[-1] = intercepts
        return (V[:, 1:] - V[:, :1]).to(B.dtype).view(B.shape).mul_(size)

    def _blocks(self, V: Tensor) -> Tensor:
        """Return E_a V of each class."""  # (K, n, m) -> (K, n, m)
        U = self.root.T[:, :, None] * V
        return (U - self.N.times(U)).mul_(self.root.T[:, :, None])

    def joint_forms(self, rows: Tensor) -> Tensor:
        """Return the forms of groups of d rows."""  # (g, d) -> (g, dk, dk)
        (g, d), (n, K) = rows.shape, self.root.shape
        forms = torch.empty(g, d * (K - 1), d * (K - 1), dtype=torch.float64)
        for some in torch.split(torch.arange(g), max(1, FORMS // (n * K * d))):
            forms[some] = self._joint(rows[some])
        return forms

    def _joint(self, rows: Tensor) -> Tensor:
        (g, d), (n, K) = rows.shape, self.root.shape
        once, at = torch.unique(rows, return_inverse=True)  # copies are many where groups are
        N = self.N.columns(once)
        own = self.root[once].T  # (K, m)
        phi = N[:, rows[:, :, None], at[:, None]] / (own[:, at][..., None] * own[:, at][:, :, None])
        N *= self.root.T[:, :, None]
        N /= own[:, None]
        T = torch.linalg.solve_triangular(self.L, N.transpose(0, 1).reshape(n, -1), upper=False)
        T = T.view(n, K, -1).permute(2, 1, 0)  # (m, K, n)
        border = (torch.diag_embed(self.own[once]) + T @ self.E1)[at].double().view(g, d * K, K)
        T = T[at].view(g, d * K, n)
        Q = (T @ T.mT).double() + border @ self.sigma.double() @ border.mT
        Q = Q.view(g, d, K, d, K)
        Q.diagonal(dim1=2, dim2=4).add_(phi.permute(1, 2, 3, 0))
        Q = Q[:, :, 1:] - Q[:, :, :1]
        between: Tensor = Q[..., 1:] - Q[..., :1]
        return between.reshape(g, d * (K - 1), -1)


def _factors(objective: Objective, theta: Tensor) -> _Factors:
    """Factor one class after another, then what couples them."""
    P, G = probabilities(objective, theta), objective.rows.gram() / objective.l2
    n, K = P.shape
    weight = objective.rows.weight[:, None] / n
    weight = weight.clamp_min(LEAST * float(weight.max()))
    P = torch.maximum(P, LEAST / (weight * G.diagonal()[:, None].clamp_min(1e-300)).clamp_min(1.0))
    W = P / P.sum(1, keepdim=True) * weight
    root = W.sqrt()
    dtype = torch.float64 if objective.size.classwise <= DOUBLE else torch.float32
    N, M = _Halves.empty(n, K, dtype), torch.zeros_like(G)
    E1, own = torch.empty_like(root), torch.empty_like(root)
    for a, r in enumerate(root.T):
        inside = (G * r[:, None]).mul_(r)
        inside.diagonal().add_(1.0)
        rest = torch.cholesky_inverse(_factor(inside, objective.l2)).neg_()
        rest.diagonal().add_(1.0)
        N.put(a, rest)
        moved = rest @ r
        E1[:, a], own[:, a] = r * (r - moved), 1.0 - moved / r
        M -= rest.mul_(r[:, None]).mul_(r)
    M.diagonal().add_(W.sum(1))
    L = _factor(M, objective.l2)
    E1_L = torch.linalg.solve_triangular(L, E1, upper=False)
    sigma = torch.diag(E1.sum(0)) - E1_L.T @ E1_L
    # Adding one number to the intercepts of all classes changes nothing: σ 1 = 0.
    size = float(sigma.diagonal().mean())
    sigma.diagonal().add_(objective.l2 * objective.model.intercept_ridge)
    inverse = torch.linalg.inv(sigma + size)
    kept = (part.to(dtype) for part in (root, L, E1_L, own, inverse))
    return _Factors(objective, Products.of(objective.rows.X, dtype), N, *kept)


def _factor(A: Tensor, l2: float) -> Tensor:
    L: Tensor
    L, failed = torch.linalg.cholesky_ex(A)
    if failed:
        what = f"the dual matrix of a class is not positive definite at λ = {l2:g}"
        raise NotPositiveDefinite(what, "raise --l2, or look for columns with huge values")
    return L
