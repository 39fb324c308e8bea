"""Dataset: the one table that everything above works on, with the place each row came from."""

from __future__ import annotations

from dataclasses import dataclass, replace

import polars as pl


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
