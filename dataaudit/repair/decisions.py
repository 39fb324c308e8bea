"""Decisions: what a reviewer says of a row, as JSON lines or CSV.

JSON lines, one object a decision; the run id of the findings stands in every line, or once in a first line
that has no ``row_id``::

    {"run_id": "0f3c…"}
    {"row_id": "mail.csv:17", "action": "relabel", "label": "spam", "reviewer": "ada", "note": "an offer"}
    {"row_id": "mail.csv:40", "action": "weight", "weight": 0.5}

CSV has the same names as its header; `row_id` and `action` are needed, the others may be absent or empty.
"""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Final, Literal, get_args

from dataaudit.data.blob import require_data
from dataaudit.errors import DataError, UnreadableFile, closest
from dataaudit.escape import shown
from dataaudit.files import write_whole

Action = Literal["keep", "relabel", "drop", "weight", "unsure"]
ACTIONS: Final[tuple[str, ...]] = get_args(Action)
RUN_ID: Final = "run_id"
_HINT: Final = 'a line is e.g. {"row_id": "mail.csv:17", "action": "relabel", "label": "spam"}'


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What is to happen to one row."""

    row_id: str  # name of the row, as the findings have it
    action: Action
    label: str | None = None  # the new class, with "relabel" and only there
    weight: float | None = None  # the new weight, 0 or more, with "weight" and only there
    reviewer: str = ""  # who decided
    note: str = ""  # why

    def __post_init__(self) -> None:
        """Check that the fields go together."""
        if not self.row_id:
            raise DataError("a decision has no row_id", _HINT)
        if self.action not in ACTIONS:
            near = closest(str(self.action), ACTIONS)
            hint = f"did you mean {near!r}?" if near else f"use one of {', '.join(ACTIONS)}"
            raise DataError(f"unknown action: got {shown(repr(self.action))}", hint)
        if self.action == "relabel" and not self.label:
            raise DataError("relabel has no label", 'name the class: "label": "spam"')
        if self.action == "weight" and not (self.weight is not None and 0 <= self.weight < math.inf):
            raise DataError(f"weight must be 0 or more: got {self.weight}", 'give it: "weight": 0.5')

    @property
    def outcome(self) -> tuple[str, str | None, float | None]:
        """What happens to the row, whoever decided it."""
        label = self.label if self.action == "relabel" else None
        return self.action, label, self.weight if self.action == "weight" else None


@dataclass(frozen=True, slots=True)
class Decisions:
    """The decisions of a review, at most one a row."""

    rows: tuple[Decision, ...]  # in the order of the file
    run_id: str = ""  # of the findings that were reviewed; empty if the file does not say


def read_decisions(path: str | Path, *, may_be_empty: bool = False) -> Decisions:
    """Read decisions from JSON lines, or from CSV if the name ends so."""
    path = Path(path)
    name = shown(path.as_posix())
    try:
        data = path.read_bytes()
        require_data(data, path.as_posix())
        text = data.decode("utf-8-sig")
    except OSError as error:
        raise UnreadableFile(f"{name} cannot be read: {error.strerror or error}", "check the path") from error
    except UnicodeDecodeError as error:
        what = f"{name} is not UTF-8: got byte 0x{error.object[error.start]:02x} at byte {error.start}"
        raise UnreadableFile(what, "name the file of decisions") from error
    lines = _csv_lines(text, name) if path.suffix.lower() in (".csv", ".tsv") else _json_lines(text, name)
    rows, runs = list[tuple[int, Decision]](), dict[str, int]()
    for number, values in lines:
        run = _text(values, RUN_ID, f"{name} line {number}")
        if run:
            runs.setdefault(run, number)
        if set(values) - {RUN_ID, "format"} or not run:
            rows.append((number, _decision(values, f"{name} line {number}")))
    if len(runs) > 1:
        first, second = list(runs.items())[:2]
        what = f"{name} line {second[1]} is of run {second[0]}, line {first[1]} of {first[0]}"
        raise DataError(what, "apply the decisions of one run at a time")
    if not rows and not may_be_empty:
        raise DataError(f"{name} holds no decisions", _HINT)
    return Decisions(_once(rows, name), next(iter(runs), ""))


def write_decisions(path: str | Path, decisions: Decisions) -> None:
    """Write decisions as JSON lines, or as CSV if the name ends so; whole or not at all."""
    path = Path(path)
    rows = [
        {name: value for name, value in asdict(row).items() if value not in (None, "")}
        for row in decisions.rows
    ]
    out = io.StringIO(newline="")
    if path.suffix.lower() == ".csv":
        names = [*(field.name for field in fields(Decision)), RUN_ID]
        table = csv.DictWriter(out, names)  # its CRLF makes it quote both characters
        table.writeheader()
        table.writerows({**row, RUN_ID: decisions.run_id} for row in rows)
    else:
        header = [{RUN_ID: decisions.run_id}] if decisions.run_id else []
        out.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in [*header, *rows])
    write_whole(path, out.getvalue(), hint="name another file with --decisions")


def _json_lines(text: str, name: str) -> Iterator[tuple[int, Mapping[str, Any]]]:
    # Not splitlines: U+2028 may stand inside a JSON string.
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            values = json.loads(line)
        except (ValueError, RecursionError) as error:
            reason = getattr(error, "msg", "nested too deep")
            raise UnreadableFile(f"{name} line {number} is not JSON: {reason}", _HINT) from error
        if not isinstance(values, dict):
            raise UnreadableFile(f"{name} line {number} is no object: got {shown(line.strip())[:40]}", _HINT)
        yield number, values


def _csv_lines(text: str, name: str) -> Iterator[tuple[int, Mapping[str, Any]]]:
    separator = "\t" if name.lower().endswith(".tsv") else ","
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    header, before = list[str](), 0
    try:
        for row in reader:
            number, before = before + 1, reader.line_num
            if not row:
                continue
            if not header:
                header = [cell.strip() for cell in row]
            elif len(row) != len(header):
                what = f"{name} line {number} has {len(row)} fields where the header has {len(header)}"
                raise UnreadableFile(what, "fix that line")
            else:
                yield number, {key: cell for key, cell in zip(header, row, strict=True) if cell}
    except csv.Error as error:
        raise UnreadableFile(f"{name} line {before + 1} is not CSV: {error}", "fix that line") from error


def _decision(values: Mapping[str, Any], where: str) -> Decision:
    known = {field.name for field in fields(Decision)} | {RUN_ID}
    for key in values:
        if key not in known:
            near = closest(key, known)
            hint = f"did you mean {near!r}?" if near else f"the fields are {', '.join(sorted(known))}"
            raise UnreadableFile(f"{where} has an unknown field {shown(key)!r}", hint)
    try:
        return Decision(
            row_id=_text(values, "row_id", where),
            action=_text(values, "action", where),  # type: ignore[arg-type]  # the class checks it
            label=_text(values, "label", where) or None,
            weight=_number(values.get("weight"), where),
            reviewer=_text(values, "reviewer", where),
            note=_text(values, "note", where),
        )
    except UnreadableFile:
        raise
    except DataError as error:
        raise UnreadableFile(f"{where}: {error.what}", error.hint) from error


def _text(values: Mapping[str, Any], key: str, where: str) -> str:
    value = values.get(key)
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if key == "label" and isinstance(value, int | float):
        return str(int(value)) if value == int(value) else str(value)
    if not isinstance(value, str):
        raise UnreadableFile(f"{where}: {key} must be text: got {shown(repr(value))[:40]}", "quote it")
    if any("\ud800" <= letter <= "\udfff" for letter in value):
        raise UnreadableFile(f"{where}: {key} has half a surrogate pair, which is no text", "write it again")
    return value


def _number(value: Any, where: str) -> float | None:
    if value is None or value == "":
        return None
    try:
        return float("" if isinstance(value, bool) else value)
    except (TypeError, ValueError) as error:
        raise UnreadableFile(f"{where}: weight is no number: got {shown(repr(value))[:40]}", _HINT) from error


def _once(rows: Sequence[tuple[int, Decision]], name: str) -> tuple[Decision, ...]:
    """Return one decision a row; two that say the same are one."""
    seen = dict[str, tuple[int, Decision]]()
    for number, row in rows:
        line, before = seen.setdefault(row.row_id, (number, row))
        if before.outcome != row.outcome:
            what = (
                f"{name} decides row {shown(row.row_id)!r} twice: {_described(before)} on line {line}, "
                f"{_described(row)} on line {number}"
            )
            raise DataError(what, "keep one of the two lines")
    return tuple(row for _, row in seen.values())


def _described(row: Decision) -> str:
    details = [shown(repr(value)) for value in row.outcome[1:] if value is not None]
    return " ".join([row.action, *details])
