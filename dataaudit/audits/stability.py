"""How far predictions depend on single training rows, and on the few strongest ones.

Without row i the parameters move by (Pregibon 1981; see `leave_one_out`)

    Δθ_i = (ω/n) H⁻¹ x̃ ⊗ (I - W Q/n)⁻¹ r

one solve for all candidates, as the forms Q are known. The candidates are the rows of largest self-influence;
a prediction depends on a row if its class is another one without it. The step overshoots where a row fits
itself (*measured*: on one table a row of leverage .97 seemed to turn 47 of 600 predictions, of which a refit
left 2), so nothing is reported but what refits confirm.

Cost: one solve, one product with the watched rows, and at most `REFITS` + 1 warm refits.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dataaudit.influence.groups import refit_group
from dataaudit.model.rows import Block
from dataaudit.training.trained import RowScores, Trained

Rows = NDArray[np.int64]

CANDIDATES: Final = 64
REFITS: Final = 4
# Fewer changed predictions than this are not worth a refit: any row carries a few that are undecided.
LEAST: Final = 3
STRONGEST: Final = 0.01
WATCHED: Final = 5000


@dataclass(frozen=True)
class Dependence:
    """Predictions that change when training rows leave, by refits."""

    watched: int  # predictions that were watched
    rows: Rows  # (b,) positions of single training rows, the one that turns most predictions first
    changed: Rows  # (b,) predictions of other rows that turn without it
    strongest: Rows  # (m,) positions of the strongest training rows: one in a hundred, one at least
    changed_together: int  # predictions of other rows that turn without all of them


def measure_dependence(
    trained: Trained, scores: RowScores, *, test: Block | None = None, seed: int = 0
) -> Dependence:
    """Measure how many predictions change without single rows, and without the strongest ones."""
    objective, theta = trained.objective, trained.fit.theta
    watch = _Watch.of(trained, test, seed=seed)
    order = np.lexsort((np.arange(objective.rows.n), -scores.self_influence))
    candidates = order[:CANDIDATES]
    seeming = watch.changed(theta[:, None] + _moves(trained, candidates), candidates[None, :])
    worth = np.flatnonzero(seeming >= LEAST)
    chosen = candidates[worth[np.argsort(-seeming[worth], kind="stable")][:REFITS]]
    solve = trained.prepared.solve

    def without(rows: Rows) -> int:
        at = torch.from_numpy(rows)
        fit = refit_group(objective, trained.fit, at, precondition=solve)
        return int(watch.changed(fit.theta[:, None], rows[:, None])[0])

    changed = np.array([without(np.array([row])) for row in chosen], dtype=np.int64)
    best = np.argsort(-changed, kind="stable")
    strongest = order[: max(1, int(STRONGEST * objective.rows.n))]
    return Dependence(watch.n, chosen[best], changed[best], strongest, without(strongest))


def _moves(trained: Trained, rows: Rows) -> Tensor:
    """Return Δθ_i of some rows, one column a row."""  # -> (p, b)
    objective, theta, n = trained.objective, trained.fit.theta, trained.objective.rows.n
    at = torch.from_numpy(rows)
    block, model = objective.rows.take(at), objective.model
    r = model.loss.slope(model.scores(theta, block), block.y)[:, :, None]
    eye = torch.eye(r.shape[1], dtype=r.dtype)
    slope = torch.linalg.solve(eye - model.curvature(theta, block) @ trained.forms[at] / n, r)[:, :, 0]
    return trained.prepared.solve(model.outer(block, block.weight[:, None] * slope)) / n


@dataclass(frozen=True)
class _Watch:
    """Rows whose predictions are watched; `place` is their position in training, -1 for test rows."""

    trained: Trained
    block: Block
    place: Rows
    predicted: Tensor

    @classmethod
    def of(cls, trained: Trained, test: Block | None, *, seed: int) -> _Watch:
        rows = trained.objective.rows
        n = rows.n if test is None else len(test.y)
        some = np.arange(n)
        if n > WATCHED:
            some = np.sort(np.random.default_rng(seed).choice(n, WATCHED, replace=False))
        at = torch.from_numpy(some)
        if test is None:
            block = rows.take(at)
        else:
            X = test.X[at] if isinstance(test.X, Tensor) else test.X[some]
            block = Block(X, test.y[at], test.weight[at])
        predicted = _classes(trained.objective.model.scores(trained.fit.theta, block)[:, :, None])[:, 0]
        return cls(trained, block, some if test is None else np.full(len(some), -1), predicted)

    @property
    def n(self) -> int:
        return len(self.place)

    def changed(self, theta: Tensor, rows: Rows) -> Rows:
        """Return how many predictions differ at each θ, but for the rows that left for it: (p, b), (m, b)."""
        model, b = self.trained.objective.model, theta.shape[1]
        s = self.block.scores(theta.reshape(model.width + 1, -1)).view(self.n, model.loss.n_scores, b)
        turned = (_classes(s) != self.predicted[:, None]).numpy()
        for j in range(b):
            turned[np.isin(self.place, rows[:, j]), j] = False
        return np.asarray(turned.sum(0), dtype=np.int64)


def _classes(s: Tensor) -> Tensor:
    """Return the likeliest class; the reference has score 0."""  # (n, k, b) -> (n, b)
    return torch.nn.functional.pad(s, (0, 0, 1, 0)).argmax(1)
