"""The regularised mean loss and its derivatives as sums over rows.

    R(θ) = (1/n) Σ ω_i ℓ(z_i, θ) + (λ/2) ‖θ_pen‖²            (for K > 2 classes in the form C of `linear`)

λ is the weight decay of Koh & Liang (2017); scikit-learn's ``C`` is 1/(nλ). Intercepts are not penalised
unless the model says so (`linear`). What stays fixed when a row leaves is n and the ridge, so a row's own
gradient carries the data loss alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor

from dataaudit.model.costs import Size
from dataaudit.model.linear import LinearModel
from dataaudit.model.rows import MemoryRows, ShardedRows, added, joined


@dataclass(frozen=True)
class Objective:
    """R(θ) over some rows."""

    rows: MemoryRows
    model: LinearModel
    l2: float

    @property
    def size(self) -> Size:
        """Numbers of rows, features and scores."""
        return Size(self.rows.n, self.rows.width, self.model.loss.n_scores, self.rows.entries)

    def value(self, theta: Tensor) -> float:
        """Return R(θ)."""
        loss = self.rows.sum(partial(self.model.value, theta))
        return float(loss / self.rows.n + 0.5 * theta @ self._ridge(theta[:, None])[:, 0])

    def gradient(self, theta: Tensor) -> Tensor:
        """Return ∇R(θ)."""  # (p,) -> (p,)
        return (
            self.rows.sum(partial(self.model.gradient, theta)) / self.rows.n
            + self._ridge(theta[:, None])[:, 0]
        )

    def _ridge(self, V: Tensor) -> Tensor:
        return self.l2 * self.model.ridge(V)

    def hvp_at(self, theta: Tensor) -> Callable[[Tensor], Tensor]:
        """Return ``V -> ∇²R(θ) V``; the curvature of rows in memory is computed once."""  # (p, m) -> (p, m)
        rows, model = self.rows, self.model
        curvatures = list(rows.map(partial(model.curvature, theta))) if rows.in_memory else None

        def product(V: Tensor) -> Tensor:
            if curvatures is None:
                total = rows.sum(partial(model.product, theta, V))
            else:
                total = added(rows.map_with(partial(model.bend, V), curvatures))
            return total / rows.n + self._ridge(V)

        return product

    def hessian(self, theta: Tensor) -> Tensor:
        """Return ∇²R(θ), dense."""  # (p,) -> (p, p)
        return self.with_ridge(self.rows.sum(partial(self.model.hessian, theta), dense=True))

    def with_ridge(self, H: Tensor) -> Tensor:
        """Return ∇²R from the sum of the rows' own Hessians, in its place."""  # (p, p) -> (p, p)
        H.div_(self.rows.n)
        d, k = self.rows.width, self.model.loss.n_scores
        blocks = H.view(d + 1, k, d + 1, k).diagonal(dim1=0, dim2=2)  # a view, (k, k, d + 1)
        blocks[:, :, :d] += self.l2 * self.model.coupling[:, :, None]
        blocks[:, :, d] += self.l2 * self.model.intercept_ridge * self.model.coupling
        return H

    def hessian_diagonal(self, theta: Tensor) -> Tensor:
        """Return the diagonal of ∇²R(θ)."""  # (p,) -> (p,)
        diagonal = self.rows.sum(partial(self.model.hessian_diagonal, theta)) / self.rows.n
        k = self.model.loss.n_scores
        penalty = self.l2 * self.model.coupling.diagonal()
        diagonal.view(-1, k)[:-1] += penalty
        diagonal.view(-1, k)[-1] += self.model.intercept_ridge * penalty
        return diagonal

    def curvature(self, theta: Tensor) -> Tensor:
        """Return the weighted curvature ω W of all rows."""  # (p,) -> (n, k, k)
        if isinstance(self.rows, ShardedRows):
            return self.model.curvature_at(self.scores(theta), self.rows.y, self.rows.weight)
        return torch.cat(list(self.rows.map(partial(self.model.curvature, theta))))

    def scores(self, theta: Tensor) -> Tensor:
        """Return the scores of all rows; of rows that are not in memory they are kept."""  # (p,) -> (n, k)
        if not isinstance(self.rows, ShardedRows):
            return torch.cat(list(self.rows.map(partial(self.model.scores, theta))))
        key = theta.numpy().tobytes()
        scores = self.rows.known.get(key)
        if scores is None:
            scores = joined(self.rows.map(partial(self.model.scores, theta)), self.rows.n)
            self.rows.known.clear()
            self.rows.known[key] = scores
        return scores

    def reweighted(self, weight: Tensor) -> Objective:
        """Return the same objective with other row weights; n stays as it is."""
        return replace(self, rows=replace(self.rows, weight=weight))

    def relabelled(self, y: Tensor) -> Objective:
        """Return the same objective with other labels."""
        return replace(self, rows=replace(self.rows, y=y))


@dataclass(frozen=True)
class Change:
    """Another objective: some rows leave, or have another label."""

    rows: Tensor  # (m,) positions
    label: float | None = None  # class or number; None where they leave

    def of(self, objective: Objective) -> Objective:
        """Return the objective with the change."""
        if self.label is None:
            return objective.reweighted(objective.rows.weight.index_fill(0, self.rows, 0.0))
        return objective.relabelled(objective.rows.y.index_fill(0, self.rows, self.label))
