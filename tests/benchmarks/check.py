"""How long the gate takes: rules of tables on 5 million rows of 20 columns, and a file that has not changed.

One scan is what any check has to do at least: read all columns of the file into memory once. Both are done in
turn, so that whatever else the machine does hits both; medians are compared. The other runs are whole
processes as a shell sees them, first without a cache and then with one.

    python tests/benchmarks/check.py [--rows 5000000] [--rounds 5] [--folder FOLDER]
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import polars as pl

from dataaudit.gate.check import check
from dataaudit.gate.settings import CheckSettings, DatasetSettings

BAR, CACHED_BAR = 3.0, 1.0


def make(rows, path):
    """Write ten columns of real numbers, five of whole ones, four of levels, and a label."""
    rng = np.random.default_rng(0)
    columns = {f"x{i}": rng.normal(size=rows) for i in range(10)}
    columns |= {f"k{i}": rng.integers(0, 10 ** (i + 1), size=rows) for i in range(5)}
    levels = np.array([f"level {i}" for i in range(50)])
    columns |= {f"c{i}": levels[rng.integers(0, 50, size=rows)] for i in range(4)}
    columns["y"] = np.array(["no", "yes"])[rng.integers(0, 2, size=rows)]
    pl.DataFrame(columns).write_parquet(path)


def timed(do):
    """Return the seconds that a call takes."""
    began = time.perf_counter()
    do()
    return time.perf_counter() - began


def process(command, folder):
    """Return the seconds that a process takes and the most memory it has, in GB."""
    began = time.perf_counter()
    started = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, used = os.wait4(started.pid, 0)
    assert status == 0, command
    return time.perf_counter() - began, used.ru_maxrss / 1e6


def judge(path):
    """Hold the file to the rules of tables."""
    dataset = DatasetSettings(name="big", paths=(str(path),), label="y")
    verdict = check(CheckSettings(datasets=(dataset,), select=("DA4",), cache=False))
    assert verdict.exit_code == 0, [o.message for o in verdict.broken]


def main():
    """Print the figures and exit with 1 if a bar is missed."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=5_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--folder", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        path = Path(folder) / "big.parquet"
        # Elsewhere, since a process is born with the memory of the one that starts it.
        maker = get_context("spawn").Process(target=make, args=(options.rows, path))
        maker.start()
        maker.join()
        time.sleep(2.5)  # a file that was just written is not taken to be settled
        command = [str(Path(sys.executable).with_name("audit")), "check", str(path), "--label", "y"]
        command += ["--isolated", "--select", "DA4", "-q"]
        first, memory = process(command, folder)
        cached = statistics.median(process(command, folder)[0] for _ in range(options.rounds))
        size = path.stat().st_size / 1e6
        print(f"{options.rows:,} rows of 20 columns, {size:.0f} MB of Parquet")
        print(f"whole process: first {first:.2f} s and {memory:.2f} GB of memory")
        print(f"whole process, unchanged data: {cached:.2f} s (bar {CACHED_BAR:g} s)")
        judge(path)  # imports, and the file into the system's cache
        rounds = [
            (timed(lambda: pl.read_parquet(path)), timed(lambda: judge(path))) for _ in range(options.rounds)
        ]
        scan, gate = (statistics.median(column) for column in zip(*rounds, strict=True))
        print(f"one scan {scan:.2f} s, rules of tables {gate:.2f} s: {gate / scan:.1f} times (bar {BAR:g})")
    return int(gate / scan > BAR or cached > CACHED_BAR)


if __name__ == "__main__":
    sys.exit(main())
