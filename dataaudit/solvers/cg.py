"""Preconditioned conjugate gradients, all right-hand sides at once; the solver of that name.

Hestenes & Stiefel (1952); Golub & Van Loan, section 11.5. Every column has its own step lengths; they share
the products with A, which is where the time goes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal

import torch
from torch import Tensor

from dataaudit.errors import NotPositiveDefinite, SettingError, SolveError, suggestion
from dataaudit.solvers.operator import Curvature, Inverse, Product

PRECONDITIONERS: Final = ("nystrom", "diagonal", "none")
FALL, SLOWEST = 2, 0.95  # steps over which what a step adds is compared, and the slowest fall of it
SPAN: Final = 50  # steps of Lanczos that find the least eigenvalue well enough for a message


def conjugate_gradients(
    product: Product,
    B: Tensor,
    *,
    precondition: Product,
    tolerance: float | Tensor,
    max_steps: int = 1000,
    missing: Callable[[Tensor], Tensor] | None = None,
) -> tuple[Tensor, int]:
    """Solve ``A X = B`` for a symmetric positive definite A, and count the products that were used.

    `precondition` is M⁻¹ with M near A; a column is solved at a residual of `tolerance` times its 2-norm, or
    where about as little of ``bᵀ A⁻¹ b`` is missing as `missing` allows for what was found of it: a step adds
    α rᵀ M⁻¹ r (Hestenes & Stiefel 1952), and what all later ones add follows from how fast that falls.
    """  # B (p, m) -> (p, m)
    X, R = torch.zeros_like(B), B.clone()
    Z = precondition(R)
    D, rz = Z.clone(), (R * Z).sum(0)
    limit = tolerance**2 * B.square().sum(0)
    form, gains = torch.zeros_like(rz), list[Tensor]()
    for step in range(max_steps):
        solved = R.square().sum(0) <= limit
        if missing is not None and step > FALL:
            fall = (_ratio(gains[-1], gains[-1 - FALL]) ** (1 / FALL)).clamp(max=SLOWEST)
            solved |= gains[-1] * fall / (1 - fall) <= missing(form)
        if bool(solved.all()):
            return X, step
        AD = product(D)
        alpha = _ratio(rz, (D * AD).sum(0))
        gains.append(alpha * rz)
        form = form + gains[-1]
        X.addcmul_(D, alpha)
        R.addcmul_(AD, alpha, value=-1.0)
        Z = precondition(R)
        rz, old = (R * Z).sum(0), rz
        D = torch.addcmul(Z, D, _ratio(rz, old))
    return X, max_steps


def _ratio(a: Tensor, b: Tensor) -> Tensor:
    """Return a/b, and 0 where b has vanished: a column that is solved to rounding stays where it is."""
    return torch.where(b > 0, a / b, 0.0)  # (m,), (m,) -> (m,)


@dataclass(frozen=True)
class ConjugateGradients:
    """The solver's settings.

    The preconditioner is a seeded randomised Nyström approximation of H (Frangella, Tropp & Udell 2021), the
    diagonal of H, nothing, or ``V -> M⁻¹ V`` by an M near H + δ I, such as a Gauss-Newton matrix in factors.
    """

    tolerance: float = 1e-8  # relative residual at which a column is solved
    max_steps: int = 1000  # products with H at the most
    preconditioner: Literal["nystrom", "diagonal", "none"] | Product = "nystrom"
    rank: int = 50  # of the approximation; as many products with H, once
    seed: int = 0
    reason: str = "asked for"

    def __post_init__(self) -> None:
        """Check the values."""
        if not self.tolerance > 0 or self.max_steps < 1 or self.rank < 1:
            got = f"tolerance {self.tolerance}, max_steps {self.max_steps}, rank {self.rank}"
            raise SettingError(f"conjugate gradients need positive settings: got {got}", "leave them out")
        if not callable(self.preconditioner) and self.preconditioner not in PRECONDITIONERS:
            what = f"there is no preconditioner {self.preconditioner!r}"
            raise SettingError(what, suggestion(self.preconditioner, PRECONDITIONERS))

    def invert(self, curvature: Curvature) -> Inverse:
        """Return an inverse that solves to the tolerance."""
        precondition = self._preconditioner(curvature)

        def solve(given: Tensor) -> Tensor:
            # Squares of small numbers vanish, in single precision below 1e-23: columns of size 1, or of 0.
            size = given.abs().amax(0, keepdim=True) if len(given) else given[:1]
            B = given / torch.where(size > 0, size, 1.0)
            X, steps = conjugate_gradients(
                curvature.product,
                B,
                precondition=precondition,
                tolerance=self.tolerance,
                max_steps=self.max_steps,
            )
            if B.shape[1]:
                self._check(curvature, X, B, steps=steps)
            return X * size

        return Inverse(solve, "cg", self.reason, curvature.residual(solve), curvature.damping)

    def _preconditioner(self, curvature: Curvature) -> Product:
        if callable(self.preconditioner):
            return self.preconditioner
        if self.preconditioner == "none":
            return lambda V: V
        if self.preconditioner == "diagonal":
            diagonal = curvature.diagonal(seed=self.seed)[:, None]
            return lambda V: V / diagonal
        return nystrom(curvature, min(self.rank, curvature.n_params), seed=self.seed)

    def _check(self, curvature: Curvature, X: Tensor, B: Tensor, *, steps: int) -> None:
        AX = curvature.product(X)
        error = float(((AX - B).norm(dim=0) / B.norm(dim=0).clamp_min(torch.finfo(B.dtype).tiny)).max())
        quotients = (X * AX).sum(0) / X.square().sum(0).clamp_min(torch.finfo(X.dtype).tiny)
        bent = bool((quotients < 0).any())
        if bent or not error <= max(100 * self.tolerance, 1e3 * torch.finfo(X.dtype).eps):
            values = lanczos(curvature, min(SPAN, curvature.n_params), seed=self.seed)[0]
            least = min(float(values.min()), float(quotients.min()))
            if least < -(torch.finfo(X.dtype).eps ** 0.75) * float(values.abs().max()):
                hint = f"raise the damping above {curvature.damping - least:.2e}"
                raise NotPositiveDefinite("the Hessian has directions of negative curvature", hint)
            what = f"conjugate gradients reached a relative residual of {error:.1e} in {steps} steps"
            raise SolveError(what, "raise the damping, the rank of the preconditioner, or max_steps")


def largest_eigenvalue(product: Product, start: Tensor, *, steps: int) -> float:
    """Return the largest absolute eigenvalue, from below, by power iteration."""  # start (p, 1)
    v, size = start / start.norm(), 0.0
    for _ in range(steps):
        moved = product(v)
        size = float(moved.norm())
        if size == 0.0:
            return 0.0
        v = moved / size
    return size


def lanczos(curvature: Curvature, steps: int, *, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Return Ritz values and vectors of H + δ I (Lanczos 1950; Golub & Van Loan, section 10.1).

    Every new vector is made orthogonal to all before, twice, since in finite precision the three-term
    recurrence alone loses orthogonality. The products of one start vector span one direction of each distinct
    eigenvalue: once they are exhausted, another random vector finds what repeats. Cost: `steps` products, 4 p
    steps² multiplications.
    """  # -> (r,), (p, r)
    first = curvature.normal(1, seed)[:, 0]
    Q, AQ = [first / first.norm()], list[Tensor]()
    while len(AQ) < steps:
        moved = curvature.product(Q[-1][:, None])[:, 0]
        AQ.append(moved)
        if len(AQ) == steps:
            break
        basis = torch.stack(Q, dim=1)
        rest = _outside(basis, moved)
        if not float(rest.norm()) > 1e3 * torch.finfo(moved.dtype).eps * float(moved.norm()):
            rest = _outside(basis, curvature.normal(1, seed + len(Q))[:, 0])
        Q.append(rest / rest.norm())
    basis = torch.stack(Q[: len(AQ)], dim=1)
    T = basis.T @ torch.stack(AQ, dim=1)
    values, vectors = torch.linalg.eigh((T + T.T) / 2)
    return values, basis @ vectors


