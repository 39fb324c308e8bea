"""The linear model's formulas against autograd, and what must not change them."""

import pytest
import torch
from cases import CASES, IDS
from reference import gradient, hessian, row_gradients

from dataaudit.model.linear import STRIP, LinearModel
from dataaudit.model.losses import Softmax
from dataaudit.model.rows import Block


def random_theta(objective, size=0.3):
    generator = torch.Generator().manual_seed(5)
    return size * torch.randn(objective.model.n_params, dtype=torch.float64, generator=generator)


@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_block_sums_are_derivatives_of_the_unpenalised_loss(case):
    objective = case.objective()
    theta, model, n = random_theta(objective), objective.model, objective.rows.n
    block = next(iter(objective.rows.blocks()))
    torch.testing.assert_close(model.gradient(theta, block) / n, gradient(case, theta, l2=0.0))
    torch.testing.assert_close(model.hessian(theta, block) / n, hessian(case, theta, l2=0.0))


@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_a_rows_gradient_is_its_slope_times_its_features(case):
    objective = case.objective()
    theta = random_theta(objective)
    slope = objective.model.loss.slope(objective.scores(theta), case.y)
    block = next(iter(objective.rows.blocks()))
    outer = (block.dense()[:, :, None] * slope[:, None, :]).flatten(1)
    torch.testing.assert_close(outer, row_gradients(case, theta), rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("n_classes", [2, 3, 6])
def test_ridge_is_the_sum_of_squares_of_centred_coefficients(n_classes):
    model = LinearModel(Softmax(n_classes), 4)
    theta = torch.arange(model.n_params, dtype=torch.float64) ** 0.5
    every = torch.cat([torch.zeros(5, 1, dtype=torch.float64), model.matrix(theta)], dim=1)[:-1]
    if n_classes > 2:
        every = every - every.mean(1, keepdim=True)
    ridge = theta @ model.ridge(theta[:, None])[:, 0]
    assert float(ridge) == pytest.approx(float((every**2).sum()), rel=1e-13)
    dense = model.ridge(torch.eye(model.n_params, dtype=torch.float64))
    assert torch.equal(dense, dense.T)
    assert not dense[-model.loss.n_scores :].any(), "intercepts are free"


@pytest.mark.parametrize("case", CASES[:4], ids=IDS[:4])
def test_scores_are_linear_with_the_intercepts_last(case):
    objective = case.objective()
    theta = random_theta(objective)
    matrix = objective.model.matrix(theta)
    torch.testing.assert_close(objective.scores(theta), case.dense @ matrix[:-1] + matrix[-1])


def test_a_hessian_made_in_strips_is_that_of_one_product():
    """One column more than two strips, so that the last one is narrow."""
    generator = torch.Generator().manual_seed(0)
    X = torch.randn(20, 2 * STRIP, dtype=torch.float64, generator=generator)
    model = LinearModel(Softmax(3), X.shape[1])
    block = Block(X, torch.arange(20) % 3, torch.rand(20, dtype=torch.float64, generator=generator))
    theta = 0.1 * torch.randn(model.n_params, dtype=torch.float64, generator=generator)
    x, W = block.dense(), model.curvature(theta, block)
    expected = torch.einsum("ni,nab,nj->iajb", x, W, x).reshape(model.n_params, model.n_params)
    torch.testing.assert_close(model.hessian(theta, block), expected, rtol=1e-11, atol=1e-12)
