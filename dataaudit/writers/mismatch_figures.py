"""The charts of the page of a mismatch: rates of a slice, proof, errors along λ, columns, concentration."""

from __future__ import annotations

import math
from typing import Final

from dataaudit.escape import line
from dataaudit.report import words
from dataaudit.report.charts import (
    Lanes,
    Line,
    Measure,
    Plot,
    Point,
    Scale,
    Tick,
    horizontal,
    lanes,
    path,
    vertical,
)
from dataaudit.summary import ColumnLevels, FindingCard, MismatchSummary, SliceLine, Tried
from dataaudit.writers.figures import bar_box, compare

_NAME: Final = 34  # characters of a name beside its number
_LEAST: Final = 0.7  # bottom of a logarithmic count axis
_FEWEST: Final = 2  # points that make a line
_WHOLE: Final = 10  # an effective number of rows from which on its fractions say nothing


def rates(finding: FindingCard) -> Lanes | None:
    """Return the label rate of a finding's slice, in training and in test, with its interval."""
    if finding.line is None or finding.line.rate_train is None:
        return None
    found = finding.line
    name = line(found.rate_class, 40)
    measures = [
        _rate(
            "training", found.n_train, (found.rate_train_low, found.rate_train or 0.0, found.rate_train_high)
        ),
        _rate("test", found.n_test, (found.rate_test_low, found.rate_test, found.rate_test_high)),
    ]
    x, drawn, height = lanes(measures, (0.0, 1.0))
    return Lanes(
        key=f"f{finding.finding}-rates",
        title=f"Share labelled “{name}” in this slice",
        description="Bars, with 95 % intervals as lines: few rows make long ones.",
        height=height,
        zero=x(0.0),
        ticks=x.ticks(lambda v: words.share(v, 0)),
        lanes=drawn,
        head=("rows", "number", "share", "at least", "at most"),
        table=rate_rows(found),
    )


def rate_rows(found: SliceLine) -> tuple[tuple[str, ...], ...]:
    """Return rows, rates and their intervals, in training and in test."""
    parts = (
        ("training", found.n_train, (found.rate_train, found.rate_train_low, found.rate_train_high)),
        ("test", found.n_test, (found.rate_test, found.rate_test_low, found.rate_test_high)),
    )
    return tuple((name, words.count(n), *(words.share(v) for v in values)) for name, n, values in parts)


def _rate(name: str, n: int, ends: tuple[float, float, float]) -> Measure:
    low, value, high = ends
    tone = "against" if name == "training" else "accent"
    return Measure(f"{name}, {words.count(n)} {_rows(n)}", words.share(value), value, tone, low, high)


def _rows(n: int) -> str:
    return "row" if n == 1 else "rows"


def proof(finding: FindingCard) -> Lanes | None:
    """Return the predicted change of a finding's loss beside the measured one."""
    predicted, measured = finding.predicted, finding.measured
    if not (words.known(predicted) and words.known(measured)):
        return None
    values = {"predicted": float(predicted or 0.0), "measured": float(measured or 0.0)}
    measures = [
        Measure(f"{name}: the loss", words.moved(v), v, "quiet" if name == "predicted" else "accent")
        for name, v in values.items()
    ]
    low, high = min(0.0, *values.values()) * 1.04, max(0.0, *values.values()) * 1.04
    x, drawn, height = lanes(measures, (low, high) if high > low else (-1.0, 1.0))
    return Lanes(
        key=f"f{finding.finding}-proof",
        title="Predicted and measured",
        description=f"Change of the mean loss of its {words.count(finding.n_errors)} mispredicted test rows, "
        f"{'once rows weigh by class as in test' if not finding.row_ids else 'without its training rows'}.",
        height=height,
        zero=x(0.0),
        ticks=x.ticks(words.short),
        lanes=drawn,
        head=("how", "the mean loss"),
        table=tuple((name, words.moved(value, 4)) for name, value in values.items()),
    )


def grid(finding: FindingCard, l2: float) -> Plot | None:
    """Return the errors along λ; the large mark is at the λ in use."""
    tried = sorted((r for r in finding.remedies if r.remedy == "ridge"), key=lambda r: r.l2)
    tried = [r for r in tried if r.errors_after is not None and r.l2 > 0]
    if len(tried) < _FEWEST:
        return None
    n = tried[0].n_counted
    errors = [(r.l2, r.errors_after or 0) for r in tried]
    x = horizontal(errors[0][0] / 1.5, errors[-1][0] * 1.5, log=True)
    y = vertical(0, max(1.0, *(float(e) for _, e in errors)) * 1.08)
    used = [math.isclose(r.l2, l2) for r in tried]
    return Plot(
        key=f"f{finding.finding}-grid",
        title="Mispredicted rows along λ",
        description=f"Of {words.count(n)} test rows, at each ridge the model was trained again. "
        + ("The large mark is the λ in use." if any(used) else ""),
        x_name="λ, logarithmic",
        y_name="mispredicted",
        x_ticks=x.ticks(words.short),
        y_ticks=y.ticks(words.count),
        lines=(Line(path([(x(l2), y(e)) for l2, e in errors]), "accent"),),
        points=tuple(
            Point(x(point), y(e), "against" if here else "quiet")
            for (point, e), here in zip(errors, used, strict=True)
        ),
        head=("λ", f"wrong of {words.count(n)}", "their mean loss", "wrong of all", "mean loss of all"),
        table=tuple(_grid_row(r) for r in tried),
    )


