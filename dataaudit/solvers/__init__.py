"""Inverse Hessians: settings that are prepared once at θ and then solve many right-hand sides."""

from dataaudit.solvers.auto import choose_solver
from dataaudit.solvers.base import Prepared, Solver
from dataaudit.solvers.cholesky import Cholesky
from dataaudit.solvers.dual import Dual
from dataaudit.solvers.named import prepare

__all__ = ["Cholesky", "Dual", "Prepared", "Solver", "choose_solver", "prepare"]
