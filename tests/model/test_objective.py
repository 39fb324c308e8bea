"""The regularised mean loss: derivatives against autograd, and the symmetries that it must have."""

from dataclasses import replace

import pytest
import torch
from cases import CASES, IDS, make
from model.test_linear import random_theta
from reference import gradient, hessian, minimum, objective_function
from scipy.sparse import csr_array, vstack

from dataaudit.solvers.newton import minimise


@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_derivatives_agree_with_autograd(case):
    objective = case.objective()
    theta = random_theta(objective)
    before = theta.clone()
    H = hessian(case, theta)
    assert objective.value(theta) == pytest.approx(float(objective_function(case)(theta)), rel=1e-13)
    torch.testing.assert_close(objective.gradient(theta), gradient(case, theta), rtol=1e-11, atol=1e-14)
    torch.testing.assert_close(objective.hessian(theta), H, rtol=1e-11, atol=1e-14)
    torch.testing.assert_close(objective.hessian_diagonal(theta), H.diagonal(), rtol=1e-11, atol=1e-14)
    assert torch.equal(theta, before)


@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_products_with_the_hessian(case):
    objective = case.objective()
    theta = random_theta(objective)
    V = torch.randn(4, len(theta), dtype=torch.float64, generator=torch.Generator().manual_seed(1)).T
    product = objective.hvp_at(theta)
    expected = objective.hessian(theta) @ V
    torch.testing.assert_close(product(V), expected, rtol=1e-11, atol=1e-13)
    # The same operator again, on another layout: no state is left behind.
    torch.testing.assert_close(product(V.contiguous()), expected, rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_weight_two_is_the_row_twice(case):
    weight = torch.ones(len(case.y), dtype=torch.float64)
    weight[3] = 2.0
    extra = case.X[3:4]
    X = torch.cat([case.X, extra]) if isinstance(case.X, torch.Tensor) else csr_array(vstack([case.X, extra]))
    twice = replace(
        case, X=X, y=torch.cat([case.y, case.y[3:4]]), weight=torch.ones(len(weight) + 1).double()
    )
    n = len(weight)
    # The mean is over rows, so the ridge of the longer table is smaller by n/(n+1).
    longer, heavier = twice.objective(l2=case.l2 * n / (n + 1)), case.objective(weight=weight)
    theta = random_theta(heavier)
    assert longer.value(theta) * (n + 1) == pytest.approx(heavier.value(theta) * n, rel=1e-12)
    torch.testing.assert_close(
        longer.gradient(theta) * (n + 1), heavier.gradient(theta) * n, rtol=1e-10, atol=1e-12
    )
    torch.testing.assert_close(
        longer.hessian(theta) * (n + 1), heavier.hessian(theta) * n, rtol=1e-10, atol=1e-12
    )


@pytest.mark.parametrize("order", [[1, 2, 0], [2, 0, 1], [0, 2, 1]])
def test_no_class_is_special_for_being_the_reference(order):
    """With the coupling C, renaming classes changes neither the minimum's losses nor the value."""
    case = make("", 30, 4, 3)
    renamed = replace(case, y=torch.tensor(order)[case.y])
    first, second = case.objective(), renamed.objective()
    one, two = minimise(first).theta, minimise(second).theta
    assert first.value(one) == pytest.approx(second.value(two), rel=1e-13)
    losses = first.model.loss.value(first.scores(one), case.y)
    torch.testing.assert_close(
        losses, second.model.loss.value(second.scores(two), renamed.y), rtol=1e-8, atol=1e-10
    )


def test_reweighted_and_relabelled_change_only_that():
    case = make("", 12, 3, 2)
    objective = case.objective()
    weight = torch.linspace(0, 1, 12, dtype=torch.float64)
    lighter, other = objective.reweighted(weight), objective.relabelled(1 - case.y)
    theta = random_theta(objective)
    assert lighter.value(theta) == pytest.approx(float(objective_function(case, weight=weight)(theta)))
    assert other.value(theta) == pytest.approx(float(objective_function(case, y=1 - case.y)(theta)))
    assert torch.equal(objective.rows.weight, torch.ones(12, dtype=torch.float64))
    assert torch.equal(objective.rows.y, case.y)


@pytest.mark.parametrize("n_classes", [2, 4])
def test_stacking_columns_and_halving_the_ridge(n_classes):
    """[X, X]/√2 has the same minimum in its scores: the ridge cannot tell two half columns from one."""
    case = make("", 25, 3, n_classes)
    doubled = replace(case, X=torch.cat([case.X, case.X], 1) / 2**0.5)
    one = case.objective().scores(minimum(case))
    two = doubled.objective().scores(minimise(doubled.objective()).theta)
    torch.testing.assert_close(one, two, rtol=0, atol=1e-6)
