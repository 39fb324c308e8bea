"""What `audit plan` says against what `audit labels` takes: seconds and bytes, stage by stage.

    python tests/benchmarks/plan.py [WORKLOAD …] [--data FOLDER] [--folder FOLDER]

Each workload runs in a process of its own on one core, of which processor time is taken: other work on the
machine does not count. `costs.FIGURES` are fitted by hand to what is printed. Bars: bytes within 30 % of the
largest resident size, seconds within a factor of 2, the plan itself within 2 s.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import threading
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

BYTES, SECONDS, PLAN = 0.3, 2.0, 2.0
TEXT = {"label": "label", "text": "text", "id": "id"}
ONE_CORE = {"OMP_NUM_THREADS": "1", "POLARS_MAX_THREADS": "1"}
WORKLOADS: dict[str, dict[str, Any]] = {
    "enron1": TEXT,
    "mails20k": TEXT,
    "news20": TEXT,
    "hospital20k": {"label": "readmitted"},
    "dense20k": {"label": "y"},
    "mnist2k": {"label": "label"},
    "table200k": {"label": "y"},
    "table5m": {"label": "y", "memory": "2GiB"},
    "mismatch20k": {"audit": "mismatch", "label": "readmitted", "test_size": 0.2},
    "mismatch100k": {"audit": "mismatch", "label": "y", "test_size": 0.2},
    "explain20k": {"audit": "explain", "label": "readmitted", "test_size": 0.2, "row": 18295},
}


def mixed(n: int, numbers: int, categories: int) -> pl.DataFrame:
    """Return a table with two classes, a twentieth of the labels flipped."""
    random = np.random.default_rng(0)
    X, w = random.standard_normal((n, numbers)), random.standard_normal(numbers) / numbers**0.5
    score, columns = X @ w, {f"x{j}": np.round(X[:, j], 3) for j in range(numbers)}
    for j in range(categories):
        levels = (3, 8, 20, 60, 12)[j % 5]
        code = random.integers(levels, size=n)
        score = score + 0.4 * random.standard_normal(levels)[code]
        columns[f"c{j}"] = pl.Series([f"level{k}" for k in range(levels)])[code]
    y = (score + 0.5 * random.standard_normal(n) > 0) ^ (random.random(n) < 0.05)
    return pl.DataFrame(columns).with_columns(y=pl.Series(np.where(y, "yes", "no")))


def make(name: str, shared: Path, folder: Path) -> Path:
    """Return the file of a workload, made where it is not one of the shared ones."""
    path = folder / f"{name}.parquet"
    if name == "enron1":
        return shared / "enron1.parquet"
    if name == "mails20k":
        pl.read_parquet(shared / "enron_all.parquet").sample(20_000, seed=0).drop("source").write_parquet(
            path
        )
    elif (
        name == "news20"
    ):  # who wrote to whom, wanted or not, at length or not: twenty classes of short texts
        mails = pl.read_parquet(shared / "enron_all.parquet")
        long = (pl.col("text").str.len_chars() > 700).cast(pl.String)
        mails = mails.with_columns(pl.concat_str("source", "label", long).alias("label"))
        often = mails["label"].value_counts(sort=True).head(20)["label"]
        some = mails.filter(pl.col("label").is_in(often.implode())).sample(2000, seed=1)
        some.select("id", pl.col("text").str.slice(0, 300), "label").write_parquet(path)
    elif name in ("hospital20k", "mismatch20k", "explain20k"):
        pl.read_parquet(shared / "diabetes130.parquet").sample(20_000, seed=0).write_parquet(path)
    elif name == "mnist2k":
        pl.read_parquet(shared / "mnist_test.parquet").sample(2000, seed=0).write_parquet(path)
    elif name == "dense20k":
        mixed(20_000, 30, 0).write_parquet(path)
    elif name in ("table200k", "mismatch100k"):
        mixed(100_000 if name == "mismatch100k" else 200_000, 14, 6).write_parquet(path)
    else:
        whole = pl.concat([mixed(500_000, 27, 13).lazy()] * 10)
        whole.sink_parquet(path, row_group_size=100_000)
    return path


def measure(path: str, options: dict[str, Any]) -> dict[str, Any]:
    """Run the audit here, and return the seconds and the largest resident bytes of each stage."""
    import dataaudit

    events, peak = [("start", time.process_time())], {"start": 0}

    def step(stage: str, _done: int, _total: int) -> None:
        if events[-1][0] != stage and not stage.startswith("influence is"):
            events.append((stage, time.process_time()))

    def watch() -> None:
        while True:
            pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
            stage = events[-1][0]
            peak[stage] = max(peak.get(stage, 0), pages * resource.getpagesize())
            time.sleep(0.01)

    threading.Thread(target=watch, daemon=True).start()
    run = {"mismatch": dataaudit.audit_mismatch, "explain": dataaudit.explain}
    audit = run.get(options.pop("audit", ""), dataaudit.audit_labels)(path, **options, on_step=step)
    step("write", 0, 1)
    with tempfile.TemporaryDirectory() as out:
        audit.write(out)
    events.append(("end", time.process_time()))
    stages: dict[str, list[float]] = {}
    for (stage, began), (_, ended) in pairwise(events):
        taken = stages.setdefault(stage, [0.0, 0.0])
        taken[0] += ended - began
        taken[1] = peak.get(stage, 0)
    return {"peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024, "stages": stages}


def predict(path: str, options: dict[str, Any]) -> dict[str, Any]:
    """Return what the plan says, and how long that took from the start of the process."""
    import dataaudit

    found = dataaudit.plan(path, **options).to_dict()
    return found | {"took": time.process_time()}


def child(kind: str, path: Path, options: dict[str, Any]) -> dict[str, Any]:
    """Return what a process of its own says."""
    command = [sys.executable, __file__, "--child", kind, str(path), json.dumps(options)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env={**os.environ, **ONE_CORE})
    said: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return said


def compare(name: str, said: dict[str, Any], was: dict[str, Any]) -> bool:
    """Print both, and return whether they agree."""
    own = {stage["name"]: stage for stage in said["stages"]}
    print(f"\n{name}: {said['rows']:,} rows, {said['features']:,} features; {said['method']}")
    for stage in dict.fromkeys([*own, *was["stages"]]):
        seconds, size = was["stages"].get(stage, (0.0, 0.0))
        told = own.get(stage, {"seconds": 0.0, "bytes": 0})
        bytes_ = f"{(told['bytes'] + said['library_bytes']) / 2**20:7.0f} {size / 2**20:7.0f} MiB"
        print(f"  {stage:28s} {told['seconds']:8.2f} {seconds:8.2f} s  {bytes_}")
    seconds = sum(taken for stage, (taken, _) in was["stages"].items() if stage != "start")
    ratio, share = said["seconds"] / seconds, (said["bytes"] + said["library_bytes"]) / was["peak"]
    good = 1 / SECONDS <= ratio <= SECONDS and abs(share - 1) <= BYTES and said["took"] <= PLAN
    both = f"{said['seconds']:8.2f} {seconds:8.2f} s  {ratio:.2f} ×, bytes {share:.2f} ×"
    print(f"  {'in all, and told/measured':28s} {both}")
    print(f"  {'plan':28s} {said['took']:8.2f} s  {'good' if good else 'NOT GOOD'}")
    return good


def main() -> int:
    """Compare the workloads that are asked for."""
    if "--child" in sys.argv[1:2]:
        kind, path, options = sys.argv[2:]
        said = {"plan": predict, "audit": measure}[kind](path, json.loads(options))
        print(json.dumps(said))
        return 0
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    beside = Path(__file__).resolve().parents[3] / "shared" / "data"
    parser.add_argument("workloads", nargs="*", default=[name for name in WORKLOADS if name != "table5m"])
    parser.add_argument("--data", type=Path, default=os.environ.get("DATAAUDIT_DATA", beside))
    parser.add_argument("--folder", type=Path, help="where files are made and measurements kept")
    asked = parser.parse_args()
    good = True
    with tempfile.TemporaryDirectory() as scratch:
        folder = asked.folder or Path(scratch)
        for name in asked.workloads:
            path, kept = folder / f"{name}.parquet", folder / f"{name}.json"
            path = path if path.exists() else make(name, Path(asked.data), folder)
            if not kept.exists():
                kept.write_text(json.dumps(child("audit", path, WORKLOADS[name])), encoding="utf-8")
            good &= compare(name, child("plan", path, WORKLOADS[name]), json.loads(kept.read_text("utf-8")))
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
