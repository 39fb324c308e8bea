"""The probability that a number is wrong: by planted mistakes, noise that varies, and counts."""

import numpy as np
import pytest
from noisy import average_precision

from dataaudit.noise.values import fit_value_noise


@pytest.fixture
def planted():
    """Predictions, values with noise that grows with them, and a tenth of the values from other rows."""
    random = np.random.default_rng(0)
    mean = random.uniform(1, 100, 1500)
    values = mean + 0.05 * mean * random.standard_normal(1500)
    wrong = random.random(1500) < 0.1
    values[wrong] = random.permutation(values)[wrong]
    return mean, values, wrong


def test_planted_values_are_found_better_than_by_the_size_of_errors(planted):
    mean, values, wrong = planted
    found = fit_value_noise(values, mean, is_count=False)
    by_size = average_precision(np.abs(values - mean), wrong)
    assert average_precision(found.model.p_wrong, wrong) > by_size
    assert found.model.interval[0] <= found.model.expected <= found.model.interval[1]
    assert abs(found.model.expected - wrong.sum()) < 0.25 * wrong.sum()
    assert not found.model.overlapping


def test_the_scale_follows_the_noise(planted):
    mean, values, _ = planted
    scale = fit_value_noise(values, mean, is_count=False).scale
    low, high = (np.median(scale[part] / mean[part]) for part in (mean < 40, mean > 60))
    assert 0.04 < low < 0.09
    assert 0.04 < high < 0.09


def test_nothing_moves_with_the_unit(planted):
    mean, values, _ = planted
    one = fit_value_noise(values, mean, is_count=False)
    other = fit_value_noise(1000 * values - 7, 1000 * mean - 7, is_count=False)
    np.testing.assert_allclose(other.model.p_wrong, one.model.p_wrong, atol=1e-9)
    np.testing.assert_allclose(other.scale, 1000 * one.scale)


def test_where_no_value_is_wrong_few_are_suspected_and_noise_alone_leaves_the_number_open():
    random = np.random.default_rng(1)
    mean = random.uniform(0, 10, 1000)
    good = fit_value_noise(mean + 0.1 * random.standard_normal(1000), mean, is_count=False).model
    assert good.expected < 10
    assert not good.overlapping
    blind = fit_value_noise(10 * random.standard_normal(1000), np.zeros(1000), is_count=False).model
    assert blind.overlapping


def test_counts_are_judged_by_their_own_noise():
    random = np.random.default_rng(2)
    mean = np.exp(random.normal(1.5, 1.0, 2000))
    values = random.poisson(mean).astype(float)
    wrong = random.random(2000) < 0.1
    values[wrong] = random.permutation(values)[wrong]
    found = fit_value_noise(values, mean, is_count=True)
    assert average_precision(found.model.p_wrong, wrong) > average_precision(np.abs(values - mean), wrong)
    np.testing.assert_array_less(np.sqrt(mean), found.scale)
    assert ((found.chance >= 0) & (found.chance <= 1)).all()


def test_no_error_at_all_is_no_division_by_nothing():
    values = np.arange(100.0)
    found = fit_value_noise(values, values, is_count=False)
    assert np.isfinite(found.model.p_wrong).all()
    assert found.model.expected < 1
