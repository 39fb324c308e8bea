"""Finding flipped labels in Enron1: our defaults, and the paper's own recipe.

    python tests/benchmarks/enron.py [--data FOLDER] [--seeds 5]

For each seed the mails are split 80/20 and 10 % of the training labels flipped. Printed are the share of
flips among the first 5, 10 and 20 % of the rows and the average precision, for the default order and for
self-influence; then the accuracy on the test split with flipped labels, after mending the flips among the
first 20 %, and with clean labels. The second table is the recipe of Koh & Liang (2017, figure 6): word
counts and λ = 1e-4, where self-influence is to beat the training loss, and that a random order, at every
fraction.
"""

from __future__ import annotations

import argparse
import os
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from dataaudit.api.audits import audit_labels
from dataaudit.options import LabelOptions
from dataaudit.training.encoded import encode_training, read_labelled
from dataaudit.training.train import train

FRACTIONS = (0.05, 0.1, 0.2)
FLIPPED = 0.1


@dataclass(frozen=True)
class Task:
    """A split with flipped training labels."""

    train: pl.DataFrame
    test: pl.DataFrame
    clean: pl.Series
    flipped: np.ndarray


def make_task(mails: pl.DataFrame, seed: int) -> Task:
    """Split 80/20 and flip a tenth of the training labels."""
    rng = np.random.default_rng(seed)
    order = rng.permutation(mails.height)
    cut = int(0.8 * mails.height)
    train, test = mails[order[:cut].tolist()], mails[order[cut:].tolist()]
    flipped = np.zeros(cut, dtype=bool)
    flipped[rng.permutation(cut)[: int(FLIPPED * cut)]] = True
    other = pl.when(pl.col("label") == "spam").then(pl.lit("ham")).otherwise(pl.lit("spam"))
    noisy = train.with_columns(label=pl.when(pl.Series(flipped)).then(other).otherwise(pl.col("label")))
    return Task(noisy, test, train["label"], flipped)


def found(flipped_in_order: np.ndarray) -> list[float]:
    """Return the share of flips in each first fraction of the rows, and the average precision."""
    n, total = len(flipped_in_order), flipped_in_order.sum()
    hits = np.cumsum(flipped_in_order)
    precision = hits / np.arange(1, n + 1)
    return [float(hits[int(f * n) - 1] / total) for f in FRACTIONS] + [
        float(precision[flipped_in_order].mean())
    ]


def in_order(labels: pl.DataFrame, flipped: np.ndarray, by: str, *, descending: bool = False) -> np.ndarray:
    """Return which rows are flipped, in the order of a column."""
    return flipped[labels.sort(by, descending=descending)["row"].to_numpy()]


def accuracy(frame: pl.DataFrame, test: pl.DataFrame) -> float:
    """Fit with default settings on a frame and score a test frame."""
    settings = LabelOptions(label="label", id="id")
    dataset, target = read_labelled(frame, settings)
    trained = train(encode_training(dataset, target, settings), settings)
    predicted = np.array(target.classes)[trained.probabilities(test).argmax(1)]
    return float((predicted == test["label"].to_numpy()).mean())


def run_defaults(task: Task) -> tuple[list[float], list[float], list[float]]:
    """Return what is found by the default order and by self-influence, and the three accuracies."""
    labels = audit_labels(task.train, label="label", id="id", top=0, verify=0).labels
    order = labels["row"].to_numpy()
    mended = task.train["label"].to_numpy().copy()
    first = order[: int(FRACTIONS[-1] * len(order))]
    mended[first] = task.clean.to_numpy()[first]
    accuracies = [
        accuracy(task.train.with_columns(label=pl.Series(labels)), task.test)
        for labels in (task.train["label"], mended, task.clean)
    ]
    return (
        found(task.flipped[order]),
        found(in_order(labels, task.flipped, "rank_self_influence")),
        accuracies,
    )


