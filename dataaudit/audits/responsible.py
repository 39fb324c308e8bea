"""Which training rows are responsible for the wrong predictions, and which errors share them.

Influence on an ordinary prediction is spread over most of the training rows. Where a few rows carry it, the
effective number of rows (participation ratio)

    N = (Σ_i |I|)² / Σ_i I²

is small: the signature of a mismatch. Errors that trace back to the same few harmful rows form a group.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components

from dataaudit.audits.tested import Tested
from dataaudit.audits.trained import Trained
from dataaudit.influence import pair_influences
from dataaudit.rows import Block
from dataaudit.strongest import Strongest

TOP = 5
# An error is carried by few rows when N is so many times below the usual N.
CONCENTRATED = 5.0
# Harmful rows that count beside the most harmful one; what they must do to the loss together, in nats.
BESIDE, FELT = 1 / 3, 0.05
GROUP_ROWS, GROUP_ERRORS = 20, 3

Rows = NDArray[np.int64]
Reals = NDArray[np.float64]


@dataclass(frozen=True)
class Concentration:
    """How many training rows carry each test row.

    Attributes
    ----------
    effective : ndarray (t,)
        N, in rows.
    top_share : ndarray (t,)
        Share of Σ|I| of the five strongest rows.
    """

    effective: Reals
    top_share: Reals


@dataclass(frozen=True)
class Group:
    """Test errors that trace back to the same training rows.

    Attributes
    ----------
    train : ndarray (b,) int64
        Positions of the training rows, the one named by most errors first.
    errors : ndarray (m,) int64
        Places among the traced test rows.
    """

    train: Rows
    errors: Rows


def concentration(found: Strongest) -> Concentration:
    """Return the effective number of rows and the share of the strongest ones.

    Parameters
    ----------
    found : Strongest
        Extremes and sums of I_up,loss.

    Returns
    -------
    Concentration
        One entry per traced test row; a row without any influence has N = 0.
    """
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
    """Return Σ_t I_up,loss(i, t) of every training row over some test rows: one solve, one product.

    Parameters
    ----------
    trained : Trained
        The model.
    tested : Tested
        Test rows.
    rows : ndarray (m,) int64
        Positions of the test rows to sum over.

    Returns
    -------
    ndarray (n,)
        Nats times n; positive means that the test rows would be better off without the row.
    """
    objective, theta = trained.objective, trained.fit.theta
    block = tested.take(rows)
    summed = objective.model.gradient(theta, Block(block.X, block.y, torch.ones_like(block.weight)))
    solved = trained.prepared.solve(summed[:, None])
    parts = [pair_influences(objective.model, theta, solved, block=b)[:, 0] for b in objective.rows.blocks()]
    return torch.cat(parts).numpy()


def group_errors(found: Strongest, carried: Concentration, n: int) -> tuple[Group, ...]:
    """Group test errors by the few training rows that carry them.

    Two rows belong together when at least half of the errors that either of them dominates name both.

    Parameters
    ----------
    found : Strongest
        Extremes per traced test error.
    carried : Concentration
        Of the same errors.
    n : int
        Number of training rows, which influences are divided by.

    Returns
    -------
    tuple of Group
        The one with most errors first; at least 3 errors and at most 20 rows each.
    """
    if not len(carried.effective):
        return ()
    harmful, rows = found.harmful.numpy() / n, found.harmful_rows.numpy()
    named = (harmful >= BESIDE * harmful[:, :1]) & (harmful > 0)
    few = carried.effective * CONCENTRATED <= np.median(carried.effective)
    few &= (harmful * named).sum(1) >= FELT
    few &= ~named[:, -1] | (named.shape[1] == n)  # where all of the k rows count, they are not few
    at, column = np.nonzero(named & few[:, None])
    if not len(at):
        return ()
    names, code = np.unique(rows[at, column], return_inverse=True)
    table = csr_array((np.ones(len(at)), (at, code)), shape=(len(rows), len(names)))
    together = (table.T @ table).tocoo()
    counts = together.diagonal()
    close = together.data >= 0.5 * np.maximum(counts[together.row], counts[together.col])
    graph = csr_array(
        (np.ones(int(close.sum())), (together.row[close], together.col[close])), shape=(len(names),) * 2
    )
    _, component = connected_components(graph, directed=False)
    groups = [_group(table, names, np.flatnonzero(component == c)) for c in range(component.max() + 1)]
    kept = [g for g in groups if len(g.errors) >= GROUP_ERRORS and len(g.train) <= GROUP_ROWS]
    return tuple(sorted(kept, key=lambda g: (-len(g.errors), int(g.train[0]))))


def _group(table: csr_array, names: Rows, members: Rows) -> Group:
    """Return a component's rows, and the errors at least half of whose named rows are among them."""
    own = np.asarray(table[:, members].sum(1)).ravel()
    errors = np.flatnonzero((own > 0) & (2 * own >= np.asarray(table.sum(1)).ravel()))
    strength = np.asarray(table[:, members].sum(0)).ravel()
    return Group(names[members[np.argsort(-strength, kind="stable")]], errors)
