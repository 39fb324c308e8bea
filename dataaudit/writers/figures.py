"""The charts of the page: each takes numbers of the summary and says what it shows in words."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from string import ascii_lowercase
from typing import Final

from dataaudit.escape import line
from dataaudit.report import words
from dataaudit.report.charts import (
    BOTTOM,
    Box,
    Line,
    Plot,
    Point,
    Scale,
    at_ends,
    horizontal,
    padded,
    path,
    vertical,
)
from dataaudit.summary import Bar, Choice, MismatchSummary, Refit, Summary

_LIKELY: Final = 0.5  # a label is more likely wrong than right
_LEAST: Final = 0.7  # bottom of a logarithmic count axis, so that a single row is seen
_MIDDLE: Final = 250  # of a chart, across
_NAMED: Final = 36  # characters of a name within a chart


def p_wrong(summary: Summary) -> Plot | None:
    """Histogram of the probability that a label is wrong."""
    likely = sum(bar.rows for bar in summary.p_wrong if bar.low >= _LIKELY)
    return _histogram(
        summary.p_wrong,
        key="p-wrong",
        title="Probability that the label is wrong",
        said=f"{words.count(likely)} rows are more likely wrong than right.",
        likely=_LIKELY,
    )


def loo_loss(summary: Summary) -> Plot | None:
    """Histogram of the left-out loss."""
    return _histogram(
        summary.loo_loss,
        key="loo-loss",
        title="Loss of each row when it is left out (nats)",
        said="With two classes, above 0.69 the other rows speak for the other label.",
        likely=float("inf"),
    )


def _histogram(bars: tuple[Bar, ...], *, key: str, title: str, said: str, likely: float) -> Plot | None:
    if not bars:
        return None
    x = horizontal(bars[0].low, bars[-1].high)
    y = vertical(_LEAST, max(10, *(bar.rows for bar in bars)) * 1.15, log=True)
    boxes = [bar_box(b, x, y=y, tone="against" if b.low >= likely else "accent") for b in bars if b.rows]
    percent = key == "p-wrong"
    text = (lambda v: words.share(v, 0)) if percent else words.short
    return Plot(
        key=key,
        title=title,
        description=f"{said} The scale of the counts is logarithmic.",
        x_name="",
        y_name="rows",
        x_ticks=x.ticks(text),
        y_ticks=y.ticks(words.count),
        boxes=tuple(boxes),
        head=("from", "to", "rows"),
        table=tuple((text(b.low), text(b.high), words.count(b.rows)) for b in bars),
    )


def bar_box(bar: Bar, x: Scale, *, y: Scale, tone: str) -> Box:
    """Return a bar of a histogram, a gap of two units beside it."""
    left, top, width = x(bar.low), y(bar.rows), x(bar.high) - x(bar.low)
    return Box(left + 1, top, max(0.5, round(width - 2, 2)), round(BOTTOM - top, 2), tone)


def budget(summary: Summary) -> Plot | None:
    """Rows checked against wrong labels expected found, beside checking in any order."""
    if not summary.curve:
        return None
    last = summary.curve[-1]
    x, y = horizontal(0, last.rows), vertical(0, last.found * 1.04)
    curve = path([(x(point.rows), y(point.found)) for point in summary.curve])
    diagonal = path([(x(0), y(0)), (x(last.rows), y(last.found))])
    points = tuple(
        Point(
            x(s.rows), y(s.share * last.found), "accent", text=f"{words.share(s.share, 0)}: {s.rows:,} rows"
        )
        for s in summary.budget
    )
    return Plot(
        key="budget",
        title="Wrong labels found against rows checked",
        description="Expected, checking in the order of the list (line) or in any order (dashed).",
        x_name="rows checked",
        y_name="wrong labels found",
        x_ticks=x.ticks(words.count),
        y_ticks=y.ticks(words.count),
        lines=(Line(diagonal, "quiet", dashed=True), Line(curve, "accent")),
        points=points,
        head=("share of the wrong labels", "rows to check"),
        table=tuple((words.share(s.share, 0), words.count(s.rows)) for s in summary.budget),
    )


def selection(summary: Summary | MismatchSummary) -> Plot | None:
    """Mean left-out loss against λ, one line a basis and number of rows; the chosen one stands out."""
    tried = [c for c in summary.selection if words.known(c.loo_loss) and c.l2 > 0]
    if not tried:
        return None
    x = horizontal(min(c.l2 for c in tried) / 1.5, max(c.l2 for c in tried) * 1.5, log=True)
    y = vertical(*padded([c.loo_loss for c in tried]))
    paths = _paths(tried)
    chosen = next((c for c in tried if c.chosen), None)
    lines = [
        Line(path([(x(c.l2), y(c.loo_loss)) for c in found]), "accent" if chosen in found else "quiet")
        for found in paths.values()
    ]
    points = [Point(x(c.l2), y(c.loo_loss), "quiet") for c in tried if not c.chosen]
    if chosen:
        bars = [y(chosen.loo_loss + sign * chosen.standard_error) for sign in (-1, 1)]
        lines.append(Line(path([(x(chosen.l2), at) for at in bars]), "against"))
        points.append(Point(x(chosen.l2), y(chosen.loo_loss), "against"))
    ends = [(x(found[-1].l2), y(found[-1].loo_loss)) for found in paths.values()]
    return Plot(
        key="selection",
        title="How strongly the model is held back (λ)",
        description=f"Mean loss of the left-out rows: lower is better. {_encodings(tried, chosen)}",
        x_name="λ, logarithmic",
        y_name="mean left-out loss (nats)",
        x_ticks=x.ticks(words.short),
        y_ticks=y.ticks(words.short),
        lines=tuple(lines),
        points=tuple(points),
        labels=at_ends(ends, ascii_lowercase[: len(paths)]) if len(paths) > 1 else (),
        head=("basis", "rows", "λ", "mean left-out loss", "standard error", "chosen"),
        table=tuple(_tried(choice) for choice in tried),
    )


def _paths(tried: Sequence[Choice]) -> dict[tuple[str, int], list[Choice]]:
    """Return what was tried of each basis on each number of rows, λ rising; the chosen path is the last."""
    paths: dict[tuple[str, int], list[Choice]] = {}
    for c in sorted(tried, key=lambda c: c.l2):
        paths.setdefault((c.basis, c.rows), []).append(c)
    return dict(sorted(paths.items(), key=lambda item: (any(c.chosen for c in item[1]), item[0])))


def _encodings(tried: Sequence[Choice], chosen: Choice | None) -> str:
    """Say what was tried, which line is which, and what was chosen."""
    said = f"Encodings tried: {len({c.basis for c in tried})}; fits: {len(tried)}."
    if chosen:
        said += f" Chosen: {line(chosen.basis, 80)}, λ = {words.short(chosen.l2)} (± one standard error)."
    paths = _paths(tried)
    if len(paths) == 1:
        return said
    named = (f"{line(basis, 80)} on {words.count(rows)} rows" for basis, rows in paths)
    legend = "; ".join(f"{letter}, {name}" for letter, name in zip(ascii_lowercase, named, strict=False))
    return f"{said} Losses compare on the same rows: {legend}."


def _tried(choice: Choice) -> tuple[str, ...]:
    loss, error = words.fixed(choice.loo_loss, 4), words.fixed(choice.standard_error, 4)
    at = words.count(choice.rows), words.short(choice.l2)
    return line(choice.basis, 80), *at, loss, error, "yes" if choice.chosen else ""


def refits(summary: Summary) -> Plot | None:
    """Predicted changes of loss against those that true refits measured."""
    return compare(
        summary.trust.refits,
        key="refits",
        title="Predicted changes of loss against true refits (nats)",
        description="One mark a refit: round where the row was removed, square where it was relabelled. "
        "On the dashed line the prediction is exact.",
        text=lambda value: words.signed(value, 4),
    )


def compare(
    refits: Sequence[Refit], *, key: str, title: str, description: str, text: Callable[[float], str]
) -> Plot | None:
    """Plot predictions against measurements; `text` writes the numbers of the table."""
    pairs = [r for r in refits if words.known(r.predicted) and words.known(r.measured)]
    if not pairs:
        return None
    low, high = padded([value for r in pairs for value in (r.predicted, r.measured)])
    x, y = horizontal(low, high), vertical(low, high)
    diagonal = path([(x(low), y(low)), (x(high), y(high))])
    return Plot(
        key=key,
        title=title,
        description=description,
        x_name="predicted",
        y_name="measured",
        x_ticks=x.ticks(words.short),
        y_ticks=y.ticks(words.short),
        lines=(Line(diagonal, "quiet", dashed=True),),
        points=tuple(
            Point(x(r.predicted), y(r.measured), "accent", square=r.change == "relabelled") for r in pairs
        ),
        head=("row", "change", "predicted", "measured"),
        table=tuple(
            (line(r.row_id, 120), line(r.change), text(r.predicted), text(r.measured)) for r in pairs
        ),
    )


def calibration(summary: Summary) -> Plot | None:
    """Left-out probabilities against the labels that the rows carry."""
    bins = summary.trust.calibration
    if not bins:
        return None
    name = line(summary.provenance["classes"][1], _NAMED)
    x, y = horizontal(0, 1), vertical(0, 1)
    percent = lambda v: words.share(v, 0)  # noqa: E731 - two letters for what three lines would say
    return Plot(
        key="calibration",
        title=f"Left-out probability of “{name}” against the labels",
        description="On the dashed line, the model is as sure as the labels allow. "
        "Wrong labels flatten both ends: some rows that are surely one class carry the other.",
        x_name="probability when left out",
        y_name=f"share labelled “{name}”",
        x_ticks=x.ticks(percent),
        y_ticks=y.ticks(percent),
        lines=(
            Line(path([(x(0), y(0)), (x(1), y(1))]), "quiet", dashed=True),
            Line(path([(x(b.predicted), y(b.observed)) for b in bins]), "accent"),
        ),
        points=tuple(Point(x(b.predicted), y(b.observed), "accent") for b in bins),
        head=("probability", "share labelled so", "rows"),
        table=tuple((words.share(b.predicted), words.share(b.observed), words.count(b.rows)) for b in bins),
    )
