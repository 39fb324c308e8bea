"""SARIF 2.1.0 in the part of it that GitHub's code scanning takes, which is stricter than the schema.

Every result has exactly one physical location with a path in the repository and a region; a row is named in a
logical location next to it, never alone, or the whole file would be rejected. Identities are ours, as those
that GitHub computes from lines of text mean nothing for rows that move. A run is one dataset, with an id of
its own: two runs of one category are rejected. Of the 5,000 results that are kept each rule gets its share,
the strongest findings first. What was not checked is a notification, so that silence never looks like health.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import groupby
from operator import itemgetter
from typing import Any, Final, TextIO
from urllib.parse import quote

from dataaudit.escape import block, json_text, line
from dataaudit.findings.record import plain
from dataaudit.findings.verdict import SEVERITIES, Finding, Outcome, Place, Rule, Verdict, logical_name
from dataaudit.report.blocks import Writer
from dataaudit.report.verdict import NAME, finding_text, message, reported, single
from dataaudit.writers.places import Places, Surroundings

SCHEMA: Final = "https://json.schemastore.org/sarif-2.1.0.json"
RESULTS: Final = 5_000  # of one run that GitHub keeps
_RUNS: Final = 20  # of one file that GitHub takes
_TEXT: Final = 1_000  # of the 1,024 characters of a description
_DOC: Final = 20_000  # characters
_ROOT: Final = "%SRCROOT%"
_SEMANTIC: Final = re.compile(r"\d+\.\d+\.\d+(?![^-+])")
_PROBLEM: Final = {"error": "error", "warning": "warning", "note": "recommendation"}  # GitHub's words
_STATES: Final = {"new": "new", "changed": "updated", "known": "unchanged"}  # SARIF's words

Object = dict[str, Any]


def write(verdict: Verdict, around: Surroundings, out: TextIO) -> None:
    """Write one run for each dataset; a single one where there are none, or more than 20."""
    places = Places(verdict, around)
    groups = [(name, list(group)) for name, group in groupby(verdict.outcomes, key=lambda o: o.dataset)]
    if not 0 < len(groups) <= _RUNS or len({name for name, _ in groups}) < len(groups):
        groups = [("", list(verdict.outcomes))]
    runs = [_run(verdict, outcomes, name, places=places, around=around) for name, outcomes in groups]
    document = {"$schema": SCHEMA, "version": "2.1.0", "runs": runs}
    out.write(json_text(json.dumps(document, ensure_ascii=False, allow_nan=False, indent=1)) + "\n")


def _run(
    verdict: Verdict, outcomes: Sequence[Outcome], name: str, *, places: Places, around: Surroundings
) -> Object:
    rules = list({outcome.rule.code: outcome.rule for outcome in outcomes}.values())
    numbers = {rule.code: index for index, rule in enumerate(rules)}
    driver: Object = {"name": "dataaudit", "rules": [_rule(rule) for rule in rules]}
    if _SEMANTIC.match(verdict.version):
        driver |= {"semanticVersion": line(verdict.version, NAME)}
    found = [r for o in outcomes for r in _results(o, numbers[o.rule.code], places=places, around=around)]
    results = [result for _, result in sorted(found, key=itemgetter(0))]
    category = f"dataaudit/{quote(name, safe='', errors='replace')}/" if name else "dataaudit/"
    notes = [{"level": "note", "message": {"text": line(note, _TEXT)}} for note in verdict.notes if note]
    invocation = {
        "executionSuccessful": all(o.status != "failed" for o in outcomes),
        "exitCode": verdict.exit_code,
        "toolExecutionNotifications": [*_notifications(outcomes, numbers), *notes],
    }
    return {
        "tool": {"driver": driver},
        "automationDetails": {"id": category},
        "originalUriBaseIds": {_ROOT: {"description": {"text": "The root of the repository."}}},
        "invocations": [invocation],
        "columnKind": "unicodeCodePoints",
        "results": _distinguished(results[:RESULTS]),
    }


def _rule(rule: Rule) -> Object:
    title = line(rule.title, _TEXT)
    title = f"{title}." if title and title[-1] not in ".!?…" else title or rule.code
    doc = block(rule.doc, _DOC).strip() or title
    first = next((part for part in doc.split("\n\n") if not part.lstrip().startswith("#")), title)
    return {
        "id": line(rule.code, NAME),
        "name": line(rule.name, NAME) or line(rule.code, NAME),
        "shortDescription": {"text": title},
        "fullDescription": {"text": line(first, _TEXT) or title},
        "help": {"text": doc, "markdown": doc},
        "defaultConfiguration": {"level": rule.severity},
        "properties": {
            "tags": list(dict.fromkeys(("data-quality", line(rule.pack, NAME) or "rules"))),
            "precision": rule.precision,
            "problem.severity": _PROBLEM[rule.severity],
        },
    }


def _results(
    outcome: Outcome, number: int, *, places: Places, around: Surroundings
) -> Iterator[tuple[tuple[int, int, int], Object]]:
    """Yield the outcome as a whole, where the rule is broken, then its findings up to the cap.

    Each has the order in which results are kept, the smallest first.
    """
    rule = outcome.rule
    level = SEVERITIES.index(rule.severity)
    findings = reported(outcome, accepted=around.accepted)
    about = {"ruleId": line(rule.code, NAME), "ruleIndex": number, "level": rule.severity}
    if outcome.status == "broken" and not single(outcome):
        whole = _whole(outcome, places.of(outcome), shown=min(len(findings), around.cap))
        yield (level, -1, number), about | whole
    for at, finding in enumerate(findings[: around.cap]):
        yield (level, at, number), about | _one(finding, places.of(outcome, finding))


def _whole(outcome: Outcome, place: Place, *, shown: int) -> Object:
    more = f" The first {shown:,} of {outcome.total:,} findings are listed." if outcome.total > shown else ""
    key = hashlib.blake2b(f"{outcome.rule.code}\x1f{outcome.dataset}\x1ftotal".encode("utf-8", "replace"))
    return {
        "message": {"text": _message(message(outcome)) + more},
        "locations": [_location(place, outcome.dataset, kind="module")],
        "partialFingerprints": {"dataaudit/v1": key.hexdigest()[:32]},
        "properties": {"total": outcome.total, "summary": True},
    }


def _one(finding: Finding, place: Place) -> Object:
    site = finding.site
    result: Object = {
        "message": {"text": _message(finding_text(finding, place))},
        "locations": [_location(place, logical_name(site), kind="member")],
        "partialFingerprints": {"dataaudit/v1": finding.fingerprint},
    }
    if finding.state:
        result["baselineState"] = _STATES[finding.state]
    if finding.accepted:
        result["suppressions"] = [{"kind": "external", "justification": line(finding.accepted, _TEXT)}]
    about = {"row": site.row, "row_id": site.row_id, "column": site.column, "score": plain(finding.score)}
    known = {key: line(value, NAME) if isinstance(value, str) else value for key, value in about.items()}
    result["properties"] = {key: value for key, value in known.items() if value not in (None, "")}
    return result


def _location(place: Place, name: str, *, kind: str) -> Object:
    artifact = {"uri": quote(place.path, safe="/", errors="replace"), "uriBaseId": _ROOT}
    region = {"startLine": place.line, "startColumn": 1, "endLine": place.line, "endColumn": 2}
    logical = {"fullyQualifiedName": line(name, _TEXT) or "data", "kind": kind}
    physical = {"artifactLocation": artifact, "region": region}
    return {"physicalLocation": physical, "logicalLocations": [logical]}


def _distinguished(results: list[Object]) -> list[Object]:
    """Count equal identities, which GitHub would show as one alert; it looks at the first name."""
    seen: Counter[tuple[str, str]] = Counter()
    for result in results:
        keys = result["partialFingerprints"]
        identity = result["ruleId"], keys["dataaudit/v1"]
        seen[identity] += 1
        counted = f"{identity[1]}:{seen[identity]}"
        result["partialFingerprints"] = {"primaryLocationLineHash": counted, **keys}
    return results


def _notifications(outcomes: Sequence[Outcome], numbers: dict[str, int]) -> list[Object]:
    levels = {"failed": "error", "skipped": "note"}
    return [
        {
            "level": levels[outcome.status],
            "message": {"text": f"{line(outcome.dataset, NAME)}: {message(outcome) or outcome.status}"},
            "descriptor": {"id": f"rule-{outcome.status}"},
            "associatedRule": {"id": line(outcome.rule.code, NAME), "index": numbers[outcome.rule.code]},
        }
        for outcome in outcomes
        if outcome.status in levels
    ]


def _message(text: str) -> str:
    """Return text that is not empty, and in which no viewer finds SARIF's ``[link](target)``."""
    return text.replace("](", "] (") or "There is no message."


WRITERS: Final = {"sarif": Writer("sarif", ".sarif", "SARIF 2.1.0, as GitHub takes it", write)}
