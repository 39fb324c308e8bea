"""A table that stays on disk: whole columns, blocks of rows, or some rows of it are read, never all of it.

`Scanned` answers the few verbs of a frame that an audit asks, so that what is above need not know which of
the two it has. Parquet is scanned where it lies; whatever else a table is, it is read once and written as
Parquet in a scratch folder.
"""

from __future__ import annotations

import gzip
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import accumulate, groupby
from pathlib import Path, PurePath
from typing import Any, BinaryIO, Final, cast

import numpy as np
import polars as pl
from numpy.typing import NDArray

from dataaudit.data.blob import PARQUET, Blob, content_hash, open_blob
from dataaudit.data.dataset import (
    Dataset,
    Origin,
    Part,
    Wanted,
    id_as_text,
    one_file,
    plain_types,
    readable,
)
from dataaudit.data.formats.arrow import scan_parquet, with_class_names
from dataaudit.data.formats.batches import Tables, Text
from dataaudit.data.formats.huggingface import Names, with_names
from dataaudit.data.hive import path_columns
from dataaudit.data.load import Stacked, combine, common_type, load, read_table
from dataaudit.data.paths import Found
from dataaudit.data.scratch import Plain, Scratch
from dataaudit.data.size import BATCH, file_head, row_groups
from dataaudit.errors import DataError, UnreadableFile
from dataaudit.escape import shown
from dataaudit.secrets import public

BLOCK: Final = 1 << 16  # rows of a block at most
PIECE: Final = 1 << 15  # rows that are read at a time, at least
SCRATCH: Final = "the scratch table"
_AGAIN: Final = "leave the data as they are while an audit runs, and start it again"

Rows = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Piece:
    """Some rows of a Parquet file that lie together."""

    path: str
    name: str  # of the file, for people
    first: int
    height: int
    classes: Names = field(default_factory=dict)  # names of columns of numbers

    def read(self, columns: Sequence[str]) -> pl.DataFrame:
        """Read some columns; those that the file lacks are left out."""
        with readable(f"{self.name} cannot be read any more", _AGAIN):
            scan = pl.scan_parquet(self.path, glob=False, hive_partitioning=False)
            have = set(scan.collect_schema().names())
            rows = scan.select(pl.selectors.by_name([name for name in columns if name in have]))
            rows = rows.slice(self.first, self.height)
            return with_names(plain_types(rows), self.classes)[0].collect()


