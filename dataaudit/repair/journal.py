"""The undo journal: JSON lines next to the repaired file, written before it.

The first line is the header: names, formats, columns, and the content hashes before and after. Then comes one
line a change, in the order of the file: for text formats the place in the repaired text, the number of bytes
there and what stood there before; for Parquet and Arrow the row and what it was, the rows themselves being in
the header as an Arrow stream. A packed source is in the header as well, in base64, where packing its content
again would not give the same bytes. The header counts the lines, so that a journal cut short is seen.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

from dataaudit.errors import DataError, UnreadableFile
from dataaudit.escape import shown
from dataaudit.repair.plan import RowChange

SUFFIX: Final = ".journal.jsonl"
KIND: Final = "dataaudit.repair"
FORMAT: Final = 1
PACKED: Final = "packed"  # of `Journal.parts`: the source as it was packed
_HINT: Final = "name the file that audit apply wrote next to the repaired one, *.journal.jsonl"


@dataclass(frozen=True, slots=True, kw_only=True)
class Journal:
    """What undo needs."""

    source: str  # name of the file that was repaired, without folders
    target: str  # of the repaired one
    format: str
    packing: str
    run_id: str  # of the findings
    label_column: str
    weight_column: str
    before: Mapping[str, str]  # ``sha256`` of the file, ``content`` of its unpacked bytes or its table
    after: Mapping[str, str]
    encoding: str = ""  # of a text whose entries are of it in UTF-8; empty if the file is
    parts: Mapping[str, str] = field(default_factory=dict)  # rows and cells that are gone from a table
    entries: Sequence[Mapping[str, Any]] = ()  # one a change

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
    """Read a journal."""
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


def described(change: RowChange) -> dict[str, Any]:
    """Return a change as a journal writes it."""
    entry = {"row_id": change.row_id, "row": change.row, "action": change.action, "from": change.before}
    given = {"to": change.label, "weight": change.weight}
    return entry | {key: value for key, value in given.items() if value is not None}
