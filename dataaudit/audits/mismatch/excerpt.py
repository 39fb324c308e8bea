"""The rows that slices, columns and fixes are searched on where not all of them are in memory.

A model of all training rows is fitted, predictions are of all test rows, and harm is of every training row
on every error: that takes passes over rows on disk. The search asks far more of the rows, and has them in
memory: all where they fit, else as many as do, drawn at random. A model of drawn training rows is one of its
own, with the same features and λ, but rows are left out of it as out of the model of all.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray

from dataaudit.audits.testset import Pair, Tested, predict
from dataaudit.data.dataset import Dataset
from dataaudit.memory import FEWEST_SEARCHED, SEARCHED, memory_limit
from dataaudit.model.objective import Objective
from dataaudit.model.rows import MemoryRows
from dataaudit.solvers import prepare
from dataaudit.solvers.newton import minimise
from dataaudit.training.trained import Encoded, Trained

MOST: Final = 200_000  # rows of either side
_SHARE: Final = 4  # of the memory that may be used, each side takes so small a part

Rows = NDArray[np.int64]


@dataclass(frozen=True)
class Excerpt:
    """Rows in memory, and which ones they are."""

    pair: Pair
    trained: Trained
    train: Rows  # positions among all training rows
    test: Rows  # positions among all labelled test rows
    labelled: Rows  # positions of all labelled test rows among those that were read
    notes: tuple[str, ...] = ()  # where they are not all

    @property
    def is_whole(self) -> bool:
        """Whether they are all rows."""
        return not self.notes

    def raw_test(self, loss: NDArray[np.float64]) -> tuple[pl.DataFrame, NDArray[np.float64]]:
        """Return test rows as read, with a loss each; nan where one has no label that training knows."""
        raw, labelled = self.pair.raw_test, self.labelled
        losses = np.full(raw.height, np.nan)
        losses[labelled] = loss
        if isinstance(raw, pl.DataFrame):
            return raw, losses
        others = np.setdiff1d(np.arange(raw.height), labelled)
        share = len(self.test) / max(len(labelled), 1)
        rows = np.union1d(labelled[self.test], others[: int(np.ceil(share * len(others)))])
        return raw[rows], losses[rows]

    def tested(self, trained: Trained, all_of_them: Tested) -> Tested:
        """Return the predictions of its test rows by its model."""
        if self.trained is trained and self.pair.test is all_of_them.dataset:
            return all_of_them
        return predict(self.trained, self.pair.test, all_of_them.y[self.test])


def excerpt_of(pair: Pair, trained: Trained, *, seed: int) -> Excerpt:
    """Return rows in memory: all that are, and of others as many as fit."""
    random = np.random.default_rng(seed)
    sides = (pair.train, pair.test)
    train, test = (_drawn(side, trained, random) for side in sides)
    known, new = (_taken(side, rows) for side, rows in zip(sides, (train, test), strict=True))
    smaller = trained if known is pair.train else _smaller(trained, known, train)
    target = replace(pair.target, y=pair.target.y[train])
    y = None if pair.y is None else pair.y[test]
    notes = tuple(
        f"Slices, columns and fixes were searched on {len(rows):,} of {side.n:,} {which} rows, drawn at "
        "random, as the others stay on disk: counts, worth and proofs of findings are of these."
        for side, rows, which in zip(sides, (train, test), ("training", "test"), strict=True)
        if len(rows) < side.n
    )
    if notes:
        notes += ("Copies, and single rows that mislead, were not searched: see the most harmful rows.",)
    there = replace(pair, train=known, test=new, target=target, y=y, labelled=pair.labelled[test])
    return Excerpt(there, smaller, train, test, pair.labelled, notes)


def _drawn(side: Dataset, trained: Trained, random: np.random.Generator) -> Rows:
    """Return the positions of the rows to search on."""
    row = SEARCHED * side.frame.width + 8 * trained.objective.rows.width
    most = min(MOST, max(FEWEST_SEARCHED, memory_limit() // (_SHARE * row)))
    if isinstance(side.frame, pl.DataFrame) or side.n <= most:
        return np.arange(side.n)
    return np.sort(random.choice(side.n, most, replace=False))


def _taken(side: Dataset, rows: Rows) -> Dataset:
    """Return some rows of a table on disk; a table in memory stays as it is."""
    if isinstance(side.frame, pl.DataFrame):
        return side
    names = {name: getattr(side, name).gather(rows) for name in ("row_id", "row", "source", "line")}
    return replace(side, frame=side.frame[rows], **names)


def _smaller(trained: Trained, known: Dataset, rows: Rows) -> Trained:
    """Return the model of training rows in memory: the same one where these are all."""
    encoded, objective, at = trained.encoded, trained.objective, torch.from_numpy(rows)
    if encoded is None:
        raise AssertionError("a model of one's own has its rows in memory")
    columns = encoded.encoding.transform(known.frame)
    X = encoded.basis.transform(columns)
    there = torch.from_numpy(X) if isinstance(X, np.ndarray) else X
    some = Objective(
        MemoryRows(there, objective.rows.y[at], objective.rows.weight[at]), objective.model, objective.l2
    )
    n, m = objective.rows.n, len(rows)
    same = replace(
        trained,
        objective=some,
        encoded=Encoded(encoded.encoding, columns, encoded.basis),
        given=trained.forms[at] * (m / n),  # what a row weighs among all
    )
    if m == n:
        return same
    fit = minimise(some, trained.fit.theta).require_converged()
    return replace(same, fit=fit, prepared=prepare(some, fit.theta, damping=trained.prepared.damping))
