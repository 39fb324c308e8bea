"""Slices are the rows that they say, by the slow way."""

import numpy as np
import polars as pl
from audits.mismatch.rows.planted import case, table

from dataaudit.audits.mismatch.rows.cuts import UNSEEN, cut


def cuts_of(known, new, **options):
    pair, trained, tested, _ = case(known, new, **options)
    return cut(pair.train, trained, tested)


def rows(cuts, column, level):
    at = next(i for i in range(cuts.m) if (cuts.columns[i], cuts.levels[i]) == (column, level))
    part = cuts.slice(at)
    return part.train.tolist(), part.test.tolist()


def test_levels_missing_cells_and_levels_that_training_lacks():
    known, new = table(200, 0), table(100, 1)
    known = known.with_columns(ward=pl.when(pl.col("x") > 1).then(None).otherwise(pl.col("ward")))
    new = new.with_columns(
        ward=pl.when(pl.col("z") > 1).then(pl.lit("west")).when(pl.col("x") > 1).then(None).otherwise("ward")
    )
    cuts = cuts_of(known, new)
    sides = known["ward"], new["ward"]
    for level in ("east", "north"):
        assert rows(cuts, "ward", level) == tuple(np.flatnonzero(s.eq_missing(level)).tolist() for s in sides)
    assert rows(cuts, "ward", "(missing)") == tuple(np.flatnonzero(s.is_null()).tolist() for s in sides)
    west = np.flatnonzero(sides[1].eq_missing("west")).tolist()
    assert rows(cuts, "ward", "west") == ([], west)  # the same rows as those that training lacks
    assert (("ward", UNSEEN) in zip(cuts.columns, cuts.levels, strict=True)) is False


def test_numbers_are_cut_at_quantiles_of_training_and_beyond_it():
    known, new = table(200, 0), table(100, 1).with_columns(x=pl.col("x") * 4)
    cuts = cuts_of(known, new)
    for i in np.flatnonzero(~np.isnan(cuts.low)):
        part, column = cuts.slice(int(i)), cuts.columns[i]
        for frame, mine in ((known, part.train), (new, part.test)):
            values = frame[column].to_physical().to_numpy()
            expected = np.flatnonzero((values >= cuts.low[i]) & (values < cuts.high[i]))
            np.testing.assert_array_equal(mine, expected)
    beyond = [i for i in range(cuts.m) if cuts.columns[i] == "x" and not len(cuts.slice(i).train)]
    assert len(beyond) == 2  # below and above all of training
    assert all(len(cuts.slice(i).test) >= 3 for i in beyond)


def test_few_whole_numbers_are_levels_each_and_dates_show_the_day():
    known, new = table(200, 0), table(100, 1)
    known, new = (f.with_columns(floor=pl.int_range(pl.len()) % 4) for f in (known, new))
    cuts = cuts_of(known, new)
    assert rows(cuts, "floor", "2") == (list(range(2, 200, 4)), list(range(2, 100, 4)))
    days = [level for column, level in zip(cuts.columns, cuts.levels, strict=True) if column == "day"]
    assert any(level.startswith("< 2024-") and len(level) == len("< 2024-06-01") for level in days)


def test_a_column_of_one_side_makes_slices_of_that_side():
    known = table(200, 0).with_columns(annotator=pl.Series(["a", "b"] * 100))
    cuts = cuts_of(known, table(100, 1))
    assert rows(cuts, "annotator", "b") == (list(range(1, 200, 2)), [])


def test_words_of_a_text_and_names():
    known, new = (
        f.with_columns(note=pl.when(pl.col("x") > 0).then(pl.lit("meter red")).otherwise(pl.lit("blue sky")))
        for f in (table(200, 0), table(100, 1))
    )
    cuts = cuts_of(known, new, text=("note",))
    expected = tuple(np.flatnonzero(f["x"] > 0).tolist() for f in (known, new))
    assert rows(cuts, "note", "meter") == expected
    at = cuts.levels.index("meter"), cuts.columns.index("sex")
    part = cuts.slice(*at)
    assert part.name == f"note = meter and sex = {cuts.levels[at[1]]}"
    sex = cuts.slice(at[1])
    np.testing.assert_array_equal(part.train, np.intersect1d(expected[0], sex.train))
