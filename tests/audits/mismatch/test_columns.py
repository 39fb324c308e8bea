"""Columns that were broken in test: each cause is found and named, and its fix brings the clean loss back."""

import datetime as dt
import re

import numpy as np
import polars as pl
import pytest

from dataaudit.audits.mismatch.columns import column_suspects
from dataaudit.audits.mismatch.world import World
from dataaudit.audits.testset import predict, read_pair
from dataaudit.options import MismatchOptions
from dataaudit.training.encoded import encode_training
from dataaudit.training.train import train

N, T = 900, 600
GARDEN, HARBOUR = ["rose", "soil", "spade", "seed"], ["anchor", "sail", "tide", "vessel"]
SHARED = ["the", "of", "and", "in", "with", "near", "early", "old", "new", "day"]


def patients(n, seed):
    """Rows whose label follows mass, height, dose, tone, grade, ward, day and note, each a little."""
    random = np.random.default_rng(seed)
    y = random.random(n) < 0.5
    mass = random.lognormal(4.2 + 0.25 * y, 0.2)
    grade = np.clip(random.binomial(6, 0.35 + 0.3 * y), 0, 6) + 1
    ward = np.where(random.random(n) < 0.5, np.where(y, "north", "south"), random.choice(["east", "west"], n))
    dose = np.where(random.random(n) < 0.25, np.nan, 20 + 6 * y + random.normal(0, 4, n))
    start = np.datetime64("2020-01-01")
    topic = np.where(random.random(n) < 0.75, y, ~y).astype(int)
    words = [" ".join([*random.choice((GARDEN, HARBOUR)[k], 2), *random.choice(SHARED, 6)]) for k in topic]
    return pl.DataFrame(
        {
            "mass": mass,
            "height": 150 + 18 * y + random.normal(0, 14, n),
            "dose": pl.Series(dose).fill_nan(None),
            "tone": random.normal(1.2 * y - 0.6, 1.0, n),
            "grade": grade,
            "ward": ward,
            "smoker": np.where(random.random(n) < 0.2 + 0.6 * y, "t", "f"),
            "day": pl.Series(start + random.integers(0, 500, n) + 60 * y),
            "note": words,
            "y": np.where(y, "ill", "well"),
        }
    )


def look(known, new, **columns):
    """Return what is suspected of the columns of a test table, and the world as it is."""
    asked = MismatchOptions(label="y", basis="linear", l2=1e-3, **columns)
    pair = read_pair(known, new, asked)
    trained = train(encode_training(pair.train, pair.target, asked), asked)
    tested = predict(trained, pair.test, pair.y)
    world = World.of(trained, pair.train.frame, tested, seed=0)
    return column_suspects(pair, tested, world=world), world


@pytest.fixture(scope="module")
def known():
    return patients(N, 0)


@pytest.fixture(scope="module")
def new():
    return patients(T, 1)


@pytest.fixture(scope="module")
def clean(known, new):
    """The test loss where nothing is broken."""
    return look(known, new)[1].evaluation.loss.mean()


def cells(name, expression):
    return lambda frame: frame.with_columns(expression.alias(name))


def mapped(name, **levels):
    return cells(name, pl.col(name).replace(levels))


C = pl.col
CURED = {  # cause, column, what happens to test, words of the title
    "pounds": ("scaled", "mass", cells("mass", C("mass") * 2.20462), "pounds for kilograms"),
    "metres": ("scaled", "height", cells("height", C("height") / 100), "metres for centimetres"),
    "fahrenheit": ("scaled", "dose", cells("dose", C("dose") * 1.8 + 32), "Fahrenheit for Celsius"),
    "kelvin": ("offset", "dose", cells("dose", C("dose") + 273.15), "273.1 more .* kelvin"),
    "standardised": ("scaled", "height", cells("height", (C("height") - 160) / 17), "standardised already"),
    "sign": ("sign", "tone", cells("tone", -C("tone")), "other sign"),
    "reversed": ("reversed", "grade", cells("grade", 8 - C("grade")), "like 8 less that of training"),
    "logarithm": ("transformed", "mass", cells("mass", C("mass").log()), "natural logarithm"),
    "in part": (
        "scaled in part",
        "mass",
        cells("mass", pl.when(pl.int_range(pl.len()) % 3 == 0).then(C("mass") * 100).otherwise(C("mass"))),
        "divided by 100",
    ),
    "minus 999": ("fill value", "dose", cells("dose", C("dose").fill_null(-999.0)), "-999 .* missing value"),
    "true": ("renamed", "smoker", mapped("smoker", t="true", f="false"), "“true” for “t”"),
    "case": ("renamed", "ward", cells("ward", C("ward").str.to_uppercase() + " "), "“NORTH” for “north”"),
    "codes": ("renamed", "ward", mapped("ward", north="1a", south="7b"), "“1a” for “north”"),
    "permuted": ("permuted", "ward", mapped("ward", north="south", south="north"), "“north” for “south”"),
    "a row low": ("row shift", "height", cells("height", C("height").shift(1, fill_value=160)), "too low"),
    "underscores": ("written", "note", cells("note", C("note").str.replace_all(" ", "_")), "underscores"),
    "later": ("offset", "day", cells("day", C("day").dt.offset_by("700d")), "7[0-9.]+ days more"),
}  # fmt: skip


