"""Time against error of the solvers, on one page: LiSSA beside conjugate gradients and Arnoldi.

H⁻¹ g for the loss of one test digit that the model gets wrong, MNIST, ten classes, λ = 0.01 (Koh & Liang
2017, section 4.1). The truth is conjugate gradients to 1e-13. LiSSA varies the rows that it draws in all, r·t
times the minibatch, from a tenth of n to ten times n; conjugate gradients vary their tolerance, under each
preconditioner; Arnoldi its rank. Time is that of one solve with all that precedes it (scale, preconditioner,
eigenvectors), which for many right-hand sides is paid once.

    python tests/benchmarks/solvers.py [--data FOLDER] [--rows 10000] [--out paper-figures]

Prints a table, draws the page, and exits with 1 if a bar is missed: LiSSA's error must fall as r·t grows, and
conjugate gradients must be nearer in the same time, as soon as they have had any.
"""

import argparse
import os
import sys
import time
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import polars as pl
import torch

from dataaudit.influence.influence import loss_gradients
from dataaudit.model.linear import LinearModel
from dataaudit.model.losses import Softmax
from dataaudit.model.objective import Objective
from dataaudit.model.rows import Block, MemoryRows
from dataaudit.solvers.cg import ConjugateGradients
from dataaudit.solvers.iterative import Lissa, LowRank
from dataaudit.solvers.newton import FitSettings, minimise
from dataaudit.solvers.operator import Curvature, of_objective

L2, RUNS = 0.01, 10
SHARES, BATCHES = (0.1, 0.3, 1.0, 3.0, 10.0), (1, 8, 64)
TOLERANCES, RANKS = (1e-1, 1e-2, 1e-4, 1e-6, 1e-8), (10, 30, 100, 300)
COLOURS = {"LiSSA": "#c8553d", "cg": "#1f6f78", "Arnoldi": "#8a5a9e"}


@dataclass(frozen=True)
class Point:
    """One solve: relative error of H⁻¹ g, Pearson's correlation of the influences with the true ones."""

    solver: str
    setting: str
    seconds: float
    error: float
    pearson: float


class Unprobed(Curvature):
    """Products with the Hessian, without the residual on probes that every solver measures at the start."""

    def residual(self, solve):
        return 0.0


def digits(folder, part, rows=None):
    """Return MNIST's pixels in [0, 1] and labels as a block."""
    frame = pl.read_parquet(folder / f"mnist_{part}.parquet", n_rows=rows)
    X = torch.from_numpy(frame["pixels"].to_numpy().astype(np.float64) / 255)
    y = torch.from_numpy(frame["label"].to_numpy().astype(np.int64))
    return Block(X, y, torch.ones(len(y), dtype=torch.float64))


def candidates(n):
    """Yield a name, a setting in words, and the solver."""
    for batch in BATCHES:
        for share in SHARES:
            depth = max(1, round(share * n / batch / RUNS))
            settings = Lissa(depth=depth, repeats=RUNS, batch=batch)
            yield f"LiSSA, minibatch {batch}", f"r·t = {share:g} n, t = {depth:,}", settings
    for kind in ("none", "diagonal", "nystrom"):
        for tolerance in TOLERANCES:
            name = f"cg, {'no' if kind == 'none' else kind} preconditioner"
            yield name, f"tolerance {tolerance:.0e}", ConjugateGradients(tolerance, preconditioner=kind)
    for rank in RANKS:
        yield "Arnoldi", f"rank {rank}", LowRank(rank, floor=L2)


def measure(objective, theta, test):
    """Return a point for every candidate."""
    g = loss_gradients(objective.model, theta, test)
    curvature = of_objective(objective, theta)
    truth = ConjugateGradients(1e-13).invert(curvature).solve(g)
    every = Block(objective.rows.X, objective.rows.y, objective.rows.weight)

    def influences(solved):
        return objective.model.pair_influences(theta, solved, every)[:, 0].numpy()

    whole, points = influences(truth), []
    unprobed = Unprobed(**vars(curvature))
    for solver, setting, settings in candidates(objective.rows.n):
        start = time.perf_counter()
        solved = settings.invert(unprobed).solve(g)
        taken = time.perf_counter() - start
        pearson = float(np.corrcoef(whole, influences(solved))[0, 1])
        error = float((solved - truth).norm() / truth.norm())
        points.append(Point(solver, setting, taken, error, pearson))
        told = f"{taken:8.2f} s   error {error:.1e}   Pearson {pearson:.5f}"
        print(f"{solver:27} {setting:26} {told}", flush=True)
    return points


def draw(path, points, what):
    """Draw error over time, a line a kind, dashes for minibatch or preconditioner."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.2, 5.4), layout="constrained")
    axes, dashes = figure.add_subplot(), {}
    for name in dict.fromkeys(point.solver for point in points):
        family = name.partition(",")[0]
        line = dashes.setdefault(family, iter(("-", "--", ":")))
        some = [point for point in points if point.solver == name]
        axes.plot([p.seconds for p in some], [p.error for p in some], next(line), label=name,
                  color=COLOURS[family], marker="o", markersize=4)  # fmt: skip
    axes.set(xscale="log", yscale="log", xlabel="seconds of one solve", ylabel="relative error of H⁻¹ g")
    axes.set_title(what, loc="left", fontsize=10)
    axes.legend(fontsize=8)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)


def judge(points):
    """Print each bar beside its figure; 1 if one is missed."""
    stochastic = [point for point in points if point.solver.startswith("LiSSA")]
    conjugate = [point for point in points if point.solver.startswith("cg")]
    falls = all(
        later.error <= sooner.error for sooner, later in pairwise(stochastic) if sooner.solver == later.solver
    )
    # Points of LiSSA that take as long as conjugate gradients at their quickest, and which of these win.
    slow = [p for p in stochastic if p.seconds >= min(c.seconds for c in conjugate)]
    best = [p for p in slow if p.error < min(c.error for c in conjugate if c.seconds <= p.seconds)]
    print(f"\n{'reached' if falls else 'MISSED '}  LiSSA's error falls as r·t grows")
    what = (
        f"{len(best)} of {len(slow)} estimates of LiSSA are nearer than conjugate gradients in the same time"
    )
    print(f"{'MISSED ' if best else 'reached'}  {what}")
    return int(not falls or bool(best))


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    default = os.environ.get("DATAAUDIT_DATA", Path(__file__).parents[2].parent / "shared" / "data")
    parser.add_argument("--data", type=Path, default=Path(default))
    parser.add_argument("--rows", type=int, default=10_000)
    parser.add_argument("--out", type=Path, default=Path("paper-figures"))
    options = parser.parse_args()
    train, every = digits(options.data, "train", options.rows), digits(options.data, "test")
    rows = MemoryRows(train.X, train.y, train.weight)
    objective = Objective(rows, LinearModel(Softmax(10), rows.width), L2)
    theta = minimise(objective, settings=FitSettings(direct_limit=1)).require_converged().theta
    scores = torch.nn.functional.pad(objective.model.scores(theta, every), (1, 0))
    at = (scores.argmax(1) != every.y).nonzero()[:1, 0]
    points = measure(objective, theta, Block(every.X[at], every.y[at], every.weight[at]))
    what = f"MNIST, {rows.n:,} rows, {objective.model.n_params:,} parameters, λ = {L2:g}, one right-hand side"
    draw(options.out / "solvers.svg", points, what)
    print(f"drawn to {(options.out / 'solvers.svg').as_posix()}")
    return judge(points)


if __name__ == "__main__":
    sys.exit(main())
