"""What is shown of a row: its cells, the evidence in them, and how it begins; the ranked rows of a review."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import polars as pl

from dataaudit.cells import number_text, pixels_of, pixels_text
from dataaudit.findings.schemas import Findings
from dataaudit.report import words
from dataaudit.report.blocks import Cell, Near, Record, Row

# The review may stop from FIRST decisions on, when at most FEW of the last LAST decided rows were wrong.
FIRST: Final = 20
LAST: Final = 20
FEW: Final = 2
STOP: Final = {"first": FIRST, "last": LAST, "few": FEW}  # for the page

_ROW: Final = 160  # characters of a row's name
BEGIN: Final = 140  # characters of the beginning of a row
_EXCERPT: Final = 240  # characters that recognise a text
_FIRST: Final = 8  # columns of an excerpt
_NAME: Final = 60  # characters of a column or a class
_LINE: Final = 220  # characters of the beginning of a ranked row
_TEXT: Final = 600  # characters of a cell
_LIKELY: Final = 0.5
_DIGITS: Final = "1234567890"
_LARGE, _SMALL = 112, 56  # pixels of a picture, on the page


@dataclass(frozen=True, slots=True)
class Value:
    """The value of a column in one row, as text; one that holds a picture says its size there."""

    column: str
    text: str
    picture: str = ""


@dataclass(frozen=True, slots=True)
class Term:
    """A column, level or word and its log-odds towards the row's label; negative speaks against the label."""

    role: str  # what the column is used as: "text", "numeric", …; empty where that is not known
    column: str
    level: str | None
    cell: str | None
    contribution: float


@dataclass(frozen=True, slots=True)
class Neighbour:
    """A row near to another one; similarity 1 is the same direction in the model's geometry."""

    row_id: str
    label: str
    similarity: float
    same_label: bool
    excerpt: str
    picture: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReviewRow:
    """One row to look at: columns of the table `labels`, and what speaks for and against its label."""

    rank: int
    row_id: str
    label: str
    suggested_label: str
    p_wrong: float
    loo_p_label: float
    train_loss: float
    loo_loss: float
    delta_loss_if_removed: float
    delta_loss_if_relabelled: float
    rank_self_influence: int
    group_rows: int = 1  # rows that leave training together, this one too
    group_conflicts: int = 0  # of these, with another label
    copy_rows: int = 1
    copy_conflicts: int = 0
    cells: tuple[Value, ...]
    evidence: tuple[Term, ...]
    neighbours: tuple[Neighbour, ...]

    @property
    def picture(self) -> str:
        """The first picture among its cells; empty without one."""
        return first_picture(self.cells)

    @property
    def excerpt(self) -> str:
        """How it begins, in one line."""
        return excerpt(self.cells)


def review_rows(f: Findings, top: int, *, start: int = 0) -> tuple[ReviewRow, ...]:
    """Return so many rows of the ranking, each with its cells, evidence and neighbours."""
    head = f.labels.slice(start, top)
    ids = set(head["row_id"])
    terms = _grouped(f.evidence.filter(pl.col("row_id").is_in(ids)).sort("row_id", "position"))
    neighbours = f.neighbours.filter(pl.col("row_id").is_in(ids)).sort("row_id", "position")
    near = _grouped(neighbours)
    cells = _grouped(f.cells.filter(pl.col("row_id").is_in(ids | set(neighbours["neighbour_row_id"]))))
    roles = {str(role.get("column")): str(role.get("role", "")) for role in f.provenance.roles}
    names = [field.name for field in dataclasses.fields(ReviewRow) if field.name in head.columns]
    rows = []
    for facts in head.select(names).iter_rows(named=True):
        key = facts["row_id"]
        evidence = tuple(Term(roles.get(entry[1], ""), *entry[1:]) for entry in terms.get(key, ()))
        first = [term.column for term in evidence]

        def values(row_id: str, first: list[str] = first) -> tuple[Value, ...]:
            return order_values((value_of(*cell) for cell in cells.get(row_id, ())), first)

        alike = tuple(
            Neighbour(other, label, similarity, same, excerpt(values(other)), first_picture(values(other)))
            for _, other, label, similarity, same in near.get(key, ())
        )
        rows.append(ReviewRow(**facts, cells=values(key), evidence=evidence, neighbours=alike))
    return tuple(rows)


