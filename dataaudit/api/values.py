"""What training rows are worth, by several measures side by side."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import torch
from numpy.typing import ArrayLike

from dataaudit.api.influence import Influence
from dataaudit.errors import SettingError
from dataaudit.influence.neighbourhood import knn_shapley
from dataaudit.training.sklearn import matrix

TREES = 200


def data_values(
    X: Any,
    y: ArrayLike,
    *,
    test: tuple[Any, ArrayLike] | None = None,
    l2: float = 1e-3,
    k: int = 5,
    seed: int = 0,
) -> pl.DataFrame:
    """Return what every training row is worth to a classifier, by four measures side by side.

    They answer different questions, so they need not agree. Rows that all of them rank low are the first to
    look at.

    Parameters
    ----------
    X : array or scipy sparse matrix (n, d)
        Training rows, columns in comparable units: distances are taken in them.
    y : array (n,)
        Their labels.
    test : (array (t, d), array (t,)), optional
        Rows that the model is meant for. Without them every row is judged by the other training rows, and
        `influence` and `knn_shapley` say how far it agrees with them.
    l2 : float
        λ of the logistic regression whose influences are taken.
    k : int
        Neighbours that vote.
    seed : int
        Of the bootstrap samples.

    Returns
    -------
    pl.DataFrame
        One row per training row, in their order: `row`; `influence`, how much the mean test loss rises when
        the row is removed from the logistic regression, to first order, in nats times n; `knn_shapley`, its
        mean share of the votes for the right class among k neighbours, over all orders in which rows may
        come (Jia et al. 2019); `data_oob`, the share of 200 trees, each trained on a bootstrap sample without
        the row, that predict its label (Kwon & Zou 2023; needs no test rows); `self_influence`, how much
        the row holds up its own label, where large is suspect. `rank_…` of each has 1 for the least valuable.

    Raises
    ------
    SettingError
        If arrays do not fit together, or k is more than there are rows.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> X, y = load_iris(return_X_y=True)
    >>> y[0] = 2  # wrong
    >>> values = data_values(X, y)
    >>> values.filter(pl.col("row") == 0).select("rank_influence", "rank_knn_shapley").row(0)
    (1, 1)
    """
    found = Influence(None, X, y, l2=l2)
    design = matrix(X)
    numbers = np.searchsorted(found.classes, np.asarray(y).reshape(-1))
    dense = [_dense(design), torch.from_numpy(numbers)]
    judged = (X, y) if test is None else test
    up = found.up_loss(*judged)
    if test is None:
        np.fill_diagonal(up, 0.0)  # its own loss says nothing of the others'
    known = None
    if test is not None:
        labels = np.asarray(test[1]).reshape(-1)
        if not np.isin(labels, found.classes).all():
            raise SettingError("a test row has a class that no training row has", "leave it out")
        known = _dense(matrix(test[0])), torch.from_numpy(np.searchsorted(found.classes, labels))
    values = {
        "influence": -up.mean(0),
        "knn_shapley": knn_shapley(dense[0], dense[1], test=known, k=k).numpy(),
        "data_oob": _out_of_bag(design, numbers, seed),
        "self_influence": found.self_influence(),
    }
    table = pl.DataFrame({"row": np.arange(len(numbers)), **values})
    return table.with_columns(
        pl.col(name).rank("ordinal", descending=name == "self_influence").cast(pl.Int64).alias(f"rank_{name}")
        for name in values
    )


def _out_of_bag(X: Any, y: Any, seed: int) -> Any:
    """Return the share of trees without a row that predict its label: .5 where none was without it."""
    from sklearn.tree import DecisionTreeClassifier

    random, n = np.random.default_rng(seed), len(y)
    right, seen = np.zeros(n), np.zeros(n)
    for _ in range(TREES):
        drawn = random.integers(0, n, n)
        out = np.setdiff1d(np.arange(n), drawn)
        tree = DecisionTreeClassifier(max_features="sqrt", random_state=int(random.integers(2**31)))
        right[out] += tree.fit(X[drawn], y[drawn]).predict(X[out]) == y[out]
        seen[out] += 1
    return np.divide(right, seen, out=np.full(n, 0.5), where=seen > 0)


def _dense(X: Any) -> torch.Tensor:
    return torch.from_numpy(X if isinstance(X, np.ndarray) else X.toarray())
