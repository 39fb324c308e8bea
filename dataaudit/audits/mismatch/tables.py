"""From positions to row names: the tables of an audit of a mismatch, with the cells that a person looks at.

Without training row i the score of test row t moves by -I/(n r_t (1 - h_i)), which gives the change of its
loss for the accuracy of one more Newton step; with more than two classes it is kept to first order.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray
from scipy.sparse import csc_array
from scipy.special import chdtrc

from dataaudit.audits.mismatch.rows.cuts import Cuts
from dataaudit.audits.mismatch.rows.screen import Screen, differences
from dataaudit.audits.mismatch.suspects import Suspect
from dataaudit.audits.mismatch.tracing import Traced
from dataaudit.audits.mismatch.world import World
from dataaudit.audits.mismatch.worth import Judged, Trial
from dataaudit.audits.shift.covariates import numbers
from dataaudit.audits.shift.profiles import level_profile, number_profile
from dataaudit.audits.tables import asked_of, cells_of_pair, decisions, pair_facts
from dataaudit.audits.testset import Pair, Tested
from dataaudit.features.categorical import to_levels
from dataaudit.features.columns import values_of
from dataaudit.findings.schemas import (
    FINDINGS,
    FIXES,
    HARMFUL,
    PAIR_CELLS,
    PROFILES,
    RESPONSIBLE,
    SLICES,
    TRACES,
    MismatchProvenance,
)
from dataaudit.options import MismatchOptions
from dataaudit.training.trained import RowScores, Trained

SHOWN_HARMFUL, NAMED_TESTS, NAMED_ROWS = 200, 50, 50
# Test rows that are kept, of each finding and in all; training rows behind each, of either sign.
OF_FINDING, TESTS, BEHIND = 3, 100, 3

# Findings whose columns are drawn.
DRAWN = 5
TIED = 1e-9  # share by which what is equal may differ

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
    weighed = influence * trained.objective.rows.weight.numpy()[i]
    delta = _change_of_loss(trained, tested, test, influence=weighed, leverage=scores.leverage[i])
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
    rows, y = traced.rows, tested.block.y.numpy()
    predicted: NDArray[Any]
    if (quantity := trained.quantity) is not None:
        predicted = quantity.coded(quantity.of_scores(tested.scores[:, 0].numpy()))
        p_label = np.full(len(rows), np.nan)
    else:
        predicted, p_label = tested.predicted, tested.p[rows, tested.y[rows]]
    table = pl.DataFrame(
        {
            "test_row_id": pair.test.row_id.gather(rows),
            "test_row": pair.test.row.gather(rows),
            "label": pl.Series(trained.label_names(y[rows]), dtype=pl.String),
            "predicted_label": pl.Series(trained.label_names(predicted[rows], exact=False), dtype=pl.String),
            "p_label": p_label,
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
    n, k = trained.objective.rows.n, trained.objective.model.loss.n_scores
    share = n * np.maximum(1.0 - scores.leverage / k, 1e-6)
    order = np.argsort(-on_errors / share, kind="stable")[:SHOWN_HARMFUL]
    table = pl.DataFrame(
        {
            "train_row_id": pair.train.row_id.gather(order),
            "train_row": pair.train.row.gather(order),
            "label": pl.Series(trained.label_names(trained.objective.rows.y.numpy()[order]), dtype=pl.String),
            "harm_on_errors": (on_errors / share)[order],
            "harm_on_test": (on_test / share)[order],
            "self_influence": scores.self_influence[order],
            "leverage": scores.leverage[order],
            "rank": np.arange(1, len(order) + 1),
        }
    )
    return table.select(HARMFUL.names()).cast(HARMFUL)


def slice_table(screen: Screen, cuts: Cuts, tested: Tested) -> pl.DataFrame:
    """Return the table `SLICES`: every level, cut and word, those whose labels differ most first."""
    y, judged = screen.trained.objective.rows.y.numpy(), csc_array(cuts.test[screen.world.rows])
    (R1, V1), (R2, V2) = known, new = screen.known.sums(cuts.train), screen.new.sums(judged)
    K, (n, t) = len(screen.trained.classes), cuts.sizes
    classes = pl.Series(screen.trained.classes, dtype=pl.String)
    evidence = differences(known, new)
    worth = (R2 / V2 - R1 / V1) ** 2 / (1.0 / V1 + 1.0 / V2)
    # Of two classes both are worth the same but for rounding.
    c = (worth >= worth.max(1, keepdims=True) * (1.0 - TIED)).argmax(1) if cuts.m else np.zeros(0, dtype=int)
    every = np.arange(cuts.m)
    quantity, eye = screen.trained.quantity, np.eye(K)
    sides = (cuts.train, y, n), (cuts.test, tested.block.y.numpy(), t)
    values = [quantity.decoded(labels)[:, None] if quantity else eye[labels] for _, labels, _ in sides]
    rates = [  # of numbers their means
        (part.T @ own)[every, c] / np.maximum(size, 1)
        for (part, _, size), own in zip(sides, values, strict=True)
    ]
    table = pl.DataFrame(
        {
            "column": pl.Series(cuts.columns, dtype=pl.String),
            "level": pl.Series(cuts.levels, dtype=pl.String),
            "n_train": n,
            "n_test": t,
            "n_errors": cuts.test.T @ tested.wrong.astype(np.float64),
            "loss": (cuts.test.T @ tested.loss) / np.maximum(t, 1),
            "rate_class": classes.gather(c) if K else pl.Series([None] * cuts.m, dtype=pl.String),
            "rate_train": rates[0],
            "rate_test": rates[1],
            "harm": cuts.train.T @ screen.influence[0].sum(0),
            "evidence": evidence,
            "p_value": np.minimum(1.0, cuts.m * chdtrc(screen.free, 2.0 * evidence)),
        }
    ).with_columns(
        rate_train=pl.when(pl.col("n_train") > 0).then("rate_train"),
        rate_test=pl.when(pl.col("n_test") > 0).then("rate_test"),
        loss=pl.when(pl.col("n_test") > 0).then("loss"),
    )
    table = table.sort("evidence", descending=True, maintain_order=True)
    return table.with_columns(rank=pl.int_range(1, pl.len() + 1)).select(SLICES.names()).cast(SLICES)


def finding_table(
    pair: Pair,
    tested: Tested,
    found: Sequence[Judged],
    *,
    trained: Trained,
    harm: Reals,  # (n,)
    features: Sequence[str],
) -> pl.DataFrame:
    """Return the table `FINDINGS`."""
    rows = [
        _finding(pair, tested, one, harm)
        | {"finding": number, "features": shown, "larger": _larger(trained, one.suspect)}
        for number, (one, shown) in enumerate(zip(found, features, strict=True), start=1)
    ]
    return pl.DataFrame(rows, schema=FINDINGS)


def _larger(trained: Trained, suspect: Suspect) -> int | None:
    """Return how many coefficients are larger than those of what a suspect names; of k scores the largest."""
    named = set(zip(suspect.columns, suspect.levels, strict=False))
    every = trained.features
    mine = [at for at, feature in enumerate(every) if (feature.column, feature.level) in named]
    mine = mine or [at for at, feature in enumerate(every) if feature.column in suspect.columns]
    if not mine:
        return None
    theta = torch.nn.functional.pad(trained.objective.model.matrix(trained.fit.theta)[:-1], (1, 0))
    size = (theta - theta.mean(1, keepdim=True)).abs().amax(1)
    return int((size > (1.0 + TIED) * size[mine].max()).sum())


def _finding(pair: Pair, tested: Tested, one: Judged, harm: Reals) -> dict[str, object]:
    suspect, best, rows = one.suspect, one.best, rows_of(one, harm)
    wrong = errors_of(one, tested)
    scale = tested.n / len(best.gain)  # from the judged rows to all
    low, high = best.interval
    before, after = best.errors
    said = best.fix.advice.removesuffix(".")
    return {
        "kind": suspect.kind,
        "cause": suspect.cause,
        "severity": one.severity,
        "title": suspect.title,
        "columns": list(suspect.columns),
        "levels": list(suspect.levels),
        "slice": suspect.name if suspect.kind == "slice" else "",
        "n_train_rows": len(suspect.train),
        "train_row_ids": pair.train.row_id.gather(rows).to_list(),
        "n_test_rows": len(suspect.test) or tested.n,
        "n_errors": len(wrong),
        "test_row_ids": pair.test.row_id.gather(wrong[:NAMED_TESTS]).to_list(),
        "fix": best.fix.name,
        "advice": f"{said}: {result_in_words(best)}.",
        "worth": best.worth * scale,
        "worth_low": low * scale,
        "worth_high": high * scale,
        "share": best.worth / max(float(best.before.sum()), 1e-300),
        "errors_before": before,
        "errors_after": after,
        "z": best.z,
        "p_value": suspect.p_value,
        "predicted_delta_loss": best.predicted,
        "measured_delta_loss": best.measured,
        "under": None if one.under is None else one.under + 1,
        "left": one.left,
    }


def result_in_words(best: Trial) -> str:
    """Say what the best fix came to: the errors; the loss, by which it is judged, where these do not fall."""
    before, after = best.errors
    if after < before:
        return f"{after:,} instead of {before:,} of {len(best.gain):,} test rows are then wrong"
    wrong = f"but {after:,} instead of {before:,}" if after > before else f"and as before {after:,}"
    loss = f"the mean test loss goes from {best.before.mean():.3g} to {best.after.mean():.3g} nats"
    return f"{loss}, {wrong} of {len(best.gain):,} test rows are then wrong"


def rows_of(one: Judged, harm: Reals) -> Rows:
    """Return the training rows of a finding that are named, the most harmful first."""
    train = one.suspect.train
    return train[np.argsort(-harm[train], kind="stable")][:NAMED_ROWS]


def errors_of(one: Judged, tested: Tested) -> Rows:
    """Return the mispredicted test rows of a finding."""
    test = one.suspect.test if len(one.suspect.test) else np.arange(tested.n)
    return test[tested.wrong[test]]


def fix_table(found: Sequence[Judged], judged: Rows) -> pl.DataFrame:
    """Return the table `FIXES`."""  # judged (t,) positions of the judged rows among the labelled test rows
    rows = [
        {
            "finding": number,
            "fix": trial.fix.name,
            "detail": trial.fix.detail,
            "worth": trial.worth,
            "errors_before": trial.errors[0],
            "errors_after": trial.errors[1],
            "loss_before": float(trial.before.mean()),
            "loss_after": float(trial.after.mean()),
            "predicted": trial.predicted,
            "measured": trial.measured,
            "best": trial is one.best,
            **_own(trial, np.isin(judged, one.suspect.test) if len(one.suspect.test) else judged >= 0),
        }
        for number, one in enumerate(found, start=1)
        for trial in one.trials
    ]
    return pl.DataFrame(rows, schema=FIXES)


def _own(trial: Trial, mask: NDArray[np.bool_]) -> dict[str, object]:
    """Return what a fix does for the test rows that its suspect is about."""  # mask (t,)
    n, (before, after) = int(mask.sum()), trial.wrong
    losses = [float(loss[mask].mean()) if n else None for loss in (trial.before, trial.after)]
    return {
        "rows": len(mask),
        "own_rows": n,
        "own_errors_before": int(before[mask].sum()),
        "own_errors_after": int(after[mask].sum()),
        "own_loss_before": losses[0],
        "own_loss_after": losses[1],
    }


def profile_table(world: World, found: Sequence[Judged], *, target: str) -> pl.DataFrame:
    """Return the table `PROFILES`: the columns of the first findings in training, in test, and fixed."""
    rows = [
        {"finding": number, "column": column, "position": at, "level": level, "part": part, "share": share}
        for number, one in enumerate(found[:DRAWN], start=1)
        for column, profile in _profiles(world, one, target)
        for at, (level, shares) in enumerate(profile)
        for part, share in shares.items()
    ]
    return pl.DataFrame(rows, schema=PROFILES)


def _profiles(
    world: World, one: Judged, target: str
) -> Iterator[tuple[str, Iterator[tuple[str, dict[str, float]]]]]:
    """Yield the columns that a finding is about, each with its profile."""
    if one.suspect.kind == "rates" and (quantity := world.trained.quantity) is not None:
        labels = {"train": world.objective.rows.y.numpy(), "test": world.y}
        decoded = {part: quantity.decoded(y) for part, y in labels.items()}
        yield target, number_profile(decoded, pl.Float64())
    elif one.suspect.kind == "rates":
        names = pl.Series(world.trained.classes)
        yield target, level_profile({"train": names[world.objective.rows.y.numpy()], "test": names[world.y]})
    if one.suspect.kind not in ("column", "exchange"):
        return
    frames = {"train": world.known, "test": world.new, "fixed": one.best.fix.apply(world, exact=False).new}
    roles = {role.column: role.role for role in world.trained.roles}
    for column in one.suspect.columns:
        dtype = world.known.schema[column]
        sides = {part: values_of(frame, column) for part, frame in frames.items()}
        if sides["fixed"].equals(sides["test"]) or sides["fixed"].is_null().all():
            del sides["fixed"]  # put right in another way, or left out
        if roles.get(column) in ("numeric", "datetime"):
            yield column, number_profile({part: numbers(s, dtype) for part, s in sides.items()}, dtype)
        elif roles.get(column) in ("categorical", "boolean"):
            yield column, level_profile({part: to_levels(s, dtype) for part, s in sides.items()})


def shown_cells(
    trained: Trained, tested: Tested, pair: Pair, *, found: Sequence[tuple[Rows, Rows]], traces: pl.DataFrame
) -> pl.DataFrame:
    """Return the table `CELLS`: rows of the findings, some traced test rows, and what is behind them."""
    # found: of every finding the training rows that are named, and the mispredicted test rows
    tests = _tests(tested, [errors for _, errors in found], _places(pair.test.row_id, traces["test_row_id"]))
    names = pair.test.row_id[tests.tolist()]
    harm = pl.col("delta_loss_if_removed") < 0
    behind = traces.filter(pl.col("test_row_id").is_in(names.implode())).sort("test_row", "rank")
    behind = behind.group_by("test_row_id", harm.alias("harm"), maintain_order=True).head(BEHIND)
    train = [rows for rows, _ in found] + [_places(pair.train.row_id, behind["train_row_id"])]
    rows = (pair.train, np.unique(np.concatenate(train))), (pair.test, tests)
    return cells_of_pair(trained, *rows, labels=True).select(PAIR_CELLS.names())


def _tests(tested: Tested, found: Sequence[Rows], traced: Rows) -> Rows:
    """Return the worst traced rows of every finding, then the worst of all."""
    order = traced[np.argsort(-tested.loss[traced], kind="stable")]
    first = [order[np.isin(order, errors)][:OF_FINDING] for errors in found]
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
    loss = trained.judged.value(trained.objective.scores(trained.fit.theta), trained.objective.rows.y)
    return MismatchProvenance(
        **pair_facts(pair.train, pair.test, trained, command=command, seed=settings.seed),
        n_errors=int(tested.wrong.sum()) if tested else 0,
        train_loss=float(loss.mean()),
        test_loss=float(tested.loss.mean()) if tested else float("nan"),
        settings=asked_of(settings, trained)
        | {"train": pair.train.given, "test": pair.test.given, "unjudged": asdict(pair.unjudged)},
        **decisions(trained, pair.target.notes, read=(*pair.train.notes, *pair.test.notes), also=pair.notes),
    )
