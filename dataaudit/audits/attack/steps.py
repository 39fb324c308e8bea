"""The greatest reach of a training row within the domain, and the projected sign step.

A step is that of Koh & Liang (2017, section 5.2), ``z := Π(z + α sign(I_pert,loss))``, on the user's columns:
every number moves by a quarter of what it may move (at least by its last digit), up or down as the test loss
gains, and not at all where it gains nothing; coordinates of vectors go by the sign of their slope; of the
categories, and of the words, the one that gains most is changed, as long as the row has some left to change.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from dataaudit.audits.attack.change import Change, Ground
from dataaudit.audits.attack.domain import Number, Reals, Whole
from dataaudit.audits.attack.reach import (
    Batch,
    Probe,
    batch_of_rows,
    category_gains,
    number_gains,
    vector_slopes,
)
from dataaudit.audits.attack.wording import term_counts, wordings
from dataaudit.encode.text import count_terms
from dataaudit.rows import Block

PARTS: Final = 4  # steps from a value to the end of what is allowed
ROWS: Final = 4096  # looked at at a time


@dataclass(frozen=True)
class Reach:
    """The most that changes of each training row could add to a test loss, to first order.

    Attributes
    ----------
    total : ndarray (b,)
        By all its cells together, in nats: the sum of the gains, as if they did not meet.
    columns : dict of ndarray (b,)
        By each column alone; of a text, by its best words.
    """

    total: Reals
    columns: dict[str, Reals]


@dataclass(frozen=True)
class Texts:
    """Counts of terms of all training rows, made once."""

    counts: tuple[csr_array, ...]


def read_texts(ground: Ground) -> Texts:
    """Count the terms of the domain's texts."""
    return Texts(tuple(term_counts(ground, words) for words in ground.domain.texts))


def reach(probe: Probe, ground: Ground, block: Block, *, rows: Whole, texts: Texts) -> Reach:
    """Return the greatest reach of training rows.

    Parameters
    ----------
    probe : Probe
        The test row.
    ground : Ground
        The rows and what may change.
    block : Block
        The rows in the model's basis.
    rows : ndarray (b,) int64
        Their positions.
    texts : Texts
        From `read_texts`.

    Returns
    -------
    Reach
    """
    parts = []
    for start in range(0, len(rows), ROWS):
        part = slice(start, start + ROWS)
        small = Block(block.X[part], block.y[part], block.weight[part])
        batch = batch_of_rows(ground, small, rows[part])
        parts.append(_reach(probe, ground, batch, texts))
    names = parts[0].columns if parts else {}
    return Reach(
        np.concatenate([part.total for part in parts]) if parts else np.zeros(0),
        {name: np.concatenate([part.columns[name] for part in parts]) for name in names},
    )


def _reach(probe: Probe, ground: Ground, batch: Batch, texts: Texts) -> Reach:
    domain, b = ground.domain, len(batch.rows)
    total, columns = np.zeros(b), dict[str, Reals]()
    ends = [_ends(domain.numbers, batch, batch.numbers, sign) for sign in (-1.0, 1.0)]
    both = [number_gains(probe, ground, batch, targets=_present(domain.numbers, batch, end)) for end in ends]
    for j, number in enumerate(domain.numbers):
        columns[number.column] = np.maximum(both[0][:, j], both[1][:, j]).clip(min=0.0)
        total += columns[number.column]
    for at, vector in enumerate(domain.vectors):
        columns[vector.column] = np.abs(vector_slopes(probe, ground, batch, at=at)) @ vector.width
        total += columns[vector.column]
    swaps = np.zeros((b, len(domain.categories)))
    for at, category in enumerate(domain.categories):
        swaps[:, at] = category_gains(probe, ground, batch, at=at)[1].max(axis=1).clip(min=0.0)
        columns[category.column] = swaps[:, at]
    total += -np.sort(-swaps, axis=1)[:, : domain.limits.swaps].sum(axis=1)
    edits = np.zeros((b, 0))
    for words, counts in zip(domain.texts, texts.counts, strict=True):
        found = wordings(probe, batch, words, counts=counts[batch.rows])
        gains = found.best(domain.limits.words, b)[1]
        columns[words.column] = gains.sum(axis=1)
        edits = np.hstack([edits, gains])
    total += -np.sort(-edits, axis=1)[:, : domain.limits.words].sum(axis=1)
    return Reach(total, columns)


