"""What an audit found: nine typed Polars tables and a provenance, in memory and as a folder.

A folder of findings holds one Parquet file per table and ``provenance.json``, which is written last: a folder
without it is not whole. Everything downstream (reports, gates, repairs) reads these tables and nothing else.
Losses are in nats, probabilities in [0, 1], contributions in log-odds.

What explains one prediction: typed Polars tables and a provenance, in memory and as a folder.

Losses are in nats. Rows are named by `row_id`, unique within the training rows and within the test rows; the
names of the columns say which is meant.

What an audit of a mismatch found: typed Polars tables and a provenance, in memory and as a folder.

Losses are in nats. Rows are named by `row_id`, which is unique within the training rows and within the test
rows; the names of the columns say which is meant.

How few training cells flip predictions: typed Polars tables and a provenance, in memory and as a folder.

Losses are in nats. Rows are named by `row_id`, unique within the training rows and within the test rows; the
names of the columns say which is meant. `rows` is the number of training rows that an attack may change.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import polars as pl

from dataaudit.errors import DataError
from dataaudit.findings.record import AuditRecord, PairRecord
from dataaudit.findings.tables import AGAIN, PROVENANCE, Tables, read_provenance, schema

LABELS: Final = schema(
    "row_id text, row whole, source text, line whole, label text, predicted_label text, p_label real,"
    "train_loss real, self_influence real, leverage real, loo_loss real, loo_p_label real,"
    "delta_loss_if_removed real, delta_loss_if_relabelled real, suggested_label text, p_wrong real,"
    "rank whole, rank_self_influence whole"
)
HEALTH: Final = schema("check text, value real, limit real, ok flag, message text")
EVIDENCE: Final = schema("row_id text, position whole, column text, level text, cell text, contribution real")
NEIGHBOURS: Final = schema(
    "row_id text, position whole, neighbour_row_id text, neighbour_label text, similarity real,"
    "same_label flag"
)
CELLS: Final = schema("row_id text, column text, cell text")
SELECTION: Final = schema("basis text, l2 real, loo_loss real, standard_error real, chosen flag, rows whole")
VERIFICATION: Final = schema("row_id text, change text, predicted real, measured real")
NOISE: Final = schema("truth text, label text, rate real")
BUDGET: Final = schema("share real, rows whole")

SCHEMAS: Final[Mapping[str, pl.Schema]] = {
    "labels": LABELS,
    "health": HEALTH,
    "evidence": EVIDENCE,
    "neighbours": NEIGHBOURS,
    "cells": CELLS,
    "selection": SELECTION,
    "verification": VERIFICATION,
    "noise": NOISE,
    "budget": BUDGET,
}


@dataclass(frozen=True, kw_only=True)
class Provenance(AuditRecord):
    """Where the findings come from: every setting, seed, version and content hash of a run.

    Attributes
    ----------
    dataset : str
        Name of the data as given.
    n_rows, n_classes : int
        Rows audited, classes.
    ranking, ranking_reason : str
        ``"p-wrong"``, ``"leave-one-out"`` or ``"self-influence"``, and one sentence saying why.
    expected_wrong, expected_low, expected_high : float
        Expected number of wrong labels, in rows, and its 90 % interval.
    """

    KIND = "labels"

    dataset: str
    n_rows: int
    n_classes: int
    ranking: str
    ranking_reason: str
    expected_wrong: float
    expected_low: float
    expected_high: float


@dataclass(frozen=True, kw_only=True)
class Findings(Tables):
    """The tables of one audit, checked on construction, and their provenance.

    Attributes
    ----------
    labels : pl.DataFrame
        One row per audited row, sorted by `rank`; further columns may follow the fixed ones.
    health : pl.DataFrame
        One row per check of the audit itself.
    evidence, neighbours, cells : pl.DataFrame
        Of the top rows: what speaks for or against the label (log-odds), nearest rows, cell texts.
    selection : pl.DataFrame
        Mean leave-one-out loss (nats) of every λ and basis that was tried, and on how many rows: bases are
        compared on some, λ of the best one is chosen on all, so that losses compare within one number.
    verification : pl.DataFrame
        Changes of a row's own loss (nats), predicted and measured by a true refit.
    noise, budget : pl.DataFrame
        P(label | truth); rows to check for a share of the expected wrong labels.
    provenance : Provenance

    Raises
    ------
    DataError
        If a table has other columns or types than its schema, or `labels` is not sorted by rank.
    """

    SCHEMAS = SCHEMAS
    RECORD = Provenance
    OPEN_END = frozenset({"labels"})

    labels: pl.DataFrame
    health: pl.DataFrame
    evidence: pl.DataFrame
    neighbours: pl.DataFrame
    cells: pl.DataFrame
    selection: pl.DataFrame
    verification: pl.DataFrame
    noise: pl.DataFrame
    budget: pl.DataFrame
    provenance: Provenance

    def __post_init__(self) -> None:
        super().__post_init__()
        rank = self.labels["rank"]
        if rank.null_count() or not (rank == pl.int_range(1, len(rank) + 1, eager=True)).all():
            raise DataError("table labels is not sorted by rank 1, 2, 3, …", AGAIN)


INFLUENCES: Final = schema(
    "test_row_id text, test_row whole, train_row_id text, train_row whole, label text, influence real,"
    "delta_loss_if_removed real, relative_influence real, kind text, effect text, rank whole,"
    "without_train_loss real, without_hessian real, place whole, place_without_train_loss whole,"
    "place_without_hessian whole"
)
NEIGHBOURS_EXPLANATION_FINDINGS: Final = schema(
    "test_row_id text, measure text, rank whole, train_row_id text, train_row whole, label text, value real,"
    "influence real, delta_loss_if_removed real, effect text"
)
CONTRIBUTIONS: Final = schema(
    "column text, level text, cell text, contribution real, effect text, rank whole"
)
FEATURES: Final = schema(
    "train_row_id text, column text, level text, value text, finite_effect real, gradient real, effect text,"
    "rank whole"
)
PROBABILITIES: Final = schema("class text, probability real")
CELLS_EXPLANATION_FINDINGS: Final = schema("row_id text, column text, cell text, part text")
FLIP: Final = schema("position whole, train_row_id text, train_row whole, label text")
MODELS: Final = schema(
    "model text, predicted_label text, p_predicted real, explained_label text, p_explained real, loss real,"
    "l2 real, basis text, n_features whole, distance_correlation real, nearest_share real"
)
VERSUS: Final = schema(
    "train_row_id text, train_row whole, label text, same_class flag, distance real, model text,"
    "influence real, delta_loss_if_removed real, place whole"
)

SCHEMAS_EXPLANATION_FINDINGS: Final[Mapping[str, pl.Schema]] = {
    "influences": INFLUENCES,
    "neighbours": NEIGHBOURS_EXPLANATION_FINDINGS,
    "contributions": CONTRIBUTIONS,
    "features": FEATURES,
    "probabilities": PROBABILITIES,
    "cells": CELLS_EXPLANATION_FINDINGS,
    "flip": FLIP,
    "models": MODELS,
    "versus": VERSUS,
    "health": HEALTH,
}


@dataclass(frozen=True, kw_only=True)
class ExplanationProvenance(PairRecord):
    """Which prediction it is, and everything that another run needs to explain it alike.

    Attributes
    ----------
    test_row_id, test_row : str, int
        The row that is explained, and its number in its file.
    label : str or None
        Its label; None where it has none that training knows.
    predicted_label, rival_label, explained_label : str
        Its likeliest class; what that is held against: the label where it is another one, else the next
        likeliest class; and the class that its loss is of.
    probability, loss : float
        Of the explained class; the loss in nats.
    model : str
        Which model is explained: logistic, svm, rbf-svm, or own and its class.
    flip : mapping
        What was to be overturned and what that takes: `conclusion`, `sentence`, `found`, `rows`, `share`,
        `before`, `predicted`, `measured`. Empty where it was not asked.
    versus : mapping
        How far two models agree: their names (`models`), Spearman of their influences over all training rows
        (`order_correlation`), and how many of the first rows of both are the same (`shared`, `of`). Empty
        where one model was asked for.
    """

    KIND = "explanation"

    test_row_id: str
    test_row: int
    label: str | None
    predicted_label: str
    rival_label: str
    explained_label: str
    probability: float
    loss: float
    model: str = "logistic"
    flip: Mapping[str, Any] = field(default_factory=dict)
    versus: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class ExplanationFindings(Tables):
    """The tables of one explanation, checked on construction, and their provenance.

    Attributes
    ----------
    influences : pl.DataFrame
        The most harmful and most helpful training rows, the largest change of loss first. `place` is the
        place of the row's influence by size among all training rows; what leaves out a part of the formula,
        and the places by that, are null unless asked for.
    neighbours : pl.DataFrame
        The nearest training rows by cosine and by Euclidean distance of the encoded features.
    contributions : pl.DataFrame
        What each column, or term, adds to the predicted class over its rival, in log-odds.
    features : pl.DataFrame
        Which column, or term, of a training row carries its influence.
    probabilities : pl.DataFrame
        Of every class, the likeliest first.
    cells : pl.DataFrame
        Of all rows that are named; `part` is ``"train"`` or ``"test"``.
    flip : pl.DataFrame
        Training rows whose removal overturns the conclusion, in the order of their removal.
    models : pl.DataFrame
        Where two models are compared: what each predicts, Spearman's correlation of the size of a row's
        influence with its distance from the test row, and the share of all influence, by size, that the
        nearest tenth of the rows carries. The model that is explained comes first.
    versus : pl.DataFrame
        Where two models are compared: every training row by each, with its Euclidean distance from the test
        row in the encoded columns, whether it has the label that is explained, its influence (nats times n,
        positive is harmful) and its place by size. The change of loss is null but for the most harmful and
        most helpful rows of either model.
    health : pl.DataFrame
        One row per check of the explanation itself.
    provenance : ExplanationProvenance

    Raises
    ------
    DataError
        If a table has other columns or types than its schema.
    """

    SCHEMAS = SCHEMAS_EXPLANATION_FINDINGS
    RECORD = ExplanationProvenance

    influences: pl.DataFrame
    neighbours: pl.DataFrame
    contributions: pl.DataFrame
    features: pl.DataFrame
    probabilities: pl.DataFrame
    cells: pl.DataFrame
    flip: pl.DataFrame
    models: pl.DataFrame
    versus: pl.DataFrame
    health: pl.DataFrame
    provenance: ExplanationProvenance


TRACES: Final = schema(
    "test_row_id text, test_row whole, train_row_id text, train_row whole, influence real,"
    "delta_loss_if_removed real, relative_influence real, effect text, rank whole"
)
SLICES: Final = schema(
    "column text, level text, n_train whole, n_test whole, n_errors whole, rate_train real, rate_test real,"
    "influence_share real, lift real, rank whole, second_column text, second_level text, rate_class text,"
    "rate_train_low real, rate_train_high real, rate_test_low real, rate_test_high real,"
    "error_rate real, loss real, low real, high real, harm real, harm_low real, errors_without whole,"
    "p_value real"
)
FEATURES_MISMATCH_FINDINGS: Final = schema(
    "train_row_id text, column text, level text, value text, finite_effect real, gradient real, rank whole,"
    "finding whole"
)
FINDINGS: Final = schema(
    "finding whole, severity text, title text, n_errors whole, n_train_rows whole, train_row_ids texts,"
    "slice text, features text, predicted_delta_loss real, measured_delta_loss real, advice text,"
    "test_row_ids texts, p_value real"
)
REMEDIES: Final = schema(
    "finding whole, remedy text, detail text, l2 real, n_counted whole, errors_before whole,"
    "errors_after whole,"
    "slice_loss_before real, slice_loss_after real, test_errors_before whole, test_errors_after whole,"
    "test_loss_before real, test_loss_after real, predicted real, measured real, cures flag"
)
RESPONSIBLE: Final = schema(
    "test_row_id text, test_row whole, label text, predicted_label text, p_label real, loss real,"
    "effective_rows real, top_share real"
)
HARMFUL: Final = schema(
    "train_row_id text, train_row whole, label text, harm_on_errors real, harm_on_test real,"
    "self_influence real, leverage real, rank whole"
)
SHIFT: Final = schema(
    "column text, measure text, level text, value real, low real, high real, p_value real, n whole,"
    "significant flag, message text"
)
TRACE_REFITS: Final = schema(
    "test_row_id text, train_row_id text, change text, predicted real, measured real"
)
CELLS_MISMATCH_FINDINGS: Final = schema("row_id text, column text, cell text, part text")

SCHEMAS_MISMATCH_FINDINGS: Final[Mapping[str, pl.Schema]] = {
    "findings": FINDINGS,
    "remedies": REMEDIES,
    "slices": SLICES,
    "features": FEATURES_MISMATCH_FINDINGS,
    "traces": TRACES,
    "responsible": RESPONSIBLE,
    "harmful": HARMFUL,
    "shift": SHIFT,
    "health": HEALTH,
    "cells": CELLS_MISMATCH_FINDINGS,
    "selection": SELECTION,
    "verification": TRACE_REFITS,
}


@dataclass(frozen=True, kw_only=True)
class MismatchProvenance(PairRecord):
    """Where the findings come from: every setting, seed, version and content hash of a run.

    Attributes
    ----------
    n_errors : int
        Wrong predictions among the test rows.
    train_loss, test_loss : float
        Mean losses, in nats; nan where test has no labels.
    """

    KIND = "mismatch"

    n_errors: int
    train_loss: float
    test_loss: float


@dataclass(frozen=True, kw_only=True)
class MismatchFindings(Tables):
    """The tables of one audit, checked on construction, and their provenance.

    Attributes
    ----------
    findings : pl.DataFrame
        What was found, the most severe first, with the predicted and the measured change of the mean loss of
        its wrong test rows once its training rows leave (null where it was not tried).
    remedies : pl.DataFrame
        What was tried for the first findings, and what came of it.
    slices : pl.DataFrame
        Every level, bin and term; `rate_train` and `rate_test` are the shares of `rate_class`, the class that
        the slice's errors are predicted as. `low` and `high` are the 95 % interval of `lift`.
    features : pl.DataFrame
        Which source column of a training row carries its influence.
    traces : pl.DataFrame
        Test row by training row: the most harmful and most helpful ones.
    responsible : pl.DataFrame
        Every traced test row: how many training rows carry it.
    harmful : pl.DataFrame
        The training rows that harm the wrong test rows most, in nats of their summed loss.
    shift : pl.DataFrame
        How the test rows differ.
    health, cells, selection : pl.DataFrame
        As of an audit of labels; `part` of a cell is ``"train"`` or ``"test"``.
    verification : pl.DataFrame
        The strongest traces, predicted and measured by a true refit without the training row, in nats.
    provenance : MismatchProvenance

    Raises
    ------
    DataError
        If a table has other columns or types than its schema.
    """

    SCHEMAS = SCHEMAS_MISMATCH_FINDINGS
    RECORD = MismatchProvenance

    findings: pl.DataFrame
    remedies: pl.DataFrame
    slices: pl.DataFrame
    features: pl.DataFrame
    traces: pl.DataFrame
    responsible: pl.DataFrame
    harmful: pl.DataFrame
    shift: pl.DataFrame
    health: pl.DataFrame
    cells: pl.DataFrame
    selection: pl.DataFrame
    verification: pl.DataFrame
    provenance: MismatchProvenance


SHARES: Final = schema(
    "rows whole, attacked whole, flipped whole, share real, low real, high real, cells real,"
    "changed_rows real, size real, by_leverage whole, by_leverage_before whole, by_test whole,"
    "by_original whole"
)
ATTACKS: Final = schema(
    "test_row_id text, test_row whole, label text, predicted_label text, rows whole, flipped flag,"
    "loss_before real, loss_predicted real, loss_after real, p_before real, p_predicted real, p_after real,"
    "cells whole, changed_rows whole, size real, steps whole, by_leverage flag, by_leverage_before flag,"
    "by_test flag, by_original flag"
)
CHANGES: Final = schema(
    "test_row_id text, test_row whole, rows whole, train_row_id text, train_row whole, label text,"
    "column text, kind text, before text, after text, size real"
)
FRAGILE: Final = schema(
    "train_row_id text, train_row whole, label text, reach real, magnitude real, column text, chosen whole,"
    "leverage real, rank whole"
)
PARTS: Final = schema(
    "train_row_id text, column text, level text, kind text, reach real, magnitude real, rank whole"
)
DOMAIN: Final = schema(
    "column text, kind text, reason text, spread real, low real, high real, decimals whole, levels whole"
)
CELLS_VULNERABILITY_FINDINGS: Final = schema("row_id text, column text, cell text, part text")

SCHEMAS_VULNERABILITY_FINDINGS: Final[Mapping[str, pl.Schema]] = {
    "shares": SHARES,
    "attacks": ATTACKS,
    "changes": CHANGES,
    "fragile": FRAGILE,
    "parts": PARTS,
    "domain": DOMAIN,
    "cells": CELLS_VULNERABILITY_FINDINGS,
    "health": HEALTH,
}


@dataclass(frozen=True, kw_only=True)
class VulnerabilityProvenance(PairRecord):
    """What was attacked, within which limits, and everything that another run needs to do so alike.

    Attributes
    ----------
    n_correct, n_attacked : int
        Test rows that are predicted correctly, and those of them that were attacked.
    leverage_limit : float
        What 99 % of the training rows do not exceed.
    """

    KIND = "vulnerability"

    n_correct: int
    n_attacked: int
    leverage_limit: float


@dataclass(frozen=True, kw_only=True)
class VulnerabilityFindings(Tables):
    """The tables of one audit of vulnerability, checked on construction, and their provenance.

    Attributes
    ----------
    shares : pl.DataFrame
        By the number of training rows that may change: how many of the attacked predictions flip (with a 90 %
        interval), medians of what that took, and how many of the flips checks would have caught: by leverage,
        by leverage already before the change, by likeness to the test row, by unlikeness to the original row.
    attacks : pl.DataFrame
        Every attack: the test row before, as is predicted, and after a true refit.
    changes : pl.DataFrame
        Every cell, or word, that an attack changed. `size` is a share of the column's spread; of pixels the
        largest change, in levels.
    fragile : pl.DataFrame
        All training rows, those first whose changes could add most to the loss of the attacked test rows:
        `reach` is that sum to first order, the mean over them, in nats; `magnitude` the size of I_pert,loss/n
        per unit of the encoded features; `column` carries most of the reach; `chosen` counts the attacks of
        the largest size that picked the row.
    parts : pl.DataFrame
        Of the first fragile rows, their columns, or words, by reach.
    domain : pl.DataFrame
        What may change in each column.
    cells : pl.DataFrame
        Of the rows that are named; `part` is ``"train"`` or ``"test"``.
    health : pl.DataFrame
        One row per check of the audit itself.
    provenance : VulnerabilityProvenance

    Raises
    ------
    DataError
        If a table has other columns or types than its schema.
    """

    SCHEMAS = SCHEMAS_VULNERABILITY_FINDINGS
    RECORD = VulnerabilityProvenance

    shares: pl.DataFrame
    attacks: pl.DataFrame
    changes: pl.DataFrame
    fragile: pl.DataFrame
    parts: pl.DataFrame
    domain: pl.DataFrame
    cells: pl.DataFrame
    health: pl.DataFrame
    provenance: VulnerabilityProvenance


AnyFindings = Findings | MismatchFindings | ExplanationFindings | VulnerabilityFindings

KINDS: Final = {
    kind.RECORD.KIND: kind
    for kind in (Findings, MismatchFindings, ExplanationFindings, VulnerabilityFindings)
}


def read_findings(folder: str | Path) -> AnyFindings:
    """Read the findings in a folder, whatever their kind.

    Parameters
    ----------
    folder : str or Path
        What an audit wrote.

    Returns
    -------
    AnyFindings

    Raises
    ------
    DataError
        If it is no such folder, or of a kind that this version does not know.
    UnreadableFile
        If a file in it is cut short or is not what its name says.
    """
    kind = read_provenance(Path(folder)).get("kind")
    if not isinstance(kind, str) or kind not in KINDS:
        what = f"{(Path(folder) / PROVENANCE).as_posix()} is of no kind that this version reads: got {kind!r}"
        raise DataError(what, AGAIN)
    found: AnyFindings = KINDS[kind].read(folder)
    return found
