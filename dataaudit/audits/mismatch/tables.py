"""From positions to row names: the tables of an audit of a mismatch, with the cells that a person looks at.

Without training row i the score of test row t moves by -I/(n r_t (1 - h_i)), which gives the change of its
loss for the accuracy of one more Newton step; with more than two classes it is kept to first order.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray

from dataaudit.audits.mismatch.findings import MismatchFinding, slice_p_values
from dataaudit.audits.mismatch.lift import SliceScore
from dataaudit.audits.mismatch.tracing import Traced
from dataaudit.audits.tables import cells_of_pair, decisions, pair_facts
from dataaudit.audits.testset import Pair, Tested
from dataaudit.findings.schemas import (
    FINDINGS,
    HARMFUL,
    PAIR_CELLS,
    RESPONSIBLE,
    SLICES,
    TRACES,
    MismatchProvenance,
)
from dataaudit.model.losses import Softmax
from dataaudit.options import MismatchOptions
from dataaudit.statistics import exact_interval
from dataaudit.training.trained import RowScores, Trained

SHOWN_HARMFUL, NAMED_TESTS = 200, 50
# Test rows that are kept, of each finding and in all; training rows behind each, of either sign.
OF_FINDING, TESTS, BEHIND = 3, 100, 3

Rows = NDArray[np.int64]
Reals = NDArray[np.float64]


def trace_table(
    trained: Trained, tested: Tested, pair: Pair, *, traced: Traced, scores: RowScores, places: Rows
) -> pl.DataFrame:
    """Return the table `TRACES` for some of the traced rows."""  # places (m,)
    at = torch.from_numpy(places)
    found = traced.found
    rows = torch.cat([found.harmful_rows[at], found.helpful_rows[at].flip(1)], 1).numpy()
    values = torch.cat([found.harmful[at], found.helpful[at].flip(1)], 1).numpy()
    test = np.repeat(traced.rows[places], rows.shape[1])
    i, influence = rows.ravel(), values.ravel()
    delta = _change_of_loss(trained, tested, test, influence=influence, leverage=scores.leverage[i])
    table = pl.DataFrame(
        {
            "test_row_id": pair.test.row_id.gather(test),
            "test_row": pair.test.row.gather(test),
            "train_row_id": pair.train.row_id.gather(i),
            "train_row": pair.train.row.gather(i),
            "influence": influence,
            "delta_loss_if_removed": delta,
            "relative_influence": influence / np.sqrt(np.maximum(scores.self_influence[i], 1e-300)),
            "test": test,
        }
    )
    table = table.unique(["test", "train_row_id"], maintain_order=True)  # few rows: the two ends overlap
    size = pl.col("delta_loss_if_removed").abs()
    rank = size.rank("ordinal", descending=True).over("test").cast(pl.Int64)
    table = table.with_columns(rank=rank).sort("test", "rank", maintain_order=True)
    return table.select(TRACES.facts.names())


def _change_of_loss(
    trained: Trained, tested: Tested, test: Rows, *, influence: Reals, leverage: Reals
) -> Reals:
    n, k = trained.objective.rows.n, trained.objective.model.loss.n_scores
    first = -influence / (n * np.maximum(1.0 - leverage / k, 1e-6))
    if k > 1:
        return np.asarray(first)
    loss, at = trained.objective.model.loss, torch.from_numpy(test)
    s, y = tested.scores[at], tested.block.y[at]
    slope = loss.slope(s, y)
    moved = s + torch.from_numpy(first)[:, None] / torch.where(slope.abs() > 1e-12, slope, 1.0)  # noqa: PLR2004
    return np.asarray((loss.value(moved, y) - loss.value(s, y)).numpy())


def responsible_table(trained: Trained, tested: Tested, pair: Pair, *, traced: Traced) -> pl.DataFrame:
    """Return the table `RESPONSIBLE`, the test rows that hang on fewest training rows first."""
    rows, names = traced.rows, np.array(trained.classes, dtype=object)
    table = pl.DataFrame(
        {
            "test_row_id": pair.test.row_id.gather(rows),
            "test_row": pair.test.row.gather(rows),
            "label": pl.Series(names[tested.y[rows]], dtype=pl.String),
            "predicted_label": pl.Series(names[tested.predicted[rows]], dtype=pl.String),
            "p_label": tested.p[rows, tested.y[rows]],
            "loss": tested.loss[rows],
            "effective_rows": traced.concentration.effective,
            "top_share": traced.concentration.top_share,
        }
    )
    return table.select(RESPONSIBLE.names()).sort("effective_rows", "test_row", maintain_order=True)


def harmful_table(
    trained: Trained, pair: Pair, scores: RowScores, *, on_errors: Reals, on_test: Reals
) -> pl.DataFrame:
    """Return the table `HARMFUL`: summed test loss that each training row costs, leverage-corrected."""
    n, k = trained.objective.rows.n, len(trained.classes) - 1
    share = n * np.maximum(1.0 - scores.leverage / k, 1e-6)
    order = np.argsort(-on_errors / share, kind="stable")[:SHOWN_HARMFUL]
    names = np.array(trained.classes, dtype=object)
    table = pl.DataFrame(
        {
            "train_row_id": pair.train.row_id.gather(order),
            "train_row": pair.train.row.gather(order),
            "label": pl.Series(names[pair.target.y[order]], dtype=pl.String),
            "harm_on_errors": (on_errors / share)[order],
            "harm_on_test": (on_test / share)[order],
            "self_influence": scores.self_influence[order],
            "leverage": scores.leverage[order],
            "rank": np.arange(1, len(order) + 1),
        }
    )
    return table.select(HARMFUL.names()).cast(HARMFUL)


def slice_table(trained: Trained, scores: Sequence[SliceScore]) -> pl.DataFrame:
    """Return the table `SLICES`, by rank."""
    if not scores:
        return pl.DataFrame(schema=SLICES)
    chance = slice_p_values(scores)
    order = sorted(range(len(scores)), key=lambda i: scores[i].order, reverse=True)
    rows = [_slice_row(trained, scores[i], float(chance[i]), rank) for rank, i in enumerate(order, start=1)]
    table = pl.DataFrame(rows, schema_overrides=dict(SLICES), infer_schema_length=None)
    hits = [
        np.array([getattr(scores[i], name) for i in order]) for name in ("class_in_train", "class_in_test")
    ]
    totals = [table["n_train"].to_numpy(), table["n_test"].to_numpy()]
    for part, hit, total in zip(("train", "test"), hits, totals, strict=True):
        low, high = exact_interval(hit, total)
        table = table.with_columns(pl.Series(f"rate_{part}_low", low), pl.Series(f"rate_{part}_high", high))
    return table.select(SLICES.names()).cast(SLICES)


def _slice_row(trained: Trained, score: SliceScore, chance: float, rank: int) -> dict[str, object]:
    part, n, t = score.slice, len(score.slice.train), len(score.slice.test)
    return {
        "column": part.column,
        "level": part.level,
        "n_train": n,
        "n_test": t,
        "n_errors": score.n_errors,
        "rate_train": score.class_in_train / n if n else None,
        "rate_test": score.class_in_test / t,
        "influence_share": score.lift.share,
        "lift": score.lift.value,
        "rank": rank,
        "second_column": part.second_column,
        "second_level": part.second_level,
        "rate_class": trained.classes[score.predicted_class],
        "error_rate": score.error_rate,
        "loss": score.loss,
        "low": score.lift.low,
        "high": score.lift.high,
        "harm": score.harm,
        "harm_low": score.harm_low,
        "errors_without": score.n_errors - score.fixed,
        "p_value": chance,
    }


def finding_table(
    pair: Pair,
    found: Sequence[MismatchFinding],
    *,
    proofs: Sequence[tuple[float | None, float | None]],
    features: Sequence[str],
    advice: Sequence[str],
) -> pl.DataFrame:
    """Return the table `FINDINGS`."""
    changes = [*proofs, *([(None, None)] * (len(found) - len(proofs)))]
    rows = [
        {
            "finding": number,
            "severity": one.severity,
            "title": one.title,
            "n_errors": len(one.errors),
            "n_train_rows": len(one.slice.train) if one.slice is not None else len(one.rows),
            "train_row_ids": pair.train.row_id.gather(one.rows).to_list(),
            "slice": one.slice.name if one.slice is not None else one.common,
            "features": shown,
            "predicted_delta_loss": predicted,
            "measured_delta_loss": measured,
            "advice": todo,
            "test_row_ids": pair.test.row_id.gather(one.errors[:NAMED_TESTS]).to_list(),
            "p_value": one.p_value,
        }
        for number, (one, (predicted, measured), shown, todo) in enumerate(
            zip(found, changes, features, advice, strict=True), start=1
        )
    ]
    return pl.DataFrame(rows, schema=FINDINGS)


def shown_cells(
    trained: Trained, tested: Tested, pair: Pair, *, found: Sequence[MismatchFinding], traces: pl.DataFrame
) -> pl.DataFrame:
    """Return the table `CELLS`: rows of the findings, some traced test rows, and what is behind them."""
    tests = _tests(tested, found, _places(pair.test.row_id, traces["test_row_id"]))
    names = pair.test.row_id[tests.tolist()]
    harm = pl.col("delta_loss_if_removed") < 0
    behind = traces.filter(pl.col("test_row_id").is_in(names.implode())).sort("test_row", "rank")
    behind = behind.group_by("test_row_id", harm.alias("harm"), maintain_order=True).head(BEHIND)
    train = [one.rows for one in found] + [_places(pair.train.row_id, behind["train_row_id"])]
    rows = (pair.train, np.unique(np.concatenate(train))), (pair.test, tests)
    return cells_of_pair(trained, *rows, labels=True).select(PAIR_CELLS.names())


def _tests(tested: Tested, found: Sequence[MismatchFinding], traced: Rows) -> Rows:
    """Return the worst traced rows of every finding, then the worst of all."""
    order = traced[np.argsort(-tested.loss[traced], kind="stable")]
    first = [order[np.isin(order, one.errors)][:OF_FINDING] for one in found]
    chosen = np.concatenate([*first, order])
    _, at = np.unique(chosen, return_index=True)
    return np.sort(chosen[np.sort(at)][:TESTS])


def _places(row_id: pl.Series, names: pl.Series) -> Rows:
    """Return the positions of the rows with these names, increasing."""
    return np.flatnonzero(row_id.is_in(names.unique().implode()).to_numpy())


def mismatch_provenance(
    pair: Pair, trained: Trained, tested: Tested | None, *, settings: MismatchOptions, command: str
) -> MismatchProvenance:
    """Return everything that another run needs to give the same findings."""
    loss = Softmax(len(trained.classes)).value(
        trained.objective.scores(trained.fit.theta), trained.objective.rows.y
    )
    return MismatchProvenance(
        **pair_facts(pair.train, pair.test, trained, command=command, seed=settings.seed),
        n_errors=int(tested.wrong.sum()) if tested else 0,
        train_loss=float(loss.mean()),
        test_loss=float(tested.loss.mean()) if tested else float("nan"),
        settings=settings.to_dict()
        | {"train": pair.train.given, "test": pair.test.given, "unjudged": asdict(pair.unjudged)},
        **decisions(trained, pair.target.notes, read=(*pair.train.notes, *pair.test.notes), also=pair.notes),
    )
