"""Files written whole or not at all, backups, and the packing of text files."""

from __future__ import annotations

import contextlib
import gzip
import os
import shutil
from pathlib import Path

from dataaudit.errors import WriteError
from dataaudit.escape import shown


def write_whole(path: Path, data: bytes, *, like: Path | None = None) -> None:
    """Write a file beside its place, bring it to the disk, then put it there in one step.

    Parameters
    ----------
    path : Path
        The file; what is there is replaced.
    data : bytes
        Its content.
    like : Path, optional
        A file whose permissions it gets.

    Raises
    ------
    WriteError
        If it cannot be written; nothing is left then.
    """
    beside = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        try:
            with beside.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            if like is not None:
                shutil.copymode(like, beside)
            beside.replace(path)
            _settle(path.parent)
        finally:
            with contextlib.suppress(OSError):  # gone already, as a rule
                beside.unlink()
    except OSError as error:
        what = f"{shown(path.as_posix())} cannot be written: {error.strerror or error}"
        raise WriteError(what, "name a file that you may write with --out") from error


def back_up(path: Path) -> Path:
    """Copy a file to ``NAME.bak`` beside it.

    Parameters
    ----------
    path : Path
        The file.

    Returns
    -------
    Path
        The copy.

    Raises
    ------
    WriteError
        If there is such a file already, or it cannot be written.
    """
    copy = path.with_name(path.name + ".bak")
    if os.path.lexists(copy):
        raise WriteError(f"the backup {shown(copy.as_posix())} is there already", "move it away first")
    write_whole(copy, path.read_bytes(), like=path)
    return copy


def packed(data: bytes, packing: str) -> bytes:
    """Return the bytes of a file, packed as its source was.

    Parameters
    ----------
    data : bytes
        Content.
    packing : str
        ``""``, ``"+gzip"`` or ``"+zstd"``.
    """
    if packing == "+gzip":
        return gzip.compress(data, mtime=0)
    if packing != "+zstd":
        return data
    import pyarrow as pa  # noqa: PLC0415 - slow to import, and few files need it

    out = pa.BufferOutputStream()
    with pa.CompressedOutputStream(out, "zstd") as stream:
        stream.write(data)
    return bytes(out.getvalue().to_pybytes())


def _settle(folder: Path) -> None:
    """Bring a rename to the disk; where folders cannot be opened, as on Windows, the system does."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def write_page(text: str, path: Path) -> Path:
    """Write a page to a file, whole or not at all.

    Parameters
    ----------
    text : str
    path : Path
        Replaced if it is there.

    Returns
    -------
    Path
        The same.

    Raises
    ------
    WriteError
        If the file cannot be written.
    """
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        part.write_text(text, encoding="utf-8", newline="\n")
        part.replace(path)
    except OSError as error:
        what = f"the report cannot be written to {path.as_posix()}: {error.strerror or error}"
        raise WriteError(what, "name a folder that you may write to") from error
    finally:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)
    return path
