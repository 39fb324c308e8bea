"""The order that a model gives once it knows some labels, beside the order of a true refit."""

import numpy as np
import pytest

import dataaudit
from dataaudit.audits.rerank import reorderer
from dataaudit.audits.rerun import reopen
from dataaudit.errors import DataError
from dataaudit.influence.leave_one_out import leave_one_out_scores
from dataaudit.model.losses import Softmax
from dataaudit.solvers import choose_solver
from dataaudit.solvers.newton import minimise


@pytest.fixture(scope="module")
def study(cancer, tmp_path_factory):
    """Findings of 569 rows with 57 wrong labels, and what a review says of the first 60."""
    path = tmp_path_factory.mktemp("reorder") / "cancer.csv"
    cancer.frame.write_csv(path)
    findings = dataaudit.audit_labels(path, label="y", id="id", basis="linear", verify=0, top=5).findings
    first = findings.labels.head(60)
    other = {"benign": "malignant", "malignant": "benign"}
    said = {
        name: other[label] if row in cancer.flipped else label
        for name, row, label in first.select("row_id", "row", "label").iter_rows()
    }
    return findings, said, path


def test_without_decisions_everything_is_as_it_was(study):
    findings, _, _ = study
    found = reorderer(findings, reopen(findings)).after({})
    assert found.order.tolist() == list(range(len(findings.labels)))
    assert np.abs(found.p_wrong - findings.labels["p_wrong"].to_numpy()).max() < 1e-6
    assert list(found.suggested) == findings.labels["suggested_label"].to_list()


def test_steps_lead_to_the_true_refit(study):
    """The slow twin fits to the labels as decided and inverts the Hessian there."""
    findings, said, _ = study
    model = reorderer(findings, reopen(findings))
    gone, told = frozenset(list(said)[:3]), dict(list(said.items())[3:])
    start = model._theta
    changed = model._changed(told, gone)
    fit = minimise(changed, start).require_converged()
    one = model.after(told, gone)
    # A tenth of all rows at once is a large batch: the first step goes two thirds of the way.
    assert (model._theta - fit.theta).norm() < 0.4 * (start - fit.theta).norm()
    for _ in range(3):
        model.after(told, gone)
    assert (model._theta - fit.theta).norm() < 1e-6 * (start - fit.theta).norm()
    forms = choose_solver(changed).prepare(changed, fit.theta).quadratic_forms()
    y = model._trained.objective.rows.y
    scores = leave_one_out_scores(changed, fit.theta, forms)
    loss = Softmax(2).value(scores, y).numpy()[model._rows]
    mine = np.empty(len(loss))
    mine[one.order] = np.arange(len(loss))
    true = np.argsort(np.argsort(-loss, kind="stable"), kind="stable")
    assert np.corrcoef(mine, true)[0, 1] > 0.98


def test_a_model_that_was_told_so_contradicts_the_wrong_labels_more(study):
    findings, said, _ = study
    found = reorderer(findings, reopen(findings)).after(said)
    rows = findings.labels.select("row_id", "label", "p_wrong").iter_rows()
    before = np.array([p if label != said.get(name, label) else np.nan for name, label, p in rows])
    wrong = np.isfinite(before)
    assert found.p_wrong[wrong].mean() > before[wrong].mean() > 0.8
    assert found.p_wrong[~wrong].mean() < 0.1  # names and places were not mixed up


def test_more_than_two_classes_and_a_class_that_nobody_has(wine, tmp_path):
    path = tmp_path / "wine.csv"
    wine.frame.write_csv(path)
    findings = dataaudit.audit_labels(path, label="y", id="id", verify=0, top=0).findings
    names = findings.labels["row_id"]
    found = reorderer(findings, reopen(findings)).after({names[0]: "class_2", names[1]: "nonsense"})
    assert sorted(found.order) == list(range(len(names)))
    assert set(found.suggested) <= {"class_0", "class_1", "class_2"}
    assert all(a != b for a, b in zip(found.suggested, findings.labels["label"], strict=True))


def test_other_data_are_refused(study, tmp_path):
    findings, _, path = study
    other = tmp_path / "other.csv"
    other.write_bytes(path.read_bytes().replace(b"benign", b"malign", 1))
    with pytest.raises(DataError, match=r"other\.csv has changed since it was audited"):
        reopen(findings, str(other))
    assert reopen(findings, str(path)).dataset.row_id.sort().equals(findings.labels["row_id"].sort())


def test_findings_of_a_frame_name_no_file(cancer):
    findings = dataaudit.audit_labels(
        cancer.frame, label="y", id="id", basis="linear", verify=0, top=0
    ).findings
    with pytest.raises(DataError, match="came from no file"):
        reopen(findings)
