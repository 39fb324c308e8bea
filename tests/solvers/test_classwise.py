"""One factor a class gives what a factor of all classes does."""

import pytest
import torch
from cases import make

from dataaudit.influence.leave_one_out import leave_one_out_scores
from dataaudit.solvers import Cholesky, classwise
from dataaudit.solvers.classwise import Classwise
from dataaudit.solvers.newton import minimise

N, K = 90, 5


@pytest.fixture(scope="module", params=[(True, 3e-3), (False, 3e-3), (True, 1e-6)], ids=str)
def fitted(request):
    sparse, l2 = request.param
    case = make("", N, 40, K, sparse=sparse, weighted=True, noise=0.5, l2=l2)
    objective = case.objective()
    theta = minimise(objective).require_converged().theta
    return objective, theta, Cholesky().prepare(objective, theta)


@pytest.fixture(params=[2**28, 0], ids=["double", "single"])
def found(request, fitted, monkeypatch):
    monkeypatch.setattr(classwise, "DOUBLE", request.param)
    return Classwise().prepare(*fitted[:2]), 2e-6 if request.param else 1e-5


def near(found, expected, tolerance):
    return float((found - expected).abs().max() / expected.abs().max()) < tolerance


def test_solutions_are_those_of_a_factor(fitted, found):
    objective, _, exact = fitted
    found, _ = found
    B = torch.randn(objective.model.n_params, 30, dtype=torch.float64, generator=torch.manual_seed(0))
    assert near(found.solve(B), exact.solve(B), 1e-7)
    assert found.solve(B[:, :0]).shape == (len(B), 0)
    assert near(found.near(B), exact.solve(B), 5e-2)  # of little ridge, a preconditioner
    assert found.residual < 1e-8


def test_forms_are_those_of_a_factor(fitted, found):
    objective, theta, exact = fitted
    found, error = found
    forms, expected = found.quadratic_forms(), exact.quadratic_forms()
    counted = objective.rows.weight > 0
    for one, other in zip(forms[counted], expected[counted], strict=True):
        assert near(one, other, error)
    left, truly = (leave_one_out_scores(objective, theta, Q)[counted] for Q in (forms, expected))
    assert near(left, truly, 100 * error)  # a row of leverage .99 has lost two digits


def test_joint_forms_are_those_of_a_factor(fitted, found):
    rows = torch.tensor([[0, 5, 5], [17, 3, 88]])
    assert near(found[0].joint_forms(rows), fitted[2].joint_forms(rows), found[1])
