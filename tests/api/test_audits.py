"""What Python users call: whatever holds a table goes in, tables and a report come out."""

import hashlib
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal
from sklearn.datasets import load_breast_cancer

import dataaudit
from dataaudit.findings import schemas

QUICK = {"label": "y", "basis": "linear", "verify": 2, "top": 5}
FILES = {*(f"{table}.parquet" for table in schemas.Findings.SCHEMAS), "provenance.json", "report.html"}


@pytest.fixture(scope="module")
def frame():
    """200 real rows of 6 numbers; the first 10 labels are wrong."""
    bunch = load_breast_cancer()
    y = bunch.target[:200].copy()
    y[:10] = 1 - y[:10]
    numbers = pl.DataFrame(bunch.data[:200, :6], schema=[f"x{j}" for j in range(6)])
    return numbers.with_columns(y=pl.Series([str(bunch.target_names[label]) for label in y]))


@pytest.fixture(scope="module")
def audit(frame):
    return dataaudit.audit_labels(frame, **QUICK)


def same_numbers(one, two):
    """The rows have other names from another source, and the same numbers."""
    numbers = [name for name in schemas.LABELS.names() if name not in ("row_id", "source", "line")]
    assert_frame_equal(one.labels.select(numbers), two.labels.select(numbers), rel_tol=1e-9)


WRITERS = {
    "rows.parquet": pl.DataFrame.write_parquet,
    "rows.csv": pl.DataFrame.write_csv,
    "rows.tsv": lambda frame, path: frame.write_csv(path, separator="\t"),
    "rows.ndjson": pl.DataFrame.write_ndjson,
    "rows.arrow": pl.DataFrame.write_ipc,
}