@dataclass(frozen=True)
class Scanned:
    """n rows on disk, as a frame."""

    pieces: tuple[Piece, ...]
    types: Mapping[str, pl.DataType]  # of the columns, in their order
    own: Mapping[str, pl.Series] = field(default_factory=dict)  # (n,) columns that are in memory instead
    kept: Rows | None = None  # (n,) which rows of the pieces these are, rising; None for all

    @property
    def height(self) -> int:
        """Number of rows."""
        return sum(piece.height for piece in self.pieces) if self.kept is None else len(self.kept)

    def __len__(self) -> int:
        """Return the number of rows."""
        return self.height

    @property
    def columns(self) -> list[str]:
        """The names of the columns."""
        return list(self.types)

    @property
    def width(self) -> int:
        """Number of columns."""
        return len(self.types)

    @property
    def schema(self) -> pl.Schema:
        """The columns and their types."""
        return pl.Schema(self.types)

    def get_column(self, name: str, *, default: Any = ...) -> Any:
        """Read one column whole."""
        if name not in self.types:
            if default is ...:
                raise pl.exceptions.ColumnNotFoundError(name)
            return default
        if name in self.own:
            return self.own[name]
        runs = (list(run) for _, run in groupby(self.pieces, key=lambda piece: piece.path))
        parts = [
            self._typed(replace(run[0], height=sum(piece.height for piece in run)), [name]).to_series()
            for run in runs
        ]
        column = parts[0] if len(parts) == 1 else pl.concat(parts, rechunk=True)
        return column if self.kept is None else column.gather(self.kept)

    def __getitem__(self, key: Any) -> Any:
        """Read a column by its name, or rows by their positions, in the order given."""
        if isinstance(key, str):
            return self.get_column(key)
        rows = np.asarray(key, dtype=np.int64)
        wanted, place = np.unique(rows, return_inverse=True)
        found, start = [], 0
        for piece, bounds in zip(self.pieces, self._bounds(), strict=True):
            here = wanted[(wanted >= bounds[0]) & (wanted < bounds[1])]
            if len(here):
                at = here - start if self.kept is None else self.kept[here] - start
                found.append(self._with_own(self._typed(piece, self._stored)[at], here))
            start += piece.height
        frame = pl.concat(found) if found else self._with_own(pl.DataFrame(schema=self._stored_types), wanted)
        return frame[place.reshape(-1)]

    def select(self, *names: Any) -> Scanned:
        """Return some columns, in the order given."""
        listed = _flat(names)
        return replace(self, types={name: self.types[name] for name in listed})

    def drop(self, *names: Any, strict: bool = True) -> Scanned:
        """Return the other columns."""
        gone = set(_flat(names))
        if strict and not gone <= self.types.keys():
            raise pl.exceptions.ColumnNotFoundError(", ".join(sorted(gone - self.types.keys())))
        return self.select([name for name in self.types if name not in gone])

    def with_columns(self, *columns: Any) -> Scanned:
        """Return the rows with some columns in memory, new ones or in the place of others."""
        new = {column.name: column for column in _flat(columns)}
        types = {**self.types, **{name: column.dtype for name, column in new.items()}}
        return replace(self, types=types, own={**self.own, **new})

    def filter(self, mask: pl.Series) -> Scanned:
        """Return the rows for which a mask is true."""
        at = np.flatnonzero(mask.fill_null(value=False).to_numpy())
        own = {name: column.filter(mask) for name, column in self.own.items()}
        return replace(self, own=own, kept=at if self.kept is None else self.kept[at])

    def gather_every(self, n: int) -> pl.DataFrame:
        """Read every n-th row."""
        frame: pl.DataFrame = self[np.arange(0, self.height, n)]
        return frame

    def iter_slices(self, n_rows: int = BLOCK) -> Iterator[pl.DataFrame]:
        """Read all rows, some at a time."""
        start = 0
        for piece, (first, last) in zip(self.pieces, self._bounds(), strict=True):
            if last > first:
                frame = self._typed(piece, self._stored)
                if self.kept is not None:
                    frame = frame[self.kept[first:last] - start]
                for at in range(first, last, n_rows):
                    rows = np.arange(at, min(at + n_rows, last))
                    yield self._with_own(frame.slice(at - first, len(rows)), rows)
            start += piece.height

    def collect(self) -> pl.DataFrame:
        """Read all rows."""
        parts = list(self.iter_slices())
        return pl.concat(parts) if parts else pl.DataFrame(schema=self.types)

    def parts(self) -> Iterator[Scanned]:
        """Yield the rows of each piece, as small values that can be pickled."""
        start = 0
        for piece, (first, last) in zip(self.pieces, self._bounds(), strict=True):
            if last > first:
                own = {name: column.slice(first, last - first) for name, column in self.own.items()}
                kept = None if self.kept is None else self.kept[first:last] - start
                yield Scanned((piece,), self.types, own, kept)
            start += piece.height

    @property
    def _stored(self) -> list[str]:
        return [name for name in self.types if name not in self.own]

    @property
    def _stored_types(self) -> dict[str, pl.DataType]:
        return {name: self.types[name] for name in self._stored}

    def _bounds(self) -> list[tuple[int, int]]:
        """Return which of the rows lie in each piece."""
        ends = np.array([0, *accumulate(piece.height for piece in self.pieces)])
        at = ends if self.kept is None else np.searchsorted(self.kept, ends)
        return list(zip(at[:-1].tolist(), at[1:].tolist(), strict=True))

    def _typed(self, piece: Piece, columns: Sequence[str]) -> pl.DataFrame:
        """Read columns of a piece as the types that they have over all files."""
        frame = piece.read(columns)
        have = set(frame.columns)
        return pl.DataFrame(
            [
                frame.get_column(name).cast(self.types[name])
                if name in have
                else pl.repeat(None, piece.height, dtype=self.types[name], eager=True).alias(name)
                for name in columns
            ]
        )

    def _with_own(self, frame: pl.DataFrame, rows: Rows) -> pl.DataFrame:
        """Return rows with the columns that are in memory, in order."""
        own = {name: self.own[name].gather(rows).alias(name) for name in self.types if name in self.own}
        return pl.DataFrame([own[n] if n in own else frame.get_column(n) for n in self.types])


def _flat(names: Iterable[Any]) -> list[Any]:
    found: list[Any] = []
    for one in names:
        found += [one] if isinstance(one, str | pl.Series) else list(one)
    return found


def as_frame(scanned: Scanned) -> pl.DataFrame:
    """Return a scanned table where a frame is typed: what audits ask of the one, the other answers."""
    return cast("pl.DataFrame", scanned)


def scan(
    found: Found, wanted: Wanted, *, given: Sequence[str | Path], scratch: Scratch | None = None
) -> Dataset:
    """Return the table that files hold: Parquet without reading it, texts by way of the scratch folder.

    Raises `Uneven` for a text that cannot be read some records at a time.
    """
    paths, parts = found.tables, list[Part]()
    wanted = replace(wanted, some=len(paths) > 1)
    columns = path_columns(paths, wanted) if any("=" in path for path in paths) else None
    for at, path in enumerate(paths):
        asked = wanted if columns is None else wanted.without(columns.levels[at])
        if scratch is None or file_head(path).data.startswith(PARQUET):
            parts.append(_part(open_blob(path), asked))
        else:
            parts.append(_converted(path, asked, scratch))
    if columns is not None:
        parts = columns.added(parts, wanted)
    dataset = combine(parts, wanted, notes=found.notes, stack=_stacked)
    return replace(dataset, given=tuple(public(str(path)) for path in given))


