"""A network audited by every function: what is planted in digits is found, and proved by training again."""

import json
from dataclasses import replace
from functools import cache, partial

import numpy as np
import polars as pl
import pytest
import torch
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from torch import nn
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

import dataaudit
from dataaudit import ModuleModel, cli
from dataaudit.audits.explain.tables import SLOPES
from dataaudit.audits.vulnerability.gain import batch_of_rows, vector_slopes
from dataaudit.cells import pixels_of
from dataaudit.errors import DataError, SettingError

L2, KINDS = 2e-3, (1, 4, 7, 9)
SITES = ("east", "north", "south", "west")


def network(width):
    return nn.Sequential(nn.Linear(width, 6), nn.Tanh(), nn.Linear(6, len(KINDS)))


def fitted(X, y, seed=0, steps=60):
    """A network at a minimum, or nearly."""
    torch.manual_seed(seed)
    net = network(X.shape[1])
    search = torch.optim.LBFGS(net.parameters(), max_iter=steps, line_search_fn="strong_wolfe")

    def closure():
        search.zero_grad()
        loss = cross_entropy(net(X), y) + L2 / 2 * sum((p**2).sum() for p in net.parameters())
        loss.backward()
        return loss

    search.step(closure)
    return net.eval()


@cache
def digits():
    data = load_digits()
    kept = np.isin(data.target, KINDS)
    X, y = data.data[kept], data.target[kept]
    order = np.random.default_rng(0).permutation(len(X))
    return X[order], y[order]


@cache
def tensors():
    """Inputs and labels of 200 training rows, 8 of them with another label, and of 150 test rows."""
    X, y = digits()
    X, y = torch.from_numpy(X / 16).float(), torch.from_numpy(np.searchsorted(KINDS, y))
    wrong, train = np.arange(0, 200, 25), (X[:200], y[:200].clone())
    train[1][wrong] = (train[1][wrong] + 1) % len(KINDS)
    return train, (X[200:350], y[200:350]), wrong


@cache
def tensor_model():
    (X, y), _, _ = tensors()
    return ModuleModel(fitted(X, y), cross_entropy, l2=L2)


@cache
def tables():
    """The digits of four sites; in training the west calls every 4 a 9."""
    X, y = digits()
    random = np.random.default_rng(1)
    site = random.choice(SITES, len(y))
    frame = pl.DataFrame({"image": pl.Series(X.astype(int).tolist()), "site": site, "digit": y})
    train, test = frame[:320], frame[320:640]
    planted = (pl.col("site") == "west") & (pl.col("digit") == 4)
    return train.with_columns(digit=pl.when(planted).then(9).otherwise("digit")), test


def features(frame):
    """Pixels and the site: made of the frame's columns, the label not among them."""
    assert "digit" not in frame.columns
    pixels = torch.tensor(frame["image"].to_list()) / 16
    return torch.cat([pixels, torch.tensor([[float(one == s) for s in SITES] for one in frame["site"]])], 1)


@cache
def table_model():
    train, _ = tables()
    X = features(train.drop("digit"))
    y = torch.from_numpy(np.searchsorted(KINDS, train["digit"].to_numpy()))
    return ModuleModel(fitted(X, y), cross_entropy, l2=L2, features=features)


@cache
def labels_audit():
    return dataaudit.audit_labels(tensors()[0], model=tensor_model(), top=10, verify=4)


@cache
def mismatch_audit():
    return dataaudit.audit_mismatch(*tables(), label="digit", model=table_model(), prove=1, verify=2)


def test_wrong_labels_come_first():
    audit, wrong = labels_audit(), tensors()[2]
    assert np.isin(audit.labels["row"].head(10).to_numpy(), wrong).sum() >= 7
    assert audit.tables.evidence.is_empty()
    assert not audit.tables.neighbours.is_empty()


def test_pixels_are_pictures_on_the_page(tmp_path):
    page = labels_audit().write(tmp_path / "found") / "report.html"
    assert page.read_text().count("data:image/png") >= 10


def test_what_leaving_a_row_out_does_is_what_training_again_gives():
    found = labels_audit().tables.verification
    assert found.height == 4
    predicted, measured = (found[name].to_numpy() for name in ("predicted", "measured"))
    assert np.corrcoef(predicted, measured)[0, 1] > 0.97
    assert 0.5 < predicted @ measured / (predicted @ predicted) < 1.5


