r"""Where each record of a text file starts, found with NumPy over the bytes.

A record ends at a newline outside quotes. If every quote that opens follows a separator or a newline, and
every quote that closes comes before one (a doubled quote closes and opens again), a newline is outside quotes
exactly where the number of quotes before it is even. So three sorted lists of positions (quotes, newlines,
separators) and binary searches between them give records, lines and field counts: O(bytes) with no Python
loop. Where a quote stands elsewhere (``5" pipe``) the counting does not hold: `index_records` returns None,
and the caller walks the file with Python's csv module.
"""

from __future__ import annotations

import codecs
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dataaudit.errors import UnreadableFile

Positions = npt.NDArray[np.int64]

_NEWLINE, _RETURN, _QUOTE = 10, 13, 34
_CHUNK = 1 << 24  # bytes searched at a time, so that the comparison's Boolean array stays small
_BLANKS = b" \t\r\n\v\f"


@dataclass(frozen=True, slots=True)
class Records:
    """Records of a text file that are not blank, r of them."""

    starts: Positions  # (r,) offsets in bytes
    ends: Positions  # (r,) before the newline, and before the carriage return of a CRLF
    lines: Positions  # (r,) 1-based physical line of the first byte
    fields: Positions  # (r,)
    blank: int  # number of blank records that were passed over after the first record and before the last


@dataclass(frozen=True, slots=True)
class Decoded:
    """A text as UTF-8."""

    data: bytes
    encoding: str  # Python's name of what it was; empty for UTF-8
    notes: tuple[str, ...] = ()

    @property
    def suffix(self) -> str:
        """What the format of an origin says of it: ``+cp1252``."""
        return f"+{self.encoding}" if self.encoding else ""


def read_text(data: bytes, name: str, *, encoding: str | None) -> Decoded:
    """Return a text as `check_text` does, whatever its encoding; the user may have named that."""
    if encoding is None and 0 not in data and _is_utf8(data):
        return Decoded(_with_newlines(data, name), "")
    from dataaudit.data.formats.encodings import decode  # noqa: PLC0415 - few files need it

    text, was, notes = decode(data, name, named=encoding)
    return Decoded(check_text(text, name), was, notes)


def _is_utf8(data: bytes) -> bool:
    start = len(data) if data.isascii() else 0
    while start < len(data):
        stop = start + _CHUNK
        while stop < len(data) and data[stop] & 0xC0 == 0x80:  # noqa: PLR2004 - not inside a character
            stop += 1
        try:
            data[start:stop].decode()
        except UnicodeDecodeError:
            return False
        start = stop
    return True


def check_text(data: bytes, name: str) -> bytes:
    """Return UTF-8 with newlines, without a byte order mark."""
    null = data.find(0)
    if null >= 0:
        line = data.count(b"\n", 0, null) + 1
        raise UnreadableFile(
            f"{name} is not a text table: got a null byte at byte {null} (line {line})",
            rf"if it is text, remove them: tr -d '\000' < {name} > clean.csv",
        )
    return _with_newlines(data, name)


def _with_newlines(data: bytes, name: str) -> bytes:
    data = data.removeprefix(codecs.BOM_UTF8)
    if b"\r" in data and b"\n" not in data:
        data = data.replace(b"\r", b"\n")
    if not data.strip(_BLANKS):
        raise UnreadableFile(
            f"{name} is empty: got {len(data)} blank bytes", "give a file with a header and rows"
        )
    return data


def index_lines(data: bytes) -> Records:
    """Return the lines of `data` that are not blank, each one record with one field."""
    array = np.frombuffer(data, np.uint8)
    breaks = _positions(array, _NEWLINE)
    starts, ends = _bounds(array, breaks)
    full = starts < ends
    # Only lines that begin with white space can be blank, and there are few.
    for i in np.flatnonzero(full & (array[np.minimum(starts, len(data) - 1)] <= ord(" "))):
        full[i] = bool(data[starts[i] : ends[i]].strip(_BLANKS))
    lines = np.arange(1, starts.size + 1)
    return _without_blank(Records(starts, ends, lines, np.ones(starts.size, np.int64), 0), full)


