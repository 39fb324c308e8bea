"""What the drivers of all databases give, and what they share: columns, batches, messages."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import polars as pl

from dataaudit.errors import AuditError, DataError, SettingError
from dataaudit.sources.sql_connection import Connection
from dataaudit.sources.wanted import Wanted, shown

if TYPE_CHECKING:
    import pyarrow as pa

WHERE = "the query's result"
BATCH = 100_000  # rows, where the driver lets us choose
INSTALL = "pip install 'dataaudit[sql]'"
_LINE_NUMBER = re.compile(r"^LINE (\d+):", re.MULTILINE)
_ADVICE = re.compile(r"^HINT:\s+(.+)$|^Did you mean (.+)\?$|^Candidate bindings: (.+)$", re.MULTILINE)
_SHOWN = 200  # characters of a database's message


@dataclass(frozen=True, slots=True)
class Result:
    """The rows of a query.

    Attributes
    ----------
    frame : pl.DataFrame
        The wanted columns, the id column included, n rows in the order of the database.
    names : tuple of str
        All columns of the result, wanted or not.
    notes : tuple of str
        What was decided about types.
    """

    frame: pl.DataFrame
    names: tuple[str, ...]
    notes: tuple[str, ...] = ()


def seconds_notes(names: Sequence[str]) -> tuple[str, ...]:
    """Say of each of these columns that it is an interval."""
    return tuple(f"column {shown(name)!r} is an interval: it is read as seconds." for name in names)


def chosen(names: Sequence[str], wanted: Wanted) -> list[int]:
    """Return the positions of the wanted columns of a result.

    Raises
    ------
    DataError
        If there is no column, or two have one name.
    MissingColumn
        If a wanted one is not there.
    """
    if not names:
        raise DataError("the query gives no columns", "give one that selects the label and other columns")
    twice = next((name for at, name in enumerate(names) if name in names[:at]), None)
    if twice is not None:
        what = f"column {shown(twice)!r} stands twice in {WHERE}"
        raise DataError(what, "name its columns one by one, and one of the two with AS")
    wanted.check_excluded(names, WHERE)
    return [names.index(name) for name in wanted.choose(names, WHERE)]


def projection(text: str, count: int, columns: Mapping[int, str]) -> str:
    """Return a query for some columns of another one's result, each by an expression.

    Columns go by our aliases, so that no name from outside is ever part of the text. The order of the inner
    query's rows is kept by both databases that this is used with (not by the standard).

    Parameters
    ----------
    text : str
        The inner query.
    count : int
        Number of its columns.
    columns : mapping of int to str
        Position to expression, in which ``{}`` stands for the column.

    Returns
    -------
    str
    """
    aliases = ", ".join(f"c{at}" for at in range(count))
    picked = ", ".join(f"{how.format(f'c{at}')} AS c{at}" for at, how in columns.items())
    return f"SELECT {picked} FROM ({text}\n) AS q({aliases})"  # noqa: S608 - the user's own query


def gathered(reader: pa.RecordBatchReader, names: Sequence[str]) -> pl.DataFrame:
    """Put Arrow batches together as they come; each is checked, as a database may hold what is not UTF-8.

    Parameters
    ----------
    reader : pyarrow.RecordBatchReader
        Batches of any number of rows, or none.
    names : sequence of str
        The columns' real names.

    Returns
    -------
    pl.DataFrame

    Raises
    ------
    DataError
        If text is not UTF-8.
    """
    import pyarrow as pa  # noqa: PLC0415 - a quarter of a second that other sources need not wait

    parts = [pl.DataFrame(reader.schema.empty_table())]
    for batch in reader:
        try:
            batch.validate(full=True)
        except pa.ArrowInvalid as error:
            raise not_utf8() from error
        parts.append(pl.DataFrame(batch))
    frame = pl.concat(parts, rechunk=True)
    frame.columns = list(names)
    return frame


def not_utf8() -> DataError:
    """Return the error for text in another encoding."""
    return DataError(
        f"{WHERE} holds text that is not UTF-8", "convert it in the query, or leave the column out"
    )


def absent(library: str, kind: str) -> SettingError:
    """Return the error for a driver that is not installed."""
    return SettingError(f"{kind} is read by {library}, which is not installed", INSTALL)


@contextmanager
def told(
    connection: Connection, errors: type[Exception] | tuple[type[Exception], ...], hints: Mapping[str, str]
) -> Iterator[None]:
    """Turn what a driver raises inside into one line: the database's own message, shortened, and a hint.

    Parameters
    ----------
    connection : Connection
        Its secrets are kept out of the line.
    errors : type or tuple of types
        What the driver raises.
    hints : mapping of str to str
        Pattern of the message or of its SQLSTATE, to one thing to do; the first that matches is taken.

    Yields
    ------
    None
        Control to the block.

    Raises
    ------
    DataError
        In place of those errors. Their traceback is cut, since it may quote an address with its password.
    """
    try:
        yield
    except AuditError:
        raise
    except errors as error:
        whole = connection.quiet(str(error))
        state: Any = getattr(error, "sqlstate", None)
        line = _LINE_NUMBER.search(whole)
        place = f" (line {line[1]} of the query)" if line else ""
        what = f"{connection.name} says: {shown(_short(whole))}{place}"
        raise DataError(what, _hint(whole, f"{state} {whole}", hints)) from None


def _hint(message: str, seen: str, hints: Mapping[str, str]) -> str:
    """Return what the database itself advises, else what we do."""
    own = _ADVICE.search(message)
    if own is not None:
        return own[1] or f"did you mean {own[2] or own[3]}?"
    return next((hint for pattern, hint in hints.items() if re.search(pattern, seen)), "check the query")


def _short(message: str) -> str:
    """Return the one line that matters of a driver's message."""
    told = re.search(
        r"\b[^\W\d_]+:  (.+)", message
    )  # PostgreSQL in any language: ERROR, two spaces, the cause
    line = told[1] if told else message.strip().split("\n", 1)[0]
    line = re.sub(r"^(?:[A-Z_]+: )?\[?(?:libpq)?\]? ?(?:Failed to \w+:? )?", "", line).strip().rstrip("!.")
    return line if len(line) <= _SHOWN else line[:_SHOWN] + "…"
