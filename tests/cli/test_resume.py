"""A run that is killed, interrupted or out of room: what is left, and what --resume makes of it."""

import signal
import subprocess
import sys
import time

import numpy as np
import polars as pl
import pytest
from command import audit, environment
from test_files import largest

FRAME = pl.DataFrame(
    {f"x{i}": np.random.default_rng(i).normal(size=240) for i in range(3)}
    | {"y": np.random.default_rng(9).choice(["a", "b", "c"], 240)}
)
LABELS = ("labels", "t.csv", "--label", "y", "--verify", "4", "--out", "found")


@pytest.fixture
def folder(tmp_path):
    FRAME.write_csv(tmp_path / "t.csv")
    return tmp_path


def stages(folder):
    return list((folder / "found" / ".unfinished").glob("*/*.stage"))


def started(folder, *words, most):
    """Run a command as a process of its own until some stages are kept, or it is done."""
    process = subprocess.Popen(
        [sys.executable, "-m", "dataaudit", *words],
        cwd=folder,
        text=True,
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    while process.poll() is None and len(stages(folder)) < most:
        time.sleep(0.005)
    return process


def tables(folder):
    return {path.name: pl.read_parquet(path) for path in (folder / "found").glob("*.parquet")}


def test_a_run_that_is_killed_at_three_moments_comes_to_the_same_findings(folder):
    """Three processes are started, each of which imports torch."""
    for most in (1, 8, 15):
        with started(folder, *LABELS, "--resume", most=most) as process:
            process.kill()
        assert stages(folder)
        assert not tables(folder)
    done = audit(*LABELS, "--resume", cwd=folder)
    assert done.returncode == 0
    lines = done.stderr.splitlines()
    assert {"resumed: encode", "resumed: screen bases", "resumed: choose basis"} & {*lines}
    assert not [line for line in lines if "damaged" in line]
    assert not (folder / "found" / ".unfinished").exists()
    found = tables(folder)
    assert audit(*LABELS, cwd=folder).returncode == 0
    whole = tables(folder)
    assert whole.keys() == found.keys()
    assert all(table.equals(found[name]) for name, table in whole.items())


def test_a_mismatch_that_is_killed_comes_to_the_same_findings(folder):
    """A process is started, which imports torch; its last stages are refits that prove the findings."""
    label = pl.when(pl.col("x0") > 0).then(pl.col("y")).otherwise(pl.lit("a"))
    test = FRAME.with_columns(pl.col("x0") * 10, y=label)
    test.write_csv(folder / "test.csv")
    words = ("mismatch", "t.csv", "test.csv", "--label", "y", "--basis", "linear", "--out", "found")
    with started(folder, *words, "--resume", most=25) as process:
        process.kill()
    assert stages(folder)
    assert not tables(folder)
    done = audit(*words, "--resume", cwd=folder)
    assert done.returncode == 0
    assert "\nresumed: fit\n" in done.stderr
    found = tables(folder)
    assert audit(*words, cwd=folder).returncode == 0
    assert all(table.equals(found[name]) for name, table in tables(folder).items())


def test_ctrl_c_says_in_one_line_that_resume_goes_on(folder):
    with started(folder, *LABELS, "--resume", "-q", most=2) as process:
        process.send_signal(signal.SIGINT)
        said = process.stderr.read().splitlines()
        assert process.wait(60) == 130
    assert said == ["interrupted: nothing was left half-written; --resume goes on from here"]
    assert stages(folder)
    assert not tables(folder)


def test_a_disk_that_is_full_leaves_the_findings_that_were_there(folder):
    assert audit(*LABELS, cwd=folder).returncode == 0
    before = {path: path.read_bytes() for path in (folder / "found").iterdir()}
    with largest(5000):
        done = audit(*LABELS, "--resume", "--seed", "1", cwd=folder)
    assert done.returncode == 2
    assert "the run goes on, but could not be resumed from here: File too large" in done.stderr
    assert done.stderr.splitlines()[-1].startswith(
        "error: findings cannot be written to found: File too large"
    )
    after = {path: path.read_bytes() for path in (folder / "found").iterdir() if path.is_file()}
    assert after == before
    assert not list(folder.rglob("*.part"))
    assert audit(*LABELS, "--resume", "--seed", "1", cwd=folder).returncode == 0


def test_nothing_to_resume_is_said_and_the_run_is_made(folder):
    done = audit(*LABELS, "--resume", cwd=folder)
    assert done.returncode == 0
    assert "\nthere is nothing to resume in found: the run starts from the beginning\n" in done.stderr
