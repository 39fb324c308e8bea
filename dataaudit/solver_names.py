"""The solvers of the inverse Hessian by name, and what is said of a name that is none.

=========  =====================  ======================================================================
name       holds for              what it is (`solvers`)
=========  =====================  ======================================================================
auto       every model            the cheaper exact one, with its cost as the reason
cholesky   every model            a factor of the p × p Hessian: exact
dual       linear scores, λ > 0   a factor of the nk × nk dual: exact
cg         every model            conjugate gradients: to a tolerance that is measured
lissa      every model            the paper's stochastic estimate
arnoldi    every model            the largest eigenvalues alone: an estimate
=========  =====================  ======================================================================

Names only, without torch: what is misspelt on a command line is said before torch is imported.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from dataaudit.errors import SettingError, closest

FACTORS: Final = ("auto", "cholesky", "dual")
PRODUCTS: Final = ("cg", "lissa", "arnoldi")
SOLVERS: Final = (*FACTORS, *PRODUCTS)


def require_solver(name: str, among: Iterable[str] = SOLVERS, *, why: str = "") -> None:
    """Refuse what is no solver, or none that can be had here.

    Parameters
    ----------
    name : str
        What was asked for.
    among : iterable of str
        Those that can be had.
    why : str
        What the others lack, after "solver 'x'".

    Raises
    ------
    SettingError
        With the nearest name, or all of them.
    """
    offered = list(among)
    if name in offered:
        return
    if name in SOLVERS:
        raise SettingError(f"solver {name!r} {why or 'is not for this'}", f"use one of {', '.join(offered)}")
    near = closest(name, offered)
    hint = f"did you mean {near!r}?" if near else f"use one of {', '.join(offered)}"
    raise SettingError(f"there is no solver {name!r}", hint)


def require_damping(damping: float) -> None:
    """Refuse a damping that would take curvature away.

    Raises
    ------
    SettingError
        If it is negative or not finite.
    """
    if not 0 <= damping < float("inf"):
        raise SettingError(
            f"damping must be a number from 0 on: got {damping:g}", "leave it out, or give 0.01"
        )
