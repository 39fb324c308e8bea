"""Mismatches of tables that do not fit in memory against the same in memory."""

import tempfile
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from dataaudit import audit_mismatch
from dataaudit.audits.mismatch import excerpt
from dataaudit.data import scan, size
from dataaudit.errors import DataError, TooLarge, WriteError
from dataaudit.findings.schemas import MismatchFindings
from dataaudit.training import encoded, shards

ASKED = {"label": "y", "basis": "linear", "verify": 3, "prove": 3}


def rows(n, seed, *, wrong=0.0, scale=1.0):
    """Rows of which those of ward b have other labels, if so asked, and x another unit."""
    random = np.random.default_rng(seed)
    x, z, ward = random.normal(size=n), random.normal(size=n), random.choice(list("abcdef"), n)
    y = random.random(n) < 1 / (1 + np.exp(-1.5 * x - 0.5 * z))
    y = np.where((ward == "b") & (random.random(n) < wrong), ~y, y)
    names = [f"{seed}-{i}" for i in range(n)]
    return pl.DataFrame({"x": x * scale, "z": z, "ward": ward, "id": names, "y": np.where(y, "ill", "well")})


@pytest.fixture
def small(monkeypatch, tmp_path):
    """Let tables be on disk that are small: files of several pieces and shards."""
    monkeypatch.setattr(shards, "DENSE_BYTES", 1 << 13)
    monkeypatch.setattr(scan, "PIECE", 100)
    monkeypatch.setattr(size, "_SMALL", 10**6)
    monkeypatch.setattr(encoded, "SMALL", 10**6)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def written(folder, train, test):
    """Write both sides, and return their paths."""
    paths = folder / "train.parquet", folder / "test.parquet"
    for frame, path in zip((train, test), paths, strict=True):
        frame.write_parquet(path, row_group_size=300)
    return tuple(map(str, paths))


def audited(folder, paths, *, memory, **asked):
    """Audit out of core, sure that it was."""
    stages = []
    found = audit_mismatch(
        *paths, **ASKED | asked, memory=memory, on_step=lambda stage, *_: stages.append(stage)
    )
    assert "write features" in stages
    assert encoded.ON_DISK in found.tables.provenance.notes
    assert list(folder.glob("dataaudit-*")) == []
    return found.tables


def assert_equal(one, other):
    """Compare findings: scores to 1e-8, everything else as it is."""
    for name in MismatchFindings.SCHEMAS:
        mine, theirs = (getattr(tables, name) for tables in (one, other))
        for column, kind in mine.schema.items():
            if kind.is_float():
                near = {"rtol": 1e-7, "atol": 1e-8, "equal_nan": True}
                left, right = (side[column].cast(pl.Float64).fill_null(-7.0) for side in (mine, theirs))
                assert np.allclose(left, right, **near), (name, column)
            elif column not in ("value", "limit", "message"):
                assert theirs[column].equals(mine[column]), (name, column)


MEMORY = 4_900_000  # of what 4,000 rows take: less than in memory, more than on disk


@pytest.fixture
def paths(small):
    return written(small, rows(4000, 0, wrong=0.7), rows(400, 1))


def test_the_findings_are_those_of_rows_in_memory(small, paths):
    memory = audit_mismatch(*paths, **ASKED, id="id").tables
    assert memory.findings["slice"][0] == "ward = b"
    assert_equal(memory, audited(small, paths, memory=MEMORY, id="id"))


@pytest.mark.parametrize("task", ["regression", "count"])
def test_numbers(small, task):
    def given(n, seed, more):
        frame, random = rows(n, seed), np.random.default_rng(seed + 10)
        level = 1 + 0.4 * frame["x"].to_numpy() + more * (frame["ward"] == "b").to_numpy()
        y = (
            random.poisson(np.exp(level))
            if task == "count"
            else np.round(5 * level + random.normal(size=n), 2)
        )
        return frame.with_columns(y=pl.Series(y))

    paths = written(small, given(4000, 0, 0.0), given(400, 1, 2.0))
    memory = audit_mismatch(*paths, **ASKED, id="id", task=task).tables
    assert "ward = b" in memory.findings["title"][0]
    assert_equal(memory, audited(small, paths, memory=MEMORY, id="id", task=task))


