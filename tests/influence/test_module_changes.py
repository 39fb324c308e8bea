"""A module without a row, with other rows, and with rows in the place of others, against true minima."""

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from dataaudit import ModuleInfluence, ModuleModel
from dataaudit.errors import SettingError

L2 = 0.05


@pytest.fixture(scope="module")
def trained():
    generator = torch.Generator().manual_seed(0)
    X = torch.randn(60, 3, dtype=torch.float64, generator=generator)
    y = (X[:, 0] + 0.5 * torch.randn(60, dtype=torch.float64, generator=generator) > 0).long()
    net = nn.Linear(3, 2).double().eval()
    return net, X, y


def minimum(net, X, y, weight, n):
    parameters = list(net.parameters())
    optimiser = torch.optim.LBFGS(
        parameters, max_iter=500, tolerance_grad=1e-12, tolerance_change=1e-16, line_search_fn="strong_wolfe"
    )

    def closure():
        optimiser.zero_grad()
        loss = (weight * cross_entropy(net(X), y, reduction="none")).sum() / n
        loss = loss + L2 / 2 * sum((p**2).sum() for p in parameters)
        loss.backward()
        return loss

    optimiser.step(closure)
    return net


def losses(net, X, y):
    return cross_entropy(net(X), y, reduction="none").detach()


def test_without_a_row_is_nearer_to_a_fit_than_influence_is(trained):
    net, X, y = trained
    ones = torch.ones(60, dtype=torch.float64)
    influence = ModuleInfluence(ModuleModel(minimum(net, X, y, ones, 60), cross_entropy), (X, y), l2=L2)
    before, tests = losses(net, X[:8], y[:8]), (X[:8], y[:8])
    rows = influence.self_influence().topk(3).indices.tolist()
    step, linear = influence.without(rows, tests), -influence.up_loss(tests).T[rows] / 60
    assert step.shape == (3, 8)
    state = {name: value.clone() for name, value in net.state_dict().items()}
    off = []
    for j, row in enumerate(rows):
        weight = ones.clone()
        weight[row] = 0.0
        truth = losses(minimum(net, X, y, weight, 60), X[:8], y[:8]) - before
        off.append([(step[j] - truth).norm() / truth.norm(), (linear[j] - truth).norm() / truth.norm()])
        net.load_state_dict(state)
    off = torch.tensor(off)
    assert float(off[:, 0].max()) < 0.05
    assert bool((off[:, 0] < off[:, 1]).all())


def test_other_rows_and_replacements_are_influences_of_theirs(trained):
    net, X, y = trained
    ones = torch.ones(60, dtype=torch.float64)
    influence = ModuleInfluence(ModuleModel(minimum(net, X, y, ones, 60), cross_entropy), (X, y), l2=L2)
    tests, all_of_them = (X[:4], y[:4]), influence.up_loss((X[:4], y[:4]))
    torch.testing.assert_close(influence.up_loss(tests, of=(X, y)), all_of_them)
    change = influence.replaced([5, 6], (X[10:12], y[10:12]), tests)
    torch.testing.assert_close(change, all_of_them[:, 10:12] - all_of_them[:, 5:7])
    with pytest.raises(SettingError, match="2 rows are replaced by 1"):
        influence.replaced([5, 6], (X[10:11], y[10:11]), tests)
    with pytest.raises(SettingError, match="rows must lie between 0 and 59: got 60 to 60"):
        influence.without([60], tests)
    assert influence.without([], tests).shape == (0, 4)
