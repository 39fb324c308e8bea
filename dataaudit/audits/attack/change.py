"""A training row as changed so far, and the cells that it then has.

Cells are what is true: a changed row is written into a frame and encoded from there like any other row, so
what is retrained on is what a file would hold.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

import numpy as np
import polars as pl
import torch
from scipy.sparse import csr_array

from dataaudit.audits.attack.domain import ABSENT, NONE, Domain, Number, Reals, Vector, Whole
from dataaudit.audits.trained import Encoded
from dataaudit.encode import Columns
from dataaudit.encode.text import TOKEN
from dataaudit.sources import Dataset

_TOKEN = re.compile(TOKEN)


@dataclass(frozen=True)
class Edit:
    """One occurrence of a word more, or less, in a text."""

    column: str
    word: str
    added: bool


@dataclass(frozen=True)
class Unit:
    """One cell, or one word, that differs: its kind, and its place among the domain's columns, or edits."""

    kind: Literal["number", "category", "vector", "word"]
    place: int


@dataclass(frozen=True)
class Change:
    """A training row as changed so far.

    Attributes
    ----------
    row : int
        Its position.
    numbers : ndarray (dn,)
        Values of the domain's numbers.
    states : ndarray (dc,) int64
        States of its categories.
    vectors : tuple of ndarray
        Coordinates of its vectors, in the user's units.
    edits : tuple of Edit
        Words removed and added, in order.
    """

    row: int
    numbers: Reals
    states: Whole
    vectors: tuple[Reals, ...]
    edits: tuple[Edit, ...] = ()


