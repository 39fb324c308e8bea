"""One prediction explained: every number beside a slow twin, and questions that cannot be answered."""

import dataclasses
import re

import hospital
import numpy as np
import polars as pl
import pytest
import torch
from polars.testing import assert_frame_equal

import dataaudit
from dataaudit.audits.health import fit_checks
from dataaudit.audits.testset import predict
from dataaudit.errors import MissingColumn, SettingError
from dataaudit.findings.schemas import ExplanationFindings
from dataaudit.influence.influence import loss_gradients
from dataaudit.influence.leave_one_out import refit_without
from dataaudit.model import costs
from dataaudit.options import LabelOptions
from dataaudit.report import explain
from dataaudit.training.encoded import encode_training, read_labelled
from dataaudit.training.train import train
from dataaudit.writers import html

WORDS = np.array(["alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta"])
ROW, L2 = 7, 1e-2


def table(n, seed, classes):
    random = np.random.default_rng(seed)
    x, z = random.normal(size=(2, n))
    noisy = x + 0.7 * random.normal(size=n)
    y = np.digitize(noisy, np.quantile(noisy, np.arange(1, classes) / classes))
    return pl.DataFrame(
        {"x": x, "z": z, "ward": random.choice(list("abc"), n), "y": np.array(["low", "mid", "top"])[y]}
    )


def texts(n, seed, _classes):
    random = np.random.default_rng(seed)
    text = [" ".join(random.choice(WORDS, 12)) for _ in range(n)]
    return pl.DataFrame({"text": text, "y": ["a" if t.count("alpha") > 1 else "b" for t in text]})


def three_topics(n, seed, _classes):
    random = np.random.default_rng(seed)
    topic = random.integers(0, 3, n)
    own = random.random((n, 12)) < 0.2
    words = np.where(own, WORDS[topic][:, None], random.choice(WORDS, (n, 12)))
    return pl.DataFrame({"text": [" ".join(row) for row in words], "y": WORDS[topic]})


CASES = {"binary": (table, 2), "softmax": (table, 3), "text": (texts, 2)}


@pytest.fixture(scope="module", params=CASES)
def case(request):
    """An explanation, and the same model with everything dense."""
    make, classes = CASES[request.param]
    frames = make(150, 0, classes), make(40, 1, classes)
    why = dataaudit.explain(*frames, label="y", row=ROW, l2=L2, top=150, show_components=True)
    asked = LabelOptions(label="y", basis="linear", l2=L2)
    known, new = (read_labelled(frame, asked) for frame in frames)
    trained = train(encode_training(*known, asked), asked)
    names = {name: at for at, name in enumerate(trained.classes)}
    tested = predict(trained, new[0], np.array([names[label] for label in frames[1]["y"]]))
    return why, trained, tested


def by_row(frame, column):
    """Return a column in the order of the training rows."""
    return frame.sort("train_row")[column].to_numpy()


def dense(X):
    return X if isinstance(X, torch.Tensor) else torch.from_numpy(X.toarray())


def test_influence_is_the_dense_formula(case):
    why, trained, tested = case
    objective, theta = trained.objective, trained.fit.theta
    G = loss_gradients(objective.model, theta, next(iter(objective.rows.blocks())))
    g = loss_gradients(objective.model, theta, tested.take(np.array([ROW])))
    expected = -(G.T @ torch.linalg.solve(objective.hessian(theta), g))[:, 0].numpy()
    assert len(why.influences) == 150
    np.testing.assert_allclose(by_row(why.influences, "influence"), expected, rtol=1e-7, atol=1e-10)


def test_the_change_of_loss_is_what_refits_measure(case):
    why, trained, tested = case
    block = tested.take(np.array([ROW]))
    for row in why.influences.head(4).iter_rows(named=True):
        again = refit_without(trained.objective, trained.fit, row["train_row"])
        measured = float(trained.objective.model.values(again.theta, block)[0]) - tested.loss[ROW]
        assert row["delta_loss_if_removed"] == pytest.approx(measured, rel=0.1, abs=1e-5)
        assert row["kind"] == ("harmful" if measured < 0 else "helpful")
        assert f"{'lowers' if measured < 0 else 'raises'} the loss of test row {ROW} by" in row["effect"]


