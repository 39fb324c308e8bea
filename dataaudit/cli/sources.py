"""What is audited: files, or queries on a database in their place."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

from dataaudit.cli.bridge import DATABASE, Arg
from dataaudit.errors import SettingError
from dataaudit.options import INPUT, Opt, Options

if TYPE_CHECKING:
    from dataaudit.data.sql.query import Query

_FILES = (
    "CSV, TSV, NDJSON, JSON, Parquet, Arrow or ARFF files (.gz, .zst, .zip too), spreadsheets, addresses, "
    "globs, folders of them, a folder of text files by class, or - for stdin."
)
_TRAIN = (
    "Training rows: a file, a glob in quotes, a folder, or - for stdin; all rows, where an option splits "
    "them."
)
_SQL = (
    "Database to ask, which is only read: postgresql://user@host/db, sqlite:///a.db, duckdb:///a.duckdb, the "
    "path of such a file, or '$NAME' for a variable that holds one."
)
_QUERY = "Its rows are audited, in place of a file. @file.sql reads it from a file, - from stdin."
Train = Annotated[str, Arg(_TRAIN, metavar="TRAIN")]
Sql = Annotated[str | None, Opt(_SQL, DATABASE, metavar="ADDRESS", shown="$DATAAUDIT_SQL")]
Moved = Annotated[str | None, Opt("Where the data are now, if they moved.", INPUT, metavar="SOURCE")]
QueryText = Annotated[str | None, Opt(_QUERY, DATABASE, metavar="SQL")]


class Source(Options):
    """One source: files, or a query."""

    sources: Annotated[Sequence[str], Arg(_FILES, metavar="SOURCE")] = ()
    sql: Sql = None
    query: QueryText = None

    def resolved(self) -> str | list[str] | Query:
        """Return what is to be audited."""
        asked = _query(self.query, self.sql)
        if asked is not None and self.sources:
            raise SettingError("both a file and a query were given", "leave one of them out")
        if asked is not None:
            return asked
        if not self.sources:
            raise _nothing()
        return self.sources[0] if len(self.sources) == 1 else list(self.sources)


class PairSource(Options):
    """Training and test rows, each files or a query."""

    train: Annotated[str | None, Arg(_TRAIN, metavar="TRAIN")] = None
    test: Annotated[
        str | None, Arg("Test rows, the same. Without labels only the inputs are compared.", metavar="TEST")
    ] = None
    sql: Sql = None
    query: QueryText = None
    test_sql: Annotated[
        str | None, Opt("Database of --test-query.", DATABASE, metavar="ADDRESS", shown="that of --sql")
    ] = None
    test_query: Annotated[str | None, Opt("Its rows are the test rows.", DATABASE, metavar="SQL")] = None

    def resolved(self) -> tuple[str | Query, str | Query | None]:
        """Return training rows and test rows; files take the places that no query has."""
        if self.query == self.test_query == "-":
            raise SettingError("two queries cannot both come from stdin", "give one as @file.sql")
        left = [path for path in (self.train, self.test) if path is not None]
        known = _query(self.query, self.sql if self.query or not self.test_query else None)
        train: str | Query | None = known or (left.pop(0) if left else None)
        asked = _query(
            self.test_query, self.test_sql or (self.sql if self.test_query else None), option="--test-"
        )
        test = asked or (left.pop(0) if left else None)
        if left:
            raise SettingError("more than training and test rows were given", "leave a file or a query out")
        if train is None:
            raise _nothing()
        return train, test


def _query(text: str | None, sql: str | None, *, option: str = "--") -> Query | None:
    """Return the query that the options ask; None if they ask none."""
    if text is None:
        if sql is not None:
            what = f"{option}sql names a database and nothing asks it"
            raise SettingError(what, f"add {option}query")
        return None
    from dataaudit.data.sql.query import Query, read_text

    return Query(read_text(text), sql)


def _nothing() -> SettingError:
    return SettingError("no data were named", "give a SOURCE, or --sql ADDRESS --query 'select …'")
