"""A poisoned row is named first; rows of one kind do not stand apart."""

import numpy as np
import polars as pl
import pytest
from audits.mismatch.rows.planted import case, gain, table

from dataaudit.audits.mismatch.rows.cuts import cut
from dataaudit.audits.mismatch.rows.outliers import LEVEL, far_cells, row_suspects, standing_apart
from dataaudit.audits.mismatch.rows.slices import slice_suspects
from dataaudit.audits.mismatch.worth import judge


def slices_of(made):
    """Slices that are suspected in a pair with its model, predictions and world."""
    pair, trained, tested, world = made
    return slice_suspects(cut(pair.train, trained, tested), world)


def poisoned(rows, n=200):
    """Return training rows of which some have cells six times as large and the other label."""
    known = table(n, 0)
    index = pl.int_range(pl.len())
    hit = index.is_in(rows)
    flipped = pl.when(pl.col("y") == "ill").then(pl.lit("well")).otherwise(pl.lit("ill"))
    return known.with_columns(
        *(pl.when(hit).then(pl.col(c) * 6).otherwise(c).alias(c) for c in ("x", "z")),
        y=pl.when(hit).then(flipped).otherwise("y"),
    )


def test_a_poisoned_row_is_named_first():
    row = int((table(200, 0)["x"] * 2 + table(200, 0)["z"]).arg_max())
    made = case(poisoned([row]), table(400, 1))
    found = row_suspects(made[0], made[3])
    one = next(suspect for suspect in found if suspect.train.tolist() == [row])
    assert one.p_value <= LEVEL
    assert one.title.startswith(f"training row {row} is “")
    assert one.title.endswith("its x and z are far from all others")
    assert one.columns == ("x", "z")
    assert gain(made[3], one.fixes[0]) > 0
    assert judge([*found, *slices_of(made)], made[3])[0].suspect is one


def test_cells_that_are_far_from_all_others():
    pair = case(poisoned([5, 9]), table(60, 1))[0]
    found, chances = far_cells(pair)
    assert found.keys() <= {5, 9}
    assert all(p <= LEVEL for p in chances.values())


@pytest.mark.parametrize("few", [1, 3])
def test_rows_apart_by_a_gap(few):
    harm = np.random.default_rng(0).exponential(size=500)
    harm[:few] += 40
    rows, p = standing_apart(harm)
    assert sorted(rows.tolist()) == list(range(few))
    assert p < 1e-6


def test_rows_of_one_kind_do_not_stand_apart():
    random = np.random.default_rng(1)
    alarms = [standing_apart(random.exponential(size=400))[1] <= LEVEL for _ in range(1000)]
    assert np.mean(alarms) <= 5 * LEVEL
