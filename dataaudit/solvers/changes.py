"""What becomes of a row's scores where it leaves training, or has another label: one solve a row.

With H the Hessian at θ̂, of which the rows i in S that change make (1/n) Σ x̃ x̃ᵀ ⊗ W, the step δ of a change
solves, as in `influence.leave_one_out`, with t = x̃ᵀ δ,

    (H - (1/n) Σ x̃ x̃ᵀ ⊗ W) δ = (1/n) Σ x̃ ⊗ (r - r'(s + t))            r' = 0 for a row that leaves

The k × k form of a row would take k solves; this takes one, by Newton's method on δ. Its systems are H and a
few rows, different ones for each column, so all columns share the products with H. These are solved in single
precision, what is left is measured in double precision, and solved for again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from scipy.sparse import coo_array, csr_array
from torch import Tensor

from dataaudit.errors import SolveError
from dataaudit.model.objective import Objective
from dataaudit.options.progress import ticking
from dataaudit.solvers.cg import conjugate_gradients
from dataaudit.solvers.classes import Classes
from dataaudit.solvers.newton import FitSettings, minimise_by_classes
from dataaudit.solvers.operator import Product

TOLERANCE: Final = 1e-3  # relative residual of a step
SHARE: Final = 1e-3  # and of a solve for a form, which is off by the square of it
STEP: Final = 1e-5  # and of one of θ, which single precision carries
LEFT: Final = 3e-7  # of a score, or of θ, after the last step, whose residual is that share of it
ROUNDS: Final = 30


@dataclass(frozen=True)
class Changes:
    """Changes of rows at one θ̂."""

    objective: Objective
    theta: Tensor
    inverse: Classes
    product: Product  # with H, in double precision

    def scores(
        self, sets: Sequence[Tensor], *, y: Tensor | None = None, near: Tensor | None = None
    ) -> Tensor:
        """Return the scores of the first row of each set where all of it leaves, or has a label y.

        `near` are scores not far from these; needed with labels.
        """  # m × (d,), (m,), (m, k) -> (m, k)
        found = []
        for some in ticking(torch.split(torch.arange(len(sets)), self.inverse.columns)):
            labels, guess = (None if part is None else part[some] for part in (y, near))
            found.append(self._scores([sets[i] for i in some.tolist()], labels, guess))
        return torch.cat(found) if found else torch.empty(0, self.objective.model.loss.n_scores)

    def steps(self, rows: Tensor) -> Tensor:
        """Return by how much θ moves where each of some rows leaves alone."""  # (m,) -> (p, m)
        return torch.cat([self._steps(some) for some in torch.split(rows, self.inverse.columns)], dim=1)

    def self_influence(self, rows: Tensor) -> Tensor:
        """Return rᵀ Q r of some rows, to the square of what a solve leaves."""  # (m,) -> (m,)
        return torch.cat([self._self_influence(some) for some in torch.split(rows, self.inverse.columns)])

    def refit(self, changed: Objective, tolerance: float, max_steps: int) -> Tensor:
        """Return the minimum of an objective that differs in some rows."""  # -> (p,)
        settings = FitSettings(tolerance=tolerance, max_steps=max_steps)
        return minimise_by_classes(changed, self.theta, self.inverse, settings=settings).theta

    def _self_influence(self, rows: Tensor) -> Tensor:
        block, model = self.objective.rows.take(rows), self.objective.model
        slope = model.loss.slope(model.scores(self.theta, block), block.y)
        B = torch.zeros(model.n_params, len(rows), dtype=torch.float64)
        _Lifted.of(self.objective, list(rows[:, None])).add(B, slope)
        X = self.inverse.solve(B, SHARE)
        return (X * (2.0 * B - self.product(X))).sum(0)

    def _steps(self, rows: Tensor) -> Tensor:
        model, n, block = self.objective.model, self.objective.rows.n, self.objective.rows.take(rows)
        changed, s = _Lifted.of(self.objective, list(rows[:, None])), model.scores(self.theta, block)
        less = -model.curvature(self.theta, block) / n
        V = torch.zeros(model.n_params, len(rows), dtype=torch.float64)
        B = left = changed.add(V.clone(), block.weight[:, None] / n * model.loss.slope(s, block.y))
        for _ in range(ROUNDS):
            asked = (LEFT / 2 * B.norm(dim=0) / left.norm(dim=0).clamp_min(1e-300)).clamp(STEP, 0.5)
            V = V + self._solved(changed, less, left, asked)
            left = B - changed.bent(self.product, less)(V)
            if bool((left.norm(dim=0) <= LEFT * B.norm(dim=0)).all()):
                return V
        raise SolveError("what the model is without a row could not be solved for", "raise --l2")

    def _solved(self, changed: _Lifted, added: Tensor, B: Tensor, tolerance: float | Tensor) -> Tensor:
        """Solve for B in single precision, the curvature of rows added to H."""
        product, size = changed.bent(self.inverse.hessian.product, added), B.abs().amax(0).clamp_min(1e-300)
        scaled, precondition = (B / size).float(), self.inverse.precondition
        found, _ = conjugate_gradients(product, scaled, precondition=precondition, tolerance=tolerance)
        return found.double() * size

    def _scores(self, sets: list[Tensor], y: Tensor | None, near: Tensor | None) -> Tensor:
        model, n = self.objective.model, self.objective.rows.n
        changed = _Lifted.of(self.objective, sets)
        block = self.objective.rows.take(torch.cat(sets))
        s, W = model.scores(self.theta, block), model.curvature(self.theta, block) / n
        weight = block.weight[:, None] / n
        first = torch.tensor(np.cumsum([0, *(len(rows) for rows in sets[:-1])]))
        slope = weight * model.loss.slope(s, block.y)
        V = torch.zeros(model.n_params, len(sets), dtype=torch.float64)
        HV, t, at = V, torch.zeros_like(s), s if near is None else near
        for _ in range(ROUNDS):
            force, left = slope + (W @ t[:, :, None])[:, :, 0], -W
            if y is not None:
                bent = weight[:, :, None] * model.loss.curvature(at, y)
                pull = weight * model.loss.slope(at, y) + (bent @ (s + t - at)[:, :, None])[:, :, 0]
                force, left = force - pull, left + bent
            V = V + self._solved(changed, left, changed.add(-HV, force), TOLERANCE)
            before, t = t, changed.scores(V)
            at = s + t
            if float((t - before).abs().max()) * TOLERANCE <= LEFT:
                return at[first]
            HV = self.product(V)
        raise SolveError("what a row does to its own scores could not be solved for", "raise --l2")


@dataclass(frozen=True)
class _Lifted:
    """The entries of some rows, each with the column of its set."""

    feature: Tensor  # (e,)
    value: Tensor  # (e,)
    row: Tensor  # (e,) of the rows of all sets
    column: Tensor  # (e,)
    rows: int

    @classmethod
    def of(cls, objective: Objective, sets: list[Tensor]) -> _Lifted:
        """Take the rows of all sets, with their intercepts."""
        X = objective.rows.take(torch.cat(sets)).X
        entries = coo_array(X if isinstance(X, csr_array) else X.numpy())
        rows, width = X.shape
        column = torch.repeat_interleave(torch.arange(len(sets)), torch.tensor([len(one) for one in sets]))
        row = torch.from_numpy(np.append(entries.row, np.arange(rows))).long()
        return cls(
            torch.from_numpy(np.append(entries.col, np.full(rows, width))).long(),
            torch.from_numpy(np.append(entries.data, np.ones(rows))),
            row,
            column[row],
            rows,
        )

    def scores(self, V: Tensor) -> Tensor:
        """Return x̃ᵀ V of each row in its column."""  # (p, m) -> (rows, k)
        k = V.shape[0] // (int(self.feature[-1]) + 1)
        part = V.view(-1, k, V.shape[1])[self.feature, :, self.column]
        value = self.value.to(V.dtype)[:, None]
        return V.new_zeros(self.rows, k).index_add_(0, self.row, value * part)

    def bent(self, product: Product, D: Tensor) -> Product:
        """Return a product with a matrix to which ``Σ x̃ x̃ᵀ ⊗ D`` of each column's rows is added."""
        return lambda U: self.add(product(U), (D.to(U.dtype) @ self.scores(U)[:, :, None])[:, :, 0])

    def add(self, V: Tensor, U: Tensor) -> Tensor:
        """Add ``x̃ ⊗ u`` of each row to its column, in place."""  # (p, m), (rows, k) -> (p, m)
        k = U.shape[1]
        value = (self.value[:, None] * U[self.row].double()).to(V.dtype)
        at = (self.feature[:, None], torch.arange(k)[None], self.column[:, None])
        V.view(-1, k, V.shape[1]).index_put_(at, value, accumulate=True)
        return V
