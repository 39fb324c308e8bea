"""A table of facts: a function of the data, the types of its columns, and what it takes to make it.

`FactTable` decorates the function that makes a table: rules call it by the function's name, and its docstring
says what is in it. The function may return a frame, or the rows one after the other.

Of scope ``row``, the column ``row`` holds positions in the data from 0. A table that comes from findings has
``source``, ``row`` (record number in it), ``line`` and ``row_id`` instead, as findings have them. A table of
scope ``row`` may hold some of the rows only: shares are of all rows of the data.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from collections.abc import Set as AbstractSet
from dataclasses import KW_ONLY, dataclass, replace
from typing import Any, Literal

import polars as pl

from dataaudit.findings.tables import schema
from dataaudit.findings.verdict import Scope
from dataaudit.gate.data import Material
from dataaudit.gate.rules import Need

Rows = Iterable[tuple[Any, ...]]
Maker = Callable[[Material], pl.DataFrame | Rows]


class Inapplicable(Exception):
    """There is nothing of the kind that a table is about: its rules are skipped, with this sentence."""


def _nothing(_: Material) -> Rows:
    return ()


@dataclass(frozen=True, slots=True)
class FactTable:
    """A typed table that rules look at."""

    columns: str  # names and types, as `findings.tables.schema` reads them
    _: KW_ONLY
    scope: Scope  # what its rows stand for
    name: str = ""  # what rules call it; by default the function's name
    maker: Maker = _nothing
    key: tuple[str, ...] = ()  # columns that tell its rows apart, and stay as the data grow
    score: str = ""  # column by which findings are ranked where the rule's measure names none
    place: Literal["data", "test"] = "data"  # whose file a finding points to where it is no row
    needs: AbstractSet[Need] = frozenset()  # without one of these its rules are skipped
    cells: AbstractSet[str] = frozenset()  # columns that tell cells of the data: ``redact`` withholds them
    empty: str = ""  # why there is nothing to judge where it has no row; empty if no row is a good sign
    cost: int = 0  # 0 for a pass over the data, 1 for several, 2 for a fit: cheap ones are made first

    def __call__(self, maker: Maker) -> FactTable:
        """Return the table that a function makes."""
        key = self.key or (("row",) if self.scope == "row" else ())
        return replace(self, name=self.name or maker.__name__, maker=maker, key=key)

    @property
    def schema(self) -> pl.Schema:
        """Its columns and their types."""
        return schema(self.columns)

    def make(self, material: Material) -> pl.DataFrame:
        """Return the table of some data, with the types of `schema`; raise `Inapplicable` without any."""
        made = self.maker(material)
        frame = made if isinstance(made, pl.DataFrame) else self.of(made)
        if self.empty and frame.is_empty():
            raise Inapplicable(self.empty)
        return frame.select(pl.col(name).cast(dtype) for name, dtype in self.schema.items())

    def of(self, rows: Rows) -> pl.DataFrame:
        """Return a table of these rows."""
        return pl.DataFrame(list(rows), schema=self.schema, orient="row")
