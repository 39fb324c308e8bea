"""Explanations of a predicted number: what its row's cells add, and the training rows behind it."""

import numpy as np
import polars as pl
import pytest
import torch

import dataaudit
from dataaudit.audits.testset import predict
from dataaudit.errors import DataError, SettingError
from dataaudit.findings.redact import redact
from dataaudit.options import LabelOptions
from dataaudit.report import shown
from dataaudit.training.encoded import encode_training, read_labelled
from dataaudit.training.train import train as fit

L2 = 0.01


@pytest.fixture(scope="module", params=["regression", "count"])
def case(request):
    random = np.random.default_rng(1)
    x, z = random.normal(size=200), random.normal(size=200)
    mean = 1.0 + 0.6 * x - 0.3 * z
    y = (
        random.poisson(np.exp(mean)).astype(float)
        if request.param == "count"
        else 5 * mean + random.normal(size=200)
    )
    frame = pl.DataFrame({"x": x, "z": z, "y": np.round(y, 2)})
    return request.param, frame[:180], frame[180:]


def test_removals_are_those_of_refits(case):
    """Of two training rows, by training again on the others with the same features and λ."""
    task, train, test = case
    why = dataaudit.explain(train, test, label="y", task=task, row=3, l2=0.01)
    p = why.tables.provenance
    assert p.label == f"{test['y'][3]:.12g}"
    assert why.tables.probabilities.is_empty()
    for row in why.influences.head(2).iter_rows(named=True):
        rest = train.with_row_index().filter(pl.col("index") != row["train_row"]).drop("index")
        kept = rest.with_columns(w=pl.lit(1.0))
        again = dataaudit.explain(kept.drop("w"), test, label="y", task=task, row=3, l2=0.01)
        other = again.tables.provenance
        assert np.sign(other.loss - p.loss) == np.sign(row["delta_loss_if_removed"])


def test_cells_add_up_to_the_prediction_and_are_in_the_unit_of_the_label(case):
    task, train, test = case
    why = dataaudit.explain(train, test, label="y", task=task, row=0)
    x, z = (why.contributions.filter(column=name)["contribution"][0] for name in ("x", "z"))
    factor = 1.0 if task == "count" else 5.0
    assert x == pytest.approx(0.6 * factor * test["x"][0], abs=0.35 * factor)
    assert z == pytest.approx(-0.3 * factor * test["z"][0], abs=0.35 * factor)
    assert (
        "prediction" in why.contributions["effect"][0] or "predicted count" in why.contributions["effect"][0]
    )
    assert shown(why.tables)[1].headline == f"Test row 0 is predicted {why.tables.provenance.predicted_label}"


def test_a_row_without_a_number_and_what_is_of_classes_are_refused(case):
    task, train, test = case
    with pytest.raises(DataError, match="the test row has no 'y', and a number is explained"):
        dataaudit.explain(train, test.drop("y"), label="y", task=task, row=0)
    for asked in ({"versus": "svm"}, {"model": "svm"}):
        with pytest.raises(
            SettingError, match=rf"{next(iter(asked))} is for classes, and the task is {task}"
        ):
            dataaudit.explain(train, test, label="y", task=task, row=0, **asked)


class Twin:
    """The same model by dense algebra: the minimum without some rows, and influence on a score."""

    def __init__(self, task, train, test):
        asked = LabelOptions(label="y", basis="linear", l2=L2, task=task)
        (known, target), (new, _) = (read_labelled(frame, asked) for frame in (train, test))
        self.trained = fit(encode_training(known, target, asked), asked)
        self.tested = predict(self.trained, new, test["y"].to_numpy(writable=True))
        rows = self.trained.objective.rows
        self.X, self.y = rows.take(torch.arange(rows.n)).dense(), rows.y
        self.theta, self.T = self.trained.fit.theta, self.tested.block.dense()
        self.ridge = L2 * torch.eye(self.X.shape[1], dtype=torch.float64)
        self.ridge[-1, -1] = 0.0

    def mean(self, s):
        return s.exp() if self.trained.quantity.is_count else s

    def newton(self, theta, stay):
        X, s = self.X[stay], self.X[stay] @ theta
        bend = self.mean(s) if self.trained.quantity.is_count else torch.ones_like(s)
        n = len(self.y)
        gradient = X.T @ (self.mean(s) - self.y[stay]) / n + self.ridge @ theta
        return theta - torch.linalg.solve((X.T * bend) @ X / n + self.ridge, gradient)

    def minimum(self, gone):
        stay = torch.ones(len(self.y), dtype=torch.bool)
        stay[torch.tensor(list(gone))] = False
        theta = self.theta
        for _ in range(40):
            theta = self.newton(theta, stay)
        return theta, self.newton(self.theta, stay)


