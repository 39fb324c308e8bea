"""The JUnit file keeps to Jenkins' schema, and its readers count what the verdict counts."""

import re
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
import xmlschema
from junitparser import JUnitXml
from writers.payloads import for_every_payload
from writers.verdict.example import APART, SUSPECT, hostile, mixed, outcome, suspects, verdict, written

from dataaudit.findings.verdict import Verdict

# The schema of Jenkins' xUnit plugin, as pytest's tests have it; the file begins with its MIT licence.
SCHEMA = xmlschema.XMLSchema(Path(__file__).parent / "schemas" / "junit-10.xsd")


def read(told):
    """Validate a file, and read it as services do."""
    text = written("junit", told)
    SCHEMA.validate(text.removeprefix('<?xml version="1.0" encoding="utf-8"?>\n'))
    return JUnitXml.fromstring(text.encode())


@pytest.mark.parametrize("n", [0, 1, 43, 20_000])
def test_it_is_valid_whatever_the_number_of_findings(n):
    (suite,) = read(verdict(n))
    assert (suite.tests, suite.failures, suite.errors, suite.skipped) == (2, int(n > 0), 0, 1)


@for_every_payload
def test_it_is_valid_whatever_the_cells_say(payload):
    root = read(hostile(payload))
    assert (root.tests, root.failures, root.errors) == (5, 2, 1)
    text = written("junit", hostile(payload))
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\ufffe\uffff\ud800-\udfff]", text)


def test_what_xml_forbids_is_left_out():
    suite = next(iter(read(hostile("a\x00b\ufffec\ud800d\x1be"))))
    failure = next(iter(suite)).result[0]
    assert failure.message == "a␀bc‹U+D800›d␛e"


def test_without_any_outcome_the_file_is_there():
    root = read(Verdict(outcomes=()))
    assert (root.tests, root.failures, list(root)) == (0, 0, [])


def test_a_suite_is_a_dataset_and_a_case_is_a_rule():
    first, second = read(mixed())
    assert (first.name, first.tests, first.failures, first.errors, first.skipped) == (
        "spam-train",
        3,
        1,
        0,
        1,
    )
    assert (second.name, second.tests, second.failures, second.errors) == ("mail-test", 3, 1, 1)
    assert [(case.classname, case.name) for case in first] == [
        ("dataaudit.spam-train.labels", "DA101 suspect-labels"),
        ("dataaudit.spam-train.leakage", "DA304 time-travel"),
        ("dataaudit.spam-train.table", "DA501 missing-cells"),
    ]
    assert {p.name: p.value for p in first.properties()} == {
        "DA101": "28 rows > 0 rows",
        "DA501": "31.0\u00a0% > 20.0\u00a0%",
    }


def test_a_failure_names_the_rows():
    case = next(iter(next(iter(read(mixed())))))
    (failure,) = case.result
    assert (failure.message, failure.type) == ("28 labels are likely wrong, where 0 are allowed.", "error")
    lines = failure.text.split("\n")
    assert lines[0].startswith("data/train.csv:4: Labelled “ham”")
    assert len(lines) == 28


def test_no_more_rows_are_named_than_people_read():
    (many,) = next(iter(next(iter(read(verdict(20_000)))))).result
    assert many.text.split("\n")[-1] == "… and 19,950 more"


def test_a_broken_rule_that_does_not_fail_the_gate_passes_and_says_so():
    found = Verdict(outcomes=(outcome(APART, findings=suspects(1)),))
    assert found.exit_code == 0
    (case,) = next(iter(read(found)))
    assert case.is_passed
    assert case.system_out.startswith("[note] Rule DA401 is broken.")
    strict = Verdict(outcomes=found.outcomes, fail_on="note")
    assert next(iter(next(iter(read(strict))))).is_failure


def test_times_are_seconds():
    root = ET.fromstring(written("junit", verdict(1)))
    assert [case.get("time") for case in root.iter("testcase")] == ["0.250", "0.250"]
    slow = Verdict(outcomes=(outcome(SUSPECT, seconds=12_345.6789),))
    SCHEMA.validate(written("junit", slow).split("\n", 1)[1])
