"""``audit config``: what is in force and where it was said, and the schema of the file."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

if TYPE_CHECKING:
    from dataaudit.gate.config import Config

_COLUMN = 40  # where the origins stand, if the values leave room

config = typer.Typer(
    help="Show the configuration that audit check takes, and the schema of its file.",
    no_args_is_help=True,
)

ConfigFile = Annotated[
    str | None,
    typer.Option(
        "--config",
        metavar="FILE",
        show_default="the nearest upward",
        help="A pyproject.toml, or a file like dataaudit.toml.",
        rich_help_panel="Configuration",
    ),
]
Isolated = Annotated[bool, typer.Option("--isolated", help="Read no file.", rich_help_panel="Configuration")]
Datasets = Annotated[
    list[str] | None,
    typer.Argument(metavar="DATASET", show_default="all", help="Names or paths of configured datasets."),
]
Format = Annotated[Literal["toml", "json"], typer.Option("--format", help="How to write it.")]


@config.command(epilog="Example: audit config show --format json")
def show(
    datasets: Datasets = None,
    *,
    config: ConfigFile = None,
    isolated: Isolated = False,
    format: Format = "toml",  # noqa: A002 - the option is called --format
) -> None:
    """Write every value in force with the file and line, variable or option that gave it."""
    from dataaudit.gate.config import Asked, load_config

    asked = Asked(config=config, isolated=isolated, sources=tuple(datasets or ()))
    found = load_config(asked, env=os.environ, cwd=Path.cwd())
    if format == "json":
        sys.stdout.write(json.dumps(_plain(found), ensure_ascii=True, indent=2) + "\n")
    else:
        sys.stdout.write("".join(f"{line}\n" for line in _lines(found)))


@config.command(epilog="Example: audit config schema > dataaudit.schema.json")
def schema() -> None:
    """Write the JSON schema of dataaudit.toml, which is that of the table in pyproject.toml too."""
    from dataaudit.gate.fields import schema as make

    sys.stdout.write(json.dumps(make(), ensure_ascii=True, indent=2) + "\n")


def _plain(found: Config) -> dict[str, Any]:
    return {
        "file": found.file or None,
        "baseline": found.baseline or None,
        "baseline_key": bool(found.secret),
        "values": _table(found.values),
        "datasets": {name: _table(told) for name, told in found.datasets.items()},
    }


def _table(told: Mapping[str, Any]) -> dict[str, Any]:
    return {
        key: _table(item) if isinstance(item, dict) else {"value": item.value, "origin": item.origin}
        for key, item in told.items()
    }


def _lines(found: Config) -> Iterator[str]:
    """Yield TOML that could stand in dataaudit.toml, with the origins as comments."""
    from dataaudit.cli.terminal import visible
    from dataaudit.gate.fields import toml_key

    yield f"# {visible(found.file) if found.file else 'no configuration file'}"
    is_set = "set" if found.secret else "not set: a row with few possible contents can be guessed by its hash"
    yield f"# DATAAUDIT_BASELINE_KEY is {is_set}"
    yield from _entries(found.values)
    for name, told in found.datasets.items():
        yield from ("", f"[datasets.{toml_key(name)}]")
        yield from _entries(told)


def _entries(told: Mapping[str, Any]) -> Iterator[str]:
    from dataaudit.cli.terminal import visible
    from dataaudit.gate.fields import toml, toml_key

    for key, item in told.items():
        if isinstance(item, dict):
            for code, inner in item.items():
                said = f"{key}.{toml_key(code)} = {toml(inner.value)}"
                yield f"{said:<{_COLUMN}}  # {visible(inner.origin)}"
        else:
            yield f"{f'{key} = {toml(item.value)}':<{_COLUMN}}  # {visible(item.origin)}"
