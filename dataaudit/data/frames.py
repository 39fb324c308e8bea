"""Frames from Python: Polars, eager or lazy, and pandas, which is never imported here; `objects` has more."""

from __future__ import annotations

import hashlib
import io
from typing import IO, Any, Final, cast

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
from dataaudit.escape import shown

_NAME = "<frame>"
_COMPLEX: Final = "take its parts as two columns: .real and .imag, or exclude it"


def is_frame(source: object) -> bool:
    """Return whether `source` is a table in memory."""
    if isinstance(source, pl.DataFrame | pl.LazyFrame) or _is_pandas(source):
        return True
    from dataaudit.data.objects import is_table  # noqa: PLC0415 - most sources are files

    return is_table(source)


def _is_pandas(source: object) -> bool:
    """Whether it is a frame of pandas, or of Modin, which hands one over."""
    return _is_frame_of(source, "pandas.") or _is_frame_of(source, "modin.pandas.")


def _is_frame_of(source: object, package: str) -> bool:
    return any(c.__name__ == "DataFrame" and c.__module__.startswith(package) for c in type(source).__mro__)


def read_frame(source: Any, wanted: Wanted) -> Part:
    """Take the wanted columns of a frame; a lazy frame is collected, with only these."""
    notes: tuple[str, ...] = ()
    if _is_pandas(source):
        kind = "pandas"
        frame, names, notes = _from_pandas(source, wanted)
    elif isinstance(source, pl.DataFrame | pl.LazyFrame):
        kind = "polars"
        with readable("the frame cannot be collected", "run .collect() on it to see where it fails"):
            names = source.collect_schema().names()
            frame = source.lazy().select(wanted.choose(names, "the frame")).collect()
        frame, notes = _without_objects(frame)
    else:
        from dataaudit.data.objects import kind_of, read_table  # noqa: PLC0415 - few sources are such

        kind = kind_of(source)
        frame, names, notes = read_table(source, wanted)
    origin = Origin(_NAME, kind, _content_hash(frame), frame.height)
    frame = id_as_text(frame, wanted.id_column, "the frame")
    return one_file(frame, origin, names=tuple(names), notes=notes)


def _without_objects(frame: pl.DataFrame) -> tuple[pl.DataFrame, tuple[str, ...]]:
    """Return the frame with types for its columns of Python objects."""
    held = [name for name, dtype in frame.schema.items() if dtype == pl.Object]
    if not held:
        return frame, ()
    from dataaudit.data.objects import column_of  # noqa: PLC0415 - few frames have such

    done = [column_of(name, frame[name].to_list()) for name in held]
    return frame.with_columns(column for column, _ in done), tuple(note for _, note in done if note)


def _from_pandas(source: Any, wanted: Wanted) -> tuple[pl.DataFrame, list[str], tuple[str, ...]]:
    """Convert the wanted columns; columns named by numbers are known by their text."""
    if _is_frame_of(source, "modin.pandas."):
        source = source.modin.to_pandas()
    notes: list[str] = []
    names = [_flat(name) for name in source.columns]
    index = [name for name in source.index.names if name in wanted.asked and name not in names]
    if index:
        source = source.reset_index(index)
        names = [_flat(name) for name in source.columns]
    if source.columns.nlevels > 1:
        notes.append(f"The names of columns have {source.columns.nlevels} levels, which are joined by _.")
    require_distinct(names, "the frame")
    places = [names.index(name) for name in wanted.choose(names, "the frame")]
    chosen = source.iloc[:, places]
    chosen.columns = [names[place] for place in places]
    if any(map(_is_odd, chosen.dtypes)):
        chosen = _plain(chosen)
    try:
        frame = pl.from_pandas(chosen)
    except (pl.exceptions.PolarsError, TypeError, ValueError, OverflowError):
        frame, mixed = _by_column(chosen)
        notes += mixed
    return frame, names, tuple(notes)


def _flat(name: Any) -> str:
    """Return the name of a column; the levels of one that has several, joined."""
    return "_".join(str(level) for level in name if str(level)) if isinstance(name, tuple) else str(name)


def _is_odd(dtype: Any) -> bool:
    """Whether a type of pandas is one that Arrow has not, or keeps in a form of pandas' own."""
    inner = getattr(getattr(dtype, "categories", None), "dtype", dtype)
    return str(inner).startswith(("period[", "interval[", "Sparse[", "complex"))


def _plain(chosen: Any) -> Any:
    """Return periods as the time at which they begin, intervals as text, sparse columns in full."""
    columns = {}
    for name, dtype in chosen.dtypes.items():
        column, kind = chosen[name], str(dtype)
        if _is_odd(dtype):
            if kind.startswith("complex"):
                raise DataError(f"column {shown(name)!r} of the frame holds complex numbers", _COMPLEX)
            if kind.startswith("Sparse["):
                column = column.sparse.to_dense()
            elif kind.startswith("period["):
                column = column.dt.to_timestamp()
            else:  # intervals, and categories of intervals or periods
                column = column.astype(object).where(column.notna(), None).map(str, na_action="ignore")
        columns[name] = column
    return type(chosen)(columns)


def _by_column(chosen: Any) -> tuple[pl.DataFrame, list[str]]:
    """Convert each column by itself, those that hold several types by their values."""
    from dataaudit.data.objects import column_of  # noqa: PLC0415 - few frames have such

    done, notes = list[pl.Series](), list[str]()
    for name in chosen.columns:
        try:
            done.append(pl.from_pandas(chosen[[name]]).to_series())
        except (pl.exceptions.PolarsError, TypeError, ValueError, OverflowError) as error:
            if str(getattr(chosen[name].dtype, "categories", chosen[name]).dtype) != "object":
                what = f"column {shown(name)!r} of the frame cannot be read: {first_line(error)}"
                raise DataError(what, "exclude it, or cast it to text or numbers") from error
            column, note = column_of(name, chosen[name].tolist())
            done.append(column)
            notes += [note] if note else []
    return pl.DataFrame(done), notes


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
