"""What a solver returns: an inverse Hessian at one point, ready for many right-hand sides."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

import torch
from threadpoolctl import threadpool_limits
from torch import Tensor

from dataaudit.memory import limited as limited  # noqa: PLC0414 - others look for it here
from dataaudit.memory import memory_limit as memory_limit  # noqa: PLC0414
from dataaudit.memory import require_memory as require_memory  # noqa: PLC0414
from dataaudit.model.objective import Objective
from dataaudit.solvers.operator import of_objective


class Changed(Protocol):
    """What becomes of single rows, by one solve for each (`solvers.changes`)."""

    def scores(
        self, sets: Sequence[Tensor], *, y: Tensor | None = None, near: Tensor | None = None
    ) -> Tensor:
        """Return the scores of the first row of each set where all of it leaves, or has a label y."""

    def steps(self, rows: Tensor) -> Tensor:
        """Return by how much θ moves where each of some rows leaves alone."""

    def self_influence(self, rows: Tensor) -> Tensor:
        """Return the influence of some rows on themselves."""

    def refit(self, changed: Objective, tolerance: float, max_steps: int) -> Tensor:
        """Return the minimum of an objective that differs in some rows."""


@dataclass(frozen=True)
class Prepared:
    """H⁻¹ at a fixed θ.

    The quadratic form of training row i is ``Q_i = (x̃_iᵀ ⊗ I) H⁻¹ (x̃_i ⊗ I)``, k × k, by which
    self-influence, leverage and leave-one-out scores are products of small matrices.
    """

    solve: Callable[[Tensor], Tensor]  # (p, m) -> (p, m), the product with H⁻¹
    quadratic_forms: Callable[[], Tensor]  # () -> (n, k, k), of every training row
    joint_forms: Callable[[Tensor], Tensor]  # (g, d) -> (g, dk, dk), of g groups of d training rows
    residual: float  # largest relative residual ``‖H·solve(b) - b‖ / ‖b‖`` over a few seeded probes b
    method: str
    reason: str  # why it was chosen, and what was added to H, for people
    exact: bool = True  # whether `solve` is by a factor, and so symmetric to rounding; else an estimate
    damping: float = 0.0
    factored: Callable[[Tensor], Tensor] | None = None  # as `solve`, by a factor; where `solve` itself is not
    # Where both kinds of forms are estimates: by so many random projections, and joint forms as they are.
    probes: int = 0
    exact_forms: Callable[[Tensor], Tensor] | None = None
    changed: Changed | None = None  # of single rows, where a form would take too many solves
    near: Callable[[Tensor], Tensor] | None = None  # as `solve`, to three digits or more; where faster
    iterates: bool = False  # whether `solve` takes several products with a factor in single precision

    def for_groups(self, B: Tensor) -> Tensor:
        """Return H⁻¹ B by a factor where there is one: the step of a group takes a column a row."""
        return (self.factored or self.solve)(B)

    def to_three_digits(self, B: Tensor) -> Tensor:
        """Return H⁻¹ B for what is compared or begun from; to all digits where a factor gives them."""
        return (self.near if self.near is not None and (self.probes or self.iterates) else self.solve)(B)

    @property
    def precondition(self) -> Callable[[Tensor], Tensor] | None:
        """H⁻¹ as a preconditioner of problems near this one: none where it is an estimate, damped or slow."""
        usable = self.exact and not self.damping and self.changed is None
        return (self.near or self.solve) if usable else None


def solved_forms(objective: Objective, solve: Callable[[Tensor], Tensor], rows: Tensor) -> Tensor:
    """Return the joint forms of groups of rows by products with H⁻¹, one a row and score."""
    (g, d), k = rows.shape, objective.model.loss.n_scores  # (g, d) -> (g, dk, dk)
    B = lifted_rows(objective, rows)
    left, right = (V.view(len(B), g, d * k).permute(1, 2, 0) for V in (B, solve(B)))
    return left @ right.mT


def lifted_rows(objective: Objective, rows: Tensor) -> Tensor:
    """Return x̃ ⊗ I of groups of rows, a column for each row and score."""  # (g, d) -> (p, gdk)
    return objective.model.lifted(objective.rows.take(rows.reshape(-1)))


@contextmanager
def threads(count: int) -> Iterator[ThreadPoolExecutor]:
    """Give threads; whoever interrupts the run does not wait for what they are at."""
    pool = ThreadPoolExecutor(count)
    try:
        yield pool
    except BaseException:
        pool.shutdown(wait=False, cancel_futures=True)
        raise
    pool.shutdown()


@contextmanager
def one_thread() -> Iterator[None]:
    """Let a product take one thread: of a small shard, more wait for each other longer than they work."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    with threadpool_limits(1):
        yield
    torch.set_num_threads(before)


class Solver(Protocol):
    """Settings that can be turned into an inverse Hessian."""

    def prepare(self, objective: Objective, theta: Tensor) -> Prepared:
        """Return H⁻¹ at θ."""


def probe_residual(
    objective: Objective, theta: Tensor, solve: Callable[[Tensor], Tensor], *, damping: float = 0.0
) -> float:
    """Return the largest relative residual over seeded normal probes: one product with H, one solve."""
    return of_objective(objective, theta, damping=damping).residual(solve)


def damped_ridge(objective: Objective, damping: float) -> tuple[Tensor, Tensor]:
    """Return what λ times is the ridge and the damping together: of slopes and of intercepts.

    ``λ C + δ I = λ (C + (δ/λ) I)`` with the ridge's form C of `model.linear`, and the same with τ C.
    """  # -> 2 × (k, k)
    C, share = objective.model.coupling, damping / objective.l2 if damping else 0.0
    added = share * torch.eye(len(C), dtype=C.dtype)
    return C + added, objective.model.intercept_ridge * C + added


def with_damping(reason: str, damping: float) -> str:
    """Add the damping to a reason."""
    return f"{reason}; damping {damping:g} is added to the Hessian" if damping else reason