def spilled(source: Any, wanted: Mapping[str, Any], scratch: Scratch) -> Dataset:
    """Return a table that is read once and written as Parquet in a scratch folder."""
    dataset = load(source, **wanted)
    Scratch.require_room(int(dataset.frame.estimated_size()))
    path = scratch.path(".parquet")
    _write(dataset.frame, path)
    pieces = _pieces(str(path), SCRATCH, {}, groups=row_groups(str(path)))
    return replace(dataset, frame=as_frame(Scanned(pieces, dict(dataset.frame.schema))))


def _part(blob: Blob, wanted: Wanted) -> Part:
    """Return a Parquet file as part of a table."""
    scan_ = scan_parquet(blob, wanted)
    named, notes = with_class_names(scan_.rows, blob)
    schema = plain_types(named).collect_schema()
    classes: Names = {}
    if notes:
        from dataaudit.data.formats.huggingface import class_names  # noqa: PLC0415 - few files have any

        classes = class_names(blob)
    groups = row_groups(blob.path)
    pieces = _pieces(blob.path, blob.name, classes, groups=groups)
    frame = Scanned(pieces, dict(schema))
    id_column = wanted.id_column
    if id_column and schema.get(id_column, pl.String) != pl.String:
        ids = frame.select(id_column).collect()
        frame = frame.with_columns(id_as_text(ids, id_column, blob.name).to_series())
    origin = Origin(blob.name, "parquet" + blob.packing, blob.sha256, sum(groups))
    rows = pl.DataFrame({"": np.empty(origin.rows, dtype=np.bool_)})  # as many as there are
    part = one_file(rows, origin, names=tuple(scan_.names), notes=(*scan_.notes, *notes))
    return replace(part, frame=as_frame(frame))


def _converted(path: str, wanted: Wanted, scratch: Scratch) -> Part:
    """Return a text file as part of a table: read some records at a time, and written as Parquet."""
    before = content_hash(path)
    blob = replace(file_head(path), name=shown(public(PurePath(path).as_posix())), sha256=before)
    tables = Tables(Text(blob, partial(_unpacked, path, blob.packing), wanted, read_table, BATCH))
    pieces = list[Piece]()
    for frame in tables.read():
        scratch.require_room(int(frame.estimated_size()))
        at = scratch.path(".parquet")
        _write(frame, at)
        pieces.append(Piece(str(at), SCRATCH, 0, frame.height))
    types, own = tables.typed()
    if content_hash(path) != before:
        raise DataError(f"{blob.name} has changed while it was read: its content hash differs", _AGAIN)
    frame = as_frame(Scanned(tuple(pieces), types, own))
    return replace(tables.whole, frame=frame)


def _unpacked(path: str, packing: str) -> BinaryIO:
    return cast("BinaryIO", gzip.open(path)) if packing else Path(path).open("rb")


def _write(frame: pl.DataFrame, path: Path) -> None:
    with Plain(path) as file:
        target = cast("BinaryIO", file)
        frame.write_parquet(target, row_group_size=PIECE, compression="lz4", statistics=False)


def _pieces(path: str, name: str, classes: Names, *, groups: Sequence[int]) -> tuple[Piece, ...]:
    """Return row groups, small ones put together."""
    pieces, first, height = list[Piece](), 0, 0
    for rows in groups:
        height += rows
        if height >= PIECE:
            pieces.append(Piece(path, name, first, height, classes))
            first, height = first + height, 0
    if height:
        pieces.append(Piece(path, name, first, height, classes))
    return tuple(pieces)


def _stacked(parts: Sequence[Part]) -> Stacked:
    """Return the rows of all parts, and notes where the type of a column was decided."""
    frames = [cast("Scanned", part.frame) for part in parts]
    types, own, notes = dict[str, pl.DataType](), dict[str, pl.Series](), list[str]()
    for name in dict.fromkeys(name for frame in frames for name in frame.columns):
        met = {frame.types[name] for frame in frames if name in frame.types}
        if len(met) == 1:
            types[name] = met.pop()
        else:
            cells = [frame.get_column(name, default=None) for frame in frames]
            types[name], note = common_type(name, parts, cells)
            notes += [note] if note else []
        if any(name in frame.own for frame in frames):
            own[name] = pl.concat(
                [
                    cell.cast(types[name])
                    if (cell := frame.get_column(name, default=None)) is not None
                    else pl.repeat(None, frame.height, dtype=types[name], eager=True)
                    for frame in frames
                ]
            ).alias(name)
    pieces = tuple(piece for frame in frames for piece in frame.pieces)
    return as_frame(Scanned(pieces, types, own)), notes


def require_unchanged(dataset: Dataset) -> None:
    """Refuse findings of files that are no longer what they were when they were scanned."""
    frame = cast("Scanned", dataset.frame)
    origins = {origin.path: origin for origin in dataset.origins}
    for path, name in dict.fromkeys((piece.path, piece.name) for piece in frame.pieces):
        if name not in origins:
            continue  # in the scratch folder
        try:
            same = open_blob(path).sha256 == origins[name].sha256
        except (UnreadableFile, DataError):
            same = False
        if not same:
            raise DataError(f"{name} has changed while it was read: its content hash differs", _AGAIN)