def test_the_planted_slice_is_the_first_finding_and_proved():
    audit, (train, _) = mismatch_audit(), tables()
    first = audit.findings.row(0, named=True)
    assert (first["kind"], first["severity"]) == ("slice", "high")
    assert "site = west" in first["title"]
    assert first["measured_delta_loss"] < -0.03
    rows = train.with_row_index().filter((pl.col("site") == "west") & (pl.col("digit") == 9))
    fix = audit.tables.fixes.row(0, named=True)
    assert fix["fix"] in ("remove", "relabel")
    assert str(len(rows)) in fix["detail"]
    assert fix["errors_after"] < fix["errors_before"]


def test_notes_say_what_numbers_rest_on():
    notes = " ".join(mismatch_audit().tables.provenance.notes)
    assert all(said in notes for said in ("your own network", "3 seeds for each finding", "damping"))
    health = mismatch_audit().tables.health
    assert "The network stands" in health.filter(check="gradient norm")["message"].item()


def test_a_run_of_ones_own_training_proves_as_well():
    model = replace(table_model(), retrain=fitted, seeds=2)
    audit = dataaudit.audit_mismatch(*tables(), label="digit", model=model, prove=1, verify=0)
    assert audit.findings["measured_delta_loss"][0] < -0.03
    assert "your own retrain" in " ".join(audit.tables.provenance.notes)


def test_a_prediction_is_explained_by_rows_that_training_again_confirms():
    train, test, _ = tensors()
    why = dataaudit.explain(train, test, model=tensor_model(), row=3, top=5)
    assert why.influences.height == 10
    assert why.tables.features.is_empty()
    assert why.contributions.is_empty()
    assert set(why.neighbours["measure"]) == {"cosine", "euclidean"}


def test_leaving_a_slice_out_is_measured_by_training_again():
    why = dataaudit.explain(
        *tables(), label="digit", model=table_model(), row=0, without="site = 'west' and digit = 9"
    )
    every = why.without.filter(scope="test").row(0, named=True)
    assert every["errors_after"] < every["errors_before"]
    assert every["loss_after"] == pytest.approx(every["loss_predicted"], abs=0.1)


def test_findings_are_verified_with_the_network_they_are_of(tmp_path):
    folder = labels_audit().write(tmp_path / "found")
    proof = dataaudit.verify(folder, tensors()[0], model=tensor_model(), top=2)
    assert proof.reproduced
    assert proof.spearman > 0.9
    with pytest.raises(DataError, match="of a network, which is not on disk"):
        dataaudit.verify(folder, tensors()[0])
    other = replace(tensor_model(), net=network(64).eval())
    with pytest.raises(DataError, match="not the one that was audited"):
        dataaudit.verify(folder, tensors()[0], model=other)


def test_a_finding_is_verified_with_the_network(tmp_path):
    folder = mismatch_audit().write(tmp_path / "found")
    proof = dataaudit.verify(folder, tables()[0], test=tables()[1], model=table_model(), top=1)
    assert proof.reproduced
    assert "finding 1" in proof.refits["what"].to_list()


def test_two_classes_by_one_output():
    (X, y), _, _ = tensors()
    two = y < 2
    X, y = X[two], (y[two] == 1)
    torch.manual_seed(0)
    net = nn.Linear(64, 1)
    search = torch.optim.LBFGS(net.parameters(), max_iter=100)

    def closure():
        search.zero_grad()
        loss = binary_cross_entropy_with_logits(net(X)[:, 0], y.float()) + 0.05 * (net.weight**2).sum()
        loss.backward()
        return loss

    search.step(closure)
    model = ModuleModel(net, binary_cross_entropy_with_logits, l2={"weight": 0.1})
    audit = dataaudit.audit_labels((X, y.numpy()), model=model, verify=0, top=3)
    C = 1 / (0.1 * len(y))
    fit = LogisticRegression(C=C, tol=1e-10, max_iter=1000).fit(X.double().numpy(), y.numpy())
    columns = {f"x{i}": X[:, i].double().numpy() for i in range(64)} | {"label": y.numpy()}
    exact = dataaudit.audit_labels(columns, label="label", model=fit, verify=0, top=3)  # the same model
    losses = (one.labels.sort("row")["loo_loss"].to_numpy() for one in (audit, exact))
    assert next(losses) == pytest.approx(next(losses), rel=0.02)


