"""A base comes out of a real repository as it went in, and every way it can fail says what to do."""

import json
import os
import subprocess
from pathlib import Path

import pytest

from dataaudit.errors import AuditError
from dataaudit.gate.base import Base, base_file, find_base
from dataaudit.gate.cache import _key
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
    with base_file(find_base(base, paths, cwd=cwd, env={}), cwd=cwd) as path:
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
    with base_file(find_base("old:data/train.csv", (), cwd=repository), cwd=repository) as path:
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
    with base_file(find_base("old.csv", (), cwd=tmp_path), cwd=tmp_path) as path:
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
    assert read("HEAD:data/train.csv", ("other.csv",), cwd=clone) == NEW
    with pytest.raises(
        AuditError, match=r"commit before .* shallow clone.*git fetch --deepen=1.*fetch-depth: 0"
    ):
        read("HEAD:", cwd=clone)
    with pytest.raises(AuditError, match=r"shallow clone.*git fetch --depth=1 origin dev.*fetch-depth: 0"):
        read("origin/dev:data/train.csv", cwd=clone)
    with pytest.raises(AuditError, match=r"shallow clone.*--unshallow"):
        read("old:data/train.csv", cwd=clone)


def test_a_blob_has_one_name_wherever_it_is_named(repository):
    path = ("data/train.csv",)
    names = {find_base(base, path, cwd=repository).blob for base in ("old:", "main~1:data/train.csv")}
    assert len(names) == 1
    assert names != {find_base("main:./data/train.csv", (), cwd=repository).blob}
    assert find_base("data/train.csv", (), cwd=repository) == Base(file="data/train.csv")


def test_a_kept_verdict_is_of_the_same_base(repository, monkeypatch, tmp_path):
    monkeypatch.chdir(repository)
    keys = []
    for revision in ("old", "old", "main"):
        git(repository, "tag", "-f", "accepted", revision)
        dataset = DatasetSettings(name="a", paths=("data/train.csv",), base="accepted:")
        keys.append(_key(CheckSettings(datasets=(dataset,))))
    assert keys[0] == keys[1] != keys[2]
    assert None not in keys


OTHER = "x,y\n" + "".join(f"{i},{'ab'[i % 2]}\n" for i in range(200))
NOBODY = "0" * 40


@pytest.fixture
def project(tmp_path):
    """A remote, and a clone of it with three commits, all of them pushed."""
    git(tmp_path, "init", "-q", "--bare", "-b", "main", "remote.git")
    folder = tmp_path / "project"
    folder.mkdir()
    git(folder, "init", "-q", "-b", "main")
    git(folder, "remote", "add", "origin", "../remote.git")
    for content in (b"x\n1\n", b"x\n2\n", b"x\n3\n"):
        save(folder, "a.csv", content)
    git(folder, "push", "-q", "origin", "main")
    return folder


def sha(folder, name):
    done = subprocess.run(["git", "rev-parse", name], cwd=folder, env=ENV, check=True, capture_output=True)
    return done.stdout.decode().strip()


def content(found, folder):
    with base_file(found, cwd=folder) as path:
        return Path(folder, path).read_bytes()


def test_a_push_is_compared_with_the_commit_before_it(project, tmp_path):
    event = tmp_path / "event.json"
    event.write_text(json.dumps({"before": sha(project, "HEAD~2")}))
    github = {"GITHUB_EVENT_NAME": "push", "GITHUB_EVENT_PATH": str(event)}
    gitlab = {"CI_COMMIT_BEFORE_SHA": sha(project, "HEAD~2")}
    for base in ("origin/main:", "origin/main:a.csv", "origin/main:./a.csv", "HEAD:"):
        for env, was in ((github, b"x\n1\n"), (gitlab, b"x\n1\n"), ({}, b"x\n2\n")):
            found = find_base(base, ("a.csv",), cwd=project, env=env)
            assert content(found, project) == was, (base, env)
            assert "so the base is the commit before it" in found.note


@pytest.mark.parametrize(
    "event", ["", "{", "[]", "{}", json.dumps({"before": NOBODY}), json.dumps({"before": "f" * 40})]
)
def test_an_event_that_says_nothing_leaves_the_first_parent(project, tmp_path, event):
    (tmp_path / "event.json").write_text(event)
    env = {"GITHUB_EVENT_NAME": "push", "GITHUB_EVENT_PATH": str(tmp_path / "event.json")}
    assert content(find_base("origin/main:", ("a.csv",), cwd=project, env=env), project) == b"x\n2\n"
    env = {"CI_COMMIT_BEFORE_SHA": NOBODY}
    assert content(find_base("origin/main:", ("a.csv",), cwd=project, env=env), project) == b"x\n2\n"


