"""Every scikit-learn classifier that is taken, against true refits of itself without a row."""

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from scipy.sparse import csr_array, csr_matrix
from sklearn.datasets import load_breast_cancer, load_iris, load_wine
from sklearn.linear_model import LogisticRegression, RidgeClassifier, SGDClassifier
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC, LinearSVC

import dataaudit
from dataaudit import Influence
from dataaudit.errors import NotConverged, SettingError
from dataaudit.training.sklearn import take

ROWS, REFITS = 400, 30
TIGHT = {"tol": 1e-10, "max_iter": 1_000_000}
# Averaged, over so many passes that what is left of the last steps is below a row's effect.
SGD = {"alpha": 0.05, "max_iter": 4_000, "tol": None, "average": 200_000, "random_state": 0}


@dataclass(frozen=True)
class Kind:
    """A classifier fitted as tightly as it can be, and its loss of a margin."""

    make: Any
    loss: str
    dropped: bool = True  # else a row leaves by weight 0, which keeps n in a mean loss

    def fit(self, X, y, without=None):
        kept = np.arange(len(y)) != (-1 if without is None else without)
        if self.dropped:
            return self.make().fit(X[kept], y[kept])
        return self.make().fit(X, y, sample_weight=kept.astype(float))


LOSSES = {
    "log": lambda m: np.logaddexp(0, -m),
    "hinge": lambda m: np.maximum(0, 1 - m),
    "squared hinge": lambda m: np.maximum(0, 1 - m) ** 2,
    "squared": lambda m: (1 - m) ** 2 / 2,
}
SMOOTH = {
    "LogisticRegression": Kind(lambda: LogisticRegression(tol=1e-10, solver="newton-cholesky"), "log"),
    "LogisticRegression, liblinear": Kind(
        lambda: LogisticRegression(solver="liblinear", intercept_scaling=2.0, **TIGHT), "log"
    ),
    "LinearSVC": Kind(lambda: LinearSVC(C=0.3, **TIGHT), "squared hinge"),
    "LinearSVC, weights, scaling": Kind(
        lambda: LinearSVC(C=0.1, class_weight={0: 1.5}, intercept_scaling=3.0, **TIGHT), "squared hinge"
    ),
    "RidgeClassifier": Kind(lambda: RidgeClassifier(alpha=3.0), "squared"),
    "RidgeClassifier, weights": Kind(lambda: RidgeClassifier(alpha=3.0, class_weight={1: 3.0}), "squared"),
    "SGDClassifier, log_loss": Kind(lambda: SGDClassifier(loss="log_loss", **SGD), "log", dropped=False),
    "SGDClassifier, squared_error": Kind(
        lambda: SGDClassifier(loss="squared_error", learning_rate="constant", eta0=0.002, **SGD),
        "squared",
        dropped=False,
    ),
    "SGDClassifier, squared_hinge": Kind(
        lambda: SGDClassifier(
            loss="squared_hinge", learning_rate="invscaling", eta0=0.02, power_t=0.5, **SGD
        ),
        "squared hinge",
        dropped=False,
    ),
}
KINKED = {
    "LinearSVC, hinge": Kind(lambda: LinearSVC(loss="hinge", intercept_scaling=3.0, **TIGHT), "hinge"),
    "SVC, linear": Kind(lambda: SVC(kernel="linear", C=0.5, tol=1e-9), "hinge"),
    "SVC, linear, weights": Kind(lambda: SVC(kernel="linear", class_weight={0: 3.0}, tol=1e-9), "hinge"),
    "SVC, rbf": Kind(lambda: SVC(gamma=0.1, tol=1e-9), "hinge"),
    "SGDClassifier, hinge": Kind(lambda: SGDClassifier(loss="hinge", **SGD), "hinge", dropped=False),
}


@pytest.fixture(scope="module")
def cancer():
    """Real rows of 10 numbers and two classes that a plane does not separate: training, then test."""
    bunch = load_breast_cancer()
    order = np.random.default_rng(0).permutation(len(bunch.target))
    X, y = StandardScaler().fit_transform(bunch.data)[order, :10], bunch.target[order]
    return X[:ROWS], y[:ROWS], X[ROWS:], y[ROWS:]


def refits(kind, cancer, rows):
    """Return the true change of the summed and of every test loss, (m,) and (m, t)."""
    X, y, X_test, y_test = cancer
    c, loss = 2 * y_test - 1, LOSSES[kind.loss]
    before = loss(c * kind.fit(X, y).decision_function(X_test))
    each = [loss(c * kind.fit(X, y, row).decision_function(X_test)) - before for row in rows]
    return np.array(each)


def correlations(predicted, actual):
    """Return Pearson's correlation of the changes of the summed loss, and of every loss."""
    return [
        np.corrcoef(a.ravel(), b.ravel())[0, 1]
        for a, b in ((predicted.sum(1), actual.sum(1)), (predicted, actual))
    ]


