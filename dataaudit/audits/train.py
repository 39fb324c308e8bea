"""From encoded rows to a model at its minimum with its inverse Hessian: choose basis and λ → fit → invert."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from dataaudit.audits.asked import LabelSettings, StepCallback, Training, no_step, weighted
from dataaudit.audits.trained import Encoded, Trained
from dataaudit.encode.target import Target
from dataaudit.fit import minimise
from dataaudit.fitted import adopt
from dataaudit.losses import Softmax
from dataaudit.models import LinearModel
from dataaudit.objective import Objective
from dataaudit.rows import MemoryRows
from dataaudit.selection import SelectionSettings, choose
from dataaudit.solvers import choose_solver
from dataaudit.sources import Dataset


def train(training: Training, settings: LabelSettings, *, on_step: StepCallback = no_step) -> Trained:
    """Choose basis and λ, fit to the minimum and invert the Hessian there."""
    columns, target = training.columns, training.target
    K = len(target.classes)
    selection = SelectionSettings(basis=settings.basis, l2=settings.l2, seed=settings.seed)
    choice = choose(columns, target.y, K, settings=selection, on_step=on_step)
    X = choice.basis.transform(columns)
    on_step("fit", 0, 2)
    y, weight = torch.from_numpy(target.y), torch.from_numpy(training.weight)
    rows = MemoryRows(torch.from_numpy(X) if isinstance(X, np.ndarray) else X, y, weight)
    objective = Objective(rows, LinearModel(Softmax(K), rows.width), choice.l2)
    fit = minimise(objective, choice.theta).require_converged()
    on_step("fit", 1, 2)
    prepared = choose_solver(objective).prepare(objective, fit.theta)
    on_step("fit", 2, 2)
    return Trained(
        objective=objective,
        fit=fit,
        prepared=prepared,
        features=choice.basis.features,
        classes=target.classes,
        basis=choice.basis.name,
        curve=choice.curve,
        encoded=Encoded(training.encoding, columns, choice.basis),
        notes=(*training.encoding.notes, *training.notes),
    )


def train_adopted(
    model: Any, dataset: Dataset, target: Target, *, settings: LabelSettings, on_step: StepCallback = no_step
) -> Trained:
    """Take the user's model as it is, and invert its Hessian where it stands."""
    on_step("fit", 0, 2)
    frame, weight, _ = weighted(dataset, settings)
    adopted = adopt(
        model, frame.drop(dataset.target), target.y, classes=target.classes, weight=torch.from_numpy(weight)
    )
    on_step("fit", 1, 2)
    norm, notes = (
        adopted.fit.gradient_norm,
        ["The model is the one given: its coefficients were not changed."],
    )
    if not adopted.fit.converged:
        advice = (
            "fit it with a smaller tol and more max_iter, name its sample_weight by weight=, or leave it out"
        )
        notes.append(
            f"It is not at its minimum (gradient norm {norm:.1e}), which biases influence: {advice}."
        )
    prepared = choose_solver(adopted.objective).prepare(adopted.objective, adopted.fit.theta)
    on_step("fit", 2, 2)
    return Trained(
        objective=adopted.objective,
        fit=adopted.fit,
        prepared=prepared,
        features=adopted.features,
        classes=target.classes,
        basis="the model's own features",
        curve=(),
        encoded=None,
        notes=tuple(notes),
    )
