"""Estimates by projections and exact forms by solves, against the dense inverse of H + δ I."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from cases import CASES, IDS, make
from reference import hessian

from dataaudit.errors import SolveError
from dataaudit.memory import limited
from dataaudit.model import costs
from dataaudit.model.linear import LinearModel
from dataaudit.model.losses import SmoothHinge
from dataaudit.model.objective import Objective
from dataaudit.model.rows import MemoryRows
from dataaudit.solvers import projected, schur
from dataaudit.solvers.cholesky import Cholesky
from dataaudit.solvers.newton import minimise, minimise_hinge
from dataaudit.solvers.projected import FEWEST, Projected, affordable_probes
from dataaudit.solvers.schur import Schur

BINARY = [case for case in CASES if case.n_classes == 2]


def far(found, exact):
    """The largest error of a form, relative to the largest entry of its group."""
    size = exact.flatten(1).abs().amax(1)
    return float(((found - exact).flatten(1).abs().amax(1) / size).max())


def text(n=400, d=900, seed=0, l2=1e-3):
    """Rows of few words: some frequent, most rare, copies among them."""
    rng = np.random.default_rng(seed)
    words = np.minimum((rng.pareto(0.7, (n, 12)) * 2).astype(int), d - 1)
    X = np.zeros((n, d))
    np.add.at(X, (np.arange(n)[:, None], words), 1.0)
    X[n // 2 : n // 2 + 4] = X[n // 2]
    X /= np.linalg.norm(X, axis=1, keepdims=True)
    case = make("text", n, d, 2, sparse=True, l2=l2)
    y = (X @ rng.standard_normal(d) + 1.5 * rng.standard_normal(n) > 0).astype(np.int64)
    return replace(case, X=type(case.X)(X), y=torch.from_numpy(y))


@pytest.mark.parametrize("eliminated", [0, 3, 1000], ids=["none", "few", "all"])
@pytest.mark.parametrize("damping", [0.0, 0.3])
@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_the_split_inverts_the_damped_hessian(case, damping, eliminated):
    objective = case.objective()
    theta = minimise(objective).theta
    A = hessian(case, theta) + damping * torch.eye(len(theta), dtype=torch.float64)
    split = Schur.of(objective, theta, damping=damping, most=eliminated * objective.model.loss.n_scores)
    B = torch.randn(5, len(theta), dtype=torch.float64, generator=torch.Generator().manual_seed(0)).T
    B = B * torch.tensor([1.0, 1e-30, 1e30, 0.0, 1.0], dtype=torch.float64)
    exact = torch.linalg.solve(A, B)
    found = split.solve(B, 1e-6)
    assert bool(((found - exact).norm(dim=0) <= 1e-4 * exact.norm(dim=0)).all())


@pytest.mark.parametrize("damping", [0.0, 0.3])
@pytest.mark.parametrize("case", [*BINARY, text()], ids=lambda case: case.name)
def test_exact_forms_are_those_of_a_factor(case, damping):
    objective = case.objective()
    theta = minimise(objective).theta
    exact = Cholesky(damping=damping).prepare(objective, theta)
    found = Projected(damping=damping).prepare(objective, theta)
    for rows in (torch.arange(12)[:, None], torch.arange(12).view(3, 4)):
        assert far(found.exact_forms(rows), exact.joint_forms(rows)) < 1e-6
    B = torch.randn(3, len(theta), dtype=torch.float64, generator=torch.Generator().manual_seed(1)).T
    solved = exact.solve(B)
    assert float((found.solve(B) - solved).norm() / solved.norm()) < 1e-6
    assert float((found.to_three_digits(B) - solved).norm() / solved.norm()) < 1e-2
    assert found.residual <= 1e-8
    assert found.damping == damping


def test_a_rounded_hinge_has_rows_without_curvature():
    case = text(200, 300)
    loss = SmoothHinge(0.1)
    rows = MemoryRows(case.X, case.y, case.weight)
    objective = Objective(rows, LinearModel(loss, rows.width), 1e-2)
    theta = minimise_hinge(objective).theta
    assert float(objective.curvature(theta).min()) < 1e-7
    exact, found = (one.prepare(objective, theta) for one in (Cholesky(), Projected()))
    some = torch.arange(40)[:, None]
    assert far(found.exact_forms(some), exact.joint_forms(some)) < 1e-6
    h = found.quadratic_forms()
    assert bool(torch.isfinite(h).all())
    bent = objective.curvature(theta)[:, 0, 0] > 1e-6
    error = (h / exact.quadratic_forms())[bent] - 1
    assert float(error.abs().median()) < 0.2


@pytest.mark.parametrize("intercept", [0.0, 1.0])
def test_the_claimed_standard_error_covers(intercept):
    """Over seeds estimates average out, and their intervals of 95 % cover as often as they say."""
    case = text(l2=1e-4)
    weight = torch.linspace(0.2, 2.0, len(case.y), dtype=torch.float64)
    objective = replace(case, weight=weight).objective()
    objective = replace(objective, model=replace(objective.model, intercept_ridge=intercept))
    theta = minimise(objective).theta
    W, n = objective.curvature(theta)[:, 0, 0], len(case.y)
    h = W * Cholesky().prepare(objective, theta).quadratic_forms()[:, 0, 0] / n
    assert 0.05 < float(h.mean()) < 0.9
    errors, m = [], 64
    for seed in range(12):
        sketch = projected.Sketch(probes=m, tolerance=1e-3, seed=seed)
        found = W * sketch.quadratic_forms(objective, theta)[:, 0, 0] / n
        errors.append((found - h) / ((2 / m) ** 0.5 * h * (1 - h) / (h**2 + (1 - h) ** 2).sqrt()))
    errors = torch.stack(errors)
    assert 0.93 < float((errors.abs() < 1.96).double().mean()) < 0.98
    assert float(errors.std()) == pytest.approx(1.0, abs=0.1)
    assert abs(float(errors.mean())) < 0.25  # few probes bend: a is squared


def test_what_memory_allows_decides_on_the_probes():
    objective = text(100, 60).objective()
    theta = minimise(objective).theta
    with limited(2**30):
        assert affordable_probes(objective, 64) == 64
    with limited(4 * 8 * 100 * 40):
        assert affordable_probes(objective, 64) == 40
        assert Projected().prepare(objective, theta).probes == 40
    with limited(1):
        assert affordable_probes(objective, 64) == FEWEST


def test_columns_are_solved_for_a_few_at_a_time(monkeypatch):
    objective = text(100, 60).objective()
    theta = minimise(objective).theta
    rows = torch.arange(30)[:, None]
    whole = Projected().prepare(objective, theta)
    monkeypatch.setattr(costs, "CACHED", 17 * 161)
    few = Projected().prepare(objective, theta)
    assert Schur.of(objective, theta).columns == 16
    torch.testing.assert_close(few.exact_forms(rows), whole.exact_forms(rows), rtol=1e-6, atol=0)
    assert few.quadratic_forms().shape == (100, 1, 1)


def test_a_solve_that_does_not_come_to_an_end_says_so(monkeypatch):
    monkeypatch.setattr(schur, "STEPS", 1)
    objective = text().objective()
    split = Schur.of(objective, torch.zeros(901, dtype=torch.float64), most=1)
    with pytest.raises(SolveError, match=r"did not reach a relative residual of 1e-06 in 1 steps.*--l2"):
        split.solve(torch.eye(901, 2, dtype=torch.float64), 1e-6)


def test_right_hand_sides_of_sparse_rows_stay_in_the_cache():
    assert costs.columns_at_once(100_000, 67_376, 1, cached=True) == 16
    assert costs.columns_at_once(20_000, 10_000, 1, cached=True) == 128
    assert costs.columns_at_once(10**7, 10**6, 1, cached=True) == 16
    assert costs.columns_at_once(100, 160, 1, cached=False) == 128


def test_sparse_rows_make_the_block_that_dense_ones_make():
    X = make("", 60, 40, 3, sparse=True).X
    W = torch.rand(60, 2, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).float()
    few = X.multiply(np.random.default_rng(0).random(X.shape) < 0.02).tocsr()
    columns = np.arange(0, 40, 2)
    found = schur._block(type(X)(few), columns, W)
    torch.testing.assert_close(found, schur._block(torch.from_numpy(few.toarray()), columns, W))


@pytest.mark.parametrize("pair", [0, 1e9], ids=["pairs", "dense"])
def test_a_weighted_gram_matrix_is_that_of_dense_algebra(monkeypatch, pair):
    monkeypatch.setattr(schur, "PAIR", pair)
    X, w = make("", 60, 40, 3, sparse=True).X, torch.linspace(-1.0, 2.0, 60)
    dense = torch.cat([torch.from_numpy(X.toarray()), torch.ones(60, 1)], dim=1)
    expected = dense.T @ torch.diag(w.double()) @ dense
    torch.testing.assert_close(schur.weighted_gram(X, w), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("n", [0, 1, 9, 60])
def test_the_transpose_of_sparse_rows_is_multiplied_in_parts(monkeypatch, n):
    monkeypatch.setattr(schur, "PART", 9)
    monkeypatch.setattr(schur, "SHARE", 0)
    X, U = make("", 60, 40, 3, sparse=True).X[:n], torch.rand(n, 3)
    parts = schur.Transposed.of(X)
    assert len(parts.parts) == max(1, -(-n // 9))
    dense = torch.from_numpy(X.toarray()).float()
    torch.testing.assert_close(parts @ U, dense.T @ U)
    torch.testing.assert_close(parts.square() @ U, dense.square().T @ U)
