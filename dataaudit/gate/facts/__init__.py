"""Tables of facts, one module a subject: what is known of a dataset before any rule looks at it.

No module here imports torch or scikit-learn but `fitted`, `labels` and `mismatch`, which `audited` loads when
a table of theirs is made: the schemas of all tables are at hand before any data are read.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

from dataaudit.gate.facts import audited, classes, columns, contents, duplicates, ids, leaks, novelty
from dataaudit.gate.facts.table import FactTable

__all__ = ["FactTable", "fact_tables"]

_MODULES = (columns, contents, classes, ids, duplicates, novelty, leaks, audited)


@cache
def fact_tables() -> Mapping[str, FactTable]:
    """Return all tables by name."""
    found = [made for module in _MODULES for made in vars(module).values() if isinstance(made, FactTable)]
    return {table.name: table for table in found}
