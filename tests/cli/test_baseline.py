"""``audit baseline`` by its files, streams and exit codes, on rows whose labels contradict each other."""

import json
import subprocess

import polars as pl
import pytest

from dataaudit import cli

PACK = """\
[[rule]]
code = "ACME100"
name = "contradiction"
title = "Equal rows have other labels"
table = "twins"
where = "conflict"
severity = "error"
scope = "row"
message = "{value:.0f} rows contradict each other"
each = "Row {row} is labelled {label}, its copies {labels}"
doc = '''
## What it does
a
## Why it matters
b
## How to look at it
c
## Options
d
## References
e
'''
"""
CONFIG = 'select = ["ACME"]\npacks = ["mine.toml"]\n[datasets.mail]\npath = "mail.csv"\nlabel = "y"\n'
FILE = "dataaudit-baseline.jsonl"


def rows(*conflicts):
    """Plain rows, and for each number two that are equal but for their label."""
    plain = [(i // 7, i % 7, "ab"[i % 2]) for i in range(42)]
    both = [(9, number, label) for number in conflicts for label in "ab"]
    return pl.DataFrame(plain + both, schema=["u", "v", "y"], orient="row")


@pytest.fixture
def project(tmp_path, monkeypatch):
    (tmp_path / "mine.toml").write_text(PACK)
    (tmp_path / "dataaudit.toml").write_text(CONFIG)
    rows(1, 2).write_csv(tmp_path / "mail.csv")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.delenv("DATAAUDIT_BASELINE_KEY", raising=False)
    return tmp_path


def run(*words):
    return cli.main(["baseline", *words])


def entries(project):
    return [json.loads(line) for line in (project / FILE).read_text().splitlines()[1:]]


def test_create_accepts_what_is_there(project, capsys):
    assert run("create", "--reason", "old noise", "--author", "Ada", "--expires", "2099-01-31") == 0
    made = entries(project)
    assert len(made) == 4
    assert {tuple(sorted(entry)) for entry in made} == {
        ("author", "dataset", "expires", "fingerprint", "reason", "rule")
    }
    assert {(e["rule"], e["dataset"], e["reason"], e["author"], e["expires"]) for e in made} == {
        ("ACME100", "mail", "old noise", "Ada", "2099-01-31")
    }
    said = capsys.readouterr()
    assert said.out == ""
    assert f"ACME100 of mail: 4 accepted.\n{FILE} has 4 entries.\n" in said.err


def test_rows_that_move_stay_accepted_and_diff_shows_what_is_new_and_fixed(project, capsys):
    assert run("create", "-q") == 0
    moved = rows(2, 3).reverse()
    moved.write_csv(project / "mail.csv")
    before = (project / FILE).read_bytes()
    capsys.readouterr()
    assert run("diff") == 0
    said = capsys.readouterr()
    signs = [line[0] for line in said.out.splitlines()]
    assert (signs.count("+"), signs.count("-")) == (2, 2)
    assert "+ ACME100 mail mail.csv:" in said.out
    assert said.err.endswith("2 new, 2 fixed, 0 expired, 2 accepted.\n")
    assert run("diff", "--format", "json", "-qq") == 0
    told = json.loads(capsys.readouterr().out)
    assert (len(told["new"]), len(told["fixed"]), told["expired"], told["known"]) == (2, 2, [], 2)
    assert (project / FILE).read_bytes() == before


def test_update_adds_and_prune_takes_out(project, capsys):
    assert run("create", "-qq", "--reason", "old") == 0
    rows(2, 3).write_csv(project / "mail.csv")
    assert run("update", "--reason", "reviewed", "-qq") == 0
    assert sorted(entry["reason"] for entry in entries(project)) == ["old"] * 4 + ["reviewed"] * 2
    assert run("prune", "--dry-run") == 0
    assert f"ACME100 of mail: 2 taken out.\n{FILE} would have 4 entries.\n" in capsys.readouterr().err
    assert len(entries(project)) == 6
    assert run("prune", "-qq") == 0
    assert sorted(entry["reason"] for entry in entries(project)) == ["old"] * 2 + ["reviewed"] * 2
    settled = (project / FILE).read_bytes()
    assert run("prune", "-qq") == run("update", "--reason", "again", "-qq") == 0
    assert (project / FILE).read_bytes() == settled


def test_prune_takes_out_what_has_expired(project):
    assert run("create", "-qq", "--expires", "2020-01-01") == 0
    assert len(entries(project)) == 4
    assert run("prune", "-qq") == 0
    assert entries(project) == []


def test_expired_entries_are_shown(project, capsys):
    assert run("create", "-qq", "--expires", "2020-01-01") == 0
    assert run("diff") == 0
    said = capsys.readouterr()
    assert said.out.count("! ACME100 mail ") == 4
    assert "expired after 2020-01-01" in said.out
    assert "4 new, 0 fixed, 4 expired, 0 accepted" in said.err


@pytest.mark.parametrize("command", [["create"], ["update", "--reason", "r"], ["prune"]])
def test_continuous_integration_never_writes_it(project, monkeypatch, capsys, command):
    assert run("create", "-qq") == 0
    before = (project / FILE).read_bytes()
    rows(3).write_csv(project / "mail.csv")
    monkeypatch.setenv("CI", "true")
    assert run(*command) == 2
    assert "not written in continuous integration" in capsys.readouterr().err
    assert (project / FILE).read_bytes() == before
    assert run("diff", "-qq") == 0


def test_a_baseline_is_not_replaced_by_accident(project, capsys):
    assert run("create", "-qq", "--reason", "mine") == 0
    assert run("create") == 2
    assert "audit baseline update, or create --force" in capsys.readouterr().err
    assert {entry["reason"] for entry in entries(project)} == {"mine"}
    assert run("create", "--force", "-qq") == 0
    assert {entry["reason"] for entry in entries(project)} == {"there when the baseline was made"}


def test_a_dry_run_writes_nothing(project, capsys):
    assert run("create", "--dry-run") == 0
    assert "would have 4 entries" in capsys.readouterr().err
    assert not (project / FILE).exists()


def test_the_secret_hides_the_rows(project, monkeypatch, capsys):
    assert run("create", "-qq") == 0
    plain = {entry["fingerprint"] for entry in entries(project)}
    monkeypatch.setenv("DATAAUDIT_BASELINE_KEY", "hush")
    assert run("diff") == 2
    assert "written with another key" in capsys.readouterr().err
    assert run("create", "--force", "-qq") == 0
    assert not plain & {entry["fingerprint"] for entry in entries(project)}
    assert "hush" not in (project / FILE).read_text()


def test_a_rule_that_could_not_be_judged_keeps_its_entries(project, capsys):
    assert run("create", "-qq") == 0
    (project / "mail.csv").write_text("u,y\n1\n")
    assert run("prune") == 0
    assert len(entries(project)) == 4


def test_files_and_columns_may_come_from_the_command_line(project):
    words = ["mail.csv", "--label", "y", "--select", "ACME100", "--baseline", "other.jsonl", "-qq"]
    assert run("create", *words) == 0
    assert len((project / "other.jsonl").read_text().splitlines()) == 5


def test_the_author_is_who_commits(project):
    subprocess.run(["git", "init", "-q"], cwd=project, check=True)
    subprocess.run(["git", "config", "user.name", "Grace"], cwd=project, check=True)
    assert run("create", "-qq", "--date", "2026-11-24") == 0
    assert {(entry["author"], entry["date"]) for entry in entries(project)} == {("Grace", "2026-11-24")}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["create", "--expires", "soon"], "--expires: 'soon' is no day"),
        (["create", "--date", "24.11.2026"], "--date: '24.11.2026' is no day"),
        (["create", "--reason", " "], "--reason is empty"),
        (["update"], "Missing option '--reason'"),
        (["diff"], "there is no baseline dataaudit-baseline.jsonl"),
        (["diff", "--baseline", "none"], "there is to be no baseline"),
        (["create", "--select", "XY"], "there is no rule 'XY'"),
    ],
)
def test_wrong_input_is_one_line(project, capsys, words, message):
    assert run(*words) == 2
    said = capsys.readouterr().err
    assert said.startswith("error: ")
    assert message in said
    assert said.count("\n") == 1