def given(case):
    task, train, test = case
    return (train, test), {"label": "y", "task": task, "row": 3, "l2": L2}


@pytest.fixture(scope="module")
def twin(case):
    return Twin(*case)


def test_each_row_moves_the_prediction_as_one_newton_step_without_it(case, twin):
    """Of a ridge regression that is exactly what training without the row does."""
    frames, asked = given(case)
    why, decoded = dataaudit.explain(*frames, **asked), twin.trained.quantity.of_scores
    now = decoded(twin.tested.scores[3].numpy())[0]
    for row, change in why.influences.select("train_row", "delta_prediction_if_removed").iter_rows():
        refit, step = (decoded((twin.T[3] @ theta).numpy()) for theta in twin.minimum([row]))
        assert change == pytest.approx(float(step - now), rel=1e-8, abs=1e-10)
        assert change == pytest.approx(
            float(refit - now), rel=1e-8 if case[0] == "regression" else 0.05, abs=1e-10
        )


def test_without_rows_is_one_newton_step_and_a_refit(case, twin):
    frames, asked = given(case)
    why = dataaudit.explain(*frames, **asked, without="x > 0.4", where="z > 0")
    gone = np.flatnonzero((frames[0]["x"] > 0.4).to_numpy())
    after, step = twin.minimum(gone)
    part = (frames[1]["z"] > 0).to_numpy()
    scopes = {"prediction": np.arange(20) == 3, "slice": part, "test": np.ones(20, dtype=bool)}
    for one in why.without.iter_rows(named=True):
        for theta, when in ((twin.theta, "before"), (step, "predicted"), (after, "after")):
            s = (twin.T @ theta)[:, None]
            loss, wrong = (
                twin.trained.loss(s, twin.tested.block.y),
                twin.trained.wrong(s, twin.tested.block.y),
            )
            mine = scopes[one["scope"]]
            assert one[f"loss_{when}"] == pytest.approx(float(loss[mine].mean()), rel=1e-7)
            assert one[f"errors_{when}"] == wrong[mine].sum()
    assert why.tables.without_classes.is_empty()
    p = why.tables.provenance.without
    assert p["p"] is None
    assert p["rows"] == len(gone)
    assert f"Without {len(gone)} training rows" in p["sentence"]
    assert "far off" in p["sentence"]
    hidden = redact(why.tables, "all").provenance.without
    assert p["predictions"][1] not in hidden["sentence"]
    assert "far off" in shown(why.tables)[1].sections[-1].title or why.tables.turned.height >= 1


def test_a_prediction_passes_a_value_without_few_rows(case, twin):
    frames, asked = given(case)
    value = float(twin.trained.quantity.of_scores(twin.tested.scores[3].numpy())[0])
    for bound in (0.97 * value, 1.03 * value):
        why = dataaudit.explain(*frames, **asked, flip=f"prediction:{bound}")
        rows = why.tables.flip["train_row"].to_numpy()
        assert 0 < len(rows) <= 18
        s = twin.T[3] @ twin.minimum(rows)[0]
        after = float(twin.trained.quantity.of_scores(s.numpy()))
        assert (after > bound) == (value < bound)
        assert f"to {after:.4g} (confirmed by retraining)" in why.flip


