r"""Rows to look at for an honest count: a probability sample, valid for every prefix of its order.

How uncertain row i is, by its probability of a wrong label and the leave-one-out probability of its label,
and how likely it is drawn into a sample of m rows::

    q_i = clip(½ p_wrong_i + ½ (1 − p_loo_i), .02, .98)
    π_i ∝ .7 √(q_i (1 − q_i)) / Σ_j √(q_j (1 − q_j)) + .3 / n,        Σ π_i = m,   π_i ≤ 1

The first part is Neyman's allocation: rows whose answer is least certain are worth most; the second bounds
what a single wrong row of low π can weigh. Rows are ordered by u_i / π_i with u_i uniform, which is
sequential Poisson sampling (Ohlsson 1998, J. Official Statistics 14): every prefix is such a sample, of as
many rows, so that a reviewer may stop anywhere.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_CERTAIN = 0.02  # no row is thought surer than this
_ALLOCATED = 0.7  # share of the draws that goes by uncertainty; the rest goes to all rows alike


def sizes(p_wrong: Floats, p_label: Floats) -> Floats:
    """Return what chances to be drawn are proportional to; the sum is 1.

    The arguments are P(label is wrong) and the leave-one-out P(label).
    """  # (n,), (n,) -> (n,)
    q = np.clip(0.5 * p_wrong + 0.5 * (1.0 - p_label), _CERTAIN, 1.0 - _CERTAIN)
    spread = np.sqrt(q * (1.0 - q))
    return np.asarray(_ALLOCATED * spread / spread.sum() + (1.0 - _ALLOCATED) / len(q))


def inclusion(size: Floats, rows: int) -> Floats:
    """Return the probability of each row to be among `rows` that are drawn."""  # (n,) -> (n,)
    if rows >= len(size):
        return np.ones(len(size))
    sure = np.zeros(len(size), dtype=bool)
    while True:
        share = np.where(sure, 1.0, (rows - sure.sum()) * size / size[~sure].sum())
        if not (share[~sure] > 1.0).any():
            return np.asarray(share)
        sure |= share >= 1.0


def draw(size: Floats, rows: int, *, seed: int) -> Ints:
    """Return the positions of the rows to look at, in the order in which to look."""  # (n,) -> (rows,)
    uniform = np.random.default_rng(seed).random(len(size))
    return np.argsort(uniform / size, kind="stable")[:rows]
