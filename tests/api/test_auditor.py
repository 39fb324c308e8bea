"""The audit of labels as an estimator of scikit-learn."""

import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_array
from sklearn import config_context
from sklearn.datasets import load_breast_cancer, load_iris
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_predict, cross_validate
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import check_estimator

import dataaudit
from dataaudit import LabelAuditor

WRONG = 28


@pytest.fixture(scope="module")
def flipped():
    X, y = load_breast_cancer(return_X_y=True)
    wrong = np.sort(np.random.default_rng(0).choice(len(y), WRONG, replace=False))
    y = np.array(["benign", "malignant"])[np.where(np.isin(np.arange(len(y)), wrong), 1 - y, y)]
    return X, y, wrong


@pytest.mark.parametrize("task", ["classification", "regression"])
def test_it_passes_what_scikit_learn_asks_of_an_estimator(task):
    check_estimator(LabelAuditor(task=task), on_skip=None)


def test_wrong_labels_come_first_with_a_better_one(flipped):
    X, y, wrong = flipped
    auditor = LabelAuditor().fit(X, y)
    assert np.isin(auditor.order_[:WRONG], wrong).mean() > 0.85
    assert auditor.interval_[0] <= auditor.expected_ <= auditor.interval_[1]
    assert (auditor.scores_ == auditor.p_wrong_).all()
    assert (auditor.suggested_ != y).all()
    cleaned = LabelAuditor().fit_predict(X, y)
    assert set(np.flatnonzero(cleaned != y)) == set(np.flatnonzero(auditor.p_wrong_ > 0.5))


def test_it_ranks_as_the_audit_of_a_table_does(flipped):
    X, y, _ = flipped
    table = {f"x{j}": X[:, j] for j in range(X.shape[1])} | {"label": y}
    labels = dataaudit.audit_labels(table, label="label", basis="linear", l2=0.01, verify=0).labels
    auditor = LabelAuditor(basis="linear", l2=0.01).fit(X, y)
    assert (auditor.order_ == labels["row"].to_numpy()).all()
    np.testing.assert_allclose(
        auditor.self_influence_[auditor.order_], labels["self_influence"].to_numpy(), rtol=1e-8
    )
    np.testing.assert_allclose(auditor.loo_loss_[auditor.order_], labels["loo_loss"].to_numpy(), rtol=1e-8)


def test_scores_are_what_rows_are_ranked_by(flipped):
    X, y, _ = flipped
    for rank in ("leave-one-out", "self-influence"):
        auditor = LabelAuditor(rank=rank, basis="linear", l2=0.01).fit(X, y)
        assert (np.diff(auditor.scores_[auditor.order_]) <= 0).all()


def test_it_stands_in_pipelines_and_in_cross_validation():
    X, y = load_iris(return_X_y=True)
    found = cross_validate(make_pipeline(StandardScaler(), LabelAuditor(l2=1e-3)), X, y, cv=3)
    assert found["test_score"].mean() > 0.9


def test_sparse_rows_stay_sparse():
    random = np.random.default_rng(1)
    texts = [
        " ".join(random.choice(["pay", "prize", "win"] if i % 2 else ["meet", "gas", "deal"], 6))
        for i in range(80)
    ]
    y = np.arange(80) % 2
    y[:4] = 1 - y[:4]
    X = TfidfVectorizer().fit_transform(texts)
    auditor = LabelAuditor().fit(csr_array(X), y)
    assert set(auditor.order_[:4]) == {0, 1, 2, 3}
    assert (auditor.predict(X) == np.arange(80) % 2).all()


@pytest.fixture(scope="module")
def noisy():
    y = np.array(["no", "yes"])[np.arange(120) % 2]
    X = np.random.default_rng(0).standard_normal((120, 5)) + 1.5 * (y == "yes")[:, None]
    y[:8] = np.where(y[:8] == "no", "yes", "no")
    return X, y


def test_rows_are_judged_by_any_classifier_that_has_not_seen_them(noisy):
    X, y = noisy
    auditor = LabelAuditor(estimator=GaussianNB(), folds=4).fit(X, y)
    assert np.isin(auditor.order_[:8], np.arange(8)).mean() > 0.7
    table = {f"x{j}": X[:, j] for j in range(5)} | {"label": y}
    labels = dataaudit.audit_labels(table, label="label", estimator=GaussianNB(), folds=4).labels
    np.testing.assert_allclose(auditor.p_wrong_[labels["row"].to_numpy()], labels["p_wrong"], rtol=1e-12)
    np.testing.assert_allclose(auditor.predict_proba(X), GaussianNB().fit(X, y).predict_proba(X))
    assert set(auditor.predict(X)) == {"no", "yes"}


