"""Columns whose cells are vectors: embeddings, pixels.

Coordinates are centred, and divided by *one* scale for the whole column (the root mean square of their
standard deviations): the geometry of an embedding is kept, and a coordinate has variance 1 on average, like a
standardised number.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from dataaudit.errors import EncodeError
from dataaudit.features.columns import ColumnBlocks, Feature, counted, indicator, missing_feature
from dataaudit.features.numeric import HUGE

_BLOCK_VALUES = 2**22  # coordinates converted at a time, 32 MiB: the peak is the result and little more


@dataclass(frozen=True)
class VectorEncoder:
    """A list or array column as one block of numbers."""

    column: str
    width: int
    kept: NDArray[np.int64]  # (dv,) coordinates that vary in training
    mean: NDArray[np.float64]  # (dv,)
    scale: float
    has_missing: bool  # whether training had missing cells; a missing cell is the mean
    notes: tuple[str, ...] = ()  # decisions to state to the user

    @property
    def features(self) -> tuple[Feature, ...]:
        """Coordinates that vary, then the missing indicator."""
        name = self.column
        own = tuple(Feature(f"{name}[{j}]", name, str(j), "vector", self.scale) for j in self.kept)
        return own + missing_feature(name, has_missing=self.has_missing)

    def transform(self, series: pl.Series) -> ColumnBlocks:
        """Encode n cells; raises EncodeError if their length is not that of training."""
        width = cell_length(series)
        if width not in (None, self.width):
            got = f"{series.dtype} of no one length" if width == -1 else f"cells of {width:,} numbers"
            what = f"every cell had {self.width:,} numbers in training: got {got}"
            raise EncodeError(what, "give vectors of the same length")
        out = np.empty((len(series), len(self.kept)))
        for start, block in _blocks(series, self.width):
            rows = out[start : start + len(block)]
            np.subtract(block[:, self.kept], self.mean, out=rows)
            rows /= self.scale
            np.nan_to_num(rows, copy=False, nan=0.0)
        missing = (indicator(series.is_null().to_numpy()),) if self.has_missing else ()
        return ColumnBlocks(vectors=out, groups=missing)

    def unseen(self, series: pl.Series) -> tuple[str, ...]:
        """Vectors have no levels."""
        return ()


def fit_vector(column: str, series: pl.Series) -> VectorEncoder:
    """Learn means, the common scale, and which coordinates vary."""
    width = cell_length(series) or 0
    count, total = np.zeros(width), np.zeros(width)
    low, high = np.full(width, np.inf), np.full(width, -np.inf)
    for _, block in _blocks(series, width):
        count += (~np.isnan(block)).sum(axis=0)
        total += np.nansum(block, axis=0)
        low, high = np.fmin(low, np.fmin.reduce(block)), np.fmax(high, np.fmax.reduce(block))
    beyond = series.len() * width - int(count.sum()) - series.null_count() * width
    mean = total / np.maximum(count, 1)
    squares = np.zeros(width)
    for _, block in _blocks(series, width):  # second pass: the one-pass formula cancels for means far from 0
        squares += np.nansum(np.square(block - mean), axis=0)
    kept = np.flatnonzero(low < high)
    variance = (squares / np.maximum(count, 1))[kept]
    scale = float(np.sqrt(variance.mean())) if len(kept) else 1.0
    notes = []
    if beyond:
        notes.append(f"Column {column!r}: {counted(beyond, 'coordinate')} not finite, taken as the mean.")
    if len(kept) < width:
        same = f"{width - len(kept):,} of {counted(width, 'coordinate')}"
        notes.append(f"Column {column!r}: {same} left out, the same in every row.")
    return VectorEncoder(column, width, kept, mean[kept], scale, series.null_count() > 0, tuple(notes))


def cell_length(series: pl.Series) -> int | None:
    """Return how many numbers each cell has: -1 if they differ or are no numbers, None if all miss."""
    cells, width = series.drop_nulls(), 1
    if cells.is_empty():
        return None
    while isinstance(cells.dtype, pl.List | pl.Array):  # rows of pixels are lists of lists
        own = [cells.dtype.size] if isinstance(cells.dtype, pl.Array) else None
        lengths = own or cells.list.len().unique().to_list()
        if len(lengths) != 1 or lengths[0] is None:
            return -1
        width *= lengths[0]
        cells = cells.explode()
    return width if series.dtype.is_nested() and is_number(cells.dtype) else -1


def is_number(dtype: object) -> bool:
    """Return whether values of an inner type are numbers or true/false."""
    return isinstance(dtype, pl.DataType) and (dtype.is_numeric() or dtype == pl.Boolean)


def _blocks(series: pl.Series, width: int) -> Iterator[tuple[int, NDArray[np.float64]]]:
    """Yield blocks of rows: the first row, and coordinates (b, width) with NaN where not finite."""
    rows = max(1, _BLOCK_VALUES // max(width, 1))
    for start in range(0, len(series), rows):
        part = series.slice(start, rows)
        present = part.is_not_null().to_numpy()
        flat = part.drop_nulls()
        while flat.dtype.is_nested():
            flat = flat.explode()
        block = np.full((len(part), width), np.nan)
        values = flat.cast(pl.Float64).to_numpy().reshape(-1, width)
        block[present] = np.where(np.abs(values) <= HUGE, values, np.nan)
        yield start, block
