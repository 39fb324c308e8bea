"""SQLite through Python's own module, in blocks of rows; the file is opened so that it can only be read.

A column of SQLite has no type of its own, each cell has: numbers of both kinds make a column of fractions,
numbers and text one of text, which is noted. The ADBC driver was tried: it takes types from the first rows,
and a later cell of another type is an error.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import polars as pl

from dataaudit.errors import DataError
from dataaudit.sources.sql_connection import Connection
from dataaudit.sources.sql_result import BATCH, WHERE, Result, chosen, not_utf8, told
from dataaudit.sources.wanted import Wanted, shown

_HINTS: Final = {
    "no such table": "check the table's name",
    "no such column": "check the column's name",
    "syntax error|incomplete input|unrecognized token": "correct the query there",
    "locked|busy": "another program writes to it: wait, or copy the file",
    "readonly|read-only": "only rows are read: give a query that changes nothing",
    "malformed|not a database|disk image": "the file is damaged or encrypted: open it with sqlite3 to see",
    "unable to open": "check the permissions of the file and its folder",
}


def read_sqlite(connection: Connection, text: str, wanted: Wanted) -> Result:
    """Run a query on a SQLite file.

    Parameters
    ----------
    connection : Connection
        A path.
    text : str
        One statement.
    wanted : Wanted
        Which columns.

    Returns
    -------
    Result

    Raises
    ------
    DataError
        If the file, or the query, cannot be used.
    MissingColumn
        If a wanted column is not in the result.
    """
    address = f"{Path(connection.target).absolute().as_uri()}?mode=ro"
    blocks: list[list[_Block]] = []
    with (
        told(connection, (sqlite3.Error, sqlite3.Warning), _HINTS),
        closing(sqlite3.connect(address, uri=True)) as opened,
    ):
        opened.execute("PRAGMA query_only = ON")
        cursor = opened.execute(text)
        names = [column[0] for column in cursor.description or ()]
        at = chosen(names, wanted)
        try:
            while rows := cursor.fetchmany(BATCH):
                columns = list(zip(*rows, strict=True))
                blocks.append([_block(names[i], columns[i]) for i in at])
        except sqlite3.OperationalError as error:
            raise (not_utf8() if "decode to UTF-8" in str(error) else error) from error
    done = [_joined(names[i], [block[place] for block in blocks]) for place, i in enumerate(at)]
    notes = tuple(note for _, note in done if note)
    return Result(pl.DataFrame([column for column, _ in done]), tuple(names), notes)


@dataclass(frozen=True, slots=True)
class _Block:
    """Some cells of one column, and the kinds of value among them."""

    cells: pl.Series
    kinds: frozenset[type]


def _block(name: str, cells: Sequence[Any]) -> _Block:
    kinds = frozenset(map(type, cells)) - {type(None)}
    dtype = _dtype(name, kinds)
    if str in kinds and len(kinds) > 1:
        cells = [cell if cell is None else str(cell) for cell in cells]
    return _Block(pl.Series(cells, dtype=dtype, strict=False), kinds)


def _dtype(name: str, kinds: frozenset[type]) -> pl.DataType:
    """Return the narrowest type that holds the kinds."""
    if bytes in kinds and len(kinds) > 1:
        what = f"column {shown(name)!r} of {WHERE} holds both bytes and other values"
        raise DataError(what, "cast it to text in the query, or leave it out")
    if bytes in kinds:
        return pl.Binary()
    if str in kinds or not kinds:
        return pl.String()
    return pl.Float64() if float in kinds else pl.Int64()


def _joined(name: str, blocks: Sequence[_Block]) -> tuple[pl.Series, str]:
    """Return a whole column, and what to say of it."""
    kinds = frozenset[type]().union(*(block.kinds for block in blocks))
    dtype = _dtype(name, kinds)
    pieces = [block.cells.cast(dtype) for block in blocks] or [pl.Series(dtype=dtype)]
    note = f"column {shown(name)!r} holds numbers and text: it is read as text."
    return pl.concat(pieces, rechunk=True).alias(name), note if str in kinds and len(kinds) > 1 else ""
