"""Two models on one test row: every number beside a slow twin, and questions that cannot be answered."""

import numpy as np
import polars as pl
import pytest
import torch
from audits.explain.test_explain import L2, ROW, table, texts
from scipy.stats import spearmanr
from sklearn.datasets import make_moons
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

import dataaudit
from dataaudit.audits.testset import predict
from dataaudit.errors import FitError, MissingColumn, SettingError
from dataaudit.influence.leave_one_out import refit_without
from dataaudit.model.losses import Softmax
from dataaudit.options import ExplainOptions
from dataaudit.solvers.newton import minimise_hinge
from dataaudit.training.encoded import encode_training, read_labelled
from dataaudit.training.train import HINGE, train

CASES = {  # rows, the model that is explained, the one that it is compared with
    "linear": (table, "logistic", "svm"),
    "kernel": (table, "rbf-svm", "logistic"),
    "text": (texts, "svm", "logistic"),
}


@pytest.fixture(scope="module", params=CASES)
def case(request):
    """Two models of the tool's by its public function, and both again, step by step."""
    make, *models = CASES[request.param]
    frames = make(150, 0, 2), make(40, 1, 2)
    found = dataaudit.explain(*frames, label="y", row=ROW, l2=L2, top=5, model=models[0], versus=models[1])
    sides = {}
    for name in models:
        basis = "auto" if name == "rbf-svm" else "linear"
        asked = ExplainOptions(label="y", row=ROW, basis=basis, l2=L2, model=name)
        known, new = (read_labelled(frame, asked) for frame in frames)
        trained = train(encode_training(*known, asked), asked)
        at = {label: place for place, label in enumerate(trained.classes)}
        tested = predict(trained, new[0], np.array([at[label] for label in frames[1]["y"]]))
        sides[name] = trained, tested
    return found, sides


def dense(X):
    return X if isinstance(X, torch.Tensor) else torch.from_numpy(X.toarray())


def losses(trained, X, y, theta):
    """Return the loss that training sums, row by row, written out."""
    s, c = X @ theta[:-1] + theta[-1], 2.0 * y - 1.0
    if isinstance(trained.objective.model.loss, Softmax):
        return torch.nn.functional.softplus(-c * s)
    t = HINGE.temperature
    return t * torch.nn.functional.softplus((1.0 - c * s) / t)


def test_influence_is_what_autograd_says_of_each_model(case):
    found, sides = case
    for name, (trained, tested) in sides.items():
        X, y = dense(trained.objective.rows.X), trained.objective.rows.y
        x, label = dense(tested.take(np.array([ROW])).X)[0], tested.y[ROW]
        slope, shift = trained.calibration

        def risk(theta, X=X, y=y, trained=trained):
            return losses(trained, X, y, theta).mean() + L2 / 2 * (theta[:-1] @ theta[:-1])

        def nats(theta, x=x, label=label, slope=slope, shift=shift):
            odds = slope * (x @ theta[:-1] + theta[-1]) + shift
            return torch.nn.functional.softplus(odds if label == 0 else -odds)

        theta = trained.fit.theta
        H = torch.autograd.functional.hessian(risk, theta)
        G = torch.autograd.functional.jacobian(lambda at, X=X, y=y, m=trained: losses(m, X, y, at), theta)
        g = torch.autograd.functional.jacobian(nats, theta)
        expected = -(G @ torch.linalg.solve(H, g)).numpy()
        part = found.versus.filter(model=name)
        np.testing.assert_allclose(part["influence"], expected, rtol=1e-6, atol=1e-10 * abs(expected).max())
        line = found.models.row(by_predicate=pl.col("model") == name, named=True)
        assert line["loss"] == pytest.approx(float(nats(theta)), rel=1e-9)
        assert line["p_explained"] == pytest.approx(np.exp(-float(nats(theta))), rel=1e-9)


def test_the_change_of_loss_is_what_refits_measure(case):
    found, sides = case
    for name, (trained, tested) in sides.items():
        block, objective = tested.take(np.array([ROW])), trained.objective
        part = found.versus.filter(model=name).drop_nulls("delta_loss_if_removed").sort("place").head(4)
        predicted, measured = part["delta_loss_if_removed"].to_numpy(), []
        for row in part["train_row"].to_list():
            if isinstance(objective.model.loss, Softmax):
                theta = refit_without(objective, trained.fit, row).theta
            else:
                weight = objective.rows.weight.clone()
                weight[row] = 0.0
                theta = minimise_hinge(objective.reweighted(weight)).require_converged().theta
            loss = trained.loss(objective.model.scores(theta, block), block.y)
            measured.append(float(loss[0]) - tested.loss[ROW])
        # A hinge bends, so that one Newton step is a little off where a row is strong.
        np.testing.assert_allclose(predicted, measured, rtol=0.25, atol=1e-4 * tested.loss[ROW])
        assert (np.sign(predicted) == np.sign(measured)).all()


