"""Audits of labels that are numbers: every score against true refits, planted values, review and repair."""

import json
from dataclasses import replace

import numpy as np
import polars as pl
import pytest
import torch
from noisy import average_precision

import dataaudit
from dataaudit.errors import DataError, SettingError
from dataaudit.influence.leave_one_out import refit_without
from dataaudit.options import LabelOptions
from dataaudit.repair.decisions import Decision, Decisions
from dataaudit.report.rows import queue, review_rows
from dataaudit.review.learning import learn_from
from dataaudit.review.progress import queue_of
from dataaudit.review.session import Desk, begin, press
from dataaudit.training.encoded import encode_training, read_labelled
from dataaudit.training.numbers import steadied, value_noise
from dataaudit.training.train import train
from dataaudit.training.trained import score_rows

ROWS = 240


def table(task="regression", n=ROWS, wrong=0.1):
    """Rows of a curved function of two numbers and a category, some with another row's label."""
    random = np.random.default_rng(0)
    x, z, kind = random.uniform(-2, 2, n), random.normal(size=n), random.choice(["a", "b", "c"], n)
    mean = 3 * np.sin(x) + z + 2 * (kind == "b")
    y = np.round(20 + 4 * (mean + 0.3 * random.standard_normal(n)), 2)
    if task == "count":
        y = random.poisson(np.exp(0.5 * mean)).astype(float)
    bad = random.random(n) < wrong
    labels = y.copy()
    labels[bad] = random.permutation(y)[bad]
    return pl.DataFrame({"x": x, "z": z, "kind": kind, "y": labels}), bad & (labels != y)


def trained_on(frame, task, **options):
    settings = LabelOptions(label="y", task=task, **options)
    dataset, target = read_labelled(frame, settings)
    return train(encode_training(dataset, target, settings), settings)


@pytest.fixture(scope="module", params=["regression", "count"])
def model(request):
    return trained_on(table(request.param)[0], request.param)


def test_leave_one_out_is_that_of_true_refits(model):
    """Ridge: all rows to 1e-8. Poisson: the step from the fit is Newton's, to 1e-8, and refits are near."""
    objective, fit = model.objective, model.fit
    without, now = model.left_out[:, 0], objective.scores(fit.theta)[:, 0]
    for row in range(0, ROWS, 8):
        refit = refit_without(objective, fit, row)
        there = float(objective.scores(refit.theta)[row, 0])
        if model.quantity.is_count:
            weight = objective.rows.weight.clone()
            weight[row] = 0.0
            alone = objective.reweighted(weight)
            step = torch.linalg.solve(alone.hessian(fit.theta), alone.gradient(fit.theta))
            assert float(objective.scores(fit.theta - step)[row, 0]) == pytest.approx(
                float(without[row]), abs=1e-8
            )
            moved = abs(there - float(now[row]))
            assert abs(there - float(without[row])) <= 0.1 * moved + 1e-4
        else:
            assert there == pytest.approx(float(without[row]), abs=1e-8)


def test_ridge_is_the_textbooks_hat_matrix():
    """By a dense inverse that shares nothing with the solvers."""
    model = trained_on(table()[0], "regression", l2=0.01)
    rows, n = model.objective.rows, ROWS
    X = np.hstack([rows.X.numpy(), np.ones((n, 1))])
    ridge = np.diag([*np.full(X.shape[1] - 1, 0.01 * n), 0.0])
    hat = X @ np.linalg.solve(X.T @ X + ridge, X.T)
    y = rows.y.numpy()
    left_out = (hat @ y - np.diag(hat) * y) / (1 - np.diag(hat))
    np.testing.assert_allclose(model.left_out[:, 0].numpy(), left_out, atol=1e-8)


def test_the_noise_is_the_unit_of_a_measurement(model):
    quantity = model.quantity
    if quantity.is_count:
        np.testing.assert_array_equal(model.objective.rows.y.numpy(), quantity.values)
        return
    errors = model.objective.rows.y.numpy() - model.left_out[:, 0].numpy()
    assert 1.4826 * np.median(np.abs(errors)) == pytest.approx(1.0)
    fitted = quantity.of_scores(model.objective.scores(model.fit.theta)[:, 0].numpy())
    assert np.median(np.abs(fitted - quantity.values)) < 2.0


def test_a_gross_value_pulls_nothing_once_it_weighs_nothing():
    frame, _ = table(wrong=0.0)
    spoiled = frame.with_columns(y=pl.when(pl.int_range(pl.len()) == 5).then(1e6).otherwise("y"))
    model = trained_on(spoiled, "regression")
    calm = model.without_gross()
    steady = steadied(model, value_noise(calm, score_rows(calm)))
    assert float(steady.objective.rows.weight[5]) < 1e-4  # times an error of 1e5 noises: as one row
    clean = dataaudit.audit_labels(frame, label="y", task="regression", verify=0, top=0)
    found = dataaudit.audit_labels(spoiled, label="y", task="regression", verify=0, top=0)
    first = found.labels.row(0, named=True)
    assert first["row"] == 5
    was = float(frame["y"][5])
    assert abs(float(first["suggested_label"]) - was) < 5
    assert abs(found.expected - clean.expected) < 5


