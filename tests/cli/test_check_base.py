"""`audit check` in real repositories: what it holds a file against, and that it never passes unjudged."""

import json
import xml.etree.ElementTree as ET

import numpy as np
import polars as pl
import pytest
from gate.test_base import git, save

from dataaudit import cli


def table(n, seed, *, wrong=0):
    """Two classes far apart; the labels of the first rows are wrong."""
    random = np.random.default_rng(seed)
    truth = np.arange(n) % 2 == 0
    made = {f"x{i}": np.where(truth, 1.0, -1.0) + random.normal(size=n) for i in range(6)}
    names = np.where(truth ^ (np.arange(n) < wrong), "yes", "no")
    return pl.DataFrame(made).with_columns(y=pl.Series(names))


def csv(*frames):
    return pl.concat(frames).write_csv().encode()


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A repository and its remote, with a file that was pushed."""
    for name in ("CI", "GITHUB_ACTIONS", "GITLAB_CI", "GITHUB_EVENT_NAME", "CI_COMMIT_BEFORE_SHA"):
        monkeypatch.delenv(name, raising=False)
    git(tmp_path, "init", "-q", "--bare", "-b", "main", "remote.git")
    folder = tmp_path / "project"
    folder.mkdir()
    git(folder, "init", "-q", "-b", "main")
    git(folder, "remote", "add", "origin", "../remote.git")
    save(folder, "data.csv", csv(table(400, 0)))
    git(folder, "push", "-q", "origin", "main")
    monkeypatch.chdir(folder)
    return folder


def check(capsys, *words, rules="DA103"):
    """Return the exit code, the outcomes by code, and the notes."""
    capsys.readouterr()
    given = ["check", *words, "--label", "y", "--base", "origin/main:", "--select", rules, "--no-cache"]
    code = cli.main([*given, "--format", "json", "-q"])
    said = json.loads(capsys.readouterr().out)
    return code, {outcome["code"]: outcome for outcome in said["outcomes"]}, said["notes"]


def test_wrong_labels_of_a_push_to_main_fail(project, capsys):
    save(project, "data.csv", csv(table(400, 0), table(80, 1, wrong=8)))
    git(project, "push", "-q", "origin", "main")
    code, outcomes, notes = check(capsys, "data.csv")
    assert (code, outcomes["DA103"]["status"]) == (1, "broken")
    assert "HEAD is origin/main, so the base is the commit before it" in notes[0]


def test_a_file_that_is_all_new_beside_the_base_is_judged(project, capsys):
    (project / "data.csv").write_bytes(csv(table(160, 1, wrong=10)))
    code, outcomes, notes = check(capsys, "data.csv")
    assert (code, outcomes["DA103"]["status"]) == (1, "broken")
    assert notes == [
        "data: No row is in the base: all of them are new, and are judged by a model of the base."
    ]


def test_a_column_rewritten_in_every_row_hides_no_wrong_label(project, capsys):
    both = pl.concat([table(400, 0), table(80, 1, wrong=8)]).with_columns(pl.col("x1") * 2.54)
    (project / "data.csv").write_bytes(csv(both))
    code, outcomes, notes = check(capsys, "data.csv")
    assert (code, outcomes["DA103"]["status"]) == (1, "broken")
    assert notes == ["data: Column 'x1' differs from the base in most rows: they are compared without it."]


def test_a_new_file_has_no_base_and_all_its_rows_are_new(project, capsys):
    unlabelled = table(120, 3).with_columns(y=pl.when(pl.int_range(pl.len()) > 0).then("y"))
    save(project, "new.csv", csv(unlabelled))
    code, outcomes, notes = check(capsys, "new.csv", "--severity", "DA108=error", rules="DA1,DA4")
    assert code == 1
    assert outcomes["DA108"]["findings"][0]["state"] == "new"
    why = "There is no new.csv in origin/main: all rows are new."
    assert notes == [f"new: {why}"]
    needs_base = {"DA103", "DA111", "DA407", "DA408", "DA409"}
    assert {c: outcomes[c]["message"] for c in needs_base} == dict.fromkeys(needs_base, why)
    assert {outcomes[c]["status"] for c in needs_base} == {"skipped"}


def test_a_renamed_file_is_held_against_its_old_self(project, capsys):
    git(project, "mv", "data.csv", "mail.csv")
    git(project, "commit", "-q", "-m", "rename")
    code, outcomes, notes = check(capsys, "mail.csv", rules="DA103,DA407")
    assert (code, outcomes["DA103"]["message"]) == (0, "No labelled row is new, and no label has changed.")
    assert (outcomes["DA103"]["status"], outcomes["DA407"]["status"]) == ("skipped", "passed")
    assert notes == ["mail: mail.csv is called data.csv in origin/main, and is compared with that."]


def test_a_broken_file_on_main_does_not_stop_its_repair(project, capsys):
    save(project, "data.csv", b"")
    git(project, "push", "-q", "origin", "main")
    (project / "data.csv").write_bytes(csv(table(400, 0)))
    code, _, notes = check(capsys, "data.csv", rules="DA407")
    assert code == 0
    assert "cannot be read" in notes[0]
    assert notes[0].endswith("all rows are new.")


def test_every_format_says_what_was_skipped_and_why(project, capsys):
    why = "No labelled row is new, and no label has changed."
    words = [
        "check",
        "data.csv",
        "--label",
        "y",
        "--base",
        "HEAD:",
        "--select",
        "DA103,DA405",
        "--no-cache",
        "-q",
    ]
    save(project, "notes.md", b"the data stay as they are\n")
    said = {}
    for name in ("text", "full", "json", "jsonl", "sarif", "junit", "github", "gitlab", "markdown", "html"):
        capsys.readouterr()
        assert cli.main([*words, "--format", name]) == 0
        said[name] = capsys.readouterr().out
    for name in ("text", "full", "json", "jsonl", "junit", "sarif", "markdown", "html", "github"):
        assert why in said[name], name
    (skipped,) = ET.fromstring(said["junit"]).iter("skipped")
    assert skipped.get("message") == why
    (told,) = json.loads(said["sarif"])["runs"][0]["invocations"][0]["toolExecutionNotifications"][:1]
    assert (told["level"], told["descriptor"]["id"]) == ("note", "rule-skipped")
    (entry,) = json.loads(said["gitlab"])
    assert (entry["severity"], entry["description"].endswith(why)) == ("info", True)
