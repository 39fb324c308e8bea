"""One comparison of train with test, and the table of all of them.

**Chance.** p-values are corrected for all comparisons of the table: by Holm within a measure, times the
number of tested measures. For train and test from one source, any of them is below α in a share α of audits
at most. `significant` asks for 1 %.
"""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from dataaudit.findings.schemas import SHIFT
from dataaudit.statistics import holm

# What a comparison may be due to chance with, over a whole audit.
ALPHA: Final = 0.01
MEASURES: Final = (
    "two-sample", "loss", "label", "concept", "covariate", "missing", "unseen", "out-of-range", "duplicate",
    "conflict",
)  # fmt: skip


Ints = NDArray[np.int64]
Reals = NDArray[np.float64]


@dataclass(frozen=True)
class Comparison:
    """One row of the table of shifts, before its p-value is corrected for all the others."""

    column: str | None  # the source column; None for all of them
    measure: str  # kind of comparison; also the family within which p-values are corrected
    level: str | None  # level of the column, or part of the measure
    _: KW_ONLY
    value: float  # size of the difference; its unit is the measure's
    n: int  # test rows that it is about
    low: float | None = None  # 95 % interval of `value`
    high: float | None = None
    p: float | None = None  # raw p-value; None for what is counted and not tested
    found: str  # the sentence if chance does not explain the difference
    otherwise: str = ""  # the sentence if it does, where that is another one


def percent(share: float) -> str:
    """Return a share as people write it: 12 %, 1.2 %, 0.012 %."""
    size = abs(share) * 100.0
    if size == 0.0:
        return "0 %"
    digits = 0 if size >= 10.0 else 1 if size >= 1.0 else 2 if size >= 0.1 else 3  # noqa: PLR2004
    return f"{share * 100.0:.{digits}f} %"


def comparison_table(found: list[Comparison]) -> pl.DataFrame:
    """Return the table `SHIFT`: p-values corrected, sentences chosen, the most telling row first."""
    rows = []
    for item, p in zip(found, _corrected(found), strict=True):
        significant = None if p is None else p < ALPHA
        message = item.otherwise or item.found if significant is False else item.found
        values = (item.value, item.low, item.high, p, item.n, significant, message)
        rows.append((item.column, item.measure, item.level, *values))
    table = pl.DataFrame(rows, schema=SHIFT, orient="row")
    rank = pl.col("measure").replace_strict(list(MEASURES), list(range(len(MEASURES))), return_dtype=pl.Int64)
    # Within a measure: over all columns first, then what is surest, then what is largest.
    keys = (rank, pl.col("column").is_not_null(), pl.col("p_value"), pl.col("value").abs(), "column", "level")
    descending = [False, False, False, True, False, False]
    return table.sort(*keys, descending=descending, nulls_last=[False, False, True, True, False, False])


def _corrected(found: list[Comparison]) -> list[float | None]:
    """Return p-values by Holm within a measure, times the measures that are tested."""
    corrected: list[float | None] = [None] * len(found)
    tested = [i for i, item in enumerate(found) if item.p is not None]
    families = {found[i].measure for i in tested}
    for measure in families:
        members = [i for i in tested if found[i].measure == measure]
        within = holm(np.array([found[i].p for i in members], dtype=np.float64))
        for i, p in zip(members, within * len(families), strict=True):
            corrected[i] = min(1.0, float(p))
    return corrected
