"""`audit review` in real pseudo-terminals: what is pressed, what is seen, what is on the disk."""

import json
import os
import random
import re
import select
import shlex
import shutil
import signal
import struct
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from writers.example import made_up

from dataaudit import cli
from dataaudit.findings.schemas import Findings

fcntl = pytest.importorskip("fcntl", reason="pseudo-terminals are POSIX's")
import pty  # noqa: E402 - the same
import termios  # noqa: E402 - the same

import pyte  # noqa: E402 - of use with them only

REVIEW = [sys.executable, "-m", "dataaudit", "review"]
ENTER, ESCAPE, CTRL_C = "\r", "\x1b", "\x03"
SECONDS = 60


class Window:
    """A process on a terminal of its own, and what a person sees there."""

    def __init__(self, *arguments, cwd, size=(80, 24), command=REVIEW, **more):
        self.screen = pyte.Screen(*size)
        self.stream = pyte.ByteStream(self.screen)
        self.raw = b""
        self.ours, self.theirs = pty.openpty()
        self.resize(*size)
        self.modes = termios.tcgetattr(self.theirs)
        hidden = ("COLUMNS", "LINES", "NO_COLOR", "FORCE_COLOR", "GITHUB_ACTIONS")
        inherited = {name: value for name, value in os.environ.items() if name not in hidden}
        self.process = subprocess.Popen(
            [*command, *map(str, arguments)],
            cwd=cwd,
            stdin=self.theirs,
            stdout=self.theirs,
            stderr=self.theirs,
            env=inherited | {"TERM": "xterm-256color", "OMP_NUM_THREADS": "1", **more},
            start_new_session=True,
            preexec_fn=_own_terminal,  # noqa: PLW1509 - no thread runs here, and one system call is made there
        )

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        os.close(self.ours)
        os.close(self.theirs)

    @property
    def text(self):
        return "\n".join(self.screen.display)

    def look(self, seconds=0.02):
        while select.select([self.ours], [], [], seconds)[0]:
            part = os.read(self.ours, 65536)
            self.raw += part
            self.stream.feed(part)

    def until(self, seen):
        """Look until a text, or what a function wants, is on the screen."""
        wanted = seen if callable(seen) else lambda text: seen in text
        end = time.monotonic() + SECONDS
        while not wanted(self.text) and time.monotonic() < end:
            self.look()
        assert wanted(self.text), self.text
        return self.text

    def press(self, keys, seen=None):
        os.write(self.ours, keys.encode())
        return self.until(seen) if seen is not None else None

    def resize(self, columns, lines):
        fcntl.ioctl(self.ours, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
        self.screen.resize(lines, columns)

    def ended(self):
        """Wait for the end; return the exit code and what was said after the screen was given back."""
        end = time.monotonic() + SECONDS
        while self.process.poll() is None and time.monotonic() < end:
            self.look()
        self.look()
        said = self.raw.rpartition(b"\x1b[?1049l")[2].decode().replace("\r\n", "\n")
        return self.process.wait(1), said

    def quit(self):
        self.press("q")
        return self.ended()

    @property
    def is_restored(self):
        """Whether keys, screen and cursor are as they were."""
        shown = self.raw.rfind(b"\x1b[?25h") > self.raw.rfind(b"\x1b[?25l")
        left = self.raw.rfind(b"\x1b[?1049l") > self.raw.rfind(b"\x1b[?1049h")
        return shown and left and termios.tcgetattr(self.theirs) == self.modes


def _own_terminal():
    """Make the terminal that of the session, so that Ctrl-C is a signal."""
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


def decided(path):
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return [row for row in rows if "row_id" in row]


def planted(n=120, flips=18, classes=("ham", "spam")):
    """Classes some of which are wrong; enough of both that a review has something to find."""
    rng = np.random.default_rng(0)
    truth = rng.integers(0, len(classes), n)
    label = truth.copy()
    label[:flips] = (label[:flips] + 1) % len(classes)
    centres = 4.0 * np.eye(len(classes), 3)
    x = centres[truth] + rng.normal(size=(n, 3))
    names = np.array(classes)
    return pl.DataFrame({f"x{j}": x[:, j] for j in range(3)}).with_columns(label=names[label])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Audits of two classes, of three, and of three digits."""
    folder = tmp_path_factory.mktemp("review")
    planted().write_csv(folder / "mail.csv")
    planted(classes=("red", "green", "blue")).write_csv(folder / "three.csv")
    planted(classes=("0", "1", "2")).write_csv(folder / "digits.csv")
    old = Path.cwd()
    os.chdir(folder)
    try:
        for name, out in (("mail.csv", "found"), ("three.csv", "three"), ("digits.csv", "digits")):
            given = ["labels", name, "--label", "label", "--verify", "0", "--top", "40", "--out", out, "-qq"]
            assert cli.main(given) == 0
    finally:
        os.chdir(old)
    return folder


@pytest.fixture
def book(tmp_path):
    return tmp_path / "decisions.jsonl"


@pytest.fixture
def ranked(folder):
    return Findings.read(folder / "found").labels


def review(folder, book, *more, findings="found", **options):
    return Window(findings, "--decisions", book, *more, cwd=folder, **options)


def line_of(name):
    """Return how the screen names a row."""
    return name.replace("mail.csv:", "line ")


def test_twenty_rows_are_reviewed_and_the_review_goes_on_where_it_was(folder, book, ranked):
    first = ranked.head(25)
    with review(folder, book, "--reviewer", "ada") as window:
        seen = window.until("0 of 120 decided")
        assert line_of(first["row_id"][0]) in seen
        assert f"{first['label'][0]} → {first['suggested_label'][0]}" in seen
        assert "Left out of training, the row gets" in seen
        assert "against" in seen
        assert "most like it among" in seen
        for i in range(20):
            window.press("x" if i == 2 else "a", f"{i + 1} of 120 decided")
        assert line_of(first["row_id"][20]) in window.until("not decided")
        code, said = window.quit()
        assert window.is_restored
    assert code == 0
    made = decided(book)
    assert [row["row_id"] for row in made] == first["row_id"].head(20).to_list()
    assert [row["action"] for row in made] == ["relabel"] * 2 + ["keep"] + ["relabel"] * 17
    assert {row["reviewer"] for row in made} == {"ada"}
    assert "20 of 120 rows are decided: 19 relabelled, 1 kept." in said
    assert "19 of 20 were wrong (95%)" in said
    with review(folder, book) as window:
        assert line_of(first["row_id"][20]) in window.until("20 of 120 decided · 19 of 20 were wrong (95%)")
        window.press("x", "21 of 120 decided")
        assert window.quit()[0] == 0
    assert decided(book)[:20] == made


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="only Linux tells what a process has loaded")
def test_nobody_waits_for_torch(folder, book):
    with review(folder, book) as window:
        window.press("ax", "2 of 120 decided")
        loaded = Path(f"/proc/{window.process.pid}/maps").read_text()
        assert "polars" in loaded
        assert not [name for name in ("torch", "scipy", "sklearn") if f"/{name}/" in loaded]
        assert window.quit()[0] == 0


def test_the_command_that_it_ends_with_repairs_the_data(folder, book, ranked):
    with review(folder, book) as window:
        window.press("ad", "2 of 120 decided")
        said = window.quit()[1]
    command = re.search(r"^To repair the data: (.*)$", said, re.MULTILINE)[1]
    words = shlex.split(command)
    assert words[:2] == ["audit", "apply"]
    done = subprocess.run(
        [sys.executable, "-m", "dataaudit", *words[1:], "--no-model"],
        cwd=folder, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert "1 labels changed, 1 rows dropped" in done.stderr
    repaired = pl.read_csv(folder / words[-1])
    assert len(repaired) == 119
    row = ranked.row(0, named=True)
    before = row["row"] - (ranked["row"][1] < row["row"])
    assert repaired["label"][before] == row["suggested_label"]
    (folder / words[-1]).unlink()
    (folder / f"{words[-1]}.journal.jsonl").unlink()


@pytest.mark.slow
def test_whenever_it_is_killed_every_decision_that_was_seen_is_on_the_disk(folder, tmp_path, ranked):
    pick = random.Random(0)
    for i in range(3):
        book = tmp_path / f"{i}.jsonl"
        with review(folder, book) as window:
            window.until("0 of 120 decided")
            for _ in range(30):
                window.press(pick.choice("axds"))
                if pick.random() < 0.1:
                    window.look(0)
            time.sleep(pick.uniform(0, 0.1))
            window.look(0)
            seen = int(re.search(r"(\d+) of 120 decided", window.text)[1])
            window.process.kill()
            window.process.wait()
        names = [row["row_id"] for row in decided(book)] if book.exists() else []
        assert len(names) >= seen
        assert names == ranked["row_id"].head(len(names)).to_list()
        with review(folder, book) as window:
            window.until(f"{len(names)} of 120 decided")


def test_keys_that_are_typed_ahead_are_not_lost(folder, book):
    with review(folder, book) as window:
        window.press("aaaaaxxxxxssssskjdd", "17 of 120 decided")  # most of it before the screen is there
        assert window.quit()[0] == 0
    assert [row["action"][0] for row in decided(book)] == [*"rrrrr", *"kkkkk", *"uuuuu", *"dd"]


def test_undo_takes_decisions_back_also_those_of_last_time(folder, book, ranked):
    with review(folder, book) as window:
        window.press("axd", "3 of 120 decided")
        window.press("u", "2 of 120 decided")
        assert line_of(ranked["row_id"][2]) in window.text
        window.quit()
    assert [row["action"] for row in decided(book)] == ["relabel", "keep"]
    with review(folder, book) as window:
        window.press("u", "1 of 120 decided")
        window.press("k", f"{line_of(ranked['row_id'][0])}  →")
        window.press("d", "1 of 1 was wrong")  # decided anew; then the old decision comes back
        window.until("not decided")
        window.press("u", "taken back")
        window.quit()
        assert [(row["action"], row["label"]) for row in decided(book)] == [
            ("relabel", ranked["suggested_label"][0])
        ]
    with review(folder, book) as window:
        window.press("u", "0 of 120 decided")
        window.press("u", "nothing to take back")
        assert "No row is decided." in window.quit()[1]
    assert decided(book) == []
    with review(folder, book) as window:
        window.until("0 of 120 decided")


def test_moving_decides_nothing_and_a_decision_goes_to_the_next_open_row(folder, book, ranked):
    names = ranked["row_id"]
    with review(folder, book) as window:
        window.press("j", line_of(names[1]))
        window.press("\x1b[B", line_of(names[2]))
        window.press("x", line_of(names[3]))
        window.press("kk", line_of(names[1]))
        window.press("\x1b[A", line_of(names[0]))
        window.press("k", "This is the first row.")
        window.press("a", line_of(names[1]))
        window.press("a", line_of(names[3]))  # the third is decided already
        window.quit()
    assert [row["row_id"] for row in decided(book)] == [names[2], names[0], names[1]]


def test_find_shows_the_rows_that_have_a_text(folder, book, ranked):
    spam = ranked.filter(label="spam")["row_id"]
    with review(folder, book) as window:
        window.until("0 of 120 decided")
        window.press("/SPAM" + ENTER, "rows have “SPAM”")
        assert f"{len(spam)} rows" in window.text
        assert line_of(spam[0]) in window.text
        window.press("x", line_of(spam[1]))
        window.press("/nowhere to be found" + ENTER, "No row has")
        window.press("/" + "abc" + ESCAPE, lambda text: "find:" not in text)
        cell = str(pl.read_csv(folder / "mail.csv")["x1"][int(ranked["row"][100])])
        window.press(f"/{cell}" + ENTER, "1 row has")
        # Also beyond the rows whose cells are in the tables.
        assert line_of(ranked["row_id"][100]) in window.text
        window.press("/" + ENTER, "All rows are shown.")
        window.quit()
    assert [row["row_id"] for row in decided(book)] == [spam[0]]


def test_classes_have_keys_and_names_and_the_one_that_is_there_is_kept(folder, book):
    labels = Findings.read(folder / "three").labels
    with review(folder, book, findings="three") as window:
        window.until("1 blue  2 green  3 red")
        window.press("2", "1 of 120")
        window.press("cRE" + ENTER, "2 of 120")
        window.press("cpink" + ENTER, "No classes begin with")
        window.press("9", "There are 3 classes.")
        window.press("nnot sure of this" + ENTER, "waits for a decision")
        window.press("s", "3 of 120")
        window.quit()
    for row, label, given in zip(decided(book), labels["label"], ("green", "red"), strict=False):
        assert row["action"] == ("keep" if label == given else "relabel")
        assert row.get("label", label) == given
    assert decided(book)[2] | {"row_id": ""} == {"row_id": "", "action": "unsure", "note": "not sure of this"}


def test_digits_are_keys_of_the_classes_of_that_name(folder, book):
    labels = Findings.read(folder / "digits").labels
    with review(folder, book, findings="digits") as window:
        window.until("label: 0  1  2")
        for at, digit in enumerate("012"):
            window.press(digit, f"{at + 1} of 120")
        window.press("3", "No class has the key 3")
        window.quit()
    given = [row.get("label", label) for row, label in zip(decided(book), labels["label"], strict=False)]
    assert given == ["0", "1", "2"]


def test_it_says_when_to_stop(folder, book):
    with review(folder, book) as window:
        window.press("x" * 19, "19 of 120 decided")
        assert "You may stop here" not in window.text
        window.press("s", "20 of 120 decided")
        assert "You may stop here" not in window.text  # unsure does not count
        window.press("x", "21 of 120 decided")
        seen = " ".join(window.text.split())
        assert re.search(r"Of the last 20 rows 0 were wrong; about \d+ wrong labels are expected", seen)
        assert "You may stop here." in seen
        assert "do not fit these data" in seen  # nearly all of the first twenty are wrong indeed
        assert "You may stop here." in window.quit()[1]


def test_keys_are_explained_and_long_rows_scroll(tmp_path):
    made_up(cell="\n".join(f"line {i} of a letter" for i in range(40))).write(tmp_path / "found")
    with Window("found", cwd=tmp_path) as window:
        window.until("line 5 of a letter")
        assert "space:" in window.text
        window.press(" ", "b: ")
        assert "line 5 of" not in window.text
        window.press("b", "line 5 of a letter")
        window.press("\x1b[6~", "b: ")
        window.press("?", "accept the suggested label")
        window.press("a", lambda text: "accept the suggested" not in text)
        assert "0 of 40 decided" in window.text  # a key that closes the help does nothing else
        assert window.quit()[0] == 0


HOSTILE = "\x1b[2J\x1b]0;owned\x07\x9b31m\u202eevil\u2066\r\n::error::x\x00"


def test_hostile_cells_do_not_steer_the_terminal(tmp_path):
    made_up(hostile=HOSTILE).write(tmp_path / "found")
    with Window("found", cwd=tmp_path) as window:
        window.until("0 of 40 decided")
        window.press("a" + "f" + "j" + " " + "/evil" + ENTER, "rows have")
        assert window.quit()[0] == 0
    sent = window.raw.decode()
    for part in ("\x1b[2J", "\x1b]", "\x07", "\x9b", "\u202e", "\u2066", "\x00"):
        assert part not in sent
    assert "␛" in sent
    assert decided(tmp_path / "found" / "decisions.jsonl")[0]["row_id"] == f"mail{HOSTILE}.csv:2"


@pytest.mark.parametrize(
    "cell", ["x" * 1_000_000, "wide 文字 🙂 " * 80_000, "\t\n" * 500_000, "\u0301" * 1_000_000]
)
def test_a_megabyte_in_a_cell_is_shown_in_time(cell, tmp_path):
    made_up(4, cell=cell).write(tmp_path / "found")
    with Window("found", cwd=tmp_path) as window:
        window.until("0 of 4 decided")
        began = time.monotonic()
        window.press("j", "2  line 4")
        assert time.monotonic() - began < 5
        assert len(window.raw) < 200_000
        assert window.screen.display[0].startswith("0 of 4 decided")  # no line is wider than it was thought
        assert window.screen.display[-1].rstrip().endswith("q quit")
        assert window.quit()[0] == 0


def test_small_and_large_windows(folder, book):
    with review(folder, book, size=(40, 10)) as window:
        window.until("q quit")
        assert "0 of 120 decided" in window.text
        window.resize(20, 5)
        window.until("window is too")
        window.press("j")  # still obeyed
        window.resize(200, 60)
        window.until(lambda text: "about" in text and "wrong left" in text)
        assert "2  line " in window.text
        window.resize(80, 24)
        window.until(lambda text: "2  line " in text and text.rstrip().endswith("q quit"))
        assert window.quit()[0] == 0


def test_ctrl_c_keeps_the_decisions_and_gives_the_terminal_back(folder, book):
    with review(folder, book) as window:
        window.press("aa", "2 of 120 decided")
        window.press(CTRL_C)
        code, said = window.ended()
        assert window.is_restored
    assert code == 130
    assert "2 of 120 rows are decided: 2 relabelled." in said
    assert len(decided(book)) == 2


def test_a_process_that_is_told_to_end_gives_the_terminal_back(folder, book):
    with review(folder, book) as window:
        window.press("a", "1 of 120 decided")
        window.process.send_signal(signal.SIGTERM)
        code, _ = window.ended()
        assert window.is_restored
    assert code == 128 + signal.SIGTERM
    assert len(decided(book)) == 1


def test_a_disk_that_fails_is_one_line_and_gives_the_terminal_back(folder, tmp_path):
    away = tmp_path / "away"
    away.mkdir()
    with review(folder, away / "d.jsonl") as window:
        window.press("a", "1 of 120 decided")
        (away / "d.jsonl").rename(tmp_path / "saved.jsonl")
        away.rmdir()
        window.press("a")
        code, said = window.ended()
        assert window.is_restored
    assert code == 2
    assert said.splitlines()[-1].startswith("error: ")
    assert "1 of 120 rows are decided" in said  # the second is not saved, and it does not say so
    assert len(decided(tmp_path / "saved.jsonl")) == 1


def test_what_another_program_has_written_is_not_lost(folder, book):
    with review(folder, book) as window:
        window.press("aa", "2 of 120 decided")
        with book.open("a") as other:
            other.write(json.dumps({"row_id": "mail.csv:2", "action": "drop"}) + "\n")
        before = book.read_bytes()
        window.press("x")
        code, said = window.ended()
    assert code == 2
    assert "was changed by another program" in said
    assert book.read_bytes() == before


def test_decisions_of_other_runs_and_of_other_rows_are_refused(folder, book):
    for text, word in {
        '{"run_id": "0123"}\n{"row_id": "mail.csv:2", "action": "keep"}\n': "is of run 0123",
        '{"row_id": "letters.csv:2", "action": "keep"}\n': "'letters.csv:2', which is not in these findings",
        '{"row_id": "mail.csv:2", "action": "kee': "line 1 is not JSON",
    }.items():
        book.write_text(text)
        with review(folder, book) as window:
            code, said = window.ended()
        said = " ".join(said.split())
        assert code == 2
        assert word in said
        assert "Hint:" in said
        assert b"\x1b[?1049h" not in window.raw
        assert book.read_text() == text


def test_decisions_by_hand_and_in_csv_are_gone_on_with(folder, tmp_path, ranked):
    book = tmp_path / "decisions.csv"
    name = ranked["row_id"][1]
    book.write_text(f"row_id,action,weight,note\n{name},weight,0.5,doubtful\n")
    with review(folder, book) as window:
        window.press("a", "2 of 120 decided")
        window.press("k", "weight 0.5")
        assert window.quit()[0] == 0
    rows = pl.read_csv(book).to_dicts()
    assert [(row["row_id"], row["action"], row["note"]) for row in rows] == [
        (name, "weight", "doubtful"),
        (ranked["row_id"][0], "relabel", None),
    ]


@pytest.mark.parametrize("streams", ["stdin", "stderr", "dumb"])
def test_without_a_terminal_it_says_what_to_do(streams, folder, book):
    if streams == "dumb":
        with review(folder, book, TERM="dumb") as window:
            code, said = window.ended()
    else:
        ours, theirs = pty.openpty()
        ends = {"stdin": theirs, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        if streams == "stdin":
            ends["stdin"] = subprocess.DEVNULL
        done = subprocess.run([*REVIEW, "found"], cwd=folder, text=True, check=False, **ends)
        os.close(ours)
        os.close(theirs)
        code, said = done.returncode, done.stderr
        assert done.stdout == ""
        assert said.count("\n") == 1
    assert code == 2
    assert said.startswith("error: ")
    assert "found/report.html" in said
    assert not book.exists()


def test_it_stops_at_ctrl_z_and_goes_on_in_the_foreground(folder, book):
    command = ["bash", "--norc", "--noprofile", "-i"]
    with Window(cwd=folder, command=command, PS1="$ ") as window:
        window.until("$ ")
        window.press(shlex.join([*REVIEW, "found", "--decisions", str(book)]) + "\n", "0 of 120 decided")
        window.press("a", "1 of 120 decided")
        window.press("\x1a", "Stopped")
        assert window.raw.rfind(b"\x1b[?1049l") > window.raw.rfind(b"\x1b[?1049h")
        window.press("fg\n")
        window.until(lambda text: window.raw.rfind(b"\x1b[?1049h") > window.raw.rfind(b"\x1b[?1049l"))
        window.press("a", "2 of 120 decided")
        window.press("q", "To go on:")
    assert len(decided(book)) == 2


def test_a_sample_is_looked_at_before_the_suggestion_is_seen(folder, book):
    with review(folder, book, "--sample", "12") as window:
        window.until("0 of 120 decided")
        assert "v shows what the audit suggests" in window.text
        assert "chance that it is wrong" not in window.text
        window.press("a", "decide by its cells, or press v")
        window.press("v", "chance that it is wrong")
        window.press("axxxxxxxxx", "By 10 rows drawn for it, about")
        seen = " ".join(window.text.split())
        assert "10 more looks make it about ±" in seen
        assert "stop where it is close enough." in seen
        assert "wrong left" in window.screen.display[0]
        assert window.quit()[0] == 0
    assert len(decided(book)) == 10
    with review(folder, book, "--sample", "12") as window:  # the count is there at once
        window.until("By 10 rows drawn for it, about")
        assert "v shows what the audit suggests" in window.text
        window.quit()


def test_what_was_decided_is_learned_and_the_page_is_renewed(folder, book, tmp_path):
    found = tmp_path / "found"
    shutil.copytree(folder / "found", found)
    with review(folder, book, "--sample", "12") as window:
        window.until("0 of 120 decided")
        window.press("1xxxxxxxxxxx", "12 of 120 decided")
        assert "audit learn found" in " ".join(window.quit()[1].split())
    done = subprocess.run(
        [*REVIEW[:-1], "learn", found, book], cwd=folder, capture_output=True, text=True, check=True
    )
    assert "By 12 rows drawn for it, about" in done.stderr
    tables = Findings.read(found)
    assert tables.provenance.learned["sampled"] == 12
    assert tables.labels["reviewed"].drop_nulls().len() == 12
    with Window(str(found), cwd=tmp_path) as window:  # without the file of decisions
        window.until("12 of 120 decided")
        assert "not decided" in window.text
        window.press("x", "13 of 120 decided")
        window.quit()
    assert len(decided(found / "decisions.jsonl")) == 13
    assert (found / "report.html").stat().st_mtime_ns > (folder / "found" / "report.html").stat().st_mtime_ns
    other = subprocess.run(
        [*REVIEW[:-1], "learn", found, folder / "mail.csv"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert other.returncode == 2


def test_data_that_have_changed_show_no_whole_cells(folder, book, tmp_path):
    changed = tmp_path / "mail.csv"
    changed.write_bytes((folder / "mail.csv").read_bytes() + b"0,0,0,ham\n")
    with review(folder, book, "--data", changed) as window:  # the tables have the first rows
        window.until("0 of 120 decided")
        window.press(
            "j" * 60 + "f", lambda text: "has changed since it was audited" in " ".join(text.split())
        )
        window.quit()
