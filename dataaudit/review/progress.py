"""How far a review is: what was decided, how much of it was wrong, how much is left, and when to stop.

The rule, here and on the page: from `FIRST` decisions on, when at most `FEW` of the last `LAST` decided rows
were wrong, the review may stop. A row of which the reviewer is unsure counts for neither.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from dataaudit.repair.decisions import Decision
from dataaudit.report.rows import FEW, FIRST, LAST
from dataaudit.review.queue import Queue


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How a review stands.

    Attributes
    ----------
    rows : int
        In the queue.
    counts : mapping
        Action → decisions; a relabel to the class that was there is kept.
    wrong : int
        Rows that were wrong: relabelled or dropped.
    left : float or None
        Wrong labels expected among the rows that are not decided; None where no probability is known.
    recent, recent_wrong : int
        The last decided rows that the stop is judged by, and how many of them were wrong.
    recent_expected : float
        How many of them should have been, by their probabilities.
    """

    rows: int
    counts: Counter[str]
    wrong: int
    left: float | None
    recent: int
    recent_wrong: int
    recent_expected: float

    @property
    def decided(self) -> int:
        """Rows with a decision, unsure ones too."""
        return self.counts.total()

    @property
    def sure(self) -> int:
        """Rows of which the reviewer could tell."""
        return self.decided - self.counts["unsure"]

    @property
    def precision(self) -> float | None:
        """Share of wrong rows among those of which the reviewer could tell; None where there are none."""
        return self.wrong / self.sure if self.sure else None

    @property
    def enough(self) -> bool:
        """Whether the review may stop."""
        return self.sure >= FIRST and self.recent_wrong <= FEW

    @property
    def fits(self) -> bool:
        """Whether the last rows were about as often wrong as the audit thought."""
        return self.recent_expected <= self.recent / 2


def standing(queue: Queue, decisions: Sequence[Decision]) -> Standing:
    """Return how a review stands.

    Parameters
    ----------
    queue : Queue
    decisions : sequence of Decision
        In the order in which they were made, one a row.

    Returns
    -------
    Standing
    """
    acts = [meant(queue, decision) for decision in decisions]
    sure = [(d, act) for d, act in zip(decisions, acts, strict=True) if act != "unsure"]
    last = sure[-LAST:]
    expected = queue.expected
    decided = math.fsum(_chance(queue, decision) for decision in decisions)
    return Standing(
        rows=len(queue),
        counts=Counter(acts),
        wrong=sum(_is_wrong(act) for _, act in sure),
        left=None if expected is None else max(0.0, expected - decided),
        recent=len(last),
        recent_wrong=sum(_is_wrong(act) for _, act in last),
        recent_expected=math.fsum(_chance(queue, decision) for decision, _ in last),
    )


def meant(queue: Queue, decision: Decision) -> str:
    """Return the action that a decision comes to: a class that the row has already is kept."""
    same = decision.label == queue.labels[queue.places[decision.row_id]]
    return "keep" if decision.action == "relabel" and same else decision.action


def stop_hint(found: Standing) -> str:
    """Return the sentences that say that it is enough, or nothing."""
    if not found.enough:
        return ""
    last = (
        f"Of the last {found.recent} rows {found.recent_wrong} {be(found.recent_wrong, 'was', 'were')} wrong"
    )
    said = [f"{last}."]
    if found.left is not None:
        left = round(found.left)
        labels = f"about {left:,} wrong {be(left, 'label is', 'labels are')} expected"
        said = [f"{last}; {labels} among the rows not yet decided."]
    said.append("You may stop here.")
    if not found.fits:
        said.append(
            f"The audit expected about {found.recent_expected:.0f}: its suggestions do not fit these data."
        )
    return " ".join(said)


def be(number: int, one: str, many: str) -> str:
    """Return the word that goes with a number."""
    return one if number == 1 else many


def _is_wrong(act: str) -> bool:
    return act in ("relabel", "drop")


def _chance(queue: Queue, decision: Decision) -> float:
    chance = float(queue.p_wrong[queue.places[decision.row_id]])
    return chance if math.isfinite(chance) else 0.0
