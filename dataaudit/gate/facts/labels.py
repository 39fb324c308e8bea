"""Facts about labels: which are wrong, how many, and whether a new batch brings more than was usual.

Facts about the audit itself: whether what it says can be trusted.
"""

from __future__ import annotations

import numpy as np
import polars as pl
from numpy.typing import NDArray

from dataaudit.audits.batch import hold_against
from dataaudit.audits.health import check_health
from dataaudit.audits.tables import choose_ranking, label_table, review_order
from dataaudit.audits.validation import verify
from dataaudit.features.target import class_texts
from dataaudit.gate.data import Data, Material
from dataaudit.gate.facts.audited import TABLES, wrong_table
from dataaudit.gate.facts.fitted import Fitted, fit, fitted, wanted

# Known rows below which nothing is said of new ones: no model of so few is worth contradicting a label.
LEAST_KNOWN = 50
_SCHEMAS = {table.name: table.schema for table in TABLES}
Rows = NDArray[np.int64]


def labels(material: Material) -> pl.DataFrame:
    """Return the table ``labels``, by rank."""
    model, data = fitted(material), material.rows
    ranking, _ = choose_ranking("auto", model.noise)
    order = review_order(model.dataset, model.scores, model.noise, ranking=ranking)
    table = label_table(model.dataset, model.target, model.scores, noise=model.noise, order=order)
    at = table["row"].to_list()
    return table.drop("source", "row", "line", "row_id").hstack(places(data, material.settings.id)[at])


def wrong(material: Material) -> pl.DataFrame:
    """Return the table ``wrong``, one row."""
    model = fitted(material)
    n, noise = model.dataset.n, model.noise
    return wrong_table(n, noise.expected, noise.interval, supported=noise.supported)


def batch(material: Material) -> pl.DataFrame:
    """Return the table ``batch``: new and changed rows of a known class; empty where few rows are known."""
    states, nothing = material.states, pl.DataFrame(schema=_SCHEMAS["batch"])
    if states is None:
        raise ValueError("there is no base")
    known = states == "known"
    if known.all() or known.sum() < LEAST_KNOWN:
        return nothing
    columns = wanted(material, material.rows)
    frame = material.rows.read(columns)
    classes = class_texts(frame[material.settings.label])
    if classes.filter(known).n_unique() - (classes.filter(known).null_count() > 0) < 2:  # noqa: PLR2004
        return nothing
    model = _of_known(material, frame, known)
    number = {name: i for i, name in enumerate(model.target.classes)}
    y = classes.replace_strict(number, default=None, return_dtype=pl.Int64)
    new = (~known & y.is_not_null()).arg_true()
    if new.is_empty():
        return nothing
    return _judged(model, frame[new.to_list()], new, y[new.to_list()].to_numpy())


def _of_known(material: Material, frame: pl.DataFrame, known: pl.Series) -> Fitted:
    """Return a model of the known rows: the base's own where all of its rows are still there."""
    base = material.base
    if base is not None and base.data is not None:
        same = wanted(base, base.data) == frame.columns
        if same and int(known.sum()) == base.data.n:
            return fitted(base)
    return material.once("fitted known", lambda: fit(frame.filter(known), material))


def _judged(model: Fitted, frame: pl.DataFrame, rows: pl.Series, y: Rows) -> pl.DataFrame:
    """Return the table ``batch`` of some rows of known classes."""
    p, at = model.trained.probabilities(frame), np.arange(len(y))
    own = p[at, y]
    loss = -np.log(np.maximum(own, np.finfo(np.float64).tiny))
    others = p.copy()
    others[at, y] = -1.0
    held = hold_against(
        model.scores.loo_loss,
        loss,
        contradicted=p.argmax(1) != y,
        noise=model.noise.expected / model.dataset.n,
    )
    names = np.array(model.target.classes, dtype=object)
    return pl.DataFrame(
        {
            "row": rows.cast(pl.Int64),
            "label": pl.Series(names[y], dtype=pl.String),
            "suggested_label": pl.Series(names[others.argmax(1)], dtype=pl.String),
            "p_label": own,
            "loss": loss,
            "beyond": held.beyond,
            "suspect": held.suspect,
            "rows": len(y),
            "suspects": int(held.suspect.sum()),
            "expected": held.expected,
            "chance": held.chance,
        },
        schema=_SCHEMAS["batch"],
    )


def places(data: Data, id_column: str | None) -> pl.DataFrame:
    """Return source, row, line and row_id of all rows, (n, 4)."""
    if data.places is not None:
        frame = data.places
    else:
        pieces = [
            pl.select(source=pl.lit(p.path), row=pl.int_range(p.rows, dtype=pl.Int64)) for p in data.pieces
        ]
        frame = pl.concat(pieces).with_columns(line=pl.lit(None, dtype=pl.Int64))
    if id_column:
        return frame.with_columns(row_id=data.read([id_column])[id_column].cast(pl.String))
    by_line = pl.format("{}:{}", "source", "line")
    return frame.with_columns(row_id=pl.coalesce(by_line, pl.format("{}#{}", "source", "row")))


# Rows that are taken out and relabelled for good: two refits each.
CHECKED = 3


def health(material: Material) -> pl.DataFrame:
    """Return an audit's own table of health, one row a check."""
    model, step = fitted(material), material.on_step
    ranking, _ = choose_ranking("auto", model.noise)
    order = review_order(model.dataset, model.scores, model.noise, ranking=ranking)[:CHECKED]
    total = 2 * len(order)
    refits = verify(
        model.trained, model.scores, order, on_refit=lambda done: step("verify by refits", done, total)
    )
    return check_health(model.trained, model.scores, refits, noise=model.noise)
