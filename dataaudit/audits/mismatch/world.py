"""The model and the test rows as they are, and as they would be once something is fixed.

A fix changes cells of the test rows, training rows (left out, relabelled, weighed), the columns in use, or
the scores by an offset. Each way leads from one `World` to another, so that fixes can follow each other: what
is still wrong once the first is done tells causes from by-products.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray
from torch import Tensor

from dataaudit.audits.testset import Evaluation, Tested, evaluated
from dataaudit.errors import SettingError
from dataaudit.model.objective import Objective
from dataaudit.model.rows import Block
from dataaudit.options import NOT_KEPT, Checkpoint
from dataaudit.solvers.newton import TINY, FitSettings, minimise
from dataaudit.training.trained import Trained

Rows = NDArray[np.int64]
# Test rows that fixes are judged on, at most.
JUDGED = 20_000
# Newton steps where nothing is proved, and of models with many parameters; each is halved until the objective
# falls, since a full step for other labels goes far too wide where the model was sure of the old ones.
FAST, LARGE = 2, 1


@dataclass(frozen=True)
class World:
    """One state of training rows, parameters and t judged test rows."""

    trained: Trained  # as it is, whatever was fixed since
    known: pl.DataFrame  # (n) source columns of the training rows
    new: pl.DataFrame  # (t) source columns of the judged test rows, as they are after the fixes so far
    rows: Rows  # (t,) positions of the judged rows among the labelled test rows
    first: NDArray[np.bool_]  # (t,) which are in the first half: what is fitted on one is judged on the other
    block: Block  # the judged rows, encoded
    objective: Objective  # of the training rows after the fixes so far
    theta: Tensor  # (p,)
    offset: Tensor  # (t, k) added to the scores
    kept: Checkpoint = NOT_KEPT  # of refits

    @classmethod
    def of(cls, trained: Trained, known: pl.DataFrame, tested: Tested, *, seed: int) -> World:
        """Return the world as it is, with some of the test rows drawn where there are many."""
        random = np.random.default_rng(seed)
        rows = np.arange(tested.n)
        if tested.n > JUDGED:
            rows = np.sort(random.choice(tested.n, JUDGED, replace=False))
        first = np.zeros(len(rows), dtype=bool)
        first[random.permutation(len(rows))[: len(rows) // 2]] = True
        block = tested.take(rows)
        offset = tested.scores.new_zeros(len(rows), tested.scores.shape[1])
        new = tested.dataset.frame[rows]
        return cls(trained, known, new, rows, first, block, trained.objective, trained.fit.theta, offset)

    @property
    def y(self) -> Rows:
        """Class numbers of the judged rows, or numbers in the model's unit."""  # (t,)
        return self.block.y.numpy()

    @cached_property
    def scores(self) -> Tensor:
        """Scores of the judged rows."""  # (t, k)
        scores: Tensor = self.objective.model.scores(self.theta, self.block) + self.offset
        return scores

    @cached_property
    def evaluation(self) -> Evaluation:
        """Losses of the judged rows, in nats, and which are mispredicted."""
        return evaluated(self.trained, self.scores, self.block.y)

    @cached_property
    def retrained(self) -> tuple[Evaluation, ...]:
        """The same by each refit of a network."""
        network = self.trained.network
        if network is None:
            return (self.evaluation,)
        rows = self.objective.rows
        there = network.retrained(self.known, self.new, y=rows.y, weight=rows.weight, kept=self.kept)
        return tuple(evaluated(self.trained, s + self.offset, self.block.y) for s in there)

    def judged(self, *, exact: bool) -> Evaluation:
        """Return the evaluation that a proof rests on, a mean over refits, or that of the model."""
        if not exact or self.trained.network is None:
            return self.evaluation
        loss = np.mean([one.loss for one in self.retrained], axis=0)
        wrong = np.mean([one.wrong for one in self.retrained], axis=0) > 0.5  # noqa: PLR2004 - most of them
        return Evaluation(wrong, loss)

    def some(self, at: Rows) -> World:
        """Return the world with some of its test rows."""  # (m,) positions among them
        X = self.block.X[torch.from_numpy(at)] if isinstance(self.block.X, Tensor) else self.block.X[at]
        there = torch.from_numpy(at)
        block = Block(X, self.block.y[there], self.block.weight[there])
        rows, first, offset = self.rows[at], self.first[at], self.offset[there]
        return replace(self, new=self.new[at], rows=rows, first=first, block=block, offset=offset)

    def with_cells(self, *columns: pl.Series) -> World:
        """Return the world with other cells in columns of the test rows, each of t values."""
        new = self.new.with_columns(columns)
        return replace(self, new=new, block=replace(self.block, X=_design(self.trained, new)))

    def with_offset(self, offset: Tensor) -> World:
        """Return the world with a further offset of the scores."""  # (t, k)
        return replace(self, offset=self.offset + offset)

    def with_training(self, *, y: Tensor | None = None, weight: Tensor | None = None, exact: bool) -> World:
        """Return the world with other labels, or weights, of the training rows: refitted, or nearly."""
        objective = self.objective  # y, weight (n,)
        objective = objective if y is None else objective.relabelled(y)
        return self._fitted(objective if weight is None else objective.reweighted(weight), exact=exact)

    def without_rows(self, rows: Rows, *, exact: bool) -> World:
        """Return the world without some training rows."""  # (m,)
        weight = self.objective.rows.weight.clone()
        weight[torch.from_numpy(rows)] = 0.0
        return self.with_training(weight=weight, exact=exact)

    def without_columns(self, names: tuple[str, ...], *, exact: bool) -> World:
        """Return the world without some source columns, on both sides: every cell of theirs is missing."""

        def empty(frame: pl.DataFrame) -> list[pl.Series]:
            return [pl.Series(name, [None] * frame.height, self.known.schema[name]) for name in names]

        if self.trained.network is not None:
            raise SettingError("a network has no features of single columns", "give it other features")
        # What an empty column adds to all scores alike is no place to start from.
        start = self.objective.model.matrix(self.theta).clone()
        start[:-1][[feature.column in names for feature in self.trained.features]] = 0.0
        world = replace(self.with_cells(*empty(self.new)), theta=start.view(-1))
        return world.with_known(*empty(self.known), exact=exact)

    def with_known(self, *columns: pl.Series, exact: bool) -> World:
        """Return the world with other cells in columns of the training rows, each of n values: refitted."""
        known = self.known.with_columns(columns)
        rows = replace(self.objective.rows, X=_design(self.trained, known))
        world, objective = replace(self, known=known), replace(self.objective, rows=rows)
        return world._fitted(objective, exact=exact)  # noqa: SLF001 - the same class

    def _fitted(self, objective: Objective, *, exact: bool) -> World:
        """Return the world with the parameters of another objective."""
        near = self.trained.prepared.precondition
        if exact and self.trained.network is None:
            kept = self.kept.below(_key(objective, self.theta)) if self.kept is not NOT_KEPT else NOT_KEPT
            theta = kept.once("minimum", lambda: minimise(objective, self.theta, kept=kept).theta)
        else:
            steps = FitSettings(max_steps=FAST if len(self.theta) <= TINY else LARGE)
            theta = minimise(objective, self.theta, precondition=near, settings=steps).theta
        return replace(self, objective=objective, theta=theta)


def _key(objective: Objective, start: Tensor) -> str:
    """Return a hash of a refit: of the rows, their labels and weights, and where it starts."""
    X, digest = objective.rows.X, hashlib.sha256(start.numpy().data)
    parts = (X,) if isinstance(X, Tensor) else map(torch.from_numpy, (X.data, X.indices, X.indptr))
    for part in (*parts, objective.rows.y, objective.rows.weight):
        digest.update(part.contiguous().numpy().data)
    return digest.hexdigest()[:16]


def _design(trained: Trained, frame: pl.DataFrame) -> Tensor | object:
    X = trained.design(frame)
    return torch.from_numpy(X) if isinstance(X, np.ndarray) else X
