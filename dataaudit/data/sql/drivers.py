"""Queries on DuckDB, PostgreSQL and SQLite, each opened so that it can only be read.

DuckDB by its own Arrow reader and PostgreSQL by ADBC (COPY in binary) give Arrow batches. The query is
described first, so that a missing column is reported before any row is read, and each column is then asked
for by an expression that gives a type people can audit: a numeric becomes a double, a JSON its text.

SQLite by Python's own module gives blocks of rows. A column of SQLite has no type of its own, each cell has:
numbers of both kinds make a column of fractions, numbers and text one of text, which is noted. The ADBC
driver was tried: it takes types from the first rows, and a later cell of another type is an error.
"""

from __future__ import annotations

import os
import re
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import polars as pl

from dataaudit.data.dataset import Wanted, require_distinct
from dataaudit.data.sql.connection import Connection
from dataaudit.errors import AuditError, DataError, SettingError
from dataaudit.escape import shown

if TYPE_CHECKING:
    import pyarrow as pa


WHERE = "the query's result"
BATCH = 100_000  # rows, where the driver lets us choose
_LINE_NUMBER = re.compile(r"^LINE (\d+):", re.MULTILINE)
_ADVICE = re.compile(r"^HINT:\s+(.+)$|^Did you mean (.+)\?$|^Candidate bindings: (.+)$", re.MULTILINE)
_SHOWN = 200  # characters of a database's message


@dataclass(frozen=True, slots=True)
class Result:
    """The rows of a query."""

    frame: pl.DataFrame  # the wanted columns, the id column included, n rows in the order of the database
    names: tuple[str, ...]  # all columns of the result, wanted or not
    notes: tuple[str, ...] = ()  # what was decided about types


def _chosen(names: Sequence[str], wanted: Wanted) -> list[int]:
    """Return the positions of the wanted columns of a result."""
    if not names:
        raise DataError("the query gives no columns", "give one that selects the label and other columns")
    require_distinct(names, WHERE, hint="name its columns one by one, and one of the two with AS")
    wanted.check_excluded(names, WHERE)
    return [names.index(name) for name in wanted.choose(names, WHERE)]


@dataclass(frozen=True, slots=True)
class _Column:
    """A column of a query's result, and the SQL by which it is asked for."""

    name: str
    expression: str  # in which ``{}`` stands for the column
    interval: bool


def _by_expressions(
    text: str, columns: Sequence[_Column], wanted: Wanted, *, run: Callable[[str], pa.RecordBatchReader]
) -> Result:
    """Ask for each wanted column by its expression, and put the batches together."""
    names = tuple(column.name for column in columns)
    at = _chosen(names, wanted)
    reader = run(_projection(text, len(names), {i: columns[i].expression for i in at}))
    note = "column {!r} is an interval: it is read as seconds."
    notes = tuple(note.format(shown(names[i])) for i in at if columns[i].interval)
    return Result(_gathered(reader, [names[i] for i in at]), names, notes)


def _projection(text: str, count: int, columns: Mapping[int, str]) -> str:
    """Return a query for some columns of another one's result, each by an expression.

    Columns go by our aliases, so that no name from outside is ever part of the text. The order of the inner
    query's rows is kept by both databases that this is used with (not by the standard).
    """
    aliases = ", ".join(f"c{at}" for at in range(count))
    picked = ", ".join(f"{how.format(f'c{at}')} AS c{at}" for at, how in columns.items())
    return f"SELECT {picked} FROM ({text}\n) AS q({aliases})"  # noqa: S608 - the user's own query


def _gathered(reader: pa.RecordBatchReader, names: Sequence[str]) -> pl.DataFrame:
    """Put Arrow batches together as they come; each is checked, as a database may hold what is not UTF-8."""
    import pyarrow as pa  # noqa: PLC0415 - a quarter of a second that other sources need not wait

    parts = [pl.DataFrame(reader.schema.empty_table())]
    for batch in reader:
        try:
            batch.validate(full=True)
        except pa.ArrowInvalid as error:
            raise _not_utf8() from error
        parts.append(pl.DataFrame(batch))
    frame = pl.concat(parts, rechunk=True)
    frame.columns = list(names)
    return frame


def _not_utf8() -> DataError:
    """Return the error for text in another encoding."""
    return DataError(
        f"{WHERE} holds text that is not UTF-8", "convert it in the query, or leave the column out"
    )


def _not_installed(library: str, kind: str) -> SettingError:
    """Return the error for a driver that is not installed."""
    return SettingError(f"{kind} is read by {library}, which is not installed", f"pip install {library}")


@contextmanager
def _errors_of(
    connection: Connection, errors: type[Exception] | tuple[type[Exception], ...], hints: Mapping[str, str]
) -> Iterator[None]:
    """Turn what a driver raises inside into one line: the database's own message, shortened, and a hint."""
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
    cause = re.search(r"\b[^\W\d_]+:  (.+)", message)  # PostgreSQL in any language: ERROR, two spaces, this
    line = cause[1] if cause else message.strip().split("\n", 1)[0]
    line = re.sub(r"^(?:[A-Z_]+: )?\[?(?:libpq)?\]? ?(?:Failed to \w+:? )?", "", line).strip().rstrip("!.")
    return line if len(line) <= _SHOWN else line[:_SHOWN] + "…"


