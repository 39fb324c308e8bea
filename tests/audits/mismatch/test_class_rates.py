"""Class rates that differ: found where they explain errors, cured by weights as scikit-learn's refit is."""

import numpy as np
import polars as pl
import pytest
from sklearn.linear_model import LogisticRegression

import dataaudit
from dataaudit.audits.testset import predict
from dataaudit.options import LabelOptions
from dataaudit.training.encoded import encode_training, read_labelled
from dataaudit.training.train import train


def rows(n, seed, share):
    """Two overlapping classes, one measurement each; `share` of the rows are ill."""
    random = np.random.default_rng(seed)
    ill = random.random(n) < share
    x = random.normal(size=n) + 1.2 * ill
    return pl.DataFrame({"x": x, "z": random.normal(size=n), "y": np.where(ill, "ill", "well")})


TRAIN, TEST = rows(2000, 0, 0.5), rows(4000, 1, 0.05)


@pytest.fixture(scope="module")
def audit():
    return dataaudit.audit_mismatch(TRAIN, TEST, label="y", features=("x", "z"), l2=1e-4)


def test_rates_are_the_first_finding_and_the_rest_is_quiet(audit):
    first = audit.findings.row(0, named=True)
    assert first["severity"] == "high"
    assert first["title"].startswith("y: ")
    assert "of the test rows are" in first["title"]
    assert first["n_train_rows"] == 0
    assert first["n_errors"] == audit.tables.provenance.n_errors
    assert first["p_value"] < 1e-3
    assert "are missed" in first["advice"]


def test_the_cure_is_what_scikit_learn_measures(audit):
    remedy = audit.tables.remedies.filter(finding=1).row(0, named=True)
    assert remedy["remedy"] == "reweigh"
    asked = LabelOptions(label="y", basis="linear", l2=1e-4)
    known, new = read_labelled(TRAIN, asked), read_labelled(TEST, asked)
    trained = train(encode_training(*known, asked), asked)
    X, T = trained.objective.rows.X.numpy(), predict(trained, new[0], new[1].y).block.X.numpy()
    y, t = (frame["y"].to_numpy() for frame in (TRAIN, TEST))
    rate = {name: (t == name).mean() / (y == name).mean() for name in ("ill", "well")}
    weight = np.array([rate[name] for name in y])
    model = LogisticRegression(C=1 / (len(y) * 1e-4), tol=1e-10, max_iter=1000).fit(X, y, weight)
    assert remedy["test_errors_after"] == (model.predict(T) != t).sum()
    p = model.predict_proba(T)[np.arange(len(t)), (t == "well").astype(int)]
    assert remedy["test_loss_after"] == pytest.approx(-np.log(p).mean(), rel=1e-6)
    assert remedy["cures"]
    # Bayes' rule moves the intercept alone; the refit may tilt the rest a little.
    assert remedy["predicted"] == pytest.approx(remedy["measured"], rel=0.05)


def test_equal_rates_are_no_finding():
    found = dataaudit.audit_mismatch(TRAIN, rows(4000, 2, 0.5), label="y", l2=1e-4, prove=0).findings
    assert not found["title"].str.starts_with("y: ").any()


def test_a_class_that_test_never_shows_is_survived():
    found = dataaudit.audit_mismatch(TRAIN, rows(500, 3, 0.0), label="y", l2=1e-4)
    remedy = found.tables.remedies.filter(finding=1).row(0, named=True)
    assert remedy["remedy"] == "reweigh"
    assert remedy["test_errors_after"] == 0
