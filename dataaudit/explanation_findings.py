"""What explains one prediction: typed Polars tables and a provenance, in memory and as a folder.

Losses are in nats. Rows are named by `row_id`, unique within the training rows and within the test rows; the
names of the columns say which is meant.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import polars as pl

from dataaudit.findings import HEALTH
from dataaudit.provenance import PairRecord
from dataaudit.tablefolder import Tables, schema

INFLUENCES: Final = schema(
    "test_row_id text, test_row whole, train_row_id text, train_row whole, label text, influence real,"
    "delta_loss_if_removed real, relative_influence real, kind text, effect text, rank whole,"
    "without_train_loss real, without_hessian real, place whole, place_without_train_loss whole,"
    "place_without_hessian whole"
)
NEIGHBOURS: Final = schema(
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
CELLS: Final = schema("row_id text, column text, cell text, part text")
FLIP: Final = schema("position whole, train_row_id text, train_row whole, label text")
MODELS: Final = schema(
    "model text, predicted_label text, p_predicted real, explained_label text, p_explained real, loss real,"
    "l2 real, basis text, n_features whole, distance_correlation real, nearest_share real"
)
VERSUS: Final = schema(
    "train_row_id text, train_row whole, label text, same_class flag, distance real, model text,"
    "influence real, delta_loss_if_removed real, place whole"
)

SCHEMAS: Final[Mapping[str, pl.Schema]] = {
    "influences": INFLUENCES,
    "neighbours": NEIGHBOURS,
    "contributions": CONTRIBUTIONS,
    "features": FEATURES,
    "probabilities": PROBABILITIES,
    "cells": CELLS,
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

    SCHEMAS = SCHEMAS
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
