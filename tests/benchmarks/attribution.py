"""From test errors to training rows: how fast, and how true.

speed         The 20 most harmful and helpful of 19,980 training rows for each of 26,094 test rows, 127
              features, against one float64 product of torch of that size (19,980 × 128 by 128 × 26,094), in
              turns in the same run; medians, and the ratio of every turn. Peak memory over the data, before
              any product.
groups        Enron1, tf-idf: the 11 months with most mail and 11 bands of length, what removing each does to
              the mean loss of its own rows; the group step and the sum of influences against 22 refits.
perturbation  I_pert,loss against central differences of refits with one cell changed, binary and softmax.

    python tests/benchmarks/attribution.py [--data FOLDER] [--rounds 5] [--l2 2.5e-4]

Exits with 1 if a bar is missed.
"""

import argparse
import os
import resource
import statistics
import sys
import time
from pathlib import Path

import numpy as np
import polars as pl
import torch
from scipy.sparse import csr_array
from sklearn.feature_extraction.text import TfidfVectorizer

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from cases import make
from reference import minimum

from dataaudit.influence.groups import group_step, refit_group
from dataaudit.influence.influence import pert_loss
from dataaudit.influence.topk import strongest_influences
from dataaudit.model.linear import LinearModel
from dataaudit.model.losses import Softmax
from dataaudit.model.objective import Objective
from dataaudit.model.rows import Block, MemoryRows
from dataaudit.solvers import Dual, choose_solver
from dataaudit.solvers.newton import FitSettings, minimise

SPEED, MEMORY, PEARSON, ERROR, PERTURBATION = 2.0, 2**30, 0.99, 0.10, 1e-4
TRAIN, TEST, WIDTH, KEPT = 19_980, 26_094, 127, 20
MONTHS = BANDS = 11


def seconds(function):
    start = time.perf_counter()
    result = function()
    return time.perf_counter() - start, result


