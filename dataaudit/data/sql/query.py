"""A query as a source: run where the data are, its rows put in an order that another run gives again.

SQL gives rows in any order it likes unless asked for one. A query with ORDER BY keeps its order. Otherwise
rows go by the id column if there is one, else by their content, so that row names, everything drawn at random
and the content hash are the same whenever the content is.

Whether a text is one statement, and has an order, is found before a database sees it, by a scanner rather
than a parser: strings, quoted names and comments are passed over, parentheses counted. It errs on the side of
"no order", which costs a sort and changes no result.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import Final, Self

import polars as pl

from dataaudit.data.blob import STDIN, read_stdin
from dataaudit.data.dataset import Origin, Part, Wanted, id_as_text, one_file
from dataaudit.data.sql.connection import VARIABLE, connect_to
from dataaudit.data.sql.drivers import WHERE, read_duckdb, read_postgres, read_sqlite
from dataaudit.errors import DataError, SettingError, UnreadableFile
from dataaudit.escape import shown
from dataaudit.secrets import masked_query, masked_words

_TOKEN = re.compile(
    r"""
    (?P<gap>      \s+ | --[^\n]* | /\*.*?\*/ )
  | (?P<quoted>   [eE]'(?:[^'\\]|\\.|'')*' | '(?:[^']|'')*' | "(?:[^"]|"")*"
                | \$(?P<tag>\w*)\$.*?\$(?P=tag)\$ )
  | (?P<word>     \w+ )
  | (?P<sign>     . )
    """,
    re.VERBOSE | re.DOTALL,
)

_BEGINS = frozenset(("select", "with", "values", "table", "from", "pivot", "unpivot"))  # three of DuckDB
_GIVE = "give one select, or with … select"
_SOURCE = "query"
_CONNECTION, _QUERY = "--sql=", "--query="  # as it would be typed: no path begins like this
_READERS: Final = {"postgresql": read_postgres, "sqlite": read_sqlite, "duckdb": read_duckdb}
_READ_HOW: Final = {
    "postgresql": "in a read-only transaction",
    "sqlite": "from a file opened read-only",
    "duckdb": "from a file opened read-only",
}


@dataclass(frozen=True, slots=True)
class Query:
    """A query and the database that it is asked of; nothing is read yet.

    Attributes
    ----------
    text : str
        One statement that gives rows.
    database : str or None
        ``postgresql://user@host/db``, ``sqlite:///path``, ``duckdb:///path``, the path of such a file, or
        ``$NAME`` for an environment variable; None for ``$DATAAUDIT_SQL``. It may hold a password, which is
        never shown nor kept: better leave it to ``PGPASSWORD`` or ``~/.pgpass``.

    Examples
    --------
    >>> audit = dataaudit.audit_labels(dataaudit.Query("select * from mail", "mail.db"), label="spam")
    """

    text: str
    database: str | None = field(default=None, repr=False)

    def __repr__(self) -> str:
        return f"Query({masked_query(self.text)!r})"

    @property
    def given(self) -> tuple[str, ...]:
        """What is kept of it to ask again, without secrets; `of_given` reads it."""
        words = [_CONNECTION + (self.database or f"${VARIABLE}"), _QUERY + self.text]
        return tuple(masked_words(words))

    @classmethod
    def of_given(cls, words: Sequence[object]) -> Self | None:
        """Return the query that `given` was of; None if these words are of files."""
        match words:
            case [str(first), str(second)] if first.startswith(_CONNECTION) and second.startswith(_QUERY):
                return cls(second.removeprefix(_QUERY), first.removeprefix(_CONNECTION))
        return None


def read_text(given: str) -> str:
    """Return the text of a query as the command line takes it: itself, ``@path``, or ``-`` for stdin."""
    if given != STDIN and not given.startswith("@"):
        return given
    name = "<stdin>" if given == STDIN else shown(given[1:])
    try:
        piped = given == STDIN
        data = (
            read_stdin("cat query.sql | audit labels --query - …") if piped else Path(given[1:]).read_bytes()
        )
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UnreadableFile(f"the query in {name} is not UTF-8", "save it as UTF-8") from error
    except (OSError, ValueError) as error:
        cause = getattr(error, "strerror", None) or str(error)
        raise UnreadableFile(f"the query in {name} cannot be read: {cause}", "check the path") from error


def read_query(query: Query, wanted: Wanted) -> Part:
    """Run a query and name its rows."""
    from dataaudit.data.fingerprint import fingerprint  # noqa: PLC0415 - pyarrow takes a quarter of a second

    statement = read_statement(query.text)
    connection = connect_to(query.database)
    result = _READERS[connection.kind](connection, statement.text, wanted)
    if not result.frame.height:
        raise DataError(f"the query on {connection.name} gives no rows", "check its conditions")
    frame, note = _ordered(result.frame, statement, wanted)
    frame = id_as_text(frame, wanted.id_column, WHERE)
    table = frame.to_arrow(compat_level=pl.CompatLevel.oldest())
    origin = Origin(connection.name, connection.kind, fingerprint(table), frame.height)
    read = f"The rows are those of a query on {connection.name}, read {_READ_HOW[connection.kind]}."
    notes = (read, *([note] if note else []), *result.notes)
    part = one_file(frame, origin, names=result.names, notes=notes)
    return replace(part, source=pl.repeat(_SOURCE, frame.height, dtype=pl.String, eager=True).alias("source"))


def _ordered(frame: pl.DataFrame, statement: Statement, wanted: Wanted) -> tuple[pl.DataFrame, str]:
    """Return the rows in a deterministic order, and a note where it is ours."""
    if statement.ordered:
        return frame, ""
    names, name = frame.columns, wanted.id_column if wanted.id_column in frame.columns else None
    order = "their content" if name is None else shown(repr(name))
    note = f"The query has no ORDER BY: its rows are in the order of {order}."
    if statement.limited:
        note = f"{note} With its LIMIT, another run may give other rows."
    # By position: Polars takes a name like "*" or "^a.*$" for a pattern.
    keys = [str(place) for place in range(len(names))]
    first = [str(names.index(name))] if name is not None else []
    frame = frame.clone()
    frame.columns = keys
    frame = frame.sort([*first, *(key for key in keys if key not in first)])
    frame.columns = names
    return frame, note


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement of SQL."""

    text: str  # without semicolons, spaces and comments at its end; its lines keep their numbers
    ordered: bool  # whether ``ORDER BY`` stands outside all parentheses
    limited: bool  # whether ``LIMIT`` or ``FETCH`` does


def read_statement(text: str) -> Statement:
    """Find the one statement of a query; raise if there is none, or more."""
    depth, end, closed, first = 0, 0, False, ""
    words: list[str] = []
    for token in _TOKEN.finditer(text):
        found, kind = token.group(), token.lastgroup
        if kind == "gap" or found == ";":
            closed |= found == ";" and end > 0
            continue
        if closed:
            raise SettingError("the query holds several statements", _GIVE)
        end = token.end()
        depth += (found == "(") - (found == ")")
        words.append(found.lower() if depth == 0 else "")
        first = found.lower() if first in ("", "(") else first
    if not end:
        raise SettingError("the query is empty", "write e.g. --query 'select * from mail'")
    if first not in _BEGINS:
        raise SettingError(f"the statement is no query: it begins with {shown(first)!r}", _GIVE)
    ordered = any(pair == ("order", "by") for pair in pairwise(words))
    return Statement(text[:end], ordered, limited=bool({"limit", "fetch"} & set(words)))
