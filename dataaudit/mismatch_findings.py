"""What an audit of a mismatch found: typed Polars tables and a provenance, in memory and as a folder.

Losses are in nats. Rows are named by `row_id`, which is unique within the training rows and within the test
rows; the names of the columns say which is meant.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import polars as pl

from dataaudit.findings import HEALTH, SELECTION
from dataaudit.provenance import PairRecord
from dataaudit.tablefolder import Tables, schema

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
FEATURES: Final = schema(
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
CELLS: Final = schema("row_id text, column text, cell text, part text")

SCHEMAS: Final[Mapping[str, pl.Schema]] = {
    "findings": FINDINGS,
    "remedies": REMEDIES,
    "slices": SLICES,
    "features": FEATURES,
    "traces": TRACES,
    "responsible": RESPONSIBLE,
    "harmful": HARMFUL,
    "shift": SHIFT,
    "health": HEALTH,
    "cells": CELLS,
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

    SCHEMAS = SCHEMAS
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
