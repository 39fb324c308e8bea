"""The baseline: findings that are known and accepted, each with a reason.

An entry names a finding by rule, dataset and fingerprint, never by a line number, so that it goes on holding
wherever the row moves, and for no other row.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from dataaudit.gate.verdict import Finding, Outcome, Verdict

_JUDGED: Final = ("passed", "broken")


@dataclass(frozen=True, slots=True, order=True)
class Entry:
    """One accepted finding.

    Attributes
    ----------
    rule, dataset, fingerprint : str
        What is accepted.
    reason : str
        Why; not empty.
    author, date : str
        Who accepted it, and when: ``2026-11-24``; empty if not said.
    expires : str
        Last day on which it is accepted, as `date`; empty for always.
    """

    rule: str
    dataset: str
    fingerprint: str
    reason: str
    author: str = ""
    date: str = ""
    expires: str = ""


@dataclass(frozen=True, slots=True)
class Baseline:
    """All accepted findings.

    Attributes
    ----------
    entries : tuple of Entry
        Sorted; no two of one fingerprint.
    rules : mapping
        Code → ``limit`` and ``severity`` that were in force when its entries were written.
    keyed : str
        What tells the secret from another: `baselinefile.mark`.
    version : str
        Of dataaudit.
    """

    entries: tuple[Entry, ...] = ()
    rules: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    keyed: str = ""
    version: str = ""

    def reasons(self, today: dt.date) -> dict[str, str]:
        """Return fingerprint → reason of the entries that hold on a day."""
        return {entry.fingerprint: entry.reason for entry in self.entries if not is_expired(entry, today)}


@dataclass(frozen=True, slots=True)
class Comparison:
    """What a baseline and a verdict say of each other.

    Attributes
    ----------
    new : tuple of (Outcome, Finding)
        Findings that can fail the build and are not accepted, of broken rules.
    fixed : tuple of Entry
        Entries whose finding is gone, of rules that were judged.
    expired : tuple of Entry
        Entries that no longer hold, whose finding is still there.
    known : int
        Findings that are accepted.
    """

    new: tuple[tuple[Outcome, Finding], ...]
    fixed: tuple[Entry, ...]
    expired: tuple[Entry, ...]
    known: int


def is_expired(entry: Entry, today: dt.date) -> bool:
    """Return whether an entry no longer holds."""
    return bool(entry.expires) and dt.date.fromisoformat(entry.expires) < today


def compare(baseline: Baseline, verdict: Verdict, *, today: dt.date) -> Comparison:
    """Return what is new, fixed and expired.

    Parameters
    ----------
    baseline : Baseline
        What is accepted.
    verdict : Verdict
        Of the same data, with all findings; whether they are marked as accepted does not matter.
    today : date
        Day by which entries expire.
    """
    found = {f.fingerprint: (o, f) for o in verdict.outcomes for f in o.findings}
    judged = {(o.rule.code, o.dataset) for o in verdict.outcomes if o.status in _JUDGED}
    gone = (e for e in baseline.entries if e.fingerprint not in found)
    there = [e for e in baseline.entries if e.fingerprint in found]
    reasons = baseline.reasons(today)
    new = (
        (outcome, finding)
        for outcome, finding in found.values()
        if outcome.status == "broken" and finding.state != "known" and finding.fingerprint not in reasons
    )
    return Comparison(
        new=tuple(new),
        fixed=tuple(e for e in gone if (e.rule, e.dataset) in judged),
        expired=tuple(e for e in there if is_expired(e, today)),
        known=sum(not is_expired(e, today) for e in there),
    )


def grown(baseline: Baseline, verdict: Verdict, *, like: Entry, today: dt.date) -> Baseline:
    """Return a baseline that accepts everything for which a verdict is broken.

    Parameters
    ----------
    baseline : Baseline
        What is accepted so far; it stays, except that what has expired and is still there is renewed.
    verdict : Verdict
        With all findings.
    like : Entry
        Reason, author, date and expiry of new entries.
    today : date
        Day by which entries expire.
    """
    entries = {entry.fingerprint: entry for entry in baseline.entries}
    rules = dict(baseline.rules)
    for outcome, finding in compare(baseline, verdict, today=today).new:
        code = outcome.rule.code
        made = replace(like, rule=code, dataset=outcome.dataset, fingerprint=finding.fingerprint)
        entries[finding.fingerprint] = made
        rules[code] = {"limit": outcome.rule.limit, "severity": outcome.rule.severity}
    return Baseline(tuple(sorted(entries.values())), rules, baseline.keyed, verdict.version)


def pruned(baseline: Baseline, gone: Iterable[Entry]) -> Baseline:
    """Return a baseline without some of its entries; nothing else of it changes."""
    left_out = set(gone)
    return replace(baseline, entries=tuple(e for e in baseline.entries if e not in left_out))
