"""Counting wrong labels by level, on probabilities that are what they say."""

import numpy as np
import pytest

from dataaudit.noise.levels import weigh
from dataaudit.statistics import holm


def drawn(rates, n, *, seed, clear=1.0, prior=None):
    """Return p, y, levels and truth: scores of wrong and right rows, and P(wrong) by the rate of all rows."""
    random = np.random.default_rng(seed)
    level = np.sort(np.concatenate([np.arange(len(rates)), random.integers(0, len(rates), n - len(rates))]))
    wrong = random.random(n) < np.asarray(rates)[level]
    y = random.integers(0, 2, n)
    score = random.normal(np.where(wrong, clear, -clear), 1.0)
    share = wrong.mean() if prior is None else prior
    odds = 2.0 * clear * score + np.log(share / (1.0 - share))
    return 1.0 / (1.0 + np.exp(-odds)), y, level, wrong


def test_expected_adds_up_and_levels_are_counted():
    p, y, level, _ = drawn([0.1] * 7, 500, seed=0)
    found = weigh(p, y, level, interval=(40.0, 60.0))
    assert found.n.tolist() == np.bincount(level).tolist()
    assert found.expected.sum() == pytest.approx(p.sum())
    assert (found.low <= found.expected).all()
    assert (found.expected <= found.high).all()
    assert (found.low >= 0).all()
    assert (found.high <= found.n).all()


@pytest.mark.parametrize(("rates", "least"), [([0.1] * 12, 0.9), ([0.5, 0.5, *[0.05] * 10], 0.85)])
def test_intervals_cover_levels_whether_or_not_they_have_a_rate_of_their_own(rates, least):
    inside = []
    for seed in range(40):
        p, y, level, wrong = drawn(rates, 800, seed=seed)
        found = weigh(p, y, level, interval=(0.8 * p.sum(), 1.2 * p.sum()))
        truth = np.bincount(level, wrong)
        inside.append((found.low <= truth) & (truth <= found.high))
    assert np.mean(inside) >= least
    assert np.mean(np.array(inside)[:, :2]) >= least  # of the levels with more mistakes too


def test_a_level_with_more_mistakes_stands_out_and_alone():
    p, y, level, _ = drawn([0.6, *[0.1] * 9], 1000, seed=3)
    found = weigh(p, y, level, interval=(100.0, 200.0))
    assert found.p_value[0] < 1e-6
    assert found.p_value[1:].min() > 0.05


def test_under_chance_alone_few_tests_fail_even_of_tiny_levels():
    """Rows are given to levels at random: of 200 columns, about one in twenty may have a level below .05."""
    random = np.random.default_rng(0)
    p, y, _, _ = drawn([0.08], 600, seed=1, clear=2.0)
    sizes = [1, 2, 3, 4, 5, 6, 8, 10, 20, 40, 100]
    level = np.repeat(np.arange(len(sizes) + 1), [*sizes, 600 - sum(sizes)])
    least = [weigh(p, y, random.permutation(level), interval=(40.0, 60.0)).p_value.min() for _ in range(200)]
    assert np.mean(np.array(least) <= 0.05) <= 0.09


def test_p_values_of_small_levels_are_those_of_permutations():
    random = np.random.default_rng(2)
    p, y, _, _ = drawn([0.15], 300, seed=5, clear=2.0)
    level = np.repeat([0, 1], [5, 295])
    order = np.argsort(-p)[[3, 20, 40, 100, 200]]  # five rows with much of the mistakes
    rows = np.concatenate([order, np.setdiff1d(np.arange(300), order)])
    p, y = p[rows], y[rows]
    given = weigh(p, y, level, interval=(30.0, 60.0)).p_value[0]
    sums = []
    for _ in range(20_000):
        mixed = p.copy()
        for c in (0, 1):
            mixed[y == c] = random.permutation(p[y == c])
        sums.append(mixed[:5].sum())
    exact = np.mean(np.array(sums) >= p[:5].sum() - 1e-12)
    assert given == pytest.approx(min(1.0, 2.0 * exact), rel=0.15)  # Holm: of two levels


def test_classes_that_are_mislabelled_more_do_not_make_a_level_stand_out():
    random = np.random.default_rng(4)
    y = random.integers(0, 2, 1000)
    p = np.where(y == 1, random.beta(4, 4, 1000), random.beta(1, 20, 1000))
    level = np.where(random.random(1000) < np.where(y == 1, 0.8, 0.1), 0, 1)  # has most rows of class 1
    found = weigh(p, y, level, interval=(200.0, 320.0))
    assert found.expected[0] / found.n[0] > 2 * found.expected[1] / found.n[1]
    assert found.p_value.min() > 0.05


def test_a_level_of_whole_classes_and_equal_chances_say_nothing():
    y = np.repeat([0, 1], 50)
    alike = weigh(np.full(100, 0.2), y, y, interval=(10.0, 30.0))
    apart = weigh(np.linspace(0.01, 0.9, 100), y, y, interval=(10.0, 80.0))
    assert alike.p_value.tolist() == apart.p_value.tolist() == [1.0, 1.0]
    assert holm(np.ones(2)).tolist() == [1.0, 1.0]


def test_certain_rows_leave_no_doubt():
    wrong = np.repeat([1.0, 0.0], [10, 30])
    found = weigh(wrong, np.arange(40) % 2, np.repeat([0, 1], [10, 30]), interval=(10.0, 10.0))
    assert found.low == pytest.approx([10.0, 0.0], abs=1e-12)
    assert found.high == pytest.approx([10.0, 0.0], abs=1e-12)
