"""Figure 2: influence against retraining without a row, for softmax regression and for a network.

    python examples/paper/figure2_leave_one_out.py --data ../shared/data

Koh & Liang (2017), section 4.1. Left: MNIST, ten classes, λ = 0.01, one test digit that the model
gets wrong, the 500 training rows of the largest influence on it, exact solves. Middle: the same with LiSSA,
10 runs of 5,000 steps. The paper took 55,000 rows for training, it does not say which; here the first 55,000.

The ridge leaves the intercepts free.

Right: the convolutional network of 2,616 parameters on a tenth of the digits, λ = 0.001, damping 0.01, the
100 training rows of the largest influence on a test digit that it gets wrong. Theirs was trained for 500,000
minibatches, and went on for 30,000 without each row. Ours, `convnet`, is trained by 3,000 minibatches and by
14 times 200 evaluations of L-BFGS on all rows, and is at no minimum then. From there it goes on for 84
evaluations, and 14 more without each row and with all, whose difference is what the row did. Its ridge is on
the biases too. What training left is in ``--out``, and is taken up from there.

``--quick`` takes a tenth of the rows and 40 refits, and leaves the network out, whose training takes an hour.
"""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from convnet import Training, by_minibatches, coordinates, network, settled
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
from torch.nn.functional import cross_entropy
from torch.nn.utils import vector_to_parameters

from dataaudit import ModuleModel
from dataaudit.errors import NotConverged
from dataaudit.influence.influence import loss_gradients
from dataaudit.influence.torch import ModuleInfluence
from dataaudit.model.objective import Objective
from dataaudit.solvers import Cholesky
from dataaudit.solvers.cg import ConjugateGradients
from dataaudit.solvers.iterative import Lissa
from dataaudit.solvers.operator import Product, of_objective

L2, SEED = 0.01, 0
TOGETHER = 20  # refits made side by side
STEPS = 30  # of a refit at the most; it takes 5 to 10

NETWORK_L2, DAMPING = 1e-3, 1e-2
NETWORK_ROWS, NETWORK_REFITS = 5_500, 100
MINIBATCHES, RATE = 3_000, 0.02
ROUNDS, EVALUATIONS, METRIC = 14, 200, 0.02  # of L-BFGS, each in coordinates of its own
NEAR = 0.06  # what the Gauss-Newton matrix misses of the Hessian then
AGAIN = 14  # evaluations of a refit


def retrained(objective: Objective, theta: Tensor, solve: Product, *, left_out: Tensor) -> Tensor:
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
    influence, sampled = (objective.model.pair_influences(theta, s, every)[:, 0] for s in (solved, estimate))
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


