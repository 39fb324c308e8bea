"""Training rows in blocks: the only thing that a fit, a solver or an influence asks of the data.

Two verbs suffice. `Rows.sum` adds what every block contributes (loss, gradient, Hessian), `Rows.map` yields
one result a block (scores, influences). Blocks come in row order and sums are taken in that order, so results
do not depend on threads. Blocks are sized in bytes: of what they hold, or of their dense form where a
function needs that, so a sparse matrix is never copied densely as a whole.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import accumulate, pairwise
from math import ceil
from typing import Any, ClassVar, Final, Protocol, Self, TypeVar, cast

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_array
from torch import Tensor

from dataaudit.errors import SettingError
from dataaudit.model.device import CPU, placed, resident
from dataaudit.model.split import Split

BLOCK_BYTES = 64 * 2**20
# A column that holds a value in more than this share of rows is cheaper as a dense one of the Gram product.
HEAVY_SHARE = 0.05
# Rows of the sparse part of the Gram product made at a time.
LIGHT_ROWS = 128
# Shards whose sums are added in one go; of more, such bundles are added first.
BUNDLE: Final = 32
FEW: Final = 32  # columns of a product that are faster as rows
# Shards that are read and worked on at a time, a thread each.
AT_ONCE: Final = 2

T = TypeVar("T")


@dataclass(frozen=True)
class Block:
    """Some rows."""

    X: Tensor | csr_array  # (b, d)
    y: Tensor  # (b,)
    weight: Tensor  # (b,) weight of each row in the objective
    bordered: Tensor | None = None  # (b, d+1) [X, 1], where it is at hand

    def to(self, device: str) -> Block:
        """Return the rows on a device."""
        border = None if self.bordered is None else self.bordered.to(device)
        X = self.X
        if isinstance(X, Split) and device != CPU:
            X = torch.from_numpy(X.toarray())
        X = X.to(device) if isinstance(X, Tensor) else X
        return Block(X, self.y.to(device), self.weight.to(device), border)

    def scores(self, V: Tensor) -> Tensor:
        """Return ``[X, 1] V``, the last row of `V` being the intercepts."""  # (d+1, m) -> (b, m)
        return times(self.X, V[:-1]).add_(V[-1])

    def pull(self, U: Tensor) -> Tensor:
        """Return ``[X, 1]' U``."""  # (b, m) -> (d+1, m)
        return torch.cat([times_transposed(self.X, U), U.sum(0, keepdim=True)])

    def outer(self, U: Tensor) -> Tensor:
        """Return ``x̃ ⊗ u`` of every row, a column a row."""  # (b, k) -> ((d+1) k, b)
        return (self.dense().T[:, None, :] * U.T).flatten(0, 1)

    def dense(self) -> Tensor:
        """Return ``[X, 1]`` densely."""  # -> (b, d+1)
        if self.bordered is not None:
            return self.bordered
        X = self.X if isinstance(self.X, Tensor) else torch.from_numpy(self.X.toarray())
        return torch.cat([X, X.new_ones(len(X), 1)], dim=1)


Function = Callable[[Block], Tensor]


class Rows(ABC):
    """Rows that can be summed and mapped over, block by block."""

    n: int
    width: int  # number of features d, the intercept not counted
    entries: int = 0  # stored numbers of a sparse X in memory
    in_memory: ClassVar[bool] = False  # whether it pays to keep more numbers of each row

    @abstractmethod
    def blocks(self, *, dense: bool = False) -> Iterator[Block]:
        """Yield the blocks in row order; `dense` says that `Block.dense` will be called on them."""

    @abstractmethod
    def take(self, rows: Tensor) -> Block:
        """Return the given rows as one block."""  # (b,) positions

    def sum(self, contribution: Function, *, dense: bool = False) -> Tensor:
        """Return the sum over blocks, in row order."""
        return added(self.map(contribution, dense=dense))

    def map(self, function: Function, *, dense: bool = False) -> Iterator[Tensor]:
        """Yield one result a block, in row order."""
        return map(function, self.blocks(dense=dense))


