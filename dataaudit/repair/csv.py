"""Where a record of a CSV file and its cells are, in bytes, and the edits that a plan makes of it.

A cell is found as Python's csv module reads it: a quote that opens a cell closes at the next quote that is
not doubled; anywhere else it is text. A new class is spelled as other rows of the file spell it, within
quotes exactly where the old cell was.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass

from dataaudit.data.csv import sniff_separator
from dataaudit.data.lines import index_records
from dataaudit.errors import DataError
from dataaudit.repair.journal import Edit, alike, number
from dataaudit.repair.plan import Plan

_BREAK = re.compile(rb"\r?\n|\Z")
_LINES = b"\r\n"
_LOOKED_AT = 1000  # records in which a decimal comma is looked for


@dataclass(frozen=True, slots=True)
class Record:
    """One record: its cells as (start, end), before its line break, and where the next one starts."""

    cells: tuple[tuple[int, int], ...]
    next: int

    @property
    def end(self) -> int:
        """Byte after the last cell."""
        return self.cells[-1][1]


@dataclass(frozen=True, slots=True)
class Sheet:
    """A delimited text taken apart.

    Attributes
    ----------
    data : bytes
        As `check_text` gives it.
    separator : bytes
        One byte.
    spaced : bool
        Whether a blank after a separator belongs to it, so that a quote may follow.
    starts : list of int
        Where each record begins, the header first.
    """

    data: bytes
    separator: bytes
    spaced: bool
    starts: list[int]

    def record(self, row: int) -> Record:
        """Take record `row` apart; the header is -1."""
        return _record(self.data, self.starts[row + 1], self.separator, spaced=self.spaced)

    def text(self, cell: tuple[int, int]) -> str:
        """Return what a cell says, without its quotes."""
        raw = self.data[cell[0] : cell[1]].decode()
        return raw[1:-1].replace('""', '"') if raw.startswith('"') else raw

    def names(self) -> list[str]:
        """Return the header as the audit reads it."""
        cells = self.record(-1).cells
        return [self.text(cell).strip() or f"column_{i}" for i, cell in enumerate(cells, start=1)]

    def cell(self, row: int, column: int) -> tuple[int, int]:
        """Return one cell, if the record has as many as the header."""
        cells = self.record(row).cells
        if len(cells) != len(self.record(-1).cells):
            raise DataError(f"record {row} has {len(cells)} cells", "check its quoting")
        return cells[column]

    def spell(self, text: str, like: tuple[int, int]) -> bytes:
        """Return `text` as a cell, within quotes if `like` is, or if it must be."""
        quoted = self.data[like[0] : like[0] + 1] == b'"'
        special = any(c in text for c in ('"', "\n", "\r", self.separator.decode()))
        if quoted or special or (self.spaced and text.startswith(" ")):
            return b'"' + text.replace('"', '""').encode() + b'"'
        return text.encode()


def find_edits(data: bytes, plan: Plan) -> list[Edit]:
    """Return the edits of a delimited text that carry out a plan; none, to see whether it can be read.

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
    separator = b"\t" if plan.format == "tsv" else sniff_separator(data)
    sheet = _sheet(data, separator, plan)
    column = sheet.names().index(plan.label_column)
    edits = [
        Edit(sheet.starts[change.row + 1], sheet.record(change.row).next, b"", change)
        for change in plan.only("drop")
    ]
    spellings = {name: _spelling(sheet, rows, column, name) for name, rows in plan.examples.items()}
    for change in plan.only("relabel"):
        cell = sheet.cell(change.row, column)
        new = sheet.spell(spellings[str(change.label)], like=cell)
        edits.append(Edit(*cell, new, change))
    if plan.only("weight"):
        edits += _weights(sheet, plan)
    return sorted(edits, key=lambda edit: (edit.start, edit.end))


def _sheet(data: bytes, separator: bytes, plan: Plan) -> Sheet:
    """Take the text apart by its index, or by walking where its quotes are irregular, as the audit did."""
    indexed = index_records(data, separator)
    if indexed is not None:
        sheet = Sheet(data, separator, spaced=False, starts=indexed.starts.tolist())
        if _agrees(sheet, plan):
            return sheet
    spaced = separator + b' "' in data
    sheet = Sheet(data, separator, spaced, _walk(data, separator, spaced=spaced))
    if not _agrees(sheet, plan):
        what = "the records of the file cannot be told apart as they were in the audit"
        raise DataError(what, "save the file with regular quoting, and audit it again")
    return sheet


def _agrees(sheet: Sheet, plan: Plan) -> bool:
    """Whether the records are those of the audit: as many, on the same lines, of the same classes."""
    if len(sheet.starts) != plan.rows + 1 or plan.label_column not in sheet.names():
        return False
    column = sheet.names().index(plan.label_column)
    line, done = 1, 0
    for change in plan.changes:
        start = sheet.starts[change.row + 1]
        line, done = line + sheet.data.count(b"\n", done, start), start
        try:
            text = sheet.text(sheet.cell(change.row, column))
        except DataError:
            return False
        if (change.line is not None and change.line != line) or not alike(text, change.before):
            return False
    return True


def _walk(data: bytes, separator: bytes, *, spaced: bool) -> list[int]:
    """Return where every record starts that is not blank."""
    starts, at = [], 0
    while at < len(data):
        record = _record(data, at, separator, spaced=spaced)
        if record.end > at:
            starts.append(at)
        at = record.next
    return starts


def _record(data: bytes, start: int, separator: bytes, *, spaced: bool) -> Record:
    plain = re.compile(rb"[^\n" + re.escape(separator) + rb"]*")
    cells, at = [], start
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
        return Record(tuple(cells), end + 1)
    if after is None:
        raise DataError(f"byte {end} of the file is text after a closing quote", "mend its quoting")
    return Record(tuple(cells), after.end())


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


def _spelling(sheet: Sheet, rows: tuple[int, ...], column: int, name: str) -> str:
    """Return how most of these rows spell the class; a new class is spelled as it is."""
    texts = [sheet.text(sheet.cell(row, column)) for row in rows]
    common = Counter(text for text in texts if alike(text, name)).most_common(1)
    return common[0][0] if common else name


def _weights(sheet: Sheet, plan: Plan) -> list[Edit]:
    """Set the weights in their column; where there is none, every record gets one, of 1 by default."""
    names = sheet.names()
    decided = {change.row: change for change in plan.only("weight")}
    if plan.weight_column in names:
        column = names.index(plan.weight_column)
        comma = sheet.separator == b";" and _has_comma(sheet, column, plan.rows)
        edits = list[Edit]()
        for row, change in decided.items():
            cell = sheet.cell(row, column)
            text = number(change.weight or 0.0)
            edits.append(Edit(*cell, sheet.spell(text.replace(".", ",") if comma else text, cell), change))
        return edits
    dropped = {change.row for change in plan.only("drop")}
    header = sheet.record(-1)
    name = sheet.spell(plan.weight_column, like=header.cells[0])
    edits = [Edit(header.end, header.end, sheet.separator + name)]
    for row in range(plan.rows):
        if row not in dropped:
            end = sheet.record(row).end
            whose = decided.get(row)
            text = number(whose.weight or 0.0) if whose else "1"
            edits.append(Edit(end, end, sheet.separator + text.encode(), whose))
    return edits


def _has_comma(sheet: Sheet, column: int, rows: int) -> bool:
    return any("," in sheet.text(sheet.cell(row, column)) for row in range(min(rows, _LOOKED_AT)))
