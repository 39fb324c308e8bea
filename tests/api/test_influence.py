"""Arrays in, arrays out: `Influence` against scikit-learn's own refits, and its refusals."""

import numpy as np
import pytest
import reference
import torch
from cases import CASES, IDS, make
from scipy.sparse import csc_matrix, csr_array
from sklearn.datasets import load_breast_cancer, load_wine
from sklearn.linear_model import LogisticRegression, LogisticRegressionCV

import dataaudit
from dataaudit.api.influence import Influence
from dataaudit.errors import FitError, NotConverged, NotPositiveDefinite, SettingError


def logistic(**settings):
    """A logistic regression fitted as tightly as float64 allows."""
    return LogisticRegression(**({"tol": 1e-12, "max_iter": 1000, "solver": "newton-cholesky"} | settings))


@pytest.fixture(scope="module")
def cancer():
    """150 real rows and 50 test rows, 5 numbers of like size, 2 classes with names."""
    bunch = load_breast_cancer()
    X = bunch.data[:200, [0, 1, 3, 4, 6]] / [10, 10, 1000, 0.1, 0.1]
    y = bunch.target_names[bunch.target[:200]]
    return X[:150], y[:150], X[150:], y[150:]


@pytest.fixture(scope="module")
def wine():
    """130 real rows and 48 test rows, 4 numbers, 3 classes with numbers that do not count."""
    bunch = load_wine()
    order = np.random.default_rng(0).permutation(178)
    X = (bunch.data[:, [0, 1, 9, 11]] / [10, 2, 5, 2])[order]
    y = np.array([7, 2, 30])[bunch.target[order]]
    return X[:130], y[:130], X[130:], y[130:]


def losses(model, X, y):
    """The loss of each row, from scikit-learn's probabilities."""
    place = np.searchsorted(model.classes_, y)
    return -model.predict_log_proba(X)[np.arange(len(y)), place]


@pytest.mark.parametrize("data", ["cancer", "wine"])
def test_removals_do_to_scikit_learn_what_was_said(data, request):
    """C is kept as λ·n is: without a row, n·λ stays, so the refit has the same C."""
    X, y, X_test, y_test = request.getfixturevalue(data)
    model = logistic(C=0.5).fit(X, y)
    found = Influence(model, X, y)
    predicted = -found.up_loss(X_test, y_test) / len(y)
    moved = -found.up_params(range(20)) / len(y)
    before = losses(model, X_test, y_test)
    actual, shifts = [], []
    for row in range(20):
        kept = np.arange(len(y)) != row
        refit = logistic(C=0.5).fit(X[kept], y[kept])
        actual.append(losses(refit, X_test, y_test) - before)
        shifts.append(np.column_stack([refit.coef_ - model.coef_, refit.intercept_ - model.intercept_]))
    actual, shifts = np.array(actual).T, np.array(shifts)
    assert predicted.shape == (len(y_test), len(y))
    assert np.corrcoef(predicted[:, :20].ravel(), actual.ravel())[0, 1] > 0.98
    shifts = shifts[:, :1] if data == "cancer" else shifts[:, 1:] - shifts[:, :1]
    assert np.corrcoef(moved.ravel(), shifts.transpose(0, 2, 1).ravel())[0, 1] > 0.97


@pytest.mark.parametrize("data", ["cancer", "wine"])
def test_a_changed_cell_does_to_scikit_learn_what_was_said(data, request):
    X, y, X_test, y_test = request.getfixturevalue(data)
    model = logistic(C=0.5).fit(X, y)
    slopes = Influence(model, X, y).pert_loss(X_test, y_test) / len(y)
    assert slopes.shape == X.shape
    for i, j in [(0, 0), (9, 2), (40, 3)]:
        ends = []
        for sign in (1, -1):
            changed = X.copy()
            changed[i, j] += sign * 1e-3
            ends.append(losses(logistic(C=0.5).fit(changed, y), X_test, y_test).sum())
        assert slopes[i, j] == pytest.approx((ends[0] - ends[1]) / 2e-3, rel=1e-4)


