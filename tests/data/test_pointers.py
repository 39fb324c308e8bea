"""Pointers of Git LFS, DVC and git-annex are refused wherever a file is read, with the command that helps."""

import hashlib
import itertools
import os
import subprocess
from pathlib import Path

import polars as pl
import pytest
from command import audit

from dataaudit.data.load import load
from dataaudit.errors import UnreadableFile
from dataaudit.findings.tables import read_provenance, read_table
from dataaudit.gate.data import open_data
from dataaudit.repair.decisions import read_decisions

LFS = f"version https://git-lfs.github.com/spec/v1\noid sha256:{'4d' * 32}\nsize 12345\n"
DVC = "outs:\n- md5: a304afb96060aad90176268345e10355\n  size: 37891850\n  hash: md5\n  path: mail.csv\n"
IMPORTED = "md5: b0\nfrozen: true\ndeps:\n- path: x\n  repo:\n    url: https://h\nouts:\n- path: mail.csv\n"
LOCK = "schema: '2.0'\nstages:\n  make:\n    cmd: make\n    outs:\n    - path: out/mail.csv\n      md5: b0\n"
ANNEX = "/annex/objects/SHA256E-s3--4d4d.csv\n"
LINK = ".git/annex/objects/aa/bb/SHA256E-s3--4d/SHA256E-s3--4d"


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def make(folder, files):
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if content.startswith("-> "):
            path.symlink_to(content[3:])
        else:
            path.write_text(content)


CASES = [
    ("a.csv", {"a.csv": LFS}, "a.csv is a pointer: Git LFS", "git lfs pull --include a.csv"),
    ("a.parquet", {"a.parquet": LFS}, "a.parquet is a pointer: Git LFS", "git lfs pull --include a.parquet"),
    (
        "a b.csv.gz",
        {"a b.csv.gz": LFS.replace("\n", "\r\n")},
        "Git LFS",
        "git lfs pull --include 'a b.csv.gz'",
    ),
    (
        "d",
        {"d/1.csv": "x,y\n1,a\n", "d/2.csv": LFS},
        "d/2.csv is a pointer",
        "git lfs pull --include d/2.csv",
    ),
    ("d", {"d/ham/1.txt": "hello", "d/spam/2.txt": LFS}, "d/spam/2.txt is a", "--include d/spam/2.txt"),
    ("a.csv.dvc", {"a.csv.dvc": DVC}, "is a pointer: DVC", "run dvc pull a.csv.dvc, and name a.csv"),
    ("a.csv.dvc", {"a.csv.dvc": IMPORTED}, "is a pointer: DVC", "run dvc pull a.csv.dvc, and name a.csv"),
    ("a.csv", {"a.csv": DVC}, "a.csv is a pointer: DVC", "dvc pull a.csv"),
    ("a.csv", {"a.csv.dvc": DVC}, "a.csv is not here: DVC keeps", "run dvc pull a.csv.dvc"),
    ("a.csv", {"a.csv.dvc": DVC, "a.csv": ""}, "a.csv is not here: DVC keeps", "run dvc pull a.csv.dvc"),
    ("d/a.csv", {"d.dvc": DVC, "d/x": ""}, "d/a.csv is not here: DVC", "run dvc pull d.dvc"),
    ("d", {"d.dvc": DVC}, "d is not here: DVC", "run dvc pull d.dvc"),
    (
        "d",
        {"d/a.csv": "x,y\n1,a\n", "d/b.csv.dvc": DVC},
        "d/b.csv is not here: DVC",
        "run dvc pull d/b.csv.dvc",
    ),
    ("d/*.csv", {"d/a.csv.dvc": DVC}, "d/a.csv is not here: DVC", "run dvc pull d/a.csv.dvc"),
    ("out/mail.csv", {"dvc.lock": LOCK}, "out/mail.csv is not here: DVC", "run dvc pull out/mail.csv"),
    ("a.csv", {"a.csv": ANNEX}, "a.csv is a pointer: git-annex", "run git annex get a.csv"),
    ("a.csv", {"a.csv": f"-> {LINK}"}, "a.csv is a pointer: git-annex", "run git annex get a.csv"),
    ("d", {"d/a.csv": f"-> ../{LINK}"}, "d/a.csv is a pointer: git-annex", "run git annex get d/a.csv"),
    ("a.csv", {"a.csv": "-> /no/where.csv"}, "a.csv is a link to /no/where.csv, which is not there", "fetch"),
    ("d/*", {"d/a.csv": "-> /no/where.csv"}, "d/a.csv is a link to /no/where.csv", "fetch"),
    ("a.csv", {".a.csv.icloud": "x"}, "a.csv is not here: iCloud keeps", "brctl download a.csv"),
    ("a.csv", {"a.csv": ""}, "a.csv is empty: got 0 bytes", "give a file with"),
]


