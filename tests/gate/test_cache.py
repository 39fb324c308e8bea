"""A kept verdict is of the same bytes, and of nobody else's hand."""

import json
import os

import pytest
from gate.test_base import git, save

from dataaudit import cli

GOOD = "key,x,y\n" + "".join(f"{i:03},{i % 7},{'ab'[i % 2]}\n" for i in range(60))
BAD = GOOD.replace("059,", "001,")  # an id is there twice; the file is as long
WORDS = ["check", "a.csv", "--label", "y", "--id", "key", "--select", "DA4", "-q", "--format", "json"]


@pytest.fixture
def project(tmp_path, monkeypatch):
    git(tmp_path, "init", "-q", "-b", "main")
    save(tmp_path, "a.csv", GOOD.encode())
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def check(capsys):
    """Check the file, and return the exit code and whether the verdict had been kept."""

    def run():
        capsys.readouterr()
        code = cli.main(WORDS)
        said = json.loads(capsys.readouterr().out)
        return code, any("Nothing has changed since the last run" in note for note in said["notes"])

    return run


def kept(project):
    (file,) = (project / ".dataaudit-cache").glob("*.json")
    return file


def test_the_same_bytes_are_not_judged_again(project, check):
    assert [check(), check()] == [(0, False), (0, True)]
    assert kept(project).stat().st_mode & 0o777 == 0o600


def test_other_bytes_of_the_same_size_and_time_are_judged(project, check):
    assert check() == (0, False)
    path = project / "a.csv"
    before = path.stat()
    with path.open("r+") as file:  # the same file: as ``cp -p`` leaves it
        file.write(BAD)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    after = path.stat()
    same = ("st_size", "st_mtime_ns", "st_ino")
    assert [getattr(before, name) for name in same] == [getattr(after, name) for name in same]
    assert check() == (1, False)


def test_a_verdict_that_was_committed_is_not_believed(project, check):
    assert check() == (0, False)
    (project / ".dataaudit-cache/.gitignore").unlink()
    save(project, "notes.md", b"with the folder")
    assert check() == (0, False)
    git(project, "rm", "-q", "-r", "--cached", ".dataaudit-cache")
    assert check() == (0, True)


def test_a_verdict_that_others_may_have_written_is_not_believed(project, check):
    assert check() == (0, False)
    file = kept(project)
    for path, mode in ((file, 0o666), (file, 0o620), (file.parent, 0o777)):
        before = path.stat().st_mode & 0o777
        path.chmod(mode)
        assert check() == (0, False), (path, oct(mode))
        kept(project).chmod(0o600)
        path.chmod(before)
        assert check() == (0, True)
    other = project / "elsewhere.json"
    file.rename(other)
    file.symlink_to(other)
    assert check() == (0, False)


@pytest.mark.skipif(not hasattr(os, "getuid") or os.getuid() != 0, reason="only root gives files away")
def test_a_verdict_of_another_user_is_not_believed(project, check):
    assert check() == (0, False)
    os.chown(kept(project), 1234, -1)
    assert check() == (0, False)
