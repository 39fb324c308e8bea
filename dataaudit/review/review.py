"""A review: the queue, the decisions and where one is. Every act gives a new one, so that undo is easy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from dataaudit.repair.decisions import Action, Decision
from dataaudit.review.queue import Queue
from dataaudit.review.standing import Standing, meant, standing

Past = tuple[tuple[str, Decision | None], ...]  # row and what was decided on it before


@dataclass(frozen=True)
class Review:
    """The state of a review.

    Attributes
    ----------
    queue : Queue
    at : int
        Place of the row that is looked at.
    shown : ndarray of int64
        Places of the rows among which one moves, in the order of the queue.
    decisions : mapping
        Name of a row → its decision, in the order in which they were made.
    past : tuple
        What undo takes back, the last one last.
    reviewer : str
        Who decides.
    notes : mapping
        Notes on rows that are not decided yet.
    said : str
        What the last act did, in one sentence.
    """

    queue: Queue
    at: int
    shown: NDArray[np.int64]
    decisions: Mapping[str, Decision] = field(default_factory=dict)
    past: Past = ()
    reviewer: str = ""
    notes: Mapping[str, str] = field(default_factory=dict)
    said: str = ""

    @property
    def row_id(self) -> str:
        """Name of the row that is looked at."""
        return self.queue.row_ids[self.at]

    @property
    def decision(self) -> Decision | None:
        """What was decided on it."""
        return self.decisions.get(self.row_id)

    @property
    def number(self) -> int:
        """Number of the row in the order of the queue, from 1."""
        return int(np.flatnonzero(self.queue.order == self.at)[0]) + 1

    @property
    def standing(self) -> Standing:
        """How far it is."""
        return standing(self.queue, tuple(self.decisions.values()))

    def saying(self, sentence: str) -> Review:
        """Return the same with another last sentence."""
        return replace(self, said=sentence)

    def decide(self, action: Action, label: str | None = None) -> Review:
        """Decide on the row and go to the next one that is not decided.

        Parameters
        ----------
        action : {"keep", "relabel", "drop", "unsure"}
            What is to happen to it.
        label : str, optional
            Its class, with "relabel"; the one that it has already keeps it.

        Returns
        -------
        Review
        """
        if action == "relabel" and label == self.queue.labels[self.at]:
            action, label = "keep", None
        note = self.notes.get(self.row_id) or (self.decision.note if self.decision else "")
        made = Decision(row_id=self.row_id, action=action, label=label, reviewer=self.reviewer, note=note)
        others = {name: d for name, d in self.decisions.items() if name != self.row_id}
        done = replace(
            self,
            decisions={**others, self.row_id: made},
            past=(*self.past, (self.row_id, self.decision)),
            said=f"{self.number:,}: {told(self.queue, made)}.",
        )
        return _onward(done)

    def undo(self) -> Review:
        """Take the last decision back and go to its row."""
        if not self.past:
            return self.saying("There is nothing to take back.")
        *rest, (name, before) = self.past
        left = {key: d for key, d in self.decisions.items() if key != name}
        if before is not None:
            left[name] = before
        back = replace(self, at=self.queue.places[name], decisions=left, past=tuple(rest))
        return back.saying(f"{back.number:,}: taken back.")

    def move(self, step: int) -> Review:
        """Go so many rows on, or back, and decide nothing."""
        here = np.flatnonzero(self.shown == self.at)
        there = int(here[0]) + step if len(here) else 0
        if there < 0 or there >= len(self.shown):
            return self.saying("This is the first row." if step < 0 else "This is the last row.")
        return replace(self, at=int(self.shown[there]), said="")

    def noted(self, note: str) -> Review:
        """Write a note on the row; it goes to the file with the decision."""
        if self.decision is None:
            return replace(
                self, notes={**self.notes, self.row_id: note}, said="The note waits for a decision."
            )
        changed = {**self.decisions, self.row_id: replace(self.decision, note=note)}
        return replace(self, decisions=changed, said="The note is kept.")

    def only(self, names: frozenset[str] | None, *, words: str = "") -> Review:
        """Move among some rows alone, and go to the first of them that is not decided.

        Parameters
        ----------
        names : frozenset of str or None
            Names of rows; None for all.
        words : str
            What they have in common, for the sentence.

        Returns
        -------
        Review
            Unchanged if there is no such row.
        """
        order = self.queue.order
        if names is None:
            return replace(self, shown=order, said="All rows are shown.")
        some = [at for at in order.tolist() if self.queue.row_ids[at] in names]
        if not some:
            return self.saying(f"No row has {words}.")
        at = next((at for at in some if self.queue.row_ids[at] not in self.decisions), some[0])
        number = "1 row has" if len(some) == 1 else f"{len(some):,} rows have"
        said = f"{number} {words}; / and Enter shows all again."
        return replace(self, at=at, shown=np.array(some, dtype=np.int64), said=said)

    def reordered(
        self, p_wrong: NDArray[np.float64], suggested: Sequence[str], *, order: NDArray[np.int64]
    ) -> Review:
        """Put the rows that are not decided into a new order; the row that is looked at stays.

        Decided rows come first, as they were decided, then the row that is looked at, then the others.
        """
        decided = [self.queue.places[name] for name in self.decisions]
        first = dict.fromkeys([*decided, self.at])
        places = np.array([*first, *(at for at in order.tolist() if at not in first)], dtype=np.int64)
        queue = self.queue.reordered(p_wrong, suggested, order=places)
        among = np.isin(places, self.shown)
        return replace(self, queue=queue, shown=places[among])


def begin(queue: Queue, decisions: Sequence[Decision] = (), *, reviewer: str = "") -> Review:
    """Begin a review, or go on with one.

    Parameters
    ----------
    queue : Queue
        At least one row.
    decisions : sequence of Decision
        Those made before.
    reviewer : str
        Who decides now.

    Returns
    -------
    Review
        At the first row that is not decided.
    """
    made = {decision.row_id: decision for decision in decisions}
    past = tuple((name, None) for name in made)
    order = queue.order
    at = next((at for at in order.tolist() if queue.row_ids[at] not in made), int(order[0]))
    return Review(queue, at, order, decisions=made, past=past, reviewer=reviewer)


def told(queue: Queue, decision: Decision) -> str:
    """Return what a decision does to its row, in two words."""
    act = meant(queue, decision)
    if act == "relabel":
        return f"→ {decision.label}"
    if act == "weight":
        return f"weight {decision.weight:g}"
    return {"keep": "kept", "drop": "dropped"}.get(act, act)


def _onward(review: Review) -> Review:
    """Go to the next row that is not decided, or to the first one if there is none further down."""
    shown, names = review.shown, review.queue.row_ids
    here = np.flatnonzero(shown == review.at)
    start = int(here[0]) + 1 if len(here) else 0
    ahead = chain(shown[start:], shown[:start])
    at = next((int(at) for at in ahead if names[at] not in review.decisions), None)
    if at is None:
        return review.saying(f"{review.said} Every row shown is decided.")
    return replace(review, at=at)
