"""Undo: from a repaired file and its journal back to what it was."""

from __future__ import annotations

import base64
from dataclasses import dataclass, replace
from pathlib import Path

from dataaudit.data.blob import Blob, open_blob
from dataaudit.data.formats.encodings import decode, encode
from dataaudit.errors import DataError, SettingError, WriteError
from dataaudit.escape import shown
from dataaudit.files import back_up, packed, require_writable, write_whole
from dataaudit.repair.apply import TEXT_FORMATS
from dataaudit.repair.edits import unsplice
from dataaudit.repair.journal import PACKED, Journal, read_journal, sha256


@dataclass(frozen=True, slots=True)
class Undone:
    """What undo wrote."""

    path: Path
    journal: Journal  # by which
    identical: bool  # to the byte; else its content is, but not its packing or layout
    backup: Path | None = None  # copy of the file that was replaced


def undo(
    journal_file: Path, out: Path | None, *, repaired: Path | None = None, in_place: bool, force: bool
) -> Undone:
    """Write the file as it was before `apply`."""
    journal = read_journal(journal_file)
    given = repaired or journal_file.parent / journal.target
    target = _place(given, out, in_place=in_place, force=force)
    blob = open_blob(str(given))
    if blob.sha256 != journal.after["sha256"]:
        what = f"{shown(given.as_posix())} has changed since it was repaired: its content hash differs"
        raise DataError(what, "undo needs the file as audit apply wrote it")
    data = _packed(_restored(blob, journal), blob, journal)
    backup = back_up(given) if in_place else None
    try:
        write_whole(target, data, like=given)
    except WriteError:
        if backup is not None:
            backup.unlink(missing_ok=True)
        raise
    return Undone(target, journal, sha256(data) == journal.before["sha256"], backup)


def _place(given: Path, out: Path | None, *, in_place: bool, force: bool) -> Path:
    if in_place == (out is not None):
        raise SettingError("undo needs one place to write to", "name it with --out, or say --in-place")
    if out is None:
        require_writable(given.resolve())
        return given.resolve()
    if out.exists() and given.exists() and out.samefile(given):
        what = f"{shown(out.as_posix())} is the repaired file"
        raise SettingError(what, "name another, or say --in-place: a backup is made then")
    if out.exists() and not force:
        raise WriteError(f"{shown(out.as_posix())} is there already", "name another --out, or add --force")
    require_writable(out)
    return out


def _packed(content: bytes, blob: Blob, journal: Journal) -> bytes:
    """Pack the content as the repaired file is packed, or as the journal has it."""
    if not journal.packing:
        return content
    if PACKED not in journal.parts:
        return packed(content, journal.packing, like=blob.packed)
    data = base64.b64decode(journal.parts[PACKED])
    if sha256(data) != journal.before["sha256"]:
        raise DataError("the journal is damaged: it holds another file than was repaired", "fetch it again")
    return data


def _restored(blob: Blob, journal: Journal) -> bytes:
    """Return the content before the repair, its hash checked."""
    if journal.format in TEXT_FORMATS:
        text = decode(blob.data, blob.name, named=journal.encoding or "utf-8")[0]
        data = encode(unsplice(text, journal.entries), journal.encoding, blob.name)
        content = sha256(data)
    elif journal.entries:
        data, content = _restored_frame(blob, journal)
    else:
        data = Path(blob.path).read_bytes() if blob.path else blob.data
        content = journal.before["content"]
    if content != journal.before["content"]:
        raise DataError("what undo gives back is not what was: the journal is damaged", "fetch it again")
    return data


def _restored_frame(blob: Blob, journal: Journal) -> tuple[bytes, str]:
    from dataaudit.data.fingerprint import fingerprint  # noqa: PLC0415 - pyarrow
    from dataaudit.repair.arrow import frame_bytes, read_frame, restore  # noqa: PLC0415 - pyarrow

    names = {"label_column": journal.label_column, "weight_column": journal.weight_column}
    data = frame_bytes(restore(read_frame(blob), journal.entries, parts=dict(journal.parts), header=names))
    return data, fingerprint(read_frame(replace(blob, path="", data=data)).table)
