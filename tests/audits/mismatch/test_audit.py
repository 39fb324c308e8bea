"""The whole audit: what was planted is found, nothing where nothing is, bad input is said plainly."""

import numpy as np
import polars as pl
import pytest

import dataaudit
from dataaudit.errors import DataError, SettingError
from dataaudit.findings.schemas import MismatchFindings


def patients(n, seed, *, children, ill):
    """Patients; the first `children` rows are children, `ill` of them ill, whatever their x."""
    random = np.random.default_rng(seed)
    age = np.where(np.arange(n) < children, "child", random.choice(["young", "middle", "old"], n))
    x = random.normal(size=n)
    y = random.random(n) < 1 / (1 + np.exp(1.0 - x))
    y[:children] = np.arange(children) < ill
    return pl.DataFrame(
        {
            "age": age,
            "x": x,
            "ward": random.choice(list("abcdef"), n),
            "id": [f"{seed}-{i}" for i in range(n)],
            "y": np.where(y, "ill", "well"),
        }
    )


@pytest.fixture(scope="module")
def train():
    return patients(1500, 0, children=5, ill=4)


@pytest.fixture(scope="module", name="test")
def _test_rows():
    return patients(2500, 1, children=60, ill=0)


@pytest.fixture(scope="module")
def audit(train, test):
    return dataaudit.audit_mismatch(train, test, label="y", id="id", l2=1e-4)


def test_the_children_are_found_without_a_hint(audit):
    first = audit.slices.row(0, named=True)
    assert (first["column"], first["level"]) == ("age", "child")
    assert (first["n_train"], first["n_test"]) == (5, 60)
    assert (first["rate_class"], first["rate_train"], first["rate_test"]) == ("ill", 0.8, 0.0)
    finding = audit.findings.row(0, named=True)
    assert (finding["kind"], finding["severity"]) == ("slice", "medium")
    assert (finding["columns"], finding["levels"]) == (["age"], ["child"])
    assert finding["slice"] == "age = child"
    assert set(finding["train_row_ids"]) <= {f"0-{i}" for i in range(5)}
    assert finding["features"].startswith("age ")


def test_the_proof_agrees_and_the_fixes_are_measured(audit):
    finding = audit.findings.row(0, named=True)
    assert finding["measured_delta_loss"] < 0
    assert finding["predicted_delta_loss"] == pytest.approx(finding["measured_delta_loss"], rel=0.05)
    assert finding["worth_low"] < finding["worth"] < finding["worth_high"]
    assert finding["worth"] == pytest.approx(-2500 * finding["measured_delta_loss"])
    tried = audit.tables.fixes.filter(finding=1)
    assert tried["best"].sum() == 1
    best = tried.row(by_predicate=pl.col("best"), named=True)
    assert best["errors_after"] < best["errors_before"]
    assert (best["fix"], best["measured"]) == (finding["fix"], finding["measured_delta_loss"])
    assert f"{best['errors_after']:,} instead of {best['errors_before']:,} of 2,500" in finding["advice"]


def test_a_slice_whose_labels_are_the_wrong_way_round_is_no_note():
    """Its rows are too many, and too like the others, to be done without: other labels mend it."""

    def shops(n, seed):
        random = np.random.default_rng(seed)
        colour, x = random.choice(["rouge", *"abcdef"], n), random.normal(size=n)
        y = np.where(random.random(n) < 1 / (1 + np.exp(-1.0 - x)), "yes", "no")
        return pl.DataFrame({"colour": colour, "x": x, "y": y})

    rouge, other = pl.col("colour") == "rouge", pl.when(pl.col("y") == "yes").then(pl.lit("no"))
    swapped = shops(900, 0).with_columns(y=pl.when(rouge).then(other.otherwise(pl.lit("yes"))).otherwise("y"))
    found = dataaudit.audit_mismatch(swapped, shops(400, 1), label="y", l2=1e-3)
    first = found.findings.row(0, named=True)
    assert (first["slice"], first["severity"]) == ("colour = rouge", "medium")
    tried = {r["fix"]: r for r in found.tables.fixes.filter(finding=1).iter_rows(named=True)}
    assert "with colour = rouge" in tried["relabel"]["detail"]
    assert tried["relabel"]["errors_after"] < 0.9 * tried["relabel"]["errors_before"]
    assert first["fix"] == "relabel"
    honest = dataaudit.audit_mismatch(shops(900, 0), shops(400, 1), label="y", l2=1e-3, prove=0)
    assert set(honest.findings["severity"]) <= {"note"}


