"""The page of any report: well formed, harmless, small, and read without script, style and network."""

import base64
import hashlib
import json
import re
import time
from functools import cache
from itertools import pairwise

import numpy as np
import polars as pl
import pytest
from writers.pages import parse
from writers.payloads import PAYLOADS, for_every_payload
from writers.synthetic import NUMBERS, every_block

import dataaudit
from dataaudit.writers.html import framed, page, parted

# What the documentation of a rule, which is Markdown, may have.
OF_DOCUMENTS = {"p", "h5", "h6", "ul", "li", "ol", "hr", "blockquote", "pre", "code", "em", "ol start"}
SAME = ("h1", "h2", "style", "script", "details", "table", "svg")


@cache
def harmless():
    return parse(page(every_block("harmless")))


@pytest.fixture(scope="module")
def text():
    return page(every_block())


def test_it_is_well_formed_and_goes_nowhere(text):
    found = parse(text)
    assert found.errors == []
    assert text.startswith("<!doctype html>")
    assert len(found.ids) == len(set(found.ids))
    assert all(found.count[tag] == 1 for tag in ("h1", "main", "header", "footer", "nav"))
    assert {link[1:] for link in found.links} <= set(found.ids)
    assert all(link.startswith("#") for link in found.links)
    assert not re.search(r"https?://|url\(|@import|//cdn", text)


def test_headings_go_down_one_at_a_time(text):
    levels = [int(tag[1]) for tag, _, _ in parse(text).elements if re.fullmatch(r"h[1-6]", tag)]
    assert levels[0] == 1
    assert all(b - a <= 1 for a, b in pairwise(levels))


def test_tables_have_captions_and_scopes_and_charts_have_words(text):
    found = parse(text)
    of_rows = [stack for tag, _, stack in found.elements if tag == "table" and "rows" in str(stack)]
    assert found.count["caption"] >= found.count["table"] - len(of_rows) - 1  # the table of keys has one too
    assert all(attrs.get("scope") in ("col", "row") for tag, attrs, _ in found.elements if tag == "th")
    charts = [attrs for tag, attrs, _ in found.elements if tag == "svg" and "aria-hidden" not in attrs]
    assert len(charts) == 2  # the matrix has too many classes to draw
    assert all(attrs["role"] == "img" for attrs in charts)
    assert all(set(attrs["aria-labelledby"].split()) <= set(found.ids) for attrs in charts)
    tables = [stack for tag, _, stack in found.elements if tag == "table" and "figure" in stack]
    assert len(tables) == found.count["figure"] == 4
    regions = [attrs for tag, attrs, _ in found.elements if attrs.get("class") == "scroll"]
    assert all(attrs["tabindex"] == "0" and attrs["aria-label"] for attrs in regions)
    shapes = [
        attrs for tag, attrs, stack in found.elements if tag in ("rect", "circle", "path") and "svg" in stack
    ]
    assert all("fill" in attrs or "stroke" in attrs for attrs in shapes)  # colours without the style sheet


def test_the_policy_allows_just_this_style_and_this_script(text):
    found = parse(text)
    policy = next(
        a["content"] for _, a, _ in found.elements if a.get("http-equiv") == "Content-Security-Policy"
    )
    data = re.search(r'<script type="application/json"[^>]*>(.*?)</script>', text, re.DOTALL)
    code = found.texts["script"].removeprefix(data.group(1))
    for content, name in ((found.texts["style"], "style-src"), (code, "script-src")):
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert f"{name} 'sha256-{digest}'" in policy
    assert policy.startswith("default-src 'none'; ")
    assert "base-uri 'none'; form-action 'none'" in policy
    assert "unsafe" not in policy
    names = [name for _, attrs, _ in found.elements for name in attrs]
    assert [name for name in names if name == "style" or name.startswith("on")] == []


def test_a_page_without_ranked_rows_has_no_script():
    report = every_block()
    kept = tuple(section for section in report.sections if section.key != "rows")
    text = page(type(report)(**{**_fields(report), "sections": kept}))
    assert "<script" not in text
    assert "script-src" not in text


def _fields(report):
    return {name: getattr(report, name) for name in type(report).__dataclass_fields__}


@for_every_payload
def test_it_is_the_same_page_whatever_the_cells_say(payload):
    made = page(every_block(payload))
    found = parse(made)
    assert found.errors == []
    assert found.names - harmless().names <= {
        "p",
        "h5",
        "h6",
        "ul",
        "li",
        "ol",
        "hr",
        "blockquote",
        "pre",
        "code",
        "em",
        "ol start",
    }
    assert harmless().names <= found.names
    assert all(
        found.count[tag] == harmless().count[tag]
        for tag in ("h1", "h2", "style", "script", "details", "table", "svg")
    )
    assert all(link.startswith("#") for link in found.links)
    data, start, code = found.texts["script"].partition("/* Finding")
    assert start
    assert harmless().texts["script"].partition("}/* Finding")[2].startswith(code)
    assert json.loads(data)["rows"][0][0] == f"mail{payload[:60]}:1"  # exact, and nothing ended the element
    assert len(made.encode()) <= 1_000_000


