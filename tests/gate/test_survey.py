"""What is found in a folder is what a person would list, and a guess is made only where it is clear."""

import subprocess

import polars as pl
import pytest

from dataaudit.gate.init import MOST, survey

LABELLED = pl.DataFrame({"id": range(60), "x": [0.5] * 60, "y": ["a", "b"] * 30})


def only(folder):
    [proposal] = survey(folder).datasets
    return proposal


def test_label_and_id_are_found_where_they_are_clear(tmp_path):
    LABELLED.write_parquet(tmp_path / "mail.parquet")
    found = only(tmp_path)
    assert (found.name, found.path, found.label, found.id) == ("mail", "mail.parquet", "y", "id")
    assert found.columns == ("id", "x", "y")


@pytest.mark.parametrize(
    "frame",
    [
        LABELLED.with_columns(label=pl.col("y")),  # two that could be it
        LABELLED.with_columns(y=pl.int_range(60) / 7),  # a quantity
        LABELLED.with_columns(y=pl.lit("a")),  # one class
        pl.DataFrame({"id": range(200), "y": range(200)}),  # more values than classes
        LABELLED.rename({"y": "z"}),
    ],
)
def test_an_unclear_label_is_left_to_a_person(tmp_path, frame):
    frame.write_csv(tmp_path / "mail.csv")
    found = only(tmp_path)
    assert found.label == ""
    assert found.columns == tuple(frame.columns)


def test_an_id_that_repeats_names_no_rows(tmp_path):
    pl.concat([LABELLED, LABELLED]).write_csv(tmp_path / "mail.csv")
    assert only(tmp_path).id == ""


def test_rows_held_out_go_with_their_train_file(tmp_path):
    for name in ("a/mail_train.csv", "a/mail_test.csv", "b/TRAIN.csv", "b/test.csv", "b/constraint.csv"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        LABELLED.write_csv(tmp_path / name)
    found = {p.path: p.test for p in survey(tmp_path).datasets}
    assert found == {
        "a/mail_train.csv": "a/mail_test.csv",
        "b/TRAIN.csv": "b/test.csv",
        "b/constraint.csv": "",
    }


def test_parts_of_a_table_are_one_glob(tmp_path):
    (tmp_path / "sales").mkdir()
    for i in range(3):
        LABELLED.write_parquet(tmp_path / "sales" / f"part-{i:03}.parquet")
    found = only(tmp_path)
    assert (found.name, found.path, found.label) == ("part", "sales/part-*.parquet", "y")


def test_equal_names_are_told_apart(tmp_path):
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        LABELLED.write_csv(tmp_path / folder / "mail.csv")
    assert [p.name for p in survey(tmp_path).datasets] == ["a-mail-csv", "b-mail-csv"]


def test_folders_of_tools_findings_and_broken_files_are_no_trouble(tmp_path):
    for name in (".venv", "node_modules", "tests", "_parts", "found", "a/b/c/d/e"):
        (tmp_path / name).mkdir(parents=True)
        LABELLED.write_csv(tmp_path / name / "mail.csv")
    (tmp_path / "found" / "provenance.json").write_text("{}")
    (tmp_path / "broken.parquet").write_bytes(b"PAR1")
    (tmp_path / "settings.json").write_text("{}")
    found = only(tmp_path)
    assert (found.path, found.columns) == ("broken.parquet", ())


def test_more_than_a_person_would_read_are_counted(tmp_path):
    for letter in "abcdefghijklmnop":
        (tmp_path / f"{letter}.csv").write_text("x\n1\n")
    found = survey(tmp_path)
    assert (len(found.datasets), found.left_out) == (MOST, 16 - MOST)


def test_the_host_is_told_by_files_then_by_the_remote(tmp_path):
    assert (survey(tmp_path).host, survey(tmp_path).git, survey(tmp_path).branch) == ("", False, "main")
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    subprocess.run(["git", "remote", "add", "origin", "git@gitlab.example:a/b"], cwd=tmp_path, check=True)
    assert (survey(tmp_path).host, survey(tmp_path).git) == ("gitlab", True)
    (tmp_path / ".github").mkdir()
    assert survey(tmp_path).host == "github"
    (tmp_path / ".gitlab-ci.yml").touch()
    assert survey(tmp_path).host == "gitlab"


def test_what_is_kept_elsewhere_and_the_root_are_known(tmp_path):
    part = tmp_path / "svc/model"
    (part / "data").mkdir(parents=True)
    pl.DataFrame({"x": [1, 2], "y": ["a", "b"]}).write_csv(part / "data/a.csv")
    plain = survey(part)
    assert (plain.git, plain.inside, plain.keepers, plain.pointers) == (False, "", frozenset(), ())
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    (tmp_path / ".gitattributes").write_text("*.csv filter=lfs diff=lfs merge=lfs -text\n")
    (part / "data/b.parquet.dvc").write_text("outs:\n- path: b.parquet\n")
    found = survey(part)
    assert (found.git, found.inside, found.keepers) == (True, "svc/model", {"lfs", "dvc"})
    assert found.pointers == ("svc/model/data/b.parquet.dvc",)
    assert [proposal.path for proposal in found.datasets] == ["data/a.csv", "data/b.parquet"]
