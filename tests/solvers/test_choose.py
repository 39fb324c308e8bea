"""Solvers by name, each against the dense inverse of H + δ I, over the cases of every solver test."""

import warnings
from dataclasses import replace

import numpy as np
import pytest
import torch
from cases import CASES, IDS, make
from reference import hessian, quadratic_forms

from dataaudit.api.influence import Influence
from dataaudit.errors import NotPositiveDefinite, SettingError, SolveError, TooLarge
from dataaudit.memory import limited
from dataaudit.model import costs
from dataaudit.options import FACTORS, SOLVERS, require_damping, require_solver
from dataaudit.solvers import prepare
from dataaudit.solvers.cg import ConjugateGradients
from dataaudit.solvers.iterative import Lissa, LowRank
from dataaudit.solvers.newton import minimise
from dataaudit.solvers.operator import Curvature, of_objective
from dataaudit.solvers.sketch import Sketch

EXACT = ("cholesky", "dual", "cg", "arnoldi")  # with as many eigenvalues as parameters


def at_minimum(case):
    objective = case.objective()
    return objective, minimise(objective).theta


def gap(found, expected):
    return float((found - expected).norm() / expected.norm())


@pytest.mark.parametrize("damping", [0.0, 0.3])
@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_each_inverts_the_damped_hessian(case, damping):
    objective, theta = at_minimum(case)
    A = hessian(case, theta) + damping * torch.eye(len(theta), dtype=torch.float64)
    B = torch.randn(5, len(theta), dtype=torch.float64, generator=torch.Generator().manual_seed(0)).T
    for name in EXACT:
        prepared = prepare(objective, theta, solver=name, damping=damping)
        assert prepared.method == name
        assert prepared.damping == damping
        assert ("damping 0.3 is added" in prepared.reason) == (damping > 0)
        assert prepared.residual <= 1e-6
        assert gap(prepared.solve(B), torch.linalg.solve(A, B)) <= 1e-5


@pytest.mark.parametrize("case", [CASES[0], CASES[3], CASES[6], CASES[9]], ids=lambda case: case.name)
def test_forms_are_exact_and_damped_alike_whatever_solves(case):
    objective, theta = at_minimum(case)
    k, damping = objective.model.loss.n_scores, 0.3
    A = hessian(case, theta) + damping * torch.eye(len(theta), dtype=torch.float64)
    rows = torch.cat([case.dense, torch.ones(len(case.y), 1, dtype=torch.float64)], 1)
    J = torch.einsum("nd,kl->ndkl", rows, torch.eye(k, dtype=torch.float64)).reshape(len(rows), -1, k)
    expected = J.mT @ torch.linalg.solve(A, J)
    for name in (*FACTORS, "cg", "arnoldi"):
        forms = prepare(objective, theta, solver=name, damping=damping).quadratic_forms()
        assert gap(forms, expected) <= 1e-8
    sketched = Sketch(probes=4000, tolerance=1e-3, damping=damping).quadratic_forms(objective, theta)
    assert gap(sketched, expected) <= 0.15


@pytest.mark.parametrize("values", [[2.0] * 18, [3.0] * 8 + [0.5] * 9 + [0.1]], ids=["identity", "repeated"])
def test_lanczos_finds_eigenvalues_that_repeat(values):
    """One start vector spans a direction of each distinct value: one of 18, and three."""
    Q, _ = torch.linalg.qr(torch.randn(18, 18, generator=torch.Generator().manual_seed(1)).double())
    H = Q @ torch.diag(torch.tensor(values).double()) @ Q.T
    curvature = Curvature(18, 1, lambda V: H @ V, lambda _: lambda V: H @ V, H[0])
    found = LowRank().invert(curvature)
    B = torch.eye(18, dtype=torch.float64)
    torch.testing.assert_close(found.solve(B), torch.linalg.inv(H), rtol=0, atol=1e-10)
    assert found.residual < 1e-12
    assert "18 eigenvalues" in found.reason


