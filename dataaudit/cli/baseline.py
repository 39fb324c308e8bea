"""``audit baseline``: accept what is known, so that only what is new fails."""

from __future__ import annotations

import datetime as dt
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from dataaudit.cli.bridge import OUTPUT, Said, command
from dataaudit.cli.check import DATASET, SETTINGS, Checked
from dataaudit.cli.progress import Progress
from dataaudit.errors import SettingError
from dataaudit.options import Opt, Options

if TYPE_CHECKING:
    from dataaudit.findings.verdict import Verdict
    from dataaudit.gate.baseline import Baseline, Comparison, Entry
    from dataaudit.gate.config import Config

_ENTRIES = "Entries"
_LONGEST = 400  # characters of a line
_ALL = 10**9  # findings kept of each rule: an entry is needed for every one
_THERE = "there when the baseline was made"
Dataset = Annotated[Said, DATASET, "label text exclude id test base"]
Values = Annotated[Said, SETTINGS, "select ignore"]
Reason = Annotated[str, Opt("Why they are accepted.", _ENTRIES, metavar="TEXT", place=-1)]
DryRun = Annotated[bool, Opt("Only say what would change.", OUTPUT)]
Replaces = Annotated[bool, Opt("Replace a baseline that is there.", OUTPUT)]

baseline = typer.Typer(
    help="Accept the findings that are known, so that audit check fails on new ones only.",
    no_args_is_help=True,
)


class Target(Checked):
    """The data that are checked, and the baseline that they are held against."""

    baseline: Annotated[
        str,
        Opt(
            "The baseline.",
            OUTPUT,
            metavar="FILE",
            shown="the configured one, or dataaudit-baseline.jsonl",
            place=-1,
        ),
    ] = ""

    def found(self, values: Said, dataset: Said) -> Config:
        """Return the configuration, with everything that the command line says."""
        named = {"baseline": self.baseline} if self.baseline else {}
        return self.load(self.data, {**values, **named, "top": _ALL}, dataset)


