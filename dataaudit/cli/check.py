"""``audit check``: hold data to rules, and fail on what is new; ``audit config`` and ``audit rule``."""

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

from dataaudit.cli.bridge import GATE, OUTPUT, Arg, Said, command
from dataaudit.cli.progress import SILENT, Progress
from dataaudit.cli.sources import QueryText, Sql
from dataaudit.errors import AuditError, SettingError
from dataaudit.escape import json_text, visible
from dataaudit.options import Opt, Options
from dataaudit.secrets import masked_query, public

if TYPE_CHECKING:
    from dataaudit.findings.verdict import Rule, Verdict
    from dataaudit.gate.config import Config

# The groups of a configuration, made when a command that takes them is asked for.
SETTINGS, DATASET = "dataaudit.gate.settings:CheckSettings", "dataaudit.gate.settings:DatasetSettings"
_COLUMN = 40  # where the origins stand, if the values leave room
_CODE, _NAME, _SEVERITY = 7, 28, 8  # columns of the list of rules
_DATA = (
    "Names of configured datasets; or files, globs or folders that are one dataset; or a folder of findings, "
    "which is judged as it is."
)
_FORMATS = (
    "What goes to stdout: text, full, concise, json, jsonl, sarif, junit, github, gitlab, markdown, html."
)
_OUTPUTS = "Write another format to a file."
_CONFIG = "A pyproject.toml, or a file like dataaudit.toml."
Datasets = Annotated[
    Sequence[str], Arg("Names or paths of configured datasets.", metavar="DATASET", shown="all")
]
RuleWords = Annotated[Sequence[str], Arg("Codes, their beginnings, or names: DA101, DA2.", metavar="RULE")]
PackFiles = Annotated[Sequence[str], Opt("Rules of your own.", metavar="FILE", kind="paths")]
Formats = Annotated[
    str | None, Opt(_FORMATS, OUTPUT, metavar="NAME", shown="text, in GitHub's jobs github", place=-1)
]
Outputs = Annotated[
    Sequence[str], Opt(_OUTPUTS, OUTPUT, metavar="FORMAT=FILE", flags="--output -o", kind="paths", place=-1)
]
Accepted = Annotated[
    bool, Opt("List accepted findings in SARIF too.", OUTPUT, flags="--sarif-include-suppressed", place=-1)
]
config = typer.Typer(
    help="Show the configuration that audit check takes, and the schema of its file.",
    no_args_is_help=True,
)


class Configured(Options):
    """Where the configuration comes from."""

    config: Annotated[
        str | None, Opt(_CONFIG, "Configuration", metavar="FILE", shown="the nearest upward")
    ] = None
    isolated: Annotated[bool, Opt("Read no file.", "Configuration")] = False

    def load(self, sources: Sequence[str], values: Said | None = None, dataset: Said | None = None) -> Config:
        """Return the configuration with what was said."""
        from dataaudit.gate.config import Asked, load_config

        asked = Asked(
            config=self.config,
            isolated=self.isolated,
            sources=tuple(sources),
            values=values or {},
            dataset=dataset or {},
        )
        return load_config(asked, env=os.environ, cwd=Path.cwd())


class Checked(Configured):
    """The data that are checked."""

    data: Annotated[Sequence[str], Arg(_DATA, metavar="DATA", shown="all configured")] = ()


@config.command(epilog="Example: audit config show --format json")
@command()
def show(
    datasets: Datasets = (),
    *,
    configured: Configured,
    format: Annotated[Literal["toml", "json"], Opt("How to write it.")] = "toml",  # noqa: A002 - --format
) -> None:
    """Write every value in force with the file and line, variable or option that gave it."""
    found = configured.load(datasets)
    if format == "json":
        sys.stdout.write(json.dumps(_plain(found), ensure_ascii=True, indent=2) + "\n")
    else:
        sys.stdout.write("".join(f"{json_text(line)}\n" for line in _lines(found)))


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
        "datasets": {name: _table(entries) for name, entries in found.datasets.items()},
    }


def _table(entries: Mapping[str, Any]) -> dict[str, Any]:
    return {
        key: _table(item) if isinstance(item, dict) else {"value": _public(item.value), "origin": item.origin}
        for key, item in entries.items()
    }


def _public(value: Any) -> Any:
    """Return a value without secrets: a path may be an address, a query may attach another database."""
    if isinstance(value, str):
        return public(masked_query(value))
    return tuple(map(_public, value)) if isinstance(value, tuple) else value


def _lines(found: Config) -> Iterator[str]:
    """Yield TOML that could stand in dataaudit.toml, with the origins as comments."""
    from dataaudit.gate.settings import toml_key

    yield f"# {visible(found.file) if found.file else 'no configuration file'}"
    is_set = "set" if found.secret else "not set: a row with few possible contents can be guessed by its hash"
    yield f"# DATAAUDIT_BASELINE_KEY is {is_set}"
    yield from _entries(found.values)
    for name, entries in found.datasets.items():
        yield from ("", f"[datasets.{toml_key(name)}]")
        yield from _entries(entries)


