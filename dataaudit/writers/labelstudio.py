"""Tasks for Label Studio, with the suggestions as predictions, and the labelling setup that they fit.

``data`` of a task has the text (of a table, a line per column), the row's name, rank and label, and the run;
so what people decide there can come back: an exported task whose choice differs from ``data.label`` is the
decision ``{"row_id": data.row_id, "action": "relabel", "label": choice}``, one that does not is ``"keep"``.
"""

from __future__ import annotations

import json
from typing import Any, Final, TextIO
from xml.sax.saxutils import quoteattr

from dataaudit.escape import json_text, xml_text
from dataaudit.findings.record import plain
from dataaudit.findings.schemas import Findings, Provenance
from dataaudit.report.blocks import Report
from dataaudit.report.rows import ReviewRow, review_rows
from dataaudit.writers.base import Writer

CONTROL, OBJECT = "label", "text"  # names in the labelling setup
EMPTY: Final = "(no text is known)"  # Label Studio shows an error for an empty text
# What brings an export of Label Studio back, for jq.
DECISIONS: Final = (
    ".[] | select(.annotations[0].result[0]) | .data as $d | .annotations[0].result[0].value.choices[0] as $c"
    " | {row_id: $d.row_id, run_id: $d.run_id} + "
    '(if $c == $d.label then {action: "keep"} else {action: "relabel", label: $c} end)'
)


def shown_text(row: ReviewRow) -> str:
    """Return a row's text; of several columns, one a line."""
    if len(row.cells) == 1:
        return row.cells[0].text or EMPTY
    return "\n".join(f"{cell.column}: {cell.text}" for cell in row.cells) or EMPTY


def setup(findings: Findings) -> str:
    """Return the labelling setup: the text and one choice per class."""
    choices = [f"    <Choice value={_attribute(name)}/>" for name in findings.provenance.classes]
    lines = [
        "<View>",
        f"  <Header value={_attribute('Row $row_id, labelled $label')}/>",
        f'  <Text name="{OBJECT}" value="$text"/>',
        f'  <Choices name="{CONTROL}" toName="{OBJECT}" choice="single" showInline="true">',
        *choices,
        "  </Choices>",
        "</View>",
    ]
    return "\n".join(lines) + "\n"


def write(findings: Findings, _report: Report, out: TextIO) -> None:
    """Write a list of tasks, one a line, the most suspect row first; names and cells are exact."""
    tasks = (_task(row, findings.provenance) for row in review_rows(findings, findings.labels.height))
    lines = ",\n".join(json.dumps(plain(task), ensure_ascii=False, allow_nan=False) for task in tasks)
    out.write(f"[\n{json_text(lines)}\n]\n")


def _task(row: ReviewRow, p: Provenance) -> dict[str, Any]:
    result = {
        "from_name": CONTROL,
        "to_name": OBJECT,
        "type": "choices",
        "value": {"choices": [row.suggested_label]},
    }
    prediction = {
        "model_version": f"dataaudit {p.version} {p.run_id}",
        "score": row.p_wrong,
        "result": [result],
    }
    data = {
        "text": shown_text(row),
        "row_id": row.row_id,
        "rank": row.rank,
        "label": row.label,
        "suggested_label": row.suggested_label,
        "p_wrong": row.p_wrong,
        "loo_loss": row.loo_loss,
        "run_id": p.run_id,
    }
    return {"data": data, "predictions": [prediction]}


def _attribute(text: str) -> str:
    """Return an attribute's value in quotes: exact, its line ends and steering characters as numbers."""
    return xml_text(quoteattr(text, {"\n": "&#10;", "\r": "&#13;", "\t": "&#9;"}))


WRITER = Writer("labelstudio", ".json", "tasks with predictions for Label Studio", write)
