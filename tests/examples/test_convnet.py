"""The parts that train the network of figure 2 and take rows out of it, on a few made-up images."""

from dataclasses import replace

import convnet
import pytest
import torch
from torch.func import functional_call, jacrev
from torch.nn.functional import cross_entropy

from dataaudit import ModuleModel

ROWS = 12


@pytest.fixture
def training():
    generator = torch.Generator().manual_seed(1)
    X = torch.rand(ROWS, 1, 28, 28, generator=generator, dtype=torch.float64)
    y = torch.randint(10, (ROWS,), generator=generator)
    return convnet.Training(ModuleModel(convnet.network(0).double(), cross_entropy), X, y, 0.3)


def logits(training, theta):
    return functional_call(training.model.net, training.model._named(theta), (training.X,))


def test_it_has_the_parameters_of_the_paper():
    assert sum(values.numel() for values in convnet.network(0).parameters()) == 2616


def test_a_row_that_is_left_out_adds_nothing(training):
    theta = training.model.theta.requires_grad_()
    losses = cross_entropy(logits(training, theta), training.y, reduction="none")
    for left_out in (None, 3):
        kept = torch.arange(ROWS) != (-1 if left_out is None else left_out)
        expected = losses[kept].sum() / ROWS + 0.15 * theta @ theta
        value, gradient = replace(training, left_out=left_out).at(theta)
        assert value == pytest.approx(float(expected.detach()))
        torch.testing.assert_close(gradient, torch.autograd.grad(expected, theta, retain_graph=True)[0])


def test_the_gauss_newton_matrix_is_that_of_the_jacobian(training):
    theta = training.model.theta
    J = jacrev(lambda moved: logits(training, moved))(theta)
    p = logits(training, theta).softmax(1).detach()
    bent = torch.diag_embed(p) - p[:, :, None] * p[:, None, :]
    expected = torch.einsum("nkp,nkl,nlq->pq", J, bent, J) / ROWS + 0.3 * torch.eye(len(theta))
    torch.testing.assert_close(training.gauss_newton(theta), expected, rtol=1e-5, atol=1e-6)


def test_training_goes_down_and_a_refit_ends_where_its_slope_vanishes(training):
    start = convnet.by_minibatches(training, steps=30, rate=0.02, seed=0)
    at = convnet.coordinates(training, start, metric=0.02)
    theta = convnet.settled(training, start, at, evaluations=200)
    assert training.at(theta)[0] < training.at(start)[0]
    assert float(training.at(theta)[1].abs().max()) < 1e-6
    without = replace(training, left_out=0)
    assert float(without.at(theta)[1].abs().max()) > 1e-2
    moved = convnet.settled(without, theta, at, evaluations=200)
    assert float(without.at(moved)[1].abs().max()) < 1e-6


def test_slopes_are_those_of_the_coordinates(training):
    theta = training.model.theta
    at = convnet.coordinates(training, theta, metric=0.1)
    u = torch.randn(len(theta), 1, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    gradient = training.at(theta)[1][:, None]
    assert float((gradient * at.step(u)).sum()) == pytest.approx(float((at.slope(gradient) * u).sum()))
    metric = training.gauss_newton(theta) + 0.1 * torch.eye(len(theta))
    torch.testing.assert_close(metric @ at.inverse(u), u)