def test_a_rough_estimate_is_warned_of_and_a_worse_one_refused():
    case = make("", 60, 4, 3, l2=0.05)
    arguments = (None, case.dense.numpy(), case.y.numpy())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        exact = Influence(*arguments, l2=0.05)
    with pytest.warns(
        UserWarning, match=r"lissa solver leaves .* residual of 0\.\d+\. That is rough"
    ) as told:
        rough = Influence(*arguments, l2=0.05, solver="lissa")
    assert exact.notes == ()
    assert rough.notes == (str(told[0].message),)
    assert told[0].filename == __file__
    assert 0.01 < rough.residual < 0.5
    assert gap(*(torch.from_numpy(one.up_params()) for one in (rough, exact))) < 2 * rough.residual
    with pytest.raises(SolveError, match=r"2 eigenvalues leave a relative residual of .*raise the damping"):
        Influence(*arguments, l2=0.05, solver=LowRank(rank=2, floor=0.0))


def test_lissa_is_as_near_as_its_residual_says():
    objective, theta = at_minimum(make("", 60, 4, 3, l2=0.05))
    exact, lissa = (prepare(objective, theta, solver=name, damping=0.05) for name in ("cholesky", "lissa"))
    B = torch.randn(len(theta), 6, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    assert 1e-4 < gap(lissa.solve(B), exact.solve(B)) < 3 * lissa.residual < 1
    assert "depth" in lissa.reason
    assert (exact.exact, lissa.exact) == (True, False)
    assert lissa.precondition is None


def test_a_run_of_lissa_is_as_long_as_the_ridge_needs():
    objective, theta = at_minimum(make("", 60, 4, 2, l2=0.05))
    curvature = of_objective(objective, theta, damping=0.05)
    endless = Lissa(batch=32, repeats=1, scale=2.0, depth=1000).invert(curvature.damped(0.0))
    assert "depth 1000" in endless.reason
    for floor, depth in ((0.0, 320), (0.05, 160)):  # 8 · 2 / (floor + 0.05)
        needed = Lissa(batch=32, repeats=1, scale=2.0, floor=floor).invert(curvature)
        assert f"depth {depth}," in needed.reason
        assert needed.residual < 2 * endless.residual


def test_lissa_that_diverges_is_refused_with_what_to_do():
    objective, theta = at_minimum(make("", 60, 4, 2))
    with pytest.raises(SolveError, match=r"diverges at step 100 .*Hint: raise the damping, or .* to 0.2"):
        prepare(objective, theta, solver=Lissa(scale=0.02, batch=8))


@pytest.mark.parametrize("preconditioner", ["nystrom", "diagonal", "none", lambda V: V / 3])
@pytest.mark.parametrize("case", [CASES[1], CASES[8]], ids=lambda case: case.name)
def test_preconditioners_change_the_steps_and_not_the_solution(case, preconditioner):
    objective, theta = at_minimum(case)
    curvature = of_objective(objective, theta)
    inverse = ConjugateGradients(tolerance=1e-10, preconditioner=preconditioner).invert(curvature)
    B = curvature.normal(3, 5)
    assert gap(inverse.solve(B), torch.linalg.solve(hessian(case, theta), B)) <= 1e-7
    assert inverse.solve(B[:, :0]).shape == (len(theta), 0)


def test_a_diagonal_is_exact_where_it_is_known_and_near_where_it_is_estimated():
    objective, theta = at_minimum(CASES[8])
    known = of_objective(objective, theta, damping=0.1)
    exact = known.dense().diagonal()
    torch.testing.assert_close(known.diagonal(), exact)
    estimated = replace(known, spread=None).diagonal()
    assert 0 < gap(estimated, exact) < 0.5


def test_a_diagonal_preconditioner_helps_where_columns_differ_in_size():
    case = make("", 200, 60, 2)
    X = case.X * torch.logspace(-1, 1, 60, dtype=torch.float64)
    objective, theta = at_minimum(replace(case, X=X, l2=1e-6))
    curvature = of_objective(objective, theta)
    calls = []
    counted = replace(curvature, full=lambda V: calls.append(1) or curvature.full(V))
    steps = {}
    for name in ("none", "diagonal"):
        inverse = ConjugateGradients(preconditioner=name, max_steps=100_000).invert(counted)
        calls.clear()
        inverse.solve(curvature.normal(2, 1))
        steps[name] = len(calls)
    assert 2 * steps["diagonal"] < steps["none"]


def test_forms_are_projected_where_no_factor_is_worth_its_work(monkeypatch):
    case = make("", 60, 12, 2, sparse=True)
    objective, theta = at_minimum(case)
    exact = quadratic_forms(case, theta)
    monkeypatch.setattr(costs, "WORK", 0.0)
    for name, method in (("auto", "conjugate gradients"), ("cg", "cg")):
        prepared = prepare(objective, theta, solver=name)
        assert prepared.method == method
        assert prepared.probes == 64
        assert gap(prepared.quadratic_forms(), exact) < 0.3
        assert gap(prepared.exact_forms(torch.arange(60)[:, None]), exact) < 1e-6
    assert "64 random projections, and for the rows that are shown from solves" in prepared.reason
    with limited(1), pytest.raises(TooLarge):
        prepare(objective, theta)


@pytest.mark.filterwarnings("ignore:the lissa solver leaves:UserWarning")
@pytest.mark.parametrize("name", [name for name in SOLVERS if name not in FACTORS])
def test_arrays_take_solvers_too(name):
    case = make("", 80, 5, 3, l2=0.05)
    X, y = case.X.numpy(), case.y.numpy()
    exact = Influence(None, X, y, l2=0.05, damping=0.05)
    other = Influence(None, X, y, l2=0.05, damping=0.05, solver=name)
    assert other.solver.startswith(f"{name}: ")
    near = 1e-6 if name != "lissa" else 0.3
    assert np.linalg.norm(other.up_loss(X[:9], y[:9]) - exact.up_loss(X[:9], y[:9])) <= near * np.linalg.norm(
        exact.up_loss(X[:9], y[:9])
    )
    np.testing.assert_allclose(other.self_influence(), exact.self_influence(), rtol=1e-9)
    np.testing.assert_allclose(other.without([3], X[:9], y[:9]), exact.without([3], X[:9], y[:9]), rtol=1e-4)


def test_names_are_checked_in_one_place():
    for name in SOLVERS:
        require_solver(name)
    with pytest.raises(
        SettingError, match=r"unknown solver: got 'choleski'\. Hint: did you mean 'cholesky'\?"
    ):
        require_solver("choleski")
    with pytest.raises(SettingError, match="use one of auto, cholesky, dual, cg, lissa, arnoldi"):
        require_solver("newton")
    with pytest.raises(SettingError, match=r"solver 'cg' is slow\. Hint: use one of auto, cholesky, dual"):
        require_solver("cg", FACTORS, why="is slow")
    for damping in (-0.1, float("nan"), float("inf")):
        with pytest.raises(SettingError, match="damping must be 0 or more"):
            require_damping(damping)


def test_damping_makes_a_singular_hessian_regular():
    case = make("", 20, 2, 2)
    X = torch.cat([case.X, case.X], 1)
    objective = replace(case, X=X).objective(l2=0.0)
    theta = torch.zeros(5, dtype=torch.float64)
    with pytest.raises(NotPositiveDefinite, match="or give --damping"):
        prepare(objective, theta)
    assert prepare(objective, theta, damping=1e-3).residual < 1e-8


def test_groups_move_by_the_factor_while_there_is_one(monkeypatch):
    objective, theta = at_minimum(make("", 60, 4, 3, l2=0.05))
    exact, lissa = (prepare(objective, theta, solver=name, damping=0.05) for name in ("cholesky", "lissa"))
    B = torch.randn(len(theta), 3, dtype=torch.float64, generator=torch.Generator().manual_seed(4))
    torch.testing.assert_close(exact.for_groups(B), exact.solve(B), rtol=0, atol=0)
    torch.testing.assert_close(lissa.for_groups(B), exact.solve(B))
    assert gap(lissa.solve(B), exact.solve(B)) > 1e-4

    monkeypatch.setattr(costs, "WORK", 0.0)
    alone = prepare(objective, theta, solver="lissa", damping=0.05)
    assert torch.equal(alone.for_groups(B), alone.solve(B))