def _grouped(frame: pl.DataFrame) -> dict[str, list[tuple[Any, ...]]]:
    """Return the other columns' values by `row_id`, in the frame's order."""
    groups: dict[str, list[tuple[Any, ...]]] = {}
    for key, *values in frame.iter_rows():
        groups.setdefault(key, []).append(tuple(values))
    return groups


def review_row(row: ReviewRow) -> Row:
    """Return a ranked row in words."""
    marks = _marks(row.evidence)
    terms = [(t.contribution, (term_name(t)[:_NAME], words.signed(t.contribution))) for t in row.evidence]
    return Row(
        rank=row.rank,
        row_id=row.row_id[:_ROW],
        label=row.label[:_NAME],
        suggested=row.suggested_label[:_NAME],
        wrong=words.share(row.p_wrong),
        likely=row.p_wrong is not None and row.p_wrong >= _LIKELY,
        sentences=_sentences(row),
        begins=Cell(row.excerpt, _LINE, picture=row.picture),
        cells=tuple((v.column[:80], cell(v, _TEXT, marks)) for v in row.cells),
        against=tuple(said for value, said in terms if value < 0),
        support=tuple(said for value, said in terms if value > 0),
        other=tuple(_near(n) for n in row.neighbours if not n.same_label),
        same=tuple(_near(n) for n in row.neighbours if n.same_label),
        sort=(f"{row.loo_loss:.4g}" if words.known(row.loo_loss) else "0", row.rank_self_influence),
    )


def _near(n: Neighbour) -> Near:
    begins = Cell(n.excerpt, BEGIN, picture=n.picture)
    return Near(n.row_id[:_ROW], n.label[:_NAME], words.fixed(n.similarity), begins)


def _sentences(row: ReviewRow) -> tuple[str, ...]:
    label, suggested = row.label[:_NAME], row.suggested_label[:_NAME]
    loss, inside = words.fixed(row.loo_loss), words.fixed(row.train_loss)
    removed, relabelled = _moves(row.delta_loss_if_removed), _moves(row.delta_loss_if_relabelled)
    others = row.group_rows - 1
    mates = f" with {'the other row' if others == 1 else f'the {others:,} other rows'} of its group" * bool(
        others
    )
    chance = f"the row gets “{label}” with probability {words.share(row.loo_p_label)}"
    return (
        f"Left out of training{mates}, {chance}: a loss of {loss} nats ({inside} when trained on).",
        f"Removing it{mates} {removed}; relabelling it “{suggested}” {relabelled}.",
        *_conflicts(row),
        f"Number {words.count(row.rank_self_influence)} by self-influence.",
    )


def _conflicts(row: ReviewRow) -> tuple[str, ...]:
    """Say how many copies of a row, or rows of its group, carry another label."""
    found = (row.copy_conflicts, row.copy_rows - 1, "of its {} copies", "its copy")
    if not row.copy_conflicts:
        found = (
            row.group_conflicts,
            row.group_rows - 1,
            "of the {} other rows of its group",
            "the other row",
        )
    wrong, n, several, one = found
    if not wrong:
        return ()
    if n == 1:
        return (f"{one.capitalize()} carries another label.",)
    return (f"{wrong:,} {several.format(f'{n:,}')} carr{'ies' if wrong == 1 else 'y'} another label.",)


def _moves(change: float) -> str:
    if not words.known(change):
        return "changes its loss by an unknown amount"
    return f"{'raises' if change >= 0 else 'lowers'} its loss by {words.fixed(abs(change))}"


