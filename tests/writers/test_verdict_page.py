"""The page of a check: well formed, self-contained, small, and the same page whatever the cells say."""

import base64
import dataclasses
import hashlib
import re
from functools import cache
from itertools import pairwise

import pytest
from writers.pages import parse
from writers.payloads import for_every_payload
from writers.verdict.example import DOC, LEAKED, SUSPECT, hostile, mixed, outcome, suspects, verdict, written

from dataaudit.findings.verdict import Verdict
from dataaudit.writers.html import _document as as_html

EXAMPLES = {
    "mixed": mixed,
    "nothing wrong": lambda: verdict(0),
    "one": lambda: verdict(1),
    "many": lambda: verdict(20_000),
    "no outcome": lambda: Verdict(outcomes=()),
}


@pytest.fixture(params=EXAMPLES)
def text(request):
    return written("html", EXAMPLES[request.param]())


@cache
def harmless():
    return parse(written("html", hostile("harmless")))


def test_it_is_well_formed(text):
    page = parse(text)
    assert page.errors == []
    assert text.startswith("<!doctype html>")
    assert len(page.ids) == len(set(page.ids))
    assert page.count["h1"] == page.count["main"] == page.count["header"] == page.count["footer"] == 1
    assert {link[1:] for link in page.links} <= set(page.ids)
    assert not re.search(r"https?://|url\(|@import|//cdn", text.replace("https://example.org/rows", ""))


def test_headings_go_down_one_at_a_time(text):
    levels = [int(tag[1]) for tag, _, _ in parse(text).elements if re.fullmatch(r"h[1-6]", tag)]
    assert levels[0] == 1
    assert all(b - a <= 1 for a, b in pairwise(levels))


def test_tables_have_captions_and_scopes(text):
    page = parse(text)
    assert page.count["caption"] == page.count["table"]
    assert all(attrs.get("scope") in ("col", "row") for tag, attrs, _ in page.elements if tag == "th")


def test_no_script_and_the_policy_allows_none(text):
    page = parse(text)
    (policy,) = (
        a["content"] for _, a, _ in page.elements if a.get("http-equiv") == "Content-Security-Policy"
    )
    digest = base64.b64encode(hashlib.sha256(page.texts["style"].encode()).digest()).decode()
    assert policy.startswith(f"default-src 'none'; style-src 'sha256-{digest}'; ")
    assert "script" not in policy
    assert page.count["script"] == 0
    assert not [
        name for _, attrs, _ in page.elements for name in attrs if name == "style" or name[:2] == "on"
    ]


@for_every_payload
def test_the_page_is_the_same_page_whatever_the_cells_say(payload):
    text = written("html", hostile(payload))
    page = parse(text)
    assert len(text.encode()) <= 1_000_000
    assert page.errors == []
    formatted = {"ol", "ul", "li", "code", "em", "strong", "hr", "blockquote", "pre", "br", "ol start", "p"}
    assert page.names - formatted == harmless().names - formatted  # no element and no attribute more
    assert all(link.startswith("#") for link in page.links)


def test_the_gravest_come_first_and_everything_is_told():
    text = written("html", mixed())
    page = parse(text)
    assert page.texts["h1"] == "1 rule could not be judged, 2 rules broken"
    order = ["What to do next", "Not judged", "Broken rules", "All rules", "Datasets", "Notes"]
    assert [page.texts["h2"].index(name) for name in order] == sorted(
        page.texts["h2"].index(n) for n in order
    )
    names = [a["aria-label"] for tag, a, _ in page.elements if tag == "article"]
    assert names == [
        "DA101 suspect-labels on spam-train",
        "DA301 leaked-rows on mail-test",
        "DA501 missing-cells on spam-train",
        "DA401 train-test-apart on mail-test",
    ]
    assert (
        "Measured 28 rows, where the limit is 0 rows; 1 row in the base; 1 known from the base, 1 accepted."
        in text
    )
    assert "accepted: Read by two people, 2026-11-02." in text
    assert "… and 500 more findings." in text


def test_the_documentation_is_set_without_links():
    page = parse(written("html", mixed()))
    assert {"h4", "li", "em", "strong", "code"} <= set(page.count)
    assert as_html(DOC).count("<h4>") == 3
    assert "<a" not in as_html(DOC)
    assert "[first rows](https://example.org/rows)" in as_html(DOC)
    assert as_html("# a\n\n### b\n\n##### c\n\n<b>d</b> ![e](f)") == (
        "<h4>a</h4>\n<h5>b</h5>\n<h6>c</h6>\n<p>&lt;b&gt;d&lt;/b&gt; ![e](f)</p>"
    )


@pytest.mark.parametrize("payload", ["&" * 2000, "\u202e" * 2000])  # five bytes each, three bytes each
def test_many_long_findings_of_many_rules_fit_into_one_megabyte(payload):
    rows = suspects(200, payload=payload)
    rules = [dataclasses.replace(rule, code=f"{rule.code}-{i}", title=payload, doc=payload) for i in range(40)
             for rule in (SUSPECT, LEAKED)]  # fmt: skip
    text = written(
        "html", Verdict(outcomes=tuple(outcome(rule, findings=rows, message=payload) for rule in rules))
    )
    assert len(text.encode()) <= 1_000_000
    assert parse(text).errors == []
    assert "more broken rules" in text


def test_the_same_verdict_gives_the_same_bytes():
    assert written("html", mixed()) == written("html", mixed())
