"""The options, each declared once; a command's signature names those that it takes.

The options that name a query on a database in the place of a file.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from dataaudit.errors import SettingError

if TYPE_CHECKING:
    from dataaudit.data import Query


_INPUT, _MODEL, _RANKING, _TRACING, _OUTPUT = "Input", "Model", "Ranking", "Tracing", "Output"
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([kmgt]?)(i?)b?", re.IGNORECASE)

Sources = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="SOURCE",
        show_default=False,
        help="CSV, TSV, NDJSON, JSON, Parquet or Arrow files (.gz, .zst too), globs, folders of them, "
        "a folder of text files by class, or - for stdin.",
    ),
]
Train = Annotated[
    str | None,
    typer.Argument(
        metavar="TRAIN",
        show_default=False,
        help="Training rows: a file, a glob in quotes, a folder, or - for stdin; all rows, where an option "
        "splits them.",
    ),
]
Test = Annotated[
    str | None,
    typer.Argument(
        metavar="TEST",
        show_default=False,
        help="Test rows, the same. Without labels only the inputs are compared.",
    ),
]
Label = Annotated[
    str,
    typer.Option(
        "--label",
        "-l",
        metavar="COLUMN",
        show_default=False,
        help="Column that is audited.",
        rich_help_panel=_INPUT,
    ),
]
Text = Annotated[
    list[str] | None,
    typer.Option(
        "--text", metavar="COLUMN", help="Column of running text. Repeatable, or a,b.", rich_help_panel=_INPUT
    ),
]
Features = Annotated[
    list[str] | None,
    typer.Option(
        "--features",
        metavar="COLUMN",
        help="Use only this column. Repeatable, or a,b.",
        rich_help_panel=_INPUT,
    ),
]
Exclude = Annotated[
    list[str] | None,
    typer.Option(
        "--exclude", metavar="COLUMN", help="Leave this out. Repeatable, or a,b.", rich_help_panel=_INPUT
    ),
]
Categorical = Annotated[
    list[str] | None,
    typer.Option(
        "--categorical",
        metavar="COLUMN",
        help="Numbers that are names. Repeatable, or a,b.",
        rich_help_panel=_INPUT,
    ),
]
Id = Annotated[
    str | None,
    typer.Option(
        "--id", metavar="COLUMN", help="Column that names a row; else file and line.", rich_help_panel=_INPUT
    ),
]

Weight = Annotated[
    str | None,
    typer.Option("--weight", metavar="COLUMN", help="Column of row weights.", rich_help_panel=_INPUT),
]

SplitColumn = Annotated[
    str | None,
    typer.Option(
        "--split-column",
        metavar="COLUMN",
        help="Without TEST: says train for the training rows.",
        rich_help_panel=_INPUT,
    ),
]
TestSize = Annotated[
    float | None,
    typer.Option(
        "--test-size",
        metavar="SIZE",
        help="Without TEST: share (.2) or number of rows to draw.",
        rich_help_panel=_INPUT,
    ),
]
TestRows = Annotated[
    list[str] | None,
    typer.Option(
        "--rows",
        metavar="N",
        help="Trace this test row, from 0. Repeatable, or 1,2,3.",
        show_default="mispredicted rows",
        rich_help_panel=_TRACING,
    ),
]
Where = Annotated[
    str | None,
    typer.Option(
        "--where",
        metavar="SQL",
        help="Trace the test rows that fulfil this: \"age = '[0-10)'\"; true: all.",
        rich_help_panel=_TRACING,
    ),
]
Partners = Annotated[
    int,
    typer.Option(
        "--top",
        min=1,
        metavar="N",
        help="Harmful and helpful training rows per test row.",
        rich_help_panel=_TRACING,
    ),
]
Prove = Annotated[
    int,
    typer.Option(
        "--prove", min=0, metavar="N", help="Findings to prove by refits.", rich_help_panel=_TRACING
    ),
]
Memory = Annotated[
    str,
    typer.Option(
        "--memory", metavar="SIZE", help="For the influences: 512MiB, 2GiB.", rich_help_panel=_TRACING
    ),
]

Row = Annotated[
    int | None,
    typer.Option(
        "--row", metavar="N", help="Number of the test row in its file, from 0.", rich_help_panel=_TRACING
    ),
]
RowId = Annotated[
    str | None,
    typer.Option("--row-id", metavar="NAME", help="Name of the test row instead.", rich_help_panel=_TRACING),
]
Behind = Annotated[
    int,
    typer.Option(
        "--top",
        min=1,
        metavar="N",
        help="Harmful and helpful training rows, and neighbours.",
        rich_help_panel=_TRACING,
    ),
]
Components = Annotated[
    bool,
    typer.Option(
        "--show-components",
        help="Also without the training loss, and without the inverse Hessian.",
        rich_help_panel=_TRACING,
    ),
]
Flip = Annotated[
    str | None,
    typer.Option(
        "--flip",
        metavar="WHAT",
        help="Fewest rows whose removal overturns: prediction, coefficient:COLUMN=LEVEL or "
        "slice:COLUMN=LEVEL.",
        rich_help_panel=_TRACING,
    ),
]

TextFeatures = Annotated[
    Literal["tfidf", "counts"],
    typer.Option(
        "--text-features", help="Weighted words, or the plain bag of words.", rich_help_panel=_MODEL
    ),
]
Model = Annotated[
    Literal["logistic", "svm", "rbf-svm"],
    typer.Option(
        "--model",
        help="Logistic regression, or for two classes a support vector machine, linear or on RBF features.",
        rich_help_panel=_MODEL,
    ),
]
Basis = Annotated[
    Literal["auto", "linear", "spline", "rbf"],
    typer.Option("--basis", help="Shape of numeric columns; auto picks by fit.", rich_help_panel=_MODEL),
]
L2 = Annotated[
    float | None,
    typer.Option("--l2", metavar="λ", help="Ridge; by default chosen.", rich_help_panel=_MODEL),
]
Solver = Annotated[
    str,
    typer.Option(
        "--solver",
        metavar="NAME",
        help="Of the inverse Hessian: cholesky, dual; cg, lissa, arnoldi.",
        rich_help_panel=_MODEL,
    ),
]
Factor = Annotated[
    str,
    typer.Option(
        "--solver", metavar="NAME", help="Of the inverse Hessian: cholesky, dual.", rich_help_panel=_MODEL
    ),
]
Damping = Annotated[
    float,
    typer.Option("--damping", metavar="δ", help="Added to the Hessian.", rich_help_panel=_MODEL),
]
Seed = Annotated[
    int, typer.Option("--seed", metavar="N", help="Seed of all that is random.", rich_help_panel=_MODEL)
]

Rank = Annotated[
    Literal["auto", "p-wrong", "leave-one-out", "self-influence"],
    typer.Option(
        "--rank",
        help="Order of the list; auto is p-wrong where the data support it.",
        rich_help_panel=_RANKING,
    ),
]
Top = Annotated[
    int,
    typer.Option(
        "--top", min=0, metavar="N", help="Rows with evidence and neighbours.", rich_help_panel=_RANKING
    ),
]
Verify = Annotated[
    int,
    typer.Option(
        "--verify", min=0, metavar="N", help="True refits to check against.", rich_help_panel=_RANKING
    ),
]

Out = Annotated[
    Path, typer.Option("--out", "-o", metavar="FOLDER", help="Findings and report.", rich_help_panel=_OUTPUT)
]
Format = Annotated[
    str | None,
    typer.Option(
        "--format",
        metavar="NAME",
        show_default="nothing",
        help="Also write to stdout: text, markdown, json, jsonl (all rows or findings), html.",
        rich_help_panel=_OUTPUT,
    ),
]
Redact = Annotated[
    Literal["none", "cells", "all"],
    typer.Option(
        "--redact",
        help="Keep cells, or all names and labels too, out of page, stdout and summary. "
        "The tables in FOLDER stay whole.",
        rich_help_panel=_OUTPUT,
    ),
]
RedactAnew = Annotated[
    Literal["none", "cells", "all"] | None,
    typer.Option(
        "--redact",
        show_default="as the audit was told",
        help="Withhold nothing, cells, or all names and labels too.",
        rich_help_panel=_OUTPUT,
    ),
]
Quiet = Annotated[
    int,
    typer.Option(
        "--quiet",
        "-q",
        count=True,
        show_default=False,
        help="No progress; -qq: no summary either.",
        rich_help_panel=_OUTPUT,
    ),
]
Verbose = Annotated[
    bool, typer.Option("--verbose", "-v", help="Also columns, settings and time.", rich_help_panel=_OUTPUT)
]
Color = Annotated[
    Literal["auto", "always", "never"],
    typer.Option("--color", help="Colour on stderr; NO_COLOR is respected.", rich_help_panel=_OUTPUT),
]


def names(values: list[str] | None) -> tuple[str, ...]:
    """Return the column names of a repeatable option, each value being one name or several with commas."""
    return tuple(name.strip() for value in values or () for name in value.split(",") if name.strip())


def numbers(values: list[str] | None, option: str = "--rows") -> tuple[int, ...]:
    """Return the row numbers of a repeatable option, each value being one number or several with commas.

    Raises
    ------
    SettingError
        If one is no number, or below 0.
    """
    found = []
    for name in names(values):
        if not name.isascii() or not name.isdigit():
            raise SettingError(f"{option} takes numbers from 0: got {name!r}", f"write e.g. {option} 0,17")
        found.append(int(name))
    return tuple(dict.fromkeys(found))


def size(text: str) -> int:
    """Return the bytes of a size as people write it: ``512MiB``, ``2 GB``, ``1.5g``.

    Without an i a unit is a power of 1000, but a letter alone is one of 1024.

    Raises
    ------
    SettingError
        If it is no size.
    """
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        raise SettingError(f"--memory takes a size: got {text!r}", "write e.g. 512MiB or 2GiB")
    number, unit, binary = match.groups()
    decimal = bool(unit) and not binary and text.strip().lower().endswith("b")
    return int(float(number) * (1000 if decimal else 1024) ** " kmgt".index(unit.lower() or " "))


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
    from dataaudit.data.sql import Query, read_text

    return Query(read_text(text), sql)


def _nothing() -> SettingError:
    return SettingError("no data were named", "give a SOURCE, or --sql ADDRESS --query 'select …'")
