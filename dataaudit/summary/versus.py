"""Two models on one test row: what a report shows of them, as plain typed data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import polars as pl

from dataaudit.findings.schemas import ExplanationFindings
from dataaudit.summary.build import excerpt
from dataaudit.summary.shapes import Cell, first_picture

_DOTS: Final = 300  # of a chart: the strongest rows, and others evenly spaced by distance
_STRONGEST: Final = 100
_ROWS: Final = 10  # harmful and helpful ones of each model

Rows = Mapping[tuple[str, str], tuple[Cell, ...]]


@dataclass(frozen=True, slots=True)
class Dot:
    """A training row of a chart; `change` of the test row's loss without it is first order, in nats."""

    row_id: str
    distance: float
    change: float
    same_class: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class RivalRow:
    """A training row behind one model's prediction, and its place by each of the two.

    `change` is the change of the test row's loss once it is removed, in nats, corrected for the row's own
    leverage; `same_class` says whether it has the label that is explained. Places are by the size of
    influence, which is first order, 1 for the largest: they need not follow `change`.
    """

    row_id: str
    label: str
    same_class: bool
    distance: float
    change: float
    place: int
    other_place: int
    excerpt: str
    picture: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelLine:
    """One of the two models: what it predicts, and the rows behind it, the largest change of loss first."""

    name: str
    predicted: str
    p_predicted: float
    p_explained: float
    loss: float
    l2: float
    basis: str
    distance_correlation: float
    nearest_share: float
    dots: tuple[Dot, ...]
    harmful: tuple[RivalRow, ...]
    helpful: tuple[RivalRow, ...]

    @property
    def behind(self) -> tuple[RivalRow, ...]:
        """The rows of both kinds, the largest change of loss first."""
        return tuple(sorted((*self.harmful, *self.helpful), key=_largest))


@dataclass(frozen=True, slots=True, kw_only=True)
class VersusSummary:
    """Both models, the explained one first, and how far they agree on the order of the training rows."""

    explained: str
    rows: int
    order_correlation: float
    shared: int
    of: int
    models: tuple[ModelLine, ...]


def summarise_versus(tables: ExplanationFindings, cells: Rows) -> VersusSummary | None:
    """Gather what is shown of two models.

    Parameters
    ----------
    tables : ExplanationFindings
    cells : mapping
        Cells of rows by part and name.

    Returns
    -------
    VersusSummary or None
        None where one model was asked for.
    """
    told = tables.provenance.versus
    if not len(tables.models) or not told:
        return None
    parts = [tables.versus.filter(model=name) for name in tables.models["model"]]
    lines = [
        _line(row, part, other, cells)
        for row, part, other in zip(tables.models.iter_rows(named=True), parts, reversed(parts), strict=True)
    ]
    return VersusSummary(
        explained=tables.models["explained_label"][0],
        rows=len(parts[0]),
        order_correlation=_number(told.get("order_correlation")),
        shared=int(told.get("shared", 0)),
        of=int(told.get("of", 0)),
        models=tuple(lines),
    )


def _line(row: Mapping[str, Any], part: pl.DataFrame, other: pl.DataFrame, cells: Rows) -> ModelLine:
    """Return one model; `other` has the same training rows by the other one."""
    part = part.with_columns(other_place=other["place"], change=-pl.col("influence") / len(part))
    shown = part.drop_nulls("delta_loss_if_removed")
    known = [
        RivalRow(
            row_id=one["train_row_id"],
            label=one["label"],
            same_class=one["same_class"],
            distance=one["distance"],
            change=one["delta_loss_if_removed"],
            place=one["place"],
            other_place=one["other_place"],
            excerpt=excerpt(seen),
            picture=first_picture(seen),
        )
        for one in shown.iter_rows(named=True)
        for seen in [cells.get(("train", one["train_row_id"]), ())]
    ]
    known.sort(key=_largest)
    return ModelLine(
        name=row["model"],
        predicted=row["predicted_label"],
        p_predicted=row["p_predicted"],
        p_explained=row["p_explained"],
        loss=row["loss"],
        l2=row["l2"],
        basis=row["basis"],
        distance_correlation=_number(row["distance_correlation"]),
        nearest_share=_number(row["nearest_share"]),
        dots=tuple(Dot(*one) for one in _drawn(part).iter_rows()),
        harmful=tuple(one for one in known if one.change < 0)[:_ROWS],
        helpful=tuple(one for one in known if one.change > 0)[:_ROWS],
    )


def _largest(row: RivalRow) -> tuple[float, int]:
    return -abs(row.change), row.place


def _drawn(part: pl.DataFrame) -> pl.DataFrame:
    """Return the rows that a chart has room for, the nearest first."""
    part = part.sort("distance", "train_row_id")
    if len(part) > _DOTS:
        spaced = np.linspace(0, len(part) - 1, _DOTS - _STRONGEST).round().astype(np.int64)
        strongest = np.flatnonzero(part["place"].to_numpy() <= _STRONGEST)
        part = part[np.unique(np.concatenate([spaced, strongest])).tolist()]
    return part.select("train_row_id", "distance", "change", "same_class")


def _number(value: Any) -> float:
    return float("nan") if value is None else float(value)
