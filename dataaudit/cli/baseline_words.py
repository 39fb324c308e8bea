"""What ``audit baseline`` says: what was accepted, what is new, and what looks fixed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dataaudit.gate.baseline import Baseline, Comparison
    from dataaudit.gate.verdict import Verdict

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
    from dataaudit.writers.escape import console_line

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