@pytest.mark.parametrize("name", SMOOTH)
def test_influence_is_what_refits_of_the_classifier_show(cancer, name):
    kind, (X, y, X_test, y_test) = SMOOTH[name], cancer
    model = kind.fit(X, y)
    found = Influence(model, X, y)
    rows = np.random.default_rng(1).choice(ROWS, REFITS if kind.dropped else REFITS // 3, replace=False)
    actual = refits(kind, cancer, rows)
    weight = np.array([(model.class_weight or {}).get(label, 1.0) for label in y[rows]])
    predicted = weight[:, None] * -found.up_loss(X_test, y_test).T[rows] / ROWS
    # A first order knows no leverage, and where the curvature jumps no row that crosses.
    assert min(correlations(predicted, actual)) > (0.97 if kind.loss == "squared hinge" else 0.99)
    better = found.without(rows, X_test, y_test)
    assert min(correlations(better, actual)) > (0.999 if kind.dropped else 0.99)  # steps leave some noise
    assert (better * actual).sum() / (actual**2).sum() == pytest.approx(
        1.0, abs=0.02 if kind.dropped else 0.05
    )


@pytest.mark.parametrize("name", KINKED)
def test_what_leaves_a_support_vector_machine_is_what_its_refits_show(cancer, name):
    """Half of the rows are those that the machine rests on; the rest change nothing."""
    kind, (X, y, X_test, y_test) = KINKED[name], cancer
    found = Influence(kind.fit(X, y), X, y)
    by_influence = np.argsort(-found.self_influence())
    few = REFITS // 2 if kind.dropped else REFITS // 6
    rows = np.concatenate([by_influence[:few], by_influence[-few:]])
    actual = refits(kind, cancer, rows)
    predicted = found.without(rows, X_test, y_test)
    assert min(correlations(predicted, actual)) > 0.99
    assert (predicted * actual).sum() / (actual**2).sum() == pytest.approx(1.0, abs=0.03)


@pytest.mark.parametrize("name", ["LinearSVC", "SVC, linear", "SVC, rbf", "RidgeClassifier"])
@pytest.mark.parametrize("names", [("no", "yes"), ("yes", "no")], ids="-".join)
def test_scores_are_decisions_whatever_the_order_of_the_classes(cancer, name, names):
    X, y, _, _ = cancer
    kind, words = (SMOOTH | KINKED)[name], np.array(names)[y]
    model = kind.make().fit(X, words)
    found = Influence(model, X, words)
    scores = found._objective.scores(found._fit.theta)[:, 0].numpy()
    assert np.abs(scores - model.decision_function(X)).max() < (0.05 if kind.loss == "hinge" else 1e-8)


@pytest.mark.parametrize("gamma", ["scale", "auto", 0.2])
def test_the_kernel_of_a_machine_is_that_of_its_settings(cancer, gamma):
    X, y, X_test, y_test = cancer
    model = SVC(gamma=gamma, tol=1e-9).fit(X, y)
    found = Influence(model, X, y)
    test = found._test(X_test, y_test)
    scores = test.scores(found._objective.model.matrix(found._fit.theta))[:, 0].numpy()
    assert np.abs(scores - model.decision_function(X_test)).max() < 0.02
    assert found.notes[0].startswith("The hinge was rounded over 0.001 around its kink: gradient norm ")
    assert found.gradient_norm <= 1e-8
    with pytest.raises(SettingError, match="use a linear kernel"):
        found.pert_loss(X_test, y_test)
    with pytest.raises(SettingError, match="test rows have 3 features, the training rows 10"):
        found.up_loss(X_test[:, :3], y_test)


@pytest.mark.parametrize("name", ["LinearSVC", "SVC, linear", "SVC, rbf", "SGDClassifier, hinge"])
def test_sparse_rows_are_the_same(cancer, name):
    X, y, X_test, y_test = cancer
    model = (SMOOTH | KINKED)[name].fit(X, y)
    dense = Influence(model, X, y).up_loss(X_test, y_test)
    sparse = Influence(model, csr_array(X), y).up_loss(csr_array(X_test), y_test)
    np.testing.assert_allclose(sparse, dense, rtol=1e-6, atol=1e-8 * np.abs(dense).max())


def test_a_model_far_from_its_minimum_is_refused_and_can_be_taken_there(cancer):
    X, y, X_test, y_test = cancer
    hasty = SGDClassifier(loss="log_loss", alpha=0.01, max_iter=1, tol=None, random_state=0).fit(X, y)
    with pytest.raises(NotConverged, match=r"gradient norm \d\.\de.\d\d, .* by 36%\. Hint: .* or refit=True"):
        Influence(hasty, X, y)
    found = Influence(hasty, X, y, refit=True)
    tight = LogisticRegression(C=1 / (ROWS * 0.01), tol=1e-12, solver="newton-cholesky").fit(X, y)
    np.testing.assert_allclose(found.coefficients[:-1, 0], tight.coef_[0], rtol=1e-6)
    assert "scores moved by up to" in found.notes[0]
    np.testing.assert_allclose(
        found.up_loss(X_test, y_test), Influence(tight, X, y).up_loss(X_test, y_test), rtol=1e-5, atol=1e-6
    )


@pytest.mark.parametrize(
    "model",
    [LogisticRegression(max_iter=100), LogisticRegression(solver="sag"), LinearSVC(random_state=0)],
    ids=str,
)
def test_a_column_of_large_numbers_does_not_hide_how_far_off_the_others_are(model):
    """The gradient of a default fit looks small beside what the largest column pulls."""
    X, y = load_breast_cancer(return_X_y=True)
    with warnings.catch_warnings(action="ignore"):
        model.fit(X, y)
    with pytest.raises(NotConverged, match="not at its minimum"):
        Influence(model, X, y)
    assert Influence(model, X, y, refit=True).gradient_norm <= 1e-8


@pytest.mark.parametrize("penalty", ["given", "none here"])
def test_classes_that_are_told_apart_without_a_ridge_have_no_minimum(penalty):
    X, y = load_iris(return_X_y=True)
    X, y = X[y < 2], y[y < 2]
    model = LogisticRegression(C=np.inf, tol=1e-12, max_iter=10_000).fit(X, y) if penalty == "given" else None
    with pytest.raises(NotConverged, match="there is no penalty, so that there is no minimum"):
        Influence(model, X, y, l2=None if model else 0.0)


def test_balanced_classes_and_row_weights_are_balanced_as_scikit_learn_does(cancer):
    X, y, _, _ = cancer
    weight = np.linspace(0.1, 2.0, len(y))
    for model in (
        LogisticRegression(class_weight="balanced", tol=1e-12, max_iter=10_000),
        LinearSVC(class_weight="balanced", tol=1e-12, max_iter=100_000),
        RidgeClassifier(class_weight="balanced"),
    ):
        model.fit(X, y, sample_weight=weight)
        taken = take(model, X, y, order=[0, 1], weight=torch.from_numpy(weight))
        assert float(taken.objective.gradient(taken.fit.theta).abs().max()) < 1e-6, model


def test_a_kernel_machine_of_a_sparse_matrix_is_that_of_the_dense_one(cancer):
    X, y, X_test, y_test = cancer
    sparse = Influence(SVC(tol=1e-9).fit(csr_matrix(X), y), csr_matrix(X), y).up_loss(X_test, y_test)
    dense = Influence(SVC(tol=1e-9).fit(X, y), X, y).up_loss(X_test, y_test)
    np.testing.assert_allclose(sparse, dense, rtol=1e-6, atol=1e-8 * np.abs(dense).max())


def test_a_hinge_far_from_its_minimum_is_refused_too(cancer):
    X, y, _, _ = cancer
    model = SVC(kernel="linear", tol=1e-9).fit(X, y)
    assert Influence(SVC(kernel="linear").fit(X, y), X, y).gradient_norm <= 1e-8, (
        "the usual tolerance will do"
    )
    model.intercept_ = model.intercept_ + 0.3
    with pytest.raises(NotConverged, match="not at its minimum"):
        Influence(model, X, y)


REFUSED = {
    "several classes": (LinearSVC(), "a LinearSVC of 3 classes is one fit per class"),
    "a machine of several classes": (SVC(), "a SVC of 3 classes"),
    "another loss": (SGDClassifier(loss="perceptron"), "loss 'perceptron' is not covered"),
    "another kernel": (SVC(kernel="poly"), "kernel 'poly' is not covered"),
    "l1": (LinearSVC(penalty="l1"), "an l1 penalty has no Hessian"),
    "l1 by steps": (SGDClassifier(penalty="elasticnet"), "an l1 penalty has no Hessian"),
    "coefficients that are kept positive": (RidgeClassifier(positive=True), "minimises another objective"),
    "another objective": (LinearSVC(multi_class="crammer_singer"), "minimises another objective"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_not_covered_is_refused_in_a_line(name):
    model, message = REFUSED[name]
    X, y = load_wine(return_X_y=True)
    X, y = (X, y) if "classes" in name else (X[y < 2], y[y < 2])
    with pytest.raises(SettingError, match=message):
        Influence(model.fit(StandardScaler().fit_transform(X), y), X, y)


@pytest.mark.parametrize("name", ["LinearSVC", "SVC, linear", "SVC, rbf", "RidgeClassifier"])
def test_labels_are_audited_with_a_model_as_fitted(cancer, name):
    import polars as pl

    X, y, _, _ = cancer
    wrong = y.copy()
    wrong[:24] = 1 - wrong[:24]
    frame = pl.DataFrame(X, schema=[f"f{j}" for j in range(10)]).with_columns(y=pl.Series(wrong))
    model = (SMOOTH | KINKED)[name].make().fit(X, wrong)
    audit = dataaudit.audit_labels(frame, label="y", model=model, verify=4, top=3)
    labels = audit.labels.sort("row")
    assert len(set(audit.labels["row"].head(48).to_list()) & set(range(24))) >= 18
    score = model.decision_function(X)
    p = np.where(wrong == 1, labels["p_label"], 1 - labels["p_label"])
    assert np.corrcoef(np.argsort(np.argsort(p)), np.argsort(np.argsort(score)))[0, 1] > 0.999
    checks = dict(zip(audit.health["check"], audit.health["ok"], strict=True))
    assert checks["gradient norm"]
    assert checks["calibration"], "probabilities are of left-out rows"