def test_relative_influence_divides_by_self_influence(case):
    why, trained, _ = case
    objective, theta = trained.objective, trained.fit.theta
    G = loss_gradients(objective.model, theta, next(iter(objective.rows.blocks())))
    own = (G * torch.linalg.solve(objective.hessian(theta), G)).sum(0).sqrt().numpy()
    found = by_row(why.influences, "relative_influence")
    np.testing.assert_allclose(found, by_row(why.influences, "influence") / own, rtol=1e-6, atol=1e-12)


@pytest.mark.parametrize("make", [table, three_topics])
def test_few_solves_say_what_a_factor_says(make, monkeypatch):
    """Of several classes, where a factor would be more work than all solves."""
    frames = make(150, 0, 3), make(20, 1, 3)

    def explained(**asked):
        return dataaudit.explain(*frames, label="y", row=ROW, top=20, show_components=True, **asked).tables

    expected = explained()
    monkeypatch.setattr(costs, "EXPLAINED", 0)
    found = explained()
    assert found.provenance.solver == "conjugate gradients"
    assert expected.provenance.solver != found.provenance.solver
    assert found.health["ok"].all()
    for name, keys in (("influences", "train_row"), ("neighbours", ("measure", "rank"))):
        first, again = (getattr(one, name).sort(keys) for one in (expected, found))
        assert_frame_equal(
            again.drop("effect", strict=False), first.drop("effect", strict=False), rel_tol=1e-6
        )
    assert explained(flip="prediction").provenance.solver != "conjugate gradients"  # a search takes many


@pytest.mark.parametrize("case", ["binary", "text"], indirect=True)  # the paper has two classes
def test_parts_of_the_influence_are_the_papers(case):
    """Figure 1 of Koh & Liang (2017), for labels y = ±1."""
    why, trained, tested = case
    objective, theta = trained.objective, trained.fit.theta
    X = torch.cat([dense(objective.rows.X), torch.ones(150, 1, dtype=torch.float64)], 1)
    x = torch.cat([dense(tested.take(np.array([ROW])).X)[0], torch.ones(1, dtype=torch.float64)])
    y, t = 2.0 * objective.rows.y - 1.0, 2.0 * float(tested.y[ROW]) - 1.0
    pull = -t * y * torch.sigmoid(-t * (x @ theta))
    flat = pull * (X @ torch.linalg.solve(objective.hessian(theta), x))
    plain = pull * torch.sigmoid(-y * (X @ theta)) * (X @ x)
    np.testing.assert_allclose(by_row(why.influences, "without_train_loss"), flat, rtol=1e-7, atol=1e-9)
    np.testing.assert_allclose(by_row(why.influences, "without_hessian"), plain, rtol=1e-7, atol=1e-9)
    place = np.argsort(np.argsort(-np.abs(flat.numpy()), kind="stable"), kind="stable") + 1
    assert (by_row(why.influences, "place_without_train_loss") == place).mean() > 0.98  # but for ties


def test_parts_of_the_influence_are_those_of_all_classes(case):
    """Our generalisation, written with the gradients of all K classes; for two classes they count twice."""
    why, trained, tested = case
    objective, theta, K = trained.objective, trained.fit.theta, len(trained.classes)
    model, block, test = objective.model, next(iter(objective.rows.blocks())), tested.take(np.array([ROW]))

    def misses(block):
        p = model.loss.log_probabilities(model.scores(theta, block)).exp()
        return p - torch.nn.functional.one_hot(block.y, K)

    r, t = misses(block), misses(test)
    plain = -(block.dense() @ test.dense()[0]) * (r @ t[0]) / (2 if K == 2 else 1)
    unfitted = r / r.gather(1, block.y[:, None]).abs()
    G = (block.dense().T[:, None, :] * unfitted[:, 1:].T).reshape(model.n_params, -1)
    flat = -(G.T @ torch.linalg.solve(objective.hessian(theta), loss_gradients(model, theta, test)))[:, 0]
    np.testing.assert_allclose(by_row(why.influences, "without_hessian"), plain, rtol=1e-7, atol=1e-9)
    np.testing.assert_allclose(by_row(why.influences, "without_train_loss"), flat, rtol=1e-6, atol=1e-9)


