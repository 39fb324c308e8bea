"""No result is written over the data: whatever the name under which they were read."""

import os

import pytest

from dataaudit import Query
from dataaudit.data.paths import files_meant, require_apart
from dataaudit.errors import UnreadableFile, WriteError


def refused(target, *sources):
    try:
        require_apart([target], sources, hint="name another")
    except WriteError as error:
        return str(error).endswith("is what was read, and would be written over. Hint: name another.")
    return False


@pytest.mark.skipif(os.name == "nt", reason="links need a privilege there")
def test_a_source_is_known_under_every_name(tmp_path, monkeypatch):
    path = tmp_path / "train.csv"
    path.write_text("x,y\n1,a\n")
    os.link(path, tmp_path / "hard.csv")
    (tmp_path / "soft.csv").symlink_to(path)
    monkeypatch.chdir(tmp_path)
    for name in ("train.csv", "hard.csv", "soft.csv", f"../{tmp_path.name}/train.csv"):
        assert refused(tmp_path / name, "train.csv")
    assert not refused(tmp_path / "new.csv", "train.csv", "<frame>", "<stdin>", "x" * 5000)


def test_a_folder_stands_for_the_files_in_it(tmp_path):
    (tmp_path / "spam").mkdir()
    (tmp_path / "spam" / "1.txt").write_text("buy")
    (tmp_path / "2.txt").write_text("hello")
    assert refused(tmp_path / "spam" / "1.txt", tmp_path / "spam")
    assert not refused(tmp_path / "spam" / "new.txt", tmp_path / "spam")
    assert not refused(tmp_path / "2.txt", tmp_path / "spam")


def test_globs_and_folders_mean_their_files(tmp_path):
    for name in ("a.csv", "b.csv"):
        (tmp_path / name).write_text("x,y\n1,a\n")
    both = [str(tmp_path / "a.csv"), str(tmp_path / "b.csv")]
    assert list(files_meant([str(tmp_path)], "y")) == both
    assert list(files_meant([str(tmp_path / "[ab].csv"), None, "-", Query("select 1", "a.db")], "y")) == both
    assert list(files_meant([both], "y")) == both
    with pytest.raises(UnreadableFile):
        list(files_meant([str(tmp_path / "c.csv")], "y"))
