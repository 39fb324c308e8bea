"""`--task` on the command line: asked about on a terminal, and nowhere chosen silently."""

import os
import pty
import select
import sys
import time

import numpy as np
import polars as pl
import pytest

from dataaudit import cli


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    random = np.random.default_rng(0)
    x = random.normal(size=120)
    y = np.round(3 * x + 10 + random.normal(size=120), 1)
    y[7::20] += 60
    pl.DataFrame({"x": x, "y": y}).write_csv("rows.csv")
    return tmp_path


def test_without_a_terminal_it_is_an_error_with_the_option_in_its_hint(here, capfd):
    assert cli.main(["labels", "rows.csv", "--label", "y"]) == 2
    said = capfd.readouterr().err
    assert "continuous" in said
    assert "Hint: predict numbers with --task regression" in said
    assert not (here / "audit-findings").exists()


def test_on_a_terminal_one_is_asked(here):
    """And the command that is kept is the one that would not ask."""
    pid, terminal = pty.fork()
    if pid == 0:
        arguments = ["-m", "dataaudit", "labels", "rows.csv", "--label", "y", "--verify", "2"]
        os.execv(sys.executable, [sys.executable, *arguments])
    seen, answered, ends = "", 0, time.monotonic() + 60
    while time.monotonic() < ends and select.select([terminal], [], [], 60)[0]:
        try:
            seen += os.read(terminal, 4096).decode(errors="replace")
        except OSError:
            break
        if seen.count("What is it?") > answered:
            answered += 1
            os.write(terminal, b"what\n" if answered == 1 else b"r\n")
    assert os.waitpid(pid, 0)[1] == 0, seen
    assert answered == 2
    known = (here / "audit-findings" / "provenance.json").read_text()
    assert '"task": "regression"' in known
    assert "--task regression" in known


def test_a_check_holds_numbers_to_the_rules(here, capfd):
    (here / "dataaudit.toml").write_text(
        '[datasets.rows]\npath = "rows.csv"\nlabel = "y"\ntask = "regression"\nselect = ["DA1", "DA9"]\n'
    )
    cli.main(["check", "--exit-zero"])
    said = capfd.readouterr()
    planted = [f"rows.csv:{line}: DA102" for line in range(9, 121, 20)]
    assert any(place in said.out for place in planted), said.out
