"""The spectrum of a Hessian by products with it: power iteration, Lanczos, a Nyström approximation."""

from __future__ import annotations

import torch
from torch import Tensor

from dataaudit.solvers.operator import Curvature, Product


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
