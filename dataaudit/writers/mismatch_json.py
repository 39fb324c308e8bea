"""One JSON document: the summary of a mismatch, its findings with it, and all slices."""

from __future__ import annotations

import json
from typing import TextIO

from dataaudit.escape import json_text
from dataaudit.findings.record import plain
from dataaudit.findings.schemas import MismatchFindings
from dataaudit.summary import MismatchSummary
from dataaudit.writers.base import Writer


def write(tables: MismatchFindings, summary: MismatchSummary, out: TextIO) -> None:
    """Write ``{"slices": [one object a row], "summary": …}``; cells keep their exact text."""
    document = {"summary": summary.to_dict(), "slices": plain(tables.slices.to_dicts())}
    out.write(json_text(json.dumps(document, ensure_ascii=False, allow_nan=False, sort_keys=True)) + "\n")


WRITER = Writer("json", ".json", "one document: the summary with its findings, and all slices", write)
