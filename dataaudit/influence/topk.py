"""The strongest influences of the training rows on each test row, without the whole matrix.

    I_up,loss(i, t) = -r_iᵀ (x̃_iᵀ S_t) = -g_iᵀ s_t    with s_t = H⁻¹ g_t    (Koh & Liang 2017, equation 2)

With the slope folded into the features once per block of training rows, all pairs are one product of a
(rows × p) and a (p × test rows) matrix: 2·n·t·p operations. It is taken in tiles that stay in the cache, and
everything else is done to a tile while it is there: Σ|I|, Σ I², and the largest and smallest value of every
chunk of 32 rows. The k largest values of a test row lie in the k chunks with the largest maxima, so only
32·k of its n values are ever sorted. That is exact; only ties between chunks need care, and go to the lower
row.

The largest and smallest are found by two reductions: `torch.aminmax` along one axis takes six times as long
as `amax` and `amin` together. A screening in float32 would halve the product, but rows with equal values
could then change places, and the totals would no longer be those of the values shown.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from dataaudit.errors import SettingError
from dataaudit.influence.influence import loss_gradients
from dataaudit.model.linear import LinearModel
from dataaudit.model.objective import Objective
from dataaudit.model.rows import Block, ShardedRows
from dataaudit.options.progress import portion, ticking

CHUNK = 32
# Rows of a tile, training and test: its numbers are 1 MiB, what the cache of a core holds.
TILE = 1024
TESTS = 128
# Test rows that a sparse block is multiplied by at a time: fewer would not pay.
SPARSE_TESTS = 64


@dataclass(frozen=True)
class Strongest:
    """The extremes of I_up,loss for t test rows, in nats times n.

    Removing training row i changes the loss of test row t by ``-I_up,loss(i, t)/n`` to first order (times the
    row's weight). Equal values are in the order of their rows; k is at most the number of training rows.
    """

    harmful_rows: Tensor  # (t, k) training rows with the largest values, largest first
    harmful: Tensor  # (t, k) their values; where fewer than k are positive the last ones are not
    helpful_rows: Tensor  # (t, k) training rows with the smallest values, smallest first
    helpful: Tensor  # (t, k)
    total: Tensor  # (t,) Σ_i |I_up,loss(i, t)| over all training rows
    square: Tensor  # (t,) Σ_i I_up,loss(i, t)²; total²/square rows effectively carry the influence


def strongest_influences(
    objective: Objective, theta: Tensor, solved: Tensor, *, k: int = 20, memory_bytes: int = 256 * 2**20
) -> Strongest:
    """Return the k most harmful and the k most helpful training rows of every test row."""  # solved (p, t)
    if k < 1:
        raise SettingError(f"k must be at least 1: got {k}", "leave it out")
    room = memory_bytes // 4  # for a block's gradients, their copy while they are made, and its influences
    best: Strongest | None = None
    for first, block in _blocks(objective, room):
        with portion(first, objective.rows.n, size=len(block.y)):
            found = _of_block(objective.model, theta, solved, block=block, limits=(k, room))
        found = replace(
            found, harmful_rows=found.harmful_rows + first, helpful_rows=found.helpful_rows + first
        )
        best = found if best is None else _merged(best, found, k)
    if best is None:
        raise SettingError("there are no training rows", "give at least one")
    return best


def _blocks(objective: Objective, room: int) -> Iterator[tuple[int, Block]]:
    """Yield the number of a block's first row and the block, whose work fits in `room` bytes."""
    rows, model = objective.rows, objective.model
    if isinstance(rows, ShardedRows):
        yield from zip(rows.bounds, rows.blocks(), strict=False)
        return
    sparse = SPARSE_TESTS * (model.loss.n_scores + 1)
    numbers = model.n_params if isinstance(rows.X, Tensor) else sparse
    step = max(CHUNK, room // (8 * numbers))
    for start in range(0, rows.n, step):
        part = slice(start, start + step)
        X = rows.X if step >= rows.n else rows.X[part]
        yield start, Block(X, rows.y[part], rows.weight[part])


def _of_block(
    model: LinearModel, theta: Tensor, solved: Tensor, *, block: Block, limits: tuple[int, int]
) -> Strongest:
    """Return the extremes among a block's rows, numbered from 0; `limits` are k and the bytes of room."""
    (k, room), b, t = limits, len(block.y), solved.shape[1]
    dense = isinstance(block.X, Tensor)
    gradients = loss_gradients(model, theta, block) if dense else None
    step = max(1, min(TESTS, t, room // (8 * b * (1 if dense else model.loss.n_scores + 1))))
    # One buffer for all test rows: memory that is new each time costs more than the arithmetic on it.
    values = torch.empty(step, b, dtype=torch.float64)
    parts = []
    for start in ticking(range(0, max(1, t), step)):  # once even without a test row, for the shapes
        S = solved[:, start : start + step]
        V = values[: S.shape[1]]
        if gradients is None:
            V.copy_(model.pair_influences(theta, S, block).T)
        parts.append(_extremes(V, None if gradients is None else (S.T.neg(), gradients), k))
    return Strongest(*(torch.cat(column) for column in zip(*parts, strict=True)))


def _extremes(V: Tensor, factors: tuple[Tensor, Tensor] | None, k: int) -> tuple[Tensor, ...]:
    """Return the attributes of `Strongest` for V (t, b), made the product of the factors if given."""
    highs, lows = [], []
    total, square = V.new_zeros(len(V)), V.new_zeros(len(V))
    scratch = V.new_empty(len(V), min(TILE, V.shape[1]))
    for start in range(0, V.shape[1], TILE):
        columns = slice(start, start + TILE)
        tile = V[:, columns]
        if factors is not None:
            torch.mm(factors[0], factors[1][:, columns], out=tile)
        total += torch.abs(tile, out=scratch[:, : tile.shape[1]]).sum(1)
        square += torch.linalg.vector_norm(tile, dim=1).square_()
        highs.append(_by_chunk(tile, torch.amax))
        lows.append(_by_chunk(tile, torch.amin))
    high_rows = _largest_rows(V, torch.cat(highs, 1), k, sign=1)
    low_rows = _largest_rows(V, torch.cat(lows, 1).neg_(), k, sign=-1)
    return high_rows, V.gather(1, high_rows), low_rows, V.gather(1, low_rows), total, square


def _by_chunk(tile: Tensor, reduce: Callable[..., Tensor]) -> Tensor:
    """Return the largest or smallest value of every chunk, the last of which may be short."""
    whole = tile.shape[1] // CHUNK * CHUNK  # (t, b) -> (t, chunks)
    parts = [reduce(tile[:, :whole].view(len(tile), whole // CHUNK, CHUNK), dim=2)] if whole else []
    if whole < tile.shape[1]:
        parts.append(reduce(tile[:, whole:], dim=1, keepdim=True))
    return torch.cat(parts, 1)


def _largest_rows(V: Tensor, tops: Tensor, k: int, *, sign: int) -> Tensor:
    """Return the rows of the k largest of ``sign·V`` per test row, from the largest of each chunk."""
    b = V.shape[1]  # (t, b), (t, chunks) -> (t, k)
    chunks = _largest(tops, min(k, tops.shape[1])).sort(dim=1).values
    members = (chunks[:, :, None] * CHUNK + torch.arange(CHUNK)).flatten(1)  # in the order of rows
    values = V.gather(1, members.clamp_max(b - 1)).mul_(sign)
    values[members >= b] = -torch.inf
    return members.gather(1, _largest(values, min(k, b)))


def _largest(V: Tensor, k: int) -> Tensor:
    """Return the positions of the k largest of every row, largest first, ties by position."""
    top, at = V.topk(k, dim=1)  # (t, b) -> (t, k)
    # topk takes any of several equal values; where the last place is shared, a stable sort decides.
    shared = (top[:, -1:] <= V).sum(1) > k
    if bool(shared.any()):
        at[shared] = V[shared].sort(dim=1, descending=True, stable=True).indices[:, :k]
    at = at.sort(dim=1).values
    return at.gather(1, V.gather(1, at).sort(dim=1, descending=True, stable=True).indices)


def _merged(one: Strongest, two: Strongest, k: int) -> Strongest:
    """Return the extremes of two sets of rows, those of `one` coming first."""
    high_rows, high = (
        torch.cat([one.harmful_rows, two.harmful_rows], 1),
        torch.cat([one.harmful, two.harmful], 1),
    )
    low_rows, low = (
        torch.cat([one.helpful_rows, two.helpful_rows], 1),
        torch.cat([one.helpful, two.helpful], 1),
    )
    size = min(k, high.shape[1])
    at, down = _largest(high, size), _largest(-low, size)
    return Strongest(
        harmful_rows=high_rows.gather(1, at),
        harmful=high.gather(1, at),
        helpful_rows=low_rows.gather(1, down),
        helpful=low.gather(1, down),
        total=one.total + two.total,
        square=one.square + two.square,
    )