def test_what_was_edited_is_compared_with_what_was_committed(project):
    (project / "a.csv").write_bytes(b"x\n4\n")
    found = find_base("origin/main:", ("a.csv",), cwd=project, env={})
    assert (content(found, project), found.note) == (b"x\n3\n", "")


def test_a_branch_is_compared_with_main(project):
    git(project, "checkout", "-q", "-b", "work")
    save(project, "a.csv", b"x\n9\n")
    env = {"CI_COMMIT_BEFORE_SHA": sha(project, "HEAD~2")}
    found = find_base("origin/main:", ("a.csv",), cwd=project, env=env)
    assert (content(found, project), found.note) == (b"x\n3\n", "")


def test_a_file_that_main_has_not_has_no_base(project):
    save(project, "new.csv", b"x\n1\n")
    found = find_base("origin/main:", ("new.csv",), cwd=project, env={})
    assert found == Base(note="There is no new.csv in origin/main: all rows are new.")
    git(project, "push", "-q", "origin", "main")
    found = find_base("origin/main:", ("new.csv",), cwd=project, env={})
    assert (found.blob, "all rows are new" in found.note) == ("", True)


@pytest.mark.parametrize("how", ["committed", "staged", "untracked"])
def test_a_renamed_file_is_followed(project, how):
    save(project, "data/old.csv", OTHER.encode())
    git(project, "push", "-q", "origin", "main")
    (project / "sub").mkdir()
    (project / "data/old.csv").rename(project / "sub/new.csv")
    if how == "committed":
        (project / "sub/new.csv").write_text(OTHER + "201,a\n")  # Git's own detection: most is the same
        git(project, "add", "-A")
        git(project, "commit", "-q", "-m", "move")
    elif how == "staged":
        git(project, "add", "-A")
    for path, cwd in (("sub/new.csv", project), ("new.csv", project / "sub")):
        found = find_base("origin/main:", (path,), cwd=cwd, env={})
        assert content(found, cwd) == OTHER.encode()
        assert found.note == f"{path} is called data/old.csv in origin/main, and is compared with that."


def test_the_first_commit_has_no_base(tmp_path):
    git(tmp_path, "init", "-q", "-b", "main")
    (tmp_path / "a.csv").write_text("x\n1\n")
    for base in ("HEAD:", "origin/main:"):
        assert find_base(base, ("a.csv",), cwd=tmp_path, env={}).note.endswith("yet: all rows are new.")
    save(tmp_path, "a.csv", b"x\n1\n")
    found = find_base("HEAD:", ("a.csv",), cwd=tmp_path, env={})
    assert found == Base(note="Nothing has changed since HEAD, the first commit: all rows are new.")


def test_the_first_push_has_no_base(tmp_path):
    git(tmp_path, "init", "-q", "-b", "main")
    save(tmp_path, "a.csv", b"x\n1\n")
    with pytest.raises(AuditError, match="'origin/main' is not in this clone"):
        find_base("origin/main:", ("a.csv",), cwd=tmp_path, env={})
    git(tmp_path, "remote", "add", "origin", "elsewhere")
    found = find_base("origin/main:", ("a.csv",), cwd=tmp_path, env={})
    assert found == Base(note="There is no origin/main yet: all rows are new.")


def test_a_shallow_clone_of_a_push_says_how_to_deepen_it(project, tmp_path):
    git(tmp_path, "clone", "-q", "--depth=2", f"file://{tmp_path}/remote.git", "clone")
    clone, before = tmp_path / "clone", sha(project, "HEAD~2")
    with pytest.raises(AuditError, match=rf"{before[:10]}.*git fetch --deepen=100.*GIT_DEPTH: 0"):
        find_base("origin/main:", ("a.csv",), cwd=clone, env={"CI_COMMIT_BEFORE_SHA": before})
    git(clone, "fetch", "-q", "--deepen=100")
    found = find_base("origin/main:", ("a.csv",), cwd=clone, env={"CI_COMMIT_BEFORE_SHA": before})
    assert content(found, clone) == b"x\n1\n"
