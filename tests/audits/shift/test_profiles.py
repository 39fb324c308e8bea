"""Shares of levels and of bins, as they are drawn."""

from datetime import date

import numpy as np
import polars as pl
import pytest

from dataaudit.audits.shift.profiles import BINS, LEVELS, OTHERS, level_profile, number_profile
from dataaudit.features.columns import MISSING

REAL = pl.Float64()


def test_levels_have_their_shares_the_most_frequent_first():
    sides = {"train": pl.Series(["a", "a", "b", None]), "test": pl.Series(["c", "c", "c", "a"])}
    assert dict(level_profile(sides)) == {
        "c": {"train": 0.0, "test": 0.75},
        "a": {"train": 0.5, "test": 0.25},
        MISSING: {"train": 0.25, "test": 0.0},
        "b": {"train": 0.25, "test": 0.0},
    }
    assert next(iter(level_profile(sides)))[0] == "c"


def test_rare_levels_are_counted_together():
    many = pl.Series([f"level {k}" for k in range(20) for _ in range(k + 1)])
    found = dict(level_profile({"train": many, "test": many}))
    assert len(found) == LEVELS + 1
    assert OTHERS in found
    assert sum(of["test"] for of in found.values()) == pytest.approx(1.0)


def test_bins_of_numbers_sum_to_all_rows():
    random = np.random.default_rng(0)
    sides = {"train": random.normal(size=500), "test": np.append(random.normal(2, 1, 300), [np.nan] * 100)}
    found = list(number_profile(sides, REAL))
    assert found[0] == (MISSING, {"train": 0.0, "test": 0.25})
    assert len(found) == BINS + 1
    for part in sides:
        assert sum(of[part] for _, of in found) == pytest.approx(1.0)
    middles = [sum(at * of[part] for at, (_, of) in enumerate(found[1:])) for part in sides]
    assert middles[0] < middles[1]


def test_a_value_that_one_side_alone_has_often_stands_apart():
    values = np.linspace(50, 200, 400)
    broken = np.where(np.arange(400) % 5 == 0, 0.0, values)
    found = list(number_profile({"train": values, "test": broken, "fixed": values}, REAL))
    assert found[0] == ("0", {"train": 0.0, "test": 0.2, "fixed": 0.0})
    assert found[1][0].startswith("5")
    level, shares = next(number_profile({"train": values, "test": np.full(9, 85.0)}, REAL))
    assert (level, shares["test"]) == ("85", 1.0)


def test_numbers_of_another_order_have_bins_of_equal_ratio():
    values = np.random.default_rng(0).lognormal(0, 0.3, 1000)
    found = list(number_profile({"train": values, "test": 1000 * values}, REAL))
    filled = [sum(of[part] > 0.02 for _, of in found) for part in ("train", "test")]
    assert min(filled) >= 3


def test_days_are_named_as_dates_and_nothing_but_missing_cells_has_no_bins():
    days = np.array([0.0, 10.0, 400.0])
    found = list(number_profile({"train": days, "test": days + 1}, pl.Date()))
    assert found[0][0].startswith(f"{date(1970, 1, 1)} to ")
    empty = np.array([np.nan])
    assert list(number_profile({"train": empty, "test": empty}, REAL)) == [
        (MISSING, {"train": 1.0, "test": 1.0})
    ]
