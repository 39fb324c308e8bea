"""The undo journal: JSON lines beside the repaired file, written before it.

The first line is the header: names, formats, columns, and the content hashes before and after. Then comes one
line a change, in the order of the file: for text formats the place in the repaired text, the number of bytes
there and what stood there before; for Parquet and Arrow the row and what it was, the rows themselves being in
the header as an Arrow stream. The header counts the lines, so that a journal cut short is seen.

Edits of a text file: some spans of its bytes get other bytes, all else stays; and the way back.

An edit knows its place in the old bytes. Once all are made, its place in the new bytes follows from the
lengths before it; that place, the number of new bytes there, and the old bytes are what undo needs.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

from dataaudit.errors import DataError, UnreadableFile
from dataaudit.escape import shown
from dataaudit.repair.plan import Change

SUFFIX: Final = ".journal.jsonl"
KIND: Final = "dataaudit.repair"
FORMAT: Final = 1
_HINT: Final = "name the file that audit apply wrote beside the repaired one, *.journal.jsonl"


@dataclass(frozen=True, slots=True, kw_only=True)
class Journal:
    """What undo needs.

    Attributes
    ----------
    source, target : str
        Names of the file that was repaired and of the repaired one, without folders.
    format, packing : str
        Of both.
    run_id : str
        Of the findings.
    label_column, weight_column : str
        Columns that changed.
    before, after : mapping
        ``sha256`` of the file, ``content`` of what is in it: of the unpacked bytes for text formats, of the
        table for Parquet and Arrow.
    parts : mapping
        For Parquet and Arrow, rows and cells that are gone, as Arrow streams in base64.
    entries : tuple of mapping
        One a change.
    """

    source: str
    target: str
    format: str
    packing: str
    run_id: str
    label_column: str
    weight_column: str
    before: Mapping[str, str]
    after: Mapping[str, str]
    parts: Mapping[str, str] = field(default_factory=dict)
    entries: Sequence[Mapping[str, Any]] = ()

    def to_bytes(self) -> bytes:
        """Return the file."""
        header = asdict(self) | {"kind": KIND, "version": FORMAT, "entries": len(self.entries)}
        lines = [dict(sorted(header.items())), *self.entries]
        return "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines).encode()


def journal_path(target: Path) -> Path:
    """Return where the journal of a repaired file is."""
    return target.with_name(target.name + SUFFIX)


def sha256(data: bytes) -> str:
    """Return the hexadecimal hash."""
    return hashlib.sha256(data).hexdigest()


def read_journal(path: Path) -> Journal:
    """Read a journal.

    Parameters
    ----------
    path : Path
        What `Journal.to_bytes` gave.

    Raises
    ------
    UnreadableFile
        If it cannot be read, or is no journal.
    DataError
        If it is cut short, or of another version.
    """
    name = shown(path.as_posix())
    try:
        lines = [json.loads(line) for line in path.read_bytes().decode().split("\n") if line]
    except OSError as error:
        raise UnreadableFile(f"{name} cannot be read: {error.strerror or error}", _HINT) from error
    except ValueError as error:
        raise UnreadableFile(f"{name} is not a journal, or is damaged: {error}", _HINT) from error
    header = lines[0] if lines else None
    if not isinstance(header, dict) or header.pop("kind", None) != KIND:
        raise UnreadableFile(f"{name} is not an undo journal", _HINT)
    version, count = header.pop("version", None), header.pop("entries", None)
    if version != FORMAT:
        what = f"{name} is a journal of version {version!r}, this program reads {FORMAT}"
        raise DataError(what, "use the program that wrote it")
    if count != len(lines) - 1:
        what = f"{name} is cut short: it has {len(lines) - 1} changes where its header says {count}"
        raise DataError(what, "fetch the whole file")
    try:
        return Journal(**header, entries=tuple(lines[1:]))
    except TypeError as error:
        raise DataError(f"{name} is damaged: {error}", "fetch it again") from error


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
