"""Copies of test rows with another label are a suspect; twins that agree as often as chance are none."""

import numpy as np
import polars as pl
from audits.mismatch.rows.planted import case, gain, other_label, table

from dataaudit.audits.mismatch.rows.copies import copy_suspects, twins


def test_twins_are_all_pairs_of_equal_rows():
    known, new = table(40, 0).select("ward", "sex", "y"), table(30, 1).select("ward", "sex", "y")
    pair = case(known, new)[0]
    slow = {
        (i, j)
        for i, a in enumerate(known.select("ward", "sex").rows())
        for j, b in enumerate(new.select("ward", "sex").rows())
        if a == b
    }
    train, test, matched = twins(pair)
    assert set(zip(train.tolist(), test.tolist(), strict=True)) == slow
    for side in (train[matched], test[matched]):
        assert len(set(side.tolist())) == len(side) > 20


def test_copies_with_another_label_are_named_and_mended():
    known, new = table(300, 0), table(200, 1)
    made = case(pl.concat([known, other_label(new[:60], pl.lit(value=True))]), new)
    (one,) = copy_suspects(made[0], made[2])
    assert one.train.tolist() == list(range(300, 360))
    assert one.test.tolist() == list(range(60))
    assert "with another label" in one.title
    remove, relabel = one.fixes
    np.testing.assert_array_equal(relabel.y, made[2].y[:60])
    assert 0 < gain(made[3], remove) < gain(made[3], relabel)


def test_twins_of_a_noisy_world_are_no_suspect():
    known, new = (table(400, seed).select("ward", "sex", "y") for seed in (0, 1))
    assert copy_suspects(*case(known, new)[::2]) == []
