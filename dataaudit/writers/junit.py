"""JUnit XML in the dialect of Jenkins' schema and of pytest: a suite a dataset, a case a rule.

A row is no case: the number of cases, by which a service compares runs, would change with the data. The
schema has no file and line of a case, so the text of a failure names them. A rule that is broken without
failing the gate passes here too, with what it found as its output: a service fails by what it reads.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import groupby
from typing import Final, TextIO
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from dataaudit.escape import block, console_line, line
from dataaudit.findings.verdict import Outcome, Verdict, where
from dataaudit.report import verdict as v
from dataaudit.report.blocks import Writer
from dataaudit.report.verdict import LONGEST, NAME, Standing
from dataaudit.writers.places import Surroundings

_SHOWN: Final = 50  # findings of a case
_FORBIDDEN: Final = re.compile("[^\t\n\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")  # by XML 1.0
_COMPARED: Final = {"broken": " > ", "passed": " ≤ "}
_SAYS: Final = {"failed": "failure", "error": "error", "skipped": "skipped"}


def write(verdict: Verdict, _around: Surroundings, out: TextIO) -> None:
    """Write the whole file; without any outcome it has no suite, but it is there."""
    found = v.standings(verdict)
    root = Element("testsuites", {"name": "dataaudit", **_counts(found)})
    for name, group in groupby(found, key=lambda pair: pair[1].dataset):
        _suite(root, name, list(group))
    indent(root)
    out.write('<?xml version="1.0" encoding="utf-8"?>\n' + tostring(root, encoding="unicode") + "\n")


def _suite(root: Element, name: str, cases: Sequence[tuple[Standing, Outcome]]) -> None:
    skipped = sum(standing == "skipped" for standing, _ in cases)
    source = cases[0][1].place.source
    about = {"name": _text(name, NAME), **_counts(cases), "skipped": str(skipped), "file": _text(source)}
    suite = SubElement(root, "testsuite", about)
    properties = SubElement(suite, "properties")
    for _, outcome in cases:
        if outcome.status in _COMPARED:
            value = _COMPARED[outcome.status].join(v.measured(outcome))
            about = {"name": _text(outcome.rule.code, NAME), "value": _text(value)}
            SubElement(properties, "property", about)
    for standing, outcome in cases:
        _case(suite, standing, outcome)


def _case(suite: Element, standing: Standing, outcome: Outcome) -> None:
    package = ".".join(_text(part, NAME).replace(".", "_") for part in (outcome.dataset, outcome.rule.pack))
    name, time = _text(v.title(outcome)), _seconds([outcome])
    about = {"classname": f"dataaudit.{package}", "name": name, "time": time}
    case = SubElement(suite, "testcase", about)
    if standing in _SAYS:
        kind = {"type": outcome.rule.severity} if standing == "failed" else {}
        child = SubElement(case, _SAYS[standing], {"message": _text(v.message(outcome)), **kind})
        child.text = _lines(outcome)
    elif standing == "warning":
        output = SubElement(case, "system-out")
        output.text = f"[{outcome.rule.severity}] {_text(v.message(outcome))}\n{_lines(outcome)}"


def _lines(outcome: Outcome) -> str:
    """Return the findings, a line each, and how many more there are; services print them into logs."""
    shown = v.blocking(outcome)[:_SHOWN]
    lines = [console_line(f"{where(f.site)}: {v.finding_text(f)}", 2 * LONGEST) for f in shown]
    if left := v.unlisted(outcome, len(shown)) if outcome.status == "broken" else 0:
        lines.append(f"… and {left:,} more")
    return _FORBIDDEN.sub("", "\n".join(lines))


def _counts(found: Sequence[tuple[Standing, Outcome]]) -> dict[str, str]:
    failures, errors = (sum(standing == name for standing, _ in found) for name in ("failed", "error"))
    counts = {"tests": len(found), "failures": failures, "errors": errors}
    return {name: str(n) for name, n in counts.items()} | {"time": _seconds([o for _, o in found])}


def _seconds(outcomes: Sequence[Outcome]) -> str:
    return f"{sum(outcome.seconds for outcome in outcomes):.3f}"


def _text(text: str, length: int = 1000) -> str:
    """Return one line that XML can hold."""
    return _FORBIDDEN.sub("", line(block(text, 4 * length), length))


WRITERS: Final = {"junit": Writer("junit", ".xml", "JUnit XML: a suite a dataset, a case a rule", write)}
