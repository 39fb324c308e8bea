"""JSON lines: each outcome on a line, then its findings, each with its rule and dataset."""

from __future__ import annotations

from typing import TextIO

from dataaudit.findings.verdict import Verdict
from dataaudit.writers.base import Writer
from dataaudit.writers.verdict_json import finding_record, one_line, outcome_record
from dataaudit.writers.verdict_places import Surroundings
from dataaudit.writers.verdict_words import standings


def write(verdict: Verdict, _around: Surroundings, out: TextIO) -> None:
    """Write one object a line, its ``kind`` being ``outcome`` or ``finding``; texts are exact."""
    for standing, outcome in standings(verdict):
        out.write(one_line({"kind": "outcome", **outcome_record(outcome, standing)}) + "\n")
        rule = outcome.rule
        belongs = {
            "kind": "finding",
            "code": rule.code,
            "name": rule.name,
            "dataset": outcome.dataset,
            "severity": rule.severity,
        }
        out.writelines(one_line({**belongs, **finding_record(f)}) + "\n" for f in outcome.findings)


WRITER = Writer("jsonl", ".jsonl", "one outcome or finding a line", write)
