"""Typed Polars tables and a provenance: checked, written to a folder, read back.

Every kind of findings is such a folder.

A folder of tables and a provenance on the disk: written whole or not at all, never over something else.

A folder holds one Parquet file per table and ``provenance.json``, which is written last: a folder without it
is not whole.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import math
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Final, Self

import polars as pl

from dataaudit.data.paths import files_read, require_apart
from dataaudit.errors import AuditError, DataError, UnreadableFile, WriteError

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


@dataclass(frozen=True, kw_only=True)
class Record:
    """Where findings come from: the base of every provenance, whose fields are the subclass's."""

    KIND: ClassVar[str]  # what is written in the file, one of `NOUNS`
    FORMAT: ClassVar[int] = 1  # raised when a table changes in a way that older readers cannot bear

    def __post_init__(self) -> None:
        for f in dataclasses.fields(self):  # lists are welcome, tuples are kept
            if str(f.type).startswith("tuple"):
                object.__setattr__(self, f.name, tuple(getattr(self, f.name)))

    @property
    def run_id(self) -> str:
        """Sixteen hexadecimal digits that stand for all fields; equal for equal runs."""
        return hashlib.sha256(dump(self._fields()).encode()).hexdigest()[:16]

    def _fields(self) -> dict[str, Any]:
        return {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}

    def to_dict(self) -> dict[str, Any]:
        """Return all fields, the kind, `run_id` and the format's number, as JSON's types."""
        fields: dict[str, Any] = plain(self._fields())
        return {"format": self.FORMAT, "kind": self.KIND, "run_id": self.run_id, **fields}

    def to_json(self, tables: Iterable[str] = ()) -> str:
        """Return what is written beside these tables: sorted keys, two spaces, a newline at the end."""
        return dump({**self.to_dict(), "tables": sorted(tables)}, indent=2) + "\n"

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], where: str) -> Self:
        """Read what `to_dict` gave.

        Parameters
        ----------
        values : mapping
            The parsed JSON object.
        where : str
            Name of the file, for messages.

        Raises
        ------
        DataError
            If it is of another kind or format, or fields are missing.
        """
        if values.get("format") != cls.FORMAT:
            what = f"{where} has format {values.get('format')!r}, this version reads {cls.FORMAT}"
            raise DataError(what, "run the audit again with this version")
        if values.get("kind") != cls.KIND:
            raise DataError(f"{where} is not of {NOUNS[cls.KIND]}", AGAIN)
        kinds = {f.name: f.type for f in dataclasses.fields(cls)}
        missing = [name for name in kinds if name not in values]
        if missing:
            raise DataError(f"{where} lacks {', '.join(missing)}", AGAIN)
        given: dict[str, Any] = {name: values[name] for name in kinds}
        given |= {name: math.nan for name, kind in kinds.items() if kind == "float" and given[name] is None}
        return cls(**given)


@dataclass(frozen=True, kw_only=True)
class Tables:
    """Typed tables with their provenance: the base of every kind of findings.

    Raises
    ------
    DataError
        If a table has other columns or types than its schema.
    """

    SCHEMAS: ClassVar[Mapping[str, pl.Schema]]
    RECORD: ClassVar[type[Record]]
    OPEN_END: ClassVar[frozenset[str]] = frozenset()  # tables in which more columns may follow

    @property
    def record(self) -> Record:
        """The provenance, whatever the kind."""
        found: Record = self.provenance  # type: ignore[attr-defined]
        return found

    def __post_init__(self) -> None:
        for name, frame in self.tables().items():
            check(name, frame, self.SCHEMAS[name], open_end=name in self.OPEN_END)

    def tables(self) -> dict[str, pl.DataFrame]:
        """Return the tables by name, in the order of `SCHEMAS`."""
        return {name: getattr(self, name) for name in self.SCHEMAS}

    def write(self, folder: str | Path) -> Path:
        """Write every table as Parquet and ``provenance.json`` last, whole or not at all.

        Parameters
        ----------
        folder : str or Path
            Made if absent. Findings of the same kind are replaced, other files in it are left alone. It is
            also what is returned.

        Raises
        ------
        WriteError
            If the folder cannot be made or written to, holds findings of another kind, or a table would be
            written over the data.
        """
        path, tables, record = Path(folder), self.tables(), self.record
        require_room(path, record.KIND, tables=tables, sources=files_read(record))
        return write_folder(path, tables, record.to_json(tables))

    @classmethod
    def read(cls, folder: str | Path) -> Self:
        """Read the folder that `write` made.

        Parameters
        ----------
        folder : str or Path
            The folder.

        Raises
        ------
        DataError
            If it is no such folder, a table is missing, or one has another schema.
        UnreadableFile
            If a file in it is cut short or is not what its name says.
        """
        folder = Path(folder)
        provenance = cls.RECORD.from_dict(read_provenance(folder), (folder / PROVENANCE).as_posix())
        parts: dict[str, Any] = {name: read_table(folder / f"{name}.parquet") for name in cls.SCHEMAS}
        return cls(**parts | {"provenance": provenance})

    @classmethod
    def empty(cls, name: str) -> pl.DataFrame:
        """Return the table `name` with its columns and no rows."""
        return pl.DataFrame(schema=cls.SCHEMAS[name])


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
