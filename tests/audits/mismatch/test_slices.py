"""Slices are cut right."""

import datetime as dt

import numpy as np
import polars as pl
import pytest

from dataaudit.audits.mismatch.slices import cut_slices
from dataaudit.audits.testset import predict
from dataaudit.options import LabelOptions
from dataaudit.training.encoded import encode_training, read_labelled
from dataaudit.training.train import train


def wards(n, seed, *, rare):
    """Rows whose label hangs on x; of ward "rare", `rare` says it whatever x is."""
    random = np.random.default_rng(seed)
    ward = random.choice(["north", "south", "east", "rare"], n, p=[0.4, 0.3, 0.28, 0.02])
    x = random.normal(size=n)
    y = random.random(n) < 1 / (1 + np.exp(-2 * x))
    y = np.where(ward == "rare", rare, y)
    start = dt.date(2024, 1, 1)
    day = pl.date_range(start, start + dt.timedelta(days=n - 1), eager=True)
    return pl.DataFrame(
        {
            "ward": pl.Series(ward).set(pl.Series(np.arange(n) % 50 == 7), None),
            "x": x,
            "floor": random.integers(1, 5, n),
            "day": day.sample(n, shuffle=True, seed=seed),
            "y": np.where(y, "ill", "well"),
        }
    )


@pytest.fixture(scope="module")
def model():
    asked = LabelOptions(label="y", basis="linear", l2=1e-4)
    known, target = read_labelled(wards(800, 0, rare=True), asked)
    new, labels = read_labelled(wards(900, 1, rare=False), asked)
    trained = train(encode_training(known, target, asked), asked)
    tested = predict(trained, new, labels.y)
    return trained, known, tested


def test_slices_of_a_column_are_its_rows(model):
    trained, known, tested = model
    slices = cut_slices(trained, known, tested)
    for column in ("ward", "floor"):
        mine = {s.level: s for s in slices if s.column == column}
        new = tested.dataset.frame[column].cast(pl.String).fill_null("(missing)")
        old = known.frame[column].cast(pl.String).fill_null("(missing)")
        assert mine.keys() == set(new.unique())
        for level, part in mine.items():
            np.testing.assert_array_equal(part.test, np.flatnonzero((new == level).to_numpy()))
            np.testing.assert_array_equal(part.train, np.flatnonzero((old == level).to_numpy()))


@pytest.mark.parametrize("column", ["x", "day"])
def test_bins_split_the_rows_and_hold_alike_many_training_rows(model, column):
    trained, known, tested = model
    bins = [s for s in cut_slices(trained, known, tested) if s.column == column]
    assert len(bins) == 8
    sizes = [len(s.train) for s in bins]
    assert sum(sizes) == known.n
    assert sum(len(s.test) for s in bins) == tested.n
    assert max(sizes) <= 1.1 * min(sizes)
