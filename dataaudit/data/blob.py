"""Blob: the bytes of a source, unpacked and hashed, or the path of a file that is scanned where it lies.

Which format a file is shows in its first bytes, else in its name, else (`load`) in its first character.
"""

from __future__ import annotations

import gzip
import hashlib
import os
import stat
import sys
import zlib
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import BinaryIO

from dataaudit.errors import UnreadableFile
from dataaudit.escape import shown
from dataaudit.secrets import public

STDIN = "-"
PACKED = frozenset({".gz", ".gzip", ".zst", ".zstd"})
PARQUET_NAMES = (".parquet", ".pq")
ARROW_NAMES = (".arrow", ".feather", ".ipc")
JSON_NAMES = (".json", ".jsonl", ".ndjson")
DELIMITED_NAMES = (".csv", ".tsv", ".tab", ".psv")
TABLE_NAMES = frozenset((*PARQUET_NAMES, *ARROW_NAMES, *JSON_NAMES, *DELIMITED_NAMES))
SHEET_NAMES = (".xlsx", ".xls", ".xlsb", ".ods")
ARFF_NAME = ".arff"
RARE_NAMES = frozenset((*SHEET_NAMES, ARFF_NAME, ".zip"))  # tables of a folder that has no others
OLE = b"\xd0\xcf\x11\xe0"  # .xls, as other documents of its time
PARQUET, ARROW_FILE, ARROW_STREAM = b"PAR1", b"ARROW1", b"\xff\xff\xff\xff"
GZIP, _ZSTD, _ZIP = b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"PK\x03\x04"
_POINTER = 1024  # bytes that a pointer to data elsewhere never exceeds
_BLOCK = 1 << 20  # bytes hashed at a time
_FULL = "give a file with a header and rows"
REPAIRED = ("csv", "tsv", "ndjson", "json", "parquet", "arrow")  # formats that can be written as they were


def is_repaired(kind: str) -> bool:
    """Return whether a file of this format, as in `Origin`, can be repaired."""
    name, *more = kind.split("+")
    return name in REPAIRED and "zip" not in more


@dataclass(frozen=True, slots=True)
class Blob:
    """One source of bytes."""

    name: str  # POSIX path as given, printable; ``<stdin>`` for a pipe
    suffix: str  # lower-case suffix of the unpacked file, ``.csv`` for ``mail.csv.gz``; empty for stdin
    packing: str  # ``+gzip``, ``+zstd``, ``+zip`` or empty
    sha256: str  # of the bytes as they came
    path: str  # file to scan in place; empty where `data` holds the bytes
    data: bytes  # unpacked bytes; of a file that is scanned in place, its first few
    packed: bytes = b""  # the bytes as they came, of a packed file

    @property
    def scannable(self) -> str | bytes:
        """What Polars is to scan: the path, or the bytes where there is no plain file."""
        return self.path or self.data

    def size(self) -> int:
        """Return the number of unpacked bytes."""
        return Path(self.path).stat().st_size if self.path else len(self.data)

    def head(self, count: int) -> bytes:
        """Return the first `count` bytes."""
        if not self.path:
            return self.data[:count]
        with Path(self.path).open("rb") as file:
            return file.read(count)

    def tail(self, count: int) -> bytes:
        """Return the last `count` bytes."""
        if not self.path:
            return self.data[-count:]
        with Path(self.path).open("rb") as file:
            file.seek(max(0, self.size() - count))
            return file.read()


def open_blob(given: str) -> Blob:
    """Read `given`; a Parquet or Arrow file is only hashed, to be scanned in place.

    A text file is read once, since a pipe (``/dev/fd/63``) can be read only once, and since its bytes are
    needed three times: for the hash, for the physical lines, and for the cells.
    """
    name = "<stdin>" if given == STDIN else shown(public(PurePath(given).as_posix()))
    if "://" in given and not Path(given).exists():
        from dataaudit.data.remote import fetch, file_name  # noqa: PLC0415 - few data are elsewhere

        data, name = fetch(given), shown(public(given))
        return _opened(file_name(given), name, data, path="", digest=hashlib.sha256(data).hexdigest())
    try:
        if given == STDIN:
            path, data = "", read_stdin("cat rows.csv | audit labels - --label y")
            digest = hashlib.sha256(data).hexdigest()
        else:
            path, data, digest = _read_file(given)
    except PermissionError as error:
        raise UnreadableFile(f"{name} may not be read: permission denied", f"chmod +r {name}") from error
    except OSError as error:
        raise _absent(given) or UnreadableFile(
            f"{name} cannot be read: {error.strerror or error}", "check the path and the disk"
        ) from error
    return _opened(given, name, data, path=path, digest=digest)