def _entries(entries: Mapping[str, Any]) -> Iterator[str]:
    from dataaudit.gate.settings import toml, toml_key

    for key, item in entries.items():
        if isinstance(item, dict):
            for code, inner in item.items():
                said = f"{key}.{toml_key(code)} = {toml(inner.value)}"
                yield f"{said:<{_COLUMN}}  # {visible(inner.origin)}"
        else:
            yield f"{f'{key} = {toml(_public(item.value))}':<{_COLUMN}}  # {visible(item.origin)}"


@command()
def check(
    checked: Checked,
    dataset: Annotated[Said, DATASET],
    values: Annotated[Said, SETTINGS],
    *,
    sql: Sql = None,
    query: QueryText = None,
    exit_zero: Annotated[bool, Opt("Exit with 0 also if a rule is broken.", GATE)] = False,
    format: Formats = None,  # noqa: A002 - the option is called --format
    output: Outputs = (),
    accepted: Accepted = False,
    no_cache: Annotated[bool, Opt("Judge again what has not changed.", OUTPUT)] = False,
    progress: Progress,
) -> int:
    """Hold data to rules, and fail on what is new and wrong.

    Exits with 0 if nothing fails, 1 if a rule is broken, and 2 if something could not be judged: the same
    whatever the format.
    """
    sources = _sources(checked.data, sql, query)
    asked = {} if query is None else {"query": query}
    uncached = {"cache": False} if no_cache else {}
    found = checked.load(sources, values | uncached, dataset | asked)
    report = _Report(found, format, dict(_outputs(output)), accepted=accepted)
    with progress:
        from dataaudit.gate.cache import cached_check

        verdict = cached_check(found.settings(), on_step=progress.step)
    report.write(verdict, quiet=progress.quiet, color=progress.color)
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
        from dataaudit.writers.places import service, usual_format

        self.format = name or usual_format(os.environ)
        self.writer = get(self.format, "check")
        self.outputs, self.accepted = outputs, accepted
        self.config = Path(found.file) if found.file else None
        if service(os.environ) == "github":
            from dataaudit.writers.annotations import require_summary

            require_summary(os.environ.get("GITHUB_STEP_SUMMARY", ""))
        if outputs:
            from dataaudit.writers.base import check_outputs

            check_outputs(outputs, _files(found))

    def write(self, verdict: Verdict, *, quiet: int, color: str) -> None:
        """Write to stdout and to files."""
        from dataaudit.writers.places import surroundings

        around = surroundings(
            verdict, os.environ, folder=Path.cwd(), config=self.config, accepted=self.accepted
        )
        if quiet < SILENT:
            if self.format in ("text", "full") and (
                color == "always" or (color == "auto" and sys.stdout.isatty())
            ):
                _show(verdict, full=self.format == "full", force=color == "always")
            else:
                self.writer.write(verdict, around, sys.stdout)
            sys.stdout.flush()
        if self.outputs:
            from dataaudit.writers.base import write_outputs

            write_outputs(verdict, around, outputs=self.outputs)
        if around.job_summary:
            from dataaudit.writers.annotations import append_summary

            append_summary(verdict, around)


def _show(verdict: Verdict, *, full: bool, force: bool) -> None:
    from rich.console import Console

    from dataaudit.report.check import report
    from dataaudit.writers.console import show_lines

    show_lines(report(verdict, full=full), Console(highlight=False, force_terminal=force or None))


def _sources(data: Sequence[str], sql: str | None, query: str | None) -> tuple[str, ...]:
    """Return what is to be checked; of a query, the database."""
    if query is None and sql is None:
        return tuple(data)
    if data:
        raise SettingError("both a file and a query were given", "leave one of them out")
    if query is None:
        raise SettingError("--sql names a database, and --query is missing", "say what to ask it")
    return (sql or "$DATAAUDIT_SQL",)


def _files(found: Config) -> Iterator[str]:
    """Yield the files that are checked; what cannot be found is reported later."""
    from dataaudit.data.paths import files_meant

    for dataset in found.settings().datasets:
        for path in (*dataset.paths, *dataset.test):
            with suppress(AuditError):
                yield from files_meant([path], dataset.label)


def _outputs(given: Sequence[str]) -> list[tuple[str, Path]]:
    """Return format and file of each ``FORMAT=FILE``."""
    pairs: list[tuple[str, Path]] = []
    for word in given:
        name, equals, path = word.partition("=")
        if not (equals and name and path):
            raise SettingError(f"--output takes FORMAT=FILE: got {word!r}", "write e.g. sarif=audit.sarif")
        if name in dict(pairs):
            raise SettingError(f"--output names format {name!r} twice", "name each format once")
        pairs.append((name, Path(path)))
    return pairs


@command()
def rule(
    words: RuleWords = (),
    *,
    every: Annotated[bool, Opt("Every rule.", flags="--all")] = False,
    pack: PackFiles = (),
    format: Annotated[Literal["text", "json", "md"], Opt("How to write it.")] = "text",  # noqa: A002 - --format
) -> None:
    """Say what a rule does, why it matters, and how to look at what it finds; or list all."""
    from dataaudit.gate.rules import read_packs
    from dataaudit.gate.settings import meant

    if not words and not every:
        raise SettingError("no rule was named", "write e.g. audit rule DA101, or --all")
    rules = read_packs(pack)
    codes = {code for word in words for code in meant(rules, word)}
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
