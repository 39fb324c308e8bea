"""``audit baseline``: accept what is known, so that only what is new fails."""

from __future__ import annotations

import datetime as dt
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from dataaudit.cli import options
from dataaudit.cli.baseline_words import changed, lines, plain, unjudged
from dataaudit.cli.config import ConfigFile, Isolated
from dataaudit.cli.talk import Talk
from dataaudit.errors import SettingError

if TYPE_CHECKING:
    from dataaudit.gate.baseline import Baseline, Entry
    from dataaudit.gate.config import Config
    from dataaudit.gate.verdict import Verdict

_ENTRY, _INPUT, _GATE, _OUTPUT = "Entries", "Input", "Gate", "Output"
_ALL = 10**9  # findings kept of each rule: an entry is needed for every one
_THERE = "there when the baseline was made"

baseline = typer.Typer(
    help="Accept the findings that are known, so that audit check fails on new ones only.",
    no_args_is_help=True,
)

Sources = Annotated[
    list[str] | None,
    typer.Argument(metavar="DATASET", show_default="all configured", help="Names or paths of datasets."),
]
Label = Annotated[
    str | None,
    typer.Option("--label", "-l", metavar="COLUMN", help="Label column.", rich_help_panel=_INPUT),
]
Test = Annotated[
    list[str] | None,
    typer.Option("--test", metavar="SOURCE", help="Rows held out.", rich_help_panel=_INPUT),
]
Select = Annotated[
    list[str] | None,
    typer.Option(
        "--select", metavar="RULES", help="Only these: DA1,DA301. Repeatable.", rich_help_panel=_GATE
    ),
]
Ignore = Annotated[
    list[str] | None,
    typer.Option("--ignore", metavar="RULES", help="Not these. Repeatable.", rich_help_panel=_GATE),
]
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
Author = Annotated[
    str | None,
    typer.Option(
        "--author",
        metavar="NAME",
        show_default="Git's user.name",
        help="Who accepts.",
        rich_help_panel=_ENTRY,
    ),
]
Date = Annotated[
    str,
    typer.Option(
        "--date", metavar="DAY", help="When: 2026-11-24.", show_default="not said", rich_help_panel=_ENTRY
    ),
]
Expires = Annotated[
    str,
    typer.Option(
        "--expires",
        metavar="DAY",
        help="Last day: 2027-01-31, or 90d from today.",
        show_default="never",
        rich_help_panel=_ENTRY,
    ),
]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Only say what would change.", rich_help_panel=_OUTPUT)
]