def added(parts: Iterable[Tensor]) -> Tensor:
    """Return the sum, from the first on."""
    total: Tensor | None = None
    for part in parts:
        total = part if total is None else total.add_(part)
    if total is None:
        raise SettingError("there are no rows to sum over", "give at least one row")
    return total


def bundled(items: Sequence[T]) -> list[Sequence[T]]:
    """Return neighbours together: sums over shards are trees of at most two levels, by their number alone."""
    step = max(BUNDLE, ceil(len(items) ** 0.5))
    return [items[start : start + step] for start in range(0, len(items), step)]


@dataclass(frozen=True)
class MemoryRows(Rows):
    """Rows in memory."""

    X: Tensor | csr_array  # (n, d)
    y: Tensor  # (n,) class numbers, int64, 0 to K-1
    weight: Tensor  # (n,) weights, not negative; all ones for an unweighted fit
    in_memory = True
    block_bytes: int = BLOCK_BYTES  # largest size of a block's dense form, in bytes
    device: str = CPU  # where dense blocks are computed with (`model.device`)

    def __post_init__(self) -> None:
        """Check the lengths."""
        if not self.X.shape[0] == len(self.y) == len(self.weight):
            lengths = f"{self.X.shape[0]}, {len(self.y)} and {len(self.weight)}"
            raise SettingError(f"X, y and weight differ in length: got {lengths}", "give one entry per row")

    @property
    def n(self) -> int:  # type: ignore[override]
        """Number of rows."""
        return len(self.y)

    @property
    def width(self) -> int:  # type: ignore[override]
        """Number of features."""
        return int(self.X.shape[1])

    @property
    def entries(self) -> int:  # type: ignore[override]
        """Stored numbers of a sparse X."""
        return int(self.X.nnz) if isinstance(self.X, csr_array) else 0

    def blocks(self, *, dense: bool = False) -> Iterator[Block]:
        """Yield the blocks in row order."""
        row_bytes = 8.0 * (self.width + 1)
        if isinstance(self.X, csr_array) and not dense:
            row_bytes = min(row_bytes, 12.0 * self.X.nnz / max(1, self.n) + 8)
        step = max(1, int(self.block_bytes / row_bytes))
        for start in range(0, self.n, step):
            stop = min(start + step, self.n)
            X = self.X if stop - start == self.n else self.X[start:stop]
            yield Block(X, self.y[start:stop], self.weight[start:stop])

    def on(self, device: str) -> Self:
        """Return the same rows, computed with on a device."""
        return replace(self, device=device)

    def map(self, function: Function, *, dense: bool = False) -> Iterator[Tensor]:
        """Yield one result a block, in row order."""
        return self.map_with(function, dense=dense)

    def map_with(
        self, function: Callable[..., Tensor], *given: Iterable[Tensor], dense: bool = False
    ) -> Iterator[Tensor]:
        """Yield one result a block, of it and of what is given with it."""
        if not isinstance(self.X, Tensor) or self.device == CPU:
            return map(function, self.blocks(dense=dense), *given)
        there = replace(self, X=resident(self.X, self.device))
        return map(placed(function, self.device), there.blocks(dense=dense), *given)

    def take(self, rows: Tensor) -> Block:
        """Return the given rows as one block."""  # (b,) positions
        X = self.X[rows] if isinstance(self.X, Tensor) else self.X[rows.numpy()]
        return Block(X, self.y[rows], self.weight[rows])

    def gram(self) -> Tensor:
        """Return ``X X'`` without the intercept.

        A sparse X is split by column. Columns that many rows share are multiplied densely in blocks of
        `block_bytes`, the others sparsely: the cost of a sparse column grows with the square of its count.
        """  # -> (n, n)
        if isinstance(self.X, Tensor):
            X = self.X if self.device == CPU else resident(self.X, self.device)
            return (X @ X.T).to(CPU)
        return _sparse_gram(self.X, self.block_bytes)