_FINITE: Final = "CASE WHEN isfinite({0}) THEN {0} END"  # Polars has no infinite date: it is missing
_DUCKDB_EXPRESSIONS: Final = {  # a type's name up to its first bracket
    "DECIMAL": "{}::DOUBLE",
    "HUGEINT": "{}::DOUBLE",
    "UHUGEINT": "{}::DOUBLE",
    "INTERVAL": "epoch({})",
    "DATE": _FINITE,
    "TIMESTAMP": _FINITE,
    "TIMESTAMP WITH TIME ZONE": _FINITE,
    "TIMESTAMP_S": _FINITE.replace("THEN {0}", "THEN {0}::TIMESTAMP"),
    "TIMESTAMP_MS": _FINITE.replace("THEN {0}", "THEN {0}::TIMESTAMP"),
    "TIMESTAMP_NS": _FINITE.replace("THEN {0}", "THEN {0}::TIMESTAMP"),
}
_DUCKDB_WHOLE: Final = frozenset(
    f"{sign}{kind}" for sign in ("", "U") for kind in ("TINYINT", "SMALLINT", "INTEGER", "BIGINT")
)
_DUCKDB_PLAIN: Final = _DUCKDB_WHOLE | {"BOOLEAN", "FLOAT", "DOUBLE", "VARCHAR", "BLOB", "TIME"}
_BRACKETS: Final = re.compile(r"(?:\[\d*\])+$")
_DUCKDB_HINTS: Final = {
    "lock": "another program has it open: close that, or copy the file",
    "not find|does not exist|Catalog Error|Binder Error": "check the names in the query",
    "Parser Error": "correct the query there",
    "extension": "install that extension with DuckDB itself first",
    "valid DuckDB|version": "was it written by a newer DuckDB? pip install --upgrade duckdb",
}


def read_duckdb(connection: Connection, text: str, wanted: Wanted) -> Result:
    """Run a query on a DuckDB file."""
    try:
        import duckdb  # noqa: PLC0415 - an optional extra
    except ImportError as error:
        raise _not_installed("duckdb", "DuckDB") from error
    with (
        _errors_of(connection, duckdb.Error, _DUCKDB_HINTS),
        duckdb.connect(connection.target, read_only=True) as opened,
    ):
        opened.execute("SET autoinstall_known_extensions = false")  # nothing is fetched unasked
        opened.execute("SET TimeZone = 'UTC'")  # a time with a zone is the same on every machine
        kinds = [statement.type for statement in opened.extract_statements(text)]
        if kinds != [duckdb.StatementType.SELECT]:  # a COPY would write a file
            raise SettingError("the statement is no query", "give a select, or with … select")
        inner = opened.sql(text)
        columns = [
            _Column(
                name, _duckdb_expression(str(kind), is_id=name == wanted.id_column), str(kind) == "INTERVAL"
            )
            for name, kind in zip(inner.columns, inner.types, strict=True)
        ]
        return _by_expressions(
            text, columns, wanted, run=lambda query: opened.sql(query).to_arrow_reader(BATCH)
        )


def _duckdb_expression(kind: str, *, is_id: bool) -> str:
    """Return how a column is asked for; names, and what has no type of ours, come as DuckDB's text."""
    if is_id:
        return "{}" if kind in _DUCKDB_WHOLE else "{}::VARCHAR"
    found = _BRACKETS.search(kind)
    brackets = found[0] if found else ""
    base = kind.removesuffix(brackets).partition("(")[0]
    if not brackets:
        return "{}" if base in _DUCKDB_PLAIN else _DUCKDB_EXPRESSIONS.get(base, "{}::VARCHAR")
    if base in _DUCKDB_PLAIN:
        return "{}"
    double = _DUCKDB_EXPRESSIONS.get(base) == "{}::DOUBLE"
    return "{}::" + ("DOUBLE" if double else "VARCHAR") + brackets


_TIMEOUT = 10  # seconds to connect; libpq's own is the system's, minutes
_OPAQUE: Final = b"ADBC:postgresql:typname"  # what the driver says of a column that it has no Arrow type for
_POSTGRES_HINTS: Final = {
    "password authentication failed|no password supplied": "give the password by PGPASSWORD or ~/.pgpass",
    "Connection refused|translate host name|No such file|timeout|No route|unreachable|closed the conn": (
        "is the server running, and are host and port right?"
    ),
    'database ".*" does not exist': "check the name after the last slash of the address",
    "SSL": "add ?sslmode=require or ?sslmode=disable to the address",
    "pg_hba": "the server does not let this user in from here: ask its administrator",
    "^42601": "correct the query there",
    "^42P01|^3F000": "check the table's name, and name its schema: schema.table",
    "^42703": "check the column's name",
    "^42501": "grant select on it to this user, or name another one",
    "read-only|data-modifying": "only rows are read: give a query that changes nothing",
    "^57014": "the server's statement_timeout ended it: ask for fewer rows, or raise it",
    "^22003": "cast or leave out the column with numbers beyond 1e308",
    "Failed to connect": "check the address of the database",
}


