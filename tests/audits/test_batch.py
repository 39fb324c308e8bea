"""New rows held against known ones."""

from itertools import combinations
from math import comb

import numpy as np
import pytest

from dataaudit.audits.batch import LEAST, TAIL, score_batch


def judged(known, new, **settings):
    new = np.asarray(new, dtype=float)
    return score_batch(
        np.asarray(known, dtype=float), new, contradicted=np.ones(len(new), dtype=bool), **settings
    )


def test_the_chance_is_that_of_all_orders():
    # Slow twin: of n + m exchangeable losses the new ones are any m. c or more of them lie above the k-th
    # largest known loss where at most k - 1 known ones are among the largest k - 1 + c.
    n, m, k, seen = 9, 6, LEAST, 5
    batch = judged(range(n), [4.5, 5.5, 6.5, 7.5, 9.5, 0.5])
    orders = 0
    for new in (set(pick) for pick in combinations(range(n + m), m)):
        known = [place for place in range(n + m) if place not in new]  # by size, 0 the largest
        orders += sum(place < known[k - 1] for place in new) >= seen
    assert 0.01 < orders / comb(n + m, m) < 0.5
    assert batch.suspect.sum() == seen
    assert batch.chance == pytest.approx(orders / comb(n + m, m), rel=1e-12)


@pytest.mark.parametrize(("n", "m"), [(2000, 200), (100, 20), (50, 500)])
def test_rows_alike_are_rarely_judged_unlike(n, m):
    random = np.random.default_rng(0)
    chances = np.array([judged(random.random(n), random.random(m)).chance for _ in range(2000)])
    for level in (0.01, 0.05, 0.2):
        assert (chances <= level).mean() <= level + 3 * np.sqrt(level / 2000)


def test_wrong_labels_are_suspects():
    random = np.random.default_rng(1)
    known, new = random.exponential(0.1, 5000), random.exponential(0.1, 200)
    new[:7] = 6.0
    batch = judged(known, new)
    assert batch.suspect[:7].all()
    assert batch.chance < 1e-3
    assert batch.expected == pytest.approx(200 * 5000 * TAIL / 5001)
    assert (batch.beyond[:7] == 1 / 5001).all()


def test_a_row_that_the_model_agrees_with_is_no_suspect():
    batch = score_batch(
        np.zeros(100), np.array([0.5, 0.6]), contradicted=np.array([False, True])
    )  # both are above all known losses
    assert batch.suspect.tolist() == [False, True]


def test_noise_among_the_known_rows_moves_the_limit():
    known = np.concatenate([np.full(900, 0.1), np.full(100, 5.0)])  # one label in ten is wrong
    new = np.concatenate([np.full(140, 0.1), np.full(60, 5.1)])
    assert judged(known, new, noise=0.1).expected == pytest.approx(20.0, rel=0.01)
    assert judged(known, new[80:200], noise=0.1).chance < 1e-6


def test_no_new_rows_are_no_news():
    batch = judged([0.1, 0.2], [])
    assert (batch.chance, batch.expected, len(batch.beyond)) == (1.0, 0.0, 0)
