"""Everything bad that people feed a tool: one line that says why and what to do, or a stated decision.

Most run through the command's `main` in this process, which is all that ``audit`` calls; the file descriptors
are watched, so that nothing that a library prints by itself goes unseen. A few run as processes of their own.
"""

import gzip
import json
import os
import re
import signal
import subprocess
import sys

import numpy as np
import polars as pl
import pytest

import dataaudit
from dataaudit import cli

N = 60
QUICK = ("-q", "--basis", "linear", "--verify", "0", "--top", "2")


def good():
    """Two classes, two columns, unique names."""
    random, at = np.random.default_rng(0), np.arange(N)
    return pl.DataFrame(
        {
            "size": random.standard_normal(N) + 2 * (at % 2),
            "weight": random.standard_normal(N),
            "y": ["ab"[i % 2] for i in at],
            "name": [f"r{i}" for i in at],
        }
    )


def csv(frame):
    return frame.write_csv().encode()


def with_line(number, change):
    """Return the good table's bytes with one line changed."""
    lines = csv(good()).splitlines()
    lines[number - 1] = change(lines[number - 1])
    return b"\n".join(lines) + b"\n"


def parquet(cut):
    """Return the good table as Parquet, damaged."""
    import io

    file = io.BytesIO()
    good().write_parquet(file)
    return cut(file.getvalue())


def many_classes():
    random = np.random.default_rng(0)
    return pl.DataFrame({"x": random.standard_normal(20_000), "y": [f"c{i % 10_000}" for i in range(20_000)]})


def constant(**columns):
    return csv(good().drop("name").with_columns(**columns))


def another(column, row, value):
    """Return the good table with one cell changed."""
    return good().with_columns(
        pl.when(pl.int_range(N) == row).then(pl.lit(value)).otherwise(column).alias(column)
    )


