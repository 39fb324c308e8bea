"""Features that are numbers and a few ones among many levels, without the zeros between them.

With N the numbers of some rows, the 1 of the intercept among them, and S the sparse matrix of their levels,

    X V = N V_N + S V_S        X' U = [N' U, S' U]        X' diag(w) X = [N' W N, N' W S; S' W N, S' W S]

A row of 27 numbers and 13 ones among 104 levels is multiplied by 40 numbers in place of 131, and its outer
product is 27² products and 13·27 + 13·13/2 sums in place of 131². S' W S is counted, a pair of columns at a
time.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import combinations_with_replacement
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_array
from torch import Tensor

SPARSER: Final = 2  # times as many features as numbers and ones, from which on this pays
CELLS: Final = 1 << 17  # of a product that are made at a time: they stay in the cache
PAIRS: Final = 400  # of columns of ones at most: beyond, a dense product is as quick

Reals = NDArray[np.float64]


def is_split(numbers: int, ones: int, levels: int) -> bool:
    """Whether rows of so many numbers, and ones among so many levels, are better kept apart."""
    return ones * (ones + 1) // 2 <= PAIRS and SPARSER * (numbers + ones) < numbers + levels


@lru_cache(maxsize=4)
def _rows(b: int, o: int) -> tuple[Reals, NDArray[np.int32]]:
    """Return the entries of b rows of o ones each, and where each row begins: shards are of one size."""
    return np.ones(b * o), np.arange(b + 1, dtype=np.int32) * np.int32(o)


@dataclass(frozen=True, eq=False)
class Split:
    """Features of b rows: numbers, of which some stand before the levels, and which levels are one."""

    numbers: Reals  # (b, m)
    ones: NDArray[np.int32]  # (b, o) levels that are one; −1 where a row has fewer
    left: int  # numbers before the levels
    levels: int  # number of levels

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and features."""
        return len(self.numbers), self.numbers.shape[1] + self.levels

    @cached_property
    def S(self) -> csr_array:
        """The levels, and a last column for the ones that a row lacks."""  # (b, L + 1)
        places = np.where(self.ones < 0, self.levels, self.ones) if (self.ones < 0).any() else self.ones
        ones, starts = _rows(*places.shape)
        return csr_array((ones, places.reshape(-1), starts), shape=(len(places), self.levels + 1))

    @property
    def T(self) -> _Transposed:
        """The transpose, to be multiplied with."""
        return _Transposed(self)

    def __matmul__(self, V: Reals) -> Reals:
        """Return X V."""  # (d, m) -> (b, m)
        (b, _), (of_numbers, of_levels) = self.shape, self._parts(V)
        product, step = np.empty((b, V.shape[1])), max(1, CELLS // max(1, V.shape[1]))
        for some in (slice(start, start + step) for start in range(0, b, step)):
            np.matmul(self.numbers[some], of_numbers, out=product[some])
            product[some] += (self.S if step >= b else self.S[some]) @ of_levels
        return product

    def squared(self) -> Split:
        """Return the square of every entry."""
        return Split(self.numbers**2, self.ones, self.left, self.levels)

    def toarray(self) -> Reals:
        """Return all entries."""  # -> (b, d)
        return self._joined(self.numbers, self.S[:, : self.levels].toarray())

    def gram(self, weight: Tensor) -> Tensor:
        """Return ``[X, 1]' diag(w) [X, 1]``."""  # (b,) -> (d+1, d+1)
        w = weight.numpy()
        bordered = np.column_stack([self.numbers, np.ones(len(w))])
        weighted = w[:, None] * bordered
        own, mixed = bordered.T @ weighted, self.S.T @ weighted  # (m+1, m+1), (L+1, m+1)
        at = self._order
        G = np.empty((len(at), len(at)))
        m = own.shape[0]
        G[:m, :m], G[m:, :m], G[:m, m:] = own, mixed[:-1], mixed[:-1].T
        G[m:, m:] = self._counted(w)
        return torch.from_numpy(G[np.ix_(at, at)])

    def squares(self, A: Tensor) -> Tensor:
        """Return ``x̃' A x̃`` of every row."""  # (d+1, d+1) -> (b,)
        back = np.argsort(self._order)
        B = (0.5 * (A + A.mT)).numpy()[np.ix_(back, back)]
        m, bordered = self.numbers.shape[1] + 1, np.column_stack([self.numbers, np.ones(len(self.numbers))])
        levels = np.zeros((self.levels + 1, self.levels + 1))
        levels[:-1, :-1] = B[m:, m:]
        mixed = np.zeros((self.levels + 1, m))
        mixed[:-1] = B[m:, :m]
        total: Reals = np.einsum("bi,bi->b", bordered @ B[:m, :m] + 2.0 * (self.S @ mixed), bordered)
        table = levels.reshape(-1)
        for first, second, times in self._pairs():
            total += times * table[first * (self.levels + 1) + second]
        return torch.from_numpy(total)

    def _counted(self, w: Reals) -> Reals:
        """Return S' W S without the last column and row."""  # (b,) -> (L, L)
        size = self.levels + 1
        G = np.zeros(size * size)
        for first, second, times in self._pairs():
            G += (times / 2.0) * np.bincount(first * size + second, w, size * size)
        counts = G.reshape(size, size)
        return (counts + counts.T)[:-1, :-1]

    def _pairs(self) -> list[tuple[NDArray[np.int64], NDArray[np.int64], float]]:
        """Return all pairs of columns of ones, and how often each stands in a square."""
        places = [np.where(column < 0, self.levels, column).astype(np.int64) for column in self.ones.T]
        both = combinations_with_replacement(range(len(places)), 2)
        return [(places[i], places[j], 1.0 if i == j else 2.0) for i, j in both]

    @cached_property
    def _order(self) -> NDArray[np.int64]:
        """Where the features and the intercept stand among numbers, intercept and levels."""  # (d+1,)
        m = self.numbers.shape[1]
        levels = np.arange(self.levels) + m + 1
        return np.concatenate([np.arange(self.left), levels, np.arange(self.left, m + 1)])

    def _parts(self, V: Reals) -> tuple[Reals, Reals]:
        """Return the rows of V for numbers, and those for levels with a last one of zeros."""
        end = self.left + self.levels
        of_levels = np.vstack([V[self.left : end], np.zeros((1, V.shape[1]))])
        return np.vstack([V[: self.left], V[end:]]), of_levels

    def _joined(self, numbers: Reals, levels: Reals) -> Reals:
        """Put columns in the order of the features."""
        return np.hstack([numbers[:, : self.left], levels, numbers[:, self.left :]])


@dataclass(frozen=True, eq=False)
class _Transposed:
    """The transpose of features that are apart."""

    X: Split

    def __matmul__(self, U: Reals) -> Reals:
        """Return X' U."""  # (b, m) -> (d, m)
        of_numbers, of_levels = self.X.numbers.T @ U, (self.X.S.T @ U)[:-1]
        left = self.X.left
        return np.vstack([of_numbers[:left], of_levels, of_numbers[left:]])