def test_coefficients_and_errors_of_a_slice_flip(case, twin):
    frames, asked = given(case)
    noisy = frames[0].with_columns(u=pl.Series(np.random.default_rng(5).normal(size=180)))
    new = frames[1].with_columns(u=pl.Series(np.random.default_rng(6).normal(size=20)))
    why = dataaudit.explain(noisy, new, **asked, flip="coefficient:u")
    twin = Twin(case[0], noisy, new)
    at = [feature.name for feature in twin.trained.features].index("u")
    gone = why.tables.flip["train_row"].to_numpy()
    assert len(gone)
    assert twin.minimum(gone)[0][at] * twin.theta[at] < 0
    assert ("logarithms of the count" if case[0] == "count" else "the unit of the label") in why.flip


def test_a_slice_is_righted_without_the_rows_that_mislead_it(case):
    task, train, test = case
    ward = pl.Series("ward", np.where(np.arange(180) % 12 == 0, "b", "a"))
    train = train.with_columns(ward, y=pl.col("y") + pl.Series(25.0 * (np.arange(180) % 36 == 0)))
    test = test.with_columns(ward=pl.Series(np.where(np.arange(20) % 3 == 0, "b", "a")))
    why = dataaudit.explain(train, test, label="y", task=task, row=3, l2=L2, flip="slice:ward=b")
    assert "rights half of the errors of ward = b" in why.flip
    gone = why.tables.flip["train_row"].to_numpy()
    assert len(gone)
    assert (gone % 36 == 0).all()
    twin = Twin(task, train, test)
    part, y = np.arange(20) % 3 == 0, twin.tested.block.y
    left = twin.trained.wrong((twin.T @ twin.minimum(gone)[0])[:, None], y)[part].sum()
    assert left <= twin.tested.wrong[part].sum() // 2


def test_trust_is_by_the_rows_that_move_the_prediction(case, twin):
    frames, asked = given(case)
    why = dataaudit.explain(*frames, **asked, trust=True, top=6)
    s = twin.X @ twin.theta
    bend = s.exp() if case[0] == "count" else torch.ones_like(s)
    H = (twin.X.T * bend) @ twin.X / len(s) + twin.ridge
    moves = (twin.T[3] @ torch.linalg.solve(H, twin.X.T)) * (twin.y - twin.mean(s))  # one more of each row
    distance = (twin.X - twin.T[3]).norm(dim=1)
    place = torch.empty(len(s)).scatter_(0, distance.argsort(), torch.arange(1.0, len(s) + 1))
    expected = {
        "raising": place[moves.topk(6).indices].log().mean().exp(),
        "lowering": place[(-moves).topk(6).indices].log().mean().exp(),
        "nearest": distance.sort().values[:6].mean(),
    }
    found = dict(why.tables.trust.select("measure", "value").iter_rows())
    for name, value in expected.items():
        assert found[name] == pytest.approx(float(value), rel=1e-6)
    near = frames[0]["y"].to_numpy()[distance.argsort()[:6]].mean()
    value = twin.trained.quantity.of_scores(twin.tested.scores[3].numpy())[0]
    assert found["apart"] == pytest.approx(abs(value - near), rel=1e-6)
    assert "that raise it most have place" in why.tables.provenance.trust["sentence"]


def test_questions_without_a_meaning_are_refused_with_another(case):
    frames, asked = given(case)
    for flip, said in (
        ("prediction", "a predicted number does not flip: say which value it is to pass"),
        ("relabel", "relabel gives training rows another class, which numbers do not have"),
        ("prediction:high", "the value that the prediction is to pass is no number: got 'high'"),
    ):
        with pytest.raises(SettingError, match=said):
            dataaudit.explain(*frames, **asked, flip=flip)
    if case[0] == "count":
        with pytest.raises(SettingError, match="a predicted count is above 0: got -1"):
            dataaudit.explain(*frames, **asked, flip="prediction:-1")
    with pytest.raises(SettingError, match="a predicted class passes no value: got prediction:3"):
        dataaudit.explain(*frames, label="y", row=3, flip="prediction:3")
