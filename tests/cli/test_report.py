"""``audit report`` and ``--redact`` as people and scripts meet them: real processes and their streams."""

import json
import re
import subprocess
import sys

import numpy as np
import polars as pl
import pytest
from cli.test_cli import AUDIT
from command import audit, environment
from writers.example import made_up
from writers.mismatch_example import real
from writers.pages import parse
from writers.rendered import Rendered

from dataaudit.findings.redact import remember
from dataaudit.writers.markdown import SIZE


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Findings of two kinds; those of labels have no page yet."""
    folder = tmp_path_factory.mktemp("report")
    made_up(n=120).write(folder / "labels")
    (folder / "mail.csv").write_bytes(b"")
    remember(made_up(n=30), "cells").write(folder / "careful")
    real().write(folder / "mismatch")
    return folder


def report(folder, *arguments):
    return audit("report", *arguments, cwd=folder)


def test_by_default_the_page_of_the_folder_is_written_anew(folder):
    done = report(folder, "labels")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "The report is labels/report.html\n")
    page = (folder / "labels" / "report.html").read_text(encoding="utf-8")
    assert parse(page).errors == []
    assert "audit verify labels --top 50" in report(folder, "labels", "-o", "-").stdout
    assert report(folder, "labels", "-qq").stderr == ""


def test_another_format_does_not_take_the_place_of_the_page(folder):
    done = report(folder, "labels", "--format", "text")
    assert (done.returncode, done.stderr) == (0, "The report is labels/report.txt\n")
    assert "<html" not in (folder / "labels" / "report.txt").read_text(encoding="utf-8")


@pytest.mark.parametrize("kind", ["labels", "mismatch"])
def test_the_suffix_decides(folder, kind):
    for suffix, begin in ((".md", "## "), (".HTML", "<!doctype html>"), (".json", "{"), (".txt", "")):
        path = folder / f"{kind}{suffix}"
        assert report(folder, kind, "-o", path.name).returncode == 0
        assert path.read_text(encoding="utf-8").startswith(begin)
    assert (folder / f"{kind}.txt").read_text(encoding="utf-8").split()[0] == "1"
    markdown = (folder / f"{kind}.md").read_text(encoding="utf-8")
    assert len(markdown.encode()) <= SIZE
    assert Rendered(markdown).errors == []


def test_stdout_takes_any_format_and_nothing_else(folder):
    assert report(folder, "labels", "-o", "-").stdout.startswith("## About ")
    rows = report(folder, "labels", "-o", "-", "--format", "jsonl").stdout.splitlines()
    assert len([json.loads(row) for row in rows]) == 120


def test_a_site_is_three_files_that_a_strict_server_shows(folder):
    done = report(folder, "labels", "--html-dir", "below/site")
    assert done.stderr == "The report is below/site/report.html\n"
    names = {path.name for path in (folder / "below" / "site").iterdir()}
    assert names == {"report.html", "report.css", "report.js"}
    text = (folder / "below" / "site" / "report.html").read_text(encoding="utf-8")
    page = parse(text)
    assert page.count["style"] == 0
    assert '<link rel="stylesheet" href="report.css">' in text
    assert "loads report.css and report.js next to it" in text
    assert "one file" not in text
    report(folder, "mismatch", "--html-dir", "plain")
    assert {path.name for path in (folder / "plain").iterdir()} == {"report.html", "report.css"}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["labels", "-o", "x.pdf"], "x.pdf does not say which format it is to have: got suffix '.pdf'. Hint"),
        (["labels", "-o", "x"], "got suffix ''"),
        (["labels", "-o", "x.pdf", "--format", "jsnol"], "did you mean 'jsonl'"),
        (["labels", "-o", "labels/provenance.json"], "labels/provenance.json is what was read"),
        (["labels", "-o", "mail.csv", "--format", "json"], "mail.csv is what was read, and would be written"),
        (["nowhere"], "nowhere is not a folder of findings"),
        (["labels", "-o", "nowhere/x.md"], "cannot be written to nowhere/x.md"),
        (["labels", "--html-dir", "labels/labels.parquet"], "folder labels/labels.parquet cannot be made"),
    ],
)
def test_what_cannot_be_done_is_one_line(folder, arguments, said):
    done = report(folder, *arguments)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert said in done.stderr
    assert not (folder / "x.pdf").exists()


def test_a_folder_of_another_kind_is_named(folder):
    odd = folder / "odd"
    odd.mkdir()
    (odd / "provenance.json").write_text('{"kind": ["labels"], "format": 1}')
    done = report(folder, "odd")
    assert done.returncode == 2
    assert "of no kind that this version reads" in done.stderr


def test_it_withholds_what_the_audit_was_told_to(folder):
    text = report(folder, "careful", "-o", "-", "--format", "html").stdout
    assert not re.search(r"\b(meter|winner|attached)\b", text)
    assert "ham" in text
    whole = report(folder, "careful", "-o", "-", "--format", "html", "--redact", "none").stdout
    assert re.search(r"\b(meter|winner|attached)\b", whole)
    nothing = report(folder, "careful", "-o", "out.md", "--redact", "all")
    assert nothing.stderr == "The report is written.\n"
    assert "mail" not in (folder / "out.md").read_text(encoding="utf-8")


def test_it_imports_no_mathematics(folder):
    command = [sys.executable, "-X", "importtime", *AUDIT[1:], "report", "labels", "-o", "-"]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, cwd=folder, env=environment(), encoding="utf-8"
    )
    assert done.returncode == 0
    lines = [line for line in done.stderr.splitlines() if line.startswith("import time:")]
    imported = {line.rpartition("|")[2].strip().partition(".")[0] for line in lines}
    assert "polars" in imported, "the measurement works"
    assert imported & {"torch", "sklearn", "scipy", "pandas"} == set()


def test_redact_keeps_secrets_off_page_stdout_and_stderr(tmp_path):
    random = np.random.default_rng(0)
    x = random.normal(size=200)
    frame = pl.DataFrame(
        {
            "zqcolumn": x + 1234.5,
            "zqlevels": random.choice(["zqone", "zqtwo"], 200),
            "zqtarget": np.where(x > 0, "zqyes", "zqno"),
        }
    )
    frame.write_csv(tmp_path / "zqfile.csv")
    fast = "--l2", "1e-2", "--verify", "2", "--basis", "linear"
    done = audit(
        "labels", "zqfile.csv", "--label", "zqtarget", "--out", "zqfolder", *fast, "-v",
        "--redact", "all", "--format", "json", cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    page = (tmp_path / "zqfolder" / "report.html").read_text(encoding="utf-8")
    for text in (done.stdout, done.stderr, page):
        assert "zq" not in text
        assert "class 1" in text
    table = pl.read_parquet(tmp_path / "zqfolder" / "labels.parquet")
    assert set(table["label"]) == {"zqyes", "zqno"}  # the tables stay whole
