"""`audit check` from end to end, as a build runs it: the exit code of every way it can go, in any format."""

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import polars as pl
import pytest

from dataaudit import cli

FORMATS = ("text", "full", "json", "jsonl", "sarif", "junit", "github", "gitlab", "markdown", "html")


def table(n, seed, *, wrong=0):
    """Two classes far apart; the labels of the last rows are wrong."""
    random = np.random.default_rng(seed)
    truth = np.arange(n) % 2 == 0
    columns = {f"x{i}": np.where(truth, 1.0, -1.0) + random.normal(size=n) for i in range(10)}
    label = truth.copy()
    label[n - wrong :] = ~label[n - wrong :]
    place = random.choice(["north", "south"], n)
    return pl.DataFrame(columns).with_columns(
        place=pl.Series(place), y=pl.Series(np.where(label, "yes", "no"))
    )


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("check")
    clean = table(300, 0)
    clean.write_csv(folder / "clean.csv")
    pl.concat([clean, table(120, 1, wrong=18)]).write_csv(folder / "batch.csv")
    pl.concat([clean, table(120, 1)]).write_csv(folder / "good.csv")
    table(100, 2).write_csv(folder / "test.csv")
    pl.concat([table(60, 2), clean.head(40)]).write_csv(folder / "leaked.csv")
    other = table(100, 3).with_columns(place=pl.lit("west"))
    other.write_csv(folder / "levels.csv")
    clean.with_columns(pl.col("x1").round(0).cast(pl.String) + "!").write_csv(folder / "types.csv")
    (folder / "cut.parquet").write_bytes(b"PAR1 not a table")
    (folder / "bad.toml").write_text('selct = ["DA1"]\n')
    return folder


@pytest.fixture(autouse=True)
def outside(tmp_path, monkeypatch):
    """A folder without a configuration, and no CI."""
    monkeypatch.chdir(tmp_path)
    for name in ("CI", "GITHUB_ACTIONS", "GITLAB_CI", "GITHUB_STEP_SUMMARY"):
        monkeypatch.delenv(name, raising=False)


SCENARIOS = {  # what is typed after audit check, the exit code, and the rules that fail
    "clean": (["clean.csv"], 0, ""),
    "new wrong labels": (["batch.csv", "--base", "clean.csv"], 1, "DA1"),
    "a good batch": (["good.csv", "--base", "clean.csv"], 0, ""),
    "known wrong labels": (["batch.csv", "--base", "batch.csv"], 0, ""),
    "only reported": (["batch.csv", "--base", "clean.csv", "--exit-zero"], 0, "DA1"),
    "leaked rows": (["clean.csv", "--test", "leaked.csv"], 1, "DA2"),
    "honest test rows": (["clean.csv", "--test", "test.csv"], 0, ""),
    "a new level": (["clean.csv", "--test", "levels.csv", "--fail-on", "warning"], 1, "DA3"),
    "another type": (["types.csv", "--base", "clean.csv"], 1, "DA4"),
    "unreadable": (["cut.parquet"], 2, "DA9"),
    "a wrong configuration": (["clean.csv", "--config", "bad.toml"], 2, None),
}


def run(data, words, *more):
    there = [str(data / word) if (data / word).exists() else word for word in words]
    return cli.main(["check", *there, "--label", "y", *more])


@pytest.mark.parametrize("name", SCENARIOS)
def test_scenarios_end_with_their_code(data, capsys, name):
    words, code, rules = SCENARIOS[name]
    assert run(data, words, "--format", "json", "-q") == code
    out = capsys.readouterr()
    if rules is None:
        assert out.out == ""
        assert out.err.count("\n") == 1
        assert "did you mean 'select'" in out.err
        return
    outcomes = json.loads(out.out)["outcomes"]
    grave = {o["code"] for o in outcomes if o["status"] in ("broken", "failed") and o["severity"] != "note"}
    failing = {c for c in grave if c.startswith(rules)} if rules else set()
    assert bool(failing) == bool(rules), grave


