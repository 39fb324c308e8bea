"""JSON lines: one row of the table `labels` a line, in rank order, for ``jq`` and data frames."""

from __future__ import annotations

from collections.abc import Iterator
from io import BytesIO
from typing import Final, TextIO

import polars as pl
import polars.selectors as cs

from dataaudit.escape import json_text
from dataaudit.findings.schemas import Findings
from dataaudit.summary import Summary
from dataaudit.writers.base import Writer

_ROWS: Final = 20_000  # a chunk's rows: about 10 MB of text


def chunks(labels: pl.DataFrame) -> Iterator[str]:
    """Yield the table as JSON lines, some rows at a time; numbers that are not finite become null."""
    real = cs.float()
    finite = labels.with_columns(pl.when(real.is_finite()).then(real).otherwise(None).name.keep())
    for part in finite.iter_slices(_ROWS):
        buffer = BytesIO()
        part.write_ndjson(buffer)
        yield json_text(buffer.getvalue().decode())


def write(findings: Findings, _summary: Summary, out: TextIO) -> None:
    """Write one object a line; cells keep their exact text."""
    out.writelines(chunks(findings.labels))


WRITER = Writer("jsonl", ".jsonl", "one row a line, in rank order", write)