class Shard(Protocol):
    """Features of some rows that lie elsewhere: a small value that can be pickled and says where."""

    @property
    def n(self) -> int:
        """Number of rows."""

    def features(self) -> Tensor | csr_array | Split:
        """Read or make the features; dense ones may have a column of ones after them."""  # -> (n, d or d+1)

    def take(self, rows: NDArray[np.int64]) -> Tensor | csr_array:
        """Read or make those of some rows, in the order given."""  # (b,) positions -> (b, d or d+1)


@dataclass(frozen=True, eq=False)
class Part:
    """A shard with what is known of its rows."""

    shard: Shard
    y: Tensor  # (b,)
    weight: Tensor  # (b,)
    width: int

    def block(self) -> Block:
        """Return the rows."""
        X = self.shard.features()
        if isinstance(X, Tensor) and X.shape[1] > self.width:
            return Block(X[:, :-1], self.y, self.weight, X)
        # It answers what is asked of a sparse matrix: products and its dense form.
        return Block(cast("csr_array", X) if isinstance(X, Split) else X, self.y, self.weight)


class Engine(Protocol):
    """Who runs a function on shards; the order of results and of sums is that of the shards.

    The function may run in another process: a method or a function with some arguments (`functools.partial`)
    can go there, a lambda cannot.
    """

    def map(self, function: Function, parts: Sequence[Part]) -> Iterator[Tensor]:
        """Yield one result a shard."""

    def sum(self, contribution: Function, parts: Sequence[Part]) -> Tensor:
        """Return the sum over shards, by a tree as in `bundled`."""

    def take(
        self, shards: Sequence[Shard], rows: Sequence[NDArray[np.int64]]
    ) -> Iterator[Tensor | csr_array]:
        """Yield the features of some rows of each shard, as its `take` does."""


@dataclass(frozen=True)
class Local:
    """One shard after another, in this process."""

    device: str = CPU

    def map(self, function: Function, parts: Sequence[Part]) -> Iterator[Tensor]:
        """Yield one result a shard."""
        there = placed(function, self.device)
        return ahead(lambda part: there(part.block()), parts)

    def sum(self, contribution: Function, parts: Sequence[Part]) -> Tensor:
        """Return the sum over shards."""
        return added(added(self.map(contribution, some)) for some in bundled(parts))

    def take(
        self, shards: Sequence[Shard], rows: Sequence[NDArray[np.int64]]
    ) -> Iterator[Tensor | csr_array]:
        """Yield the features of some rows of each shard."""
        return (shard.take(some) for shard, some in zip(shards, rows, strict=True))


