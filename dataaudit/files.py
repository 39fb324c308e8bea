"""The one way to write a file: whole or not at all, under a temporary name in its folder, then renamed."""

from __future__ import annotations

import contextlib
import gzip
import os
import shutil
import struct
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

from dataaudit.errors import WriteError
from dataaudit.escape import shown

Content = str | bytes | Callable[[Path], object]  # or what writes it to a path
_HINT = "name a file that you may write with --out"
_TEXT, _EXTRA, _NAME, _COMMENT = 1, 4, 8, 16  # flags of a gzip header
_TRIAL = bytes(4096)  # what a disk must have room for at least


def write_whole(
    path: Path,
    content: Content,
    *,
    like: Path | None = None,  # a file whose permissions it gets
    what: str = "",  # for the message: "the report"
    hint: str = _HINT,
) -> Path:
    """Replace a file in one step; raise a `WriteError` and leave nothing behind where that fails."""
    with _as_write_error(path, what, hint):
        if _is_stream(path) and not callable(content):
            path.write_bytes(content.encode() if isinstance(content, str) else content)
        else:
            replace_all({path: content}, like=like)
    return path


def replace_soon(path: Path, write: Callable[[Path], object]) -> None:
    """Replace a file in one step, but do not wait for the disk: for what can be made anew after a crash."""
    part = _part(path)
    try:
        write(part)
        part.replace(path)
    finally:
        with contextlib.suppress(OSError):
            part.unlink()


def _is_stream(path: Path) -> bool:
    """Whether it is a device or a pipe, such as /dev/stdout, which nothing is renamed over."""
    return path.exists() and not (path.is_file() or path.is_dir())


def write_all(
    contents: Mapping[Path, Content], *, like: Path | None = None, what: str = "", hint: str = _HINT
) -> None:
    """Replace files one after the other, once all are on the disk; where that fails, none is replaced."""
    if len(contents) == 1:
        for path, content in contents.items():
            write_whole(path, content, like=like, what=what, hint=hint)
        return
    with _as_write_error(list(contents)[-1], what, hint):
        replace_all(contents, like=like, marked=False)


def require_writable(path: Path, *, what: str = "", hint: str = _HINT) -> None:
    """Try to write where a file is to come, so that nobody waits for an error; nothing is left there."""
    with _as_write_error(path, what, hint):
        if not _is_stream(path):
            _require_plain(path)
            _try(path.parent, path.name)


def require_folder(folder: Path, *, hint: str) -> None:
    """Try to write in a folder, or in the nearest that is there, where it would be made."""
    nearest = name = shown(folder.as_posix())
    try:
        there = next((path for path in (folder, *folder.absolute().parents) if path.exists()), Path("/"))
        nearest = shown(there.as_posix())
        if not there.is_dir():
            raise WriteError(f"folder {name} cannot be made: {nearest} is a file", hint)
        _try(there, "audit")
    except OSError as error:
        raise WriteError(f"folder {nearest} cannot be written to: {error.strerror or error}", hint) from error


def _require_plain(path: Path) -> None:
    """Refuse a folder or a device."""
    if path.exists() and not path.is_file():
        raise OSError(None, "it is a folder" if path.is_dir() else "it is no plain file")


def _try(folder: Path, name: str) -> None:
    """Write a file under a temporary name and take it away."""
    part = _part(folder / name)
    try:
        _write(part, _TRIAL)
    finally:
        with contextlib.suppress(OSError):
            part.unlink()


@contextlib.contextmanager
def _as_write_error(path: Path, what: str, hint: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        name, reason = shown(path.as_posix()), error.strerror or error
        message = f"{what} cannot be written to {name}" if what else f"{name} cannot be written"
        raise WriteError(f"{message}: {reason}", hint) from error


def write_page(text: str, path: Path) -> Path:
    """Write a report to a file."""
    return write_whole(path, text, what="the report", hint="name a folder that you may write to")


def replace_all(
    contents: Mapping[Path, Content],
    *,
    stale: Iterable[Path] = (),
    like: Path | None = None,
    marked: bool = True,
) -> None:
    """Write all files, bring them to the disk, then rename them; the last one is the mark of a whole folder.

    Of several `marked` files the old mark goes first, then what is stale: a crash between two renames leaves
    a folder without its mark, which says that it is not whole.
    """
    parts = {path: _part(path) for path in contents}
    try:
        for path, content in contents.items():
            _write(parts[path], content)
            if like is not None:
                shutil.copymode(like, parts[path])
        if marked and len(parts) > 1:
            list(parts)[-1].unlink(missing_ok=True)
        for path in stale:
            path.unlink(missing_ok=True)
        for path, part in parts.items():
            part.replace(path)
        for folder in {path.parent for path in parts}:
            _sync_folder(folder)
    finally:
        for part in parts.values():
            with contextlib.suppress(OSError):  # renamed, as a rule
                part.unlink()


def _part(path: Path) -> Path:
    """Return the temporary name of a file of this process."""
    return path.with_name(f".{path.name}.{os.getpid()}.part")


def _write(part: Path, content: Content) -> None:
    if callable(content):
        content(part)
    else:
        part.write_bytes(content.encode() if isinstance(content, str) else content)
    with part.open("rb+") as file:
        os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    """Bring renames to the disk; where folders cannot be opened, as on Windows, the system does."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def back_up(path: Path) -> Path:
    """Copy a file to ``NAME.bak`` in its folder, unless there is one, and return the copy."""
    copy = path.with_name(path.name + ".bak")
    if os.path.lexists(copy):
        raise WriteError(f"the backup {shown(copy.as_posix())} is there already", "move it away first")
    return write_whole(copy, path.read_bytes(), like=path)


def packed(data: bytes, packing: str, *, like: bytes = b"") -> bytes:
    """Return the bytes of a file, packed as its source was: ``""``, ``"+gzip"`` or ``"+zstd"``.

    Of a gzip file that it is to be `like`, it gets the header (time, name, system) and the level.
    """
    if packing == "+gzip":
        return _gzipped(data, like)
    if packing != "+zstd":
        return data
    import pyarrow as pa  # noqa: PLC0415 - slow to import, and few files need it

    out = pa.BufferOutputStream()
    with pa.CompressedOutputStream(out, "zstd") as stream:
        stream.write(data)
    return bytes(out.getvalue().to_pybytes())


def _gzipped(data: bytes, like: bytes) -> bytes:
    """Pack into one member (RFC 1952)."""
    fixed = bytearray(like[:10] or gzip.compress(b"", mtime=0)[:10])
    flags, at = fixed[3], 10
    at += 2 + int.from_bytes(like[10:12], "little") if flags & _EXTRA else 0
    start = at
    for flag in (_NAME, _COMMENT):
        at = like.index(b"\0", at) + 1 if flags & flag else at
    fixed[3] = flags & (_TEXT | _NAME | _COMMENT)  # others are about the member as it was
    level = {2: 9, 4: 1}.get(fixed[8], 6)
    deflate = zlib.compressobj(level, zlib.DEFLATED, -zlib.MAX_WBITS)
    end = struct.pack("<II", zlib.crc32(data), len(data) & 0xFFFFFFFF)
    return bytes(fixed) + like[start:at] + deflate.compress(data) + deflate.flush() + end


def is_file(path: Path) -> bool:
    """Whether there is such a file; none has a name that is too long, or holds a null byte."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def is_folder(path: Path) -> bool:
    """Whether there is such a folder, likewise."""
    try:
        return path.is_dir()
    except (OSError, ValueError):
        return False
