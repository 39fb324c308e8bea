"""What a model of n rows, d features and k scores takes, in bytes and multiplications, before it is made.

With p = k (d + 1) parameters: a factor of the Hessian takes n p² + p³, one of the dual n² d + (nk)³, one of
each of K classes n² d + K n³, random projections a product with X for each of their steps. `route` is the
choice among them: whoever prepares an inverse Hessian, and whoever says beforehand what an audit will take,
ask it here.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, Literal

Route = Literal["cholesky", "dual", "classwise", "projected"]

WORK: Final = 2e12  # multiplications up to which a factor is worth its exactness
FORMS: Final = 4  # k × k matrices of a row that leave-one-out holds at a time
PROBES, FEWEST = 64, 16  # random projections, and where memory is short
ELIMINATED: Final = (1024, 2048)  # columns times scores that `solvers.schur` eliminates, of few rows and many
# Right-hand sides at a time, and numbers of all their scores and parameters: of sparse rows as many as stay
# in the cache, but not less than fill a line of it.
COLUMNS, NUMBERS = 128, 2**25
CACHED, LINE = 2**22, 16
# Of `solvers.classes`: numbers of the blocks of all classes, probes that are kept.
BLOCKS, KEPT = 8_000_000, 32
CLASSES_WORK: Final = 6e11  # and of several classes, where single rows take few solves
# How much more work a factor of everything may be than one a class, with which a solve takes steps: on 2,000
# digits 5 times the work, and *measured* 7 s less of 24 in an audit of labels, 21 of 29 in an explanation.
SOLVES: Final = 10
# Products with X, of one score, of all solves that an explanation takes: 64 columns of 25 steps, both ways.
EXPLAINED: Final = 3200
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
        """Bytes of K, M, the inverse factor, and what a triangular solve copies (`solvers.dual`)."""
        return _FLOAT * (self.n**2 + 11 * (self.n * self.k) ** 2 // 4)

    @property
    def classwise(self) -> int:
        """Bytes of the matrices of all classes, one half of each in float32, and of the factors of one."""
        return self.n**2 * (9 * (self.k + 1) // 4 + 7 * _FLOAT) if self.k > 1 else self.dual

    def projected(self, probes: int = FEWEST) -> int:
        """Return the bytes of projections and of the split Hessian: X in float32 both ways, some columns."""
        width = self.d + 1
        if self.k > 1:
            return self._by_classes(width)
        columns = columns_at_once(self.n, width, self.k, cached=self.entries > 0)
        vectors = self.k * columns * (16 * self.n + 128 * width)  # of both precisions
        split = (
            8 * 2 * self.numbers + 4 * self.n * self.k**2 + 8 * 3 * (self.k + eliminated(self.numbers)) ** 2
        )
        return 8 * self.n * self.k * probes + split + vectors

    def _by_classes(self, width: int) -> int:
        """Return the same for several classes: X in both precisions, both ways, and blocks."""
        K = self.k + 1
        columns = columns_at_once(self.n, width, K, cached=False)
        vectors = 4 * K * columns * (4 * self.n + 12 * width)
        return 40 * self.numbers + 12 * BLOCKS + vectors + 4 * K * (KEPT * width + 6 * self.n)

    @property
    def primal_work(self) -> float:
        """Multiplications of a Hessian, its factor and the forms."""
        return float(self.n) * self.p**2 + float(self.p) ** 3

    @property
    def dual_work(self) -> float:
        """Multiplications of the dual, its factor and the forms."""
        return float(self.n) ** 2 * self.d + float(self.n * self.k) ** 3

    @property
    def classwise_work(self) -> float:
        """Multiplications of a factor of each class, and the forms."""
        return float(self.n) ** 2 * self.d + (self.k + 1) * float(self.n) ** 3

    @property
    def explained_work(self) -> float:
        """Multiplications of the solves for the rows that an explanation shows."""
        return EXPLAINED * float(self.numbers + LINE * self.d) * self.k

    @property
    def explained_by_solves(self) -> bool:
        """Whether these are fewer than any factor takes."""
        factors = self.primal_work, self.dual_work, SOLVES * self.classwise_work
        return self.k > 1 and self.explained_work < min(factors)


def eliminated(numbers: int) -> int:
    """Return how many columns times scores are eliminated at most: their block is not more than X."""
    few, many = ELIMINATED
    return min(many, max(few, math.isqrt(numbers)))


def columns_at_once(n: int, width: int, k: int, *, cached: bool) -> int:
    """Return how many right-hand sides of k scores are solved for at a time."""
    numbers = (n + width) * k
    if not cached:
        return max(1, min(COLUMNS, NUMBERS // numbers))
    line = max(1, LINE // k)
    return max(line, min(COLUMNS, CACHED // numbers) // line * line)


def route(size: Size, limit: int, *, damped: bool = False) -> Route | None:
    """Return how H⁻¹ is had in so many bytes: by the cheaper factor that fits; None where nothing does.

    Where a factor is too much work projections serve, if they fit.
    """
    factors: dict[Route, tuple[float, int]] = {
        "cholesky": (size.primal_work, size.primal),
        "dual": (size.dual_work, size.dual),
    }
    if size.k > 1 and not damped:  # what is added to the K - 1 scores is not the same for all classes
        factors["classwise"] = (size.classwise_work, size.classwise)
    fit = {way: work for way, (work, needed) in factors.items() if needed + size.forms <= limit}
    most = CLASSES_WORK if size.k > 1 and size.entries else WORK
    cheap = {way: work for way, work in fit.items() if work <= most}
    if not cheap and size.projected() + size.forms <= limit:
        return "projected"
    some = cheap or fit
    return min(some, key=lambda way: some[way] * (SOLVES if way == "classwise" else 1), default=None)


def least_bytes(size: Size) -> int:
    """Return the bytes without which there is no leave-one-out of so many rows."""
    return size.forms + min(size.primal, size.dual, size.classwise, size.projected())
