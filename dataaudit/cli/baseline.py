"""``audit baseline``: accept what is known, so that only what is new fails.

What new entries of a baseline have in common: the reason, who accepts, and until when.

What ``audit baseline`` says: what was accepted, what is new, and what looks fixed.
"""

from __future__ import annotations

import datetime as dt
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from dataaudit.cli import bridge
from dataaudit.cli.check import Base, ConfigFile, Data, Ignore, Isolated, Label, Select, Test
from dataaudit.cli.progress import Talk
from dataaudit.errors import SettingError

if TYPE_CHECKING:
    from dataaudit.findings.verdict import Verdict
    from dataaudit.gate.baseline import Baseline, Comparison, Entry
    from dataaudit.gate.config import Config


PANEL = "Entries"

Author = Annotated[
    str | None,
    typer.Option(
        "--author",
        metavar="NAME",
        show_default="Git's user.name",
        help="Who accepts.",
        rich_help_panel=PANEL,
    ),
]
Date = Annotated[
    str,
    typer.Option(
        "--date", metavar="DAY", help="When: 2026-11-24.", show_default="not said", rich_help_panel=PANEL
    ),
]
Expires = Annotated[
    str,
    typer.Option(
        "--expires",
        metavar="DAY",
        help="Last day: 2027-01-31, or 90d from today.",
        show_default="never",
        rich_help_panel=PANEL,
    ),
]


def like_of(reason: str, author: str | None, *, date: str, expires: str) -> Entry:
    """Return what new entries have in common."""
    from dataaudit.gate.baseline import Entry, day

    if not reason.strip():
        raise SettingError("--reason is empty", "say why the findings are accepted")
    days = re.fullmatch(r"(\d{1,5})d", expires)
    until = (today() + dt.timedelta(days=int(days[1]))).isoformat() if days else expires
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


def today() -> dt.date:
    """Return the day by which entries expire."""
    return dt.date.today()  # noqa: DTZ011 - the day where it is written, as for audit check


_LONGEST = 400  # characters of a line


def unjudged(verdict: Verdict) -> Iterator[str]:
    """Say which rules could not be judged: their entries stay as they are."""
    for outcome in verdict.outcomes:
        if outcome.status == "failed":
            yield f"{outcome.rule.code} of {outcome.dataset} could not be judged: {outcome.message}"


def changed(before: Baseline, after: Baseline, target: Path, *, dry_run: bool) -> Iterator[str]:
    """Say what became of the baseline, rule by rule."""
    old = {entry.fingerprint: entry for entry in before.entries}
    new = {entry.fingerprint: entry for entry in after.entries}
    added = [entry for name, entry in new.items() if old.get(name) != entry]
    gone = [entry for name, entry in old.items() if name not in new]
    for words, entries in (("accepted", added), ("taken out", gone)):
        for rule, dataset in sorted({(entry.rule, entry.dataset) for entry in entries}):
            count = sum((entry.rule, entry.dataset) == (rule, dataset) for entry in entries)
            yield f"{rule} of {dataset}: {count:,} {words}."
    would = "would have" if dry_run else "has"
    yield f"{target.as_posix()} {would} {len(new):,} {'entries' if len(new) != 1 else 'entry'}."


def lines(compared: Comparison) -> Iterator[str]:
    """Yield a line for each difference: + new, - fixed, ! expired."""
    from dataaudit.escape import console_line

    for outcome, finding in compared.new:
        yield console_line(
            f"+ {outcome.rule.code} {outcome.dataset} {finding.site.row_id} {finding.message}", 400
        )
    for mark, entries in (("-", compared.fixed), ("!", compared.expired)):
        for entry in entries:
            until = f", expired after {entry.expires}" if mark == "!" else ""
            said = f"{mark} {entry.rule} {entry.dataset} {entry.fingerprint} {entry.reason}{until}"
            yield console_line(said, _LONGEST)


def plain(compared: Comparison) -> Mapping[str, Any]:
    """Return the same as JSON's types."""
    from dataclasses import asdict

    new = (
        {
            "rule": outcome.rule.code,
            "dataset": outcome.dataset,
            "fingerprint": finding.fingerprint,
            "row_id": finding.site.row_id,
            "message": finding.message,
        }
        for outcome, finding in compared.new
    )
    return {
        "new": list(new),
        "fixed": [asdict(entry) for entry in compared.fixed],
        "expired": [asdict(entry) for entry in compared.expired],
        "known": compared.known,
    }


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
    text: bridge.Text = None,
    exclude: bridge.Exclude = None,
    id: bridge.Id = None,  # noqa: A002 - the option is called --id
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
    quiet: bridge.Quiet = 0,
    color: bridge.Color = "auto",
) -> None:
    """Write a baseline that accepts every finding for which a rule is broken now."""
    from dataaudit.gate.baseline import Baseline, grown, mark

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
    text: bridge.Text = None,
    exclude: bridge.Exclude = None,
    id: bridge.Id = None,  # noqa: A002 - the option is called --id
    test: Test = None,
    base: Base = None,
    select: Select = None,
    ignore: Ignore = None,
    config: ConfigFile = None,
    isolated: Isolated = False,
    baseline: File = None,
    dry_run: DryRun = False,
    quiet: bridge.Quiet = 0,
    color: bridge.Color = "auto",
) -> None:
    """Accept what is new as well; entries that are there keep their reasons, and expired ones are renewed."""
    from dataaudit.gate.baseline import grown, read_baseline

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
    text: bridge.Text = None,
    exclude: bridge.Exclude = None,
    id: bridge.Id = None,  # noqa: A002 - the option is called --id
    test: Test = None,
    base: Base = None,
    select: Select = None,
    ignore: Ignore = None,
    config: ConfigFile = None,
    isolated: Isolated = False,
    baseline: File = None,
    dry_run: DryRun = False,
    quiet: bridge.Quiet = 0,
    color: bridge.Color = "auto",
) -> None:
    """Take out entries whose finding is gone, and those that have expired. Nothing is added."""
    from dataaudit.gate.baseline import compare, is_expired, pruned, read_baseline

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
    text: bridge.Text = None,
    exclude: bridge.Exclude = None,
    id: bridge.Id = None,  # noqa: A002 - the option is called --id
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
    quiet: bridge.Quiet = 0,
    color: bridge.Color = "auto",
) -> None:
    """Show what is new, what looks fixed and what has expired, and write nothing."""
    from dataaudit.gate.baseline import compare, read_baseline

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
        "text": list(bridge.names(text)),
        "exclude": list(bridge.names(exclude)),
        "test": test,
        "base": base,
    }
    return {key: value for key, value in said.items() if value}


def _values(select: list[str] | None, ignore: list[str] | None, *, file: str | None) -> dict[str, Any]:
    """Return what was said of the gate."""
    said = {"select": list(bridge.names(select)), "ignore": list(bridge.names(ignore)), "baseline": file}
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
    from dataaudit.gate.baseline import write_baseline

    if not dry_run:
        write_baseline(target, baseline)


def _tell(talk: Talk, sentences: list[str]) -> None:
    if talk.quiet < 2:  # noqa: PLR2004 - as everywhere, -qq says nothing
        for sentence in sentences:
            talk.say(sentence)
