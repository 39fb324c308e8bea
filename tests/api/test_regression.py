"""Diagnostics of fits by the public interface, against statsmodels and against printed ones."""

import warnings

import numpy as np
import pytest
import statsmodels.api as sm
from sklearn.linear_model import (
    LinearRegression,
    LogisticRegression,
    LogisticRegressionCV,
    PoissonRegressor,
    Ridge,
    RidgeCV,
)
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from dataaudit import Influence
from dataaudit.errors import SettingError

# Brownlee (1965): air flow, temperature of the cooling water, concentration of the acid, stack loss
PLANT = """
80 27 89 42  80 27 88 37  75 25 90 37  62 24 87 28  62 22 87 18  62 23 87 18  62 24 93 19  62 24 93 20
58 23 87 15  58 18 80 14  58 18 89 14  58 17 88 13  58 18 82 11  58 19 93 12  50 18 89 8   50 18 86 7
50 19 72 8   50 19 79 8   50 20 80 9   56 20 82 15  70 20 91 15
"""
TIGHT = {"tol": 1e-10, "max_iter": 10_000}


@pytest.fixture(scope="module")
def rows():
    random = np.random.default_rng(0)
    X = random.normal(size=(80, 3))
    return X, X @ [1.0, -0.5, 0.2] + 0.3, random


def test_stack_loss_as_it_is_printed():
    """Cook's distances of days 1 to 4 and 21, as R's cooks.distance(lm(stack.loss ~ .)) prints them."""
    table = np.array([float(word) for word in PLANT.split()]).reshape(21, 4)
    X, y = table[:, :3], table[:, 3]
    found = Influence(LinearRegression().fit(X, y), X, y)
    distance = found.cooks_distance()
    assert distance[[0, 1, 2, 3, 20]] == pytest.approx([0.154, 0.060, 0.126, 0.131, 0.692], abs=5e-4)
    assert found.leverage().sum() == pytest.approx(4.0)


@pytest.mark.parametrize("kind", ["logistic", "linear", "poisson"])
def test_statsmodels_says_the_same(rows, kind):
    X, linear, _ = rows
    random = np.random.default_rng(1)
    y, model, family = {
        "logistic": (
            (random.random(80) < 1 / (1 + np.exp(-linear))).astype(int),
            LogisticRegression(C=np.inf, solver="newton-cholesky", tol=1e-14),
            sm.families.Binomial(),
        ),
        "linear": (linear + random.normal(size=80), LinearRegression(), sm.families.Gaussian()),
        "poisson": (
            random.poisson(np.exp(linear)),
            PoissonRegressor(alpha=0.0, solver="newton-cholesky", tol=1e-14),
            sm.families.Poisson(),
        ),
    }[kind]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a fit goes on below what its line search can tell
        ours = Influence(model.fit(X, y), X, y)
    fit = sm.GLM(y, sm.add_constant(X), family=family).fit(tol=1e-15, maxiter=100, tol_criterion="params")
    theirs = fit.get_influence()
    np.testing.assert_allclose(ours.leverage(), theirs.hat_matrix_diag, rtol=0, atol=1e-8)
    np.testing.assert_allclose(ours.cooks_distance(), theirs.cooks_distance[0], rtol=0, atol=1e-8)
    np.testing.assert_allclose(ours.dfbetas()[:, :, 0], theirs.dfbetas[:, [1, 2, 3, 0]], rtol=0, atol=1e-8)
    np.testing.assert_allclose(ours.dfbetas([7, 3])[:, 0, 0], theirs.dfbetas[[7, 3], 1], rtol=0, atol=1e-8)


@pytest.mark.parametrize(
    "model",
    [
        LinearRegression(),
        LinearRegression(fit_intercept=False),
        Ridge(alpha=2.0),
        Ridge(alpha=2.0, fit_intercept=False),
        PoissonRegressor(alpha=0.1, **TIGHT),
    ],
    ids=str,
)
def test_without_a_row_a_regressor_predicts_what_it_predicts_when_fitted_without(rows, model):
    X, linear, _ = rows
    y = np.random.default_rng(2).poisson(np.exp(linear)).astype(float)
    kept = np.arange(80) != 3
    if isinstance(model, PoissonRegressor):  # whose loss is a mean: of one row less
        again = PoissonRegressor(alpha=0.1 * 80 / 79, **TIGHT).fit(X[kept], y[kept])
    else:
        again = type(model)(**model.get_params()).fit(X[kept], y[kept])
    model.fit(X, y)

    def loss(fitted):
        mean = fitted.predict(X[:3])
        if isinstance(model, PoissonRegressor):
            return mean - y[:3] * np.log(mean)
        return (mean - y[:3]) ** 2 / 2

    change = Influence(model, X, y).without([3], X[:3], y[:3], steps=20)[0]
    np.testing.assert_allclose(change, loss(again) - loss(model), rtol=1e-6, atol=1e-8)


