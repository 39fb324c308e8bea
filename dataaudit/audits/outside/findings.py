"""Which labels are wrong, by out-of-sample probabilities of any model.

What a factorisation says of a model that is fitted here cannot be had: self-influence, leverage, what a row's
removal does, evidence by column, rows that are alike, refits. The probability that a label is wrong, how many
are, who mislabels, the sample for a count and everything that follows from decisions rest on the
probabilities alone: the noise model first learns by how much these are too sure or too timid.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import polars as pl

from dataaudit.audits.health import Check, calibration, claim, random_check, smallest_class
from dataaudit.audits.levels import level_tables
from dataaudit.audits.outside.folds import out_of_fold
from dataaudit.audits.outside.matrix import Floats, given_probabilities, log_odds
from dataaudit.audits.tables import (
    cell_table,
    choose_ranking,
    label_table,
    list_facts,
    noise_table,
    review_order,
    row_facts,
    source_facts,
)
from dataaudit.cells import content_hashes
from dataaudit.data.dataset import Dataset
from dataaudit.features.target import Target, same_class
from dataaudit.findings.record import OUTSIDE
from dataaudit.findings.sample import ROWS, sample_of
from dataaudit.findings.schemas import BUDGET, HEALTH, LABELS, Findings, Provenance
from dataaudit.noise import NoiseModel, fit_noise, review_budget
from dataaudit.options import LabelOptions, StepCallback, ignore_progress
from dataaudit.training.checks import check_classes
from dataaudit.training.trained import RowScores

READ: Final = 500  # rows whose cells are kept for a review
UNKNOWN: Final = (
    "p_label",
    "train_loss",
    "self_influence",
    "leverage",
    "delta_loss_if_removed",
    "delta_loss_if_relabelled",
    "rank_self_influence",
)  # columns of `labels` that take a model fitted here
IN_SAMPLE: Final = "out of sample"  # the check that probabilities look it
_FEWEST: Final = 50  # rows from which on it can fail
_CONTRADICTED: Final = (
    0.002  # share of labels that are not the likeliest class, below which nothing was left out
)
_PACKAGES: Final = ("dataaudit", "numpy", "polars", "scipy")


def outside_findings(
    dataset: Dataset, target: Target, settings: LabelOptions, *, on_step: StepCallback = ignore_progress
) -> Findings:
    """Rank rows by how likely their label is wrong, by probabilities of a model that is not fitted here."""
    own, note = settings.estimator is not None, ""
    if own:
        P, note = out_of_fold(dataset, target, settings)
    else:
        P = given_probabilities(settings.pred_probs, target)
    on_step("score rows", 0, 1)
    scores = outside_scores(P, target)
    together = _groups(dataset, settings.group)
    same = same_class(target.classes)
    noise = fit_noise(scores.loo_log_odds, target.y, len(target.classes), groups=together, same=same)
    ranking, _ = choose_ranking(settings.rank, noise)
    order = review_order(dataset, scores, noise, ranking=ranking)
    random = random_check(dataset, None, scores, noise=noise, seed=settings.seed)
    on_step("score rows", 1, 1)
    on_step("tables", 0, 1)
    facts = row_facts(dataset, target, scores, noise=noise, order=order)
    labels = label_table(facts, target.classes, order)
    labels = labels.with_columns(pl.lit(None, LABELS[name]).alias(name) for name in UNKNOWN)
    hashed = [name for name in dataset.frame.columns if name != dataset.target]
    labels = labels.with_columns(content_hashes(dataset.frame, columns=hashed)[order])
    sample = sample_of(labels, ROWS, seed=settings.seed)
    drawn = order[labels["row_id"].is_in(sample["row_id"].implode()).to_numpy()]
    shown = np.unique(np.concatenate([order[: max(READ, settings.top) if settings.top else 0], drawn]))
    said = _provenance(dataset, target, settings=settings, noise=noise)
    digest = hashlib.sha256(np.ascontiguousarray(P).tobytes()).hexdigest()
    said = replace(
        said,
        claim=claim(noise, random),
        notes=(*said.notes, *filter(None, [note])),
        settings={**said.settings, "probabilities_sha256": digest},
    )
    on_step("tables", 1, 1)
    by = {}
    if settings.by:
        by = level_tables(dataset, None, labels, settings=settings, interval=said.count[1:], on_step=on_step)
    known: dict[str, Any] = {name: Findings.empty(name) for name in Findings.SCHEMAS} | {
        "labels": labels,
        "health": _health(P, target, random, own=own),
        "cells": cell_table(dataset, None, shown),
        "noise": noise_table(target, noise),
        "budget": pl.DataFrame(review_budget(noise.p_wrong[order]), schema=BUDGET, orient="row"),
        "sample": sample,
    }
    return Findings(**known | by, provenance=said)


def outside_scores(P: Floats, target: Target) -> RowScores:
    """Return what probabilities say of every row; nan for what takes a model fitted here."""
    at, n = np.arange(len(P)), np.full(len(P), np.nan)
    odds = log_odds(P)
    others = P.copy()
    others[at, target.y] = -1
    if (same := same_class(target.classes)) is not None:
        others[same[target.y]] = -1
    return RowScores(
        p=P,
        loo_p=P,
        loo_scores=odds,
        relabelled_scores=odds,
        loo_log_odds=odds,
        suggested=others.argmax(1),
        train_loss=n,
        loo_loss=np.logaddexp.reduce(np.column_stack([np.zeros(len(P)), odds]), 1)
        - np.column_stack([np.zeros(len(P)), odds])[at, target.y],
        relabelled_loss=n,
        self_influence=n,
        leverage=n,
    )


def _groups(dataset: Dataset, column: str | None) -> Any:
    """Return a number for each row, equal within a group; None without groups."""
    if column not in dataset.frame.columns:
        return None
    values = dataset.frame[column].cast(pl.String)
    alone = pl.int_range(dataset.n, eager=True).cast(pl.String)
    return values.fill_null("\0" + alone).rank("dense").cast(pl.Int64).to_numpy() - 1


def _health(P: Floats, target: Target, random: Check, *, own: bool) -> pl.DataFrame:
    """Return the checks of the labels and of the probabilities."""
    outside = () if own else (_in_sample(P, target),)
    checks = [*check_classes(target), *outside, calibration(P, target.y), random]
    checks += [smallest_class(target.y, target.classes)]
    return pl.DataFrame(checks, schema=HEALTH, orient="row")


def _in_sample(P: Floats, target: Target) -> Check:
    """Look whether the rows were predicted by a model that had seen their labels.

    Out of sample, wrong labels contradict what is predicted. A model that has learned the rows by heart gives
    nearly every one its own label: then there is nothing to find.
    """
    own = P[np.arange(len(P)), target.y]
    share = float((own < P.max(1)).mean())
    ok = len(P) < _FEWEST or share >= _CONTRADICTED
    message = f"Of {len(P):,} rows {share:.1%} have another likeliest class than their label"
    message += (
        "." if ok else f", and their labels get {own.mean():.3f} on average: probabilities look as if each "
        "row had been in training, where no wrong label shows. Give out-of-sample ones, such as those of "
        'cross_val_predict(model, X, y, method="predict_proba"), or estimator=.'
    )  # fmt: skip
    return (IN_SAMPLE, share, _CONTRADICTED, ok, message)


def _provenance(
    dataset: Dataset,
    target: Target,
    *,
    settings: LabelOptions,
    noise: NoiseModel,
) -> Provenance:
    leading = tuple(dict.fromkeys([*target.notes, *dataset.notes]))
    command = settings.command or "dataaudit.audit_labels"
    return Provenance(
        **source_facts(dataset, command=command, seed=settings.seed, packages=_PACKAGES),
        **list_facts(dataset, target, noise=noise, rank=settings.rank),
        n_features=0,
        classes=target.classes,
        l2=np.nan,
        basis=_source(settings),
        solver=OUTSIDE,
        solver_reason="influence takes a model that is fitted here, or one of scikit-learn's linear ones",
        gradient_norm=np.nan,
        settings=settings.to_dict() | {"source": dataset.given},
        notes=leading,
        leading=len(leading),
    )


def _source(settings: LabelOptions) -> str:
    """Say whose probabilities they are."""
    if settings.estimator is not None:
        return f"probabilities of {type(settings.estimator).__name__}, {settings.folds} folds"
    file = isinstance(settings.pred_probs, str | Path)
    return f"probabilities {'from a file' if file else 'that were given'}"