def _opened(given: str, name: str, data: bytes, *, path: str, digest: str) -> Blob:
    """Return what was read, unpacked."""
    if not data:
        raise _absent(given) or UnreadableFile(f"{name} is empty: got 0 bytes", _FULL)
    require_data(data, given)
    inner, outer = given, ""
    if data.startswith(_ZIP):
        from dataaudit.data.archive import only_table  # noqa: PLC0415 - few files need it

        inner, data, outer = only_table(data, name, kinds=TABLE_NAMES | RARE_NAMES)
    came = data
    data, packing = _unpack(data, name)
    pure = PurePath(inner)
    suffix = PurePath(pure.stem).suffix if packing and pure.suffix.lower() in PACKED else pure.suffix
    return Blob(
        name, suffix.lower(), outer or packing, digest, path, data, came if packing and not outer else b""
    )


def require_data(data: bytes, path: str) -> None:
    """Raise UnreadableFile if the bytes of a file stand for data that are kept elsewhere."""
    if len(data) <= _POINTER or path.endswith(".dvc"):
        from dataaudit.data.pointers import refuse_pointer  # noqa: PLC0415 - few files are that small

        refuse_pointer(data, PurePath(path).as_posix())


def _absent(path: str) -> UnreadableFile | None:
    from dataaudit.data.pointers import absent  # noqa: PLC0415 - most files are there

    return absent(path)


def read_stdin(usage: str) -> bytes:
    """Return what is piped in; `usage` shows how, where nothing is."""
    if sys.stdin is None or sys.stdin.closed or sys.stdin.isatty():
        raise UnreadableFile("nothing is piped to stdin", usage)
    return sys.stdin.buffer.read()


def _read_file(path: str) -> tuple[str, bytes, str]:
    """Return the path where the file is scanned in place, its bytes or its first few, and its hash."""
    with Path(path).open("rb") as file:
        if stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            head = file.read(len(ARROW_FILE))
            file.seek(0)
            if head.startswith((PARQUET, ARROW_FILE, ARROW_STREAM)) and _plain(path):
                # Absolute, so that Polars cannot take `~x` or `s3:…` for something else than a file here.
                return str(Path(path).absolute()), head, _hash(file)
        data = file.read()
        return "", data, hashlib.sha256(data).hexdigest()


def _plain(path: str) -> bool:
    """Return whether `path` is Unicode: Polars takes no other."""
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return True


def content_hash(path: str) -> str:
    """Return the hash of a file's bytes, as in `Blob`."""
    try:
        with Path(path).open("rb") as file:
            return _hash(file)
    except OSError as error:
        raise UnreadableFile(f"{shown(path)} cannot be read: {error.strerror}", "check the path") from error


def _hash(file: BinaryIO) -> str:
    digest = hashlib.sha256()
    while block := file.read(_BLOCK):
        digest.update(block)
    return digest.hexdigest()


def _unpack(data: bytes, name: str) -> tuple[bytes, str]:
    if not data.startswith((GZIP, _ZSTD)):
        return data, ""
    packing = "+gzip" if data.startswith(GZIP) else "+zstd"
    try:
        unpacked = gzip.decompress(data) if packing == "+gzip" else _unzstd(data)
    except (OSError, EOFError, zlib.error) as error:
        cause = shown(str(error).split("\n", 1)[0])
        raise UnreadableFile(
            f"{name} cannot be unpacked: {cause}", "the file may be cut short: fetch it again"
        ) from error
    if not unpacked:
        raise UnreadableFile(f"{name} is empty: got 0 bytes unpacked", _FULL)
    return unpacked, packing


def _unzstd(data: bytes) -> bytes:
    # Python has no zstd before 3.14; pyarrow takes a quarter of a second to import, and few files need it.
    import pyarrow as pa  # noqa: PLC0415

    with pa.CompressedInputStream(pa.BufferReader(data), "zstd") as stream:
        unpacked: bytes = stream.read()
    return unpacked
