"""The tangent model of a network against numerical derivatives and a true linear model."""

from functools import partial

import pytest
import torch
from torch import nn
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

from dataaudit.model.linear import LinearModel
from dataaudit.model.losses import Softmax
from dataaudit.model.objective import Objective
from dataaudit.model.rows import MemoryRows
from dataaudit.model.tangent import FOLDED, MOST, Fold, TangentModel, TangentObjective
from dataaudit.model.torch import ModuleModel


def scores(outputs):
    return outputs[:, 1:] - outputs[:, :1]


@pytest.fixture(scope="module")
def packed():
    torch.manual_seed(0)
    X, y = torch.randn(30, 4).double(), torch.randint(3, (30,))
    net = nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 3)).double()
    model = ModuleModel(net, cross_entropy)
    J = model.jacobians(model.theta, X, scores)
    return MemoryRows(
        torch.cat([J.flatten(1), scores(model.outputs(model.theta, X))], 1), y, torch.ones(30).double()
    )


@pytest.fixture(scope="module")
def objective(packed):
    model = TangentModel(Softmax(3), packed.width)
    q = model.n_params
    zero = torch.zeros(q).double()
    flat = TangentObjective(packed, model, 0.0, zero, zero)
    return TangentObjective(packed, model, 0.1, torch.full((q,), 0.1).double(), flat.gradient(zero))


def test_where_the_network_stands_is_the_minimum(objective):
    zero = torch.zeros(objective.model.n_params).double()
    assert float(objective.gradient(zero).abs().max()) < 1e-12
    assert objective.value(zero) < objective.value(zero + 0.01)


def test_derivatives_are_those_of_the_value(objective):
    theta = 0.1 * torch.randn(objective.model.n_params, generator=torch.Generator().manual_seed(1)).double()
    small = 1e-5 * torch.randn(len(theta), generator=torch.Generator().manual_seed(2)).double()
    slope = (objective.value(theta + small) - objective.value(theta - small)) / 2
    assert slope == pytest.approx(float(objective.gradient(theta) @ small), rel=1e-5)
    bend = (objective.gradient(theta + small) - objective.gradient(theta - small)) / 2
    assert torch.allclose(bend, objective.hessian(theta) @ small, rtol=1e-4, atol=1e-10)
    assert torch.allclose(objective.hvp_at(theta)(small[:, None])[:, 0], objective.hessian(theta) @ small)
    assert torch.allclose(objective.hessian_diagonal(theta), objective.hessian(theta).diagonal())


def test_a_linear_network_is_the_linear_model(packed):
    X, y = torch.randn(20, 3, generator=torch.Generator().manual_seed(3)).double(), torch.arange(20) % 2
    net = nn.Linear(3, 1).double()
    module = ModuleModel(net, binary_cross_entropy_with_logits)
    J = module.jacobians(module.theta, X, lambda outputs: outputs)
    weight = torch.rand(20, generator=torch.Generator().manual_seed(4)).double()
    rows = MemoryRows(torch.cat([J.flatten(1), net(X).detach()], 1), y, weight)
    linear, theta = Objective(MemoryRows(X, y, weight), LinearModel(Softmax(2), 3), 0.0), module.theta
    tangent, zero = TangentModel(Softmax(2), rows.width), torch.zeros(4).double()
    whole, block = next(linear.rows.blocks()), next(rows.blocks())
    for name in ("gradient", "hessian", "scores", "values", "hessian_diagonal", "curvature"):
        mine, theirs = getattr(tangent, name)(zero, block), getattr(linear.model, name)(theta, whole)
        assert torch.allclose(mine, theirs), name
    V = torch.randn(4, 2, generator=torch.Generator().manual_seed(5)).double()
    U = torch.randn(20, 1, generator=torch.Generator().manual_seed(6)).double()
    for method in (lambda m, b: m.lifted(b), lambda m, b: m.outer(b, U), lambda m, b: m.moved(V, b)):
        assert torch.allclose(method(tangent, block), method(linear.model, whole))
    assert torch.allclose(tangent.product(zero, V, block), linear.model.product(theta, V, whole))


def test_folding_keeps_inner_products():
    p = MOST + 1
    J = torch.randn(6, 1, p, generator=torch.Generator().manual_seed(0)).double()
    J = J + 3.0 * J[:1]  # alike, so that there is something to keep
    found = Fold(p)(J)
    assert found.shape == (6, 1, FOLDED)
    before, after = (x[:, 0] @ x[:, 0].T for x in (J, found))
    assert torch.allclose(before, after, rtol=0.15)
    same = partial(Fold(MOST))(J[:, :, :MOST])
    assert torch.equal(same, J[:, :, :MOST])
