"""Where the header of a delimited text is: after ``sep=;`` as Excel writes it, comments and empty lines."""

from __future__ import annotations

import csv
import io
import re
from dataclasses import dataclass
from itertools import islice

SEPARATORS = {b",": "comma", b"\t": "tab", b";": "semicolon", b"|": "bar"}
_SAMPLE_BYTES, _SAMPLE_RECORDS = 1 << 16, 100
_SEP = re.compile(rb'"?sep=([,;|\t])"?[ \t]*(?:\r?\n|\Z)', re.IGNORECASE)
_LINE = re.compile(rb"[^\n]*\n?")
_NOTHING = b",;|\t \r\n\"'"  # what a row of empty cells consists of


@dataclass(frozen=True, slots=True)
class Heading:
    """How a delimited text begins."""

    start: int  # byte at which the header starts; of a file without one, the first row
    before: int  # lines before it
    separator: bytes  # one byte
    absent: bool = False  # whether there is no header, so that columns are named by their place
    commented: bool = False  # whether it starts with the # of a comment, which is no part of the first name

    def names(self, cells: list[str]) -> list[str]:
        """Return the names of the columns by the cells of the first record; empty for a cell without one."""
        if self.absent:
            return [column_name(i) for i in range(len(cells))]
        first = cells[0].lstrip("# ") if self.commented else cells[0]
        return [name.strip() for name in (first, *cells[1:])]


def column_name(place: int) -> str:
    """Return the name of a column that has none; places count from 0."""
    return f"column_{place + 1}"


def find_heading(data: bytes, *, target: str, tabbed: bool = False, absent: bool = False) -> Heading:
    """Return how a text begins; `target` is a column that its header should have."""
    said = _SEP.match(data)
    at = said.end() if said else 0
    comments: list[int] = []  # where each starts
    while at < len(data):
        end = _LINE.match(data, at).end()  # type: ignore[union-attr]  # it matches everywhere
        line = data[at:end]
        if line.startswith(b"#"):
            comments.append(at)
        elif line.strip(b" \r\n" if absent else _NOTHING):
            break
        at = end
    at = at if at < len(data) else 0
    tabbed = tabbed and b"\t" in data[at : at + _SAMPLE_BYTES]
    separator = said[1] if said else b"\t" if tabbed else sniff_separator(data[at : at + _SAMPLE_BYTES + 1])
    commented = False
    if comments and not absent:
        header, first = (_cells(data, start, separator) for start in (comments[-1], at))
        plain = [header[0].lstrip("# "), *header[1:]]
        same = len(header) == len(first) > 1
        if (same and (target in plain or target not in first)) or target in header or not at:
            at, commented = comments[-1], target != header[0]
    return Heading(at, data.count(b"\n", 0, at), separator, absent, commented)


def sniff_separator(data: bytes) -> bytes:
    """Return the separator under which the header and the first records have the same number of fields."""
    best, best_score = b",", (0.0, 0)
    text, cut = _sampled(data)
    for separator in SEPARATORS:
        rows = _rows(text, separator, cut=cut)
        width = len(rows[0]) if rows else 0
        score = (sum(len(row) == width for row in rows) / max(len(rows), 1), width)
        if width > 1 and score > best_score:
            best, best_score = separator, score
    return best


def looks_like_data(data: bytes, heading: Heading) -> bool:
    """Whether the header reads like a row: a cell of it is a number, or stands below itself again."""
    text, cut = _sampled(data[heading.start : heading.start + _SAMPLE_BYTES + 1])
    rows = [] if heading.absent else _rows(text, heading.separator, cut=cut)
    if not rows or rows[0] == [str(i) for i in range(len(rows[0]))]:
        return False
    below = [set(column) for column in zip(*rows[1:], strict=False)]
    again = [cell in column for cell, column in zip(rows[0], below, strict=False) if cell.strip()]
    return any(map(_is_number, rows[0])) or (any(again) and not all(again))


def _sampled(data: bytes) -> tuple[str, bool]:
    """Return the beginning of a text, and whether there is more of it."""
    return data[:_SAMPLE_BYTES].decode(errors="replace"), len(data) > _SAMPLE_BYTES


def _rows(text: str, separator: bytes, *, cut: bool = False) -> list[list[str]]:
    """Return the first records that are not blank; none where Python's csv module finds none."""
    try:
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator.decode())
        rows = [row for row in islice(reader, _SAMPLE_RECORDS) if row]
    except csv.Error:
        return []
    if cut and 1 < len(rows) < _SAMPLE_RECORDS:
        rows.pop()  # the sample ends inside it
    return rows


def _cells(data: bytes, start: int, separator: bytes) -> list[str]:
    """Return the cells of one line."""
    rows = _rows(_LINE.match(data, start)[0].decode(errors="replace"), separator)  # type: ignore[index]  # it matches everywhere
    return [cell.strip() for cell in rows[0]] if rows else [""]


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True
