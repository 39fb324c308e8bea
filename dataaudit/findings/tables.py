"""Typed Polars tables and their provenance: checked, written to a folder whole or not at all, read back.

A folder holds one Parquet file per table and ``provenance.json``, which is written last: a folder without it
is not whole. Facts are stored; a column of *words* has sentences that are made of the facts of a row, by the
function that its table is declared with, whenever tables are made or read. It is written as well, for people
who read the Parquet files. So a folder of an earlier version gets the sentences of this one.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, ClassVar, Final, Self, cast, get_type_hints

import polars as pl

from dataaudit.data.blob import require_data
from dataaudit.data.paths import files_read, require_apart
from dataaudit.data.scratch import Plain
from dataaudit.errors import AuditError, DataError, UnreadableFile, WriteError
from dataaudit.files import Content, is_file, is_folder, replace_all
from dataaudit.findings.record import AGAIN, NOUNS, AuditRecord

PROVENANCE: Final = "provenance.json"
GROUP: Final = 1 << 17  # rows that are written at a time
_SHORTEST = 1 << 11  # bytes below which a table may be a pointer to one
ELSEWHERE: Final = "name another folder with --out"
_NUMBERS: Final[Mapping[str, pl.DataType]] = {"real": pl.Float64(), "whole": pl.Int64(), "flag": pl.Boolean()}
# What a text may be; `findings.redact` withholds by it. "text" may hold cells and is withheld.
_TEXTS: Final = ("text", "own", "named", "words", "train", "test", "class", "column", "level", "file")
_LISTS: Final = {"trains": "train", "tests": "test", "columns": "column", "levels": "level"}

Sentences = Callable[[pl.DataFrame, Any], pl.Series]  # of a table without its words, and a provenance


class Columns(pl.Schema):
    """The columns of a table, and what each of its texts holds."""

    holds: Mapping[str, str]

    @property
    def facts(self) -> pl.Schema:
        """The columns but for those of words."""
        return pl.Schema({name: kind for name, kind in self.items() if self.holds.get(name) != "words"})


def schema(*columns: str) -> Columns:
    """Read ``name type, name type, …``.

    Types are real, whole, flag, and of texts: text (may hold cells), own (a word of ours), named (may name
    columns and classes, but holds no cells), words (a sentence made of the row's facts), train and test (name
    of a row), class, column, level, file; trains, tests, columns and levels are lists of them.
    """
    pairs = [column.split() for column in ",".join(columns).split(",")]
    made = Columns({name: _dtype(kind) for name, kind in pairs})
    made.holds = {name: _LISTS.get(kind, kind) for name, kind in pairs if kind not in _NUMBERS}
    return made


def _dtype(kind: str) -> pl.DataType:
    if kind in _LISTS:
        return pl.List(pl.String())
    return pl.String() if kind in _TEXTS else _NUMBERS[kind]


@dataclass(frozen=True, kw_only=True)
class Tables:
    """Typed tables with their provenance: the base of every kind of findings.

    A kind declares each table as ``name: Annotated[pl.DataFrame, SCHEMA]``, with words as
    ``Annotated[pl.DataFrame, SCHEMA, function]``.
    """

    SCHEMAS: ClassVar[Mapping[str, Columns]]
    WORDS: ClassVar[Mapping[str, Sentences]]
    RECORD: ClassVar[type[AuditRecord]]
    OPEN_END: ClassVar[frozenset[str]] = frozenset()  # tables in which more columns may follow
    RANKED: ClassVar[frozenset[str]] = frozenset()  # tables that are sorted by rank 1, 2, 3, …
    LATER: ClassVar[frozenset[str]] = frozenset()  # tables that folders of earlier versions lack: empty then
    # Of tables that earlier versions wrote with other columns, what makes them as they are now.
    UPGRADES: ClassVar[Mapping[str, Callable[[pl.DataFrame], pl.DataFrame]]] = {}

    def __init_subclass__(cls) -> None:
        declared = get_type_hints(cls, include_extras=True)
        tables = {name: made for name in declared if (made := getattr(declared[name], "__metadata__", ()))}
        cls.SCHEMAS = {name: made[0] for name, made in tables.items()}
        cls.WORDS = {name: made[1] for name, made in tables.items() if len(made) > 1}
        cls.RECORD = declared["provenance"]
        cls.__annotations__ |= dict.fromkeys(tables, "pl.DataFrame")  # a signature without schemas

    @property
    def record(self) -> AuditRecord:
        """The provenance, whatever the kind."""
        found: AuditRecord = self.provenance  # type: ignore[attr-defined]
        return found

    def __post_init__(self) -> None:
        for name, frame in self.tables().items():
            columns = self.SCHEMAS[name]
            if name in self.WORDS and frame.columns == columns.facts.names():
                check(name, frame, columns.facts)
                whole = frame.with_columns(self.WORDS[name](frame, self.record)).select(columns.names())
                object.__setattr__(self, name, whole)
            else:
                check(name, frame, columns, open_end=name in self.OPEN_END)
            if name in self.RANKED and not frame["rank"].equals(pl.int_range(1, len(frame) + 1, eager=True)):
                raise DataError(f"table {name} is not sorted by rank 1, 2, 3, …", AGAIN)

    def tables(self) -> dict[str, pl.DataFrame]:
        """Return the tables by name."""
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
        contents: dict[Path, Content] = {_file(path, name): _writer(frame) for name, frame in tables.items()}
        contents[path / PROVENANCE] = record.to_json(tables)
        is_new = not path.exists()
        try:
            path.mkdir(parents=True, exist_ok=True)
            replace_all(contents, stale=[file for file in _tables_before(path) if file not in contents])
        except OSError as error:
            if is_new:
                with suppress(OSError):  # not made at all
                    path.rmdir()
            what = f"findings cannot be written to {path.as_posix()}: {error.strerror or error}"
            raise WriteError(what, "name a folder that you may write to with --out") from error
        return path

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
        lacking = {name for name in cls.LATER if not _file(folder, name).is_file()}
        parts: dict[str, Any] = {name: cls.empty(name) for name in lacking}
        parts |= {name: read_table(_file(folder, name)) for name in cls.SCHEMAS if name not in lacking}
        parts |= {name: make(parts[name]) for name, make in cls.UPGRADES.items()}
        for name in cls.WORDS:  # they are made anew
            parts[name] = parts[name].drop(
                cls.SCHEMAS[name].keys() - cls.SCHEMAS[name].facts.keys(), strict=False
            )
        return cls(**parts | {"provenance": provenance})

    @classmethod
    def empty(cls, name: str) -> pl.DataFrame:
        """Return the table `name` with its columns and no rows."""
        return pl.DataFrame(schema=cls.SCHEMAS[name])


def _writer(frame: pl.DataFrame) -> Content:
    """Return what writes a table, a group of rows after the other."""

    def write(path: Path) -> None:
        with Plain(path) as file:
            frame.write_parquet(cast("BinaryIO", file), row_group_size=GROUP)

    return write


def _file(folder: Path, table: str) -> Path:
    return folder / f"{table}.parquet"


def require_room(folder: Path, kind: str, *, tables: Iterable[str], sources: Iterable[str]) -> None:
    """Refuse a folder where findings would replace those of another kind, or the files they are made from."""
    if is_file(folder / PROVENANCE):
        try:
            there = str(read_provenance(folder).get("kind"))
        except AuditError:
            there = ""
        if there != kind:
            holds = NOUNS.get(there, f"a {PROVENANCE} of something else")
            raise WriteError(f"{folder.as_posix()} holds {holds}", ELSEWHERE)
    targets = [folder / PROVENANCE, *(_file(folder, name) for name in tables)]
    require_apart(targets, sources, hint=ELSEWHERE)


def read_provenance(folder: Path) -> dict[str, Any]:
    """Return the JSON object of a whole folder of findings."""
    if not is_folder(folder):
        raise DataError(f"{folder.as_posix()} is not a folder of findings", AGAIN)
    path = folder / PROVENANCE
    if not path.is_file():
        raise DataError(f"{folder.as_posix()} is not a whole folder of findings: it lacks {path.name}", AGAIN)
    try:
        text = path.read_bytes()
        require_data(text, path.as_posix())
        values = json.loads(text.decode())
    except (OSError, ValueError) as error:
        raise UnreadableFile(f"{path.as_posix()} is not JSON: {error}", AGAIN) from error
    if not isinstance(values, dict):
        raise UnreadableFile(f"{path.as_posix()} holds no JSON object", AGAIN)
    return values


def _tables_before(folder: Path) -> list[Path]:
    """Return the tables of the findings that are in a folder, as their provenance names them."""
    if not is_file(folder / PROVENANCE):
        return []
    try:
        names = read_provenance(folder).get("tables")
    except AuditError:
        return []
    return [_file(folder, name) for name in names or () if isinstance(name, str) and name.isidentifier()]


def read_table(path: Path) -> pl.DataFrame:
    """Read one table."""
    if not path.is_file():
        raise DataError(f"{path.parent.as_posix()} lacks the table {path.name}", AGAIN)
    try:
        return pl.read_parquet(path, glob=False, hive_partitioning=False)
    except (OSError, pl.exceptions.PolarsError) as error:
        if path.stat().st_size < _SHORTEST:
            require_data(path.read_bytes(), path.as_posix())
        first = str(error).partition("\n")[0]
        raise UnreadableFile(f"{path.as_posix()} is not a whole Parquet file: {first}", AGAIN) from error


def check(name: str, frame: pl.DataFrame, wanted: pl.Schema, *, open_end: bool = False) -> None:
    """Compare the columns and types of a table with its schema; with an open end, more columns may follow."""
    got = frame.schema
    columns = list(got)[: len(wanted)] if open_end else list(got)
    if columns != list(wanted):
        missing = [column for column in wanted if column not in got]
        what = f"lacks {', '.join(missing)}" if missing else f"has the columns {', '.join(columns)}"
        raise DataError(f"table {name} {what}", f"its columns are {', '.join(wanted)}")
    for column, dtype in wanted.items():
        if got[column] != dtype:
            raise DataError(f"column {column} of table {name} is {got[column]}, not {dtype}", AGAIN)
