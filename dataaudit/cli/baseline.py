"""``audit baseline``: accept what is known, so that only what is new fails."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from dataaudit.cli import options
from dataaudit.cli.baseline_entry import PANEL, Author, Date, Expires, like_of, today
from dataaudit.cli.baseline_words import changed, lines, plain, unjudged
from dataaudit.cli.check import Base, Data, Ignore, Label, Select, Test
from dataaudit.cli.config import ConfigFile, Isolated
from dataaudit.cli.talk import Talk
from dataaudit.errors import SettingError

if TYPE_CHECKING:
    from dataaudit.gate.baseline import Baseline
    from dataaudit.gate.config import Config
    from dataaudit.gate.verdict import Verdict

_OUTPUT = "Output"
_ALL = 10**9  # findings kept of each rule: an entry is needed for every one
_THERE = "there when the baseline was made"

baseline = typer.Typer(
    help="Accept the findings that are known, so that audit check fails on new ones only.",
    no_args_is_help=True,
)

File = Annotated[
    str | None,
    typer.Option(
        "--baseline",
        metavar="FILE",
        show_default="the configured one, or dataaudit-baseline.jsonl",
        help="The baseline.",
        rich_help_panel=_OUTPUT,
    ),
]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Only say what would change.", rich_help_panel=_OUTPUT)
]


@baseline.command(epilog="Example: audit baseline create --reason 'label noise, ticket 12' --expires 90d")
def create(
    data: Data = None,
    *,
    reason: Annotated[
        str, typer.Option("--reason", metavar="TEXT", help="Why they are accepted.", rich_help_panel=PANEL)
    ] = _THERE,
    author: Author = None,
    date: Date = "",
    expires: Expires = "",
    label: Label = None,
    text: options.Text = None,
    exclude: options.Exclude = None,
    id: options.Id = None,  # noqa: A002 - the option is called --id
    test: Test = None,
    base: Base = None,
    select: Select = None,
    ignore: Ignore = None,
    config: ConfigFile = None,
    isolated: Isolated = False,
    baseline: File = None,
    force: Annotated[
        bool, typer.Option("--force", help="Replace a baseline that is there.", rich_help_panel=_OUTPUT)
    ] = False,
    dry_run: DryRun = False,
    quiet: options.Quiet = 0,
    color: options.Color = "auto",
) -> None:
    """Write a baseline that accepts every finding for which a rule is broken now."""
    from dataaudit.gate.baseline import Baseline, grown
    from dataaudit.gate.baselinefile import mark

    dataset = _dataset(label, id, text=text, exclude=exclude, test=test, base=base)
    values = _values(select, ignore, file=baseline)
    found = _config(data, dataset, values, config=config, isolated=isolated)
    target = _target(found, writes=not dry_run)
    if target.exists() and not force:
        raise SettingError(f"{target.as_posix()} is there", "use audit baseline update, or create --force")
    like = like_of(reason, author, date=date, expires=expires)
    with Talk(quiet=quiet, color=color) as talk:
        verdict = _verdict(found, talk)
        before = Baseline(keyed=mark(found.secret))
        after = grown(before, verdict, like=like, today=today())
        _write(target, after, dry_run=dry_run)
        _tell(talk, [*unjudged(verdict), *changed(before, after, target, dry_run=dry_run)])


@baseline.command(epilog="Example: audit baseline update --select DA101 --reason 'reviewed, they are right'")
def update(
    data: Data = None,
    *,
    reason: Annotated[
        str,
        typer.Option(
            "--reason",
            metavar="TEXT",
            show_default=False,
            help="Why they are accepted.",
            rich_help_panel=PANEL,
        ),
    ],
    author: Author = None,
    date: Date = "",
    expires: Expires = "",
    label: Label = None,
    text: options.Text = None,
    exclude: options.Exclude = None,
    id: options.Id = None,  # noqa: A002 - the option is called --id
    test: Test = None,
    base: Base = None,
    select: Select = None,
    ignore: Ignore = None,
    config: ConfigFile = None,
    isolated: Isolated = False,
    baseline: File = None,
    dry_run: DryRun = False,
    quiet: options.Quiet = 0,
    color: options.Color = "auto",
) -> None:
    """Accept what is new as well; entries that are there keep their reasons, and expired ones are renewed."""
    from dataaudit.gate.baseline import grown
    from dataaudit.gate.baselinefile import read_baseline

    dataset = _dataset(label, id, text=text, exclude=exclude, test=test, base=base)
    values = _values(select, ignore, file=baseline)
    found = _config(data, dataset, values, config=config, isolated=isolated)
    target = _target(found, writes=not dry_run)
    before = read_baseline(target, secret=found.secret)
    like = like_of(reason, author, date=date, expires=expires)
    with Talk(quiet=quiet, color=color) as talk:
        verdict = _verdict(found, talk)
        after = grown(before, verdict, like=like, today=today())
        _write(target, after, dry_run=dry_run)
        _tell(talk, [*unjudged(verdict), *changed(before, after, target, dry_run=dry_run)])


@baseline.command(epilog="Example: audit baseline prune")
def prune(
    data: Data = None,
    *,
    label: Label = None,
    text: options.Text = None,
    exclude: options.Exclude = None,
    id: options.Id = None,  # noqa: A002 - the option is called --id
    test: Test = None,
    base: Base = None,
    select: Select = None,
    ignore: Ignore = None,
    config: ConfigFile = None,
    isolated: Isolated = False,
    baseline: File = None,
    dry_run: DryRun = False,
    quiet: options.Quiet = 0,
    color: options.Color = "auto",
) -> None:
    """Take out entries whose finding is gone, and those that have expired. Nothing is added."""
    from dataaudit.gate.baseline import compare, is_expired, pruned
    from dataaudit.gate.baselinefile import read_baseline

    dataset = _dataset(label, id, text=text, exclude=exclude, test=test, base=base)
    values = _values(select, ignore, file=baseline)
    found = _config(data, dataset, values, config=config, isolated=isolated)
    target = _target(found, writes=not dry_run)
    before = read_baseline(target, secret=found.secret)
    with Talk(quiet=quiet, color=color) as talk:
        verdict = _verdict(found, talk)
        compared = compare(before, verdict, today=today())
        expired = [entry for entry in before.entries if is_expired(entry, today())]
        after = pruned(before, [*compared.fixed, *expired])
        _write(target, after, dry_run=dry_run)
        _tell(talk, [*unjudged(verdict), *changed(before, after, target, dry_run=dry_run)])


@baseline.command(epilog="Example: audit baseline diff --format json")
def diff(
    data: Data = None,
    *,
    label: Label = None,
    text: options.Text = None,
    exclude: options.Exclude = None,
    id: options.Id = None,  # noqa: A002 - the option is called --id
    test: Test = None,
    base: Base = None,
    select: Select = None,
    ignore: Ignore = None,
    config: ConfigFile = None,
    isolated: Isolated = False,
    baseline: File = None,
    format: Annotated[  # noqa: A002 - the option is called --format
        Literal["text", "json"], typer.Option("--format", help="How to write it.", rich_help_panel=_OUTPUT)
    ] = "text",
    quiet: options.Quiet = 0,
    color: options.Color = "auto",
) -> None:
    """Show what is new, what looks fixed and what has expired, and write nothing."""
    from dataaudit.gate.baseline import compare
    from dataaudit.gate.baselinefile import read_baseline

    dataset = _dataset(label, id, text=text, exclude=exclude, test=test, base=base)
    values = _values(select, ignore, file=baseline)
    found = _config(data, dataset, values, config=config, isolated=isolated)
    before = read_baseline(_target(found, writes=False), secret=found.secret)
    with Talk(quiet=quiet, color=color) as talk:
        verdict = _verdict(found, talk)
        compared = compare(before, verdict, today=today())
        if format == "json":
            sys.stdout.write(json.dumps(plain(compared), ensure_ascii=True, indent=2) + "\n")
        else:
            sys.stdout.write("".join(f"{line}\n" for line in lines(compared)))
        counts = (
            f"{len(compared.new):,} new, {len(compared.fixed):,} fixed, {len(compared.expired):,} expired, "
        )
        _tell(talk, [*unjudged(verdict), f"{counts}{compared.known:,} accepted."])


def _dataset(
    label: str | None,
    id_column: str | None,
    *,
    text: list[str] | None,
    exclude: list[str] | None,
    test: list[str] | None,
    base: str | None,
) -> dict[str, Any]:
    """Return what was said of the one dataset."""
    said = {
        "label": label,
        "id": id_column,
        "text": list(options.names(text)),
        "exclude": list(options.names(exclude)),
        "test": test,
        "base": base,
    }
    return {key: value for key, value in said.items() if value}


def _values(select: list[str] | None, ignore: list[str] | None, *, file: str | None) -> dict[str, Any]:
    """Return what was said of the gate."""
    said = {"select": list(options.names(select)), "ignore": list(options.names(ignore)), "baseline": file}
    return {**{key: value for key, value in said.items() if value}, "top": _ALL}


def _config(
    data: list[str] | None,
    dataset: dict[str, Any],
    values: dict[str, Any],
    *,
    config: str | None,
    isolated: bool,
) -> Config:
    """Return the configuration, with everything that the command line says."""
    from dataaudit.gate.config import Asked, load_config

    sources = tuple(data or ())
    asked = Asked(config=config, isolated=isolated, sources=sources, values=values, dataset=dataset)
    return load_config(asked, env=os.environ, cwd=Path.cwd())


def _target(found: Config, *, writes: bool) -> Path:
    """Return the file of the baseline; continuous integration may read it and nothing else.

    A build that accepts its own findings accepts all of them.
    """
    if writes and os.environ.get("CI", "").lower() not in ("", "0", "false"):
        hint = "run it by hand and commit the file, so that a person answers for it"
        raise SettingError("a baseline is not written in continuous integration (CI is set)", hint)
    if not found.baseline:
        raise SettingError("there is to be no baseline (none)", "name one with --baseline")
    return Path(found.baseline)


def _verdict(found: Config, talk: Talk) -> Verdict:
    """Judge the data as if nothing had been accepted."""
    from dataclasses import replace

    from dataaudit.gate.check import check

    return check(replace(found.settings(), baseline=""), on_step=talk.step)


def _write(target: Path, baseline: Baseline, *, dry_run: bool) -> None:
    from dataaudit.gate.baselinefile import write_baseline

    if not dry_run:
        write_baseline(target, baseline)


def _tell(talk: Talk, sentences: list[str]) -> None:
    if talk.quiet < 2:  # noqa: PLR2004 - as everywhere, -qq says nothing
        for sentence in sentences:
            talk.say(sentence)
