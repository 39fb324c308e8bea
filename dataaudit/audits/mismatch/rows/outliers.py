"""Single training rows that mislead, and few that do together.

The harm of a row is what test loses by it, to first order. The largest of n harms that are of one kind are
apart by spacings: with h_1 ≥ h_2 ≥ … of an exponential tail, j (h_j - h_{j+1}) is exponential with the mean
excess of the tail (Rényi 1953). A gap that chance does not explain parts the j rows above it from all others:
a poisoned row, or a few. Other rows are proposed by their harm to one half of test, and confirmed by the other.
"""

from __future__ import annotations

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray

from dataaudit.audits.mismatch.rows.fixes import Relabel, Remove
from dataaudit.audits.mismatch.rows.screen import Screen, z_of
from dataaudit.audits.mismatch.suspects import Fix, Suspect
from dataaudit.audits.mismatch.world import World
from dataaudit.audits.testset import Pair, Tested
from dataaudit.features.columns import values_of
from dataaudit.training.trained import Trained

# Chance of a gap among the harms of so many rows, by as many others that give the tail.
LEVEL, GROUP, TAIL = 1e-3, 5, 30
# Rows that each half proposes; standard errors by which a half confirms them.
PROPOSED, CONFIRMED = 2, 2.0
# A cell is far from all others at so many quartile distances, and times the distance of the next; names said.
FAR, FURTHER, NAMED = 3.0, 1.5, 4

Rows = NDArray[np.int64]
Reals = NDArray[np.float64]


def row_suspects(pair: Pair, trained: Trained, tested: Tested, world: World, seed: int = 0) -> list[Suspect]:
    """Return the training rows whose leaving, alone or together, is worth most to test."""
    del tested, seed  # the world's rows and halves are judged
    screen = Screen(trained, world)
    loss = trained.loss(trained.left_out, trained.objective.rows.y).numpy()
    leaving = screen.influence[0]
    apart, p = standing_apart(leaving.sum(0))
    alone = [*apart[:PROPOSED], *(row for half in leaving for row in np.argsort(-half)[:PROPOSED])]
    found = [
        _of_row(pair, screen, int(row), loss=loss, chance=p if row in apart else 1.0)
        for row in dict.fromkeys(alone)
    ]
    if len(apart) > 1:
        found.append(_of_group(screen, np.sort(apart), chance=p))
    return [one for one in found if one is not None]


def standing_apart(harm: Reals) -> tuple[Rows, float]:
    """Return the rows whose harm a gap parts from that of all others, and the chance of such a gap."""
    order = np.argsort(-harm, kind="stable")
    h = np.maximum(harm[order], 0.0)
    best = (1.0, 0)
    for j in range(1, min(GROUP, len(h) - TAIL - 1) + 1):
        excess = float((h[j : j + TAIL] - h[j + TAIL]).mean())
        if excess > 0:
            best = min(best, (GROUP * float(np.exp(-j * (h[j - 1] - h[j]) / excess)), j))
    p, j = best
    return (order[:j], p) if p <= LEVEL else (order[:0], 1.0)


def _of_row(pair: Pair, screen: Screen, row: int, *, loss: Reals, chance: float) -> Suspect | None:
    """Return a row as a suspect where a half of test that did not propose it confirms it."""
    trained = screen.trained
    if not _confirmed(screen, np.array([row])):
        return None
    label, other = int(trained.objective.rows.y[row]), _expected(screen, np.array([row]))[0]
    number, classes = int(pair.train.row[row]), trained.classes
    far = far_columns(pair, row)
    are = "are" if len(far) > 1 else "is"
    outside = f"; its {' and '.join(far)} {are} far from all others" if far else ""
    title = (
        f"training row {number:,} is “{classes[label]}”, of which the other rows give "
        f"{np.exp(-loss[row]):.2g} as the probability{outside}"
    )
    what = f"training row {number:,}"
    fixes: list[Fix] = [Remove(np.array([row]), what)]
    if other != label and (trained.objective.rows.y == label).sum() > 1:
        fixes.append(Relabel(np.array([row]), np.array([other]), what, f"as “{classes[other]}”"))
    return Suspect(
        kind="row",
        cause="far away" if far else "wrong label" if other != label else "misleading",
        columns=tuple(far),
        title=title,
        fixes=tuple(fixes),
        train=np.array([row]),
        p_value=chance,
    )


def _of_group(screen: Screen, rows: Rows, *, chance: float) -> Suspect | None:
    """Return several rows that the others do not believe, as one suspect."""
    y, what = screen.trained.objective.rows.y.numpy(), f"the {len(rows):,} training rows that mislead most"
    if not _confirmed(screen, rows) or len(np.unique(np.delete(y, rows))) < len(screen.trained.classes):
        return None
    fixes: list[Fix] = [Remove(rows, what)]
    other = _expected(screen, rows)
    if (other != y[rows]).any():
        fixes.append(Relabel(rows, other, what, "as the other rows expect"))
    title = f"{len(rows):,} training rows mislead the model far more than any others do"
    return Suspect(
        kind="rows", cause="outlying", columns=(), title=title, fixes=tuple(fixes), train=rows, p_value=chance
    )


def _expected(screen: Screen, rows: Rows) -> Rows:
    """Return the likeliest class of some training rows without them."""
    without = screen.trained.left_out[torch.from_numpy(rows)]
    return np.asarray(screen.trained.log_probabilities(without).argmax(1), dtype=np.int64)


def _confirmed(screen: Screen, rows: Rows) -> bool:
    """Tell whether both halves of test gain without some rows, one beyond chance."""
    gain = screen.gains([screen.pull(rows)])[:, 0]
    z = [z_of(gain[half]) for half in screen.halves]
    return min(z) > 0 and max(z) >= CONFIRMED


def far_columns(pair: Pair, row: int) -> list[str]:
    """Return the columns of numbers in which a training row is far from all others."""
    found = []
    for column in pair.train.frame.columns:
        values = values_of(pair.train.frame, column)
        if column == pair.train.target or not values.dtype.is_numeric() or values[row] is None:
            continue
        numbers = values.cast(pl.Float64).to_numpy()
        low, middle, high = np.nanquantile(numbers, [0.25, 0.5, 0.75])
        reach = np.abs(numbers - middle)
        others = np.nanmax(np.delete(reach, row), initial=0.0)
        if reach[row] > max(FAR * (high - low), FURTHER * others):
            found.append(column)
    return found[:NAMED]