@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_every_method_is_its_slow_twin(case):
    if not torch.equal(case.weight, torch.ones_like(case.weight)):
        pytest.skip("arrays have no weights")
    test = make("", 6, case.X.shape[1], case.n_classes)
    X = case.X if not isinstance(case.X, torch.Tensor) else case.X.numpy()
    found = Influence(None, X, case.y.numpy(), l2=case.l2)
    theta = torch.from_numpy(found.coefficients).reshape(-1)
    assert found.gradient_norm <= 1e-8
    up_loss = found.up_loss(test.X.numpy(), test.y.numpy())
    np.testing.assert_allclose(up_loss, reference.up_loss(case, theta, test), rtol=1e-6, atol=1e-8)
    np.testing.assert_allclose(
        found.pert_loss(test.X, test.y), reference.pert_loss(case, theta, test), rtol=1e-6, atol=1e-8
    )
    own = np.diagonal(reference.up_loss(case, theta, case))
    np.testing.assert_allclose(found.self_influence(), -own, rtol=1e-6, atol=1e-8)
    moved = found.up_params()
    assert moved.shape == (len(case.y), *found.coefficients.shape)
    g = reference.row_gradients(test, theta).numpy()
    np.testing.assert_allclose(g @ moved.reshape(len(moved), -1).T, up_loss, rtol=1e-6, atol=1e-8)
    top = found.strongest(test.X.numpy(), test.y.numpy(), k=3)
    np.testing.assert_allclose(top.harmful, -np.sort(-up_loss, axis=1)[:, :3], rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(top.total, np.abs(up_loss).sum(1))


def test_sparse_and_dense_are_the_same_and_sparse_stays_so(wine):
    X, y, X_test, y_test = wine
    X = np.where(np.median(X, axis=0) < X, X, 0.0)
    one = Influence(None, X, y, l2=1e-2)
    for kind in (csr_array, csc_matrix):
        two = Influence(None, kind(X), y, l2=1e-2)
        assert isinstance(two._objective.rows.X, csr_array)
        np.testing.assert_allclose(
            two.up_loss(kind(X_test), y_test), one.up_loss(X_test, y_test), rtol=1e-6, atol=1e-8
        )


def test_a_model_of_scikit_learn_and_our_own_fit_are_the_same_model(wine):
    X, y, X_test, y_test = wine
    model = logistic(C=2.0).fit(X, y)
    theirs, ours = Influence(model, X, y), Influence(None, X, y, l2=1 / (2.0 * len(y)))
    assert theirs.l2 == pytest.approx(ours.l2)
    np.testing.assert_array_equal(theirs.classes, ours.classes)
    np.testing.assert_allclose(theirs.coefficients, ours.coefficients, atol=1e-5)
    np.testing.assert_allclose(
        theirs.up_loss(X_test, y_test), ours.up_loss(X_test, y_test), rtol=1e-4, atol=1e-5
    )
    assert theirs.residual < 1e-9
    assert theirs.solver.startswith("cholesky: ")


def test_a_fit_that_stopped_early_shows_in_its_gradient(wine):
    X, y, _, _ = wine
    usual = LogisticRegression(C=10.0).fit(X, y)
    assert 1e-6 < Influence(usual, X, y).gradient_norm < 1e-3
    hasty = LogisticRegression(tol=0.5, C=10.0).fit(X, y)
    with pytest.raises(NotConverged, match=r"not at its minimum: gradient norm \d.*or refit=True"):
        Influence(hasty, X, y)
    further = Influence(hasty, X, y, refit=True)
    assert further.gradient_norm <= 1e-8
    assert further.notes[0].startswith("The model was fitted further, to its minimum: gradient norm ")


def test_weights_of_classes_are_the_models(cancer):
    X, y, X_test, y_test = cancer
    model = logistic(class_weight="balanced").fit(X, y)
    found = Influence(model, X, y)
    assert found.gradient_norm < 1e-8
    kept = np.arange(len(y)) != 3
    weight = len(y) / (2 * np.unique(y, return_counts=True)[1][int(y[3] == found.classes[1])])
    given = dict(zip(*np.unique(y, return_counts=True), strict=True))
    fixed = {name: len(y) / (2 * count) for name, count in given.items()}
    refit = logistic(class_weight=fixed).fit(X[kept], y[kept])
    actual = losses(refit, X_test, y_test) - losses(model, X_test, y_test)
    assert found.weights[3] == pytest.approx(weight)
    predicted = -found.weights[3] * found.up_loss(X_test, y_test)[:, 3] / len(y)
    assert np.corrcoef(predicted, actual)[0, 1] > 0.99


def test_it_is_public():
    assert dataaudit.Influence is Influence


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model": None}, "l2 is needed to fit a model. Hint: give l2=1e-3, or a fitted model"),
        ({"l2": 0.1}, "l2 is the model's own: got 0.1 too"),
        ({"model": None, "l2": -1.0}, "l2 must not be negative: got -1.0"),
        ({"model": LogisticRegressionCV()}, "PoissonRegressor: got LogisticRegressionCV"),
        ({"model": LogisticRegression()}, "not fitted"),
        ({"y": np.array(["benign"] * 150)}, "class malignant of the model has no row in y"),
        (
            {"y": np.array(["odd"] * 150)},
            "label 'odd' is not a class of the model: it knows benign, malignant",
        ),
        ({"model": None, "l2": 0.1, "y": np.array(["a"] * 150)}, "a classifier needs two classes: got 1"),
        ({"X": np.ones(150)}, "X must have rows and columns: got 1 axes"),
        ({"X": np.full((150, 5), np.nan)}, "X has missing or infinite values"),
        ({"X": np.full((150, 5), "blue")}, "X is not a matrix of numbers"),
        ({"X": np.ones((149, 5))}, "X, y and weight differ in length: got 149, 150 and 150"),
    ],
)
def test_what_does_not_fit_together_is_refused_in_words(cancer, change, message):
    X, y, _, _ = cancer
    given = {"model": logistic().fit(X, y), "X": X, "y": y, "l2": None} | change
    with pytest.raises(SettingError, match=message):
        Influence(given["model"], given["X"], given["y"], l2=given["l2"])