def run_paper(task: Task, seed: int) -> dict[str, list[float]]:
    """Return what the paper's recipe finds by influence, by training loss and at random."""
    labels = audit_labels(
        task.train,
        label="label",
        id="id",
        text_features="counts",
        l2=1e-4,
        rank="self-influence",
        top=0,
        verify=0,
    ).labels
    random = np.random.default_rng(seed + 1000).permutation(len(task.flipped))
    return {
        "self-influence": found(in_order(labels, task.flipped, "rank_self_influence")),
        "training loss": found(in_order(labels, task.flipped, "train_loss", descending=True)),
        "random": found(task.flipped[random]),
    }


def show(name: str, values: np.ndarray) -> None:
    """Print one line of a table: means over seeds, and the spread of the second column."""
    mean = values.mean(0)
    print(
        f"{name:<28}" + "".join(f"{value:8.3f}" for value in mean) + f"   (10 %: ±{values[:, 1].std():.3f})"
    )


def main() -> int:
    """Run both tables and judge them."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    default = os.environ.get("DATAAUDIT_DATA", Path(__file__).parents[2].parent / "shared" / "data")
    parser.add_argument("--data", type=Path, default=Path(default))
    parser.add_argument("--seeds", type=int, default=5)
    options = parser.parse_args()
    mails = pl.read_parquet(options.data / "enron1.parquet")
    ours, influence, accuracies, paper = [], [], [], []
    for seed in range(options.seeds):
        task = make_task(mails, seed)
        defaults = run_defaults(task)
        ours.append(defaults[0])
        influence.append(defaults[1])
        accuracies.append(defaults[2])
        paper.append(run_paper(task, seed))
        print(f"seed {seed}: default {np.round(defaults[0], 3)}, self-influence {np.round(defaults[1], 3)}, "
              f"accuracy {np.round(defaults[2], 4)}", flush=True)  # fmt: skip
    head = "".join(f"{f'{f:.0%}':>8}" for f in FRACTIONS) + f"{'AP':>8}"
    print(f"\n{'default settings':<28}{head}")
    show("default order", np.array(ours))
    show("--rank self-influence", np.array(influence))
    flipped, mended, clean = np.mean(accuracies, axis=0)
    print(f"accuracy: flipped {flipped:.4f}, first 20 % mended {mended:.4f}, clean {clean:.4f}")
    print(f"\n{'counts, λ = 1e-4 (paper)':<28}{head}")
    for name in ("self-influence", "training loss", "random"):
        show(name, np.array([p[name] for p in paper]))
    return judge(np.array(ours), np.array(influence), mended - clean, paper)


def judge(ours: np.ndarray, influence: np.ndarray, gap: float, paper: list[dict[str, list[float]]]) -> int:
    """Print each bar beside its figure; 1 if one is missed."""
    by = {name: np.mean([p[name] for p in paper], axis=0)[:3] for name in paper[0]}
    ordered = bool(
        (by["self-influence"] > by["training loss"]).all() and (by["training loss"] > by["random"]).all()
    )
    bars = [
        ("default order, 10 %", ours.mean(0)[1], 0.94),
        ("default order, 20 %", ours.mean(0)[2], 0.99),
        ("default order, AP", ours.mean(0)[3], 0.98),
        ("self-influence, 10 %", influence.mean(0)[1], 0.93),
        ("self-influence, 20 %", influence.mean(0)[2], 0.99),
        ("self-influence, AP", influence.mean(0)[3], 0.98),
        ("accuracy after mending less clean", gap, -0.005),
        ("paper: influence > loss > random", float(ordered), 1.0),
    ]
    print()
    for name, value, bar in bars:
        print(f"{'reached' if value >= bar else 'MISSED '}  {name:<36}{value:8.4f}   bar {bar:g}")
    return int(any(value < bar for _, value, bar in bars))


if __name__ == "__main__":
    sys.exit(main())
