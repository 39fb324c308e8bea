"""What is shown of a row: from the tables of the findings, or from the data where they lack it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

import polars as pl

from dataaudit.cells import kept_cell
from dataaudit.errors import AuditError
from dataaudit.findings.schemas import Findings
from dataaudit.report.rows import (
    Neighbour,
    ReviewRow,
    Term,
    Value,
    excerpt,
    order_values,
    value_of,
)

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

    def _row(self, at: int, *, whole: bool = False) -> ReviewRow:
        """Return a row of the table `labels` with what is known of it."""
        names = [field.name for field in dataclasses.fields(ReviewRow) if field.name in self._labels.columns]
        values = self._labels.select(names).row(at, named=True)
        key = values["row_id"]
        terms = self._of("evidence", key).select("column", "level", "cell", "contribution")
        evidence = tuple(Term(self._roles.get(term[0], ""), *term) for term in terms.iter_rows())
        first = tuple(dict.fromkeys(term.column for term in evidence))
        alike = self._of("neighbours", key).drop("row_id", "position")
        near = tuple(
            Neighbour(other, label, similarity, same, excerpt(self._cells(other, first)))
            for other, label, similarity, same in alike.iter_rows()
        )
        cells = () if whole else self._cells(key, first)
        return ReviewRow(**values, cells=cells or self._read(key, first), evidence=evidence, neighbours=near)

    def containing(self, text: str) -> frozenset[str]:
        """Return the names of the rows that have a text in their name, label or cells, in either case."""
        wanted = text.lower()
        labels, frame, names = self._labels, self._load(), self._names
        if frame is None:
            frame, names = self._findings.cells.select("cell"), self._findings.cells["row_id"]
        known = labels["row_id"]
        found = {*_holding(labels.select("row_id", "label"), wanted, known), *_holding(frame, wanted, names)}
        return frozenset(found.intersection(known))

    def _of(self, table: str, key: str) -> pl.DataFrame:
        frame: pl.DataFrame = getattr(self._findings, table)
        return frame.filter(pl.col("row_id") == key).sort("position")

    def _cells(self, key: str, first: tuple[str, ...]) -> tuple[Value, ...]:
        cells = self._findings.cells.filter(pl.col("row_id") == key)
        return _ordered(cells.select("column", "cell").iter_rows(), first)

    def _read(self, key: str, first: tuple[str, ...]) -> tuple[Value, ...]:
        """Return the cells of a row from the data, or from the tables if these are all there is."""
        frame = self._load()
        if frame is None or key not in self._places:
            return self._cells(key, first)
        values = frame.row(self._places[key], named=True)
        return _ordered(((name, kept_cell(value, WHOLE)) for name, value in values.items()), first)

    def _load(self) -> pl.DataFrame | None:
        """Return the columns in use and the rows' names, read once; None where the data are not at hand."""
        if self._frame is None and not self.trouble:
            try:
                dataset = self._reopen().dataset
            except AuditError as error:
                self.trouble = str(error)
                return None
            roles = {name: role for name, role in self._roles.items() if name and role != "left out"}
            used = sorted(roles, key=lambda name: roles[name] != "text")
            columns = used or [name for name in dataset.frame.columns if name != dataset.target]
            self._frame, self._names = dataset.frame.select(columns), dataset.row_id
            self._places = {name: at for at, name in enumerate(dataset.row_id)}
        return self._frame


def _ordered(cells: Iterable[tuple[str, Any]], first: tuple[str, ...]) -> tuple[Value, ...]:
    return order_values([value_of(column, text) for column, text in cells], first)


def _holding(frame: pl.DataFrame, text: str, names: pl.Series) -> pl.Series:
    """Return the names of the rows of which a cell has a text."""
    plain = [name for name, kind in frame.schema.items() if not isinstance(kind, _LISTS)]
    if not plain:
        return names.clear()
    lower = [pl.col(name).cast(pl.String).str.to_lowercase() for name in plain]
    has = pl.any_horizontal(
        cell.str.contains(pl.lit(text), literal=True).fill_null(value=False) for cell in lower
    )
    return names.filter(frame.select(has.alias("has"))["has"])