@cache
def patients():
    """Numbers and a category of 60 training rows and 30 test rows."""
    random = np.random.default_rng(0)
    kind, age = random.choice(["a", "b", "c"], 90), random.integers(20, 80, 90)
    dose = random.normal(size=90).round(2)
    score = (age - 50) / 15 + dose + (kind == "a") + 0.7 * random.normal(size=90)
    frame = pl.DataFrame({"age": age, "dose": dose, "kind": kind, "ill": np.where(score > 0.3, "yes", "no")})
    return frame[:60], frame[60:]


def read(frame):
    cells = frame.select((pl.col("age") - 50) / 15, "dose", (pl.col("kind") == "a").cast(float))
    return torch.from_numpy(cells.to_numpy())


def patients_net(X, y):
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(X.shape[1], 3), nn.Tanh(), nn.Linear(3, 2)).double()
    search = torch.optim.LBFGS(net.parameters(), max_iter=200, line_search_fn="strong_wolfe")

    def closure():
        search.zero_grad()
        loss = cross_entropy(net(X), y) + 0.005 * sum((p**2).sum() for p in net.parameters())
        loss.backward()
        return loss

    search.step(closure)
    return net.eval()


@cache
def patients_model():
    train, _ = patients()
    y = torch.from_numpy((train["ill"] == "yes").to_numpy()).long()
    return ModuleModel(patients_net(read(train), y), cross_entropy, l2=0.01, features=read, seeds=2)


@cache
def attacks():
    return dataaudit.vulnerability(*patients(), label="ill", model=patients_model(), tests=1)


def test_a_network_of_two_outputs_is_trained_again_by_its_own_labels():
    audit = dataaudit.audit_labels(patients()[0], label="ill", model=patients_model(), verify=3, top=3)
    predicted, measured = (audit.tables.verification[name].to_numpy() for name in ("predicted", "measured"))
    assert np.corrcoef(predicted, measured)[0, 1] > 0.9


def test_changed_cells_raise_the_loss_as_predicted_and_training_again_says(tmp_path):
    found = attacks()
    losses = found.attacks.select("loss_before", "loss_predicted", "loss_after").to_numpy()
    assert (np.diff(losses[:, 2]) >= 0).all()
    assert (losses[:, 2] > 1.2 * losses[:, 0]).all()
    rise = losses[:2, 1:] - losses[:2, :1]
    assert 0.5 < rise[:, 0] @ rise[:, 1] / (rise[:, 1] @ rise[:, 1]) < 2
    assert set(found.changes["kind"]) <= {"number", "category"}
    assert "by all where a prediction flips" in " ".join(found.tables.provenance.notes)
    frame = pl.read_csv(found.write_perturbed(tmp_path / "changed.csv"))
    last = found.changes.filter(rows=found.attacks.filter("flipped")["rows"].min() or 1)
    changed = [at for at in range(60) if frame.row(at) != patients()[0].row(at)]
    assert changed == sorted(set(last["train_row"].to_list()))
    assert "Test row" in (found.write(tmp_path / "found") / "report.html").read_text()


def test_reach_is_that_of_cells_put_through_the_network():
    story, (train, _) = attacks().story, patients()
    probe, network = story.rows[0].probe, story.trained.network
    row = int(story.rows[0].reach.columns["kind"].argmax())
    block, gains = story.trained.objective.rows.take(torch.tensor([row])), []
    for kind in "abc":
        X = torch.from_numpy(network.design(train[[row]].with_columns(kind=pl.lit(kind))))
        gains.append(float(probe.gain(probe.scored(X), block.y, block.weight)))
    now = float(probe.gain(probe.scored(block.X), block.y, block.weight))
    assert story.rows[0].reach.columns["kind"][row] == pytest.approx(max(gains) - now)


