"""The smallest set of training rows whose removal overturns a conclusion.

A conclusion (`conclusions`) has a margin, a smooth function of θ that removals should lower. Broderick,
Giordano & Meager (2020) rank rows by the first-order effect of their removal and add them up; that misses how
rows that are alike hold each other up. Here the ranking is made again after each block of removals (adaptive
greedy):

1. effect of every row, ``ω/n ∇mᵀ H⁻¹ g``, at the current θ; the most effective again by their own Newton
   step, ``ω/n ∇mᵀ H⁻¹ X̃ (I - ω W Q/n)⁻¹ r``, exact for one row;
2. remove a block: a quarter of the rows that the sum of effects still calls for, at least one, and none with
   less than half of the strongest effect;
3. one Newton step of the fit without them. Each step starts where the last one ended, so θ stays near a true
   minimum throughout;
4. once the conclusion falls, bisect within the last block, then refit. If the refit does not confirm it, go
   on from the refit with another row.

The result is a set that is proved to be sufficient, and small, not proved to be the smallest: that is a
combinatorial problem. Cost: a Newton step a block, and as many refits as confirmations (nearly always one or
two).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from dataaudit.conclusions import Conclusion
from dataaudit.errors import SettingError
from dataaudit.fit import Fit, minimise
from dataaudit.groups import changed_inverse, changed_objective
from dataaudit.influence import pair_influences
from dataaudit.objective import Objective
from dataaudit.solvers.cg import Operator

# Of the rows that are called for, one in so many is removed before ranking again.
PATIENCE = 4
# Only rows with so much of the strongest effect go together: what a few odd rows hold up must be seen first.
SIMILAR = 0.5
# So many of the most effective rows are ranked again by their own Newton step.
SHORTLIST = 48


@dataclass(frozen=True)
class Flip:
    """Rows whose removal overturns a conclusion, proved by a refit.

    Attributes
    ----------
    rows : Tensor (m,) int64
        Positions of the training rows, in the order of their removal.
    share : float
        m over the training rows that have a weight.
    before, predicted, measured : float
        What the conclusion measures (`Conclusion.measure`) at θ̂, after the Newton steps, after the refit.
    fit : Fit
        The refit.
    """

    rows: Tensor
    share: float
    before: float
    predicted: float
    measured: float
    fit: Fit


def smallest_flip(
    objective: Objective,
    fit: Fit,
    conclusion: Conclusion,
    *,
    limit: float = 0.1,
    precondition: Operator | None = None,
) -> Flip | None:
    """Return few training rows without which a conclusion no longer holds.

    Parameters
    ----------
    objective : Objective
        The training objective.
    fit : Fit
        Its minimum.
    conclusion : Conclusion
        What is to be overturned.
    limit : float
        Largest share of the training rows that may go.
    precondition : callable, optional
        H⁻¹ at θ̂, used where p is large.

    Returns
    -------
    Flip or None
        None if more rows than the limit would have to go, or no row's removal helps.

    Raises
    ------
    SettingError
        If the conclusion does not hold at the fit, or the limit is not a share.
    """
    if not 0 < limit < 1:
        raise SettingError(f"the limit must lie between 0 and 1: got {limit:g}", "leave it out")
    if not conclusion.holds(fit.theta):
        raise SettingError("the conclusion does not hold at this fit", "ask for one that does")
    present = int((objective.rows.weight > 0).sum())
    search = _Search(objective, conclusion, int(limit * present), precondition)
    at = _Stage(torch.empty(0, dtype=torch.int64), fit.theta)
    while True:
        fallen = search.greedy(at)
        if fallen is None:
            return None
        refit = minimise(changed_objective(objective, fallen.rows), fallen.theta, precondition=precondition)
        if refit.converged and not conclusion.holds(refit.theta):
            before, predicted, measured = map(conclusion.measure, (fit.theta, fallen.theta, refit.theta))
            return Flip(fallen.rows, len(fallen.rows) / present, before, predicted, measured, refit)
        at = _Stage(fallen.rows, refit.theta)


@dataclass(frozen=True)
class _Stage:
    """Rows that are gone, and the parameters without them."""

    rows: Tensor
    theta: Tensor


@dataclass(frozen=True)
class _Search:
    """The adaptive greedy search; `most` rows may go."""

    objective: Objective
    conclusion: Conclusion
    most: int
    precondition: Operator | None

    def greedy(self, at: _Stage) -> _Stage | None:
        """Remove blocks until the conclusion falls, then keep as few of the last one as will do."""
        before, ordered = at, at.rows
        while self.conclusion.holds(at.theta):
            block = self.next_rows(at)
            if not len(block):
                return None
            before, ordered = at, torch.cat([at.rows, block])
            at = self.step(before, ordered)
        low, high = len(before.rows), len(ordered)
        while high - low > 1:
            half = self.step(before, ordered[: (low + high) // 2])
            if self.conclusion.holds(half.theta):
                low = len(half.rows)
            else:
                high, at = len(half.rows), half
        return at

    def step(self, at: _Stage, rows: Tensor) -> _Stage:
        """Return the end of a Newton step, from where we are, of the fit without the given rows."""
        changed = changed_objective(self.objective, rows)
        gradient = changed.gradient(at.theta)[:, None]
        solve = changed_inverse(changed, at.theta, precondition=self.precondition)
        return _Stage(rows, at.theta - solve(gradient)[:, 0])

    def next_rows(self, at: _Stage) -> Tensor:
        """Return the rows to remove next, most effective first; none where none helps or may go."""
        changed = changed_objective(self.objective, at.rows)
        effects, order = self.effects(changed, at.theta).sort(stable=True)
        useful = int((effects < 0).sum())
        left = self.conclusion.margin(at.theta) + effects[:useful].cumsum(0)
        called_for = int((left > 0).sum()) + 1
        alike = int((effects < SIMILAR * effects[0]).sum())
        size = max(min(math.ceil(called_for / PATIENCE), alike), len(at.rows) // 16, 1)
        return order[: min(size, useful, self.most - len(at.rows))]

    def effects(self, changed: Objective, theta: Tensor) -> Tensor:
        """Return what the removal of each row does to the margin; for the shortlist by Newton steps."""
        solve = changed_inverse(changed, theta, precondition=self.precondition)
        v = solve(self.conclusion.gradient(theta)[:, None])
        model, n = changed.model, changed.rows.n
        parts = changed.rows.map(lambda block: pair_influences(model, theta, v, block=block)[:, 0])
        effects = -changed.rows.weight * torch.cat(list(parts)) / n
        helpful = effects[effects < 0].sort().values
        if int((self.conclusion.margin(theta) + helpful.cumsum(0) > 0).sum()) > self.most:
            return effects  # more than may go, to first order: nothing to be exact about yet
        short = effects.topk(min(SHORTLIST, n), largest=False).indices
        effects[short] = own_steps(changed, theta, solve, v=v, rows=short)[:, 0]
        return effects


def own_steps(changed: Objective, theta: Tensor, solve: Operator, *, v: Tensor, rows: Tensor) -> Tensor:
    """Return how a Newton step without one row moves watched quantities, for each of some rows alone.

    Parameters
    ----------
    changed : Objective
        The training objective.
    theta : Tensor (p,)
        Its minimum.
    solve : callable
        H⁻¹ there.
    v : Tensor (p, m)
        H⁻¹ times the gradients of the m quantities that are watched.
    rows : Tensor (b,)
        Positions of the rows.

    Returns
    -------
    Tensor (b, m)
        ``ω/n (x̃ᵀ V) (I - W Q/n)⁻¹ r``, in units of those quantities.
    """
    model, block = changed.model, changed.rows.take(rows)
    X, k, n = block.dense(), model.loss.n_scores, changed.rows.n
    eye = torch.eye(k, dtype=X.dtype)
    lifted = (X.T[:, None, :, None] * eye[:, None, :]).reshape(model.n_params, -1)  # x̃ ⊗ I
    Q = torch.einsum("bj,jabc->bac", X, solve(lifted).view(-1, k, len(rows), k))
    r = model.loss.slope(model.scores(theta, block), block.y)[:, :, None]
    held = torch.linalg.solve(eye - model.curvature(theta, block) @ Q / n, r)
    moved = block.scores(v.reshape(model.width + 1, -1)).view(len(rows), k, -1)
    effect: Tensor = (moved * held).sum(1)
    return block.weight[:, None] * effect / n
