"""Keys: from what was pressed to the next state of the desk at which a reviewer sits.

A key is the character that it types, or one of the names ``up``, ``down``, ``page up``, ``page down``,
``home``, ``end``, ``enter``, ``escape`` and ``backspace``. Keys that mean nothing do nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final, Literal

from dataaudit.errors import closest
from dataaudit.review.digits import class_keys
from dataaudit.review.review import Review

HELP: Final = (
    ("a", "accept the suggested label"),
    ("x", "keep the label as it is"),
    ("1 … 9, 0", "give the row this class: the one of that name, or else in order"),
    ("c", "give the row a class by its name"),
    ("d", "drop the row"),
    ("s", "unsure: the row stays as it is"),
    ("u", "take the last decision back"),
    ("j, k, ↓, ↑", "next row, row before; nothing is decided"),
    ("space, b", "scroll a long row down, up"),
    ("f", "the whole cells, from the data"),
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
    """A review, and how one looks at it.

    Attributes
    ----------
    review : Review
    prompt : Prompt or None
        The line that is being typed.
    help : bool
        Whether the keys are explained in the place of the row.
    whole : bool
        Whether cells are shown as they are in the data.
    scroll : int
        First line of the row that is shown, from 0.
    page, lines : int
        Lines that fit, and lines that there are; the screen tells when it has drawn.
    done : bool
        Whether the reviewer has quit.
    """

    review: Review
    prompt: Prompt | None = None
    help: bool = False
    whole: bool = False
    scroll: int = 0
    page: int = 1
    lines: int = 1
    done: bool = False

    def turned(self, lines: int) -> Desk:
        """Return the desk with the row scrolled by so many lines, as far as there are any."""
        return replace(self, scroll=max(0, min(self.scroll + lines, self.lines - self.page)))


Finder = Callable[[str], frozenset[str]]  # text → names of the rows that have it


def press(desk: Desk, key: str, *, find: Finder) -> Desk:
    """Return the desk after a key.

    Parameters
    ----------
    desk : Desk
    key : str
        See above.
    find : callable
        Text → names of the rows that have it.

    Returns
    -------
    Desk
    """
    if desk.prompt is not None:
        return _typed(desk, desk.prompt, key=key, find=find)
    if desk.help:
        return replace(desk, help=False)
    if key in _LOOKS:
        return _LOOKS[key](desk)
    review = _acted(desk.review, key)
    if review.at == desk.review.at:
        return replace(desk, review=review)
    return replace(desk, review=review, whole=False, scroll=0)


_LOOKS: Final[dict[str, Callable[[Desk], Desk]]] = {
    " ": lambda desk: desk.turned(max(1, desk.page - 1)),
    "page down": lambda desk: desk.turned(max(1, desk.page - 1)),
    "b": lambda desk: desk.turned(-max(1, desk.page - 1)),
    "page up": lambda desk: desk.turned(-max(1, desk.page - 1)),
    "home": lambda desk: replace(desk, scroll=0),
    "end": lambda desk: desk.turned(desk.lines),
    "f": lambda desk: replace(desk, whole=not desk.whole, scroll=0),
    "/": lambda desk: replace(desk, prompt=Prompt("find")),
    "n": lambda desk: replace(desk, prompt=Prompt("note", _note(desk.review))),
    "c": lambda desk: replace(desk, prompt=Prompt("class")),
    "?": lambda desk: replace(desk, help=True),
    "q": lambda desk: replace(desk, done=True),
}


def _acted(review: Review, key: str) -> Review:
    """Return the review after a key that decides or moves."""
    queue, at = review.queue, review.at
    if key in ("j", "down", "k", "up"):
        return review.move(1 if key in ("j", "down") else -1)
    if key == "a":
        return review.decide("relabel", queue.suggested[at])
    if key == "x":
        return review.decide("keep")
    if key == "d":
        return review.decide("drop")
    if key == "s":
        return review.decide("unsure")
    if key == "u":
        return review.undo()
    if len(key) == 1 and key in "1234567890":
        given = dict(zip(class_keys(queue.classes), queue.classes, strict=True))
        if key in given:
            return review.decide("relabel", given[key])
        return review.saying(f"No class has the key {key}. There are {len(queue.classes)} classes.")
    return review.saying("")


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
    classes = review.queue.classes
    if not text:
        return review
    exact = [name for name in classes if name == text]
    begins = [name for name in classes if name.casefold().startswith(text.casefold())]
    if len(exact or begins) == 1:
        return review.decide("relabel", (exact or begins)[0])
    near = closest(text, classes)
    more = f" Did you mean {near}?" if near else ""
    return review.saying(f"{len(begins) or 'No'} classes begin with “{text}”.{more}")
