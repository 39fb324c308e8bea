"""Parquet and Arrow files, scanned where they lie: only the wanted columns are read.

A file that is cut short or encrypted shows in its first or last bytes, of which Polars says less.
"""

from __future__ import annotations

import io

import polars as pl

from dataaudit.data.blob import ARROW_FILE, ARROW_STREAM, PARQUET, Blob
from dataaudit.data.dataset import Origin, Part, Wanted, id_as_text, one_file, readable
from dataaudit.errors import UnreadableFile

_AGAIN = "the file may be cut short: fetch or write it again"
_FEATHER_1 = b"FEA1"


def read_parquet(blob: Blob, wanted: Wanted) -> Part:
    """Read the wanted columns of a Parquet file."""
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
        frame = scan.select(wanted.choose(names, blob.name)).collect()
    return _part(frame, blob, "parquet", names=names, wanted=wanted)


def read_arrow(blob: Blob, wanted: Wanted) -> Part:
    """Read the wanted columns of an Arrow IPC file (Feather) or stream."""
    if blob.data.startswith(_FEATHER_1):
        raise UnreadableFile(f"{blob.name} is Feather version 1", "write it again as Feather 2 or Parquet")
    if not blob.data.startswith((ARROW_FILE, ARROW_STREAM)):
        raise UnreadableFile(
            f"{blob.name} is not an Arrow file: it starts with {blob.data[:6]!r}", "check the name"
        )
    with readable(f"{blob.name} is not a readable Arrow file", _AGAIN):
        if blob.data.startswith(ARROW_FILE):
            scan = pl.scan_ipc(blob.scannable, glob=False, hive_partitioning=False)
            names = scan.collect_schema().names()
            frame = scan.select(wanted.choose(names, blob.name)).collect()
        else:
            # A stream has no index to find columns by.
            whole = pl.read_ipc_stream(blob.path or io.BytesIO(blob.data))
            names = whole.columns
            frame = whole.select(wanted.choose(names, blob.name))
    return _part(frame, blob, "arrow", names=names, wanted=wanted)


def _part(frame: pl.DataFrame, blob: Blob, kind: str, *, names: list[str], wanted: Wanted) -> Part:
    origin = Origin(blob.name, kind + blob.packing, blob.sha256, frame.height)
    return one_file(id_as_text(frame, wanted.id_column, blob.name), origin, names=tuple(names))
