"""An audit by probabilities of any model: ranked, counted, reviewed and repaired as any other."""

import importlib.util
import json

import numpy as np
import polars as pl
import pytest
from command import audit as command
from sklearn.datasets import load_breast_cancer
from sklearn.ensemble import RandomForestClassifier
from sklearn.model_selection import cross_val_predict

import dataaudit
from dataaudit.audits.outside.findings import IN_SAMPLE, UNKNOWN
from dataaudit.errors import SettingError
from dataaudit.findings.schemas import Findings

X, TRUTH = load_breast_cancer(return_X_y=True)
FLIPPED = np.random.default_rng(0).permutation(len(TRUTH))[:57]
Y = TRUTH.copy()
Y[FLIPPED] = 1 - Y[FLIPPED]
NAMES = np.array(["malignant", "benign"])


@pytest.fixture(scope="module")
def forest():
    return RandomForestClassifier(60, random_state=0)


@pytest.fixture(scope="module")
def P(forest):
    return cross_val_predict(forest, X, Y, method="predict_proba")


@pytest.fixture(scope="module")
def audit(P):
    return dataaudit.audit_labels({"label": Y}, label="label", pred_probs=P)


def run(*arguments, code=0):
    done = command(*arguments, cwd=".")
    assert done.returncode == code, done.stderr
    return " ".join((done.stdout + done.stderr).split())


def found(audit):
    return np.isin(audit.labels["row"].head(57), FLIPPED).mean()


def test_wrong_labels_come_first_and_are_counted(audit):
    assert found(audit) > 0.8  # .86 when written
    low, high = audit.interval
    assert low <= 57 <= high


def self_confidence(labels, P):
    """cleanlab's score, by cleanlab where it is installed."""
    if importlib.util.find_spec("cleanlab"):
        from cleanlab.rank import get_label_quality_scores

        return get_label_quality_scores(labels, P, method="self_confidence")
    return P[np.arange(len(labels)), labels]


def test_beside_cleanlab_on_the_same_probabilities(P):
    """By loss the order is cleanlab's own; by the noise model it finds as many, or more."""
    one_sided = TRUTH.copy()
    wrong = np.flatnonzero(TRUTH == 0)[:53]
    one_sided[wrong] = 1
    for labels, planted in ((Y, FLIPPED), (one_sided, wrong)):
        given = (
            P
            if labels is Y
            else cross_val_predict(
                RandomForestClassifier(60, random_state=0), X, labels, method="predict_proba"
            )
        )
        ask = {"label": "label", "pred_probs": given}
        by_loss = (
            dataaudit.audit_labels({"label": labels}, rank="leave-one-out", **ask).labels["row"].to_numpy()
        )
        theirs = self_confidence(labels, given)
        # The same order, but for what is equal once 0 has been raised to half of the least probability.
        assert (np.diff(np.maximum(theirs[by_loss], 1e-3)) >= -1e-12).all()
        ours = dataaudit.audit_labels({"label": labels}, **ask).labels["row"].head(len(planted))
        first = np.argsort(theirs, kind="stable")[: len(planted)]
        assert np.isin(ours, planted).sum() >= np.isin(first, planted).sum() - 1


def test_what_takes_a_model_fitted_here_is_null_and_said(audit):
    assert audit.labels.select(UNKNOWN).null_count().sum_horizontal()[0] == len(UNKNOWN) * len(Y)
    assert audit.labels.drop(UNKNOWN, "line").null_count().sum_horizontal()[0] == 0
    for name in ("evidence", "neighbours", "verification", "selection"):
        assert audit.findings.tables()[name].is_empty()
    assert audit.findings.provenance.outside
    assert audit.findings.provenance.settings["pred_probs"] == "given"


def test_the_loss_is_that_of_the_label(audit, P):
    own = P[np.arange(len(Y)), Y][audit.labels["row"].to_numpy()]
    clear = own > 0.05  # and not raised
    np.testing.assert_allclose(audit.labels["loo_p_label"], own)
    np.testing.assert_allclose(audit.labels["loo_loss"].to_numpy()[clear], -np.log(own[clear]), atol=2e-3)


def test_probabilities_of_training_rows_are_warned_of(forest):
    heart = forest.fit(X, Y).predict_proba(X)
    audit = dataaudit.audit_labels({"label": Y}, label="label", pred_probs=heart)
    checks = audit.health.filter(~pl.col("ok"))
    assert checks["check"].to_list() == [IN_SAMPLE]
    assert "probabilities look as if each row had been in training" in checks["message"][0]


def test_an_estimator_is_fitted_by_folds(forest):
    frame = pl.DataFrame(X).with_columns(label=Y)
    audit = dataaudit.audit_labels(frame, label="label", estimator=forest, folds=3)
    assert found(audit) > 0.8
    assert audit.health["ok"].all()
    assert IN_SAMPLE not in audit.health["check"]
    said = audit.findings.provenance
    assert any("RandomForestClassifier was fitted 3 times" in note for note in said.notes)
    assert said.settings["folds"] == 3