def test_neighbours_are_the_nearest(case):
    why, trained, tested = case
    X, x = dense(trained.objective.rows.X).numpy(), dense(tested.take(np.array([ROW])).X).numpy()[0]
    distance = np.sqrt(((X - x) ** 2).sum(1))
    cosine = X @ x / np.maximum(np.linalg.norm(X, axis=1) * np.linalg.norm(x), 1e-300)
    for name, value in (("euclidean", distance), ("cosine", cosine)):
        found = why.neighbours.filter(measure=name).head(10)
        order = np.sort(value if name == "euclidean" else -value)[:10]
        np.testing.assert_allclose(found["value"], np.abs(order), rtol=1e-9, atol=1e-9)
        np.testing.assert_allclose(value[found["train_row"].to_numpy()], found["value"], atol=1e-9)


def test_probabilities_are_the_models(case):
    why, trained, tested = case
    p = dict(zip(trained.classes, tested.p[ROW], strict=True))
    for name, share in why.tables.probabilities.iter_rows():
        assert share == pytest.approx(p[name], rel=1e-9)


def test_one_newton_step_is_one(case):
    _, trained, _ = case
    for steps, said in ((1, "after 1 Newton step."), (2, "after 2 Newton steps.")):
        fit = dataclasses.replace(trained.fit, steps=steps)
        checks = fit_checks(dataclasses.replace(trained, fit=fit))
        assert checks[0][-1].endswith(said)


def test_words_add_up_to_the_score():
    frames = texts(150, 0, 2), texts(40, 1, 2)
    why = dataaudit.explain(*frames, label="y", text="text", row=ROW, l2=L2)
    p = dict(why.tables.probabilities.iter_rows())
    odds = np.log(p[why.tables.provenance.predicted_label] / p[why.tables.provenance.rival_label])
    # The rest is the difference of the intercepts, the same for every row.
    other = dataaudit.explain(*frames, label="y", text="text", row=ROW + 1, l2=L2)
    q = dict(other.tables.probabilities.iter_rows())
    sign = 1.0 if why.tables.provenance.predicted_label == other.tables.provenance.predicted_label else -1.0
    rest = odds - why.contributions["contribution"].sum()
    odds_other = np.log(q[other.tables.provenance.predicted_label] / q[other.tables.provenance.rival_label])
    assert rest == pytest.approx(sign * (odds_other - other.contributions["contribution"].sum()), abs=1e-8)


def test_a_wrong_prediction_is_held_against_the_label():
    frames = table(150, 0, 3), table(40, 1, 3)
    seen = set()
    for row in range(40):
        why = dataaudit.explain(*frames, label="y", row=row, l2=L2, top=1)
        p, likely = why.tables.provenance, why.tables.probabilities["class"].to_list()
        assert p.rival_label == (likely[1] if p.label == likely[0] else p.label)
        odds = f"the log-odds of “{likely[0]}” over “{p.rival_label}” by "
        assert why.contributions["effect"].str.contains(odds, literal=True).all()
        seen.add(likely.index(p.label))
    assert seen == {0, 1, 2}


@pytest.mark.parametrize("empty", [None, float("nan")])
def test_a_missing_cell_is_said_to_be_missing(empty):
    known, new = table(150, 0, 2), table(40, 1, 2)
    gone = pl.int_range(pl.len()) % 4 == 3
    known, new = (t.with_columns(x=pl.when(gone).then(pl.lit(empty)).otherwise("x")) for t in (known, new))
    why = dataaudit.explain(known, new, label="y", row=3, l2=L2, top=60)
    said = dict(why.contributions.select("column", "effect").iter_rows())
    assert said["x"].startswith(("that x is missing raises ", "that x is missing lowers "))
    page = html.page(explain.report(why.tables))
    assert "x is missing</bdi>" in page
    assert not re.search(r"\bx = ?(nan|None)?[:<]", page)


