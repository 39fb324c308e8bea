"""False alarms and power of `measure_shift` on the hospital table: 20 random splits, and 5 shifted ones.

    DATAAUDIT_DATA=… python tests/benchmarks/shift.py [seeds]

Prints one line a seed: seconds, the smallest corrected p-value, and what was significant. The losses are
drawn alike for train and test.
"""

import os
import sys
import time
from pathlib import Path

import numpy as np
import polars as pl

from dataaudit.audits.shift.audit import measure_shift

FOLDER = Path(os.environ.get("DATAAUDIT_DATA", Path(__file__).resolve().parents[3] / "shared" / "data"))
TARGET, N_TRAIN, N_TEST = "readmitted", 8_000, 12_000


def halves(frame, seed, *, by=None):
    """Return a random split, or one in which the test rows are drawn by a weight."""
    random = np.random.default_rng(seed)
    p = None if by is None else by / by.sum()
    test = random.choice(frame.height, N_TEST, replace=False, p=p)
    rest = np.setdiff1d(np.arange(frame.height), test)
    return frame[random.choice(rest, N_TRAIN, replace=False).tolist()], frame[test.tolist()]


def run(name, seed, train, test):
    random = np.random.default_rng(seed)
    losses = random.exponential(0.6, train.height), random.exponential(0.6, test.height)
    start = time.perf_counter()
    table = measure_shift(train, test, target=TARGET, losses=losses, seed=seed)
    seconds = time.perf_counter() - start
    alarms = table.filter(pl.col("significant"))
    shown = ", ".join(f"{m}:{c}" for m, c in alarms.select("measure", "column").head(6).iter_rows())
    print(
        f"{name} seed {seed}: {seconds:.2f} s, least p {table['p_value'].min():.3g}, "
        f"{alarms.height} alarms {shown}"
    )
    return alarms.height


def main():
    seeds = int(sys.argv[1]) if len(sys.argv) > 1 else 20
    frame = pl.read_parquet(FOLDER / "diabetes130.parquet").drop("encounter_id", "patient_nbr")
    false = sum(run("random", seed, *halves(frame, seed)) > 0 for seed in range(seeds))
    old = (frame["age"].str.slice(1, 1).to_numpy() >= "7") * 1.0
    found = sum(run("older", seed, *halves(frame, seed, by=1.0 + old)) > 0 for seed in range(min(5, seeds)))
    print(f"false alarms in {false} of {seeds} random splits; {found} of {min(5, seeds)} shifted ones found")


if __name__ == "__main__":
    main()
