import dataclasses
import io
import os
import subprocess
import sys

import polars as pl
import pytest
from rich.console import Console
from writers.example import made_up

from dataaudit.summary import summarise
from dataaudit.writers.console import show


def shown(summary, *, width=80, **settings):
    out = io.StringIO()
    show(summary, Console(file=out, width=width, **settings))
    return out.getvalue()


def test_it_says_the_verdict_the_rows_and_what_to_type_next():
    text = shown(summarise(made_up(n=60), folder="audit-findings"))
    assert "About 16 of 60 labels are probably wrong (" in text
    assert "with 90% confidence" in text
    assert "Expect half of them in the first" in " ".join(text.split())
    assert "slope 0.990, Pearson 1.0000" in " ".join(text.split())
    assert "audit-findings/report.html" in text
    assert "audit labels mail.csv --label y --format jsonl" in text
    rows = [row for row in text.splitlines() if "mail.csv:" in row]
    assert len(rows) == 20
    assert rows[0].split()[:2] == ["1", "mail.csv:2"]


@pytest.mark.parametrize("width", [40, 80, 100, 200])
def test_no_line_is_wider_than_the_terminal_nor_ends_in_blanks(width):
    text = shown(summarise(made_up(n=60, classes=("a rather long label", "another long label"))), width=width)
    assert max(map(len, text.splitlines())) <= width
    assert "mail.csv:2" in text.replace("\n", "")


def test_long_names_of_rows_are_kept_whole():
    findings = made_up(n=5)
    name = "/data/" + "deep/" * 15 + "file.csv:17"
    labels = findings.labels.with_columns(row_id=pl.lit(name))
    text = shown(summarise(dataclasses.replace(findings, labels=labels)))
    assert max(map(len, text.splitlines())) <= 80
    start = next(at for at, row in enumerate(text.splitlines()) if row.startswith("1  /data"))
    pieces = (row[3:].split("  ")[0].strip() for row in text.splitlines()[start : start + 4])
    assert "".join(pieces).startswith(name)


def test_checks_that_failed_are_told_in_full():
    findings = made_up()
    bad = findings.health.with_columns(ok=pl.col("check") != "calibration")
    text = shown(summarise(dataclasses.replace(findings, health=bad)))
    assert "not in order  calibration: Left-out probabilities are calibrated." in text
    assert "gradient norm" not in text


def test_there_is_room_for_the_words_against_a_label():
    assert "against the label" in shown(summarise(made_up()), width=100)
    assert "against the label" not in shown(summarise(made_up()), width=50)


@pytest.mark.parametrize("classes", [("no", "yes"), ("<30", ">30", "NO"), ("not spam", "spam")])
@pytest.mark.parametrize("width", [80, 83, 100, 160])
def test_words_against_a_label_never_cost_the_row_or_its_label(width, classes):
    findings = made_up(n=60, text=False, classes=classes)
    evidence = findings.evidence.with_columns(column=pl.lit("a_column_with_a_rather_long_name"))
    summary = summarise(dataclasses.replace(findings, evidence=evidence))
    lines = shown(summary, width=width).splitlines()
    head = next(at for at, line in enumerate(lines) if "label → suggested" in line)
    for row, line in zip(summary.rows[:20], lines[head + 2 :], strict=False):
        assert line.split()[0] == str(row.rank)
        assert row.row_id in line
        assert f"{row.label} → {row.suggested_label}" in line


def test_nothing_to_show_is_no_error():
    findings = made_up(n=3)
    empty = {name: frame.clear() for name, frame in findings.tables().items()}
    assert "probably wrong" in shown(summarise(dataclasses.replace(findings, **empty)))


def test_no_color_is_kept():
    code = (
        "import sys; sys.path.insert(0, 'tests')\n"
        "from rich.console import Console; from writers.example import made_up\n"
        "from dataaudit.summary import summarise; from dataaudit.writers.console import show\n"
        "show(summarise(made_up()), Console(stderr=True, force_terminal=True))"
    )
    base = {key: value for key, value in os.environ.items() if key not in ("NO_COLOR", "FORCE_COLOR")}
    plain, coloured = (
        subprocess.run([sys.executable, "-c", code], env=base | more, capture_output=True, check=True)
        for more in ({"NO_COLOR": "1", "TERM": "xterm"}, {"TERM": "xterm"})
    )
    assert plain.stdout == coloured.stdout == b""
    assert b"\x1b[1;31m" not in plain.stderr
    assert b"\x1b[1m" in coloured.stderr
