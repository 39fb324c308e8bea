"""Several measures of what rows are worth, side by side."""

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer
from sklearn.preprocessing import StandardScaler

from dataaudit import data_values
from dataaudit.errors import SettingError


@pytest.fixture(scope="module")
def rows():
    X, y = load_breast_cancer(return_X_y=True)
    X = StandardScaler().fit_transform(X)
    known, truth = y[:300].copy(), y[300:]
    wrong = np.random.default_rng(0).choice(300, 30, replace=False)
    known[wrong] = 1 - known[wrong]
    return X[:300], known, wrong, (X[300:], truth)


@pytest.mark.parametrize("tested", [True, False])
def test_wrong_labels_are_worth_little_by_every_measure(rows, tested):
    X, y, wrong, test = rows
    values = data_values(X, y, test=test if tested else None)
    assert values["row"].to_list() == list(range(300))
    for name in ("influence", "knn_shapley", "data_oob", "self_influence"):
        first = np.argsort(values[f"rank_{name}"].to_numpy())[:60]
        assert np.isin(wrong, first).mean() > 0.6, name
        assert sorted(values[f"rank_{name}"]) == list(range(1, 301))


def test_a_class_that_no_training_row_has_is_refused(rows):
    X, y, _, _ = rows
    with pytest.raises(SettingError, match="a class"):
        data_values(X, y, test=(X[:2], [0, 7]))
