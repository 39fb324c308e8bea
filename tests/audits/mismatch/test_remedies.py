"""Remedies: predicted beside measured, on a small twin of the paper's hospital case where the cure is
known."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
import scipy.stats
import torch
from sklearn.linear_model import LogisticRegression

from dataaudit.audits.mismatch.remedies import (
    Remedies,
    RemedyCase,
    remedy_table,
    ridge_grid,
    rows_to_collect,
    try_remedies,
)
from dataaudit.audits.mismatch.tracing import move_relabelled, relabellings
from dataaudit.audits.testset import predict
from dataaudit.findings.schemas import REMEDIES
from dataaudit.influence.groups import group_step
from dataaudit.options import LabelOptions
from dataaudit.training.encoded import encode_training, read_labelled
from dataaudit.training.train import train

SLICE = "age = child"


def hospital(n, seed, *, children, ill):
    """Patients; the first `children` rows are children, `ill` of them with label 1, whatever their x."""
    random = np.random.default_rng(seed)
    age = np.where(np.arange(n) < children, "child", random.choice(["young", "middle", "old"], n))
    x = random.normal(size=n)
    y = (random.random(n) < 1.0 / (1.0 + np.exp(2.0 - x))).astype(int)
    y[:children] = np.arange(children) < ill
    return pl.DataFrame({"age": age, "x": x, "noise": random.normal(size=n), "id": np.arange(n), "y": y})


@pytest.fixture(scope="module")
def twin():
    """Four training children, three of them ill; forty test children, all well."""
    asked = LabelOptions(label="y", id="id", basis="linear", l2=1e-4)
    dataset, target = read_labelled(hospital(2000, 0, children=4, ill=3), asked)
    trained = train(encode_training(dataset, target, asked), asked)
    new, labels = read_labelled(hospital(1500, 1, children=40, ill=0), asked)
    tested = predict(trained, new, labels.y)
    errors = np.flatnonzero(tested.wrong[:40]).astype(np.int64)
    assert len(errors) > 15
    return trained, tested, RemedyCase(7, np.arange(4), errors, SLICE, np.arange(4), np.arange(40))


@pytest.fixture(scope="module")
def found(twin):
    trained, tested, case = twin
    return try_remedies(trained, case, tested=tested, grid=ridge_grid(trained, tested))


def remedy(found, name):
    return next(r for r in found.tried if r.remedy == name)


def test_removing_is_measured_as_scikit_learn_measures_it(twin, found):
    trained, tested, case = twin
    X, y = trained.objective.rows.X.numpy(), trained.objective.rows.y.numpy()
    n, block = len(y), tested.block.X.numpy()

    def fitted(keep):
        C = 1.0 / (n * trained.objective.l2)  # the mean is over n rows, whoever has left
        return LogisticRegression(C=C, tol=1e-12, max_iter=10_000).fit(X[keep], y[keep])

    with_all, without = fitted(np.ones(n, bool)), fitted(np.arange(n) >= 4)
    one = remedy(found, "remove")
    assert one.before.errors == (with_all.predict(block[:40]) != 0).sum() == len(case.errors)
    assert one.after.errors == (without.predict(block[:40]) != 0).sum()
    assert one.after.test_errors == (without.predict(block) != tested.y).sum()
    losses = [-np.log(m.predict_proba(block)[np.arange(1500), tested.y]) for m in (with_all, without)]
    assert one.before.test_loss == pytest.approx(losses[0].mean(), abs=1e-6)
    assert one.after.loss == pytest.approx(losses[1][:40].mean(), abs=1e-6)
    assert one.measured == pytest.approx((losses[1] - losses[0])[case.errors].mean(), abs=1e-6)


def test_the_newton_step_predicts_what_is_measured(found):
    for name, error in (("remove", 0.03), ("down-weight", 0.03), ("relabel", 0.05)):
        one = remedy(found, name)
        assert one.predicted == pytest.approx(one.measured, rel=error)
        assert one.measured < -0.02


def test_removing_and_relabelling_cure_and_half_measures_need_not(found):
    assert remedy(found, "remove").cures
    assert remedy(found, "relabel").cures
    assert remedy(found, "relabel").detail == "3 training rows relabelled as 0"
    assert remedy(found, "down-weight").after.errors > remedy(found, "remove").after.errors


def test_errors_along_lambda_fall_to_a_cure(twin, found):
    trained, tested, _ = twin
    ridges = [r for r in found.tried if r.remedy == "ridge"]
    assert [r.l2 / 1e-4 for r in ridges] == pytest.approx([0.1, 0.3162, 1, 3.162, 10, 31.62, 100], rel=1e-3)
    own = next(r for r in ridges if r.l2 == 1e-4)
    assert own.after == own.before
    assert not own.cures
    assert ridges[0].after.errors >= own.after.errors
    assert ridges[-2].cures
    X, y, C = trained.objective.rows.X.numpy(), trained.objective.rows.y.numpy(), 1.0 / (2000 * ridges[4].l2)
    cold = LogisticRegression(C=C, tol=1e-12, max_iter=10_000).fit(X, y)
    assert ridges[4].after.errors == cold.predict(tested.block.X[:40].numpy()).sum()


def test_the_advice_names_the_mildest_cure_and_the_rows(found):
    assert found.advice.startswith("Stronger regularisation cures it: at λ = ")
    assert "Check these 4 training rows" in found.advice
    assert f"more rows of {SLICE}" in found.advice
    assert "of the 40 test rows of age = child" in found.advice


def test_what_was_not_tried_is_not_said_to_fail(twin):
    trained, tested, case = twin
    used = ridge_grid(trained, tested, factors=(0.1, 1.0))
    untouched = try_remedies(trained, case, tested=tested, grid=used, refit=False)
    assert {r.remedy for r in untouched.tried} == {"ridge", "collect"}
    said = "λ does not cure it, and its rows were not changed here: check their labels, or collect about"
    assert untouched.advice.startswith(said)
    bare = replace(case, slice_name=None)
    told = try_remedies(trained, bare, tested=tested, grid=used, refit=False).advice
    assert told == "λ does not cure it, and its rows were not changed here: check their labels."
    assert try_remedies(trained, bare, tested=tested, refit=False).advice.startswith("Its rows were not")


def test_other_labels_move_the_parameters_by_the_newton_step_of_the_group(twin):
    trained, _, case = twin
    for new in relabellings(trained, case.rows, 0):
        y, rows = torch.from_numpy(new), torch.from_numpy(case.rows)
        step = group_step(trained.objective, trained.fit.theta, rows, y=y, weight=1.0)
        moved = trained.fit.theta + move_relabelled(trained, case.rows, new)
        torch.testing.assert_close(moved, step, rtol=1e-6, atol=1e-8)
    assert [new.tolist() for new in relabellings(trained, case.rows, 0)] == [[0] * 4, [0, 0, 0, 1]]
    assert relabellings(trained, np.arange(2000), 0)[0].sum() > 0  # one class would be left: only the swap


def test_without_a_cure_it_says_so(twin):
    trained, tested, _ = twin
    errors = np.flatnonzero(tested.wrong)[-30:].astype(np.int64)
    found = try_remedies(trained, RemedyCase(1, np.array([100, 101]), errors), tested=tested)
    assert not any(r.cures for r in found.tried)
    assert found.advice.startswith("Nothing that was tried cures it")
    assert remedy(found, "remove").n_counted == 30
    assert {r.remedy for r in found.tried} <= {"remove", "down-weight", "relabel"}


def test_rows_that_have_the_right_label_are_not_relabelled(twin):
    trained, tested, case = twin
    found = try_remedies(trained, RemedyCase(1, np.array([3]), case.errors), tested=tested)
    assert {r.remedy for r in found.tried} == {"remove", "down-weight"}
    assert remedy(found, "remove").measured > 0  # the one well child helps


def test_the_last_row_of_a_class_is_not_removed():
    frame = pl.DataFrame({"x": [0.0, 1.0, 2.0, 3.0, 4.0], "y": [0, 0, 0, 0, 1]})
    asked = LabelOptions(label="y", basis="linear", l2=0.1)
    dataset, target = read_labelled(frame, asked)
    trained = train(encode_training(dataset, target, asked), asked)
    tested = predict(trained, dataset, target.y)
    found = try_remedies(trained, RemedyCase(1, np.array([4]), np.array([0])), tested=tested)
    assert {r.remedy for r in found.tried} == {"down-weight"}


def test_a_class_of_several_is_relabelled_to_what_the_errors_are(wine, model_of):
    model = model_of(wine.frame, basis="linear", l2=0.05)
    tested = predict(model.trained, model.dataset, model.target.y)
    errors = np.flatnonzero(tested.wrong)
    usual = np.bincount(tested.y[errors], minlength=3).argmax()
    others = np.flatnonzero(model.target.y != usual)[:2]
    found = try_remedies(model.trained, RemedyCase(1, others, errors), tested=tested)
    assert remedy(found, "relabel").detail == f"2 training rows relabelled as {model.target.classes[usual]}"
    assert remedy(found, "relabel").predicted == pytest.approx(remedy(found, "relabel").measured, rel=0.2)


@pytest.mark.parametrize(
    ("k", "n", "p"), [(1, 4, 1.0), (0, 0, 0.8), (2, 30, 0.7), (40, 100, 0.9), (0, 5, 0.55)]
)
def test_rows_to_collect_is_the_least_number_by_search(k, n, p):
    def low(m):
        share = (k + m * p) / (n + m)
        z, N = scipy.stats.norm.ppf(0.975), n + m
        return (share + z**2 / (2 * N) - z * (share * (1 - share) / N + z**2 / (4 * N**2)) ** 0.5) / (
            1 + z**2 / N
        )

    m = rows_to_collect(k, n, p)
    assert m > 0
    assert low(m) > 0.5
    assert n + m == 1 or not low(m - 1) > 0.5


def test_no_number_of_rows_settles_what_is_even_and_none_is_needed_for_what_is_settled():
    assert rows_to_collect(3, 10, 0.5) is None
    assert rows_to_collect(3, 10, 0.2) is None
    assert rows_to_collect(95, 100, 0.9) == 0


def test_collecting_is_no_advice_where_the_slice_is_divided(twin):
    trained, tested, _ = twin
    young = np.flatnonzero(tested.dataset.frame["age"] == "young").astype(np.int64)
    own = np.flatnonzero(np.array([a == "young" for a in trained.encoded.columns.levels.toarray().argmax(1)]))
    even = RemedyCase(2, np.array([50]), young[tested.wrong[young]], "age = young", own, young)
    found = try_remedies(trained, even, tested=tested)
    assert "collect" not in found.advice or "about" in found.advice
    assert remedy(found, "collect").after is None
    assert remedy(found, "collect").measured is None


def test_the_grid_has_the_minimum_at_every_point(twin):
    trained, tested, _ = twin
    grid = ridge_grid(trained, tested, factors=(0.5, 1.0, 2.0))
    assert [g.l2 for g in grid] == pytest.approx([5e-5, 1e-4, 2e-4])
    from dataclasses import replace

    for point in grid:
        gradient = replace(trained.objective, l2=point.l2).gradient(point.theta)
        assert gradient.abs().max() < 1e-7
    unheld = replace(trained, objective=replace(trained.objective, l2=0.0))
    assert ridge_grid(unheld, tested) == ()


def test_the_table_has_its_schema(found):
    table = remedy_table([found, Remedies((), "")])
    assert table.schema == REMEDIES
    assert table["finding"].unique().to_list() == [7]
    assert table["remedy"].to_list() == ["remove", "down-weight", "relabel", *["ridge"] * 7, "collect"]
    assert table.filter(pl.col("remedy") == "ridge")["predicted"].null_count() == 7
    assert table.filter(pl.col("remedy") == "collect")["errors_after"].to_list() == [None]
    assert (table["n_counted"] == 40).all()
    assert isinstance(torch.tensor(table["measured"].drop_nulls().to_numpy()), torch.Tensor)
