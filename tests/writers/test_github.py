"""What GitHub's runner reads off the annotations is what was meant, at most ten of a level."""

import dataclasses
import re

import pytest
from writers.payloads import for_every_payload
from writers.verdict import rules
from writers.verdict.example import (
    AROUND,
    MISSING,
    SUSPECT,
    hostile,
    mixed,
    outcome,
    suspects,
    verdict,
    written,
)

from dataaudit.errors import WriteError
from dataaudit.escape import line
from dataaudit.findings.verdict import Verdict
from dataaudit.writers.annotations import append_summary

SHOWN = 10  # annotations of a level in a step


def commands(text):
    """Read lines as the runner does: a command is what begins with ``::`` once its indent is gone."""
    for row in text.split("\n"):
        if match := re.fullmatch(r"::(\w+) ?([^:]*?)::(.*)", row.lstrip()):
            name, listed, message = match.groups()
            pairs = (pair.split("=", 1) for pair in listed.split(",") if "=" in pair)
            yield name, {key: unescaped(value, ":,") for key, value in pairs}, unescaped(message)
        else:
            assert not re.match(r"\s*::|.*##\[", row), row


def unescaped(text, more=""):
    for mark in (*"\r\n", *more, "%"):  # the per cent sign last, as the runner does
        text = text.replace(f"%{ord(mark):02X}", mark)
    return text


@pytest.mark.parametrize("n", [0, 1, 9, 10, 43, 20_000])
def test_at_most_ten_are_shown_and_the_rest_is_counted(n):
    found = list(commands(written("github", verdict(n))))
    assert len(found) == min(n + 1, SHOWN) if n else not found
    if n >= SHOWN:
        assert found[-1][2] == f"… and {n + 1 - 9:,} more; the job summary has a table of them."


def test_each_level_has_its_own_ten():
    told = list(commands(written("github", mixed())))
    count = {name: sum(found == name for found, _, _ in told) for name in ("error", "warning", "notice")}
    assert count == {"error": SHOWN, "warning": 2, "notice": 1}


def test_every_broken_rule_is_told_before_the_rows_of_any():
    told = [properties["title"] for _, properties, _ in commands(written("github", mixed()))]
    assert told[:3] == ["DA101 suspect-labels", "DA301 leaked-rows", "DA501 missing-cells"]


def test_an_annotation_has_place_title_and_message():
    text = written("github", verdict(1))
    (_, one) = commands(text)
    assert one == (
        "error",
        {"file": "data/train.csv", "line": "2", "endLine": "2", "title": "DA101 suspect-labels"},
        "Labelled “ham”, but the other rows suggest “spam” (p_wrong 0.999).",
    )
    assert text.endswith("\ndataaudit: 1 rule broken (1 failed, 1 skipped)\n")


@for_every_payload
def test_cells_are_read_back_and_command_nothing(payload):
    told = list(commands(written("github", hostile(payload))))
    assert len(told) == SHOWN
    for name, properties, message in told:
        assert name == "error"
        assert set(properties) == {"file", "line", "endLine", "title"}
        rules.path(properties["file"])
        assert "\n" not in message
    assert all(line(payload, 1000) in message for _, _, message in told[:-1])


def test_the_summary_is_appended_and_small(tmp_path):
    path = tmp_path / "summary.md"
    path.write_text("before\n", encoding="utf-8")
    around = dataclasses.replace(AROUND, job_summary=str(path))
    assert append_summary(verdict(20_000), around) == path
    assert append_summary(verdict(0), around) == path
    text = path.read_text(encoding="utf-8")
    assert text.startswith("before\n<!-- dataaudit check -->\n\n## 1 rule broken")
    assert text.count("## The data pass") == 1
    assert len(text.encode()) < 64_000


def test_without_a_summary_nothing_is_written(tmp_path):
    assert append_summary(verdict(1), AROUND) is None
    around = dataclasses.replace(AROUND, job_summary=str(tmp_path / "none" / "summary.md"))
    with pytest.raises(WriteError, match="the job summary cannot be written"):
        append_summary(verdict(1), around)


def test_accepted_and_tolerated_findings_are_not_annotated():
    tolerated = Verdict(outcomes=(outcome(MISSING, status="passed", findings=suspects(5)),))
    assert list(commands(written("github", tolerated))) == []
    rows = [properties["line"] for _, properties, _ in commands(written("github", mixed()))]
    assert "2" not in rows  # accepted
    assert "6" not in rows  # known from the base


def test_a_warning_does_not_become_an_error():
    rule = dataclasses.replace(SUSPECT, severity="warning")
    told = commands(
        written("github", Verdict(outcomes=(outcome(rule, findings=suspects(30)),), fail_on="warning"))
    )
    assert {name for name, _, _ in told} == {"warning"}
