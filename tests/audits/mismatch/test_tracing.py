"""Responsible rows: sums against the whole matrix, and errors grouped by the rows planted for them."""

import numpy as np
import pytest
import torch

from dataaudit.audits.mismatch.tracing import concentration
from dataaudit.influence.topk import Strongest


def extremes(V, k=20):
    """What `strongest_influences` returns, the slow way."""
    V = torch.from_numpy(V)  # (t, n)
    high, low = V.sort(dim=1, descending=True, stable=True), V.sort(dim=1, stable=True)
    return Strongest(
        high.indices[:, :k], high.values[:, :k], low.indices[:, :k], low.values[:, :k],
        V.abs().sum(1), (V**2).sum(1),
    )  # fmt: skip


@pytest.fixture
def planted():
    """40 test rows by 1,000 training rows of noise; rows 7, 8, 9 carry the first 12, row 500 the next 5."""
    random = np.random.default_rng(0)
    V = random.normal(size=(40, 1000))
    V[:12, [7, 8, 9]] += 300.0
    V[12:17, 500] += 400.0
    return V


def test_effective_rows_are_the_participation_ratio(planted):
    found = concentration(extremes(planted))
    size = np.abs(planted)
    np.testing.assert_allclose(found.effective, size.sum(1) ** 2 / (size**2).sum(1))
    top = np.sort(size, axis=1)[:, -5:].sum(1) / size.sum(1)
    np.testing.assert_allclose(found.top_share, top)


def test_one_row_carries_all():
    V = np.zeros((1, 50))
    V[0, 3] = -2.0
    found = concentration(extremes(V))
    assert found.effective[0] == pytest.approx(1.0)
    assert found.top_share[0] == pytest.approx(1.0)


def test_no_influence_counts_no_rows():
    assert concentration(extremes(np.zeros((1, 30)))).effective[0] == 0.0


def test_few_training_rows_are_not_counted_twice():
    V = np.array([[3.0, -1.0, 2.0]])
    assert concentration(extremes(V, k=3)).top_share[0] == pytest.approx(1.0)
