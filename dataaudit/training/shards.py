"""Design matrices that are not in memory: written once to scratch files, or made of a table whenever asked.

A row of X is mostly numbers that are not zero and a few ones among many levels. So a shard keeps the numbers
as float64 and of the levels which are one, a few hundred bytes a row, and puts the dense rows together when
they are asked for. It is read by plain reads: pages of a memory map would count as the process's own.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final, TypeVar, cast

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_array, vstack
from torch import Tensor

from dataaudit.errors import UnreadableFile
from dataaudit.features import AnyColumns, Basis, Columns, Encoding
from dataaudit.features.scanned import ScannedColumns
from dataaudit.memory import memory_limit, require_memory
from dataaudit.model.rows import MemoryRows, ShardedRows
from dataaudit.model.split import Split, is_split
from dataaudit.options import StepCallback, ignore_progress

if TYPE_CHECKING:
    from dataaudit.data.scan import Scanned
    from dataaudit.data.scratch import Scratch

DENSE_BYTES: Final = 12 * 2**20  # of a shard's dense rows: what the allocator gives back without new pages
FILE_BYTES: Final = 64 * 2**20  # of a file
WIDE: Final = 3000  # features from which on most are levels, and rows sparse
ENTRY: Final = 12  # bytes of an entry of a sparse matrix
WRITING: Final = "write features"

Number = TypeVar("Number", np.float64, np.int32)
Rows = NDArray[np.int64]


@dataclass(frozen=True)
class ScratchShard:
    """Rows in a scratch file: numbers, then which levels are one."""

    path: str
    at: int  # first byte
    n: int
    numbers: int  # numbers of a row
    ones: int  # levels of a row that are one, at most
    left: int  # numbers that stand before the levels
    levels: int

    @property
    def width(self) -> int:
        """Number of features."""
        return self.numbers + self.levels

    @property
    def size(self) -> int:
        """Number of bytes."""
        return self.n * (8 * self.numbers + 4 * self.ones)

    @property
    def is_there(self) -> bool:
        """Whether all of it is in the file."""
        path = Path(self.path)
        return path.is_file() and path.stat().st_size >= self.at + self.size

    def features(self) -> Tensor | Split:
        """Read all rows: dense ones with a column of ones after them."""  # -> (n, d or d+1)
        with self._opened() as file:
            if not is_split(self.numbers, self.ones, self.levels):
                return self._rows(file, 0, self.n)
            return Split(*self._read(file, 0, self.n), self.left, self.levels)

    def take(self, rows: Rows) -> Tensor:
        """Read some rows."""  # (b,) -> (b, d+1)
        with self._opened() as file:
            found = [self._rows(file, row, 1) for row in rows.tolist()]
        return torch.cat(found) if found else torch.empty(0, self.width + 1, dtype=torch.float64)

    def _opened(self) -> BinaryIO:
        try:
            return Path(self.path).open("rb", buffering=0)
        except OSError as error:
            what = f"scratch file {self.path} is gone: {error.strerror}"
            raise UnreadableFile(what, "leave it alone while an audit runs, and start that again") from error

    def _read(self, file: BinaryIO, first: int, n: int) -> tuple[NDArray[np.float64], NDArray[np.int32]]:
        """Read numbers and ones of some rows that lie together."""
        numbers = _read(file, self.at + 8 * self.numbers * first, np.float64, n * self.numbers)
        start = self.at + 8 * self.numbers * self.n + 4 * self.ones * first
        ones = _read(file, start, np.int32, n * self.ones)
        return numbers.reshape(n, self.numbers), ones.reshape(n, self.ones)

    def _rows(self, file: BinaryIO, first: int, n: int) -> Tensor:
        values, ones = self._read(file, first, n)
        X = np.zeros((n, self.width + 1))
        X[:, : self.left] = values[:, : self.left]
        X[:, self.left + self.levels : -1] = values[:, self.left :]
        X[:, -1] = 1.0
        place = ones + (self.left + np.arange(0, X.size, X.shape[1])[:, None])
        X.reshape(-1)[place[ones >= 0]] = 1.0
        return torch.from_numpy(X)


def _read(file: BinaryIO, at: int, dtype: type[Number], count: int) -> NDArray[Number]:
    values = np.empty(count, dtype=dtype)
    file.seek(at)
    view = values.view(np.uint8).data
    read = 0
    while read < len(view):
        more = file.readinto(view[read:])  # type: ignore[attr-defined]
        if not more:
            what = f"scratch file {file.name} is cut short"
            raise UnreadableFile(what, "leave it alone while an audit runs, and start that again")
        read += more
    return values


@dataclass(frozen=True)
class FrameShard:
    """Rows of a table on disk, encoded whenever they are asked for: a small value that can be pickled."""

    frame: Scanned  # of one piece of a file
    encoding: Encoding
    basis: Basis

    @property
    def n(self) -> int:
        """Number of rows."""
        return self.frame.height

    def features(self) -> Tensor | csr_array:
        """Read and encode all rows."""  # -> (n, d)
        return self._made(self.frame.collect())

    def take(self, rows: Rows) -> Tensor | csr_array:
        """Read and encode some rows."""  # (b,) -> (b, d)
        return self._made(self.frame[rows])

    def _made(self, frame: object) -> Tensor | csr_array:
        X = self.basis.transform(self.encoding.transform(frame))  # type: ignore[arg-type]
        if isinstance(X, csr_array) and not any(f.kind == "term" for f in self.basis.features):
            X = X.toarray()
        return X if isinstance(X, csr_array) else torch.from_numpy(X)


def frame_shards(columns: ScannedColumns, basis: Basis) -> tuple[FrameShard, ...]:
    """Return a table on disk as shards, one for each piece of its files."""
    used = [encoder.column for encoder in columns.encoding.encoders]
    scanned = cast("Scanned", columns.frame.select(used))
    return tuple(FrameShard(part, columns.encoding, basis) for part in scanned.parts())


def design(
    columns: AnyColumns,
    basis: Basis,
    *,
    y: Tensor,
    weight: Tensor,
    scratch: Scratch | None,
    on_step: StepCallback = ignore_progress,
) -> MemoryRows:
    """Return the rows of a model whose columns are not in memory: dense ones in scratch files.

    A sparse X is held in memory, since its products need it whole; it is refused where it does not fit.
    """
    if columns.term_features or scratch is None or len(basis.features) > WIDE:
        return MemoryRows(sparse_design(columns, basis), y, weight)
    if scratch.engine is not None:
        there = frame_shards(cast("ScannedColumns", columns), basis)
        return cast("MemoryRows", ShardedRows(there, y, weight, len(basis.features), scratch.engine))
    shards = _known_shards(scratch) or _new_shards(columns, basis, scratch, on_step)
    # It answers what a model asks of rows: to be summed over, mapped over, and taken.
    return cast("MemoryRows", ShardedRows(shards, y, weight, len(basis.features)))


def _known_shards(scratch: Scratch) -> tuple[ScratchShard, ...]:
    """Return the shards that the run that is gone on with wrote, if they are there."""
    shards: tuple[ScratchShard, ...] = (scratch.kept and scratch.kept.get(WRITING)) or ()
    return shards if all(shard.is_there for shard in shards) else ()


def _new_shards(
    columns: AnyColumns, basis: Basis, scratch: Scratch, on_step: StepCallback
) -> tuple[ScratchShard, ...]:
    size = 8 * columns.n * (len(basis.features) - len(columns.level_features))
    folder = scratch.room_for(size)
    if folder is None:
        scratch.require_room(size)
    shards, done = list[ScratchShard](), 0
    on_step(WRITING, 0, columns.n)
    for shard in write_shards(columns, basis, scratch=scratch, folder=folder):
        shards.append(shard)
        done += shard.n
        on_step(WRITING, done, columns.n)
    if folder is not None:
        scratch.kept.put(WRITING, tuple(shards))
    return tuple(shards)


def sparse_design(columns: AnyColumns, basis: Basis) -> csr_array:
    """Return X of columns that are not in memory, itself in memory and sparse."""
    blocks, rows, entries = list[csr_array](), 0, 0
    for part in columns.blocks():
        X = csr_array(basis.transform(part))
        rows, entries = rows + X.shape[0], entries + X.nnz
        what = f"the sparse matrix of {columns.n:,} rows and {X.shape[1]:,} features"
        require_memory(2 * ENTRY * entries * columns.n // max(rows, 1), what, memory_limit())
        blocks.append(X)
    return csr_array(vstack(blocks, format="csr"))


def write_shards(
    columns: AnyColumns, basis: Basis, *, scratch: Scratch, folder: Path | None = None
) -> Iterator[ScratchShard]:
    """Write the design matrix of columns that are not in memory, and yield where its rows are."""
    writer = _Writer(basis, scratch, folder)
    try:
        for block in columns.blocks():
            for start in range(0, block.n, writer.step):
                yield writer.write(block, slice(start, min(start + writer.step, block.n)))
    finally:
        writer.close()


class _Writer:
    """Writes shards one after another, to files of limited size."""

    def __init__(self, basis: Basis, scratch: Scratch, folder: Path | None) -> None:
        self.basis, self.scratch, self.folder, self.files = basis, scratch, folder, 0
        self.step = max(1, DENSE_BYTES // (8 * (len(basis.features) + 1)))
        self.file: BinaryIO | None = None

    @cached_property
    def left(self) -> int:
        """Number of features before the levels."""
        return sum(feature.kind in ("numeric", "datetime", "vector") for feature in self.basis.columns)

    def write(self, block: Columns, rows: slice) -> ScratchShard:
        """Write some rows of a block."""
        before, after = self.basis.sides(block, rows)
        ones = _ones(block.levels[rows])
        n, levels = len(before), block.levels.shape[1]
        file = self._room()
        at = file.tell()
        file.write(np.ascontiguousarray(np.hstack([before, after])).data)
        file.write(ones.data)
        return ScratchShard(
            file.name, at, n, before.shape[1] + after.shape[1], ones.shape[1], before.shape[1], levels
        )

    def _room(self) -> BinaryIO:
        if self.file is not None and self.file.tell() >= FILE_BYTES:
            self.close()
        if self.file is None:
            self.files += 1
            kept = self.folder and self.folder / f"{self.files}.rows"
            self.file = (kept or self.scratch.path(".rows")).open("wb")
        return self.file

    def close(self) -> None:
        """Bring what was written to the files."""
        file, self.file = self.file, None
        if file is not None:
            file.close()


def _ones(levels: csr_array) -> NDArray[np.int32]:
    """Return which levels of each row are one, −1 where a row has fewer than others."""  # -> (b, most)
    counts = np.diff(levels.indptr)
    ones = np.full((levels.shape[0], int(counts.max(initial=0))), -1, dtype=np.int32)
    ones[np.arange(ones.shape[1]) < counts[:, None]] = levels.indices
    return ones
