"""The sample: its probabilities, its order, and that each first part of it is a sample of its own."""

import numpy as np
import pytest

from dataaudit.noise.sample import draw, inclusion, sizes


@pytest.fixture(scope="module")
def size():
    random = np.random.default_rng(0)
    return sizes(random.beta(0.3, 2.0, 400), random.beta(3.0, 1.0, 400))


def test_sizes_add_up_to_one_and_leave_nobody_out(size):
    assert size.sum() == pytest.approx(1.0)
    assert size.min() > 0.3 / 400


def test_uncertain_rows_are_likelier():
    p_wrong = np.array([0.0, 0.5, 1.0, 0.2])
    size = sizes(p_wrong, 1.0 - p_wrong)
    assert np.argsort(size).tolist()[-2:] == [3, 1]


@pytest.mark.parametrize("rows", [1, 30, 399])
def test_chances_add_up_to_the_rows_and_are_none_above_one(size, rows):
    share = inclusion(size, rows)
    assert share.sum() == pytest.approx(rows)
    assert 0 < share.min() <= share.max() <= 1.0


def test_everything_is_drawn_where_more_is_asked_for_than_is_there(size):
    assert inclusion(size, 1000).tolist() == [1.0] * 400
    assert sorted(draw(size, 1000, seed=0)) == list(range(400))


def test_a_longer_sample_begins_with_the_shorter_one(size):
    assert draw(size, 100, seed=3)[:30].tolist() == draw(size, 30, seed=3).tolist()
    assert draw(size, 30, seed=3).tolist() != draw(size, 30, seed=4).tolist()


@pytest.mark.parametrize("rows", [10, 60])
def test_rows_are_drawn_as_often_as_their_chance_says(size, rows):
    hits = np.zeros(len(size))
    for seed in range(3000):
        hits[draw(size, rows, seed=seed)] += 1
    share = inclusion(size, rows)
    deviations = (hits / 3000 - share) / np.sqrt(share * (1 - share) / 3000)
    assert np.abs(deviations).max() < 4.5
    assert deviations.std() == pytest.approx(1.0, abs=0.15)
