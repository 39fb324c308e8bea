"""`audit review` in a real pseudo-terminal of 80 × 24: keys in, decisions on disk."""

import json
import os
import signal
import subprocess
import sys
import time
from threading import Thread

import numpy as np
import polars as pl
import pytest

from dataaudit import cli
from dataaudit.findings import Findings

pty = pytest.importorskip("pty", reason="pseudo-terminals are POSIX's")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    random = np.random.default_rng(0)
    truth = random.random(80) < 0.5
    columns = {f"x{i}": np.where(truth, 1.5, -1.5) + random.normal(size=80) for i in range(3)}
    label = np.where(truth ^ (random.random(80) < 0.15), "spam", "ham")
    folder = tmp_path_factory.mktemp("review")
    pl.DataFrame(columns).with_columns(label=pl.Series(label)).write_csv(folder / "mail.csv")
    given = [
        "labels",
        folder / "mail.csv",
        "--label",
        "label",
        "--verify",
        0,
        "--out",
        folder / "findings",
        "-qq",
    ]
    assert cli.main([*map(str, given)]) == 0
    return folder / "findings"


class Session:
    """A review on a terminal of its own."""

    def __init__(self, folder, book):
        self.master, slave = pty.openpty()
        command = [sys.executable, "-m", "dataaudit", "review", str(folder), "--decisions", str(book)]
        size = os.environ | {"COLUMNS": "80", "LINES": "24", "TERM": "xterm"}
        self.book = book
        self.process = subprocess.Popen(command, stdin=slave, stdout=slave, stderr=slave, env=size)
        os.close(slave)
        self.seen, self.reader = b"", Thread(target=self._drain, daemon=True)
        self.reader.start()
        self.read_until("keys")

    def _drain(self):
        """Read what it draws, or it waits for a reader."""
        try:
            while part := os.read(self.master, 65536):
                self.seen += part
        except OSError:  # the terminal is gone
            return

    def read_until(self, text):
        end = time.monotonic() + 60
        while text.encode() not in self.seen and time.monotonic() < end:
            time.sleep(0.05)
        assert text.encode() in self.seen

    def press(self, keys, decisions):
        """Press keys one by one, and wait until the book holds so many decisions."""
        for key in keys:
            os.write(self.master, key.encode())
            time.sleep(0.05)
        end = time.monotonic() + 30
        while len(lines(self.book)) != decisions and time.monotonic() < end:
            time.sleep(0.05)
        assert len(lines(self.book)) == decisions

    def quit(self):
        os.write(self.master, b"q")
        assert self.process.wait(30) == 0
        self.close()

    def close(self):
        self.reader.join(30)
        os.close(self.master)


def lines(book):
    if not book.exists():
        return []
    rows = [json.loads(line) for line in book.read_text().splitlines()]
    return [row for row in rows if "row_id" in row]


def test_decisions_are_saved_resumed_and_taken_back(made, tmp_path):
    book = tmp_path / "decisions.jsonl"
    ranked = Findings.read(made).labels.sort("rank")
    session = Session(made, book)
    session.press("axsd", 4)
    session.press("u", 3)
    session.quit()
    first = ranked.head(3)
    assert [row["row_id"] for row in lines(book)] == first["row_id"].to_list()
    assert [row["action"] for row in lines(book)] == ["relabel", "keep", "unsure"]
    assert lines(book)[0]["label"] == first["suggested_label"][0]
    session = Session(made, book)
    session.press("a" * 17, 20)
    session.quit()
    assert [row["row_id"] for row in lines(book)] == ranked["row_id"].head(20).to_list()


def test_a_kill_loses_no_decision(made, tmp_path):
    book = tmp_path / "decisions.jsonl"
    session = Session(made, book)
    session.press("aaaaa", 5)
    session.process.send_signal(signal.SIGKILL)
    session.process.wait(30)
    session.close()
    assert len(lines(book)) == 5
    session = Session(made, book)
    session.press("x", 6)
    session.quit()


def test_without_a_terminal_it_says_what_to_do(made):
    command = [sys.executable, "-m", "dataaudit", "review", str(made)]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "Hint:" in done.stderr
    assert done.stdout == ""
