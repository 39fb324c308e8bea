"""Stand-ins for what must not be told: the same for the same, so that a report still hangs together."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

Policy = Literal["none", "cells", "all"]
Part = Literal["train", "test"]

WITHHELD: Final = "(withheld)"
WORD: Final = (
    "(a value)"  # of a level, or a word; another one than that of cells, or a page would mark it there
)
_MISSING: Final = "(missing)"  # our own name of a level, so it tells nothing
_SPOKEN: Final = ("--where", "--flip")  # options whose values hold cells


@dataclass
class Names:
    """Stand-ins of one kind, given out in the order in which names are met.

    Attributes
    ----------
    form : str
        Of a stand-in, with ``{}`` for its number.
    given : dict
        Name to stand-in.
    taken : set of str
        The stand-ins.
    """

    form: str
    given: dict[str, str] = field(default_factory=dict)
    taken: set[str] = field(default_factory=set)

    def __call__(self, name: str) -> str:
        """Return the stand-in of a name."""
        if name not in self.given:
            self.settle(name, self.form.format(len(self.given) + 1))
        return self.given[name]

    def settle(self, name: str, wanted: str) -> None:
        """Give a name the stand-in that is wanted; with a number behind it, if another name has it."""
        if name in self.given:
            return
        free, at = wanted, 2
        while free in self.taken:
            free, at = f"{wanted} ({at})", at + 1
        self.given[name] = free
        self.taken.add(free)


class Veil:
    """What a policy lets through.

    Parameters
    ----------
    policy : {"cells", "all"}
        Whether only cells are withheld, or all that is the user's.
    classes, columns, files : iterable of str
        Known names, in the order in which they are numbered.
    places : mapping
        Of a part, the known row names with their stand-ins.
    target : str
        Name of the label column, which has a stand-in of its own.
    """

    def __init__(
        self,
        policy: Policy,
        *,
        classes: Iterable[str],
        columns: Iterable[str],
        files: Iterable[str],
        places: Mapping[Part, Mapping[str, str]],
        target: str,
    ) -> None:
        self.policy = policy
        self.all = policy == "all"
        self._classes, self._columns, self._files = Names("class {}"), Names("column {}"), Names("file {}")
        self._levels: dict[str, Names] = {}
        self._rows: dict[str, Names] = {"train": Names("unnumbered {}"), "test": Names("unnumbered {}")}
        for names, known in ((self._classes, classes), (self._columns, columns), (self._files, files)):
            for name in known:
                names(name)
        self._columns.settle(target, "label")
        for part, named in places.items():
            for row_id, wanted in named.items():
                self._rows[part].settle(row_id, wanted)

    def label(self, name: str) -> str:
        """Return what may be told of a class."""
        return self._classes(name) if self.all else name

    def column(self, name: str) -> str:
        """Return what may be told of a column's name."""
        return self._columns(name) if self.all else name

    def file(self, name: str) -> str:
        """Return what may be told of a file's name."""
        return self._files(name) if self.all else name

    def row(self, name: str, part: Part = "train") -> str:
        """Return what may be told of a row's name: under ``all`` its number, from 0, in its file."""
        return self._rows[part](name) if self.all else name

    def level(self, column: str, name: str) -> str:
        """Return a level's number within its column; its brackets say that it is no value."""
        if name == _MISSING:
            return name
        return self._levels.setdefault(column, Names("(level {})"))(name)

    def command(self, typed: str) -> str:
        """Return a command without what it says of cells, or nothing of it."""
        if self.all:
            return WITHHELD
        try:
            words = shlex.split(typed)
        except ValueError:  # a quote that is not closed: it was not typed
            return WITHHELD
        if not any(word.partition("=")[0] in _SPOKEN for word in words):
            return typed
        kept, spoken = [], False
        for word in words:
            option, equals, _ = word.partition("=")
            kept.append(
                WITHHELD if spoken else f"{option}={WITHHELD}" if option in _SPOKEN and equals else word
            )
            spoken = not spoken and option in _SPOKEN and not equals
        return shlex.join(kept)
