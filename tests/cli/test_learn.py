"""`audit learn` as a command, and every other command on the folder that it leaves."""

import csv
import json
import os
import shutil
import subprocess
import sys

import numpy as np
import polars as pl
import pytest

from dataaudit import cli
from dataaudit.findings.schemas import Findings
from dataaudit.repair.decisions import Decision, Decisions, write_decisions

N, WRONG, LOOKS = 300, 40, 40


@pytest.fixture(scope="module")
def audited(tmp_path_factory):
    """A table with some wrong labels and its findings; decisions on the first rows of the sample."""
    folder = tmp_path_factory.mktemp("learn")
    random = np.random.default_rng(1)
    x = random.normal(size=(N, 3))
    truth = np.where(x[:, 0] + 0.3 * x[:, 1] > 0, "yes", "no")
    label = truth.copy()
    flipped = random.permutation(N)[:WRONG]
    label[flipped] = np.where(truth[flipped] == "yes", "no", "yes")
    pl.DataFrame(x, schema=["a", "b", "c"]).with_columns(y=pl.Series(label)).write_csv(folder / "t.csv")
    given = ["--label", "y", "--verify", "2", "--out", str(folder / "found"), "-qq"]
    assert cli.main(["labels", str(folder / "t.csv"), *given]) == 0
    findings = Findings.read(folder / "found")
    row = dict(findings.labels.select("row_id", "row").iter_rows())
    made = [
        Decision(row_id=name, action="keep")
        if truth[row[name]] == label[row[name]]
        else Decision(row_id=name, action="relabel", label=str(truth[row[name]]))
        for name in findings.sample["row_id"][:LOOKS]
    ]
    run = findings.provenance.run_id
    write_decisions(folder / "decisions.jsonl", Decisions(tuple(made), run))
    write_decisions(folder / "first.jsonl", Decisions(tuple(made[:25]), run))
    write_decisions(folder / "rest.jsonl", Decisions(tuple(made[25:]), run))
    return folder


@pytest.fixture
def folder(audited, tmp_path, monkeypatch):
    shutil.copytree(audited, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def learned(folder):
    assert cli.main(["learn", "found", "decisions.jsonl", "-qq"]) == 0
    return folder


def lines(capsys):
    """Return what was said, without line breaks that a width made."""
    return " ".join(capsys.readouterr().err.split())


def test_it_says_the_count_the_precision_what_is_left_and_what_to_type(folder, capsys):
    assert cli.main(["learn", "found", "decisions.jsonl"]) == 0
    said = lines(capsys)
    wrong = Findings.read("found").provenance.learned["wrong"]
    assert f"40 rows were looked at: {wrong} labels were wrong ({wrong / 40:.0%})." in said
    assert "By 40 rows drawn for it, about" in said
    assert "wrong labels are expected among the rows that nobody looked at." in said
    assert "audit review found --sample 100 --decisions decisions.jsonl" in said
    low, high = Findings.read("found").provenance.count[1:]
    assert low <= WRONG <= high


def test_another_audit_into_the_same_folder_starts_anew(learned):
    assert cli.main(["labels", "t.csv", "--label", "y", "--verify", "2", "--out", "found", "-qq"]) == 0
    assert not Findings.read("found").provenance.learned  # an audit starts anew
    assert "reviewed" not in Findings.read("found").labels.columns


def test_learning_in_parts_is_learning_at_once(audited, tmp_path, monkeypatch):
    monkeypatch.chdir(audited)
    for name, files in {"parts": ("first", "rest"), "once": ("decisions",)}.items():
        shutil.copytree("found", tmp_path / name)
        for file in files:
            assert cli.main(["learn", str(tmp_path / name), f"{file}.jsonl", "-qq"]) == 0
    parts, once = Findings.read(tmp_path / "parts"), Findings.read(tmp_path / "once")
    assert parts.labels.equals(once.labels)
    assert parts.provenance == once.provenance


@pytest.mark.parametrize("level", ["none", "cells", "all"])
def test_reports_mark_what_was_reviewed(level, learned):
    for name in ("page.html", "page.md", "page.json", "rows.jsonl"):
        assert cli.main(["report", "found", "-o", name, "--redact", level, "-qq"]) == 0
    page = (learned / "page.html").read_text("utf-8")
    assert "What the decisions say" in page
    assert "Learned chances against what was found" in page
    assert page.count('<span class="d">kept</span>') >= 1
    rows = json.loads((learned / "page.json").read_text("utf-8"))["labels"]
    assert len([row for row in rows if row["reviewed"]]) == LOOKS
    given = {row["reviewed_label"] for row in rows} - {None}
    assert given == ({"yes", "no"} if level != "all" else {"class 1", "class 2"})
    assert {"first_p_wrong", "first_rank"} <= rows[0].keys()
    assert "By 40 rows drawn for it" in (learned / "page.md").read_text("utf-8")
    assert len((learned / "rows.jsonl").read_text("utf-8").splitlines()) == N


def test_exports_mark_what_was_reviewed(learned):
    for name, file in {"csv": "e.csv", "labelstudio": "l.json", "argilla": "a.json"}.items():
        assert cli.main(["export", "found", "--to", name, "-o", file, "-qq"]) == 0
    with (learned / "e.csv").open(encoding="utf-8", newline="") as file:
        sheet = list(csv.DictReader(file))
    assert sum(row["reviewed"] != "" for row in sheet) == LOOKS
    assert all(row["reviewed_label"] in ("yes", "no") for row in sheet if row["reviewed"] == "relabel")
    tasks = json.loads((learned / "l.json").read_text("utf-8"))
    records = json.loads((learned / "a.json").read_text("utf-8"))
    assert sum("reviewed" in task["data"] for task in tasks) == LOOKS
    assert sum("reviewed" in record["metadata"] for record in records) == LOOKS


def test_the_gate_goes_by_the_count(learned):
    assert cli.main(["check", "found", "--no-cache", "-qq", "--output", "json=v.json"]) == 1
    outcomes = json.loads((learned / "v.json").read_text())["outcomes"]
    status = {one["code"]: one["status"] for one in outcomes}
    assert status["DA101"] == "broken"
    expected, low, high = Findings.read("found").provenance.count
    assert f"about {expected:,.0f} of {N} ({low:,.0f} to {high:,.0f}" in (learned / "v.json").read_text()


def test_a_repair_and_refits_take_the_learned_findings(learned):
    given = ["decisions.jsonl", "t.csv", "-o", "fixed.csv", "--no-model", "-qq"]
    assert cli.main(["apply", "found", *given]) == 0
    before, after = pl.read_csv("t.csv"), pl.read_csv("fixed.csv")
    assert (before["y"] != after["y"]).sum() == Findings.read("found").provenance.learned["wrong"]
    facts = Findings.read("found").provenance.learned
    assert cli.main(["verify", "found", "--top", "3", "-qq"]) in (0, 1)
    assert Findings.read("found").provenance.learned == facts


KEEP = {"row_id": "the first", "action": "keep"}


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        ([{**KEEP, "row_id": "nobody"}], "row 'nobody' is decided, but it is not in these findings"),
        ([KEEP, {**KEEP, "action": "drop"}], "twice: keep on line 1, drop on line 2"),
        ([{**KEEP, "action": "relabel", "label": "yess"}], "did you mean 'yes'?"),
        ([{"run_id": "0123"}, KEEP], "the decisions are of run 0123"),
        ([], "d.jsonl holds no decisions"),
    ],
)
def test_slips_in_decisions_are_one_line(rows, says, folder, capsys):
    name = Findings.read("found").labels["row_id"][0]
    text = "".join(json.dumps(row) + "\n" for row in rows)
    (folder / "d.jsonl").write_text(text.replace("the first", name))
    before = (folder / "found" / "labels.parquet").read_bytes()
    assert cli.main(["learn", "found", "d.jsonl"]) == 2
    said = capsys.readouterr().err
    assert says in said
    assert said.count("\n") == 1
    assert "Hint:" in said
    assert (folder / "found" / "labels.parquet").read_bytes() == before


