"""The one way to write a file: whole or not at all, under a temporary name in its folder, then renamed."""

from __future__ import annotations

import contextlib
import gzip
import os
import shutil
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from dataaudit.errors import WriteError
from dataaudit.escape import shown

Content = str | bytes | Callable[[Path], object]  # or what writes it to a path


def write_whole(
    path: Path,
    content: Content,
    *,
    like: Path | None = None,  # a file whose permissions it gets
    what: str = "",  # for the message: "the report"
    hint: str = "name a file that you may write with --out",
) -> Path:
    """Replace a file in one step; raise a `WriteError` and leave nothing behind where that fails."""
    try:
        replace_all({path: content}, like=like)
    except OSError as error:
        name, reason = shown(path.as_posix()), error.strerror or error
        message = f"{what} cannot be written to {name}" if what else f"{name} cannot be written"
        raise WriteError(f"{message}: {reason}", hint) from error
    return path


def write_page(text: str, path: Path) -> Path:
    """Write a report to a file."""
    return write_whole(path, text, what="the report", hint="name a folder that you may write to")


def replace_all(
    contents: Mapping[Path, Content], *, stale: Iterable[Path] = (), like: Path | None = None
) -> None:
    """Write all files, bring them to the disk, then rename them; the last one is the mark of a whole folder.

    Of several files the old mark goes first, then what is stale: a crash between two renames leaves a folder
    without its mark, which says that it is not whole.
    """
    parts = {path: path.with_name(f".{path.name}.{os.getpid()}.part") for path in contents}
    try:
        for path, content in contents.items():
            _write(parts[path], content)
            if like is not None:
                shutil.copymode(like, parts[path])
        if len(parts) > 1:
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


def packed(data: bytes, packing: str) -> bytes:
    """Return the bytes of a file, packed as its source was: ``""``, ``"+gzip"`` or ``"+zstd"``."""
    if packing == "+gzip":
        return gzip.compress(data, mtime=0)
    if packing != "+zstd":
        return data
    import pyarrow as pa  # noqa: PLC0415 - slow to import, and few files need it

    out = pa.BufferOutputStream()
    with pa.CompressedOutputStream(out, "zstd") as stream:
        stream.write(data)
    return bytes(out.getvalue().to_pybytes())


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
