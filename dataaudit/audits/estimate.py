"""Exact values for the rows that people look at, where those of all rows are estimates.

Where no factor of the Hessian fits in memory the quadratic forms of all rows come from random projections
(`solvers.projected`). A row that the list does not show might belong there by the error of its estimate. So
the forms of the first rows, and of those that would be among them if their forms were larger by Z standard
errors, are solved for; the list is made anew, until no row at its top is an estimate. A random sample of rows
is solved for as well, and says how far the estimates of all the others are off.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from dataaudit.audits.health import Check
from dataaudit.statistics import Z95
from dataaudit.training.trained import RowScores, Trained, score_rows

SAMPLED: Final = 100  # rows by which the estimates are judged
MOST: Final = 4  # times the rows that are shown, solved for in one round at most
ROUNDS: Final = 8
COVERED: Final = 0.85  # least share of the sampled rows within their interval; 95 % are expected

Rows = NDArray[np.int64]


def standard_errors(leverage: NDArray[np.float64], probes: int) -> NDArray[np.float64]:
    """Return the standard errors of estimated leverages, relative to them (`solvers.projected`)."""
    h = np.clip(leverage, 0.0, 1.0)
    return np.asarray(np.sqrt(2.0 / probes) * (1.0 - h) / np.sqrt(h**2 + (1.0 - h) ** 2))


@dataclass(frozen=True)
class Sample:
    """Rows drawn at random, with their leverage as it was estimated."""

    rows: Rows
    estimated: NDArray[np.float64]

    def check(self, leverage: NDArray[np.float64], probes: int) -> Check:
        """Compare with what solving gives."""  # (n,)
        exact = leverage[self.rows]
        off = np.abs(self.estimated - exact) / np.maximum(exact, 1e-300)
        within = float((off <= Z95 * standard_errors(exact, probes)).mean())
        message = (
            f"The influence of most rows on themselves is estimated, by {probes} random projections: of "
            f"{len(self.rows)} rows drawn at random half are off by less than {np.median(off):.0%}, and "
            f"{within:.0%} are within the 95% interval that is claimed. Rows on the page are exact."
        )
        return ("estimates", within, COVERED, within >= COVERED, message)


def sample(scores: RowScores, seed: int) -> Sample:
    """Draw rows by which estimates are judged."""
    n = len(scores.leverage)
    rows = np.sort(np.random.default_rng(seed).choice(n, min(n, SAMPLED), replace=False))
    return Sample(rows, scores.leverage[rows])


def candidates(trained: Trained, scores: RowScores, order: Rows, shown: int) -> Rows:
    """Return rows still estimated that are among the first, or would be by the error of the estimate."""
    exact = np.zeros(len(order), dtype=bool) if trained.exact is None else trained.exact
    first = order[:shown]
    error = standard_errors(scores.leverage, trained.prepared.probes)
    larger = trained.forms * torch.from_numpy(np.where(exact, 1.0, 1.0 + Z95 * error))[:, None, None]
    high = score_rows(replace(trained, given=larger)).loo_loss
    maybe = np.flatnonzero(high >= scores.loo_loss[first].min(initial=np.inf))
    maybe = maybe[np.argsort(-high[maybe], kind="stable")][: MOST * shown]
    rows = np.unique(np.concatenate([first, maybe]))
    return np.asarray(rows[~exact[rows]])
