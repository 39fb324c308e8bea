"""The audit of labels, end to end: what it finds, and what must hold of its tables whatever the data."""

import hashlib
from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

import dataaudit
from dataaudit.audits.labels import READ
from dataaudit.audits.tables import review_order
from dataaudit.errors import EncodeError, SettingError
from dataaudit.findings import schemas
from dataaudit.findings.schemas import DATA_CHECKS
from dataaudit.noise import fit_noise
from dataaudit.options import LabelOptions

AUDITS = ["cancer_audit", "wine_audit", "digits_audit", "words_audit"]
QUICK = {"label": "y", "basis": "linear", "verify": 0, "top": 3}


@pytest.fixture
def audit(request):
    """The audit that a test is parametrised with by name."""
    return request.getfixturevalue(request.param)


every_audit = pytest.mark.parametrize("audit", AUDITS, indirect=True)


@pytest.mark.parametrize(
    ("table", "at_once", "at_twice"),  # shares of the flips in the first 1 and 2 times as many rows
    [("cancer", 0.85, 0.93), ("wine", 0.88, 0.94), ("digits", 0.80, 0.90), ("words", 0.90, 0.96)],
)
def test_wrong_labels_rise_to_the_top(request, table, at_once, at_twice):
    planted, audit = request.getfixturevalue(table), request.getfixturevalue(f"{table}_audit")
    wrong = len(planted.flipped)
    assert planted.found(audit.labels, wrong) >= at_once
    assert planted.found(audit.labels, 2 * wrong) >= at_twice


@every_audit
def test_the_expected_number_is_near_the_truth(audit):
    expected, low, high = audit.expected_wrong
    truth = 0.1 * audit.labels.height  # every table has 10 % wrong labels
    assert low <= expected <= high
    assert abs(expected - truth) <= 0.35 * truth


def test_suggestions_are_right_for_the_wrong_labels(digits, digits_audit):
    from sklearn.datasets import load_digits

    truth = load_digits().target
    top = digits_audit.labels.head(20).filter(pl.col("row").is_in(list(digits.flipped)))
    right = [str(truth[row]) == suggested for row, suggested in top.select("row", "suggested_label").rows()]
    assert np.mean(right) >= 0.9  # by chance 1 of 9


def test_real_mail(data_folder):
    mail = pl.read_parquet(data_folder / "enron1.parquet").sample(400, seed=1, shuffle=True)
    label, text = next(c for c in mail.columns if mail[c].n_unique() == 2), "text"
    flipped = np.random.default_rng(0).permutation(400)[:40]
    values = mail[label].unique().sort().to_list()
    given = [values[1 - values.index(v)] if i in set(flipped) else v for i, v in enumerate(mail[label])]
    frame = pl.DataFrame({"text": mail[text], "y": given})
    audit = dataaudit.audit_labels(frame, label="y", text="text", verify=2, top=5)
    found = set(flipped.tolist()) & set(audit.labels["row"].head(60).to_list())
    assert len(found) >= 34  # 36 when written
    assert audit.findings.evidence["column"].unique().to_list() == ["text"]


@every_audit
def test_every_table_has_its_schema_and_survives_the_disk(audit, tmp_path):
    audit.write(tmp_path / "found")
    again = schemas.Findings.read(tmp_path / "found")
    for name, table in audit.findings.tables().items():
        further = {schemas.CONTENT: pl.String()} if name == "labels" else {}
        assert table.schema == {**schemas.Findings.SCHEMAS[name], **further}
        assert_frame_equal(again.tables()[name], table)
    assert again.provenance.run_id == audit.findings.provenance.run_id


@every_audit
def test_ranks_are_a_permutation_in_the_order_of_their_key(audit):
    labels, n = audit.labels, audit.labels.height
    assert labels["rank"].to_list() == list(range(1, n + 1))
    assert sorted(labels["rank_self_influence"]) == list(range(1, n + 1))
    assert labels["row_id"].n_unique() == n
    by_influence = labels.sort("rank_self_influence")["self_influence"]
    assert by_influence.is_sorted(descending=True)
    order = labels.sort("p_wrong", "loo_loss", "row_id", descending=[True, True, False])
    assert order["rank"].to_list() == labels["rank"].to_list()


