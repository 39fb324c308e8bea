"""Solvers by products with H: a dense factor of them, LiSSA, a low rank by Lanczos; `cg` is apart.

=================  ====================================================  =================================
solver             one right-hand side costs                             error
=================  ====================================================  =================================
ConjugateGradients √κ products with H, fewer by a preconditioner         as asked, measured
Lissa              `repeats` · `depth` products with a minibatch's H     1/√(repeats) in the mean, no bound
LowRank            r numbers a parameter, after r products once          of the spectrum left out
=================  ====================================================  =================================
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from typing import Final

import torch
from torch import Tensor

from dataaudit.errors import NotPositiveDefinite, SettingError, SolveError
from dataaudit.memory import memory_limit, require_memory
from dataaudit.solvers.cg import lanczos, largest_eigenvalue
from dataaudit.solvers.cholesky import cholesky_solve
from dataaudit.solvers.operator import Curvature, Inverse

RAISES: Final = 40  # attempts at a damping that makes H positive definite
POOR: Final = 0.5  # relative residual from which on an estimate is no use; that of no estimate is 1
WATCH: Final = 100  # steps between two looks whether it diverges
HEADROOM: Final = 1.1  # over the largest eigenvalue met
SHRUNK: Final = 8.0  # what a run of LiSSA misses shrinks by e to the minus this


@dataclass(frozen=True)
class Direct:
    """Cholesky factor of the dense Hessian: exact, p² numbers of memory.

    Where H + δ I is not positive definite, δ is raised until it is, as in Koh & Liang (2017), section 4.2, to
    within a tenth of what is needed; the damping in the end is in the result.
    """

    reason: str = "asked for"

    def invert(self, curvature: Curvature) -> Inverse:
        """Return the exact inverse."""
        p = curvature.n_params
        require_memory(4 * curvature.like.element_size() * p * p, f"a {p:,} × {p:,} Hessian", memory_limit())
        H = curvature.dense()
        extra, L = _raised(H)
        if L is None:
            what = f"the Hessian is not positive definite, not even with damping {extra:.1e}"
            raise NotPositiveDefinite(what, "look for large values in the rows")
        solve = partial(cholesky_solve, L)
        final = curvature.damped(curvature.damping + extra)
        raised = f"; the damping was raised to {final.damping:.2e}, as H is not positive definite without"
        reason = self.reason + (raised if extra else "")
        return Inverse(solve, "cholesky", reason, final.residual(solve), final.damping)


def _raised(H: Tensor) -> tuple[float, Tensor | None]:
    """Return the least damping, within a tenth, that makes H positive definite, and the factor then."""

    def factor(extra: float) -> Tensor | None:
        shifted = H + extra * torch.eye(len(H), dtype=H.dtype, device=H.device) if extra else H
        L, failed = torch.linalg.cholesky_ex(shifted)
        return None if failed else L

    scale = float(H.diagonal().abs().max()) or 1.0
    below, extra, L = 0.0, 0.0, factor(0.0)
    for _ in range(RAISES):
        if L is not None:
            break
        below, extra = extra, max(scale * 10 * torch.finfo(H.dtype).eps, 4 * extra)
        L = factor(extra)
    while L is not None and below and extra > 1.1 * below:
        between = (below * extra) ** 0.5
        nearer = factor(between)
        below, extra, L = (between, extra, L) if nearer is None else (below, between, nearer)
    return extra, L


@dataclass(frozen=True)
class Lissa:
    """Linear-time stochastic second-order estimate (Agarwal, Bullins & Hazan 2017; Koh & Liang 2017, 3).

    ``x ← b + x - A_B x / s`` for `depth` random minibatches B, from x = b; the estimate is the mean of x/s
    over `repeats` runs. It needs ``s`` above the largest eigenvalue of every minibatch's A, and has converged
    only if depth is well above s divided by the smallest eigenvalue: where `floor` bounds that, a run ends
    once what is missing has shrunk by e⁻⁸. The paper takes repeats · depth near n, and batch 1. Gradients lie
    where the curvature is large, and there the estimate is better than `accept` asks: the paper's settings
    need 1.
    """

    depth: int = 5000  # steps of a run
    repeats: int = 10  # runs
    batch: int = 1  # rows of a minibatch
    scale: float = 0.0  # s; 0 takes 1.1 times the largest eigenvalue over 20 minibatches, by power iteration
    floor: float = 0.0  # a bound of the smallest eigenvalue from below, the damping excluded, as the ridge is
    accept: float = POOR  # relative residual of random vectors from which on the estimate is refused
    seed: int = 0
    reason: str = "asked for"

    def __post_init__(self) -> None:
        """Check the values."""
        if min(self.depth, self.repeats, self.batch) < 1 or not min(self.scale, self.floor) >= 0:
            got = f"depth {self.depth}, repeats {self.repeats}, batch {self.batch}, scale {self.scale}"
            raise SettingError(f"LiSSA needs positive settings: got {got}", "leave them out")

    def invert(self, curvature: Curvature) -> Inverse:
        """Return the estimator."""
        scale = self.scale or self._scale(curvature)
        depth = self._depth(scale, self.floor + curvature.damping)
        solve = partial(self._solve, curvature, scale, depth)
        residual = curvature.residual(solve)
        if not residual < self.accept:
            what = f"LiSSA ends with a relative residual of {residual:.2g}, that of no estimate being 1"
            hint = "raise the damping, use another solver, or raise its depth, repeats or batch"
            raise SolveError(what, hint)
        reason = f"{self.reason}; scale {scale:.3g}, depth {depth}, {self.repeats} runs, batch {self.batch}"
        return Inverse(solve, "lissa", reason, residual, curvature.damping)

    def _depth(self, scale: float, least: float) -> int:
        """Return the steps after which (1 - least/scale)^depth is below e⁻⁸, `depth` at the most."""
        return self.depth if least <= 0 else min(self.depth, math.ceil(SHRUNK * scale / least))

    def _solve(self, curvature: Curvature, scale: float, depth: int, B: Tensor) -> Tensor:
        generator = torch.Generator().manual_seed(self.seed)
        total, bound = torch.zeros_like(B), 1e6 * curvature.n_params * B.norm(dim=0)
        for _ in range(self.repeats):
            X = B.clone()
            for step in range(depth):
                rows = torch.randint(curvature.n_rows, (self.batch,), generator=generator)
                moved = curvature.drawn(rows)(X).add_(X, alpha=curvature.damping)
                X.add_(B).sub_(moved, alpha=1.0 / scale)
                if step % WATCH == WATCH - 1 and not bool((X.norm(dim=0) <= bound).all()):
                    what = f"LiSSA diverges at step {step + 1} with scale {scale:.3g}"
                    hint = f"raise the damping, or if no curvature is negative the scale, to {10 * scale:.3g}"
                    raise SolveError(what, hint)
            total += X / scale
        return total / self.repeats

    def _scale(self, curvature: Curvature) -> float:
        generator = torch.Generator().manual_seed(self.seed + 1)
        largest = 0.0
        for _ in range(20):
            rows = torch.randint(curvature.n_rows, (self.batch,), generator=generator)
            product = curvature.drawn(rows)
            largest = max(largest, largest_eigenvalue(product, curvature.normal(1, self.seed), steps=8))
        return HEADROOM * (largest + curvature.damping)


@dataclass(frozen=True)
class LowRank:
    """The largest eigenvalues by Lanczos with full reorthogonalisation (Schioppa et al. 2022, "Arnoldi").

    ``A⁻¹ ≈ U (1/Λ) Uᵀ + (I - U Uᵀ)/c``: exact on the span that was found, and as if all curvature outside it
    were c, the least that the ridge and the damping leave. With c = 0 the outside is left out.
    """

    rank: int = 100
    steps: int = 0  # products with H; 0 takes twice the rank
    floor: float = 0.0  # c, the damping excluded: the ridge λ, where all parameters have it
    accept: float = POOR  # relative residual of random vectors from which on the estimate is refused
    seed: int = 0
    reason: str = "asked for"

    def __post_init__(self) -> None:
        """Check the values."""
        if self.rank < 1 or self.steps < 0 or not self.floor >= 0:
            got = f"rank {self.rank}, steps {self.steps}, floor {self.floor}"
            raise SettingError(f"a low rank needs positive settings: got {got}", "leave them out")

    def invert(self, curvature: Curvature) -> Inverse:
        """Return the low-rank inverse."""
        rank = min(self.rank, curvature.n_params)
        values, U = lanczos(curvature, min(self.steps or 2 * rank, curvature.n_params), seed=self.seed)
        if not bool(torch.isfinite(values).all()):
            raise SolveError(
                "the Hessian has entries that are not finite", "look for large values in the rows"
            )
        kept = values.abs().argsort(descending=True)[:rank]
        values, U = values[kept], U[:, kept]
        if float(values.min()) < -1e-6 * float(values.abs().max()):
            hint = f"raise the damping above {curvature.damping - float(values.min()):.2e}"
            raise NotPositiveDefinite(f"an eigenvalue of the Hessian is {float(values.min()):.2e}", hint)
        good = values > torch.finfo(values.dtype).eps * values.abs().max() * len(values)
        values, U, c = values[good], U[:, good], self.floor + curvature.damping

        def solve(B: Tensor) -> Tensor:
            inside = U.T @ B
            X = U @ (inside / values[:, None])
            return X + (B - U @ inside) / c if c > 0 else X

        residual = curvature.residual(solve)
        if not residual < self.accept:
            what = f"{len(values)} eigenvalues leave a relative residual of {residual:.2g}, none leave 1"
            raise SolveError(what, "raise the damping or the rank, or use another solver")
        span = f"{float(values.max()):.2e} to {float(values.min()):.2e}"
        reason = f"{self.reason}; {len(values)} eigenvalues from {span}"
        return Inverse(solve, "arnoldi", reason, residual, curvature.damping)
