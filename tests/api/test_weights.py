"""Weights of the training rows, as a column or an array, count in every audit what they count in the fit."""

import numpy as np
import polars as pl
import pytest
from sklearn.datasets import load_breast_cancer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import dataaudit
from dataaudit.errors import DataError, MissingColumn, NotConverged, SettingError

X, Y = load_breast_cancer(return_X_y=True)
Y = Y.copy()
Y[:15] = 1 - Y[:15]
WEIGHT = np.random.default_rng(0).integers(0, 4, len(Y)).astype(float)
FRAME = pl.DataFrame(X[:, :5] / X[:, :5].std(0), schema=[f"x{j}" for j in range(5)]).with_columns(y=Y)
WEIGHED = FRAME.with_columns(w=WEIGHT)
TRAIN, TEST = slice(0, 300), slice(300, None)
PAIR = {"label": "y", "basis": "linear", "l2": 1e-2}


@pytest.fixture(scope="module")
def model():
    return fitted(FRAME, WEIGHT)


def fitted(frame, weight):
    return LogisticRegression(tol=1e-10, max_iter=5000).fit(frame.drop("y"), frame["y"], sample_weight=weight)


def labels(frame=FRAME, **more):
    return dataaudit.audit_labels(frame, label="y", top=2, **{"verify": 4} | more)


def same(one, two, *columns):
    for name in columns:
        np.testing.assert_allclose(one[name].to_numpy(), two[name].to_numpy(), rtol=1e-9)


def slope(tables):
    return tables.health.filter(check="verification")["value"][0]


@pytest.mark.parametrize("more", [{}, {"refit": True}], ids=["as it is", "refitted"])
def test_a_model_that_was_fitted_with_weights_is_audited_with_them(model, more):
    one = labels(model=model, sample_weight=WEIGHT, **more)
    two = labels(WEIGHED, model=model, weight="w", **more)
    same(one.labels, two.labels, "loo_loss", "self_influence", "p_wrong", "rank")
    p = model.predict_proba(FRAME.drop("y"))[np.arange(len(Y)), Y]
    np.testing.assert_allclose(one.labels.sort("row")["p_label"], p, atol=1e-6)
    assert slope(one.findings) < 0.02  # predicted against refits


def test_without_them_it_is_refused_or_said(model):
    with pytest.raises(NotConverged, match="gradient norm"):
        labels(model=model)
    notes = labels(model=model, refit=True).findings.provenance.notes
    assert any("give them as sample_weight" in note for note in notes)
    notes = labels(model=model, refit=True, sample_weight=WEIGHT).findings.provenance.notes
    assert not any("give them" in note for note in notes)


def test_a_search_over_a_pipeline():
    pipe = make_pipeline(StandardScaler(), LogisticRegression(tol=1e-10, max_iter=5000))
    search = GridSearchCV(pipe, {"logisticregression__C": [0.1, 1.0]}, cv=2)
    search.fit(FRAME.drop("y"), Y, logisticregression__sample_weight=WEIGHT)
    found = labels(model=search, sample_weight=WEIGHT)
    assert slope(found.findings) < 0.02


def test_labels_of_the_tools_own_model():
    one, two = (
        labels(f, basis="linear", **w)
        for f, w in ((FRAME, {"sample_weight": WEIGHT}), (WEIGHED, {"weight": "w"}))
    )
    same(one.labels, two.labels, "loo_loss", "self_influence", "p_wrong", "rank")
    assert slope(one.findings) < 0.05


