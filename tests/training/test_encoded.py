"""Row weights reach the fit and the influence, and are no feature."""

import numpy as np
import polars as pl
import pytest
from sklearn.datasets import load_breast_cancer
from sklearn.linear_model import LogisticRegression

import dataaudit


@pytest.fixture(scope="module")
def cancer():
    X, y = load_breast_cancer(return_X_y=True)
    some = np.random.default_rng(0).permutation(len(y))[:150]
    frame = pl.DataFrame((X[some][:, :6] - X.mean(0)[:6]) / X.std(0)[:6], schema=[f"x{j}" for j in range(6)])
    weight = np.random.default_rng(1).integers(0, 4, len(some)).astype(float)
    return frame.with_columns(y=pl.Series(y[some]), w=pl.Series(weight))


def audit(frame, **options):
    return dataaudit.audit_labels(frame, label="y", basis="linear", l2=0.01, verify=4, top=3, **options)


def test_a_row_of_weight_nought_determines_nothing_and_loses_nothing_by_leaving(cancer):
    labels = audit(cancer, weight="w").labels.sort("row")
    idle = cancer["w"].to_numpy() == 0
    assert idle.any()
    assert labels["leverage"].to_numpy()[idle] == pytest.approx(0.0, abs=1e-15)
    assert labels["delta_loss_if_removed"].to_numpy()[idle] == pytest.approx(0.0, abs=1e-12)
    assert (labels["delta_loss_if_removed"].to_numpy()[~idle] > 0).all()


def test_weights_of_one_change_nothing_and_a_weight_is_no_feature(cancer):
    plain = audit(cancer.drop("w"))
    ones = audit(cancer.with_columns(w=pl.lit(1.0)), weight="w")
    assert ones.labels.equals(plain.labels)
    assert "w" not in {role["column"] for role in ones.findings.provenance.roles}
    assert any("Rows weigh 'w'" in note for note in ones.findings.provenance.notes)


def test_a_model_fitted_with_sample_weight_is_at_its_minimum_with_its_weights(cancer):
    X = cancer.drop("y", "w")
    model = LogisticRegression(C=0.5, tol=1e-12, max_iter=10_000, solver="newton-cholesky")
    model.fit(X, cancer["y"], sample_weight=cancer["w"].to_numpy())
    known = dataaudit.audit_labels(cancer, label="y", model=model, weight="w", verify=0, top=0)
    assert known.findings.provenance.gradient_norm < 1e-8
    with pytest.raises(
        dataaudit.NotConverged, match=r"not at its minimum: .* the rows that it was fitted on"
    ):
        dataaudit.audit_labels(cancer, label="y", model=model, verify=0, top=0)


def test_a_missing_weight_column_is_named(cancer):
    with pytest.raises(dataaudit.MissingColumn, match="'ww' is not in"):
        audit(cancer, weight="ww")
