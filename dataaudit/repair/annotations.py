"""Annotations: what people said of rows in a labelling tool or a spreadsheet, read from its export.

Which kind of export it is shows in its records::

    labelstudio   tasks with ``data`` and ``annotations``, each with its results
    argilla       records with ``fields`` and ``responses``, or with columns ``label.responses``
    table         one answer a line: a column ``row_id`` and one with a class. Label Studio's JSON-MIN and CSV
                  are such tables, as is any CSV, JSON, NDJSON, Parquet or Excel file
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any, Final, Literal, get_args

import polars as pl

from dataaudit.data.blob import PARQUET, SHEET_NAMES, STDIN, open_blob
from dataaudit.data.formats.header import sniff_separator
from dataaudit.errors import DataError, MissingColumn, UnreadableFile
from dataaudit.escape import shown
from dataaudit.repair.decisions import ACTIONS

Kind = Literal["labelstudio", "argilla", "table"]
KINDS: Final[tuple[str, ...]] = get_args(Kind)
Record = Mapping[str, Any]

_LABELS: Final = (  # names of the column with the class, the surest first
    "new_label", "corrected_label", "correct_label", "corrected", "correction", "choice", "annotation",
    "annotated_label", "human_label", "final_label", "gold_label", "gold", "true_label", "truth", "decision",
)  # fmt: skip
_OURS: Final = "suggested_label"  # a column of our own export, whose `label` is the class that was audited
_REVIEWERS: Final = ("reviewer", "annotator", "completed_by", "user", "email")
_NOTES: Final = ("note", "notes", "comment", "comments")
_HINT: Final = "export from the tool as JSON, or give a table with the columns row_id and label"


@dataclass(frozen=True, slots=True, kw_only=True)
class Annotation:
    """What one person said of one row; nothing, where it has neither a label nor an action."""

    row_id: str
    label: str = ""
    action: str = ""  # in place of a label: keep, drop, weight, unsure
    weight: float | None = None
    reviewer: str = ""
    note: str = ""
    run_id: str = ""  # of the findings that were exported


@dataclass(frozen=True, slots=True)
class Annotations:
    """All annotations of a file."""

    rows: tuple[Annotation, ...]
    kind: str
    column: str = ""  # of a table, where the classes stand
    edited: bool = False  # whether the classes stood there before, so that only another one was decided


def read_annotations(path: Path, *, kind: Kind | None = None, column: str | None = None) -> Annotations:
    """Read an export; `column` has the class in a table, or is the name of the control or question."""
    name = shown(path.as_posix())
    records = _records(path, name)
    if not records:
        raise DataError(f"{name} holds no annotations", _HINT)
    kind = kind or _kind_of(records)
    if kind == "labelstudio":
        return Annotations(tuple(_of_tasks(records, column, name)), kind)
    if kind == "argilla":
        return Annotations(tuple(_of_responses(records, column, name)), kind)
    return _of_table(records, column, name)


def _kind_of(records: Sequence[Record]) -> Kind:
    first = records[0]
    if isinstance(first.get("data"), Mapping) and ("annotations" in first or "completions" in first):
        return "labelstudio"
    if ("fields" in first and "responses" in first) or any(key.endswith(".responses") for key in first):
        return "argilla"
    return "table"


def _records(path: Path, name: str) -> Sequence[Record]:
    """Read the records of a file of any kind."""
    if path.suffix.lower() in SHEET_NAMES:
        return _sheet(path, name)
    blob = open_blob("./-" if str(path) == STDIN else str(path))
    if blob.data.startswith(PARQUET):
        try:
            return pl.read_parquet(blob.scannable).to_dicts()
        except (OSError, pl.exceptions.PolarsError) as error:
            what = f"{name} is not a whole Parquet file: {str(error).partition(chr(10))[0]}"
            raise UnreadableFile(what, "write it again") from error
    text = _text(blob.data)
    if text.lstrip().startswith(("{", "[")):
        return _json(text, name)
    return _lines(text, name)


def _text(data: bytes) -> str:
    """Decode a text; spreadsheets write UTF-16 or the code page of Windows as well."""
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return data.decode("utf-16", errors="replace")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("cp1252", errors="replace")


def _sheet(path: Path, name: str) -> Sequence[Record]:
    try:
        return pl.read_excel(path).to_dicts()
    except ModuleNotFoundError as error:
        what = f"{name} is an Excel file, and {error.name} that reads it is not installed"
        raise UnreadableFile(what, "pip install fastexcel, or save the sheet as CSV") from error
    except Exception as error:  # the reader of sheets has errors of its own
        what = f"{name} cannot be read as an Excel sheet: {shown(str(error).partition(chr(10))[0])}"
        raise UnreadableFile(what, "save the sheet as CSV") from error


def _json(text: str, name: str) -> list[Record]:
    """Return the objects of JSON or of JSON lines: a list, one wrapped in a key, or columns of lists."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        found = [
            _json_line(line, f"{name} line {n}") for n, line in enumerate(text.split("\n"), 1) if line.strip()
        ]
    if isinstance(found, dict):
        values = list(found.values())
        if len(found) == 1 and isinstance(values[0], list):
            found = values[0]
        elif len({len(v) if isinstance(v, list) else -1 for v in values}) == 1 and isinstance(
            values[0], list
        ):
            found = [dict(zip(found, row, strict=True)) for row in zip(*values, strict=True)]
        else:
            found = (
                values if values and all(isinstance(v, dict) and "fields" in v for v in values) else [found]
            )
    if not isinstance(found, list) or not all(isinstance(record, dict) for record in found):
        raise UnreadableFile(f"{name} holds no list of objects", _HINT)
    return [record for record in found if record]


