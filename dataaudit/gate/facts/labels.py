"""Facts about labels: which are wrong, whether a new batch brings more of them, and whether to trust that."""

from __future__ import annotations

import numpy as np
import polars as pl
from numpy.typing import NDArray

from dataaudit.audits.batch import score_batch
from dataaudit.audits.health import check_health, random_check
from dataaudit.audits.levels import count_by
from dataaudit.audits.tables import RANKING, label_table, review_order, row_facts
from dataaudit.audits.validation import verify
from dataaudit.features.target import class_texts
from dataaudit.gate.data import Data, Material
from dataaudit.gate.facts.classes import normal_class
from dataaudit.gate.facts.fitted import FittedRows, fit, fitted, wanted
from dataaudit.gate.facts.table import Inapplicable
from dataaudit.gate.matching import Matching
from dataaudit.options import LabelOptions
from dataaudit.training.numbers import value_checks, value_facts

LEAST_KNOWN = 50  # below which no model of the known rows is worth contradicting a label
CHECKED = 3  # rows that are taken out and relabelled for good: two refits each
Rows = NDArray[np.int64]


def ranked_labels(material: Material) -> pl.DataFrame:
    """Return the rows of the table ``labels``, by rank."""
    model, data = fitted(material), material.rows
    order = review_order(model.dataset, model.scores, model.noise, ranking=RANKING)
    facts = row_facts(model.dataset, model.target, model.scores, noise=model.noise, order=order)
    if model.values is not None:
        facts |= value_facts(model.dataset, model.trained, scores=model.scores, noise=model.values)
    table = label_table(facts, model.target.classes, order)
    at = table["row"].to_list()
    return table.drop("source", "row", "line", "row_id").hstack(places(data, material.settings.id)[at])


def counted_levels(material: Material) -> pl.DataFrame:
    """Return wrong labels by the levels of the columns that were named for it, as findings have them."""
    model, settings = fitted(material), material.settings
    rows = {"row_id": model.dataset.row_id, "label": model.labels, "p_wrong": model.noise.p_wrong}
    asked = LabelOptions(label=settings.label, by=settings.by, categorical=settings.categorical)
    labels = pl.DataFrame(rows, schema_overrides={"label": pl.String})
    return count_by(model.dataset, labels, asked, interval=model.noise.interval).by


def judged_batch(material: Material) -> pl.DataFrame:
    """Return the rows with a new label, of a known class, under a model of the known rows."""
    label, base, matching = material.settings.label, material.base, material.matching
    if material.settings.task in ("regression", "count"):
        raise Inapplicable("The label is a number: new rows are judged with all others.")
    if base is None or matching is None or label not in base.rows.schema:
        raise Inapplicable(f"The base has no column {label!r}.")
    now, was = (class_texts(side.rows.read([label]).to_series()) for side in (material, base))
    meant = now.replace(_renamed(now, was, matching))
    same = matching.alike & (meant == was.gather(matching.at)).fill_null(value=False)
    fresh = now.is_not_null() & ~same
    if not fresh.any():
        raise Inapplicable("No labelled row is new, and no label has changed.")
    if not (fresh & meant.is_in(was.drop_nulls().unique().implode())).any():
        what = "The new row has a class" if fresh.sum() == 1 else f"All {fresh.sum():,} new rows have a class"
        raise Inapplicable(f"{what} that no known row has.")
    model, columns = _of_known(material, base, meant, fresh)
    number = {name: i for i, name in enumerate(model.target.classes)}
    y = meant.replace_strict(number, default=None, return_dtype=pl.Int64)
    new = (fresh & y.is_not_null()).arg_true()
    frame = material.rows.read(columns)[new.to_list()]
    return _judged(model, frame, new, y[new.to_list()].to_numpy())


def _renamed(now: pl.Series, was: pl.Series, matching: Matching) -> dict[str, str]:
    """Return new name → old name of classes: another spelling, or what most of their rows were."""
    known = was.drop_nulls().unique().sort().to_list()
    strange = [name for name in now.drop_nulls().unique().sort().to_list() if name not in set(known)]
    spelled = {normal_class(name): name for name in known}
    found = {name: spelled[normal_class(name)] for name in strange if normal_class(name) in spelled}
    before = was.gather(matching.at)
    for name in strange:
        mine = now == name
        old = before.filter(mine).drop_nulls()
        if name not in found and old.n_unique() == 1 and 2 * len(old) > int(mine.sum()):
            found[name] = old[0]
    return found


def _of_known(
    material: Material, base: Material, meant: pl.Series, fresh: pl.Series
) -> tuple[FittedRows, list[str]]:
    """Return a model of the known rows and its columns: the base's own where none of its rows has changed.

    Where columns were rewritten it is one of the data's own rows whose label is the base's. Of the base no
    row takes part that has another label or content by now: its old label would speak for itself.
    """
    matching, label = material.matching, material.settings.label
    columns = wanted(material, material.rows)
    if matching is not None and matching.rewritten:
        rows = material.rows.read(columns).with_columns(meant.alias(label)).filter(~fresh)
        if rows[label].count() >= LEAST_KNOWN:
            _require_known(rows[label], "rows are known")
            return material.once("fitted known", lambda: fit(rows, material)), columns
        columns = [name for name in columns if name not in matching.rewritten]
    columns = [name for name in columns if _fits(name, material.rows.schema, base.rows.schema)]
    if not {*columns} - {label, material.settings.weight}:
        raise Inapplicable("Data and base share no feature column of one type.")
    frame, gone = base.rows.read(columns), matching.at.filter(fresh).drop_nulls() if matching else pl.Series()
    if gone.is_empty() and columns == wanted(base, base.rows):
        _require_known(frame[label], "rows of the base have a label")
        return fitted(base), columns
    rows = frame.filter(~pl.int_range(frame.height, eager=True).is_in(gone.implode()))
    _require_known(rows[label], "rows of the base are unchanged")
    return material.once("fitted known", lambda: fit(rows, material)), columns


def _fits(name: str, now: pl.Schema, was: pl.Schema) -> bool:
    """Tell whether a model of the base's column can read the data's."""
    return name in was and (now[name] == was[name] or (now[name].is_numeric() and was[name].is_numeric()))


def _require_known(labels: pl.Series, what: str) -> None:
    """Raise `Inapplicable` where too few rows are known for a model that could contradict a label."""
    if labels.count() < LEAST_KNOWN:
        raise Inapplicable(f"{labels.count()} {what}, and {LEAST_KNOWN} are the least to judge a label by.")
    if labels.drop_nulls().n_unique() < 2:  # noqa: PLR2004 - a class and another
        raise Inapplicable("The known rows have one class.")


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
    order = model.trained.apart(review_order(model.dataset, model.scores, model.noise, ranking=RANKING))
    order = order[:CHECKED]
    total = 2 * len(order)
    refits = verify(
        model.trained, model.scores, order, on_refit=lambda done: step("verify by refits", done, total)
    )
    random = random_check(model.dataset, model.trained, model.scores, noise=model.noise, seed=material.seed)
    values = None if model.values is None else value_checks(model.trained, model.scores)
    return check_health(model.trained, model.scores, refits, random=random, values=values)
