"""Markdown that stays small and that no cell can leave, as a CommonMark parser reads it."""

import dataclasses
import io
import re
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from writers.example import made_up
from writers.mismatch_example import real, spoilt
from writers.payloads import PAYLOADS
from writers.rendered import Rendered

from dataaudit.escape import line
from dataaudit.summary.kinds import summarise_any
from dataaudit.writers import get
from dataaudit.writers.markdown_text import SIZE, Part, code, details, document, prose, table

OURS = {"h2", "h3", "p", "table", "thead", "tbody", "tr", "th", "td", "code", "pre", "details", "summary"}
OURS |= {"ul", "li", "strong", "code class"}


def markdown(findings, **settings):
    out = io.StringIO()
    summary = summarise_any(findings, folder="out", **settings)
    get("markdown", findings.provenance.KIND).write(findings, summary, out)
    return out.getvalue()


@cache
def harmless(kind):
    made = spoilt("harmless") if kind == "mismatch" else made_up(n=12, hostile="harmless")
    return Rendered(markdown(made))


@pytest.mark.parametrize("payload", PAYLOADS.values(), ids=PAYLOADS)
@pytest.mark.parametrize("kind", ["labels", "mismatch"])
def test_no_cell_leaves_its_place(kind, payload):
    short = payload[:2000]
    made = spoilt(short) if kind == "mismatch" else made_up(n=12, hostile=short, cell=payload)
    text = markdown(made)
    page = Rendered(text)
    assert len(text.encode()) <= SIZE
    assert page.errors == []
    assert page.names <= OURS
    for tag in ("h2", "h3", "table", "tr", "th", "td", "li", "pre", "details"):
        assert page.count[tag] == harmless(kind).count[tag], tag
    assert page.active == []
    name = made.labels["row_id"][0] if kind == "labels" else made.harmful["train_row_id"][0]
    assert line(name, 80) in page.codes


@pytest.mark.parametrize("payload", ["漢" * 900, "\x01" * 900, "`" * 900, "@" * 900, "@a" * 450, "|" * 900])
def test_it_stays_small_whatever_the_cells_say(payload):
    classes = [f"class {k} " for k in range(60)]
    for made in (spoilt(payload), made_up(n=300, classes=classes, hostile=payload, cell=payload, text=False)):
        text = markdown(made)
        assert len(text.encode()) <= SIZE
        assert Rendered(text).errors == []
        assert text.endswith("\n")


def test_the_answer_comes_first_and_the_next_command_last():
    text = markdown(made_up())
    heads = re.findall(r"^##+ (.*)$", text, re.MULTILINE)
    assert heads[0].startswith("About ")
    assert heads[1:] == ["Ten rows to look at first", "How far to trust this", "Next"]
    assert "audit verify out --top 50" in text
    assert "report.html" not in text.rpartition("### Next")[2]  # a page is of no use in a comment
    page = Rendered(text)
    rows = [page for tag, _, stack in page.elements if tag == "tr" and "details" not in stack]
    assert len(rows) == 11  # a head and ten
    assert "The next 20" in page.html


def test_a_mismatch_tells_what_to_do_about_its_first_finding():
    text = markdown(real())
    assert "**Finding 1.** age = child: " in text
    assert "measured by a true refit" in text
    assert text.index("### Findings") < text.index("### Ten training rows to look at first")


def test_without_labels_it_says_what_differs():
    text = markdown(real(labelled=False))
    assert "### Findings" not in text
    assert "What differs in test" in text


def test_a_failed_check_is_in_sight():
    rows = made_up().health.with_columns(ok=False)
    text = markdown(dataclasses.replace(made_up(), health=rows))
    assert text.count("**Not in order.**") == len(rows)


def test_no_rows_are_no_tables():
    text = markdown(made_up(n=0))
    assert "Rows to look at first" not in text
    assert "| --- |" not in text.partition("<details>")[0]


def test_parts_that_may_go_go_from_the_end():
    parts = [Part("# Head"), details("first", "x" * 30_000), details("second", "y" * 40_000), Part("End")]
    text = document(parts)
    assert "first" in text
    assert "second" not in text
    assert text.endswith("End\n\nMore is on the page: report.html.\n")
    assert document([Part("a"), Part(""), Part("b")]) == "a\n\nb\n"


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=60) | st.text("`\\|*_[]()<>&@#$ :/!~a1", max_size=30))
def test_a_value_comes_out_as_it_went_in(text):
    shown = line(text, 80)
    alone = Rendered(f"x {code(text)} y")
    assert alone.codes == ([shown] if shown else [])
    tabled = Rendered(table(("a", "b"), [(code(text), "y")]))
    assert tabled.codes == ([shown] if shown else [])
    assert tabled.count["td"] == 2
    sentence = Rendered(f"We say {prose(text)} of it.")
    assert sentence.names <= {"p", "code"}
    assert sentence.active == []
    said = "".join(data for data in _texts(sentence)).replace("\n", "")
    assert said == f"We say {shown} of it." or "`" in text  # adjacent code spans may show a backtick more


def _texts(page):
    from html.parser import HTMLParser

    found = []

    class Texts(HTMLParser):
        def handle_data(self, data):
            found.append(data)

    Texts().feed(page.html)
    return found
