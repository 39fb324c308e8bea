"""The ranked rows for labelling tools and for spreadsheets; in the former names and cells are exact.

Label Studio: ``data`` of a task has the text, or of a table the object ``row`` with a field for each column;
the row's name, rank and label, and the run. `repair.annotations` reads what people chose.

Argilla 2: records as ``rg.Record.from_dict`` reads them, for a dataset with a text field ``text`` and a label
question ``label``; the id is the row's name, metadata have its rank and label.

CSV: UTF-8, commas, one row a line. A text that a spreadsheet would compute, as it begins with ``=``, ``+``,
``-`` or ``@`` (after a semicolon too, where that parts the columns), gets an apostrophe in front; numbers
stay numbers. Line ends within a cell become spaces, control characters their pictures.
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable
from typing import Any, Final, TextIO
from xml.sax.saxutils import quoteattr

import polars as pl

from dataaudit.escape import json_text, line, xml_text
from dataaudit.findings.record import plain
from dataaudit.findings.schemas import LEARNED, Findings, Provenance
from dataaudit.report.blocks import Report, Writer
from dataaudit.report.rows import ReviewRow, review_rows

Object = dict[str, Any]

CONTROL, TEXT, ROW = "choice", "text", "row"  # names in the labelling setup
EMPTY: Final = "(no text is known)"  # Label Studio shows an error for an empty text
COLUMNS: Final = (
    "rank", "row_id", "source", "line", "label", "suggested_label", "p_wrong",
    "loo_loss", "delta_loss_if_removed", "delta_loss_if_relabelled",
)  # fmt: skip
_TASK: Final = ("row_id", "rank", "label", "suggested_label", "p_wrong", "loo_loss")  # of a task's data
_DECIDED: Final = ("reviewed", "reviewed_label")  # columns of what was decided, where there are any
_LONGEST: Final = 32_000  # characters; Excel holds 32,767 in a cell
_NUMBER: Final = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
_FORMULA: Final = re.compile(r"(^|;)(\s*)(?=[=+\-@＝＋－＠\t\r])")


def shown_text(row: ReviewRow) -> str:
    """Return a row's text; of several columns, one a line."""
    if len(row.cells) == 1:
        return row.cells[0].text or EMPTY
    return "\n".join(f"{cell.column}: {cell.text}" for cell in row.cells) or EMPTY


def label_studio_setup(findings: Findings) -> str:
    """Return the labelling setup: the text, or the fields of the row, and one choice per class."""
    shown_as = _shown_as(findings)
    tag = "Table" if shown_as == ROW else "Text"
    names = findings.provenance.classes
    choices = "\n".join(f"    <Choice value={_attribute(name)}/>" for name in names)
    return f"""<View>
  <Header value={_attribute("Row $row_id, labelled $label")}/>
  <{tag} name="{shown_as}" value="${shown_as}"/>
  <Choices name="{CONTROL}" toName="{shown_as}" choice="single" showInline="true">
{choices}
  </Choices>
</View>
"""


def _shown_as(findings: Findings) -> str:
    """Return the name of what is labelled: a row with fields, or a text."""
    return ROW if findings.cells["column"].n_unique() > 1 else TEXT


def _attribute(text: str) -> str:
    """Return an attribute's value in quotes: exact, its line ends and steering characters as numbers."""
    return xml_text(quoteattr(text, {"\n": "&#10;", "\r": "&#13;", "\t": "&#9;"}))


def _listed(make: Callable[[ReviewRow, Findings], Object]) -> Callable[[Findings, Report, TextIO], None]:
    """Return what writes a list of what is made of each row, one a line."""

    def write(findings: Findings, _report: Report, out: TextIO) -> None:
        rows = review_rows(findings, findings.labels.height)
        made = (plain(make(row, findings)) for row in rows)
        lines = ",\n".join(json.dumps(one, ensure_ascii=False, allow_nan=False) for one in made)
        out.write(f"[\n{json_text(lines)}\n]\n")

    return write


def _task(row: ReviewRow, findings: Findings) -> Object:
    p, shown_as = findings.provenance, _shown_as(findings)
    choices = {"choices": [row.suggested_label]}
    result = {"from_name": CONTROL, "to_name": shown_as, "type": "choices", "value": choices}
    fields = {cell.column: cell.text for cell in row.cells}
    shown = {shown_as: fields if shown_as == ROW else shown_text(row)}
    data = {**shown, **{name: getattr(row, name) for name in _TASK}, **_decided(row), "run_id": p.run_id}
    prediction = {"model_version": _agent(p), "score": row.p_wrong, "result": [result]}
    return {"data": data, "predictions": [prediction]}


def _record(row: ReviewRow, findings: Findings) -> Object:
    p = findings.provenance
    numbers = plain({"p_wrong": row.p_wrong, "loo_loss": row.loo_loss})
    known = {name: value for name, value in numbers.items() if value is not None}  # no metadata may be null
    suggestion = {"value": row.suggested_label, "score": numbers["p_wrong"], "agent": _agent(p)}
    return {
        "id": row.row_id,
        "fields": {"text": shown_text(row)},
        "metadata": {
            "row_id": row.row_id,
            "rank": row.rank,
            "current_label": row.label,
            **known,
            **_decided(row),
        },
        "suggestions": {"label": suggestion},
        "responses": {},
        "vectors": {},
    }


def _decided(row: ReviewRow) -> Object:
    """Return what was decided on a row before, as far as there is anything."""
    found = {name: getattr(row, name) for name in _DECIDED}
    return {name: value for name, value in found.items() if value is not None}


def _agent(p: Provenance) -> str:
    return f"dataaudit {p.version} {p.run_id}"


def safe(text: str) -> str:
    """Return a text that a spreadsheet shows as it is."""
    shown = line(text, _LONGEST)
    return shown if _NUMBER.fullmatch(shown) else _FORMULA.sub(r"\1\2'", shown)


def _write_csv(findings: Findings, _report: Report, out: TextIO) -> None:
    """Write every row of the table `labels`, with the cells that are known."""
    known = review_rows(findings, findings.cells["row_id"].n_unique())
    cells = {row.row_id: {cell.column: cell.text for cell in row.cells} for row in known}
    columns = list(dict.fromkeys(name for texts in cells.values() for name in texts))
    own = (*COLUMNS, *(name for name in _DECIDED if LEARNED.keys() <= set(findings.labels.columns)))
    titles = [f"{name} (cell)" if name in own else name for name in columns]
    sheet = csv.writer(out, lineterminator="\n")
    sheet.writerow([*own, *(safe(title) for title in titles)])
    finite = findings.labels.select(own).with_columns(
        pl.col(pl.Float64).replace([float("nan"), float("inf")], None)
    )
    for row in finite.iter_rows(named=True):
        texts = cells.get(row["row_id"], {})
        values = (*row.values(), *(texts.get(name) for name in columns))
        sheet.writerow([safe(value) if isinstance(value, str) else value for value in values])


WRITERS: Final = {
    "labelstudio": Writer("labelstudio", ".json", "tasks with predictions for Label Studio", _listed(_task)),
    "argilla": Writer("argilla", ".json", "records with suggestions for Argilla 2", _listed(_record)),
    "csv": Writer(
        "csv", ".csv", "one row a line for a spreadsheet, no cell of which is a formula", _write_csv
    ),
}