@pytest.mark.parametrize("kind", ["tensors", "pixels"])
def test_pixels_move_by_their_slope_through_the_network(kind):
    train, test, _ = tensors()
    model, label = tensor_model(), "label"
    if kind == "pixels":
        train, test = (
            {"image": (X * 16).reshape(-1, 8, 8).byte().tolist(), "y": y} for X, y in (train, test)
        )
        train, test, label = pl.DataFrame(train), pl.DataFrame(test), "y"
        shaped = lambda frame: torch.tensor(frame["image"].to_list()).float().flatten(1) / 16  # noqa: E731
        model = replace(model, features=shaped)
    found = dataaudit.vulnerability(train, test, label=label, model=model, tests=1)
    attack, story = found.attacks.row(0, named=True), found.story
    assert attack["loss_predicted"] > attack["loss_before"]
    assert set(found.changes["kind"]) == {"pixels" if kind == "pixels" else "vector"}
    probe, vector = story.rows[0].probe, story.training.domain.vectors[0]
    change = story.training.untouched(0)
    moved = change.vectors[0].copy()
    moved[20] += 1e-3 * vector.width[20]
    block = story.trained.objective.rows.take(torch.tensor([0]))
    both = [replace(change, vectors=(values,)) for values in (change.vectors[0], moved)]
    X = [story.training.made([one])[1] for one in both]
    gains = [float(probe.gain(probe.scored(x), block.y, block.weight)) for x in X]
    batch = batch_of_rows(story.training, block, np.array([0]))
    slope = vector_slopes(probe, story.training, batch, at=0)[0, 20]
    assert (gains[1] - gains[0]) / (moved[20] - change.vectors[0][20]) == pytest.approx(slope, rel=1e-2)


