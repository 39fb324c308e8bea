"""``audit mismatch`` as people and scripts meet it: real processes, their streams and exit codes."""

import json

import polars as pl
import pytest
from audits.mismatch.test_audit import patients
from command import audit
from typer.main import get_command

from dataaudit import cli
from dataaudit.cli.app import tree
from dataaudit.errors import SettingError
from dataaudit.findings.schemas import MismatchFindings
from dataaudit.options import parse_size


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with training rows and several kinds of test rows."""
    folder = tmp_path_factory.mktemp("mismatch")
    train, test = patients(400, 0, children=5, ill=4), patients(500, 1, children=40, ill=0)
    train.write_csv(folder / "train.csv")
    test.write_csv(folder / "test.csv")
    test.drop("y").write_csv(folder / "unlabelled.csv")
    test.select("y", strange=1).write_csv(folder / "strange.csv")
    train.write_parquet(folder / "traces.parquet")
    test.head(0).write_csv(folder / "header.csv")
    (folder / "empty.csv").write_bytes(b"")
    parts = [frame.with_columns(part=pl.lit(name)) for frame, name in ((train, "train"), (test, "test"))]
    pl.concat(parts).write_csv(folder / "both.csv")
    return folder


def run(folder, *arguments, stdin=""):
    return audit("mismatch", *arguments, cwd=folder, stdin=stdin)


FAST = "--label", "y", "--id", "id", "--l2", "1e-4", "--prove", "1"


@pytest.fixture(scope="module")
def done(folder):
    """One plain run that several tests look at."""
    return run(folder, "train.csv", "test.csv", *FAST, "--out", "found")


def test_results_are_files_and_the_talk_is_on_stderr(done, folder):
    assert (done.returncode, done.stdout) == (0, "")
    assert "age = child" in done.stderr
    assert "\x1b" not in done.stderr
    assert max(map(len, done.stderr.splitlines())) <= 80
    names = {path.name for path in (folder / "found").iterdir()}
    assert names == {
        *(f"{table}.parquet" for table in MismatchFindings.SCHEMAS),
        "provenance.json",
        "report.html",
    }
    assert "age = child" in (folder / "found" / "report.html").read_text(encoding="utf-8")


def test_it_says_what_to_type_next(done):
    flat = " ".join(done.stderr.split())
    assert "found/report.html" in flat
    assert """--where "age = 'child'" --out found-slice""" in flat


def test_the_command_is_in_the_provenance(done, folder):
    provenance = json.loads((folder / "found" / "provenance.json").read_text(encoding="utf-8"))
    assert provenance["command"].startswith("audit mismatch train.csv test.csv --label y ")


def test_json_lines_are_the_findings_and_nothing_else(folder):
    got = run(folder, "train.csv", "test.csv", *FAST, "--out", "j", "--format", "jsonl", "-qq")
    assert (got.returncode, got.stderr) == (0, "")
    rows = [json.loads(row) for row in got.stdout.splitlines()]
    assert "age = child" in {row["slice"] for row in rows[:2]}
    assert [row["finding"] for row in rows] == list(range(1, len(rows) + 1))


def test_stdin_rows_where_memory_and_top(folder):
    test = (folder / "test.csv").read_text(encoding="utf-8")
    arguments = "train.csv", "-", *FAST, "--out", "s", "-q", "--rows", "3,5", "--rows", "7", "--top", "2"
    got = run(folder, *arguments, "--memory", "64MiB", stdin=test)
    assert got.returncode == 0, got.stderr
    traces = pl.read_parquet(folder / "s" / "traces.parquet")
    assert traces["test_row"].unique().sort().to_list() == [3, 5, 7]
    assert traces.group_by("test_row").len()["len"].max() <= 4  # 2 harmful and 2 helpful ones
    provenance = json.loads((folder / "s" / "provenance.json").read_text(encoding="utf-8"))
    assert (provenance["settings"]["memory"], provenance["settings"]["k"]) == (64 * 2**20, 2)


def test_a_condition_and_a_split_column(folder):
    arguments = "both.csv", *FAST, "--split-column", "part", "--where", "age = 'child'", "--out", "w", "-q"
    got = run(folder, *arguments)
    assert got.returncode == 0, got.stderr
    assert pl.read_parquet(folder / "w" / "responsible.parquet").height == 40


def test_without_labels_the_inputs_are_compared(folder):
    got = run(folder, "train.csv", "unlabelled.csv", *FAST, "--out", "u", "-q")
    assert (got.returncode, got.stdout) == (0, "")
    assert "no prediction can be judged" in " ".join(got.stderr.split())
    assert pl.read_parquet(folder / "u" / "findings.parquet").is_empty()
    assert "no prediction can be judged" in (folder / "u" / "report.html").read_text(encoding="utf-8")


def test_results_of_another_audit_are_left_alone(done, folder):
    before = (folder / "found" / "provenance.json").read_bytes()
    got = audit("labels", "train.csv", "--label", "y", "--out", "found", cwd=folder)
    said = "error: found holds an audit of a mismatch. Hint: name another folder with --out.\n"
    assert (got.returncode, got.stderr) == (2, said)
    assert not (folder / "found" / "labels.parquet").exists()
    assert (folder / "found" / "provenance.json").read_bytes() == before


def test_each_audit_has_a_folder_of_its_own(folder):
    usual = {
        name: get_command(tree()).commands[name]
        for name in ("labels", "mismatch", "explain", "vulnerability")
    }
    folders = [p.default.as_posix() for c in usual.values() for p in c.params if p.name == "out"]
    assert folders == ["audit-findings", "audit-mismatch", "audit-explanation", "audit-vulnerability"]


BAD = {
    "over a source": (["traces.parquet", "test.csv", "--label", "y", "--out", "."], "would be written over"),
    "misspelt label": (["train.csv", "test.csv", "--label", "Y"], "did you mean 'y'"),
    "misspelt feature": (["train.csv", "test.csv", "--label", "y", "--features", "agee"], "'age'"),
    "test has no column of training": (
        ["train.csv", "strange.csv", "--label", "y"],
        "share no column but the label",
    ),
    "no such test file": (["train.csv", "tset.csv", "--label", "y"], "did you mean 'test.csv'"),
    "misspelt solver": (
        ["train.csv", "test.csv", "--label", "y", "--solver", "lisa"],
        "did you mean 'lissa'?",
    ),
    "negative damping": (
        ["train.csv", "test.csv", "--label", "y", "--damping", "-1"],
        "damping must be 0 or more",
    ),
    "empty file": (["train.csv", "empty.csv", "--label", "y"], "empty.csv is empty"),
    "no rows": (["train.csv", "header.csv", "--label", "y"], "no rows"),
    "no test": (["train.csv", "--label", "y"], "there are no test rows"),
    "two ways": (["train.csv", "test.csv", "--label", "y", "--split-column", "ward"], "a way to split one"),
    "misspelt split": (["both.csv", "--label", "y", "--split-column", "prt"], "did you mean 'part'"),
    "no split": (["both.csv", "--label", "y", "--split-column", "age"], "does not tell train from test"),
    "row out of range": (["train.csv", "test.csv", "--label", "y", "--rows", "500"], "from 0 to 499"),
    "row that is none": (["train.csv", "test.csv", "--label", "y", "--rows", "-1"], "--rows takes numbers"),
    "bad condition": (["train.csv", "test.csv", "--label", "y", "--where", "nope = 1"], "nope"),
    "broken condition": (["train.csv", "test.csv", "--label", "y", "--where", "age ="], "where"),
    "empty condition": (["train.csv", "test.csv", "--label", "y", "--where", "age = 'z'"], "no test row"),
    "no size": (["train.csv", "test.csv", "--label", "y", "--memory", "lots"], "2GiB"),
    "both from stdin": (["-", "-", "--label", "y"], "cannot both come from stdin"),
    "unknown format": (["train.csv", "test.csv", "--label", "y", "--format", "jsn"], "'json'"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_one_line_and_leaves_nothing(folder, name, capsys, monkeypatch):
    arguments, says = BAD[name]
    monkeypatch.chdir(folder)
    assert cli.main(["mismatch", "--out", "nowhere", "-q", *arguments]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("error: ")
    assert said.err.count("\n") == 1
    assert "Hint: " in said.err
    assert says in said.err
    assert not (folder / "nowhere").exists()


def test_help_ends_with_an_example(tmp_path):
    got = run(tmp_path, "-h")
    assert got.returncode == 0
    assert (
        got.stdout.strip().splitlines()[-1].strip().startswith("Example: audit mismatch train.csv test.csv")
    )
    assert max(map(len, got.stdout.splitlines())) <= 80


@pytest.mark.parametrize(
    ("text", "bytes_"),
    [
        ("512MiB", 512 * 2**20),
        ("2GiB", 2 * 2**30),
        ("2 GB", 2 * 10**9),
        ("1.5g", 3 * 2**29),
        ("64m", 64 * 2**20),
        ("1048576", 2**20),
        ("1TiB", 2**40),
        ("100b", 100),
    ],
)
def test_sizes(text, bytes_):
    assert parse_size(text, "--memory") == bytes_


@pytest.mark.parametrize("text", ["", "lots", "-1", "2XB", "GiB", "1e9"])
def test_sizes_that_are_none(text):
    with pytest.raises(SettingError, match="--memory takes a size"):
        parse_size(text, "--memory")
