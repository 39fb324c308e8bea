"""The ends of a slice go to where labels differ most: as by trying every end."""

import numpy as np
import polars as pl
from audits.mismatch.rows.planted import case, labelled, table

from dataaudit.audits.mismatch.rows.cuts import cut
from dataaudit.audits.mismatch.rows.refine import TRIED, refine
from dataaudit.audits.mismatch.rows.screen import Screen


def test_a_cut_is_moved_to_the_planted_one():
    known = table(1000, 0)
    pair, trained, tested, world = case(labelled(known, pl.col("z") < -0.9, "ill"), table(500, 1))
    screen, cuts = Screen(trained, world), cut(pair.train, trained, tested)
    z = known["z"].to_numpy()
    at = next(
        i for i in range(cuts.m) if cuts.columns[i] == "z" and cuts.low[i] == -np.inf and cuts.high[i] > -0.9
    )
    part = refine(screen, cuts, (at,))
    assert part.levels[0].startswith("< -0.9") or part.levels[0].startswith("< -0.8")
    grid = np.unique(np.quantile(z, np.linspace(0, 1, TRIED + 1), method="nearest"))
    new = tested.dataset.frame["z"].to_numpy()
    slow = [screen.difference(np.flatnonzero(z < g), new[world.rows] < g) for g in grid[1:]]
    mine = screen.difference(part.train, np.isin(world.rows, part.test))
    assert mine >= max(slow) - 0.5


def test_each_condition_of_a_conjunction_is_moved_and_levels_stay():
    known = table(1500, 0)
    where = (pl.col("z") >= 0.4) & (pl.col("sex") == "f")
    pair, trained, tested, world = case(labelled(known, where, "well"), table(700, 1))
    screen, cuts = Screen(trained, world), cut(pair.train, trained, tested)
    names = list(zip(cuts.columns, cuts.low, cuts.high, strict=True))
    z = next(i for i, (c, low, high) in enumerate(names) if c == "z" and low > 0.5 and high == np.inf)
    sex = next(i for i in range(cuts.m) if (cuts.columns[i], cuts.levels[i]) == ("sex", "f"))
    part = refine(screen, cuts, (z, sex))
    assert part.levels[1] == "f"
    edge = float(part.levels[0].removeprefix("≥ "))
    assert abs(edge - 0.4) < 0.15
    np.testing.assert_array_equal(part.train, np.flatnonzero((known["z"] >= edge) & (known["sex"] == "f")))