@pytest.mark.parametrize("task", ["regression", "count"])
def test_planted_values_come_first_and_refits_confirm_what_is_said(task):
    frame, bad = table(task)
    audit = dataaudit.audit_labels(frame, label="y", task=task, top=20, verify=12)
    labels = audit.labels.sort("row")
    found = average_precision(-labels["rank"].to_numpy(), bad)
    assert found > (0.75 if task == "regression" else 0.35)
    refits = audit.findings.verification
    assert refits.height == 12
    limit = 1e-8 if task == "regression" else 0.05
    assert (refits["predicted"] - refits["measured"]).abs().max() < limit
    assert audit.findings.health.filter(~pl.col("ok")).is_empty()
    assert set(audit.findings.neighbours["neighbour_label"]) <= set(labels["label"])
    first = audit.labels.row(0, named=True)
    evidence = audit.findings.evidence.filter(row_id=first["row_id"])
    assert evidence["contribution"].sum() < 0  # the columns speak against the label


@pytest.fixture(scope="module")
def audited(tmp_path_factory):
    folder = tmp_path_factory.mktemp("numbers")
    table()[0].write_csv(folder / "rows.csv")
    audit = dataaudit.audit_labels(folder / "rows.csv", label="y", task="regression", by=["kind"])
    return folder, audit


def test_typed_numbers_are_accepted_and_words_are_not(audited):
    _, audit = audited
    desk = Desk(begin(queue_of(audit.findings)))
    for key in ["c", *"12.75", "enter"]:
        desk = press(desk, key, find=lambda _: frozenset())
    (made,) = desk.review.decisions.values()
    assert (made.action, made.label) == ("relabel", "12.75")
    for key in ["c", *"much", "enter"]:
        desk = press(desk, key, find=lambda _: frozenset())
    assert desk.review.message == "“much” is no such number."
    assert press(desk, "1", find=lambda _: frozenset()).review.message == "Press c to type another number."
    given = queue(audit.findings, review_rows(audit.findings, 10))
    assert given["number"] == "regression"
    assert not any(given["digits"])


def test_decisions_are_learned_from_and_what_is_no_number_is_refused(audited):
    _, audit = audited
    row = audit.labels["row_id"][0]
    sampled = audit.sample(12)["row_id"].to_list()
    kept = [Decision(row_id=name, action="keep") for name in sampled if name != row]
    learned = learn_from(
        audit.findings, Decisions((Decision(row_id=row, action="relabel", label="3.5"), *kept))
    )
    assert learned.provenance.learned["decisions"] == len(kept) + 1
    with pytest.raises(DataError, match=r"'3,5', which is no number.*12.5"):
        learn_from(audit.findings, Decisions((Decision(row_id=row, action="relabel", label="3,5"),)))


def test_a_file_is_repaired_with_suggested_and_typed_numbers(audited):
    from dataaudit.cli import main

    folder, audit = audited
    audit.write(folder / "found")
    first, second = audit.labels.head(2).iter_rows(named=True)
    lines = [{"row_id": first["row_id"], "action": "relabel", "label": first["suggested_label"]}]
    lines += [{"row_id": second["row_id"], "action": "relabel", "label": "21.5"}]
    (folder / "d.jsonl").write_text("\n".join(map(json.dumps, lines)))
    asked = [str(folder / name) for name in ("found", "d.jsonl", "rows.csv")]
    assert main(["apply", *asked, "-o", str(folder / "fixed.csv"), "--no-model"]) == 0
    fixed = pl.read_csv(folder / "fixed.csv")["y"]
    assert fixed[first["row"]] == float(first["suggested_label"])
    assert fixed[second["row"]] == 21.5
    (folder / "d.jsonl").write_text(json.dumps(lines[0] | {"label": "wide"}))
    assert main(["apply", *asked, "-o", str(folder / "other.csv"), "--no-model"]) == 2


def test_who_mislabels_is_counted_over_numbers_too(audited):
    _, audit = audited
    assert set(audit.by["level"]) == {"a", "b", "c"}
    assert audit.by["expected_wrong"].sum() == pytest.approx(audit.labels["p_wrong"].sum())


def test_what_is_of_classes_is_refused():
    frame, _ = table()
    with pytest.raises(SettingError, match="model is for classes, and the task is regression: got model svm"):
        dataaudit.audit_labels(frame, label="y", task="regression", model="svm")
    with pytest.raises(SettingError, match=r"unknown task: got 'regresion'.*regression"):
        dataaudit.audit_labels(frame, label="y", task="regresion")


def test_groups_leave_together():
    frame, _ = table()
    frame = frame.with_columns(site=pl.int_range(pl.len()) // 4)
    model = trained_on(frame, "regression", group="site", exclude=["site"], basis="linear", l2=0.1)
    rows = model.objective.rows
    for site in (0, 17):
        gone = torch.arange(4 * site, 4 * site + 4)
        refit = refit_without(model.objective, model.fit, gone)
        there = model.objective.scores(refit.theta)[gone, 0]
        torch.testing.assert_close(model.left_out[gone, 0], there, atol=1e-8, rtol=0)
    assert rows.n == ROWS
    assert replace(model).groups is not None
