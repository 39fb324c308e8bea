"""`audit --help` answers at once: nothing heavy is imported. tests/benchmarks/start.py has the time."""

import subprocess
import sys

import pytest

HEAVY = {"torch", "sklearn", "scipy", "numpy", "polars", "pandas", "pyarrow", "jinja2"}


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["--version"],
        ["labels", "--help"],
        ["mismatch", "--help"],
        ["apply", "--help"],
        ["undo", "--help"],
        ["report", "--help"],
        ["export", "--help"],
        ["demo", "-h"],
        ["labels", "--no-such-option"],
    ],
)
def test_start_imports_nothing_heavy(arguments):
    command = [sys.executable, "-X", "importtime", "-m", "dataaudit", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    lines = [line for line in done.stderr.splitlines() if line.startswith("import time:")]
    imported = {line.rpartition("|")[2].strip().partition(".")[0] for line in lines}
    assert "typer" in imported, "the measurement works"
    assert imported & HEAVY == set()