@every_audit
def test_columns_agree_with_each_other(audit):
    t = {name: audit.labels[name].to_numpy() for name in schemas.LABELS.names() if name != "line"}
    np.testing.assert_allclose(t["p_label"], np.exp(-t["train_loss"]), rtol=1e-9)
    np.testing.assert_allclose(t["loo_p_label"], np.exp(-t["loo_loss"]), rtol=1e-9)
    np.testing.assert_allclose(
        t["delta_loss_if_removed"], t["loo_loss"] - t["train_loss"], rtol=1e-9, atol=1e-15
    )
    assert (t["delta_loss_if_removed"] >= -1e-12).all(), "a row's own loss cannot fall when it leaves"
    assert (t["self_influence"] >= 0).all()
    assert (t["leverage"] > 0).all()
    assert (t["leverage"] < audit.findings.provenance.n_classes - 1).all()
    assert ((t["p_wrong"] >= 0) & (t["p_wrong"] <= 1)).all()
    assert (t["suggested_label"] != t["label"]).all()
    assert ((t["predicted_label"] == t["label"]) >= (t["p_label"] > 0.5)).all()
    assert set(t["label"]) <= set(audit.findings.provenance.classes)


@every_audit
def test_noise_and_budget_add_up(audit):
    provenance, labels = audit.findings.provenance, audit.labels
    rates = audit.findings.noise.group_by("truth").agg(pl.col("rate").sum())["rate"].to_numpy()
    np.testing.assert_allclose(rates, 1.0, atol=1e-9)
    assert len(rates) == provenance.n_classes
    assert provenance.expected_wrong == pytest.approx(labels["p_wrong"].sum(), rel=1e-6)
    caught = labels["p_wrong"].cum_sum() / labels["p_wrong"].sum()
    for share, rows in audit.findings.budget.rows():
        assert caught[rows - 1] >= share - 1e-9, "so many rows are enough"
        assert rows == 1 or caught[rows - 2] < share + 1e-9, "and no fewer"
    assert audit.findings.budget["rows"].is_sorted()


@every_audit
def test_predictions_agree_with_refits(audit):
    table = audit.findings.verification
    for change in ("removed", "relabelled"):
        part = table.filter(pl.col("change") == change)
        assert part.height == table.height / 2
        np.testing.assert_allclose(part["predicted"], part["measured"], rtol=0.02)


def test_refits_confirm_the_first_rows_where_ten_classes_meet(digits):
    audit = dataaudit.audit_labels(digits.frame, id="id", **(QUICK | {"verify": 12}))
    check = audit.health.row(by_predicate=pl.col("check") == "verification", named=True)
    assert check["ok"], "one step alone under-predicts the removals by a third"
    assert check["value"] < 0.02
    assert check["message"].startswith("Predicted against actual over 12 refits: slope ")


@every_audit
def test_the_audit_itself_is_healthy(audit):
    health = {row["check"]: row for row in audit.health.iter_rows(named=True)}
    assert [name for name in health if name not in DATA_CHECKS] == [
        "gradient norm", "solver residual", "calibration", "verification", schemas.RANDOM, "smallest class",
    ]  # fmt: skip
    assert health["gradient norm"]["ok"]
    assert health["gradient norm"]["value"] <= 1e-8
    assert health["solver residual"]["ok"]
    for row in health.values():
        assert row["message"][0].isupper()
        assert row["message"].endswith("."), "a sentence"


@every_audit
def test_top_rows_have_cells_and_evidence(audit):
    top = audit.findings.provenance.settings["top"]
    first = audit.labels["row_id"].head(top)
    tables = audit.findings
    assert set(tables.evidence["row_id"]) == set(first)
    assert set(tables.neighbours["row_id"]) == set(first)
    read = audit.labels["row_id"].head(max(top, READ))
    drawn, near = tables.sample["row_id"], tables.neighbours["neighbour_row_id"]
    assert set(tables.cells["row_id"]) == set(read) | set(near) | set(drawn)
    positions = tables.evidence.group_by("row_id", maintain_order=True).agg("position")["position"]
    assert all(p.to_list() == list(range(1, len(p) + 1)) for p in positions)