def test_other_columns_are_refused(cancer):
    X, y, X_test, y_test = cancer
    model = logistic().fit(X, y)
    with pytest.raises(FitError, match="fitted on 5 features, these rows have 4"):
        Influence(model, X[:, :4], y)
    found = Influence(model, X, y)
    with pytest.raises(SettingError, match="test rows have 3 features, the training rows 5"):
        found.up_loss(X_test[:, :3], y_test)
    with pytest.raises(SettingError, match="label 'C' is not a class"):
        found.up_loss(X_test[:1], ["C"])
    with pytest.raises(SettingError, match="rows must lie between 0 and 149: got 150 to 150"):
        found.up_params([150])
    doubled = np.hstack([X, X])
    with pytest.raises(NotPositiveDefinite):
        Influence(logistic(C=np.inf, solver="lbfgs", max_iter=100, tol=1e-3).fit(doubled, y), doubled, y)


def test_the_example_in_the_docstring_runs():
    import doctest

    from dataaudit.api import influence

    assert doctest.testmod(influence).failed == 0


def test_a_mask_is_no_list_of_positions():
    X, y = np.random.default_rng(0).normal(size=(30, 2)), np.arange(30) % 2
    found = Influence(None, X, y, l2=0.1)
    for rows in (np.ones(30, dtype=bool), [1.7], ["a"]):
        with pytest.raises(SettingError, match="rows are positions: got"):
            found.without(rows, X[:1], y[:1])
    assert found.without([], X[:3], y[:3]).shape == (0, 3)
