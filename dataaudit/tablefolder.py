"""Typed Polars tables and a provenance: checked, written to a folder, read back.

Every kind of findings is such a folder.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Final, Self

import polars as pl

from dataaudit.errors import DataError, UnreadableFile
from dataaudit.folder import AGAIN, NOUNS, PROVENANCE, read_provenance, require_room, write_folder
from dataaudit.sources.apart import files_read

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
