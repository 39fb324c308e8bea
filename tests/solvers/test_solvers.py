"""One table of solvers over all cases: H⁻¹ and the rows' quadratic forms against a dense inverse."""

from dataclasses import replace

import mpmath
import numpy as np
import pytest
import torch
from cases import CASES, IDS, Case, make
from reference import hessian, quadratic_forms

from dataaudit.errors import NotPositiveDefinite, SolveError, TooLarge
from dataaudit.memory import limited
from dataaudit.model.rows import MemoryRows
from dataaudit.solvers import Cholesky, Dual, cholesky, choose_solver, dual, prepare
from dataaudit.solvers.base import threads
from dataaudit.solvers.cg import conjugate_gradients
from dataaudit.solvers.cholesky import LARGE
from dataaudit.solvers.choose import gram_ahead
from dataaudit.solvers.dual import CANCELS, Gram, inverse_factor, square_root
from dataaudit.solvers.newton import minimise
from dataaudit.solvers.sketch import Sketch

SOLVERS = [Cholesky(), Dual()]
NAMES = ["cholesky", "dual"]


def relative_error(found, expected):
    """The largest error of a row's form, relative to that form's size."""
    return float(((found - expected).flatten(1).norm(dim=1) / expected.flatten(1).norm(dim=1)).max())


@pytest.mark.parametrize("solver", SOLVERS, ids=NAMES)
@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_agrees_with_a_dense_inverse(case, solver):
    objective = case.objective()
    theta = minimise(objective).theta
    H = hessian(case, theta)
    assert torch.linalg.cond(H) < 1e6, "to be sure that an error is a bug"
    prepared = solver.prepare(objective, theta)
    B = torch.randn(5, len(theta), dtype=torch.float64, generator=torch.Generator().manual_seed(0)).T
    exact = torch.linalg.solve(H, B)
    assert float((prepared.solve(B) - exact).norm() / exact.norm()) <= 1e-8
    assert relative_error(prepared.quadratic_forms(), quadratic_forms(case, theta)) <= 1e-8
    assert 0 <= prepared.residual <= 1e-8
    assert prepared.method == NAMES[SOLVERS.index(solver)]
    assert prepared.reason


@pytest.mark.parametrize("solver", SOLVERS, ids=NAMES)
@pytest.mark.parametrize("classes", [2, 3])
def test_no_right_hand_side_is_no_solution(solver, classes):
    objective = make("", 25, 10, classes).objective()
    theta = torch.zeros(11 * (classes - 1), dtype=torch.float64)
    assert solver.prepare(objective, theta).solve(torch.zeros(len(theta), 0).double()).shape == (
        len(theta),
        0,
    )


@pytest.mark.parametrize("solver", SOLVERS, ids=NAMES)
def test_away_from_the_minimum_too(solver):
    case = make("", 25, 10, 3)
    theta = torch.linspace(-1, 1, 22, dtype=torch.float64)
    forms = solver.prepare(case.objective(), theta).quadratic_forms()
    assert relative_error(forms, quadratic_forms(case, theta)) <= 1e-8


def exact_forms(case, theta):
    """Return q of every row of a binary case with 60 digits: a dense float64 inverse has too few here."""
    with mpmath.workdps(60):
        X1 = [[*(mpmath.mpf(v) for v in x), mpmath.mpf(1)] for x in case.dense.tolist()]
        t, n = [mpmath.mpf(v) for v in theta.tolist()], len(X1)
        H = mpmath.diag([case.l2] * (len(t) - 1) + [0])
        for x, omega in zip(X1, case.weight.tolist(), strict=True):
            s = mpmath.fsum(a * b for a, b in zip(x, t, strict=True))
            column = mpmath.matrix(x)
            H += column * column.T * (omega * mpmath.exp(s) / (1 + mpmath.exp(s)) ** 2 / n)
        inverse = H**-1
        forms = [(mpmath.matrix(x).T * inverse * mpmath.matrix(x))[0] for x in X1]
    return torch.tensor([float(q) for q in forms], dtype=torch.float64)[:, None, None]


@pytest.mark.parametrize("solver", SOLVERS, ids=NAMES)
@pytest.mark.parametrize("l2", [1e-4, 1e-6])
def test_rows_of_tiny_curvature(solver, l2):
    """Wide margins and little ridge: p(1-p) far below 1e-5, where the dual's quotient cancels."""
    case = make("", 14, 4, 2, noise=0.0)
    X = (
        case.X
        + 8.0 * torch.where(case.y == 1, 1.0, -1.0)[:, None] * torch.linspace(1, 3, 14).double()[:, None]
    )
    case = Case("", X, case.y, case.weight, 2, l2)
    objective = case.objective()
    theta = minimise(objective).require_converged().theta
    expected = exact_forms(case, theta)
    leverage = objective.curvature(theta) * expected / objective.rows.n
    assert leverage.min() < CANCELS < leverage.max(), "both branches are taken"
    assert relative_error(solver.prepare(objective, theta).quadratic_forms(), expected) <= 1e-8


