"""A verdict that is known already: kept under a hash of everything that it rests on.

That is the bytes of all data, the settings, the rules, the baseline with the day, and this package's code.
An unchanged file then costs the hashing of it, and the verdict is read without Polars. The folder is ours: it
ignores itself in Git, holds at most 64 MB of verdicts, and may be deleted at any time.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime as dt
import hashlib
import json
import os
import time
from collections.abc import Callable, Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final

from dataaudit.errors import AuditError
from dataaudit.gate.packs import packs_digest
from dataaudit.gate.settings import CheckSettings, DatasetSettings
from dataaudit.gate.verdict import Verdict
from dataaudit.gate.verdictjson import verdict_from, verdict_record

BYTES: Final = 64 << 20  # of verdicts, the oldest of which go first
FORMAT: Final = 1
_BLOCK: Final = 1 << 20
_SETTLED: Final = 2_000_000_000  # ns after which a file that was not touched since is taken to be settled
_HASHES: Final = "hashes.json"
_FILES: Final = 10_000  # hashes kept
_MAGIC: Final = frozenset("*?[")


def no_step(stage: str, done: int, total: int) -> None:
    """Tell nobody."""


def check(settings: CheckSettings, *, on_step: Callable[[str, int, int], None] = no_step) -> Verdict:
    """Judge datasets by rules, or return what is known of the same data.

    Parameters
    ----------
    settings : CheckSettings
        What is asked; without its `cache` nothing is looked up or kept.
    on_step : callable (stage, done, total) -> None
        Told of progress.

    Returns
    -------
    Verdict
        As of `dataaudit.gate.check.check`, with a note if it was kept.
    """
    folder = Path(settings.cache_folder)
    key = _key(settings, folder) if settings.cache else None
    if key is not None and (known := _read(folder / f"{key}.json")) is not None:
        note = f"Nothing has changed since the last run: the verdict is from {folder.as_posix()}."
        return dataclasses.replace(known, notes=(*known.notes, note))
    from dataaudit.gate.check import check as judge  # noqa: PLC0415 - Polars is not needed for a known verdict

    verdict = judge(settings, on_step=on_step)
    # What could not be read may be there the next time, in a place that is not hashed.
    if key is not None and not any(outcome.status == "failed" for outcome in verdict.outcomes):
        _keep(folder, f"{key}.json", verdict)
    return verdict


def _key(settings: CheckSettings, folder: Path) -> str | None:
    """Return the hash of all that a verdict rests on; None if it cannot be had so."""
    remembered = _remembered(folder)
    files: list[str] = []
    for dataset in settings.datasets:
        mine = _files(dataset)
        if mine is None:
            return None
        files += mine
    try:
        hashes = {name: _hash(Path(name), remembered) for name in dict.fromkeys(files)}
        blobs = {dataset.name: _blob(dataset) for dataset in settings.datasets if dataset.base}
        accepted = Path(settings.baseline).read_bytes() if settings.baseline else b""
    except OSError:
        return None  # the run itself says what is wrong
    _remember(folder, remembered)
    asked = dataclasses.asdict(settings)
    del asked["cache"], asked["cache_folder"]
    asked["secret"] = hashlib.sha256(settings.secret.encode()).hexdigest()
    rest = {
        "format": FORMAT,
        "settings": asked,
        "files": hashes,
        "blobs": blobs,
        "packs": packs_digest(settings.packs),
        "baseline": [hashlib.sha256(accepted).hexdigest(), _today() if accepted else ""],
        "code": _code(),
        "versions": [_version(name) for name in ("dataaudit", "polars", "numpy", "torch", "scipy")],
    }
    return hashlib.sha256(json.dumps(rest, sort_keys=True, default=dict).encode()).hexdigest()


def _files(dataset: DatasetSettings) -> list[str] | None:
    """Return all files that a dataset's data are in; None for stdin or a database."""
    if dataset.query:
        return None
    base = [dataset.base] if dataset.base and not _blob(dataset) else []
    found: list[str] = []
    for path in (*dataset.paths, *dataset.test, *base):
        if path == "-":
            return None
        if Path(path).is_file():
            found.append(path)
        elif Path(path).is_dir():
            found += sorted(str(file) for file in Path(path).rglob("*") if file.is_file())
        elif _MAGIC & set(path):
            import glob  # noqa: PLC0415 - few name files by a pattern

            found += sorted(glob.glob(path, recursive=True))  # noqa: PTH207 - a pattern may be absolute
        else:
            return None
    return found


