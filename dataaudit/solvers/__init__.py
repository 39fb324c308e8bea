"""Inverse Hessians: settings that are prepared once at θ and then solve many right-hand sides."""

from dataaudit.solvers.base import Prepared, Solver
from dataaudit.solvers.cholesky import Cholesky
from dataaudit.solvers.choose import choose_solver, prepare
from dataaudit.solvers.dual import Dual

__all__ = ["Cholesky", "Dual", "Prepared", "Solver", "choose_solver", "prepare"]