def network_panel(data: Path, out: Path) -> dict[str, Floats]:
    """Return predicted and true changes of the test loss for the network."""
    X, y = images(data, "train")
    few = torch.randperm(len(y), generator=torch.Generator().manual_seed(SEED))[:NETWORK_ROWS]
    X_test, y_test = images(data, "test")
    net = network(SEED)
    training = Training(ModuleModel(net, cross_entropy), X[few], y[few], NETWORK_L2)
    start = time.perf_counter()
    theta = trained_network(training, out / "figure2_network.pt")
    vector_to_parameters(theta, net.parameters())
    value, gradient = training.at(theta)
    right = predicted(net, X_test) == y_test
    print(
        f"R {value:.6f}, gradient {float(gradient.abs().max()):.0e}; "
        f"{float(right.double().mean()):.1%} of the test digits right; {time.perf_counter() - start:.0f} s"
    )
    at = int((~right).nonzero()[0, 0])
    print(f"test row {at}: a {int(y_test[at])}")
    test = (X_test[at : at + 1], y_test[at : at + 1])

    start = time.perf_counter()
    near = coordinates(training, theta, metric=NEAR)
    solver = ConjugateGradients(tolerance=1e-3, max_steps=30, preconditioner=near.inverse)
    rows = (training.X, training.y)
    found = ModuleInfluence(training.model, rows, l2=NETWORK_L2, damping=DAMPING, solver=solver)
    influence = found.up_loss(test)[0].double()
    chosen = influence.abs().argsort(descending=True)[:NETWORK_REFITS]
    print(
        f"influence: {time.perf_counter() - start:.0f} s, residual {found.inverse.residual:.1e}", flush=True
    )

    start = time.perf_counter()
    exact = ModuleModel(network(SEED).double(), cross_entropy)

    def loss(theta: Tensor) -> float:
        return float(exact.losses(theta.double(), test[0].double(), test[1])[0])

    every = settled(training, theta, near, evaluations=6 * AGAIN)
    again = settled(training, every, near, evaluations=AGAIN)
    print(f"its loss: {loss(theta):.4f} nats, {loss(every):.4f} after going on with all rows", flush=True)

    expected, actual = (-influence[chosen] / NETWORK_ROWS).numpy(), list[float]()
    for row in chosen.tolist():
        without = settled(replace(training, left_out=row), every, near, evaluations=AGAIN)
        actual.append(loss(without) - loss(again))
        if len(actual) % 10 == 0:
            so_far = pearson(expected[: len(actual)], np.array(actual))
            spent = time.perf_counter() - start
            print(f"{len(actual)} refits: {spent:.0f} s, Pearson so far {so_far:.4f}", flush=True)
    return {"row": few[chosen].numpy().astype(float), "predicted": expected, "actual": np.array(actual)}


def images(data: Path, part: str) -> tuple[Tensor, Tensor]:
    """Return digits as images, in the layout that convolutions are fast in."""  # -> (n, 1, 28, 28), (n,)
    X, y = digits(data, part)
    return X.float().view(-1, 1, 28, 28).contiguous(memory_format=torch.channels_last), y


def predicted(net: torch.nn.Module, X: Tensor) -> Tensor:
    """Return classes."""  # -> (n,)
    with torch.no_grad():
        return torch.cat([net(part).argmax(1) for part in torch.split(X, 500)])


def trained_network(training: Training, kept: Path) -> Tensor:
    """Return θ̃, from a file where training has been before."""
    if kept.exists():
        print(f"the network was trained before: {kept.as_posix()}")
        before: Tensor = torch.load(kept)
        return before
    theta = by_minibatches(training, steps=MINIBATCHES, rate=RATE, seed=SEED)
    value = training.at(theta)[0]
    print(f"{MINIBATCHES:,} minibatches: R {value:.6f}", flush=True)
    for _ in range(ROUNDS):
        theta = settled(training, theta, coordinates(training, theta, metric=METRIC), evaluations=EVALUATIONS)
        value = training.at(theta)[0]
        print(f"{EVALUATIONS} evaluations of all rows: R {value:.6f}", flush=True)
    part = kept.with_suffix(".part")
    torch.save(theta, part)
    part.replace(kept)
    return theta


def main() -> None:
    """Draw the three panels and print the correlations."""
    given = arguments(__doc__ or "")
    found = softmax_panels(
        given.data, rows=5_500 if given.quick else 55_000, refits=40 if given.quick else 500
    )
    keep(given.out, "figure2_softmax", found)
    by_eye = "a close match, by eye"
    panels = [
        ("softmax, exact", found["actual"], found["exact"]),
        ("softmax, LiSSA", found["actual"], found["lissa"]),
    ]
    papers = [by_eye, by_eye]
    if given.quick:
        print("the network is left out: without --quick, it takes two hours")
    else:
        of_network = network_panel(given.data, given.out)
        keep(given.out, "figure2_network", of_network)
        panels.append(("network", of_network["actual"], of_network["predicted"]))
        papers.append("0.86")
    for (title, x, y), paper in zip(panels, papers, strict=True):
        print(f"{title:16} Pearson {pearson(x, y):.4f}   in the paper: {paper}")
    across, up = "actual change of loss (nats)", "predicted (nats)"
    scatters(given.out / "figure2.svg", panels, across=across, up=up)
    print(f"written to {given.out.as_posix()}")


if __name__ == "__main__":
    main()