def test_several_classes_groups_and_who_mislabels():
    rng = np.random.default_rng(1)
    truth = rng.integers(0, 4, 600)
    P = np.full((600, 4), 0.04)
    P[np.arange(600), truth] = 0.88
    P = 0.7 * P + 0.3 * rng.dirichlet(np.ones(4), 600)
    who = np.where(np.arange(600) % 6 == 0, "eve", "ann")
    y = np.where((who == "eve") & (rng.random(600) < 0.5), (truth + 1) % 4, truth)
    frame = pl.DataFrame({"y": y, "who": who, "g": np.arange(600) // 2})
    audit = dataaudit.audit_labels(frame, label="y", pred_probs=P, by="who", group="g")
    assert audit.by.filter("significant")["level"].to_list() == ["eve"]
    assert abs(audit.expected - (y != truth).sum()) < 15
    first = audit.labels.head(30)
    assert (first["suggested_label"].cast(int).to_numpy() == truth[first["row"].to_numpy()]).mean() > 0.9


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"estimator": 1}, "pred_probs and estimator each say what a row gets"),
        (
            {"model": "svm"},
            "pred_probs fits no model here: model says how one is to be. Hint: leave model out",
        ),
        ({"l2": 0.1}, "leave l2 out"),
        ({"basis": "spline"}, "leave basis out"),
        ({"weight": "w"}, "leave weight out"),
        ({"workers": 2}, "leave workers out"),
        ({"rank": "self-influence"}, "pred_probs has no self-influence"),
    ],
)
def test_what_is_asked_of_a_model_that_is_not_there_is_refused(P, more, message):
    with pytest.raises(SettingError, match=message):
        dataaudit.audit_labels({"label": Y}, label="label", pred_probs=P, **more)


def test_a_plan_has_nothing_to_plan(P):
    with pytest.raises(SettingError, match="pred_probs"):
        dataaudit.plan({"label": Y, "x": X[:, 0]}, label="label", pred_probs=P)


def test_the_commands_that_follow(P, tmp_path):
    """labels, report, review file, learn, apply and export, each of which reads the findings."""
    file, given, out = tmp_path / "d.csv", tmp_path / "p.parquet", tmp_path / "found"
    pl.DataFrame(X[:, :3]).with_columns(label=pl.Series(NAMES[Y])).write_csv(file)
    pl.DataFrame(P, schema=NAMES.tolist()).write_parquet(given)
    said = run("labels", file, "--label", "label", "--pred-probs", given, "--out", out)
    assert "569 rows, probabilities from a file" in said
    assert "audit verify" not in said
    page = (out / "report.html").read_text(encoding="utf-8")
    assert "Out of sample the row gets" in page
    assert "self-influence" not in page.partition("<main")[2].partition("Order <select")[0]
    findings = Findings.read(out)
    first, sampled = findings.labels.head(12), findings.sample["row_id"].head(15)
    labels = dict(findings.labels.select("row_id", "label").iter_rows())
    truth = {name: NAMES[TRUTH[row]] for name, row in findings.labels.select("row_id", "row").iter_rows()}
    made = [
        {"row_id": name, "action": "keep" if truth[name] == labels[name] else "relabel", "label": truth[name]}
        for name in dict.fromkeys([*sampled, *first["row_id"]])
    ]
    decisions = tmp_path / "decisions.jsonl"
    decisions.write_text("".join(json.dumps(one) + "\n" for one in made), encoding="utf-8")
    assert "wrong" in run("learn", out, decisions)
    fixed = tmp_path / "d.fixed.csv"
    run("apply", out, decisions, file, "-o", fixed)
    relabelled = sum(one["action"] == "relabel" for one in made)
    changed = pl.read_csv(fixed)["label"] != pl.read_csv(file)["label"]
    assert changed.sum() == relabelled
    refused = run("verify", out, code=2)
    assert "a model of your own, which is not on disk" in refused


def test_a_table_of_labels_alone_is_repaired_too(P, tmp_path):
    file, given, out = tmp_path / "y.csv", tmp_path / "p.npy", tmp_path / "found"
    pl.DataFrame({"label": Y}).write_csv(file)
    np.save(given, P)
    run("labels", file, "--label", "label", "--pred-probs", given, "--out", out)
    first = Findings.read(out).labels.row(0, named=True)
    decisions = tmp_path / "decisions.jsonl"
    decisions.write_text(json.dumps({"row_id": first["row_id"], "action": "drop"}) + "\n", encoding="utf-8")
    run("apply", out, decisions, file, "-o", tmp_path / "fixed.csv")
    assert pl.read_csv(tmp_path / "fixed.csv").height == len(Y) - 1
