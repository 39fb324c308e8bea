"""The one place where a name becomes an inverse Hessian; the exact one is chosen by cost and memory.

A factor gives both what is asked of one: products with H⁻¹ and the quadratic forms of all rows, of which
leave-one-out is made. The solvers that need products alone (`cg`, `iterative`) give the former; a form would
take a solve a row. So under these the forms, and the steps of groups of rows, come from the exact factor,
damped alike. Where that would not fit in memory, forms come from random projections (`projected`), under any
solver. The reason says which.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import cache, partial
from typing import Final

from torch import Tensor

from dataaudit.errors import SettingError
from dataaudit.memory import memory_limit, require_memory
from dataaudit.model.costs import least_bytes, route
from dataaudit.model.losses import Softmax
from dataaudit.model.objective import Objective
from dataaudit.model.rows import ShardedRows
from dataaudit.options import SOLVERS, require_damping, require_solver
from dataaudit.solvers.base import (
    Prepared,
    Solver,
    with_damping,
)
from dataaudit.solvers.cg import ConjugateGradients
from dataaudit.solvers.cholesky import Cholesky
from dataaudit.solvers.classes import Classes
from dataaudit.solvers.classwise import Classwise
from dataaudit.solvers.dual import Dual, Gram
from dataaudit.solvers.iterative import Lissa, LowRank
from dataaudit.solvers.operator import CurvatureSolver, of_objective
from dataaudit.solvers.projected import Projected

BATCH: Final = 32  # rows that cost little more than one, and let the scale be far smaller
RUNS: Final = 4
_THOUSANDS: Final = ("", "k", "M", "G", "T", "P")


def prepare(
    objective: Objective,
    theta: Tensor,  # (p,)
    *,
    solver: str | CurvatureSolver | Cholesky | Dual = "auto",
    damping: float = 0.0,  # δ, which moves the solution of ``H x = b`` towards 0
    inverse: Classes | None = None,  # of a nearby problem, by which solves are begun if solver is "auto"
    gram: Callable[[], Gram] | None = None,  # of the rows, if it was begun with `gram_ahead`
) -> Prepared:
    """Return (H + δ I)⁻¹ at θ by a solver's name or settings."""
    require_damping(damping)
    if isinstance(solver, Cholesky | Dual):
        return replace(solver, damping=solver.damping + damping).prepare(objective, theta)
    require_settings(solver)
    if not isinstance(solver, str):
        return _by_products(objective, theta, solver, damping=damping)
    require_solver(solver)
    exact: dict[str, Solver] = {"cholesky": Cholesky(damping=damping), "dual": Dual(damping=damping)}
    if solver == "auto" and inverse is not None:
        return _by_solves(objective, theta, inverse.at(objective, theta))
    if solver == "auto" or solver in exact:
        chosen = exact.get(solver) or choose_solver(objective, damping=damping)
        if gram is not None and isinstance(chosen, Dual):
            chosen = replace(chosen, gram=gram())
        return chosen.prepare(objective, theta)
    k = objective.model.loss.n_scores
    settings = product_solver(solver, ridge=objective.l2, least=objective.l2 / (k + 1 if k > 1 else 1))
    return _by_products(objective, theta, settings, damping=damping)


def gram_ahead(objective: Objective, pool: ThreadPoolExecutor) -> Callable[[], Gram] | None:
    """Begin the products of rows where any λ will ask for them; return how to get them."""
    dual = isinstance(choose_solver(objective), Dual)
    return pool.submit(Gram.of, objective.rows).result if dual else None


def choose_solver(objective: Objective, *, damping: float = 0.0) -> Solver:
    """Return the cheaper exact solver that fits in memory.

    Multiplications counted: primal ``n p² + p³``, dual ``n² d + (nk)³``.
    """
    size, limit = objective.size, memory_limit()
    if isinstance(objective.rows, ShardedRows):
        return Cholesky("the rows are not in memory: a Hessian takes one pass over them", damping)
    if objective.l2 <= 0:
        return Cholesky(f"without a ridge only the {size.p:,} × {size.p:,} Hessian can be factored", damping)
    way = route(size, limit, damped=damping > 0)
    if way is None:
        what = f"influence for {size.n:,} rows, {size.d:,} features and {size.k + 1} classes"
        require_memory(least_bytes(size), what, limit)
    if way == "projected":
        work, least = min(size.primal_work, size.dual_work), min(size.primal, size.dual)
        return Projected(f"a factor would take {short(work)}flop and {short(least)}B", damping=damping)
    p, nk = size.p, size.n * size.k
    costs = (
        f"the {p:,} × {p:,} Hessian takes {short(size.primal_work)}flop and {short(size.primal)}B, "
        f"the {nk:,} × {nk:,} dual {short(size.dual_work)}flop and {short(size.dual)}B"
    )
    if way == "classwise":
        return Classwise(f"{costs}; {size.k + 1} matrices of {size.n:,} × {size.n:,} are the smaller work")
    both = max(size.primal, size.dual) + size.forms <= limit
    why = "is the smaller work" if both else "alone fits in memory"
    if way == "cholesky":
        return Cholesky(f"{costs}: the Hessian {why}", damping)
    return Dual(f"{costs}: the dual {why}", damping=damping)