@pytest.mark.parametrize("name", CURED)
def test_the_fix_of_a_cause_brings_the_clean_loss_back(known, new, clean, name):
    cause, column, happens, words = CURED[name]
    suspects, world = look(known, happens(new))
    found = next(one for one in suspects if one.columns == (column,))
    assert found.cause == cause
    assert found.p_value < 0.01
    assert re.search(words, found.title)
    left = found.fixes[0].apply(world, exact=False).evaluation.loss.mean()
    broken = world.evaluation.loss.mean()
    assert broken > clean + 0.002
    assert left - clean < 0.3 * (broken - clean)


LEFT_OUT = {  # what cannot be undone: leaving the column out, or a training value in its place, helps
    "stuck": ("stuck", "height", cells("height", pl.lit(190.0))),
    "one level": ("stuck", "ward", cells("ward", pl.lit("north"))),
    "never filled": ("missing", "mass", cells("mass", pl.lit(None, pl.Float64))),
    "other rows": ("dead", "height", cells("height", C("height").shuffle(seed=3))),
    "empty": ("missing", "note", cells("note", pl.lit(""))),
}


@pytest.mark.parametrize("name", LEFT_OUT)
def test_a_column_that_says_nothing_any_more_is_named(known, new, name):
    cause, column, happens = LEFT_OUT[name]
    suspects, world = look(known, happens(new))
    found = next(one for one in suspects if one.columns == (column,))
    assert found.cause == cause
    out = found.fixes[-1]
    assert out.name == "leave out column"
    after = out.apply(world, exact=True).evaluation.loss.mean()
    # An empty text says nothing already: what is left out costs what it said of no row.
    assert after < world.evaluation.loss.mean() * (1.05 if name == "empty" else 1.0)


def test_a_control_has_no_suspect(known, new):
    for seed in (2, 3):
        assert look(known, patients(T, seed))[0] == []
    assert look(known, new)[0] == []


def test_another_class_rate_moves_no_column(known):
    many = patients(4 * T, 5)
    fewer = pl.concat([many.filter(C("y") == "ill").head(60), many.filter(C("y") == "well").head(T)])
    assert look(known, fewer)[0] == []


def test_exchanged_columns_are_exchanged_back(known, new, clean):
    swapped = new.rename({"mass": "height", "height": "mass"}).select(new.columns)
    suspects, world = look(known, swapped)
    assert (suspects[0].kind, set(suspects[0].columns)) == ("exchange", {"mass", "height"})
    assert suspects[0].fixes[0].apply(world, exact=False).evaluation.loss.mean() == pytest.approx(clean)


def test_three_columns_that_moved_on_by_one_are_moved_back(known, new, clean):
    ring = new.rename({"mass": "tone", "tone": "height", "height": "mass"}).select(new.columns)
    suspects, world = look(known, ring)
    found = next(one for one in suspects if len(one.columns) == 3)
    assert found.fixes[0].apply(world, exact=False).evaluation.loss.mean() == pytest.approx(clean)


def test_texts_cut_short_are_cut_in_training_too(known, new):
    suspects, world = look(known, new.with_columns(C("note").str.slice(0, 12)), text=("note",))
    found = next(one for one in suspects if one.columns == ("note",))
    cut = next(fix for fix in found.fixes if fix.name == "cut")
    after = cut.apply(world, exact=True)
    assert after.known["note"].str.len_chars().max() == 12
    assert after.evaluation.loss.mean() < world.evaluation.loss.mean()


def test_a_name_is_quoted_and_shortened(known, new):
    long = "mass\x1b[31m " + "x" * 200
    suspects, _ = look(known.rename({"mass": long}), new.rename({"mass": long}).with_columns(C(long) * 1000))
    assert "\x1b" not in suspects[0].title
    assert len(suspects[0].title) < 160


def test_time_that_moved_on_is_not_a_broken_feed(known):
    later = patients(T, 4).with_columns(day=pl.lit(dt.date(2024, 2, 1)) + pl.duration(days=C("grade") * 20))
    suspects, _ = look(known, later)
    assert "day" in {name for one in suspects for name in one.columns}


@pytest.mark.parametrize("later", [pl.lit(0), pl.int_range(pl.len()) % 2])
def test_a_leak_that_went_dead_is_called_so(known, new, later):
    given = (C("y") == "ill").cast(pl.Int64) * (pl.int_range(pl.len()) % 14 != 0)
    suspects, world = look(known.with_columns(followup=given), new.with_columns(followup=later))
    found = next(one for one in suspects if one.columns == ("followup",))
    assert found.cause == "dead leak"
    assert re.search("alone gives the label of 9[0-9] % of the training rows", found.title)
    after = found.fixes[0].apply(world, exact=True).evaluation.loss.mean()
    assert after < 0.5 * world.evaluation.loss.mean()
