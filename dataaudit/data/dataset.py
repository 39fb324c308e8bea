"""Dataset: the one table that everything above works on, with the place each row came from.

A reader is asked for the Wanted columns of one source, and gives a Part; `load` makes the Dataset of all.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import polars as pl

from dataaudit.errors import DataError, MissingColumn, SettingError, UnreadableFile
from dataaudit.escape import shown

Lines = npt.NDArray[np.int64]
Frame = TypeVar("Frame", pl.DataFrame, pl.LazyFrame)

_UNNAMED_INDEX = re.compile(r"__index_level_\d+__")  # what pandas calls one without a name

# A damaged Arrow footer makes Polars panic, and a panic is no Exception.
_TROUBLE = (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError, OverflowError, UnicodeError)


@dataclass(frozen=True, slots=True)
class Origin:
    """One file (or folder of texts, or frame) that rows came from."""

    path: str  # POSIX path as given; ``<stdin>``, ``<frame>``, or a database's address without its password
    format: str  # ``csv``, ``parquet``, …, ``polars``, ``sqlite``; with ``+gzip`` or ``+zstd`` if packed
    sha256: str  # of the bytes on disk; of texts, by names and hashes; of frames and queries, by content
    rows: int  # number of rows that it holds


@dataclass(frozen=True, slots=True)
class Dataset:
    """A table with a label column, and a name and a place for each of its n rows.

    Attributes
    ----------
    frame : pl.DataFrame
        Target and candidate feature columns, n rows. The id column is not among them.
    target : str
        Name of the label column.
    row_id : pl.Series
        String, unique, (n,). From the id column, else ``source:line`` for text formats and ``source#row`` for
        binary ones, frames, and JSON with several records on a line.
    row : pl.Series
        Int64, (n,): 0-based record number in its file.
    source : pl.Series
        String, (n,): POSIX path as given, ``<stdin>``, ``<frame>`` or ``query``.
    line : pl.Series
        Int64, (n,): 1-based physical line at which the record starts; null for binary formats and frames.
    origins : tuple of Origin
        What was read, in reading order.
    notes : tuple of str
        Decisions to state to the user, in full sentences.
    given : tuple of str
        The paths (or words of a query) as they were given, to read them again; empty for a frame.
    names : tuple of str
        All columns that were there, wanted or not.
    unshared : mapping of str to str
        Columns that the other side of a pair lacks, or has alone, and in words which; no features.
    weight : pl.Series, optional
        Weights of the rows, (n,), where they are no column of the frame.
    """

    frame: pl.DataFrame
    target: str
    row_id: pl.Series
    row: pl.Series
    source: pl.Series
    line: pl.Series
    origins: tuple[Origin, ...]
    notes: tuple[str, ...]
    given: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    unshared: Mapping[str, str] = field(default_factory=dict)
    weight: pl.Series | None = None

    @property
    def n(self) -> int:
        """Number of rows."""
        return self.frame.height

    def keep(self, mask: pl.Series) -> Dataset:
        """Return the rows for which `mask` is true; their names and places stay as they were.

        Parameters
        ----------
        mask : pl.Series
            Boolean, (n,). A null drops its row.

        Returns
        -------
        Dataset
            With as many rows as `mask` has true values, and the same origins and notes.

        Raises
        ------
        ValueError
            If `mask` is not Boolean or has not n values.
        """
        if mask.dtype != pl.Boolean or len(mask) != self.n:
            raise ValueError(f"mask must be Boolean with {self.n} values: got {mask.dtype} with {len(mask)}")
        return replace(
            self,
            frame=self.frame.filter(mask),
            row_id=self.row_id.filter(mask),
            row=self.row.filter(mask),
            source=self.source.filter(mask),
            line=self.line.filter(mask),
            weight=None if self.weight is None else self.weight.filter(mask),
        )


@dataclass(frozen=True, slots=True)
class Dialect:
    """What is said of text files, where their bytes leave it open."""

    encoding: str | None = None  # Python's name; None to look
    no_header: bool = False  # whether the first line of a delimited text is a row


USUAL = Dialect()


@dataclass(frozen=True, slots=True)
class Wanted:
    """The columns to read."""

    target: str  # label column; empty for a table without one
    columns: tuple[str, ...] | None = None  # feature columns; None for all but `exclude`
    exclude: tuple[str, ...] = ()
    id_column: str | None = None  # column that names the rows
    some: bool = False  # whether this is one file of several, which need not have all of the columns
    named: tuple[str, ...] = ()  # columns with a use of their own: read even if they are an index
    dialect: Dialect = USUAL
    as_text: tuple[str, ...] = ()  # columns whose cells stay text, whatever they say
    lenient: bool = False  # whether all but the label may be absent: as of one side of a pair

    def __post_init__(self) -> None:
        """Refuse a target that is also something else."""
        if self.target in self.exclude:
            raise SettingError(f"column {self.target!r} is both the label and excluded", "name it once")
        if self.target and self.target == self.id_column:
            raise SettingError(f"column {self.target!r} is both the label and the id", "name two columns")

    def choose(self, names: Sequence[str], where: str) -> list[str]:
        """Return the wanted ones of `names`, in their order, the id column included."""
        have = set(names)
        free = have - set(self.exclude) if self.columns is None else set()
        missing = [name for name in self.required if name not in have]
        take = free.union(self.asked) & have
        if missing and (not self.some or not take or self.id_column in missing):
            raise MissingColumn(missing[0], names, where)
        return [name for name in names if name in take]

    @property
    def asked(self) -> tuple[str, ...]:
        """The columns that were asked for by name."""
        return tuple(name for name in (self.target, self.id_column, *(self.columns or ())) if name)

    @property
    def required(self) -> tuple[str, ...]:
        """The columns that have to be there."""
        return tuple(filter(None, [self.target])) if self.lenient else self.asked

    def without(self, names: Iterable[str]) -> Wanted:
        """Return what is wanted of a file if these columns come from elsewhere."""
        gone = set(names)
        kept = tuple(name for name in self.columns or () if name not in gone)
        return replace(
            self,
            target="" if self.target in gone else self.target,
            columns=kept or None,
            exclude=tuple(dict.fromkeys((*self.exclude, *gone))),
            id_column=None if self.id_column in gone else self.id_column,
        )

    def without_index(self, names: Sequence[str], index: Sequence[str]) -> tuple[list[str], tuple[str, ...]]:
        """Return `names` without the index that pandas wrote, but for what is asked for, and a note on it."""
        asked = {*self.asked, *self.named}
        left = [name for name in index if name in names and name not in asked]
        new = [] if self.columns is not None else [name for name in left if name not in self.exclude]
        return [name for name in names if name not in left], (_index_note(new),) if new else ()

    def check_excluded(self, names: Iterable[str], where: str) -> None:
        """Raise MissingColumn for a name in `exclude` that no file has."""
        known = list(dict.fromkeys(names))
        for name in () if self.lenient else self.exclude:
            if name not in known:
                raise MissingColumn(name, known, where)


def _index_note(left: Sequence[str]) -> str:
    """Say which columns are an index of pandas, and how one with a name of its own can be used."""
    quoted = ", ".join(repr(shown(name)) for name in left)
    use = "" if all(map(_UNNAMED_INDEX.fullmatch, left)) else "; name it under --id or --features to use it"
    return f"The index that pandas wrote ({quoted}) is left out{use}."


@dataclass(frozen=True, slots=True)
class Part:
    """The rows of one file (or class folder, or frame), n of them."""

    frame: pl.DataFrame  # the wanted columns, the id column included, n rows
    source: pl.Series  # String (n,), as in `Dataset`
    row: pl.Series  # Int64 (n,), record number in the file
    line: pl.Series  # Int64 (n,), physical line or null
    origin: Origin
    names: tuple[str, ...]  # all columns that the file has, wanted or not
    textual: bool  # whether cells were text in the file, so that types are our reading of them
    by_line: bool  # whether a row is named by its line
    notes: tuple[str, ...] = ()


def one_file(
    frame: pl.DataFrame,  # the wanted columns, n rows
    origin: Origin,
    *,
    names: tuple[str, ...],  # all columns of the file
    lines: Lines | None = None,  # (n,) physical lines; where two records share one, rows go by their number
    textual: bool = False,  # whether the format is text
    notes: tuple[str, ...] = (),
) -> Part:
    """Return the Part of a single file whose records are numbered from 0."""
    frame, n = plain_types(frame), frame.height
    by_line = lines is not None and len(lines) == n and bool(np.all(np.diff(lines) > 0))
    line = pl.Series("line", lines) if lines is not None else pl.repeat(None, n, dtype=pl.Int64, eager=True)
    return Part(
        frame=frame,
        source=pl.repeat(origin.path, n, dtype=pl.String, eager=True).alias("source"),
        row=pl.int_range(n, dtype=pl.Int64, eager=True).alias("row"),
        line=line.cast(pl.Int64).alias("line"),
        origin=origin,
        names=names,
        textual=textual,
        by_line=by_line,
        notes=notes,
    )


def plain_types(frame: Frame) -> Frame:
    """Return extension types as what they are stored as: nothing can be done with a period of pandas."""
    extension = getattr(pl.datatypes, "BaseExtension", ())  # Polars before 2 has none, and reads the storage
    held = [name for name, dtype in frame.collect_schema().items() if isinstance(dtype, extension)]
    return frame.with_columns(pl.selectors.by_name(held).ext.storage()) if held else frame


def id_as_text(frame: pl.DataFrame, id_column: str | None, where: str) -> pl.DataFrame:
    """Return `frame` with the id column as String."""
    if id_column is None or frame.schema.get(id_column, pl.String) == pl.String:
        return frame
    dtype = frame.schema[id_column]
    if dtype.is_nested() or dtype in (pl.Object, pl.Binary):
        raise DataError(
            f"the id column {id_column!r} of {where} holds {dtype}", "use a column of text or numbers"
        )
    return frame.with_columns(pl.col(id_column).cast(pl.String))


@contextmanager
def readable(what: str, hint: str) -> Iterator[None]:
    """Turn whatever Polars or the system raises inside into one UnreadableFile."""
    try:
        yield
    except _TROUBLE as error:
        raise UnreadableFile(f"{what}: {first_line(error)}", hint) from error


def first_line(error: BaseException) -> str:
    """Return the first line of a library's message."""
    return shown(str(error).strip().split("\n", 1)[0]) or type(error).__name__


def require_distinct(names: Sequence[str], where: str, *, hint: str = "rename one of the two") -> None:
    """Refuse a column name that stands twice."""
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise DataError(f"column {name!r} stands twice in {where}", hint)
        seen.add(name)
