"""Label columns as numbers: what is refused in one line, and how suggested values are written."""

from datetime import date

import numpy as np
import polars as pl
import pytest

from dataaudit.errors import AskTask, BadTarget
from dataaudit.features.target import Quantity, binned, encode_target

MANY = np.linspace(0.5, 90.25, 40)
REFUSED = {
    "text": (
        "regression",
        ["a", "b"] * 10,
        "no numbers, which regression needs: got 'a'.*leave --task",
    ),
    "flags": ("count", [True, False] * 10, "holds no numbers, which count needs: got True"),
    "dates": (
        "regression",
        [date(2026, 1, day) for day in range(1, 21)],
        "no numbers",
    ),
    "nothing": ("regression", [None] * 20, "holds no numbers|too few"),
    "only gaps": ("regression", pl.Series([None] * 20, dtype=pl.Float64), "numbers in 0 rows, too few"),
    "few": ("regression", [1.0, 2.0, 3.0], "numbers in 3 rows, too few for regression"),
    "constant": ("regression", [7.5] * 20, "is constant: got 7.5 in all 20 rows"),
    "infinite": ("regression", [*MANY, np.inf], "has 1 infinite values.*empty those cells"),
    "negative counts": ("count", [*range(20), -1], "holds no counts: 1 values.*negative: got -1"),
    "fractional counts": ("count", [*map(float, range(20)), 2.5], "fractional: got 2.5.*--task regression"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused_in_one_line_with_a_hint(name):
    task, values, match = REFUSED[name]
    with pytest.raises(BadTarget, match=match) as caught:
        encode_target(pl.Series("y", values), task)
    assert "'y'" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_rows_without_a_number_are_left_out_and_that_is_said():
    target = encode_target(pl.Series("y", [*MANY, None, float("nan")]), "regression")
    assert target.kept.to_list() == [True] * 40 + [False] * 2
    assert target.notes == ("2 of 42 rows have no 'y' and were left out.",)
    assert target.classes == ()
    np.testing.assert_array_equal(target.quantity.values, MANY)
    assert target.quantity.centre == np.median(MANY)


def test_whole_numbers_that_may_be_quantities_are_asked_about_and_class_numbers_are_not():
    random = np.random.default_rng(0)
    ages = pl.Series("age", random.integers(18, 90, 500))
    with pytest.raises(AskTask, match=r"quantities: got .*--task regression, count, or classification"):
        encode_target(ages)
    assert len(encode_target(ages, "classification").classes) == ages.n_unique()
    assert len(encode_target(pl.Series("y", np.arange(500) % 77)).classes) == 77
    assert encode_target(ages, "count").quantity.is_count


@pytest.mark.parametrize(
    ("values", "noise", "written"),
    [
        ([1.25, 2.5], 5.0, "3.1"),
        ([1.25, 2.5], 0.5, "3.14"),
        ([1.0, 2.0], 0.001, "3"),
        ([100000, 200000], 4e4, "0"),
        ([1.125, 2.0], 0.0, "3.142"),
    ],
)
def test_suggestions_are_no_finer_than_the_column_and_a_tenth_of_the_noise(values, noise, written):
    quantity = encode_target(pl.Series("y", values * 10), "regression").quantity
    assert quantity.texts(np.array([3.14159]), np.array([noise])) == [written]


def test_a_large_unit_is_rounded_to_tens_and_nothing_is_minus_zero():
    quantity = Quantity("regression", np.array([1.0]), 0)
    assert quantity.texts(np.array([213417.0, -0.2]), np.array([4e4, 1.0])) == ["213000", "0"]


def test_bins_are_numbered_without_gaps():
    bins = binned(np.array([0.0] * 50 + [1.0, 2.0, 3.0] * 10))
    assert sorted(set(bins.tolist())) == list(range(bins.max() + 1))
