"""Influence against distance: by a slow twin, and on inputs that a network was fooled with."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression, Ridge

from dataaudit import Influence
from dataaudit.errors import SettingError
from dataaudit.influence.neighbourhood import neighbourhood


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