def test_test_rows_stay_on_disk_too(small):
    paths = written(small, rows(4000, 0), rows(4000, 1, scale=100.0))
    memory = audit_mismatch(*paths, **ASKED, exclude=["id"]).tables
    assert memory.findings["columns"][0].to_list() == ["x"]
    assert_equal(memory, audited(small, paths, memory=MEMORY, exclude=["id"]))


def test_one_file_that_is_split_and_rows_that_are_asked_for(small):
    frame = rows(5000, 3, wrong=0.6).with_columns(
        part=pl.Series(np.where(np.arange(5000) < 4000, "train", "test"))
    )
    path = small / "all.parquet"
    frame.write_parquet(path, row_group_size=300)
    asked = {"split_column": "part", "id": "id", "where": "x > 1.5"}
    memory = audit_mismatch(str(path), **ASKED, **asked).tables
    assert_equal(memory, audited(small, (str(path),), memory=7_500_000, **asked))


def test_test_rows_without_labels(small):
    paths = written(small, rows(4000, 0), rows(400, 1).drop("y"))
    memory = audit_mismatch(*paths, **ASKED, id="id").tables
    assert_equal(memory, audited(small, paths, memory=MEMORY, id="id"))


def test_a_search_among_some_of_the_rows_says_so_and_finds_the_same(small, monkeypatch):
    monkeypatch.setattr(excerpt, "MOST", 2500)
    paths = written(small, rows(4000, 0, wrong=0.7), rows(2000, 1))
    memory = audit_mismatch(*paths, **ASKED, id="id").tables
    found = audited(small, paths, memory=MEMORY, id="id")
    assert found.findings["slice"][0] == "ward = b"
    assert "2,500 of 4,000 training rows, drawn at random" in " ".join(found.provenance.notes)
    assert not {"row", "rows", "copies"} & set(found.findings["kind"])
    assert np.allclose(found.harmful["harm_on_errors"], memory.harmful["harm_on_errors"], rtol=1e-7)
    gone = [tables.fixes.filter(finding=1, fix="remove")["loss_after"].min() for tables in (found, memory)]
    assert gone[0] == pytest.approx(gone[1], rel=0.02)
    one, other = (tables.slices.sort("column", "level")["n_train"].sum() for tables in (found, memory))
    assert one < other


def test_what_is_too_small_says_what_it_needs(small, paths):
    with pytest.raises(TooLarge, match=r"4,000 rows of 5 columns need \d+ MiB"):
        audit_mismatch(*paths, **ASKED, memory=1 << 20)


@pytest.mark.parametrize("change", ["written over", "gone"])
def test_a_file_that_changes_is_refused(small, paths, change):
    def step(stage, *_):
        if stage == "fit":
            Path(paths[0]).unlink(missing_ok=True)
            if change == "written over":
                rows(4000, 9).write_parquet(paths[0], row_group_size=300)

    with pytest.raises(DataError, match=r"train.parquet (has changed while|cannot be read any more)"):
        audit_mismatch(*paths, **ASKED, memory=MEMORY, on_step=step)
    assert list(small.glob("dataaudit-*")) == []


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError(28, "No space left on device")])
def test_nothing_is_left_where_a_run_ends_early(small, paths, error):
    def step(stage, *_):
        if stage == "slices":
            assert list(small.glob("dataaudit-*/*.rows"))
            raise error

    with pytest.raises((KeyboardInterrupt, WriteError)):
        audit_mismatch(*paths, **ASKED, memory=MEMORY, on_step=step)
    assert list(small.glob("dataaudit-*")) == []