@pytest.mark.parametrize(("given", "files", "what", "hint"), CASES)
def test_what_stands_for_data_is_refused(here, given, files, what, hint):
    make(here, files)
    for read in (lambda: load(given, target="y"), lambda: open_data([given], label="y")):
        with pytest.raises(UnreadableFile) as caught:
            read()
        assert what in caught.value.what
        assert hint in caught.value.hint


@pytest.mark.parametrize("name", ["mail.db", "sqlite:///mail.db", "duckdb:///mail.db"])
@pytest.mark.parametrize("files", [{"mail.db": LFS}, {"mail.db.dvc": DVC}])
def test_a_database_may_be_a_pointer_too(here, name, files):
    make(here, files)
    done = audit("labels", "--sql", name, "--query", "select 1", "--label", "y", cwd=here)
    assert done.returncode == 2
    assert "git lfs pull" in done.stderr or "dvc pull" in done.stderr


def test_findings_and_decisions_may_be_pointers_too(here):
    make(here, {"found/provenance.json": LFS, "whole/provenance.json": "{}", "whole/labels.parquet": LFS})
    make(here, {"decisions.jsonl": LFS})
    with pytest.raises(UnreadableFile, match=r"git lfs pull --include found/provenance.json"):
        read_provenance(Path("found"))
    with pytest.raises(UnreadableFile, match=r"git lfs pull --include whole/labels.parquet"):
        read_table(Path("whole/labels.parquet"))
    with pytest.raises(UnreadableFile, match=r"git lfs pull --include decisions.jsonl"):
        read_decisions("decisions.jsonl")


def test_every_command_says_it_in_one_line(here):
    make(here, {"a.csv": LFS, "b.csv.dvc": DVC})
    commands = ("labels", "check", "mismatch", "explain", "vulnerability")
    for name, path in itertools.product(commands, ("a.csv", "b.csv")):
        paths = [path] if name in ("labels", "check") else [path, path]
        done = audit(name, *paths, "--label", "y", *(["--row", "0"] if name == "explain" else []), cwd=here)
        assert done.returncode == 2, name
        assert (
            "git lfs pull" in done.stdout + done.stderr or "dvc pull b.csv.dvc" in done.stdout + done.stderr
        )


def test_data_that_look_like_a_pointer_are_data(here):
    rows = "".join(f"{i},{'ab'[i % 2]}\n" for i in range(9))
    make(here, {"a.csv": "version https,y\n" + rows, "b.csv": "x,y\n" + rows, "b.csv.dvc": DVC})
    assert load("a.csv", target="y").n == load("b.csv", target="y").n == 9


def git(folder, *words):
    names = {f"GIT_{who}_{what}": "t@h" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    env = os.environ | names | {"GIT_CONFIG_GLOBAL": os.devnull}
    subprocess.run(["git", *words], cwd=folder, env=env, check=True, capture_output=True)


@pytest.mark.parametrize("keeper", ["lfs", "dvc"])
def test_a_base_in_a_revision_is_taken_from_where_its_keeper_has_it(here, keeper):
    old = b"x,y\n" + b"".join(b"%d,%c\n" % (i % 7, b"ab"[i % 2]) for i in range(60))
    if keeper == "lfs":
        digest = hashlib.sha256(old).hexdigest()
        pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{digest}\nsize {len(old)}\n"
        kept, name = here / ".git/lfs/objects" / digest[:2] / digest[2:4] / digest, "a.csv"
    else:
        digest = hashlib.md5(old).hexdigest()
        pointer = f"outs:\n- md5: {digest}\n  size: {len(old)}\n  hash: md5\n  path: a.csv\n"
        kept, name = here / ".dvc/cache/files/md5" / digest[:2] / digest[2:], "a.csv.dvc"
        (here / ".gitignore").write_text("/a.csv\n")
    make(here, {name: pointer})
    git(here, "init", "-q", "-b", "main")
    git(here, "add", ".gitignore" if keeper == "dvc" else name, name)
    git(here, "commit", "-q", "-m", "data")
    (here / "a.csv").write_bytes(old + b"5,a\n")
    words = (
        "check",
        "a.csv",
        "--label",
        "y",
        "--base",
        "main:",
        "--select",
        "DA4",
        "--format",
        "json",
        "--no-cache",
    )
    without = audit(*words, cwd=here)
    assert without.returncode == 2
    assert {"lfs": "git lfs", "dvc": "dvc get"}[keeper] in without.stdout
    kept.parent.mkdir(parents=True)
    kept.write_bytes(old)
    found = audit(*words, cwd=here)
    assert found.returncode != 2, found.stdout
    assert '"base_rows": 60' in found.stdout
    assert pl.read_csv(here / "a.csv").height == 61