def short(number: float) -> str:
    """Return a count with two digits and the letter of its power of 1000, as in ``4.8 G``."""
    power = 0
    while number >= 999.5 and power < len(_THOUSANDS) - 1:  # noqa: PLR2004 - where it would be written 1000
        number, power = number / 1000, power + 1
    digits = 0 if number >= 9.95 or power == 0 else 1  # noqa: PLR2004 - two digits in all
    return f"{number:,.{digits}f} {_THOUSANDS[power]}"


def require_settings(solver: object) -> None:
    """Refuse what is neither a name nor the settings of a solver."""
    if not isinstance(solver, str) and not hasattr(solver, "invert"):
        what = f"solver is neither a name nor settings of one: got {solver!r}"
        raise SettingError(what, f"use one of {', '.join(SOLVERS)}")


def product_solver(name: str, *, ridge: float, least: float) -> CurvatureSolver:
    """Return the settings of a solver that needs products alone.

    `ridge` is λ, or 0 where not all parameters have it; `least` is the least that it adds in a direction.
    """
    settings: dict[str, CurvatureSolver] = {
        "cg": ConjugateGradients(tolerance=1e-9),
        "lissa": Lissa(batch=BATCH, repeats=RUNS, floor=least),
        "arnoldi": LowRank(floor=ridge),
    }
    return settings[name]


def few_solves(objective: Objective, solver: object, damping: float) -> bool:
    """Return whether an explanation takes so few solves that no factor pays."""
    free = solver == "auto" and not damping and objective.l2 > 0
    rows, loss = objective.rows, objective.model.loss
    return free and rows.in_memory and isinstance(loss, Softmax) and objective.size.explained_by_solves


def _by_solves(objective: Objective, theta: Tensor, inverse: Classes) -> Prepared:
    """Return an inverse for few solves; a factor is made when it is first asked for."""
    settled = choose_solver(objective)
    size = objective.size
    factor_work = short(min(size.primal_work, size.dual_work, size.classwise_work))
    reason = f"few solves take {short(size.explained_work)}flop, a factor {factor_work}flop"
    found = Projected(reason).by_classes(objective, theta, inverse)
    if isinstance(settled, Projected):
        return found
    factor = cache(partial(settled.prepare, objective, theta))
    return replace(
        found,
        quadratic_forms=lambda: factor().quadratic_forms(),
        joint_forms=lambda rows: factor().joint_forms(rows),
        factored=lambda B: factor().solve(B),
        probes=0,
    )


def _by_products(
    objective: Objective, theta: Tensor, settings: CurvatureSolver, *, damping: float
) -> Prepared:
    inverse = settings.invert(of_objective(objective, theta, damping=damping))
    settled = choose_solver(objective, damping=damping)
    reason = f"{inverse.reason}; what rows do to themselves comes from "
    if isinstance(settled, Projected):
        projected = settled.prepare(objective, theta)
        how = f"{projected.probes} random projections, and for the rows that are shown from solves"
        return replace(
            projected,
            solve=inverse.solve,
            residual=inverse.residual,
            method=inverse.method,
            reason=with_damping(f"{reason}{how}", inverse.damping),
            exact=False,
            near=None,
        )
    factor = cache(partial(settled.prepare, objective, theta))  # made when it is first asked for
    return Prepared(
        solve=inverse.solve,
        quadratic_forms=lambda: factor().quadratic_forms(),
        joint_forms=lambda rows: factor().joint_forms(rows),
        residual=inverse.residual,
        method=inverse.method,
        reason=with_damping(f"{reason}an exact factor", inverse.damping),
        exact=False,
        damping=inverse.damping,
        factored=lambda B: factor().solve(B),
    )
