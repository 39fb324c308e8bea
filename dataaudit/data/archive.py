"""A zip file that holds one table, and the office documents that are zip files themselves."""

from __future__ import annotations

import io
import lzma
import os
import struct
import zipfile
import zlib
from collections.abc import Set as AbstractSet
from pathlib import PurePosixPath
from typing import Final

from dataaudit.errors import DataError, UnreadableFile
from dataaudit.escape import shown

_SHEETS: Final = {"xl/workbook.xml": ".xlsx", "xl/workbook.bin": ".xlsb"}
_OPEN_DOCUMENT: Final = b"application/vnd.oasis.opendocument.spreadsheet"
_LISTED: Final = 5
_UNKNOWN_MEMORY: Final = 1 << 33  # bytes, where the system does not say
# A damaged directory makes zipfile seek where nothing is, and unpack what is of another length.
_TROUBLE: Final = (
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    struct.error,
    EOFError,
    OSError,
    RuntimeError,
    ValueError,
    KeyError,
)
_AGAIN: Final = "the file may be cut short: fetch it again"


def only_table(data: bytes, name: str, *, kinds: AbstractSet[str]) -> tuple[str, bytes, str]:
    """Return name, bytes and packing of the one table in a zip file; a spreadsheet is its own table."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            sheet = _spreadsheet(archive)
            if sheet:
                return f"sheet{sheet}", data, ""
            member = _member(archive, name, kinds)
            _require_room(member, name)
            return member.filename, archive.read(member), "+zip"
    except NotImplementedError as error:
        what = f"{name} is packed by a method that Python cannot undo"
        raise UnreadableFile(what, "unpack it, and audit the file inside") from error
    except _TROUBLE as error:
        raise UnreadableFile(f"{name} cannot be unpacked: {shown(str(error))}", _AGAIN) from error


def _spreadsheet(archive: zipfile.ZipFile) -> str:
    """Return the suffix that a spreadsheet should have; empty for any other zip file."""
    names = set(archive.namelist())
    for part, suffix in _SHEETS.items():
        if part in names:
            return suffix
    if "mimetype" in names and archive.getinfo("mimetype").file_size <= len(_OPEN_DOCUMENT) + 2:
        return ".ods" if archive.read("mimetype").startswith(_OPEN_DOCUMENT) else ""
    return ""


def _member(archive: zipfile.ZipFile, name: str, kinds: AbstractSet[str]) -> zipfile.ZipInfo:
    """Return the one file in it that may be a table."""
    files = [info for info in archive.infolist() if not info.is_dir() and not _is_junk(info.filename)]
    ends = [PurePosixPath(info.filename.lower()).suffixes[-2:] for info in files]
    tables = [info for info, end in zip(files, ends, strict=True) if kinds & set(end)] or files
    if not tables:
        raise UnreadableFile(f"{name} is a zip file with nothing in it", "give one that holds a table")
    if len(tables) > 1:
        listed = ", ".join(shown(info.filename) for info in tables[:_LISTED])
        more = ", …" if len(tables) > _LISTED else ""
        if all(info.filename.endswith(".npy") for info in tables):
            raise UnreadableFile(f"{name} holds NumPy arrays: {listed}{more}", "write them as Parquet")
        what = f"{name} is a zip file of {len(tables)} files: {listed}{more}"
        raise DataError(what, "unpack it, and name those to audit")
    if tables[0].flag_bits & 1:
        raise UnreadableFile(f"{name} is encrypted", "unpack it with its password first")
    return tables[0]


def _is_junk(path: str) -> bool:
    """Whether a system put the file there: ``__MACOSX/``, ``.DS_Store``, ``Thumbs.db``."""
    parts = PurePosixPath(path).parts
    return any(part.startswith((".", "__MACOSX")) for part in parts) or parts[-1:] == ("Thumbs.db",)


def _require_room(member: zipfile.ZipInfo, name: str) -> None:
    """Refuse what would fill the memory: a few kilobytes can unpack to terabytes."""
    memory = _UNKNOWN_MEMORY
    if hasattr(os, "sysconf"):
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if member.file_size > memory // 2:
        size, room = (f"{number / 2**30:,.1f} GiB" for number in (member.file_size, memory))
        what = f"{name} unpacks to {size}, more than half of this machine's memory of {room}"
        raise DataError(what, "unpack it, and write the table as Parquet")
