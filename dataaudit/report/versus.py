"""Two models on one test row: what each predicts, the rows behind each, and how far they agree."""

from __future__ import annotations

import math
from operator import itemgetter
from typing import Final

import numpy as np
import polars as pl

from dataaudit.findings.schemas import ExplanationFindings
from dataaudit.report import blocks as b
from dataaudit.report import words
from dataaudit.report.charts import Line, Plot, Point, horizontal, padded, path, power, vertical
from dataaudit.report.common import LABEL, NAME, Fact
from dataaudit.report.rows import Rows, begins

_DOTS: Final = 300  # of a chart: the strongest rows, and others evenly spaced by distance
_STRONGEST: Final = 100
_SIDE: Final = 10  # harmful and helpful rows of each model
_SHOWN: Final = 10  # rows behind each
_LISTED: Final = 20  # rows of the table behind a chart
_SMALL: Final = 0.1  # nats, below which an axis counts in a power of ten


def models(f: ExplanationFindings, rows: Rows) -> list[Fact]:
    """Return both models with the dots of their charts and the rows behind; none where one was asked for."""
    if not len(f.models) or not f.provenance.versus:
        return []
    parts = [f.versus.filter(model=name) for name in f.models["model"]]
    return [
        row | _known(part, other, rows)
        for row, part, other in zip(f.models.iter_rows(named=True), parts, reversed(parts), strict=True)
    ]


def _known(part: pl.DataFrame, other: pl.DataFrame, rows: Rows) -> Fact:
    """Return dots and rows of one model; `other` has the same training rows by the other one."""
    part = part.with_columns(other_place=other["place"], change=-pl.col("influence") / len(part))
    known = part.drop_nulls("delta_loss_if_removed").sort(-pl.col("delta_loss_if_removed").abs(), "place")
    sides = [known.filter(pl.col("delta_loss_if_removed") * sign > 0).head(_SIDE) for sign in (-1, 1)]
    behind = pl.concat(sides).sort(-pl.col("delta_loss_if_removed").abs(), "place").head(_SHOWN)
    shown = [
        row | {"begins": begins(rows.get(("train", row["train_row_id"]), ()))}
        for row in behind.iter_rows(named=True)
    ]
    return {"rows": len(part), "dots": list(_drawn(part).iter_rows(named=True)), "behind": shown}


def _drawn(part: pl.DataFrame) -> pl.DataFrame:
    """Return the rows that a chart has room for, the nearest first."""
    part = part.sort("distance", "train_row_id")
    if len(part) > _DOTS:
        spaced = np.linspace(0, len(part) - 1, _DOTS - _STRONGEST).round().astype(np.int64)
        strongest = np.flatnonzero(part["place"].to_numpy() <= _STRONGEST)
        part = part[np.unique(np.concatenate([spaced, strongest])).tolist()]
    return part


def sentence(f: ExplanationFindings, rivals: list[Fact]) -> str:
    """Say what the other model predicts, and whether it is for the same rows."""
    if not rivals:
        return ""
    other = rivals[1]
    predicts = f"{other['model']} predicts “{other['predicted_label'][:LABEL]}”"
    return f"{predicts} ({words.share(other['p_predicted'])}); {_shared(f)} for both models."


def _shared(f: ExplanationFindings) -> str:
    known = f.provenance.versus
    return f"{known.get('shared', 0)} of the {known.get('of', 0)} rows of largest influence are the same"


def sections(f: ExplanationFindings, rivals: list[Fact]) -> tuple[b.Section, ...]:
    """Return the section that sets two models side by side, if there are two."""
    if not rivals:
        return ()
    order = words.fixed(f.provenance.versus.get("order_correlation"))
    names = " and ".join(model["model"] for model in rivals)
    agree = f"{names} order the training rows alike to {order} (Spearman); {_shared(f)}."
    lead = (
        "Two models may predict alike for different reasons (Koh & Liang 2017, section 5.1). Both are "
        "trained on the same rows and for the same label; distance is Euclidean in the encoded columns. "
    )
    explained = f.models["explained_label"][0]
    blocks: tuple[b.Block, ...] = (
        _facts(rivals, explained, agree),
        b.Only(b.PAGE, (b.Grid(tuple((b.Figure(plot),) for plot in _plots(rivals, explained))),)),
        b.Only(b.PAGE, (b.Grid(tuple((_near(model),) for model in rivals)),)),
        *(block for model in rivals for block in _tables(model)),
    )
    return (b.Section("Two models", blocks, rank=0, key="versus", lead=lead + agree),)


