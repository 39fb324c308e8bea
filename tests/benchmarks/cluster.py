"""The same rows in this process and on workers of Dask: equal, and how long each takes.

    python tests/benchmarks/cluster.py [--rows 1000000] [--columns 20] [--workers 2] [--shards 1 2 5 7 16]

A table of numbers with one column of levels is written as Parquet, with as many row groups as shards. A fit
with its forms, from the same start, is then made three times: without workers, by rows in scratch files; with
workers, reading the files; and once more with these, who have the features by now. Printed are seconds and
seconds of all processors, and how far θ and the forms are from those of the first sharding, which are to be
equal to 1e-10. With the last number of shards workers are to be 1.6 times as fast as none if there are cores
enough for them, else to take at most 1.2 times the processors' time.
"""

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import polars as pl
import psutil

from dataaudit.data.scratch import Scratch
from dataaudit.influence.passes import prepare_by_passes
from dataaudit.memory import limited
from dataaudit.model.cluster import connected
from dataaudit.model.linear import LinearModel
from dataaudit.model.losses import Softmax
from dataaudit.model.objective import Objective
from dataaudit.model.rows import ShardedRows
from dataaudit.options import LabelOptions
from dataaudit.training.encoded import encode_training, read_labelled
from dataaudit.training.selection import SelectionSettings, choose
from dataaudit.training.train import rows_of

FASTER, OVERHEAD, EQUAL = 1.6, 1.2, 1e-10


def table(n, d):
    """Rows of d numbers and a column of levels, with 5 % of the labels flipped."""
    random = np.random.default_rng(0)
    X = random.standard_normal((n, d))
    y = (X @ random.standard_normal(d) + random.logistic(size=n) > 0) ^ (random.random(n) < 0.05)
    frame = pl.DataFrame({f"x{j}": X[:, j] for j in range(d)})
    return frame.with_columns(
        level=pl.Series(random.choice(list("abcde"), n)), y=pl.Series(np.where(y, "yes", "no"))
    )


def processors():
    """Seconds that this process and its workers have computed."""
    family = [psutil.Process(), *psutil.Process().children(recursive=True)]
    return sum(sum(one.cpu_times()[:2]) for one in family)


def fit(path, engine, bound):
    """Return θ and the forms, and for each fit seconds and processors' seconds."""
    asked = LabelOptions(label="y", l2=1e-4, basis="linear")
    with limited(bound), Scratch(engine) as scratch:
        dataset, target = read_labelled(path, asked, scratch=scratch)
        training = encode_training(dataset, target, asked)
        settings = SelectionSettings(basis="linear", l2=asked.l2)
        choice = choose(training.columns, target.y, 2, settings=settings)
        times = []
        begin, used = time.perf_counter(), processors()
        rows = rows_of(training, choice.basis, scratch=scratch)
        assert isinstance(rows, ShardedRows), "so few rows are in memory: give more"
        objective = Objective(rows, LinearModel(Softmax(2), rows.width), choice.l2)
        for _ in range(1 if engine is None else 2):
            found, _, forms = prepare_by_passes(objective, None, damping=0.0, on_step=lambda *_: None)
            times.append((time.perf_counter() - begin, processors() - used))
            begin, used = time.perf_counter(), processors()
    return found.theta, forms, times


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--columns", type=int, default=20)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--shards", type=int, nargs="+", default=[1, 2, 5, 7, 16])
    asked = parser.parse_args()
    frame, first, worst = table(asked.rows, asked.columns), None, 0.0
    print(f"{'shards':>6} {'':12} {'s':>7} {'cpu s':>7}  difference")
    with tempfile.TemporaryDirectory() as folder, connected(workers=asked.workers, memory=2**32) as cluster:
        for shards in asked.shards:
            path = str(Path(folder, f"{shards}.parquet"))
            frame.write_parquet(path, row_group_size=-(-asked.rows // shards))
            for engine in (None, cluster):
                theta, forms, times = fit(path, engine, 1100 * asked.rows)
                first = first or (theta, forms)
                apart = max(
                    float((a - b).abs().max() / b.abs().max())
                    for a, b in zip((theta, forms), first, strict=True)
                )
                worst = max(worst, apart)
                names = ["no workers"] if engine is None else ["workers", "again"]
                for name, (seconds, used) in zip(names, times, strict=True):
                    print(f"{shards:6} {name:12} {seconds:7.2f} {used:7.2f}  {apart:.1e}", flush=True)
                if engine is None:
                    alone = times[0]
    (wall, used), cores = times[0], len(os.sched_getaffinity(0))
    faster, more = alone[0] / wall, used / alone[1]
    print(
        f"{faster:.2f} times as fast with {asked.workers} workers on {cores} cores; {more:.2f} times the cpu"
    )
    good = worst <= EQUAL and (faster >= FASTER or (cores <= asked.workers and more <= OVERHEAD))
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
