"""Encoded columns of a table that stays on disk: a feature, a block or some rows are encoded when asked.

The first pass over all blocks leaves them in an unnamed file, if the disk has room, for those that follow.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from shutil import disk_usage
from tempfile import TemporaryFile, gettempdir
from typing import BinaryIO, cast
from weakref import finalize

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.sparse import csr_array

from dataaudit.features.columns import Columns, Feature, values_of
from dataaudit.features.encoding import Encoding

Rows = NDArray[np.int64]
SPARE = 4  # times the room that blocks take which is free before they are kept on disk
TAKEN = 30_000  # rows at most that are kept in case they are asked for again


@dataclass(frozen=True)
class ScannedColumns:
    """The encoded columns of n rows, as in `Columns`, never held together."""

    frame: pl.DataFrame  # of the verbs of a frame, those of `data.scan`
    encoding: Encoding
    # The column that was read last, encoded, and the rows that were taken last.
    last: dict[str, tuple[NDArray[np.float64], ...]] = field(default_factory=dict)
    taken: dict[bytes, Columns] = field(default_factory=dict)
    kept: list[_Blocks] = field(default_factory=list)  # all of them, once there was a pass

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
        if self.kept:
            yield from self.kept[0].read(self.none)
            return
        used = [encoder.column for encoder in self.encoding.encoders]
        size = self.n * (8 * len(self.features) + 4 * len(self.encoding.encoders))
        keeps = not self.term_features and disk_usage(gettempdir()).free > SPARE * size
        blocks = _Blocks() if keeps else None
        for frame in self.frame.select(used).iter_slices():
            part = self.encoding.transform(frame)
            if blocks is not None:
                blocks.write(part)
            yield part
        if blocks is not None:
            self.kept.append(blocks)

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


class _Blocks:
    """Blocks without terms, in a file that is gone with the process."""

    def __init__(self) -> None:
        self.file, self.count = cast("BinaryIO", TemporaryFile()), 0  # noqa: SIM115 - closed below
        finalize(self, self.file.close)

    def write(self, part: Columns) -> None:
        """Put a block after the others."""
        for array in (part.numeric, part.vectors, part.levels.indices, part.levels.indptr):
            np.save(self.file, array)
        self.count += 1

    def read(self, none: Columns) -> Iterator[Columns]:
        """Yield the blocks, as ones of the columns that have no rows in `none`."""
        self.file.seek(0)
        for _ in range(self.count):
            numeric, vectors, indices, indptr = (np.load(self.file) for _ in range(4))
            levels = csr_array((np.ones(len(indices)), indices, indptr), (len(numeric), none.levels.shape[1]))
            terms = csr_array((len(numeric), 0), dtype=np.float64)
            yield replace(none, numeric=numeric, vectors=vectors, levels=levels, terms=terms)
