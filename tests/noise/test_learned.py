"""The count by a sample is right whatever the mistakes are; the order learns, and loses little."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from dataaudit.noise.learned import Looks, Scored, _fit, count_wrong, learn
from dataaudit.noise.sample import draw, inclusion, sizes

NOBODY = np.empty(0, dtype=np.int64)


def rows_of(n, *, seed, informative):
    """Return scored rows, and which labels are wrong: by the scores, or where they see nothing."""
    random = np.random.default_rng(seed)
    hard = random.normal(size=n)
    y = random.integers(0, 3, n)
    chance = 1 / (1 + np.exp(-(hard - 2.0 + 1.5 * (y == 1))))
    wrong = random.random(n) < (chance if informative else 0.15)
    p = 1 / (1 + np.exp(-(hard + random.normal(scale=0.5, size=n) - 3.0)))
    rank = np.empty(n, dtype=np.int64)
    rank[np.argsort(-p)] = np.arange(1, n + 1)
    return Scored(p, 1.0 - p, np.exp(hard), y, rank, 3), wrong


def look(rows, wrong, m, *, seed):
    size = sizes(rows.p_wrong, rows.p_label)
    at = draw(size, m, seed=seed)
    seen = np.zeros(len(wrong), dtype=bool)
    seen[at] = wrong[at]
    return Looks(at, NOBODY, seen, size)


@pytest.mark.parametrize("informative", [True, False])
@pytest.mark.parametrize("m", [40, 120])
def test_the_count_is_unbiased_and_its_interval_covers(informative, m):
    rows, wrong = rows_of(2000, seed=1, informative=informative)
    counts = [count_wrong(rows, look(rows, wrong, m, seed=seed)) for seed in range(150)]
    expected = np.array([count.expected for count in counts])
    assert expected.mean() == pytest.approx(wrong.sum(), abs=3.5 * expected.std() / np.sqrt(150))
    covered = np.mean([count.low <= wrong.sum() <= count.high for count in counts])
    assert 0.83 <= covered <= 0.98


def test_the_estimate_without_a_regression_that_helps_is_horvitz_and_thompsons():
    """Constant scores leave a constant m̂, and the difference estimator with it is a weighted mean."""
    n, m = 300, 60
    same = np.full(n, 0.1)
    rows = Scored(same, 1.0 - same, same, np.zeros(n, dtype=np.int64), np.arange(1, n + 1), 1)
    wrong = np.arange(n) % 4 == 0
    count = count_wrong(rows, look(rows, wrong, m, seed=0))
    sampled = draw(sizes(same, 1.0 - same), m, seed=0)
    assert count.expected == pytest.approx(n * wrong[sampled].mean(), rel=0.02)


def test_rows_decided_elsewhere_are_known_and_leave_the_population():
    rows, wrong = rows_of(500, seed=2, informative=True)
    looks = look(rows, wrong, 50, seed=0)
    first = np.setdiff1d(np.argsort(rows.rank)[:200], looks.sampled)
    seen = looks.wrong.copy()
    seen[first] = wrong[first]
    alone = count_wrong(rows, looks)
    both = count_wrong(rows, Looks(looks.sampled, first, seen, looks.size))
    assert both.low >= seen.sum()
    assert both.high - both.low < 0.8 * (alone.high - alone.low)
    everything = np.setdiff1d(np.arange(500), looks.sampled)
    seen[everything] = wrong[everything]
    known = count_wrong(rows, Looks(looks.sampled, everything, seen, looks.size))
    assert (known.low, known.expected, known.high) == (wrong.sum(),) * 3


@pytest.mark.parametrize("answer", [False, True])
def test_looks_that_are_all_alike_still_give_an_interval(answer):
    rows, _ = rows_of(1000, seed=3, informative=True)
    count = count_wrong(rows, look(rows, np.full(1000, answer), 60, seed=0))
    assert count.alike
    assert count.expected == (1000 if answer else 0)
    assert (count.low > 850) if answer else (0 < count.high < 150)
    assert count.low <= count.expected <= count.high


def test_nobody_looked():
    rows, wrong = rows_of(100, seed=4, informative=True)
    looks = Looks(NOBODY, NOBODY, np.zeros(100, dtype=bool), sizes(rows.p_wrong, rows.p_label))
    assert count_wrong(rows, looks) is None
    learned = learn(rows, looks, None)
    assert learned.order.tolist() == np.argsort(rows.rank).tolist()
    assert learned.p_wrong == pytest.approx(rows.p_wrong)
    assert wrong.any()


def test_the_order_learns_that_one_class_is_mislabelled_more():
    rows, wrong = rows_of(3000, seed=5, informative=True)
    looks = look(rows, wrong, 150, seed=0)
    learned = learn(rows, looks, count_wrong(rows, looks))
    first = np.setdiff1d(np.argsort(rows.rank), looks.sampled, assume_unique=True)[:300]
    assert wrong[learned.order[:300]].sum() > wrong[first].sum()
    assert set(learned.order) == set(range(3000)) - set(looks.sampled)
    assert learned.p_wrong[looks.sampled].tolist() == wrong[looks.sampled].astype(float).tolist()


def test_probabilities_add_up_to_the_count():
    rows, wrong = rows_of(800, seed=6, informative=True)
    looks = look(rows, wrong, 80, seed=0)
    count = count_wrong(rows, looks)
    assert learn(rows, looks, count).p_wrong.sum() == pytest.approx(count.expected, rel=1e-6)


def test_few_looks_leave_the_order_as_it_was():
    rows, wrong = rows_of(300, seed=7, informative=True)
    looks = look(rows, wrong, 9, seed=0)
    order = learn(rows, looks, count_wrong(rows, looks)).order
    assert rows.rank[order].tolist() == sorted(rows.rank[order])


def test_the_regression_is_scikit_learns():
    random = np.random.default_rng(8)
    X, w = random.normal(size=(200, 4)), (random.random(200) < 0.3).astype(float)
    twin = LogisticRegression(C=0.3, tol=1e-10, max_iter=10_000).fit(X, w)
    assert _fit(X, w, 0.3)(X) == pytest.approx(twin.decision_function(X), abs=2e-3)


def test_the_variance_shrinks_where_everything_is_drawn():
    rows, wrong = rows_of(60, seed=9, informative=True)
    count = count_wrong(rows, look(rows, wrong, 60, seed=0))
    assert inclusion(sizes(rows.p_wrong, rows.p_label), 60).tolist() == [1.0] * 60
    assert (count.low, count.expected, count.high) == pytest.approx((wrong.sum(),) * 3)
