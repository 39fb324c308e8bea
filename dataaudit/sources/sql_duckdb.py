"""DuckDB through its own Arrow reader, batch by batch; the file is opened so that it can only be read."""

from __future__ import annotations

import re
from typing import Final

from dataaudit.errors import SettingError
from dataaudit.sources.sql_connection import Connection
from dataaudit.sources.sql_result import (
    BATCH,
    Result,
    absent,
    chosen,
    gathered,
    projection,
    seconds_notes,
    told,
)
from dataaudit.sources.wanted import Wanted

_FINITE: Final = "CASE WHEN isfinite({0}) THEN {0} END"  # Polars has no infinite date: it is missing
_HOW: Final = {  # a type's name up to its first bracket
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
_WHOLE: Final = frozenset(
    f"{sign}{kind}" for sign in ("", "U") for kind in ("TINYINT", "SMALLINT", "INTEGER", "BIGINT")
)
_PLAIN: Final = _WHOLE | {"BOOLEAN", "FLOAT", "DOUBLE", "VARCHAR", "BLOB", "TIME"}
_BRACKETS: Final = re.compile(r"(?:\[\d*\])+$")
_HINTS: Final = {
    "lock": "another program has it open: close that, or copy the file",
    "not find|does not exist|Catalog Error|Binder Error": "check the names in the query",
    "Parser Error": "correct the query there",
    "extension": "install that extension with DuckDB itself first",
    "valid DuckDB|version": "was it written by a newer DuckDB? pip install --upgrade duckdb",
}


def read_duckdb(connection: Connection, text: str, wanted: Wanted) -> Result:
    """Run a query on a DuckDB file.

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
    SettingError
        If DuckDB is not installed, or the statement gives no rows.
    DataError
        If the file, or the query, cannot be used.
    MissingColumn
        If a wanted column is not in the result.
    """
    try:
        import duckdb  # noqa: PLC0415 - an optional extra
    except ImportError as error:
        raise absent("duckdb", "DuckDB") from error
    with (
        told(connection, duckdb.Error, _HINTS),
        duckdb.connect(connection.target, read_only=True) as opened,
    ):
        opened.execute("SET autoinstall_known_extensions = false")  # nothing is fetched unasked
        opened.execute("SET TimeZone = 'UTC'")  # a time with a zone is the same on every machine
        kinds = [statement.type for statement in opened.extract_statements(text)]
        if kinds != [duckdb.StatementType.SELECT]:  # a COPY would write a file
            raise SettingError("the statement is no query", "give a select, or with … select")
        inner = opened.sql(text)
        names, types = list(inner.columns), [str(kind) for kind in inner.types]
        at = chosen(names, wanted)
        how = {i: _expression(types[i], is_id=names[i] == wanted.id_column) for i in at}
        reader = opened.sql(projection(text, len(names), how)).to_arrow_reader(BATCH)
        frame = gathered(reader, [names[i] for i in at])
    intervals = [names[i] for i in at if types[i] == "INTERVAL"]
    return Result(frame, tuple(names), seconds_notes(intervals))


def _expression(kind: str, *, is_id: bool) -> str:
    """Return how a column is asked for; names, and what has no type of ours, come as DuckDB's text."""
    if is_id:
        return "{}" if kind in _WHOLE else "{}::VARCHAR"
    found = _BRACKETS.search(kind)
    brackets = found[0] if found else ""
    base = kind.removesuffix(brackets).partition("(")[0]
    if not brackets:
        return "{}" if base in _PLAIN else _HOW.get(base, "{}::VARCHAR")
    if base in _PLAIN:
        return "{}"
    return "{}::" + ("DOUBLE" if _HOW.get(base) == _HOW["DECIMAL"] else "VARCHAR") + brackets
