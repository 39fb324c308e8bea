"""A folder of tables and a provenance on the disk: written whole or not at all, never over something else.

A folder holds one Parquet file per table and ``provenance.json``, which is written last: a folder without it
is not whole.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from dataaudit.errors import AuditError, DataError, UnreadableFile, WriteError
from dataaudit.sources.apart import require_apart

if TYPE_CHECKING:
    import polars as pl

PROVENANCE: Final = "provenance.json"
AGAIN: Final = "run the audit again, or name the folder that it wrote"
ELSEWHERE: Final = "name another folder with --out"
NOUNS: Final[Mapping[str, str]] = {  # what a folder holds, by its kind
    "labels": "an audit of labels",
    "mismatch": "an audit of a mismatch",
    "explanation": "an explanation",
    "vulnerability": "an audit of vulnerability",
}


def write_folder(folder: Path, tables: Mapping[str, pl.DataFrame], provenance: str) -> Path:
    """Write every table as Parquet and the provenance last, whole or not at all.

    Parameters
    ----------
    folder : Path
        Made if absent; of what is there only the findings before are replaced, or taken away. It is also
        what is returned.
    tables : mapping
        Tables by name.
    provenance : str
        JSON text.

    Raises
    ------
    WriteError
        If the folder cannot be made or written to.
    """
    jobs: dict[Path, Callable[[Path], object]] = {
        folder / f"{name}.parquet": frame.write_parquet for name, frame in tables.items()
    }
    jobs[folder / PROVENANCE] = lambda path: path.write_text(provenance, encoding="utf-8", newline="\n")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _write_all(jobs, [path for path in _tables_before(folder) if path not in jobs])
    except OSError as error:
        reason = error.strerror or str(error)
        raise WriteError(
            f"findings cannot be written to {folder.as_posix()}: {reason}",
            "name a folder that you may write to with --out",
        ) from error
    return folder


def require_room(folder: Path, kind: str, *, tables: Iterable[str], sources: Iterable[str]) -> None:
    """Refuse a folder in which findings would replace those of another kind, or the data themselves.

    Parameters
    ----------
    folder : Path
        It need not be there.
    kind : str
        Of the findings, one of `NOUNS`.
    tables : iterable of str
        Their names.
    sources : iterable of str
        Files that the findings are made from.

    Raises
    ------
    WriteError
        If it is such a folder.
    """
    if (folder / PROVENANCE).is_file():
        try:
            there = str(read_provenance(folder).get("kind"))
        except AuditError:
            there = ""
        if there != kind:
            holds = NOUNS.get(there, f"a {PROVENANCE} of something else")
            raise WriteError(f"{folder.as_posix()} holds {holds}", ELSEWHERE)
    targets = [folder / PROVENANCE, *(folder / f"{name}.parquet" for name in tables)]
    require_apart(targets, sources, hint=ELSEWHERE)


def read_provenance(folder: Path) -> dict[str, Any]:
    """Return the JSON object of a whole folder.

    Raises
    ------
    DataError
        If it is no folder of findings, or not a whole one.
    UnreadableFile
        If the file is not JSON.
    """
    if not folder.is_dir():
        raise DataError(f"{folder.as_posix()} is not a folder of findings", AGAIN)
    path = folder / PROVENANCE
    if not path.is_file():
        raise DataError(f"{folder.as_posix()} is not a whole folder of findings: it lacks {path.name}", AGAIN)
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UnreadableFile(f"{path.as_posix()} is not JSON: {error}", AGAIN) from error
    if not isinstance(values, dict):
        raise UnreadableFile(f"{path.as_posix()} holds no JSON object", AGAIN)
    return values


def _tables_before(folder: Path) -> list[Path]:
    """Return the tables of the findings that are in a folder, as their provenance names them."""
    try:
        names = read_provenance(folder).get("tables")
    except AuditError:
        return []
    plain_names = [name for name in names or () if isinstance(name, str) and name.isidentifier()]
    return [folder / f"{name}.parquet" for name in plain_names]


def _write_all(jobs: Mapping[Path, Callable[[Path], object]], stale: Iterable[Path]) -> None:
    """Write all files beside their places, then put them there; the last one is the mark of a whole folder.

    The old mark goes first, so that a crash between two renames leaves a folder that says it is not whole;
    then what is stale.
    """
    beside = {path: path.with_name(f".{path.name}.{os.getpid()}.part") for path in jobs}
    try:
        for path, write in jobs.items():
            write(beside[path])
        last = list(jobs)[-1]
        last.unlink(missing_ok=True)
        for path in stale:
            path.unlink(missing_ok=True)
        for path, part in beside.items():
            part.replace(path)
    finally:
        for part in beside.values():
            with contextlib.suppress(OSError):  # gone already, as a rule
                part.unlink()
