"""The audit of labels as an estimator of scikit-learn, on a matrix: for pipelines and cross-validation."""

from __future__ import annotations

from typing import Any, Literal, Self

import numpy as np
import polars as pl
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import csr_array, issparse
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils import Tags
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from dataaudit.audits.tables import choose_ranking, review_order
from dataaudit.audits.validation import refined
from dataaudit.data.load import load
from dataaudit.features import Columns, Encoding, Feature
from dataaudit.features.target import Target
from dataaudit.noise import fit_noise
from dataaudit.options import LabelOptions
from dataaudit.training.encoded import Training
from dataaudit.training.train import train
from dataaudit.training.trained import score_rows

Floats = NDArray[np.float64]


class LabelAuditor(ClassifierMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """Find the rows of (X, y) whose labels are most likely wrong; a classifier as well, of what it fitted.

    A logistic regression is fitted, its basis and λ chosen by leave-one-out loss; every row is scored as if
    it had not been in training, and a noise model turns the scores into the probability that a label is
    wrong. It is what `audit_labels` does with a table, for people who have a matrix.

    Parameters
    ----------
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
        Labels, sorted.
    p_wrong_ : ndarray (n,)
        Probability that the label of each row is wrong.
    scores_ : ndarray (n,)
        What rows are ranked by, the larger the more suspect; `order_` breaks ties.
    order_ : ndarray (n,)
        Positions of the rows, the most suspect first.
    suggested_ : ndarray (n,)
        The likeliest other label of each row.
    expected_ : float
        Expected number of wrong labels.
    interval_ : tuple of float
        Ends of its 90 % interval; it holds if mistakes fall on the rows of a class at random.
    self_influence_, loo_loss_ : ndarray (n,)
        I_up,loss(z, z) / n, and the loss of each row without it, in nats.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> X, y = load_iris(return_X_y=True)
    >>> y[:3] = 2  # wrong
    >>> [int(row) for row in sorted(LabelAuditor().fit(X, y).order_[:3])]
    [0, 1, 2]
    """

    def __init__(
        self,
        *,
        rank: Literal["auto", "p-wrong", "leave-one-out", "self-influence"] = "auto",
        l2: float | None = None,
        basis: Literal["auto", "linear", "spline", "rbf"] = "auto",
        limit: float = 0.5,
        seed: int = 0,
    ) -> None:
        self.rank, self.l2, self.basis, self.limit, self.seed = rank, l2, basis, limit, seed

    def fit(self, X: Any, y: ArrayLike) -> Self:
        """Fit the model and score every row.

        Parameters
        ----------
        X : array or scipy sparse matrix (n, d)
            Numbers, none missing. Sparse ones stay sparse.
        y : array (n,)
            Labels of two classes or more.

        Returns
        -------
        LabelAuditor
            Itself.

        Raises
        ------
        ValueError
            If X or y is not of this shape, or there is one class.
        AuditError
            If the model cannot be fitted.
        """
        X, y = validate_data(self, X, y, accept_sparse="csr", dtype=np.float64, ensure_min_samples=2)
        check_classification_targets(y)
        self.classes_, numbers = np.unique(y, return_inverse=True)
        if len(self.classes_) < 2:  # noqa: PLR2004
            raise ValueError(f"y has one class: got {self.classes_[0]} in all {len(numbers)} rows")
        settings = LabelOptions(label="label", rank=self.rank, l2=self.l2, basis=self.basis, seed=self.seed)
        columns, kept = _columns(X), pl.Series("kept", np.ones(len(numbers), dtype=bool))
        dataset = load(pl.DataFrame({"label": numbers}), target="label")
        target = Target(tuple(map(str, self.classes_)), numbers.astype(np.int64), kept, ())
        encoding = Encoding((), (), (), columns.features)
        trained = train(Training(dataset, target, encoding, columns, np.ones(len(numbers))), settings)
        scores = refined(trained, score_rows(trained))
        noise = fit_noise(scores.loo_log_odds, target.y, len(self.classes_), same=trained.same_class)
        self._trained, (ranking, _) = trained, choose_ranking(self.rank, noise)
        self.order_: NDArray[np.int64] = review_order(dataset, scores, noise, ranking=ranking)
        self.p_wrong_: Floats = noise.p_wrong
        self.self_influence_, self.loo_loss_ = scores.self_influence, scores.loo_loss
        ranked = {"leave-one-out": scores.loo_loss, "self-influence": scores.self_influence}
        self.scores_: Floats = ranked.get(self.rank, noise.p_wrong)
        self.suggested_ = self.classes_[scores.suggested]
        self.expected_, self.interval_ = noise.expected, noise.interval
        self._y = y
        return self

    def fit_predict(self, X: Any, y: ArrayLike) -> NDArray[Any]:
        """Return the labels as they would be once those that are likely wrong were replaced.

        Parameters
        ----------
        X, y : as in `fit`

        Returns
        -------
        ndarray (n,)
            The suggested label where P(label is wrong) is above `limit`, else the label.
        """
        fitted = self.fit(X, y)
        return np.where(fitted.p_wrong_ > self.limit, fitted.suggested_, self._y)

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
        X = validate_data(self, X, accept_sparse="csr", dtype=np.float64, reset=False)
        found: Floats = self._trained.probabilities(_columns(X))
        return found

    def predict(self, X: Any) -> NDArray[Any]:
        """Return the likeliest class of new rows.

        Parameters
        ----------
        X : array or scipy sparse matrix (t, d)

        Returns
        -------
        ndarray (t,)
        """
        likeliest = self.predict_proba(X).argmax(1)
        found: NDArray[Any] = self.classes_[likeliest]
        return found

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags


def _columns(X: Any) -> Columns:
    """Return a matrix as encoded columns."""
    n, d = X.shape
    nothing, none = np.empty((n, 0)), csr_array((n, 0))
    if issparse(X):
        terms = tuple(Feature(f"x{j}", f"x{j}", None, "term") for j in range(d))
        return Columns(nothing, (), nothing, (), none, (), csr_array(X), terms)
    numeric = tuple(Feature(f"x{j}", f"x{j}", None, "numeric") for j in range(d))
    return Columns(np.asarray(X), numeric, nothing, (), none, (), none, ())
