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
from dataaudit.findings.verdict import Outcome, Verdict
from dataaudit.report.verdict import NAME, reported, title
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
    rule = outcome.rule
    for place, text, finding in places.said(outcome, reported(outcome, accepted=False)[:cap]):
        if finding or outcome.status in ("failed", "broken"):
            whole = f"{rule.code}\x1f{outcome.dataset}\x1f{outcome.status}"
            yield {
                "description": f"{title(outcome)}: {text}",
                "check_name": line(rule.code, NAME),
                "fingerprint": finding.fingerprint if finding else _hash(whole),
                "severity": "blocker" if outcome.status == "failed" else _SEVERITIES[rule.severity],
                "location": {"path": place.path, "lines": {"begin": place.line}},
            }


def _hash(text: str) -> str:
    return hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=16).hexdigest()


WRITERS: Final = {"gitlab": Writer("gitlab", ".json", "GitLab’s code quality report", write)}
