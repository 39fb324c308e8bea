"""What a model of n rows, d features and k scores takes, in bytes and multiplications, before it is made.

With p = k (d + 1) parameters: a factor of the Hessian takes n p² + p³, one of the dual n² d + (nk)³, random
projections a product with X for each of their steps. `route` is the choice among them: whoever prepares an
inverse Hessian, and whoever says beforehand what an audit will take, ask it here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

Route = Literal["cholesky", "dual", "projected"]

WORK: Final = 2e12  # multiplications up to which a factor is worth its exactness
FORMS: Final = 4  # k × k matrices of a row that leave-one-out holds at a time
VECTORS: Final = 8  # arrays of projections that conjugate gradients hold at a time
PROBES: Final = 64
ELIMINATED: Final = 1024  # columns of which the Hessian is factored
COLUMNS: Final = 128  # right-hand sides at a time, at most
NUMBERS: Final = 2**25  # that a vector of them has, one for each row and one for each parameter
_FLOAT: Final = 8
_ENTRY: Final = 12  # bytes of a number of a sparse matrix, with its place


@dataclass(frozen=True, slots=True)
class Size:
    """A design matrix and the scores that are made of it."""

    n: int  # rows
    d: int  # features
    k: int  # scores of a row: classes but one
    entries: int = 0  # stored numbers of a sparse X; 0 for a dense one

    @property
    def p(self) -> int:
        """Number of parameters."""
        return (self.d + 1) * self.k

    @property
    def numbers(self) -> int:
        """Stored numbers of X."""
        return self.entries or self.n * self.d

    @property
    def design(self) -> int:
        """Bytes of X."""
        return _ENTRY * self.entries + 4 * self.n if self.entries else _FLOAT * self.n * self.d

    @property
    def forms(self) -> int:
        """Bytes of the quadratic forms, and of what leave-one-out makes of them."""
        return FORMS * _FLOAT * self.n * self.k**2

    @property
    def primal(self) -> int:
        """Bytes of the Hessian, its factor and its inverse."""
        return 3 * _FLOAT * self.p**2

    @property
    def dual(self) -> int:
        """Bytes of K, M and the inverse factor (`solvers.dual`)."""
        return _FLOAT * (self.n**2 + 2 * (self.n * self.k) ** 2)

    @property
    def projected(self) -> int:
        """Bytes of the projections, and of solves for some rows, with X in float32 both ways."""
        kept = 8 * self.n * self.k * PROBES
        columns = min(COLUMNS, 2 * NUMBERS // (self.n * self.k + self.p) + 1)
        vectors = 4 * columns * (VECTORS * self.p + 4 * self.n * self.k)
        return kept + vectors + 3 * _FLOAT * min(self.p, ELIMINATED) ** 2 + (2 * self.design) * 2 // 3

    @property
    def primal_work(self) -> float:
        """Multiplications of a Hessian, its factor and the forms."""
        return float(self.n) * self.p**2 + float(self.p) ** 3

    @property
    def dual_work(self) -> float:
        """Multiplications of the dual, its factor and the forms."""
        return float(self.n) ** 2 * self.d + float(self.n * self.k) ** 3


def route(size: Size, limit: int) -> Route | None:
    """Return how H⁻¹ is had in so many bytes: by the cheaper factor that fits; None where nothing does.

    Where a factor is too much work projections serve, if they fit.
    """
    primal, dual = (needed + size.forms <= limit for needed in (size.primal, size.dual))
    dear = min(size.primal_work, float(size.n * size.k) ** 3) > WORK
    if (dear or not (primal or dual)) and size.projected + size.forms <= limit:
        return "projected"
    if primal and (not dual or size.primal_work <= size.dual_work):
        return "cholesky"
    return "dual" if dual else None


def least_bytes(size: Size) -> int:
    """Return the bytes without which there is no leave-one-out of so many rows."""
    return size.forms + min(size.primal, size.dual, size.projected)
