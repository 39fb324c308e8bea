"""What a column says of the labels: the efficient score against a fit with the column's own factor."""

import numpy as np
import polars as pl
import pytest
import torch

from dataaudit.audits.mismatch.causes.association import associations
from dataaudit.audits.mismatch.world import World
from dataaudit.audits.testset import predict, read_pair
from dataaudit.model.linear import LinearModel
from dataaudit.model.losses import Softmax
from dataaudit.model.objective import Objective
from dataaudit.model.rows import MemoryRows, times
from dataaudit.options import MismatchOptions
from dataaudit.solvers.newton import minimise
from dataaudit.training.encoded import encode_training
from dataaudit.training.train import train


def table(n, seed, classes):
    random = np.random.default_rng(seed)
    y = random.integers(0, classes, n)
    columns = {f"x{j}": random.normal(0.6 * (y == j % classes), 1.0) for j in range(4)}
    return pl.DataFrame({**columns, "y": [f"class {k}" for k in y]})


def world_of(known, new):
    asked = MismatchOptions(label="y", basis="linear", l2=1e-3)
    pair = read_pair(known, new, asked)
    trained = train(encode_training(pair.train, pair.target, asked), asked)
    return World.of(trained, pair.train.frame, predict(trained, pair.test, pair.y), seed=0)


@pytest.mark.parametrize("classes", [2, 3])
def test_the_strength_is_a_newton_step_of_the_factor_of_a_column(classes):
    """With the factor of the scores and two-class offsets free too, one step of the whole small problem."""
    world = world_of(table(400, 0, classes), table(300, 1, classes))
    theta = world.objective.model.matrix(world.theta)
    own = torch.zeros_like(theta[:-1])
    own[1] = theta[1]
    C, S, k = times(world.block.X, own), world.scores, classes - 1
    loss = Softmax(classes)
    r, W = loss.slope(S, world.block.y).numpy(), loss.curvature(S, world.block.y).numpy()
    eye = np.broadcast_to(np.eye(k), (len(r), k, k))
    D = np.concatenate([eye, S.numpy()[:, :, None], C.numpy()[:, :, None]], axis=2)
    slope = np.einsum("nk,nka->a", r, D)
    curvature = np.einsum("nia,nij,njb->ab", D, W, D)
    # The nuisance directions are at their own values, not at their best: only the column's slope is asked.
    nuisance, column = curvature[:-1, :-1], curvature[:-1, -1]
    by = np.linalg.solve(nuisance, column)
    expected = -(slope[-1] - slope[:-1] @ by) / (curvature[-1, -1] - column @ by)
    others = np.eye(k + 2)[:, :-1]
    others[-1, -1] = -1.0  # the scores less the column's part
    by = np.linalg.solve(others.T @ curvature @ others, others.T @ curvature[:, -1])
    beside = -(slope[-1] - slope @ others @ by) / (curvature[-1, -1] - curvature[-1] @ others @ by)
    found = associations(world, ["x1"])["x1"].strength
    assert min(abs(found - expected), abs(found - beside)) < 1e-9


def test_a_column_of_other_rows_says_less_and_the_others_do_not():
    known, new = table(1500, 2, 2), table(1200, 3, 2)
    dead = new.with_columns(pl.col("x0").shuffle(seed=1))
    before, after = (
        associations(world_of(known, new), list(new.columns[:4])),
        associations(world_of(known, dead), list(new.columns[:4])),
    )
    assert all(abs(one.z) < 3.5 for one in before.values())
    assert after["x0"].z > 5
    assert -1.5 < after["x0"].strength < -0.5
    assert all(abs(after[name].z) < 3.5 for name in ("x1", "x2", "x3"))


def test_strength_one_step_is_near_the_best_factor():
    """The step towards the best factor of a small column is the factor, to second order."""
    world = world_of(table(1500, 4, 2), table(1500, 5, 2))
    theta = world.objective.model.matrix(world.theta)
    own = torch.zeros_like(theta[:-1])
    own[2] = theta[2]
    C = times(world.block.X, own)
    X = torch.cat([world.scores - C, C], dim=1)
    rows = MemoryRows(X, world.block.y, world.block.weight)
    best = minimise(Objective(rows, LinearModel(Softmax(2), 2), 1e-12)).theta
    found = associations(world, ["x2"])["x2"].strength
    assert found == pytest.approx(float(best[1]) - 1, abs=0.35)


def test_the_only_column_is_not_measured():
    known, new = (table(200, seed, 2).select("x0", "y") for seed in (6, 7))
    assert np.isfinite(associations(world_of(known, new), ["x0"])["x0"].z)
