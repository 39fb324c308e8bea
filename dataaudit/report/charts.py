"""Where things lie in a chart: numbers to places in the SVG, ticks, and the table that stands behind it.

The macros in ``reports/charts.html.j2`` only draw what is laid out here. Every chart fits a box of 420 × 240
units, so that its text stays readable on a telephone.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

LEFT, RIGHT, TOP, BOTTOM = 46, 396, 26, 200  # the plotting area; the rest is for ticks and names
_TICKS: Final = 5
_LANE, _CLOSE = 30.0, 10.0  # height of a horizontal bar with its name above, and without a name
_BARS_LEFT: Final = 20
_LETTER, _OFFSET = 12.0, 7.0  # height of a letter, and its distance from the end of a line
_DECADES: Final = 7  # more powers of ten than this are shown in steps
_SUPERSCRIPT: Final = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


class Tick(NamedTuple):
    """A mark on an axis, at a place of the SVG."""

    at: float
    text: str


class Label(NamedTuple):
    """A letter at a place of the SVG."""

    x: float
    y: float
    text: str


class Box(NamedTuple):
    """A bar, or a cell of a matrix with its strength of colour and its number; see `Line` for tones."""

    x: float
    y: float
    width: float
    height: float
    tone: str
    strength: float = 1.0
    text: str = ""


class Line(NamedTuple):
    """A polyline as SVG path data; `tone` is one of accent, against, quiet."""

    path: str
    tone: str
    dashed: bool = False


class Point(NamedTuple):
    """A mark, perhaps with a word next to it (`anchor` is SVG's text-anchor); small ones come in hundreds."""

    x: float
    y: float
    tone: str
    square: bool = False
    text: str = ""
    anchor: str = "start"
    small: bool = False


class Lane(NamedTuple):
    """A horizontal bar with its name and number, and the ends of its interval where it has one."""

    y: float
    name: str
    text: str
    x: float
    width: float
    tone: str
    interval: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """What all charts have: a name, words, and the table of the numbers."""

    key: str
    title: str
    description: str
    head: tuple[str, ...] = ()
    table: tuple[tuple[str, ...], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Plot(Chart):
    """A chart with two axes."""

    x_name: str
    y_name: str
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    boxes: tuple[Box, ...] = ()
    lines: tuple[Line, ...] = ()
    points: tuple[Point, ...] = ()
    labels: tuple[Label, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Lanes(Chart):
    """Horizontal bars, laid out."""

    height: float
    zero: float
    ticks: tuple[Tick, ...]
    lanes: tuple[Lane, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Matrix(Chart):
    """A heat matrix, laid out; with too many classes to draw it has no cells, and only the table is shown."""

    corner: str
    height: int
    across: tuple[Tick, ...]
    down: tuple[Tick, ...]
    cells: tuple[Box, ...]


class Measure(NamedTuple):
    """A bar before it is laid out: name, number in words, value and interval."""

    name: str
    text: str
    value: float
    tone: str
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True)
class Scale:
    """An affine map from [low, high] to places; `log` takes log10 first."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def __call__(self, value: float) -> float:
        """Return the place of a value, clipped to the axis, in hundredths of a unit."""
        a, b, v = (math.log10(x) if self.log else x for x in (self.low, self.high, value))
        share = (v - a) / (b - a) if b > a else 0.5
        return round(self.start + min(max(share, 0.0), 1.0) * (self.end - self.start), 2)

    def ticks(self, text: Callable[[float], str]) -> tuple[Tick, ...]:
        """Return ticks at round numbers; powers of ten on a logarithmic scale."""
        values = decades(self.low, self.high) if self.log else steps(self.low, self.high)
        return tuple(Tick(self(value), power(value) if self.log else text(value)) for value in values)


def horizontal(low: float, high: float, *, log: bool = False) -> Scale:
    """Return the scale of an x axis."""
    return Scale(low, high, LEFT, RIGHT, log)


def vertical(low: float, high: float, *, log: bool = False) -> Scale:
    """Return the scale of a y axis; SVG's y grows downwards."""
    return Scale(low, high, BOTTOM, TOP, log)


def steps(low: float, high: float) -> list[float]:
    """Return about five round numbers within [low, high]."""
    span = high - low
    if span <= 0 or not math.isfinite(span):
        return [low]
    raw = span / _TICKS
    unit = 10.0 ** math.floor(math.log10(raw))
    step = unit * next(k for k in (1, 2, 2.5, 5, 10) if k * unit >= raw * 0.999)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [k * step for k in range(first, last + 1)]


def decades(low: float, high: float) -> list[float]:
    """Return the powers of ten within [low, high], not more than seven or so."""
    first, last = math.ceil(math.log10(low) - 1e-9), math.floor(math.log10(high) + 1e-9)
    stride = max(1, math.ceil((last - first + 1) / _DECADES))
    return [10.0**k for k in range(first, last + 1, stride)]


def power(value: float) -> str:
    """``1000.0`` → ``1,000``, ``1e-4`` → ``10⁻⁴``."""
    exponent = round(math.log10(value))
    return f"{10**exponent:,}" if 0 <= exponent <= 4 else "10" + str(exponent).translate(_SUPERSCRIPT)  # noqa: PLR2004


def path(points: Sequence[tuple[float, float]]) -> str:
    """Return SVG path data through places."""
    return "M" + "L".join(f"{x:g},{y:g}" for x, y in points) if points else ""


def at_ends(ends: Sequence[tuple[float, float]], texts: Sequence[str]) -> tuple[Label, ...]:
    """Put a letter right of the end of each line; of those that would overlap, the lower one gives way."""
    placed: list[Label] = []
    for (x, y), text in sorted(zip(ends, texts, strict=True), key=lambda item: (item[0][1], item[1])):
        near = [label.y + _LETTER for label in placed if abs(label.x - x - _OFFSET) < _LETTER]
        placed.append(Label(round(x + _OFFSET, 2), round(max([y + 4.0, *near]), 2), text))
    return tuple(placed)


def padded(values: Sequence[float], share: float = 0.06) -> tuple[float, float]:
    """Return the range of values with some air around it; never empty."""
    low, high = min(values), max(values)
    air = (high - low) * share or abs(high) * share or 1.0
    return low - air, high + air


def lengths(values: Sequence[float | None]) -> tuple[float, ...]:
    """Return the lengths of bars in a table, signed, as shares of the longest."""
    known = [value if value is not None and math.isfinite(value) else 0.0 for value in values]
    most = max(map(abs, known), default=0.0) or 1.0
    return tuple(value / most for value in known)


def lanes(
    named: tuple[str, str, str],  # key, title, description
    measures: Sequence[Measure],
    span: tuple[float, float],
    *,
    text: Callable[[float], str],
    head: tuple[str, ...],
    table: tuple[tuple[str, ...], ...],
) -> Lanes:
    """Lay out horizontal bars from 0, below each other."""
    x = Scale(span[0], span[1], _BARS_LEFT, RIGHT)
    found: list[Lane] = []
    y = 6.0
    for m in measures:
        y -= 0.0 if m.name else _LANE - _CLOSE
        start, end = sorted((x(0.0), x(m.value)))
        ends = None if m.low is None or m.high is None else (x(m.low), x(m.high))
        width = round(max(end - start, 0.8), 2)
        found.append(Lane(y, m.name, m.text, start, width, m.tone, ends))
        y += _LANE
    key, title, description = named
    return Lanes(
        key=key,
        title=title,
        description=description,
        height=y + 28.0,
        zero=x(0.0),
        ticks=x.ticks(text),
        lanes=tuple(found),
        head=head,
        table=table,
    )
