"""Parquet and Arrow files, scanned where they lie: only the wanted columns are read.

What pandas wrote as its index is no column to pandas, and is left out here unless it is asked for: it says
where a row stood before the table was sampled or sorted, not what it is.

A file that is cut short or encrypted shows in its first or last bytes, of which Polars says less.
"""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import BinaryIO, Final, NamedTuple

import polars as pl

from dataaudit.data.blob import ARROW_FILE, ARROW_STREAM, PARQUET, Blob
from dataaudit.data.dataset import Frame, Origin, Part, Wanted, id_as_text, one_file, readable
from dataaudit.errors import UnreadableFile

_AGAIN = "the file may be cut short: fetch or write it again"
_FEATHER_1 = b"FEA1"
_SCHEMA_BYTES: Final = 1 << 16  # of an Arrow file, which begins with its schema
_CLASS_NAMES: Final = b"huggingface"  # in the metadata where numbers of classes have names
_INDEX = b'{"index_columns"'  # how the metadata of pandas begin


class Scan(NamedTuple):
    """The wanted columns of a file that is not read yet."""

    rows: pl.LazyFrame
    names: list[str]  # of all columns
    notes: tuple[str, ...]


def read_parquet(blob: Blob, wanted: Wanted) -> Part:
    """Read the wanted columns of a Parquet file."""
    scan = scan_parquet(blob, wanted)
    with readable(f"{blob.name} is not a readable Parquet file", _AGAIN):
        frame = scan.rows.collect()
    return _part(frame, blob, "parquet", names=scan.names, wanted=wanted, notes=scan.notes)


def scan_parquet(blob: Blob, wanted: Wanted) -> Scan:
    """Return the wanted columns of a Parquet file, to be read."""
    if not blob.data.startswith(PARQUET):
        raise UnreadableFile(
            f"{blob.name} is not a Parquet file: it starts with {blob.data[:4]!r}", "check the name"
        )
    tail = blob.tail(len(PARQUET))
    if tail == b"PARE":
        raise UnreadableFile(f"{blob.name} is an encrypted Parquet file", "decrypt it first")
    if tail != PARQUET:
        raise UnreadableFile(f"{blob.name} is cut short: a Parquet file ends with {PARQUET!r}", _AGAIN)
    with readable(f"{blob.name} is not a readable Parquet file", _AGAIN):
        scan = pl.scan_parquet(blob.scannable, glob=False, hive_partitioning=False)
        names = scan.collect_schema().names()
        kept, notes = wanted.without_index(names, parquet_index(blob.path or io.BytesIO(blob.data)))
        return Scan(scan.select(wanted.choose(kept, blob.name)), names, notes)


def read_arrow(blob: Blob, wanted: Wanted) -> Part:
    """Read the wanted columns of an Arrow IPC file (Feather) or stream."""
    if blob.data.startswith(_FEATHER_1):
        raise UnreadableFile(f"{blob.name} is Feather version 1", "write it again as Feather 2 or Parquet")
    if not blob.data.startswith((ARROW_FILE, ARROW_STREAM)):
        raise UnreadableFile(
            f"{blob.name} is not an Arrow file: it starts with {blob.data[:6]!r}", "check the name"
        )
    with readable(f"{blob.name} is not a readable Arrow file", _AGAIN):
        index = arrow_index(blob.path) if blob.path else _index_of_schema(io.BytesIO(blob.data))
        if blob.data.startswith(ARROW_FILE):
            scan = pl.scan_ipc(blob.scannable, glob=False, hive_partitioning=False)
            names = scan.collect_schema().names()
            kept, notes = wanted.without_index(names, index)
            frame = scan.select(wanted.choose(kept, blob.name)).collect()
        else:
            # A stream has no index to find columns by.
            whole = pl.read_ipc_stream(blob.path or io.BytesIO(blob.data))
            names = whole.columns
            kept, notes = wanted.without_index(names, index)
            frame = whole.select(wanted.choose(kept, blob.name))
    return _part(frame, blob, "arrow", names=names, wanted=wanted, notes=notes)


def with_class_names(frame: Frame, blob: Blob) -> tuple[Frame, tuple[str, ...]]:
    """Return the rows of a file with the names that it has for numbers of classes, and a note."""
    if blob.data.startswith(PARQUET):
        metadata = blob.tail(int.from_bytes(blob.tail(8)[:4], "little") + 8)
    else:
        metadata = blob.head(_SCHEMA_BYTES)
    if _CLASS_NAMES not in metadata:
        return frame, ()
    from dataaudit.data.formats.huggingface import class_names, with_names  # noqa: PLC0415 - few files need it

    return with_names(frame, class_names(blob))


def parquet_index(source: str | BinaryIO) -> tuple[str, ...]:
    """Return the columns that pandas wrote as index into a Parquet file."""
    return pandas_index(pl.read_parquet_metadata(source).get("pandas"))


def arrow_index(path: str) -> tuple[str, ...]:
    """Return the same of an Arrow file or stream."""
    with Path(path).open("rb") as file:
        return _index_of_schema(file)


def _index_of_schema(file: BinaryIO) -> tuple[str, ...]:
    """Find the index in the schema with which a file or stream begins: a length, then a message."""
    head = file.read(len(ARROW_STREAM))
    if ARROW_FILE.startswith(head):
        file.seek(8)  # the magic bytes, padded
        head = file.read(len(ARROW_STREAM))
    size = file.read(4) if head == ARROW_STREAM else head
    schema = file.read(max(int.from_bytes(size, "little", signed=True), 0))
    at = schema.find(_INDEX)
    return pandas_index(schema[at:].decode(errors="replace")) if at >= 0 else ()


def pandas_index(metadata: str | bytes | None) -> tuple[str, ...]:
    """Return the columns that the metadata of pandas name as index; one that only counts is no column."""
    try:
        text = metadata.decode(errors="replace") if isinstance(metadata, bytes) else metadata
        written, _ = json.JSONDecoder().raw_decode(text or "{}")
        return tuple(name for name in written.get("index_columns", ()) if isinstance(name, str))
    except (ValueError, AttributeError, TypeError):
        return ()


def _part(
    frame: pl.DataFrame, blob: Blob, kind: str, *, names: list[str], wanted: Wanted, notes: tuple[str, ...]
) -> Part:
    frame, named = with_class_names(frame, blob)
    origin = Origin(blob.name, kind + blob.packing, blob.sha256, frame.height)
    frame = id_as_text(frame, wanted.id_column, blob.name)
    return one_file(frame, origin, names=tuple(names), notes=(*notes, *named))
