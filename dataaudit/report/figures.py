"""The charts of reports: each takes facts and says in words what it shows."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from string import ascii_lowercase
from typing import Any, Final, NamedTuple

import numpy as np
import polars as pl

from dataaudit.report import words
from dataaudit.report.blocks import Cell, Table
from dataaudit.report.charts import (
    BOTTOM,
    Box,
    HeatCell,
    Lanes,
    Line,
    Matrix,
    Measure,
    Plot,
    Point,
    Scale,
    Tick,
    at_ends,
    horizontal,
    lanes,
    padded,
    path,
    vertical,
)

Fact = dict[str, Any]

_LIKELY: Final = 0.5  # a label is more likely wrong than right
_LEAST: Final = 0.7  # bottom of a logarithmic count axis, so that a single row is seen
_NAMED: Final = 36  # characters of a name within a chart
_NAME: Final = 120  # characters of a row's name
_BASIS: Final = 80
_CURVE: Final = 120  # points of the budget curve
_BINARY: Final = 2
_FEWEST: Final = 2  # points that make a line
_DRAWN: Final = 12  # classes of a matrix that can be read; above it, a table of the largest rates
_LISTED: Final = 40
_LEFT, _TOP, _WIDE = 110, 42, 300  # place of a matrix's cells
_ROOM: Final = 34.0  # units of width that a cell's number needs
_LETTER: Final = 8  # units a letter takes
_DARKEST: Final = 0.5  # of a cell, so that its number keeps its contrast


class Bar(NamedTuple):
    """Number of rows whose score lies in [low, high)."""

    low: float
    high: float
    rows: int


def histogram(values: pl.Series, bars: int, high: float | None = None) -> list[Bar]:
    """Count the finite values in bars of equal width from 0 on."""
    numbers = np.asarray(values.drop_nulls().to_numpy(), dtype=np.float64)
    numbers = numbers[np.isfinite(numbers)]
    if not len(numbers):
        return []
    top = high if high is not None else float(numbers.max()) or 1.0
    counts, edges = np.histogram(numbers, bins=bars, range=(0.0, top))
    return [Bar(float(a), float(b), int(c)) for a, b, c in zip(edges[:-1], edges[1:], counts, strict=True)]


def p_wrong(values: pl.Series) -> Plot | None:
    """Histogram of the probability that a label is wrong."""
    bars = histogram(values, 20, high=1.0)
    likely = sum(bar.rows for bar in bars if bar.low >= _LIKELY)
    return _bars(
        bars,
        key="p-wrong",
        title="Probability that the label is wrong",
        said=f"{words.count(likely)} rows are more likely wrong than right.",
        likely=_LIKELY,
    )


def loo_loss(values: pl.Series) -> Plot | None:
    """Histogram of the left-out loss."""
    return _bars(
        histogram(values, 24),
        key="loo-loss",
        title="Loss of each row when it is left out (nats)",
        said="With two classes, above 0.69 the other rows speak for the other label.",
        likely=float("inf"),
    )


def _bars(bars: list[Bar], *, key: str, title: str, said: str, likely: float) -> Plot | None:
    if not bars:
        return None
    x = horizontal(bars[0].low, bars[-1].high)
    y = vertical(_LEAST, max(10, *(bar.rows for bar in bars)) * 1.15, log=True)
    boxes = [bar_box(b, x, y=y, tone="against" if b.low >= likely else "accent") for b in bars if b.rows]
    text = (lambda v: words.share(v, 0)) if key == "p-wrong" else words.short
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
    """Return a bar of a histogram, a gap of two units next to it."""
    left, top, width = x(bar.low), y(bar.rows), x(bar.high) - x(bar.low)
    return Box(left + 1, top, max(0.5, round(width - 2, 2)), round(BOTTOM - top, 2), tone)


def curve(values: pl.Series) -> list[tuple[int, float]]:
    """Sum the expected wrong labels met after so many rows, in review order, at about 120 even steps."""
    found = np.cumsum(np.nan_to_num(values.fill_null(0.0).to_numpy()))
    n = len(found)
    if not n or found[-1] <= 0:
        return []
    at = np.unique(np.linspace(0, n, _CURVE).round().astype(int))
    return [(int(k), float(found[k - 1]) if k else 0.0) for k in at]


def budget(values: pl.Series, steps: Sequence[tuple[float, int]]) -> Plot | None:
    """Rows checked against wrong labels expected found, and the same checking in any order."""
    points = curve(values)
    if not points:
        return None
    rows, found = points[-1]
    x, y = horizontal(0, rows), vertical(0, found * 1.04)
    diagonal = path([(x(0), y(0)), (x(rows), y(found))])
    marks = [
        Point(x(n), y(share * found), "accent", text=f"{words.share(share, 0)}: {n:,} rows")
        for share, n in steps
    ]
    return Plot(
        key="budget",
        title="Wrong labels found against rows checked",
        description="Expected, checking in the order of the list (line) or in any order (dashed).",
        x_name="rows checked",
        y_name="wrong labels found",
        x_ticks=x.ticks(words.count),
        y_ticks=y.ticks(words.count),
        lines=(Line(diagonal, "quiet", dashed=True), Line(path([(x(a), y(b)) for a, b in points]), "accent")),
        points=tuple(marks),
        head=("share of the wrong labels", "rows to check"),
        table=tuple((words.share(share, 0), words.count(n)) for share, n in steps),
    )


def selection(table: pl.DataFrame) -> Plot | None:
    """Mean left-out loss against λ, one line a basis and number of rows; the chosen one stands out."""
    tried = [c for c in table.iter_rows(named=True) if words.known(c["loo_loss"]) and c["l2"] > 0]
    if not tried:
        return None
    x = horizontal(min(c["l2"] for c in tried) / 1.5, max(c["l2"] for c in tried) * 1.5, log=True)
    y = vertical(*padded([c["loo_loss"] for c in tried]))
    paths = _paths(tried)
    chosen = next((c for c in tried if c["chosen"]), None)
    lines = [
        Line(path([(x(c["l2"]), y(c["loo_loss"])) for c in found]), "accent" if chosen in found else "quiet")
        for found in paths.values()
    ]
    points = [Point(x(c["l2"]), y(c["loo_loss"]), "quiet") for c in tried if not c["chosen"]]
    if chosen:
        bars = [y(chosen["loo_loss"] + sign * chosen["standard_error"]) for sign in (-1, 1)]
        lines.append(Line(path([(x(chosen["l2"]), at) for at in bars]), "against"))
        points.append(Point(x(chosen["l2"]), y(chosen["loo_loss"]), "against"))
    ends = [(x(found[-1]["l2"]), y(found[-1]["loo_loss"])) for found in paths.values()]
    return Plot(
        key="selection",
        title="Regularisation strength λ",
        description=f"Mean loss of the left-out rows: lower is better. {_encodings(tried, paths, chosen)}",
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


def _paths(tried: Sequence[Fact]) -> dict[tuple[str, int], list[Fact]]:
    """Return what was tried of each basis on each number of rows, λ rising; the chosen path is the last."""
    paths: dict[tuple[str, int], list[Fact]] = {}
    for c in sorted(tried, key=lambda c: c["l2"]):
        paths.setdefault((c["basis"], c["rows"]), []).append(c)
    return dict(sorted(paths.items(), key=lambda item: (any(c["chosen"] for c in item[1]), item[0])))


def _encodings(tried: Sequence[Fact], paths: dict[tuple[str, int], list[Fact]], chosen: Fact | None) -> str:
    """Say what was tried, which line is which, and what was chosen."""
    said = f"Encodings tried: {len({c['basis'] for c in tried})}; fits: {len(tried)}."
    if chosen:
        said += (
            f" Chosen: {chosen['basis'][:_BASIS]}, λ = {words.short(chosen['l2'])} (± one standard error)."
        )
    if len(paths) == 1:
        return said
    named = (f"{basis[:_BASIS]} on {words.count(rows)} rows" for basis, rows in paths)
    legend = "; ".join(f"{letter}, {name}" for letter, name in zip(ascii_lowercase, named, strict=False))
    return f"{said} Losses compare on the same rows: {legend}."


def _tried(choice: Fact) -> tuple[str, ...]:
    loss, error = words.fixed(choice["loo_loss"], 4), words.fixed(choice["standard_error"], 4)
    at = words.count(choice["rows"]), words.short(choice["l2"])
    return choice["basis"][:_BASIS], *at, loss, error, "yes" if choice["chosen"] else ""


def refits(table: pl.DataFrame) -> Plot | None:
    """Predicted changes of loss against those that true refits measured."""
    return compare(
        list(table.iter_rows()),
        key="refits",
        title="Predicted changes of loss against true refits (nats)",
        description="One mark a refit: round where the row was removed, square where it was relabelled. "
        "On the dashed line the prediction is exact.",
        text=lambda value: words.signed(value, 4),
    )


def compare(
    pairs: Sequence[tuple[str, str, float, float]],
    *,
    key: str,
    title: str,
    description: str,
    text: Callable[[float], str],
) -> Plot | None:
    """Plot predictions against measurements (name, change, predicted, measured); `text` writes numbers."""
    known = [pair for pair in pairs if words.known(pair[2]) and words.known(pair[3])]
    if not known:
        return None
    low, high = padded([value for pair in known for value in pair[2:]])
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
        points=tuple(Point(x(p), y(m), "accent", square=how == "relabelled") for _, how, p, m in known),
        head=("row", "change", "predicted", "measured"),
        table=tuple((name[:_NAME], how, text(p), text(m)) for name, how, p, m in known),
    )


def calibration_bins(labels: pl.DataFrame, classes: Sequence[str]) -> list[tuple[float, float, int]]:
    """Bin the left-out probability of the second of two classes, and the share that carries its label."""
    if len(classes) != _BINARY:
        return []
    is_second, p = pl.col("label") == classes[1], pl.col("loo_p_label")
    rows = labels.select(pl.when(is_second).then(p).otherwise(1 - p).alias("p"), is_second.alias("y"))
    rows = rows.filter(pl.col("p").is_between(0, 1))
    bins = rows.group_by((pl.col("p") * 10).floor().clip(0, 9).alias("bin")).agg(
        pl.col("p").mean(), pl.col("y").mean(), pl.len()
    )
    return [row[1:] for row in bins.sort("bin").iter_rows()]


def calibration(labels: pl.DataFrame, classes: Sequence[str]) -> Plot | None:
    """Left-out probabilities against the labels that the rows carry."""
    bins = calibration_bins(labels, classes)
    if not bins:
        return None
    name = classes[1][:_NAMED]
    x, y = horizontal(0, 1), vertical(0, 1)
    return Plot(
        key="calibration",
        title=f"Left-out probability of “{name}” against the labels",
        description="On the dashed line, the model is as sure as the labels allow. "
        "Wrong labels flatten both ends: some rows that are surely one class carry the other.",
        x_name="probability when left out",
        y_name=f"share labelled “{name}”",
        x_ticks=x.ticks(lambda v: words.share(v, 0)),
        y_ticks=y.ticks(lambda v: words.share(v, 0)),
        lines=(
            Line(path([(x(0), y(0)), (x(1), y(1))]), "quiet", dashed=True),
            Line(path([(x(p), y(observed)) for p, observed, _ in bins]), "accent"),
        ),
        points=tuple(Point(x(p), y(observed), "accent") for p, observed, _ in bins),
        head=("probability", "share labelled so", "rows"),
        table=tuple((words.share(p), words.share(observed), words.count(n)) for p, observed, n in bins),
    )


def noise(rates: Sequence[tuple[str, str, float]]) -> Matrix | None:
    """Lay out P(label | truth), of (truth, label, rate)."""
    if not rates:
        return None
    classes = list(dict.fromkeys(truth for truth, _, _ in rates))
    wide = _WIDE / len(classes)
    high = min(wide, 64.0)
    mistakes = sorted((r for r in rates if r[0] != r[1]), key=lambda r: (-r[2], r[0], r[1]))
    places = enumerate(classes) if len(classes) <= _DRAWN else ()
    ticks = [
        (Tick(round(_LEFT + (at + 0.5) * wide, 1), _short(name, max(3, int(wide / _LETTER)))),
         Tick(round(_TOP + (at + 0.5) * high, 1), _short(name, 14)))
        for at, name in places
    ]  # fmt: skip
    return Matrix(
        key="noise",
        title="How labels go wrong",
        description=_commonest(mistakes),
        corner="truth ↓  label →",
        height=int(_TOP + len(classes) * high + 8),
        across=tuple(across for across, _ in ticks),
        down=tuple(down for _, down in ticks),
        cells=_heat(rates, classes, wide, high) if ticks else (),
        head=("truth", "label", "rate"),
        table=tuple(
            (truth[:60], label[:60], words.share(rate))
            for truth, label, rate in (rates if ticks else mistakes[:_LISTED])
        ),
    )


def _short(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - 1].rstrip() + "…"


def _heat(
    rates: Sequence[tuple[str, str, float]], classes: list[str], wide: float, high: float
) -> tuple[HeatCell, ...]:
    place = {name: at for at, name in enumerate(classes)}
    cells = []
    for truth, label, rate in rates:
        if label not in place:
            continue
        x, y = _LEFT + place[label] * wide + 1, _TOP + place[truth] * high + 1
        known = rate if words.known(rate) else 0.0
        strength = min(known * (3 if truth != label else 0.4), 1.0)  # mistakes are small numbers
        text = words.share(rate, 1 if wide > 2 * _ROOM else 0) if wide >= _ROOM else ""
        size = (round(x, 1), round(y, 1), round(wide - 2, 1), round(high - 2, 1))
        tone = "against" if truth != label else "quiet"
        cells.append(HeatCell(*size, tone, round(strength * _DARKEST + 0.04, 3), text))
    return tuple(cells)


def _commonest(mistakes: Sequence[tuple[str, str, float]]) -> str:
    """Name the commonest mistake in words."""
    first = next((r for r in mistakes if words.known(r[2]) and r[2] > 0), None)
    if first is None:
        return "Estimated share of each true class that carries each label: no class is mislabelled."
    said = f"{words.share(first[2])} of “{first[0][:40]}” are labelled “{first[1][:40]}”"
    return f"Estimated share of each true class that carries each label. Commonest mistake: {said}."


def by_label(counts: Sequence[tuple[str, int, float]]) -> Table:
    """List how many wrong labels each class is expected to hold, of (label, rows, expected)."""
    most = max((expected for _, _, expected in counts), default=0.0) or 1.0
    return Table(
        caption="Where the wrong labels are",
        head=("label", "rows", "expected wrong"),
        rows=tuple(
            (Cell(label, 60), words.count(n), words.fixed(expected, 1))
            for label, n, expected in counts[:_LISTED]
        ),
        bars=tuple(expected / most for _, _, expected in counts[:_LISTED]),
        total=len(counts),
        rest=("label", "labels"),
        lead="Rows that carry each label, and how many of them are expected to be wrong.",
    )


def rates(key: str, found: Fact) -> Lanes | None:
    """Return the label rate of a slice, in training and in test, with its intervals."""
    if found["rate_train"] is None:
        return None
    measures = []
    for part, tone in (("training", "against"), ("test", "accent")):
        name, n = part.removesuffix("ing"), found[f"n_{part.removesuffix('ing')}"]
        low, value, high = (found[f"rate_{name}{end}"] for end in ("_low", "", "_high"))
        title = f"{part}, {words.count(n)} {'row' if n == 1 else 'rows'}"
        measures.append(Measure(title, words.share(value), value or 0.0, tone, low, high))
    x, drawn, height = lanes(measures, (0.0, 1.0))
    return Lanes(
        key=f"{key}-rates",
        title=f"Share labelled “{found['rate_class'][:40]}” in this slice",
        description="Bars, with 95 % intervals as lines: few rows make long ones.",
        height=height,
        zero=x(0.0),
        ticks=x.ticks(lambda v: words.share(v, 0)),
        lanes=drawn,
        head=("rows", "number", "share", "at least", "at most"),
        table=rate_rows(found),
    )


def rate_rows(found: Fact) -> tuple[tuple[str, ...], ...]:
    """Return rows, rates and their intervals, in training and in test."""
    return tuple(
        (
            part,
            words.count(found[f"n_{name}"]),
            *(words.share(found[f"rate_{name}{end}"]) for end in ("", "_low", "_high")),
        )
        for part, name in (("training", "train"), ("test", "test"))
    )


def proof(key: str, finding: Fact) -> Lanes | None:
    """Return the predicted change of a finding's loss and the measured one."""
    values = {name: finding[name] for name in ("predicted", "measured")}
    if not all(map(words.known, values.values())):
        return None
    measures = [
        Measure(f"{name}: the loss", words.moved(v), v, "quiet" if name == "predicted" else "accent")
        for name, v in values.items()
    ]
    low, high = min(0.0, *values.values()) * 1.04, max(0.0, *values.values()) * 1.04
    x, drawn, height = lanes(measures, (low, high) if high > low else (-1.0, 1.0))
    n = words.count(finding["n_errors"])
    how = "without its training rows" if finding["row_ids"] else "once rows weigh by class as in test"
    return Lanes(
        key=f"{key}-proof",
        title="Predicted and measured",
        description=f"Change of the mean loss of its {n} mispredicted test rows, {how}.",
        height=height,
        zero=x(0.0),
        ticks=x.ticks(words.short),
        lanes=drawn,
        head=("how", "the mean loss"),
        table=tuple((name, words.moved(value, 4)) for name, value in values.items()),
    )


