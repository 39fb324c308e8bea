"""The whole audit of the hospital data against what anybody pays: reading it and one scikit-learn fit.

    python tests/benchmarks/mismatch.py [--data FOLDER] [--runs 3] [--seeds 20]

A: ``audit_mismatch`` on 20k training and 80k test rows, process start to files written.
B: a process that reads the same files with Polars and fits one LogisticRegression on the paper's columns.
Runs alternate; the ratio is taken pair by pair and its median judged. Then false alarms are
counted, where the same distribution is split at random.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import polars as pl

import dataaudit

OURS = """
import sys, dataaudit
kind, train, test, out, *features = sys.argv[1:]
l2 = float(kind) if kind != "auto" else None
dataaudit.audit_mismatch(train, test, label="readmitted", features=features, l2=l2).write(out)
"""
PEER = """
import sys
import polars as pl
from sklearn.compose import make_column_transformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
train, test, *features = sys.argv[1:]
train, test = pl.read_parquet(train), pl.read_parquet(test)
words = [name for name in features if train[name].dtype == pl.String]
numbers = [name for name in features if name not in words]
one_hot = OneHotEncoder(handle_unknown="ignore")
encoder = make_column_transformer((one_hot, words), (StandardScaler(), numbers))
make_pipeline(encoder, LogisticRegression()).fit(train[features], train["readmitted"].to_numpy())
"""
LARGEST_RATIO, FEWEST_QUIET = 12.0, 0.95
ROWS, L2 = 6000, 1e-4


def run(*command: str) -> tuple[float, float]:
    """Return wall seconds and peak GiB of one process."""
    start = time.perf_counter()
    with subprocess.Popen([sys.executable, "-c", *command], stdout=subprocess.DEVNULL) as process:
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"a run failed with {process.returncode}")
    return time.perf_counter() - start, usage.ru_maxrss / 2**20


def alarms(frame: pl.DataFrame, features: list[str], seeds: int) -> int:
    """Return in how many random splits anything above a note is found."""
    loud = 0
    for seed in range(seeds):
        rows = np.random.default_rng(seed).choice(frame.height, 2 * ROWS, replace=False)
        audit = dataaudit.audit_mismatch(
            frame[rows], label="readmitted", features=features, test_size=0.5, seed=seed, l2=L2, prove=0
        )
        loud += bool((audit.findings["severity"] != "note").any())
    return loud


def main() -> int:
    """Time both in turn, count false alarms, judge."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    root = Path(__file__).parents[2]
    default = os.environ.get("DATAAUDIT_DATA", root.parent / "shared" / "data")
    parser.add_argument("--data", type=Path, default=Path(default))
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--seeds", type=int, default=20)
    options = parser.parse_args()
    sys.path.append(str(root / "examples" / "paper"))
    import hospital

    features = [*hospital.NUMBERS, *hospital.CATEGORIES]
    frame = pl.read_parquet(options.data / "diabetes130.parquet")
    early = (pl.col("readmitted") == "<30").replace_strict({True: "early", False: "not early"})
    frame = frame.with_columns(readmitted=early)
    train, test = hospital.split(frame)
    ratios = {"1e-4": [], "auto": []}
    with tempfile.TemporaryDirectory() as folder:
        files = [str(Path(folder, name)) for name in ("train.parquet", "test.parquet", "out")]
        frame[train].write_parquet(files[0])
        frame[test].write_parquet(files[1])
        for _ in range(options.runs):
            peer, _ = run(PEER, *files[:2], *features)
            for kind, mine in ratios.items():
                ours, memory = run(OURS, kind, *files, *features)
                mine.append(ours / peer)
                print(f"λ {kind}: {ours:.1f} s ({memory:.2f} GiB) against {peer:.1f} s: {mine[-1]:.1f} times")
    worst = max(statistics.median(mine) for mine in ratios.values())
    loud = alarms(frame, features, options.seeds)
    print(f"median {worst:.1f} times, bar {LARGEST_RATIO}; false alarms in {loud} of {options.seeds} splits")
    return int(worst > LARGEST_RATIO or loud > (1 - FEWEST_QUIET) * options.seeds + 1e-9)


if __name__ == "__main__":
    sys.exit(main())
