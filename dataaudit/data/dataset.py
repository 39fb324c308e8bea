"""Dataset: the one table that everything above works on, with the place each row came from.

Which columns are wanted of a source, and how a name from outside is shown on one line.

Part: what one file gives, before the parts become one Dataset.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import polars as pl

from dataaudit.errors import DataError, MissingColumn, SettingError, UnreadableFile
from dataaudit.escape import shown


@dataclass(frozen=True, slots=True)
class Origin:
    """One file (or folder of texts, or frame) that rows came from.

    Attributes
    ----------
    path : str
        POSIX path as given; ``<stdin>`` or ``<frame>`` where there is none; of a query the address of the
        database, without its password.
    format : str
        ``csv``, ``tsv``, ``ndjson``, ``json``, ``parquet``, ``arrow``, ``text``, ``polars``, ``pandas``,
        ``postgresql``, ``sqlite`` or ``duckdb``; a compressed text format has ``+gzip`` or ``+zstd``
        appended.
    sha256 : str
        Of the file's bytes as they are on disk; of a folder of texts, over the sorted names and hashes of its
        files; of a frame, over its used columns as an Arrow stream; of a query, over names, types and values
        of its used columns.
    rows : int
        Number of rows that it holds.
    """

    path: str
    format: str
    sha256: str
    rows: int


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
        )


@dataclass(frozen=True, slots=True)
class Wanted:
    """The columns to read.

    Attributes
    ----------
    target : str
        Label column; empty for a table without one.
    columns : tuple of str or None
        Feature columns; None for all but `exclude`.
    exclude : tuple of str
        Columns to leave out.
    id_column : str or None
        Column that names the rows.
    """

    target: str
    columns: tuple[str, ...] | None = None
    exclude: tuple[str, ...] = ()
    id_column: str | None = None

    def __post_init__(self) -> None:
        """Refuse a target that is also something else."""
        if self.target in self.exclude:
            raise SettingError(f"column {self.target!r} is both the label and excluded", "name it once")
        if self.target and self.target == self.id_column:
            raise SettingError(f"column {self.target!r} is both the label and the id", "name two columns")

    def choose(self, names: Sequence[str], where: str) -> list[str]:
        """Return the wanted ones of `names`, in their order, the id column included.

        Parameters
        ----------
        names : sequence of str
            Columns that the source has.
        where : str
            The source, for the message.

        Returns
        -------
        list of str
            Columns to read.

        Raises
        ------
        MissingColumn
            If the target, the id column or one of `columns` is not there.
        """
        have = set(names)
        must = [name for name in (self.target, self.id_column, *(self.columns or ())) if name]
        for name in must:
            if name not in have:
                raise MissingColumn(name, names, where)
        free = have - set(self.exclude) if self.columns is None else set()
        take = free.union(must)
        return [name for name in names if name in take]

    def check_excluded(self, names: Iterable[str], where: str) -> None:
        """Raise MissingColumn for a name in `exclude` that no file has.

        Parameters
        ----------
        names : iterable of str
            Columns of all files together: one that only some files have may be excluded.
        where : str
            The source, for the message.

        Raises
        ------
        MissingColumn
            If a column to exclude is nowhere.
        """
        known = list(dict.fromkeys(names))
        for name in self.exclude:
            if name not in known:
                raise MissingColumn(name, known, where)


# A damaged Arrow footer makes Polars panic, and a panic is no Exception.
_TROUBLE = (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError, OverflowError, UnicodeError)

Lines = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Part:
    """The rows of one file (or class folder, or frame), n of them.

    Attributes
    ----------
    frame : pl.DataFrame
        The wanted columns, the id column included, n rows.
    source : pl.Series
        String, (n,).
    row, line : pl.Series
        Int64, (n,): record number in the file; physical line or null.
    origin : Origin
        What was read.
    names : tuple of str
        All columns that the file has, wanted or not.
    textual : bool
        Whether cells were text in the file, so that types are our reading of them.
    by_line : bool
        Whether a row is named by its line.
    notes : tuple of str
        Decisions to state.
    """

    frame: pl.DataFrame
    source: pl.Series
    row: pl.Series
    line: pl.Series
    origin: Origin
    names: tuple[str, ...]
    textual: bool
    by_line: bool
    notes: tuple[str, ...] = ()


def one_file(
    frame: pl.DataFrame,
    origin: Origin,
    *,
    names: tuple[str, ...],
    lines: Lines | None = None,
    textual: bool = False,
    notes: tuple[str, ...] = (),
) -> Part:
    """Return the Part of a single file whose records are numbered from 0.

    Parameters
    ----------
    frame : pl.DataFrame
        The wanted columns, n rows.
    origin : Origin
        What was read.
    names : tuple of str
        All columns of the file.
    lines : array of int64 (n,), optional
        Physical lines. Where two records share a line, rows are named by record number instead.
    textual : bool
        Whether the format is text.
    notes : tuple of str
        Decisions to state.

    Returns
    -------
    Part
        With sources, rows and lines filled in.
    """
    n = frame.height
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


def id_as_text(frame: pl.DataFrame, id_column: str | None, where: str) -> pl.DataFrame:
    """Return `frame` with the id column as String.

    Parameters
    ----------
    frame : pl.DataFrame
        With the id column, if there is one.
    id_column : str or None
        Its name.
    where : str
        The source, for the message.

    Returns
    -------
    pl.DataFrame
        The same columns.

    Raises
    ------
    DataError
        If the column holds lists or other things that are no names.
    """
    if id_column is None or frame.schema[id_column] == pl.String:
        return frame
    dtype = frame.schema[id_column]
    if dtype.is_nested() or dtype in (pl.Object, pl.Binary):
        raise DataError(
            f"the id column {id_column!r} of {where} holds {dtype}", "use a column of text or numbers"
        )
    return frame.with_columns(pl.col(id_column).cast(pl.String))


@contextmanager
def readable(what: str, hint: str) -> Iterator[None]:
    """Turn whatever Polars or the system raises inside into one UnreadableFile.

    Parameters
    ----------
    what : str
        Start of the message, the cause follows: ``mail.parquet is not a readable Parquet file``.
    hint : str
        One thing to do.

    Yields
    ------
    None
        Control to the block.

    Raises
    ------
    UnreadableFile
        In place of PolarsError, OSError and Rust panics.
    """
    try:
        yield
    except _TROUBLE as error:
        raise UnreadableFile(f"{what}: {_first_line(error)}", hint) from error


def _first_line(error: BaseException) -> str:
    return shown(str(error).strip().split("\n", 1)[0]) or type(error).__name__
