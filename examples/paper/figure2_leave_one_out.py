"""Figure 2, left and middle: influence against retraining without a row, for softmax regression.

    python examples/paper/figure2_leave_one_out.py --data ../shared/data

Koh & Liang (2017), section 4.1. Left: MNIST, ten classes, λ = 0.01, one test digit that the model
gets wrong, the 500 training rows of the largest influence on it, exact solves. Middle: the same with LiSSA,
10 runs of 5,000 steps. The paper took 55,000 rows for training, it does not say which; here the first 55,000.

The ridge leaves the intercepts free. ``--quick`` takes a tenth of the rows and 40 refits.
"""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import torch
from paper import (
    TOLERANCE,
    Floats,
    arguments,
    block,
    digits,
    keep,
    loss_at,
    pearson,
    scatters,
    trained,
)
from torch import Tensor

from dataaudit.errors import NotConverged
from dataaudit.influence import loss_gradients, pair_influences
from dataaudit.objective import Objective
from dataaudit.solvers import Cholesky
from dataaudit.solvers.cg import Operator
from dataaudit.solvers.iterative import ConjugateGradients, Lissa
from dataaudit.solvers.operator import of_objective

L2, SEED = 0.01, 0
TOGETHER = 20  # refits made side by side
STEPS = 30  # of a refit at the most; it takes 5 to 10


def retrained(objective: Objective, theta: Tensor, solve: Operator, *, left_out: Tensor) -> Tensor:
    """Return the minima without one row each.

    Newton's method with the Hessian of all rows, ``θ ← θ - H⁻¹ ∇R(θ)``, to the same gradient as any fit. A
    single row hardly bends R, so that each step leaves a small part of the gradient; and the fits share their
    products with the features, which are then limited by arithmetic and no longer by memory.

    Parameters
    ----------
    objective : Objective
        With all rows.
    theta : Tensor (p,)
        Its minimum.
    solve : callable
        ``(p, m) -> (p, m)``, H⁻¹ there.
    left_out : Tensor (m,)
        Positions of rows.

    Returns
    -------
    Tensor (p, m)
    """
    model, rows, m = objective.model, objective.rows, len(left_out)
    every, y = block(rows.X, rows.y), rows.y.repeat_interleave(m)
    Theta = theta[:, None].repeat(1, m)
    for _ in range(STEPS):
        side = Theta.view(-1, model.loss.n_scores, m).transpose(1, 2)  # (d+1, m, k)
        slope = model.loss.slope(every.scores(side.flatten(1)).view(len(y), -1), y).view(rows.n, m, -1)
        slope[left_out, torch.arange(m)] = 0.0
        pulled = every.pull(slope.flatten(1)).view(side.shape).transpose(1, 2).reshape(-1, m)
        gradient = pulled / rows.n + objective.l2 * model.ridge(Theta)
        if float(gradient.abs().max()) <= TOLERANCE:
            return Theta
        Theta = Theta - solve(gradient)
    raise NotConverged(f"refits did not end in {STEPS} steps", "raise L2")


def softmax_panels(data: Path, *, rows: int, refits: int) -> dict[str, Floats]:
    """Return predicted and true changes of the test loss for the rows of the largest influence."""
    X, y = digits(data, "train")
    X, y = X[:rows], y[:rows]
    objective, fit = trained(X, y, l2=L2)
    theta = fit.theta
    X_test, y_test = digits(data, "test")
    scores = objective.model.scores(theta, block(X_test, y_test))
    wrong = (torch.nn.functional.pad(scores, (1, 0)).argmax(1) != y_test).nonzero()[:, 0]
    at = int(wrong[0])
    print(f"{rows:,} rows, λ {L2:g}, gradient {fit.gradient_norm:.0e}; {len(wrong):,} test digits wrong")
    print(f"test row {at}: a {int(y_test[at])}")
    test = block(X_test[at : at + 1], y_test[at : at + 1])
    g = loss_gradients(objective.model, theta, test)

    start = time.perf_counter()
    exact = Cholesky().prepare(objective, theta)
    solved = exact.solve(g)
    print(f"Cholesky of {objective.model.n_params:,} parameters: {time.perf_counter() - start:.0f} s")
    curvature = of_objective(objective, theta)
    start = time.perf_counter()
    cg = ConjugateGradients(tolerance=1e-10).invert(curvature).solve(g)
    apart = float((cg - solved).norm() / solved.norm())
    print(f"conjugate gradients: {time.perf_counter() - start:.0f} s, {apart:.1e} from it")
    start = time.perf_counter()
    lissa = Lissa(depth=5000, repeats=10, scale=25.0, accept=1.0, seed=SEED).invert(curvature)
    estimate = lissa.solve(g)
    off = float((estimate - solved).norm() / solved.norm())
    print(f"LiSSA: {time.perf_counter() - start:.0f} s, {off:.2f} from it; {lissa.reason}")

    every = block(X, y)
    influence, sampled = (
        pair_influences(objective.model, theta, s, block=every)[:, 0] for s in (solved, estimate)
    )
    chosen = influence.abs().argsort(descending=True)[:refits]
    start = time.perf_counter()
    after = [
        retrained(objective, theta, exact.solve, left_out=some) for some in torch.split(chosen, TOGETHER)
    ]
    print(f"{refits} refits: {time.perf_counter() - start:.0f} s")
    before = loss_at(objective, theta, test)
    actual = [loss_at(objective, one, test) - before for one in torch.cat(after, dim=1).T.contiguous()]
    return {
        "row": chosen.numpy().astype(float),
        "exact": (-influence[chosen] / rows).numpy(),
        "lissa": (-sampled[chosen] / rows).numpy(),
        "actual": np.array(actual),
    }


def main() -> None:
    """Draw the three panels and print the correlations."""
    given = arguments(__doc__ or "")
    found = softmax_panels(
        given.data, rows=5_500 if given.quick else 55_000, refits=40 if given.quick else 500
    )
    keep(given.out, "figure2_softmax", found)
    panels = [
        ("softmax, exact", found["actual"], found["exact"]),
        ("softmax, LiSSA", found["actual"], found["lissa"]),
    ]
    for title, x, y in panels:
        print(f"{title:16} Pearson {pearson(x, y):.4f}   in the paper: a close match, by eye")
    across, up = "actual change of loss (nats)", "predicted (nats)"
    scatters(given.out / "figure2.svg", panels, across=across, up=up)
    print(f"written to {given.out.as_posix()}")


if __name__ == "__main__":
    main()