def peak():
    """The largest resident memory so far, in bytes (Linux counts kilobytes)."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1024 if sys.platform == "linux" else 1)


def measure_speed(rounds):
    generator = torch.Generator().manual_seed(0)

    def normal(*shape):
        return torch.randn(*shape, dtype=torch.float64, generator=generator)

    X, solved, theta = normal(TRAIN, WIDTH), normal(WIDTH + 1, TEST), 0.1 * normal(WIDTH + 1)
    y = (torch.rand(TRAIN, generator=generator) < 0.5).long()
    rows = MemoryRows(X, y, torch.ones(TRAIN, dtype=torch.float64))
    objective = Objective(rows, LinearModel(Softmax(2), WIDTH), 1e-4)
    extended = torch.cat([X, torch.ones(TRAIN, 1, dtype=torch.float64)], 1)

    before = peak()
    found = strongest_influences(objective, theta, solved, k=KEPT)
    memory = peak() - before
    assert found.harmful.shape == (TEST, KEPT)
    ratios, products, ours = [], [], []
    for _ in range(rounds):
        first = seconds(lambda: extended @ solved)[0]
        taken = seconds(lambda: strongest_influences(objective, theta, solved, k=KEPT))[0]
        product = (first + seconds(lambda: extended @ solved)[0]) / 2
        products.append(product)
        ours.append(taken)
        ratios.append(taken / product)
    ratio, product, taken = (statistics.median(values) for values in (ratios, products, ours))
    print(f"speed         {TEST:,} × {TRAIN:,} pairs, {torch.get_num_threads()} threads:")
    print(f"              one product {product:.2f} s, ours {taken:.2f} s,")
    print(f"              ratio {ratio:.2f} ({min(ratios):.2f} to {max(ratios):.2f}) in {rounds} turns;")
    print(f"              peak memory over the data {memory / 2**20:.0f} MiB")
    return [
        verdict(f"speed {ratio:.2f} ≤ {SPEED}", ratio <= SPEED),
        verdict(f"memory {memory / 2**20:.0f} MiB ≤ {MEMORY / 2**20:.0f}", memory <= MEMORY),
    ]


def enron_groups(folder):
    """Enron1 as tf-idf, and its groups of rows by name."""
    mail = pl.read_parquet(Path(folder, "enron1.parquet")).with_columns(
        month=pl.col("id").str.extract(r"\d+\.(\d{4}-\d{2})"), length=pl.col("text").str.len_chars()
    )
    X = csr_array(TfidfVectorizer(sublinear_tf=True, min_df=2).fit_transform(mail["text"].to_list()))
    y = torch.from_numpy((mail["label"] == "spam").to_numpy().astype(np.int64))
    largest = mail.group_by("month").len().sort("len", "month", descending=True)["month"].head(MONTHS)
    groups = {f"month {month}": np.flatnonzero((mail["month"] == month).to_numpy()) for month in largest}
    by_length = mail["length"].to_numpy().argsort(kind="stable")
    for band, rows in enumerate(np.array_split(by_length, BANDS)):
        groups[f"length, band {band + 1}"] = np.sort(rows)
    return MemoryRows(X, y, torch.ones(len(y), dtype=torch.float64)), groups


def measure_groups(folder, l2):
    rows, groups = enron_groups(folder)
    objective = Objective(rows, LinearModel(Softmax(2), rows.width), l2)
    fit = minimise(objective).require_converged()
    solve = Dual().prepare(objective, fit.theta).solve
    print(
        f"groups        {rows.n:,} mails, {rows.width:,} terms, λ = {l2:g}: change of the group's mean loss"
    )
    print(f"              {'':16} {'rows':>5} {'step':>8} {'refit':>8} {'error':>6} {'sum':>8}")
    stepped, summed, true = [], [], []
    for name, members in groups.items():
        group = torch.from_numpy(members)
        block = rows.take(group)
        g = objective.model.gradient(fit.theta, block)[:, None]
        refit = refit_group(objective, fit, group, precondition=solve).require_converged()
        before = objective.model.values(fit.theta, block).mean()
        for theta, changes in (
            (group_step(objective, fit.theta, group, precondition=solve), stepped),
            (fit.theta + solve(g)[:, 0] / rows.n, summed),
            (refit.theta, true),
        ):
            changes.append(float(objective.model.values(theta, block).mean() - before))
        error = abs(stepped[-1] / true[-1] - 1)
        figures = f"{stepped[-1]:8.4f} {true[-1]:8.4f} {100 * error:5.1f}% {summed[-1]:8.4f}"
        print(f"              {name:16} {len(group):5} {figures}", flush=True)
    stepped, summed, true = map(np.array, (stepped, summed, true))
    pearson, error = np.corrcoef(stepped, true)[0, 1], np.median(abs(stepped / true - 1))
    plain, short = np.corrcoef(summed, true)[0, 1], np.median(abs(summed / true - 1))
    print(f"              the sum of influences: Pearson {plain:.3f}, median error {100 * short:.0f} %")
    return [
        verdict(f"{len(true)} groups, Pearson {pearson:.5f} ≥ {PEARSON}", pearson >= PEARSON),
        verdict(f"median error {100 * error:.1f} % ≤ {100 * ERROR:.0f} %", error <= ERROR),
    ]


def measure_perturbation():
    worst = 0.0
    for n_classes in (2, 3):
        case, test = make("", 80, 5, n_classes), make("", 10, 5, n_classes)
        objective, block = case.objective(), Block(test.X, test.y, test.weight)
        theta = minimise(objective, settings=FitSettings(tolerance=1e-11)).theta
        prepared = choose_solver(objective).prepare(objective, theta)
        slopes = pert_loss(objective, theta, prepared, test=block) / 80
        for i in range(0, 80, 9):
            ends = []
            for step in (1e-4, -1e-4):
                X = case.X.clone()
                X[i, i % 5] += step
                changed = type(case)("", X, case.y, case.weight, n_classes)
                ends.append(float(objective.model.values(minimum(changed, theta), block).sum()))
            actual = (ends[0] - ends[1]) / 2e-4
            worst = max(worst, abs(float(slopes[i, i % 5]) - actual) / abs(actual))
    print(f"perturbation  18 cells, binary and softmax: largest relative error {worst:.1e}")
    return [verdict(f"perturbation {worst:.1e} ≤ {PERTURBATION:.0e}", worst <= PERTURBATION)]


def verdict(text, met):
    print(f"{'ok  ' if met else 'MISS'}  {text}", flush=True)
    return met


def main():
    beside = Path(__file__).resolve().parents[3] / "shared" / "data"
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", default=os.environ.get("DATAAUDIT_DATA", beside))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--l2", type=float, default=2.5e-4)
    asked = parser.parse_args()
    met = measure_speed(asked.rounds) + measure_perturbation() + measure_groups(asked.data, asked.l2)
    return 0 if all(met) else 1


if __name__ == "__main__":
    sys.exit(main())
