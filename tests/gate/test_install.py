"""What workflows install: a commit or a hash, from where this one came; no name, branch or secret."""

import os
import subprocess

import pytest

from dataaudit.errors import SettingError
from dataaudit.gate.install import UNKNOWN, of_record, pinned, requirement

COMMIT, HASH = "4d" * 20, "4d" * 32


def vcs(url):
    return {"url": url, "vcs_info": {"vcs": "git", "commit_id": COMMIT, "requested_revision": "main"}}


@pytest.mark.parametrize(
    ("record", "source"),
    [
        (vcs("https://github.com/o/dataaudit.git"), f"git+https://github.com/o/dataaudit.git@{COMMIT}"),
        (vcs("https://bob:hunter2@h/o/r"), f"git+https://bob@h/o/r@{COMMIT}"),
        (vcs("https://ghp_hunter2@h/o/r"), f"git+https://h/o/r@{COMMIT}"),
        (vcs("ssh://git@github.com/o/r.git"), f"git+https://github.com/o/r.git@{COMMIT}"),
        ({"url": "https://h/a.whl", "archive_info": {"hashes": {"sha256": HASH}}}, f"https://h/a.whl#sha256={HASH}"),
        ({"url": "https://h/a.whl?sig=hunter2", "archive_info": {"hashes": {"sha256": HASH}}}, f"https://h/a.whl#sha256={HASH}"),
    ],
)  # fmt: skip
def test_a_record_of_pip_says_where_it_came_from(record, source):
    assert of_record(record) == f"dataaudit @ {source}"
    assert pinned(source) == pinned(f"dataaudit @ {source}") == f"dataaudit @ {source}"


@pytest.mark.parametrize(
    "record",
    [
        {},
        {"url": "https://h/a.whl", "archive_info": {}},
        {"url": "file:///tmp/a.whl", "archive_info": {"hashes": {"sha256": HASH}}},
        {"url": "file:///no/where", "dir_info": {}},
        {"url": "https://h/o/r", "vcs_info": {"commit_id": "main"}},
    ],
)
def test_what_nobody_else_can_get_is_left_to_fill_in(record):
    assert of_record(record) == UNKNOWN


@pytest.mark.parametrize(
    "given",
    [
        "dataaudit",
        "dataaudit==1.0",
        "git+https://h/o/r",
        "git+https://h/o/r@main",
        "https://h/a.whl",
        UNKNOWN,
        "",
    ],
)
def test_what_may_be_another_one_tomorrow_is_refused(given):
    with pytest.raises(SettingError, match="has to be pinned"):
        pinned(given)


def test_a_folder_is_known_by_a_commit_that_is_elsewhere_too(tmp_path):
    names = {f"GIT_{who}_{what}": "t@h" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}

    def git(*words):
        env = os.environ | names | {"GIT_CONFIG_GLOBAL": os.devnull}
        done = subprocess.run(
            ["git", *words], cwd=tmp_path, env=env, check=True, capture_output=True, text=True
        )
        return done.stdout.strip()

    record = {"url": tmp_path.as_uri(), "dir_info": {"editable": True}}
    git("init", "-q", "-b", "main")
    (tmp_path / "a.py").write_text("a = 1\n")
    git("add", ".")
    git("commit", "-q", "-m", "a")
    git("remote", "add", "origin", "git@github.com:o/dataaudit.git")
    assert of_record(record) == UNKNOWN, "it was not pushed"
    git("update-ref", "refs/remotes/origin/main", "HEAD")
    assert (
        of_record(record) == f"dataaudit @ git+https://github.com/o/dataaudit.git@{git('rev-parse', 'HEAD')}"
    )
    (tmp_path / "a.py").write_text("a = 2\n")
    assert of_record(record) == UNKNOWN, "it was changed since"


def test_this_one_is_pinned_or_to_be_filled_in():
    assert requirement() == UNKNOWN or pinned(requirement()) == requirement()
