"""From positions to row names: the tables of an explanation, every influence with its sentence in nats."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from dataaudit.audits.attribution import Attribution, Nearest, Part, loss_without, places, relative_influence
from dataaudit.audits.explain.compare import Compared
from dataaudit.audits.explain.flip import Overturned
from dataaudit.audits.perturbation import ColumnEffect, feature_table
from dataaudit.audits.tables import PACKAGES, cell_table
from dataaudit.audits.testset import Tested, Unjudged
from dataaudit.cells import cell_text, is_missing, number_text
from dataaudit.data import Dataset
from dataaudit.features.target import class_texts
from dataaudit.findings.schemas import (
    CELLS_EXPLANATION_FINDINGS,
    CONTRIBUTIONS,
    FEATURES,
    FLIP,
    INFLUENCES,
    NEIGHBOURS_EXPLANATION_FINDINGS,
    PROBABILITIES,
    ExplanationProvenance,
)
from dataaudit.training.trained import Trained

if TYPE_CHECKING:
    from dataaudit.options import ExplainOptions


Rows = NDArray[np.int64]
Reals = NDArray[np.float64]

CELL = 100


@dataclass(frozen=True)
class Asked:
    """The test row that is explained, and the model.

    Attributes
    ----------
    trained : Trained
        The model.
    known, new : Dataset
        The training rows, and all test rows as read.
    at : int
        Position of the row among the test rows.
    label : int or None
        Its class; None where training does not know it.
    tested : Tested
        The one row, with its label or else its predicted class.
    notes : tuple of str
        Decisions, in sentences.
    """

    trained: Trained
    known: Dataset
    new: Dataset
    at: int
    label: int | None
    tested: Tested
    notes: tuple[str, ...] = ()

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
        order = np.argsort(-self.tested.p[0], kind="stable")
        first, second = int(order[0]), int(order[1])
        return first, second if self.label in (None, first) else self.label

    @property
    def its_loss(self) -> str:
        """How sentences name the loss that changes."""
        said = "" if self.label is not None else f" as “{self.trained.classes[self.tested.y[0]]}”"
        return f"the loss of test row {self.row}{said}"


def influence_table(asked: Asked, whole: Attribution, rows: Rows, *, components: bool) -> pl.DataFrame:
    """Return the table `INFLUENCES`, the row first whose removal changes the loss most.

    Parameters
    ----------
    asked : Asked
        The test row.
    whole : Attribution
        Influence of all training rows.
    rows : ndarray (b,) int64
        Positions of those to show.
    components : bool
        Whether to give the parts of the influence.
    """
    delta = loss_without(asked.trained, asked.tested.block, rows)
    order = np.argsort(-np.abs(delta), kind="stable")
    rows, delta = rows[order], delta[order]
    parts = (whole.influence, whole.without_train_loss, whole.without_hessian)
    place = [places(part)[rows] for part in parts]
    none = np.full(len(rows), None, dtype=object)
    table = pl.DataFrame(
        {
            **_names(asked, rows),
            "influence": whole.influence[rows],
            "delta_loss_if_removed": delta,
            "relative_influence": relative_influence(asked.trained, rows, whole.influence[rows]),
            "kind": pl.Series(["harmful" if change < 0 else "helpful" for change in delta], dtype=pl.String),
            "effect": pl.Series([_removal(asked, change) for change in delta], dtype=pl.String),
            "rank": np.arange(1, len(rows) + 1),
            "without_train_loss": whole.without_train_loss[rows] if components else none,
            "without_hessian": whole.without_hessian[rows] if components else none,
            "place": place[0],
            "place_without_train_loss": place[1] if components else none,
            "place_without_hessian": place[2] if components else none,
        },
        schema_overrides=dict(INFLUENCES),
        strict=False,
    )
    return table.select(INFLUENCES.names()).cast(INFLUENCES)


def _names(asked: Asked, rows: Rows) -> dict[str, Any]:
    """Return the columns that name the test row and the training rows."""
    names = np.array(asked.trained.classes, dtype=object)
    return {
        "test_row_id": pl.Series([asked.row_id] * len(rows), dtype=pl.String),
        "test_row": pl.Series([asked.row] * len(rows), dtype=pl.Int64),
        "train_row_id": asked.known.row_id.gather(rows),
        "train_row": asked.known.row.gather(rows),
        "label": pl.Series(names[asked.trained.objective.rows.y.numpy()[rows]], dtype=pl.String),
    }


def _removal(asked: Asked, change: float) -> str:
    """Write the effect of a removal as a sentence in loss units."""
    if change == 0:
        return f"removing this row does not change {asked.its_loss}"
    does, is_so = ("lowers", "harmful") if change < 0 else ("raises", "helpful")
    return f"removing this row {does} {asked.its_loss} by {abs(change):.3g} nats: {is_so}"


def neighbour_table(asked: Asked, whole: Attribution, near: Sequence[Nearest]) -> pl.DataFrame:
    """Return the table `NEIGHBOURS`: by cosine, then by Euclidean distance, the nearest first."""
    tables = [pl.DataFrame(schema=NEIGHBOURS_EXPLANATION_FINDINGS)]
    for one in near:
        delta = loss_without(asked.trained, asked.tested.block, one.rows)
        table = pl.DataFrame(
            {
                **_names(asked, one.rows),
                "measure": pl.Series([one.measure] * len(one.rows), dtype=pl.String),
                "rank": np.arange(1, len(one.rows) + 1),
                "value": one.values,
                "influence": whole.influence[one.rows],
                "delta_loss_if_removed": delta,
                "effect": pl.Series([_removal(asked, change) for change in delta], dtype=pl.String),
            }
        )
        tables.append(
            table.select(NEIGHBOURS_EXPLANATION_FINDINGS.names()).cast(NEIGHBOURS_EXPLANATION_FINDINGS)
        )
    return pl.concat(tables)


def contribution_table(asked: Asked, parts: Sequence[Part]) -> pl.DataFrame:
    """Return the table `CONTRIBUTIONS`, the largest first."""
    predicted, rival = (asked.trained.classes[place] for place in asked.against)
    rows = []
    for rank, part in enumerate(parts, start=1):
        column = asked.tested.dataset.frame[part.column]
        cell = part.level if part.level is not None else cell_text(column[0], CELL)
        name = f"the word “{cell}”" if part.level is not None else _cell_named(part.column, column[0])
        does = "raises" if part.value > 0 else "lowers"
        said = f"{name} {does} the log-odds of “{predicted}” over “{rival}” by {abs(part.value):.3g}"
        rows.append((part.column, part.level, cell, part.value, said, rank))
    return pl.DataFrame(rows, schema=CONTRIBUTIONS, orient="row")


def _cell_named(column: str, value: object) -> str:
    if is_missing(value):
        return f"that {column} is missing"
    return f"{column} = {number_text(value) if isinstance(value, float) else cell_text(value, CELL)}"


def features_table(asked: Asked, effects: list[list[ColumnEffect]], order: list[str]) -> pl.DataFrame:
    """Return the table `FEATURES`: which column, or term, of each influential row carries its influence."""
    table = feature_table(asked.known, effects)
    said = [
        _swap(asked, row["column"], row["level"], row["finite_effect"]) for row in table.iter_rows(named=True)
    ]
    place = {name: at for at, name in enumerate(order)}
    at = table["train_row_id"].replace_strict(place, return_dtype=pl.Int64)
    table = table.with_columns(effect=pl.Series(said, dtype=pl.String), at=at)
    return table.sort("at", "rank").select(FEATURES.names())


def _swap(asked: Asked, column: str, level: str | None, change: float) -> str:
    """Say what another cell in a column, or a text without a word, would do."""
    changed = f"another {column} in this row" if level is None else f"this row without the word “{level}”"
    if change == 0:
        return f"{changed} would not change {asked.its_loss}"
    return f"{changed} would {'lower' if change < 0 else 'raise'} {asked.its_loss} by {abs(change):.3g} nats"


def probability_table(asked: Asked) -> pl.DataFrame:
    """Return the table `PROBABILITIES`, the likeliest class first."""
    p = asked.tested.p[0]
    order = np.argsort(-p, kind="stable")
    names = [asked.trained.classes[place] for place in order]
    return pl.DataFrame({"class": names, "probability": p[order]}, schema=PROBABILITIES)


def flip_table(asked: Asked, rows: Rows) -> pl.DataFrame:
    """Return the table `FLIP`."""
    named = _names(asked, rows)
    table = pl.DataFrame({"position": np.arange(1, len(rows) + 1), **named})
    return table.select(FLIP.names()).cast(FLIP)


def cells(asked: Asked, rows: Rows) -> pl.DataFrame:
    """Return the table `CELLS` of some training rows and of the test row."""
    parts = [
        cell_table(data, asked.trained, positions).with_columns(part=pl.lit(name))
        for name, data, positions in (
            ("train", asked.known, rows),
            ("test", asked.tested.dataset, np.zeros(1, dtype=np.int64)),
        )
    ]
    return pl.concat(parts).select(CELLS_EXPLANATION_FINDINGS.names())


def explanation_provenance(
    asked: Asked,
    settings: ExplainOptions,
    *,
    flip: Overturned | None,
    compared: Compared | None,
    command: str,
) -> ExplanationProvenance:
    """Return which prediction it is, and everything that another run needs to explain it alike."""
    trained, tested, known, new = asked.trained, asked.tested, asked.known, asked.new
    predicted, rival = (trained.classes[place] for place in asked.against)
    explained = int(tested.y[0])
    return ExplanationProvenance(
        version=version("dataaudit"),
        command=command,
        train=", ".join(dict.fromkeys(o.path for o in known.origins))[:300],
        test=", ".join(dict.fromkeys(o.path for o in new.origins))[:300],
        target=known.target,
        n_train=known.n,
        n_test=new.n,
        n_features=trained.objective.rows.width,
        classes=trained.classes,
        test_row_id=asked.row_id,
        test_row=asked.row,
        label=None if asked.label is None else trained.classes[asked.label],
        predicted_label=predicted,
        rival_label=rival,
        explained_label=trained.classes[explained],
        probability=float(tested.p[0, explained]),
        loss=float(tested.loss[0]),
        l2=trained.objective.l2,
        basis=trained.basis,
        solver=trained.prepared.method,
        solver_reason=trained.prepared.reason,
        gradient_norm=trained.fit.gradient_norm,
        seed=settings.seed,
        model=next(iter(settings.named)),
        settings=settings.to_dict() | {"unjudged": asdict(asked.unjudged)},
        versions={"python": platform.python_version()} | {name: version(name) for name in PACKAGES},
        flip={} if flip is None else _flipped(flip),
        versus={} if compared is None else compared.told(),
        origins=tuple(asdict(o) for o in known.origins),
        test_origins=tuple(asdict(o) for o in new.origins),
        roles=tuple(asdict(r) for r in trained.roles),
        notes=(*asked.notes, *known.notes, *trained.notes),
    )


def _flipped(found: Overturned) -> dict[str, Any]:
    flip = found.flip
    return {
        "conclusion": found.conclusion,
        "sentence": found.sentence,
        "found": flip is not None,
        "rows": len(found.rows),
        "share": None if flip is None else flip.share,
        "before": None if flip is None else flip.before,
        "predicted": None if flip is None else flip.predicted,
        "measured": None if flip is None else flip.measured,
    }
