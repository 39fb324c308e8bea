"""Edits of a text file: some spans of its bytes get other bytes, all else stays; and the way back.

An edit knows its place in the old bytes. Once all are made, its place in the new bytes follows from the
lengths before it; that place, the number of new bytes there, and the old bytes are what undo needs.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dataaudit.errors import DataError
from dataaudit.repair.plan import Change


@dataclass(frozen=True, slots=True)
class Edit:
    """One span of old bytes and what comes in its place.

    Attributes
    ----------
    start, end : int
        The span; equal for an insertion.
    new : bytes
        What comes there.
    change : Change or None
        Whose doing it is; None for the weight of a row that nobody decided on.
    """

    start: int
    end: int
    new: bytes
    change: Change | None = None


def splice(old: bytes, edits: Sequence[Edit]) -> tuple[bytes, list[dict[str, Any]]]:
    """Make the edits.

    Parameters
    ----------
    old : bytes
        UTF-8 text.
    edits : sequence of Edit
        In the order of the text, not overlapping.

    Returns
    -------
    new : bytes
        The text with them.
    entries : list of dict
        For each edit `at` and `length` in the new text, `old` bytes as text, and whose doing it is.
    """
    pieces, entries, done, size = list[bytes](), list[dict[str, Any]](), 0, 0
    for edit in edits:
        pieces += [old[done : edit.start], edit.new]
        size += edit.start - done
        entry: dict[str, Any] = {
            "at": size,
            "length": len(edit.new),
            "old": old[edit.start : edit.end].decode(),
        }
        entries.append(entry | (described(edit.change) if edit.change else {}))
        size += len(edit.new)
        done = edit.end
    return b"".join([*pieces, old[done:]]), entries


def unsplice(new: bytes, entries: Iterable[Mapping[str, Any]]) -> bytes:
    """Return the text before the edits.

    Parameters
    ----------
    new : bytes
        The text with them.
    entries : iterable of mapping
        As `splice` gave them.

    Raises
    ------
    DataError
        If an entry is damaged.
    """
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


def described(change: Change) -> dict[str, Any]:
    """Return a change as a journal tells it."""
    told: dict[str, Any] = {"row_id": change.row_id, "row": change.row, "action": change.action}
    told["from"] = change.before
    told |= {"to": change.label} if change.label is not None else {}
    return told | ({"weight": change.weight} if change.weight is not None else {})


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
