"""Pointers are no data: small files and links that stand for what Git LFS, DVC or git-annex keeps elsewhere.

Read as a table, a pointer of Git LFS has a header and two rows, and whatever looks at it says that all is
well. So each of them is refused, wherever a file is read, with the command that fetches the data.
"""

from __future__ import annotations

import hashlib
import os
import re
import shlex
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Final

from dataaudit.errors import UnreadableFile
from dataaudit.escape import shown

BYTES: Final = 1024  # that a pointer never exceeds
SUFFIX: Final = ".dvc"
_LFS: Final = re.compile(rb"(?:\xef\xbb\xbf)?version https://(?:git-lfs|hawser)\.github\.com/spec/")
_OID: Final = re.compile(rb"^oid sha256:([0-9a-f]{64})\s*$", re.MULTILINE)
_DVC: Final = re.compile(rb"(?:#[^\n]*\n|[a-z_]+: [^\n]*\n)*outs:\s*\n\s*- ")
_MD5: Final = re.compile(rb"^\s*(?:- )?md5: ([0-9a-f]{32})\s*$", re.MULTILINE)
_ANNEX: Final = re.compile(rb"/annex/objects/\S+\s*\Z")
_ANNEX_LINK: Final = "/annex/objects/"
_LOCK: Final = "dvc.lock"
_OUT: Final = re.compile(r"^\s*(?:- )?path: (.+?)\s*$", re.MULTILINE)


def refuse_pointer(data: bytes, path: str) -> None:
    """Raise UnreadableFile if the bytes of a file, or more than its first `BYTES`, are those of a pointer."""
    if path.endswith(SUFFIX) and b"outs:" in data:
        named = f", and name {shown(path.removesuffix(SUFFIX))}"
        raise kept_elsewhere(path, "DVC", f"dvc pull {_typed(path)}{named}")
    if len(data) > BYTES:
        return
    if _LFS.match(data):
        raise kept_elsewhere(path, "Git LFS", f"git lfs pull --include {_typed(path)}")
    if _ANNEX.match(data):
        raise kept_elsewhere(path, "git-annex", f"git annex get {_typed(path)}")
    if _DVC.match(data) and b"path:" in data:
        raise kept_elsewhere(path, "DVC", f"dvc pull {_typed(path)}")


def kept_elsewhere(path: str, keeper: str, command: str) -> UnreadableFile:
    """Return the error for a pointer."""
    return UnreadableFile(f"{shown(path)} is a pointer: {keeper} keeps the data elsewhere", f"run {command}")


def absent(path: str) -> UnreadableFile | None:
    """Return the error for a file that is not there, as it is kept elsewhere; None if nothing says so."""
    try:
        target = os.readlink(path) if Path(path).is_symlink() else ""  # noqa: PTH115 - as it was written
        pointer = next(_pointers(path), "")
        cloud = Path(path).with_name(f".{Path(path).name}.icloud").is_file()
    except (OSError, ValueError):
        return None
    if _ANNEX_LINK in target.replace(os.sep, "/"):
        return kept_elsewhere(path, "git-annex", f"git annex get {_typed(path)}")
    if pointer:
        what = f"{shown(path)} is not here: DVC keeps the data elsewhere"
        return UnreadableFile(what, f"run dvc pull {_typed(pointer)}")
    if cloud:
        what = f"{shown(path)} is not here: iCloud keeps the data elsewhere"
        return UnreadableFile(what, f"run brctl download {_typed(path)}")
    if target:
        return UnreadableFile(
            f"{shown(path)} is a link to {shown(target)}, which is not there", "fetch what it links to"
        )
    return None


def lfs_object(data: bytes, folders: list[Path]) -> Path | None:
    """Return the file in one of Git's folders that a pointer of Git LFS stands for; None if there is none."""
    oid = _OID.search(data) if len(data) <= BYTES and _LFS.match(data) else None
    if oid is None:
        return None
    name = oid[1].decode()
    return _first(folder / "lfs/objects" / name[:2] / name[2:4] / name for folder in folders)


def dvc_object(data: bytes, folders: list[Path]) -> Path | None:
    """Return the file that a pointer of DVC stands for, if the cache below one of the folders has it."""
    md5 = _MD5.search(data) if data.count(b"path:") == 1 else None
    if md5 is None:
        return None
    name = md5[1].decode()
    caches = (folder / ".dvc/cache" for folder in folders)
    return _first(cache / kind / name[:2] / name[2:] for cache in caches for kind in ("files/md5", "."))


def is_of(pointer: bytes, file: Path) -> bool:
    """Whether a file is what a pointer of DVC says."""
    md5 = _MD5.search(pointer)
    with file.open("rb") as opened:
        return md5 is not None and hashlib.file_digest(opened, "md5").hexdigest() == md5[1].decode()


def _first(paths: Iterator[Path]) -> Path | None:
    return next((path for path in paths if path.is_file()), None)


def _pointers(path: str) -> Iterator[str]:
    """Yield what stands for a path: its own pointer, that of a folder around it, or a stage of a pipeline."""
    pure = PurePosixPath(Path(path).as_posix())
    for place in (pure, *pure.parents):
        if place.name and Path(f"{place}{SUFFIX}").is_file():
            yield f"{place}{SUFFIX}"
    full = Path(os.path.abspath(path))  # noqa: PTH100 - links stay what they are
    for folder in full.parents:
        lock = folder / _LOCK
        outs = _OUT.findall(lock.read_text(encoding="utf-8")) if lock.is_file() else ()
        inside = full.relative_to(folder).as_posix()
        yield from (path for out in outs if f"{inside}/".startswith(f"{out}/"))
        if (folder / ".git").exists():
            return


def _typed(path: str) -> str:
    return shown(shlex.quote(path))
