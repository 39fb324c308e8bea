"""What is shown of a row: its cells, the evidence in them, and how it begins."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from dataaudit.cells import number_text, pixels_of, pixels_text
from dataaudit.report.blocks import Cell, Record

BEGIN: Final = 140  # characters of the beginning of a row
_EXCERPT: Final = 240  # characters that recognise a text
_FIRST: Final = 8  # columns of an excerpt
_NAME: Final = 60  # characters of a column
_LARGE, _SMALL = 112, 56  # pixels of a picture, on the page


@dataclass(frozen=True, slots=True)
class Value:
    """The value of a column in one row, as text; one that holds a picture says its size there."""

    column: str
    text: str
    picture: str = ""


@dataclass(frozen=True, slots=True)
class Term:
    """A column, level or word and its log-odds towards the row's label; negative speaks against the label.

    `role` is what the column is used as (``"text"``, ``"numeric"``, …), empty where that is not known.
    """

    role: str
    column: str
    level: str | None
    cell: str | None
    contribution: float


def value_of(column: str, text: str | None) -> Value:
    """Return a value of a table of cells."""
    pixels = pixels_of(text) if text else None
    return (
        Value(column, text or "") if pixels is None else Value(column, pixels_text(pixels.size), text or "")
    )


def order_values(values: Iterable[Value], first: Iterable[str]) -> tuple[Value, ...]:
    """Return the values of the columns in `first`, in its order, then the others as they come."""
    place = {column: at for at, column in enumerate(dict.fromkeys(first))}
    return tuple(sorted(values, key=lambda value: place.get(value.column, len(place))))


def excerpt(values: Sequence[Value], length: int = _EXCERPT) -> str:
    """Return the beginning of a row as one line: its text, or ``column value`` of its first columns."""
    if len(values) == 1:
        text = values[0].text
    else:
        text = " · ".join(f"{value.column} {value.text[:length]}" for value in values[:_FIRST])
    text = " ".join(text[: 4 * length].split())
    return text if len(text) <= length else text[: length - 1].rstrip() + "…"


def begins(values: Sequence[Value], length: int = BEGIN) -> Cell:
    """Return how a row begins, or its first picture with that as name."""
    picture = next((value.picture for value in values if value.picture), "")
    return Cell(excerpt(values), length, picture=picture, size=_SMALL)


def record(values: Sequence[Value], terms: Iterable[Term], *, of: str, length: int, columns: int) -> Record:
    """Return the cells of a row, the words that are evidence marked in its texts."""
    marks = tuple((t.level, t.contribution) for t in terms if t.role == "text" and t.level)
    shown = ((v.column[:_NAME], cell(v, length, marks)) for v in values[:columns])
    return Record(tuple(shown), of, total=len(values))


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
