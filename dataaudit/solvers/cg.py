"""Preconditioned conjugate gradients, all right-hand sides at once.

Hestenes & Stiefel (1952); Golub & Van Loan, section 11.5. Every column has its own step lengths; they share
the products with A, which is where the time goes.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

Operator = Callable[[Tensor], Tensor]


def conjugate_gradients(
    product: Operator, B: Tensor, *, precondition: Operator, tolerance: float, max_steps: int = 1000
) -> tuple[Tensor, int]:
    """Solve ``A X = B`` for a symmetric positive definite A, and count the products that were used.

    `precondition` is M⁻¹ with M near A; a column is solved at a residual of `tolerance` times its 2-norm.
    """  # B (p, m) -> (p, m)
    X, R = torch.zeros_like(B), B.clone()
    Z = precondition(R)
    D, rz = Z.clone(), (R * Z).sum(0)
    limit = tolerance**2 * B.square().sum(0)
    for step in range(max_steps):
        if bool((R.square().sum(0) <= limit).all()):
            return X, step
        AD = product(D)
        alpha = _ratio(rz, (D * AD).sum(0))
        X.addcmul_(D, alpha)
        R.addcmul_(AD, alpha, value=-1.0)
        Z = precondition(R)
        rz, old = (R * Z).sum(0), rz
        D = torch.addcmul(Z, D, _ratio(rz, old))
    return X, max_steps


def _ratio(a: Tensor, b: Tensor) -> Tensor:
    """Return a/b, and 0 where b has vanished: a column that is solved to rounding stays where it is."""
    return torch.where(b > 0, a / b, 0.0)  # (m,), (m,) -> (m,)
