"""Choose between primal and dual by cost and memory, and say why."""

from __future__ import annotations

from dataaudit.errors import TooLarge
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
    costs = {"primal": float(n) * p**2 + p**3, "dual": float(n) ** 2 * d + float(size) ** 3}
    needs = {"primal": Cholesky.bytes_needed(objective), "dual": Dual.bytes_needed(objective)}
    if objective.l2 <= 0:
        del costs["dual"]
    fitting = {name: cost for name, cost in costs.items() if needs[name] <= limit}
    if not fitting:
        smaller = min(costs, key=lambda name: needs[name])
        edge = p if smaller == "primal" else size
        require_memory(needs[smaller], f"exact influence for {n} rows, {d} features and {k + 1} classes", limit)
        raise TooLarge(f"a {edge} × {edge} matrix does not fit", "use fewer rows")
    if min(fitting, key=lambda name: fitting[name]) == "primal":
        return Cholesky(f"{p:,} parameters against {size:,} row scores: the {p:,} × {p:,} Hessian is the smaller work")
    return Dual(f"{size:,} row scores against {p:,} parameters: the {size:,} × {size:,} dual is the smaller work")
