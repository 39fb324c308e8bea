"""The charts of reports: each takes facts and says in words what it shows."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from string import ascii_lowercase
from typing import Any, Final, NamedTuple

import numpy as np
import polars as pl

from dataaudit.report import charts, words
from dataaudit.report.blocks import Cell, Table, plain
from dataaudit.report.charts import Line, Plot, Point, horizontal, lanes, padded, path, vertical
from dataaudit.report.rows import shortened

Fact = dict[str, Any]
Rate = tuple[str, str, float]  # truth, label, P(label | truth)

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
_BARS, _DATES = 20, 40  # levels that are drawn, and of dates and numbers
_LEFT, _TOP, _WIDE = 110, 42, 300  # place of a matrix's cells
_ROOM: Final = 34.0  # units of width that a cell's number needs
_LETTER: Final = 8  # units a letter takes
_DARKEST: Final = 0.5  # of a cell, so that its number keeps its contrast
_PARTS: Final = (  # of rows: name, word, tone
    ("train", "training (grey)", "quiet"),
    ("test", "test (red)", "against"),
    ("fixed", "test once it is fixed (green)", "accent"),
)
_COLUMNS, _APART, _EVERY = 3, 4, 5  # columns that are drawn; bins a single value is wide, and bins a tick


class Bar(NamedTuple):
    """Number of rows whose score lies in [low, high)."""

    low: float
    high: float
    rows: int


def _finite(values: pl.Series) -> np.ndarray[Any, np.dtype[np.float64]]:
    numbers = np.asarray(values.drop_nulls().to_numpy(), dtype=np.float64)
    return numbers[np.isfinite(numbers)]


def _counted(numbers: Any, edges: Any) -> list[Bar]:
    counts, edges = np.histogram(numbers, edges)
    return [Bar(float(a), float(b), int(c)) for a, b, c in zip(edges[:-1], edges[1:], counts, strict=True)]


def histogram(values: pl.Series, bars: int, high: float | None = None) -> list[Bar]:
    """Count the finite values in bars of equal width from 0 on."""
    numbers = _finite(values)
    if not len(numbers):
        return []
    top = high if high is not None else float(numbers.max()) or 1.0
    return _counted(numbers, np.linspace(0.0, top, bars + 1))


def p_wrong(values: pl.Series) -> Plot | None:
    """Histogram of the probability that a label is wrong."""
    bars = histogram(values, 20, high=1.0)
    likely = words.count(sum(bar.rows for bar in bars if bar.low >= _LIKELY))
    title, said = "Probability that the label is wrong", f"{likely} rows are more likely wrong than right."
    return _bars(bars, ("p-wrong", title, said), _percent, likely=_LIKELY)


def loo_loss(values: pl.Series) -> Plot | None:
    """Histogram of the left-out loss."""
    title = "Loss of each row when it is left out (nats)"
    said = "With two classes, above 0.69 the other rows speak for the other label."
    return _bars(histogram(values, 24), ("loo-loss", title, said), words.short)


def concentration(effective: pl.Series) -> Plot | None:
    """Histogram of how many training rows carry the predictions of the traced test rows."""
    numbers = _finite(effective)
    numbers = numbers[numbers > 0]
    if not len(numbers):
        return None
    low, high = max(1.0, float(numbers.min()) * 0.999), float(numbers.max()) * 1.001
    bars = _counted(np.maximum(numbers, low), np.geomspace(low, max(high, low * 1.5), 21))
    n, half, fewest = map(words.count, (len(numbers), float(np.median(numbers)), float(numbers.min())))
    said = (
        f"Effective number of training rows behind each of {n} traced test rows: "
        f"half of them rest on fewer than {half}, one on only {fewest}."
    )
    named = ("concentration", "On how many training rows a prediction rests", said)
    return _bars(bars, named, _whole, axes=("training rows, effective number", "test rows"), log=True)


def _whole(value: float) -> str:
    """Write an effective number of rows: from 10 on its fractions say nothing."""
    return words.count(value) if value >= 10 else words.short(value, 2)  # noqa: PLR2004 - see above


def _percent(value: float) -> str:
    return words.share(value, 0)


def _bars(
    bars: list[Bar],
    named: tuple[str, str, str],
    text: Callable[[float], str],
    *,
    axes: tuple[str, str] = ("", "rows"),
    log: bool = False,
    likely: float = math.inf,
) -> Plot | None:
    """Draw a histogram, its counts on a logarithmic scale; bars from `likely` on speak against the label."""
    if not bars:
        return None
    x = horizontal(bars[0].low, bars[-1].high, log=log)
    y = vertical(_LEAST, max(10, *(bar.rows for bar in bars)) * 1.15, log=True)
    ticks, boxes = x.ticks(text), []
    for bar in bars:
        if bar.rows:
            left, top = x(bar.low), y(bar.rows)
            width = max(0.5, round(x(bar.high) - left - 2, 2))  # a gap of two units
            tone = "against" if bar.low >= likely else "accent"
            boxes.append(charts.Box(left + 1, top, width, round(charts.BOTTOM - top, 2), tone))
    if len(ticks) < _FEWEST:
        ticks = tuple(charts.Tick(x(end), text(end)) for end in (x.low, x.high))
    key, title, said = named
    return Plot(
        key=key,
        title=title,
        description=f"{said} {'Both scales are' if log else 'The scale of the counts is'} logarithmic.",
        x_name=axes[0],
        y_name=axes[1],
        x_ticks=ticks,
        y_ticks=y.ticks(words.count),
        boxes=tuple(boxes),
        head=("from", "to", axes[1]),
        table=tuple((text(b.low), text(b.high), words.count(b.rows)) for b in bars),
    )


def _diagonal(x: charts.Scale, y: charts.Scale, top: float | None = None) -> Line:
    """Draw a dashed line from the lower left corner to where x is highest, and y as high as `top`."""
    ends = (x(x.low), y(y.low)), (x(x.high), y(y.high if top is None else top))
    return Line(path(ends), "quiet", dashed=True)


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
    return Plot(
        key="budget",
        title="Wrong labels found against rows checked",
        description="Expected, checking in the order of the list (line) or in any order (dashed).",
        x_name="rows checked",
        y_name="wrong labels found",
        x_ticks=x.ticks(words.count),
        y_ticks=y.ticks(words.count),
        lines=(_diagonal(x, y, found), Line(path([(x(a), y(b)) for a, b in points]), "accent")),
        points=tuple(
            Point(x(n), y(share * found), "accent", text=f"{_percent(share)}: {n:,} rows")
            for share, n in steps
        ),
        head=("share of the wrong labels", "rows to check"),
        table=tuple((_percent(share), words.count(n)) for share, n in steps),
    )


def selection(table: pl.DataFrame) -> Plot | None:
    """Mean left-out loss against λ, one line a basis and number of rows; the chosen one stands out."""
    tried = [c for c in table.iter_rows(named=True) if words.known(c["loo_loss"]) and c["l2"] > 0]
    if not tried:
        return None
    x = horizontal(min(c["l2"] for c in tried) / 1.5, max(c["l2"] for c in tried) * 1.5, log=True)
    y = vertical(*padded([c["loo_loss"] for c in tried]))

    def place(choice: Fact) -> tuple[float, float]:
        return x(choice["l2"]), y(choice["loo_loss"])

    paths = _paths(tried)
    chosen = next((c for c in tried if c["chosen"]), None)
    lines = [
        Line(path([place(c) for c in found]), "accent" if chosen in found else "quiet")
        for found in paths.values()
    ]
    points = [Point(*place(c), "quiet") for c in tried if not c["chosen"]]
    if chosen:
        ends = [y(chosen["loo_loss"] + sign * chosen["standard_error"]) for sign in (-1, 1)]
        lines.append(Line(path([(x(chosen["l2"]), end) for end in ends]), "against"))
        points.append(Point(*place(chosen), "against"))
    last = [place(found[-1]) for found in paths.values()]
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
        labels=charts.at_ends(last, ascii_lowercase[: len(paths)]) if len(paths) > 1 else (),
        head=("basis", "rows", "λ", "mean left-out loss", "standard error", "chosen"),
        table=tuple(map(_tried, tried)),
    )


def _tried(choice: Fact) -> tuple[str, ...]:
    losses = (words.fixed(choice[name], 4) for name in ("loo_loss", "standard_error"))
    at = words.count(choice["rows"]), words.short(choice["l2"])
    return choice["basis"][:_BASIS], *at, *losses, "yes" if choice["chosen"] else ""


def _paths(tried: Sequence[Fact]) -> dict[tuple[str, int], list[Fact]]:
    """Return what was tried of each basis on each number of rows, λ rising; the chosen path is the last."""
    paths: dict[tuple[str, int], list[Fact]] = {}
    for c in sorted(tried, key=lambda c: c["l2"]):
        paths.setdefault((c["basis"], c["rows"]), []).append(c)
    return dict(sorted(paths.items(), key=lambda item: (any(c["chosen"] for c in item[1]), item[0])))


def _encodings(tried: Sequence[Fact], paths: dict[tuple[str, int], list[Fact]], chosen: Fact | None) -> str:
    said = f"Encodings tried: {len({c['basis'] for c in tried})}; fits: {len(tried)}."
    if chosen:
        l2 = words.short(chosen["l2"])
        said += f" Chosen: {chosen['basis'][:_BASIS]}, λ = {l2} (± one standard error)."
    if len(paths) == 1:
        return said
    named = (f"{basis[:_BASIS]} on {words.count(rows)} rows" for basis, rows in paths)
    legend = "; ".join(f"{letter}, {name}" for letter, name in zip(ascii_lowercase, named, strict=False))
    return f"{said} Losses compare on the same rows: {legend}."


def compare(
    pairs: Sequence[tuple[str, str, float, float]], chart: tuple[str, str, str], text: Callable[..., str]
) -> Plot | None:
    """Plot predictions against measurements; `chart` has the key, the title, and what one mark is."""
    known = [pair for pair in pairs if words.known(pair[2]) and words.known(pair[3])]
    if not known:
        return None
    low, high = padded([value for pair in known for value in pair[2:]])
    x, y = horizontal(low, high), vertical(low, high)
    key, title, mark = chart
    return Plot(
        key=key,
        title=title,
        description=f"One mark a {mark}. On the dashed line the prediction is exact.",
        x_name="predicted",
        y_name="measured",
        x_ticks=x.ticks(words.short),
        y_ticks=y.ticks(words.short),
        lines=(_diagonal(x, y),),
        points=tuple(Point(x(p), y(m), "accent", square=how == "relabelled") for _, how, p, m in known),
        head=("row", "change", "predicted", "measured"),
        table=tuple((name[:_NAME], how, text(p, 4), text(m, 4)) for name, how, p, m in known),
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


def calibration(labels: pl.DataFrame, classes: Sequence[str], *, of: str = "") -> Plot | None:
    """Left-out probabilities against the labels that the rows carry."""
    bins = calibration_bins(labels, classes)
    if not bins:
        return None
    name = words.of_class(classes[1], of)[:_NAMED]
    x, y = horizontal(0, 1), vertical(0, 1)
    places = [(x(p), y(observed)) for p, observed, _ in bins]
    return Plot(
        key="calibration",
        title=f"Left-out probability of “{name}” against the labels",
        description="On the dashed line, the model is as sure as the labels allow. "
        "Wrong labels flatten both ends: some rows that are surely one class carry the other.",
        x_name="probability when left out",
        y_name=f"share labelled “{name}”",
        x_ticks=x.ticks(_percent),
        y_ticks=y.ticks(_percent),
        lines=(_diagonal(x, y), Line(path(places), "accent")),
        points=tuple(Point(*place, "accent") for place in places),
        head=("probability", "share labelled so", "rows"),
        table=tuple((words.share(p), words.share(observed), words.count(n)) for p, observed, n in bins),
    )


def noise(rates: Sequence[Rate], of: str = "") -> charts.Matrix | None:
    """Lay out P(label | truth) as a heat matrix."""
    if not rates:
        return None
    classes = list(dict.fromkeys(truth for truth, _, _ in rates))
    wide = _WIDE / len(classes)
    high, letters = min(wide, 64.0), max(3, int(wide / _LETTER))
    mistakes = sorted((r for r in rates if r[0] != r[1]), key=lambda r: (-r[2], r[0], r[1]))
    drawn = classes if len(classes) <= _DRAWN else []
    places = {name: (_LEFT + at * wide, _TOP + at * high) for at, name in enumerate(drawn)}
    return charts.Matrix(
        key="noise",
        title="How labels go wrong",
        description=_commonest(mistakes, of),
        corner="truth ↓  label →",
        height=int(_TOP + len(classes) * high + 8),
        across=tuple(
            charts.Tick(round(x + wide / 2, 1), shortened(name, letters)) for name, (x, _) in places.items()
        ),
        down=tuple(
            charts.Tick(round(y + high / 2, 1), shortened(name, 14)) for name, (_, y) in places.items()
        ),
        cells=tuple(
            _heat(rate, places[rate[1]][0], places[rate[0]][1], (wide, high))
            for rate in rates
            if rate[1] in places
        ),
        head=("truth", "label", "rate"),
        table=tuple(
            (truth[:60], label[:60], words.share(rate))
            for truth, label, rate in (rates if drawn else mistakes[:_LISTED])
        ),
    )


def _heat(rate: Rate, x: float, y: float, size: tuple[float, float]) -> charts.Box:
    (truth, label, share), (wide, high) = rate, size
    tone, factor = ("against", 3.0) if truth != label else ("quiet", 0.4)  # mistakes are small numbers
    strength = min(share * factor, 1.0) if words.known(share) else 0.0
    text = words.share(share, 1 if wide > 2 * _ROOM else 0) if wide >= _ROOM else ""
    place = (round(x + 1, 1), round(y + 1, 1), round(wide - 2, 1), round(high - 2, 1))
    return charts.Box(*place, tone, round(strength * _DARKEST + 0.04, 3), text)


def _commonest(mistakes: Sequence[Rate], of: str) -> str:
    what = f"Estimated share of each true class{f' of {of[:60]}' if of else ''} that carries each label"
    for truth, label, rate in mistakes:
        if words.known(rate) and rate > 0:
            names = (words.of_class(name[:40], of) for name in (truth, label))
            said = "{} of “{}” are labelled “{}”".format(words.share(rate), *names)
            return f"{what}. Commonest mistake: {said}."
    return f"{what}: no class is mislabelled."


def by_label(counts: Sequence[tuple[str, int, float]], of: str = "") -> Table:
    """List how many wrong labels each class is expected to hold, of (label, rows, expected)."""
    shown = counts[:_LISTED]
    return Table(
        caption="Where the wrong labels are",
        head=(Cell(of, 60) if of else "label", "rows", "expected wrong"),
        rows=tuple((Cell(label, 60), words.count(n), words.fixed(wrong, 1)) for label, n, wrong in shown),
        bars=charts.lengths([expected for _, _, expected in shown]),
        total=len(counts),
        rest=("label", "labels"),
        lead="Rows that carry each label, and how many of them are expected to be wrong.",
    )


def by_level(own: pl.DataFrame, number: int) -> charts.Lanes:
    """Draw the share of wrong labels in each level of a column; dates and numbers in their order."""
    shown = _levels_shown(own)
    measures = [
        charts.Measure(
            shortened(one["level"], _NAMED),
            f"{words.share(one['share'], 0)} of {words.count(one['n'])}",
            one["share"],
            "against" if one["significant"] else "quiet",
            one["low"] / one["n"],
            one["high"] / one["n"],
        )
        for one in shown.iter_rows(named=True)
    ]
    column, total = own["column"][0][:60], own.height
    some = f" The first {len(shown):,} of {total:,} levels." if total > len(shown) else ""
    said = f"Share of labels expected to be wrong, with 90 % intervals.{some}"
    span = (0.0, min(1.0, max(m.high or 0.0 for m in measures) * 1.04) or 1.0)
    table = level_table(own)
    named, head = (f"by-{number}", f"Wrong labels by {column}", said), tuple(map(str, table.head))
    rows = tuple(tuple(map(plain, line)) for line in table.rows)
    return lanes(named, measures, span, text=_percent, head=head, table=rows)


def level_table(own: pl.DataFrame) -> Table:
    """List the levels of a column with what is expected of each."""
    return Table(
        caption=f"Wrong labels by {own['column'][0][:60]}",
        head=("level", "rows", "expected wrong", "from", "to", "share", "times average", "p"),
        rows=tuple(map(_level_row, own.sort("rank").head(_LISTED).iter_rows(named=True))),
        total=own.height,
        rest=("level", "levels"),
    )


def _level_row(one: Fact) -> tuple[str | Cell, ...]:
    counts = (words.fixed(one[name], 0) for name in ("expected_wrong", "low", "high"))
    rest = words.share(one["share"]), words.fixed(one["times_average"], 1), words.short(one["p_value"], 2)
    return Cell(one["level"], 60), words.count(one["n"]), *counts, *rest


def _levels_shown(own: pl.DataFrame) -> pl.DataFrame:
    """Return the levels that are drawn, in the order in which they are read."""
    ordered = own["kind"][0] != "values"
    return own.sort("position").head(_DATES) if ordered else own.sort("rank").head(_BARS)


def pictures(key: str, found: Fact, roles: Sequence[Mapping[str, str]]) -> list[Plot | charts.Lanes]:
    """Return the pictures of a finding: of its columns on both sides, else of its rows before and after."""
    profiles, numeric = (
        found["profiles"],
        {r["column"] for r in roles if r["role"] in ("numeric", "datetime")},
    )
    columns = list(profiles["column"].unique(maintain_order=True))[:_COLUMNS]
    drawn: list[Plot | charts.Lanes] = []
    for at, name in enumerate(columns):
        table = profiles.filter(column=name).pivot("part", index=["position", "level"], values="share")
        draw = _bins if name in numeric else _levels
        drawn.append(draw((f"{key}-column-{at}", name[:60]), table.sort("position")))
    return drawn or [chart for chart in [before_and_after(key, found)] if chart]


def _legend(table: pl.DataFrame) -> str:
    return f"Share of rows: {', '.join(word for part, word, _ in _PARTS if part in table.columns)}."


def _shares(table: pl.DataFrame) -> tuple[tuple[str, ...], tuple[tuple[str, ...], ...]]:
    """Return the numbers behind a picture of a column."""
    parts = [(part, word) for part, word, _ in _PARTS if part in table.columns]
    rows = table.select("level", *(part for part, _ in parts)).iter_rows()
    lines = tuple((level[:60], *map(words.share, shares)) for level, *shares in rows)
    return ("value", *(word for _, word in parts)), lines


def _bins(named: tuple[str, str], table: pl.DataFrame) -> Plot:
    """Draw the distributions of numbers; single values stand apart at the left."""
    levels = table["level"].to_list()
    widths = np.array([1 if " to " in level else _APART for level in levels])
    ends = np.concatenate([[0], np.cumsum(widths)])
    shares = {part: table[part].fill_null(0.0).to_list() for part, _, _ in _PARTS if part in table.columns}
    x, y = horizontal(0, float(ends[-1])), vertical(0, max(map(max, shares.values())) * 1.08 or 1.0)
    lines, tones = list[Line](), {part: tone for part, _, tone in _PARTS}
    for part, heights in shares.items():
        steps = [
            path([(x(a), y(0)), (x(a), y(h)), (x(b), y(h)), (x(b), y(0))])
            for a, b, h in zip(ends[:-1], ends[1:], heights, strict=True)
            if h > 0
        ]
        lines.append(Line("".join(steps), tones[part], dashed=part == "fixed"))
    known = zip(ends[:-1], ends[1:], shares.get("train", ()), strict=False)
    boxes = tuple(
        charts.Box(x(a), y(h), x(b) - x(a), charts.BOTTOM - y(h), "quiet", 0.5) for a, b, h in known
    )
    alone = int((widths > 1).sum())
    named_at = [*range(alone), *range(alone, len(levels), _EVERY)]
    starts = [float(ends[i] + (widths[i] / 2 if i < alone else 0)) for i in named_at]
    texts = [levels[i].partition(" to ")[0].strip("()")[:10] for i in named_at]
    head, rows = _shares(table)
    return Plot(
        key=named[0],
        title=named[1],
        description=_legend(table),
        x_name="",
        y_name="share of rows",
        x_ticks=tuple(charts.Tick(x(at), text) for at, text in zip(starts, texts, strict=True)),
        y_ticks=y.ticks(_percent),
        boxes=boxes,
        lines=tuple(lines),
        head=head,
        table=rows,
    )


def _levels(named: tuple[str, str], table: pl.DataFrame) -> charts.Lanes:
    """Draw the shares of levels, bars of one level next to each other."""
    parts = [(part, tone) for part, _, tone in _PARTS if part in table.columns]
    measures = []
    for row in table.iter_rows(named=True):
        text = " → ".join(words.share(row[part], 0) for part, _ in parts)
        for at, (part, tone) in enumerate(parts):
            name = (shortened(row["level"], 30), text) if not at else ("", "")
            measures.append(charts.Measure(*name, row[part] or 0.0, tone))
    span = (0.0, max(m.value for m in measures) * 1.04 or 1.0)
    head, rows = _shares(table)
    return lanes((*named, _legend(table)), measures, span, text=_percent, head=head, table=rows)


def before_and_after(key: str, found: Fact) -> charts.Lanes | None:
    """Draw the share of wrong rows before and after a fix: of those that it is about, and of the others."""
    best = next((fix for fix in found["fixes"] if fix["best"] and fix["own_rows"]), None)
    if best is None:
        return None
    n, rest = best["own_rows"], best["rows"] - best["own_rows"]
    measures, table = [], []
    for whose, rows, name in (("its rows", n, "own_"), ("other rows", rest, "")):
        for when, word, tone in (("before", "as it is", "against"), ("after", "fixed", "accent")):
            wrong = best[f"{name}errors_{when}"] - (0 if name else best[f"own_errors_{when}"])
            text = f"{words.count(wrong)} of {words.count(rows)} wrong"
            if rows:
                measures.append(charts.Measure(f"{whose}, {word}", text, wrong / rows, tone))
                table.append((f"{whose}, {word}", words.count(rows), words.count(wrong)))
    losses = " to ".join(words.fixed(best[f"own_loss_{when}"]) for when in ("before", "after"))
    named = f"{key}-own", "Wrong test rows", f"The mean loss of its rows goes from {losses} nats."
    span = (0.0, max(m.value for m in measures) * 1.04 or 1.0)
    head = ("rows", "number", "wrong")
    return lanes(named, measures, span, text=_percent, head=head, table=tuple(table))
