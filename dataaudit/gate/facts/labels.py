"""Facts about labels: which are wrong, whether a new batch brings more of them, and whether to trust that."""

from __future__ import annotations

import numpy as np
import polars as pl
from numpy.typing import NDArray

from dataaudit.audits.batch import score_batch
from dataaudit.audits.health import check_health
from dataaudit.audits.tables import choose_ranking, label_table, review_order
from dataaudit.audits.validation import verify
from dataaudit.features.target import class_texts
from dataaudit.gate.data import Data, Material
from dataaudit.gate.facts.fitted import FittedRows, fit, fitted, wanted

LEAST_KNOWN = 50  # below which no model of the known rows is worth contradicting a label
CHECKED = 3  # rows that are taken out and relabelled for good: two refits each
Rows = NDArray[np.int64]


def ranked_labels(material: Material) -> pl.DataFrame:
    """Return the rows of the table ``labels``, by rank."""
    model, data = fitted(material), material.rows
    ranking, _ = choose_ranking("auto", model.noise)
    order = review_order(model.dataset, model.scores, model.noise, ranking=ranking)
    table = label_table(model.dataset, model.target, model.scores, noise=model.noise, order=order)
    at = table["row"].to_list()
    return table.drop("source", "row", "line", "row_id").hstack(places(data, material.settings.id)[at])


def judged_batch(material: Material, nothing: pl.DataFrame) -> pl.DataFrame:
    """Return the new and changed rows of a known class under a model of the known ones, if enough."""
    known = material.known
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


def _of_known(material: Material, frame: pl.DataFrame, known: pl.Series) -> FittedRows:
    """Return a model of the known rows: the base's own where all of its rows are still there."""
    base = material.base
    if base is not None and base.data is not None:
        same = wanted(base, base.data) == frame.columns
        if same and int(known.sum()) == base.data.n:
            return fitted(base)
    return material.once("fitted known", lambda: fit(frame.filter(known), material))


def _judged(model: FittedRows, frame: pl.DataFrame, rows: pl.Series, y: Rows) -> pl.DataFrame:
    """Return the columns of ``batch`` for some rows of known classes."""
    p, at = model.trained.probabilities(frame), np.arange(len(y))
    own = p[at, y]
    loss = -np.log(np.maximum(own, np.finfo(np.float64).tiny))
    others = p.copy()
    others[at, y] = -1.0
    compared = score_batch(
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
            "beyond": compared.beyond,
            "suspect": compared.suspect,
            "rows": len(y),
            "suspects": int(compared.suspect.sum()),
            "expected": compared.expected,
            "chance": compared.chance,
        },
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


def checked_audit(material: Material) -> pl.DataFrame:
    """Return an audit's own table of health, one row a check."""
    model, step = fitted(material), material.on_step
    ranking, _ = choose_ranking("auto", model.noise)
    order = model.trained.apart(review_order(model.dataset, model.scores, model.noise, ranking=ranking))
    order = order[:CHECKED]
    total = 2 * len(order)
    refits = verify(
        model.trained, model.scores, order, on_refit=lambda done: step("verify by refits", done, total)
    )
    return check_health(model.trained, model.scores, refits, noise=model.noise)
