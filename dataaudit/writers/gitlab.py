"""GitLab's code quality report: what is wrong with which line, for the widget of a merge request.

The widget does not show the name of a check, so the description begins with it. It shows findings of equal
fingerprint as one, and compares them with those of the target branch: hence what stands for a row is its
content, not its number.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterator
from typing import Any, Final, TextIO

from dataaudit.escape import json_text, line
from dataaudit.findings.verdict import Outcome, Place, Verdict
from dataaudit.report.verdict import NAME, finding_text, message, reported, single, title
from dataaudit.writers.base import Writer
from dataaudit.writers.places import Places, Surroundings

_SEVERITIES: Final = {"error": "major", "warning": "minor", "note": "info"}

Object = dict[str, Any]


def write(verdict: Verdict, around: Surroundings, out: TextIO) -> None:
    """Write the array; an empty one where nothing was found, so that old findings count as fixed."""
    places = Places(verdict, around)
    entries = [entry for outcome in verdict.outcomes for entry in _entries(outcome, places, cap=around.cap)]
    seen: Counter[str] = Counter()
    for entry in entries:
        key = entry["fingerprint"]
        seen[key] += 1
        if seen[key] > 1:
            entry["fingerprint"] = _hash(f"{key}\x1f{seen[key]}")
    out.write(json_text(json.dumps(entries, ensure_ascii=False, allow_nan=False, indent=1)) + "\n")


def _entries(outcome: Outcome, places: Places, *, cap: int) -> Iterator[Object]:
    """Yield what the rule says as a whole, if it is broken, and its findings."""
    findings = reported(outcome, accepted=False)
    if outcome.status == "failed" or (outcome.status == "broken" and not single(outcome)):
        key = _hash(f"{outcome.rule.code}\x1f{outcome.dataset}\x1f{outcome.status}")
        yield _entry(outcome, f"{line(outcome.dataset, NAME)}: {message(outcome)}", places.of(outcome), key)
    for finding in findings[:cap]:
        place = places.of(outcome, finding)
        yield _entry(outcome, finding_text(finding, place), place, finding.fingerprint)


def _entry(outcome: Outcome, message: str, place: Place, key: str) -> Object:
    return {
        "description": f"{title(outcome)}: {message}",
        "check_name": line(outcome.rule.code, NAME),
        "fingerprint": key,
        "severity": "blocker" if outcome.status == "failed" else _SEVERITIES[outcome.rule.severity],
        "location": {"path": place.path, "lines": {"begin": place.line}},
    }


def _hash(text: str) -> str:
    return hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=16).hexdigest()


WRITER = Writer("gitlab", ".json", "GitLab’s code quality report", write)
