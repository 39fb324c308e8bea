"""Tables of facts, one module a subject: what is known of a dataset before any rule looks at it.

Each module declares its tables in ``TABLES`` and imports neither torch nor scikit-learn at its top, so that
the schemas of all tables are at hand before any data are read.

FactTable: what a table of facts is called, what its rows stand for, and what it takes to make it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Final, Literal

import polars as pl

from dataaudit.findings.verdict import Scope
from dataaudit.gate.rules import ASK, Need

if TYPE_CHECKING:
    from dataaudit.gate.data import Material


@dataclass(frozen=True, slots=True, kw_only=True)
class FactTable:
    """A typed table that rules look at.

    Of scope ``row``, the column ``row`` holds positions in the data from 0. A table that comes from findings
    has ``source``, ``row`` (record number in it), ``line`` and ``row_id`` instead, as findings have them. A
    table of scope ``row`` may hold some of the rows only: shares are of all rows of the data.

    Attributes
    ----------
    name : str
        What rules call it.
    maker : str
        ``module:function``; the function takes a `Material` and returns the table.
    schema : pl.Schema
        Of the table.
    scope : {"row", "column", "dataset"}
        What its rows stand for.
    key : tuple of str
        Columns that tell its rows apart and do not change as the data grow; ("row",) for rows of the data.
    score : str
        Column by which findings are ranked where the rule's measure names none; empty for none.
    place : {"data", "test"}
        Whose file a finding points to where it is no row.
    needs : frozenset
        Without one of these it cannot be made, and its rules are skipped.
    cells : frozenset of str
        Columns that hold cells of the data, or sentences made of them: what ``redact`` withholds.
    cost : int
        0 for a pass over the data, 1 for several, 2 for a fit: cheap ones are made first.
    doc : str
        One line.
    """

    name: str
    maker: str
    schema: pl.Schema
    scope: Scope
    key: tuple[str, ...]
    score: str = ""
    place: Literal["data", "test"] = "data"
    needs: frozenset[Need] = frozenset()
    cells: frozenset[str] = frozenset()
    cost: int = 0
    doc: str

    def make(self, material: Material) -> pl.DataFrame:
        """Return the table of `material`, with the types of `schema`; its module is imported now."""
        module, _, function = self.maker.partition(":")
        maker: Callable[[Material], pl.DataFrame] = getattr(import_module(module), function)
        return maker(material).select(pl.col(name).cast(dtype) for name, dtype in self.schema.items())


__all__ = ["ASK", "MODULES", "FactTable", "Need", "fact_tables"]

MODULES: Final = ("columns", "contents", "classes", "ids", "duplicates", "novelty", "leaks", "audited")


@cache
def fact_tables() -> Mapping[str, FactTable]:
    """Return all tables by name."""
    modules = [import_module(f"{__name__}.{name}") for name in MODULES]
    return {table.name: table for module in modules for table in module.TABLES}
