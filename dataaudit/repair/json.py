"""Where a record of NDJSON or JSON and its values are, in bytes, and the edits that a plan makes of it.

Values are found by Python's own decoder, so a span is what it parsed. A new class is written as other rows of
the file write it: ``1``, ``"1"`` or ``true``.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import dataclass
from typing import Any

from dataaudit.data.lines import index_lines
from dataaudit.errors import DataError
from dataaudit.repair.journal import Edit, alike, number
from dataaudit.repair.plan import Plan

_SPACE = re.compile(r"[ \t\n\r]*")
_BETWEEN = re.compile(r"[\s,]*")  # what the reader takes to stand between records
_DECODER = json.JSONDecoder(strict=True)


@dataclass(frozen=True, slots=True)
class Span:
    """A value: what it is, and its first byte and the one after it."""

    value: Any
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Records:
    """The records of a JSON text, r of them.

    Attributes
    ----------
    data : bytes
        The text.
    starts, ends : list of int
        First byte of each, and the one after it.
    regions : list of int
        Where each begins with what goes when it goes: its line in NDJSON. One more than records: the last is
        where the last record's region ends.
    lines : bool
        Whether it is NDJSON.
    """

    data: bytes
    starts: list[int]
    ends: list[int]
    regions: list[int]
    lines: bool

    def fields(self, row: int) -> dict[str, Span]:
        """Return the values of one record by key; of a key that stands twice, the last, as the reader."""
        return _fields(self.data[self.starts[row] : self.ends[row]].decode(), self.starts[row])


def find_edits(data: bytes, plan: Plan) -> list[Edit]:
    """Return the edits of a JSON text that carry out a plan; none, to see whether it can be read.

    Parameters
    ----------
    data : bytes
        As `check_text` gives it.
    plan : Plan
        The changes.

    Returns
    -------
    list of Edit
        In the order of the text.

    Raises
    ------
    DataError
        If the records cannot be told apart as the audit did.
    """
    records = _by_lines(data) if plan.format == "ndjson" else _by_decoding(data)
    _require_same(records, plan)
    spellings = {name: _spelling(records, rows, plan.label_column) for name, rows in plan.examples.items()}
    edits = _drops(records, plan)
    for change in plan.only("relabel"):
        span = records.fields(change.row)[plan.label_column]
        new = spellings[str(change.label)] or _spelled(str(change.label), span.value)
        edits.append(Edit(span.start, span.end, new, change))
    if plan.only("weight"):
        edits += _weights(records, plan)
    return sorted(edits, key=lambda edit: (edit.start, edit.end))


def _by_lines(data: bytes) -> Records:
    index = index_lines(data)
    starts, ends = index.starts.tolist(), index.ends.tolist()
    after = data.find(b"\n", ends[-1])
    return Records(data, starts, ends, [*starts, len(data) if after < 0 else after + 1], lines=True)


def _by_decoding(data: bytes) -> Records:
    text = data.decode()
    array = text.lstrip().startswith("[")
    at = text.index("[") + 1 if array else 0
    end = len(text.rstrip())
    starts, ends, passed, size = list[int](), list[int](), 0, 0
    while (at := _past(_BETWEEN, text, at)) < end and not (array and text[at] == "]"):
        size, passed = size + len(text[passed:at].encode()), at
        starts.append(size)
        try:
            at = _DECODER.raw_decode(text, at)[1]
        except (ValueError, RecursionError) as error:
            what = f"record {len(starts) - 1} of the file is not JSON"
            raise DataError(what, "mend it, and audit the file again") from error
        size, passed = size + len(text[passed:at].encode()), at
        ends.append(size)
    return Records(data, starts, ends, [*starts, *ends[-1:]], lines=False)


def _require_same(records: Records, plan: Plan) -> None:
    """Refuse records that are not those of the audit: as many, on the same lines, of the same classes."""
    what = "the records of the file cannot be told apart as they were in the audit"
    refused = DataError(what, "save the file again as NDJSON, and audit that")
    if len(records.starts) != plan.rows:
        raise refused
    line, done = 1, 0
    for change in plan.changes:
        start = records.starts[change.row]
        line, done = line + records.data.count(b"\n", done, start), start
        span = records.fields(change.row).get(plan.label_column)
        same_line = change.line is None or change.line == line
        if span is None or not same_line or not alike(_plain(span.value), change.before):
            raise refused


def _fields(text: str, offset: int) -> dict[str, Span]:
    """Return the values of the object that `text` starts with, at byte `offset` of the file."""
    found, passed, size = dict[str, Span](), 0, offset
    at = _past(_SPACE, text, _past(_SPACE, text, 0) + 1)
    while text[at] != "}":
        key, at = _DECODER.raw_decode(text, at)
        at = _past(_SPACE, text, _past(_SPACE, text, at) + 1)  # past the colon
        size, passed = size + len(text[passed:at].encode()), at
        start = size
        value, at = _DECODER.raw_decode(text, at)
        size, passed = size + len(text[passed:at].encode()), at
        found[key] = Span(value, start, size)
        at = _past(_SPACE, text, at)
        if text[at] == ",":
            at = _past(_SPACE, text, at + 1)
    return found


def _past(pattern: re.Pattern[str], text: str, at: int) -> int:
    found = pattern.match(text, at)
    return found.end() if found else at


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _spelling(records: Records, rows: tuple[int, ...], column: str) -> bytes | None:
    """Return the bytes by which most of these rows write the class; None for a new class."""
    spans = [records.fields(row)[column] for row in rows]
    common = Counter(records.data[span.start : span.end] for span in spans).most_common(1)
    return common[0][0] if common else None


def _spelled(label: str, like: Any) -> bytes:
    """Return a new class as JSON: a number where the old value is one and it reads as one."""
    if isinstance(like, int | float) and not isinstance(like, bool):
        try:
            return number(float(label)).encode()
        except (ValueError, OverflowError):
            pass
    return json.dumps(label, ensure_ascii=False).encode()


def _drops(records: Records, plan: Plan) -> list[Edit]:
    """Remove records with the comma, or the line break, that parts each from the next one."""
    dropped = {change.row for change in plan.only("drop")}
    last = plan.rows - 1
    while last in dropped:
        last -= 1
    edits = list[Edit]()
    for change in plan.only("drop"):
        start, end = records.regions[change.row], records.regions[change.row + 1]
        if change.row > last and not records.lines:  # nothing follows: the comma before goes instead
            start, end = records.ends[change.row - 1], records.ends[change.row]
        edits.append(Edit(start, end, b"", change))
    return edits


def _weights(records: Records, plan: Plan) -> list[Edit]:
    """Set the weights; a record that has none gets one, of 1 unless it was decided."""
    decided = {change.row: change for change in plan.only("weight")}
    dropped = {change.row for change in plan.only("drop")}
    has = any(plan.weight_column in records.fields(row) for row in range(plan.rows))
    edits = list[Edit]()
    for row in sorted(decided) if has else range(plan.rows):
        if row in dropped:
            continue
        whose, fields = decided.get(row), records.fields(row)
        new = number(whose.weight or 0.0).encode() if whose else b"1"
        if plan.weight_column in fields:
            span = fields[plan.weight_column]
            edits.append(Edit(span.start, span.end, new, whose))
        else:
            at = max(span.end for span in fields.values())
            key = json.dumps(plan.weight_column, ensure_ascii=False).encode()
            edits.append(Edit(at, at, b", " + key + b": " + new, whose))
    return edits
