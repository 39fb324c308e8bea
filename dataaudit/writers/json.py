"""One JSON document: the summary and every row of the table `labels`, in rank order."""

from __future__ import annotations

import json
from typing import TextIO

from dataaudit.escape import json_text
from dataaudit.findings.schemas import Findings
from dataaudit.summary import Summary
from dataaudit.writers import jsonl
from dataaudit.writers.base import Writer


def write(findings: Findings, summary: Summary, out: TextIO) -> None:
    """Write ``{"summary": …, "labels": [one object a row]}``; cells keep their exact text."""
    shown = json.dumps(summary.to_dict(), ensure_ascii=False, allow_nan=False, sort_keys=True)
    out.write(f'{{"summary": {json_text(shown)},\n"labels": [')
    for at, chunk in enumerate(jsonl.chunks(findings.labels)):
        out.write(",\n" if at else "\n")
        out.write(chunk.rstrip("\n").replace("\n", ",\n"))  # a newline inside a cell is \n, two characters
    out.write("\n]}\n")


WRITER = Writer("json", ".json", "one document: the summary, and all rows in rank order", write)
