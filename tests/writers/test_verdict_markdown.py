"""The page of Markdown is small, and shows what cells say without obeying it."""

import dataclasses
import re

import pytest
from markdown_it import MarkdownIt
from writers.payloads import for_every_payload
from writers.verdict.example import LEAKED, SUSPECT, hostile, mixed, outcome, suspects, verdict, written

from dataaudit.findings.verdict import Verdict

PARSER = MarkdownIt("gfm-like", {"linkify": False}).enable("table")
OURS = {
    *("heading_open", "heading_close", "paragraph_open", "paragraph_close", "inline", "html_block", "text"),
    *("table_open", "table_close", "thead_open", "thead_close", "tbody_open", "tbody_close", "softbreak"),
    *("tr_open", "tr_close", "th_open", "th_close", "td_open", "td_close", "code_inline", "html_inline"),
    *("bullet_list_open", "bullet_list_close", "list_item_open", "list_item_close"),
    *("strong_open", "strong_close", "fence"),
}
TAGS = ("<!-- dataaudit check -->", "<details>", "</details>", "<summary>", "</summary>")


def parsed(text):
    """Return all tokens, those inside others too."""
    for token in PARSER.parse(text):
        yield token
        yield from token.children or ()


@pytest.mark.parametrize("n", [0, 1, 43, 20_000])
def test_it_fits_a_comment(n):
    text = written("markdown", verdict(n))
    assert len(text.encode()) <= 64_000
    rows = re.findall(r"^\| `(?:data/)?(?:train\.csv )?line (\d+)` \|", text, re.MULTILINE)
    assert len(rows) == min(n, 30)
    assert (f"{n:,} findings in all." in text) == (n > 10)


@for_every_payload
def test_nothing_is_obeyed(payload):
    text = written("markdown", hostile(payload))
    assert len(text.encode()) <= 64_000
    tokens = list(parsed(text))
    assert {token.type for token in tokens} <= OURS
    for token in tokens:
        if token.type == "html_inline":
            assert token.content in TAGS
        if token.type == "html_block":
            assert set(re.findall(r"<[^>]*>", token.content)) <= set(TAGS)
            assert (
                re.sub(r"<[^>]*>", "", token.content).replace("&amp;", "").isprintable()
                or "\n" in token.content
            )
    lines = text.split("\n")
    assert not [row for row in lines if re.match(r"\s*(::|##\[|##vso)", row)]
    tables = sum(token.type == "table_open" for token in tokens)
    assert tables == sum(bool(re.fullmatch(r"\|( --- \|)+", row)) for row in lines)


def test_many_rules_of_many_datasets_fit_too():
    found = tuple(
        outcome(
            dataclasses.replace(rule, code=f"{rule.code}{i}"),
            dataset=f"d{i} " + "&" * 100,
            findings=suspects(200),
        )
        for i in range(60)
        for rule in (SUSPECT, LEAKED)
    )
    text = written("markdown", Verdict(outcomes=found))
    assert 5_000 < len(text.encode()) <= 64_000


def test_the_gravest_come_first():
    text = written("markdown", mixed())
    titles = re.findall(r"^\*\*(\S) (\S+)", text, re.MULTILINE)
    assert titles == [("✗", "DA101"), ("✗", "DA301"), ("✗", "DA501"), ("!", "DA501"), ("!", "DA401")]
    assert "| ✗ failed | DA101 suspect-labels | `spam-train` | 28 rows | 0 rows |" in text
    assert "(1 known from the base, 1 accepted)" in text
    assert "audit rule DA101" in text
