"""Newton's method: it ends at the minimum that others find, and says so when it does not."""

import numpy as np
import pytest
import torch
from cases import CASES, IDS, Case, make
from reference import minimum
from scipy.sparse import csr_array
from sklearn.linear_model import LogisticRegression
from sklearn.svm import SVC

from dataaudit.errors import NotConverged, SettingError
from dataaudit.model.linear import LinearModel
from dataaudit.model.losses import SmoothHinge
from dataaudit.model.objective import Objective
from dataaudit.model.rows import MemoryRows
from dataaudit.solvers import Cholesky
from dataaudit.solvers.newton import (
    BLOCK_ROWS,
    TINY,
    WIDTH,
    FitSettings,
    class_blocks,
    minimise,
    minimise_hinge,
    subgradient_norm,
)


@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_finds_the_reference_minimum(case):
    fit = minimise(case.objective()).require_converged()
    assert fit.gradient_norm <= 1e-8
    assert fit.steps <= 12
    torch.testing.assert_close(fit.theta, minimum(case), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("case", CASES[:11], ids=IDS[:11])
def test_agrees_with_scikit_learn(case):
    """`C = 1/(nλ)`; scikit-learn's K coefficient vectors less class 0's are the K - 1 of this model."""
    X = case.X if isinstance(case.X, csr_array) else case.X.numpy()
    model = LogisticRegression(C=1 / (len(case.y) * case.l2), tol=1e-12, max_iter=10_000, solver="newton-cg")
    model.fit(X, case.y.numpy(), sample_weight=case.weight.numpy())
    fit = minimise(case.objective(), settings=FitSettings(tolerance=1e-11))
    ours = np.asarray(case.objective().model.matrix(fit.theta))
    theirs = np.vstack([model.coef_.T, model.intercept_])
    if case.n_classes > 2:
        theirs = theirs[:, 1:] - theirs[:, :1]
    np.testing.assert_allclose(ours, theirs, atol=2e-6)


@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("shape", [(60, 5), (30, 80)])
def test_badly_scaled_columns(n_classes, shape):
    """Columns from 1e-3 to 1e5 (condition number 1e16 of X'X): hospital tables look like this."""
    case = make("", *shape, n_classes)
    scaled = case.X * torch.logspace(-3, 5, shape[1], dtype=torch.float64)
    objective = Case("", scaled, case.y, case.weight, n_classes).objective()
    assert minimise(objective).require_converged().gradient_norm <= 1e-8


@pytest.mark.parametrize("sparse", [False, True])
def test_many_classes_by_blocks_of_one_each(sparse):
    """As by a factor of all: the same minimum, and the gradient of the slow way."""
    case = make("", 150, 60, 10, sparse=sparse, weighted=True)
    objective = case.objective()
    assert objective.model.n_params > TINY
    blocks = minimise(objective).require_converged()
    full = Cholesky().prepare(objective, blocks.theta).solve
    again = minimise(objective, precondition=full, settings=FitSettings(tolerance=1e-11))
    assert blocks.steps <= 12
    torch.testing.assert_close(blocks.theta, again.theta, rtol=1e-5, atol=1e-6)


def test_a_block_is_the_hessian_of_one_symmetric_score():
    case = make("", 300, 4, 3)
    objective, theta = case.objective(), 0.1 * torch.arange(10, dtype=torch.float64)
    X = torch.cat([case.X, torch.ones(300, 1)], dim=1)
    P = torch.softmax(torch.nn.functional.pad(objective.scores(theta), (1, 0)), 1)
    rows = torch.linspace(0, 299, BLOCK_ROWS * 5).long()
    for one, inverse in zip(P[rows].T, class_blocks(objective, theta), strict=True):
        H = X[rows].T @ (X[rows] * (one * (1 - one))[:, None]) / len(rows)
        H.diagonal()[:-1] += case.l2
        torch.testing.assert_close(inverse.double() @ H, torch.eye(5).double(), rtol=0, atol=1e-3)


def test_blocks_of_badly_scaled_columns():
    case = make("", 200, 130, 5)
    scaled = case.X * torch.logspace(-3, 5, 130, dtype=torch.float64)
    objective = Case("", scaled, case.y, case.weight, 5).objective()
    assert minimise(objective).require_converged().gradient_norm <= 1e-8


def test_sparse_text_like_rows_without_a_dense_hessian():
    """A few thousand columns and the diagonal preconditioner."""
    case = make("", 150, 3000, 2, sparse=True)
    fit = minimise(case.objective(l2=1e-3), settings=FitSettings(direct_limit=10))
    assert fit.require_converged().steps < 15


def test_the_intercept_alone_is_the_log_odds():
    """Constant columns of zeros carry nothing; the minimum has a closed form."""
    y = torch.tensor([1] * 3 + [0] * 9)
    for X in (torch.zeros(12, 2).double(), csr_array((12, 2))):
        theta = minimise(Case("", X, y, torch.ones(12).double(), 2).objective()).theta
        torch.testing.assert_close(theta, torch.tensor([0.0, 0.0, np.log(3 / 9)]).double(), rtol=0, atol=1e-6)


def test_a_constant_column_leaves_the_intercept_its_work():
    case = make("", 30, 3, 2)
    with_constant = torch.cat([case.X, torch.full((30, 1), 5.0).double()], 1)
    plain = minimise(case.objective()).theta
    theta = minimise(Case("", with_constant, case.y, case.weight, 2).objective()).theta
    assert abs(float(theta[3])) < 1e-6, "the penalised copy of the intercept is not used"
    torch.testing.assert_close(theta[[0, 1, 2, 4]], plain, rtol=1e-5, atol=1e-6)


def test_a_wide_fit_of_two_rows():
    X = torch.tensor([[1.0, 0.0], [0.0, 1.0]], dtype=torch.float64)
    fit = minimise(Case("", X, torch.tensor([0, 1]), torch.ones(2).double(), 2, 0.1).objective())
    theta = fit.require_converged().theta
    # By symmetry θ = (-a, a, 0) with  σ(-a)/2 = λ a.
    assert float(theta[0]) == pytest.approx(-float(theta[1]), abs=1e-8)
    assert float(torch.sigmoid(-theta[1])) / 2 == pytest.approx(0.1 * float(theta[1]), abs=1e-8)


def test_a_class_without_weight_ends_with_a_tiny_probability():
    """No finite minimum exists: its intercept runs off until the gradient is small enough."""
    for n_classes in (2, 3):
        case = make("", 30, 3, n_classes)
        weight = (case.y != n_classes - 1).double()
        objective = case.objective(weight=weight)
        fit = minimise(objective).require_converged()
        logp = objective.model.loss.log_probabilities(objective.scores(fit.theta))
        assert torch.isfinite(fit.theta).all()
        assert logp[:, -1].exp().max() < 1e-6
        assert Cholesky().prepare(objective, fit.theta).quadratic_forms().isfinite().all()


def test_warm_starts_take_fewer_steps_to_the_same_point():
    case = make("", 60, 20, 3)
    objective = case.objective()
    cold = minimise(objective)
    nearby = minimise(case.objective(l2=0.9 * case.l2))
    warm = minimise(objective, nearby.theta, precondition=Cholesky().prepare(objective, cold.theta).solve)
    assert warm.steps < cold.steps
    torch.testing.assert_close(warm.theta, cold.theta, rtol=1e-5, atol=1e-6)
    again = minimise(objective, cold.theta)
    assert again.steps == 0
    assert torch.equal(again.theta, cold.theta)


def test_start_is_not_changed():
    objective = make("", 20, 3, 2).objective()
    start = torch.ones(4, dtype=torch.float64)
    minimise(objective, start)
    assert torch.equal(start, torch.ones(4, dtype=torch.float64))


def test_stopping_early_is_said():
    fit = minimise(make("", 40, 5, 2).objective(), settings=FitSettings(max_steps=1))
    assert not fit.converged
    assert fit.steps == 1
    with pytest.raises(NotConverged, match=r"gradient norm .*above 1e-08.*Hint"):
        fit.require_converged()


@pytest.mark.parametrize("size", [1e6, 1e150])
def test_huge_values_converge_or_are_refused(size):
    """Values of 1e150 square to infinity in the Hessian; a wrong answer must not look like a right one."""
    case = make("", 30, 3, 2)
    objective = Case("", case.X * size, case.y, case.weight, 2).objective()
    fit = minimise(objective)
    if fit.converged:
        assert float(objective.gradient(fit.theta).abs().max()) <= 1e-8
    else:
        with pytest.raises(NotConverged):
            fit.require_converged()
    assert fit.converged == (size < 1e100)


@pytest.mark.parametrize("settings", [{"tolerance": 0.0}, {"tolerance": -1.0}, {"max_steps": 0}])
def test_settings_that_make_no_sense(settings):
    with pytest.raises(SettingError, match="positive"):
        FitSettings(**settings)


MACHINES = [make("tall", 120, 5, 2), make("wide", 40, 70, 2, sparse=True), make("apart", 60, 4, 2, noise=0.0)]


def smooth_objective(case, temperature):
    rows = MemoryRows(case.X, case.y, case.weight)
    return Objective(rows, LinearModel(SmoothHinge(temperature), case.X.shape[1]), case.l2)


def machine(case):
    """LIBSVM's minimum of the same objective."""
    C = 1 / (len(case.y) * case.l2)
    model = SVC(kernel="linear", C=C, tol=1e-10).fit(case.dense, case.y)
    return torch.from_numpy(np.append(model.coef_[0], model.intercept_))


@pytest.mark.parametrize("case", MACHINES, ids=lambda case: case.name)
def test_the_smooth_hinge_ends_at_the_hinges_minimum(case):
    exact, distances = machine(case), []
    for temperature in (1e-2, 1e-4, 1e-6):
        fit = minimise_hinge(smooth_objective(case, temperature)).require_converged()
        distances.append(float((fit.theta - exact).abs().max()))
    assert distances[-1] < 1e-4
    assert distances[2] < distances[1] < distances[0], "the distance is of the order of the temperature"
    value = smooth_objective(case, 0.0).value
    assert value(fit.theta) == pytest.approx(value(exact), abs=1e-6)


@pytest.mark.parametrize("case", MACHINES, ids=lambda case: case.name)
def test_only_a_minimum_has_a_subgradient_of_nought(case):
    objective, exact = smooth_objective(case, 1e-3), machine(case)
    assert subgradient_norm(objective, exact) < 1e-9
    for moved in (1.1 * exact, exact + 0.05, torch.zeros_like(exact)):
        kinks = (1 - (2 * case.y - 1) * objective.scores(moved)[:, 0]).abs() < WIDTH
        assert kinks.sum() < len(exact)
        assert subgradient_norm(objective, moved) > 1e-4
