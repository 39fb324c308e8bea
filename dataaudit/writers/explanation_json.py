"""One JSON document: the whole explanation."""

from __future__ import annotations

import json
from typing import TextIO

from dataaudit.escape import json_text
from dataaudit.findings.schemas import ExplanationFindings
from dataaudit.summary import ExplanationSummary
from dataaudit.writers.base import Writer


def write(_tables: ExplanationFindings, summary: ExplanationSummary, out: TextIO) -> None:
    """Write the summary; cells keep their exact text."""
    shown = json.dumps(summary.to_dict(), ensure_ascii=False, allow_nan=False, sort_keys=True)
    out.write(json_text(shown) + "\n")


WRITER = Writer("json", ".json", "one document: the whole explanation", write)
