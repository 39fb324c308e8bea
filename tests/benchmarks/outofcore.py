"""Audits of tables that do not fit in memory: peak memory, time over one scan of the file, growth.

A table of 40 mixed columns is written row group by row group: numbers, levels, flags, dates, missing cells.
Every audit is a process of its own; so is a scan, which reads all columns once with Polars.

    python tests/benchmarks/outofcore.py 0.5e6 1.5e6 5e6 --memory 2GiB
    python tests/benchmarks/outofcore.py 2e5 --compare        # the same file in memory: scores and list
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import polars as pl

GROUP = 100_000  # rows of a row group


def table(n: int, seed: int) -> pl.DataFrame:
    """Return 40 columns and a label that is wrong in 5 % of the rows."""
    random = np.random.default_rng(seed)
    columns: dict[str, pl.Series] = {}
    score = np.zeros(n)
    for i in range(15):
        values = random.standard_normal(n)
        score += 0.25 * values
        missing = pl.Series(random.random(n) < 0.05 * (i % 4 == 0))
        columns[f"number {i}"] = pl.Series(values * (i + 1)).round(4).set(missing, None)
    for i in range(6):
        whole = random.integers(0, 40 * (i + 1), n)
        score += 0.3 * (whole / (40 * (i + 1)) - 0.5)
        columns[f"count {i}"] = pl.Series(whole, dtype=pl.Int32)
    for i in range(10):
        names = pl.Series([f"level {i}.{j}" for j in range(4 + i)])
        level = random.integers(0, 4 + i, n)
        score += 0.8 * (level == 0) - 0.8 / (4 + i)
        columns[f"kind {i}"] = names.gather(level).set(
            pl.Series(random.random(n) < 0.03 * (i % 3 == 0)), None
        )
    for i in range(5):
        flag = random.random(n) < 0.3 + 0.1 * i
        score += 0.5 * flag - 0.2
        columns[f"flag {i}"] = pl.Series(flag)
    for i in range(3):
        days = 18_000 + random.integers(0, 900, n)
        score += 0.4 * (days - 18_450) / 900
        columns[f"date {i}"] = pl.Series(days, dtype=pl.Int32).cast(pl.Date)
    columns["amount"] = pl.Series(np.exp(random.standard_normal(n))).round(2)
    wrong = random.random(n) < 0.05
    y = (score + 0.35 * random.logistic(size=n) > 0) ^ wrong
    columns["label"] = pl.Series(["no", "yes"]).gather(y.astype(np.int64))
    return pl.DataFrame(columns)


def write(path: Path, n: int) -> None:
    """Write n rows, a row group at a time."""
    import pyarrow.parquet as pq

    first = table(1, 0).to_arrow()
    with pq.ParquetWriter(path, first.schema) as file:
        for seed, start in enumerate(range(0, n, GROUP)):
            file.write_table(table(min(GROUP, n - start), seed).to_arrow())


def measured(what: str, *given: str) -> dict[str, float]:
    """Run a part of this file in a process of its own."""
    done = subprocess.run(
        [sys.executable, __file__, "--do", what, *given], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(done.stderr[-2000:])
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def do(what: str, path: str, memory: str, out: str) -> None:
    """Scan or audit a file, and print what that took."""
    began, used = time.monotonic(), time.process_time()
    if what == "scan":
        pl.scan_parquet(path).collect()
    else:
        from dataaudit import audit_labels

        audit_labels(path, label="label", memory=memory or None).write(out)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    facts = {"wall": time.monotonic() - began, "cpu": time.process_time() - used, "gib": peak}
    print(json.dumps(facts))


def compare(folder: Path, path: Path) -> None:
    """Print how far scores in memory and out of core are apart."""
    small = f"{(path.stat().st_size * 20) // 2**20}MiB"
    frames = []
    for name, memory in (("memory", "64GiB"), ("disk", small)):
        facts = measured("audit", str(path), memory, str(folder / name))
        print(f"{name:7} --memory {memory}: {facts['cpu']:.0f} CPU s, {facts['gib']:.2f} GiB")
        frames.append(pl.read_parquet(folder / name / "labels.parquet"))
    one, other = frames
    print("same list:", one["row_id"].equals(other["row_id"]))
    one, other = one.sort("row_id"), other.sort("row_id")
    for name, kind in one.schema.items():
        if kind.is_float():
            apart = (one[name] - other[name]).abs()
            print(f"  {name:26} {apart.max():.1e}, relative {(apart / one[name].abs()).max():.1e}")


def main() -> None:
    """Print a line for each size, and how they grow."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("sizes", type=float, nargs="*", default=[5e5, 1.5e6, 5e6])
    parser.add_argument("--memory", default="2GiB")
    parser.add_argument("--compare", action="store_true")
    asked = parser.parse_args()
    found = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for n in map(int, asked.sizes):
            path = folder / f"{n}.parquet"
            write(path, n)
            if asked.compare:
                compare(folder, path)
                continue
            scan = measured("scan", str(path), "", "")
            audit = measured("audit", str(path), asked.memory, str(folder / "out"))
            found.append((n, audit["cpu"]))
            print(
                f"{n:>9,} rows, {path.stat().st_size / 2**20:,.0f} MiB: audit {audit['cpu']:.0f} CPU s, "
                f"{audit['gib']:.2f} GiB; scan {scan['cpu']:.2f} CPU s, {scan['gib']:.2f} GiB: "
                f"{audit['cpu'] / scan['cpu']:.0f} times",
                flush=True,
            )
            path.unlink()
        for (n, time_n), (m, time_m) in itertools.pairwise(found):
            print(f"{n:,} to {m:,} rows: exponent {math.log(time_m / time_n) / math.log(m / n):.2f}")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--do"]:
        do(*sys.argv[2:6])
    else:
        main()
