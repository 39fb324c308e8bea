"""``audit plan`` as people meet it."""

import json

import numpy as np
import polars as pl
import pytest
from command import audit

import dataaudit


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    random, where = np.random.default_rng(0), tmp_path_factory.mktemp("plan")
    rows = {"x": random.normal(size=500), "ward": np.array(["a", "b", "c"])[random.integers(3, size=500)]}
    pl.DataFrame(rows | {"y": random.integers(2, size=500)}).write_csv(where / "t.csv")
    return where


def test_it_says_what_it_takes_and_what_to_type_next(folder):
    done = audit("plan", "t.csv", "--label", "y", "--memory", "1GiB", "--top", "5", cwd=folder)
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[0] == "500 rows of t.csv (0 MiB), 2 classes"
    assert lines[1] == "columns: 1 numeric, 1 categorical"
    assert any(line.startswith("Memory   fits: it takes") for line in lines)
    assert lines[-1] == "Next     audit labels t.csv --label y --memory 1GiB --top 5"
    assert max(map(len, lines)) <= 80


def test_what_does_not_fit_is_said_with_its_cure(folder):
    done = audit("plan", "t.csv", "--label", "y", "--memory", "1MiB", cwd=folder)
    assert done.returncode == 1
    assert "does not fit" in done.stdout
    assert "give more with --memory" in done.stdout
    assert done.stdout.endswith("audit labels t.csv --label y --memory 0.5GiB\n")


def test_as_json(folder):
    done = audit("plan", "t.csv", "--label", "y", "--format", "json", cwd=folder)
    found = json.loads(done.stdout)
    assert (found["rows"], found["classes"], found["fits"]) == (500, 2, True)
    assert found["command"] == "audit labels t.csv --label y"
    assert found["seconds"] == pytest.approx(sum(stage["seconds"] for stage in found["stages"]))
    assert found["bytes"] == max(stage["bytes"] for stage in found["stages"])


def test_mistakes_are_one_line(folder):
    done = audit("plan", "t.csv", "--label", "z", cwd=folder)
    assert done.returncode == 2
    assert done.stderr.startswith("error: column 'z' is not in t.csv")


def test_from_python(folder):
    found = dataaudit.plan(pl.read_csv(folder / "t.csv"), label="y", l2=0.01, memory="2GiB")
    assert (found.rows, found.limit, found.chosen_on) == (500, 2**31, 0)
    assert "λ        given" in str(found)


@pytest.mark.parametrize("name", ["mismatch", "explain"])
def test_for_an_audit_of_training_and_test_rows(folder, name):
    pl.read_csv(folder / "t.csv").head(100).write_csv(folder / "new.csv")
    row = ["--row", "3"] if name == "explain" else ["--prove", "2"]
    done = audit("plan", "t.csv", "new.csv", "--for", name, "--label", "y", *row, cwd=folder)
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[0] == "500 rows and 100 to be tested of t.csv (0 MiB), 2 classes"
    assert lines[-1] == f"Next     audit {name} t.csv new.csv --label y {' '.join(row)}"
    assert max(map(len, lines)) <= 80
    stages = {line.split("  ")[0] for line in lines}
    assert ({"trace", "slices", "shift"} <= stages) == (name == "mismatch")
    done = audit(*lines[-1].removeprefix("Next     audit ").split(), cwd=folder)
    assert done.returncode == 0


def test_one_file_is_split_as_the_audit_would(folder):
    frame = pl.read_csv(folder / "t.csv").with_columns(part=pl.Series(["Train"] * 400 + ["test"] * 100))
    found = [
        dataaudit.plan(frame.drop("part"), label="y", audit="mismatch", test_size=share)
        for share in (0.2, 100)
    ]
    found.append(dataaudit.plan(frame, label="y", audit="mismatch", split_column="part"))
    assert [(one.rows, one.test_rows, one.columns) for one in found] == [(400, 100, 2)] * 3


def test_test_rows_that_there_are_or_should_be(folder):
    done = audit("plan", "t.csv", "--for", "mismatch", "--label", "y", cwd=folder)
    assert done.stderr.startswith("error: there are no test rows")
    done = audit("plan", "t.csv", "--test-size", ".2", "--label", "y", cwd=folder)
    assert done.stderr.startswith("error: an audit of labels has no test rows")