def _outside(basis: Tensor, v: Tensor) -> Tensor:
    """Return the part of a vector that is orthogonal to a basis."""  # (p, r), (p,) -> (p,)
    rest = v - basis @ (basis.T @ v)
    return rest - basis @ (basis.T @ rest)


def nystrom(curvature: Curvature, rank: int, *, seed: int = 0) -> Product:
    """Return the inverse of a randomised Nyström approximation of H + δ I, as a preconditioner.

    Frangella, Tropp & Udell (2021), algorithms 2.1 and 5.1. With Ĥ = U Λ Uᵀ of rank r and μ its smallest
    eigenvalue, ``P⁻¹ = μ U Λ⁻¹ Uᵀ + (I - U Uᵀ)``. The approximation is that of A itself, damping included;
    where A is not positive definite, there is no preconditioner, and the solver finds out.
    """
    Q, _ = torch.linalg.qr(curvature.normal(rank, seed))
    Y = curvature.product(Q)
    shift = torch.finfo(Y.dtype).eps * rank**0.5 * float(torch.linalg.matrix_norm(Y))
    Y = Y + shift * Q
    core = Q.T @ Y
    C, failed = torch.linalg.cholesky_ex((core + core.T) / 2)
    if failed:
        return lambda V: V
    B = torch.linalg.solve_triangular(C, Y.T, upper=False).T
    U, S, _ = torch.linalg.svd(B, full_matrices=False)
    values = (S.square() - shift).clamp_min(torch.finfo(S.dtype).tiny)
    least = values[-1]
    if not float(least) > 0 or float(values[0] / least) > 1 / torch.finfo(S.dtype).eps:
        return lambda V: V
    shrink = (least / values - 1.0)[:, None]
    return lambda V: V + U @ (shrink * (U.T @ V))
