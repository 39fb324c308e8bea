"""Apply: from decisions to a repaired file and the journal that undoes it.

Before anything is written the repair is undone in memory, and what comes out must be what went in: a file
whose way back is not sure is refused. Then both files are written under temporary names, and put in their
places, the journal first: whenever the machine stops, the source is as it was and the target is absent or
whole.
"""

from __future__ import annotations

import base64
import codecs
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from dataaudit.data.blob import STDIN, Blob
from dataaudit.data.formats.encodings import decode, encode
from dataaudit.data.formats.lines import check_text
from dataaudit.errors import DataError, SettingError, WriteError
from dataaudit.escape import shown
from dataaudit.files import back_up, packed, require_writable, write_all
from dataaudit.repair import csv, json
from dataaudit.repair.edits import splice, unsplice
from dataaudit.repair.journal import PACKED, Journal, described, journal_path, sha256
from dataaudit.repair.plan import Plan

TEXT_FORMATS: Final = ("csv", "tsv", "ndjson", "json")
_UNSURE: Final = "the repair could not be undone exactly, so nothing was written"


@dataclass(frozen=True, slots=True)
class Repair:
    """A repaired file, in memory."""

    data: bytes  # the file, packed as its source
    journal: Journal  # the way back
    lost: tuple[str, ...] = ()  # what of the layout of a Parquet file is not as it was


def repair(blob: Blob, plan: Plan) -> Repair:
    """Carry out a plan in memory."""
    if plan.format in TEXT_FORMATS:
        data, details = _repair_text(blob, plan)
    elif plan.changes:
        data, details = _repair_frame(blob, plan)
    else:
        data = Path(blob.path).read_bytes() if blob.path else blob.packed or blob.data
        details = {"content": (blob.sha256, sha256(data)), "parts": {}, "entries": []}
    before, after = details["content"]
    journal = Journal(
        source=Path(blob.name).name,
        target="",
        format=plan.format,
        packing=blob.packing,
        run_id=plan.run_id,
        label_column=plan.label_column,
        weight_column=plan.weight_column,
        encoding=plan.encoding,
        before={"sha256": blob.sha256, "content": before},
        after={"sha256": sha256(data), "content": after},
        parts=details["parts"] | _kept_aside(blob),
        entries=details["entries"],
    )
    return Repair(data, journal, details.get("lost", ()))


def _kept_aside(blob: Blob) -> dict[str, str]:
    """Return the packed source for the journal, if packing its content again would give other bytes."""
    if not blob.packed or packed(blob.data, blob.packing, like=blob.packed) == blob.packed:
        return {}
    return {PACKED: base64.b64encode(blob.packed).decode()}


def _repair_text(blob: Blob, plan: Plan) -> tuple[bytes, dict[str, Any]]:
    raw = decode(blob.data, blob.name, named=plan.encoding or "utf-8")[0]
    mark = len(codecs.BOM_UTF8) if raw.startswith(codecs.BOM_UTF8) else 0
    find = csv.find_edits if plan.format in ("csv", "tsv") else json.find_edits
    # What `check_text` changes it changes byte for byte, but for the mark before the text.
    edits = [
        replace(edit, start=edit.start + mark, end=edit.end + mark)
        for edit in find(check_text(raw, blob.name), plan)
    ]
    text, entries = splice(raw, edits)
    find(check_text(text, "the repaired file"), plan.afterwards())
    new = encode(text, plan.encoding, blob.name)
    again = decode(new, blob.name, named=plan.encoding or "utf-8")[0]
    if encode(unsplice(again, entries), plan.encoding, blob.name) != blob.data:
        raise DataError(_UNSURE, "convert the file to UTF-8, and audit that")
    content = sha256(blob.data), sha256(new)
    data = packed(new, blob.packing, like=blob.packed)
    return data, {"content": content, "parts": {}, "entries": entries}


def _repair_frame(blob: Blob, plan: Plan) -> tuple[bytes, dict[str, Any]]:
    from dataaudit.data.fingerprint import fingerprint  # noqa: PLC0415 - pyarrow
    from dataaudit.repair.arrow import change, frame_bytes, read_frame, restore  # noqa: PLC0415 - pyarrow
    from dataaudit.repair.layout import lost  # noqa: PLC0415 - the same

    frame = read_frame(blob)
    changed, parts = change(frame, plan)
    names = {"label_column": plan.label_column, "weight_column": plan.weight_column}
    new = frame_bytes(changed, changed=tuple(names.values()))
    entries = [described(change) for change in plan.changes]
    again = read_frame(replace(blob, path="", data=new))
    before = fingerprint(frame.table)
    back = frame_bytes(restore(replace(again, layout=frame.layout), entries, parts=parts, header=names))
    if fingerprint(read_frame(replace(blob, path="", data=back)).table) != before:
        raise DataError(_UNSURE, "repair a CSV or NDJSON copy")
    after = fingerprint(again.table)
    gone = lost(frame.layout, again.layout) if frame.layout and again.layout else ()
    return packed(new, blob.packing, like=blob.packed), {
        "content": (before, after),
        "parts": parts,
        "entries": entries,
        "lost": gone,
    }


def place(source: str, out: Path | None, *, in_place: bool, force: bool) -> Path:
    """Return where the repaired file goes, if it may go there."""
    if source == STDIN:
        raise SettingError("standard input cannot be repaired", "name the file that was audited")
    if in_place and out is not None:
        raise SettingError("--in-place and --out were both given", "leave one out")
    if in_place and "://" in source and not Path(source).exists():
        raise SettingError("what was audited is elsewhere, and is not written over", "name a file with --out")
    if in_place:
        target = Path(os.path.realpath(source) if Path(source).is_symlink() else source)
    elif out is None:
        raise SettingError("no place was named for the repaired file", "name it with --out")
    else:
        target = out
    if not in_place and target.exists() and Path(source).exists() and target.samefile(source):
        what = f"{shown(target.as_posix())} is the file to repair"
        raise SettingError(what, "name another, or say --in-place: a backup is made then")
    journal = journal_path(target)
    there = journal if journal.exists() and target.exists() else target
    if not force and there.exists() and not (in_place and there == target):
        raise WriteError(f"{shown(there.as_posix())} is there already", "name another --out, or add --force")
    require_writable(target)
    return target


def write_repair(done: Repair, source: str, *, target: Path, in_place: bool) -> Mapping[str, Path]:
    """Write the journal, then the repaired file."""
    written = {"target": target, "journal": journal_path(target)}
    if in_place:
        written["backup"] = back_up(target)
    journal = replace(done.journal, target=target.name)
    like = Path(source) if Path(source).exists() else None  # data elsewhere have no permissions
    try:
        write_all({written["journal"]: journal.to_bytes(), target: done.data}, like=like)
    except WriteError:
        if in_place:
            written["backup"].unlink(missing_ok=True)
        raise
    return written
