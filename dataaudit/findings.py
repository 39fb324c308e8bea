"""What an audit found: nine typed Polars tables and a provenance, in memory and as a folder.

A folder of findings holds one Parquet file per table and ``provenance.json``, which is written last: a folder
without it is not whole. Everything downstream (reports, gates, repairs) reads these tables and nothing else.
Losses are in nats, probabilities in [0, 1], contributions in log-odds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import polars as pl

from dataaudit.errors import DataError
from dataaudit.folder import AGAIN
from dataaudit.provenance import AuditRecord
from dataaudit.tablefolder import Tables, schema

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
