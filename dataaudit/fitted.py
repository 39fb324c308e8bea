"""A user's fitted scikit-learn logistic regression, taken as it is: its coefficients, not a refit.

scikit-learn minimises ``C Σ ω_i ℓ_i + ½ Σ coef²`` with free intercepts, which is our objective at λ = 1/(nC)
with the class weights as ω. Its K symmetric coefficients of a multinomial fit become K - 1 differences to the
first class; the ridge's form is the same (`models`). Whether the fit is at its minimum is measured, not
assumed.
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
from dataaudit.encode.target import class_texts
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


def adopt(
    model: Any,
    frame: pl.DataFrame,
    y: NDArray[np.int64],
    *,
    classes: Sequence[str],
    weight: Tensor | None = None,
) -> Adopted:
    """Take a fitted `LogisticRegression`, alone or last in a `Pipeline`.

    Parameters
    ----------
    model : LogisticRegression or Pipeline
        Fitted with an l2 penalty or none, and an intercept, by any solver but liblinear (which penalises the
        intercept).
    frame : pl.DataFrame
        The training rows without the label column.
    y : ndarray (n,) int64
        Class numbers.
    classes : sequence of str
        Class names by number.
    weight : Tensor (n,), optional
        The sample_weight that it was fitted with, float64.

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
    require_supported(last)
    X, names = _design(steps, last, frame)
    objective, fit = adopt_design(last, X, y, order=_class_order(last, classes), weight=weight)
    return Adopted(objective, fit, tuple(Feature(name, name, None, "numeric") for name in names))


def adopt_design(
    model: Any, X: Any, y: NDArray[np.int64], *, order: Sequence[int], weight: Tensor | None = None
) -> tuple[Objective, Fit]:
    """Take a fitted `LogisticRegression` on the features that it saw.

    Parameters
    ----------
    model : LogisticRegression
        As for `adopt`.
    X : ndarray (n, d) or csr_array (n, d)
        Float64.
    y : ndarray (n,) int64
        Class numbers.
    order : sequence of int
        For each class number, its position in the model's `classes_`.
    weight : Tensor (n,), optional
        The sample_weight that it was fitted with, float64.

    Returns
    -------
    objective : Objective
        What it minimised.
    fit : Fit
        Its coefficients, with the gradient norm that they really have.

    Raises
    ------
    SettingError
        If the model is of another kind, not fitted, or fitted with a penalty that influence does not cover.
    FitError
        If it was fitted on another number of features.
    """
    require_supported(model)
    if X.shape[1] != model.n_features_in_:
        what = f"the model was fitted on {model.n_features_in_} features, these rows have {X.shape[1]}"
        raise FitError(what, "give the rows that it was fitted on")
    theta = _coefficients(model, list(order))
    by_class = _weights(model, y, order)
    omega = by_class if weight is None else by_class * weight
    rows = MemoryRows(X if issparse(X) else torch.from_numpy(X), torch.from_numpy(y), omega)
    free = getattr(model, "penalty", "l2") is None or np.isinf(model.C)  # older and newer way to say so
    l2 = 0.0 if free else 1.0 / (len(y) * float(model.C))
    objective = Objective(rows, LinearModel(Softmax(len(order)), X.shape[1]), l2)
    norm = float(objective.gradient(theta).abs().max())
    return objective, Fit(theta, norm, int(np.max(model.n_iter_)), FitSettings().tolerance)


def _split(model: Any) -> tuple[Any, Any]:
    """Return the transforming steps (or None) and the classifier."""
    if hasattr(model, "steps"):
        return (model[:-1] if len(model.steps) > 1 else None), model.steps[-1][1]
    return None, model


def require_supported(last: Any) -> None:
    """Check the kind and the penalty of a classifier.

    Raises
    ------
    SettingError
        If influence of this model is not what the core computes.
    """
    kind = type(last).__name__
    if kind != "LogisticRegression":
        raise SettingError(
            f"model must end in a LogisticRegression: got {kind}", "leave model out to have one fitted"
        )
    if not hasattr(last, "coef_"):
        raise SettingError("the LogisticRegression is not fitted", "call fit first")
    l1 = getattr(last, "l1_ratio", 0.0) or 0.0
    penalty = getattr(last, "penalty", "l2")
    if l1 > 0 or penalty in ("l1", "elasticnet"):
        raise SettingError("an l1 penalty has no Hessian: got a model with one", "fit it with l2")
    several = len(last.classes_) > 2  # noqa: PLR2004 - for two classes both are the same
    if several and getattr(last, "multi_class", "auto") == "ovr":
        raise SettingError("the model is one fit per class (multi_class='ovr')", "fit a multinomial one")
    if last.solver == "liblinear" or not last.fit_intercept:
        free = last.solver != "liblinear"
        what = "the model has no intercept" if free else "liblinear penalises the intercept"
        raise SettingError(what, "fit with solver='lbfgs' and an intercept")