def test_distances_and_their_correlations_are_plain_ones(case):
    found, sides = case
    trained, tested = sides["logistic"]
    numbers, basis = trained.encoded.columns, trained.encoded.basis
    scale = numbers.numeric.std(0)
    Z, z = (
        np.hstack([(c.numeric - numbers.numeric.mean(0)) / scale, c.levels.toarray(), c.terms.toarray()])
        for c in (numbers, tested.columns)
    )
    expected = np.sqrt(((Z - z[ROW]) ** 2).sum(1))
    assert basis.columns == numbers.features
    for name in found.models["model"]:
        part = found.versus.filter(model=name)
        np.testing.assert_allclose(part["distance"], expected, atol=1e-7)
        size = part["influence"].abs().to_numpy()
        line = found.models.row(by_predicate=pl.col("model") == name, named=True)
        rho = spearmanr(size, part["distance"]).statistic
        assert line["distance_correlation"] == pytest.approx(rho, abs=1e-12)
        near = np.argsort(expected, kind="stable")[:15]
        assert line["nearest_share"] == pytest.approx(size[near].sum() / size.sum(), rel=1e-9)
        assert part.sort("place")["influence"].abs().is_sorted(descending=True)
        assert part["same_class"].to_list() == (part["label"] == line["explained_label"]).to_list()


def test_how_far_two_models_agree(case):
    found, _ = case
    first, second = (found.versus.filter(model=name) for name in found.models["model"])
    told = found.tables.provenance.versus
    rho = spearmanr(first["influence"], second["influence"]).statistic
    assert told["order_correlation"] == pytest.approx(rho, abs=1e-12)
    leading = [set(part.sort("place")["train_row_id"].head(10)) for part in (first, second)]
    assert (told["shared"], told["of"]) == (len(leading[0] & leading[1]), 10)
    assert first["train_row_id"].to_list() == second["train_row_id"].to_list()
    shown = set(found.influences["train_row_id"])
    assert shown <= set(first.drop_nulls("delta_loss_if_removed")["train_row_id"])
    assert shown <= set(found.tables.cells.filter(part="train")["row_id"])


def test_a_machine_is_explained_in_full():
    frames = table(150, 0, 2), table(40, 1, 2)
    found = dataaudit.explain(*frames, label="y", row=ROW, l2=L2, model="svm", show_components=True)
    assert found.tables.provenance.model == "svm"
    assert found.models.is_empty()
    assert found.versus.is_empty()
    assert found.tables.probabilities["probability"].sum() == pytest.approx(1.0)
    assert set(found.contributions["column"]) <= {"x", "z", "ward"}
    assert found.contributions["column"][0] == "x"  # which the label was made of
    strong = found.tables.features.filter(rank=1)
    assert (strong["finite_effect"].abs() > 0).all()
    assert found.influences["place_without_hessian"].null_count() == 0


def test_an_rbf_machine_looks_nearby_where_a_line_looks_everywhere():
    X, y = make_moons(500, noise=0.2, random_state=0)
    frame = pl.DataFrame(X, schema=["a", "b"]).with_columns(y=pl.Series(y).cast(pl.String))
    lines = [
        dataaudit.explain(
            frame[:400], frame[400:], label="y", row=row, l2=1e-3, model="logistic", versus="rbf-svm"
        )
        .models["nearest_share"]
        .to_list()
        for row in range(6)
    ]
    straight, curved = np.mean(lines, axis=0)
    assert curved > 1.3 * straight


@pytest.fixture(scope="module")
def own():
    """Numbers, and two classifiers that scikit-learn fitted on them."""
    frames = [frame.drop("ward") for frame in (table(150, 0, 2), table(40, 1, 2))]
    X, y = frames[0].drop("y").to_numpy(), frames[0]["y"].to_list()
    line = make_pipeline(StandardScaler(), LogisticRegression(tol=1e-12, max_iter=1000)).fit(X, y)
    return frames, line, SVC(tol=1e-9).fit(X, y)


