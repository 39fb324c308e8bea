"""What decisions have taught, in words: the count by the sample, what is left, and how well it fits.

The facts are `Provenance.learned`, which `review.learning` makes of decisions.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from dataaudit.findings.schemas import Provenance

FEWEST: Final = 10  # looks at the sample from which on something is learned, and said


def counted(p: Provenance) -> str:
    """Say how many labels are wrong by the rows of the sample; empty where none of them was looked at."""
    if not p.counted:
        return ""
    expected, low, high = p.count
    found = (
        f"By {_few(p.learned['sampled'], 'row')} drawn for it, about {expected:,.0f} of {p.n_rows:,} labels"
    )
    return f"{found} are wrong: {low:,.0f} to {high:,.0f} with 90 % confidence."


def closer(p: Provenance) -> str:
    """Say what more looks would do to the interval; empty where little was looked at."""
    looks = p.learned.get("sampled", 0)
    if not p.counted or looks < FEWEST:
        return ""
    half = (p.count[2] - p.count[1]) / 2.0
    many = f"{looks:,} more looks make it about ±{half / 2**0.5:,.0f}"
    return f"That is about ±{half:,.0f}; {many}: stop where it is close enough."


def sentences(p: Provenance) -> Iterator[str]:
    """Yield what the decisions say."""
    facts = p.learned
    looked, wrong, unsure = facts["sampled"] + facts["known"], facts["wrong"], facts["unsure"]
    share = f" ({wrong / looked:.0%})" if looked else ""
    were = f"{wrong:,} {'label was' if wrong == 1 else 'labels were'} wrong{share}"
    yield f"{_few(looked, 'row')} {'was' if looked == 1 else 'were'} looked at: {were}."
    if unsure:
        yield f"{_few(unsure, 'more decision')} {'says' if unsure == 1 else 'say'} nothing about the label."
    if p.counted:
        yield counted(p)
        left = max(p.count[0] - wrong, 0.0)
        yield f"About {_few(left, 'wrong label')} are expected among the rows that nobody looked at."
    else:
        yield "No row of the sample was looked at first, so the number of wrong labels is not known."
    if facts["ordered"]:
        yield "The list is in the order that was learned."
        foreseen = f"{facts['foreseen']:,.0f} of the rows looked at were to be wrong"
        yield f"By what the others of them teach, {foreseen}; {wrong:,} were."
    else:
        why = f"fewer than {FEWEST}" if facts["sampled"] < FEWEST else "all alike"
        yield f"The order of the list stays as it was: looks at the sample are {why}."


def _few(n: float, thing: str) -> str:
    return f"{n:,.0f} {thing}{'' if n == 1 else 's'}"
