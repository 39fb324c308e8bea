"""Plain lines for people and for ``grep``: one per influential training row, the strongest first."""

from __future__ import annotations

from typing import TextIO

from dataaudit.escape import line
from dataaudit.findings.schemas import ExplanationFindings
from dataaudit.summary import ExplanationSummary
from dataaudit.writers.base import Writer
from dataaudit.writers.text import write_columns


def write(_tables: ExplanationFindings, summary: ExplanationSummary, out: TextIO) -> None:
    """Write rank, training row, label and effect in columns, no header."""
    rows = sorted((*summary.harmful, *summary.helpful), key=lambda row: row.rank)
    write_columns(
        [(str(row.rank), line(row.row_id), line(row.label, 40), line(row.effect)) for row in rows], out
    )


WRITER = Writer("text", ".txt", "one line per influential training row", write)
