"""One comparison of train with test, before its p-value is corrected for all the others."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass


@dataclass(frozen=True)
class Shifted:
    """One row of the table of shifts.

    Attributes
    ----------
    column : str or None
        The source column; None for all of them.
    measure : str
        Kind of comparison; also the family within which p-values are corrected.
    level : str or None
        Level of the column, or part of the measure.
    value : float
        Size of the difference; its unit is the measure's.
    n : int
        Test rows that it is about.
    low, high : float or None
        95 % interval of `value`.
    p : float or None
        Raw p-value; None for what is counted and not tested.
    found, otherwise : str
        Sentences for a difference that chance does not explain, and for one that it does.
    """

    column: str | None
    measure: str
    level: str | None
    _: KW_ONLY
    value: float
    n: int
    low: float | None = None
    high: float | None = None
    p: float | None = None
    found: str
    otherwise: str


def percent(share: float) -> str:
    """Return a share as people write it: 12 %, 1.2 %, 0.012 %."""
    size = abs(share) * 100.0
    if size == 0.0:
        return "0 %"
    digits = 0 if size >= 10.0 else 1 if size >= 1.0 else 2 if size >= 0.1 else 3  # noqa: PLR2004
    return f"{share * 100.0:.{digits}f} %"