def _design(steps: Any, last: Any, frame: pl.DataFrame) -> tuple[Any, list[str]]:
    """Return X as the classifier saw it and the names of its columns.

    Raises
    ------
    MissingColumn
        If the model knows the names of its columns, and one is not there.
    FitError
        If the steps before the classifier, or the classifier, cannot take these rows.
    """
    first = steps if steps is not None else last
    wanted = getattr(first, "feature_names_in_", None)
    for name in () if wanted is None else wanted:
        if name not in frame.columns:
            raise MissingColumn(str(name), frame.columns, "the rows given with the model")
    given = frame if wanted is None else frame.select([str(name) for name in wanted])
    try:
        X = given.to_numpy() if steps is None else steps.transform(_as_fitted(first, given))
        X = csr_array(X, dtype=np.float64) if issparse(X) else np.ascontiguousarray(X, dtype=np.float64)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        cause = str(error).strip().split("\n", 1)[0]
        raise FitError(
            f"the model cannot take these rows: {cause}", "give the rows that it was fitted on"
        ) from error
    names = list(given.columns) if steps is None else _names_after(steps, given)
    names = names if len(names) == X.shape[1] else [f"x{j}" for j in range(X.shape[1])]
    _require_finite(X, names)
    return X, names


def _as_fitted(steps: Any, given: pl.DataFrame) -> Any:
    """Return the rows in the form that the first step was fitted on: a frame, texts, or an array.

    Raises
    ------
    FitError
        If it takes texts and there are several columns.
    """
    if hasattr(steps, "feature_names_in_"):
        return given
    if hasattr(steps, "n_features_in_"):
        return given.to_numpy()  # a frame's names would make scikit-learn warn
    # Text pipelines begin with a vectoriser, which takes one sequence of strings and counts no features.
    if given.width != 1:
        what = f"the model takes one column of text: got {', '.join(given.columns[:5])}"
        raise FitError(what, "name the text column with features")
    return given[given.columns[0]].to_list()


def _names_after(steps: Any, given: pl.DataFrame) -> list[str]:
    """Return the names of the columns that the steps give; none where a step cannot tell."""
    known = hasattr(steps, "feature_names_in_") or not hasattr(steps, "n_features_in_")
    try:
        return [str(name) for name in steps.get_feature_names_out(None if known else given.columns)]
    except (AttributeError, ValueError):  # a pipeline has the method even where one of its steps has not
        return []


def _require_finite(X: Any, names: Sequence[str]) -> None:
    """Check that every cell is a number.

    Raises
    ------
    FitError
        If one is missing or infinite: a logistic regression cannot have been fitted on it.
    """
    values, columns = (X.data, X.indices) if issparse(X) else (X.ravel(), None)
    wrong = np.flatnonzero(~np.isfinite(values))
    if len(wrong):
        name = names[int(wrong[0]) % len(names) if columns is None else int(columns[wrong[0]])]
        what = f"column {name!r} has missing or infinite values, which the model cannot have seen"
        raise FitError(what, "give the rows that it was fitted on")


def _class_order(last: Any, classes: Sequence[str]) -> list[int]:
    """Return, for each of our classes, its position in the model's."""
    theirs = class_texts(pl.Series(last.classes_.tolist())).to_list()
    if sorted(theirs) != sorted(classes):
        what = f"the model knows the classes {', '.join(theirs[:5])}, the rows have {', '.join(classes[:5])}"
        raise FitError(what, "give the rows that it was fitted on")
    return [theirs.index(name) for name in classes]


def _coefficients(last: Any, order: list[int]) -> Tensor:
    """Return θ: differences to our first class, features by scores, then the intercepts."""
    table = np.column_stack([last.coef_, last.intercept_])  # (K or 1, d+1)
    if len(order) == 2:  # noqa: PLR2004 - one row of differences, class 1 to class 0 of theirs
        difference = table if order == [0, 1] else -table
    else:
        difference = table[order][1:] - table[order][:1]
    return torch.from_numpy(np.ascontiguousarray(difference.T, dtype=np.float64)).view(-1)


def _weights(last: Any, y: NDArray[np.int64], order: Sequence[int]) -> Tensor:
    """Return ω from the model's class_weight."""  # -> (n,)
    counts = np.bincount(y, minlength=len(order))
    if last.class_weight is None:
        per_class = np.ones(len(order))
    elif last.class_weight == "balanced":
        per_class = len(y) / (len(order) * counts)
    else:
        theirs = [last.class_weight.get(value, 1.0) for value in last.classes_.tolist()]
        per_class = np.array([theirs[position] for position in order])
    return torch.from_numpy(per_class[y].astype(np.float64))
