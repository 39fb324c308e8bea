"""λ for several classes: the losses of a fifth of the rows at a time are those of refits without them."""

import numpy as np
import pytest
import torch
from cases import make

from dataaudit.influence.groups import Groups
from dataaudit.solvers.newton import minimise
from dataaudit.training import folds
from dataaudit.training.folds import FOLDS, FoldPath, SparseFolds, folds_of

L2 = 0.02


@pytest.fixture(scope="module")
def case():
    return make("", 80, 5, 4, l2=L2)


def refitted(case, fold):
    """Loss of every row by a refit without its fold, n held."""
    objective, losses = case.objective(), torch.empty(len(case.y), dtype=torch.float64)
    for number in range(FOLDS):
        left = torch.from_numpy(fold == number)
        theta = minimise(objective.reweighted((~left).double())).require_converged().theta
        losses[left] = objective.model.loss.value(objective.scores(theta), case.y)[left]
    return losses


def test_losses_are_those_of_refits(case):
    found = FoldPath(3.0 + case.X, case.y, 4).at(L2)
    expected = refitted(case, folds_of(case.y.numpy(), None))
    assert found.losses.numpy() == pytest.approx(expected.numpy(), abs=5e-3)
    assert found.mean == pytest.approx(float(expected.mean()), abs=1e-3)


def test_a_path_of_many_l2_ends_where_one_does(case):
    alone, path = FoldPath(case.X, case.y, 4), FoldPath(case.X, case.y, 4)
    for l2 in (1.0, 1e-4):
        path.at(l2)
    assert path.at(L2).mean == pytest.approx(alone.at(L2).mean, abs=1e-3)


def test_parameters_start_near_the_minimum(case):
    objective = case.objective()
    theta = FoldPath(case.X, case.y, 4).at(L2).theta
    least, none = objective.value(minimise(objective).theta), objective.value(torch.zeros_like(theta))
    assert objective.value(theta) - least < 0.05 * (none - least)


def test_groups_leave_together(case):
    group = np.arange(80) // 4
    groups = Groups(group, np.arange(80), np.full(80, -1))
    fold = folds_of(case.y.numpy(), group)
    assert (fold.reshape(20, 4) == fold[::4, None]).all()
    found = FoldPath(case.X, case.y, 4, groups=groups).at(L2)
    expected = refitted(case, fold)
    sums = expected.reshape(20, 4).sum(1) * 20 / 80
    assert found.losses.numpy() == pytest.approx(sums.numpy(), abs=5e-3)


def test_every_class_is_dealt_to_all_folds():
    y = np.random.default_rng(0).choice(7, 300, p=[0.4, 0.3, 0.1, 0.1, 0.05, 0.03, 0.02])
    fold = folds_of(y, None)
    counts = np.array([np.bincount(fold[y == k], minlength=FOLDS) for k in range(7)])
    assert (np.ptp(counts, axis=1) <= 1).all()
    assert np.ptp(np.bincount(fold)) <= 1


@pytest.mark.parametrize("l2", [1e-7, 100.0])
def test_odd_rows_have_finite_losses(l2):
    """A class of one row, a constant column, two rows that are alike, and more columns than rows."""
    random = np.random.default_rng(1)
    X = random.normal(size=(20, 30))
    X[:, 0], X[1] = 1.0, X[2]
    y = torch.from_numpy(np.append(np.arange(19) % 3, 3))
    found = FoldPath(torch.from_numpy(X), y, 4).at(l2)
    assert torch.isfinite(found.losses).all()
    assert torch.isfinite(found.theta).all()


@pytest.mark.parametrize("grouped", [False, True])
def test_sparse_rows_have_the_losses_of_refits(grouped):
    case = make("", 80, 12, 4, sparse=True, l2=L2)
    group = np.arange(80) // 2 if grouped else np.arange(80)
    groups = Groups(group, np.arange(80), np.full(80, -1)) if grouped else None
    found = SparseFolds(case.objective().rows, 4, groups=groups).at(L2)
    expected = refitted(case, folds_of(case.y.numpy(), group))
    if grouped:
        expected = expected.view(40, 2).sum(1) / 2
    assert found.losses.numpy() == pytest.approx(expected.numpy(), abs=5e-3)


def test_of_many_sparse_rows_one_fifth_is_left_out(monkeypatch):
    monkeypatch.setattr(folds, "FEW", 0)
    monkeypatch.setattr(folds, "JUDGED", 10)
    case = make("", 80, 12, 4, sparse=True, l2=L2)
    path = SparseFolds(case.objective().rows, 4)
    found, out = path.at(L2), path.judged
    assert len(out) == 10
    weight = torch.ones(80, dtype=torch.float64).index_fill(0, out, 0.0)
    objective = case.objective()
    theta = minimise(objective.reweighted(weight)).require_converged().theta
    expected = objective.model.loss.value(objective.scores(theta), case.y)[out]
    assert found.losses.numpy() == pytest.approx(expected.numpy(), abs=5e-3)
    torch.testing.assert_close(found.theta, theta, rtol=0.05, atol=0.02)
