"""Training rows that are left out: one step beside a dense twin, the refit beside one of our own."""

from html import unescape

import numpy as np
import polars as pl
import pytest
import torch
from audits.explain.test_explain import table

import dataaudit
from dataaudit.audits.testset import predict
from dataaudit.errors import MissingColumn, SettingError
from dataaudit.findings.redact import redact
from dataaudit.options import LabelOptions
from dataaudit.report import explain as report_of
from dataaudit.training.encoded import encode_training, read_labelled
from dataaudit.training.train import train
from dataaudit.writers import html

ROW, L2 = 7, 1e-2
CONDITION, SLICE = "ward = 'a' and x > 0", "x > 0.5"


def explained(classes=2, **settings):
    frames = table(150, 0, classes), table(40, 1, classes)
    asked = {"without": CONDITION, "where": SLICE} | settings
    return dataaudit.explain(*frames, label="y", row=ROW, **{"l2": L2} | asked)


@pytest.mark.parametrize("classes", [2, 3])
def test_the_step_is_newtons_and_the_refit_is_the_minimum(classes):
    """By autograd over all rows that stay, with a dense Hessian; and at its own minimum."""
    why = explained(classes)
    frames = table(150, 0, classes), table(40, 1, classes)
    asked = LabelOptions(label="y", basis="linear", l2=L2)
    (known, target), (new, _) = (read_labelled(frame, asked) for frame in frames)
    trained = train(encode_training(known, target, asked), asked)
    number = {name: at for at, name in enumerate(trained.classes)}
    tested = predict(trained, new, np.array([number[label] for label in frames[1]["y"]]))
    stay = ~frames[0].select(pl.sql_expr(CONDITION)).to_series().to_numpy()
    X = trained.objective.rows.take(torch.from_numpy(np.flatnonzero(stay))).dense()
    y = trained.objective.rows.y[torch.from_numpy(stay)]

    def objective(theta):
        every = torch.nn.functional.pad(theta.view(X.shape[1], -1), (1, 0))
        loss = torch.nn.functional.cross_entropy(X @ every, y, reduction="sum") / 150
        ridged = every[:-1] - (every[:-1].mean(1, keepdim=True) if classes > 2 else 0)
        return loss + L2 / 2 * (ridged**2).sum()

    def newton(theta):
        H = torch.func.jacrev(torch.func.grad(objective))(theta)
        return theta - torch.linalg.solve(H, torch.func.grad(objective)(theta))

    step = newton(trained.fit.theta)
    minimum = step
    for _ in range(8):
        minimum = newton(minimum)
    part = frames[1].select(pl.sql_expr(SLICE)).to_series().to_numpy()
    scopes = {"prediction": np.arange(40) == ROW, "slice": part, "test": np.ones(40, dtype=bool)}
    for when, theta in (("before", trained.fit.theta), ("predicted", step), ("after", minimum)):
        s = torch.nn.functional.pad(trained.objective.model.scores(theta, tested.block), (1, 0))
        loss = torch.nn.functional.cross_entropy(s, tested.block.y, reduction="none").numpy()
        wrong = s.argmax(1).numpy() != tested.y
        for scope, rows in scopes.items():
            found = why.without.row(by_predicate=pl.col("scope") == scope, named=True)
            assert found["n"] == rows.sum()
            assert found[f"errors_{when}"] == wrong[rows].sum()
            assert found[f"loss_{when}"] == pytest.approx(loss[rows].mean(), rel=1e-6)
    assert (
        len(why.tables.turned)
        == 1 + (why.tables.turned["predicted_label"][1:] != why.tables.turned["predicted_without"][1:]).sum()
    )


