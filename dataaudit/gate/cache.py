"""A verdict that is known already, kept under a hash of everything that it rests on.

That is the bytes of all data, the settings, the rules, the baseline with the day, and this package's code. An
unchanged dataset then costs the hashing of its files, 0.7 s a gigabyte: nothing here imports Polars or torch.
The folder is ours: it ignores itself in Git, holds at most 64 MB of verdicts, and may be deleted at any time.
What another user owns or may write, or what is part of the repository, anybody may have put there: it is not
read.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import glob
import hashlib
import json
import os
import stat
from dataclasses import asdict, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final

from dataaudit.errors import AuditError
from dataaudit.files import is_file, is_folder, write_whole
from dataaudit.findings.verdict import Verdict, verdict_from, verdict_record
from dataaudit.gate.base import Base, find_base
from dataaudit.gate.git import Repository
from dataaudit.gate.rules import packs_digest
from dataaudit.gate.settings import CheckSettings, DatasetSettings
from dataaudit.options import StepCallback

BYTES: Final = 64 << 20  # of verdicts, the oldest of which go first
FORMAT: Final = 2  # of what is hashed
_LIBRARIES: Final = ("dataaudit", "polars", "numpy", "torch", "scipy")


def cached_check(settings: CheckSettings, *, on_step: StepCallback) -> Verdict:
    """Judge datasets by rules, or return what is known of the same data."""
    folder = Path(settings.cache_folder)
    key = _key(settings) if settings.cache else None
    if key is not None and (known := _read(folder / f"{key}.json")) is not None:
        note = f"Nothing has changed since the last run: the verdict is from {folder.as_posix()}."
        return replace(known, notes=(*known.notes, note))
    from dataaudit.gate.check import check  # noqa: PLC0415 - Polars takes longer than all of this

    verdict = check(settings, on_step=on_step)
    # What could not be read may be there the next time, in a place that is not hashed.
    if key is not None and not any(outcome.status == "failed" for outcome in verdict.outcomes):
        _keep(folder, f"{key}.json", verdict)
    return verdict


def _key(settings: CheckSettings) -> str | None:
    """Return the hash of all that a verdict rests on; None if that is not all in files."""
    bases = {dataset.name: _base(dataset) for dataset in settings.datasets if dataset.base}
    files = list[Path]()
    for dataset in settings.datasets:
        found_base = bases.get(dataset.name, Base())
        if found_base is None:
            return None
        base = [found_base.file] if found_base.file else []
        for path in (*dataset.paths, *dataset.test, *base):
            found = [] if dataset.query or path == "-" else _files(path)
            if not found:
                return None  # a database, a stream, or nothing, of which the run itself says what is wrong
            files += found
    try:
        hashes = {str(file): _hash(file) for file in files}
        today = dt.date.today().isoformat()  # noqa: DTZ011 - the day where the gate runs decides what has expired
        accepted = [_hash(Path(settings.baseline)), today] if settings.baseline else []
        code = {str(file): _hash(file) for file in sorted(Path(__file__).parents[1].rglob("*.py"))}
    except OSError:
        return None
    asked = asdict(settings) | {"cache": "", "cache_folder": ""}
    asked["secret"] = hashlib.sha256(settings.secret.encode()).hexdigest()
    packs, versions = packs_digest(settings.packs), [_version(name) for name in _LIBRARIES]
    blobs = {name: asdict(base) for name, base in bases.items() if base}
    rest = [FORMAT, asked, hashes, blobs, packs, accepted, code, versions]
    return hashlib.sha256(json.dumps(rest, sort_keys=True, default=dict).encode()).hexdigest()


def _files(path: str) -> list[Path]:
    """Return the files that a path, folder or glob means."""
    if is_folder(Path(path)):
        return sorted(file for file in Path(path).rglob("*") if file.is_file())
    if is_file(Path(path)):
        return [Path(path)]
    return [Path(file) for file in sorted(glob.glob(path, recursive=True))]  # noqa: PTH207 - may be absolute


def _base(dataset: DatasetSettings) -> Base | None:
    """Return what a base is, by Git's hash of its content where it is in a revision."""
    try:
        return find_base(dataset.base, dataset.paths, cwd=Path.cwd())
    except AuditError:
        return None  # the run itself says what is wrong


def _hash(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def _version(library: str) -> str:
    try:
        return version(library)
    except PackageNotFoundError:
        return ""


def _read(path: Path) -> Verdict | None:
    """Return a verdict that was kept; None without one of use."""
    try:
        if not _is_own(path):
            return None
        verdict = verdict_from(json.loads(path.read_text(encoding="utf-8")))
        os.utime(path)  # so that what is used stays
    except (OSError, ValueError, TypeError, KeyError):
        return None
    return verdict


def _is_own(path: Path) -> bool:
    """Tell whether nobody else can have written a verdict: by the file, its folder, and the repository."""
    file, folder = path.lstat(), path.parent.lstat()
    if not (stat.S_ISREG(file.st_mode) and stat.S_ISDIR(folder.st_mode)):
        return False
    others = stat.S_IWOTH | stat.S_IWGRP
    if hasattr(os, "getuid") and (
        {file.st_uid, folder.st_uid} != {os.getuid()}
        or (file.st_mode & others)
        or folder.st_mode & stat.S_IWOTH
    ):
        return False
    return not Repository(path.parent).is_tracked(path.name)


def _keep(folder: Path, name: str, verdict: Verdict) -> None:
    """Keep a verdict, and delete those not used for longest; that it cannot be is no reason to fail."""
    with contextlib.suppress(OSError, AuditError):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / ".gitignore").write_text("*\n", encoding="utf-8")
        text = json.dumps(verdict_record(verdict), ensure_ascii=False)
        write_whole(folder / name, text.encode(errors="surrogatepass")).chmod(0o600)
        room = BYTES
        for path in sorted(folder.glob("*.json"), key=lambda path: path.stat().st_mtime_ns, reverse=True):
            room -= path.stat().st_size
            if room < 0:
                path.unlink(missing_ok=True)
