"""``audit explain`` as people and scripts meet it: real processes, their streams and exit codes."""

import json
import re

import polars as pl
import pytest
from audits.mismatch.test_audit import patients
from command import audit

from dataaudit.findings.schemas import ExplanationFindings


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("explain")
    train, test = patients(400, 0, children=5, ill=4), patients(200, 1, children=40, ill=0)
    train.write_csv(folder / "train.csv")
    test.write_csv(folder / "test.csv")
    test.drop("y").write_csv(folder / "unlabelled.csv")
    test.select("y", "id", strange=1).write_csv(folder / "strange.csv")
    (folder / "empty.csv").write_bytes(b"")
    return folder


def run(folder, *arguments):
    return audit("explain", *arguments, cwd=folder)


FAST = "--label", "y", "--id", "id", "--l2", "1e-4"


@pytest.fixture(scope="module")
def done(folder):
    more = "--flip", "prediction", "--show-components", "--out", "why", "--format", "jsonl"
    return run(folder, "train.csv", "test.csv", *FAST, "--row", "0", *more)


def test_results_are_files_lines_and_talk(done, folder):
    assert done.returncode == 0
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(rows) == 20
    children = {row["train_row_id"] for row in rows[:5]} & {f"0-{i}" for i in range(5)}
    assert len(children) >= 4  # the four that are ill carry it; the fifth is what a child should be
    assert "Test row 0 is predicted" in done.stderr
    assert max(map(len, done.stderr.splitlines())) <= 80
    names = {path.name for path in (folder / "why").iterdir()}
    assert names == {
        *(f"{table}.parquet" for table in ExplanationFindings.SCHEMAS),
        "provenance.json",
        "report.html",
    }


def test_a_row_has_a_name_too(folder, done):
    named = run(
        folder, "train.csv", "test.csv", *FAST, "--row-id", "1-0", "--out", "named", "--format", "jsonl"
    )
    first, same = (json.loads(text.splitlines()[0]) for text in (named.stdout, done.stdout))
    assert first["train_row_id"] == same["train_row_id"]
    assert first["influence"] == pytest.approx(same["influence"])
    assert "--flip prediction" in " ".join(named.stderr.split())


def test_two_models_side_by_side(folder):
    more = "--versus", "rbf-svm", "--out", "two", "--format", "markdown"
    found = run(folder, "train.csv", "test.csv", *FAST, "--row", "0", *more)
    assert found.returncode == 0
    assert max(map(len, found.stderr.splitlines())) <= 80
    flat = " ".join(found.stderr.split())
    assert re.search(r"logistic +rbf-svm", found.stderr)
    assert re.search(r"logistic and rbf-svm order the training rows alike to \d\.\d+", flat)
    assert re.search(r"rbf-svm predicts “\w+” \(\d+\.\d%\); \d+ of the 10 rows of largest influence", flat)
    assert "### Two models" in found.stdout
    versus = pl.read_parquet(folder / "two" / "versus.parquet")
    assert versus.group_by("model").len().sort("model").rows() == [("logistic", 400), ("rbf-svm", 400)]
    alone = run(folder, "train.csv", "test.csv", *FAST, "--row", "0", "--model", "svm", "--out", "one")
    assert alone.returncode == 0
    assert "--flip" not in alone.stderr  # which is for a logistic regression


def test_without_a_label_it_says_so(folder):
    found = run(folder, "train.csv", "unlabelled.csv", *FAST, "--row", "3", "--out", "un")
    assert found.returncode == 0
    assert "It has no label, so it is explained" in " ".join(found.stderr.split())


def test_what_if_and_other_labels_fit_80_columns(folder):
    more = "--without", "age = 'child'", "--where", "age = 'child'", "--flip", "relabel", "--out", "if"
    found = run(folder, "train.csv", "test.csv", *FAST, "--row", "0", *more, "--redact", "none")
    assert found.returncode == 0, found.stderr
    assert max(map(len, found.stderr.splitlines())) <= 80
    flat = " ".join(found.stderr.split())
    assert re.search(r"Without 5 training rows \(1\.2 %\) where age = 'child', this row is ", flat)
    assert re.search(r"Relabelling \d training rows? \(\d\.\d+ %\) \w+ this prediction, from “", flat)
    assert "all test rows" in flat
    back = ExplanationFindings.read(folder / "if")
    assert back.without["scope"].to_list() == ["prediction", "slice", "test"]
    errors = back.without.filter(scope="slice").row(0, named=True)
    assert errors["errors_after"] < errors["errors_before"]
    assert back.flip["new_label"].null_count() == 0
    page = (folder / "if" / "report.html").read_text(encoding="utf-8")
    assert "Without age = " in page
    assert "get another label, in this order" in page


def test_a_slice_says_that_half_of_its_errors_are_righted(folder):
    more = "--flip", "slice:age=child", "--out", "half"
    found = run(folder, "train.csv", "test.csv", *FAST, "--row", "0", *more)
    flat = " ".join(found.stderr.split())
    assert re.search(
        r"Removing \d training rows? \(\d\.\d+ %\) rights half of the errors of age = child: "
        r"(\d+) of its \d+ test rows are predicted wrong now, (\d+) after it",
        flat,
    )


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("train.csv", "test.csv", *FAST), "one test row must be named"),
        (("train.csv", "test.csv", *FAST, "--row", "1", "--row-id", "a"), "both row and row_id"),
        (("train.csv", "test.csv", *FAST, "--row", "9999"), "there is no test row 9999"),
        (("train.csv", "test.csv", *FAST, "--row-id", "1-00"), "did you mean"),
        (("train.csv", "test.csv", "--label", "yy", "--row", "1"), "column 'yy'"),
        (("train.csv", "strange.csv", *FAST, "--row", "1"), "share no column but the label"),
        (("train.csv", "empty.csv", *FAST, "--row", "1"), "empty.csv is empty"),
        (("train.csv", "nope.csv", *FAST, "--row", "1"), "no such file"),
        (("train.csv", *FAST, "--row", "1"), "there are no test rows"),
        (("train.csv", "test.csv", *FAST, "--row", "1", "--flip", "x"), "write prediction"),
        (("train.csv", "test.csv", *FAST, "--row", "1", "--without", "age ="), "cannot be read"),
        (("train.csv", "test.csv", *FAST, "--row", "1", "--without", "true"), "all 400 training rows"),
        (("train.csv", "test.csv", *FAST, "--row", "1", "--without", "age = 'x'"), "nothing to leave out"),
        (("train.csv", "test.csv", *FAST, "--row", "1", "--where", "true"), "--without"),
        (("train.csv", "test.csv", *FAST, "--row", "1", "--model", "svmm"), "did you mean 'svm'?"),
        (("train.csv", "test.csv", *FAST, "--row", "1", "--versus", "forest"), "logistic, svm, rbf-svm"),
        (("train.csv", "test.csv", *FAST, "--row", "1", "--versus", "logistic"), "nothing to compare"),
    ],
)
def test_bad_input_is_one_line_and_exit_2(folder, arguments, words):
    found = run(folder, *arguments, "--out", "bad")
    errors = [line for line in found.stderr.splitlines() if line.startswith("error: ")]
    assert (found.returncode, found.stdout, len(errors)) == (2, "", 1)
    assert words in errors[0]
    assert "Hint: " in errors[0]
    assert not (folder / "bad").exists()
