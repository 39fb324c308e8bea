"""Where a record of NDJSON or JSON and its values are, in bytes.

Values are found by Python's own decoder, so a span is what it parsed. A new class is written as other rows of
the file write it: ``1``, ``"1"`` or ``true``.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from dataaudit.cells import CLASS_FIELDS
from dataaudit.data.formats.layout import BETWEEN, DECODER, find_layout, members, past, require_records
from dataaudit.data.formats.lines import index_lines
from dataaudit.errors import DataError
from dataaudit.repair.edits import ByteEdit, Span, TextRecords, agrees, edits_of, number
from dataaudit.repair.plan import Plan


@dataclass(frozen=True, slots=True)
class Objects(TextRecords):
    """The records of a JSON text."""

    data: bytes
    starts: Sequence[int]
    ends: Sequence[int]
    regions: Sequence[int]  # where each begins with what goes when it goes, and the end of the last one
    lines: bool  # whether it is NDJSON
    schema: bool = False  # whether a schema of pandas lists the columns

    def cell(self, row: int, column: str) -> Span | None:
        """Return the value of a key."""
        return self._fields(row).get(column)

    def region(self, row: int, *, is_last: bool) -> tuple[int, int]:
        """Return the record with the comma, or the line break, between it and the next one."""
        if is_last and not self.lines:  # nothing follows: the comma before goes instead
            return self.ends[row - 1], self.ends[row]
        return self.regions[row], self.regions[row + 1]

    def written(self, label: str, like: Sequence[Span], *, instead: Span) -> bytes:
        """Return the class as most of these write it; a new class as a number where the old value is one."""
        common = Counter(self.data[span.start : span.end] for span in like).most_common(1)
        if common:
            return common[0][0]
        old = json.loads(self.data[instead.start : instead.end])
        if isinstance(old, list | dict):
            what = f"a list or an object cannot hold {label!r}, which no row has"
            raise DataError(what, "choose a class that some row has")
        if isinstance(old, int | float) and not isinstance(old, bool):
            try:
                return number(float(label)).encode()
            except (ValueError, OverflowError):
                pass
        return json.dumps(label, ensure_ascii=False).encode()

    def has(self, column: str) -> bool:
        """Whether any record has that key."""
        return any(column in self._fields(row) for row in range(len(self.starts)))

    def header_edits(self, column: str) -> list[ByteEdit]:
        """Refuse a column that a schema does not list: pandas would not read it."""
        if self.schema:
            what = f"the schema of the file has no column {column!r}"
            raise DataError(what, 'write it with orient="records", and audit that')
        return []

    def numbered(self, row: int, column: str, number: str) -> tuple[int, int, bytes]:
        """Replace a value, or add a key at the end of the record."""
        fields = self._fields(row)
        if column in fields:
            return fields[column].start, fields[column].end, number.encode()
        at = max(span.end for span in fields.values())
        return at, at, f", {json.dumps(column, ensure_ascii=False)}: {number}".encode()

    def _fields(self, row: int) -> dict[str, Span]:
        return _fields(self.data[self.starts[row] : self.ends[row]].decode(), self.starts[row])


def find_edits(data: bytes, plan: Plan) -> list[ByteEdit]:
    """Return the edits of a JSON text that carry out a plan; none, to see whether it can be read."""
    records = _by_lines(data) if plan.format == "ndjson" else _by_decoding(data, plan.label_column)
    if not agrees(records, plan):
        what = "the records of the file cannot be separated as they were in the audit"
        raise DataError(what, "save the file again as NDJSON, and audit that")
    return edits_of(records, plan)


def _by_lines(data: bytes) -> Objects:
    index = index_lines(data)
    starts, ends = index.starts.tolist(), index.ends.tolist()
    after = data.find(b"\n", ends[-1])
    return Objects(data, starts, ends, [*starts, len(data) if after < 0 else after + 1], lines=True)


def _by_decoding(data: bytes, target: str) -> Objects:
    text = data.decode()
    layout = find_layout(text, target, "the file")
    require_records(layout)
    at, array, end = layout.start, layout.array, len(text.rstrip())
    starts, ends, passed, size = list[int](), list[int](), 0, 0
    while (at := past(BETWEEN, text, at)) < end and not (array and text[at] == "]"):
        size, passed = size + len(text[passed:at].encode()), at
        starts.append(size)
        try:
            at = DECODER.raw_decode(text, at)[1]
        except (ValueError, RecursionError) as error:
            what = f"record {len(starts) - 1} of the file is not JSON"
            raise DataError(what, "fix it, and audit the file again") from error
        size, passed = size + len(text[passed:at].encode()), at
        ends.append(size)
    return Objects(data, starts, ends, [*starts, *ends[-1:]], lines=False, schema=bool(layout.index))


def _class(value: Any, raw: str) -> str:
    """Return the class that a string, a list of one or an object with a name stands for; else the text."""
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    elif isinstance(value, dict):
        named = [key for key in value if len(value) == 1 or key.casefold() in CLASS_FIELDS]
        value = value[named[0]] if named else None
    return value if isinstance(value, str) else raw


def _fields(text: str, offset: int) -> dict[str, Span]:
    """Return the values by key of the object that `text` starts with, at byte `offset` of the file."""
    fields, passed, size = dict[str, Span](), 0, offset
    for key, begin, end, value in members(text, 0):
        raw = text[begin:end]
        start = size + len(text[passed:begin].encode())
        passed, size = end, start + len(raw.encode())
        fields[key] = Span(start, size, _class(value, raw))
    return fields
