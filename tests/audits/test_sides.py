"""A column that only one side has is left out with a word; a name that neither has is a slip."""

import sqlite3

import numpy as np
import polars as pl
import pytest
from command import audit

import dataaudit
from dataaudit.audits.sides import ONLY_TEST, ONLY_TRAIN
from dataaudit.audits.testset import read_pair
from dataaudit.errors import DataError, EncodeError, MissingColumn
from dataaudit.findings.schemas import ExplanationFindings, MismatchFindings, VulnerabilityFindings
from dataaudit.options import MismatchOptions
from dataaudit.training.encoded import encode_training

FAST = {"label": "y", "l2": 1e-2, "prove": 0, "verify": 0}
LEFT = "1 column is left out: annotator (only training has it)."
LEFT_OF_TEST = "1 column of test is left out: ward (only test has it)."


def table(n, seed):
    random = np.random.default_rng(seed)
    x, z = random.normal(size=(2, n)).round(4)
    y = np.where(x + random.normal(size=n) > 0, "yes", "no")
    return pl.DataFrame({"x": x, "z": z, "y": y})


def sides():
    train, test = table(90, 0), table(60, 1)
    annotator, ward = (pl.Series(["ann", "bob", "eve"] * n) for n in (30, 20))
    return train.with_columns(annotator=annotator), test.with_columns(ward=ward)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sides")
    train, test = sides()
    train.write_csv(folder / "train.csv")
    test.write_csv(folder / "test.csv")
    test.drop("y").write_csv(folder / "unlabelled.csv")
    return folder


def pair(train, test, **settings):
    return read_pair(train, test, MismatchOptions(**FAST | settings))


def test_the_model_is_that_of_the_shared_columns():
    train, test = sides()
    found = dataaudit.audit_mismatch(train, test, **FAST)
    same = dataaudit.audit_mismatch(train.drop("annotator"), test.drop("ward"), **FAST)
    assert found.traces.equals(same.traces)
    assert found.tables.shift.equals(same.tables.shift)
    provenance = found.tables.provenance
    assert {"column": "annotator", "role": "left out", "reason": ONLY_TRAIN} in provenance.roles
    assert provenance.notes[:2] == (LEFT, LEFT_OF_TEST)


def test_the_columns_stay_with_their_side():
    known = pair(*sides())
    assert known.train.frame.columns == ["x", "z", "y", "annotator"]
    assert known.test.frame.columns == ["x", "z", "y", "ward"] == known.raw_test.columns
    assert known.train.unshared == {"annotator": ONLY_TRAIN, "ward": ONLY_TEST} == known.test.unshared
    roles = {
        r.column: r.role
        for r in encode_training(known.train, known.target, MismatchOptions(**FAST)).encoding.roles
    }
    assert roles == {"x": "numeric", "z": "numeric", "annotator": "left out"}


def test_rows_are_traced_to_a_column_that_training_alone_has():
    train, test = (table(n, seed) for n, seed in ((400, 2), (300, 3)))
    annotator = pl.Series(np.random.default_rng(0).choice(["ann", "bob", "eve", "joe"], 400))
    careless = pl.when(annotator == "bob").then(pl.lit("yes")).otherwise("y").alias("y")
    found = dataaudit.audit_mismatch(train.with_columns(careless, annotator=annotator), test, **FAST).findings
    assert found.row(0, named=True)["columns"] == ["annotator"]
    assert found.row(0, named=True)["levels"] == ["bob"]


def written(frame, path):
    """Write a frame as the ending of a path says; a database as a query of it."""
    if path.suffix == ".parquet":
        frame.write_parquet(path)
    elif path.suffix == ".ndjson":
        frame.write_ndjson(path)
    elif path.suffix == ".csv":
        frame.write_csv(path)
    else:
        names = ", ".join(frame.columns)
        with sqlite3.connect(path) as base:
            base.execute(f"create table t ({names})")
            base.executemany(f"insert into t values ({', '.join('?' * frame.width)})", frame.rows())
        return dataaudit.Query(f"select {names} from t", f"sqlite:///{path}")
    return str(path)


