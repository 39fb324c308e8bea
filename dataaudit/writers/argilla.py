"""Records for Argilla 2, with the suggestions of the audit: as ``rg.Record.from_dict`` reads them.

::

    settings = rg.Settings(
        fields=[rg.TextField(name="text")],
        questions=[rg.LabelQuestion(name="label", labels=["ham", "spam"])],
    )
    dataset = rg.Dataset(name="audit", settings=settings)
    dataset.create()
    dataset.records.from_json("records.json")

The record's id is the row's name; metadata have its rank and label, so that responses can come back as
decisions.
"""

from __future__ import annotations

import json
from typing import Any, TextIO

from dataaudit.escape import json_text
from dataaudit.findings.record import plain
from dataaudit.findings.schemas import Findings, Provenance
from dataaudit.report.blocks import Report
from dataaudit.report.rows import ReviewRow, review_rows
from dataaudit.writers.base import Writer
from dataaudit.writers.labelstudio import shown_text


def write(findings: Findings, _report: Report, out: TextIO) -> None:
    """Write a list of records, one a line, the most suspect row first; names and cells are exact."""
    records = (_record(row, findings.provenance) for row in review_rows(findings, findings.labels.height))
    lines = ",\n".join(json.dumps(record, ensure_ascii=False, allow_nan=False) for record in records)
    out.write(f"[\n{json_text(lines)}\n]\n")


def _record(row: ReviewRow, p: Provenance) -> dict[str, Any]:
    numbers = plain({"p_wrong": row.p_wrong, "loo_loss": row.loo_loss})
    known = {name: value for name, value in numbers.items() if value is not None}  # no metadata may be null
    agent = f"dataaudit {p.version} {p.run_id}"
    return {
        "id": row.row_id,
        "fields": {"text": shown_text(row)},
        "metadata": {"row_id": row.row_id, "rank": row.rank, "current_label": row.label, **known},
        "suggestions": {"label": {"value": row.suggested_label, "score": numbers["p_wrong"], "agent": agent}},
        "responses": {},
        "vectors": {},
    }


WRITER = Writer("argilla", ".json", "records with suggestions for Argilla 2", write)
