"""Two models on the same rows: what each of them owes its prediction of one test row to.

Koh & Liang (2017), section 5.1: models that predict alike may do so for different reasons. Both are explained
for the same label, and influence is on its loss in nats by each model's own probability, so the two compare.
Distance is Euclidean in the encoded columns (numbers standardised, levels 0 or 1, words weighted), the same
for both models, whatever each of them makes of the columns.

    distance correlation   Spearman of |I_up,loss(z, t)| and ‖x_z - x_t‖ over the training rows z: near -1
                           where influence falls with distance, near 0 where it does not care
    nearest share          of Σ|I_up,loss|, what the nearest tenth of the training rows carries
    order correlation      Spearman of the influences of the one model and of the other
    shared                 how many of the `FIRST` rows of largest |I_up,loss| are the same

Cost: one solve and one pass over the rows per model; the changes of loss that are shown take a solve a row.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.sparse import csr_array

from dataaudit.audits.attribution import Reals, Rows, attribute, loss_without, rank_by_size
from dataaudit.audits.testset import Tested
from dataaudit.data.dataset import Dataset
from dataaudit.features import BasisSettings, Columns, fit_basis
from dataaudit.findings.schemas import MODELS, VERSUS
from dataaudit.options import StepCallback, TrainingOptions, ignore_progress, is_module
from dataaudit.training.encoded import Training
from dataaudit.training.train import require_machine, train, train_adopted
from dataaudit.training.trained import Trained

FIRST = 10
NEAREST = 0.1


@dataclass(frozen=True)
class ComparedModel:
    """One of the two models."""

    name: str  # as it was asked for
    trained: Trained  # the model
    tested: Tested  # the test row under it
    influence: Reals  # (n,) I_up,loss of every training row, in nats times n; positive is harmful
    distance: Reals  # (n,) of every training row from the test row

    @property
    def distance_correlation(self) -> float:
        """Spearman of |influence| and distance."""
        return spearman(np.abs(self.influence), self.distance)

    @property
    def nearest_share(self) -> float:
        """What the nearest tenth of the training rows carries of all |influence|."""
        size = np.abs(self.influence)
        near = np.argsort(self.distance, kind="stable")[: max(1, round(NEAREST * len(size)))]
        total = float(size.sum())
        return float(size[near].sum()) / total if total > 0 else float("nan")


@dataclass(frozen=True)
class ModelComparison:
    """Both models on one test row."""

    sides: tuple[ComparedModel, ComparedModel]  # the model that is explained, and the other one
    rows: Rows  # (b,) positions of the most harmful and the most helpful training rows of either

    def agreement(self) -> dict[str, Any]:
        """Return how far the two agree, for the provenance."""
        first, second = (side.influence for side in self.sides)
        k = min(FIRST, len(first))
        leading = [set(np.argsort(-np.abs(one), kind="stable")[:k].tolist()) for one in (first, second)]
        return {
            "models": [side.name for side in self.sides],
            "order_correlation": spearman(first, second),
            "shared": len(leading[0] & leading[1]),
            "of": k,
        }


def train_model(
    training: Training,
    settings: TrainingOptions,
    *,
    solves: bool = False,
    on_step: StepCallback = ignore_progress,
) -> Trained:
    """Return a model at its minimum: one of ours, trained, or the user's own, as it is."""
    if isinstance(settings.model, str) or is_module(settings.model):
        return train(training, settings, solves=solves, on_step=on_step)
    return train_adopted(training.dataset, training.target, settings, on_step=on_step)


def require_models(training: Training, models: Mapping[str, Any]) -> None:
    """Check that every model can be had for these rows, before any is trained."""
    for name, model in models.items():
        if isinstance(model, str):
            texts = bool(training.columns.terms.shape[1])
            require_machine(name, len(training.target.classes), texts=texts)


def distances(known: Columns, one: Columns) -> Reals:
    """Return how far every training row is from one test row, in the encoded columns."""  # -> (n,)
    basis = fit_basis(known, BasisSettings())
    X, x = basis.transform(known), basis.transform(one)
    if isinstance(X, csr_array):  # exact where a row is the test row: nothing of it is left
        at = np.asarray(x.toarray() if isinstance(x, csr_array) else x)[0]
        squares = X.multiply(X).sum(1) - 2 * (X @ at) + at @ at
        return np.asarray(np.sqrt(np.maximum(squares, 0.0)))
    return np.asarray(np.linalg.norm(X - (x.toarray() if isinstance(x, csr_array) else x), axis=1))


def compare(
    main: tuple[str, Trained, Tested], other: tuple[str, Trained, Tested], known: Columns, *, top: int
) -> ModelComparison:
    """Compare two models on one test row."""
    distance = distances(known, main[2].columns)
    found, rows = [], []
    for name, trained, tested in (main, other):
        whole = attribute(trained, tested.block)
        found.append(ComparedModel(name, trained, tested, whole.influence, distance))
        rows.append(whole.strongest(top))
    return ModelComparison((found[0], found[1]), np.unique(np.concatenate(rows)))


def versus_table(compared: ModelComparison, known: Dataset) -> pl.DataFrame:
    """Return the table `VERSUS`: every training row by each model, the rows in their order."""
    tables = []
    for side in compared.sides:
        names, y = np.array(side.trained.classes, dtype=object), side.trained.objective.rows.y.numpy()
        delta = np.full(len(y), np.nan)
        delta[compared.rows] = loss_without(side.trained, side.tested.block, compared.rows)
        table = pl.DataFrame(
            {
                "train_row_id": known.row_id,
                "train_row": known.row,
                "label": pl.Series(names[y], dtype=pl.String),
                "same_class": y == side.tested.y[0],
                "distance": side.distance,
                "model": pl.Series([side.name] * len(y), dtype=pl.String),
                "influence": side.influence,
                "delta_loss_if_removed": pl.Series(delta).fill_nan(None),
                "place": rank_by_size(side.influence),
            }
        )
        tables.append(table.cast(VERSUS))
    return pl.concat(tables)


def models_table(compared: ModelComparison) -> pl.DataFrame:
    """Return the table `MODELS`: what each model predicts, and how its influence goes with distance."""
    rows = []
    for side in compared.sides:
        trained, p = side.trained, side.tested.p[0]
        predicted, explained = int(p.argmax()), int(side.tested.y[0])
        rows.append(
            (side.name, trained.classes[predicted], p[predicted], trained.classes[explained], p[explained],
             side.tested.loss[0], trained.objective.l2, trained.basis, trained.objective.rows.width,
             side.distance_correlation, side.nearest_share)
        )  # fmt: skip
    return pl.DataFrame(rows, schema=MODELS, orient="row")


def spearman(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    """Return Spearman's rank correlation, ties by their mean rank; nan where either does not vary."""
    x, y = (pl.Series(values).rank().to_numpy() for values in (a, b))
    if x.std() == 0 or y.std() == 0:
        return float("nan")
    return float(np.corrcoef(x, y)[0, 1])
