"""Accuracy and loss without labels: calibrators against slow twins, coverage, and what cannot be known."""

import numpy as np
import polars as pl
import pytest
import torch
from scipy.optimize import minimize
from scipy.special import expit
from sklearn.linear_model import LinearRegression

import dataaudit
from dataaudit.audits.mismatch.expected import Outcomes, Predicted, expected_table, line, logistic
from dataaudit.audits.shift.two_sample import fit_membership
from dataaudit.audits.testset import predict, read_pair
from dataaudit.features.roles import infer_roles
from dataaudit.findings.schemas import MismatchFindings
from dataaudit.options import EncoderOptions, MismatchOptions
from dataaudit.report.mismatch import report
from dataaudit.solvers.newton import minimise
from dataaudit.training.encoded import encode_training
from dataaudit.training.train import train
from dataaudit.writers import html


def table(n, seed, *, centre=0.0, spread=1.0):
    """Labels by a curve that a line misses, the same wherever the rows lie."""
    random = np.random.default_rng(seed)
    x, z = centre + spread * random.normal(size=n), random.normal(size=n)
    y = np.where(1.5 * x + np.cos(2.0 * x) + 0.5 * z + random.logistic(size=n) > 0, "yes", "no")
    ward = random.choice(list("abc"), n)
    return pl.DataFrame({"x": x, "z": z, "ward": ward, "y": y})


def expected(known, test, **settings):
    return dataaudit.audit_mismatch(known, test.drop("y"), label="y", l2=1e-3, **settings).expected


def test_the_calibrators_are_the_penalised_minimum():
    random = np.random.default_rng(0)
    x, count = random.normal(size=60), random.integers(0, 4, 60).astype(float)
    y = (random.random(60) < expit(0.5 * x + 1.0)).astype(float)

    def loss(theta):
        s = theta[0] * x + theta[1]
        return (count * (np.logaddexp(0, s) - y * s)).sum() + ((theta - [1.0, 0.0]) ** 2).sum()

    np.testing.assert_allclose(logistic(x, y, count), minimize(loss, [1.0, 0.0], tol=1e-12).x, atol=1e-5)
    plain = LinearRegression().fit(x[:, None], y, sample_weight=1e6 * count)
    slope, offset = line(x, y, 1e6 * count)
    np.testing.assert_allclose([slope, offset], [plain.coef_[0], plain.intercept_], atol=1e-4)
    assert line(np.ones(4), np.array([2.0, 4.0, 2.0, 4.0]), np.ones(4)) == (1.0, 2.0)


def test_without_a_shift_and_calibrated_it_is_the_mean_outcome():
    random = np.random.default_rng(1)
    p = random.dirichlet(np.ones(3), 4000)
    y = (p.cumsum(1) > random.random(4000)[:, None]).argmax(1)
    shown = np.column_stack([p.argmax(1) == y, -np.log(p[np.arange(4000), y])]).astype(float)
    both = Outcomes(Predicted.of(p[:2000]), Predicted.of(p[2000:]), shown[:2000])
    member = np.repeat([0.0, 1.0], 2000)
    values, weight, missed = both.estimate(0.01 * random.normal(size=4000), member, np.ones(4000))
    np.testing.assert_allclose(values, shown[2000:].mean(0), atol=0.03)
    np.testing.assert_allclose(weight.sum(), 1.0)
    assert np.abs(missed.mean(0)).max() < 0.02


def test_the_classifier_moves_as_a_refit_does():
    known, test = table(120, 0).drop("y"), table(120, 1, centre=0.6).drop("y")
    labelled = known.with_columns(y=pl.lit("a"))
    roles = infer_roles(labelled, "y", settings=EncoderOptions())
    fitted = fit_membership(
        known, test, roles, settings=EncoderOptions(), size=100, random=np.random.default_rng(0)
    )
    counts = np.ones((200, 2))
    counts[[3, 150], 1] = 0.0, 2.0
    moved = fitted.moved(counts)
    np.testing.assert_allclose(moved[:, 0], 0.0, atol=1e-12)
    weighted = fitted.objective.reweighted(torch.from_numpy(counts[:, 1]))
    refit = weighted.scores(minimise(weighted).theta) - fitted.objective.scores(fitted.theta)
    np.testing.assert_allclose(moved[:, 1], refit[:, 0].numpy(), atol=0.1 * np.abs(moved[:, 1]).max())


SHIFTS = {"none": {}, "to one side": {"centre": 0.8}, "narrow": {"spread": 0.4}, "wide": {"spread": 1.3}}


@pytest.mark.parametrize("shift", SHIFTS)
def test_what_the_labels_show_lies_within(shift):
    inside, asked = [], MismatchOptions(label="y", l2=1e-3)
    for seed in range(10, 14):
        known, test = table(400, seed), table(300, 100 + seed, **SHIFTS[shift])
        pair, hidden = (read_pair(known, rows, asked) for rows in (test, test.drop("y")))
        trained = train(encode_training(pair.train, pair.target, asked), asked)
        tested = predict(trained, pair.test, pair.y)
        found = expected_table(hidden, trained, settings=asked)
        values = 1.0 - tested.wrong.mean(), tested.loss.mean()
        inside += [low <= v <= high for v, low, high in zip(values, found["low"], found["high"], strict=True)]
        assert (found["high"] - found["low"]).max() < 0.4
    assert sum(inside) >= 6  # of eight


def test_rows_drawn_again_and_again_say_less():
    known, test = table(300, 0), table(100, 1)
    once = expected(known, test)
    again = expected(known, pl.concat([test] * 4))
    width = [float((one["high"] - one["low"])[0]) for one in (once, again)]
    assert width[1] > 0.8 * width[0], "four copies of a row have one label"


def test_where_no_training_row_is_like_it_nothing_is_said():
    known, test = table(300, 0), table(200, 1)
    far = expected(known, test.with_columns(pl.col("x") + 50.0))
    assert far["value"].null_count() == 2
    assert far["low"].null_count() == 2
    assert far["message"].n_unique() == 1
    assert "cannot be known from the inputs alone" in far["message"][0]
    new = pl.when(pl.int_range(200) < 40).then(pl.lit("d")).otherwise("ward").alias("ward")
    part = expected(known, test.with_columns(new))
    assert (part["rows"][0], part["unlike"][0]) == (160, 40)
    assert "; nothing is known of 40 test rows that no training row is like" in part["message"][0]


def test_it_is_on_the_page_and_says_what_it_cannot_see(tmp_path):
    audit = dataaudit.audit_mismatch(table(200, 0), table(100, 1).drop("y"), label="y", l2=1e-3)
    audit.write(tmp_path)
    again = MismatchFindings.read(tmp_path)
    assert again.expected.equals(audit.expected)
    said = " ".join(map(str, report(again).sentences))
    assert audit.expected["message"][0] in said
    assert "Labels that changed given the inputs cannot be seen" in said
    page = html.page(report(again))
    assert "Expected accuracy and loss" in page
    assert f"{audit.expected['value'][0]:.3f}" in page


def test_few_rows_and_labelled_rows_have_none():
    assert expected(table(60, 0), table(5, 1)).is_empty()
    assert dataaudit.audit_mismatch(table(100, 0), table(60, 1), label="y", l2=1e-2).expected.is_empty()
