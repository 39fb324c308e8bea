"""Intervals and p-values against scipy.stats, enumeration and simulation."""

import numpy as np
import pytest
import scipy.stats

from dataaudit.statistics import (
    all_in_p,
    chance_variation,
    chi_square,
    difference_interval,
    holm,
    ks_distance,
    normal_p,
    probability,
    shift_to,
    split_p,
    wilson,
)


@pytest.mark.parametrize(("k", "n"), [(0, 10), (3, 4), (7, 20), (20, 20), (137, 1000)])
def test_wilson_is_the_score_tests_interval(k, n):
    expected = scipy.stats.binomtest(k, n).proportion_ci(method="wilson")
    assert wilson(k, n) == pytest.approx((expected.low, expected.high), abs=1e-12)


def test_wilson_without_rows_knows_nothing():
    assert wilson(0, 0) == (0.0, 1.0)


def test_newcombes_interval_has_the_published_value():
    """Newcombe (1998), table II, row (a): 56/70 against 48/80, method 10."""
    low, high = difference_interval((48, 80), (56, 70))
    assert (low, high) == pytest.approx((0.0524, 0.3339), abs=5e-5)


def test_split_p_is_no_bolder_than_the_hypergeometric():
    n_train, n_test = 60, 40
    for c in (1, 4, 9):
        k = np.arange(c + 1)
        exact = scipy.stats.hypergeom(n_train + n_test, c, n_test)
        two_sided = np.minimum(1.0, 2.0 * np.minimum(exact.cdf(k), exact.sf(k - 1)))
        assert (split_p(k, np.full(c + 1, c), 0.4) >= two_sided - 1e-9).all()


def test_all_in_p_is_a_ratio_of_binomials():
    assert all_in_p(np.array([1, 3]), 40, 60) == pytest.approx(
        [scipy.stats.hypergeom.pmf(c, 100, c, 40) for c in (1, 3)], rel=1e-10
    )


def test_ks_distance_is_scipys():
    random = np.random.default_rng(0)
    a, b = random.normal(size=300).round(1), random.normal(0.2, 1.0, 500).round(1)
    expected = scipy.stats.ks_2samp(a, b, method="asymp")
    distance, by_chance, p = ks_distance(a, b)
    assert distance == pytest.approx(expected.statistic, rel=1e-12)
    root = (300 * 500 / 800) ** 0.5
    assert p == pytest.approx(scipy.stats.kstwobign.sf(root * distance), rel=1e-9)
    assert scipy.stats.kstwobign.sf(root * by_chance) == pytest.approx(0.05, rel=1e-4)


@pytest.mark.parametrize("tolerance", [0.0, 0.05, 0.25])
def test_ks_distance_within_a_tolerance_is_the_supremum(tolerance):
    random = np.random.default_rng(1)
    a, b = random.normal(size=40).round(1), random.normal(0.4, 1.0, 30).round(1)
    ends = [v + step for v in (*a, *b) for step in (-tolerance, 0.0, tolerance)]
    at = np.concatenate([ends, np.nextafter(ends, -9), np.nextafter(ends, 9)])
    below = lambda values, x: np.mean(values[:, None] <= x, axis=0)  # noqa: E731
    ahead = (below(a, at - tolerance) - below(b, at), below(b, at - tolerance) - below(a, at))
    # Rounding decides which of x - δ and x is first at the jumps themselves: one row at most.
    assert ks_distance(a, b, tolerance=tolerance)[0] == pytest.approx(
        max(map(np.max, ahead)), abs=1 / 30 + 1e-9
    )


def test_ks_distance_within_a_tolerance_passes_over_what_moved_less():
    a = np.repeat(np.arange(4.0), 50)
    assert ks_distance(a, a + 1e-6)[0] == 0.25
    assert ks_distance(a, a + 1e-6, tolerance=1e-5)[0] == 0.0
    assert ks_distance(a, a + 1.0, tolerance=1e-5)[0] == 0.25


def test_chi_square_is_scipys_where_no_level_is_rare():
    train, test = np.array([50, 30, 80]), np.array([40, 45, 70])
    assert chi_square(train, test) == pytest.approx(
        scipy.stats.chi2_contingency(np.stack([train, test])).pvalue, rel=1e-10
    )


def test_chi_square_pools_levels_that_are_rare():
    common, rare = np.array([50, 30]), np.array([45, 35])
    alone = chi_square(np.append(common, 4), np.append(rare, 3))
    assert chi_square(np.append(common, [1] * 4), np.append(rare, [0, 1, 1, 1])) == pytest.approx(alone)
    assert chi_square(np.array([9]), np.array([7])) == 1.0
    assert chi_square(np.array([9, 1]), np.array([0, 0])) == 1.0


def test_chance_variation_is_the_mean_of_alike_samples():
    random, p = np.random.default_rng(1), np.array([0.5, 0.2, 0.2, 0.1])
    draws = [(random.multinomial(400, p), random.multinomial(300, p)) for _ in range(2000)]
    mean = np.mean([np.abs(a / 400 - b / 300).sum() / 2 for a, b in draws])
    assert np.mean([chance_variation(a, b) for a, b in draws[:50]]) == pytest.approx(mean, rel=0.05)


def test_holm_by_hand_and_normal_p():
    assert holm(np.array([0.04, 0.01, 0.5, 0.02])) == pytest.approx([0.08, 0.04, 0.5, 0.06])
    assert holm(np.array([])).tolist() == []
    assert normal_p(1.959963984540054) == pytest.approx(0.05)


@pytest.mark.parametrize("n", [1, 3, 1000])
@pytest.mark.parametrize("scale", [0.1, 3.0, 30.0])
@pytest.mark.parametrize("share", [1e-9, 0.3, 0.999])
def test_shifted_probabilities_add_up(n, scale, share):
    """Newton's steps end where bisection does."""
    odds, (low, high) = scale * np.random.default_rng(0).standard_normal(n) - 2.0, (-60.0, 60.0)
    for _ in range(60):
        middle = (low + high) / 2.0
        low, high = (middle, high) if probability(odds + middle).sum() < share * n else (low, middle)
    assert shift_to(share * n, odds) == pytest.approx(low, abs=1e-6)
