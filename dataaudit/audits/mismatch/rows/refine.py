"""Where a slice by numbers begins and ends: the cut, among many, at which the labels differ most.

Slices are first cut at few quantiles. What is found there is moved along fiftieths of the training rows, one
end after the other, to where D (`screen`) is largest: sums over intervals are differences of cumulative sums.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dataaudit.audits.mismatch.rows.cuts import Cuts, Numbers, Slice
from dataaudit.audits.mismatch.rows.screen import Screen, Side, differences

# Cuts that are tried, and nats by which another one must be better.
TRIED, BETTER = 50, 0.5
# Times that every end is moved.
ROUNDS = 2

Rows = NDArray[np.int64]
Reals = NDArray[np.float64]
Mask = NDArray[np.bool_]


def refine(screen: Screen, cuts: Cuts, members: tuple[int, ...]) -> Slice:
    """Return what some conditions have in common, with the numbers in them moved."""
    part = cuts.slice(*members)
    ends = {i: [float(cuts.low[i]), float(cuts.high[i])] for i in members if not np.isnan(cuts.low[i])}
    judged = screen.world.rows
    for _ in range(ROUNDS):
        for i, interval in ends.items():
            column = cuts.numbers[cuts.columns[i]]
            base = [_inside(cuts, members, ends, but=i, side=side) for side in ("train", "test")]
            for end in (0, 1):
                if np.isfinite(interval[end]):
                    interval[end] = _moved(screen, column, (base[0], base[1][judged]), interval, end)
    levels = list(part.levels)
    for i, (low, high) in ends.items():
        levels[members.index(i)] = cuts.numbers[cuts.columns[i]].name(low, high)
    rows = [np.flatnonzero(_inside(cuts, members, ends, side=side)) for side in ("train", "test")]
    return Slice(part.columns, tuple(levels), *rows)


def _inside(
    cuts: Cuts, members: tuple[int, ...], ends: dict[int, list[float]], *, side: str, but: int = -1
) -> Mask:
    """Tell which rows of a side fulfil all conditions but one."""
    matrix = getattr(cuts, side)
    inside = np.ones(matrix.shape[0], dtype=bool)
    for i in members:
        if i == but:
            continue
        if i in ends:
            values = getattr(cuts.numbers[cuts.columns[i]], side)
            inside &= (values >= ends[i][0]) & (values < ends[i][1])
        else:
            mask = np.zeros(len(inside), dtype=bool)
            mask[matrix.indices[matrix.indptr[i] : matrix.indptr[i + 1]]] = True
            inside &= mask
    return inside


def _moved(
    screen: Screen, column: Numbers, base: tuple[Mask, Mask], interval: list[float], end: int
) -> float:
    """Return where one end of an interval is best."""
    values = column.train[~np.isnan(column.train)]
    if not len(values):
        return interval[end]
    grid = np.unique(np.quantile(values, np.linspace(0.0, 1.0, TRIED + 1), method="nearest"))
    beyond = grid > interval[0] if end else grid < interval[1]
    grid = np.unique([*grid[beyond], interval[end]])
    other = interval[1 - end]
    sums = [
        _beyond(side, numbers[base], grid=grid, other=other, rows=np.flatnonzero(base))
        for side, numbers, base in (
            (screen.known, column.train, base[0]),
            (screen.new, column.test[screen.world.rows], base[1]),
        )
    ]
    score = differences(sums[0], sums[1])
    now = float(score[np.searchsorted(grid, interval[end])])
    best = int(score.argmax())
    return float(grid[best]) if score[best] > now + BETTER else interval[end]


def _beyond(side: Side, numbers: Reals, *, grid: Reals, other: float, rows: Rows) -> tuple[Reals, Reals]:
    """Return ΣR and ΣV + prior of some rows between one end and every point of a grid that is the other."""
    inside = numbers >= other if other < grid[0] else numbers < other
    at = np.searchsorted(grid, numbers[inside], side="right")
    found = []
    for values, prior in ((side.r, 0.0), (side.V, side.prior)):
        sums = np.stack([np.bincount(at, c, len(grid) + 1) for c in values[rows[inside]].T], axis=1)
        total = sums.cumsum(0)  # below the next point of the grid
        found.append((total[:-1] if other < grid[0] else total[-1] - total[:-1]) + prior)
    return found[0], found[1]
