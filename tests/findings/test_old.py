"""Folders of findings that version 0.1 wrote, kept in ``old``: whatever reads findings reads them still."""

import json
import shutil
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from dataaudit import cli
from dataaudit.findings.schemas import KINDS, MismatchFindings, read_findings
from dataaudit.findings.tables import read_provenance
from dataaudit.review.progress import queue_of

OLD = Path(__file__).with_name("old")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for one in OLD.iterdir():
        (shutil.copytree if one.is_dir() else shutil.copy)(one, tmp_path / one.name)
    return tmp_path


@pytest.mark.parametrize("kind", KINDS)
def test_they_are_read_whole_and_written_the_same(kind, tmp_path):
    found = read_findings(OLD / kind)
    written = found.write(tmp_path)
    for name in found.SCHEMAS.keys() - found.LATER - found.UPGRADES.keys():
        before = pl.read_parquet(OLD / kind / f"{name}.parquet")
        assert_frame_equal(found.tables()[name], before)
        assert_frame_equal(pl.read_parquet(written / f"{name}.parquet"), before)  # with the words
    now, then = read_provenance(written), read_provenance(OLD / kind)
    assert now | {"tables": then["tables"]} == then
    assert set(now["tables"]) - set(then["tables"]) == found.LATER


@pytest.mark.parametrize(("kind", "name"), [("explanation", "flip"), ("vulnerability", "attacks")])
def test_columns_that_came_later_are_null(kind, name):
    found, before = read_findings(OLD / kind).tables()[name], pl.read_parquet(OLD / kind / f"{name}.parquet")
    assert_frame_equal(found[before.columns], before)
    assert found.width > before.width
    assert found.drop(before.columns).null_count().row(0) == (len(found),) * (found.width - before.width)


def test_findings_that_named_no_columns_say_what_they_did():
    old = {"finding": [1], "severity": ["high"], "title": ["t"], "n_errors": [3], "n_train_rows": [0]}
    old |= {"train_row_ids": [["p1"]], "slice": [""], "features": [""], "predicted_delta_loss": [-1.0]}
    old |= {"measured_delta_loss": [-1.0], "advice": ["a"], "test_row_ids": [["q1"]], "p_value": [0.1]}
    frame = MismatchFindings.UPGRADES["findings"](pl.DataFrame(old))
    assert frame.schema == MismatchFindings.SCHEMAS["findings"]
    assert frame.row(0, named=True).items() >= {"kind": "rates", "columns": [], "worth": None}.items()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("level", ["none", "all"])
def test_they_are_reported(kind, level, folder):
    for name in ("page.html", "page.md", "page.json"):
        assert cli.main(["report", kind, "-o", name, "--redact", level, "-qq"]) == 0
        assert (folder / name).stat().st_size > 500


def test_they_are_reviewed():
    queue = queue_of(read_findings(OLD / "labels"))
    assert len(queue) == 60
    assert set(queue.classes) == {"ill", "well"}


def test_they_are_applied(folder, capsys):
    (folder / "decisions.csv").write_text("row_id,action,label\np0,relabel,well\np1,drop,\n")
    assert cli.main(["apply", "labels", "decisions.csv", "train.csv", "-o", "fixed.csv", "--dry-run"]) == 0
    assert "p0: ill → well" in capsys.readouterr().err
    assert not (folder / "fixed.csv").exists()


def test_they_are_checked(folder):
    assert cli.main(["check", "labels", "--no-cache", "-qq", "--output", "json=verdict.json"]) == 0
    outcomes = json.loads((folder / "verdict.json").read_text())["outcomes"]
    known = {one["code"]: one["status"] for one in outcomes}
    assert (known["DA101"], known["DA908"]) == (
        "skipped",
        "broken",
    )  # classes that overlap say nothing of the number
