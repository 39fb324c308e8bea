"""JSON lines: one finding a line, the most severe first, with its rows, columns and remedies."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from typing import TextIO

from dataaudit.escape import json_text
from dataaudit.findings.record import plain
from dataaudit.findings.schemas import MismatchFindings
from dataaudit.summary import MismatchSummary
from dataaudit.writers.base import Writer


def lines(summary: MismatchSummary) -> Iterator[str]:
    """Yield every finding as an object on a line; numbers that are not finite become null."""
    for one in summary.findings:
        values = plain(dataclasses.asdict(one))
        shown = json.dumps(values, ensure_ascii=False, allow_nan=False, sort_keys=True)
        yield json_text(shown) + "\n"


def write(_tables: MismatchFindings, summary: MismatchSummary, out: TextIO) -> None:
    """Write one object a line; cells keep their exact text."""
    out.writelines(lines(summary))


WRITER = Writer("jsonl", ".jsonl", "one finding a line, the most severe first", write)
