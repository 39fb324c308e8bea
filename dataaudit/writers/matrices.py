"""The two figures that are no plots: the noise matrix, and the bar list of classes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from dataaudit.escape import line
from dataaudit.report import words
from dataaudit.report.charts import HeatCell, Matrix, Tick
from dataaudit.summary import Rate, Summary

_DRAWN: Final = 12  # classes of a matrix that can be read; above it, a table of the largest rates
_LISTED: Final = 40
_LEFT, _TOP, _WIDE = 110, 42, 300  # place of the cells
_ROOM: Final = 34.0  # units of width that a cell's number needs
_LETTER: Final = 8  # units a letter takes
_DARKEST: Final = 0.5  # of a cell, so that its number keeps its contrast


@dataclass(frozen=True, slots=True)
class BarRow:
    """A named number with the length of its bar, 0 to 100."""

    name: str
    values: tuple[str, ...]
    length: float


@dataclass(frozen=True, slots=True)
class BarList:
    """A table whose last column draws its number."""

    key: str
    title: str
    description: str
    head: tuple[str, ...]
    rows: tuple[BarRow, ...]
    more: str


def noise(summary: Summary) -> Matrix | None:
    """Lay out P(label | truth)."""
    if not summary.noise:
        return None
    classes = list(dict.fromkeys(rate.truth for rate in summary.noise))
    k = len(classes)
    drawn = k <= _DRAWN
    wide = _WIDE / k
    high = min(wide, 64.0)
    mid = [(at + 0.5) for at in range(k)]
    largest = sorted(
        (r for r in summary.noise if r.truth != r.label), key=lambda r: (-r.rate, r.truth, r.label)
    )
    shown = summary.noise if drawn else largest[:_LISTED]
    short = [line(name, max(3, int(wide / _LETTER))) for name in classes]
    return Matrix(
        key="noise",
        title="How labels go wrong",
        description=_says(largest),
        corner="truth ↓  label →",
        height=int(_TOP + k * high + 8),
        across=tuple(Tick(round(_LEFT + m * wide, 1), s) for m, s in zip(mid, short, strict=True))
        if drawn
        else (),
        down=tuple(Tick(round(_TOP + m * high, 1), line(c, 14)) for m, c in zip(mid, classes, strict=True))
        if drawn
        else (),
        cells=_cells(summary.noise, classes, (wide, high)) if drawn else (),
        head=("truth", "label", "rate"),
        table=tuple((line(r.truth, 60), line(r.label, 60), words.share(r.rate)) for r in shown),
    )


def _cells(rates: tuple[Rate, ...], classes: list[str], size: tuple[float, float]) -> tuple[HeatCell, ...]:
    wide, high = size
    place = {name: at for at, name in enumerate(classes)}
    cells = []
    for rate in rates:
        if rate.label not in place:
            continue
        x, y = _LEFT + place[rate.label] * wide + 1, _TOP + place[rate.truth] * high + 1
        wrong = rate.truth != rate.label
        known = rate.rate if words.known(rate.rate) else 0.0
        strength = round(
            min(known * (3 if wrong else 0.4), 1.0) * _DARKEST + 0.04, 3
        )  # mistakes are small numbers
        text = words.share(rate.rate, 1 if wide > 2 * _ROOM else 0) if wide >= _ROOM else ""
        cells.append(
            HeatCell(
                round(x, 1),
                round(y, 1),
                round(wide - 2, 1),
                round(high - 2, 1),
                "against" if wrong else "quiet",
                strength,
                text,
            )
        )
    return tuple(cells)


def _says(largest: list[Rate]) -> str:
    """Name the commonest mistake in words."""
    first = next((r for r in largest if words.known(r.rate) and r.rate > 0), None)
    if first is None:
        return "Estimated share of each true class that carries each label: no class is mislabelled."
    said = f"{words.share(first.rate)} of “{line(first.truth, 40)}” are labelled “{line(first.label, 40)}”"
    return f"Estimated share of each true class that carries each label. Commonest mistake: {said}."


def by_label(summary: Summary) -> BarList | None:
    """List how many wrong labels each class is expected to hold."""
    if not summary.by_label:
        return None
    most = max(entry.expected_wrong for entry in summary.by_label) or 1.0
    rows = tuple(
        BarRow(
            line(entry.label, 60),
            (words.count(entry.rows), words.fixed(entry.expected_wrong, 1)),
            round(100 * entry.expected_wrong / most, 1),
        )
        for entry in summary.by_label[:_LISTED]
    )
    more = len(summary.by_label) - _LISTED
    return BarList(
        "by-label",
        "Where the wrong labels are",
        "Rows that carry each label, and how many of them are expected to be wrong.",
        ("label", "rows", "expected wrong", "compared"),
        rows,
        f"… and {more} more labels." if more > 0 else "",
    )
