"""The smallest set of training rows whose removal, or relabelling, changes a conclusion (AMIP).

A conclusion holds or not, and has a margin: a function of θ, smooth where it matters, that is positive while
the conclusion holds and falls towards 0 as it falls. What is shown to people is its measure, in plain units.
Broderick, Giordano & Meager (2020) rank rows by the first-order effect of their removal on the margin and add
them up; that misses how rows that are alike stand in for each other. Here the ranking is made again after
each block of removals (adaptive greedy):

1. effect of every row, ``ω/n ∇mᵀ H⁻¹ g``, at the current θ; the most effective again by their own Newton
   step, ``ω/n ∇mᵀ H⁻¹ X̃ (I - ω W Q/n)⁻¹ r``, exact for one row;
2. remove a block: a quarter of the rows that the sum of effects still calls for, at least one, and none with
   less than half of the strongest effect;
3. one Newton step of the fit without them. Each step starts where the last one ended, so θ stays near a true
   minimum throughout;
4. once the conclusion falls, bisect within the last block, then refit. If the refit does not confirm it, go
   on from the refit with another row.

Relabelling (Cadamuro, Gilad-Bachrach & Zhu 2016) goes the same way. Another class c for a row moves its
gradient by ``x̃ ⊗ (e_y - e_c)``, so with u = x̃ᵀ H⁻¹ ∇m, and u_0 = 0, its effect is ``ω/n (u_c - u_y)``, and
the class of the smallest u does most. Labels do not touch the Hessian of a logistic regression, so that this
is the row's own Newton step already.

The result is a set that is proved to be sufficient, and small, not proved to be the smallest: that is a
combinatorial problem. Cost: a Newton step a block, and as many refits as confirmations (nearly always one or
two).
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor

from dataaudit.errors import SettingError
from dataaudit.influence.groups import changed_inverse, changed_objective
from dataaudit.model.linear import LinearModel
from dataaudit.model.objective import Objective
from dataaudit.model.rows import Block
from dataaudit.solvers.newton import Fit, minimise
from dataaudit.solvers.operator import Product

# The narrowest τ, in log-odds: below it a step of one row would pass over the place where it matters.
NARROW = 0.02
# Of the rows that are called for, one in this many is removed before ranking again.
PATIENCE = 4
# Rows with this share of the strongest effect go together: what rests on a few odd rows must be seen first.
SIMILAR = 0.5
# The most effective rows, this many, are ranked again by their own Newton step.
SHORTLIST = 48


class Conclusion(ABC):
    """Something that a fit says, and how far it is from falling."""

    def holds(self, theta: Tensor) -> bool:
        """Return whether θ still says so."""
        return self.margin(theta) > 0

    @abstractmethod
    def margin(self, theta: Tensor) -> float:
        """Return how far the conclusion is from falling; at most 0 when it has."""

    @abstractmethod
    def gradient(self, theta: Tensor) -> Tensor:
        """Return the gradient of the margin."""  # (p,) -> (p,)

    def measure(self, theta: Tensor) -> float:
        """Return what the conclusion is about, for people."""
        return self.margin(theta)


@dataclass(frozen=True)
class Prediction(Conclusion):
    """The class of a row; margin and measure are its lead over the next class, in log-odds."""

    model: LinearModel
    row: Block  # one row; its label does not matter
    predicted: int  # the class that was predicted

    def margin(self, theta: Tensor) -> float:
        """Return the lead over the next class."""
        s = _all_scores(self.model, theta, self.row)
        return float(_lead(s, torch.tensor([self.predicted]))[0][0])

    def gradient(self, theta: Tensor) -> Tensor:
        """Return the gradient of the lead."""
        s = _all_scores(self.model, theta, self.row)
        own = torch.tensor([self.predicted])
        one = torch.ones(1, dtype=torch.float64)
        return _lead_gradient(self.row, (own, _lead(s, own)[1]), one, s.shape[1])


@dataclass(frozen=True)
class Misprediction(Conclusion):
    """A row does not get its own class; margin and measure are the lead of another one, in log-odds."""

    model: LinearModel
    row: Block  # one row with its label

    def margin(self, theta: Tensor) -> float:
        """Return by how much the strongest other class leads."""
        return -float(_lead(_all_scores(self.model, theta, self.row), self.row.y)[0][0])

    def gradient(self, theta: Tensor) -> Tensor:
        """Return the gradient of that."""
        s = _all_scores(self.model, theta, self.row)
        minus = -torch.ones(1, dtype=torch.float64)
        return _lead_gradient(self.row, (self.row.y, _lead(s, self.row.y)[1]), minus, s.shape[1])


@dataclass(frozen=True)
class Passing(Conclusion):
    """The score of a row is above, or below, a bound; margin and measure are how far it is from that."""

    model: LinearModel  # of one score
    row: Block  # one row; its label does not matter
    bound: float
    sign: float  # 1.0 where the score is above, else -1.0

    def margin(self, theta: Tensor) -> float:
        """Return how far the score is on its side of the bound."""
        return self.sign * (float(self.model.scores(theta, self.row)) - self.bound)

    def gradient(self, theta: Tensor) -> Tensor:
        """Return the gradient of that."""
        return self.row.pull(torch.full((1, 1), self.sign, dtype=theta.dtype)).view(-1)


@dataclass(frozen=True)
class CoefficientSign(Conclusion):
    """The sign of a coefficient; margin and measure are its size, in log-odds per unit of the feature."""

    position: int  # its place in θ: feature j for score a is at ``j·k + a``
    sign: float  # 1.0 or -1.0, as fitted

    def margin(self, theta: Tensor) -> float:
        """Return the coefficient times its sign."""
        return self.sign * float(theta[self.position])

    def gradient(self, theta: Tensor) -> Tensor:
        """Return the gradient of that."""
        direction = torch.zeros_like(theta)
        direction[self.position] = self.sign
        return direction


@dataclass(frozen=True)
class SliceErrors(Conclusion):
    """More than `at_most` rows of a slice are predicted wrong; the measure is their number.

    The margin is the number of errors that are too many, each row counted as σ(-lead/τ): 1 where its
    true class is far behind, 0 where it is far ahead, and a half where they tie. So it also sees right
    rows that are about to turn wrong; pushing only the wrong ones moves as many rows the other way. τ
    is half the lead of the last row that must be righted: as much of the slice counts as has to move.
    A number is wrong where its loss is not usual; its lead is what it is short of that, in nats.
    """

    model: LinearModel
    rows: Block  # the labelled rows of the slice
    at_most: int
    usual: float | None = None  # loss of a number that is not exceeded as a rule

    def holds(self, theta: Tensor) -> bool:
        """Return whether there are still too many errors."""
        return self.measure(theta) > self.at_most

    def margin(self, theta: Tensor) -> float:
        """Return how many errors are too many, smoothly."""
        lead, tau = self._leads(theta)
        return float(torch.sigmoid(-lead / tau).sum()) - self.at_most

    def gradient(self, theta: Tensor) -> Tensor:
        """Return its gradient at a fixed τ."""
        lead, tau = self._leads(theta)
        share = torch.sigmoid(lead / tau) * torch.sigmoid(-lead / tau) / tau
        if self.usual is not None:
            slope = self.model.loss.slope(self.model.scores(theta, self.rows), self.rows.y)
            return self.rows.pull(share[:, None] * slope).view(-1)
        rival = _lead(_all_scores(self.model, theta, self.rows), self.rows.y)[1]
        return -_lead_gradient(self.rows, (self.rows.y, rival), share, self.model.loss.n_scores + 1)

    def measure(self, theta: Tensor) -> float:
        """Return how many rows are predicted wrong; a row whose classes tie is right."""
        return float((self._leads(theta)[0] < 0).sum())

    def _leads(self, theta: Tensor) -> tuple[Tensor, float]:
        """Return the leads of the true classes, and τ."""
        if self.usual is None:
            lead = _lead(_all_scores(self.model, theta, self.rows), self.rows.y)[0]
        else:
            lead = self.usual - self.model.loss.value(self.model.scores(theta, self.rows), self.rows.y)
        behind = lead[lead < 0].sort(descending=True).values
        too_many = len(behind) - self.at_most
        tau = -float(behind[too_many - 1]) / 2 if too_many > 0 else 0.0
        return lead, max(tau, NARROW)


def _all_scores(model: LinearModel, theta: Tensor, block: Block) -> Tensor:
    """Return the scores of all classes, the reference's 0 first."""  # -> (b, K)
    return torch.nn.functional.pad(model.scores(theta, block), (1, 0))


