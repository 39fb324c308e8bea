"""The one way in: whatever holds a table is read in parts, and these make one Dataset.

All parts get one schema, and every row gets a name.
"""

from __future__ import annotations

import codecs
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl

from dataaudit.data.blob import (
    ARROW_FILE,
    ARROW_NAMES,
    ARROW_STREAM,
    DELIMITED_NAMES,
    JSON_NAMES,
    PARQUET,
    PARQUET_NAMES,
    Blob,
    open_blob,
)
from dataaudit.data.dataset import USUAL, Dataset, Dialect, Part, Wanted
from dataaudit.data.formats.arrow import read_arrow, read_parquet
from dataaudit.data.formats.csv import read_delimited
from dataaudit.data.formats.json import read_json
from dataaudit.data.formats.texts import read_texts
from dataaudit.data.frames import is_frame, read_frame
from dataaudit.data.paths import find
from dataaudit.data.sql.query import Query, read_query
from dataaudit.errors import DataError, UnreadableFile
from dataaudit.escape import shown
from dataaudit.secrets import public

_MARKS = codecs.BOM_UTF8 + codecs.BOM_UTF16
_EXPORT = "save the sheet as CSV"
_CONVERT = "write it as Parquet"
_ASK = "ask it a query: --sql FILE --query 'select …'"
_OTHERS = {
    **dict.fromkeys((".xlsx", ".xls"), _EXPORT),
    **dict.fromkeys((".pkl", ".npz", ".npy"), _CONVERT),
    **dict.fromkeys((".db", ".sqlite", ".sqlite3", ".duckdb"), _ASK),
}


def load(
    source: Any,
    *,
    target: str,
    columns: Sequence[str] | None = None,
    exclude: Sequence[str] = (),
    id_column: str | None = None,
    dialect: Dialect = USUAL,
) -> Dataset:
    """Read a table, name its rows, and state what was decided on the way.

    Parameters
    ----------
    source : str, Path, sequence of these, pl.DataFrame, pl.LazyFrame, pandas.DataFrame or Query
        A file (CSV or TSV with any separator, NDJSON, JSON, Parquet, Arrow; also packed by gzip or zstd), a
        glob, a folder of such files, a folder with one folder of text files per class, ``-`` for stdin, a
        frame, or a query on a database.
    target : str
        Label column; for folders of texts, the name to give it.
    columns : sequence of str, optional
        Feature columns; by default all but `exclude`. Columns that are not wanted are not read.
    exclude : sequence of str
        Columns to leave out.
    id_column : str, optional
        Column that names the rows: unique, without nulls. It is no feature.
    dialect : Dialect
        Encoding of text files, and whether delimited ones have no header.

    Returns
    -------
    Dataset
        With at least one row.

    Raises
    ------
    UnreadableFile
        If a file is absent, empty, cut short, or not of its format.
    MissingColumn
        If a column that was named is not there.
    DataError
        If files do not fit together, ids repeat, or there are no rows.
    SettingError
        If the target is also the id or excluded.

    Examples
    --------
    >>> import polars as pl
    >>> data = load(pl.DataFrame({"x": [1, 2], "y": ["a", "b"]}), target="y")
    >>> data.n, data.row_id.to_list()
    (2, ['<frame>#0', '<frame>#1'])
    """
    wanted = Wanted(
        target, None if columns is None else tuple(columns), tuple(exclude), id_column, dialect=dialect
    )
    if not isinstance(source, str | Path) and is_frame(source):
        return combine([read_frame(source, wanted)], wanted, notes=())
    query = source if isinstance(source, Query) else None
    paths = [] if query else _paths(source)
    query = query or (Query.of_given(paths) if len(paths) > 1 else None)
    if query is not None:
        return replace(combine([read_query(query, wanted)], wanted, notes=()), given=query.given)
    found = find(paths, target)
    parts = [_read_table(open_blob(path), wanted) for path in found.tables]
    parts += [read_texts(text_class, wanted) for text_class in found.classes]
    return replace(
        combine(parts, wanted, notes=found.notes), given=tuple(public(str(path)) for path in paths)
    )


def _paths(source: Any) -> list[str | Path]:
    paths = [source] if isinstance(source, str | Path) else source
    if not isinstance(paths, list | tuple) or not all(isinstance(path, str | Path) for path in paths):
        raise DataError(
            f"a {type(source).__name__} cannot be read",
            "give a path, a list of paths, a Query, or a Polars or pandas frame",
        )
    return list(paths)


def _read_table(blob: Blob, wanted: Wanted) -> Part:
    """Read the wanted columns of one file; first bytes, name or first character say its format."""
    if blob.data.startswith(PARQUET) or blob.suffix in PARQUET_NAMES:
        return read_parquet(blob, wanted)
    if blob.data.startswith((ARROW_FILE, ARROW_STREAM)) or blob.suffix in ARROW_NAMES:
        return read_arrow(blob, wanted)
    if blob.suffix in _OTHERS:
        raise UnreadableFile(
            f"{blob.name} is of a format that is not read here: {blob.suffix}", _OTHERS[blob.suffix]
        )
    head = blob.data[:4096].replace(b"\0", b"").lstrip(_MARKS)  # also of UTF-16
    looks_like_json = head.lstrip().startswith((b"{", b"["))
    if blob.suffix in JSON_NAMES or (looks_like_json and blob.suffix not in DELIMITED_NAMES):
        return read_json(blob, wanted)
    return read_delimited(blob, wanted)


