"""A Hessian that is never formed: products with it, over all rows or over a few drawn at random.

Any model has one: the closed form of `model.linear`, or automatic differentiation of a user's module
(Pearlmutter 1994). The matrix meant is ``A = H + δ I``, with the damping δ of Koh & Liang (2017), section
4.2, which makes it positive definite where the fit is not at a minimum.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Final, Protocol

import torch
from torch import Tensor

from dataaudit.errors import SolveError
from dataaudit.model.objective import Objective

N_PROBES: Final = 4
N_SIGNS: Final = 64  # that estimate a diagonal
ROUGH: Final = 0.01  # relative residual from which on an estimate is rough enough to warn of
LEAST: Final = 1e-6  # of the largest entry of a diagonal: what is estimated may come out negative

Product = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Curvature:
    """H + δ I at a fixed θ."""

    n_params: int
    n_rows: int  # rows that H is the mean over
    full: Product  # ``(p, m) -> (p, m)``, the product with H over all rows, the ridge included
    drawn: Callable[[Tensor], Product]  # (b,) positions of rows to the product with H over these alone
    like: Tensor  # whose dtype and device right-hand sides have
    damping: float = 0.0
    spread: Callable[[], Tensor] | None = None  # () -> (p,), the diagonal of H where it has a closed form

    def product(self, V: Tensor) -> Tensor:
        """Return ``(H + δ I) V``."""  # (p, m) -> (p, m)
        return self.full(V) + self.damping * V

    def dense(self) -> Tensor:
        """Return H + δ I, by p products with the unit vectors, a few at a time."""  # -> (p, p)
        eye = torch.eye(self.n_params, dtype=self.like.dtype, device=self.like.device)
        H = torch.cat([self.product(part) for part in torch.split(eye, 64, dim=1)], dim=1)
        if not bool(torch.isfinite(H).all()):
            raise SolveError(
                "the Hessian has entries that are not finite", "look for large values in the rows"
            )
        uneven = float((H - H.T).norm() / H.norm().clamp_min(torch.finfo(H.dtype).tiny))
        if uneven > torch.finfo(H.dtype).eps ** 0.5:
            what = f"the module's second derivatives differ by {uneven:.0%} from their mirror image"
            hint = "a layer has a wrong one: if it is weight_norm, remove it from there before"
            raise SolveError(what, hint)
        return (H + H.T) / 2

    def diagonal(self, *, seed: int = 0) -> Tensor:
        """Return the diagonal of H + δ I, made positive: exact, or estimated with random signs.

        With z of random signs, the mean of z ∘ (H z) is the diagonal (Bekas, Kokiopoulou & Saad 2007), off
        by the entries off the diagonal: good enough for a preconditioner.
        """  # -> (p,)
        if self.spread is not None:
            found = self.spread() + self.damping
        else:
            Z = self.normal(N_SIGNS, seed).sign()
            found = (Z * self.product(Z)).mean(1)
        return found.clamp_min(LEAST * float(found.abs().max()))

    def damped(self, damping: float) -> Curvature:
        """Return the same with another δ."""
        return replace(self, damping=damping)

    def normal(self, m: int, seed: int) -> Tensor:
        """Return seeded standard normal columns."""  # -> (p, m)
        generator = torch.Generator().manual_seed(seed)
        drawn = torch.randn(self.n_params, m, dtype=torch.float64, generator=generator)
        return drawn.to(self.like)

    def residual(self, solve: Product) -> float:
        """Return the largest ``‖A solve(b) - b‖ / ‖b‖`` over seeded probes: one solve, one product."""
        B = self.normal(N_PROBES, 0)
        return float(((self.product(solve(B)) - B).norm(dim=0) / B.norm(dim=0)).max())


@dataclass(frozen=True)
class Inverse:
    """(H + δ I)⁻¹, ready for many right-hand sides."""

    solve: Product  # ``(p, m) -> (p, m)``
    method: str
    reason: str  # why it was chosen, or what was done to make it work; for people
    residual: float  # largest relative residual over a few seeded probes, measured
    damping: float


def rough(residual: float) -> str:
    """Return a warning of estimates with so large a relative residual; empty where they are near."""
    if residual <= ROUGH:
        return ""
    off = f"single influences may be off by more than {residual:.0%}"
    return f"That is rough: {off}. Use cholesky or cg, or raise the damping."


class CurvatureSolver(Protocol):
    """Settings that can be turned into an inverse of a `Curvature`."""

    def invert(self, curvature: Curvature) -> Inverse:
        """Return (H + δ I)⁻¹."""


def of_objective(objective: Objective, theta: Tensor, *, damping: float = 0.0) -> Curvature:
    """Return the Hessian of a linear model's objective."""  # theta (p,)
    rows, model, W = objective.rows, objective.model, objective.curvature(theta)

    def drawn(chosen: Tensor) -> Product:
        block, bent, ridge = rows.take(chosen), W[chosen] / len(chosen), objective.l2
        return lambda V: model.bend(V, block, bent).add_(model.ridge(V), alpha=ridge)

    full = objective.hvp_at(theta)
    diagonal = partial(objective.hessian_diagonal, theta)
    return Curvature(objective.model.n_params, rows.n, partial(full), drawn, theta, damping, diagonal)
