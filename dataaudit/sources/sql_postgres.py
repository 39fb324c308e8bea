"""PostgreSQL through ADBC: COPY in binary, Arrow batch by batch, in a transaction that can only read.

The query is described first, so that a missing column is told before any row is read, and each column is then
asked for by an expression that gives a type people can audit: a numeric becomes a double, a JSON its text.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from dataaudit.sources.sql_connection import Connection
from dataaudit.sources.sql_result import Result, absent, chosen, gathered, projection, seconds_notes, told
from dataaudit.sources.wanted import Wanted

if TYPE_CHECKING:
    import pyarrow as pa

_TIMEOUT = 10  # seconds to connect; libpq's own is the system's, minutes
_FINITE: Final = "CASE WHEN isfinite({0}) THEN {0} END"  # Arrow has no infinite date: it is missing
_OPAQUE: Final = b"ADBC:postgresql:typname"  # what the driver says of a column that it has no Arrow type for
_HINTS: Final = {
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
    """Run a query on a PostgreSQL server.

    Parameters
    ----------
    connection : Connection
        An address; what it leaves out libpq takes from its variables, services and ~/.pgpass.
    text : str
        One statement.
    wanted : Wanted
        Which columns.

    Returns
    -------
    Result

    Raises
    ------
    SettingError
        If the driver is not installed.
    DataError
        If the server, or the query, cannot be used.
    MissingColumn
        If a wanted column is not in the result.
    """
    try:
        import pyarrow as pa  # noqa: PLC0415 - an optional extra, and slow
        from adbc_driver_postgresql import dbapi  # noqa: PLC0415 - the same
    except ImportError as error:
        raise absent("adbc-driver-postgresql", "PostgreSQL") from error
    with (
        told(connection, (dbapi.Error, pa.ArrowException, OSError), _HINTS),
        dbapi.connect(_address(connection.target)) as opened,
        opened.cursor() as cursor,
    ):
        cursor.execute("SET TRANSACTION READ ONLY")
        fields = list(cursor.adbc_execute_schema(text))
        names = [field.name for field in fields]
        at = chosen(names, wanted)
        how = {i: _expression(fields[i], is_id=names[i] == wanted.id_column) for i in at}
        cursor.execute(projection(text, len(names), how))
        frame = gathered(cursor.fetch_record_batch(), [names[i] for i in at])
    intervals = [names[i] for i in at if _is_interval(fields[i])]
    return Result(frame, tuple(names), seconds_notes(intervals))


def _address(target: str) -> str:
    """Return the address with our name and a limit for the time to connect, where none is set."""
    more = ["fallback_application_name=dataaudit"]
    if "connect_timeout" not in target and not os.environ.get("PGCONNECT_TIMEOUT"):
        more.append(f"connect_timeout={_TIMEOUT}")
    return f"{target}{'&' if '?' in target else '?'}{'&'.join(more)}"


def _expression(field: pa.Field, *, is_id: bool) -> str:
    """Return how a column is asked for; names, and what has no type of ours, come as the text psql shows."""
    import pyarrow as pa  # noqa: PLC0415 - see above

    kind, metadata = field.type, field.metadata or {}
    if is_id:
        return "{}" if pa.types.is_integer(kind) else "{}::text"
    if pa.types.is_list(kind):
        return {"{}::float8": "{}::float8[]", "{}": "{}"}.get(
            _expression(kind.value_field, is_id=False), "{}::text[]"
        )
    if _OPAQUE in metadata:
        return "{}::float8" if metadata[_OPAQUE] == b"numeric" else "{}::text"
    if metadata.get(b"POSTGRESQL:type") == b"money":
        return "{}::numeric::float8"
    if _is_interval(field):
        return "extract(epoch FROM {})::float8"
    if pa.types.is_date(kind) or pa.types.is_timestamp(kind):
        return _FINITE
    return "{}" if pa.types.is_primitive(kind) or pa.types.is_binary(kind) else "{}::text"


def _is_interval(field: pa.Field) -> bool:
    import pyarrow as pa  # noqa: PLC0415 - see above

    return bool(pa.types.is_interval(field.type))
