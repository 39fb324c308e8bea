"""JSON lines: one influential training row a line, the strongest first, by the table `influences`."""

from __future__ import annotations

from typing import TextIO

from dataaudit.findings.schemas import ExplanationFindings
from dataaudit.summary import ExplanationSummary
from dataaudit.writers import jsonl
from dataaudit.writers.base import Writer


def write(tables: ExplanationFindings, _summary: ExplanationSummary, out: TextIO) -> None:
    """Write one object a line; cells keep their exact text."""
    out.writelines(jsonl.chunks(tables.influences))


WRITER = Writer("jsonl", ".jsonl", "one influential training row a line", write)