@pytest.mark.parametrize("name", FORMATS)
def test_the_code_is_the_same_in_every_format(data, capsys, name):
    words = ["types.csv", "--base", "clean.csv", "--select", "DA4"]  # rules that need no model
    assert run(data, words, "--format", name, "-q") == 1
    assert capsys.readouterr().out


def test_several_formats_are_written_in_one_run(data, tmp_path):
    wanted = {name: tmp_path / f"out.{name}" for name in FORMATS}
    more = [word for name, path in wanted.items() for word in ("--output", f"{name}={path}")]
    assert run(data, ["batch.csv", "--base", "clean.csv"], *more, "-qq") == 1
    assert all(path.stat().st_size > 0 for path in wanted.values())


def test_a_verdict_is_not_written_over_the_data(data, tmp_path, capsys):
    before = (data / "clean.csv").read_bytes()
    copy = tmp_path / "clean.csv"
    copy.write_bytes(before)
    assert run(tmp_path, [str(tmp_path / "clea*.csv")], "--output", f"json={copy}") == 2
    assert "would be written over. Hint: name another file with --output." in capsys.readouterr().err
    assert copy.read_bytes() == before


def test_a_folder_of_findings_is_judged_as_it_is(data, tmp_path, capsys):
    given = ["labels", str(data / "batch.csv"), "--label", "y", "--verify", "2", "--out", "found", "-qq"]
    assert cli.main(given) == 0
    assert cli.main(["check", "found", "--format", "json", "-q"]) == 1
    outcomes = json.loads(capsys.readouterr().out)["outcomes"]
    broken = {o["code"] for o in outcomes if o["status"] == "broken"}
    assert {code[:3] for code in broken} == {"DA1"}
    assert {o["status"] for o in outcomes} <= {"passed", "broken", "skipped"}


def test_unchanged_data_are_not_judged_again(data, capsys):
    run(data, ["clean.csv"], "-q")
    assert "from .dataaudit-cache" not in capsys.readouterr().out
    assert run(data, ["clean.csv"], "-q") == 0
    assert "from .dataaudit-cache" in capsys.readouterr().out


def test_an_interrupt_ends_with_130(data, tmp_path):
    table(60_000, 0).write_csv(tmp_path / "large.csv")
    command = [sys.executable, "-m", "dataaudit", "check", "large.csv", "--label", "y"]
    quiet = os.environ | {"NO_COLOR": "1"}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=quiet)
    assert process.stderr.readline()  # it has begun
    time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130, said


def test_wrong_labels_that_the_baseline_accepts_pass_and_later_ones_fail(data, tmp_path):
    both = table(120, 5, wrong=12)
    pl.concat([pl.read_csv(data / "batch.csv"), both]).write_csv(tmp_path / "later.csv")
    given = [str(data / "batch.csv"), "--base", str(data / "clean.csv"), "--label", "y"]
    assert cli.main(["baseline", "create", *given, "--reason", "known", "-q"]) == 0
    assert cli.main(["check", *given, "-qq"]) == 0
    assert cli.main(["check", *given, "--baseline", "none", "-qq"]) == 1
    assert cli.main(["check", str(tmp_path / "later.csv"), *given[1:], "-qq"]) == 1


@pytest.mark.parametrize("name", ["text", "sarif"])
def test_an_internal_error_is_no_verdict(data, tmp_path, name):
    (tmp_path / "tomllib.py").write_text("raise RuntimeError('this installation is broken')\n")
    command = [sys.executable, "-m", "dataaudit", "check", str(data / "clean.csv"), "--label", "y"]
    broken = os.environ | {"PYTHONPATH": str(tmp_path)}
    done = subprocess.run([*command, "--format", name], capture_output=True, env=broken, check=False)
    assert done.returncode == 2
    assert done.stdout == b""
    assert b"internal error: RuntimeError: this installation is broken" in done.stderr.splitlines()[-1]