def _grid_row(r: Tried) -> tuple[str, ...]:
    losses = (f"{words.fixed(v, 3)} nats" for v in (r.slice_loss_after, r.test_loss_after))
    slice_loss, test_loss = losses
    return (
        words.short(r.l2),
        words.count(r.errors_after),
        slice_loss,
        words.count(r.test_errors_after),
        test_loss,
    )


def levels(column: ColumnLevels, *, number: int, totals: tuple[int, int]) -> Lanes:
    """Return the shares of a column's levels, in training and in test."""
    n_train, n_test = totals
    name = line(column.column, 60)
    measures, table = [], []
    for level in column.levels:
        shares = level.n_train / max(n_train, 1), level.n_test / max(n_test, 1)
        for part, share, tone in zip(("training", "test"), shares, ("against", "accent"), strict=True):
            measures.append(Measure(f"{line(level.level, _NAME)}, {part}", words.share(share), share, tone))
        counts = words.count(level.n_train), words.count(level.n_test)
        table.append((line(level.level, 60), *counts, *(words.share(s) for s in shares)))
    most = max((m.value for m in measures), default=1.0) or 1.0
    x, drawn, height = lanes(measures, (0.0, min(1.0, most * 1.08)))
    return Lanes(
        key=f"column-{number}",
        title=f"{name}, training against test",
        description="Share of the rows that have each level; the levels most frequent in test.",
        height=height,
        zero=x(0.0),
        ticks=x.ticks(lambda v: words.share(v, 0)),
        lanes=drawn,
        head=("level", "training rows", "test rows", "of training", "of test"),
        table=tuple(table),
    )


def concentration(summary: MismatchSummary) -> Plot | None:
    """Return how many training rows carry the predictions of the traced test rows."""
    found = summary.concentration
    if found is None:
        return None
    x = horizontal(found.bars[0].low, found.bars[-1].high, log=True)
    y = vertical(_LEAST, max(10, *(bar.rows for bar in found.bars)) * 1.15, log=True)
    return Plot(
        key="concentration",
        title="On how many training rows a prediction rests",
        description=f"Effective number of training rows behind each of {words.count(found.rows)} traced test "
        f"rows: half of them rest on fewer than {words.count(found.median)}, one on only "
        f"{words.count(found.fewest)}. Both scales are logarithmic.",
        x_name="training rows, effective number",
        y_name="test rows",
        x_ticks=_log_ticks(x),
        y_ticks=y.ticks(words.count),
        boxes=tuple(bar_box(bar, x, y=y, tone="accent") for bar in found.bars if bar.rows),
        head=("from", "to", "test rows"),
        table=tuple((_number(b.low), _number(b.high), words.count(b.rows)) for b in found.bars),
    )


def _log_ticks(x: Scale) -> tuple[Tick, ...]:
    """Return the powers of ten; both ends where there are fewer than two of them."""
    ticks = x.ticks(words.short)
    if len(ticks) >= _FEWEST:
        return ticks
    return tuple(Tick(x(value), _number(value)) for value in (x.low, x.high))


def _number(value: float) -> str:
    return words.count(value) if value >= _WHOLE else words.short(value, 2)


def proofs(summary: MismatchSummary) -> Plot | None:
    """Return the findings' predictions against refits."""
    return compare(
        [r for r in summary.trust.refits if r.change == "finding"],
        key="proofs",
        title="Findings: predicted against measured (nats)",
        description="One mark a finding: change of the mean loss of its mispredicted test rows. "
        "On the dashed line the prediction is exact.",
        text=lambda value: words.moved(value, 4),
    )


def single_rows(summary: MismatchSummary) -> Plot | None:
    """Return the strongest traces' predictions against refits."""
    return compare(
        [r for r in summary.trust.refits if r.change != "finding"],
        key="single-rows",
        title="Single training rows: predicted against measured (nats)",
        description="One mark a training row that was removed: change of the loss of the test row that it "
        "moves most. On the dashed line the prediction is exact.",
        text=lambda value: words.moved(value, 4),
    )