@pytest.mark.parametrize("name", ["wine_audit", "digits_audit"])
def test_the_choice_is_the_one_marked(request, name):
    audit = request.getfixturevalue(name)
    chosen = audit.findings.selection.filter("chosen")
    provenance = audit.findings.provenance
    assert chosen["basis"].to_list() == [provenance.basis]
    assert chosen["l2"].item() == pytest.approx(provenance.l2)


@pytest.mark.parametrize(
    ("rank", "key"),
    [("p-wrong", "p_wrong"), ("leave-one-out", "loo_loss"), ("self-influence", "self_influence")],
)
def test_the_order_is_the_one_asked_for(wine, rank, key):
    audit = dataaudit.audit_labels(wine.frame, rank=rank, **QUICK)
    assert audit.labels[key].is_sorted(descending=True)
    assert audit.findings.provenance.ranking == rank
    assert audit.findings.provenance.ranking_reason == f"Ordered by {rank}, as asked."
    if rank == "self-influence":
        assert audit.labels["rank"].to_list() == audit.labels["rank_self_influence"].to_list()


def test_equal_rows_are_ordered_by_name(wine, model_of):
    model = model_of(wine.frame.head(30), basis="linear", l2=0.1)
    noise = fit_noise(model.scores.loo_scores, model.target.y, 1 + model.scores.loo_scores.shape[1])
    nothing = np.zeros(30)
    equal = replace(model.scores, loo_loss=nothing, self_influence=nothing)
    dataset = replace(model.dataset, row_id=model.dataset.row_id.shuffle(seed=0))
    for ranking in ("leave-one-out", "self-influence"):
        order = review_order(dataset, equal, noise, ranking=ranking)
        assert dataset.row_id[order.tolist()].is_sorted()


def test_where_the_classes_overlap_it_says_so(cancer):
    labels = np.random.default_rng(0).choice(["benign", "malignant"], cancer.frame.height)
    audit = dataaudit.audit_labels(cancer.frame.with_columns(y=pl.Series(labels)), id="id", **QUICK)
    provenance = audit.findings.provenance
    assert provenance.ranking == "p-wrong"
    assert audit.labels["p_wrong"].is_sorted(descending=True)
    assert provenance.overlapping
    assert audit.health["ok"].all(), "classes that overlap are no fault of the audit"


def test_two_runs_are_the_same_to_the_byte(wine, tmp_path):
    folders = [
        dataaudit.audit_labels(wine.frame, label="y", id="id", verify=2, top=5).write(tmp_path / name)
        for name in ("one", "two")
    ]
    one, two = ({path.name: path.read_bytes() for path in folder.iterdir()} for folder in folders)
    tables = {f"{name}.parquet" for name in schemas.Findings.SCHEMAS}
    assert one.keys() == {*tables, "provenance.json", "report.html"}
    assert one == two


def test_another_seed_is_another_run(wine, cancer_audit):
    runs = [dataaudit.audit_labels(wine.frame, seed=seed, **QUICK).findings.provenance for seed in (0, 1, 0)]
    assert runs[0].run_id == runs[2].run_id != runs[1].run_id


def test_rows_in_another_order_get_the_same_numbers(cancer, cancer_audit):
    shuffled = cancer.frame.sample(fraction=1.0, shuffle=True, seed=3)
    other = dataaudit.audit_labels(shuffled, id="id", **(QUICK | {"top": 0}))
    numbers = [name for name, kind in schemas.LABELS.items() if kind == pl.Float64]
    columns = ["row_id", "label", "predicted_label", "suggested_label", *numbers]
    one, two = (a.labels.select(columns).sort("row_id") for a in (cancer_audit, other))
    assert_frame_equal(one, two, rel_tol=1e-6, abs_tol=1e-9)
    same = cancer_audit.labels["row_id"].to_numpy() == other.labels["row_id"].to_numpy()
    assert same.mean() > 0.98, "but for ties to the last digit"


def test_columns_in_another_order_give_the_same_list(wine):
    turned = wine.frame.select(wine.frame.columns[::-1])
    one, two = (dataaudit.audit_labels(f, id="id", **QUICK).labels for f in (wine.frame, turned))
    assert one["row_id"].head(30).to_list() == two["row_id"].head(30).to_list()
    np.testing.assert_allclose(one["self_influence"], two["self_influence"], rtol=1e-6)


