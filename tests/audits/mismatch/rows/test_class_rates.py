"""Class rates: a suspect where they differ; the refit is predicted by the reweighed problem's own steps."""

import numpy as np
import polars as pl
import pytest
from audits.mismatch.rows.planted import case, gain, table

from dataaudit.audits.mismatch.rows.class_rates import rate_suspects


@pytest.fixture(scope="module")
def made():
    known = table(1500, 0)
    kept = (pl.col("y") == "well") | (pl.int_range(pl.len()) % 6 == 0)
    return case(known.filter(kept), table(600, 1))


def test_rates_that_differ_are_a_suspect(made):
    (one,) = rate_suspects(made[0], *made[2:])
    assert one.columns == ("y",)
    assert one.title.startswith("y: ")
    assert [fix.name for fix in one.fixes] == ["reweigh", "offset"]
    for fix in one.fixes:
        assert gain(made[3], fix) > 20
        assert fix.apply(made[3], exact=True).evaluation.wrong.sum() < made[2].wrong.sum()


def test_the_prediction_agrees_with_its_own_refit(made):
    reweigh = rate_suspects(made[0], *made[2:])[0].fixes[0]
    assert gain(made[3], reweigh, exact=False) == pytest.approx(gain(made[3], reweigh, exact=True), rel=0.05)
    np.testing.assert_allclose(reweigh.factor @ np.bincount(made[0].target.y), made[0].train.n, rtol=1e-9)


def test_equal_rates_are_none():
    made = case(table(400, 0), table(300, 1))
    assert rate_suspects(made[0], *made[2:]) == []