def test_a_class_far_below_the_others_is_a_nearly_singular_curvature():
    case = make("", 24, 4, 4)
    objective = case.objective()
    theta = minimise(objective).theta.view(5, 3).clone()
    theta[-1, 2] = -25.0  # the third class's probability is near 1e-11 in every row
    W = objective.curvature(theta.flatten())
    assert torch.linalg.eigvalsh(W)[:, 0].max() < 1e-8
    forms = [solver.prepare(objective, theta.flatten()).quadratic_forms() for solver in SOLVERS]
    # The intercept of that class is free, so its own form is near 1e11: compare on that scale.
    size = forms[0].diagonal(dim1=1, dim2=2).sqrt()
    assert float(((forms[0] - forms[1]) / (size[:, :, None] * size[:, None, :])).abs().max()) < 1e-4
    torch.testing.assert_close(forms[0][:, :2, :2], forms[1][:, :2, :2], rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("n_classes", [2, 5])
def test_square_root(n_classes):
    W = make("", 20, 3, n_classes).objective().curvature(torch.linspace(-2, 2, 4 * (n_classes - 1)).double())
    W[3] = 0.0
    R = square_root(W)
    torch.testing.assert_close(R @ R.mT, W, rtol=0, atol=1e-15)


@pytest.mark.parametrize("n", [1, 2, 255, 256, 257, 700])
def test_inverse_factor(n):
    A = torch.randn(n, n, dtype=torch.float64, generator=torch.Generator().manual_seed(n))
    M = A @ A.T / n + torch.eye(n, dtype=torch.float64)
    L = torch.linalg.cholesky(M)
    inverse = inverse_factor(L)
    torch.testing.assert_close(inverse, torch.linalg.inv(L), rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(inverse_factor(L.contiguous()), inverse, rtol=1e-10, atol=1e-12)
    assert not inverse.triu(1).any()


def test_a_gram_matrix_at_hand_is_used_and_left_alone():
    case = CASES[3]
    objective = case.objective()
    theta = minimise(objective).theta
    with threads(1) as pool:
        gram = gram_ahead(objective, pool)()
    before = gram.K.clone()
    with_gram = prepare(objective, theta, gram=lambda: gram).quadratic_forms()
    assert torch.equal(gram.K, before)
    assert torch.equal(with_gram, Dual().prepare(objective, theta).quadratic_forms())
    # It is K, not X, that the forms come from.
    other = Dual(gram=replace(gram, K=4 * gram.K)).prepare(objective, theta).quadratic_forms()
    assert relative_error(other, with_gram) > 0.1
    assert gram_ahead(CASES[0].objective(), pool) is None


@pytest.mark.parametrize("case", [CASES[1], CASES[3], CASES[7]], ids=lambda case: case.name)
def test_float32_is_close(case):
    objective = case.objective()
    theta = minimise(objective).theta
    prepared = Dual(dtype=torch.float32).prepare(objective, theta)
    forms = prepared.quadratic_forms()
    assert forms.dtype == torch.float64
    assert prepared.method == "dual, float32"
    assert relative_error(forms, quadratic_forms(case, theta)) < 1e-3


def test_no_ridge_is_no_dual():
    objective = make("", 20, 3, 2).objective(l2=0.0)
    with pytest.raises(SolveError, match=r"need a ridge: got λ = 0\. Hint"):
        Dual().prepare(objective, torch.zeros(4, dtype=torch.float64))
    assert isinstance(choose_solver(objective), Cholesky)


def test_no_ridge_is_a_primal_where_columns_allow():
    case = make("", 40, 3, 2)
    objective = case.objective(l2=0.0)
    theta = minimise(objective).require_converged().theta
    forms = Cholesky().prepare(objective, theta).quadratic_forms()
    assert relative_error(forms, quadratic_forms(case, theta, l2=0.0)) <= 1e-8


def test_duplicated_columns_without_a_ridge_are_singular():
    case = make("", 20, 2, 2)
    X = torch.cat([case.X, torch.zeros(20, 1).double()], 1)
    objective = Case("", X, case.y, case.weight, 2).objective(l2=0.0)
    with pytest.raises(NotPositiveDefinite, match=r"pivot 3 of 4 .*raise --l2, or give --damping"):
        Cholesky().prepare(objective, torch.zeros(4, dtype=torch.float64))


@pytest.mark.parametrize(("module", "solver"), [(cholesky, Cholesky()), (dual, Dual())], ids=NAMES)
def test_memory_is_refused_in_bytes(module, solver, monkeypatch):
    objective = make("", 20, 30, 2).objective()
    needed = objective.size.dual if module is dual else objective.size.primal
    theta = torch.zeros(31, dtype=torch.float64)
    monkeypatch.setattr(module, "memory_limit", lambda: needed)
    solver.prepare(objective, theta)
    monkeypatch.setattr(module, "memory_limit", lambda: needed - 1)
    with pytest.raises(
        TooLarge, match=r"× .* needs .* MiB, .* MiB may be used\. Hint: give more with --memory"
    ):
        solver.prepare(objective, theta)


def test_auto_takes_the_smaller_work_and_says_so():
    tall, wide = choose_solver(make("", 60, 5, 3).objective()), choose_solver(make("", 20, 50, 2).objective())
    assert isinstance(tall, Cholesky)
    assert (
        tall.reason
        == (  # 60·12² + 12³ and 60²·5 + 120³ multiplications, 3·8·12² and 8·(60² + 2.75·120²) bytes
            "the 12 × 12 Hessian takes 10 kflop and 3.5 kB, the 120 × 120 dual 1.7 Mflop and 346 kB: "
            "the Hessian is the smaller work"
        )
    )
    assert isinstance(wide, Dual)
    assert wide.reason.endswith("the 20 × 20 dual 28 kflop and 12 kB: the dual is the smaller work")


def test_auto_takes_what_fits_and_refuses_what_does_not():
    tall, wide = make("", 60, 10, 2).objective(), make("", 20, 25, 2).objective()
    assert wide.size.dual < wide.size.primal
    with limited(wide.size.dual + wide.size.forms):
        assert isinstance(choose_solver(wide), Dual)
    with limited(wide.size.dual + wide.size.forms - 1):
        assert isinstance(choose_solver(tall), Cholesky)
        with pytest.raises(TooLarge, match="20 rows, 25 features and 2 classes"):
            choose_solver(wide)


def test_auto_falls_back_to_the_costlier_one_where_only_that_fits():
    size = (objective := make("", 40, 42, 2).objective()).size
    assert (size.dual_work < size.primal_work, size.primal < size.dual) == (True, True)
    with limited(size.primal + size.forms):
        solver = choose_solver(objective)
    assert isinstance(solver, Cholesky)
    assert solver.reason.endswith(": the Hessian alone fits in memory")


@pytest.mark.parametrize("case", [CASES[0], CASES[3], CASES[6], CASES[10]], ids=lambda case: case.name)
def test_sketch_is_near_and_unbiased(case):
    """Relative error of a form from m probes is about √(2/m); over seeds it averages out."""
    objective = case.objective()
    theta = minimise(objective).theta
    exact, m = quadratic_forms(case, theta), 400
    heard = objective.rows.weight > 0  # a row without weight leaves no trace in the projection
    traces = exact.diagonal(dim1=1, dim2=2).sum(1)[heard]
    errors = []
    for seed in range(10):
        forms = Sketch(probes=m, tolerance=1e-4, seed=seed).quadratic_forms(objective, theta)
        assert forms.dtype == torch.float64
        errors.append(forms.diagonal(dim1=1, dim2=2).sum(1)[heard] / traces - 1)
    errors = torch.stack(errors)
    assert float(errors.abs().max()) < 5 * (2 / m) ** 0.5
    assert float(errors.std()) < 1.2 * (2 / m) ** 0.5
    # 10 seeds and n rows, which share their probes: the mean is within a few errors of one row.
    assert abs(float(errors.mean())) < 4 * (2 / m / 10) ** 0.5


def test_sketched_leverage_stays_below_one():
    """Leave-one-out divides by 1 - h: with few probes on rows that nearly fit themselves, h stays below."""
    case = make("", 20, 60, 2)
    objective = case.objective(l2=1e-3)
    theta = minimise(objective).theta
    exact = quadratic_forms(case, theta, l2=1e-3)
    W = objective.curvature(theta)
    h = (W * exact / 20)[:, 0, 0]
    assert h.max() > 0.8
    for seed in range(20):
        forms = Sketch(probes=16, seed=seed).quadratic_forms(objective, theta)
        sketched = (W * forms / 20)[:, 0, 0]
        assert sketched.min() > 0
        assert sketched.max() < 1
        assert float((sketched - h).abs().max()) < 0.5


def test_sketch_repeats_itself_and_heeds_the_seed():
    objective = CASES[2].objective()
    theta = minimise(objective).theta
    one, again, other = (Sketch(seed=seed).quadratic_forms(objective, theta) for seed in (0, 0, 1))
    assert torch.equal(one, again)
    assert not torch.equal(one, other)


def test_conjugate_gradients_solve_columns_of_any_size():
    A = torch.randn(30, 30, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    A = A @ A.T + torch.eye(30, dtype=torch.float64)
    B = torch.eye(30, 4, dtype=torch.float64) * torch.tensor([1.0, 1e-100, 1e100, 0.0], dtype=torch.float64)
    X, steps = conjugate_gradients(lambda V: A @ V, B, precondition=lambda V: V, tolerance=1e-12)
    assert steps < 200
    assert float(((A @ X - B).norm(dim=0) / B.norm(dim=0))[:3].max()) < 1e-10
    assert not X[:, 3].any()
    assert X.isfinite().all()
    exact, one = conjugate_gradients(
        lambda V: A @ V, B[:, :1], precondition=lambda V: torch.linalg.solve(A, V), tolerance=1e-10
    )
    assert one == 1
    torch.testing.assert_close(A @ exact, B[:, :1])


@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("classes", [2, 3])
def test_rows_of_equal_features_are_factored_once(classes, sparse):
    case = make("", 30, 40, classes, sparse=sparse, weighted=True)
    at = np.repeat(np.arange(30), np.arange(30) % 3)  # no row, one, or two
    case = replace(case, X=case.X[at], y=case.y[at], weight=torch.linspace(0.5, 2.0, len(at)).double())
    objective = case.objective()
    theta = minimise(objective).theta
    prepared = Dual().prepare(objective, theta)
    assert len(prepared.solve.__self__.L) == 20 * (classes - 1)
    assert relative_error(prepared.quadratic_forms(), quadratic_forms(case, theta)) <= 1e-8
    rows = torch.tensor([[1, 2], [5, 9]])
    joint, single = prepared.joint_forms(rows), Cholesky().prepare(objective, theta).joint_forms(rows)
    assert torch.allclose(joint, single, rtol=1e-7, atol=1e-9)
    B = torch.eye(len(theta), 4, dtype=torch.float64)
    exact = torch.linalg.solve(hessian(case, theta), B)
    assert torch.allclose(prepared.solve(B), exact, rtol=1e-7, atol=1e-9)
    assert torch.allclose(prepared.precondition(B), exact, rtol=1e-3, atol=1e-3 * float(exact.abs().max()))


def test_what_rounding_hides_is_no_equality():
    X = torch.tensor([[1e12, 1e-6], [1e12, 2e-6], [1e12, 1e-6], [1.0, 1.0]]).double()
    gram = Gram.of(MemoryRows(X, torch.zeros(4, dtype=torch.int64), torch.ones(4).double()))
    assert gram.which.tolist() == [0, 1, 0, 2]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("shape", [(1, 1), (LARGE, LARGE), (3, 20, 20)])
def test_an_inverse_is_that_of_the_product_of_its_factor(shape, dtype):
    A = torch.randn(shape, dtype=dtype, generator=torch.Generator().manual_seed(0))
    H = A @ A.mT + shape[-1] * torch.eye(shape[-1], dtype=dtype)
    G = cholesky.inverse(torch.linalg.cholesky(H))
    assert torch.equal(G, G.mT) or G.dim() > 2
    assert (G @ H).numpy() == pytest.approx(torch.eye(shape[-1], dtype=dtype).expand(shape).numpy(), abs=1e-5)


@pytest.mark.parametrize("d", [1, 128, 300])
def test_squares_of_rows_are_those_of_the_whole_matrix(d):
    generator = torch.Generator().manual_seed(0)
    X, A = (torch.randn(n, d, dtype=torch.float64, generator=generator) for n in (7, d))
    assert cholesky.squares(X, A).numpy() == pytest.approx(((X @ A) * X).sum(1).numpy(), rel=1e-10, abs=1e-10)


def test_conjugate_gradients_end_where_little_of_a_form_is_missing():
    d = torch.logspace(-2, 0, 200, dtype=torch.float64)[:, None]
    B = torch.randn(200, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    form = (B * B / d).sum(0)
    for share, more in ((1e-4, 0.0), (1e-8, 0.0), (1e-4, 10 * form)):
        X, steps = conjugate_gradients(
            lambda V: d * V,
            B,
            precondition=lambda V: V,
            tolerance=1e-12,
            missing=lambda found, share=share, more=more: share * (found + more),
        )
        assert steps < conjugate_gradients(lambda V: d * V, B, precondition=lambda V: V, tolerance=1e-12)[1]
        assert bool((form - (X * B).sum(0) <= 3 * share * (form + more)).all())  # about so little
