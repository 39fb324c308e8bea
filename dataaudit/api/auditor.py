"""The audit of labels as an estimator of scikit-learn, on a matrix: for pipelines and cross-validation."""

from __future__ import annotations

import itertools
from typing import Any, Literal, Self

import numpy as np
import polars as pl
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import csr_array, issparse
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.metrics import r2_score
from sklearn.utils import RegressorTags, Tags
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, column_or_1d, validate_data
from torch import Tensor

from dataaudit.audits.labels import Judged
from dataaudit.audits.outside.findings import outside_scores
from dataaudit.audits.outside.folds import by_folds
from dataaudit.audits.outside.matrix import given_probabilities
from dataaudit.audits.tables import choose_ranking, review_order
from dataaudit.data.load import load
from dataaudit.errors import SettingError
from dataaudit.features import Columns, Encoding, Feature
from dataaudit.features.target import Target, encode_target
from dataaudit.noise import NoiseModel, fit_noise
from dataaudit.options import LabelOptions
from dataaudit.options.groups import TaskName
from dataaudit.training.encoded import Training
from dataaudit.training.numbers import quantity_of, settled, suggested_values
from dataaudit.training.train import train
from dataaudit.training.trained import RowScores, Trained

Floats = NDArray[np.float64]


class LabelAuditor(ClassifierMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """Find the rows of (X, y) whose labels are most likely wrong; a model as well, of what it fitted.

    A logistic regression is fitted, its basis and λ chosen by leave-one-out loss; every row is scored as if
    it had not been in training, and a noise model turns the scores into the probability that a label is
    wrong. It is what `audit_labels` does with a table, for people who have a matrix. Any other classifier
    comes as `estimator`, its out-of-sample probabilities as `pred_probs` of `fit`; with `task` it is a
    regressor of numbers.

    Parameters
    ----------
    estimator : classifier, optional
        Unfitted, with `predict_proba`, or a pipeline or search: rows are judged by what it says of each part
        of them when it is fitted on the others. Then X is what it takes: texts, frames, missing values.
    folds : int
        Parts of the rows, for `estimator`.
    task : {"classification", "regression", "count"}
        Whether y has classes, measured numbers (ridge regression) or counts (Poisson regression).
    rank : {"auto", "p-wrong", "leave-one-out", "self-influence"}
        What `scores_` is.
    l2 : float, optional
        λ of the mean loss plus ``λ/2 ‖coefficients‖²``; chosen by leave-one-out loss where it is left out.
    basis : {"auto", "linear", "spline", "rbf"}
        Shape of the columns.
    limit : float
        `fit_predict` returns the suggested label where P(label is wrong) is above it.
    seed : int
        Of all that is random.

    Attributes
    ----------
    classes_ : ndarray (K,)
        Labels, sorted; of numbers there are none.
    estimator_ : classifier
        `estimator`, fitted on all rows, for `predict`.
    p_wrong_ : ndarray (n,)
        Probability that the label of each row is wrong.
    scores_ : ndarray (n,)
        What rows are ranked by, the larger the more suspect; `order_` breaks ties.
    order_ : ndarray (n,)
        Positions of the rows, the most suspect first.
    suggested_ : ndarray (n,)
        The likeliest other label of each row; of numbers, what the other rows suggest.
    expected_ : float
        Expected number of wrong labels.
    interval_ : tuple of float
        Ends of its 90 % interval; it holds if mistakes fall on the rows of a class at random.
    self_influence_, loo_loss_ : ndarray (n,)
        I_up,loss(z, z) / n, and the loss of each row without it, in nats; by an `estimator`, and by
        `pred_probs`, the first is nan.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> X, y = load_iris(return_X_y=True)
    >>> y[:3] = 2  # wrong
    >>> [int(row) for row in sorted(LabelAuditor().fit(X, y).order_[:3])]
    [0, 1, 2]
    >>> from sklearn.ensemble import RandomForestClassifier
    >>> LabelAuditor(estimator=RandomForestClassifier(random_state=0)).fit(X, y).p_wrong_.shape
    (150,)
    """

    def __init__(
        self,
        *,
        estimator: Any = None,
        folds: int = 5,
        task: TaskName = "classification",
        rank: Literal["auto", "p-wrong", "leave-one-out", "self-influence"] = "auto",
        l2: float | None = None,
        basis: Literal["auto", "linear", "spline", "rbf"] = "auto",
        limit: float = 0.5,
        seed: int = 0,
    ) -> None:
        self.estimator, self.folds, self.task, self.limit = estimator, folds, task, limit
        self.rank, self.l2, self.basis, self.seed = rank, l2, basis, seed

    def fit(self, X: Any, y: ArrayLike, *, pred_probs: Any = None) -> Self:
        """Fit the model and score every row.

        Parameters
        ----------
        X : array or scipy sparse matrix (n, d)
            Numbers, none missing. Sparse ones stay sparse. With `estimator`, what that takes.
        y : array (n,)
            Labels of two classes or more, or numbers.
        pred_probs : array (n, K) or frame, optional
            Out-of-sample probabilities of any model, columns in the order of the sorted classes: rows are
            judged by these, and nothing is fitted. In a pipeline: ``set_fit_request(pred_probs=True)``.

        Returns
        -------
        LabelAuditor
            Itself.

        Raises
        ------
        ValueError
            If X or y is not of this shape, or there is one class.
        AuditError
            If the model cannot be fitted, or probabilities are not those of these rows.
        """
        settings = LabelOptions(
            label="label", task=self.task, rank=self.rank, l2=self.l2, basis=self.basis, seed=self.seed,
            estimator=self.estimator, folds=self.folds, pred_probs=pred_probs,
        )  # fmt: skip
        X, y = self._checked(X, y, outside=settings.outside is not None)
        target, self._trained = self._target(y), None
        dataset = load(pl.DataFrame({"label": y if settings.is_number else target.y}), target="label")
        if settings.outside is None:
            encoding, columns = Encoding((), (), (), _columns(X).features), _columns(X)
            trained = train(Training(dataset, target, encoding, columns, np.ones(len(y))), settings)
            judged = Judged.of(
                dataset, target, settled(trained) if trained.quantity else trained, settings=settings
            )
            self._trained, scores, noise, self.order_ = (
                judged.trained,
                judged.scores,
                judged.noise,
                judged.order,
            )
        else:
            scores, noise = self._outside(X, y, target, settings)
            self.order_ = review_order(dataset, scores, noise, ranking=choose_ranking(self.rank, noise)[0])
        self.p_wrong_: Floats = noise.p_wrong
        self.self_influence_, self.loo_loss_ = scores.self_influence, scores.loo_loss
        ranked = {"leave-one-out": scores.loo_loss, "self-influence": scores.self_influence}
        self.scores_: Floats = ranked.get(self.rank, noise.p_wrong)
        self.expected_, self.interval_ = noise.expected, noise.interval
        if target.quantity is None:
            self.suggested_ = self.classes_[scores.suggested]
        else:
            self.suggested_ = suggested_values(target.quantity, scores)
        self._y = y
        return self

    def _checked(self, X: Any, y: ArrayLike, *, outside: bool) -> tuple[Any, NDArray[Any]]:
        """Return rows and labels as arrays; of what an estimator takes only the labels are looked at."""
        if not outside:
            numbers, least = self.task != "classification", 2
            wanted = {"accept_sparse": "csr", "dtype": np.float64, "ensure_min_samples": least}
            return validate_data(self, X, y, y_numeric=numbers, **wanted)  # type: ignore[no-any-return]
        X = np.array(X, dtype=object) if isinstance(X, list) else X
        X, y = validate_data(self, X, y, skip_check_array=True, ensure_2d=False)
        return X, column_or_1d(y)

    def _target(self, y: NDArray[Any]) -> Target:
        """Return the classes of the rows, or their numbers."""
        if self.task != "classification":
            return encode_target(pl.Series("y", y.astype(np.float64)), self.task)
        check_classification_targets(y)
        self.classes_, numbers = np.unique(y, return_inverse=True)
        if len(self.classes_) < 2:  # noqa: PLR2004
            raise ValueError(f"y has one class: got {self.classes_[0]} in all {len(numbers)} rows")
        kept = pl.Series("kept", np.ones(len(numbers), dtype=bool))
        return Target(tuple(map(str, self.classes_)), numbers.astype(np.int64), kept, ())

    def _outside(
        self, X: Any, y: NDArray[Any], target: Target, settings: LabelOptions
    ) -> tuple[RowScores, NoiseModel]:
        """Judge rows by probabilities of a model that is not fitted here."""
        if self.estimator is None:
            P = given_probabilities(settings.pred_probs, target)
        else:
            P = by_folds(X, settings, labels=y, target=target, groups=_copies(X))
            self.estimator_ = clone(self.estimator).fit(X, y)
        scores = outside_scores(P, target)
        return scores, fit_noise(scores.loo_log_odds, target.y, len(target.classes))

    def fit_predict(self, X: Any, y: ArrayLike, *, pred_probs: Any = None) -> NDArray[Any]:
        """Return the labels as they would be once those that are likely wrong were replaced.

        Parameters
        ----------
        X, y, pred_probs : as in `fit`

        Returns
        -------
        ndarray (n,)
            The suggested label where P(label is wrong) is above `limit`, else the label.
        """
        fitted = self.fit(X, y, pred_probs=pred_probs)
        return np.where(fitted.p_wrong_ > self.limit, fitted.suggested_, self._y)

    @available_if(lambda self: self.task == "classification")  # type: ignore[untyped-decorator]
    def predict_proba(self, X: Any) -> Floats:
        """Return the probability of every class for new rows.

        Parameters
        ----------
        X : array or scipy sparse matrix (t, d)

        Returns
        -------
        ndarray (t, K)
        """
        check_is_fitted(self)
        if self.estimator is not None:
            return np.asarray(self.estimator_.predict_proba(X))
        return self._model.log_probabilities(self._scored(X)).exp().numpy()

    def predict(self, X: Any) -> NDArray[Any]:
        """Return the likeliest class of new rows, or their number.

        Parameters
        ----------
        X : array or scipy sparse matrix (t, d)

        Returns
        -------
        ndarray (t,)
        """
        check_is_fitted(self)
        if self.task != "classification":
            return quantity_of(self._model).of_scores(self._scored(X)[:, 0].numpy())
        found: NDArray[Any] = self.classes_[self.predict_proba(X).argmax(1)]
        return found

    def score(self, X: Any, y: ArrayLike, *, sample_weight: ArrayLike | None = None) -> float:
        """Return the accuracy of `predict` on new rows; of numbers R².

        Parameters
        ----------
        X : array or scipy sparse matrix (t, d)
        y : array (t,)
        sample_weight : array (t,), optional

        Returns
        -------
        float
        """
        if self.task == "classification":
            return float(super().score(X, y, sample_weight))
        return float(r2_score(y, self.predict(X), sample_weight=sample_weight))

    @property
    def _model(self) -> Trained:
        """What was fitted; nothing where probabilities were given."""
        if self._trained is None:
            what = "no model was fitted, as pred_probs were given"
            raise SettingError(what, "give an estimator in their place to predict new rows")
        return self._trained

    def _scored(self, X: Any) -> Tensor:
        """Return the scores of new rows."""  # (t, d) -> (t, k)
        trained = self._model
        X = validate_data(self, X, accept_sparse="csr", dtype=np.float64, reset=False)
        return trained.scored(_columns(X))

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        if self.task != "classification":
            tags.estimator_type, tags.classifier_tags, tags.regressor_tags = (
                "regressor",
                None,
                RegressorTags(),
            )
        return tags


def _copies(X: Any) -> NDArray[np.int64]:
    """Return a number for each row, equal for rows that are equal: they go into one part."""  # -> (n,)
    rows: list[Any]
    if issparse(X):
        ends = itertools.pairwise(csr_array(X).indptr)
        rows = [(X.indices[a:b].tobytes(), X.data[a:b].tobytes()) for a, b in ends]
    else:
        cells = X.to_numpy() if hasattr(X, "to_numpy") else np.asarray(X)
        rows = [row.tobytes() if cells.dtype != object else repr(row) for row in cells]
    number = {row: at for at, row in enumerate(dict.fromkeys(rows))}
    return np.array([number[row] for row in rows], dtype=np.int64)


def _columns(X: Any) -> Columns:
    """Return a matrix as encoded columns."""
    n, d = X.shape
    nothing, none = np.empty((n, 0)), csr_array((n, 0))
    if issparse(X):
        terms = tuple(Feature(f"x{j}", f"x{j}", None, "term") for j in range(d))
        return Columns(nothing, (), nothing, (), none, (), csr_array(X), terms)
    numeric = tuple(Feature(f"x{j}", f"x{j}", None, "numeric") for j in range(d))
    return Columns(np.asarray(X), numeric, nothing, (), none, (), none, ())