def sparse(project, missing):
    """A table in which a column lacks the cells of the first rows."""
    frame = rows(1).with_columns(w=pl.when(pl.int_range(pl.len()) >= missing).then(1.5 * pl.col("u") + 0.25))
    frame.write_csv(project / "mail.csv")
    (project / "dataaudit.toml").write_text(CONFIG.replace('["ACME"]', '["DA401"]'))


def check(*words):
    return cli.main(["check", "--format", "json", "-q", "--fail-on", "warning", *words])


def test_a_column_that_gets_worse_is_new_again(project, capsys):
    sparse(project, 27)  # of 44
    assert check() == 1
    assert run("create", "-qq", "--reason", "a new sensor") == 0
    (entry,) = entries(project)
    assert entry["value"] == pytest.approx(27 / 44)
    for missing, code in ((20, 0), (27, 0), (29, 0), (30, 1), (43, 1)):
        sparse(project, missing)
        capsys.readouterr()
        assert check() == code, missing
    (outcome,) = json.loads(capsys.readouterr().out)["outcomes"]
    assert outcome["findings"][0]["message"].endswith("It was accepted at 61.36%, and is worse now.")
    assert run("diff") == 0
    said = capsys.readouterr()
    assert said.out.startswith("+ DA401 mail ")
    assert said.out.endswith("(accepted at 0.6136, and worse now)\n")
    assert "1 new, 0 fixed, 0 expired, 0 accepted" in said.err
    assert run("diff", "--format", "json", "-qq") == 0
    (new,) = json.loads(capsys.readouterr().out)["new"]
    assert (new["value"], new["accepted_value"]) == (pytest.approx(43 / 44), entry["value"])
    assert run("update", "-qq", "--reason", "it broke") == 0
    assert [(e["value"], e["reason"]) for e in entries(project)] == [(pytest.approx(43 / 44), "it broke")]
    assert check() == 0