def _facts(rivals: list[Fact], explained: str, agree: str) -> b.Table:
    names = (
        "predicts",
        ("probability of “", b.Cell(explained, 40), "”"),
        "loss (nats)",
        "rank correlation of influence, by size, and distance",
        "carried by the nearest tenth of the rows",
        "λ",
        "basis",
    )
    columns = (
        (
            (b.Cell(m["predicted_label"], LABEL), f", {words.share(m['p_predicted'])}"),
            words.share(m["p_explained"]),
            words.short(m["loss"]),
            words.fixed(m["distance_correlation"]),
            words.share(m["nearest_share"]),
            words.short(m["l2"]),
            b.Cell(m["basis"], 120),
        )
        for m in rivals
    )
    return b.Table(
        caption="What each model makes of the test row",
        head=("", *(str(model["model"]) for model in rivals)),
        rows=tuple(zip(names, *columns, strict=True)),
        legend=agree,
    )


def _near(model: Fact) -> b.Group:
    lead = (
        "The largest change of the loss first, corrected for the row’s own leverage. Places are by the size "
        "of influence, which is first order, among all training rows; the two need not agree."
    )
    rows = b.List(tuple(_listed(row) for row in model["behind"]), style="near")
    shown = (b.Sentence(lead, "quiet"), rows if model["behind"] else b.Sentence("None."))
    return b.Group(f"Training rows behind it: {model['model']}", shown)


def _listed(row: Fact) -> b.Inline:
    place, other = words.count(row["place"]), words.count(row["other_place"])
    places = f"by influence place {place}, under the other model {other}"
    loss = f"”: without it, the loss {words.moved(row['delta_loss_if_removed'])}"
    return (
        b.Cell(row["train_row_id"], 160, "strong"),
        ", labelled “",
        b.Cell(row["label"], LABEL),
        f"{loss}. Distance {words.short(row['distance'])}; {places}.",
        row["begins"],
    )


def _tables(model: Fact) -> tuple[b.Block, ...]:
    """Return the rows behind a model as a table: folded in Markdown, shorter on a terminal."""
    title = f"Training rows behind it: {model['model']}"
    rows = tuple(
        (
            b.Cell(row["train_row_id"], NAME),
            b.Cell(row["label"], 40),
            words.short(row["distance"]),
            words.moved(row["delta_loss_if_removed"]),
            words.count(row["place"]),
            words.count(row["other_place"]),
        )
        for row in model["behind"]
    )
    head = ("training row", "label", "distance", "removed, the loss", "place by influence", "under the other")
    table = b.Table(caption=title, head=head, rows=rows, short=6, terminal=(0, 1, 3))
    return b.Only(b.MARKDOWN, (b.Fold(title, (table,)),)), b.Only(b.TERMINAL, (b.Group(title, (table,)),))


def _plots(rivals: list[Fact], explained: str) -> tuple[Plot, ...]:
    """Return a chart for each model: what a row's removal does to the loss, against its distance.

    Distances share an axis; each model has its own for the loss, since their losses differ in size.
    """
    found = [dot["distance"] for model in rivals for dot in model["dots"]]
    low, high = padded(found or [0.0])
    ends = max(low, 0.0), high  # texts are all about as far away: from 0 on they would be one column
    return tuple(_plot(model, explained[:30], ends, f"distance-{at}") for at, model in enumerate(rivals, 1))


def _plot(model: Fact, explained: str, ends: tuple[float, float], key: str) -> Plot:
    dots = model["dots"]
    x, y = horizontal(*ends), vertical(*padded([0.0, *(dot["change"] for dot in dots)]))
    largest = max((abs(dot["change"]) for dot in dots), default=0.0)
    unit = 10.0 ** math.floor(math.log10(largest)) if 0 < largest < _SMALL else 1.0
    nats = "nats" if unit == 1 else f"{power(unit)} nats"
    less = f"{words.count(len(dots))} of {words.count(model['rows'])} rows are drawn. "
    points = tuple(
        Point(x(dot["distance"]), y(dot["change"]), tone, square=not same, small=True)
        for same, tone in ((True, "accent"), (False, "against"))
        for dot in dots
        if dot["same_class"] == same
    )
    by_change = sorted(dots, key=lambda dot: (-abs(dot["change"]), dot["train_row_id"]))
    strongest = map(itemgetter("train_row_id", "distance", "change", "same_class"), by_change[:_LISTED])
    return Plot(
        key=key,
        title=f"{model['model']}: rank correlation {words.fixed(model['distance_correlation'])}",
        description="Of a row’s influence, by size, with its distance from the test row. Dots are labelled "
        f"“{explained}”, squares otherwise; above the line a row helps. Influence is first order: the list "
        f"below corrects it for the row’s own leverage. {less if len(dots) < model['rows'] else ''}",
        x_name="distance from the test row",
        y_name=f"rise of the loss without the row, first order ({nats})",
        x_ticks=x.ticks(words.short),
        y_ticks=y.ticks(lambda value: words.short(value / unit)),
        lines=(Line(path([(x(ends[0]), y(0.0)), (x(ends[1]), y(0.0))]), "quiet"),),
        points=points,
        head=("training row", "distance", "without it, the loss (first order)", f"labelled “{explained}”"),
        table=tuple(
            (name[:NAME], words.short(distance), words.moved(change), "yes" if same else "no")
            for name, distance, change, same in strongest
        ),
    )
