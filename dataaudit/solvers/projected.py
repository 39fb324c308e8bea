"""The inverse Hessian where no factor of it fits in memory: estimates for all rows, exact values for some.

**All rows.** Their quadratic forms come from random projections (`sketch`). With h the leverage of a row in
one score, and m probes, the two estimates that are joined have variances 2h²/m and 2(1-h)²/m, so the standard
error of h is

    √(2/m) h (1-h) / √(h² + (1-h)²)

**Some rows.** A form x̃ᵀ H⁻¹ x̃ is a solve. With X the solutions that conjugate gradients give for B in
float32, and E their errors, in float64

    Bᵀ H⁻¹ B = XᵀB + BᵀX - XᵀHX + EᵀHE

so that a relative residual of 1e-3 leaves an error of about 1e-6 (Rayleigh's quotient). A solve to more
digits adds what the same solver gives for its own residual, a few times (iterative refinement, Golub & Van
Loan, section 3.5.3). The preconditioner is a Nyström approximation (`spectrum`), its products run on all
cores.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache, partial
from typing import Final

import torch
from scipy.sparse import csr_array
from torch import Tensor

from dataaudit.errors import SolveError
from dataaudit.model.costs import COLUMNS, PROBES, RANK
from dataaudit.model.objective import Objective
from dataaudit.solvers.base import Prepared, lifted_rows, with_damping
from dataaudit.solvers.cg import ConjugateGradients
from dataaudit.solvers.operator import Curvature, Product, of_objective
from dataaudit.solvers.sketch import Sketch, threaded

DENSE: Final = 10
LEAST_RANK: Final = 10
TOLERANCE: Final = 1e-7  # relative residual of a solve
ROUNDS: Final = 8


@dataclass(frozen=True)
class Projected:
    """Solver for many rows and many features."""

    reason: str = "asked for"
    probes: int = PROBES
    rank: int = RANK  # of the preconditioner, at most
    damping: float = 0.0

    def prepare(self, objective: Objective, theta: Tensor) -> Prepared:
        """Return estimates of the forms, and a solver."""
        whole = of_objective(objective, theta, damping=self.damping)
        rough = (
            ConjugateGradients(tolerance=3e-3, rank=self.rank).invert(single(objective, theta, whole)).solve
        )
        solve = partial(_refined, whole.product, rough)
        sketch = Sketch(probes=self.probes, tolerance=0.03, damping=self.damping)
        sketched = cache(partial(sketch.prepare, objective, theta))
        return Prepared(
            solve=solve,
            quadratic_forms=lambda: sketched().quadratic_forms(),
            joint_forms=lambda rows: sketched().joint_forms(rows),
            exact_forms=partial(_joint_forms, objective, whole.product, rough),
            residual=whole.residual(solve),
            method="conjugate gradients",
            reason=with_damping(self.reason, self.damping),
            damping=self.damping,
            probes=self.probes,
        )


def _rank(objective: Objective, most: int) -> int:
    """Return the rank of a preconditioner that takes no longer than a product with H.

    A dense product runs about ten times as fast as a sparse one.
    """
    rows, k, p = objective.rows, objective.model.loss.n_scores, objective.model.n_params
    entries = rows.X.numel() if isinstance(rows.X, Tensor) else DENSE * rows.X.nnz
    return max(LEAST_RANK, min(most, entries * k // p))


def single(objective: Objective, theta: Tensor, whole: Curvature) -> Curvature:
    """Return a curvature in float32, whose products run on all cores."""
    rows, model, n = objective.rows, objective.model, objective.rows.n
    W, k, X = objective.curvature(theta).float() / n, model.loss.n_scores, rows.X
    if isinstance(X, Tensor):
        forward = X.float()
        backward = forward.T
    else:
        forward, backward = threaded(X), threaded(csr_array(X.T))

    def product(V: Tensor) -> Tensor:
        m = V.shape[1]
        XV = (forward @ V[:-k].reshape(-1, k * m)).view(n, k, m) + V[-k:]
        U = W * XV if k == 1 else W @ XV
        pulled = torch.cat([(backward @ U.reshape(n, k * m)).view(-1, m), U.sum(0)])
        return pulled.add_(model.ridge(V), alpha=objective.l2)

    return replace(
        whole,
        full=product,
        like=theta.float(),
        spread=lambda: objective.hessian_diagonal(theta).float(),
    )


def _refined(product: Product, rough: Product, B: Tensor) -> Tensor:
    """Return H⁻¹ B: what a rough solver gives for B, then for what is left, until little is."""
    return torch.cat([_refine(product, rough, part) for part in torch.split(B, COLUMNS, dim=1)], dim=1)


def _refine(product: Product, rough: Product, B: Tensor) -> Tensor:
    X, limit = torch.zeros_like(B), TOLERANCE * B.norm(dim=0)
    left = B
    for _ in range(ROUNDS):
        X = X + rough(left.float()).double()
        left = B - product(X)
        if bool((left.norm(dim=0) <= limit).all()):
            return X
    worst = float((left.norm(dim=0) / B.norm(dim=0).clamp_min(1e-300)).max())
    raise SolveError(f"a solve stopped at a relative residual of {worst:.1e}", "raise --l2")


def _joint_forms(objective: Objective, product: Product, rough: Product, rows: Tensor) -> Tensor:
    """Return the joint forms of groups of rows."""  # (g, d) -> (g, dk, dk)
    (g, d), k = rows.shape, objective.model.loss.n_scores
    forms = torch.empty(g, d * k, d * k, dtype=torch.float64)
    for some in torch.split(torch.arange(g), max(1, COLUMNS // (d * k))):
        B = lifted_rows(objective, rows[some])
        X = rough(B.float()).double()
        left = [V.view(-1, len(some), d * k).permute(1, 2, 0) for V in (B, X, product(X))]
        right = [V.mT for V in left]
        forms[some] = left[1] @ right[0] + left[0] @ right[1] - left[1] @ right[2]
    return forms
