"""Choose between primal and dual by cost and memory, and say why."""

from __future__ import annotations

from typing import Final

from dataaudit.objective import Objective
from dataaudit.solvers.base import Solver, memory_limit, require_memory
from dataaudit.solvers.cholesky import Cholesky
from dataaudit.solvers.dual import Dual

_THOUSANDS: Final = ("", "k", "M", "G", "T", "P")


def choose_solver(objective: Objective, *, damping: float = 0.0) -> Solver:
    """Return the cheaper exact solver that fits in memory.

    Multiplications counted: primal ``n p² + p³``, dual ``n² d + (nk)³``.

    Parameters
    ----------
    objective : Objective
        Gives n, d, k and λ.
    damping : float
        δ, for the solver.

    Returns
    -------
    Solver
        Its `reason` is a sentence for people, with both costs.

    Raises
    ------
    TooLarge
        If neither fits; says how many bytes the smaller one needs.
    """
    n, d, k = objective.rows.n, objective.rows.width, objective.model.loss.n_scores
    p, size, limit = objective.model.n_params, n * k, memory_limit()
    if objective.l2 <= 0:
        return Cholesky(f"without a ridge only the {p:,} × {p:,} Hessian can be factored", damping)
    primal, dual = float(n) * p**2 + float(p) ** 3, float(n) ** 2 * d + float(size) ** 3
    primal_bytes, dual_bytes = Cholesky.bytes_needed(objective), Dual.bytes_needed(objective)
    what = f"exact influence for {n:,} rows, {d:,} features and {k + 1} classes"
    require_memory(min(primal_bytes, dual_bytes), what, limit)
    costs = (
        f"the {p:,} × {p:,} Hessian takes {short(primal)}flop and {short(primal_bytes)}B, "
        f"the {size:,} × {size:,} dual {short(dual)}flop and {short(dual_bytes)}B"
    )
    why = "is the smaller work" if max(primal_bytes, dual_bytes) <= limit else "alone fits in memory"
    if dual_bytes > limit or (primal <= dual and primal_bytes <= limit):
        return Cholesky(f"{costs}: the Hessian {why}", damping)
    return Dual(f"{costs}: the dual {why}", damping=damping)


def short(number: float) -> str:
    """Return a count with two digits and the letter of its power of 1000, as in ``4.8 G``."""
    power = 0
    while number >= 999.5 and power < len(_THOUSANDS) - 1:  # noqa: PLR2004 - where it would be written 1000
        number, power = number / 1000, power + 1
    digits = 0 if number >= 9.95 or power == 0 else 1  # noqa: PLR2004 - two digits in all
    return f"{number:,.{digits}f} {_THOUSANDS[power]}"