@dataclass(frozen=True)
class Ground:
    """The training rows on which changes are made.

    Attributes
    ----------
    domain : Domain
        What may change.
    dataset : Dataset
        The rows as read.
    encoded : Encoded
        Their encoders, columns and basis.
    """

    domain: Domain
    dataset: Dataset
    encoded: Encoded

    @property
    def n(self) -> int:
        """Number of training rows."""
        return self.dataset.n

    @cached_property
    def numbers(self) -> Reals:
        """Values of the domain's numbers."""  # (n, dn)
        places = [number.place for number in self.domain.numbers]
        values: Reals = self.encoded.columns.numeric[:, places]
        return values

    @cached_property
    def states(self) -> Whole:
        """States of the domain's categories."""  # (n, dc)
        none = np.empty((self.n, 0), dtype=np.int64)
        return np.column_stack([none, *(category.states for category in self.domain.categories)])

    @cached_property
    def number_features(self) -> tuple[list[int], list[int]]:
        """Features of the basis that come from the domain's numbers, and of each the number."""
        place = {number.column: j for j, number in enumerate(self.domain.numbers)}
        mine = [
            at
            for at, f in enumerate(self.encoded.basis.features)
            if f.column in place and f.kind in ("numeric", "spline")
        ]
        return mine, [place[self.encoded.basis.features[at].column] for at in mine]

    def vector(self, at: int, row: int) -> Reals:
        """Return a row's coordinates in one of the domain's vectors, in the user's units."""
        vector = self.domain.vectors[at]
        own: Reals = self.encoded.columns.vectors[row, vector.places]
        return own * vector.encoder.scale + vector.encoder.mean

    def untouched(self, row: int) -> Change:
        """Return a row as it is."""
        vectors = tuple(self.vector(at, row) for at in range(len(self.domain.vectors)))
        return Change(row, self.numbers[row].copy(), self.states[row].copy(), vectors)

    def units(self, change: Change) -> list[Unit]:
        """Return what differs from the row as it was."""
        whole = self.untouched(change.row)
        found = [Unit("number", j) for j in np.flatnonzero(change.numbers != whole.numbers).tolist()]
        found += [Unit("category", j) for j in np.flatnonzero(change.states != whole.states).tolist()]
        pairs = zip(change.vectors, whole.vectors, strict=True)
        found += [Unit("vector", j) for j, (now, was) in enumerate(pairs) if (now != was).any()]
        return found + [Unit("word", j) for j in range(len(change.edits))]

    def only(self, change: Change, kept: Sequence[Unit]) -> Change:
        """Return a row with some of its changes alone."""
        whole = self.untouched(change.row)
        numbers, states, vectors = whole.numbers, whole.states, list(whole.vectors)
        for unit in kept:
            if unit.kind == "number":
                numbers[unit.place] = change.numbers[unit.place]
            elif unit.kind == "category":
                states[unit.place] = change.states[unit.place]
            elif unit.kind == "vector":
                vectors[unit.place] = change.vectors[unit.place]
        words = sorted(unit.place for unit in kept if unit.kind == "word")
        edits = tuple(change.edits[place] for place in words)
        return replace(whole, vectors=tuple(vectors), edits=edits)

    def frame(self, changes: Sequence[Change]) -> pl.DataFrame:
        """Return the rows with their changed cells, all columns of the data."""
        rows = [change.row for change in changes]
        frame = self.dataset.frame[rows]
        new = [self._numbers(number, j, changes) for j, number in enumerate(self.domain.numbers)]
        new += [self._category(j, changes) for j in range(len(self.domain.categories))]
        new += [self._texts(words.column, changes) for words in self.domain.texts]
        new += [self._vectors(vector, j, changes) for j, vector in enumerate(self.domain.vectors)]
        return frame.with_columns([column for column in new if column is not None])

    def columns(self, changes: Sequence[Change]) -> Columns:
        """Encode changed rows."""
        return self.encoded.encoding.transform(self.frame(changes))

    def design(self, columns: Columns) -> torch.Tensor | csr_array:
        """Return rows in the model's basis."""
        X = self.encoded.basis.transform(columns)
        return torch.from_numpy(X) if isinstance(X, np.ndarray) else X

    def _cells(self, column: str, changes: Sequence[Change]) -> pl.Series:
        return self.dataset.frame.get_column(column).gather([change.row for change in changes])

    def _numbers(self, number: Number, j: int, changes: Sequence[Change]) -> pl.Series | None:
        values = np.array([change.numbers[j] for change in changes])
        moved = values != self.numbers[[change.row for change in changes], j]
        if not moved.any():
            return None
        cells = self._cells(number.column, changes)
        whole = number.decimals == 0
        if cells.dtype in (pl.String, pl.Categorical, pl.Enum):
            texts = [str(round(v)) if whole else repr(float(v)) for v in values]
            new, cells = pl.Series(texts, dtype=pl.String), cells.cast(pl.String)
        else:
            new = pl.Series(np.round(values) if cells.dtype.is_integer() else values).cast(cells.dtype)
        return cells.zip_with(pl.Series(~moved), new).alias(number.column)

    def _category(self, j: int, changes: Sequence[Change]) -> pl.Series | None:
        category = self.domain.categories[j]
        donors = [
            change.row
            if change.states[j] in (ABSENT, self.states[change.row, j])
            else category.donors[int(change.states[j])]
            for change in changes
        ]
        if donors == [change.row for change in changes]:
            return None
        return self.dataset.frame.get_column(category.column).gather(donors)

    def _texts(self, column: str, changes: Sequence[Change]) -> pl.Series | None:
        mine = [[edit for edit in change.edits if edit.column == column] for change in changes]
        if not any(mine):
            return None
        cells = self._cells(column, changes).cast(pl.String)
        texts = [
            edited(cell, edits) if edits else cell for cell, edits in zip(cells.to_list(), mine, strict=True)
        ]
        return pl.Series(column, texts, dtype=pl.String)

    def _vectors(self, vector: Vector, j: int, changes: Sequence[Change]) -> pl.Series | None:
        moved = [change.vectors[j] != self.vector(j, change.row) for change in changes]
        if not any(one.any() for one in moved):
            return None
        cells = []
        for cell, change, where in zip(self._cells(vector.column, changes), changes, moved, strict=True):
            values = None if cell is None else np.ravel(np.array(cell, dtype=np.float64))
            if values is not None:
                values[vector.encoder.kept[where]] = change.vectors[j][where]
            cells.append(None if values is None else values.tolist())
        return pl.Series(vector.column, cells, dtype=pl.List(pl.Float64()))

    def level(self, j: int, state: int) -> str:
        """Return the cell of a state of one of the domain's categories, as text."""
        category = self.domain.categories[j]
        if state == NONE and state not in category.donors:
            return ""
        value = self.dataset.frame.get_column(category.column)[category.donors[state]]
        return str(value).lower() if isinstance(value, bool) else str(value)


def edited(text: str | None, edits: Sequence[Edit]) -> str:
    """Return a text without the words that are removed (their first occurrence), with those added."""
    text = text or ""
    for edit in edits:
        if edit.added:
            text = f"{text} {edit.word}" if text else edit.word
            continue
        for match in _TOKEN.finditer(text):
            if match.group().lower() == edit.word:
                text = text[: match.start()] + text[match.end() :]
                break
    return text
