"""Plain lines for people and for ``grep``: one per finding, the most severe first."""

from __future__ import annotations

from typing import TextIO

from dataaudit.escape import line
from dataaudit.findings.schemas import MismatchFindings
from dataaudit.report import words
from dataaudit.summary import FindingCard, MismatchSummary
from dataaudit.writers.base import Writer
from dataaudit.writers.text import write_columns


def write(_tables: MismatchFindings, summary: MismatchSummary, out: TextIO) -> None:
    """Write number, severity, slice, errors, training rows and change of loss in columns, no header."""
    write_columns([_fields(one) for one in summary.findings], out)


def _fields(one: FindingCard) -> tuple[str, ...]:
    rows = f"{words.count(one.n_train_rows)} training rows" if one.n_train_rows else "all training rows"
    proved = f"{words.moved(one.predicted)} (predicted), {words.moved(one.measured)} (measured)"
    return (
        str(one.finding),
        line(one.severity),
        line(one.slice or one.title, 120),
        f"{words.count(one.n_errors)} wrong",
        rows.removesuffix("s") if one.n_train_rows == 1 else rows,
        f"without, mean loss {proved}" if words.known(one.predicted) else "not proved",
    )


WRITER = Writer("text", ".txt", "one line per finding", write)
