"""Labels that are numbers: which of them contradict the other rows, and what these suggest instead.

What the others suggest is the prediction without the row. Rows that contradict the others pull the fit
towards themselves, and a gross error pulls it away from all others; so rows are judged twice, the second time
by a fit in which each weighs the probability that its value is right (M-estimation, Huber 1981).
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray

from dataaudit.data.dataset import Dataset
from dataaudit.features.target import Quantity, class_texts
from dataaudit.noise.values import ValueNoise, fit_value_noise
from dataaudit.training.checks import Check
from dataaudit.training.train import Inversion, fitted
from dataaudit.training.trained import RowScores, Trained, score_rows

STEADIED: Final = "Rows weigh in the fit by the probability that their value is right, by a first fit."
_EXPLAINED: Final = 0.05  # of the distance from the median, from which on columns say something of values


def quantity_of(trained: Trained) -> Quantity:
    """Return what the numbers are; only of models of numbers."""
    if trained.quantity is None:
        raise TypeError("a model of classes has no quantity")
    return trained.quantity


def value_noise(trained: Trained, scores: RowScores) -> ValueNoise:
    """Judge the values of all rows by their scores without themselves."""
    quantity = quantity_of(trained)
    return fit_value_noise(quantity.values, suggested_values(quantity, scores), is_count=quantity.is_count)


def suggested_values(quantity: Quantity, scores: RowScores) -> NDArray[np.float64]:
    """Return what the other rows suggest, in the user's unit."""  # -> (n,)
    return quantity.of_scores(scores.loo_scores[:, 0])


def steadied(trained: Trained, noise: ValueNoise) -> Trained:
    """Fit again, with weights by how probable it is that values are right."""
    right = torch.from_numpy(1.0 - noise.model.p_wrong)
    objective = trained.objective.reweighted(trained.objective.rows.weight * right)
    fit, prepared, forms = fitted(objective, trained.fit.theta, Inversion(trained.prepared.damping))
    notes = (*trained.notes, STEADIED)
    found = replace(trained, objective=objective, fit=fit, prepared=prepared, given=forms, notes=notes)
    return found.in_noise_unit()


def settled(trained: Trained) -> Trained:
    """Fit again so that wrong values count little."""
    first = trained.without_gross()
    return steadied(trained, value_noise(first, score_rows(first)))


def value_facts(
    dataset: Dataset, trained: Trained, *, scores: RowScores, noise: ValueNoise
) -> dict[str, pl.Series | NDArray[Any]]:
    """Return the columns of the table of labels that are other ones where labels are numbers."""
    quantity = quantity_of(trained)
    fitted = quantity.of_scores(trained.objective.scores(trained.fit.theta)[:, 0].numpy())
    suggested = suggested_values(quantity, scores)
    return {
        "label": class_texts(dataset.frame[dataset.target]),
        "predicted_label": pl.Series(quantity.texts(fitted, noise.scale)),
        "suggested_label": pl.Series(quantity.texts(suggested, noise.scale)),
        "p_label": noise.chance,
        "loo_p_label": noise.chance,
        "residual": (quantity.values - suggested) / noise.scale,
        "noise": noise.scale,
    }


def value_checks(trained: Trained, scores: RowScores) -> list[Check]:
    """Check whether the columns say anything of the values."""
    quantity = quantity_of(trained)
    errors = np.abs(quantity.values - suggested_values(quantity, scores))
    spread = np.abs(quantity.values - np.median(quantity.values))
    share = float(1.0 - errors.mean() / spread.mean())
    message = (
        f"Left out, half of the rows are predicted to within {np.median(errors):.3g}, and all to within "
        f"{errors.mean():.3g} on average, where values are {spread.mean():.3g} from their median."
    )
    if share < _EXPLAINED:
        message += " The columns say next to nothing of the values: wrong ones look like right ones."
    return [("prediction", share, _EXPLAINED, share >= _EXPLAINED, message)]
