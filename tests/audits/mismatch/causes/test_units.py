"""Units, zeros and signs: named where the distributions fit, silent where chance would explain them."""

import numpy as np
import polars as pl
import pytest

from dataaudit.audits.mismatch.causes.sides import NumberSides
from dataaudit.audits.mismatch.causes.units import UNITS, unit_guesses


def sides(known, new):
    return NumberSides("x", pl.Float64(), known, new)


def drawn(seed, n=800):
    return np.random.default_rng(seed).lognormal(3.0, 0.3, n)


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("factor", [unit[0] for unit in UNITS])
def test_every_known_factor_is_found(factor, turned):
    k = 1 / factor if turned else factor
    found = unit_guesses(sides(drawn(0), drawn(1) * k))
    assert found[0].cause == "scaled"
    assert f"{k:.6g}" in found[0].fix.advice


def test_a_factor_that_is_no_unit_is_said_as_it_is():
    found = unit_guesses(sides(drawn(0), drawn(1) * 5.2))
    assert "another unit?" in found[0].title
    assert "5.2" in found[0].title or "5.1" in found[0].title


def test_alike_columns_have_no_guess():
    for seed in range(20):
        assert unit_guesses(sides(drawn(seed), drawn(seed + 100))) == []


def test_rounding_is_found_and_the_mean_of_what_becomes_a_value_stands_for_it():
    known, new = (np.random.default_rng(seed).normal(0, 1.5, 900) for seed in (2, 3))
    guess = next(g for g in unit_guesses(sides(known, np.round(new))) if g.cause == "rounded")
    assert "multiple of 1" in guess.title
    floored = unit_guesses(sides(known, np.floor(new)))
    assert any("cut to whole steps" in g.title for g in floored)
