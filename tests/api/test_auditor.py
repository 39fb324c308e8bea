"""The audit of labels as an estimator of scikit-learn."""

import numpy as np
import pytest
from scipy.sparse import csr_array
from sklearn.datasets import load_breast_cancer, load_iris
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.model_selection import cross_validate
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


def test_it_passes_what_scikit_learn_asks_of_an_estimator():
    check_estimator(LabelAuditor(), on_skip=None)


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


def test_one_class_is_refused():
    with pytest.raises(ValueError, match="y has one class: got 1 in all 3 rows"):
        LabelAuditor().fit(np.eye(3), [1, 1, 1])
