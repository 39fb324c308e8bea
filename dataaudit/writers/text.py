"""Plain lines for people and for ``grep``: one per top row, the most suspect first."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, TextIO

from dataaudit.escape import line
from dataaudit.findings.schemas import Findings
from dataaudit.report import words
from dataaudit.summary import ReviewRow, Summary
from dataaudit.writers.base import Writer

_WIDEST: Final = 60  # of a column that is padded; longer ones push the rest to the right


def write(_findings: Findings, summary: Summary, out: TextIO) -> None:
    """Write ``rank  row  label -> suggestion  p_wrong  loss`` in columns, no header, no colour.

    A line begins with its rank, so that none is a command to a CI runner.
    """
    write_columns([_fields(row) for row in summary.rows], out)


def write_columns(table: Sequence[tuple[str, ...]], out: TextIO) -> None:
    """Write fields in columns, the first one, a number, to the right."""
    widths = [min(max(map(len, column)), _WIDEST) for column in zip(*table, strict=True)]
    for fields in table:
        rank, *rest = (field.ljust(width) for field, width in zip(fields, widths, strict=True))
        out.write("  ".join([rank.strip().rjust(widths[0]), *rest]).rstrip() + "\n")


def _fields(row: ReviewRow) -> tuple[str, ...]:
    return (
        str(row.rank),
        line(row.row_id),
        f"{line(row.label, 40)} -> {line(row.suggested_label, 40)}",
        f"p_wrong {words.share(row.p_wrong)}",
        f"left-out loss {words.fixed(row.loo_loss)}",
    )


WRITER = Writer("text", ".txt", "one line per top row", write)
