"""The options, each declared once; a command's signature names those that it takes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

_INPUT, _MODEL, _RANKING, _OUTPUT = "Input", "Model", "Ranking", "Output"

Sources = Annotated[
    list[str],
    typer.Argument(
        metavar="SOURCE",
        show_default=False,
        help="CSV, TSV, NDJSON, JSON, Parquet or Arrow files (.gz, .zst too), globs, folders of them, "
        "a folder of text files by class, or - for stdin.",
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

TextFeatures = Annotated[
    Literal["tfidf", "counts"],
    typer.Option(
        "--text-features", help="Weighted words, or the plain bag of words.", rich_help_panel=_MODEL
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
        help="Also write to stdout: text (top rows), json, jsonl (all rows), html.",
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
