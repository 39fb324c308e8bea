"""A user's fitted scikit-learn logistic regression, taken as it is: its coefficients, not a refit.

scikit-learn minimises ``C Σ ω_i ℓ_i + ½ Σ coef²`` with free intercepts, which is our objective at λ = 1/(nC) with
the class weights as ω. Its K symmetric coefficients of a multinomial fit become K - 1 differences to the first
class; the ridge's form is the same (`models`). Whether the fit is at its minimum is measured, not assumed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_array, issparse
from torch import Tensor

from dataaudit.encode.feature import Feature
from dataaudit.errors import FitError, MissingColumn, SettingError
from dataaudit.fit import Fit, FitSettings
from dataaudit.losses import Softmax
from dataaudit.models import LinearModel
from dataaudit.objective import Objective
from dataaudit.rows import MemoryRows


@dataclass(frozen=True)
class Adopted:
    """A user's model on the audited rows.

    Attributes
    ----------
    objective : Objective
        What it minimised.
    fit : Fit
        Its coefficients, with the gradient norm that they really have.
    features : tuple of Feature
        One per column of X.
    """

    objective: Objective
    fit: Fit
    features: tuple[Feature, ...]


def adopt(model: Any, frame: pl.DataFrame, y: NDArray[np.int64], *, classes: Sequence[str]) -> Adopted:  # noqa: ANN401
    """Take a fitted `LogisticRegression`, alone or last in a `Pipeline`.

    Parameters
    ----------
    model : LogisticRegression or Pipeline
        Fitted with an l2 penalty and an intercept, by any solver but liblinear (which penalises the intercept).
    frame : pl.DataFrame
        The training rows without the label column.
    y : ndarray (n,) int64
        Class numbers.
    classes : sequence of str
        Class names by number.

    Returns
    -------
    Adopted
        Ready for a solver.

    Raises
    ------
    SettingError
        If the model is of another kind, not fitted, or fitted with a penalty that influence does not cover.
    FitError
        If it was fitted on other classes or another number of features.
    """
    steps, last = _split(model)
    _require_supported(last)
    X, names = _design(steps, last, frame)
    order = _class_order(last, classes)
    theta = _coefficients(last, order)
    if X.shape[1] != last.n_features_in_:
        what = f"the model was fitted on {last.n_features_in_} features, these rows have {X.shape[1]}"
        raise FitError(what, "give the rows that it was fitted on")
    n, K = len(y), len(classes)
    rows = MemoryRows(
        X if issparse(X) else torch.from_numpy(X), torch.from_numpy(y), _weights(last, y, classes)
    )
    l2 = 0.0 if np.isinf(last.C) else 1.0 / (n * float(last.C))
    objective = Objective(rows, LinearModel(Softmax(K), X.shape[1]), l2)
    norm = float(objective.gradient(theta).abs().max())
    fit = Fit(theta, norm, int(np.max(last.n_iter_)), FitSettings().tolerance)
    return Adopted(objective, fit, tuple(Feature(name, name, None, "numeric") for name in names))


def _split(model: Any) -> tuple[Any, Any]:  # noqa: ANN401
    """Return the transforming steps (or None) and the classifier."""
    if hasattr(model, "steps"):
        return (model[:-1] if len(model.steps) > 1 else None), model.steps[-1][1]
    return None, model


def _require_supported(last: Any) -> None:  # noqa: ANN401
    """Check the kind and the penalty of a classifier.

    Raises
    ------
    SettingError
        If influence of this model is not what the core computes.
    """
    kind = type(last).__name__
    if kind != "LogisticRegression":
        raise SettingError(f"model must end in a LogisticRegression: got {kind}", "leave model out to have one fitted")
    if not hasattr(last, "coef_"):
        raise SettingError("the LogisticRegression is not fitted", "call fit first")
    l1 = getattr(last, "l1_ratio", 0.0) or 0.0
    penalty = getattr(last, "penalty", "l2")
    if l1 > 0 or penalty in ("l1", "elasticnet"):
        raise SettingError("an l1 penalty has no Hessian: got a model with one", "fit it with l2")
    if penalty is None:
        raise SettingError("the model has no penalty, so its Hessian may be singular", "fit it with C below infinity")
    if last.solver == "liblinear" or not last.fit_intercept:
        what = "liblinear penalises the intercept" if last.solver == "liblinear" else "the model has no intercept"
        raise SettingError(what, "fit with solver='lbfgs' and an intercept")


def _design(steps: Any, last: Any, frame: pl.DataFrame) -> tuple[Any, list[str]]:  # noqa: ANN401
    """Return X as the classifier saw it and the names of its columns."""
    first = steps if steps is not None else last
    wanted = getattr(first, "feature_names_in_", None)
    for name in () if wanted is None else wanted:
        if name not in frame.columns:
            raise MissingColumn(str(name), frame.columns, "the rows given with the model")
    given: Any = frame if wanted is None else frame.select([str(name) for name in wanted])
    if steps is None:
        X, names = given.to_numpy(), list(given.columns)
    else:
        # Text pipelines begin with a vectoriser, which takes one sequence of strings.
        X = steps.transform(given[given.columns[0]].to_list() if wanted is None and given.width == 1 else given)
        names = [str(name) for name in steps.get_feature_names_out()] if hasattr(steps, "get_feature_names_out") else []
    X = csr_array(X, dtype=np.float64) if issparse(X) else np.ascontiguousarray(X, dtype=np.float64)
    return X, names or [f"x{j}" for j in range(X.shape[1])]


def _class_order(last: Any, classes: Sequence[str]) -> list[int]:  # noqa: ANN401
    """Return, for each of our classes, its position in the model's."""
    theirs = [pl.Series([value]).cast(pl.String)[0] for value in last.classes_.tolist()]
    if sorted(theirs) != sorted(classes):
        what = f"the model knows the classes {', '.join(theirs[:5])}, the rows have {', '.join(classes[:5])}"
        raise FitError(what, "give the rows that it was fitted on")
    return [theirs.index(name) for name in classes]


def _coefficients(last: Any, order: list[int]) -> Tensor:  # noqa: ANN401
    """Return θ: differences to our first class, features by scores, then the intercepts."""
    table = np.column_stack([last.coef_, last.intercept_])  # (K or 1, d+1)
    if len(order) == 2:  # noqa: PLR2004 - one row of differences, class 1 to class 0 of theirs
        difference = table if order == [0, 1] else -table
    else:
        difference = table[order][1:] - table[order][:1]
    return torch.from_numpy(np.ascontiguousarray(difference.T, dtype=np.float64)).view(-1)


def _weights(last: Any, y: NDArray[np.int64], classes: Sequence[str]) -> Tensor:  # noqa: ANN401
    """Return ω from the model's class_weight."""
    counts = np.bincount(y, minlength=len(classes))
    if last.class_weight is None:
        per_class = np.ones(len(classes))
    elif last.class_weight == "balanced":
        per_class = len(y) / (len(classes) * counts)
    else:
        given = {pl.Series([key]).cast(pl.String)[0]: value for key, value in last.class_weight.items()}
        per_class = np.array([given.get(name, 1.0) for name in classes])
    return torch.from_numpy(per_class[y].astype(np.float64))
