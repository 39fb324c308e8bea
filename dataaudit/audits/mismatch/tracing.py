"""Which training rows are responsible for the wrong predictions, and how many carry each.

Influence on an ordinary prediction is spread over most of the training rows. Where a few rows carry it, the
effective number of rows (participation ratio)

    N = (Σ_i |I|)² / Σ_i I²

is small: the signature of a mismatch.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray

from dataaudit.audits.testset import Tested
from dataaudit.influence.topk import Strongest
from dataaudit.model.rows import Block, added, joined
from dataaudit.training.trained import Trained

TOP = 5
TAKEN = 2**28  # bytes of test rows that are taken at a time

Rows = NDArray[np.int64]
Reals = NDArray[np.float64]


@dataclass(frozen=True)
class Concentration:
    """How many training rows carry each test row."""

    effective: Reals  # (t,) N, in rows
    top_share: Reals  # (t,) share of Σ|I| of the five strongest rows


@dataclass(frozen=True)
class Traced:
    """Test rows whose training rows were searched."""

    rows: Rows  # (m,) their positions among the test rows
    found: Strongest  # extremes of I_up,loss, one row each
    concentration: Concentration  # how many training rows carry them


def concentration(found: Strongest) -> Concentration:
    """Return the effective number of rows and the share of the strongest ones."""
    total, square = found.total.numpy(), found.square.numpy()
    ends = np.abs(np.hstack([found.harmful.numpy()[:, :TOP], found.helpful.numpy()[:, :TOP]]))
    # With few training rows the two ends overlap: the same row is not counted twice.
    same = (found.helpful_rows[:, :TOP, None] == found.harmful_rows[:, None, :TOP]).any(2).numpy()
    ends[:, -same.shape[1] :][same] = 0.0
    top = np.sort(ends, axis=1)[:, -TOP:].sum(1)
    some = total > 0
    effective = np.divide(total**2, square, out=np.zeros_like(total), where=some)
    return Concentration(effective, np.divide(top, total, out=np.zeros_like(total), where=some))


def total_harm(trained: Trained, tested: Tested, rows: Rows) -> Reals:
    """Return Σ_t ω_i I_up,loss(i, t) of every training row over some test rows: one solve, one product."""
    objective, theta = trained.objective, trained.fit.theta
    step = max(1, TAKEN // (8 * objective.model.n_params))
    blocks = (tested.take(rows[start : start + step]) for start in range(0, max(1, len(rows)), step))
    alike = (Block(block.X, block.y, torch.ones_like(block.weight)) for block in blocks)
    summed = added(objective.model.gradient(theta, block) for block in alike)
    solved = trained.prepared.solve(summed[:, None])
    parts = objective.rows.map(partial(objective.model.pair_influences, theta, solved))
    return (objective.rows.weight * joined(parts, objective.rows.n)[:, 0]).numpy()