def _json_line(line: str, where: str) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError) as error:
        raise UnreadableFile(
            f"{where} is not JSON: {getattr(error, 'msg', 'nested too deep')}", _HINT
        ) from error


def _lines(text: str, name: str) -> list[Record]:
    """Return the rows of a delimited text by the names in its header."""
    if text[:4].lower() == "sep=":  # Excel's own first line
        text = text.partition("\n")[2]
    separator = sniff_separator(text.encode()).decode()
    csv.field_size_limit(1 << 30)
    try:
        rows = list(csv.reader(io.StringIO(text, newline=""), delimiter=separator))
    except csv.Error as error:
        raise UnreadableFile(f"{name} is not CSV: {error}", _HINT) from error
    header = [cell.strip() for cell in rows[0]] if rows else []
    return [dict(zip(header, row, strict=False)) for row in rows[1:] if any(row)]


def _said(value: Any) -> str:
    """Return a class as text: of one choice in a list or in an object, that choice; of several, nothing."""
    if isinstance(value, str):
        if not value.startswith(('{"choices"', '["')):
            whole = value.encode(errors="replace").decode()  # half a surrogate pair is no text
            return whole if whole.strip() else ""
        try:
            value = json.loads(value)
        except ValueError:
            return str(value)
    if isinstance(value, Mapping):
        value = value.get("choices", value.get("value"))
    if isinstance(value, list | tuple):
        inner = list(value)
        while len(inner) == 1 and isinstance(inner[0], list):  # a taxonomy's path
            inner = inner[0]
        value = inner[0] if len(inner) == 1 else None
    if value is None or (isinstance(value, float) and value != value):  # noqa: PLR0124 - nan is not itself
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value).encode(errors="replace").decode()


def _of_table(records: Sequence[Record], column: str | None, name: str) -> Annotations:
    """Take one answer a record."""
    names = list(dict.fromkeys(key for record in records for key in record))
    known = {_plain(key): key for key in reversed(names)}
    if "row_id" not in known:
        raise MissingColumn("row_id", names, name)
    if column is not None and column not in names:
        raise MissingColumn(column, names, name)
    acts = known.get("action", "") if column is None else ""
    found = column or next((known[key] for key in (*_LABELS, "label") if key in known), "")
    found = known.get("label", "") if acts else found
    if not found and not acts:
        columns = ", ".join(map(shown, names[:12]))
        raise DataError(
            f"no column of {name} is known to hold the classes: got {columns}", "name it with --label-column"
        )
    reviewer, note = (next((known[key] for key in keys if key in known), "") for keys in (_REVIEWERS, _NOTES))
    rows = (
        Annotation(
            row_id=_said(record.get(known["row_id"])),
            label=_said(record.get(found)),
            action=_action(record.get(acts)),
            weight=_weight(record.get(known.get("weight", ""))),
            reviewer=_said(record.get(reviewer)),
            note=_said(record.get(note)),
            run_id=_said(record.get(known.get("run_id", ""))),
        )
        for record in records
    )
    edited = column is None and _plain(found) == "label" and not acts and _OURS in known
    return Annotations(tuple(row for row in rows if row.row_id), "table", found or acts, edited)


