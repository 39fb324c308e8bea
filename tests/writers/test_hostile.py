"""Nothing that stands in the data steers a terminal, a browser, a CI runner or a parser."""

import io
import json
import re
import unicodedata
from functools import cache

import pytest
from rich.cells import cell_len
from rich.console import Console
from writers.example import made_up
from writers.pages import parse
from writers.payloads import PAYLOADS

from dataaudit.summary import summarise
from dataaudit.writers import get, html, names
from dataaudit.writers.console import show
from dataaudit.writers.escape import block, console_line, json_text, line

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
    page = parse(html.page(audit(payload, text=text)[1]))
    assert page.errors == []
    assert page.names == harmless.names  # no element and no attribute more
    assert page.count["h1"] == page.count["style"] == page.count["script"] == 1
    assert page.count["details"] == harmless.count["details"]
    assert page.texts["script"] == harmless.texts["script"]
    assert all(link.startswith("#") for link in page.links)


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