def test_an_estimator_takes_what_it_takes():
    texts = [f"{w} {w} {i % 7}" for i, w in enumerate(["pay prize", "meet deal"] * 40)]
    y = np.array([1, 0] * 40)
    y[:2] = 1 - y[:2]
    model = make_pipeline(TfidfVectorizer(), LogisticRegression())
    assert set(LabelAuditor(estimator=model).fit(texts, y).order_[:2]) == {0, 1}
    holes = np.where(np.arange(80)[:, None] % 5 == 0, np.nan, y[:, None] + np.arange(80)[:, None] / 1e3)
    boosted = LabelAuditor(estimator=HistGradientBoostingClassifier(max_iter=5), folds=2)
    assert boosted.fit(pd.DataFrame(holes, columns=["a"]), y).p_wrong_.shape == (80,)
    found = cross_validate(LabelAuditor(estimator=model), np.array(texts), y, cv=3)
    assert found["test_score"].mean() > 0.9


def test_copies_are_in_one_part():
    X = np.repeat(np.random.default_rng(0).standard_normal((40, 3)), 2, axis=0)
    y = np.arange(80) % 2  # of each two copies one has the other label
    for same in (X, csr_array(X)):
        auditor = LabelAuditor(estimator=KNeighborsClassifier(1)).fit(same, y)
        assert not (auditor.loo_loss_ == 0).all()
        assert abs((auditor.loo_loss_ < 1).mean() - 0.5) < 1e-9  # both of a pair get the same


def test_given_probabilities_are_routed_through_a_pipeline(noisy):
    X, y = noisy
    P = cross_val_predict(GaussianNB(), X, y, method="predict_proba")
    with config_context(enable_metadata_routing=True):
        pipeline = make_pipeline(StandardScaler(), LabelAuditor().set_fit_request(pred_probs=True))
        auditor = pipeline.fit(X, y, pred_probs=P)[-1]
    table = {f"x{j}": X[:, j] for j in range(5)} | {"label": y}
    labels = dataaudit.audit_labels(table, label="label", pred_probs=P).labels
    np.testing.assert_allclose(auditor.p_wrong_[labels["row"].to_numpy()], labels["p_wrong"], rtol=1e-12)
    assert (LabelAuditor().fit_predict(X, y, pred_probs=P) != y).sum() >= 5
    with pytest.raises(dataaudit.AuditError, match="no model was fitted, as pred_probs were given"):
        auditor.predict(X)
    with pytest.raises(dataaudit.AuditError, match="each say what a row gets"):
        LabelAuditor(estimator=GaussianNB()).fit(X, y, pred_probs=P)


@pytest.mark.parametrize("task", ["regression", "count"])
def test_numbers_are_judged_as_in_the_audit_of_a_table(task):
    random = np.random.default_rng(3)
    X = random.standard_normal((150, 3))
    y = (
        3 * X[:, 0] + random.standard_normal(150)
        if task == "regression"
        else random.poisson(np.exp(1 + X[:, 0]))
    )
    y = y.astype(float)
    y[:3] += 40
    table = {f"x{j}": X[:, j] for j in range(3)} | {"y": y}
    labels = dataaudit.audit_labels(table, label="y", task=task, l2=0.01, basis="linear", verify=0).labels
    auditor = LabelAuditor(task=task, l2=0.01, basis="linear").fit(X, y)
    assert set(auditor.order_[:3]) == {0, 1, 2}
    np.testing.assert_allclose(auditor.p_wrong_[labels["row"].to_numpy()], labels["p_wrong"], rtol=1e-8)
    assert not hasattr(auditor, "predict_proba")
    assert auditor.score(X[3:], y[3:]) > 0.5
    assert np.abs(auditor.fit_predict(X, y)[:3] - y[:3]).min() > 20


def test_one_class_is_refused():
    with pytest.raises(ValueError, match="y has one class: got 1 in all 3 rows"):
        LabelAuditor().fit(np.eye(3), [1, 1, 1])
