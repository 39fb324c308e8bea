"""The formats of a verdict: its report in any of them, all of it as JSON, and several in one run.

SARIF, JUnit, GitHub and GitLab are mappings of the verdict, each in a module of its own.
"""

from __future__ import annotations

from dataclasses import asdict
from functools import partial
from typing import Any, Final, TextIO

from dataaudit.findings.verdict import Finding, Outcome, Verdict
from dataaudit.report import shown_verdict
from dataaudit.report.blocks import Writer, drawn
from dataaudit.report.verdict import headline, standings
from dataaudit.writers.console import plain_lines
from dataaudit.writers.html import page
from dataaudit.writers.json import one_line
from dataaudit.writers.markdown import markdown
from dataaudit.writers.places import Surroundings


def _write_json(verdict: Verdict, _around: Surroundings, out: TextIO) -> None:
    """Write the whole verdict; messages and cells keep their exact text."""
    outcomes = [
        {**_outcome(outcome, standing), "findings": [_finding(f) for f in outcome.findings]}
        for standing, outcome in standings(verdict)
    ]
    names = ("datasets", "exit_code", "fail_on", "notes", "version")
    document = {name: getattr(verdict, name) for name in names}
    document |= {"headline": headline(verdict), "outcomes": outcomes}
    out.write(one_line(document) + "\n")


def _write_jsonl(verdict: Verdict, _around: Surroundings, out: TextIO) -> None:
    """Write one object a line, its ``kind`` being ``outcome`` or ``finding``; texts are exact."""
    for standing, outcome in standings(verdict):
        out.write(one_line({"kind": "outcome", **_outcome(outcome, standing)}) + "\n")
        rule = outcome.rule
        belongs = {"kind": "finding", "dataset": outcome.dataset}
        belongs |= {name: getattr(rule, name) for name in ("code", "name", "severity")}
        out.writelines(one_line({**belongs, **_finding(f)}) + "\n" for f in outcome.findings)


def _outcome(outcome: Outcome, standing: str) -> dict[str, Any]:
    """Return an outcome as JSON's types, without its findings; `standing` is how it counts."""
    of_rule = ("code", "limit", "measure", "name", "pack", "precision", "scope", "severity", "title", "unit")
    own = ("base_value", "dataset", "message", "seconds", "status", "total", "value")
    return {
        **{name: getattr(outcome.rule, name) for name in of_rule},
        **{name: getattr(outcome, name) for name in own},
        "counts_as": standing,
        "place": asdict(outcome.place),
    }


def _finding(finding: Finding) -> dict[str, Any]:
    return {**asdict(finding), "gates": finding.gates}


_FORMATS: Final = (
    ("text", ".txt", "a line a finding, and a short summary"),
    ("full", ".txt", "text with all findings and the documentation of broken rules"),
    ("markdown", ".md", "a page of Markdown, for a comment or a job’s summary"),
    ("html", ".html", "one page for people"),
    ("json", ".json", "one document: the verdict, all outcomes and findings"),
    ("jsonl", ".jsonl", "one outcome or finding a line"),
)
_WRITE: Final = {
    "text": drawn(plain_lines, shown_verdict),
    "full": drawn(plain_lines, partial(shown_verdict, full=True)),
    "markdown": drawn(markdown, shown_verdict),
    "html": drawn(page, shown_verdict),
    "json": _write_json,
    "jsonl": _write_jsonl,
}
WRITERS: Final = {name: Writer(name, suffix, doc, _WRITE[name]) for name, suffix, doc in _FORMATS}
