"""One JSON document: how it came out, and every outcome with its findings."""

from __future__ import annotations

import json
from typing import Any, TextIO

from dataaudit.escape import json_text
from dataaudit.findings.record import plain
from dataaudit.findings.verdict import Finding, Outcome, Site, Verdict
from dataaudit.writers.base import Writer
from dataaudit.writers.verdict_places import Surroundings
from dataaudit.writers.verdict_words import headline, standings


def write(verdict: Verdict, _around: Surroundings, out: TextIO) -> None:
    """Write the whole verdict; messages and cells keep their exact text."""
    outcomes = [
        {**outcome_record(outcome, standing), "findings": [finding_record(f) for f in outcome.findings]}
        for standing, outcome in standings(verdict)
    ]
    document = {
        "datasets": plain(verdict.datasets),
        "exit_code": verdict.exit_code,
        "fail_on": verdict.fail_on,
        "headline": headline(verdict),
        "notes": list(verdict.notes),
        "outcomes": outcomes,
        "version": verdict.version,
    }
    out.write(one_line(document) + "\n")


def one_line(document: Any) -> str:
    """Return JSON in one line, sorted by key."""
    return json_text(json.dumps(document, ensure_ascii=False, allow_nan=False, sort_keys=True))


def outcome_record(outcome: Outcome, standing: str) -> dict[str, Any]:
    """Return an outcome as JSON's types, without its findings; `standing` is how it counts."""
    rule = outcome.rule
    return {
        "base_value": plain(outcome.base_value),
        "code": rule.code,
        "counts_as": standing,
        "dataset": outcome.dataset,
        "limit": plain(rule.limit),
        "measure": rule.measure,
        "message": outcome.message,
        "name": rule.name,
        "pack": rule.pack,
        "place": _site(outcome.place),
        "precision": rule.precision,
        "scope": rule.scope,
        "seconds": plain(outcome.seconds),
        "severity": rule.severity,
        "status": outcome.status,
        "title": rule.title,
        "total": outcome.total,
        "unit": rule.unit,
        "value": plain(outcome.value),
    }


def finding_record(finding: Finding) -> dict[str, Any]:
    """Return a finding as JSON's types."""
    return {
        "accepted": finding.accepted,
        "details": plain(finding.details),
        "fingerprint": finding.fingerprint,
        "gates": finding.gates,
        "message": finding.message,
        "score": plain(finding.score),
        "site": _site(finding.site),
        "state": finding.state,
    }


def _site(site: Site) -> dict[str, Any]:
    names = ("column", "line", "row", "row_id", "source")
    return {name: getattr(site, name) for name in names}


WRITER = Writer("json", ".json", "one document: the verdict, all outcomes and findings", write)
