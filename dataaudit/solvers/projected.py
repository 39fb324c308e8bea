"""The inverse Hessian where no factor of it fits in memory: estimates for all rows, exact values for some.

**All rows.** Their quadratic forms come from random projections (`sketch`). With h the leverage of a row in
one score, and m probes, the two estimates that are joined have variances 2h²/m and 2(1-h)²/m, so the standard
error of h is

    √(2/m) h (1-h) / √(h² + (1-h)²)

**Some rows.** A form x̃ᵀ H⁻¹ x̃ is a solve (`schur`). With X the solutions for B in float32, in float64

    Bᵀ H⁻¹ B = XᵀB + BᵀX - XᵀHX + RᵀH⁻¹R        R = B - HX

where the last term is the square of what is left: a relative residual of 1e-3 leaves about 1e-6 of the form
(Rayleigh's quotient). It is measured, and columns for which it is larger are solved on. A solve to more
digits adds what the same solver gives for its own residual, a few times (iterative refinement, Golub & Van
Loan, section 3.5.3).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache, partial
from typing import Final

import torch
from torch import Tensor

from dataaudit.errors import SolveError
from dataaudit.memory import memory_limit
from dataaudit.model.costs import FEWEST, PROBES
from dataaudit.model.objective import Objective
from dataaudit.options.progress import ticking
from dataaudit.solvers.base import Prepared, lifted_rows, with_damping
from dataaudit.solvers.changes import Changes
from dataaudit.solvers.classes import Classes, Coupled, Products
from dataaudit.solvers.operator import Product, of_objective
from dataaudit.solvers.schur import Schur
from dataaudit.solvers.sketch import Sketch

NEAR: Final = 1e-3  # relative residual of a solve of which three digits are used
TOLERANCE: Final = 5e-9  # and of one that is to be exact
AGAIN: Final = 0.1  # of what is left of one
FORM: Final = 1e-6  # share of a form that may be left
SOLVED: Final = 4e-7  # and to which it is solved for: it is reckoned while solving
ROUNDS: Final = 8
KEPT: Final = 4  # part of the memory that the projections may keep
EXACT: Final = 1e-6  # relative residual that leaves nothing of a form
PROJECTED: Final = 0.03  # relative residual of what is projected
# Entries of X times classes times probes, and the bounds of these, for several classes.
PROBED: Final = 6e8
LEAST, MOST = 32, 512
COLUMN: Final = 20  # entries that take as long as a column


@dataclass(frozen=True)
class Projected:
    """Solver for many rows and many features."""

    reason: str = "asked for"
    probes: int = PROBES
    damping: float = 0.0

    def prepare(self, objective: Objective, theta: Tensor) -> Prepared:
        """Return estimates of the forms, and a solver."""
        if objective.model.loss.n_scores > 1:
            return self.by_classes(objective, theta, Classes.of(objective, theta, damping=self.damping))
        whole = replace(
            of_objective(objective, theta, damping=self.damping), full=_in_double(objective, theta)
        )
        inverse = Schur.of(objective, theta, damping=self.damping)
        probes = affordable_probes(objective, self.probes)
        solve = partial(_refined, whole.product, inverse)
        sketch = Sketch(probes=probes, tolerance=PROJECTED, damping=self.damping)
        sketched = cache(partial(sketch.project, objective, theta, inverse))
        return Prepared(
            solve=solve,
            quadratic_forms=lambda: sketched().quadratic_forms(),
            joint_forms=_remembered(lambda rows: sketched().joint_forms(rows)),
            exact_forms=partial(_exact_forms, objective, whole.product, inverse),
            residual=whole.residual(solve),
            method="conjugate gradients",
            reason=with_damping(self.reason, self.damping),
            damping=self.damping,
            near=partial(inverse.solve, tolerance=NEAR),
            probes=probes,
        )

    def by_classes(self, objective: Objective, theta: Tensor, inverse: Classes) -> Prepared:
        """Return the same for several classes, whose forms would take k solves a row."""
        whole = Coupled.of(objective, theta, damping=self.damping)
        probes = class_probes(objective)
        projected = cache(partial(inverse.project, probes, PROJECTED))
        solve = partial(_refined, whole.product, inverse)
        return Prepared(
            solve=solve,
            quadratic_forms=lambda: projected().quadratic_forms(),
            joint_forms=lambda rows: projected().joint_forms(objective, rows),
            residual=TOLERANCE,  # that every solve is checked for
            method="conjugate gradients",
            reason=with_damping(self.reason, self.damping),
            damping=self.damping,
            near=partial(inverse.solve, tolerance=NEAR),
            probes=probes,
            changed=Changes(objective, theta, inverse, whole.product),
        )


def class_probes(objective: Objective) -> int:
    """Return how many probes cost little, which may be more than it takes."""
    rows = objective.rows
    entries = rows.X.numel() if isinstance(rows.X, Tensor) else rows.X.nnz
    return int(
        min(
            MOST, max(LEAST, PROBED / ((entries + COLUMN * rows.width) * (objective.model.loss.n_scores + 1)))
        )
    )


def affordable_probes(objective: Objective, wanted: int) -> int:
    """Return how many probes fit in a part of the memory: fewer make the estimates rougher."""
    room = memory_limit() // (KEPT * 8 * objective.rows.n * objective.model.loss.n_scores)
    return max(FEWEST, min(wanted, room))


def _remembered(joint: Product) -> Product:
    """Return joint forms that are made once: a list is made anew several times, its groups stay."""
    known: dict[bytes, Tensor] = {}

    def forms(rows: Tensor) -> Tensor:
        name = rows.numpy().tobytes()
        if name not in known:
            made = joint(rows)
            if rows.shape[1] > PROBES:  # few, and large
                return made
            known[name] = made
        return known[name]

    return forms


def _in_double(objective: Objective, theta: Tensor) -> Product:
    """Return products with H of one score a row, on all cores."""
    rows = objective.rows
    X, W = Products.of(rows.X, torch.float64, device=rows.device), objective.curvature(theta)[:, 0] / rows.n
    ridge = objective.model.ridge

    def product(V: Tensor) -> Tensor:
        return X.pull(X.scores(V).mul_(W)).add_(ridge(V), alpha=objective.l2)

    return product


def _refined(product: Product, inverse: Schur | Classes, B: Tensor) -> Tensor:
    """Return H⁻¹ B: what a rough solver gives for B, then for what is left, until little is."""
    parts = torch.split(B, inverse.columns, dim=1)
    return torch.cat([_refine(product, inverse, part) for part in parts], dim=1)


def _refine(product: Product, inverse: Schur | Classes, B: Tensor) -> Tensor:
    X, limit = torch.zeros_like(B), TOLERANCE * B.norm(dim=0)
    left = B
    for _ in range(ROUNDS):
        X = X + inverse.solve(left, NEAR)
        left = B - product(X)
        if bool((left.norm(dim=0) <= limit).all()):
            return X
    worst = float((left.norm(dim=0) / B.norm(dim=0).clamp_min(1e-300)).max())
    raise SolveError(f"a solve stopped at a relative residual of {worst:.1e}", "raise --l2")


def _exact_forms(objective: Objective, product: Product, inverse: Schur, rows: Tensor) -> Tensor:
    """Return the joint forms of groups of rows."""  # (g, d) -> (g, dk, dk)
    (g, d), k = rows.shape, objective.model.loss.n_scores
    forms = torch.empty(g, d * k, d * k, dtype=torch.float64)
    for some in ticking(torch.split(torch.arange(g), max(1, inverse.columns // (d * k)))):
        B = lifted_rows(objective, rows[some])
        X, R = _solved(product, inverse, B)
        left, right, missing = (V.view(-1, len(some), d * k).permute(1, 2, 0) for V in (B, X, R))
        # XᵀHX is XᵀB less XᵀR.
        forms[some] = left @ right.mT + right @ missing.mT
    return forms


def _solved(product: Product, inverse: Schur, B: Tensor) -> tuple[Tensor, Tensor]:
    """Return X near H⁻¹ B and B - HX, so near that little is missing in the forms."""
    X = inverse.solve(B, EXACT, missing=SOLVED)
    for _ in range(ROUNDS):
        R = B - product(X)
        missing = torch.nonzero(inverse.energy(R) > FORM * (X * B).sum(0))[:, 0]
        if not len(missing):
            return X, R
        X[:, missing] += inverse.solve(R[:, missing], AGAIN)
    raise SolveError("the forms of some rows could not be solved for", "raise --l2")
