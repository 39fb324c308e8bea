"""Markdown of any report: small, in order, and no cell leaves its place, as a CommonMark parser reads it."""

import re
from functools import cache
from html.parser import HTMLParser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from writers.payloads import for_every_payload
from writers.rendered import Rendered
from writers.synthetic import every_block

from dataaudit.escape import console_line as line
from dataaudit.report.blocks import Cell, Report, Section, Sentence, Table
from dataaudit.writers.markdown import SIZE, markdown

OURS = {"h2", "h3", "p", "table", "thead", "tbody", "tr", "th", "td", "code", "pre", "details", "summary"}
OURS |= {"ul", "li", "strong", "code class"}
SAME = ("h2", "h3", "table", "tr", "th", "td", "li", "pre", "details")


@cache
def harmless():
    return Rendered(markdown(every_block("harmless")))


@for_every_payload
def test_no_cell_leaves_its_place(payload):
    text = markdown(every_block(payload))
    page = Rendered(text)
    assert len(text.encode()) <= SIZE
    assert page.errors == []
    assert page.names <= OURS
    assert {tag: page.count[tag] for tag in SAME} == {tag: harmless().count[tag] for tag in SAME}
    assert page.active == []
    assert line(f"mail{payload}:1", 120) in page.codes


@pytest.mark.parametrize("payload", ["漢" * 900, "\x01" * 900, "`" * 900, "@" * 900, "@a" * 450, "|" * 900])
def test_it_stays_small_whatever_the_cells_say(payload):
    text = markdown(every_block(payload, rows=300, cells=60))
    assert len(text.encode()) <= SIZE
    assert Rendered(text).errors == []
    assert text.endswith("\n")


def test_what_has_no_room_is_said_to_be_on_the_page():
    sections = tuple(Section(f"S{at}", (Sentence("word " * 400),), rank=1) for at in range(300))
    text = markdown(Report(kind="labels", over="", name="", headline="Head", sections=sections))
    assert len(text.encode()) <= SIZE
    assert text.startswith("## Head\n")
    assert text.endswith("\n\nMore is on the page: report.html.\n")
    assert "report.html" not in markdown(every_block())


def test_the_answer_comes_first_and_the_next_command_last():
    text = markdown(every_block(ranked=40))
    heads = re.findall(r"^##+ (.*)$", text, re.MULTILINE)
    assert heads[0] == "About 3 of 40 labels are wrong"
    assert heads[1:] == ["The rows to look at first", "How far to trust it", "Next"]
    assert text.endswith("```sh\n# Look\naudit look\n```\n")
    page = Rendered(text)
    rows = [stack for tag, _, stack in page.elements if tag == "tr" and "details" not in stack]
    assert len(rows) == 11  # a head and ten
    assert "The next 20" in page.html
    assert "**Failed.** It is not." in text
    assert "1 check of the audit itself passed" in text
    assert "Only in Markdown." in text
    assert "Only on the page." not in text
    assert "Only on a terminal." not in text
    assert "Charts" not in text  # of rank 2


def shown(*blocks):
    return markdown(
        Report(kind="labels", over="", name="", headline="H", sections=(Section("S", blocks, 0),))
    )


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=60) | st.text("`\\|*_[]()<>&@#$ :/!~a1", max_size=30))
def test_a_value_comes_out_as_it_went_in(text):
    expected = line(text, 80)
    alone = Rendered(shown(Sentence(("x ", Cell(text), " y"))))
    assert alone.codes == ([expected] if expected else [])
    tabled = Rendered(shown(Table(caption="", head=("a", "b"), rows=((Cell(text), "y"),))))
    assert tabled.codes == ([expected] if expected else [])
    assert tabled.count["td"] == 2
    sentence = Rendered(shown(Sentence(f"We say {line(text, 80)} of it.")))
    assert sentence.names <= {"h2", "h3", "p", "code"}
    assert sentence.active == []
    said = "".join(_texts(sentence)).replace("\n", "")
    assert f"We say {expected} of it." in said or "`" in text or not expected


def _texts(page):
    found = []

    class Texts(HTMLParser):
        def handle_data(self, data):
            found.append(data)

    Texts().feed(page.html)
    return found
