"""Where a record of a CSV file and its cells are, in bytes.

A cell is found as Python's csv module reads it: a quote that opens a cell closes at the next quote that is
not doubled; anywhere else it is text. A new class is spelled as other rows of the file spell it, within
quotes exactly where the old cell was.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from dataaudit.data.formats.header import Heading, column_name, find_heading
from dataaudit.data.formats.lines import index_records
from dataaudit.errors import DataError
from dataaudit.repair.edits import ByteEdit, Span, TextRecords, agrees, alike, edits_of
from dataaudit.repair.plan import Plan

_BREAK = re.compile(rb"\r?\n|\Z")
_LOOKED_AT = 1000  # records in which a decimal comma is looked for


@dataclass(frozen=True)
class Sheet(TextRecords):
    """A delimited text taken apart."""

    data: bytes  # as `check_text` gives it
    header: Heading
    spaced: bool  # whether a blank after a separator belongs to it, so that a quote may follow
    heading: int  # first byte of the header; of the first record where there is none
    starts: Sequence[int]

    @property
    def separator(self) -> bytes:
        """One byte."""
        return self.header.separator

    @cached_property
    def columns(self) -> dict[str, int]:
        """Names in the header as the audit reads it, with their places."""
        cells, _ = self._record(self.heading)
        names = self.header.names([self._text(*cell) for cell in cells])[: self.width]
        return {name or column_name(i): i for i, name in reversed(list(enumerate(names)))}

    @cached_property
    def width(self) -> int:
        """Cells of a record: those of the header, or one more or fewer where one ends with a separator."""
        return len(self._record(self.starts[0] if self.starts else self.heading)[0])

    @cached_property
    def decimal_commas(self) -> set[int]:
        """Places of the columns that write decimals with a comma."""
        records = (self._record(start)[0] for start in self.starts[:_LOOKED_AT] if self.separator == b";")
        return {i for cells in records for i, cell in enumerate(cells) if b"," in self.data[slice(*cell)]}

    def cell(self, row: int, column: str) -> Span | None:
        """Return one cell; None if the record has not as many as the header."""
        cells, _ = self._record(self.starts[row])
        if column not in self.columns or len(cells) != self.width:
            return None
        start, end = cells[self.columns[column]]
        return Span(start, end, self._text(start, end))

    def region(self, row: int, *, is_last: bool) -> tuple[int, int]:
        """Return the record with its line break."""
        return self.starts[row], self._record(self.starts[row])[1]

    def written(self, label: str, like: Sequence[Span], *, instead: Span) -> bytes:
        """Return the class as most of these spell it; a new class is spelled as it is."""
        common = Counter(span.text for span in like if alike(span.text, label)).most_common(1)
        return self._spelled(common[0][0] if common else label, instead.start)

    def has(self, column: str) -> bool:
        """Whether the header names it."""
        return column in self.columns

    def numbered(self, row: int, column: str, number: str) -> tuple[int, int, bytes]:
        """Replace a cell, or add one at the end of the record."""
        old = self.cell(row, column)
        if old is not None:
            comma = self.columns[column] in self.decimal_commas
            text = number.replace(".", ",") if comma else number
            return old.start, old.end, self._spelled(text, old.start)
        end = self._record(self.starts[row])[0][-1][1]
        return end, end, self.separator + number.encode()

    def header_edits(self, column: str) -> list[ByteEdit]:
        """Add a name at the end of the header, below which the records add their cells."""
        if self.header.absent:
            what = f"the file has no header, which could name a column {column!r}"
            raise DataError(what, "name a column that it has with --weight-column, or give it a header")
        cells, _ = self._record(self.heading)
        end, more = cells[-1][1], 1 + self.width - len(cells)
        return [ByteEdit(end, end, self.separator * more + self._spelled(column, cells[0][0]))]

    def _text(self, start: int, end: int) -> str:
        """Return what a cell says, without its quotes."""
        raw = self.data[start:end].decode()
        return raw[1:-1].replace('""', '"') if raw.startswith('"') else raw

    def _spelled(self, text: str, like: int) -> bytes:
        """Return `text` as a cell, within quotes if the one at byte `like` is, or if it must be."""
        is_quoted = self.data[like : like + 1] == b'"'
        is_special = any(c in text for c in ('"', "\n", "\r", self.separator.decode()))
        if is_quoted or is_special or (self.spaced and text.startswith(" ")):
            return b'"' + text.replace('"', '""').encode() + b'"'
        return text.encode()

    def _record(self, start: int) -> tuple[list[tuple[int, int]], int]:
        return _record(self.data, start, self.separator, spaced=self.spaced)


def find_edits(data: bytes, plan: Plan) -> list[ByteEdit]:
    """Return the edits of a delimited text that carry out a plan; none, to see whether it can be read."""
    header = find_heading(data, target=plan.label_column, tabbed=plan.format == "tsv", absent=plan.no_header)
    return edits_of(_sheet(data, header, plan), plan)


def _sheet(data: bytes, header: Heading, plan: Plan) -> Sheet:
    """Take the text apart by its index, or by walking where its quotes are irregular, as the audit did."""
    below = data[header.start :] if header.start else data
    indexed = index_records(below, header.separator)
    first = 0 if header.absent else 1
    if indexed is not None:
        starts = (indexed.starts + header.start).tolist()
        sheet = Sheet(data, header, spaced=False, heading=starts[0], starts=starts[first:])
        if sheet.has(plan.label_column) and agrees(sheet, plan):
            return sheet
    spaced = header.separator + b' "' in below
    starts = _walk(data, header, spaced=spaced) or [0]
    sheet = Sheet(data, header, spaced, starts[0], starts[first:])
    if not (sheet.has(plan.label_column) and agrees(sheet, plan)):
        what = "the records of the file cannot be separated as they were in the audit"
        raise DataError(what, "save the file with regular quoting, and audit it again")
    return sheet


def _walk(data: bytes, header: Heading, *, spaced: bool) -> list[int]:
    """Return where every record starts that is not blank."""
    starts, at = [], header.start
    while at < len(data):
        cells, after = _record(data, at, header.separator, spaced=spaced)
        if cells[-1][1] > at:
            starts.append(at)
        at = after
    return starts


def _record(data: bytes, start: int, separator: bytes, *, spaced: bool) -> tuple[list[tuple[int, int]], int]:
    """Return the cells of a record as (start, end), and where the next record starts."""
    plain = re.compile(rb"[^\n" + re.escape(separator) + rb"]*")
    cells, at = list[tuple[int, int]](), start
    while True:
        first = at
        while spaced and data[first : first + 1] == b" ":
            first += 1
        if data[first : first + 1] == b'"':
            end = _closing(data, first)
        else:
            found = plain.match(data, first)
            end = found.end() if found else first
            if data[end - 1 : end] == b"\r" and end > first and data[end : end + 1] in (b"\n", b""):
                end -= 1
        cells.append((first, end))
        if data[end : end + 1] != separator:
            break
        at = end + 1
    after = _BREAK.match(data, end)
    if after is None and data[end : end + 1] == b"\r":  # the last byte of the file
        return cells, end + 1
    if after is None:
        raise DataError(f"byte {end} of the file is text after a closing quote", "fix its quoting")
    return cells, after.end()


def _closing(data: bytes, start: int) -> int:
    """Return the byte after the quote that closes the cell that starts with one."""
    at = start + 1
    while True:
        quote = data.find(b'"', at)
        if quote < 0:
            raise DataError(f"the quote at byte {start} of the file never closes", "close it")
        if data[quote + 1 : quote + 2] != b'"':
            return quote + 1
        at = quote + 2