def test_numbers_have_six_digits():
    frames = table(150, 0, 2), table(40, 1, 2)
    why = dataaudit.explain(*frames, label="y", row=ROW, l2=L2)
    page = html.page(explain.report(why.tables))
    for text in (*why.contributions["effect"], *re.findall(r"\b[xz] = [^:<]*", page)):
        assert not re.search(r"[xz] = -?\d*\.\d{8}", text)
    assert f"x = {frames[1]['x'][ROW]:.6g}" in page
    assert str(frames[1]["x"][ROW]) in why.contributions["cell"].to_list()


def test_a_flip_is_confirmed_by_a_refit_of_ours():
    frames = table(150, 0, 2), table(40, 1, 2)
    close = next(
        at
        for at in range(40)
        if 0.5
        < dataaudit.explain(*frames, label="y", row=at, l2=L2).tables.probabilities["probability"][0]
        < 0.6
    )
    why = dataaudit.explain(*frames, label="y", row=close, l2=L2, flip="prediction")
    assert "(confirmed by retraining)" in why.flip
    rows = why.tables.flip["train_row"].to_list()
    assert 0 < len(rows) <= 15
    kept = frames[0].with_row_index().filter(~pl.col("index").is_in(rows)).drop("index")
    # n and hence λn stay as they were
    again = dataaudit.explain(kept, frames[1], label="y", row=close, l2=L2 * 150 / len(kept))
    assert again.tables.provenance.predicted_label == why.tables.provenance.rival_label


def test_the_slope_of_a_number_with_gaps_can_be_asked_for():
    def gaps(seed):
        random = np.random.default_rng(seed)
        x = random.normal(size=150)
        y = np.where(x + random.normal(size=150) > 0, "yes", "no")
        return pl.DataFrame({"x": pl.Series(x).set(pl.Series(random.random(150) < 0.2), None), "y": y})

    def asked(what):
        return dataaudit.explain(gaps(0), gaps(1), label="y", row=3, l2=L2, flip=f"coefficient:{what}")

    slope = asked("x").tables.provenance.flip
    assert slope["conclusion"].startswith("the coefficient of x, for ")
    assert asked("x=x").tables.provenance.flip == slope
    assert "x = (missing)" in asked("x=(missing)").tables.provenance.flip["conclusion"]


@pytest.mark.parametrize("column", ["ward", "v"])
def test_the_coefficient_that_a_hint_names_can_be_asked_for(column):
    def rows(seed):
        random = np.random.default_rng(seed)
        v, ward = random.normal(size=(150, 3)), random.choice(["north", "south", "east"], 150)
        y = np.where(v[:, 0] + (ward == "east") + random.normal(size=150) > 0, "yes", "no")
        return pl.DataFrame({"v": pl.Series(v, dtype=pl.Array(pl.Float64, 3)), "ward": ward, "y": y})

    asked = {"label": "y", "row": 3, "l2": L2}
    with pytest.raises(SettingError, match=f"name one: coefficient:{column}=") as error:
        dataaudit.explain(rows(0), rows(1), flip=f"coefficient:{column}", **asked)
    named = error.value.hint.removeprefix("name one: ")
    assert dataaudit.explain(rows(0), rows(1), flip=named, **asked).flip


def test_a_slice_and_a_coefficient_are_overturned_or_said_to_stand():
    frames = table(150, 0, 2), table(40, 1, 2)
    sign = dataaudit.explain(*frames, label="y", row=3, l2=L2, flip="coefficient:z")
    assert "coefficient" in sign.flip
    part = dataaudit.explain(*frames, label="y", row=3, l2=L2, flip="slice:ward=a")
    assert "ward = a" in part.flip
    with pytest.raises(SettingError, match="Hint"):
        dataaudit.explain(*frames, label="y", row=3, l2=L2, flip="slice:wardd=a")
    with pytest.raises(SettingError, match="write prediction"):
        dataaudit.explain(*frames, label="y", row=3, flip="everything")


def test_without_a_label_it_is_explained_for_its_predicted_class():
    known, new = table(150, 0, 2), table(40, 1, 2).drop("y")
    why = dataaudit.explain(known, new, label="y", row=3, l2=L2)
    p = why.tables.provenance
    assert p.label is None
    assert p.explained_label == p.predicted_label
    assert any("has no 'y'" in note for note in p.notes)


