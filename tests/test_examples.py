"""The examples run, on the data they are about."""

import re
import subprocess
import sys

import pytest


@pytest.mark.slow
def test_enron_spam(root, data_folder):
    command = [sys.executable, root / "examples" / "enron_spam.py", "--data", data_folder / "enron1.parquet"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, done.stderr
    assert "note:" not in done.stdout, "the corpus has the checksum that the download is checked with"
    rows = re.findall(r"^([\w-]+) +(\.?\d\.\d+) +(\d\.\d+) +(\d\.\d+) +(\d\.\d+)$", done.stdout, re.MULTILINE)
    assert len(rows) == 2
    for _, _, tenth, fifth, precision in rows:
        assert (float(tenth), float(fifth), float(precision)) >= (
            0.9,
            0.97,
            0.95,
        )  # bars: means over five seeds
