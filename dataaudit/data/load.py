"""The one way in: whatever holds a table is read in parts, and these make one Dataset.

All parts get one schema, and every row gets a name.
"""

from __future__ import annotations

import codecs
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl

from dataaudit.data.blob import (
    ARFF_NAME,
    ARROW_FILE,
    ARROW_NAMES,
    ARROW_STREAM,
    DELIMITED_NAMES,
    JSON_NAMES,
    OLE,
    PARQUET,
    PARQUET_NAMES,
    SHEET_NAMES,
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
from dataaudit.errors import DataError, MissingColumn, UnreadableFile, closest
from dataaudit.escape import shown
from dataaudit.secrets import public

Stacked = tuple[pl.DataFrame, list[str]]  # the rows of several parts, and notes on them

_MARKS = codecs.BOM_UTF8 + codecs.BOM_UTF16
_CONVERT = "write it as Parquet"
_ASK = "ask it a query: --sql FILE --query 'select …'"
_OTHERS = {
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
    named: Sequence[str] = (),
    dialect: Dialect = USUAL,
    lenient: bool = False,
) -> Dataset:
    """Read a table, name its rows, and state what was decided on the way.

    Parameters
    ----------
    source : str, Path, sequence of these, frame, table, dict, list of dict or Query
        A file (CSV or TSV with any separator, NDJSON, JSON, Parquet, Arrow, ARFF, a spreadsheet; also packed
        by gzip, zstd or zip), an address of one (``s3://``, ``https://``, …), a glob, a folder of such files,
        ``y=yes/`` being a column in the path, a folder with one folder of text files per class, ``-`` for
        stdin, a frame of Polars or pandas, any table that gives an Arrow stream (pyarrow, DuckDB, Ibis), a
        Dataset of Hugging Face, a dict of columns, a list of rows, or a query on a database.
    target : str
        Label column; for folders of texts, the name to give it.
    columns : sequence of str, optional
        Feature columns; by default all but `exclude`. Columns that are not wanted are not read.
    exclude : sequence of str
        Columns to leave out.
    id_column : str, optional
        Column that names the rows: unique, without nulls. It is no feature.
    named : sequence of str
        Columns that are read even where pandas wrote them as its index.
    dialect : Dialect
        Encoding of text files, and whether delimited ones have no header.
    lenient : bool
        Whether columns that are named may be absent, all but the target.

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
        target,
        columns=None if columns is None else tuple(columns),
        exclude=tuple(exclude),
        id_column=id_column,
        named=tuple(named),
        dialect=dialect,
        lenient=lenient,
    )
    paths = given_paths(source)
    query = source if isinstance(source, Query) else None
    if paths and len(paths) > 1:
        query = Query.of_given(paths)
    if query is not None:
        return replace(combine([read_query(query, wanted)], wanted, notes=()), given=query.given)
    if paths is None:
        return combine([read_frame(source, wanted)], wanted, notes=())
    found = find(paths, target)
    parts = _read_tables(found.tables, wanted)
    parts += [read_texts(text_class, wanted) for text_class in found.classes]
    return replace(
        combine(parts, wanted, notes=found.notes), given=tuple(public(str(path)) for path in paths)
    )


def given_paths(source: Any) -> list[str | Path] | None:
    """Return the paths that were given; None if it is a query or a table."""
    paths = [source] if isinstance(source, str | Path) else source
    if isinstance(paths, list | tuple) and all(isinstance(path, str | Path) for path in paths):
        return list(paths)
    if not isinstance(source, Query) and not is_frame(source):
        raise DataError(
            f"a {type(source).__name__} cannot be read",
            "give a path, a list of paths, a Query, or a table: a frame, or a dict of columns",
        )
    return None


def _read_tables(paths: Sequence[str], wanted: Wanted) -> list[Part]:
    """Read the files of a table, with the columns that stand in their paths."""
    wanted = replace(wanted, some=len(paths) > 1)
    if not any("=" in path for path in paths):
        return [read_table(open_blob(path), wanted) for path in paths]
    from dataaudit.data.hive import path_columns  # noqa: PLC0415 - few tables are such

    columns = path_columns(paths, wanted)
    parts = [
        read_table(open_blob(path), wanted.without(own))
        for path, own in zip(paths, columns.levels, strict=True)
    ]
    return columns.added(parts, wanted)


def read_table(blob: Blob, wanted: Wanted) -> Part:
    """Read the wanted columns of one file; first bytes, name or first character say its format."""
    if blob.data.startswith(PARQUET) or blob.suffix in PARQUET_NAMES:
        return read_parquet(blob, wanted)
    if blob.data.startswith((ARROW_FILE, ARROW_STREAM)) or blob.suffix in ARROW_NAMES:
        return read_arrow(blob, wanted)
    if blob.suffix in SHEET_NAMES or blob.data.startswith(OLE):
        from dataaudit.data.formats.excel import read_excel  # noqa: PLC0415 - few files need it

        return read_excel(blob, wanted)
    if blob.suffix == ARFF_NAME:
        from dataaudit.data.formats.arff import read_arff  # noqa: PLC0415 - the same

        return read_arff(blob, wanted)
    if blob.suffix in _OTHERS:
        raise UnreadableFile(
            f"{blob.name} is of a format that is not read here: {blob.suffix}", _OTHERS[blob.suffix]
        )
    head = blob.data[:4096].replace(b"\0", b"").lstrip(_MARKS)  # also of UTF-16
    looks_like_json = head.lstrip().startswith((b"{", b"["))
    if blob.suffix in JSON_NAMES or (looks_like_json and blob.suffix not in DELIMITED_NAMES):
        return read_json(blob, wanted)
    return read_delimited(blob, wanted)


def stacked(parts: Sequence[Part]) -> Stacked:
    """Return the rows of all parts, and notes where the type of a column was decided."""
    columns, notes = [], list[str]()
    for name in dict.fromkeys(name for part in parts for name in part.frame.columns):
        column, note = _column(name, parts)
        columns.append(column)
        notes += [note] if note else []
    return pl.DataFrame(columns), notes


def combine(
    parts: Sequence[Part],
    wanted: Wanted,
    *,
    notes: tuple[str, ...],
    stack: Callable[[Sequence[Part]], Stacked] = stacked,
) -> Dataset:
    """Put the parts one below the other."""
    wanted.check_excluded([name for part in parts for name in part.names], parts[0].origin.path)
    full = [part for part in parts if part.frame.height]
    if not full:
        raise DataError(f"{parts[0].origin.path} has a header but no rows", "give a table with rows")
    _require_columns(full, wanted)
    decided = [*notes, *(note for part in parts for note in part.notes)]
    decided += [f"{part.origin.path} has no rows." for part in parts if not part.frame.height]
    decided += _differences(full, wanted.target)
    frame, said = stack(full)
    decided += said
    row, source, line = (
        pl.concat([getattr(part, name) for part in full]).alias(name) for name in ("row", "source", "line")
    )
    row_id = _row_names(full)
    if wanted.id_column and wanted.id_column in frame.columns:
        row_id = frame[wanted.id_column].alias("row_id")
        frame = frame.drop(wanted.id_column)
    _check_ids(row_id, full, wanted.id_column)
    origins = tuple(part.origin for part in parts)
    names = tuple(dict.fromkeys(name for part in parts for name in part.names))
    notes = tuple(dict.fromkeys(decided))
    return Dataset(frame, wanted.target, row_id, row, source, line, origins, notes, names=names)


def _row_names(parts: Sequence[Part]) -> pl.Series:
    names = []
    for part in parts:
        mark, number = (":", part.line) if part.by_line else ("#", part.row)
        names.append(part.source + mark + number.cast(pl.String))
    return pl.concat(names).alias("row_id")


def _check_ids(row_id: pl.Series, parts: Sequence[Part], id_column: str | None) -> None:
    """Raise DataError for a row without a name, or two with one."""
    what = f"the id column {id_column!r}" if id_column else "the rows' names"
    empty = row_id.is_null() | (row_id == "")
    if empty.any():
        first = shown(_row_names(parts).filter(empty)[0])
        raise DataError(
            f"{what} is empty in {empty.sum():,} of {len(row_id):,} rows, first at {first}",
            "choose a column that is full",
        )
    if row_id.n_unique() == len(row_id):
        return
    again = row_id.is_duplicated()
    example = row_id.filter(again)[0]
    where = _row_names(parts).filter(row_id == example)
    raise DataError(
        f"{what} is not unique: got {shown(example)!r} {len(where):,} times, "
        f"at {shown(where[0])} and {shown(where[1])}",
        "choose a column that is, or none: rows are then named by file and line",
    )


def _require_columns(parts: Sequence[Part], wanted: Wanted) -> None:
    """Raise for a column that was named and is nowhere, and for a file that is of another table."""
    met = {name for part in parts for name in part.frame.columns}
    for name in wanted.required:
        lacking = [part for part in parts if name not in part.frame.columns]
        if lacking and name not in met:
            raise MissingColumn(name, lacking[0].names, lacking[0].origin.path)
    named = {wanted.target, wanted.id_column}
    first, known = parts[0], set(parts[0].frame.columns) - named
    for part in parts[1:]:
        here = set(part.frame.columns) - named
        if known and here and not known & here:
            what = f"{part.origin.path} has none of the columns of {first.origin.path}"
            raise DataError(what, "name the files that are of one table")
        known |= here


def _differences(parts: Sequence[Part], target: str) -> list[str]:
    """Say which files lack which columns, all columns that the same files lack in one sentence."""
    groups: dict[tuple[int, ...], list[str]] = {}
    having = [dict.fromkeys(part.frame.columns) for part in parts]
    for name in dict.fromkeys(name for names in having for name in names):
        lacking = tuple(i for i, names in enumerate(having) if name not in names)
        groups.setdefault(lacking, []).append(name)
    groups.pop((), None)
    notes = []
    for lacking, names in groups.items():
        rows = sum(parts[i].frame.height for i in lacking)
        where, listed = _few([parts[i].origin.path for i in lacking]), _few(list(map(repr, names)))
        columns = f"Columns {listed} are" if len(names) > 1 else f"Column {listed} is"
        note = f"{columns} not in {where} ({len(lacking)} of {len(parts)} files)"
        note += f": missing in {rows:,} row{'s' * (rows > 1)}."
        # Of two columns that may be one, one asks about the other.
        theirs = [there for there in groups if there < lacking and not set(there) & set(lacking)]
        others = [name for there in theirs for name in groups[there]]
        near = [(name, other) for name in names if (other := closest(name, others, least=0.8))]
        if near:
            note += f" Is {near[0][1]!r} there the same as {near[0][0]!r}?"
        if target in names:
            note += f" Rows without {target!r} are left out."
        notes.append(note)
    return notes


def _few(words: Sequence[str], most: int = 3) -> str:
    left = len(words) - most
    return ", ".join(words[:most]) + (f" and {left:,} more" if left > 0 else "")


def _column(name: str, parts: Sequence[Part]) -> tuple[pl.Series, str]:
    """Return one column over all parts, and a note where its type was decided."""
    # A frame makes its schema anew whenever it is asked: with thousands of columns that is all the time.
    cells = [part.frame.get_column(name, default=None) for part in parts]
    common, note = common_type(name, parts, cells)
    pieces = []
    for part, cell in zip(parts, cells, strict=True):
        n = part.frame.height
        empty = cell is None or cell.null_count() == n
        pieces.append(pl.repeat(None, n, dtype=common, eager=True) if empty else cell.cast(common))
    return pl.concat(pieces).alias(name), note


def common_type(
    name: str, parts: Sequence[Part], cells: Sequence[pl.Series | None]
) -> tuple[pl.DataType, str]:
    """Return the type of a column over all parts, and a note where it was decided."""
    having = [(part, cell) for part, cell in zip(parts, cells, strict=True) if cell is not None]
    typed = [(part, cell) for part, cell in having if cell.null_count() < len(cell)] or having
    dtypes = list(dict.fromkeys(cell.dtype for _, cell in typed))
    if len(dtypes) == 1:
        return dtypes[0], ""
    common = _supertype(dtypes) if len({_family(dtype) for dtype in dtypes}) == 1 else None
    if common is not None:
        return common, ""
    other = next(part for part, cell in typed if cell.dtype == dtypes[1])
    found = f"{dtypes[0]} in {typed[0][0].origin.path}, {dtypes[1]} in {other.origin.path}"
    if not all(part.textual for part, _ in typed) or any(dtype.is_nested() for dtype in dtypes):
        raise DataError(
            f"column {name!r} is {found}", "give it one type, exclude it, or name the columns to use"
        )
    return pl.String(), f"column {name!r} is {found}: it is read as text in all files."


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
