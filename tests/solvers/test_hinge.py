"""The minimum of a support vector machine: found from afar, and told from other points."""

import numpy as np
import pytest
import torch
from cases import make
from sklearn.svm import SVC

from dataaudit.model.linear import LinearModel
from dataaudit.model.losses import SmoothHinge
from dataaudit.model.objective import Objective
from dataaudit.model.rows import MemoryRows
from dataaudit.solvers.newton import WIDTH, minimise_hinge, subgradient_norm

CASES = [make("tall", 120, 5, 2), make("wide", 40, 70, 2, sparse=True), make("apart", 60, 4, 2, noise=0.0)]


def objective_of(case, temperature):
    rows = MemoryRows(case.X, case.y, case.weight)
    return Objective(rows, LinearModel(SmoothHinge(temperature), case.X.shape[1]), case.l2)


def machine(case):
    """LIBSVM's minimum of the same objective."""
    C = 1 / (len(case.y) * case.l2)
    model = SVC(kernel="linear", C=C, tol=1e-10).fit(case.dense, case.y)
    return torch.from_numpy(np.append(model.coef_[0], model.intercept_))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_smooth_hinge_ends_at_the_hinges_minimum(case):
    exact, distances = machine(case), []
    for temperature in (1e-2, 1e-4, 1e-6):
        fit = minimise_hinge(objective_of(case, temperature)).require_converged()
        distances.append(float((fit.theta - exact).abs().max()))
    assert distances[-1] < 1e-4
    assert distances[2] < distances[1] < distances[0], "the distance is of the order of the temperature"
    value = objective_of(case, 0.0).value
    assert value(fit.theta) == pytest.approx(value(exact), abs=1e-6)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_only_a_minimum_has_a_subgradient_of_nought(case):
    objective, exact = objective_of(case, 1e-3), machine(case)
    assert subgradient_norm(objective, exact) < 1e-9
    for moved in (1.1 * exact, exact + 0.05, torch.zeros_like(exact)):
        kinks = (1 - (2 * case.y - 1) * objective.scores(moved)[:, 0]).abs() < WIDTH
        assert kinks.sum() < len(exact)
        assert subgradient_norm(objective, moved) > 1e-4
