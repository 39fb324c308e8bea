"""Parquet files as pandas writes them after `train_test_split`: commands find what they find in the CSV."""

import json

import numpy as np
import pandas as pd
import polars as pl
import pytest
from command import audit
from polars.testing import assert_frame_equal
from sklearn.model_selection import train_test_split

NOTE = "The index that pandas wrote ('__index_level_0__') is left out."
FAST = "--label", "y", "--l2", "1e-2"
COMMANDS = {
    "labels": ("labels", "train.{}", *FAST),
    "mismatch": ("mismatch", "train.{}", "test.{}", *FAST),
    "explain": ("explain", "train.{}", "test.{}", *FAST, "--row", "2"),
    "vulnerability": ("vulnerability", "train.{}", "test.{}", *FAST, "--row", "2"),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A frame that is sorted by class, so that its index is the label."""
    folder, random, n = tmp_path_factory.mktemp("pandas"), np.random.default_rng(0), 160
    y = np.repeat(["no", "yes"], n // 2)
    x = random.normal(size=n) + (y == "yes")
    frame = pd.DataFrame({"x": x, "z": random.normal(size=n), "k": random.choice(["u", "v"], n), "y": y})
    for name, part in zip(
        ("train", "test"), train_test_split(frame, test_size=0.3, random_state=0), strict=True
    ):
        part.to_parquet(folder / f"{name}.parquet")
        part.to_csv(folder / f"{name}.csv", index=False)
    return folder


def numbers(folder):
    """Return what was found, without the names of rows and files."""
    tables = {path.name: pl.read_parquet(path) for path in sorted(folder.glob("*.parquet"))}
    others = pl.selectors.ends_with("row_id", "row_ids") | pl.selectors.by_name(
        "source", "line", "message", require_all=False
    )
    return {name: table.select(~others) for name, table in tables.items()}


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_finds_what_it_finds_in_csv(folder, name):
    found = {}
    for ending in ("csv", "parquet"):
        words = [word.format(ending) for word in COMMANDS[name]]
        done = audit(*words, "--out", f"{name}-{ending}", cwd=folder)
        assert done.returncode == 0, done.stderr
        assert done.stderr.count("The index that pandas wrote") == (ending == "parquet")
        assert max(map(len, done.stderr.splitlines())) <= 80
        found[ending] = numbers(folder / f"{name}-{ending}")
    notes = json.loads((folder / f"{name}-parquet" / "provenance.json").read_text("utf-8"))["notes"]
    assert notes.count(NOTE) == 1
    for table, frame in found["csv"].items():
        assert_frame_equal(found["parquet"][table], frame)


def test_the_gate_finds_what_it_finds_in_csv(folder, tmp_path):
    outcomes = {}
    for ending in ("csv", "parquet"):
        words = [f"{folder}/train.{ending}", "--label", "y", "--test", f"{folder}/test.csv"]
        done = audit("check", *words, "--base", f"{folder}/train.csv", "--format", "json", cwd=tmp_path)
        verdict = json.loads(done.stdout)
        outcomes[ending] = [(one["code"], one["status"], one["value"]) for one in verdict["outcomes"]]
        assert sum(NOTE in note for note in verdict["notes"]) == (ending == "parquet")
    assert outcomes["parquet"] == outcomes["csv"]


def test_a_named_index_may_name_the_rows_or_be_a_feature(folder, tmp_path):
    frame = pd.read_parquet(folder / "train.parquet").rename_axis("patient")
    frame.to_parquet(tmp_path / "t.parquet")
    done = audit("labels", "t.parquet", *FAST, "--id", "patient", "--out", "named", cwd=tmp_path)
    assert "The index" not in done.stderr
    assert set(pl.read_parquet(tmp_path / "named" / "labels.parquet")["row_id"]) == set(map(str, frame.index))
    done = audit("labels", "t.parquet", *FAST, "--features", "patient", "--out", "used", cwd=tmp_path)
    roles = json.loads((tmp_path / "used" / "provenance.json").read_text("utf-8"))["roles"]
    assert [(role["column"], role["role"]) for role in roles] == [("patient", "numeric")]


def test_a_repair_keeps_the_index(folder, tmp_path):
    source = folder / "train.parquet"
    audit("labels", source, *FAST, "--out", "found", cwd=tmp_path)
    row = pl.read_parquet(tmp_path / "found" / "labels.parquet").row(0, named=True)
    lines = [{"row_id": row["row_id"], "action": "relabel", "label": row["suggested_label"]}]
    lines += [{"row_id": f"{source.as_posix()}#{at}", "action": "drop"} for at in (3, 7) if at != row["row"]]
    (tmp_path / "d.jsonl").write_text("\n".join(map(json.dumps, lines)))
    done = audit("apply", "found", "d.jsonl", source, "-o", "fixed.parquet", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    before, after = pd.read_parquet(source), pd.read_parquet(tmp_path / "fixed.parquet")
    label = before.columns.get_loc("y")
    before.iloc[row["row"], label] = row["suggested_label"]
    pd.testing.assert_frame_equal(after, before.drop(before.index[[at for at in (3, 7) if at != row["row"]]]))