def errors_along_l2(key: str, remedies: Sequence[Fact], l2: float) -> Plot | None:
    """Return the errors along λ; the large mark is at the λ in use."""
    tried = sorted((r for r in remedies if r["remedy"] == "ridge"), key=lambda r: r["l2"])
    tried = [r for r in tried if r["errors_after"] is not None and r["l2"] > 0]
    if len(tried) < _FEWEST:
        return None
    n = words.count(tried[0]["n_counted"])
    errors = [(r["l2"], r["errors_after"]) for r in tried]
    x = horizontal(errors[0][0] / 1.5, errors[-1][0] * 1.5, log=True)
    y = vertical(0, max(1.0, *(float(e) for _, e in errors)) * 1.08)
    used = [math.isclose(at, l2) for at, _ in errors]
    return Plot(
        key=f"{key}-grid",
        title="Mispredicted rows along λ",
        description=f"Of {n} test rows, at each λ the model was trained again. "
        + ("The large mark is the λ in use." if any(used) else ""),
        x_name="λ, logarithmic",
        y_name="mispredicted",
        x_ticks=x.ticks(words.short),
        y_ticks=y.ticks(words.count),
        lines=(Line(path([(x(at), y(e)) for at, e in errors]), "accent"),),
        points=tuple(
            Point(x(at), y(e), "against" if here else "quiet")
            for (at, e), here in zip(errors, used, strict=True)
        ),
        head=("λ", f"wrong of {n}", "their mean loss", "wrong of all", "mean loss of all"),
        table=tuple(
            (
                words.short(r["l2"]),
                words.count(r["errors_after"]),
                f"{words.fixed(r['slice_loss_after'], 3)} nats",
                words.count(r["test_errors_after"]),
                f"{words.fixed(r['test_loss_after'], 3)} nats",
            )
            for r in tried
        ),
    )


