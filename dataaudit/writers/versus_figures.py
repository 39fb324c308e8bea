"""The charts of two models on one test row: influence against distance, the same axes for both."""

from __future__ import annotations

import math
from typing import Final

from dataaudit.escape import line
from dataaudit.report import words
from dataaudit.report.charts import Line, Plot, Point, horizontal, padded, path, power, vertical
from dataaudit.summary import ModelLine, VersusSummary

_LISTED: Final = 20  # rows of the table behind a chart
_SMALL: Final = 0.1  # nats


def distances(versus: VersusSummary) -> tuple[Plot, ...]:
    """Return a chart for each model: what a row's removal does to the loss, against its distance.

    Parameters
    ----------
    versus : VersusSummary

    Returns
    -------
    tuple of Plot
        Distances share an axis; each model has its own for the loss, since their losses differ in size.
    """
    found = [dot.distance for model in versus.models for dot in model.dots]
    low, high = padded(found or [0.0])
    ends = max(low, 0.0), high  # texts are all about as far away: from 0 on they would be one column
    return tuple(_plot(model, versus, ends, f"distance-{at}") for at, model in enumerate(versus.models, 1))


def _plot(model: ModelLine, versus: VersusSummary, ends: tuple[float, float], key: str) -> Plot:
    x, y = horizontal(*ends), vertical(*padded([0.0, *(dot.change for dot in model.dots)]))
    own, explained = line(model.name, 40), line(versus.explained, 30)
    unit = _unit(max((abs(dot.change) for dot in model.dots), default=0.0))
    nats = "nats" if unit == 1 else f"{power(unit)} nats"
    less = len(model.dots) < versus.rows
    shown = f"{words.count(len(model.dots))} of {words.count(versus.rows)} rows are drawn. " if less else ""
    points = [
        Point(x(dot.distance), y(dot.change), tone, square=not dot.same_class, small=True)
        for same, tone in ((True, "accent"), (False, "against"))
        for dot in model.dots
        if dot.same_class == same
    ]
    strongest = sorted(model.dots, key=lambda dot: (-abs(dot.change), dot.row_id))[:_LISTED]
    return Plot(
        key=key,
        title=f"{own}: rank correlation {words.fixed(model.distance_correlation)}",
        description="Of a row’s influence, by size, with its distance from the test row. Dots are labelled "
        f"“{explained}”, squares otherwise; above the line a row helps. Influence is first order: the list "
        f"below corrects it for the row’s own leverage. {shown}",
        x_name="distance from the test row",
        y_name=f"rise of the loss without the row, first order ({nats})",
        x_ticks=x.ticks(words.short),
        y_ticks=y.ticks(lambda value: words.short(value / unit)),
        lines=(Line(path([(x(ends[0]), y(0.0)), (x(ends[1]), y(0.0))]), "quiet"),),
        points=tuple(points),
        head=("training row", "distance", "without it, the loss (first order)", f"labelled “{explained}”"),
        table=tuple(
            (
                line(dot.row_id, 120),
                words.short(dot.distance),
                words.moved(dot.change),
                "yes" if dot.same_class else "no",
            )
            for dot in strongest
        ),
    )


def _unit(largest: float) -> float:
    """Return 1, or the power of ten that makes small numbers short enough for an axis."""
    return 10.0 ** math.floor(math.log10(largest)) if 0 < largest < _SMALL else 1.0