def test_a_mismatch():
    """A row of weight 3 is three rows: the test loss agrees, and removals agree with refits."""
    train, test = FRAME[TRAIN], FRAME[TEST]
    one = dataaudit.audit_mismatch(train, test, sample_weight=WEIGHT[TRAIN], verify=4, **PAIR)
    two = dataaudit.audit_mismatch(WEIGHED[TRAIN], test.with_columns(w=1.0), weight="w", verify=4, **PAIR)
    same(one.tables.traces, two.tables.traces, "influence", "delta_loss_if_removed")
    assert slope(one.tables) < 0.05
    copies = train[np.repeat(np.arange(300), WEIGHT[TRAIN].astype(int)).tolist()]
    # λ is of the sum of the weights there, and of the rows here.
    l2 = PAIR["l2"] * 300 / copies.height
    many = dataaudit.audit_mismatch(copies, test, verify=0, **PAIR | {"l2": l2})
    assert "w" not in one.shift["column"].to_list() + two.shift["column"].to_list()
    # Features are standardised by all rows, so that copies move them a little.
    assert abs(many.tables.provenance.test_loss / one.tables.provenance.test_loss - 1) < 0.02


def test_an_audit_of_one_table_that_is_split():
    both = {"test_size": 0.3, "verify": 0, "prove": 0, **PAIR}
    one = dataaudit.audit_mismatch(FRAME, sample_weight=WEIGHT, **both)
    two = dataaudit.audit_mismatch(WEIGHED, weight="w", **both)
    assert one.tables.provenance.test_loss == pytest.approx(two.tables.provenance.test_loss, rel=1e-12)


def test_an_explanation_and_an_attack():
    train, test, weight = FRAME[TRAIN], FRAME[TEST], WEIGHT[TRAIN]
    own, ask = fitted(train, weight), {"label": "y", "row": 3}
    one = dataaudit.explain(train, test, model=own, sample_weight=weight, **ask)
    two = dataaudit.explain(WEIGHED[TRAIN], test, model=own, weight="w", **ask)
    same(one.influences, two.influences, "influence", "delta_loss_if_removed")
    first = one.influences.row(0, named=True)
    without = fitted(train, np.where(np.arange(300) == first["train_row"], 0.0, weight))
    before, after = (-np.log(m.predict_proba(test[3:4].drop("y"))[0, test["y"][3]]) for m in (own, without))
    assert after - before == pytest.approx(first["delta_loss_if_removed"], rel=0.15)
    found = dataaudit.vulnerability(WEIGHED[TRAIN], test, weight="w", rows=[3], **PAIR).attacks
    np.testing.assert_allclose(found["loss_predicted"], found["loss_after"], rtol=0.1)


@pytest.mark.parametrize(
    ("more", "kind", "message"),
    [
        (
            {"sample_weight": WEIGHT[:5]},
            SettingError,
            "sample_weight has 5 values, the training data have 569 rows",
        ),
        ({"sample_weight": ["a"] * 569}, SettingError, "sample_weight holds no numbers"),
        ({"sample_weight": -WEIGHT}, DataError, "'sample_weight' has .* values that are missing, negative"),
        ({"sample_weight": WEIGHT, "weight": "w"}, SettingError, "weight and sample_weight each weigh"),
        ({"weight": "wait"}, MissingColumn, "column 'wait' is not in the"),
    ],
)
@pytest.mark.parametrize("audit", [dataaudit.audit_labels, dataaudit.audit_mismatch])
def test_what_is_no_weight_is_refused(audit, more, kind, message):
    split = {} if audit is dataaudit.audit_labels else {"test_size": 0.2}
    with pytest.raises(kind, match=message):
        audit(FRAME, label="y", **more, **split)


def test_rows_without_a_label_have_weights_too():
    some = FRAME.with_columns(y=pl.when(pl.col("x0").rank() > 20).then("y"))
    found = labels(some, sample_weight=WEIGHT, basis="linear")
    assert found.labels.height == 549


def test_what_is_not_on_disk_is_not_trained_again(tmp_path):
    path = tmp_path / "d.csv"
    FRAME.write_csv(path)
    labels(path, sample_weight=WEIGHT, basis="linear", verify=0).write(tmp_path / "found")
    with pytest.raises(DataError, match="sample_weight, which is not on disk"):
        dataaudit.verify(tmp_path / "found", top=1)