@baseline.command(epilog="Example: audit baseline create --reason 'label noise, ticket 12' --expires 90d")
def create(
    sources: Sources = None,
    *,
    reason: Annotated[
        str, typer.Option("--reason", metavar="TEXT", help="Why they are accepted.", rich_help_panel=_ENTRY)
    ] = _THERE,
    author: Author = None,
    date: Date = "",
    expires: Expires = "",
    label: Label = None,
    test: Test = None,
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

    found = _config(
        sources, label, test, select=select, ignore=ignore, config=config, isolated=isolated, file=baseline
    )
    target = _target(found, writes=not dry_run)
    if target.exists() and not force:
        raise SettingError(f"{target.as_posix()} is there", "use audit baseline update, or create --force")
    like = _like(reason, author, date=date, expires=expires)
    with Talk(quiet=quiet, color=color) as talk:
        verdict = _verdict(found, talk)
        before = Baseline(keyed=mark(found.secret))
        after = grown(before, verdict, like=like, today=_today())
        _write(target, after, dry_run=dry_run)
        _tell(talk, [*unjudged(verdict), *changed(before, after, target, dry_run=dry_run)])


@baseline.command(epilog="Example: audit baseline update --select DA101 --reason 'reviewed, they are right'")
def update(
    sources: Sources = None,
    *,
    reason: Annotated[
        str,
        typer.Option(
            "--reason",
            metavar="TEXT",
            show_default=False,
            help="Why they are accepted.",
            rich_help_panel=_ENTRY,
        ),
    ],
    author: Author = None,
    date: Date = "",
    expires: Expires = "",
    label: Label = None,
    test: Test = None,
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

    found = _config(
        sources, label, test, select=select, ignore=ignore, config=config, isolated=isolated, file=baseline
    )
    target = _target(found, writes=not dry_run)
    before = read_baseline(target, secret=found.secret)
    like = _like(reason, author, date=date, expires=expires)
    with Talk(quiet=quiet, color=color) as talk:
        verdict = _verdict(found, talk)
        after = grown(before, verdict, like=like, today=_today())
        _write(target, after, dry_run=dry_run)
        _tell(talk, [*unjudged(verdict), *changed(before, after, target, dry_run=dry_run)])


@baseline.command(epilog="Example: audit baseline prune")
def prune(
    sources: Sources = None,
    *,
    label: Label = None,
    test: Test = None,
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

    found = _config(
        sources, label, test, select=select, ignore=ignore, config=config, isolated=isolated, file=baseline
    )
    target = _target(found, writes=not dry_run)
    before = read_baseline(target, secret=found.secret)
    with Talk(quiet=quiet, color=color) as talk:
        verdict = _verdict(found, talk)
        compared = compare(before, verdict, today=_today())
        expired = [entry for entry in before.entries if is_expired(entry, _today())]
        after = pruned(before, [*compared.fixed, *expired])
        _write(target, after, dry_run=dry_run)
        _tell(talk, [*unjudged(verdict), *changed(before, after, target, dry_run=dry_run)])


@baseline.command(epilog="Example: audit baseline diff --format json")
def diff(
    sources: Sources = None,
    *,
    label: Label = None,
    test: Test = None,
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

    found = _config(
        sources, label, test, select=select, ignore=ignore, config=config, isolated=isolated, file=baseline
    )
    before = read_baseline(_target(found, writes=False), secret=found.secret)
    with Talk(quiet=quiet, color=color) as talk:
        verdict = _verdict(found, talk)
        compared = compare(before, verdict, today=_today())
        if format == "json":
            sys.stdout.write(json.dumps(plain(compared), ensure_ascii=True, indent=2) + "\n")
        else:
            sys.stdout.write("".join(f"{line}\n" for line in lines(compared)))
        counts = (
            f"{len(compared.new):,} new, {len(compared.fixed):,} fixed, {len(compared.expired):,} expired, "
        )
        _tell(talk, [*unjudged(verdict), f"{counts}{compared.known:,} accepted."])


def _config(
    sources: list[str] | None,
    label: str | None,
    test: list[str] | None,
    *,
    select: list[str] | None,
    ignore: list[str] | None,
    config: str | None,
    isolated: bool,
    file: str | None,
) -> Config:
    """Return the configuration, with everything that the command line says."""
    from dataaudit.gate.config import Asked, load_config

    values = {"select": list(options.names(select)), "ignore": list(options.names(ignore)), "baseline": file}
    dataset = {"label": label, "test": test}
    asked = Asked(
        config=config,
        isolated=isolated,
        sources=tuple(sources or ()),
        values={**{key: value for key, value in values.items() if value}, "top": _ALL},
        dataset={key: value for key, value in dataset.items() if value},
    )
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


def _like(reason: str, author: str | None, *, date: str, expires: str) -> Entry:
    """Return what new entries have in common."""
    from dataaudit.gate.baseline import Entry
    from dataaudit.gate.baselinefile import day

    if not reason.strip():
        raise SettingError("--reason is empty", "say why the findings are accepted")
    days = re.fullmatch(r"(\d{1,5})d", expires)
    until = (_today() + dt.timedelta(days=int(days[1]))).isoformat() if days else expires
    return Entry(
        rule="",
        dataset="",
        fingerprint="",
        reason=reason.strip(),
        author=_git_user() if author is None else author,
        date=day(date, where="--date"),
        expires=day(until, where="--expires"),
    )


def _git_user() -> str:
    try:
        done = subprocess.run(["git", "config", "user.name"], capture_output=True, check=False)  # noqa: S607
    except OSError:
        return ""
    return done.stdout.decode(errors="replace").strip()


def _today() -> dt.date:
    return dt.date.today()  # noqa: DTZ011 - the day where it is written, as for audit check


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
