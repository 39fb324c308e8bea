"""Labels audited with support vector machines."""

import numpy as np
import polars as pl
import pytest
from sklearn.datasets import load_wine, make_moons
from sklearn.metrics import average_precision_score

import dataaudit
from dataaudit.errors import SettingError

WORDS = ["good", "fine", "warm", "bad", "dull", "grim", "the", "a", "film"]


def planted(curved, n=300):
    """Two classes, apart by a line or by a curve, with 8 % of the labels flipped."""
    rng = np.random.default_rng(0)
    if curved:
        X, y = make_moons(n, noise=0.2, random_state=0)
    else:
        X = rng.standard_normal((n, 3))
        y = (X @ [2.0, -1.0, 0.5] + 0.3 * rng.standard_normal(n) > 0).astype(int)
    flipped = rng.random(n) < 0.08
    frame = pl.DataFrame(X, schema=[f"f{j}" for j in range(X.shape[1])])
    return frame.with_columns(y=pl.Series(np.where(flipped, 1 - y, y))), flipped


@pytest.mark.parametrize(("model", "curved"), [("svm", False), ("rbf-svm", True)])
def test_flipped_labels_come_first_and_refits_confirm(model, curved):
    frame, flipped = planted(curved)
    audit = dataaudit.audit_labels(frame, label="y", model=model, verify=10, top=5)
    labels, checks = audit.labels.sort("row"), audit.health
    assert average_precision_score(flipped, labels["loo_loss"]) > 0.75
    assert checks.filter(pl.col("check").is_in(["gradient norm", "solver residual"]))["ok"].all()
    predicted, measured = audit.findings.verification.select("predicted", "measured").to_numpy().T
    assert np.corrcoef(predicted, measured)[0, 1] > 0.99
    assert (predicted * measured).sum() / (measured**2).sum() == pytest.approx(1.0, abs=0.25)
    # Losses are those of the probabilities, as for a logistic regression.
    np.testing.assert_allclose(labels["loo_loss"], -np.log(labels["loo_p_label"]), rtol=1e-9)
    np.testing.assert_allclose(labels["train_loss"], -np.log(labels["p_label"]), rtol=1e-9)
    provenance = audit.findings.provenance
    assert provenance.settings["model"] == model
    assert ("RBF" in provenance.basis) == curved
    assert "its hinge rounded over 0.1" in provenance.notes[-1]


def test_lambda_can_be_given_and_text_is_for_the_linear_one():
    rng, words = np.random.default_rng(0), np.array(WORDS)
    y = np.arange(120) % 2
    texts = [" ".join(rng.choice(words[[0, 1, 2, 6, 7, 8]] if k else words[3:], 12)) for k in y]
    frame = pl.DataFrame({"text": texts, "y": y})
    audit = dataaudit.audit_labels(frame, label="y", text="text", model="svm", l2=0.01, verify=0, top=2)
    assert audit.findings.provenance.l2 == 0.01
    assert (audit.labels["label"] == audit.labels["predicted_label"]).mean() > 0.95
    with pytest.raises(SettingError, match="rbf-svm has no kernel for text"):
        dataaudit.audit_labels(frame, label="y", text="text", model="rbf-svm")


def test_what_a_machine_cannot_do_is_said_in_a_line():
    wine = load_wine(as_frame=True).frame
    with pytest.raises(SettingError, match="svm tells two classes apart: the label has 3"):
        dataaudit.audit_labels(wine, label="target", model="svm")
    with pytest.raises(SettingError, match="unknown model: got 'forest'"):
        dataaudit.audit_labels(wine, label="target", model="forest")
    with pytest.raises(SettingError, match="a basis of its own: got basis spline"):
        dataaudit.audit_labels(wine, label="target", model="rbf-svm", basis="spline")
    with pytest.raises(SettingError, match="refit is for a fitted model"):
        dataaudit.audit_labels(wine, label="target", model="svm", refit=True)