def _lead(s: Tensor, own: Tensor) -> tuple[Tensor, Tensor]:
    """Return by how much each row's own class leads its strongest rival, and that rival."""  # (b, K), (b,)
    rival = s.scatter(1, own[:, None], -torch.inf).argmax(1)
    return (s.gather(1, own[:, None]) - s.gather(1, rival[:, None]))[:, 0], rival


def _lead_gradient(block: Block, classes: tuple[Tensor, Tensor], share: Tensor, n_classes: int) -> Tensor:
    """Return the gradient of the weighted sum of leads: own class less rival, without the reference."""
    own, rival = (torch.nn.functional.one_hot(c, n_classes) for c in classes)  # -> (p,)
    pull = share[:, None] * (own - rival)[:, 1:]
    return block.pull(pull).view(-1)


@dataclass(frozen=True)
class Flip:
    """Rows whose removal, or relabelling, changes a conclusion; its measure at three points."""

    rows: Tensor  # (m,) positions of the training rows, in the order of their removal
    labels: Tensor | None  # (m,) their other classes; None where they are removed
    share: float  # m over the training rows that have a weight
    before: float  # at θ̂
    predicted: float  # after the Newton steps
    measured: float  # after the refit
    fit: Fit


def smallest_flip(
    objective: Objective,
    fit: Fit,
    conclusion: Conclusion,  # what is to be changed
    *,
    limit: float = 0.1,  # largest share of the training rows that may go, or be relabelled
    relabel: bool = False,
    precondition: Product | None = None,  # H⁻¹ at θ̂, used where p is large
) -> Flip | None:
    """Return few training rows without which a conclusion falls; None if too many would have to go."""
    if not 0 < limit < 1:
        raise SettingError(f"the limit must lie between 0 and 1: got {limit:g}", "leave it out")
    if not conclusion.holds(fit.theta):
        raise SettingError("the conclusion does not hold at this fit", "ask for one that does")
    present = int((objective.rows.weight > 0).sum())
    kind = _Relabelling if relabel else _Removal
    search = kind(objective, conclusion, int(limit * present), precondition)
    none = torch.empty(0, dtype=torch.int64)
    at = _Stage(none, none if relabel else None, fit.theta)
    while True:
        fallen = search.greedy(at)
        if fallen is None:
            return None
        refit = minimise(search.changed(fallen), fallen.theta, precondition=precondition)
        if refit.converged and not conclusion.holds(refit.theta):
            before, predicted, measured = map(conclusion.measure, (fit.theta, fallen.theta, refit.theta))
            share = len(fallen.rows) / present
            return Flip(fallen.rows, fallen.labels, share, before, predicted, measured, refit)
        at = replace(fallen, theta=refit.theta)