def test_evidence_is_marked_in_the_text_and_nowhere_else(text):
    shown = re.search(r'<div class="t" dir="auto">(.*?)</div>', text).group(1)
    assert shown == "the <mark>deal</mark> and the <em>gas</em> "


def test_it_shows_what_is_for_the_page_alone(text):
    assert "Only on the page." in text
    assert "Only in Markdown." not in text
    assert "Only on a terminal." not in text
    assert "audit look" not in text
    assert f"<caption>{NUMBERS}</caption>" in text
    assert "… and 2 more rows: rows.parquet." in text
    assert "… and 1 more finding." in text
    assert "Rows 1 to 12 of 40, the most suspect first." in text
    assert '<li class="bad"><b>Failed</b> It is not.</li>' in text


@pytest.mark.parametrize(
    ("cell", "least"),
    [("", 500), ("word " * 200, 500), ("&<>\"'" * 200, 200), ("\x01" * 900, 200), ("漢" * 900, 200)],
)
def test_500_rows_fit_into_one_megabyte(cell, least):
    text = page(every_block(cell, ranked=500))
    assert len(text.encode()) <= 1_000_000
    assert text.count("<li data-l") >= least
    assert parse(text).errors == []


def test_too_much_is_shown_in_less_detail():
    text = page(every_block("&" * 3000, rows=600, cards=100, cells=60))
    found = parse(text)
    assert len(text.encode()) <= 1_000_000
    assert found.errors == []
    assert "more findings, all in findings.parquet." in text
    assert 'id="r12"' in text


def test_500_rows_are_written_within_a_second():
    report = every_block("a few words of the data", ranked=500)
    page(every_block())  # templates are compiled once
    times = []
    for _ in range(3):
        start = time.perf_counter()
        page(report)
        times.append(time.perf_counter() - start)
    assert min(times) < 1.0


def test_the_same_report_gives_the_same_bytes():
    assert page(every_block()) == page(every_block())


@pytest.mark.parametrize("payload", list(PAYLOADS.values())[:8])
def test_a_page_in_parts_has_nothing_inside_it(payload):
    parts = parted(page(every_block(payload)))
    found = parse(parts["report.html"])
    assert list(parts) == ["report.css", "report.js", "report.html"]
    assert found.errors == []
    assert found.count["style"] == 0
    scripts = [values for tag, values, _ in found.elements if tag == "script"]
    assert [values for values in scripts if "type" not in values] == [{"src": "report.js"}]
    assert [link for link in found.links if not link.startswith("#")] == ["report.css", "report.js"]
    policy = next(a["content"] for tag, a, _ in found.elements if tag == "meta" and "content" in a)
    assert "style-src 'self'; script-src 'self'" in policy
    assert "sha256" not in policy


def test_a_notebook_gets_the_page_in_a_closed_frame(text):
    (tag, attrs, _), *more = parse(framed(text, "A <title>", height=500)).elements
    assert (tag, more) == ("iframe", [])
    assert attrs["sandbox"] == ""  # no script, no form, no way to the notebook
    assert parse(attrs["srcdoc"]).errors == []


def luminance(colour):
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_both_palettes_have_contrast(text):
    style = parse(text).texts["style"]
    rules = re.findall(r":root \{(.*?)\}", style, re.DOTALL)
    palettes = [dict(re.findall(r"--(\w+): (#[0-9a-f]{6})", rule)) for rule in rules]
    assert len(palettes) == 3  # light, dark, print
    pairs = [
        (ink, ground)
        for ink in ("ink", "soft", "accent", "against", "ok")
        for ground in ("paper", "card", "wash")
    ]
    for palette in palettes[:2]:
        for ink, ground in (*pairs, ("ink", "mark")):
            light, dark = sorted((luminance(palette[ink]), luminance(palette[ground])), reverse=True)
            assert (light + 0.05) / (dark + 0.05) >= 4.5, (ink, ground)


def test_a_glance_of_hostile_cells_runs_and_loads_nothing(tmp_path):
    hostile = '</iframe><script>alert(1)</script><img src="https://a.b/c.png">'
    frame = pl.DataFrame({hostile: np.random.default_rng(0).normal(size=60), "y": ["a", hostile] * 30})
    path = tmp_path / "d.parquet"
    frame.write_parquet(path)
    audit = dataaudit.audit_labels(path, label="y", top=3, verify=0)
    audit.write(tmp_path / "found")
    for result in (
        audit,
        dataaudit.plan(path, label="y"),
        dataaudit.verify(tmp_path / "found", top=2),
    ):
        text = result._repr_html_()
        (tag, attrs, _), *more = parse(text).elements
        assert (tag, more, attrs["sandbox"]) == ("iframe", [], "")
        inner = parse(attrs["srcdoc"])
        assert inner.errors == []
        assert not {"script", "img", "link", "iframe"} & {name for name, _, _ in inner.elements}
