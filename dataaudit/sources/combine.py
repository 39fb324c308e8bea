"""Parts → Dataset: one schema over all files, one name per row."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from dataaudit.errors import DataError
from dataaudit.sources.dataset import Dataset
from dataaudit.sources.part import Part
from dataaudit.sources.wanted import Wanted, shown


def combine(parts: Sequence[Part], wanted: Wanted, *, notes: tuple[str, ...]) -> Dataset:
    """Put the parts one below the other.

    Parameters
    ----------
    parts : sequence of Part
        In reading order, at least one.
    wanted : Wanted
        Target and id column.
    notes : tuple of str
        What is to be stated before the parts' own notes.

    Returns
    -------
    Dataset
        Rows in the order of the parts.

    Raises
    ------
    DataError
        If there are no rows, the files' columns or types differ, or ids are null or not unique.
    MissingColumn
        If a column to exclude is in no file.
    """
    wanted.check_excluded([name for part in parts for name in part.names], parts[0].origin.path)
    _check_columns(parts)
    full = [part for part in parts if part.frame.height]
    if not full:
        raise DataError(f"{parts[0].origin.path} has a header but no rows", "give a table with rows")
    said = [*notes, *(note for part in parts for note in part.notes)]
    said += [f"{part.origin.path} has no rows." for part in parts if not part.frame.height]
    columns = []
    for name in full[0].frame.columns:
        column, note = _column(name, full)
        columns.append(column)
        said += [note] if note else []
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
    return Dataset(frame, wanted.target, row_id, row, source, line, origins, tuple(dict.fromkeys(said)))


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
    first = parts[0]
    expected = set(first.frame.columns)
    for part in parts[1:]:
        here = set(part.frame.columns)
        lacking = [name for name in first.frame.columns if name not in here]
        if lacking:
            raise DataError(
                f"{part.origin.path} lacks the column {lacking[0]!r} that {first.origin.path} has",
                "exclude it, or name the columns to use",
            )
        extra = [name for name in part.frame.columns if name not in expected]
        if extra:
            raise DataError(
                f"{part.origin.path} has a column {extra[0]!r} that {first.origin.path} lacks",
                "exclude it, or name the columns to use",
            )


def _column(name: str, parts: Sequence[Part]) -> tuple[pl.Series, str]:
    """Return one column over all parts, and what to say of it."""
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
