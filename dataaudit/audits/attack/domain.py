"""What may be changed in a training row so that it still looks like the user's own data.

==========  ==========================================================================================
number      within `Limits.within` of the column's spread from its value, between the smallest and the
            largest value that training has, with no more decimals than training has (integers stay whole)
category    another level that training has; at most `Limits.swaps` such cells a row
words       one occurrence of a word removed, or one word of the vocabulary added; at most `Limits.words` a
            row
pixels      vectors of 8-bit whole numbers: less than half a level, so that every pixel rounds to what it was
vector      other vectors: each coordinate like a number
==========  ==========================================================================================

The spread of a column is its interquartile range; where that is 0, the distance between its 5 % and 95 %
quantiles; where that is 0 too, its whole range. Missing cells stay missing, dates stay as they are, and so
does a whole number whose spread allows no step of one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from dataaudit.audits.required import require_real, require_whole
from dataaudit.encode.text import TextEncoder
from dataaudit.encode.vector import VectorEncoder
from dataaudit.errors import SettingError

Reals = NDArray[np.float64]
Whole = NDArray[np.int64]
Kind = Literal["number", "category", "words", "pixels", "vector", "fixed"]

NONE: Final = -1  # state of a cell that sets no feature: the smaller one of two values
ABSENT: Final = -2  # state of a missing cell


@dataclass(frozen=True)
class Limits:
    """How much of a row may change.

    Attributes
    ----------
    within : float
        Numbers: share of the column's spread.
    swaps, words : int
        Category cells, and words, of one row.

    Raises
    ------
    SettingError
        If a value makes no sense.
    """

    within: float = 0.1
    swaps: int = 1
    words: int = 3

    def __post_init__(self) -> None:
        """Check the values."""
        require_real(self, "within")
        require_whole(self, "swaps", "words")
        if not 0 <= self.within <= 1:
            raise SettingError(f"within is a share of a column's spread: got {self.within:g}", "use .1")
        for name in ("swaps", "words"):
            if getattr(self, name) < 0:
                raise SettingError(f"{name} cannot be negative: got {getattr(self, name)}", "use 0 or more")


@dataclass(frozen=True)
class Allowed:
    """What may change in one column, for people.

    Attributes
    ----------
    column : str
    kind : str
    spread, low, high : float or None
        Of a number or of the coordinates' mean, in the user's units.
    decimals : int or None
        None for as many as there are.
    levels : int or None
        How many levels a category may take.
    reason : str
        Why it stays as it is, or how far it may go.
    """

    column: str
    kind: Kind
    reason: str
    spread: float | None = None
    low: float | None = None
    high: float | None = None
    decimals: int | None = None
    levels: int | None = None


@dataclass(frozen=True)
class Number:
    """A numeric column.

    Attributes
    ----------
    column : str
    place : int
        Of its number in `Columns.numeric`.
    low, high, spread, width : float
        Bounds, spread, and the most that a value may move; in the user's units.
    decimals : int or None
        Of every value; None for as many as there are.
    present : ndarray (n,) bool
        Which training rows have a value.
    """

    column: str
    place: int
    low: float
    high: float
    spread: float
    width: float
    decimals: int | None
    present: NDArray[np.bool_]

    def settle(self, wanted: Reals, original: Reals) -> Reals:
        """Return the allowed values nearest to the wanted ones."""  # (b,), (b,) -> (b,)
        near = np.clip(wanted, original - self.width, original + self.width)
        near = np.clip(near, np.minimum(self.low, original), np.maximum(self.high, original))
        if self.decimals is None:
            return near
        unit = 10.0**-self.decimals
        toward = np.trunc(np.round((near - original) / unit, 9))  # never further than asked
        return np.asarray(np.round(original + toward * unit, self.decimals))


@dataclass(frozen=True)
class Category:
    """A column of levels, or of two values.

    Attributes
    ----------
    column : str
    places : ndarray (L,) int64
        Its levels in `Columns.levels`, the missing one not among them.
    states : ndarray (n,) int64
        Of every training row the entry of `places` that it has, `NONE` or `ABSENT`.
    donors : dict of int
        Of every state that a cell may take, the first training row that has it.
    """

    column: str
    places: Whole
    states: Whole
    donors: dict[int, int]


@dataclass(frozen=True)
class Words:
    """A text column.

    Attributes
    ----------
    column : str
    encoder : TextEncoder
    first : int
        Place of its first term in `Columns.terms`.
    """

    column: str
    encoder: TextEncoder
    first: int

    @property
    def idf(self) -> Reals:
        """Inverse document frequencies; ones for counts."""
        return self.encoder.idf

    def weigh(self, counts: Reals) -> Reals:
        """Return what stands for a term, before idf and length, by its count."""
        if self.encoder.weighting == "counts":
            return counts
        return np.where(counts > 0, 1.0 + np.log(np.maximum(counts, 1.0)), 0.0)


@dataclass(frozen=True)
class Vector:
    """A column of vectors.

    Attributes
    ----------
    column : str
    places : ndarray (w,) int64
        Its coordinates in `Columns.vectors`.
    encoder : VectorEncoder
    low, high, spread, width : ndarray (w,)
        As of a `Number`, of every coordinate; the spread of a pixel is one level.
    pixels : bool
        Whether cells hold 8-bit whole numbers.
    """

    column: str
    places: Whole
    encoder: VectorEncoder
    low: Reals
    high: Reals
    spread: Reals
    width: Reals
    pixels: bool

    def settle(self, wanted: Reals, original: Reals) -> Reals:
        """Return the allowed coordinates nearest to the wanted ones."""  # (w,), (w,) -> (w,)
        near = np.clip(wanted, original - self.width, original + self.width)
        return np.clip(near, np.minimum(self.low, original), np.maximum(self.high, original))


@dataclass(frozen=True)
class Domain:
    """All columns of the model, by what may change in them.

    Attributes
    ----------
    limits : Limits
    numbers, categories, texts, vectors : tuples
    allowed : tuple of Allowed
        The same for people, the columns that stay included.
    """

    limits: Limits
    numbers: tuple[Number, ...]
    categories: tuple[Category, ...]
    texts: tuple[Words, ...]
    vectors: tuple[Vector, ...]
    allowed: tuple[Allowed, ...]

    @property
    def empty(self) -> bool:
        """Whether nothing may change."""
        return not (self.numbers or self.categories or self.texts or self.vectors)