def test_findings_of_a_table_are_applied_and_undone(tmp_path, capsys):
    train = patients()[0]
    ill = train["ill"].to_list()
    ill[5] = {"yes": "no", "no": "yes"}[ill[5]]
    data, found = tmp_path / "patients.csv", tmp_path / "found"
    train.with_columns(ill=pl.Series(ill)).write_csv(data)
    audit = dataaudit.audit_labels(data, label="ill", model=patients_model(), verify=0, top=20, by=["kind"])
    assert set(audit.tables.by["level"]) == {"a", "b", "c"}
    assert set(audit.tables.evidence["column"]) == {"age", "dose", "kind"}
    audit.write(found)
    run = json.loads((found / "provenance.json").read_text())["run_id"]
    row = audit.labels.filter(row=5).row(0, named=True)
    lines = [{"run_id": run}, {"row_id": row["row_id"], "action": "relabel", "label": row["suggested_label"]}]
    (tmp_path / "decisions.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    given = [str(found), str(tmp_path / "decisions.jsonl")]
    fixed = tmp_path / "fixed.csv"
    assert cli.main(["apply", *given, str(data), "-o", str(fixed)]) == 0
    assert pl.read_csv(fixed).equals(train)
    assert cli.main(["undo", f"{fixed}.journal.jsonl", "-o", str(tmp_path / "back.csv")]) == 0
    assert (tmp_path / "back.csv").read_bytes() == data.read_bytes()
    said = capsys.readouterr()
    assert "Traceback" not in said.err


def test_tensors_have_no_file_to_change_unless_one_is_written(tmp_path, capsys):
    (X, y), _, _ = tensors()
    audit = labels_audit()
    folder = audit.write(tmp_path / "found")
    run = json.loads((folder / "provenance.json").read_text())["run_id"]
    row = audit.labels.row(0, named=True)
    lines = [{"run_id": run}, {"row_id": row["row_id"], "action": "relabel", "label": row["suggested_label"]}]
    made = tmp_path / "decisions.jsonl"
    made.write_text("".join(json.dumps(line) + "\n" for line in lines))
    data = tmp_path / "rows.parquet"
    pl.DataFrame({"input": X.numpy(), "label": y.numpy()}).write_parquet(data)
    assert cli.main(["apply", str(folder), str(made), str(data), "-o", str(tmp_path / "new.parquet")]) == 0
    labels = pl.read_parquet(tmp_path / "new.parquet")["label"].to_numpy()
    assert np.flatnonzero(labels != y.numpy()).tolist() == [row["row"]]


def test_pages_show_pictures_in_colour_and_pixels_of_influence(tmp_path):
    random = np.random.default_rng(0)
    y = torch.from_numpy(random.integers(0, 2, 60))
    X = torch.from_numpy(random.random((60, 3, 8, 10)) / 3)
    X[torch.arange(60), 2 * y, 2:6, 3:7] += 0.6
    net = (
        nn.Sequential(nn.Conv2d(3, 2, 3, stride=2), nn.Tanh(), nn.Flatten(), nn.Linear(24, 2)).double().eval()
    )
    model = ModuleModel(net, cross_entropy, l2=0.01, seeds=1)
    why = dataaudit.explain((X[:40], y[:40]), (X[40:], y[40:]), model=model, row=0, top=2)
    cells = why.tables.cells
    assert all(pixels_of(text).shape == (8, 10, 3) for text in cells.filter(column="input")["cell"])
    slopes = cells.filter(column=SLOPES)
    assert slopes.height == why.influences["train_row_id"].n_unique()
    assert all(pixels_of(text).shape == (8, 10) for text in slopes["cell"])
    assert SLOPES in (why.write(tmp_path / "why") / "report.html").read_text()
    last = pl.DataFrame({"image": X.permute(0, 2, 3, 1).tolist(), "y": y.numpy()})
    first = replace(model, features=lambda frame: torch.tensor(frame["image"].to_list()).permute(0, 3, 1, 2))
    audit = dataaudit.audit_labels(last, label="y", model=first, verify=0, top=3)
    assert all(pixels_of(text).shape == (8, 10, 3) for text in audit.tables.cells["cell"])


def test_texts_are_shown_as_they_are_in_the_table(tmp_path):
    words = [f"{'good' if at % 2 else 'bad'} film {at % 7}" for at in range(40)]
    frame = pl.DataFrame({"text": words, "y": ["good" if at % 2 else "bad" for at in range(40)]})
    embedded = lambda f: torch.tensor([[float("good" in t), len(t) / 9, 1.0] for t in f["text"]])  # noqa: E731
    y = torch.arange(40) % 2
    model = ModuleModel(patients_net(embedded(frame).double(), y), cross_entropy, l2=0.01, features=embedded)
    audit = dataaudit.audit_labels(frame, label="y", text="text", model=model, verify=0, top=3)
    assert set(audit.tables.cells["cell"]) <= set(words)
    page = (audit.write(tmp_path / "found") / "report.html").read_text()
    assert audit.tables.cells["cell"][0] in page


def test_what_no_change_can_reach_is_said_in_a_line():
    train, test = (side.with_columns(text=pl.col("kind") + " said so") for side in patients())
    with pytest.raises(DataError, match="nothing may change") as error:
        dataaudit.vulnerability(
            *(side.select("text", "ill") for side in (train, test)), label="ill", text="text", tests=1,
            model=replace(patients_model(), features=lambda frame: torch.tensor(
                [[float(text[0] == kind) for kind in "abc"] for text in frame["text"]])),
        )  # fmt: skip
    assert "ModuleInfluence" in error.value.hint


def test_what_cannot_be_audited_is_said_in_a_line():
    train, _, _ = tensors()
    net = tensor_model().net
    with pytest.raises(SettingError, match="not the cross-entropy"):
        dataaudit.audit_labels(train, model=ModuleModel(net, partial(cross_entropy, label_smoothing=0.1)))
    kept = train[1] < 3
    with pytest.raises(SettingError, match="has 4 outputs, the labels have 3 classes"):
        dataaudit.audit_labels((train[0][kept], train[1][kept]), model=tensor_model())
    broken = replace(table_model(), features=lambda frame: {}["x"])
    with pytest.raises(SettingError, match="features cannot be made of these rows: KeyError"):
        dataaudit.audit_mismatch(*tables(), label="digit", model=broken)
    with pytest.raises(SettingError, match="cannot take these rows: mat1 and mat2"):
        dataaudit.audit_mismatch(*tables(), label="digit", model=replace(table_model(), features=None))


def test_trust_is_not_for_networks():
    train, test, _ = tensors()
    with pytest.raises(SettingError, match="got a network"):
        dataaudit.explain(train, test, model=tensor_model(), row=3, trust=True)


def test_a_run_is_gone_on_with(tmp_path):
    out, steps = tmp_path / "found", []

    def stop(stage, done, total):
        steps.append(stage)
        if stage == "verify by refits" and done == 1:
            raise KeyboardInterrupt

    asked = {"model": tensor_model(), "top": 3, "verify": 2, "checkpoint": out, "resume": True}
    with pytest.raises(KeyboardInterrupt):
        dataaudit.audit_labels(tensors()[0], on_step=stop, **asked)
    stages = [one.name for one in (out / ".unfinished").rglob("*.stage")]
    assert stages
    again = dataaudit.audit_labels(tensors()[0], **asked)
    whole = dataaudit.audit_labels(tensors()[0], model=tensor_model(), top=3, verify=2)
    assert again.tables.verification.equals(whole.tables.verification)
