"""Encoded columns of a table that stays on disk: a feature, a block or some rows are encoded when asked."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import polars as pl
from numpy.typing import NDArray

from dataaudit.features.columns import Columns, Feature, values_of
from dataaudit.features.encoding import Encoding

Rows = NDArray[np.int64]
TAKEN = 30_000  # rows at most that are kept in case they are asked for again


@dataclass(frozen=True)
class ScannedColumns:
    """The encoded columns of n rows, as in `Columns`, never held together."""

    frame: pl.DataFrame  # of the verbs of a frame, those of `data.scan`
    encoding: Encoding
    # The column that was read last, encoded, and the rows that were taken last.
    last: dict[str, tuple[NDArray[np.float64], ...]] = field(default_factory=dict)
    taken: dict[bytes, Columns] = field(default_factory=dict)

    @property
    def n(self) -> int:
        """Number of rows."""
        return self.frame.height

    @cached_property
    def none(self) -> Columns:
        """The columns without rows."""
        return self.encoding.transform(self.frame[[]])

    @property
    def features(self) -> tuple[Feature, ...]:
        """All features."""
        return self.none.features

    @property
    def numeric_features(self) -> tuple[Feature, ...]:
        """Those of numbers."""
        return self.none.numeric_features

    @property
    def vector_features(self) -> tuple[Feature, ...]:
        """Those of vectors."""
        return self.none.vector_features

    @property
    def level_features(self) -> tuple[Feature, ...]:
        """Those of levels."""
        return self.none.level_features

    @property
    def term_features(self) -> tuple[Feature, ...]:
        """Those of terms."""
        return self.none.term_features

    def number(self, j: int) -> NDArray[np.float64]:
        """Read the column of one numeric feature."""  # -> (n,)
        features = self.numeric_features
        column = features[j].column
        if column not in self.last:
            self.last.clear()
            encoder = next(one for one in self.encoding.encoders if one.column == column)
            self.last[column] = encoder.transform(values_of(self.frame, column)).numeric
        first = next(i for i, feature in enumerate(features) if feature.column == column)
        return self.last[column][j - first]

    def blocks(self) -> Iterator[Columns]:
        """Read and encode all rows, block by block."""
        self.last.clear()
        used = [encoder.column for encoder in self.encoding.encoders]
        return map(self.encoding.transform, self.frame.select(used).iter_slices())

    def take(self, rows: Rows) -> Columns:
        """Read and encode some rows, in the order given and as often as given."""
        self.last.clear()
        wanted, place = np.unique(rows, return_inverse=True)
        key = wanted.tobytes()
        if key not in self.taken:
            used = [encoder.column for encoder in self.encoding.encoders]
            found = self.encoding.transform(self.frame.select(used)[wanted])
            if len(wanted) > TAKEN:
                return found.take(place.reshape(-1))
            self.taken.clear()
            self.taken[key] = found
        return self.taken[key].take(place.reshape(-1))
