"""One attack: some training rows, changed step by step with retraining, until a test row is mispredicted.

Once the prediction flips, what is not needed is taken back: cells and words are put in the order of what the
test loss would lose without them, and the fewest of them that still flip it are found by bisection, with a
refit each. What is reported is a refit from the original parameters.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from torch import Tensor

from dataaudit.audits.attack.change import Change, Ground, Unit
from dataaudit.audits.attack.domain import Reals, Whole
from dataaudit.audits.attack.reach import Batch, batch_of_changes
from dataaudit.audits.attack.retrain import (
    Outcome,
    leverages,
    outcome,
    predicted_parameters,
    probe_at,
    refit,
    with_rows,
)
from dataaudit.audits.attack.steps import advance
from dataaudit.audits.trained import Trained
from dataaudit.objective import Objective
from dataaudit.rows import Block

SIZES: Final = (1, 2, 10)  # training rows of an attack
STEPS: Final = 12
_PATIENCE: Final = 2  # steps without a gain


@dataclass(frozen=True)
class Attack:
    """What became of a test row.

    Attributes
    ----------
    size : int
        Training rows that were allowed to change.
    changes : tuple of Change
        Those that did.
    before, predicted, after : Outcome
        The test row under the model, under the parameters that are predicted, and after a true refit.
    steps : int
        Projected sign steps, each with a refit.
    cells : int
        Cells and words that differ.
    sizes : ndarray
        Of every number, or vector, that moved: by how much, as a share of its column's spread.
    leverage, leverage_before : ndarray (m,)
        Of the changed rows in the refitted model, and of the same rows as they were in the model.
    """

    size: int
    changes: tuple[Change, ...]
    before: Outcome
    predicted: Outcome
    after: Outcome
    steps: int
    cells: int
    sizes: Reals
    leverage: Reals
    leverage_before: Reals

    @property
    def flipped(self) -> bool:
        """Whether the prediction changed."""
        return self.after.predicted != self.before.predicted


@dataclass(frozen=True)
class _Tried:
    """Changed rows, and the model that was trained with them."""

    changes: list[Change]
    batch: Batch
    objective: Objective
    theta: Tensor
    outcome: Outcome


def attack(trained: Trained, ground: Ground, *, test: Block, rows: Whole, leverage: Reals) -> Attack:
    """Change training rows until the test row is mispredicted, or nothing is left to gain.

    Parameters
    ----------
    trained : Trained
        The model.
    ground : Ground
        Training rows and what may change.
    test : Block
        One correctly predicted test row.
    rows : ndarray (m,) int64
        Positions of the training rows.
    leverage : ndarray (n,)
        Of all training rows, as they are.

    Returns
    -------
    Attack
    """
    theta = trained.fit.theta
    before = outcome(trained, theta, test)
    whole = [ground.untouched(row) for row in rows.tolist()]
    start = _Tried(whole, _batch(trained, ground, whole), trained.objective, theta, before)
    found, steps = _climb(trained, ground, start, test)
    if found.outcome.predicted != before.predicted:
        found = _prune(trained, ground, found, test)
    changes = [change for change in found.changes if ground.units(change)]
    if not changes:
        none = np.zeros(0)
        return Attack(len(rows), (), before, before, before, steps, 0, none, none, none)
    last = _try(trained, ground, changes, test, sharp=True)
    at = _rows(changes)
    block = last.objective.rows.take(torch.from_numpy(at))
    return Attack(
        size=len(rows),
        changes=tuple(changes),
        before=before,
        predicted=outcome(trained, predicted_parameters(trained, at, block), test),
        after=last.outcome,
        steps=steps,
        cells=sum(len(ground.units(change)) for change in changes),
        sizes=np.array([size for change in changes for size in sizes(ground, change)]),
        leverage=leverages(trained, last.objective, last.theta, block=block),
        leverage_before=leverage[at],
    )


def sizes(ground: Ground, change: Change) -> list[float]:
    """Return how far each number, and each vector, moved: shares of the spread, the largest of a vector."""
    whole, found = ground.untouched(change.row), []
    for unit in ground.units(change):
        if unit.kind == "number":
            distance = abs(change.numbers[unit.place] - whole.numbers[unit.place])
            found.append(float(distance / ground.domain.numbers[unit.place].spread))
        elif unit.kind == "vector":
            distance = np.abs(change.vectors[unit.place] - whole.vectors[unit.place])
            spread = ground.domain.vectors[unit.place].spread
            found.append(float((distance / np.where(spread > 0, spread, np.inf)).max()))
    return found


def _climb(trained: Trained, ground: Ground, start: _Tried, test: Block) -> tuple[_Tried, int]:
    """Take steps until the prediction flips; return the point of the largest loss, and the steps."""
    now, best, idle = start, start, 0
    for step in range(STEPS):
        probe = probe_at(trained, now.objective, now.theta, test=test)
        moved = advance(probe, ground, now.changes, batch=now.batch)
        if all(_same(a, b) for a, b in zip(moved, now.changes, strict=True)):
            return best, step
        now = _try(trained, ground, moved, test)
        if now.outcome.predicted != start.outcome.predicted:
            return now, step + 1
        idle = 0 if now.outcome.loss > best.outcome.loss else idle + 1
        best = now if idle == 0 else best
        if idle >= _PATIENCE:
            return best, step + 1
    return best, STEPS


def _prune(trained: Trained, ground: Ground, found: _Tried, test: Block) -> _Tried:
    """Keep the fewest cells and words that still flip the prediction, those first that do most."""
    ordered = _by_gain(trained, ground, found, test)
    low, high, kept = 1, len(ordered), found
    while low < high:
        middle = (low + high) // 2
        fewer = _keep(ground, found.changes, ordered[:middle])
        tried = _try(trained, ground, fewer, test)
        if tried.outcome.predicted == int(test.y[0]):
            low = middle + 1
        else:
            high, kept = middle, tried
    return kept


def _by_gain(trained: Trained, ground: Ground, found: _Tried, test: Block) -> list[tuple[int, Unit]]:
    """Return all that was changed, as (which row, what), by what the test loss would lose without it."""
    probe = probe_at(trained, found.objective, found.theta, test=test)
    units = [(at, unit) for at, change in enumerate(found.changes) for unit in ground.units(change)]
    without = []
    for at, unit in units:
        change = found.changes[at]
        without.append(ground.only(change, [other for other in ground.units(change) if other != unit]))
    pair = found.batch, _batch(trained, ground, without)
    gains = [probe.gain(probe.scored(b.block.X), b.block.y, b.block.weight).numpy() for b in pair]
    lost = np.array([gains[0][at] for at, _ in units]) - gains[1]
    return [units[place] for place in np.argsort(-lost, kind="stable")]


def _keep(ground: Ground, changes: Sequence[Change], kept: Sequence[tuple[int, Unit]]) -> list[Change]:
    return [
        ground.only(change, [unit for place, unit in kept if place == at])
        for at, change in enumerate(changes)
    ]


def _try(
    trained: Trained,
    ground: Ground,
    changes: list[Change],
    test: Block,
    *,
    sharp: bool = False,
) -> _Tried:
    """Train with changed rows."""
    batch = _batch(trained, ground, changes)
    objective = with_rows(trained.objective, batch.rows, batch.block.X)
    near = predicted_parameters(trained, batch.rows, batch.block)
    fit = refit(trained, objective, near, sharp=sharp)
    return _Tried(changes, batch, objective, fit.theta, outcome(trained, fit.theta, test))


def _batch(trained: Trained, ground: Ground, changes: list[Change]) -> Batch:
    return batch_of_changes(ground, changes, trained.objective.rows.take(torch.from_numpy(_rows(changes))))


def _rows(changes: Sequence[Change]) -> Whole:
    return np.array([change.row for change in changes], dtype=np.int64)


def _same(a: Change, b: Change) -> bool:
    return (
        a.edits == b.edits
        and np.array_equal(a.numbers, b.numbers)
        and np.array_equal(a.states, b.states)
        and all(np.array_equal(x, y) for x, y in zip(a.vectors, b.vectors, strict=True))
    )
