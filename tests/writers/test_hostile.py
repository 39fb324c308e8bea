"""Nothing that stands in the data steers a terminal, a browser, a CI runner or a parser."""

import csv
import io
import json
import re
import unicodedata
from functools import cache
from xml.etree import ElementTree as ET

import pytest
from rich.cells import cell_len
from rich.console import Console
from writers.example import made_up
from writers.pages import parse
from writers.payloads import PAYLOADS

from dataaudit.escape import block, console_line, json_text, line
from dataaudit.summary import summarise
from dataaudit.writers import argilla, get, html, labelstudio, names, spreadsheet
from dataaudit.writers.console import show
from dataaudit.writers.rendering import parted

JOINERS = "\u200c\u200d"


def audit(payload, **settings):
    findings = made_up(n=12, hostile=payload[:2000], cell=payload, **settings)
    return findings, summarise(findings, folder=f"out{payload[:200]}")


@cache
def harmless_page(text):
    return parse(html.page(audit("harmless", text=text)[1]))


def written(name, findings, summary):
    out = io.StringIO()
    get(name).write(findings, summary, out)
    return out.getvalue()


def dangerous(text):
    """Characters that steer: controls but newline, formats but joiners, separators, surrogates."""
    bad = ("Cc", "Cf", "Cs", "Zl", "Zp")
    return {f"U+{ord(c):04X}" for c in set(text) - set("\n" + JOINERS) if unicodedata.category(c) in bad}


@pytest.mark.parametrize("payload", PAYLOADS.values(), ids=PAYLOADS)
@pytest.mark.parametrize("name", names())
def test_no_writer_lets_steering_characters_out(name, payload):
    text = written(name, *audit(payload))
    assert dangerous(text) == set()
    commands = [row for row in text.splitlines() if row.lstrip().startswith(("::", "##[", "##vso"))]
    assert commands == [] or name == "html"  # a page is no log


@pytest.mark.parametrize("payload", PAYLOADS.values(), ids=PAYLOADS)
@pytest.mark.parametrize("text", [True, False])
def test_the_page_is_the_same_page_whatever_the_cells_say(payload, text):
    harmless = harmless_page(text)
    made = html.page(audit(payload, text=text)[1])
    page = parse(made)
    assert page.errors == []
    reviewed = "review-data" in page.ids  # names of rows that are too long cannot be reviewed
    assert page.names == harmless.names if reviewed else page.names < harmless.names
    assert page.count["h1"] == page.count["style"] == 1
    assert page.count["script"] == 1 + reviewed
    assert page.count["details"] == harmless.count["details"]
    assert all(link.startswith("#") for link in page.links)
    data, start, code = page.texts["script"].partition("/* Finding")
    assert harmless.texts["script"].partition("}/* Finding")[2].startswith(code)
    assert start
    assert json.loads(data)["rows"][0][0] == f"mail{payload[:2000]}.csv:2" if reviewed else data == ""


@pytest.mark.parametrize("payload", PAYLOADS.values(), ids=PAYLOADS)
def test_a_page_in_parts_has_nothing_inside_it(payload):
    parts = parted(html.page(audit(payload)[1]))
    page = parse(parts["report.html"])
    assert list(parts) == ["report.css", "report.js", "report.html"]
    assert page.errors == []
    assert page.count["style"] == 0
    scripts = [values for tag, values, _ in page.elements if tag == "script"]
    assert [values for values in scripts if "type" not in values] == [{"src": "report.js"}]
    assert [link for link in page.links if not link.startswith("#")] == ["report.css", "report.js"]
    policy = next(
        values["content"] for tag, values, _ in page.elements if tag == "meta" and "content" in values
    )
    assert "style-src 'self'; script-src 'self'" in policy
    assert "sha256" not in policy
    assert parts["report.css"] == harmless_page(True).texts["style"]
    assert parts["report.js"] in harmless_page(True).texts["script"]


