"""What all slices are asked at once, by products of residuals with their membership.

**Labels that differ.** With r = 1[y = c] - p the residual of a row, and V = p (1 - p), a slice's rows ask for
class c to move by δ = Σr/(ΣV + prior) in log-odds: those of test (δ₂) by the model's predictions, those of
training (δ₁) by predictions made without the row. A misfit that both have is no mismatch. What the difference
is worth on test, in nats, beyond what both samples' noise could do:

    D = Σ_c (δ₂ - δ₁)² / (2 (1/V₂ + 1/V₁)) · (K - 1)/K              V with the priors in it

the log-likelihood ratio of two offsets against one. Since it is the least of Σ V (δ - common)²/2 over common
offsets, it is below Σ_sides R²/(2V), which bounds it for every part of a slice (`conjunctions`).

**Training rows that mislead.** With v = H⁻¹ Σ_t g_t over one half of test and s the slope of a row's loss,
leaving row i out lowers that half's loss by -(1/n) s_i · (x̃_iᵀ v) to first order, and labelling it c instead
by -(1/n)(s_i - s_ic) · (x̃_iᵀ v).

Both are measured on each half of test, so that what one half proposes the other can judge.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csc_array
from scipy.special import chdtrc
from torch import Tensor

from dataaudit.audits.mismatch.world import World
from dataaudit.training.trained import Trained

# Rows' worth of curvature that speak for the model as it is: in test, and in training, where a fit is.
TEST_PRIOR, TRAIN_PRIOR = 2.0, 20.0
# Standard deviations at which errors of numbers are cut off, which one row would else decide.
GROSS = 4.0

Rows = NDArray[np.int64]
Reals = NDArray[np.float64]


@dataclass(frozen=True)
class Side:
    """Residuals of the rows of one table."""

    r: Reals  # (b, K) 1[y = c] - p
    V: Reals  # (b, K) p (1 - p)
    prior: float

    @classmethod
    def of(cls, p: Reals, y: Rows, prior: float) -> Side:
        """Return residuals of predictions."""  # (b, K), (b,)
        r = -p
        r[np.arange(len(y)), y] += 1.0
        return cls(r, p * (1.0 - p), prior)

    def take(self, rows: NDArray[np.bool_]) -> Side:
        """Return it for some rows, the others being nothing."""  # (b,)
        return Side(self.r * rows[:, None], self.V * rows[:, None], self.prior)

    def sums(self, members: csc_array) -> tuple[Reals, Reals]:
        """Return ΣR and ΣV + prior of every slice."""  # (b, m) -> 2 × (m, K)
        return members.T @ self.r, members.T @ self.V + self.prior


def differences(first: tuple[Reals, Reals], second: tuple[Reals, Reals]) -> Reals:
    """Return D of every slice, in nats; of two classes, the sums of one say all."""  # 2 × 2 × (…, K) -> (…)
    (R1, V1), (R2, V2) = first, second
    K = R1.shape[-1]
    gap = R2 / V2 - R1 / V1
    worth: Reals = (gap**2 / (1.0 / V1 + 1.0 / V2)).sum(-1) * share(K) / 2.0
    return worth


def share(classes: int) -> float:
    """Return what each of so many classes counts: their residuals add up to 0."""
    return 1.0 if classes == 1 else (classes - 1) / classes


def z_of(gain: Reals) -> float:
    """Return the sum of gains over its standard error, were there none."""
    return float(gain.sum()) / max(float(np.sqrt((gain**2).sum())), 1e-12)


@dataclass(frozen=True)
class Screen:
    """Residuals and influences of all training rows and of the judged test rows."""

    trained: Trained
    world: World

    @property
    def halves(self) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Which judged rows are in each half."""  # 2 × (t,)
        return self.world.first, ~self.world.first

    @cached_property
    def known(self) -> Side:
        """Residuals of the training rows, each predicted without itself."""
        if self.trained.quantity is not None:
            return self._of_numbers(self.trained.left_out, self.trained.objective.rows.y, TRAIN_PRIOR)
        p = self.trained.log_probabilities(self.trained.left_out).exp().numpy()
        return Side.of(p, self.trained.objective.rows.y.numpy(), TRAIN_PRIOR)

    def _of_numbers(self, scores: Tensor, y: Tensor, prior: float) -> Side:
        """Return the errors of predicted numbers, gross ones cut off, and the curvature of their loss."""
        loss = self.trained.judged
        r, V = -loss.slope(scores, y).numpy(), loss.curvature(scores, y)[:, :, 0].numpy()
        most = GROSS * np.sqrt(V)
        return Side(np.clip(r, -most, most), V, prior)

    @cached_property
    def log_p(self) -> Reals:
        """Log-probabilities of the judged rows."""  # (t, K)
        return self.trained.log_probabilities(self.world.scores).numpy()

    @cached_property
    def new(self) -> Side:
        """Residuals of the judged rows."""
        if self.trained.quantity is not None:
            return self._of_numbers(self.world.scores, self.world.block.y, TEST_PRIOR)
        return Side.of(np.exp(self.log_p), self.world.y, TEST_PRIOR)

    @cached_property
    def influence(self) -> tuple[Reals, Reals]:
        """What each training row's leaving or new label is worth to each half, in nats, to first order."""
        objective, theta = self.trained.objective, self.trained.fit.theta  # -> (2, n), (2, n, K)
        model, y = objective.model, objective.rows.y
        block = self.world.block
        slope = self.trained.loss_slope(self.world.scores, block.y)
        apart = torch.stack([slope * torch.from_numpy(half)[:, None] for half in self.halves], dim=2)
        solved = self.trained.prepared.solve(model.pull(block, apart))
        s, weight = objective.scores(theta), objective.rows.weight / objective.rows.n
        own = model.loss.slope(s, y)
        leaving, labelled = [], []
        for along in torch.cat([model.moved(solved, b) for b in objective.rows.blocks()]).unbind(2):
            moved = weight[:, None] * along
            pull = -(own * moved).sum(1)
            others = [pull + (self._slope(s, c) * moved).sum(1) for c in range(len(self.trained.classes))]
            leaving.append(pull.numpy())
            labelled.append(torch.stack(others or [pull], dim=1).numpy())
        return np.stack(leaving), np.stack(labelled)

    def difference(self, train: Rows, judged: NDArray[np.bool_]) -> float:
        """Return D of one slice; where no test row is in it, of its training rows against the model."""
        sums = self.sums(train, judged)
        if judged.any():
            return float(differences(*sums))
        R, V = sums[0]
        return float((R**2 / V).sum() * share(len(R)) / 2.0)

    def sums(self, train: Rows, judged: NDArray[np.bool_]) -> tuple[tuple[Reals, Reals], tuple[Reals, Reals]]:
        """Return ΣR and ΣV + prior of a slice's training rows, and of its judged rows."""  # each (K,)
        sides = (self.known, train), (self.new, judged)
        first, second = ((side.r[rows].sum(0), side.V[rows].sum(0) + side.prior) for side, rows in sides)
        return first, second

    def chance(self, difference: float, tried: int) -> float:
        """Return how likely chance alone brings such a D about in any of so many slices."""
        return min(1.0, tried * float(chdtrc(self.free, 2.0 * difference)))

    @property
    def free(self) -> int:
        """Degrees of freedom of D: of K classes all but one."""
        return max(len(self.trained.classes) - 1, 1)

    def _slope(self, s: Tensor, label: int) -> Tensor:
        """Return the slopes of the loss if all rows had one label."""  # (n, k) -> (n, k)
        y = torch.full((len(s),), label)
        return self.trained.objective.model.loss.slope(s, y)

    def pull(self, rows: Rows, y: Rows | None = None) -> Tensor:
        """Return n times the gradient that goes when training rows leave, or get other labels."""  # -> (p,)
        objective, theta = self.trained.objective, self.trained.fit.theta
        block = objective.rows.take(torch.from_numpy(rows))
        gone = objective.model.gradient(theta, block)
        if y is not None:
            gone = gone - objective.model.gradient(theta, replace(block, y=torch.from_numpy(y)))
        return gone

    def gains(self, pulls: list[Tensor], share: float = 1.0) -> Reals:
        """Return what judged rows gain when θ moves by a share of H⁻¹ of each pull."""  # -> (t, m)
        objective, block = self.trained.objective, self.world.block
        moves = self.trained.prepared.for_groups(torch.stack(pulls, dim=1)) * (share / objective.rows.n)
        moved = objective.model.moved(moves, block).unbind(2)
        before = self.world.evaluation.loss
        after = [self.trained.loss(self.world.scores + by, block.y).numpy() for by in moved]
        gains: Reals = before[:, None] - np.stack(after, axis=1)
        return gains