@pytest.mark.parametrize("name", WRITERS)
@pytest.mark.parametrize("kind", [str, Path])
def test_a_file(frame, audit, tmp_path, name, kind):
    path = tmp_path / name
    WRITERS[name](frame, path)
    other = dataaudit.audit_labels(kind(path), **QUICK)
    same_numbers(audit, other)
    assert other.findings.provenance.origins[0]["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert other.findings.provenance.dataset == path.as_posix()


def test_several_files_are_one_table(frame, audit, tmp_path):
    parts = [tmp_path / "a.parquet", tmp_path / "b.parquet"]
    frame.head(90).write_parquet(parts[0])
    frame.tail(110).write_parquet(parts[1])
    by_list, by_glob, by_folder = (
        dataaudit.audit_labels(source, **QUICK) for source in (parts, f"{tmp_path}/*.parquet", tmp_path)
    )
    columns = ["label", "p_wrong", "self_influence", "rank"]
    for other in (by_list, by_glob, by_folder):
        assert_frame_equal(other.labels.select(columns), audit.labels.select(columns), rel_tol=1e-9)
    assert by_list.labels["source"].n_unique() == 2
    assert by_list.labels["row"].max() == 109


def test_frames_of_every_kind(frame, audit):
    for source in (frame.lazy(), frame.to_pandas()):
        same_numbers(audit, dataaudit.audit_labels(source, **QUICK))
    assert audit.labels["source"].unique().to_list() == ["<frame>"]
    assert audit.labels["line"].null_count() == 200


def test_a_pandas_frame_with_an_index_and_categories(frame, audit):
    table = frame.to_pandas()
    table["y"] = table["y"].astype("category")
    table.index = [f"patient {i}" for i in range(200)]
    table.index.name = "patient"
    other = dataaudit.audit_labels(table, id="patient", **QUICK)
    assert other.labels["row_id"].str.starts_with("patient ").all()
    assert other.labels["row"].to_list() == audit.labels["row"].to_list()


def test_the_result_shows_tables_and_numbers(audit):
    assert audit.labels is audit.findings.labels
    assert audit.health is audit.findings.health
    expected, low, high = audit.expected_wrong
    assert low <= expected <= high
    assert expected == audit.findings.provenance.expected_wrong
    assert len(set(audit.labels["row"].head(20)) & set(range(10))) >= 8


def test_writing_makes_all_files_and_returns_the_folder(audit, tmp_path):
    folder = audit.write(str(tmp_path / "deep" / "found"))
    assert folder == tmp_path / "deep" / "found"
    assert {path.name for path in folder.iterdir()} == FILES
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert page.lstrip().lower().startswith("<!doctype html>")
    assert "http-equiv" in page
    assert f"row {audit.labels['row'][0]}" in page
    again = schemas.Findings.read(folder)
    assert_frame_equal(again.labels, audit.labels)


def test_writing_again_replaces_and_leaves_other_files_alone(audit, tmp_path):
    (tmp_path / "mine.txt").write_text("keep", encoding="utf-8")
    first = {p.name: p.read_bytes() for p in audit.write(tmp_path).iterdir()}
    second = {p.name: p.read_bytes() for p in audit.write(tmp_path).iterdir()}
    assert first == second
    assert first.keys() == {*FILES, "mine.txt"}


def test_an_unwritable_folder(audit, tmp_path):
    (tmp_path / "file").write_text("in the way", encoding="utf-8")
    for folder in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(dataaudit.WriteError, match="cannot be written"):
            audit.write(folder)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_notebook_shows_the_page_in_a_frame(audit):
    shown = audit._repr_html_()
    assert shown.startswith("<iframe ")
    assert "sandbox=" in shown
    assert "<script" not in shown, "all of the page is inside an attribute"
    assert len(shown) < 2_000_000


@pytest.mark.parametrize("text", ["note", ["note"], ("note",)])
def test_one_name_or_several(text):
    words = np.random.default_rng(0).choice(["lovely", "awful", "plot", "cast"], (40, 5))
    notes = [" ".join(row) for row in words]
    table = pl.DataFrame({"note": notes, "y": ["good" if "lovely" in note else "bad" for note in notes]})
    audit = dataaudit.audit_labels(table, label="y", text=text, verify=0, top=2)
    roles = {role["column"]: role["role"] for role in audit.findings.provenance.roles}
    assert roles == {"note": "text"}


def test_counts_are_the_papers_bag_of_words():
    words = np.random.default_rng(0).choice(["lovely", "awful", "plot", "cast"], (60, 6))
    notes = [" ".join(row) for row in words]
    table = pl.DataFrame({"note": notes, "y": ["good" if "lovely" in note else "bad" for note in notes]})
    audit = dataaudit.audit_labels(table, label="y", text="note", text_features="counts", l2=1e-2, verify=0)
    assert audit.findings.provenance.n_features == 4
    assert audit.findings.provenance.settings["columns"]["text_features"] == "counts"


def test_columns_are_taken_or_left(frame):
    def used(**settings):
        roles = dataaudit.audit_labels(frame, **(QUICK | {"verify": 0}), **settings).findings.provenance.roles
        return {role["column"] for role in roles if role["role"] != "left out"}

    assert used(features=["x1", "x3"]) == {"x1", "x3"}
    assert used(exclude=["x0"]) == {"x1", "x2", "x3", "x4", "x5"}
    codes = frame.with_columns(code=pl.int_range(pl.len()) % 7)
    roles = dataaudit.audit_labels(
        codes, categorical=["code"], **(QUICK | {"verify": 0})
    ).findings.provenance.roles
    assert {r["column"]: r["role"] for r in roles}["code"] == "categorical"


BAD = {
    "no such label": ({"label": "Y2"}, r"column 'Y2' is not in the frame.*did you mean 'y'"),
    "no such feature": ({"features": ["x9"]}, r"'x9' is not in the frame"),
    "no such text column": ({"text": "txt"}, r"'txt' is not in the table"),
    "no such id": ({"id": "nr"}, r"'nr' is not in the frame"),
    "the label as text": ({"text": "y"}, r"column 'y' is the label"),
    "an id that repeats": ({"id": "x9"}, r"'x9' is not in the frame"),
    "unknown ranking": ({"rank": "loss"}, r"unknown rank: got 'loss'"),
    "unknown basis": ({"basis": "fourier"}, r"unknown basis: got 'fourier'"),
    "unknown text features": ({"text_features": "bag"}, r"'bag'"),
    "a negative seed": ({"seed": -1}, r"seed must be 0 or more: got -1"),
    "no ridge": ({"l2": 0.0}, r"l2 must be above 0"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_makes_no_sense_is_an_audit_error_in_one_line(frame, name):
    settings, match = BAD[name]
    with pytest.raises(dataaudit.AuditError, match=match) as caught:
        dataaudit.audit_labels(frame, **(QUICK | settings))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("source", [42, np.zeros((3, 2)), None, [1, 2]])
def test_what_is_no_source_is_an_audit_error(source):
    with pytest.raises(dataaudit.AuditError, match="cannot be read"):
        dataaudit.audit_labels(source, label="y")


def test_a_command_and_steps_are_passed_on(frame):
    steps = []
    audit = dataaudit.audit_labels(
        frame, **QUICK, command="audit labels x", on_step=lambda *step: steps.append(step)
    )
    assert audit.findings.provenance.command == "audit labels x"
    assert ("read", 1, 1) in steps
