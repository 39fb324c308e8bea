"""A folder of typed Polars tables and a provenance: checked, written whole or not at all, read back.

A folder holds one Parquet file per table and ``provenance.json``, which is written last: a folder without it
is not whole. Every kind of findings is such a folder.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import polars as pl

from dataaudit.errors import DataError, UnreadableFile, WriteError

PROVENANCE: Final = "provenance.json"
AGAIN: Final = "run the audit again, or name the folder that it wrote"

_TYPES: Final[Mapping[str, pl.DataType]] = {
    "text": pl.String(),
    "texts": pl.List(pl.String()),
    "real": pl.Float64(),
    "whole": pl.Int64(),
    "flag": pl.Boolean(),
}


def schema(columns: str) -> pl.Schema:
    """Read ``name type, name type, …``; types are text, texts, real, whole and flag."""
    pairs = (column.split() for column in columns.split(","))
    return pl.Schema({name: _TYPES[kind] for name, kind in pairs})


def write_folder(folder: Path, tables: Mapping[str, pl.DataFrame], provenance: str) -> Path:
    """Write every table as Parquet and the provenance last, whole or not at all.

    Parameters
    ----------
    folder : Path
        Made if absent; other files in it are left alone. It is also what is returned.
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
        _write_all(jobs)
    except OSError as error:
        reason = error.strerror or str(error)
        raise WriteError(
            f"findings cannot be written to {folder.as_posix()}: {reason}",
            "name a folder that you may write to with --out",
        ) from error
    return folder


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


def read_table(path: Path) -> pl.DataFrame:
    """Read one table.

    Raises
    ------
    DataError
        If it is not there.
    UnreadableFile
        If it is not a whole Parquet file.
    """
    if not path.is_file():
        raise DataError(f"{path.parent.as_posix()} lacks the table {path.name}", AGAIN)
    try:
        return pl.read_parquet(path, glob=False, hive_partitioning=False)
    except (OSError, pl.exceptions.PolarsError) as error:
        first = str(error).partition("\n")[0]
        raise UnreadableFile(f"{path.as_posix()} is not a whole Parquet file: {first}", AGAIN) from error


def check(name: str, frame: pl.DataFrame, wanted: pl.Schema, *, open_end: bool = False) -> None:
    """Compare names, order and types with the schema.

    Parameters
    ----------
    name : str
        Of the table, for messages.
    frame : pl.DataFrame
        The table.
    wanted : pl.Schema
        Its columns.
    open_end : bool
        Whether more columns may follow.

    Raises
    ------
    DataError
        If they differ.
    """
    got = frame.schema
    columns = list(got)[: len(wanted)] if open_end else list(got)
    if columns != list(wanted):
        missing = [column for column in wanted if column not in got]
        what = f"lacks {', '.join(missing)}" if missing else f"has the columns {', '.join(columns)}"
        raise DataError(f"table {name} {what}", f"its columns are {', '.join(wanted)}")
    for column, dtype in wanted.items():
        if got[column] != dtype:
            raise DataError(f"column {column} of table {name} is {got[column]}, not {dtype}", AGAIN)


def dump(value: Any, indent: int | None = None) -> str:
    """Return JSON text with sorted keys."""
    return json.dumps(plain(value), sort_keys=True, indent=indent, ensure_ascii=False, allow_nan=False)


def plain(value: Any) -> Any:
    """Return JSON's types: NumPy scalars are known by their `item`, what is not finite becomes null."""
    if isinstance(value, Mapping):
        return {str(key): plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [plain(entry) for entry in value]
    item = getattr(value, "item", None)
    value = item() if callable(item) else value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if value is None or isinstance(value, str | int) else str(value)


def _write_all(jobs: Mapping[Path, Callable[[Path], object]]) -> None:
    """Write all files beside their places, then put them there; the last one is the mark of a whole folder.

    The old mark goes first, so that a crash between two renames leaves a folder that says it is not whole.
    """
    beside = {path: path.with_name(f".{path.name}.{os.getpid()}.part") for path in jobs}
    try:
        for path, write in jobs.items():
            write(beside[path])
        last = list(jobs)[-1]
        last.unlink(missing_ok=True)
        for path, part in beside.items():
            part.replace(path)
    finally:
        for part in beside.values():
            with contextlib.suppress(OSError):  # gone already, as a rule
                part.unlink()