def failures(health: pl.DataFrame) -> tuple[tuple[str, str], ...]:
    """Return the step that comes before all others: to see what is wrong with the audit."""
    failed = health.filter(~pl.col("ok"))["message"].to_list()[:1]
    return tuple(("See what is wrong with the audit itself.", message) for message in failed)


def class_keys(classes: Sequence[str]) -> tuple[str, ...]:
    """Return the key of each class, empty where no key is left; a class that is a digit has its own."""
    own = {name for name in classes if len(name) == 1 and name in _DIGITS}
    left = iter([digit for digit in _DIGITS if digit not in own])
    return tuple(name if name in own else next(left, "") for name in classes)


def first_picture(values: Iterable[Value]) -> str:
    """Return the first picture among values; empty without one."""
    return next((value.picture for value in values if value.picture), "")


def value_of(column: str, text: str | None) -> Value:
    """Return a value of a table of cells."""
    pixels = pixels_of(text) if text else None
    text = text or ""
    return Value(column, text) if pixels is None else Value(column, pixels_text(pixels.size), text)


def order_values(values: Iterable[Value], first: Iterable[str]) -> tuple[Value, ...]:
    """Return the values of the columns in `first`, in its order, then the others as they come."""
    place = {column: at for at, column in enumerate(dict.fromkeys(first))}
    return tuple(sorted(values, key=lambda value: place.get(value.column, len(place))))


def shortened(text: str, length: int) -> str:
    """Cut a text, with three dots where something is left out."""
    return text if len(text) <= length else text[: length - 1].rstrip() + "…"


def excerpt(values: Sequence[Value], length: int = _EXCERPT) -> str:
    """Return the beginning of a row as one line: its text, or ``column value`` of its first columns."""
    if len(values) == 1:
        text = values[0].text
    else:
        text = " · ".join(f"{value.column} {value.text[:length]}" for value in values[:_FIRST])
    return shortened(" ".join(text[: 4 * length].split()), length)


def begins(values: Sequence[Value], length: int = BEGIN) -> Cell:
    """Return how a row begins, or its first picture with that as name."""
    return Cell(excerpt(values), length, picture=first_picture(values), size=_SMALL)


def record(values: Sequence[Value], terms: Iterable[Term], *, of: str, length: int, columns: int) -> Record:
    """Return the cells of a row, the words that are evidence marked in its texts."""
    marks = _marks(terms)
    shown = ((v.column[:_NAME], cell(v, length, marks)) for v in values[:columns])
    return Record(tuple(shown), of, total=len(values))


def _marks(terms: Iterable[Term]) -> tuple[tuple[str, float], ...]:
    return tuple((t.level, t.contribution) for t in terms if t.role == "text" and t.level)


def cell(value: Value, length: int, marks: tuple[tuple[str, float], ...] = ()) -> Cell:
    """Return a value as a cell of a report."""
    return Cell(value.text, length, marks=marks, picture=value.picture, size=_LARGE)


def term_name(term: Term) -> str:
    """Name a piece of evidence: a word, a coordinate of a vector, ``column = value`` of a table."""
    if term.role == "text" and term.level is not None:
        return term.level
    number = _number(term)
    if term.level == "(missing)" or term.cell == "" or (number is not None and math.isnan(number)):
        return f"{term.column} is missing"
    if term.role == "vector":
        return term.column if term.level is None else f"{term.column}[{term.level}]"
    value = term.level if term.cell is None else term.cell
    if number is not None and math.isfinite(number):
        value = number_text(number)
    return term.column if value is None else f"{term.column} = {value}"


def _number(term: Term) -> float | None:
    """Return the number of a numeric cell, if it is one with a fraction or none at all."""
    text = term.cell or ""
    if term.role != "numeric" or text.removeprefix("-").isdigit():
        return None
    try:
        return float(text)
    except ValueError:
        return None
