"""Consensus: from what several people said of a row to the one decision on it.

A row gets the class that more than half of those who could tell gave it; where no class has more than half,
it is left out and named. People who skipped it count where nobody could tell: then the row is unsure.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from dataaudit.errors import DataError, closest
from dataaudit.escape import shown
from dataaudit.findings.schemas import Findings
from dataaudit.repair.annotations import Annotation, Annotations
from dataaudit.repair.decisions import Decision, Decisions
from dataaudit.repair.edits import alike

_WORDS: Final = ("keep", "drop", "unsure")  # that may stand in place of a class
Outcome = tuple[str, str | None, float | None]  # action, label, weight


@dataclass(frozen=True, slots=True)
class Consensus:
    """The decisions that annotations come to, and what is left out."""

    decisions: Decisions
    undecided: int  # rows of which nobody said anything
    split: Mapping[str, str]  # row_id → how often each class was given, where none has more than half
    unknown: tuple[str, ...]  # names of rows that the findings do not have

    @property
    def counts(self) -> Counter[str]:
        """Number of decisions by action."""
        return Counter(decision.action for decision in self.decisions.rows)


def consensus(
    found: Annotations, findings: Findings, *, written: Callable[[str], str], new_class: bool = False
) -> Consensus:
    """Return the decisions; `written` is how an export writes a name, by which names are known again."""
    run_id = findings.provenance.run_id
    other = next((row.run_id for row in found.rows if row.run_id not in ("", run_id)), "")
    if other:
        what = f"the annotations are of run {shown(other)}, the findings of run {run_id}"
        raise DataError(what, "name the folder of findings that was exported")
    labels = dict(findings.labels.select("row_id", "label").iter_rows())
    names = _Names(labels, written)
    by_row, unknown = dict[str, list[Annotation]](), dict[str, None]()
    for row in found.rows:
        name = names(row.row_id)
        if name is None:
            unknown[row.row_id] = None
        else:
            by_row.setdefault(name, []).append(row)
    if not by_row:
        first = next(iter(unknown), "")
        what = f"no row that was annotated is in the findings: got {shown(first)!r}"
        raise DataError(what, "name the folder of findings that was exported, without --redact all")
    classes = _Classes(findings.provenance.classes, written, new_class=new_class)
    made, split, undecided = list[Decision](), dict[str, str](), 0
    for name, rows in by_row.items():
        said = [(row, _outcome(row, classes, labels[name], edited=found.edited)) for row in rows]
        given = [(row, outcome) for row, outcome in said if outcome is not None]
        sure = [(row, outcome) for row, outcome in given if outcome[0] != "unsure"]
        if not given:
            undecided += 1
        elif not sure:
            made.append(_decision(name, ("unsure", None, None), given, of=len(given)))
        else:
            votes = Counter(outcome for _, outcome in sure)
            best, count = votes.most_common(1)[0]
            if 2 * count > len(sure):
                for_it = [(row, outcome) for row, outcome in sure if outcome == best]
                made.append(_decision(name, best, for_it, of=len(sure)))
            else:
                split[name] = ", ".join(f"{o[1] or labels[name]} {n}" for o, n in votes.most_common())
    classes.require_known()
    return Consensus(Decisions(tuple(made), run_id), undecided, split, tuple(unknown))


def _outcome(row: Annotation, classes: _Classes, label: str, *, edited: bool) -> Outcome | None:
    """Return what an annotation says is to happen; None where it says nothing."""
    if row.action and row.action != "relabel":
        return row.action, None, row.weight if row.action == "weight" else None
    if not row.label:
        return None
    chosen = classes(row.label, row.row_id)
    if chosen is None:
        word = row.label.casefold()
        return (word, None, None) if word in _WORDS else None
    if chosen == label:
        return None if edited else ("keep", None, None)
    return "relabel", chosen, None


def _decision(
    name: str, outcome: Outcome, rows: Sequence[tuple[Annotation, Outcome]], *, of: int
) -> Decision:
    action, label, weight = outcome
    people = dict.fromkeys(row.reviewer for row, _ in rows if row.reviewer)
    notes = dict.fromkeys(row.note for row, _ in rows if row.note)
    more = [f"{len(rows)} of {of} annotators"] if of > 1 else []
    return Decision(
        row_id=name,
        action=action,  # type: ignore[arg-type]  # the class checks it
        label=label,
        weight=weight,
        reviewer=", ".join(people),
        note="; ".join([*notes, *more]),
    )


class _Names:
    """The rows' names, also as an export wrote them."""

    def __init__(self, names: Mapping[str, str], written: Callable[[str], str]) -> None:
        self._names = names
        again = Counter(written(name) for name in names)
        self._written = {as_: name for name in names if again[as_ := written(name)] == 1}

    def __call__(self, name: str) -> str | None:
        return name if name in self._names else self._written.get(name)


class _Classes:
    """The classes, also as people and spreadsheets write them."""

    def __init__(self, classes: Sequence[str], written: Callable[[str], str], *, new_class: bool) -> None:
        self._classes, self._new = classes, new_class
        self._known = {written(name): name for name in classes} | {name: name for name in classes}
        self._unknown: dict[str, str] = {}

    def __call__(self, label: str, row_id: str) -> str | None:
        """Return the class that is meant; None for a word that is no class."""
        if label in self._known:
            return self._known[label]
        near = [name for name in self._classes if alike(label, name)]
        if len(near) == 1:
            return near[0]
        if label.casefold() in _WORDS:
            return None
        if not self._new:
            self._unknown.setdefault(label, row_id)
        return label

    def require_known(self) -> None:
        """Refuse labels that no audited row has."""
        if not self._unknown:
            return
        label, row_id = next(iter(self._unknown.items()))
        more = len(self._unknown) - 1
        also = f", and {more} more such {'class' if more == 1 else 'classes'}" if more else ""
        near = closest(label, self._classes)
        hint = f"did you mean {near!r}? Else add --new-class" if near else "add --new-class if it is meant"
        what = f"row {shown(row_id)!r} was given a class that no row has: got {shown(label)!r}{also}"
        raise DataError(what, hint)
