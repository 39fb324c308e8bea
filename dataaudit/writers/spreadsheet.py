"""CSV for a spreadsheet, in which no cell is a formula: UTF-8, commas, one row a line.

A text that a spreadsheet would compute, as it begins with ``=``, ``+``, ``-`` or ``@`` (after a semicolon
too, where that parts the columns), gets an apostrophe in front; numbers stay numbers. Line ends within a cell
become spaces, control characters their pictures, and a cell is cut to what a spreadsheet holds.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable
from typing import Final, TextIO

import polars as pl

from dataaudit.escape import line
from dataaudit.findings.schemas import Findings
from dataaudit.report.blocks import Report
from dataaudit.report.rows import review_rows
from dataaudit.writers.base import Writer

COLUMNS: Final = (
    "rank",
    "row_id",
    "source",
    "line",
    "label",
    "suggested_label",
    "p_wrong",
    "loo_loss",
    "delta_loss_if_removed",
    "delta_loss_if_relabelled",
)
_LONGEST: Final = 32_000  # characters; Excel holds 32,767 in a cell
_NUMBER: Final = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
_FORMULA: Final = re.compile(r"(^|;)(\s*)(?=[=+\-@＝＋－＠\t\r])")


def safe(text: str) -> str:
    """Return a text that a spreadsheet shows as it is."""
    shown = line(text, _LONGEST)
    return shown if _NUMBER.fullmatch(shown) else _FORMULA.sub(r"\1\2'", shown)


def write(findings: Findings, _report: Report, out: TextIO) -> None:
    """Write every row of the table `labels`, with the cells that are known."""
    rows = review_rows(findings, findings.labels.height)
    cells = {row.row_id: {cell.column: cell.text for cell in row.cells} for row in rows}
    columns = list(dict.fromkeys(name for texts in cells.values() for name in texts))
    titles = [f"{name} (cell)" if name in COLUMNS else name for name in columns]
    table = csv.writer(out, lineterminator="\n")
    table.writerow([*COLUMNS, *(safe(title) for title in titles)])
    finite = findings.labels.select(COLUMNS).with_columns(
        pl.col(pl.Float64).replace([float("nan"), float("inf")], None)
    )
    for row in finite.iter_rows(named=True):
        texts = cells.get(row["row_id"], {})
        table.writerow(_values([*row.values(), *(texts.get(name) for name in columns)]))


def _values(values: Iterable[object]) -> list[object]:
    return [safe(value) if isinstance(value, str) else value for value in values]


WRITER = Writer("csv", ".csv", "one row a line for a spreadsheet, no cell of which is a formula", write)
