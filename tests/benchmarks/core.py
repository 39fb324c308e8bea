"""The numerical core: how fast, how exact, and how true.

speed      Gram matrix to all exact self-influences of Enron1 (80 % split), against one n × n × n float64
           matrix product of torch, taken in turns in the same run; the median of the ratios.
exactness  Quadratic forms against a dense inverse in float64: binary and softmax, sparse and dense, tall and
           wide.
truth      One-step leave-one-out loss against 100 true refits, Enron1 with 10 % of the labels flipped, at
           the λ that the path chooses: the 50 rows of largest leave-one-out loss and 50 others at random.

    python tests/benchmarks/core.py [--data FOLDER] [--rounds 7]

Exits with 1 if a bar is missed.
"""

import argparse
import os
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
from reference import minimum, quadratic_forms

from dataaudit.influence.influence import self_influence
from dataaudit.influence.leave_one_out import leave_one_out_scores, refit_without
from dataaudit.model.linear import LinearModel
from dataaudit.model.losses import Softmax
from dataaudit.model.objective import Objective
from dataaudit.model.rows import MemoryRows
from dataaudit.solvers import Cholesky, Dual
from dataaudit.solvers.base import probe_residual
from dataaudit.solvers.dual import Gram
from dataaudit.solvers.newton import minimise
from dataaudit.training.path import l2_path

SPEED, EXACT, PEARSON, SLOPE = 1.6, 1e-8, 0.999, (0.95, 1.05)
SHAPES = {"tall": (300, 12), "wide": (60, 200)}


def enron_rows(folder):
    """80 % of Enron1 as tf-idf, every tenth label flipped: (rows, model)."""
    mail = pl.read_parquet(Path(folder, "enron1.parquet"))
    rng = np.random.default_rng(0)
    mail = mail[rng.permutation(len(mail))[: int(0.8 * len(mail))]]
    X = csr_array(TfidfVectorizer(sublinear_tf=True, min_df=2).fit_transform(mail["text"].to_list()))
    y = mail["label"].rank("dense").cast(pl.Int64).to_numpy() - 1
    flipped = rng.choice(len(y), len(y) // 10, replace=False)
    y = torch.from_numpy(np.where(np.isin(np.arange(len(y)), flipped), 1 - y, y))
    rows = MemoryRows(X, y, torch.ones(len(y), dtype=torch.float64))
    return rows, LinearModel(Softmax(2), rows.width)


def seconds(function):
    start = time.perf_counter()
    result = function()
    return time.perf_counter() - start, result


def measure_speed(objective, theta, rounds):
    gram = Gram.of(objective.rows)
    n = objective.rows.n
    A = torch.randn(n, n, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    B = A.T.contiguous()

    def influences():
        prepared = Dual(gram=gram).prepare(objective, theta)
        return prepared, self_influence(objective, theta, prepared.quadratic_forms())

    _, (prepared, _) = seconds(influences)  # warm up
    A @ B
    ratios, probes, products = [], [], []
    for _ in range(rounds):
        before = seconds(lambda: A @ B)[0]
        taken = seconds(influences)[0]
        after = seconds(lambda: A @ B)[0]
        product = (before + after) / 2
        products.append(product)
        ratios.append(taken / product)
        probes.append(seconds(lambda: probe_residual(objective, theta, prepared.solve))[0] / product)
    ratio, probe = statistics.median(ratios), statistics.median(probes)
    threads = torch.get_num_threads()
    print(f"speed      n = {n:,}, {threads} threads: one product {statistics.median(products):.2f} s")
    print(f"           Gram to self-influence {ratio:.2f} products ({min(ratios):.2f} to {max(ratios):.2f}),")
    print(f"           of which the residual's probes {probe:.2f}; residual {prepared.residual:.1e}")
    return verdict(f"speed {ratio:.2f} ≤ {SPEED}", ratio <= SPEED)


def measure_exactness():
    print("exactness  largest relative error of a row's form")
    worst = 0.0
    for n_classes in (2, 3):
        for sparse in (False, True):
            for shape, (n, d) in SHAPES.items():
                case = make("", n, d, n_classes, sparse=sparse)
                theta, objective = minimum(case), case.objective()
                exact = quadratic_forms(case, theta)
                for solver in (Cholesky(), Dual()):
                    prepared = solver.prepare(objective, theta)
                    error = (prepared.quadratic_forms() - exact).flatten(1).norm(dim=1)
                    error = float((error / exact.flatten(1).norm(dim=1)).max())
                    worst = max(worst, error)
                    kind = f"{n_classes} classes, {'sparse' if sparse else 'dense'}, {shape}"
                    print(f"           {kind:26} {prepared.method:9} {error:.1e}")
    return verdict(f"exactness {worst:.1e} ≤ {EXACT:.0e}", worst <= EXACT)


def measure_truth(objective, fit):
    prepared = Dual().prepare(objective, fit.theta)
    y, loss = objective.rows.y, objective.model.loss
    forms = prepared.quadratic_forms()
    predicted = loss.value(leave_one_out_scores(objective, fit.theta, forms), y)
    before = loss.value(objective.scores(fit.theta), y)
    order = predicted.argsort(descending=True)
    others = order[50:][torch.randperm(len(order) - 50, generator=torch.Generator().manual_seed(0))[:50]]
    chosen = torch.cat([order[:50], others])
    spent, actual = seconds(
        lambda: torch.stack([refit_loss(objective, fit, prepared, int(i)) for i in chosen])
    )
    p, a = predicted[chosen], actual
    pearson = float(torch.corrcoef(torch.stack([p, a]))[0, 1])
    slope = float((p - p.mean()) @ (a - a.mean()) / (p - p.mean()).square().sum())
    moved = float((p - before[chosen]) @ (a - before[chosen]) / (p - before[chosen]).square().sum())
    print(f"truth      λ = {objective.l2:.2e}, {len(chosen)} refits in {spent:.0f} s: Pearson {pearson:.6f},")
    print(f"           slope of the loss {slope:.4f}, of its change {moved:.4f},")
    print(f"           largest error {float((p - a).abs().max()):.4f} nats")
    low, high = SLOPE
    return all(
        [
            verdict(f"Pearson {pearson:.5f} ≥ {PEARSON}", pearson >= PEARSON),
            verdict(f"slope {slope:.3f} in {low} to {high}", low <= slope <= high),
        ]
    )


def refit_loss(objective, fit, prepared, row):
    theta = refit_without(objective, fit, row, precondition=prepared.solve).theta
    block = objective.rows.take(torch.tensor([row]))
    return objective.model.values(theta, block)[0]


def verdict(text, met):
    print(f"{'ok  ' if met else 'MISS'}  {text}", flush=True)
    return met


def main():
    beside = Path(__file__).resolve().parents[3] / "shared" / "data"
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", default=os.environ.get("DATAAUDIT_DATA", beside))
    parser.add_argument("--rounds", type=int, default=7)
    asked = parser.parse_args()
    met = [measure_exactness()]
    rows, model = enron_rows(asked.data)
    path = l2_path(rows, model)
    objective = Objective(rows, model, path.chosen.l2)
    fit = minimise(objective, path.theta).require_converged()
    met += [measure_truth(objective, fit), measure_speed(objective, fit.theta, asked.rounds)]
    return 0 if all(met) else 1


if __name__ == "__main__":
    sys.exit(main())