def test_rows_are_named_by_file_and_line(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    lines = ["y,size,remark", *(f'{"ab"[i % 2]},{i * 1.7 + 9 * (i % 2)},"one\ntwo {i}"' for i in range(30))]
    (tmp_path / "rows.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    audit = dataaudit.audit_labels("rows.csv", exclude=["remark"], **QUICK)
    for row, line, row_id, source in audit.labels.select("row", "line", "row_id", "source").rows():
        assert line == 2 + 2 * row  # every record has two lines, the header one
        assert row_id == f"rows.csv:{line}"
        assert source == "rows.csv"
    origin = audit.findings.provenance.origins[0]
    assert origin["sha256"] == hashlib.sha256((tmp_path / "rows.csv").read_bytes()).hexdigest()
    assert (origin["path"], origin["format"], origin["rows"]) == ("rows.csv", "csv", 30)


def test_rows_without_a_label_are_left_out_with_a_note(wine):
    holes = wine.frame.with_columns(y=pl.when(pl.int_range(pl.len()) % 9 == 0).then(None).otherwise("y"))
    audit = dataaudit.audit_labels(holes, **QUICK)
    assert audit.labels.height == wine.frame.height - 20
    assert "20 of 178 rows have no 'y' and were left out." in audit.findings.provenance.notes
    assert not audit.labels.filter(pl.col("row") % 9 == 0).height
    alone = dataaudit.audit_labels(holes.drop_nulls("y"), **QUICK)
    np.testing.assert_array_equal(audit.labels["self_influence"], alone.labels["self_influence"])


def test_provenance_is_complete(cancer, cancer_audit):
    p = cancer_audit.findings.provenance
    assert (p.target, p.n_rows, p.n_features, p.n_classes) == ("y", 569, 30, 2)
    assert p.classes == ("benign", "malignant")
    assert p.version == p.versions["dataaudit"] == dataaudit.__version__
    assert {"python", "numpy", "polars", "scipy", "torch"} <= p.versions.keys()
    assert p.settings["basis"] == "linear"
    assert p.settings["columns"]["text_features"] == "tfidf"
    assert (p.settings["verify"], p.settings["top"], p.settings["seed"], p.seed) == (8, 30, 0, 0)
    assert p.command == "dataaudit.audit_labels"
    assert {role["column"]: role["role"] for role in p.roles} == {
        c: "numeric" for c in cancer.frame.columns if c not in ("id", "y")
    }
    assert p.solver in ("cholesky", "dual")
    assert p.solver_reason
    assert 0 < p.gradient_norm <= 1e-8
    assert len(p.run_id) == 16
    assert p.to_dict()["expected_low"] <= p.expected_wrong <= p.expected_high


def test_steps_are_told_in_order(wine):
    steps = []
    dataaudit.audit_labels(wine.frame, **(QUICK | {"verify": 2}), on_step=lambda *step: steps.append(step))
    stages = list(dict.fromkeys(stage for stage, _, _ in steps))
    assert stages[:2] == ["read", "encode"]
    assert stages[-4:] == ["score rows", "verify by refits", "evidence", "tables"]
    for stage in stages:
        shares = [done / total for name, done, total in steps if name == stage]
        assert shares == sorted(shares)
        assert (shares[0], shares[-1]) == (0, 1), "every stage begins and ends"


def test_nothing_on_top_and_no_refits(wine):
    audit = dataaudit.audit_labels(wine.frame, label="y", basis="linear", top=0, verify=0)
    tables = audit.findings.tables()
    assert all(tables[name].is_empty() for name in ("evidence", "neighbours", "verification"))
    assert set(tables["cells"]["row_id"]) == set(tables["sample"]["row_id"])
    assert audit.labels.height == 178
    check = audit.health.row(by_predicate=pl.col("check") == "verification", named=True)
    assert check["ok"], "nobody asked for refits"
    assert "unchecked" in check["message"]


def test_more_than_there_is(wine):
    audit = dataaudit.audit_labels(wine.frame.head(40), **(QUICK | {"top": 1000, "verify": 1000}), l2=0.1)
    assert audit.findings.evidence["row_id"].n_unique() == 40
    assert audit.findings.verification.height == 80


def test_an_odd_number_of_refits_is_rounded_up(wine):
    assert dataaudit.audit_labels(wine.frame, **(QUICK | {"verify": 3})).findings.verification.height == 4


def test_given_l2_is_taken(wine):
    provenance = dataaudit.audit_labels(wine.frame, l2=0.05, **QUICK).findings.provenance
    assert provenance.l2 == 0.05


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({"rank": "loss"}, "unknown rank: got 'loss'"),
        ({"l2": 0.0}, "l2 must be above 0: got 0"),
        ({"l2": -1.0}, "l2 must be above 0"),
        ({"l2": float("nan")}, "l2 must be above 0: got nan"),
        ({"l2": float("inf")}, "l2 must be above 0"),
        ({"verify": -1}, "verify must be 0 or more: got -1"),
        ({"top": -5}, "top must be 0 or more: got -5"),
        ({"seed": -1}, "seed must be 0 or more: got -1"),
    ],
)
def test_settings_that_make_no_sense(settings, match):
    with pytest.raises(SettingError, match=match):
        LabelOptions(label="y", **settings)


