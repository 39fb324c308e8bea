"""The core over losses of the margin, and over penalised intercepts, against dense slow twins."""

from dataclasses import replace

import pytest
import torch
from cases import make

from dataaudit.influence import influence
from dataaudit.influence.leave_one_out import leave_one_out_scores, refit_without
from dataaudit.model.linear import LinearModel
from dataaudit.model.losses import SmoothHinge, Softmax, Squared, SquaredHinge
from dataaudit.model.objective import Objective
from dataaudit.model.rows import MemoryRows
from dataaudit.solvers import Cholesky, Dual
from dataaudit.solvers.newton import FitSettings, minimise

TIGHT = FitSettings(tolerance=1e-12)
LOSSES = [SmoothHinge(0.3), SquaredHinge(), Squared()]
SHAPES = [make("tall", 60, 4, 2, weighted=True), make("wide", 25, 40, 2, sparse=True, l2=0.05)]
SOLVERS = [Cholesky(), Dual()]


def objective_of(case, loss, tau=0.0):
    rows = MemoryRows(case.X, case.y, case.weight)
    return Objective(rows, LinearModel(loss, case.X.shape[1], tau), case.l2)


def dense_objective(objective, case):
    """R(θ) from its definition, for autograd."""
    X1 = torch.cat([case.dense, torch.ones(len(case.y), 1, dtype=torch.float64)], dim=1)

    def value(theta):
        losses = objective.model.loss.value(X1 @ theta[:, None], case.y)
        ridge = (theta[:-1] ** 2).sum() + objective.model.intercept_ridge * theta[-1] ** 2
        return (case.weight * losses).sum() / len(case.y) + objective.l2 / 2 * ridge

    return value


@pytest.mark.parametrize("tau", [0.0, 1.0, 0.25])
@pytest.mark.parametrize("loss", [*LOSSES, Softmax(2)], ids=str)
@pytest.mark.parametrize("case", SHAPES, ids=lambda case: case.name)
def test_derivatives_of_the_objective(case, loss, tau):
    objective = objective_of(case, loss, tau)
    theta = torch.linspace(-1, 1, case.X.shape[1] + 1, dtype=torch.float64)
    slow = dense_objective(objective, case)
    H = torch.autograd.functional.hessian(slow, theta)
    assert objective.value(theta) == pytest.approx(float(slow(theta)), rel=1e-12)
    torch.testing.assert_close(objective.gradient(theta), torch.func.grad(slow)(theta))
    torch.testing.assert_close(objective.hessian(theta), H)
    torch.testing.assert_close(objective.hessian_diagonal(theta), H.diagonal())
    torch.testing.assert_close(objective.hvp_at(theta)(torch.eye(len(theta), dtype=torch.float64)), H)


@pytest.mark.parametrize("solver", SOLVERS, ids=lambda solver: type(solver).__name__)
@pytest.mark.parametrize("tau", [0.0, 0.25])
@pytest.mark.parametrize("loss", [*LOSSES, Softmax(2)], ids=str)
@pytest.mark.parametrize("case", SHAPES, ids=lambda case: case.name)
def test_both_factorisations_invert_the_hessian(case, loss, tau, solver):
    objective = objective_of(case, loss, tau)
    fit = minimise(objective, settings=TIGHT)
    assert fit.converged
    G = torch.linalg.inv(objective.hessian(fit.theta))
    prepared = solver.prepare(objective, fit.theta)
    torch.testing.assert_close(
        prepared.solve(torch.eye(len(G), dtype=torch.float64)), G, rtol=1e-7, atol=1e-8
    )
    X1 = torch.cat([case.dense, torch.ones(len(case.y), 1, dtype=torch.float64)], dim=1)
    slow = ((X1 @ G) * X1).sum(1)
    kept = case.weight > 0  # the dual form of a row without weight is not asked for
    torch.testing.assert_close(prepared.quadratic_forms()[kept, 0, 0], slow[kept], rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("loss", LOSSES, ids=str)
def test_leave_one_out_scores_against_refits(loss):
    """One Newton step is the refit itself for least squares; where the curvature moves it is near it."""
    case = replace(SHAPES[0], weight=torch.ones(60, dtype=torch.float64))
    objective = objective_of(case, loss)
    fit = minimise(objective, settings=TIGHT)
    forms = Cholesky().prepare(objective, fit.theta).quadratic_forms()
    now = objective.scores(fit.theta)[:, 0]
    predicted = leave_one_out_scores(objective, fit.theta, forms)[:, 0] - now
    refits = [objective.scores(refit_without(objective, fit, i).theta)[i, 0] for i in range(60)]
    actual = torch.stack(refits) - now
    assert actual.abs().max() > 0.3
    assert torch.corrcoef(torch.stack([predicted, actual]))[0, 1] > 0.995
    if loss == Squared():
        torch.testing.assert_close(predicted, actual, rtol=0, atol=1e-9)


@pytest.mark.parametrize("loss", LOSSES, ids=str)
def test_influence_is_the_derivative_of_a_refit(loss):
    case = SHAPES[0]
    objective = objective_of(case, loss, 0.5)
    fit = minimise(objective, settings=TIGHT)
    prepared, step = Cholesky().prepare(objective, fit.theta), 1e-5
    test = objective.rows.take(torch.arange(5))
    up = influence.up_loss(objective, fit.theta, prepared, test=test)

    def losses(row, sign):
        weight = case.weight.clone()
        weight[row] += sign * step * len(weight)
        again = minimise(objective.reweighted(weight), fit.theta, settings=TIGHT)
        return objective.model.values(again.theta, test)

    for row in (3, 11, 40):
        slow = (losses(row, 1) - losses(row, -1)) / (2 * step)
        torch.testing.assert_close(up[:, row], slow, rtol=1e-4, atol=1e-5)