def test_it_is_what_training_without_the_rows_gives():
    why = explained(without="ward = 'a'", exclude="ward", l2=1e-4)
    left = table(150, 0, 2).filter(pl.col("ward") != "a").drop("ward")
    # n and hence λn stay as they were; the ranks of numbers are learned anew, which moves the loss a little
    again = dataaudit.explain(
        left, table(40, 1, 2).drop("ward"), label="y", row=ROW, l2=1e-4 * 150 / len(left)
    )
    found = why.tables.turned.row(0, named=True)
    assert found["test_row"] == ROW
    assert found["predicted_without"] == again.tables.provenance.predicted_label
    assert found["loss_after"] == pytest.approx(again.tables.provenance.loss, abs=0.05)
    counts = dict(table(150, 0, 2).filter(ward="a")["y"].value_counts().iter_rows())
    assert {name: gone for name, _, gone in why.tables.without_classes.iter_rows()} == counts
    assert "ward" not in [
        role["column"] for role in why.tables.provenance.roles if role["role"] != "left out"
    ]


def test_one_row_by_its_name_is_its_leave_one_out():
    why = explained(without="row_id = '<frame>#4'", where=None, top=150)
    alone = why.influences.filter(train_row=4)["delta_loss_if_removed"][0]
    found = why.without.row(0, named=True)
    assert found["loss_predicted"] - found["loss_before"] == pytest.approx(alone, rel=1e-6)
    assert why.tables.provenance.without["rows"] == 1
    number = explained(without="row = 4", where=None)
    assert number.without.equals(why.without)


def test_a_row_without_a_label_is_counted_for_its_predicted_class():
    test = table(40, 1, 2).with_columns(y=pl.when(pl.int_range(pl.len()) == ROW).then(None).otherwise("y"))
    why = dataaudit.explain(table(150, 0, 2), test, label="y", row=ROW, l2=L2, without=CONDITION)
    first, last = why.without.row(0, named=True), why.without.row(-1, named=True)
    assert (first["scope"], first["errors_before"], last["n"]) == ("prediction", 0, 39)
    assert why.tables.turned["label"][0] is None
    bare = dataaudit.explain(
        table(150, 0, 2), table(40, 1, 2).drop("y"), label="y", row=ROW, l2=L2, without=CONDITION
    )
    assert bare.without["scope"].to_list() == ["prediction"]
    assert "test rows" not in bare.tables.provenance.without["sentence"]


@pytest.mark.parametrize(
    ("settings", "error", "words"),
    [
        ({"without": "ward ="}, SettingError, "without cannot be read: unable to parse"),
        ({"without": "wrad = 'a'"}, MissingColumn, "did you mean 'ward'"),
        ({"without": "ward = 3"}, SettingError, "without cannot be read: cannot compare"),
        ({"without": "x"}, SettingError, "without is no condition: 'x' gives Float64"),
        ({"without": "ward = 'q'"}, SettingError, "no training row with a label fulfils"),
        ({"without": "x is not null"}, SettingError, "all 150 training rows fulfil"),
        ({"without": "y = 'low'"}, SettingError, "every training row of class 'low' fulfils"),
        ({"where": "ward = 'q'"}, SettingError, "no test row fulfils"),
        ({"where": "wrad = 'q'"}, MissingColumn, "is not in the test rows"),
        ({"without": None}, SettingError, "where counts the test rows of a slice for without"),
        ({"model": "svm"}, SettingError, "without is measured for a logistic regression: got model svm"),
    ],
)
def test_conditions_that_cannot_be_answered(settings, error, words):
    with pytest.raises(error) as caught:
        explained(**settings)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_no_level_of_a_condition_is_shown_where_cells_are_withheld():
    why = explained(2)
    whole = unescape(html.page(report_of.report(why.tables)))
    assert "Without ward = 'a' and x > 0" in whole
    for level in ("cells", "all"):
        kept = redact(why.tables, level)
        page = unescape(html.page(report_of.report(kept)))
        assert "'a'" not in page
        assert "x > 0" not in page
        assert "Without some training rows" in page
        assert "that fulfil the condition that was asked about" in page
        assert redact(kept, level).provenance.without == kept.provenance.without