def _blob(dataset: DatasetSettings) -> str | None:
    """Return Git's hash of a base that is in a revision; None for a file, or if it cannot be had."""
    from dataaudit.gate.gitbase import blob_of  # noqa: PLC0415 - most have no base

    try:
        return blob_of(dataset.base, dataset.paths, cwd=Path.cwd())
    except AuditError:
        return None  # the run itself says what is wrong


def _hash(path: Path, remembered: dict[str, Any]) -> str:
    """Return the SHA-256 of a file; one that has not been touched since it was hashed is not read again.

    As in Git's index, a file that was changed just before it was hashed is not trusted: a second change might
    leave its time as it is.
    """
    status = path.stat()
    mark = [status.st_size, status.st_mtime_ns, status.st_ino]
    name = str(path.absolute())
    known = remembered.get(name)
    if known is not None and known[0] == mark:
        return str(known[1])
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    if time.time_ns() - status.st_mtime_ns > _SETTLED:
        remembered[name] = [mark, digest.hexdigest()]
    return digest.hexdigest()


def _remembered(folder: Path) -> dict[str, Any]:
    try:
        known = json.loads((folder / _HASHES).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return known if isinstance(known, dict) else {}


def _remember(folder: Path, hashes: dict[str, Any]) -> None:
    text = json.dumps(dict(list(hashes.items())[-_FILES:]))
    with contextlib.suppress(OSError):
        if hashes and (
            not (folder / _HASHES).is_file() or (folder / _HASHES).read_text(encoding="utf-8") != text
        ):
            _write(folder, _HASHES, text)


def _read(path: Path) -> Verdict | None:
    """Return a verdict that was kept; None if there is none, or it is of no use."""
    try:
        verdict = verdict_from(json.loads(path.read_text(encoding="utf-8")))
        os.utime(path)  # so that what is used stays
    except (OSError, ValueError, TypeError, KeyError):
        return None
    return verdict


def _keep(folder: Path, name: str, verdict: Verdict) -> None:
    """Keep a verdict; a folder that cannot be written to is no reason to fail."""
    with contextlib.suppress(OSError):
        _write(folder, name, json.dumps(verdict_record(verdict), ensure_ascii=False))
        _shrink(folder)


def _write(folder: Path, name: str, text: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    ignored = folder / ".gitignore"
    if not ignored.exists():
        ignored.write_text("*\n", encoding="utf-8")
    part = folder / f".{name}.{os.getpid()}.part"
    try:
        part.write_text(text, encoding="utf-8", errors="surrogatepass")
        part.replace(folder / name)
    finally:
        part.unlink(missing_ok=True)


def _shrink(folder: Path) -> None:
    """Delete the verdicts that were not used for longest, until the rest fit."""
    kept = sorted(_verdicts(folder), key=lambda entry: entry[0], reverse=True)
    total = 0
    for _, size, path in kept:
        total += size
        if total > BYTES:
            path.unlink(missing_ok=True)


def _verdicts(folder: Path) -> Iterator[tuple[int, int, Path]]:
    for path in folder.glob("*.json"):
        if path.name != _HASHES:
            status = path.stat()
            yield status.st_mtime_ns, status.st_size, path


def _code() -> str:
    """Return a hash of this package's own files: while it is worked on its version stays."""
    root = Path(__file__).resolve().parents[1]
    digest = hashlib.sha256()
    for path in sorted(root.rglob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


def _today() -> str:
    return dt.date.today().isoformat()  # noqa: DTZ011 - the day where the gate runs decides what has expired