def test_the_strongest_traces_are_refitted(audit):
    refits = audit.tables.verification
    assert len(refits) == 12
    assert refits["train_row_id"].n_unique() == 12
    assert refits.filter(pl.col("predicted") != 0).height == 12
    gap = (refits["predicted"] - refits["measured"]).abs().max()
    assert gap < 0.3 * refits["measured"].abs().max()
    checks = audit.tables.health
    assert {"proof", "verification"} <= set(checks["check"])
    assert "furthest apart" in checks.filter(check="verification")["message"][0]


def test_a_refit_that_disagrees_is_not_in_order():
    from dataaudit.audits.mismatch.proofs import proof_checks
    from dataaudit.findings.schemas import TRACE_REFITS

    wrong = pl.DataFrame([("t", "a", "removed", 0.1, -0.4)], schema=TRACE_REFITS, orient="row")
    none = pl.DataFrame(schema={"predicted_delta_loss": pl.Float64, "measured_delta_loss": pl.Float64})
    ((name, _, _, ok, message),) = proof_checks(none, wrong)
    assert (name, ok) == ("verification", False)
    assert "+0.1 predicted, -0.4 measured" in message
    for measured, right in ((-0.15, True), (-0.05, False), (0.2, False)):
        ((name, share, _, ok, _),) = proof_checks(
            pl.DataFrame({"predicted": [-0.2], "measured": [measured]}), wrong.clear()
        )
        assert (name, ok) == ("proof", right)
        assert share == pytest.approx(-measured / 0.2)


def test_traces_lead_from_the_wrong_children_to_the_five(audit):
    top = audit.traces.filter(rank=1)
    children = top.filter(pl.col("test_row_id").is_in([f"1-{i}" for i in range(60)]))
    assert len(children)
    assert set(children["train_row_id"]) <= {f"0-{i}" for i in range(5)}
    harmful = audit.traces.filter(pl.col("delta_loss_if_removed") < 0)
    assert harmful["effect"].str.starts_with("harmful: removing it lowers the loss by ").all()
    assert (harmful["influence"] > 0).all()


def test_a_trace_predicts_the_refit(audit, train, test):
    surely = audit.tables.responsible.filter(pl.col("loss") > 1.0)["test_row_id"]  # wrong without the row too
    size = pl.col("delta_loss_if_removed").abs()
    # One step is for changes that are small beside the loss; larger ones are what findings are refitted for.
    some = audit.traces.filter((size < 0.1) & pl.col("test_row_id").is_in(surely.implode()))
    trace = some.sort(size, "test_row", "train_row").row(-1, named=True)
    kept = train.filter(pl.col("id") != trace["train_row_id"])
    # n and hence λ n stay as they were: the ridge is what it was when a row leaves
    again = dataaudit.audit_mismatch(
        kept, test, label="y", id="id", l2=1e-4 * len(train) / len(kept), prove=0
    )
    both = audit.tables.responsible.join(again.tables.responsible, on="test_row_id").filter(
        test_row_id=trace["test_row_id"]
    )
    change = both["loss_right"][0] - both["loss"][0]
    assert change == pytest.approx(trace["delta_loss_if_removed"], rel=0.05)


def test_every_table_has_its_schema_and_comes_back_from_disk(audit, tmp_path):
    back = MismatchFindings.read(audit.write(tmp_path / "out"))
    for name, table in audit.tables.tables().items():
        assert table.schema == MismatchFindings.SCHEMAS[name], name
        assert back.tables()[name].equals(table), name
    assert back.provenance.run_id == audit.tables.provenance.run_id


def test_responsible_rows_are_fewest_where_the_five_decide(audit):
    few = audit.tables.responsible.head(5)
    assert set(few["test_row_id"]) <= {f"1-{i}" for i in range(60)}


@pytest.mark.parametrize("seed", range(5))
def test_no_alarm_where_train_and_test_are_alike(seed):
    rows = patients(3000, 10 + seed, children=0, ill=0)
    found = dataaudit.audit_mismatch(rows, label="y", id="id", test_size=0.5, seed=seed, l2=1e-4, prove=0)
    assert set(found.findings["severity"]) <= {"note"}


def test_rows_and_conditions_choose_what_is_traced(train, test):
    one = dataaudit.audit_mismatch(train, test, label="y", id="id", l2=1e-3, rows=[3], prove=0)
    assert one.traces["test_row"].unique().to_list() == [3]
    some = dataaudit.audit_mismatch(train, test, label="y", id="id", l2=1e-3, where="age = 'child'", prove=0)
    assert some.tables.responsible["test_row"].sort().to_list() == list(range(60))
    every = dataaudit.audit_mismatch(
        train, test, label="y", id="id", l2=1e-3, where="true", prove=0, verify=0
    )
    assert len(every.tables.responsible) == test.height
    with pytest.raises(SettingError, match="where is no condition: 'x' gives Float64"):
        dataaudit.audit_mismatch(train, test, label="y", id="id", l2=1e-3, where="x")
    with pytest.raises(DataError, match="column 'nope' is not in the test rows"):
        dataaudit.audit_mismatch(train, test, label="y", id="id", l2=1e-3, where="nope = 1")
    with pytest.raises(SettingError, match="no test row 99999"):
        dataaudit.audit_mismatch(train, test, label="y", id="id", l2=1e-3, rows=[99999])


