import numpy as np
import polars as pl
import pytest
import torch

from dataaudit.errors import SettingError
from dataaudit.features import Columns, fit_encoding
from dataaudit.influence.leave_one_out import leave_one_out_scores
from dataaudit.memory import limited
from dataaudit.model.linear import LinearModel
from dataaudit.model.losses import Softmax
from dataaudit.model.objective import Objective
from dataaudit.model.rows import MemoryRows
from dataaudit.options import EncoderOptions
from dataaudit.solvers import Cholesky
from dataaudit.solvers.newton import minimise
from dataaudit.training import selection
from dataaudit.training.path import DensePath, least_squares_loss
from dataaudit.training.selection import (
    DESIGN_BYTES,
    HESSIAN_WORK,
    PARAMETERS,
    SelectionSettings,
    choose,
    most_features,
)


def columns_of(frame: pl.DataFrame, **settings) -> Columns:
    frame = frame.with_columns(pl.Series("y", [0, 1] * (len(frame) // 2) + [0] * (len(frame) % 2)))
    return fit_encoding(frame, "y", settings=EncoderOptions(**settings)).transform(frame)


def numbers(X):
    return columns_of(pl.DataFrame({f"x{j}": v for j, v in enumerate(np.asarray(X, dtype=float).T)}))


def circle(n=400, seed=0):
    """One class inside a circle: nothing for a linear model, easy for splines and kernels."""
    X = np.random.default_rng(seed).normal(size=(n, 2))
    return X, ((X**2).sum(1) < 1.4).astype(np.int64)


def objective_of(choice, columns, y, n_classes):
    X = choice.basis.transform(columns)
    X = torch.from_numpy(X) if isinstance(X, np.ndarray) else X
    rows = MemoryRows(X, torch.from_numpy(y), torch.ones(len(y), dtype=torch.float64))
    return Objective(rows, LinearModel(Softmax(n_classes), rows.width), choice.l2)


def test_a_curved_border_is_found():
    X, y = circle()
    choice = choose(numbers(X), y, 2)
    objective = objective_of(choice, numbers(X), y, 2)
    fit = minimise(objective, choice.theta).require_converged()
    right = ((objective.scores(fit.theta)[:, 0] > 0).numpy() == y).mean()
    assert right > 0.95
    assert "RBF" in choice.basis.name or "spline" in choice.basis.name


def test_exactly_one_candidate_is_chosen_and_it_is_the_choice():
    X, y = circle(300)
    choice = choose(numbers(X), y, 2)
    chosen = [c for c in choice.curve if c.chosen]
    assert [(c.basis, c.l2) for c in chosen] == [(choice.basis.name, choice.l2)]
    assert len({c.basis for c in choice.curve}) == 3


def test_the_parameters_start_near_the_minimum():
    X, y = circle(300)
    choice = choose(numbers(X), y, 2)
    objective = objective_of(choice, numbers(X), y, 2)
    fit = minimise(objective).require_converged()
    assert objective.value(choice.theta) - objective.value(fit.theta) < 1e-4


@pytest.mark.parametrize("n_classes", [2, 3])
def test_losses_of_the_path_are_those_of_the_exact_core(n_classes):
    random = np.random.default_rng(3)
    X = torch.from_numpy(random.normal(size=(200, 6)) * [1, 1, 1, 1, 5, 0.2] + 3.0)
    y = torch.from_numpy(random.integers(0, n_classes, 200) * (X[:, 0] > 3).numpy())
    got = DensePath(X, y, n_classes).at(0.01)
    rows = MemoryRows(X, y, torch.ones(200, dtype=torch.float64))
    objective = Objective(rows, LinearModel(Softmax(n_classes), 6), 0.01)
    theta = minimise(objective).theta
    forms = Cholesky().prepare(objective, theta).quadratic_forms()
    expected = objective.model.loss.value(leave_one_out_scores(objective, theta, forms), y)
    assert got.losses.numpy() == pytest.approx(expected.numpy(), abs=2e-3)
    assert got.mean == pytest.approx(float(expected.mean()), abs=2e-4)
    assert got.theta.numpy() == pytest.approx(theta.numpy(), abs=5e-3)


def test_the_screen_is_exact_leave_one_out():
    random = np.random.default_rng(4)
    X, Y = random.normal(size=(40, 3)), random.normal(size=(40, 2))
    loss, l2 = least_squares_loss(torch.from_numpy(X), torch.from_numpy(Y))
    errors = []
    for i in range(40):  # n held at 40, as everywhere when a row leaves
        kept = np.arange(40) != i
        A = np.column_stack([X[kept], np.ones(39)])
        ridge = 40 * l2 * np.diag([1.0, 1.0, 1.0, 0.0])
        theta = np.linalg.solve(A.T @ A + ridge, A.T @ Y[kept])
        errors.append(((Y[i] - np.append(X[i], 1.0) @ theta) ** 2).sum())
    assert loss == pytest.approx(np.mean(errors), rel=1e-4)


def test_a_given_l2_and_kind_are_kept():
    X, y = circle(200)
    choice = choose(numbers(X), y, 2, settings=SelectionSettings(basis="linear", l2=0.037))
    assert choice.l2 == 0.037
    assert not any(f.kind in ("spline", "rbf") for f in choice.basis.features)


@pytest.mark.parametrize(("basis", "kind"), [("spline", "spline"), ("rbf", "rbf")])
def test_a_kind_that_is_asked_for_is_there(basis, kind):
    X, y = circle(200)
    choice = choose(numbers(X), y, 2, settings=SelectionSettings(basis=basis))
    assert any(f.kind == kind for f in choice.basis.features)


def test_the_choice_does_not_vary():
    X, y = circle(300)
    first, second = (choose(numbers(X), y, 2) for _ in range(2))
    assert first.curve == second.curve
    assert torch.equal(first.theta, second.theta)


def test_bases_are_compared_on_some_rows_and_l2_chosen_on_all():
    X, y = circle(600)
    choice = choose(numbers(X), y, 2, settings=SelectionSettings(max_rows=200))
    rows = {c.rows for c in choice.curve if c.basis == choice.basis.name}
    assert rows == {200, 600}  # the winner's two paths
    assert {c.rows for c in choice.curve if c.basis != choice.basis.name} == {200}
    assert [c.rows for c in choice.curve if c.chosen] == [600]
    assert choice.basis.features[0].scale > 0


@pytest.mark.parametrize("n", [300, 2100])
def test_one_basis_has_one_loss_at_each_l2_on_the_same_rows(n):
    X = np.random.default_rng(0).integers(0, 3, size=(n, 2)).astype(float)  # no splines fit so few values
    y = (X[:, 0] + np.random.default_rng(1).normal(size=n) > 1).astype(int)
    curve = choose(numbers(X), y, 2).curve
    assert len({(c.basis, c.rows, c.l2) for c in curve}) == len(curve)
    assert sum(c.chosen for c in curve) == 1


ODD = {
    "thirty rows": np.random.default_rng(1).normal(size=(30, 2)),
    "all rows twice": np.repeat(np.random.default_rng(2).normal(size=(40, 3)), 2, axis=0),
    "heavy tails": np.random.default_rng(3).standard_cauchy(size=(200, 2)) ** 3,
    "few values": np.random.default_rng(4).integers(0, 3, size=(100, 4)),
    "tiny and huge": np.random.default_rng(5).normal(size=(60, 2)) * [1e-12, 1e12],
    "more columns than rows": np.random.default_rng(6).normal(size=(20, 40)),
}


@pytest.mark.parametrize("name", ODD)
def test_odd_tables_get_a_model_that_can_be_fitted(name):
    columns = numbers(ODD[name])
    y = np.arange(columns.n) % 2
    choice = choose(columns, y, 2)
    objective = objective_of(choice, columns, y, 2)
    assert minimise(objective, choice.theta).converged
    assert all(np.isfinite(c.l2) for c in choice.curve)


def test_categories_alone():
    random = np.random.default_rng(7)
    a, b = random.integers(0, 4, 300), random.integers(0, 4, 300)
    frame = pl.DataFrame({"a": [f"a{v}" for v in a], "b": [f"b{v}" for v in b]})
    y = ((a + b) % 2).astype(np.int64)  # an interaction that one-hot columns cannot express
    columns = columns_of(frame)
    choice = choose(columns, y, 2)
    objective = objective_of(choice, columns, y, 2)
    fit = minimise(objective, choice.theta)
    assert ((objective.scores(fit.theta)[:, 0] > 0).numpy() == y).all()


def test_text_has_its_own_path():
    words = [f"{'good' if i % 2 else 'bad'} word{i % 13} term{i % 7}" for i in range(200)]
    columns = columns_of(pl.DataFrame({"t": words}), text=("t",))
    y = np.arange(200) % 2
    choice = choose(columns, y, 2)
    assert sum(c.chosen for c in choice.curve) == 1
    assert {f.kind for f in choice.basis.features} == {"term"}


def test_many_classes_leave_room_for_fewer_landmarks():
    random = np.random.default_rng(8)
    y = np.repeat(np.arange(30), 10)
    X = random.normal(size=(300, 3)) * 0.1 + np.column_stack([y % 6, y // 6, y % 5])
    choice = choose(numbers(X), y, 30)
    assert len(choice.basis.features) * 29 <= 2000


@pytest.mark.parametrize("n_classes", [2, 3, 10])
@pytest.mark.parametrize("n", [30, 20_000, 1_000_000, 200_000_000])
def test_a_hessian_of_any_table_is_bounded_work(n, n_classes):
    k = n_classes - 1

    def affordable(d):
        return (
            d * k <= PARAMETERS and 8 * n * d <= DESIGN_BYTES and n * d**2 * k * (k + 1) / 2 <= HESSIAN_WORK
        )

    with limited(4 * DESIGN_BYTES):
        most = most_features(n, n_classes)
    assert most == 0 or affordable(most)
    assert not affordable(most + 1)


def test_steps_are_told():
    X, y = circle(100)
    told = []
    choose(numbers(X), y, 2, on_step=lambda stage, done, total: told.append((stage, done, total)))
    last = {stage: (done, total) for stage, done, total in told}
    assert all(done == total for done, total in last.values())
    assert set(last) == {"screen bases", "choose basis"}


@pytest.mark.parametrize("wrong", [{"basis": "tree"}, {"l2": 0.0}, {"l2": float("nan")}, {"max_rows": 0}])
def test_senseless_settings_are_refused(wrong):
    with pytest.raises(SettingError):
        SelectionSettings(**wrong)


def test_rows_that_choose_the_ridge_of_texts_are_not_those_that_a_seed_planted(monkeypatch):
    monkeypatch.setattr(selection, "SPARSE_ROWS", 50)
    y = np.zeros(500, dtype=np.int64)
    y[np.random.default_rng(0).choice(500, 50, replace=False)] = 1
    columns = columns_of(pl.DataFrame({"text": [f"word{i % 13} other term{i % 7}" for i in range(500)]}))
    choice = choose(columns, y, 2, settings=SelectionSettings(seed=0))
    assert all(0.1 < one.loo_loss < 0.7 for one in choice.curve if one.chosen)
