"""From positions to row names: the tables of an explanation, every influence with its sentence in nats."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from dataaudit.audits.attribution import (
    Attribution,
    ColumnContribution,
    Nearest,
    prediction_without,
    rank_by_size,
    relative_influence,
)
from dataaudit.audits.explain.compare import ModelComparison
from dataaudit.audits.explain.flip import FlipResult
from dataaudit.audits.perturbation import ColumnEffect, feature_table
from dataaudit.audits.tables import asked_of, cells_of_pair, decisions, pair_facts
from dataaudit.audits.testset import Tested, Unjudged
from dataaudit.cells import cell_text, is_missing, number_text
from dataaudit.data.dataset import Dataset
from dataaudit.features.target import class_texts
from dataaudit.findings.schemas import (
    CONTRIBUTIONS,
    FEATURES,
    FLIP,
    INFLUENCES,
    NEAREST,
    PAIR_CELLS,
    PROBABILITIES,
    ExplanationProvenance,
)
from dataaudit.influence.amip import Flip
from dataaudit.training.trained import Trained

if TYPE_CHECKING:
    from dataaudit.options import ExplainOptions


Rows = NDArray[np.int64]
Reals = NDArray[np.float64]

CELL = 100
SLOPES = "pixels that its influence would move with"


@dataclass(frozen=True)
class ExplainedRow:
    """The test row that is explained, and the model."""

    trained: Trained
    known: Dataset  # the training rows
    new: Dataset  # all test rows as read
    at: int  # position of the row among the test rows
    label: float | None  # its class, or number; None where training does not know it
    tested: Tested  # the one row, with its label or else its predicted class
    notes: tuple[str, ...] = ()  # decisions, in sentences

    @property
    def unjudged(self) -> Unjudged:
        """Whether the test row has no label, or one that no training row has."""
        cell = self.new.frame[self.new.target][[self.at]]
        if self.label is not None:
            return Unjudged()
        if cell.null_count():
            return Unjudged(unlabelled=1)
        return Unjudged(strange=1, classes=(str(class_texts(cell)[0]),))

    @property
    def row_id(self) -> str:
        """Name of the test row."""
        return str(self.new.row_id[self.at])

    @property
    def row(self) -> int:
        """Its number in its file."""
        return int(self.new.row[self.at])

    @property
    def against(self) -> tuple[int, int]:
        """The predicted class, and its label where that is another one, else the next likeliest class."""
        if self.trained.quantity is not None:
            return 0, 0
        order = np.argsort(-self.tested.p[0], kind="stable")
        first, second = int(order[0]), int(order[1])
        return first, second if self.label in (None, first) else int(self.label or 0)

    @property
    def predicted(self) -> str:
        """What is predicted."""
        return self.trained.predictions(self.tested.scores)[0]

    def named(self, label: float) -> str:
        """Return a label as people write it."""
        return self.trained.classes[int(label)] if self.trained.classes else f"{label:.12g}"


def influence_table(
    explained: ExplainedRow, whole: Attribution, *, rows: Rows, delta: Reals, components: bool
) -> pl.DataFrame:
    """Return the table `INFLUENCES`, the row first whose removal changes the loss most."""  # (b,), (n,)
    rows = rows[np.argsort(-np.abs(delta[rows]), kind="stable")]
    delta, moves = delta[rows], prediction_without(explained.trained, explained.tested.block, rows)
    parts = (whole.influence, whole.without_train_loss, whole.without_hessian)
    place = [rank_by_size(part)[rows] for part in parts]
    none = np.full(len(rows), None, dtype=object)
    table = pl.DataFrame(
        {
            **_names(explained, rows),
            "influence": whole.influence[rows],
            "delta_loss_if_removed": delta,
            "relative_influence": relative_influence(explained.trained, rows, whole.influence[rows]),
            "kind": pl.Series(["harmful" if change < 0 else "helpful" for change in delta], dtype=pl.String),
            "rank": np.arange(1, len(rows) + 1),
            "without_train_loss": whole.without_train_loss[rows] if components else none,
            "without_hessian": whole.without_hessian[rows] if components else none,
            "place": place[0],
            "place_without_train_loss": place[1] if components else none,
            "place_without_hessian": place[2] if components else none,
            "delta_prediction_if_removed": pl.Series(moves).fill_nan(None),
        },
        schema_overrides=dict(INFLUENCES),
        strict=False,
    )
    return table.select(INFLUENCES.facts.names()).cast(INFLUENCES.facts)


def _names(explained: ExplainedRow, rows: Rows) -> dict[str, Any]:
    """Return the columns that name the test row and the training rows."""
    y = explained.trained.objective.rows.y.numpy()[rows]
    return {
        "test_row_id": pl.Series([explained.row_id] * len(rows), dtype=pl.String),
        "test_row": pl.Series([explained.row] * len(rows), dtype=pl.Int64),
        "train_row_id": explained.known.row_id.gather(rows),
        "train_row": explained.known.row.gather(rows),
        "label": pl.Series(explained.trained.label_names(y), dtype=pl.String),
    }


def neighbour_table(
    explained: ExplainedRow, whole: Attribution, *, near: Sequence[Nearest], delta: Reals
) -> pl.DataFrame:
    """Return the table `NEIGHBOURS`: by cosine, then by Euclidean distance, the nearest first."""
    facts = NEAREST.facts
    tables = [pl.DataFrame(schema=facts)]
    for one in near:
        table = pl.DataFrame(
            {
                **_names(explained, one.rows),
                "measure": pl.Series([one.measure] * len(one.rows), dtype=pl.String),
                "rank": np.arange(1, len(one.rows) + 1),
                "value": one.values,
                "influence": whole.influence[one.rows],
                "delta_loss_if_removed": delta[one.rows],
            }
        )
        tables.append(table.select(facts.names()).cast(facts))
    return pl.concat(tables)


def contribution_table(explained: ExplainedRow, parts: Sequence[ColumnContribution]) -> pl.DataFrame:
    """Return the table `CONTRIBUTIONS`, the largest first."""
    quantity, rows = explained.trained.quantity, []
    if quantity is None:
        predicted, rival = (explained.trained.classes[place] for place in explained.against)
        what = f"the log-odds of “{predicted}” over “{rival}”"
    else:
        what = "the logarithm of the predicted count" if quantity.is_count else "the prediction"
        parts = [replace(part, value=part.value * quantity.unit) for part in parts]
    for rank, part in enumerate(parts, start=1):
        column = explained.tested.dataset.frame[part.column]
        cell = part.level if part.level is not None else cell_text(column[0], CELL)
        name = f"the word “{cell}”" if part.level is not None else _cell_named(part.column, column[0])
        does = "raises" if part.value > 0 else "lowers"
        said = f"{name} {does} {what} by {abs(part.value):.3g}"
        rows.append((part.column, part.level, cell, part.value, said, rank))
    return pl.DataFrame(rows, schema=CONTRIBUTIONS, orient="row")


def _cell_named(column: str, value: object) -> str:
    if is_missing(value):
        return f"that {column} is missing"
    return f"{column} = {number_text(value) if isinstance(value, float) else cell_text(value, CELL)}"


def features_table(
    explained: ExplainedRow, effects: list[list[ColumnEffect]], order: list[str]
) -> pl.DataFrame:
    """Return the table `FEATURES`: which column, or term, of each influential row carries its influence."""
    table = feature_table(explained.known, effects)
    place = {name: at for at, name in enumerate(order)}
    at = table["train_row_id"].replace_strict(place, return_dtype=pl.Int64)
    return table.with_columns(at=at).sort("at", "rank").select(FEATURES.facts.names())


def probability_table(explained: ExplainedRow) -> pl.DataFrame:
    """Return the table `PROBABILITIES`, the likeliest class first; of numbers there are none."""
    p = explained.tested.p[0]
    order = np.argsort(-p, kind="stable")
    names = [explained.trained.classes[place] for place in order]
    return pl.DataFrame({"class": names, "probability": p[order]}, schema=PROBABILITIES)


def flip_table(explained: ExplainedRow, rows: Rows, flip: Flip | None) -> pl.DataFrame:
    """Return the table `FLIP`."""
    named, names = _names(explained, rows), explained.trained.classes
    new = [None] * len(rows) if flip is None or flip.labels is None else [names[c] for c in flip.labels]
    table = pl.DataFrame({"position": np.arange(1, len(rows) + 1), **named, "new_label": new}, strict=False)
    return table.select(FLIP.names()).cast(FLIP)


def cells_table(explained: ExplainedRow, rows: Rows, slopes: Sequence[tuple[int, str]]) -> pl.DataFrame:
    """Return the table `CELLS` of some training rows, and pictures of theirs, and of the test row."""
    train, test = (explained.known, rows), (explained.tested.dataset, np.zeros(1, dtype=np.int64))
    cells = cells_of_pair(explained.trained, train, test).select(PAIR_CELLS.names())
    also = [(explained.known.row_id[at], SLOPES, picture, "train") for at, picture in slopes]
    return pl.concat([cells, pl.DataFrame(also, schema=cells.schema, orient="row")])


def explanation_provenance(
    asked: ExplainedRow,
    settings: ExplainOptions,
    *,
    flip: FlipResult | None,
    compared: ModelComparison | None,
    command: str,
) -> ExplanationProvenance:
    """Return which prediction it is, and everything that another run needs to explain it alike."""
    trained, tested, known, new = asked.trained, asked.tested, asked.known, asked.new
    label = None if asked.label is None else asked.named(asked.label)
    explained = asked.named(tested.y[0])
    rival = trained.classes[asked.against[1]] if trained.classes else explained
    return ExplanationProvenance(
        **pair_facts(known, new, trained, command=command, seed=settings.seed),
        test_row_id=asked.row_id,
        test_row=asked.row,
        label=label,
        predicted_label=asked.predicted,
        rival_label=rival,
        explained_label=explained,
        probability=float(tested.p[0, int(tested.y[0])]) if trained.classes else float("nan"),
        loss=float(tested.loss[0]),
        model=next(iter(settings.named)),
        settings=asked_of(settings, trained) | {"unjudged": asdict(asked.unjudged)},
        flip={} if flip is None else _flipped(flip),
        versus={} if compared is None else compared.agreement(),
        **decisions(trained, asked.notes, read=(*known.notes, *new.notes)),
    )


def _flipped(found: FlipResult) -> dict[str, Any]:
    flip = found.flip
    return {
        "conclusion": found.conclusion,
        "sentence": found.sentence,
        "found": flip is not None,
        "relabel": found.relabel,
        "rows": len(found.rows),
        "share": None if flip is None else flip.share,
        "before": None if flip is None else flip.before,
        "predicted": None if flip is None else flip.predicted,
        "measured": None if flip is None else flip.measured,
    }
