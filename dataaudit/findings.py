"""What an audit found: nine typed Polars tables and a provenance, in memory and as a folder.

A folder of findings holds one Parquet file per table and ``provenance.json``, which is written last: a folder
without it is not whole. Everything downstream (reports, gates, repairs) reads these tables and nothing else.
Losses are in nats, probabilities in [0, 1], contributions in log-odds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import polars as pl

from dataaudit.errors import DataError
from dataaudit.tablefolder import AGAIN, Record, Tables, schema

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
SELECTION: Final = schema("basis text, l2 real, loo_loss real, standard_error real, chosen flag")
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
class Provenance(Record):
    """Where the findings come from: every setting, seed, version and content hash of a run.

    Attributes
    ----------
    version, command : str
        Version of dataaudit; the command, or the call, that made these findings.
    dataset, target : str
        Name of the data as given, and of the label column.
    n_rows, n_features, n_classes : int
        Rows audited, encoded features, classes.
    classes : tuple of str
        The classes in the order of the model; the first is the reference.
    ranking, ranking_reason : str
        ``"p-wrong"``, ``"leave-one-out"`` or ``"self-influence"``, and one sentence saying why.
    expected_wrong, expected_low, expected_high : float
        Expected number of wrong labels, in rows, and its 90 % interval.
    l2 : float
        Ridge of the mean loss (the paper's weight decay).
    basis, solver, solver_reason : str
        What was chosen, in words for people.
    gradient_norm : float
        Largest absolute component of the gradient at the fit, in nats.
    seed : int
        Seed of everything random.
    settings, versions : mapping
        The resolved settings; versions of Python and of the libraries.
    origins, roles : tuple of mappings
        Files (path, format, sha256, rows); columns (column, role, reason).
    notes : tuple of str
        Decisions to state to the user, in full sentences.
    """

    KIND = "labels"
    NOUN = "an audit of labels"

    version: str
    command: str
    dataset: str
    target: str
    n_rows: int
    n_features: int
    n_classes: int
    classes: tuple[str, ...]
    ranking: str
    ranking_reason: str
    expected_wrong: float
    expected_low: float
    expected_high: float
    l2: float
    basis: str
    solver: str
    solver_reason: str
    gradient_norm: float
    seed: int
    settings: Mapping[str, Any] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    origins: tuple[Mapping[str, Any], ...] = ()
    roles: tuple[Mapping[str, str], ...] = ()
    notes: tuple[str, ...] = ()


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
        Mean leave-one-out loss (nats) of every λ and basis that was tried.
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
