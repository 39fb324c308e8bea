"""Tables of facts, one module a subject: what is known of a dataset before any rule looks at it.

Each module declares its tables in ``TABLES`` and imports neither torch nor scikit-learn at its top, so that
the schemas of all tables are at hand before any data are read.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib import import_module
from typing import Final

from dataaudit.gate.facts.table import ASK, FactTable, Need

__all__ = ["ASK", "MODULES", "FactTable", "Need", "fact_tables"]

MODULES: Final = ("columns", "contents", "classes", "ids", "twins", "strange", "leaks", "audited")


@cache
def fact_tables() -> Mapping[str, FactTable]:
    """Return all tables by name."""
    modules = [import_module(f"{__name__}.{name}") for name in MODULES]
    return {table.name: table for module in modules for table in module.TABLES}
