"""A base comes out of a real repository as it went in, and every way it can fail says what to do."""

import os
import subprocess
from pathlib import Path

import pytest

from dataaudit.errors import AuditError
from dataaudit.gate.cache import _key
from dataaudit.gate.git import base_file, blob_of
from dataaudit.gate.settings import CheckSettings, DatasetSettings

ENV = {
    "PATH": os.environ["PATH"],
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_SYSTEM": os.devnull,
    **{f"GIT_{who}_{what}": "t@example.org" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")},
}
LFS = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n"
OLD, NEW = b"x,y\n1,a\r\n\xff", b"x,y\n2,b\n"


def git(folder, *arguments):
    subprocess.run(["git", *arguments], cwd=folder, env=ENV, check=True, capture_output=True)


def save(folder, name, content):
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    git(folder, "add", ".")
    git(folder, "commit", "-q", "-m", name)


@pytest.fixture(scope="module")
def repository(tmp_path_factory):
    folder = tmp_path_factory.mktemp("repository")
    git(folder, "init", "-q", "-b", "main")
    (folder / "lfs.csv").write_text(LFS)
    (folder / "kept.csv.dvc").write_text("outs:\n- path: kept.csv\n")
    save(folder, "data/train.csv", OLD)
    git(folder, "tag", "old")
    save(folder, "data/train.csv", NEW)
    return folder


def read(base, paths=("data/train.csv",), *, cwd):
    with base_file(base, paths, cwd=cwd) as path:
        return Path(cwd, path).read_bytes()


@pytest.mark.parametrize("base", ["old:data/train.csv", "old:", "old:./data/train.csv", "main~1:"])
def test_a_revision_gives_the_bytes_that_were_committed(repository, base):
    assert read(base, cwd=repository) == OLD


def test_paths_count_from_here_or_from_the_root(repository):
    for base in ("old:./train.csv", "old:data/train.csv", "old:"):
        assert read(base, ("train.csv",), cwd=repository / "data") == OLD
    with pytest.raises(AuditError, match=r"did you mean old:\./train.csv\?"):
        read("old:train.csv", cwd=repository / "data")


def test_the_copy_keeps_its_ending_and_is_removed(repository):
    with base_file("old:data/train.csv", (), cwd=repository) as path:
        assert path.endswith("/train.csv")
    assert not Path(path).parent.exists()


def test_nothing_of_the_repository_changes(repository):
    (repository / "data/train.csv").write_bytes(b"unsaved")
    assert read("old:", cwd=repository) == OLD
    assert (repository / "data/train.csv").read_bytes() == b"unsaved"
    git(repository, "checkout", "-q", "--", ".")


def test_a_file_is_itself_whatever_its_name(tmp_path):
    (tmp_path / "a:b.csv").write_bytes(NEW)
    assert read("a:b.csv", cwd=tmp_path) == NEW
    with base_file("old.csv", (), cwd=tmp_path) as path:
        assert path == "old.csv"


@pytest.mark.parametrize(
    ("base", "message"),
    [
        ("nobody/main:data/train.csv", "'nobody/main' is not in this clone.*git fetch nobody main"),
        ("old:data/other.csv", "has no file 'data/other.csv'"),
        ("old:data", "is a folder"),
        ("old:lfs.csv", r"Git LFS keeps the data elsewhere.*git lfs smudge > base.csv"),
        ("lfs.csv", "Git LFS keeps the data elsewhere.*git lfs pull"),
        ("old:kept.csv", r"DVC keeps the data elsewhere.*dvc get \. kept.csv --rev old -o base.csv"),
        ("kept.csv.dvc", "DVC keeps the data elsewhere"),
        ("--output=x:data/train.csv", "is not in this clone"),
        ("old:--help", "has no file"),
    ],
)
def test_what_cannot_be_had_is_said_with_a_way_out(repository, base, message):
    with pytest.raises(AuditError, match=message):
        read(base, cwd=repository)


def test_the_same_path_needs_one_file(repository):
    for paths in (("a.csv", "b.csv"), ("data/*.csv",), ("-",)):
        with pytest.raises(AuditError, match="names no file"):
            read("old:", paths, cwd=repository)


def test_outside_of_a_repository(tmp_path):
    with pytest.raises(AuditError, match="no Git repository"):
        read("main:train.csv", cwd=tmp_path)


def test_a_shallow_clone_says_what_to_fetch(repository, tmp_path):
    git(tmp_path, "clone", "-q", "--depth=1", f"file://{repository}", "clone")
    clone = tmp_path / "clone"
    assert read("HEAD:data/train.csv", cwd=clone) == NEW
    with pytest.raises(AuditError, match=r"shallow clone.*git fetch --depth=1 origin dev.*fetch-depth: 0"):
        read("origin/dev:data/train.csv", cwd=clone)
    with pytest.raises(AuditError, match=r"shallow clone.*--unshallow"):
        read("old:data/train.csv", cwd=clone)


def test_a_blob_has_one_name_wherever_it_is_named(repository):
    names = {blob_of(base, ("data/train.csv",), cwd=repository) for base in ("old:", "main~1:data/train.csv")}
    assert len(names) == 1
    assert names != {blob_of("main:", ("data/train.csv",), cwd=repository)}
    assert blob_of("data/train.csv", (), cwd=repository) is None


def test_a_kept_verdict_is_of_the_same_base(repository, monkeypatch, tmp_path):
    monkeypatch.chdir(repository)
    keys = []
    for revision in ("old", "old", "main"):
        git(repository, "tag", "-f", "accepted", revision)
        dataset = DatasetSettings(name="a", paths=("data/train.csv",), base="accepted:")
        keys.append(_key(CheckSettings(datasets=(dataset,))))
    assert keys[0] == keys[1] != keys[2]
    assert None not in keys