def blobs(n, *, classes=2, gap=1.0, columns=3):
    random, y = np.random.default_rng(n), np.arange(n) % classes
    X = random.standard_normal((n, columns))
    X[:, 0] += gap * y
    frame = pl.DataFrame({f"x{j}": X[:, j] for j in range(columns)})
    return frame.with_columns(y=pl.Series([f"class {label}" for label in y]))


SMALL = {
    "ten rows": blobs(10),
    "four rows": blobs(4),
    "two rows per class": blobs(10, classes=5),
    "thirty classes": blobs(150, classes=30),
    "one column": blobs(30, columns=1),
    "more columns than rows": blobs(12, columns=40),
    "every row three times": pl.concat([blobs(20)] * 3),
    "the same cells under both labels": pl.DataFrame({"x": [1.0, 1, 2, 2] * 5, "y": ["a", "b"] * 10}),
    "two of five hundred": blobs(500).with_columns(y=pl.Series(["rare"] * 2 + ["common"] * 498)),
    "a class of one": blobs(60).with_columns(y=pl.Series(["rare"] + ["common"] * 59)),
    "separable by far": blobs(60, gap=100.0),
}


@pytest.mark.parametrize("basis", ["linear", "auto"])
@pytest.mark.parametrize("name", SMALL)
def test_small_and_lopsided_tables_are_audited(name, basis, tmp_path):
    frame = SMALL[name]
    audit = dataaudit.audit_labels(frame, label="y", basis=basis, verify=2, top=5)
    labels = audit.labels
    assert labels.height == frame.height
    real = labels.select(pl.col(pl.Float64))
    assert real.to_numpy().size
    assert np.isfinite(real.to_numpy()).all()
    assert audit.health.filter(pl.col("check") == "gradient norm")["ok"].item()
    assert (audit.write(tmp_path) / "report.html").stat().st_size > 1000


def test_separable_data_have_no_wrong_labels():
    audit = dataaudit.audit_labels(SMALL["separable by far"], **QUICK)
    assert audit.expected_wrong[0] < 0.5
    assert (audit.labels["label"] == audit.labels["predicted_label"]).all()


def test_a_lone_row_is_named_in_the_notes():
    audit = dataaudit.audit_labels(SMALL["a class of one"], **QUICK)
    assert "1 class has a single row ('rare'): its label cannot be judged." in audit.findings.provenance.notes


def test_duplicate_rows_have_the_same_scores():
    labels = dataaudit.audit_labels(SMALL["every row three times"], **QUICK).labels.sort("row")
    thirds = labels["self_influence"].to_numpy().reshape(3, 20)
    np.testing.assert_allclose(thirds[1:], thirds[:1].repeat(2, 0), rtol=1e-9)


def test_constant_columns_only_are_refused():
    frame = pl.DataFrame({"x": [1.0] * 10, "z": ["q"] * 10, "y": ["a", "b"] * 5})
    with pytest.raises(EncodeError, match=r"no column can be used.*x \(the same value in every row\)"):
        dataaudit.audit_labels(frame, label="y")


def test_a_label_alone_is_refused():
    with pytest.raises(EncodeError, match="no column other than the label"):
        dataaudit.audit_labels(pl.DataFrame({"y": ["a", "b"] * 5}), label="y")
