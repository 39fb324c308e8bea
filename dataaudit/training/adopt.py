"""A user's fitted scikit-learn model on the rows of a table: the steps of its pipeline, then its classifier.

The steps are asked for the features that the classifier saw; `training.sklearn` says what that one minimised.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.sparse import csr_array, issparse
from torch import Tensor

from dataaudit.data.dataset import first_line
from dataaudit.errors import FitError, MissingColumn
from dataaudit.features.columns import Feature
from dataaudit.features.target import class_texts
from dataaudit.model.objective import Objective
from dataaudit.solvers.newton import Fit
from dataaudit.training.sklearn import require_supported, take, unwrapped


@dataclass(frozen=True)
class Adopted:
    """A user's model on the audited rows."""

    objective: Objective
    fit: Fit  # its coefficients with the gradient norm that they really have, or the minimum near them
    features: tuple[Feature, ...]  # one per column of X
    notes: tuple[str, ...]  # what was made of it, in sentences
    design: Callable[[pl.DataFrame], NDArray[np.float64] | csr_array]
    kernel: bool  # whether the features are those of a kernel


def adopt(
    model: Any,  # one of `sklearn.KINDS`, fitted with an l2 penalty or none and an intercept
    frame: pl.DataFrame,  # the training rows without the label column
    y: NDArray[np.int64],  # (n,)
    *,
    classes: Sequence[str],
    weight: Tensor | None = None,  # (n,) the sample_weight that it was fitted with, float64
    refit: bool = False,  # go from its coefficients to the minimum of its objective, however far
) -> Adopted:
    """Take a fitted classifier, alone or last in a `Pipeline`."""
    steps, last = _split(unwrapped(model))
    require_supported(last)
    X, names = _design(steps, last, frame)
    taken = take(last, X, y, order=_class_order(last, classes), weight=weight, refit=refit)
    if taken.kernel is not None:
        names = [f"RBF {j + 1}" for j in range(taken.objective.rows.width)]
    features = tuple(Feature(name, name, None, "numeric") for name in names)

    def design(rows: pl.DataFrame) -> NDArray[np.float64] | csr_array:
        for name in frame.columns:
            if name not in rows.columns:
                raise MissingColumn(name, rows.columns, "the rows to predict")
        found: NDArray[np.float64] | csr_array = _design(steps, last, rows.select(frame.columns))[0]
        return found if taken.kernel is None else taken.kernel(found)

    return Adopted(taken.objective, taken.fit, features, taken.notes, design, kernel=taken.kernel is not None)


def _split(model: Any) -> tuple[Any, Any]:
    """Return the transforming steps (or None) and the classifier."""
    if hasattr(model, "steps"):
        return (model[:-1] if len(model.steps) > 1 else None), model.steps[-1][1]
    return None, model


def _design(steps: Any, last: Any, frame: pl.DataFrame) -> tuple[Any, list[str]]:
    """Return X as the classifier saw it and the names of its columns."""
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
        what = f"the model cannot take these rows: {first_line(error)}"
        raise FitError(what, "give the rows that it was fitted on") from error
    names = list(given.columns) if steps is None else _names_after(steps, given)
    names = names if len(names) == X.shape[1] else [f"x{j}" for j in range(X.shape[1])]
    _require_finite(X, names)
    return X, names


def _as_fitted(steps: Any, given: pl.DataFrame) -> Any:
    """Return the rows in the form that the first step was fitted on: a frame, texts, or an array."""
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
    """Return the names of the columns that the steps give; none where a step does not know."""
    known = hasattr(steps, "feature_names_in_") or not hasattr(steps, "n_features_in_")
    try:
        return [str(name) for name in steps.get_feature_names_out(None if known else given.columns)]
    except (AttributeError, ValueError):  # a pipeline has the method even where one of its steps has not
        return []


def _require_finite(X: Any, names: Sequence[str]) -> None:
    """Refuse cells that are missing or infinite."""
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
