"""The whole command against the script that it replaces, process start to files written.

    python tests/benchmarks/whole.py [--data FOLDER] [--runs 5]

A: ``audit labels enron1.parquet`` with everything on: λ chosen, exact influence, refits, report. B: a script
that makes tf-idf features and 5-fold probabilities with scikit-learn's LogisticRegression, which is what
cleanlab asks of its users before it ranks a row. Runs alternate; the ratio is taken pair by pair and its
median judged.
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

PEER = """
import sys
import polars as pl
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_predict
mails = pl.read_parquet(sys.argv[1])
X = TfidfVectorizer(sublinear_tf=True, min_df=2).fit_transform(mails["text"].to_list())
cross_val_predict(LogisticRegression(), X, mails["label"].to_numpy(), cv=5, method="predict_proba")
"""
LARGEST_RATIO, MOST_MEMORY = 1.0, 1.5


def run(command: list[str]) -> tuple[float, float]:
    """Return wall seconds and peak GiB of one process."""
    start = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"{command} failed with {process.returncode}")
    return time.perf_counter() - start, usage.ru_maxrss / 2**20


def main() -> int:
    """Time both in turn and judge the ratio."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    default = os.environ.get("DATAAUDIT_DATA", Path(__file__).parents[2].parent / "shared" / "data")
    parser.add_argument("--data", type=Path, default=Path(default))
    parser.add_argument("--runs", type=int, default=5)
    options = parser.parse_args()
    mails = str(options.data / "enron1.parquet")
    with tempfile.TemporaryDirectory() as folder:
        ours = [
            sys.executable,
            "-m",
            "dataaudit",
            "labels",
            mails,
            "--label",
            "label",
            "--id",
            "id",
            "--out",
            folder,
        ]
        peer = [sys.executable, "-c", PEER, mails]
        run(ours), run(peer)  # bring both into the page cache
        pairs = [(run(ours), run(peer)) for _ in range(options.runs)]
    for (a, memory), (b, _) in pairs:
        print(
            f"audit labels {a:6.2f} s, {memory:.2f} GiB   tf-idf and 5 folds {b:6.2f} s   ratio {a / b:.2f}"
        )
    ratio = statistics.median(a / b for (a, _), (b, _) in pairs)
    memory = max(memory for (_, memory), _ in pairs)
    for name, value, bar in (("median ratio", ratio, LARGEST_RATIO), ("peak GiB", memory, MOST_MEMORY)):
        print(f"{'reached' if value <= bar else 'MISSED '}  {name} {value:.2f}   bar {bar}")
    return int(ratio > LARGEST_RATIO or memory > MOST_MEMORY)


if __name__ == "__main__":
    sys.exit(main())
