"""Several classes without one factor: forms near the exact ones, single rows as dense algebra has them."""

import numpy as np
import pytest
import torch
from cases import make

from dataaudit.influence.groups import Groups, group_step, scores_without_groups
from dataaudit.influence.influence import self_influence
from dataaudit.influence.leave_one_out import leave_one_out_scores, relabelled_scores
from dataaudit.solvers import Cholesky, newton
from dataaudit.solvers.classes import Classes
from dataaudit.solvers.newton import minimise
from dataaudit.solvers.projected import Projected

N, K = 120, 5


@pytest.fixture(scope="module", params=[True, False], ids=["sparse", "dense"])
def fitted(request):
    case = make("", N, 40, K, sparse=request.param, weighted=True, noise=0.5, l2=3e-3)
    objective = case.objective()
    theta = minimise(objective).require_converged().theta
    return objective, theta, Cholesky().prepare(objective, theta), Projected().prepare(objective, theta)


def alone(n=N):
    return list(torch.arange(n)[:, None])


def test_solutions_are_those_of_a_factor(fitted):
    objective, _, exact, found = fitted
    B = torch.randn(
        objective.model.n_params, 70, dtype=torch.float64, generator=torch.Generator().manual_seed(0)
    )
    expected = exact.solve(B)
    assert float((found.solve(B) - expected).norm() / expected.norm()) < 1e-8
    assert float((found.near(B) - expected).norm() / expected.norm()) < 5e-3
    assert found.residual < 1e-8
    assert found.precondition is None


def test_damping_is_part_of_the_hessian(fitted):
    objective, theta, _, _ = fitted
    exact, found = (solver(damping=0.1).prepare(objective, theta) for solver in (Cholesky, Projected))
    b = torch.ones(objective.model.n_params, 1, dtype=torch.float64)
    torch.testing.assert_close(found.solve(b), exact.solve(b), rtol=1e-6, atol=1e-8)
    ratio = self_influence(objective, theta, found.quadratic_forms()) / self_influence(
        objective, theta, exact.quadratic_forms()
    )
    assert float(ratio.nanmedian()) == pytest.approx(1.0, abs=0.15)


def test_forms_are_right_on_the_whole(fitted):
    """Here all classes overlap and parameters outnumber rows: blocks say too little, by a quarter."""
    objective, theta, exact, found = fitted
    now = objective.scores(theta)
    moved, expected = (
        leave_one_out_scores(objective, theta, one.quadratic_forms()) - now for one in (found, exact)
    )
    along = (moved * expected).sum(1) / expected.square().sum(1).clamp_min(1e-30)
    counted = expected.square().sum(1) > 0
    assert float(along[counted].median()) == pytest.approx(1.0, abs=0.3)
    assert float(along[counted].std()) < 0.2


def test_single_rows_are_exact(fitted):
    objective, theta, exact, found = fitted
    forms = exact.quadratic_forms()
    expected = leave_one_out_scores(objective, theta, forms)
    torch.testing.assert_close(found.changed.scores(alone()), expected, rtol=1e-6, atol=1e-6)
    y = (objective.rows.y + 1) % K
    near = relabelled_scores(objective, theta, found.quadratic_forms(), y=y)
    expected = relabelled_scores(objective, theta, forms, y=y)
    torch.testing.assert_close(found.changed.scores(alone(), y=y, near=near), expected, rtol=1e-6, atol=1e-6)
    own = self_influence(objective, theta, forms)
    torch.testing.assert_close(found.changed.self_influence(torch.arange(N)), own, rtol=1e-6, atol=1e-9)


def test_groups_leave_together(fitted):
    objective, theta, exact, found = fitted
    group = np.arange(N) // 2
    partition = Groups(group, np.arange(N), np.full(N, -1)).partition
    expected = scores_without_groups(
        objective, theta, exact.quadratic_forms(), joint=exact.joint_forms, partition=partition
    )
    sets = [torch.tensor([row, row ^ 1]) for row in range(N)]
    torch.testing.assert_close(found.changed.scores(sets), expected, rtol=1e-6, atol=1e-6)
    estimated = scores_without_groups(
        objective, theta, found.quadratic_forms(), joint=found.joint_forms, partition=partition
    )
    now = objective.scores(theta)
    along = ((estimated - now) * (expected - now)).sum(1) / (expected - now).square().sum(1).clamp_min(1e-30)
    assert float(along.median()) == pytest.approx(1.0, abs=0.3)


def test_steps_of_single_rows_are_those_of_groups_of_one(fitted):
    objective, theta, _, found = fitted
    rows = torch.tensor([0, 3, 64, N - 1])
    expected = torch.stack([group_step(objective, theta, row[None]) - theta for row in rows], dim=1)
    steps = found.changed.steps(rows)
    assert float(((steps - expected).norm(dim=0) / expected.norm(dim=0)).max()) < 1e-6


def test_copies_share_a_form():
    """Of rows that are equal the joint form is one block, whatever the projections say."""
    case = make("", 60, 30, 3, sparse=True, l2=1e-2)
    objective = case.objective()
    theta = minimise(objective).theta
    projections = Classes.of(objective, theta).project(64, 0.03)
    joint = projections.joint_forms(objective, torch.tensor([[3, 3]])).view(2, 2, 2, 2)
    torch.testing.assert_close(
        joint[0, :, 0], joint[0, :, 1], rtol=0.05, atol=0.05 * float(joint.abs().max())
    )


def test_wide_rows_are_fitted_to_the_same_minimum(monkeypatch):
    case = make("", 90, 200, 6, sparse=True, l2=1e-3)
    expected = minimise(case.objective()).require_converged().theta
    monkeypatch.setattr(newton, "BLOCK_NUMBERS", 0)
    found = minimise(case.objective()).require_converged()
    torch.testing.assert_close(found.theta, expected, rtol=1e-4, atol=1e-5)


def test_refits_are_those_of_newton(fitted):
    objective, _, _, found = fitted
    changed = objective.reweighted(objective.rows.weight.index_fill(0, torch.tensor([5]), 0.0))
    expected = minimise(changed, settings=newton.FitSettings(tolerance=1e-12)).theta
    torch.testing.assert_close(found.changed.refit(changed, 1e-12, 20), expected, rtol=1e-7, atol=1e-9)