def read_postgres(connection: Connection, text: str, wanted: Wanted) -> Result:
    """Run a query on a PostgreSQL server."""
    try:
        import pyarrow as pa  # noqa: PLC0415 - an optional extra, and slow
        from adbc_driver_postgresql import dbapi  # noqa: PLC0415 - the same
    except ImportError as error:
        raise _not_installed("adbc-driver-postgresql", "PostgreSQL") from error
    with (
        _errors_of(connection, (dbapi.Error, pa.ArrowException, OSError), _POSTGRES_HINTS),
        dbapi.connect(_address(connection.target)) as opened,
        opened.cursor() as cursor,
    ):
        cursor.execute("SET TRANSACTION READ ONLY")
        columns = [
            _Column(
                field.name,
                _postgres_expression(field, is_id=field.name == wanted.id_column),
                pa.types.is_interval(field.type),
            )
            for field in cursor.adbc_execute_schema(text)
        ]

        def run(query: str) -> pa.RecordBatchReader:
            cursor.execute(query)
            return cursor.fetch_record_batch()

        return _by_expressions(text, columns, wanted, run=run)


def _address(target: str) -> str:
    """Return the address with our name and a limit for the time to connect, where none is set."""
    more = ["fallback_application_name=dataaudit"]
    if "connect_timeout" not in target and not os.environ.get("PGCONNECT_TIMEOUT"):
        more.append(f"connect_timeout={_TIMEOUT}")
    return f"{target}{'&' if '?' in target else '?'}{'&'.join(more)}"


def _postgres_expression(field: pa.Field, *, is_id: bool) -> str:
    """Return how a column is asked for; names, and what has no type of ours, come as the text psql shows."""
    import pyarrow as pa  # noqa: PLC0415 - see above

    kind, metadata = field.type, field.metadata or {}
    if is_id:
        return "{}" if pa.types.is_integer(kind) else "{}::text"
    if pa.types.is_list(kind):
        return {"{}::float8": "{}::float8[]", "{}": "{}"}.get(
            _postgres_expression(kind.value_field, is_id=False), "{}::text[]"
        )
    if _OPAQUE in metadata:
        return "{}::float8" if metadata[_OPAQUE] == b"numeric" else "{}::text"
    if metadata.get(b"POSTGRESQL:type") == b"money":
        return "{}::numeric::float8"
    if pa.types.is_interval(kind):
        return "extract(epoch FROM {})::float8"
    if pa.types.is_date(kind) or pa.types.is_timestamp(kind):
        return _FINITE
    return "{}" if pa.types.is_primitive(kind) or pa.types.is_binary(kind) else "{}::text"


_SQLITE_HINTS: Final = {
    "no such table": "check the table's name",
    "no such column": "check the column's name",
    "syntax error|incomplete input|unrecognized token": "correct the query there",
    "locked|busy": "another program writes to it: wait, or copy the file",
    "readonly|read-only": "only rows are read: give a query that changes nothing",
    "malformed|not a database|disk image": "the file is damaged or encrypted: open it with sqlite3 to see",
    "unable to open": "check the permissions of the file and its folder",
}


def read_sqlite(connection: Connection, text: str, wanted: Wanted) -> Result:
    """Run a query on a SQLite file."""
    address = f"{Path(connection.target).absolute().as_uri()}?mode=ro"
    blocks: list[list[_Block]] = []
    with (
        _errors_of(connection, (sqlite3.Error, sqlite3.Warning), _SQLITE_HINTS),
        closing(sqlite3.connect(address, uri=True)) as opened,
    ):
        opened.execute("PRAGMA query_only = ON")
        cursor = opened.execute(text)
        names = [column[0] for column in cursor.description or ()]
        at = _chosen(names, wanted)
        try:
            while rows := cursor.fetchmany(BATCH):
                columns = list(zip(*rows, strict=True))
                blocks.append([_block(names[i], columns[i]) for i in at])
        except sqlite3.OperationalError as error:
            raise (_not_utf8() if "decode to UTF-8" in str(error) else error) from error
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
    """Return a whole column, and a note where it mixes numbers and text."""
    kinds = frozenset[type]().union(*(block.kinds for block in blocks))
    dtype = _dtype(name, kinds)
    pieces = [block.cells.cast(dtype) for block in blocks] or [pl.Series(dtype=dtype)]
    note = f"column {shown(name)!r} holds numbers and text: it is read as text."
    return pl.concat(pieces, rechunk=True).alias(name), note if str in kinds and len(kinds) > 1 else ""