def test_a_model_without_an_intercept_is_taken_as_it_is(rows):
    X, linear, _ = rows
    classes = np.digitize(linear, [-0.5, 0.5])
    for y in (classes, classes > 0):
        model = LogisticRegression(fit_intercept=False, **TIGHT).fit(X, y)
        found = Influence(model, X, y)
        assert found.gradient_norm < 1e-6
        assert np.abs(found.coefficients[-1]).max() < 1e-10
        kept = np.arange(80) != 5
        again = LogisticRegression(C=1.0, fit_intercept=False, **TIGHT).fit(X[kept], y[kept])
        before, after = (m.predict_log_proba(X[:1])[0, int(y[0])] for m in (model, again))
        assert found.without([5], X[:1], y[:1], steps=20)[0, 0] == pytest.approx(before - after, rel=1e-5)


def test_searches_and_pipelines_are_unwrapped(rows):
    X, linear, _ = rows
    y = (linear > 0).astype(int)
    y[:10] = 1 - y[:10]
    pipeline = make_pipeline(StandardScaler(), LogisticRegression(**TIGHT))
    search = GridSearchCV(pipeline, {"logisticregression__C": [0.1, 1.0]}).fit(X, y)
    best = search.best_estimator_
    plain = Influence(best[-1], best[0].transform(X), y)
    for model in (search, best):
        np.testing.assert_array_equal(
            Influence(model, X, y).up_loss(X[:2], y[:2]), plain.up_loss(best[0].transform(X[:2]), y[:2])
        )
    chosen = LogisticRegressionCV(
        Cs=[0.5], l1_ratios=(0,), scoring="neg_log_loss", use_legacy_attributes=False, **TIGHT
    )
    assert Influence(chosen.fit(X, y), X, y).l2 == pytest.approx(1 / (0.5 * 80))
    assert Influence(RidgeCV(alphas=[3.0]).fit(X, linear), X, linear).l2 == pytest.approx(3.0 / 80)


def test_sample_weights_are_those_of_the_fit(rows):
    X, linear, _ = rows
    weight = np.random.default_rng(3).uniform(0, 3, 80)
    y = np.random.default_rng(4).poisson(np.exp(linear)).astype(float)
    for model, target in ((LogisticRegression(**TIGHT), y > 1), (PoissonRegressor(**TIGHT), y), (Ridge(), y)):
        found = Influence(model.fit(X, target, sample_weight=weight), X, target, sample_weight=weight)
        assert found.gradient_norm < 1e-6
    for wrong in (weight[:5], -weight, 0 * weight, ["a"] * 80, weight * np.nan):
        with pytest.raises(SettingError, match="sample_weight has"):
            Influence(model, X, y, sample_weight=wrong)
    with pytest.raises(SettingError, match="y has missing or infinite values"):
        Influence(model, X, y * np.nan)


def test_rows_that_were_not_in_training_and_rows_in_the_place_of_others(rows):
    """Against fits of as many rows with small weights: the definition, to first order."""
    X, linear, random = rows
    y = (linear > 0).astype(int)
    y[::7] = 1 - y[::7]
    model = LogisticRegression(solver="newton-cholesky", tol=1e-14).fit(X, y)
    found, small = Influence(model, X, y), 1e-4
    new, label = random.normal(size=(2, 3)), np.array([1, 0])

    def losses(X, y, weight):
        again = LogisticRegression(solver="newton-cholesky", tol=1e-14).fit(X, y, sample_weight=weight)
        return -again.predict_log_proba(tests)[np.arange(5), truth]

    tests, truth = X[:5], y[:5]
    before = losses(X, y, None)
    added = found.up_loss(tests, truth, of=(new, label))
    for j in range(2):
        after = losses(np.vstack([X, new[j : j + 1]]), np.append(y, label[j]), np.append(np.ones(80), small))
        np.testing.assert_allclose(added[:, j] * small / 80, after - before, rtol=2e-3, atol=1e-12)
    replaced = found.replaced([3, 9], (new, label), test=(tests, truth))
    for j, row in enumerate((3, 9)):
        weight = np.append(np.ones(80), small)
        weight[row] -= small
        after = losses(np.vstack([X, new[j : j + 1]]), np.append(y, label[j]), weight)
        np.testing.assert_allclose(replaced[:, j] * small / 80, after - before, rtol=2e-3, atol=1e-12)
    np.testing.assert_allclose(found.up_loss(tests, truth, of=(X, y)), found.up_loss(tests, truth))
    with pytest.raises(SettingError, match="2 rows are replaced by 1"):
        found.replaced([3, 9], (new[:1], label[:1]), test=(tests, truth))


def test_the_temperature_of_the_hinge_is_the_users(rows):
    X, linear, _ = rows
    y = (linear > 0).astype(int)
    y[::5] = 1 - y[::5]
    machine = SVC(kernel="linear", tol=1e-9).fit(X, y)
    usual, warm = (Influence(machine, X, y, **more) for more in ({}, {"temperature": 0.1}))
    assert "rounded over 0.001" in usual.notes[0]
    assert "rounded over 0.1" in warm.notes[0]
    assert (warm.up_loss(X[:2], y[:2]) != 0).mean() > (np.abs(usual.up_loss(X[:2], y[:2])) > 1e-9).mean()
