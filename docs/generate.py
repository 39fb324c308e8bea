"""Write what of the documentation is made of the code: rules, commands, Python, schemas of JSON.

python docs/generate.py [FOLDER]
"""

from __future__ import annotations

import inspect
import json
import re
import sys
import tomllib
from pathlib import Path

import polars as pl
import typer

import dataaudit
from dataaudit.cli.app import tree
from dataaudit.findings.schemas import KINDS

ROOT = Path(__file__).resolve().parents[1]


def rules() -> str:
    """Return every rule with its documentation, pack by pack."""
    parts = [
        "# Rules",
        "",
        "What `audit check` holds data to; `audit rule CODE` shows one of them in the terminal.",
        "",
    ]
    listed, pages = ["| code | name | what | severity |", "|---|---|---|---|"], []
    for pack in sorted((ROOT / "rules").glob("*.toml")):
        for rule in tomllib.loads(pack.read_text(encoding="utf-8"))["rule"]:
            anchor = f"{rule['code']} {rule['name']}".lower().replace(" ", "-")
            listed.append(
                f"| [{rule['code']}](#{anchor}) | {rule['name']} | {rule['title']} | {rule['severity']} |"
            )
            doc = re.sub(r"^## ", "### ", rule["doc"].strip(), flags=re.MULTILINE)
            pages += [f"## {rule['code']} {rule['name']}", "", f"{rule['title']}.", "", doc, ""]
    return "\n".join([*parts, *listed, "", *pages])


def commands() -> str:
    """Return every command with its options, as its help has them."""
    parts = ["# Commands and options", ""]
    for name, command in sorted(typer.main.get_command(tree()).commands.items()):
        below = getattr(command, "commands", {})
        for words, one in [
            (name, command),
            *((f"{name} {inner}", each) for inner, each in sorted(below.items())),
        ]:
            parts += [f"## audit {words}", "", _text(one.help), ""]
            parts += _options(one) if not getattr(one, "commands", None) else []
    return "\n".join(parts)


def _options(command) -> list[str]:  # noqa: ANN001 - typer's copy of click has no types
    rows = [
        f"| {_flags(one)} | {_cell(one.help)} | {_default(one)} |"
        for one in command.params
        if one.param_type_name == "option" and not one.hidden and one.help
    ]
    return ["| option | what | default |", "|---|---|---|", *rows, ""] if rows else []


def _flags(option) -> str:  # noqa: ANN001 - the same
    return ", ".join(f"`{flag}`" for flag in option.opts + option.secondary_opts)


def _default(option) -> str:  # noqa: ANN001 - the same
    if option.required:
        return "required"
    if isinstance(option.show_default, str):
        return _cell(option.show_default)
    value = option.default
    absent = option.count or value is None or isinstance(value, bool) or value in ("", ())
    return "" if absent else f"`{value}`"


def _cell(text: str | None) -> str:
    return _text(text).replace("\n", " ").replace("|", "\\|")


def _text(text: str | None) -> str:
    return inspect.cleandoc(text or "").replace("\b\n", "").replace("<", "&lt;")


def python() -> str:
    """Return the public names with their documentation."""
    parts = [
        "# Python",
        "",
        "Everything in `dataaudit.__all__`; `help(dataaudit.audit_labels)` shows the same.",
        "",
    ]
    for name in dataaudit.__all__:
        value = getattr(dataaudit, name)
        if inspect.isclass(value) and issubclass(value, Exception):
            continue
        if not (inspect.isclass(value) or inspect.isfunction(value)):
            continue
        parts += [f"## {name}", "", "```text", inspect.cleandoc(value.__doc__ or ""), "```", ""]
        methods = inspect.getmembers(value, inspect.isfunction) if inspect.isclass(value) else []
        for method, function in methods:
            if (
                not method.startswith("_")
                and function.__doc__
                and function.__module__.startswith("dataaudit")
            ):
                parts += [
                    f"### {name}.{method}",
                    "",
                    "```text",
                    inspect.cleandoc(function.__doc__),
                    "```",
                    "",
                ]
    errors = [
        name
        for name in dataaudit.__all__
        if isinstance(getattr(dataaudit, name), type) and issubclass(getattr(dataaudit, name), Exception)
    ]
    parts += ["## Errors", "", "| error | when |", "|---|---|"]
    parts += [f"| `{name}` | {_cell(getattr(dataaudit, name).__doc__).split('. ')[0]} |" for name in errors]
    return "\n".join([*parts, ""])


def schema(kind: str) -> str:
    """Return the JSON schema of what ``--format json`` writes of a kind of audit."""
    tables = KINDS[kind].SCHEMAS
    text, anything = {"type": "string"}, {"type": "object"}
    command = {
        "type": "object",
        "required": ["purpose", "command"],
        "properties": {"purpose": text, "command": text},
    }
    said = {"headline": text, "sentences": {"type": "array", "items": text}}
    answer = {
        "kind": {"const": kind},
        "next_commands": {"type": "array", "items": command},
        "provenance": anything,
        "verdict": {"type": "object", "required": sorted(said), "properties": said},
    }
    if kind in ("labels", "mismatch"):
        answer = {"summary": {"type": "object", "required": sorted(answer), "properties": answer}}
    rows = {name: {"type": "array", "items": _row(columns)} for name, columns in sorted(tables.items())}
    document = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"audit {kind} --format json, version {dataaudit.__version__}",
        "type": "object",
        "required": sorted(answer | rows),
        "properties": answer | rows,
    }
    return json.dumps(document, indent=1) + "\n"


def _row(columns: pl.Schema) -> dict[str, object]:
    """Return the schema of a row; any cell may be null, and further columns may follow."""
    properties = {name: _cell_type(kind) for name, kind in columns.items()}
    return {"type": "object", "required": list(properties), "properties": properties}


def _cell_type(kind: pl.DataType) -> dict[str, object]:
    if isinstance(kind, pl.List):
        return {"type": ["array", "null"], "items": _cell_type(kind.inner)}
    named = {pl.Float64: "number", pl.Int64: "integer", pl.Boolean: "boolean", pl.String: "string"}
    return {"type": [named[type(kind)], "null"]}


PAGES = {"rules.md": rules, "commands.md": commands, "python.md": python}


def main(folder: Path) -> None:
    """Write the pages."""
    for name, page in PAGES.items():
        (folder / name).write_text(page(), encoding="utf-8")
    for kind in KINDS:
        (folder / f"{kind}.schema.json").write_text(schema(kind), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent)