@pytest.mark.parametrize("ending", ["csv", "parquet", "ndjson", "db", "frame"])
@pytest.mark.parametrize(
    "settings",
    [
        {"exclude": ["annotator", "ward"]},
        {"features": ["x", "annotator", "ward"]},
        {"text": ["ward"], "categorical": ["annotator"]},
        {"id": "number"},
    ],
    ids="+".join,
)
def test_named_columns_may_be_of_one_side(tmp_path, ending, settings):
    train, test = sides()
    train = train.with_columns(number=pl.format("n{}", pl.int_range(90)))
    if ending != "frame":
        train, test = written(train, tmp_path / f"train.{ending}"), written(test, tmp_path / f"test.{ending}")
    known = pair(train, test, **settings)
    if "id" in settings:
        assert set(known.train.row_id) == {f"n{i}" for i in range(90)}
        assert "number" not in known.train.frame.columns
        assert "Only training has 'number': rows of test are named by their place." in known.train.notes
    assert (known.train.n, known.test.n) == (90, 60)
    encoded = encode_training(known.train, known.target, MismatchOptions(**FAST | settings)).encoding
    used = [role.column for role in encoded.roles if role.role != "left out"]
    assert used == (["x"] if "features" in settings else ["x", "z"])


@pytest.mark.parametrize("option", ["exclude", "features", "text", "categorical", "id"])
def test_a_name_that_neither_side_has_is_a_slip(option):
    name = "annotatr"
    with pytest.raises(MissingColumn, match=r"'annotatr' is not in the training and the test.*'annotator'"):
        pair(*sides(), **{option: name if option == "id" else [name]})


def test_what_leaves_no_feature_is_refused():
    train, test = sides()
    with pytest.raises(DataError, match=r"'annotator': only training has it.*both have x, z"):
        pair(train, test, features=["annotator"])
    with pytest.raises(DataError, match=r"share no column but the label.*training has x, z.*test has X, Z"):
        pair(train, test.rename({"x": "X", "z": "Z"}))
    with pytest.raises(DataError, match="the test rows have no column but the label"):
        pair(train, test.select("y"))
    with pytest.raises(MissingColumn, match="'y' is not in"):
        pair(train, test.select(u="x", v="z"))


def test_names_that_are_nearly_alike_are_asked_about():
    train, test = sides()
    notes = pair(train, test.rename({"z": "Z"})).train.notes
    assert "Is 'Z' in test the same as 'z' in training?" in notes
    assert "2 columns of test are left out: Z, ward (only test has it)." in notes
    assert "Is 'Y' in test the same as 'y' in training?" in pair(train, test.rename({"y": "Y"})).train.notes


def test_types_that_differ_are_said():
    train, test = sides()
    words = pl.Series(["low", "high"] * 30)
    with pytest.raises(EncodeError, match="'x' does not fit: numbers in training and text now: got 'low'"):
        dataaudit.audit_mismatch(train, test.with_columns(x=words), **FAST)
    with pytest.raises(EncodeError, match="'x' does not fit: numbers in training and text now"):
        dataaudit.audit_mismatch(train, test.with_columns(x=words).drop("y"), **FAST)
    known = pair(train.with_columns(z=pl.Series(["low", "high"] * 45)), test)
    assert "Column 'z' is text in training and numbers in test: read as text." in known.train.notes
    numbers = pair(train.with_columns(pl.col("z").cast(pl.String)), test)
    assert not any("'z'" in note for note in numbers.train.notes)


@pytest.mark.parametrize(
    ("command", "kind"),
    [
        (("mismatch", "train.csv", "test.csv"), MismatchFindings),
        (("mismatch", "train.csv", "unlabelled.csv"), MismatchFindings),
        (("explain", "train.csv", "test.csv", "--row", "3"), ExplanationFindings),
        (("vulnerability", "train.csv", "test.csv", "--tests", "1"), VulnerabilityFindings),
    ],
    ids=["mismatch", "inputs only", "explain", "vulnerability"],
)
def test_it_is_said_on_the_page_and_the_console(folder, command, kind):
    out = "-".join(command[:3:2]) + ".out"
    done = audit(*command, "--label", "y", "--l2", "1e-2", "--out", out, cwd=folder)
    assert done.returncode == 0, done.stderr
    for said in (done.stderr, (folder / out / "report.html").read_text(encoding="utf-8")):
        words = " ".join(said.split())
        assert LEFT in words
        assert LEFT_OF_TEST in words
    assert LEFT in kind.read(folder / out).provenance.notes


def test_verify_makes_the_same_decision(folder):
    arguments = ("mismatch", "train.csv", "test.csv", "--label", "y", "--exclude", "ward", "--l2", "1e-2")
    assert audit(*arguments, "--out", "verified", cwd=folder).returncode == 0
    again = audit("verify", "verified", "--top", "2", cwd=folder)
    assert again.returncode == 0, again.stderr
    assert "came out again" in " ".join((again.stdout + again.stderr).split())
