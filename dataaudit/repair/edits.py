"""Edits of a text file: some spans of its bytes get other bytes, all else stays; and the way back.

What a plan changes is the same for every format of text, whose `TextRecords` say where a record and its
values are and how a value is written. An edit knows its place in the old bytes. Once all are made, its place
in the new bytes follows from the lengths before it; that place, the number of new bytes there, and the old
bytes are what undo needs.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dataaudit.errors import DataError
from dataaudit.repair.journal import described
from dataaudit.repair.plan import Plan, RowChange


@dataclass(frozen=True, slots=True)
class ByteEdit:
    """One span of old bytes and what comes in its place."""

    start: int
    end: int  # equal for an insertion
    new: bytes
    change: RowChange | None = None  # whose doing it is; None for the weight of a row that nobody decided on


@dataclass(frozen=True, slots=True)
class Span:
    """A value: its first byte, the one after it, and what it says as text."""

    start: int
    end: int
    text: str


class TextRecords(ABC):
    """The records of a text file, by their numbers in the audit."""

    data: bytes
    starts: Sequence[int]  # first byte of each

    @abstractmethod
    def cell(self, row: int, column: str) -> Span | None:
        """Return a value of a record; None if it has no such one."""

    @abstractmethod
    def region(self, row: int, *, is_last: bool) -> tuple[int, int]:
        """Return the bytes that go when a record is dropped; of the last ones no other record follows."""

    @abstractmethod
    def written(self, label: str, like: Sequence[Span], *, instead: Span) -> bytes:
        """Return a class as other records write it, in the place of another."""

    @abstractmethod
    def has(self, column: str) -> bool:
        """Whether records have values of that name."""

    @abstractmethod
    def numbered(self, row: int, column: str, number: str) -> tuple[int, int, bytes]:
        """Return the edit by which a record gets a number, in a new column if need be."""

    def header_edits(self, column: str) -> list[ByteEdit]:
        """Return the edits that announce a new column before all records."""
        return []


def agrees(records: TextRecords, plan: Plan) -> bool:
    """Whether the records are those of the audit: as many, on the same lines, of the same classes."""
    if len(records.starts) != plan.rows:
        return False
    line, done = 1, 0
    for change in plan.changes:
        start = records.starts[change.row]
        line, done = line + records.data.count(b"\n", done, start), start
        span = records.cell(change.row, plan.label_column)
        if span is None or change.line not in (None, line) or not alike(span.text, change.before):
            return False
    return True


def edits_of(records: TextRecords, plan: Plan) -> list[ByteEdit]:
    """Return the edits that carry out a plan, in the order of the file."""
    edits = [*_drops(records, plan), *_relabels(records, plan), *_weights(records, plan)]
    return sorted(edits, key=lambda edit: (edit.start, edit.end))


def _drops(records: TextRecords, plan: Plan) -> Iterator[ByteEdit]:
    dropped = {change.row for change in plan.only("drop")}
    last = plan.rows - 1
    while last in dropped:
        last -= 1
    for change in plan.only("drop"):
        yield ByteEdit(*records.region(change.row, is_last=change.row > last), b"", change)


def _relabels(records: TextRecords, plan: Plan) -> Iterator[ByteEdit]:
    examples = {
        name: [span for row in rows if (span := records.cell(row, plan.label_column))]
        for name, rows in plan.examples.items()
    }
    for change in plan.only("relabel"):
        label, old = str(change.label), records.cell(change.row, plan.label_column)
        if old is not None:  # as `agrees` has seen
            yield ByteEdit(old.start, old.end, records.written(label, examples[label], instead=old), change)


def _weights(records: TextRecords, plan: Plan) -> Iterator[ByteEdit]:
    """Set the weights; where no record has one, every one gets it, of 1 unless it was decided."""
    decided, dropped = ({c.row: c for c in plan.only(action)} for action in ("weight", "drop"))
    if not decided:
        return
    is_new = not records.has(plan.weight_column)
    if is_new:
        yield from records.header_edits(plan.weight_column)
    for row in range(plan.rows) if is_new else sorted(decided):
        if row not in dropped:
            whose = decided.get(row)
            text = number(whose.weight or 0.0) if whose else "1"
            yield ByteEdit(*records.numbered(row, plan.weight_column, text), whose)


def splice(old: bytes, edits: Sequence[ByteEdit]) -> tuple[bytes, list[dict[str, Any]]]:
    """Make the edits, in the order of the file; return the new bytes, and for each edit what undo needs."""
    pieces, entries, done, size = list[bytes](), list[dict[str, Any]](), 0, 0
    for edit in edits:
        pieces += [old[done : edit.start], edit.new]
        size += edit.start - done
        entry = {"at": size, "length": len(edit.new), "old": old[edit.start : edit.end].decode()}
        entries.append(entry | (described(edit.change) if edit.change else {}))
        size += len(edit.new)
        done = edit.end
    return b"".join([*pieces, old[done:]]), entries


def unsplice(new: bytes, entries: Iterable[Mapping[str, Any]]) -> bytes:
    """Return the text before the edits."""
    pieces, done = list[bytes](), 0
    for entry in entries:
        try:
            at, length = int(entry["at"]), int(entry["length"])
            old = str(entry["old"]).encode()
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(f"the journal is damaged: {error!r} in an entry", "fetch it again") from error
        if not done <= at <= at + length <= len(new):
            raise DataError(f"the journal is damaged: byte {at} cannot be changed", "fetch it again")
        pieces += [new[done:at], old]
        done = at + length
    return b"".join([*pieces, new[done:]])


def number(value: float) -> str:
    """Return a weight as people write it: 1, 0.5."""
    return str(int(value)) if value == int(value) and abs(value) < 1e15 else repr(value)  # noqa: PLR2004 - exact


def alike(text: str, label: str) -> bool:
    """Whether a cell of a file reads as the class of an audit: ``1.0`` is class 1, ``True`` is class true."""
    cell = text.strip()
    if cell.casefold() == label.strip().casefold():
        return True
    try:
        return float(cell.replace(",", ".")) == float(label)
    except ValueError:
        return False
