"""Out-of-fold probabilities of any classifier of scikit-learn: each part is predicted by the others.

Rows that are equal but for the label, and rows of one group, are in one part: else a copy would be predicted
by its copy. Parts have the classes in equal shares, as far as groups allow.
"""

from __future__ import annotations

import warnings
from typing import Any, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from dataaudit.audits.outside.matrix import Floats, checked
from dataaudit.data.dataset import Dataset, first_line
from dataaudit.errors import AuditError, FitError, SettingError
from dataaudit.features.target import Target, encode_weight
from dataaudit.options import LabelOptions

STAGE: Final = "fit on all parts but one"


def out_of_fold(dataset: Dataset, target: Target, settings: LabelOptions) -> tuple[Floats, str]:
    """Return the probability of every class for every row, and a sentence on how it was made."""  # (n, K)
    X, labels = _features(dataset, settings), dataset.frame[dataset.target].to_numpy()
    weight = None if settings.weight is None else encode_weight(dataset.frame[settings.weight])
    groups = groups_of(dataset, settings)
    found = by_folds(X, settings, labels=labels, target=target, groups=groups, weight=weight)
    name, folds = type(settings.estimator).__name__, settings.folds
    note = (
        f"Probabilities are out-of-fold: {name} was fitted {folds} times, without the rows that it predicts."
    )
    return found, note


def by_folds(
    X: Any,
    settings: LabelOptions,
    *,
    labels: NDArray[Any],  # (n,) as the estimator is given them
    target: Target,
    groups: NDArray[np.int64],  # (n,) rows of one are in one part
    weight: Floats | None = None,
) -> Floats:
    """Return the probability of every class for every row by an estimator that was fitted without it."""
    from sklearn.base import clone  # noqa: PLC0415 - costs a second
    from sklearn.model_selection import StratifiedGroupKFold  # noqa: PLC0415 - the same

    model, folds = settings.estimator, settings.folds
    _require(model, target, folds)
    number = dict(zip(labels.tolist(), target.y.tolist(), strict=True))
    probabilities = np.zeros((len(target.y), len(target.classes)))
    parts = StratifiedGroupKFold(folds, shuffle=True, random_state=settings.seed)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The least populated class")  # a note says so
        split = list(parts.split(np.zeros(len(labels)), target.y, groups))
    for done, (train, test) in enumerate(split):
        settings.step(STAGE, done, folds)
        try:
            fitted = clone(model).fit(_take(X, train), labels[train], **_weights(model, weight, train))
            found = np.asarray(fitted.predict_proba(_take(X, test)), dtype=np.float64)
        except AuditError:
            raise
        except Exception as error:
            what = f"{type(model).__name__} cannot be fitted on these rows: {first_line(error)}"
            raise FitError(
                what, "give a pipeline that takes the columns as they are, or name them by features"
            ) from error
        probabilities[test[:, None], [number[one] for one in fitted.classes_.tolist()]] = found
    settings.step(STAGE, folds, folds)
    return checked(probabilities, target.classes)


def groups_of(dataset: Dataset, settings: LabelOptions) -> NDArray[np.int64]:
    """Return a number for each row, equal for rows of one group, and for rows that are copies."""  # -> (n,)
    from scipy.sparse import coo_array  # noqa: PLC0415 - only with folds
    from scipy.sparse.csgraph import connected_components  # noqa: PLC0415 - the same

    frame, names = dataset.frame, _names(dataset, settings)
    n, links = dataset.n, []
    keys = [frame.select(names).select(pl.all().cast(pl.String, strict=False)).hash_rows() if names else None]
    keys += [frame[settings.group].cast(pl.String).hash()] if settings.group in frame.columns else []
    for key in keys:
        if key is not None:
            first = pl.int_range(n, eager=True).to_frame("at").with_columns(k=key)
            links.append(first.with_columns(pl.col("at").first().over("k").alias("to"))["to"].to_numpy())
    at = np.concatenate([np.arange(n) for _ in links] or [np.arange(n)])
    to = np.concatenate(links or [np.arange(n)])
    return np.asarray(
        connected_components(coo_array((np.ones(len(at)), (at, to)), shape=(n, n)))[1], np.int64
    )


def _require(model: Any, target: Target, folds: int) -> None:
    """Refuse what is no classifier with probabilities, and more parts than rows of a class."""
    if isinstance(model, type) or not (hasattr(model, "fit") and hasattr(model, "get_params")):
        what = f"estimator is no classifier of scikit-learn: got {model!r}"[:200]
        raise SettingError(what, "give one that is not fitted, such as RandomForestClassifier()")
    if not hasattr(model, "predict_proba"):
        what = f"{type(model).__name__} has no predict_proba"
        raise SettingError(what, "wrap it: CalibratedClassifierCV(estimator), or set probability=True")
    counts = np.bincount(target.y, minlength=len(target.classes))
    if folds > counts.max():
        what = f"folds is {folds}, the largest class has {counts.max():,} rows"
        raise SettingError(what, "give fewer")


def _names(dataset: Dataset, settings: LabelOptions) -> list[str]:
    """Return the columns that the classifier is given."""
    own = {dataset.target, settings.weight, settings.group} - set(settings.features)
    return [name for name in dataset.frame.columns if name not in own]


def _features(dataset: Dataset, settings: LabelOptions) -> Any:
    """Return the rows as the first step takes them: texts for a vectoriser, else a frame."""
    frame = dataset.frame.select(_names(dataset, settings))
    if not frame.width:
        raise SettingError("there are no columns to fit the estimator on", "give pred_probs, or more columns")
    first = settings.estimator
    while (inner := getattr(first, "estimator", None) or _first_step(first)) is not None:
        first = inner
    if not hasattr(first, "build_analyzer"):  # of vectorisers, which take one sequence of texts
        return frame
    if frame.width != 1:
        what = f"{type(first).__name__} takes one column of text: got {', '.join(frame.columns[:5])}"
        raise SettingError(what, "name the text column with features")
    return frame.to_series().fill_null("").to_numpy()


def _first_step(model: Any) -> Any:
    steps = getattr(model, "steps", None)
    return steps[0][1] if steps else None


def _take(X: Any, rows: NDArray[np.int64]) -> Any:
    X = getattr(X, "iloc", X)  # of pandas
    return X[rows.tolist()] if isinstance(X, pl.DataFrame) else X[rows]


def _weights(model: Any, weight: Floats | None, rows: NDArray[np.int64]) -> dict[str, Floats]:
    """Return the weights under the name by which a pipeline hands them to its last step."""
    if weight is None:
        return {}
    name, inner = "sample_weight", getattr(model, "estimator", None) or model
    if steps := getattr(inner, "steps", None):
        name = f"{steps[-1][0]}__sample_weight"
    return {name: weight[rows]}
