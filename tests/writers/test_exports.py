"""Exports and escapes: exact where programs read, harmless where people do."""

import csv
import io
import json
import re
import unicodedata
import xml.etree.ElementTree as ET

import pytest
from writers.example import made_up
from writers.payloads import for_every_payload

from dataaudit.escape import block, console_line, json_text, line
from dataaudit.report.rows import review_rows
from dataaudit.writers.exports import COLUMNS, WRITERS, label_studio_setup, safe

JOINERS = "\u200c\u200d"


def audit(payload, **settings):
    return made_up(n=12, hostile=payload[:2000], cell=payload, **settings)


def dangerous(text):
    """Characters that steer: controls but newline, formats but joiners, separators, surrogates."""
    bad = ("Cc", "Cf", "Cs", "Zl", "Zp")
    return {f"U+{ord(c):04X}" for c in set(text) - set("\n" + JOINERS) if unicodedata.category(c) in bad}


@for_every_payload
def test_tasks_and_records_give_back_the_exact_cells(payload):
    findings = audit(payload)
    tasks, records = (exported("labelstudio", findings), exported("argilla", findings))
    assert dangerous(tasks) == dangerous(records) == set()
    first = review_rows(findings, 1)[0]
    task, record = json.loads(tasks)[0], json.loads(records)[0]
    assert task["data"]["row_id"] == record["id"] == record["metadata"]["row_id"] == first.row_id
    assert task["data"]["label"] == record["metadata"]["current_label"] == first.label
    assert task["predictions"][0]["result"][0]["value"]["choices"] == [first.suggested_label]
    assert record["suggestions"]["label"]["value"] == first.suggested_label
    assert task["data"]["text"] == record["fields"]["text"] == payload


@for_every_payload
def test_the_labelling_setup_has_one_choice_a_class(payload):
    findings = audit(payload)
    setup = label_studio_setup(findings)
    assert dangerous(setup) == set()
    root = ET.fromstring(setup)
    assert [child.tag for child in root.iter()] == ["View", "Header", "Text", "Choices", "Choice", "Choice"]
    choices = [child.get("value") for child in root.iter("Choice")]
    if not re.search("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]", payload):  # what XML cannot hold
        assert choices == list(findings.provenance.classes)


@for_every_payload
@pytest.mark.parametrize("text", [True, False])
def test_no_cell_of_the_spreadsheet_is_a_formula(payload, text):
    findings = audit(payload, text=text)
    shown = exported("csv", findings)
    assert dangerous(shown) == set()
    rows = list(csv.reader(io.StringIO(shown, newline=""), strict=True))
    assert len(rows) == 1 + 12 == len(shown.splitlines())
    assert {len(row) for row in rows} == {len(COLUMNS) + (1 if text else 4)}
    assert [row[0] for row in rows[1:]] == [str(k) for k in range(1, 13)]
    cells = [part for row in rows for cell in row for part in (cell, *cell.split(";")[1:])]
    numbers = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
    assert not [c for c in cells if re.match(r"\s*[=+\-@＝＋－＠]", c) and not numbers.fullmatch(c)]
    assert numbers.fullmatch(rows[1][6])


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("=1+1", "'=1+1"),
        ("\t=1+1", "'=1+1"),
        ("  -1+1", "'-1+1"),
        ("-1.5e3", "-1.5e3"),
        ("+.5", "+.5"),
        ("a-b=c", "a-b=c"),
        ("x; =1", "x; '=1"),
        ("＝1", "'＝1"),
        ("", ""),
        ("'=1", "'=1"),
    ],
)
def test_numbers_stay_numbers_and_formulas_become_texts(text, shown):
    assert safe(text) == shown


def exported(name, findings):
    out = io.StringIO()
    WRITERS[name].write(findings, None, out)
    return out.getvalue()


def test_what_is_shown_instead():
    assert line("\x1b[31m\x7f\x9b\u202e\u200b") == "␛[31m␡‹U+009B›‹U+202E›‹U+200B›"
    assert line("a\r\n\tb\u2028c\x85d") == "a b c d"
    assert block("a\r\nb\rc\u2028d\te") == "a\nb\nc\nd\te"
    assert block("x" * 700, 600) == "x" * 599 + "…"
    assert line("👩‍👧 می‌خواهم") == "👩‍👧 می‌خواهم"
    assert console_line("a::b ##[x") == "a∷b # #[x"
    assert line("") == block("") == ""


def test_json_text_changes_no_value():
    value = {"k\u202e": "\u2028\x9b\x7f\u200b\U000e0041é漢"}
    shown = json_text(json.dumps(value, ensure_ascii=False))
    assert json.loads(shown) == value
    assert dangerous(shown) == set()
    assert "é漢" in shown
