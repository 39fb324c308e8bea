"""Frames from Python: Polars, eager or lazy, and pandas, which is never imported here."""

from __future__ import annotations

import hashlib
import io
from typing import IO, Any, cast

import polars as pl

from dataaudit.data.dataset import (
    Origin,
    Part,
    Wanted,
    first_line,
    id_as_text,
    one_file,
    readable,
    require_distinct,
)
from dataaudit.errors import DataError

_NAME = "<frame>"


def is_frame(source: object) -> bool:
    """Return whether `source` is a Polars or pandas frame."""
    return isinstance(source, pl.DataFrame | pl.LazyFrame) or _is_pandas(source)


def _is_pandas(source: object) -> bool:
    return any(c.__name__ == "DataFrame" and c.__module__.startswith("pandas.") for c in type(source).__mro__)


def read_frame(source: Any, wanted: Wanted) -> Part:
    """Take the wanted columns of a frame; a lazy frame is collected, with only these."""
    if _is_pandas(source):
        kind = "pandas"
        frame, names = _from_pandas(source, wanted)
    else:
        kind = "polars"
        with readable("the frame cannot be collected", "run .collect() on it to see where it fails"):
            names = source.collect_schema().names()
            frame = source.lazy().select(wanted.choose(names, "the frame")).collect()
    for name, dtype in frame.schema.items():
        if dtype == pl.Object:
            raise DataError(
                f"column {name!r} of the frame holds Python objects", "exclude it, or cast it to text"
            )
    origin = Origin(_NAME, kind, _content_hash(frame), frame.height)
    return one_file(id_as_text(frame, wanted.id_column, "the frame"), origin, names=tuple(names))


def _from_pandas(source: Any, wanted: Wanted) -> tuple[pl.DataFrame, list[str]]:
    """Convert the wanted columns; columns named by numbers are known by their text."""
    if wanted.id_column and wanted.id_column in source.index.names and wanted.id_column not in source.columns:
        source = source.reset_index(wanted.id_column)
    names = [str(name) for name in source.columns]
    require_distinct(names, "the frame")
    places = [names.index(name) for name in wanted.choose(names, "the frame")]
    try:
        frame = pl.from_pandas(source.iloc[:, places])
    except (pl.exceptions.PolarsError, TypeError, ValueError) as error:
        what = f"the pandas frame cannot be converted: {first_line(error)}"
        raise DataError(what, "give every column one type") from error
    return frame.rename(str), names


class _Digest(io.RawIOBase):
    """A file that keeps only the hash of what is written to it."""

    def __init__(self) -> None:
        self.hash = hashlib.sha256()

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self.hash.update(data)
        return len(data)


def _content_hash(frame: pl.DataFrame) -> str:
    digest = _Digest()
    frame.write_ipc_stream(cast("IO[bytes]", digest))
    return digest.hash.hexdigest()
