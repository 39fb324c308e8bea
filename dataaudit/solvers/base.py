"""What a solver returns: an inverse Hessian at one point, ready for many right-hand sides."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor

from dataaudit.errors import TooLarge
from dataaudit.model.objective import Objective
from dataaudit.solvers.operator import of_objective


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
    near: Callable[[Tensor], Tensor] | None = None  # as `solve`, to three digits; where that is much faster

    def for_groups(self, B: Tensor) -> Tensor:
        """Return H⁻¹ B by a factor where there is one: the step of a group takes a column a row."""
        return (self.factored or self.solve)(B)

    def to_three_digits(self, B: Tensor) -> Tensor:
        """Return H⁻¹ B for what is compared or begun from, and not printed."""
        return (self.near or self.solve)(B)

    @property
    def precondition(self) -> Callable[[Tensor], Tensor] | None:
        """H⁻¹ as a preconditioner of problems near this one: none where it is an estimate, or damped."""
        return self.solve if self.exact and not self.damping else None


def solved_forms(objective: Objective, solve: Callable[[Tensor], Tensor], rows: Tensor) -> Tensor:
    """Return the joint forms of groups of rows by products with H⁻¹, one a row and score."""
    (g, d), k = rows.shape, objective.model.loss.n_scores  # (g, d) -> (g, dk, dk)
    B = lifted_rows(objective, rows)
    left, right = (V.view(len(B), g, d * k).permute(1, 2, 0) for V in (B, solve(B)))
    return left @ right.mT


def lifted_rows(objective: Objective, rows: Tensor) -> Tensor:
    """Return x̃ ⊗ I of groups of rows, a column for each row and score."""  # (g, d) -> (p, gdk)
    X = objective.rows.take(rows.reshape(-1)).dense()
    B = torch.einsum("mw,kl->wkml", X, torch.eye(objective.model.loss.n_scores, dtype=X.dtype))
    return B.reshape(objective.model.n_params, -1)


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


_given: int | None = None  # bytes that a run may take, where that was said


@contextmanager
def limited(size: int | None) -> Iterator[None]:
    """Set what may be taken for a run, all of its threads included; None leaves it as it is."""
    global _given  # noqa: PLW0603 - of the process, as memory is
    before, _given = _given, _given if size is None else size
    try:
        yield
    finally:
        _given = before


def memory_limit() -> int:
    """Return the bytes that a run may take: as given, or a quarter of the machine's, or the container's."""
    return _given if _given is not None else min(_installed_memory(), _container_memory()) // 4


def _installed_memory() -> int:
    """Return the bytes of physical memory; Windows has no `os.sysconf`."""
    if hasattr(os, "sysconf"):
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    kilobytes = ctypes.c_ulonglong()
    ctypes.CDLL("kernel32").GetPhysicallyInstalledSystemMemory(ctypes.byref(kilobytes))
    return 1024 * kilobytes.value


def _container_memory() -> int:
    """Return the bytes that Linux lets this container use, where `os.sysconf` has the host's; else 2^63."""
    bound = 2**63
    for file in ("memory.max", "memory/memory.limit_in_bytes"):  # control groups, versions 2 and 1
        try:
            bound = min(bound, int(Path("/sys/fs/cgroup", file).read_text(encoding="ascii")))
        except (OSError, ValueError):  # no such file, or "max"
            continue
    return bound


def primal_bytes(objective: Objective) -> int:
    """Return the memory of the Hessian, its factor and its inverse."""
    return 3 * 8 * objective.model.n_params**2


def dual_bytes(objective: Objective) -> int:
    """Return the memory of K, M and the inverse factor (`solvers.dual`)."""
    return 8 * (objective.rows.n**2 + 2 * (objective.rows.n * objective.model.loss.n_scores) ** 2)


def require_memory(needed: int, what: str, limit: int) -> None:
    """Refuse what would not fit."""
    if needed > limit:
        sizes = f"{needed / 2**30:.1f} GiB, {limit / 2**30:.1f} GiB may be used"
        raise TooLarge(
            f"{what} needs {sizes}",
            "use fewer rows, --features, --basis linear, fewer classes, or for test errors --solver cg",
        )
