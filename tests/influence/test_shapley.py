"""Shapley values by nearest neighbours against their definition, over all orders of the rows."""

from itertools import permutations

import numpy as np
import pytest
import torch

from dataaudit.errors import SettingError
from dataaudit.influence.shapley import knn_shapley


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
