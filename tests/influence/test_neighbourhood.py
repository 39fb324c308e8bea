"""Influence against distance: by a slow twin, and on inputs that a network was fooled with."""

from itertools import permutations

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression, Ridge

from dataaudit import Influence
from dataaudit.errors import SettingError
from dataaudit.influence.neighbourhood import knn_shapley, neighbourhood


def test_ranks_and_distances_by_a_loop():
    generator = torch.Generator().manual_seed(0)
    influences = torch.randn(3, 12, dtype=torch.float64, generator=generator)
    known, given = (torch.randn(n, 4, dtype=torch.float64, generator=generator) for n in (12, 3))
    found = neighbourhood(influences, known, given, rows=5)
    for t in range(3):
        far = [float((given[t] - row).norm()) for row in known]
        places = {row: place for place, row in enumerate(sorted(range(12), key=far.__getitem__), start=1)}
        helpful = sorted(range(12), key=lambda i: float(influences[t, i]))[:5]
        harmful = sorted(range(12), key=lambda i: -float(influences[t, i]))[:5]
        assert found.helpful_ranks[t].tolist() == [places[row] for row in helpful]
        assert found.harmful_ranks[t].tolist() == [places[row] for row in harmful]
        np.testing.assert_allclose(found.helpful_distances[t], [far[row] for row in helpful])
        np.testing.assert_allclose(found.nearest[t], sorted(far)[:5])
    assert found.features.shape == (3, 20)


def test_the_distance_is_nought_where_the_nearest_rows_help_most():
    known = torch.arange(10.0)[:, None]
    found = neighbourhood(-1.0 / (1.0 + known.T), known, torch.tensor([[-1.0]]), rows=4)
    assert float(found.distance[0]) == pytest.approx(0.0, abs=1e-6)
    assert found.helpful_ranks.tolist() == [[1, 2, 3, 4]]


def test_foreign_rows_are_helped_by_rows_that_lie_elsewhere():
    random = np.random.default_rng(0)
    X = random.normal(size=(200, 6))
    y = (X[:, 0] + 0.3 * random.normal(size=200) > 0).astype(int)
    model = LogisticRegression(tol=1e-10, max_iter=1000).fit(X, y)
    found = Influence(model, X, y)
    usual = found.neighbourhood(random.normal(size=(100, 6)), rows=10).distance
    foreign = found.neighbourhood(random.normal(size=(100, 6)) * [1, 6, 6, 6, 6, 6], rows=10).distance
    assert float((foreign[:, None] > usual).double().mean()) > 0.6
    with pytest.raises(SettingError, match="the model predicts numbers"):
        Influence(Ridge().fit(X, y), X, y).neighbourhood(X)


def test_fooled_digits_are_told_better_than_by_distance_alone():
    import nnif

    found, alone = nnif.main([])
    assert found > alone + 0.02


def utility(rows, X, y, x, label, k):
    nearest = sorted(rows, key=lambda i: float((X[i] - x).norm()))[:k]
    return sum(float(y[i] == label) for i in nearest) / k


def by_orders(X, y, x, label, k):
    values, orders = np.zeros(len(X)), list(permutations(range(len(X))))
    for order in orders:
        for at, row in enumerate(order):
            more, less = order[: at + 1], order[:at]
            values[row] += utility(more, X, y, x, label, k) - utility(less, X, y, x, label, k)
    return values / len(orders)


@pytest.mark.parametrize("k", [1, 2, 4])
def test_the_closed_form_is_the_definition(k):
    generator = torch.Generator().manual_seed(k)
    X, tests = (torch.randn(n, 2, dtype=torch.float64, generator=generator) for n in (6, 3))
    y, labels = torch.tensor([0, 1, 0, 1, 1, 0]), torch.tensor([0, 1, 1])
    expected = np.mean([by_orders(X, y, x, label, k) for x, label in zip(tests, labels, strict=True)], axis=0)
    np.testing.assert_allclose(knn_shapley(X, y, test=(tests, labels), k=k), expected, atol=1e-12)


def test_without_test_rows_each_is_judged_by_all_others():
    generator = torch.Generator().manual_seed(0)
    X, y = torch.randn(6, 2, dtype=torch.float64, generator=generator), torch.tensor([0, 1, 0, 1, 1, 0])
    expected = np.zeros(6)
    for row in range(6):
        others = [i for i in range(6) if i != row]
        expected[others] += by_orders(X[others], y[others], X[row], y[row], 2) / 6
    np.testing.assert_allclose(knn_shapley(X, y, k=2), expected, atol=1e-12)


def test_k_is_a_number_of_rows():
    with pytest.raises(SettingError, match="k must lie between 1 and 2 rows: got 3"):
        knn_shapley(torch.zeros(3, 1), torch.zeros(3), k=3)