def combine(parts: Sequence[Part], wanted: Wanted, *, notes: tuple[str, ...]) -> Dataset:
    """Put the parts one below the other."""
    wanted.check_excluded([name for part in parts for name in part.names], parts[0].origin.path)
    _check_columns(parts)
    full = [part for part in parts if part.frame.height]
    if not full:
        raise DataError(f"{parts[0].origin.path} has a header but no rows", "give a table with rows")
    decided = [*notes, *(note for part in parts for note in part.notes)]
    decided += [f"{part.origin.path} has no rows." for part in parts if not part.frame.height]
    columns = []
    for name in full[0].frame.columns:
        column, note = _column(name, full)
        columns.append(column)
        decided += [note] if note else []
    frame = pl.DataFrame(columns)
    row, source, line = (
        pl.concat([getattr(part, name) for part in full]).alias(name) for name in ("row", "source", "line")
    )
    row_id = _row_names(full)
    if wanted.id_column:
        row_id = frame[wanted.id_column].alias("row_id")
        frame = frame.drop(wanted.id_column)
    _check_ids(row_id, _row_names(full), wanted.id_column)
    origins = tuple(part.origin for part in parts)
    return Dataset(frame, wanted.target, row_id, row, source, line, origins, tuple(dict.fromkeys(decided)))


def _row_names(parts: Sequence[Part]) -> pl.Series:
    names = []
    for part in parts:
        mark, number = (":", part.line) if part.by_line else ("#", part.row)
        names.append(part.source + mark + number.cast(pl.String))
    return pl.concat(names).alias("row_id")


def _check_ids(row_id: pl.Series, places: pl.Series, id_column: str | None) -> None:
    """Raise DataError for a row without a name, or two with one."""
    what = f"the id column {id_column!r}" if id_column else "the rows' names"
    empty = row_id.is_null() | (row_id == "")
    if empty.any():
        first = shown(places.filter(empty)[0])
        raise DataError(
            f"{what} is empty in {empty.sum():,} of {len(row_id):,} rows, first at {first}",
            "choose a column that is full",
        )
    if row_id.n_unique() == len(row_id):
        return
    again = row_id.is_duplicated()
    example = row_id.filter(again)[0]
    where = places.filter(row_id == example)
    raise DataError(
        f"{what} is not unique: got {shown(example)!r} {len(where):,} times, "
        f"at {shown(where[0])} and {shown(where[1])}",
        "choose a column that is, or none: rows are then named by file and line",
    )


def _check_columns(parts: Sequence[Part]) -> None:
    """Raise DataError at the first file whose wanted columns are not those of the first file."""
    first, hint = parts[0], "exclude it, or name the columns to use"
    expected = set(first.frame.columns)
    for part in parts[1:]:
        here = set(part.frame.columns)
        missing = [name for name in first.frame.columns if name not in here]
        if missing:
            what = f"{part.origin.path} lacks the column {missing[0]!r} that {first.origin.path} has"
            raise DataError(what, hint)
        extra = [name for name in part.frame.columns if name not in expected]
        if extra:
            what = f"{part.origin.path} has a column {extra[0]!r} that {first.origin.path} lacks"
            raise DataError(what, hint)


def _column(name: str, parts: Sequence[Part]) -> tuple[pl.Series, str]:
    """Return one column over all parts, and a note where its type was decided."""
    typed = [part for part in parts if part.frame[name].null_count() < part.frame.height]
    typed = typed or list(parts)
    dtypes = list(dict.fromkeys(part.frame.schema[name] for part in typed))
    note = ""
    if len(dtypes) == 1:
        common: pl.DataType | None = dtypes[0]
    elif len({_family(dtype) for dtype in dtypes}) == 1:
        common = _supertype(dtypes)
    else:
        common = None
    if common is None:
        other = next(part for part in typed if part.frame.schema[name] != dtypes[0])
        found = f"{dtypes[0]} in {typed[0].origin.path}, {other.frame.schema[name]} in {other.origin.path}"
        if not all(part.textual for part in typed) or any(dtype.is_nested() for dtype in dtypes):
            raise DataError(
                f"column {name!r} is {found}", "give it one type, exclude it, or name the columns to use"
            )
        common = pl.String()
        note = f"column {name!r} is {found}: it is read as text in all files."
    pieces = []
    for part in parts:
        cells, n = part.frame[name], part.frame.height
        empty = cells.null_count() == n
        pieces.append(pl.repeat(None, n, dtype=common, eager=True) if empty else cells.cast(common))
    return pl.concat(pieces).alias(name), note


def _family(dtype: pl.DataType) -> str:
    if dtype.is_numeric():
        return "number"
    if dtype.is_temporal():
        return "time"
    if isinstance(dtype, pl.String | pl.Categorical | pl.Enum):
        return "text"
    return "list" if isinstance(dtype, pl.List | pl.Array) else str(dtype)


def _supertype(dtypes: Sequence[pl.DataType]) -> pl.DataType | None:
    """Return the type that holds all of `dtypes`, or None."""
    if all(isinstance(dtype, pl.String | pl.Categorical | pl.Enum) for dtype in dtypes):
        return pl.String()
    try:
        empty = [pl.DataFrame(schema={"column": dtype}) for dtype in dtypes]
        return pl.concat(empty, how="vertical_relaxed").schema["column"]
    except pl.exceptions.PolarsError:
        return None
