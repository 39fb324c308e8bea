"""Small tables with a planted cause, and the audit's model of them."""

from dataclasses import replace

import numpy as np
import polars as pl

from dataaudit.audits.mismatch.rows.screen import Screen
from dataaudit.audits.mismatch.world import World
from dataaudit.audits.testset import predict, read_pair
from dataaudit.options import MismatchOptions
from dataaudit.training.encoded import encode_training
from dataaudit.training.train import train


def table(n, seed):
    """Rows of two numbers, two columns of levels and a day; y hangs on the numbers."""
    random = np.random.default_rng(seed)
    x, z = random.normal(size=(2, n))
    day = np.datetime64("2024-01-01") + random.integers(0, 365, n).astype("timedelta64[D]")
    return pl.DataFrame(
        {
            "x": x,
            "z": z,
            "ward": random.choice(["east", "north", "south"], n, p=[0.2, 0.4, 0.4]),
            "sex": random.choice(["f", "m"], n),
            "day": day,
            "y": np.where(random.random(n) < 1 / (1 + np.exp(1 - 2 * x - z)), "ill", "well"),
        }
    )


def other_label(frame, where):
    """Return the rows with labels exchanged where a condition holds."""
    flipped = pl.when(pl.col("y") == "ill").then(pl.lit("well")).otherwise(pl.lit("ill"))
    return frame.with_columns(y=pl.when(where).then(flipped).otherwise(pl.col("y")))


def labelled(frame, where, label):
    """Return the rows with one label where a condition holds."""
    return frame.with_columns(y=pl.when(where).then(pl.lit(label)).otherwise(pl.col("y")))


def case(known, new, **options):
    """Return pair, trained, tested and world; columns that only training has are no features."""
    settings = MismatchOptions(label="y", basis="linear", l2=1e-3, **options)
    pair = read_pair(known, new, settings)
    extra = [c for c in pair.train.frame.columns if c not in pair.test.frame.columns]
    slim = replace(pair.train, frame=pair.train.frame.drop(extra))
    trained = train(encode_training(slim, pair.target, settings), settings)
    tested = predict(trained, pair.test, pair.y)
    return pair, trained, tested, World.of(trained, pair.train.frame, tested, seed=0)


def screen(known, new, **options):
    """Return the screen of two tables."""
    _, trained, _, world = case(known, new, **options)
    return Screen(trained, world)


def gain(world, fix, *, exact=True):
    """Return what a fix is worth, in nats."""
    return float((world.evaluation.loss - fix.apply(world, exact=exact).evaluation.loss).sum())
