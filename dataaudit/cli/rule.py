"""``audit rule``: what a rule does, why it matters, and how to look at what it finds."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from dataaudit.cli.terminal import visible
from dataaudit.errors import SettingError

if TYPE_CHECKING:
    from dataaudit.gate.rule import Rule

_CODE, _NAME, _SEVERITY = 7, 28, 8  # columns of the list

Words = Annotated[
    list[str] | None,
    typer.Argument(metavar="RULE", show_default=False, help="Codes, their beginnings, or names: DA101, DA2."),
]
All = Annotated[bool, typer.Option("--all", help="Every rule.")]
Pack = Annotated[
    list[str] | None, typer.Option("--pack", metavar="FILE", help="Rules of your own. Repeatable.")
]
Format = Annotated[Literal["text", "json", "md"], typer.Option("--format", help="How to write it.")]


def rule(
    words: Words = None,
    *,
    every: All = False,
    pack: Pack = None,
    format: Format = "text",  # noqa: A002 - the option is called --format
) -> None:
    """Say what a rule does, why it matters, and how to look at what it finds; or list all."""
    from dataaudit.gate.choice import meant
    from dataaudit.gate.packs import read_packs

    if not words and not every:
        raise SettingError("no rule was named", "write e.g. audit rule DA101, or --all")
    rules = read_packs(pack or ())
    codes = {code for word in words or () for code in meant(rules, word)}
    shown = [one for one in rules if every or one.code in codes]
    if format == "json":
        text = json.dumps([asdict(one) for one in shown], ensure_ascii=True, indent=2) + "\n"
    elif format == "md":
        text = "\n".join(map(_markdown, shown))
    else:
        text = _list(shown) if len(shown) > 1 else _text(shown[0])
    sys.stdout.write(text)


def _list(rules: list[Rule]) -> str:
    """Return a line for each rule, below the name of its pack."""
    lines: list[str] = []
    pack = ""
    for one in rules:
        if one.pack != pack:
            pack = one.pack
            lines += ["", pack] if lines else [pack]
        name, title = visible(one.name), visible(one.title)
        lines.append(f"  {one.code:{_CODE}}{name:{_NAME}} {one.severity:{_SEVERITY}} {title}")
    return "\n".join(lines) + "\n"


def _text(one: Rule) -> str:
    head = f"{one.code} {one.name} ({one.pack}, {one.severity}, limit {one.limit:g} {one.unit})"
    parts = [visible(line) for line in (head, f"{one.title}.", "", *one.doc.splitlines())]
    return "\n".join(parts) + "\n"


def _markdown(one: Rule) -> str:
    """Return a rule as a section of a page: its own headings go one level down."""
    doc = "\n".join(f"#{line}" if line.startswith("## ") else line for line in one.doc.splitlines())
    facts = f"Pack {one.pack} · {one.severity} · limit {one.limit:g} {one.unit} · {one.status}"
    return f"## {one.code} {one.name}\n\n{one.title}.\n\n{facts}\n\n{doc}\n"
