"""A table of facts: a function of the data, the types of its columns, and what it takes to make it.

`fact_table` turns a function into a table: rules call it by the function's name, and its docstring says what
is in it. The function may return a frame, or the rows one after the other.

Of scope ``row``, the column ``row`` holds positions in the data from 0. A table that comes from findings has
``source``, ``row`` (record number in it), ``line`` and ``row_id`` instead, as findings have them. A table of
scope ``row`` may hold some of the rows only: shares are of all rows of the data.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Literal

import polars as pl

from dataaudit.findings.tables import schema
from dataaudit.findings.verdict import Scope
from dataaudit.gate.data import Material
from dataaudit.gate.rules import Need

Rows = Iterable[tuple[Any, ...]]
Maker = Callable[[Material], pl.DataFrame | Rows]


@dataclass(frozen=True, slots=True, kw_only=True)
class FactTable:
    """A typed table that rules look at."""

    name: str  # what rules call it
    doc: str  # what is in it, in a sentence
    maker: Maker
    schema: pl.Schema
    scope: Scope  # what its rows stand for
    key: tuple[str, ...]  # columns that tell its rows apart, and stay as the data grow
    score: str  # column by which findings are ranked where the rule's measure names none; empty for none
    place: Literal["data", "test"]  # whose file a finding points to where it is no row
    needs: frozenset[Need]  # without one of these it cannot be made, and its rules are skipped
    cells: frozenset[
        str
    ]  # columns with cells of the data, or sentences made of them: what ``redact`` withholds
    cost: int  # 0 for a pass over the data, 1 for several, 2 for a fit: cheap ones are made first

    def make(self, material: Material) -> pl.DataFrame:
        """Return the table of some data, with the types of `schema`."""
        made = self.maker(material)
        frame = made if isinstance(made, pl.DataFrame) else self.of(made)
        return frame.select(pl.col(name).cast(dtype) for name, dtype in self.schema.items())

    def of(self, rows: Rows) -> pl.DataFrame:
        """Return a table of these rows."""
        return pl.DataFrame(list(rows), schema=self.schema, orient="row")


def fact_table(
    columns: str,  # names and types, as `findings.tables.schema` reads them
    *,
    scope: Scope,
    name: str = "",  # by default the function's
    key: tuple[str, ...] | None = None,  # by default the row, or nothing for a table of one row
    score: str = "",
    place: Literal["data", "test"] = "data",
    needs: Iterable[Need] = (),
    cells: Iterable[str] = (),
    cost: int = 0,
) -> Callable[[Maker], FactTable]:
    """Declare the table that a function makes."""

    def declare(maker: Maker) -> FactTable:
        return FactTable(
            name=name or maker.__name__,
            doc=" ".join((maker.__doc__ or "").split()),
            maker=maker,
            schema=schema(columns),
            scope=scope,
            key=(("row",) if scope == "row" else ()) if key is None else key,
            score=score,
            place=place,
            needs=frozenset(needs),
            cells=frozenset(cells),
            cost=cost,
        )

    return declare