def ahead(make: Callable[[T], Tensor], items: Iterable[T]) -> Iterator[Tensor]:
    """Yield what is made of each item, in their order; the next ones are read and made meanwhile."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        made = deque[Future[Tensor]]()
        for item in items:
            made.append(pool.submit(make, item))
            if len(made) > AT_ONCE:
                yield made.popleft().result()
        while made:
            yield made.popleft().result()


LOCAL = Local()


@dataclass(frozen=True)
class ShardedRows(Rows):
    """Rows of which labels and weights alone are in memory."""

    shards: tuple[Shard, ...]
    y: Tensor  # (n,), as in `MemoryRows`
    weight: Tensor  # (n,)
    width: int
    engine: Engine = LOCAL
    # By the bytes of θ: a pass over the shards takes longer than anything that is made of the scores.
    known: dict[bytes, Tensor] = field(default_factory=dict, compare=False)

    @property
    def n(self) -> int:  # type: ignore[override]
        """Number of rows."""
        return len(self.y)

    def on(self, device: str) -> Self:
        """Return the same rows, computed with on a device."""
        engine: Any = self.engine
        return self if device == engine.device else replace(self, engine=replace(engine, device=device))

    @cached_property
    def bounds(self) -> list[int]:
        """Where shards begin, and the end."""
        return [0, *accumulate(shard.n for shard in self.shards)]

    @cached_property
    def parts(self) -> tuple[Part, ...]:
        """The shards with their labels and weights."""
        spans = pairwise(self.bounds)
        return tuple(
            Part(shard, self.y[a:b], self.weight[a:b], self.width)
            for shard, (a, b) in zip(self.shards, spans, strict=True)
        )

    def blocks(self, *, dense: bool = False) -> Iterator[Block]:
        """Yield the shards in row order."""
        return (part.block() for part in self.parts)

    def sum(self, contribution: Function, *, dense: bool = False) -> Tensor:
        """Return the sum over shards, in row order."""
        return self.engine.sum(contribution, self.parts)

    def map(self, function: Function, *, dense: bool = False) -> Iterator[Tensor]:
        """Yield one result a shard, in row order."""
        return self.engine.map(function, self.parts)

    def take(self, rows: Tensor) -> Block:
        """Return the given rows as one block."""  # (b,) positions
        at, X = rows.numpy(), torch.empty(len(rows), self.width, dtype=torch.float64)
        which = np.searchsorted(self.bounds, at, side="right") - 1
        numbers = np.unique(which)
        places = [np.flatnonzero(which == number) for number in numbers]
        within = [at[here] - self.bounds[number] for number, here in zip(numbers, places, strict=True)]
        found = self.engine.take([self.shards[number] for number in numbers], within)
        for here, some in zip(places, found, strict=True):
            X[here] = some[:, : self.width] if isinstance(some, Tensor) else torch.from_numpy(some.toarray())
        return Block(X, self.y[rows], self.weight[rows])


def joined(parts: Iterable[Tensor], n: int) -> Tensor:
    """Return the n rows of all parts; each is copied at once: many small tensors would hold memory apart."""
    found: Tensor | None = None
    start = 0
    for part in parts:
        found = part.new_empty(n, *part.shape[1:]) if found is None else found
        found[start : start + len(part)] = part
        start += len(part)
    if found is None:
        raise SettingError("there are no rows", "give at least one row")
    return found


def times(X: Tensor | csr_array, V: Tensor) -> Tensor:
    """Return ``X V`` for dense or sparse X."""  # (b, d), (d, m) -> (b, m)
    return multiplied(X, V) if isinstance(X, Tensor) else torch.from_numpy(X @ V.numpy())


def times_transposed(X: Tensor | csr_array, U: Tensor) -> Tensor:
    """Return ``X' U`` for dense or sparse X."""  # (b, d), (b, m) -> (d, m)
    return multiplied(X.T, U) if isinstance(X, Tensor) else torch.from_numpy(X.T @ U.numpy())


def multiplied(A: Tensor, B: Tensor) -> Tensor:
    """Return ``A B``; of few columns as rows, *measured* two to ten times as fast."""  # (a, b), (b, m)
    return torch.inner(B.T, A).T.contiguous() if B.shape[1] <= FEW else A @ B


def _sparse_gram(X: csr_array, block_bytes: int) -> Tensor:
    """Return ``X X'`` for sparse X, see `MemoryRows.gram`."""  # -> (n, n)
    n, d = X.shape
    heavy = np.bincount(X.indices, minlength=d) > HEAVY_SHARE * n
    columns = np.flatnonzero(heavy)
    K = torch.zeros(n, n, dtype=torch.float64)
    step = max(1, block_bytes // (8 * n))
    by_column = X[:, columns].tocsc()
    for start in range(0, len(columns), step):
        dense = torch.from_numpy(by_column[:, start : start + step].toarray(order="C"))
        K.addmm_(dense, dense.T)
    light = X[:, np.flatnonzero(~heavy)]
    other = csr_array(light.T)

    def add(start: int) -> None:  # few rows at a time stay in the cache
        products = light[start : start + LIGHT_ROWS] @ other
        K[start : start + LIGHT_ROWS] += torch.from_numpy(products.toarray())

    with ThreadPoolExecutor(torch.get_num_threads()) as pool:  # each product keeps one core busy
        list(pool.map(add, range(0, n, LIGHT_ROWS)))
    return K
