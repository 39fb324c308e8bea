"""Test rows that no prediction could be right for, or that have no label, in one sentence of a verdict."""

from __future__ import annotations

from typing import Final

from dataaudit.findings.record import PairRecord
from dataaudit.findings.redact import WITHHELD

_NAME: Final = 60  # characters of a class


def unjudged(p: PairRecord) -> str:
    """Say how many test rows were left out, and why; nothing if none were.

    Parameters
    ----------
    p : PairRecord
        Findings of earlier versions do not know it.

    Returns
    -------
    str
    """
    known = p.settings.get("unjudged") or {}
    strange, bare = known.get("strange", 0), known.get("unlabelled", 0)
    parts = []
    if strange:
        have = "row has" if strange == 1 else "rows have"
        parts.append(f"{strange:,} test {have} a class that no training row has{strange_classes(p)}")
    if bare:
        parts.append(f"{bare:,} test {'row has' if bare == 1 else 'rows have'} no label")
    return f"Not judged: {' and '.join(parts)}." if parts else ""


def strange_classes(p: PairRecord) -> str:
    """Return the classes that training lacks in brackets, as far as they may be told."""
    names = (p.settings.get("unjudged") or {}).get("classes", ())
    told = [f"“{name[:_NAME]}”" for name in names if name != WITHHELD]
    return f" ({', '.join(told)})" if told else ""