def test_prune_accepts_no_more_than_is_there(project, capsys):
    sparse(project, 40)
    assert run("create", "-qq") == 0
    sparse(project, 30)
    assert run("prune") == 0
    assert "DA401 of mail: 1 accepted at the value of now." in capsys.readouterr().err
    assert [entry["value"] for entry in entries(project)] == [pytest.approx(30 / 44)]
    sparse(project, 40)
    assert check() == 1


def test_an_old_file_accepts_any_value_and_says_so(project, capsys):
    sparse(project, 27)
    assert run("create", "-qq") == 0
    text = (project / FILE).read_text().replace('"dataaudit-baseline": 2', '"dataaudit-baseline": 1')
    head, entry = text.splitlines()
    old = {key: value for key, value in json.loads(entry).items() if key != "value"}
    (project / FILE).write_text(f"{head}\n{json.dumps(old)}\n")
    sparse(project, 43)
    capsys.readouterr()
    assert check() == 0
    (note,) = json.loads(capsys.readouterr().out)["notes"]
    assert note.startswith("1 entry of the baseline accepts any value, however bad; audit baseline update")
    assert run("diff") == 0
    said = capsys.readouterr()
    assert said.out.startswith("? DA401 mail ")
    assert "1 accepted, 1 of them at any value." in said.err
    assert run("update", "--reason", "x", "-qq") == 0
    assert [(e["value"], e["reason"]) for e in entries(project)] == [(pytest.approx(43 / 44), old["reason"])]