@pytest.mark.parametrize("payload", PAYLOADS.values(), ids=PAYLOADS)
def test_json_gives_back_the_exact_cells(payload):
    findings, summary = audit(payload)
    rows = [json.loads(row) for row in written("jsonl", findings, summary).split("\n")[:-1]]
    document = json.loads(written("json", findings, summary))
    assert [row["row_id"] for row in rows] == findings.labels["row_id"].to_list()
    assert document["labels"] == rows
    assert document["summary"]["rows"][0]["cells"][0]["text"] == payload
    assert document["summary"] == json.loads(json.dumps(summary.to_dict()))


@pytest.mark.parametrize("payload", PAYLOADS.values(), ids=PAYLOADS)
def test_the_console_keeps_to_80_columns_and_its_own_colours(payload):
    _, summary = audit(payload)
    out = io.StringIO()
    show(summary, Console(file=out, width=80, force_terminal=True, color_system="standard", _environ={}))
    codes = set(re.findall(r"\x1b[^m]*m?", out.getvalue()))
    assert codes <= {"\x1b[0m", "\x1b[1m", "\x1b[2m", "\x1b[1;31m"}
    plain = re.sub(r"\x1b\[[\d;]*m", "", out.getvalue())
    assert max(map(cell_len, plain.splitlines())) <= 80


@pytest.mark.parametrize("payload", PAYLOADS.values(), ids=PAYLOADS)
def test_a_line_of_text_is_one_line(payload):
    findings, summary = audit(payload)
    rows = written("text", findings, summary).split("\n")
    assert len(rows) == 12 + 1
    assert rows[0].startswith(" 1  mail")


@pytest.mark.parametrize("payload", PAYLOADS.values(), ids=PAYLOADS)
def test_tasks_and_records_give_back_the_exact_cells(payload):
    findings, summary = audit(payload)
    tasks, records = (exported(labelstudio, findings, summary), exported(argilla, findings, summary))
    assert dangerous(tasks) == dangerous(records) == set()
    first = summary.rows[0]
    task, record = json.loads(tasks)[0], json.loads(records)[0]
    assert task["data"]["row_id"] == record["id"] == record["metadata"]["row_id"] == first.row_id
    assert task["data"]["label"] == record["metadata"]["current_label"] == first.label
    assert task["predictions"][0]["result"][0]["value"]["choices"] == [first.suggested_label]
    assert record["suggestions"]["label"]["value"] == first.suggested_label
    assert task["data"]["text"] == record["fields"]["text"] == payload


@pytest.mark.parametrize("payload", PAYLOADS.values(), ids=PAYLOADS)
def test_the_labelling_setup_has_one_choice_a_class(payload):
    _, summary = audit(payload)
    setup = labelstudio.setup(summary)
    assert dangerous(setup) == set()
    root = ET.fromstring(setup)
    assert [child.tag for child in root.iter()] == ["View", "Header", "Text", "Choices", "Choice", "Choice"]
    choices = [child.get("value") for child in root.iter("Choice")]
    if not re.search("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]", payload):  # what XML cannot hold
        assert choices == list(summary.provenance["classes"])


@pytest.mark.parametrize("payload", PAYLOADS.values(), ids=PAYLOADS)
@pytest.mark.parametrize("text", [True, False])
def test_no_cell_of_the_spreadsheet_is_a_formula(payload, text):
    findings, summary = audit(payload, text=text)
    shown = exported(spreadsheet, findings, summary)
    assert dangerous(shown) == set()
    rows = list(csv.reader(io.StringIO(shown, newline=""), strict=True))
    assert len(rows) == 1 + 12 == len(shown.splitlines())
    assert {len(row) for row in rows} == {len(spreadsheet.COLUMNS) + (1 if text else 4)}
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
    assert spreadsheet.safe(text) == shown


def exported(module, findings, summary):
    out = io.StringIO()
    module.WRITER.write(findings, summary, out)
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
