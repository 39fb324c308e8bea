"""Reading a table in each format: CPU seconds, here and in another checkout, taken in turns.

    python tests/benchmarks/reading.py [--against FOLDER] [--rows 60000] [--rounds 3]

A made-up table of twelve numbers, a text and a label is written in each format and loaded seven times, of
which the fastest counts; with ``--against`` each round runs a process for either checkout, and the last line
is the median of the ratios. One thread, so that both see the same machine. Exit code 1 if a ratio is above
1.05.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import polars as pl

HERE = Path(__file__).resolve().parents[2]
MOST = 1.05
READ = """
import sys, time
sys.path.insert(0, sys.argv[1])
import dataaudit
assert dataaudit.__file__.startswith(sys.argv[1]), dataaudit.__file__
for path in sys.argv[2:]:
    times = []
    for _ in range(7):
        start = time.process_time()
        dataaudit.load(path, target="y")
        times.append(time.process_time() - start)
    print(min(times))
"""


def written(folder, rows):
    """Write the table in each format; return the paths."""
    random = np.random.default_rng(0)
    frame = pl.DataFrame({f"x{i}": random.normal(size=rows).round(4) for i in range(12)}).with_columns(
        s=pl.Series([f"word{number} and more" for number in random.integers(0, 500, rows)]),
        y=pl.Series(["ab"[number] for number in random.integers(0, 2, rows)]),
    )
    paths = {name: str(folder / f"t.{name}") for name in ("csv", "ndjson", "json", "parquet", "arrow")}
    frame.write_csv(paths["csv"])
    frame.write_ndjson(paths["ndjson"])
    frame.head(rows // 3).write_json(paths["json"])  # decoded by Python, record by record
    frame.write_parquet(paths["parquet"])
    frame.write_ipc(paths["arrow"])
    return paths


def seconds(checkout, paths):
    """Return the fastest of seven loads of each file, in a process of its own."""
    env = os.environ | {"OMP_NUM_THREADS": "1", "POLARS_MAX_THREADS": "1"}
    command = [sys.executable, "-c", READ, str(checkout), *paths.values()]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=True)
    return dict(zip(paths, map(float, done.stdout.split()), strict=True))


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--against", type=Path, help="another checkout")
    parser.add_argument("--rows", type=int, default=60_000)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    checkouts = [HERE, *([given.against.resolve()] if given.against else [])]
    with tempfile.TemporaryDirectory() as made:
        paths = written(Path(made), given.rows)
        found = [[seconds(checkout, paths) for checkout in checkouts] for _ in range(given.rounds)]
    print(" " * 10 + "".join(f"{name:>10}" for name in paths))
    for number, times in enumerate(found, start=1):
        for where, one in zip(("here", "there"), times, strict=False):
            print(f"{number} {where:<8}" + "".join(f"{one[name]:10.3f}" for name in paths))
    if given.against is None:
        return 0
    ratios = {name: statistics.median(here[name] / there[name] for here, there in found) for name in paths}
    print(f"{'ratio':<10}" + "".join(f"{ratio:10.3f}" for ratio in ratios.values()))
    return int(max(ratios.values()) > MOST)


if __name__ == "__main__":
    sys.exit(main())