def index_records(data: bytes, separator: bytes) -> Records | None:
    """Return the records of a delimited text, or None if quotes stand where they do not quote."""
    array = np.frombuffer(data, np.uint8)
    quotes = _positions(array, _QUOTE)
    if not _regular(array, quotes, separator[0]) or _has_bare_return(array, quotes):
        return None
    newlines = _positions(array, _NEWLINE)
    breaks = newlines[np.searchsorted(quotes, newlines) % 2 == 0] if quotes.size else newlines
    starts, ends = _bounds(array, breaks)
    lines = np.searchsorted(newlines, starts) + 1
    fields = _separators_outside(array, quotes, separator[0], starts, ends) + 1
    return _without_blank(Records(starts, ends, lines, fields, 0), starts < ends)


def _positions(array: npt.NDArray[np.uint8], byte: int) -> Positions:
    parts = [np.flatnonzero(array[at : at + _CHUNK] == byte) + at for at in range(0, array.size, _CHUNK)]
    return np.concatenate(parts) if parts else np.empty(0, np.int64)


def _bounds(array: npt.NDArray[np.uint8], breaks: Positions) -> tuple[Positions, Positions]:
    """Start and end of each record; a CR before the newline belongs to the newline."""
    last_is_open = not breaks.size or breaks[-1] < array.size - 1
    ends = np.append(breaks, array.size) if last_is_open else breaks
    starts = np.concatenate(([0], ends[:-1] + 1))
    crlf = (ends > starts) & (array[np.maximum(ends - 1, 0)] == _RETURN)
    return starts, ends - crlf


def _regular(array: npt.NDArray[np.uint8], quotes: Positions, separator: int) -> bool:
    """Whether quotes come in pairs that enclose whole fields."""
    if quotes.size % 2:
        return False
    opens, closes = quotes[0::2], quotes[1::2]
    before = array[np.maximum(opens - 1, 0)]
    doubled = np.zeros(opens.size, bool)
    doubled[1:] = opens[1:] == closes[:-1] + 1
    opens_field = (opens == 0) | (before == separator) | (before == _NEWLINE) | doubled
    after = array[np.minimum(closes + 1, array.size - 1)]
    ends_field = (closes == array.size - 1) | (after == separator) | (after == _NEWLINE) | (after == _QUOTE)
    after_next = array[np.minimum(closes + 2, array.size - 1)]
    ends_field |= (after == _RETURN) & (after_next == _NEWLINE)
    return bool(np.all(opens_field) and np.all(ends_field))


def _has_bare_return(array: npt.NDArray[np.uint8], quotes: Positions) -> bool:
    """Whether a carriage return outside quotes is not half of a CRLF: readers differ on what it ends."""
    returns = _positions(array, _RETURN)
    following = array[np.minimum(returns + 1, array.size - 1)]
    bare = returns[(following != _NEWLINE) | (returns == array.size - 1)]
    return bool(np.any(np.searchsorted(quotes, bare) % 2 == 0))


def _separators_outside(
    array: npt.NDArray[np.uint8], quotes: Positions, separator: int, starts: Positions, ends: Positions
) -> Positions:
    """Return the number of separators outside quotes in each record, (r,)."""
    count = _count_before(array, separator, ends) - _count_before(array, separator, starts)
    if not quotes.size:
        return count
    quoted = _count_before(array, separator, quotes[1::2]) - _count_before(array, separator, quotes[0::2])
    total = np.concatenate(([0], np.cumsum(quoted)))
    inside = total[np.searchsorted(quotes, ends) // 2] - total[np.searchsorted(quotes, starts) // 2]
    outside: Positions = count - inside
    return outside


def _count_before(array: npt.NDArray[np.uint8], byte: int, at: Positions) -> Positions:
    """Return the number of `byte` before each of the sorted positions `at`."""
    counts = np.empty(at.size, np.int64)
    passed = done = 0
    for start in range(0, max(array.size, 1), _CHUNK):
        found = np.flatnonzero(array[start : start + _CHUNK] == byte) + start
        last = start + _CHUNK >= array.size
        upto = at.size if last else int(np.searchsorted(at, start + _CHUNK))
        counts[done:upto] = passed + np.searchsorted(found, at[done:upto])
        passed, done = passed + found.size, upto
    return counts


def _without_blank(records: Records, full: npt.NDArray[np.bool_]) -> Records:
    if full.all():
        return records
    kept = np.flatnonzero(full)
    inner = full[kept[0] : kept[-1] + 1] if kept.size else full[:0]
    return Records(
        records.starts[full],
        records.ends[full],
        records.lines[full],
        records.fields[full],
        int(inner.size - inner.sum()),
    )