def test_a_split_column_is_as_good_as_two_tables(train, test, audit):
    whole = pl.concat([train.with_columns(part=pl.lit("train")), test.with_columns(part=pl.lit("test"))])
    one = dataaudit.audit_mismatch(whole, label="y", id="id", split_column="part", l2=1e-4)
    assert one.slices.equals(audit.slices)
    with pytest.raises(DataError, match="does not tell train from test"):
        dataaudit.audit_mismatch(whole, label="y", id="id", split_column="age")


def test_without_labels_only_inputs_are_compared(train, test):
    found = dataaudit.audit_mismatch(train, test.drop("y"), label="y", id="id", l2=1e-3)
    assert found.findings.is_empty()
    assert len(found.shift)
    assert any("no labels" in note for note in found.tables.provenance.notes)


def test_labels_that_training_lacks_are_said(train, test):
    strange = test.with_columns(y=pl.when(pl.int_range(pl.len()) == 7).then(pl.lit("dead")).otherwise("y"))
    found = dataaudit.audit_mismatch(train, strange, label="y", id="id", l2=1e-3, prove=0)
    assert found.tables.provenance.n_test == test.height - 1
    assert any("a class that training lacks ('dead')" in note for note in found.tables.provenance.notes)
    other = test.with_columns(y=pl.lit("nobody"))
    with pytest.raises(DataError, match="no test row has a label that training knows"):
        dataaudit.audit_mismatch(train, other, label="y", id="id")


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"test_size": 0.2}, "two sources and a way to split"),
        ({"l2": -1.0}, "l2 must be above 0"),
        ({"k": 0}, "k must be 1 or more"),
        ({"memory": 5}, "memory must be 1048576 or more: got 5"),
    ],
)
def test_settings_that_make_no_sense(train, test, settings, words):
    with pytest.raises(SettingError, match=words):
        dataaudit.audit_mismatch(train, test, label="y", **settings)


def test_no_test_rows_at_all(train):
    with pytest.raises(SettingError, match="no test rows"):
        dataaudit.audit_mismatch(train, label="y")


def test_little_memory_gives_the_same_traces(train, test, audit, monkeypatch):
    monkeypatch.setattr("dataaudit.audits.mismatch.audit.INFLUENCES", 2**19)
    small = dataaudit.audit_mismatch(train, test, label="y", id="id", l2=1e-4, prove=0)
    assert small.traces.select("test_row", "train_row", "rank").equals(
        audit.traces.select("test_row", "train_row", "rank")
    )


def test_several_classes(train, test):
    third = pl.when(pl.col("x") > 1.2).then(pl.lit("dead")).otherwise("y")
    found = dataaudit.audit_mismatch(
        train.with_columns(y=third), test.with_columns(y=third), label="y", id="id", l2=1e-4
    )
    assert found.findings["slice"][0] == "age = child"


def test_texts_have_terms_for_slices():
    random = np.random.default_rng(0)
    words = np.array(["alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta", "iota", "kappa"])
    texts = [" ".join(random.choice(words, 6)) for _ in range(600)]
    frame = pl.DataFrame({"text": texts, "y": ["a" if "alpha" in t else "b" for t in texts]})
    flipped = frame.with_columns(y=pl.when(pl.int_range(pl.len()) % 10 == 0).then(pl.lit("a")).otherwise("y"))
    found = dataaudit.audit_mismatch(
        frame.head(300), flipped.tail(300), label="y", text="text", l2=1e-3, prove=1
    )
    assert set(found.slices["level"]) <= set(words)
    assert len(found.slices)


@pytest.mark.parametrize("columns", [2, 120], ids=["fewer columns than rows", "more columns than rows"])
def test_three_classes_without_an_error_leave_nothing_to_trace(columns):
    random = np.random.default_rng(0)
    y = np.arange(120) % 3
    X = random.normal(size=(120, columns))
    X += 50 * np.array([[0, 0], [1, 0], [0, 1]])[y][:, np.arange(columns) % 2]
    frame = pl.DataFrame(X, schema=[f"x{j}" for j in range(columns)]).with_columns(
        y=pl.Series([f"c{k}" for k in y])
    )
    found = dataaudit.audit_mismatch(frame[:90], frame[90:], label="y", l2=1e-3, basis="linear")
    assert found.tables.responsible.is_empty()
    assert found.tables.traces.is_empty()