def _plain(key: str) -> str:
    return "_".join(key.casefold().replace("-", " ").replace("_", " ").split())


def _action(value: Any) -> str:
    said = _said(value).lower()
    return said if said in ACTIONS else ""


def _weight(value: Any) -> float | None:
    try:
        return float(value)
    except (TypeError, ValueError):
        return None


def _of_tasks(records: Sequence[Record], control: str | None, name: str) -> Iterator[Annotation]:
    """Yield every annotation of Label Studio's tasks; a task without any, as one that says nothing."""
    for number, task in enumerate(records, start=1):
        data = _object(task.get("data"))
        row_id = _said(data.get("row_id"))
        if not row_id:
            raise DataError(
                f"task {number} of {name} has no row_id in its data", "export it from audit export"
            )
        for one in _objects(task.get("annotations", task.get("completions"))) or [{}]:
            results = _objects(one.get("result"))
            is_skipped = one.get("was_cancelled") or one.get("skipped")
            yield Annotation(
                row_id=row_id,
                label="" if is_skipped else _chosen(results, control),
                action="unsure" if is_skipped else "",
                reviewer=_person(one.get("completed_by")),
                note="; ".join(text for result in results for text in _texts(result)),
                run_id=_said(data.get("run_id")),
            )


def _chosen(results: Sequence[Record], control: str | None) -> str:
    """Return the class among the results of an annotation."""
    for result in results:
        value = _object(result.get("value"))
        for key in ("choices", "taxonomy", "labels"):
            if key in value and control in (None, result.get("from_name")):
                return _said(value[key])
    return ""


def _texts(result: Record) -> list[str]:
    text = _object(result.get("value")).get("text") if result.get("type") == "textarea" else None
    return [str(part) for part in (text if isinstance(text, list) else [text]) if part]


def _person(value: Any) -> str:
    if isinstance(value, Mapping):
        value = value.get("email") or value.get("username") or value.get("id")
    return _said(value)


def _of_responses(records: Sequence[Record], question: str | None, name: str) -> Iterator[Annotation]:
    """Yield every response of Argilla's records; of a record without any, one that says nothing."""
    for number, record in enumerate(records, start=1):
        about = _object(record.get("metadata")) or record
        row_id = _said(about.get("row_id") or record.get("id"))
        if not row_id:
            raise DataError(
                f"record {number} of {name} has neither row_id nor id", "export it from audit export"
            )
        answers = list(_answers(record, question)) or [("", "", "draft")]
        for value, user, status in answers:
            is_skipped = status == "discarded"
            yield Annotation(
                row_id=row_id,
                label=_said(value) if status in ("", "submitted") else "",
                action="unsure" if is_skipped else "",
                reviewer=user,
                run_id=_said(about.get("run_id")),
            )


def _answers(record: Record, question: str | None) -> Iterator[tuple[Any, str, str]]:
    """Yield value, user and status of each response to the question, or to the first one."""
    given = record.get("responses")
    if isinstance(given, Mapping):  # question → responses
        name = question or next(iter(given), "")
        for one in _objects(given.get(name)):
            yield one.get("value"), _person(one.get("user_id")), _said(one.get("status"))
    elif isinstance(given, list):  # a user's answers to all questions each
        for one in _objects(given):
            values = _object(one.get("values"))
            value = values.get(question or next(iter(values), ""))
            yield value, _person(one.get("user_id")), _said(one.get("status"))
    else:  # columns
        key = next((key for key in record if key.endswith(".responses")), "")
        key = f"{question}.responses" if question else key
        answers, *others = (_list(record.get(name)) for name in (key, f"{key}.users", f"{key}.status"))
        for value, user, status in zip_longest(answers, *others):
            yield value, _person(user), _said(status)


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _object(value: Any) -> Record:
    return value if isinstance(value, Mapping) else {}


def _objects(value: Any) -> list[Record]:
    return [one for one in _list(value) if isinstance(one, Mapping)]
