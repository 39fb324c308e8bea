"""Slices that are a cause are named, with fixes that refits prove; random splits have none."""

import numpy as np
import polars as pl
import pytest
from audits.mismatch.rows.planted import case, gain, labelled, other_label, table

from dataaudit.audits.mismatch.rows.cuts import Slice, cut
from dataaudit.audits.mismatch.rows.slices import slice_suspects, unlike


def slices_of(made):
    """Slices that are suspected in a pair with its model, predictions and world."""
    pair, trained, tested, world = made
    return slice_suspects(cut(pair.train, trained, tested), world)


def first(known, new, **options):
    made = case(known, new, **options)
    found = slices_of(made)
    return max(found, key=lambda one: one.evidence), made


@pytest.mark.parametrize(
    ("where", "columns"),
    [
        (pl.col("ward") == "east", ("ward",)),
        (pl.col("z") > 1.0, ("z",)),
        (pl.col("day") < pl.date(2024, 4, 1), ("day",)),
    ],
)
def test_a_slice_with_other_labels_in_training_is_named(where, columns):
    one, (_, _, tested, world) = first(labelled(table(900, 0), where, "ill"), table(500, 1))
    assert one.columns == columns
    assert one.p_value < 1e-6
    best = max(one.fixes, key=lambda fix: gain(world, fix))
    there = best.apply(world, exact=True)
    assert there.evaluation.wrong.sum() < tested.wrong.sum()
    assert best.advice.startswith(("Label the ", "Leave out the ", "Shift the scores "))


def test_labels_exchanged_are_exchanged_back():
    known = table(900, 0)
    one, (pair, _, _, world) = first(other_label(known, known["ward"] == "east"), table(500, 1))
    relabel = next(fix for fix in one.fixes if fix.advice.endswith("with ward = east the other way round."))
    np.testing.assert_array_equal(one.train, np.flatnonzero(known["ward"] == "east"))
    np.testing.assert_array_equal(relabel.y, 1 - pair.target.y[one.train])
    assert gain(world, relabel) > 10


def test_a_level_that_training_lacks_and_one_that_only_training_has():
    new = table(500, 1)
    new = new.with_columns(ward=pl.when(pl.col("ward") == "east").then(pl.lit("west")).otherwise("ward"))
    one, _ = first(
        table(900, 0).filter(pl.col("ward") != "east"), labelled(new, new["ward"] == "west", "ill")
    )
    assert (one.cause, one.columns, one.levels) == ("unseen", ("ward",), ("west",))
    assert one.title.endswith("; training has none")
    assert [fix.name for fix in one.fixes] == ["offset"]
    known = table(900, 0).with_columns(annotator=pl.Series(list("abc") * 300))
    one, (_, _, _, world) = first(labelled(known, pl.col("annotator") == "b", "ill"), table(500, 1))
    assert (one.cause, one.columns, one.levels) == ("only training", ("annotator",), ("b",))
    assert not len(one.test)
    assert max(gain(world, fix) for fix in one.fixes) > 10


def test_a_word_is_named_as_people_write_it():
    def note(frame):
        words = pl.when(pl.col("z").abs() < 0.4).then(pl.lit("the meter is red"))
        return frame.with_columns(note=words.otherwise(pl.lit("the sky is blue")))

    known = note(table(600, 0))
    made = case(other_label(known, pl.col("z").abs() < 0.4), note(table(400, 1)), text=("note",))
    names = [one.name for one in slices_of(made) if one.columns == ("note",)]
    assert "note = meter" in names


def test_one_of_three_classes_labelled_as_another():
    def three(frame):
        mild = pl.col("sex") + pl.col("y") == "mwell"
        return frame.with_columns(y=pl.when(mild).then(pl.lit("mild")).otherwise("y"))

    known, new = three(table(1500, 0)), three(table(700, 1))
    wrong = (pl.col("ward") == "east") & (pl.col("y") == "mild")
    one, (_, _, _, world) = first(labelled(known, wrong, "ill"), new)
    assert one.columns == ("ward",)
    assert max(gain(world, fix) for fix in one.fixes) > 10


def test_random_splits_have_no_slice_that_labels_speak_for():
    alarms = 0
    for seed in range(5):
        made = case(table(300, 2 * seed), table(200, 2 * seed + 1))
        world = made[3]
        found = [one for one in slices_of(made) if one.p_value <= 0.01]
        alarms += any(gain(world, fix) > 3 for one in found for fix in one.fixes)
    assert alarms == 0


def test_slices_that_share_their_rows_are_one():
    rows = np.arange(100)
    parts = [
        Slice(("a",), ("1",), rows, rows),
        Slice(("a", "b"), ("1", "2"), rows[2:], rows),
        Slice(("b",), ("2",), rows, rows),
    ]
    assert unlike(parts) == [parts[0], parts[2]]