class Author(Options):
    """Who accepts findings, when, and until when."""

    author: Annotated[str | None, Opt("Who accepts.", _ENTRIES, metavar="NAME", shown="Git's user.name")] = (
        None
    )
    date: Annotated[str, Opt("When: 2026-11-24.", _ENTRIES, metavar="DAY", shown="not said")] = ""
    expires: Annotated[
        str, Opt("Last day: 2027-01-31, or 90d from today.", _ENTRIES, metavar="DAY", shown="never")
    ] = ""

    def entry(self, reason: str) -> Entry:
        """Return what new entries have in common."""
        from dataaudit.gate.baseline import Entry, day

        if not reason.strip():
            raise SettingError("--reason is empty", "say why the findings are accepted")
        days = re.fullmatch(r"(\d{1,5})d", self.expires)
        until = (today() + dt.timedelta(days=int(days[1]))).isoformat() if days else self.expires
        return Entry(
            rule="",
            dataset="",
            fingerprint="",
            reason=reason.strip(),
            author=_git_user() if self.author is None else self.author,
            date=day(self.date, where="--date"),
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


def unjudged(verdict: Verdict) -> Iterator[str]:
    """Say which rules could not be judged: their entries stay as they are."""
    for outcome in verdict.outcomes:
        if outcome.status == "failed":
            yield f"{outcome.rule.code} of {outcome.dataset} could not be judged: {outcome.message}"


def said(before: Baseline, after: Baseline, target: Path, *, dry_run: bool) -> Iterator[str]:
    """Say what became of the baseline, rule by rule."""
    old = {entry.fingerprint: entry for entry in before.entries}
    new = {entry.fingerprint: entry for entry in after.entries}
    changed = [entry for name, entry in new.items() if old.get(name) != entry]
    revalued = [
        e
        for e in changed
        if e.fingerprint in old and replace(e, value=None) == replace(old[e.fingerprint], value=None)
    ]
    added = [entry for entry in changed if entry not in revalued]
    gone = [entry for name, entry in old.items() if name not in new]
    kinds = (("accepted", added), ("accepted at the value of now", revalued), ("taken out", gone))
    for words, entries in kinds:
        for rule, dataset in sorted({(entry.rule, entry.dataset) for entry in entries}):
            count = sum((entry.rule, entry.dataset) == (rule, dataset) for entry in entries)
            yield f"{rule} of {dataset}: {count:,} {words}."
    would = "would have" if dry_run else "has"
    yield f"{target.as_posix()} {would} {len(new):,} {'entries' if len(new) != 1 else 'entry'}."


def lines(compared: Comparison) -> Iterator[str]:
    """Yield a line for each difference: + new, - fixed, ! expired, ? accepted at any value."""
    from dataaudit.escape import console_line

    for outcome, finding in compared.new:
        entry = compared.worse.get(finding.fingerprint)
        was = f" (accepted at {entry.value:,.4g}, and worse now)" if entry else ""
        about = " ".join(filter(None, (outcome.rule.code, outcome.dataset, finding.site.row_id)))
        yield console_line(f"+ {about} {finding.message}{was}", _LONGEST)
    for mark, entries in (("-", compared.fixed), ("!", compared.expired)):
        for entry in entries:
            until = f", expired after {entry.expires}" if mark == "!" else ""
            line = f"{mark} {entry.rule} {entry.dataset} {entry.fingerprint} {entry.reason}{until}"
            yield console_line(line, _LONGEST)
    for entry, value in compared.unvalued:
        now = f"accepts any value, {value:,.4g} now"
        yield console_line(
            f"? {entry.rule} {entry.dataset} {entry.fingerprint} {entry.reason}, {now}", _LONGEST
        )


def plain(compared: Comparison) -> Mapping[str, Any]:
    """Return the same as JSON's types."""
    from dataaudit.gate.baseline import value_of

    new = (
        {
            "rule": outcome.rule.code,
            "dataset": outcome.dataset,
            "fingerprint": finding.fingerprint,
            "row_id": finding.site.row_id,
            "message": finding.message,
            "value": value_of(outcome.rule, finding),
            "accepted_value": entry.value if (entry := compared.worse.get(finding.fingerprint)) else None,
        }
        for outcome, finding in compared.new
    )
    return {
        "new": list(new),
        "fixed": [asdict(entry) for entry in compared.fixed],
        "expired": [asdict(entry) for entry in compared.expired],
        "any_value": [asdict(entry) | {"value_now": value} for entry, value in compared.unvalued],
        "known": compared.known,
    }


@baseline.command(epilog="Example: audit baseline create --reason 'label noise, ticket 12' --expires 90d")
@command()
def create(
    target: Target,
    dataset: Dataset,
    values: Values,
    author: Author,
    *,
    reason: Reason = _THERE,
    force: Replaces = False,
    dry_run: DryRun = False,
    progress: Progress,
) -> None:
    """Write a baseline that accepts every finding for which a rule is broken now."""
    from dataaudit.gate.baseline import Baseline, grown, mark

    found = target.found(values, dataset)
    path = _file(found, writes=not dry_run)
    if path.exists() and not force:
        raise SettingError(f"{path.as_posix()} is there", "use audit baseline update, or create --force")
    like = author.entry(reason)
    verdict, before = _verdict(found, progress), Baseline(keyed=mark(found.secret))
    after = grown(before, verdict, like=like, today=today(), hysteresis=found.settings().hysteresis)
    _change(path, before, after, verdict, progress, dry_run=dry_run)


@baseline.command(epilog="Example: audit baseline update --select DA101 --reason 'reviewed, they are right'")
@command()
def update(
    target: Target,
    dataset: Dataset,
    values: Values,
    author: Author,
    *,
    reason: Reason,
    dry_run: DryRun = False,
    progress: Progress,
) -> None:
    """Accept what is new as well; entries that are there keep their reasons, and expired ones are renewed."""
    from dataaudit.gate.baseline import grown, read_baseline

    found = target.found(values, dataset)
    path = _file(found, writes=not dry_run)
    before, like = read_baseline(path, secret=found.secret), author.entry(reason)
    verdict = _verdict(found, progress)
    after = grown(before, verdict, like=like, today=today(), hysteresis=found.settings().hysteresis)
    _change(path, before, after, verdict, progress, dry_run=dry_run)


@baseline.command(epilog="Example: audit baseline prune")
@command()
def prune(
    target: Target, dataset: Dataset, values: Values, *, dry_run: DryRun = False, progress: Progress
) -> None:
    """Take out entries whose finding is gone or that have expired, and accept no more than is there now."""
    from dataaudit.gate.baseline import compare, is_expired, pruned, read_baseline

    found = target.found(values, dataset)
    path = _file(found, writes=not dry_run)
    before = read_baseline(path, secret=found.secret)
    verdict = _verdict(found, progress)
    expired = [entry for entry in before.entries if is_expired(entry, today())]
    compared = compare(before, verdict, today=today(), hysteresis=found.settings().hysteresis)
    after = pruned(before, [*compared.fixed, *expired], better=compared.better)
    _change(path, before, after, verdict, progress, dry_run=dry_run)


@baseline.command(epilog="Example: audit baseline diff --format json")
@command()
def diff(
    target: Target,
    dataset: Dataset,
    values: Values,
    *,
    format: Annotated[Literal["text", "json"], Opt("How to write it.", OUTPUT)] = "text",  # noqa: A002 - --format
    progress: Progress,
) -> None:
    """Show what is new, what looks fixed and what has expired, and write nothing."""
    from dataaudit.gate.baseline import compare, read_baseline

    found = target.found(values, dataset)
    before = read_baseline(_file(found, writes=False), secret=found.secret)
    verdict = _verdict(found, progress)
    compared = compare(before, verdict, today=today(), hysteresis=found.settings().hysteresis)
    if format == "json":
        sys.stdout.write(json.dumps(plain(compared), ensure_ascii=True, indent=2) + "\n")
    else:
        sys.stdout.write("".join(f"{line}\n" for line in lines(compared)))
    loose = f", {len(compared.unvalued):,} of them at any value" if compared.unvalued else ""
    counts = f"{len(compared.new):,} new, {len(compared.fixed):,} fixed, {len(compared.expired):,} expired, "
    progress.close([*unjudged(verdict), f"{counts}{compared.known:,} accepted{loose}."])


def _file(found: Config, *, writes: bool) -> Path:
    """Return the file of the baseline; continuous integration may read it and nothing else.

    A build that accepts its own findings accepts all of them.
    """
    if writes and os.environ.get("CI", "").lower() not in ("", "0", "false"):
        hint = "run it by hand and commit the file, so that a person answers for it"
        raise SettingError("a baseline is not written in continuous integration (CI is set)", hint)
    if not found.baseline:
        raise SettingError("there is to be no baseline (none)", "name one with --baseline")
    path = Path(found.baseline)
    if writes:
        from dataaudit.files import require_writable

        require_writable(path, hint="name another file with --baseline")
    return path


def _verdict(found: Config, progress: Progress) -> Verdict:
    """Judge the data as if nothing had been accepted."""
    from dataaudit.gate.check import check

    with progress:
        return check(replace(found.settings(), baseline=""), on_step=progress.step)


def _change(
    path: Path,
    before: Baseline,
    after: Baseline,
    verdict: Verdict,
    progress: Progress,
    *,
    dry_run: bool,
) -> None:
    """Write the baseline, unless this is a trial, and say what became of it."""
    from dataaudit.gate.baseline import write_baseline

    if not dry_run:
        write_baseline(path, after)
    progress.close([*unjudged(verdict), *said(before, after, path, dry_run=dry_run)])
