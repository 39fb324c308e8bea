"""Choose between primal and dual by cost and memory, and say why."""

from __future__ import annotations

from dataaudit.objective import Objective
from dataaudit.solvers.base import Solver, memory_limit, require_memory
from dataaudit.solvers.cholesky import Cholesky
from dataaudit.solvers.dual import Dual


def choose_solver(objective: Objective) -> Solver:
    """Return the cheaper exact solver that fits in memory.

    Multiplications counted: primal ``n p² + p³``, dual ``n² d + (nk)³``.

    Parameters
    ----------
    objective : Objective
        Gives n, d, k and λ.

    Returns
    -------
    Solver
        Its `reason` is a sentence for people.

    Raises
    ------
    TooLarge
        If neither fits; says how many bytes the smaller one needs.
    """
    n, d, k = objective.rows.n, objective.rows.width, objective.model.loss.n_scores
    p, size, limit = objective.model.n_params, n * k, memory_limit()
    primal, dual = float(n) * p**2 + float(p) ** 3, float(n) ** 2 * d + float(size) ** 3
    primal_bytes, dual_bytes = Cholesky.bytes_needed(objective), Dual.bytes_needed(objective)
    if objective.l2 <= 0:
        return Cholesky(f"without a ridge only the {p:,} × {p:,} Hessian can be factored")
    what = f"exact influence for {n:,} rows, {d:,} features and {k + 1} classes"
    require_memory(min(primal_bytes, dual_bytes), what, limit)
    if primal <= dual:
        if primal_bytes <= limit:
            return Cholesky(f"{p:,} parameters against {size:,} row scores: the Hessian is the smaller work")
        return Dual(f"the {p:,} × {p:,} Hessian does not fit in memory, the {size:,} × {size:,} dual does")
    if dual_bytes <= limit:
        return Dual(f"{size:,} row scores against {p:,} parameters: the dual is the smaller work")
    return Cholesky(f"the {size:,} × {size:,} dual does not fit in memory, the {p:,} × {p:,} Hessian does")
