"""The options that name a query on a database in the place of a file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from dataaudit.errors import SettingError

if TYPE_CHECKING:
    from dataaudit.sources import Query

_PANEL = "Database"

Sql = Annotated[
    str | None,
    typer.Option(
        "--sql",
        metavar="ADDRESS",
        show_default="$DATAAUDIT_SQL",
        help="Database to ask, which is only read: postgresql://user@host/db, sqlite:///a.db, "
        "duckdb:///a.duckdb, the path of such a file, or '$NAME' for a variable that holds one.",
        rich_help_panel=_PANEL,
    ),
]
QueryText = Annotated[
    str | None,
    typer.Option(
        "--query",
        metavar="SQL",
        help="Its rows are audited, in place of a file. @file.sql reads it from a file, - from stdin.",
        rich_help_panel=_PANEL,
    ),
]
TestSql = Annotated[
    str | None,
    typer.Option(
        "--test-sql",
        metavar="ADDRESS",
        show_default="that of --sql",
        help="Database of --test-query.",
        rich_help_panel=_PANEL,
    ),
]
TestQuery = Annotated[
    str | None,
    typer.Option("--test-query", metavar="SQL", help="Its rows are the test rows.", rich_help_panel=_PANEL),
]


def source(files: list[str] | None, *, sql: str | None, query: str | None) -> str | list[str] | Query:
    """Return what is to be audited: files, or a query.

    Parameters
    ----------
    files : list of str or None
        What was typed without an option.
    sql, query : str or None
        The options.

    Raises
    ------
    SettingError
        If nothing was named, or both.
    """
    asked = _query(query, sql)
    if asked is not None and files:
        raise SettingError("both a file and a query were given", "leave one of them out")
    if asked is not None:
        return asked
    if not files:
        raise _nothing()
    return files[0] if len(files) == 1 else files


def pair(
    files: list[str], *, sql: str | None, query: str | None, test_sql: str | None, test_query: str | None
) -> tuple[str | Query, str | Query | None]:
    """Return training rows and test rows, each a file or a query.

    Parameters
    ----------
    files : list of str
        What was typed without an option, at most two: they take the places that no query has.
    sql, query, test_sql, test_query : str or None
        The options.

    Raises
    ------
    SettingError
        If there are no training rows, or more sources than two.
    """
    if query == test_query == "-":
        raise SettingError("two queries cannot both come from stdin", "give one as @file.sql")
    left = list(files)
    known = _query(query, sql if query or not test_query else None)
    train: str | Query | None = known or (left.pop(0) if left else None)
    asked = _query(test_query, test_sql or (sql if test_query else None), "--test-")
    test = asked or (left.pop(0) if left else None)
    if left:
        raise SettingError("more than training and test rows were given", "leave a file or a query out")
    if train is None:
        raise _nothing()
    return train, test


def _query(text: str | None, sql: str | None, option: str = "--") -> Query | None:
    """Return the query that the options ask; None if they ask none."""
    if text is None:
        if sql is not None:
            what = f"{option}sql names a database and nothing asks it"
            raise SettingError(what, f"add {option}query")
        return None
    from dataaudit.sources.sql import Query, read_text

    return Query(read_text(text), sql)


def _nothing() -> SettingError:
    return SettingError("no data were named", "give a SOURCE, or --sql ADDRESS --query 'select …'")
