"""The text is a line a finding, short, within 80 columns on a terminal, and commands nothing."""

import io
import json
import re
import unicodedata

import pytest
from rich.cells import cell_len
from rich.console import Console
from writers.payloads import for_every_payload
from writers.verdict.example import hostile, mixed, verdict, written

from dataaudit.findings.verdict import Verdict
from dataaudit.report.check import report
from dataaudit.writers import names
from dataaudit.writers.console import show_lines

JOINERS = "\u200c\u200d"


def dangerous(text):
    """Characters that steer: controls but newline, formats but joiners, separators, surrogates."""
    bad = ("Cc", "Cf", "Cs", "Zl", "Zp")
    return {f"U+{ord(c):04X}" for c in set(text) - set("\n" + JOINERS) if unicodedata.category(c) in bad}


def terminal(told, *, full=False, width=80):
    out = io.StringIO()
    settings = {"force_terminal": True, "color_system": "standard", "_environ": {}}
    show_lines(report(told, full=full), Console(file=out, width=width, **settings))
    return out.getvalue()


@for_every_payload
@pytest.mark.parametrize("name", names("check"))
def test_no_format_lets_steering_characters_out(name, payload):
    text = written(name, hostile(payload[:20_000]))
    assert dangerous(text) == set()
    rows = [row for row in text.splitlines() if not (name == "github" and row.startswith("::"))]
    anywhere = r"|.*##\[" if name in ("text", "full", "github", "markdown") else ""  # where it may be a log
    commands = [row for row in rows if re.match(r"\s*(::|##\[|##vso)" + anywhere, row)]
    assert commands == [] or name == "html"  # a page is no log


@for_every_payload
@pytest.mark.parametrize("full", [True, False])
def test_a_terminal_of_80_columns_is_enough(payload, full):
    text = terminal(hostile(payload[:5000]), full=full)
    assert set(re.findall(r"\x1b[^m]*m?", text)) <= {
        f"\x1b[{code}m" for code in ("0", "1", "2", "1;31", "32")
    }
    assert max(map(cell_len, re.sub(r"\x1b\[[\d;]*m", "", text).splitlines())) <= 80


@for_every_payload
def test_a_finding_is_a_line_that_begins_with_its_place(payload):
    rows = written("text", hostile(payload)).split("\n\n", 1)[0].split("\n")
    rows = [row for row in rows if " is ../" not in row]  # where a short name stands for a path
    more = [row for row in rows if row.startswith("    … and ")]
    assert (len(rows), len(more)) == (10 + 1 + 10 + 1 + 1, 2)
    assert all(re.match(r".*: .* \[error\]( |$)", row) for row in rows if row not in more)


def test_the_summary_is_as_of_pytest():
    text = written("text", mixed())
    summary = text.partition("= short summary =")[2]
    assert re.findall(r"^(\w+:?) +(\S+) (\S+)", summary, re.MULTILINE)[:6] == [
        ("FAILED", "spam-train", "DA101"),
        ("WARNING", "spam-train", "DA501"),
        ("FAILED", "mail-test", "DA301"),
        ("WARNING", "mail-test", "DA401"),
        ("ERROR", "mail-test", "DA501"),
        ("note:", "2", "entries"),
    ]
    assert "2 failed, 1 error, 2 warnings, 1 skipped" in text.split("\n")[-2]


@pytest.mark.parametrize(("n", "rows"), [(0, 0), (1, 1), (10, 10), (11, 10), (20_000, 10)])
def test_ten_findings_of_a_rule_are_enough(n, rows):
    text = written("text", verdict(n))
    assert len(re.findall(r"^data/train\.csv:\d+: DA101 \[error\] ", text, re.MULTILINE)) == rows
    more = f"    … and {n - 10:,} more of DA101 suspect-labels (--format full lists {n:,})\n"
    assert (more in text) == (n > 10)


def test_nothing_wrong_is_one_line():
    assert written("text", verdict(0)).strip("=\n ") == "The data pass: 1 passed, 1 skipped"
    assert written("text", Verdict(outcomes=())).strip("=\n ") == "no rule was checked"


def test_full_has_all_findings_and_the_documentation_once():
    text = written("full", mixed())
    assert len(re.findall(r"^data/test\.parquet#\d+: DA301", text, re.MULTILINE)) == 500
    assert text.count("    ## Why it matters\n") == 2  # DA101 and DA301
    assert "    Fits a classifier.\n" in text
    assert "… and 200 more of DA301 leaked-rows\n" in text
    assert "SKIPPED spam-train DA304 time-travel: No date column is named." in text


def test_a_stream_gets_no_colour_and_no_folding():
    out = io.StringIO()
    show_lines(report(mixed()), Console(file=out, width=40))
    assert "\x1b" not in out.getvalue()
    assert max(map(len, out.getvalue().splitlines())) > 80


def test_what_is_accepted_or_known_is_counted_not_listed():
    text = written("text", mixed())
    assert "data/train.csv:2:" not in text
    assert "data/train.csv:6:" not in text
    assert "data/train.csv:4: DA101 [error] Labelled “ham”" in text
    assert "(changed)" in text
    assert "(1 known from the base, 1 accepted)" in text


@for_every_payload
def test_json_gives_back_the_exact_texts(payload):
    payload = payload[:20_000]
    told = hostile(payload)
    document = json.loads(written("json", told))
    rows = [json.loads(row) for row in written("jsonl", told).split("\n")[:-1]]
    findings = [finding for outcome in document["outcomes"] for finding in outcome["findings"]]
    assert [f["message"] for f in findings] == [payload] * (16 + 11)
    assert (findings[0]["accepted"], findings[0]["details"]["row_id"]) == (payload or "read", payload)
    assert findings[0]["details"]["nan"] is None
    assert document["datasets"] == {payload: {payload: payload}}
    assert [row["kind"] for row in rows].count("finding") == len(findings)
    told = [row for row in rows if row["kind"] == "finding"]
    assert [{key: row[key] for key in findings[0]} for row in told] == findings


def test_json_says_what_gates():
    document = json.loads(written("json", mixed()))
    first = document["outcomes"][0]
    assert (document["exit_code"], document["fail_on"]) == (2, "error")
    assert [outcome["counts_as"] for outcome in document["outcomes"]] == [
        *("failed", "skipped", "warning", "failed", "warning", "error")
    ]
    assert [finding["gates"] for finding in first["findings"][:4]] == [False, True, False, True]
    assert (first["value"], first["base_value"], first["limit"], first["unit"]) == (28.0, 1.0, 0.0, "rows")
    assert first["findings"][1]["site"] == {
        "column": "",
        "line": 4,
        "row": 1,
        "row_id": "data/train.csv:4",
        "source": "data/train.csv",
    }
