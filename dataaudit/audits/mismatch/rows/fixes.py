"""Fixes that concern rows: training rows left out, relabelled or weighed; scores of test rows shifted.

An offset of a slice's test rows says what other labels they have than the model expects, and so what the
right rows in training would be worth. It is fitted on one half of test and judged on the other. What the same
slice of training shows without its own rows (leave-one-out) is taken off: a misfit that training has too is
no mismatch.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dataaudit.audits.mismatch.world import World
from dataaudit.training.trained import Trained

# Curvature, in rows' worth, that speaks for no shift.
PRIOR = 2.0
# Newton steps for an offset, the step at which it is found, and the shortest share of one.
STEPS, FOUND, SHORTEST = 20, 1e-6, 1e-3

Rows = NDArray[np.int64]
Reals = NDArray[np.float64]


@dataclass(frozen=True)
class Remove:
    """Training rows left out."""

    rows: Rows  # (m,) positions of training rows
    what: str  # in words: ``the 24 training rows with age = [0-10)``
    name: str = "remove"

    @property
    def detail(self) -> str:
        """What was done."""
        return f"{self.what} left out"

    @property
    def advice(self) -> str:
        """What to do."""
        return f"Leave out {self.what}."

    def apply(self, world: World, *, exact: bool) -> World:
        """Return the world without them."""
        return world.without_rows(self.rows, exact=exact)


@dataclass(frozen=True)
class Relabel:
    """Training rows with other labels."""

    rows: Rows  # (m,) positions of training rows
    y: Rows | Reals  # (m,) class numbers, or numbers, that they get
    what: str  # in words, as above
    how: str  # ``as “ill”``, ``the other way round``, after “label them”
    name: str = "relabel"

    @property
    def detail(self) -> str:
        """What was done."""
        return f"{self.what} labelled {self.how}"

    @property
    def advice(self) -> str:
        """What to do."""
        return f"Label {self.what} {self.how}."

    def apply(self, world: World, *, exact: bool) -> World:
        """Return the world with those labels."""
        y = world.objective.rows.y.clone()
        y[torch.from_numpy(self.rows)] = torch.from_numpy(self.y)
        return world.with_training(y=y, exact=exact)


@dataclass(frozen=True)
class Reweigh:
    """Training rows that weigh as their classes are in test."""

    factor: Reals  # (K,) weight of the rows of each class
    what: str  # in words: ``“ham” 1.6 times, “spam” 0.4 times``
    rows: Rows | None = None  # positions of training rows; all of them by default
    name: str = "reweigh"

    @property
    def detail(self) -> str:
        """What was done."""
        return f"training rows weighed by class as in test: {self.what}"

    @property
    def advice(self) -> str:
        """What to do."""
        return f"Weigh the training rows by class as in test ({self.what})."

    def apply(self, world: World, *, exact: bool) -> World:
        """Return the world with those weights."""
        rows = world.objective.rows
        factor = torch.from_numpy(self.factor)[rows.y]
        if self.rows is not None:
            factor[torch.from_numpy(np.setdiff1d(np.arange(rows.n), self.rows))] = 1.0
        return world.with_training(weight=rows.weight * factor, exact=exact)


@dataclass(frozen=True)
class Offset:
    """Scores of some test rows shifted, each class by a constant."""

    rows: Rows | None  # positions among the labelled test rows; all of them by default
    known: Tensor  # (k,) the shift that the same rows of training ask for
    what: str  # in words: ``the test rows with age = [0-10)``
    how: str  # ``towards “ill” by 1.2``
    name: str = "offset"

    @property
    def detail(self) -> str:
        """What was done."""
        return f"scores of {self.what} shifted {self.how}, as fitted on the other half of them"

    @property
    def advice(self) -> str:
        """What to do."""
        if self.how.startswith("by "):  # of a number; of classes it is towards one
            return f"Move the predictions of {self.what} {self.how}."
        return f"Shift the scores of {self.what} {self.how}."

    def apply(self, world: World, *, exact: bool) -> World:
        """Return the world with shifted scores: each half of the rows as the other half asks for."""
        del exact  # nothing is fitted again
        inside = np.ones(len(world.rows), dtype=bool) if self.rows is None else np.isin(world.rows, self.rows)
        offset = torch.zeros_like(world.offset)
        for half in (world.first, ~world.first):
            fitted, judged = (torch.from_numpy(inside & some) for some in (half, ~half))
            shift = fit_offset(world.trained, world.scores[fitted], world.block.y[fitted])
            offset[judged] = shift - self.known
        return world.with_offset(offset)


def fit_offset(trained: Trained, scores: Tensor, y: Tensor) -> Tensor:
    """Return the shift of scores by which some rows' loss is least, drawn towards none."""
    k = scores.shape[1]  # (m, k), (m,) -> (k,)
    found, a = scores.new_zeros(k), trained.calibration[0]
    prior = PRIOR * a * a * torch.eye(k, dtype=scores.dtype)
    for _ in range(STEPS if len(y) else 0):
        s = scores + found
        slope = trained.loss_slope(s, y).sum(0) + prior @ found
        bend = a * a * trained.judged.curvature(trained.log_odds(s), y).sum(0) + prior
        step = torch.linalg.solve(bend, slope)
        before = _loss(trained, scores, y, found, prior)
        scale = 1.0
        while scale > SHORTEST and _loss(trained, scores, y, found - scale * step, prior) > before:
            scale /= 2.0
        found = found - scale * step
        if float(step.abs().max()) < FOUND:
            break
    return found


def _loss(trained: Trained, scores: Tensor, y: Tensor, shift: Tensor, prior: Tensor) -> float:
    return float(trained.loss(scores + shift, y).sum() + 0.5 * shift @ prior @ shift)


def shift_in_words(trained: Trained, shift: Tensor, label: int) -> str:
    """Say what a shift of scores does to one class, against the mean of the others."""  # (k,)
    if (quantity := trained.quantity) is not None:
        by = float(shift[0])
        return f"by a factor of {np.exp(by):.3g}" if quantity.is_count else f"by {by * quantity.unit:+.3g}"
    full = trained.calibration[0] * np.concatenate([[0.0], shift.numpy()])
    size = full[label] - np.delete(full, label).mean()
    way = "towards" if size > 0 else "away from"
    return f"{way} “{trained.classes[label]}” by {abs(size):.2g} in log-odds"
