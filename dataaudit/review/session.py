"""A review: the queue, the decisions and where one is; and what each key makes of it.

Every act gives a new review, so that undo is easy. A key leads to the next state of the desk at which a
reviewer sits. It is the character that it types, or one of the names ``up``, ``down``, ``page up``,
``page down``, ``home``, ``end``, ``enter``, ``escape`` and ``backspace``. Keys that mean nothing do nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from dataaudit.errors import closest
from dataaudit.repair.decisions import Action, Decision
from dataaudit.report.rows import class_keys
from dataaudit.review.progress import Progress, Queue, meant, progress_of

History = tuple[tuple[str, Decision | None], ...]  # row and what was decided on it before


@dataclass(frozen=True)
class Review:
    """The state of a review."""

    queue: Queue
    at: int  # place of the row that is looked at
    shown: NDArray[np.int64]  # places of the rows among which one moves, in the order of the queue
    decisions: Mapping[str, Decision] = field(default_factory=dict)
    history: History = ()  # what undo takes back, the last one last
    reviewer: str = ""  # who decides
    notes: Mapping[str, str] = field(default_factory=dict)  # notes on rows that are not decided yet
    message: str = ""  # what the last act did, in one sentence
    count: str = ""  # what the sample says so far, in one sentence
    seen: frozenset[int] = frozenset()  # places of sampled rows whose suggestion was asked for

    @property
    def row_id(self) -> str:
        """Name of the row that is looked at."""
        return self.queue.row_ids[self.at]

    @property
    def decision(self) -> Decision | None:
        """What was decided on it."""
        return self.decisions.get(self.row_id)

    @property
    def blind(self) -> bool:
        """Whether the suggestion is not shown: the row is of the sample, and a look must not be led."""
        return self.at in self.queue.sample and self.at not in self.seen and self.decision is None

    @property
    def number(self) -> int:
        """Number of the row in the order of the queue, from 1."""
        return int(np.flatnonzero(self.queue.order == self.at)[0]) + 1

    @property
    def progress(self) -> Progress:
        """How far it is."""
        return progress_of(self.queue, tuple(self.decisions.values()))

    def with_message(self, sentence: str) -> Review:
        """Return the same with another last sentence."""
        return replace(self, message=sentence)

    def decide(self, action: Action, label: str | None = None) -> Review:
        """Decide on the row and go to the next one that is not decided."""
        if action == "relabel" and label == self.queue.labels[self.at]:
            action, label = "keep", None
        note = self.notes.get(self.row_id) or (self.decision.note if self.decision else "")
        made = Decision(row_id=self.row_id, action=action, label=label, reviewer=self.reviewer, note=note)
        others = {name: d for name, d in self.decisions.items() if name != self.row_id}
        done = replace(
            self,
            decisions={**others, self.row_id: made},
            history=(*self.history, (self.row_id, self.decision)),
            message=f"{self.number:,}: {effect(self.queue, made)}.",
        )
        return _onward(done)

    def undo(self) -> Review:
        """Take the last decision back and go to its row."""
        if not self.history:
            return self.with_message("There is nothing to take back.")
        *rest, (name, before) = self.history
        left = {key: d for key, d in self.decisions.items() if key != name}
        if before is not None:
            left[name] = before
        back = replace(self, at=self.queue.places[name], decisions=left, history=tuple(rest))
        return back.with_message(f"{back.number:,}: taken back.")

    def move(self, step: int) -> Review:
        """Go so many rows on, or back, and decide nothing."""
        here = np.flatnonzero(self.shown == self.at)
        there = int(here[0]) + step if len(here) else 0
        if there < 0 or there >= len(self.shown):
            return self.with_message("This is the first row." if step < 0 else "This is the last row.")
        return replace(self, at=int(self.shown[there]), message="")

    def noted(self, note: str) -> Review:
        """Write a note on the row; it goes to the file with the decision."""
        if self.decision is None:
            notes = {**self.notes, self.row_id: note}
            return replace(self, notes=notes, message="The note waits for a decision.")
        changed = {**self.decisions, self.row_id: replace(self.decision, note=note)}
        return replace(self, decisions=changed, message="The note is kept.")

    def only(self, names: frozenset[str] | None, *, words: str = "") -> Review:
        """Move among some rows alone, and go to the first of them that is not decided."""
        order = self.queue.order
        if names is None:
            return replace(self, shown=order, message="All rows are shown.")
        some = [at for at in order.tolist() if self.queue.row_ids[at] in names]
        if not some:
            return self.with_message(f"No row has {words}.")
        at = next((at for at in some if self.queue.row_ids[at] not in self.decisions), some[0])
        number = "1 row has" if len(some) == 1 else f"{len(some):,} rows have"
        message = f"{number} {words}; / and Enter shows all again."
        return replace(self, at=at, shown=np.array(some, dtype=np.int64), message=message)

    def reordered(self, order: NDArray[np.int64]) -> Review:
        """Put the rows that are not decided into a new order; the row that is looked at stays."""
        decided = [self.queue.places[name] for name in self.decisions]
        drawn = [at for at in self.queue.order.tolist() if at in self.queue.sample]
        first = dict.fromkeys([*decided, self.at, *drawn])
        places = np.array([*first, *(at for at in order.tolist() if at not in first)], dtype=np.int64)
        among = np.isin(places, self.shown)
        return replace(self, queue=replace(self.queue, order=places), shown=places[among])


def begin(queue: Queue, decisions: Sequence[Decision] = (), *, reviewer: str = "") -> Review:
    """Begin a review, or go on with one."""
    made = {decision.row_id: decision for decision in decisions}
    history = tuple((name, None) for name in made)
    order = queue.order
    at = next((at for at in order.tolist() if queue.row_ids[at] not in made), int(order[0]))
    return Review(queue, at, order, decisions=made, history=history, reviewer=reviewer)


def effect(queue: Queue, decision: Decision) -> str:
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
        return review.with_message(f"{review.message} Every row shown is decided.")
    return replace(review, at=at)


Finder = Callable[[str], frozenset[str]]  # text → names of the rows that have it
HELP: Final = (
    ("a", "accept the suggested label"),
    ("x", "keep the label as it is"),
    ("1 … 9, 0", "give the row this class: the one of that name, or else in order"),
    ("c", "give the row a class by its name, or another number"),
    ("d", "drop the row"),
    ("s", "unsure: the row stays as it is"),
    ("u", "take the last decision back"),
    ("j, k, ↓, ↑", "next row, row before; nothing is decided"),
    ("space, b", "scroll a long row down, up"),
    ("f", "the whole cells, from the data"),
    ("v", "what the audit suggests, for a row of the sample"),
    ("n", "a note on the row"),
    ("/", "find rows by a text in name, label or cells"),
    ("q", "quit; every decision is saved already"),
)
_LONGEST: Final = 1000  # characters of a note


@dataclass(frozen=True, slots=True)
class Prompt:
    """A line that is being typed."""

    asks: Literal["find", "note", "class"]
    text: str = ""


@dataclass(frozen=True)
class Desk:
    """A review, and how one looks at it."""

    review: Review
    prompt: Prompt | None = None  # the line that is being typed
    help: bool = False  # whether the keys are explained in the place of the row
    whole: bool = False  # whether cells are shown as they are in the data
    scroll: int = 0  # first line of the row that is shown, from 0
    page: int = 1
    lines: int = 1
    done: bool = False  # whether the reviewer has quit

    def turned(self, lines: int) -> Desk:
        """Return the desk with the row scrolled by so many lines, as far as there are any."""
        return replace(self, scroll=max(0, min(self.scroll + lines, self.lines - self.page)))


def press(desk: Desk, key: str, *, find: Finder) -> Desk:
    """Return the desk after a key."""
    if desk.prompt is not None:
        return _typed(desk, desk.prompt, key=key, find=find)
    if desk.help:
        return replace(desk, help=False)
    if key in _PAGES:
        return desk.turned(_PAGES[key] * max(1, desk.page - 1))
    if key in _LOOKS:
        return _LOOKS[key](desk)
    review = _acted(desk.review, key)
    if review.at == desk.review.at:
        return replace(desk, review=review)
    return replace(desk, review=review, whole=False, scroll=0)


_PAGES: Final = {" ": 1, "page down": 1, "b": -1, "page up": -1}
_LOOKS: Final[dict[str, Callable[[Desk], Desk]]] = {
    "home": lambda desk: replace(desk, scroll=0),
    "end": lambda desk: desk.turned(desk.lines),
    "f": lambda desk: replace(desk, whole=not desk.whole, scroll=0),
    "/": lambda desk: replace(desk, prompt=Prompt("find")),
    "n": lambda desk: replace(desk, prompt=Prompt("note", _note(desk.review))),
    "c": lambda desk: replace(desk, prompt=Prompt("class")),
    "?": lambda desk: replace(desk, help=True),
    "q": lambda desk: replace(desk, done=True),
}
_MOVES: Final = {"j": 1, "down": 1, "k": -1, "up": -1}
_DECISIONS: Final[dict[str, Action]] = {"x": "keep", "d": "drop", "s": "unsure"}


def _acted(review: Review, key: str) -> Review:
    """Return the review after a key that decides or moves."""
    if key in _MOVES:
        return review.move(_MOVES[key])
    if key in _DECISIONS:
        return review.decide(_DECISIONS[key])
    if key == "v":
        return replace(review, seen=review.seen | {review.at}, message="")
    if key == "a" and review.blind:
        return review.with_message("This row is of the sample: decide by its cells, or press v to see more.")
    if key == "a":
        return review.decide("relabel", review.queue.suggested[review.at])
    if key == "u":
        return review.undo()
    classes = review.queue.classes
    given = dict(zip(class_keys(classes), classes, strict=True))
    if key and key in given:
        return review.decide("relabel", given[key])
    unknown = f"No class has the key {key}. There are {len(classes)} classes."
    unknown = unknown if review.queue.takes is None else "Press c to type another number."
    return review.with_message(unknown if key.isdecimal() else "")


def _note(review: Review) -> str:
    return review.decision.note if review.decision else review.notes.get(review.row_id, "")


def _typed(desk: Desk, prompt: Prompt, *, key: str, find: Finder) -> Desk:
    """Return the desk after a key that goes into the line."""
    if key == "escape":
        return replace(desk, prompt=None)
    if key == "backspace":
        return replace(desk, prompt=replace(prompt, text=prompt.text[:-1]))
    if key != "enter":
        more = key if len(key) == 1 and key.isprintable() else ""
        return replace(desk, prompt=replace(prompt, text=(prompt.text + more)[:_LONGEST]))
    review, text = desk.review, prompt.text.strip()
    if prompt.asks == "note":
        after = review.noted(text)
    elif prompt.asks == "class":
        after = _class_named(review, text)
    else:
        after = review.only(find(text), words=f"“{text}”") if text else review.only(None)
    return replace(desk, review=after, prompt=None, scroll=0)


def _class_named(review: Review, text: str) -> Review:
    """Give the row the class of that name, or the only one that begins so."""
    classes, takes = review.queue.classes, review.queue.takes
    if not text:
        return review
    if takes is not None:
        fits = takes(text)
        return review.decide("relabel", text) if fits else review.with_message(f"“{text}” is no such number.")
    exact = [name for name in classes if name == text]
    begins = [name for name in classes if name.casefold().startswith(text.casefold())]
    if len(exact or begins) == 1:
        return review.decide("relabel", (exact or begins)[0])
    near = closest(text, classes)
    more = f" Did you mean {near}?" if near else ""
    return review.with_message(f"{len(begins) or 'No'} classes begin with “{text}”.{more}")
