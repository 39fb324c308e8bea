"""Part: what one file gives, before the parts become one Dataset."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from dataaudit.errors import DataError, UnreadableFile
from dataaudit.sources.dataset import Origin
from dataaudit.sources.wanted import shown

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