# name → bytes of the file, what else is typed, what the error says
REFUSED = {
    "misspelt label": (csv(good()), ["--label", "Y"], "'Y' is not in rows.csv.*did you mean 'y'"),
    "misspelt feature": (csv(good()), ["--features", "wieght"], "did you mean 'weight'"),
    "misspelt exclusion": (csv(good()), ["--exclude", "wieght"], "did you mean 'weight'"),
    "misspelt text": (csv(good()), ["--text", "wieght"], "did you mean 'weight'"),
    "misspelt category": (csv(good()), ["--categorical", "siz"], "did you mean 'size'"),
    "misspelt id": (csv(good()), ["--id", "nmae"], "did you mean 'name'"),
    "label far off": (csv(good()), ["--label", "outcome"], "the columns are size, weight, y, name"),
    "no such file": (csv(good()), [], "no such file: 'rows.csv'.*did you mean 'row.csv'"),
    "empty file": (b"", [], "rows.csv is empty: got 0 bytes"),
    "blank file": (b"\n\n  \n", [], "rows.csv is empty: got 5 blank bytes"),
    "header only": (b"size,weight,y\n", [], "has a header but no rows"),
    "nothing packed": (gzip.compress(b""), [], "is empty: got 0 bytes unpacked"),
    "packed and cut short": (gzip.compress(csv(good()))[:-20], [], "cannot be unpacked"),
    "one class": (constant(y=pl.lit("a")), [], "one class: got 'a' in all 60 rows"),
    "one class beside nulls": (
        csv(good().with_columns(y=pl.when(pl.col("y") == "a").then("y"))),
        [],
        "one class: got 'a' in all 30 rows",
    ),
    "one row per class": (constant(y=pl.int_range(N)), [], "a class of its own for each of the 60"),
    "no labels": (constant(y=pl.lit(None, dtype=pl.String)), [], "has no values: 60 rows, all empty"),
    "constant features": (
        constant(size=pl.lit(1), weight=pl.lit("k")),
        [],
        "no column can be used as a feature: size .the same value in every row.; weight .the same value",
    ),
    "missing features": (
        constant(size=pl.lit(None, dtype=pl.Float64), weight=pl.lit(None, dtype=pl.Float64)),
        [],
        "size .every value is missing.; weight .every value is missing.",
    ),
    "nothing but the label": (csv(good().select("y")), [], "no column other than the label"),
    "not UTF-8": (with_line(7, lambda line: line + b"\xc3\xa9 \xc3\xa8 \xe9"), [], "byte 0xe9.*line 7"),
    "null bytes": (with_line(7, lambda line: line + b"\0"), [], "null byte.*line 7"),
    "no text at all": (bytes(range(256)) * 20, [], "not a text table"),
    "ragged, too long": (with_line(11, lambda line: line + b",a,b"), [], "line 11 has 6 fields where"),
    "ragged, too short": (with_line(11, lambda line: b"1.5"), [], "line 11 has 1 field where"),
    "open quote": (with_line(7, lambda line: b'"' + line), [], "line 7 opens a quote that never closes"),
    "column twice": (csv(good()).replace(b"weight", b"size", 1), [], "'size' stands twice in the header"),
    "duplicate ids": (
        csv(another("name", 7, "r3")), ["--id", "name"], "not unique: got 'r3' 2 times.*:5 and rows.csv:9"
    ),
    "missing id": (csv(another("name", 7, None)), ["--id", "name"], "'name'"),
    "infinite label": (constant(y=pl.lit("inf").cast(pl.Float64)), [], "has 60 infinite values"),
    "continuous label": (
        constant(y=pl.Series(np.random.default_rng(1).random(N))), [], "continuous: got 60 distinct"
    ),
    "10,000 classes": (csv(many_classes()), [], r"10,000 classes needs [\d.]+ GiB, [\d.]+ GiB may be used"),
    "Parquet cut short": (parquet(lambda data: data[: len(data) // 2]), [], "is cut short"),
    "Parquet with a hole": (parquet(lambda data: data[:200] + data[300:]), [], "not a readable Parquet"),
    "Parquet in name only": (csv(good()), [], "is not a Parquet file: it starts with"),
    "a spreadsheet": (b"PK\x03\x04....", [], "cannot be unpacked: File is not a zip file"),
    "JSON cut short": (b'[{"size": 1, "y": "a"}, {"size": 2', [], "not JSON"),
    "NDJSON cut short": (b'{"size": 1, "y": "a"}\n{"size":\n', [], "record at line 2 is not JSON"),
    "label left out": (csv(good()), ["--exclude", "y"], "both the label and excluded"),
    "numbers as text": (csv(good()), ["--text", "size"], "is Float64, not text"),
    "negative seed": (csv(good()), ["--seed", "-1"], "greater than or equal to 0"),
    "ridge that is no number": (csv(good()), ["--l2", "nan"], "l2 must be above 0: got nan"),
    "out is a file": (csv(good()), ["--out", "rows.csv"], "rows.csv is a file"),
    "out is below a file": (csv(good()), ["--out", "rows.csv/found"], "rows.csv is a file"),
}  # fmt: skip

FILES = {
    "no such file": "row.csv",
    "nothing packed": "rows.csv.gz",
    "packed and cut short": "rows.csv.gz",
    "Parquet cut short": "rows.parquet",
    "Parquet with a hole": "rows.parquet",
    "Parquet in name only": "rows.parquet",
    "a spreadsheet": "rows.xlsx",
    "JSON cut short": "rows.json",
    "NDJSON cut short": "rows.ndjson",
}  # the others are rows.csv


def arguments(name, more):
    label = [] if "--label" in more else ["--label", "y"]
    out = [] if "--out" in more else ["--out", "found"]
    return ["labels", name, *label, *more, *out, *QUICK]


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("name", REFUSED)
def test_an_error_is_one_line_with_exit_code_2_and_leaves_nothing(here, capfd, name):
    file, (data, more, says) = FILES.get(name, "rows.csv"), REFUSED[name]
    (here / file).write_bytes(data)
    asked = "rows.csv" if name == "no such file" else file
    assert cli.main(arguments(asked, more)) == 2
    out, err = capfd.readouterr()
    assert out == ""
    assert err.startswith("error: ")
    assert err.count("\n") == 1, err
    assert re.search(says, err)
    assert ". Hint: " in err
    assert "Traceback" not in err
    assert [path.name for path in here.iterdir()] == [file]


def test_python_users_get_the_same_line(here, capfd):
    (here / "rows.csv").write_bytes(constant(y=pl.lit("a")))
    cli.main(arguments("rows.csv", []))
    with pytest.raises(dataaudit.BadTarget) as caught:
        dataaudit.audit_labels("rows.csv", label="y")
    assert capfd.readouterr().err == f"error: {caught.value}\n"


@pytest.mark.parametrize("name", ["nothing", "*.zzz"])
def test_folders_and_patterns_that_hold_nothing(here, capfd, name):
    (here / "nothing").mkdir()
    assert cli.main(arguments(name, [])) == 2
    assert capfd.readouterr().err.startswith("error: ")
    assert not (here / "found").exists()


# name → table, what else is typed, the decision as it stands in the notes
FOLD = "An audit with --fold-labels reads them as one."
HINT = "List one under features to use it."
DECIDED = {
    "labels with nulls": (
        good().with_columns(y=pl.when(pl.int_range(N) >= 5).then("y")),
        [],
        "5 of 60 rows have no 'y' and were left out.",
    ),
    "one row of a class": (
        another("y", 3, "rare"), [], "1 class has a single row ('rare'): its label cannot be judged."
    ),
    "a column all missing": (
        good().with_columns(weight=pl.lit(None, dtype=pl.Float64)), ["--exclude", "name"],
        "1 column is left out: weight (every value is missing).",
    ),
    "infinities": (
        another("size", 4, float("inf")), ["--exclude", "name"],
        "Column 'size': 1 value infinite or beyond 1e+100 in size, taken as missing.",
    ),
    "huge numbers": (
        another("size", 4, -1e200), ["--exclude", "name"],
        "Column 'size': 1 value infinite or beyond 1e+100 in size, taken as missing.",
    ),
    "classes that look alike": (
        good().with_columns(y=pl.when(pl.int_range(N).is_in([2, 4])).then(pl.lit("A")).otherwise("y")), [],
        "Classes 'A' (2 rows) and 'a' (28 rows) differ in case or blanks only: they were kept apart. " + FOLD,
    ),
    "an identifier": (
        good(), [],
        "1 column is left out: name (an identifier: short strings, 60 different values in 60 rows). " + HINT,
    ),
    "words for missing": (
        good().with_columns(size=pl.when(pl.int_range(N) < 3).then(pl.lit("n/a")).otherwise("size")), [],
        "rows.csv: column 'size': 3 cells that read 'n/a' are taken as missing.",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", DECIDED)
def test_a_decision_is_stated(here, capfd, name):
    frame, more, note = DECIDED[name]
    frame.write_csv("rows.csv")
    assert cli.main(arguments("rows.csv", more)) == 0, capfd.readouterr().err
    provenance = json.loads((here / "found" / "provenance.json").read_text(encoding="utf-8"))
    assert note in provenance["notes"]
    labels = pl.read_parquet("found/labels.parquet")
    assert all(labels.select(pl.col(pl.Float64).is_finite().all()).row(0))
    assert "Traceback" not in capfd.readouterr().err


def process(*words, cwd):
    environment = {k: v for k, v in os.environ.items() if k not in ("COLUMNS", "FORCE_COLOR")}
    return subprocess.Popen(
        [sys.executable, "-m", "dataaudit", *words],
        cwd=cwd,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        env=environment | {"OMP_NUM_THREADS": "1"},
    )


def test_a_process_ends_with_2_and_one_line(here):
    (here / "rows.parquet").write_bytes(parquet(lambda data: data[:200] + data[300:]))
    with process(*arguments("rows.parquet", []), cwd=here) as run:
        out, err = run.communicate(timeout=120)
    assert (run.returncode, out) == (2, "")
    assert re.fullmatch(r"error: rows\.parquet is not a readable Parquet file: .*\. Hint: .*\.\n", err)
    assert not (here / "found").exists()


@pytest.fixture(scope="module")
def long_table(tmp_path_factory):
    """Rows enough for refits to last while a signal comes."""
    random, n = np.random.default_rng(0), 30_000
    X = random.standard_normal((n, 12))
    y = np.where(X[:, 0] + random.standard_normal(n) > 0, "yes", "no")
    path = tmp_path_factory.mktemp("long") / "rows.parquet"
    pl.DataFrame(X, schema=[f"x{j}" for j in range(12)]).with_columns(y=pl.Series(y)).write_parquet(path)
    return path


@pytest.mark.parametrize("stage", ["read", "verify by refits"])
def test_ctrl_c_ends_with_130_and_leaves_older_findings_whole(here, capfd, long_table, stage):
    good().write_csv("rows.csv")
    assert cli.main(arguments("rows.csv", [])) == 0
    capfd.readouterr()
    before = {path.name: path.read_bytes() for path in (here / "found").iterdir()}
    words = (
        "labels",
        str(long_table),
        "--label",
        "y",
        "--out",
        "found",
        "--basis",
        "linear",
        "--verify",
        "400",
    )
    with process(*words, "--l2", "0.01", "--color", "never", cwd=here) as run:
        assert any(line.startswith(stage) for line in iter(run.stderr.readline, "")), "it gets so far"
        run.send_signal(signal.SIGINT)
        rest = run.stderr.read()
        assert run.wait(120) == 130
        assert run.stdout.read() == ""
    assert "Traceback" not in rest
    said = "interrupted: nothing was left half-written"
    assert rest.splitlines()[-1] in {said, f"{said}; --resume goes on from here"}
    files = [path for path in (here / "found").iterdir() if path.is_file()]  # next to stages that are kept
    assert {path.name: path.read_bytes() for path in files} == before
    assert sorted(path.name for path in here.iterdir()) == ["found", "rows.csv"]
