"""A folder of text files by class: each file is a row, its folder is its label."""

from __future__ import annotations

import codecs
import hashlib
from pathlib import Path, PurePath

import polars as pl

from dataaudit.data.blob import require_data
from dataaudit.data.dataset import Origin, Part, Wanted
from dataaudit.data.paths import TextClass
from dataaudit.errors import DataError, UnreadableFile
from dataaudit.escape import shown

TEXT_COLUMN = "text"


def read_texts(text_class: TextClass, wanted: Wanted) -> Part:
    """Read the files of one class into the columns ``text`` and the target.

    Mail is full of bytes that are not UTF-8, and a text is a text whatever its encoding. So, unlike a table,
    such a file is read as Windows-1252, and the number of them is noted.
    """
    if wanted.target == TEXT_COLUMN:
        raise DataError(
            f"the label cannot be called {TEXT_COLUMN!r}: the texts are", "choose another name for it"
        )
    texts, odd = [], 0
    digest = hashlib.sha256()
    for path in text_class.files:
        data = _read(path)
        relative = (
            PurePath(path).relative_to(text_class.folder) if text_class.folder != "." else PurePath(path)
        )
        digest.update(f"{shown(relative.as_posix())}\0{hashlib.sha256(data).hexdigest()}\n".encode())
        text, is_utf = _decode(data)
        odd += not is_utf
        texts.append(text)
    n = len(texts)
    label = pl.repeat(shown(text_class.label), n, dtype=pl.String, eager=True)
    names = [TEXT_COLUMN, wanted.target]
    chosen = wanted.choose(names, "a folder of texts")
    folder = shown(PurePath(text_class.folder).as_posix())
    note = f"{folder}: {odd:,} of {n:,} files are not UTF-8; they were read as Windows-1252."
    return Part(
        frame=pl.DataFrame({TEXT_COLUMN: texts, wanted.target: label}).select(chosen),
        source=pl.Series("source", [shown(PurePath(path).as_posix()) for path in text_class.files]),
        row=pl.repeat(0, n, dtype=pl.Int64, eager=True).alias("row"),
        line=pl.repeat(1, n, dtype=pl.Int64, eager=True).alias("line"),
        origin=Origin(folder, "text", digest.hexdigest(), n),
        names=tuple(names),
        textual=True,
        by_line=True,
        notes=(note,) if odd else (),
    )


def _read(path: str) -> bytes:
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        from dataaudit.data.pointers import absent  # noqa: PLC0415 - most files are there

        if (elsewhere := absent(path)) is not None:
            raise elsewhere from error
        message = f"{shown(path)} may not be read: {error.strerror}"
        raise UnreadableFile(message, "check its permissions") from error
    require_data(data, path)
    return data


def _decode(data: bytes) -> tuple[str, bool]:
    """Return the text, and whether it was in a Unicode encoding."""
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return data.decode("utf-16", errors="replace"), True
    try:
        return data.decode("utf-8-sig"), True
    except UnicodeDecodeError:
        return data.decode("cp1252", errors="replace"), False
