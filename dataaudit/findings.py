"""What an audit found: nine typed Polars tables and a provenance, in memory and as a folder.

A folder of findings holds one Parquet file per table and ``provenance.json``, which is written last: a folder
without it is not whole. Everything downstream (reports, gates, repairs) reads these tables and nothing else.
Losses are in nats, probabilities in [0, 1], contributions in log-odds.
"""

from __future__ import annotations

import dataclasses
import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import polars as pl

from dataaudit.errors import DataError
from dataaudit.tablefolder import (
    AGAIN,
    PROVENANCE,
    check,
    dump,
    plain,
    read_provenance,
    read_table,
    schema,
    write_folder,
)

FORMAT: Final = 1  # raised when a table changes in a way that older readers cannot bear

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
class Provenance:
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

    def __post_init__(self) -> None:
        for name in ("classes", "origins", "roles", "notes"):  # lists are welcome, tuples are kept
            object.__setattr__(self, name, tuple(getattr(self, name)))

    @property
    def run_id(self) -> str:
        """Sixteen hexadecimal digits that stand for all of the above; equal for equal runs."""
        return hashlib.sha256(dump(self._fields()).encode()).hexdigest()[:16]

    def _fields(self) -> dict[str, Any]:
        return {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}

    def to_dict(self) -> dict[str, Any]:
        """Return all fields, `run_id` and the format's number, as JSON's types."""
        fields: dict[str, Any] = plain(self._fields())
        return {"format": FORMAT, "run_id": self.run_id, **fields}

    def to_json(self) -> str:
        """Return the JSON text that is written to disk: sorted keys, two spaces, a newline at the end."""
        return dump(self.to_dict(), indent=2) + "\n"

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], where: str) -> Provenance:
        """Read what `to_dict` gave.

        Parameters
        ----------
        values : mapping
            The parsed JSON object.
        where : str
            Name of the file, for messages.

        Raises
        ------
        DataError
            If fields are missing, or the format is another one than this version writes.
        """
        if values.get("format") != FORMAT:
            raise DataError(
                f"{where} has format {values.get('format')!r}, this version reads {FORMAT}",
                "run the audit again with this version",
            )
        kinds = {f.name: f.type for f in dataclasses.fields(cls)}
        missing = [name for name in kinds if name not in values]
        if missing:
            raise DataError(f"{where} lacks {', '.join(missing)}", AGAIN)
        given: dict[str, Any] = {name: values[name] for name in kinds}
        given |= {name: math.nan for name, kind in kinds.items() if kind == "float" and given[name] is None}
        return cls(**given)


@dataclass(frozen=True, kw_only=True)
class Findings:
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
        for name, frame in self.tables().items():
            check(name, frame, SCHEMAS[name], open_end=name == "labels")
        rank = self.labels["rank"]
        if rank.null_count() or not (rank == pl.int_range(1, len(rank) + 1, eager=True)).all():
            raise DataError("table labels is not sorted by rank 1, 2, 3, …", AGAIN)

    def tables(self) -> dict[str, pl.DataFrame]:
        """Return the nine tables by name, in the order of `SCHEMAS`."""
        return {name: getattr(self, name) for name in SCHEMAS}

    def write(self, folder: str | Path) -> Path:
        """Write every table as Parquet and ``provenance.json`` last, whole or not at all.

        Parameters
        ----------
        folder : str or Path
            Made if absent; other files in it are left alone. It is also what is returned.

        Raises
        ------
        WriteError
            If the folder cannot be made or written to.
        """
        return write_folder(Path(folder), self.tables(), self.provenance.to_json())


def read(folder: str | Path) -> Findings:
    """Read the folder that `Findings.write` made.

    Raises
    ------
    DataError
        If it is no folder of findings, a table is missing, or one has another schema.
    UnreadableFile
        If a file in it is cut short or is not what its name says.
    """
    folder = Path(folder)
    values = read_provenance(folder)
    provenance = Provenance.from_dict(values, (folder / PROVENANCE).as_posix())
    tables = {name: read_table(folder / f"{name}.parquet") for name in SCHEMAS}
    return Findings(**tables, provenance=provenance)


def empty(name: str) -> pl.DataFrame:
    """Return the table `name` with its columns and no rows."""
    return pl.DataFrame(schema=SCHEMAS[name])