def advance(probe: Probe, ground: Ground, changes: list[Change], *, batch: Batch) -> list[Change]:
    """Take one projected sign step with every row.

    Parameters
    ----------
    probe : Probe
        The test row at the parameters as they are now.
    ground : Ground
        The rows and what may change.
    changes : list of Change
        m rows as changed so far.
    batch : Batch
        The same, encoded.

    Returns
    -------
    list of Change
        The same objects where a row has nothing left to gain.
    """
    moved = _step_numbers(probe, ground, batch)
    after = [replace(change, numbers=values) for change, values in zip(changes, moved, strict=True)]
    after = _step_vectors(probe, ground, after, batch)
    after = _step_categories(probe, ground, after, batch)
    return _step_words(probe, ground, after, batch)


def _ends(numbers: tuple[Number, ...], batch: Batch, original: Reals, sign: float) -> Reals:
    """Return the furthest that the numbers may go."""  # -> (b, dn)
    ends = [n.settle(original[:, j] + sign * n.width, original[:, j]) for j, n in enumerate(numbers)]
    return np.column_stack(ends) if ends else np.empty((len(batch.rows), 0))


def _present(numbers: tuple[Number, ...], batch: Batch, targets: Reals) -> Reals:
    """Return the targets, and the values as they are where the cell is missing."""
    there = _there(numbers, batch)
    return np.where(there, targets, batch.numbers)


def _there(numbers: tuple[Number, ...], batch: Batch) -> NDArray[np.bool_]:
    there = [number.present[batch.rows] for number in numbers]
    return np.column_stack(there) if there else np.empty((len(batch.rows), 0), dtype=bool)


def _step_numbers(probe: Probe, ground: Ground, batch: Batch) -> Reals:
    numbers = ground.domain.numbers
    original, best, gained = ground.numbers[batch.rows], batch.numbers.copy(), np.zeros_like(batch.numbers)
    for sign in (-1.0, 1.0):
        wanted = [
            n.settle(batch.numbers[:, j] + sign * _stride(n), original[:, j]) for j, n in enumerate(numbers)
        ]
        if not wanted:
            continue
        targets = _present(numbers, batch, np.column_stack(wanted))
        gains = number_gains(probe, ground, batch, targets=targets)
        better = gains > gained
        best, gained = np.where(better, targets, best), np.where(better, gains, gained)
    return best


def _stride(number: Number) -> float:
    unit = 0.0 if number.decimals is None else 10.0**-number.decimals
    return max(number.width / PARTS, unit)


def _step_vectors(probe: Probe, ground: Ground, changes: list[Change], batch: Batch) -> list[Change]:
    if not ground.domain.vectors:
        return changes
    slopes = [vector_slopes(probe, ground, batch, at=at) for at in range(len(ground.domain.vectors))]
    after = []
    for place, change in enumerate(changes):
        moved = tuple(
            vector.settle(
                change.vectors[at] + np.sign(slopes[at][place]) * vector.width / PARTS,
                ground.vector(at, change.row),
            )
            for at, vector in enumerate(ground.domain.vectors)
        )
        after.append(replace(change, vectors=moved))
    return after


def _step_categories(probe: Probe, ground: Ground, changes: list[Change], batch: Batch) -> list[Change]:
    """Change the category of each row that gains most, or change one again that was changed already."""
    if not ground.domain.categories:
        return changes
    found = [category_gains(probe, ground, batch, at=at) for at in range(len(ground.domain.categories))]
    best = np.column_stack([gains.max(axis=1) for _, gains in found])
    after = []
    for place, change in enumerate(changes):
        original = ground.states[change.row]
        differs = change.states != original
        open_to = differs if differs.sum() >= ground.domain.limits.swaps else np.ones_like(differs)
        mine = np.where(open_to, best[place], -np.inf)
        at = int(mine.argmax())
        if not mine[at] > 0:
            after.append(change)
            continue
        states, gains = found[at]
        new = change.states.copy()
        new[at] = states[int(gains[place].argmax())]
        after.append(replace(change, states=new))
    return after


def _step_words(probe: Probe, ground: Ground, changes: list[Change], batch: Batch) -> list[Change]:
    """Remove or add the word of each row that gains most."""
    after, best = list(changes), np.zeros(len(changes))
    if all(len(change.edits) >= ground.domain.limits.words for change in changes):
        return after
    frame = ground.frame(changes) if ground.domain.texts else ground.dataset.frame
    for words in ground.domain.texts:
        counts = count_terms(frame.get_column(words.column).alias(""), words.encoder.vocabulary)
        found = wordings(probe, batch, words, counts=counts)
        at, gains = found.best(1, len(changes))
        for place, change in enumerate(changes):
            if len(change.edits) < ground.domain.limits.words and gains[place, 0] > best[place]:
                best[place] = gains[place, 0]
                edit = found.edit(words, int(at[place, 0]))
                after[place] = replace(change, edits=(*change.edits, edit))
    return after