def levels(column: str, found: Sequence[Fact], *, number: int, totals: tuple[int, int]) -> Lanes:
    """Return the shares of a column's levels, in training and in test."""
    measures, table = [], []
    for level in found:
        shares = level["n_train"] / max(totals[0], 1), level["n_test"] / max(totals[1], 1)
        for part, share, tone in zip(("training", "test"), shares, ("against", "accent"), strict=True):
            measures.append(Measure(f"{_short(level['level'], 34)}, {part}", words.share(share), share, tone))
        counts = words.count(level["n_train"]), words.count(level["n_test"])
        table.append((level["level"][:60], *counts, *(words.share(s) for s in shares)))
    most = max((m.value for m in measures), default=1.0) or 1.0
    x, drawn, height = lanes(measures, (0.0, min(1.0, most * 1.08)))
    return Lanes(
        key=f"column-{number}",
        title=f"{column[:60]}, training against test",
        description="Share of the rows that have each level; the levels most frequent in test.",
        height=height,
        zero=x(0.0),
        ticks=x.ticks(lambda v: words.share(v, 0)),
        lanes=drawn,
        head=("level", "training rows", "test rows", "of training", "of test"),
        table=tuple(table),
    )


def concentration(effective: pl.Series) -> Plot | None:
    """Return how many training rows carry the predictions of the traced test rows."""
    numbers = np.asarray(effective.drop_nulls().to_numpy(), dtype=np.float64)
    numbers = numbers[np.isfinite(numbers) & (numbers > 0)]
    if not len(numbers):
        return None
    low, high = max(1.0, float(numbers.min()) * 0.999), float(numbers.max()) * 1.001
    edges = np.geomspace(low, max(high, low * 1.5), 21)
    counts, _ = np.histogram(np.maximum(numbers, low), edges)
    bars = [Bar(float(a), float(b), int(c)) for a, b, c in zip(edges[:-1], edges[1:], counts, strict=True)]
    x = horizontal(bars[0].low, bars[-1].high, log=True)
    y = vertical(_LEAST, max(10, *(bar.rows for bar in bars)) * 1.15, log=True)
    n = words.count(len(numbers))
    half, fewest = words.count(float(np.median(numbers))), words.count(float(numbers.min()))
    ticks = x.ticks(words.short)
    return Plot(
        key="concentration",
        title="On how many training rows a prediction rests",
        description=f"Effective number of training rows behind each of {n} traced test rows: "
        f"half of them rest on fewer than {half}, one on only {fewest}. Both scales are logarithmic.",
        x_name="training rows, effective number",
        y_name="test rows",
        x_ticks=ticks if len(ticks) >= _FEWEST else tuple(Tick(x(v), _whole(v)) for v in (x.low, x.high)),
        y_ticks=y.ticks(words.count),
        boxes=tuple(bar_box(bar, x, y=y, tone="accent") for bar in bars if bar.rows),
        head=("from", "to", "test rows"),
        table=tuple((_whole(b.low), _whole(b.high), words.count(b.rows)) for b in bars),
    )


def _whole(value: float) -> str:
    """Write an effective number of rows: from 10 on its fractions say nothing."""
    return words.count(value) if value >= 10 else words.short(value, 2)  # noqa: PLR2004 - see above
