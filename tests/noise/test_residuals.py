"""Groups of rows that are labelled worse than random mistakes would have it."""

import numpy as np
import pytest

from dataaudit.noise import fit_noise
from dataaudit.noise.residuals import bins, excess, misfit, strongest


@pytest.fixture(scope="module")
def mislabelled():
    """Scores of 2,000 rows that are far apart, and labels of which a batch of 200 is wrong by half."""
    random = np.random.default_rng(0)
    scores = random.normal(0, 6, (2000, 1))
    truth = (random.random(2000) < 1 / (1 + np.exp(-scores[:, 0]))).astype(np.int64)
    wrong = np.zeros(2000, dtype=bool)
    wrong[400:600] = random.random(200) < 0.5
    return fit_noise(scores, np.where(wrong, 1 - truth, truth), 2), wrong, random


def test_a_batch_stands_out_and_the_same_mistakes_shuffled_do_not(mislabelled):
    noise, wrong, random = mislabelled
    by_order = np.arange(2000) // 200
    found = excess(noise, by_order)
    assert found.group == 2
    assert found.p < 1e-9
    assert found.found == pytest.approx(wrong.sum(), rel=0.35), "some are near the boundary"
    assert found.expected == pytest.approx(wrong.sum() / 10, rel=0.4)
    assert min(excess(noise, random.permutation(by_order)).p for _ in range(20)) > 1e-3


def test_moments_are_those_of_labels_that_are_drawn(mislabelled):
    noise, _, _ = mislabelled
    assert noise.foreseen.sum() == pytest.approx(noise.expected, rel=0.02), "the fit balances them"
    assert (noise.variance >= 0).all()
    assert (noise.variance <= noise.foreseen).all(), "of a number within [0, 1]"
    assert noise.identified
    assert not noise.overlapping


def test_where_classes_overlap_no_number_shows():
    random = np.random.default_rng(1)
    scores = random.normal(0, 1, (1500, 1))
    label = (random.random(1500) < 1 / (1 + np.exp(-scores[:, 0]))).astype(np.int64)
    noise = fit_noise(scores, label, 2)
    assert not noise.identified
    assert noise.overlapping
    assert noise.undetermined == pytest.approx(np.mean(1 / (1 + np.exp(np.abs(scores)))), abs=0.1)


def test_the_smallest_p_value_is_corrected_for_their_number(mislabelled):
    noise, _, _ = mislabelled
    one = excess(noise, np.arange(2000) // 200)
    name, found = strongest([("order", one), ("nothing", None), ("again", one)])
    assert name == "order"
    assert found.p == pytest.approx(2 * one.p)
    assert strongest([("nothing", None)]) is None
    assert excess(fit_noise(np.full((50, 1), 9.0), np.arange(50) % 2, 2), np.zeros(50, dtype=int)).p > 0.1


def test_bins_hold_about_as_many_rows_each():
    group = bins(np.random.default_rng(0).random(800), 8)
    assert set(np.bincount(group)) <= {99, 100, 101}
    assert len(set(bins(np.zeros(10), 8))) == 1


def test_too_few_in_some_groups_is_a_misfit_as_well(mislabelled):
    noise, _, random = mislabelled
    group = (noise.p_wrong < noise.foreseen).astype(np.int64)
    assert misfit(noise, 1 + group).p < 1e-6
    assert misfit(noise, random.integers(0, 8, 2000)).p > 1e-3