def test_models_of_ones_own_predict_as_they_do_and_are_explained(own):
    frames, line, machine = own
    found = dataaudit.explain(*frames, label="y", row=ROW, model=line, versus=machine)
    assert found.models["model"].to_list() == ["own LogisticRegression", "own SVC"]
    x = frames[1].drop("y").to_numpy()[ROW : ROW + 1]
    p = dict(zip(line.classes_, line.predict_proba(x)[0], strict=True))
    for name, share in found.tables.probabilities.iter_rows():
        assert share == pytest.approx(p[name], rel=1e-5)
    assert found.models["predicted_label"][1] == machine.predict(x)[0]
    assert set(found.tables.features["column"]) == {"x", "z"}
    # Against scikit-learn's own refits, C as it was.
    label, at = frames[1]["y"][ROW], list(line.classes_)
    for row in found.influences.head(3).iter_rows(named=True):
        kept = frames[0].with_row_index().filter(pl.col("index") != row["train_row"]).drop("index")
        again = LogisticRegression(tol=1e-12, max_iter=1000)
        again.fit(line[0].transform(kept.drop("y").to_numpy()), kept["y"].to_list())
        q = again.predict_proba(line[0].transform(x))[0][at.index(label)]
        assert row["delta_loss_if_removed"] == pytest.approx(np.log(p[label] / q), rel=0.05)


def test_a_kernel_of_ones_own_has_no_columns_to_tell(own):
    frames, _, machine = own
    found = dataaudit.explain(*frames, label="y", row=ROW, model=machine, versus="logistic")
    assert found.tables.features.is_empty()
    assert found.contributions.is_empty()
    assert len(found.influences) == 20
    assert found.tables.provenance.settings["model"] == "own SVC"


def test_two_models_of_the_same_kind_have_two_names(own):
    frames, line, _ = own
    other = LogisticRegression(C=0.01, tol=1e-12).fit(
        frames[0].drop("y").to_numpy(), frames[0]["y"].to_list()
    )
    found = dataaudit.explain(*frames, label="y", row=ROW, model=line, versus=other)
    assert found.models["model"].to_list() == ["own LogisticRegression", "own LogisticRegression (2)"]
    assert found.models["l2"][0] < found.models["l2"][1]


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"model": "svmm"}, "unknown model: got 'svmm'. Hint: did you mean 'svm'?"),
        ({"versus": "forest"}, "unknown versus: got 'forest'. Hint: use one of logistic, svm, rbf-svm"),
        ({"model": "svm", "versus": "svm"}, "both models are svm: there is nothing to compare"),
        ({"model": "svm", "flip": "prediction"}, "flip is searched for a logistic regression: got model svm"),
        ({"model": "rbf-svm", "basis": "spline"}, "rbf-svm is a basis of its own: got basis spline"),
        ({"refit": True}, "refit is for a fitted model: got none"),
        ({"versus": LogisticRegression()}, "the LogisticRegression is not fitted"),
    ],
)
def test_questions_that_cannot_be_answered(settings, words):
    with pytest.raises(SettingError) as caught:
        dataaudit.explain(table(60, 0, 2), table(20, 1, 2), label="y", row=0, **settings)
    assert words in str(caught.value)


def test_a_machine_tells_two_classes_apart_and_no_more():
    with pytest.raises(SettingError, match="svm tells two classes apart: the label has 3"):
        dataaudit.explain(table(60, 0, 3), table(20, 1, 3), label="y", row=0, versus="svm")
    with pytest.raises(SettingError, match="rbf-svm has no kernel for text"):
        dataaudit.explain(texts(60, 0, 2), texts(20, 1, 2), label="y", text="text", row=0, versus="rbf-svm")


def test_several_classes_compare_by_models_that_take_them():
    frames = [frame.drop("ward") for frame in (table(150, 0, 3), table(40, 1, 3))]
    fitted = LogisticRegression(tol=1e-12, C=0.05).fit(
        frames[0].drop("y").to_numpy(), frames[0]["y"].to_list()
    )
    found = dataaudit.explain(*frames, label="y", row=ROW, versus=fitted)
    assert found.models["model"].to_list() == ["logistic", "own LogisticRegression"]
    assert found.tables.provenance.versus["order_correlation"] > 0.5


def test_rows_that_a_model_of_ones_own_cannot_take(own):
    frames, line, _ = own
    with pytest.raises((MissingColumn, FitError), match="z"):
        dataaudit.explain(frames[0], frames[1].drop("z"), label="y", row=0, model=line)
    with pytest.raises(SettingError, match="has its ridge and its features already"):
        dataaudit.explain(*frames, label="y", row=0, model=line, l2=0.1)
