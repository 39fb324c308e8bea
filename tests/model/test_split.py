"""Rows whose levels are apart give what dense rows do."""

import numpy as np
import pytest
import torch

from dataaudit.model.linear import LinearModel
from dataaudit.model.losses import Softmax
from dataaudit.model.rows import Block
from dataaudit.model.split import Split, is_split
from dataaudit.solvers.cholesky import squares

NEAR = {"rtol": 1e-12, "atol": 1e-12}


@pytest.fixture(params=[(5, 3, 2), (4, 1, 0), (0, 3, 0), (3, 0, 3)], ids=str)
def rows(request):
    """Rows of some numbers, ones and numbers before the levels; some ones are missing."""
    numbers, ones, left = request.param
    random = np.random.default_rng(0)
    levels = 7 * ones
    places = (7 * np.arange(ones) + random.integers(0, 7, (50, ones))).astype(np.int32)
    places[random.random(places.shape) < 0.2] = -1
    return Split(random.standard_normal((50, numbers)), places, left, levels)


def dense(X):
    """Return the rows by the definition."""
    levels = np.zeros((len(X.numbers), X.levels))
    for row, places in enumerate(X.ones.tolist()):
        for place in places:
            levels[row, place] += place >= 0
    return np.hstack([X.numbers[:, : X.left], levels, X.numbers[:, X.left :]])


def test_products_are_those_of_dense_rows(rows):
    X, random = dense(rows), np.random.default_rng(1)
    assert np.array_equal(rows.toarray(), X)
    assert rows.shape == X.shape
    V, U = random.standard_normal((X.shape[1], 3)), random.standard_normal((len(X), 3))
    assert np.allclose(rows @ V, X @ V, **NEAR)
    assert np.allclose(rows.T @ U, X.T @ U, **NEAR)
    bordered, w = np.column_stack([X, np.ones(len(X))]), random.random(len(X))
    gram = rows.gram(torch.from_numpy(w)).numpy()
    assert np.allclose(gram, bordered.T @ (w[:, None] * bordered), **NEAR)
    A = torch.from_numpy(gram + random.standard_normal(gram.shape))
    assert np.allclose(rows.squares(A), squares(torch.from_numpy(bordered), A), **NEAR)


@pytest.mark.parametrize("classes", [2, 3])
def test_a_model_makes_the_same_of_them(rows, classes):
    X, random = dense(rows), np.random.default_rng(2)
    model = LinearModel(Softmax(classes), X.shape[1])
    theta = torch.from_numpy(random.standard_normal(model.n_params))
    y, weight = torch.from_numpy(random.integers(0, classes, len(X))), torch.from_numpy(random.random(len(X)))
    split, plain = Block(rows, y, weight), Block(torch.from_numpy(X), y, weight)
    for name in ("values", "gradient", "hessian", "hessian_diagonal"):
        one, other = (getattr(model, name)(theta, block) for block in (split, plain))
        assert torch.allclose(one, other, **NEAR), name
    assert torch.equal(split.to("cpu").dense(), plain.dense())


def test_few_numbers_and_ones_among_many_levels_are_apart():
    assert is_split(27, 13, 104)
    assert not is_split(27, 13, 40)
    assert not is_split(27, 30, 4000)
