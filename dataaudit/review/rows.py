"""What is shown of a row: from the tables of the findings, or from the data where they lack it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING, Final

import polars as pl

from dataaudit.cells import kept_cell
from dataaudit.errors import AuditError
from dataaudit.findings.schemas import Findings
from dataaudit.report.rows import ReviewRow, Value, review_rows, value_of
from dataaudit.report.words import RowNames

if TYPE_CHECKING:
    from dataaudit.audits.rerun import Opened  # encoders take half a second that the first row need not wait


WHOLE: Final = 20_000  # characters of a cell that are looked at in the data
_KEPT: Final = 64  # rows kept, for going to and fro
_LISTS: Final = (pl.List, pl.Array, pl.Struct, pl.Object, pl.Binary)


class RowReader:
    """The rows of findings, by name."""

    def __init__(self, findings: Findings, reopen: Callable[[], Opened]) -> None:
        self._findings, self._reopen = findings, reopen
        self._labels = findings.labels
        self._roles = {role.get("column"): role.get("role", "") for role in findings.provenance.roles}
        self._frame: pl.DataFrame | None = None
        self._names = pl.Series(dtype=pl.String)
        self._places: dict[str, int] = {}
        self.trouble = ""  # why the data cannot be read, if they cannot
        self.row = lru_cache(_KEPT)(self._row)
        self._short = RowNames.of(findings.provenance)

    def _row(self, at: int, *, whole: bool = False) -> ReviewRow:
        """Return a row of the table `labels` with what is known of it."""
        (row,) = review_rows(self._findings, 1, start=at)
        read = () if row.cells and not whole else self._read(row)
        return dataclasses.replace(row, cells=read or row.cells)

    def shown(self, row: ReviewRow) -> ReviewRow:
        """Return a row with its name, and those of its neighbours, as people read them."""
        near = (dataclasses.replace(n, row_id=self._short.one(n.row_id)) for n in row.neighbours)
        return dataclasses.replace(row, row_id=self._short.one(row.row_id), neighbours=tuple(near))

    def containing(self, text: str) -> frozenset[str]:
        """Return the names of the rows that have a text in their name, label or cells, in either case."""
        wanted = text.lower()
        labels, frame, names = self._labels, self._load(), self._names
        if frame is None:
            frame, names = self._findings.cells.select("cell"), self._findings.cells["row_id"]
        known = labels["row_id"]
        named = labels.select("row_id", "label", self._short(pl.col("row_id")).alias("shown"))
        found = {*_holding(named, wanted, known), *_holding(frame, wanted, names)}
        return frozenset(found.intersection(known))

    def _read(self, row: ReviewRow) -> tuple[Value, ...]:
        """Return the cells of a row from the data; none where these are not at hand."""
        frame = self._load()
        if frame is None or row.row_id not in self._places:
            return ()
        cells = frame.row(self._places[row.row_id], named=True)
        return tuple(value_of(name, kept_cell(cell, WHOLE)) for name, cell in cells.items())

    def _load(self) -> pl.DataFrame | None:
        """Return the columns in use and the rows' names, read once; None where the data are not at hand."""
        if self._frame is None and not self.trouble:
            try:
                dataset = self._reopen().dataset
            except AuditError as error:
                self.trouble = str(error)
                return None
            roles = {name: role for name, role in self._roles.items() if name and role != "left out"}
            used = [name for name in dataset.frame.columns if name in roles]
            columns = used or [name for name in dataset.frame.columns if name != dataset.target]
            self._frame, self._names = dataset.frame.select(columns), dataset.row_id
            self._places = {name: at for at, name in enumerate(dataset.row_id)}
        return self._frame


def _holding(frame: pl.DataFrame, text: str, names: pl.Series) -> pl.Series:
    """Return the names of the rows of which a cell has a text."""
    plain = [name for name, kind in frame.schema.items() if not isinstance(kind, _LISTS)]
    if not plain:
        return names.clear()
    lower = (pl.col(name).cast(pl.String).str.to_lowercase() for name in plain)
    has = (cell.str.contains(pl.lit(text), literal=True).fill_null(value=False) for cell in lower)
    return names.filter(frame.select(has=pl.any_horizontal(has))["has"])