def test_slips_in_names_are_one_line(folder, capsys):
    (folder / "closed").mkdir()
    for given, says in [
        (["found", "nowhere.jsonl"], "nowhere.jsonl cannot be read"),
        (["t.csv", "decisions.jsonl"], "t.csv is not a folder of findings"),
        (["closed", "decisions.jsonl"], "closed is not a whole folder of findings"),
    ]:
        assert cli.main(["learn", *given]) == 2
        said = capsys.readouterr().err
        assert says in said
        assert said.count("\n") == 1


@pytest.mark.skipif(os.name != "posix", reason="a folder is closed by its permissions")
def test_a_folder_that_may_not_be_written_is_tried_first(learned, capsys):
    found = learned / "found"
    before = (found / "provenance.json").read_bytes()
    found.chmod(0o555)
    try:
        if os.access(found, os.W_OK):
            pytest.skip("root may write everywhere")
        assert cli.main(["learn", "found", "nowhere.jsonl"]) == 2
        assert "folder found cannot be written to" in capsys.readouterr().err
    finally:
        found.chmod(0o755)
    assert (found / "provenance.json").read_bytes() == before


def test_a_mismatch_has_nothing_to_learn(folder, capsys):
    assert cli.main(["mismatch", "t.csv", "t.csv", "--label", "y", "-o", "mm", "-qq"]) == 0
    assert cli.main(["learn", "mm", "decisions.jsonl"]) == 2
    assert "is not of an audit of labels" in capsys.readouterr().err


@pytest.mark.parametrize("looks", [3, 12])
def test_few_or_equal_looks_are_counted_by_the_sample_alone(looks, folder, capsys):
    findings = Findings.read("found")
    made = [Decision(row_id=name, action="keep") for name in findings.sample["row_id"][:looks]]
    write_decisions("alike.csv", Decisions(tuple(made), findings.provenance.run_id))
    assert cli.main(["learn", "found", "alike.csv"]) == 0
    said = lines(capsys)
    assert f"By {looks} rows drawn for it, about 0 of {N} labels are wrong: 0 to " in said
    why = "fewer than 10" if looks < 10 else "all alike"
    assert f"The order of the list stays as it was: looks at the sample are {why}." in said


def test_it_loads_no_torch(folder):
    code = (
        "import sys, dataaudit.cli as c; assert c.main(['learn', 'found', 'decisions.jsonl', '-qq']) == 0; "
        "print(sorted({'torch', 'sklearn', 'pyarrow'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
