"""``audit check``: hold data to rules, and fail on what is new and wrong.

``audit config``: what is in force and where it was said, and the schema of the file.

``audit rule``: what a rule does, why it matters, and how to look at what it finds.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from dataaudit.cli import bridge
from dataaudit.cli.bridge import QueryText, Sql
from dataaudit.cli.progress import Talk
from dataaudit.errors import AuditError, SettingError
from dataaudit.escape import visible

if TYPE_CHECKING:
    from dataaudit.findings.verdict import Rule, Verdict
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
Format_config = Annotated[Literal["toml", "json"], typer.Option("--format", help="How to write it.")]


@config.command(epilog="Example: audit config show --format json")
def show(
    datasets: Datasets = None,
    *,
    config: ConfigFile = None,
    isolated: Isolated = False,
    format: Format_config = "toml",  # noqa: A002 - the option is called --format
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
    from dataaudit.gate.settings import schema as make

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
    from dataaudit.escape import visible
    from dataaudit.gate.settings import toml_key

    yield f"# {visible(found.file) if found.file else 'no configuration file'}"
    is_set = "set" if found.secret else "not set: a row with few possible contents can be guessed by its hash"
    yield f"# DATAAUDIT_BASELINE_KEY is {is_set}"
    yield from _entries(found.values)
    for name, told in found.datasets.items():
        yield from ("", f"[datasets.{toml_key(name)}]")
        yield from _entries(told)


def _entries(told: Mapping[str, Any]) -> Iterator[str]:
    from dataaudit.escape import visible
    from dataaudit.gate.settings import toml, toml_key

    for key, item in told.items():
        if isinstance(item, dict):
            for code, inner in item.items():
                said = f"{key}.{toml_key(code)} = {toml(inner.value)}"
                yield f"{said:<{_COLUMN}}  # {visible(inner.origin)}"
        else:
            yield f"{f'{key} = {toml(item.value)}':<{_COLUMN}}  # {visible(item.origin)}"


_INPUT, _GATE, _OUTPUT = "Input", "Gate", "Output"
_SILENT = 2  # -qq: nothing but the exit code

Data = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="DATA",
        show_default="all configured",
        help="Names of configured datasets; or files, globs or folders that are one dataset; or a folder of "
        "findings, which is judged as it is.",
    ),
]
Label = Annotated[
    str | None,
    typer.Option("--label", "-l", metavar="COLUMN", help="Label column.", rich_help_panel=_INPUT),
]
Date = Annotated[
    str | None,
    typer.Option("--date", metavar="COLUMN", help="Says when a row was observed.", rich_help_panel=_INPUT),
]
Test = Annotated[
    list[str] | None,
    typer.Option("--test", metavar="SOURCE", help="Rows held out. Repeatable.", rich_help_panel=_INPUT),
]
Base = Annotated[
    str | None,
    typer.Option(
        "--base",
        metavar="FILE",
        help="The data as they were accepted, also REVISION:PATH of Git: only what is new or changed fails.",
        rich_help_panel=_GATE,
    ),
]
Select = Annotated[
    list[str] | None,
    typer.Option("--select", metavar="RULES", help="Only these: DA1,DA301.", rich_help_panel=_GATE),
]
Ignore = Annotated[
    list[str] | None,
    typer.Option("--ignore", metavar="RULES", help="Not these. Repeatable.", rich_help_panel=_GATE),
]
Limit = Annotated[
    list[str] | None,
    typer.Option(
        "--limit", metavar="RULE=NUMBER", help="Another limit: DA101=0.05. Repeatable.", rich_help_panel=_GATE
    ),
]
Severity = Annotated[
    list[str] | None,
    typer.Option(
        "--severity", metavar="RULE=NAME", help="Another one: DA201=note. Repeatable.", rich_help_panel=_GATE
    ),
]
Pack = Annotated[
    list[str] | None,
    typer.Option("--pack", metavar="FILE", help="Rules of your own. Repeatable.", rich_help_panel=_GATE),
]
FailOn = Annotated[
    Literal["error", "warning", "note"] | None,
    typer.Option("--fail-on", show_default="error", help="Least severity that fails.", rich_help_panel=_GATE),
]
ExitZero = Annotated[
    bool,
    typer.Option("--exit-zero", help="Exit with 0 also if a rule is broken.", rich_help_panel=_GATE),
]
Baseline = Annotated[
    str | None,
    typer.Option(
        "--baseline",
        metavar="FILE",
        show_default="auto",
        help="Accepted findings; auto for the usual file if it is there, or none.",
        rich_help_panel=_GATE,
    ),
]
Format = Annotated[
    str | None,
    typer.Option(
        "--format",
        metavar="NAME",
        show_default="text, in GitHub's jobs github",
        help="What goes to stdout: text, full, json, jsonl, sarif, junit, github, gitlab, markdown, html.",
        rich_help_panel=_OUTPUT,
    ),
]
Output = Annotated[
    list[str] | None,
    typer.Option(
        "--output",
        "-o",
        metavar="FORMAT=FILE",
        help="Write another format to a file. Repeatable.",
        rich_help_panel=_OUTPUT,
    ),
]
Redact = Annotated[
    Literal["none", "cells"] | None,
    typer.Option(
        "--redact",
        show_default="none",
        help="Keep cells of the data out of findings; names of columns, classes, rows and files stay.",
        rich_help_panel=_OUTPUT,
    ),
]
NoCache = Annotated[
    bool, typer.Option("--no-cache", help="Judge again what has not changed.", rich_help_panel=_OUTPUT)
]
Accepted = Annotated[
    bool,
    typer.Option(
        "--sarif-include-suppressed", help="List accepted findings in SARIF too.", rich_help_panel=_OUTPUT
    ),
]


def check(
    data: Data = None,
    *,
    label: Label = None,
    text: bridge.Text = None,
    features: bridge.Features = None,
    exclude: bridge.Exclude = None,
    categorical: bridge.Categorical = None,
    id: bridge.Id = None,  # noqa: A002 - the option is called --id
    weight: bridge.Weight = None,
    date: Date = None,
    test: Test = None,
    sql: Sql = None,
    query: QueryText = None,
    base: Base = None,
    baseline: Baseline = None,
    select: Select = None,
    ignore: Ignore = None,
    limit: Limit = None,
    severity: Severity = None,
    pack: Pack = None,
    fail_on: FailOn = None,
    exit_zero: ExitZero = False,
    config: ConfigFile = None,
    isolated: Isolated = False,
    format: Format = None,  # noqa: A002 - the option is called --format
    output: Output = None,
    accepted: Accepted = False,
    redact: Redact = None,
    no_cache: NoCache = False,
    quiet: bridge.Quiet = 0,
    color: bridge.Color = "auto",
) -> int:
    """Hold data to rules, and fail on what is new and wrong.

    Exits with 0 if nothing fails, 1 if a rule is broken, and 2 if something could not be judged: the same
    whatever the format.
    """
    dataset = {
        "label": label,
        "text": list(bridge.names(text)),
        "features": list(bridge.names(features)),
        "exclude": list(bridge.names(exclude)),
        "categorical": list(bridge.names(categorical)),
        "id": id,
        "weight": weight,
        "date": date,
        "test": test,
        "base": base,
        "query": query,
    }
    values: dict[str, Any] = {
        "select": list(bridge.names(select)),
        "ignore": list(bridge.names(ignore)),
        "limits": {code: _number(code, given) for code, given in _pairs("--limit", limit)},
        "severity": dict(_pairs("--severity", severity)),
        "packs": pack,
        "fail-on": fail_on,
        "baseline": baseline,
        "redact": redact,
    }
    sources = _sources(data, sql, query)
    if no_cache:
        values["cache"] = False
    found = _config(sources, values, dataset, config=config, isolated=isolated)
    report = _Report(found, format, dict(_outputs(output)), accepted=accepted)
    with Talk(quiet=quiet, color=color) as talk:
        from dataaudit.gate.cache import cached_check

        verdict = cached_check(found.settings(), on_step=talk.step)
    report.write(verdict, quiet=quiet, color=color)
    return 0 if exit_zero and verdict.exit_code == 1 else verdict.exit_code


class _Report:
    """Where the verdict goes; what cannot be written is said before the work begins."""

    def __init__(
        self,
        found: Config,
        name: str | None,
        outputs: Mapping[str, Path],
        *,
        accepted: bool,
    ) -> None:
        from dataaudit.writers import get
        from dataaudit.writers.places import usual_format

        self.format = name or usual_format(os.environ)
        self.writer = get(self.format, "check")
        self.outputs, self.accepted = outputs, accepted
        self.config = Path(found.file) if found.file else None
        if outputs:
            from dataaudit.writers.verdict import check_outputs

            check_outputs(outputs, _files(found))

    def write(self, verdict: Verdict, *, quiet: int, color: str) -> None:
        """Write to stdout and to files."""
        from dataaudit.writers.places import surroundings

        around = surroundings(
            verdict, os.environ, folder=Path.cwd(), config=self.config, accepted=self.accepted
        )
        if quiet < _SILENT:
            if self.format in ("text", "full") and (
                color == "always" or (color == "auto" and sys.stdout.isatty())
            ):
                _show(verdict, full=self.format == "full", force=color == "always")
            else:
                self.writer.write(verdict, around, sys.stdout)
            sys.stdout.flush()
        if self.outputs:
            from dataaudit.writers.verdict import write_outputs

            write_outputs(verdict, around, outputs=self.outputs)
        if around.job_summary:
            from dataaudit.writers.github import append_summary

            append_summary(verdict, around)


def _show(verdict: Verdict, *, full: bool, force: bool) -> None:
    from rich.console import Console

    from dataaudit.report.check import report
    from dataaudit.writers.console import show_lines

    show_lines(report(verdict, full=full), Console(highlight=False, force_terminal=force or None))


def _sources(data: list[str] | None, sql: str | None, query: str | None) -> tuple[str, ...]:
    """Return what is to be checked; of a query, the database."""
    if query is None and sql is None:
        return tuple(data or ())
    if data:
        raise SettingError("both a file and a query were given", "leave one of them out")
    if query is None:
        raise SettingError("--sql names a database, and --query is missing", "say what to ask it")
    return (sql or "$DATAAUDIT_SQL",)


def _config(
    sources: Sequence[str],
    values: Mapping[str, Any],
    dataset: Mapping[str, Any],
    *,
    config: str | None,
    isolated: bool,
) -> Config:
    """Return the configuration with what was typed, and nothing else of it."""
    from dataaudit.gate.config import Asked, load_config

    asked = Asked(
        config=config,
        isolated=isolated,
        sources=tuple(sources),
        values={key: value for key, value in values.items() if value not in (None, [], {})},
        dataset={key: value for key, value in dataset.items() if value not in (None, [])},
    )
    return load_config(asked, env=os.environ, cwd=Path.cwd())


def _pairs(option: str, given: Sequence[str] | None) -> list[tuple[str, str]]:
    """Return the two sides of each ``A=B``, several of which may stand in one word with commas."""
    pairs = []
    for word in bridge.names(list(given or ())):
        left, equals, right = word.partition("=")
        if not (equals and left.strip() and right.strip()):
            raise SettingError(f"{option} takes RULE=VALUE: got {word!r}", f"write e.g. {option} DA101=…")
        pairs.append((left.strip(), right.strip()))
    return pairs


def _number(code: str, given: str) -> float:
    percent = given.endswith("%")
    try:
        return float(given.removesuffix("%")) / (100 if percent else 1)
    except ValueError as error:
        raise SettingError(
            f"the limit of {code} is no number: got {given!r}", "write e.g. 0.05 or 5%"
        ) from error


def _files(found: Config) -> Iterator[str]:
    """Yield the files that are checked; what cannot be found is told later."""
    from dataaudit.data.paths import files_meant

    for dataset in found.settings().datasets:
        for path in (*dataset.paths, *dataset.test):
            with suppress(AuditError):
                yield from files_meant([path], dataset.label)


def _outputs(given: Sequence[str] | None) -> list[tuple[str, Path]]:
    """Return format and file of each ``FORMAT=FILE``."""
    pairs: list[tuple[str, Path]] = []
    for word in given or ():
        name, equals, path = word.partition("=")
        if not (equals and name and path):
            raise SettingError(f"--output takes FORMAT=FILE: got {word!r}", "write e.g. sarif=audit.sarif")
        if name in dict(pairs):
            raise SettingError(f"--output names format {name!r} twice", "name each format once")
        pairs.append((name, Path(path)))
    return pairs


_CODE, _NAME, _SEVERITY = 7, 28, 8  # columns of the list

Words = Annotated[
    list[str] | None,
    typer.Argument(metavar="RULE", show_default=False, help="Codes, their beginnings, or names: DA101, DA2."),
]
All = Annotated[bool, typer.Option("--all", help="Every rule.")]
Pack_rule = Annotated[
    list[str] | None, typer.Option("--pack", metavar="FILE", help="Rules of your own. Repeatable.")
]
Format_rule = Annotated[Literal["text", "json", "md"], typer.Option("--format", help="How to write it.")]


def rule(
    words: Words = None,
    *,
    every: All = False,
    pack: Pack_rule = None,
    format: Format_rule = "text",  # noqa: A002 - the option is called --format
) -> None:
    """Say what a rule does, why it matters, and how to look at what it finds; or list all."""
    from dataaudit.gate.rules import read_packs
    from dataaudit.gate.settings import meant

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
