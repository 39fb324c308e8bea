"""Single training rows that mislead, and few that do together.

The harm of a row is what test loses by it, to first order. The largest of n harms that are of one kind are
apart by spacings: with h_1 ≥ h_2 ≥ … of an exponential tail, the j (h_j - h_{j+1}) are exponential and alike
(Rényi 1953), and one over the mean of m others has the F distribution with 2 and 2m degrees of freedom. A gap
that chance does not explain parts the j rows above it from all others: a poisoned row, or a few. The same
test finds cells that are far from all others of their column. Other rows are proposed by their harm to one
half of test, and confirmed by the other.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray

from dataaudit.audits.mismatch.rows.fixes import Relabel, Remove
from dataaudit.audits.mismatch.rows.screen import Screen, z_of
from dataaudit.audits.mismatch.suspects import Fix, Suspect
from dataaudit.audits.mismatch.world import World
from dataaudit.audits.testset import Pair
from dataaudit.features.columns import values_of

# Chance of a gap among the harms of so many rows, by as many others that give the tail.
LEVEL, GROUP, TAIL = 1e-3, 5, 30
# Rows that each half proposes; standard errors by which a half confirms them.
PROPOSED, CONFIRMED = 2, 2.0
# Quartile distances from which a cell may be far from all others; columns that are named.
FAR, NAMED = 3.0, 4

Rows = NDArray[np.int64]
Reals = NDArray[np.float64]


def row_suspects(pair: Pair, world: World) -> list[Suspect]:
    """Return the training rows whose leaving, alone or together, is worth most to test."""
    trained = world.trained
    screen = Screen(trained, world)
    y = trained.objective.rows.y.numpy()
    loss = trained.loss(trained.left_out, trained.objective.rows.y).numpy()
    leaving = screen.influence[0]
    apart, p = standing_apart(leaving.sum(0))
    far, chances = far_cells(pair)
    wrong = [
        row for row in far if leaving[:, row].sum() > 0 and _expected(screen, np.array([row]))[0] != y[row]
    ]
    if not trained.classes:  # whose numbers are always others than are expected
        wrong = [row for row in wrong if loss[row] > trained.usual_loss]
    alone = [
        *apart[:PROPOSED],
        *wrong[:PROPOSED],
        *(row for half in leaving for row in np.argsort(-half)[:PROPOSED]),
    ]
    found = []
    for row in dict.fromkeys(int(row) for row in alone):
        chance = min(p if row in apart else 1.0, chances[row] if row in wrong else 1.0)
        if chance <= LEVEL or _confirmed(screen, np.array([row])):
            found.append(_of_row(pair, screen, row, loss=loss, chance=chance, far=far.get(row, ())))
    group = _of_group(screen, np.sort(apart), chance=p) if len(apart) > 1 else None
    return found if group is None else [*found, group]


def standing_apart(harm: Reals) -> tuple[Rows, float]:
    """Return the rows whose harm a gap parts from that of all others, and the chance of such a gap."""
    order = np.argsort(-harm, kind="stable")
    h = np.maximum(harm[order], 0.0)
    spacings = np.arange(1, len(h)) * (h[:-1] - h[1:])
    best = (1.0, 0)
    for j in range(1, min(GROUP, len(spacings) - TAIL) + 1):
        scale = float(spacings[j : j + TAIL].mean())
        if scale > 0:
            best = min(best, (GROUP * (1.0 + float(spacings[j - 1]) / scale / TAIL) ** -TAIL, j))
    p, j = best
    return (order[:j], p) if p <= LEVEL else (order[:0], 1.0)


def _of_row(
    pair: Pair, screen: Screen, row: int, *, loss: Reals, chance: float, far: Sequence[str]
) -> Suspect:
    """Return a row as a suspect."""
    trained = screen.trained
    label, other = trained.objective.rows.y[row].item(), _expected(screen, np.array([row]))[0]
    number, (name,) = int(pair.train.row[row]), trained.label_names(np.array([label]))
    (expected,) = trained.label_names(np.array([other]), exact=False)
    are = "are" if len(far) > 1 else "is"
    outside = f"; its {' and '.join(far[:NAMED])} {are} far from all others" if far else ""
    believed = f"of which the other rows give {np.exp(-loss[row]):.2g} as the probability"
    if not trained.classes:
        believed = f"where the other rows suggest {expected}"
    title = f"training row {number:,} is “{name}”, {believed}{outside}"
    what = f"training row {number:,}"
    fixes: list[Fix] = [Remove(np.array([row]), what)]
    if other != label and (not trained.classes or (trained.objective.rows.y == label).sum() > 1):
        fixes.append(Relabel(np.array([row]), np.array([other]), what, f"as “{expected}”"))
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


def _expected(screen: Screen, rows: Rows) -> Rows | Reals:
    """Return the likeliest class of some training rows without them, or the predicted number."""
    without = screen.trained.left_out[torch.from_numpy(rows)]
    if (quantity := screen.trained.quantity) is not None:
        return without[:, 0].exp().numpy() if quantity.is_count else without[:, 0].numpy()
    return np.asarray(screen.trained.log_probabilities(without).argmax(1), dtype=np.int64)


def _confirmed(screen: Screen, rows: Rows) -> bool:
    """Tell whether both halves of test gain without some rows, one beyond chance."""
    gain = screen.gains([screen.pull(rows)])[:, 0]
    z = [z_of(gain[half]) for half in screen.halves]
    return min(z) > 0 and max(z) >= CONFIRMED


def far_cells(pair: Pair) -> tuple[dict[int, list[str]], dict[int, float]]:
    """Return the rows with cells that a gap parts from all others of their columns, which, and the chance."""
    frame = pair.train.frame
    columns = [c for c in frame.columns if c != pair.train.target and frame[c].dtype.is_numeric()]
    found: dict[int, list[str]] = {}
    chances: dict[int, float] = {}
    for column in columns:
        numbers = values_of(frame, column).cast(pl.Float64).to_numpy()
        if np.isnan(numbers).all():
            continue
        low, middle, high = np.nanquantile(numbers, [0.25, 0.5, 0.75])
        reach = np.nan_to_num(np.abs(numbers - middle))
        if reach.max() <= FAR * (high - low):  # the usual case
            continue
        rows, p = standing_apart(reach)
        for row in rows.tolist() if p * len(columns) <= LEVEL else []:
            found.setdefault(row, []).append(column)
            chances[row] = min(chances.get(row, 1.0), p * len(columns))
    return found, chances