def test_one_table_is_split_as_the_mismatch_splits_it():
    whole = table(200, 2, 2)
    test = dataaudit.audit_mismatch(whole, label="y", test_size=0.2, l2=L2, prove=0, verify=0, where="true")
    rows = test.tables.responsible["test_row"].to_list()
    why = dataaudit.explain(whole, label="y", test_size=0.2, l2=L2, row=rows[0])
    trace = test.traces.filter(test_row=rows[0], rank=1).row(0, named=True)
    first = why.influences.row(0, named=True)
    assert first["train_row"] == trace["train_row"]
    assert first["delta_loss_if_removed"] == pytest.approx(trace["delta_loss_if_removed"], rel=1e-6)
    gone = next(row for row in range(200) if row not in rows)
    with pytest.raises(SettingError, match=f"row {gone} is one of the training rows"):
        dataaudit.explain(whole, label="y", test_size=0.2, row=gone)


def test_tables_come_back_from_disk(tmp_path):
    why = dataaudit.explain(table(80, 0, 2), table(20, 1, 2), label="y", row=0, l2=L2, flip="prediction")
    back = ExplanationFindings.read(why.write(tmp_path / "out"))
    for name, frame in why.tables.tables().items():
        assert frame.schema == ExplanationFindings.SCHEMAS[name]
        assert back.tables()[name].equals(frame), name
    assert back.provenance.run_id == why.tables.provenance.run_id
    assert "Test row 0 is predicted" in (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert why._repr_html_().startswith("<iframe")
    with pytest.raises(SettingError, match="nothing to refit"):
        dataaudit.verify(tmp_path / "out")


@pytest.mark.parametrize(
    ("settings", "error", "words"),
    [
        ({}, SettingError, "neither row nor row_id"),
        ({"row": 1, "row_id": "a"}, SettingError, "both row and row_id"),
        ({"row": -1}, SettingError, "must be 0 or more: got -1"),
        ({"row": 999}, SettingError, "there is no test row 999"),
        ({"row_id": "<frame>#99"}, SettingError, "there is no test row named"),
        ({"row": 0, "top": 0}, SettingError, "top must be 1"),
        ({"row": 0, "features": ["xx"]}, MissingColumn, "column 'xx'"),
        ({"row": 0, "test_size": 0.5}, SettingError, "two sources"),
    ],
)
def test_questions_that_cannot_be_answered(settings, error, words):
    with pytest.raises(error, match=words):
        dataaudit.explain(table(60, 0, 2), table(20, 1, 2), label="y", l2=L2, **settings)


def test_a_column_that_test_lacks_is_left_out():
    train, test = table(60, 0, 2), table(20, 1, 2)
    why = dataaudit.explain(train, test.drop("x"), label="y", row=0, l2=L2)
    same = dataaudit.explain(train, test, label="y", row=0, l2=L2, exclude=["x"])
    assert why.influences.equals(same.influences)
    assert "1 column is left out: x (only training has it)." in why.tables.provenance.notes


@pytest.mark.slow
def test_the_papers_child(data_folder):
    frame = pl.read_parquet(data_folder / "diabetes130.parquet")
    early = pl.when(pl.col("readmitted") == "<30").then(pl.lit("early")).otherwise(pl.lit("not early"))
    frame = frame.with_columns(readmitted=early)
    train_rows, test_rows = hospital.split(frame)
    why = dataaudit.explain(
        frame[train_rows],
        frame[test_rows],
        label="readmitted",
        features=(*hospital.NUMBERS, *hospital.CATEGORIES),
        l2=1e-4,
        row=1742,
        flip="prediction",
    )
    # Section 5.3: the four children that are left, three of them readmitted, far ahead of everything else.
    assert why.influences["train_row"][:4].to_list() == [13685, 9366, 19590, 11116]
    assert abs(why.influences["influence"][3]) > 20 * abs(why.influences["influence"][4])
    assert "Removing 2 training rows" in why.flip