@dataclass(frozen=True)
class _Stage:
    """Rows that are changed, and the parameters then."""

    rows: Tensor
    labels: Tensor | None
    theta: Tensor

    def first(self, count: int) -> _Stage:
        """Return the first rows alone, with the same parameters."""
        labels = None if self.labels is None else self.labels[:count]
        return _Stage(self.rows[:count], labels, self.theta)


@dataclass(frozen=True)
class _Search(ABC):
    """The adaptive greedy search; `most` rows may be changed."""

    objective: Objective
    conclusion: Conclusion
    most: int
    precondition: Product | None

    def greedy(self, at: _Stage) -> _Stage | None:
        """Change blocks until the conclusion falls, then keep as few of the last one as will do."""
        before = at
        while self.conclusion.holds(at.theta):
            wider = self.widened(at)
            if len(wider.rows) == len(at.rows):
                return None
            before, at = at, self.step(at, wider)
        low, high, ordered = len(before.rows), len(at.rows), at
        while high - low > 1:
            half = self.step(before, ordered.first((low + high) // 2))
            if self.conclusion.holds(half.theta):
                low = len(half.rows)
            else:
                high, at = len(half.rows), half
        return at

    def step(self, at: _Stage, wanted: _Stage) -> _Stage:
        """Return the end of a Newton step, from where we are, of the fit with the wanted rows changed."""
        changed = self.changed(wanted)
        gradient = changed.gradient(at.theta)[:, None]
        solve = changed_inverse(changed, at.theta, precondition=self.precondition)
        return replace(wanted, theta=at.theta - solve(gradient)[:, 0])

    def changed(self, at: _Stage) -> Objective:
        """Return the objective with the rows changed."""
        return changed_objective(self.objective, at.rows, y=at.labels)

    def widened(self, at: _Stage) -> _Stage:
        """Return the rows with those that come next, most effective first; the same where none helps."""
        effects, labels = self.effects(at)
        effects, order = effects.sort(stable=True)
        useful = int((effects < 0).sum())
        left = self.conclusion.margin(at.theta) + effects[:useful].cumsum(0)
        called_for = int((left > 0).sum()) + 1
        alike = int((effects < SIMILAR * effects[0]).sum())
        size = max(min(math.ceil(called_for / PATIENCE), alike), len(at.rows) // 16, 1)
        block = order[: min(size, useful, self.most - len(at.rows))]
        new = None if at.labels is None or labels is None else torch.cat([at.labels, labels[block]])
        return _Stage(torch.cat([at.rows, block]), new, at.theta)

    @abstractmethod
    def effects(self, at: _Stage) -> tuple[Tensor, Tensor | None]:
        """Return what the change of each row does to the margin, and the class that it gets."""  # (n,) twice


class _Removal(_Search):
    """Rows are removed."""

    def effects(self, at: _Stage) -> tuple[Tensor, Tensor | None]:
        """Return what the removal of each row does; for the shortlist by Newton steps."""
        changed, theta = self.changed(at), at.theta
        solve = changed_inverse(changed, theta, precondition=self.precondition)
        v = solve(self.conclusion.gradient(theta)[:, None])
        n = changed.rows.n
        parts = changed.rows.map(partial(changed.model.pair_influences, theta, v))
        effects = -changed.rows.weight * torch.cat(list(parts))[:, 0] / n
        helpful = effects[effects < 0].sort().values
        if int((self.conclusion.margin(theta) + helpful.cumsum(0) > 0).sum()) > self.most:
            return effects, None  # more than may go, to first order: nothing to be exact about yet
        short = effects.topk(min(SHORTLIST, n), largest=False).indices
        effects[short] = own_steps(changed, theta, solve, v=v, rows=short)[:, 0]
        return effects, None


class _Relabelling(_Search):
    """Rows get another label; each one once."""

    def effects(self, at: _Stage) -> tuple[Tensor, Tensor]:
        """Return what the best other label of each row does, and which one that is."""
        changed, theta = self.changed(at), at.theta
        solve = changed_inverse(changed, theta, precondition=self.precondition)
        v = solve(self.conclusion.gradient(theta)[:, None])[:, 0]
        parts = changed.rows.map(partial(changed.model.scores, v))
        u = torch.nn.functional.pad(torch.cat(list(parts)), (1, 0))
        low, labels = u.min(1)
        own = u.gather(1, changed.rows.y[:, None])[:, 0]
        effects = changed.rows.weight * (low - own) / changed.rows.n
        effects[at.rows] = 0.0
        return effects, labels


def own_steps(changed: Objective, theta: Tensor, solve: Product, *, v: Tensor, rows: Tensor) -> Tensor:
    """Return how a Newton step without one row moves m quantities, for each of b rows alone.

    v is H⁻¹ times their gradients; the step is ``ω/n (x̃ᵀ V) (I - W Q/n)⁻¹ r``, in their units.
    """  # v (p, m), rows (b,) -> (b, m)
    model, block = changed.model, changed.rows.take(rows)
    (b, k), n = (len(rows), model.loss.n_scores), changed.rows.n
    B = model.lifted(block)
    eye = torch.eye(k, dtype=B.dtype)
    Q = torch.einsum("pbk,pbl->bkl", B.view(-1, b, k), solve(B).view(-1, b, k))
    r = model.loss.slope(model.scores(theta, block), block.y)[:, :, None]
    without = torch.linalg.solve(eye - model.curvature(theta, block) @ Q / n, r)
    effect: Tensor = (model.moved(v, block) * without).sum(1)
    return block.weight[:, None] * effect / n
