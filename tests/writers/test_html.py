import base64
import dataclasses
import hashlib
import html as stdlib_html
import json
import re
import time
from itertools import pairwise

import polars as pl
import pytest
from writers.example import made_up
from writers.pages import parse

from dataaudit.errors import WriteError
from dataaudit.summary import summarise
from dataaudit.summary.redaction import told
from dataaudit.writers import html

EXAMPLES = {
    "text": made_up(),
    "table": made_up(text=False),
    "classes": made_up(n=200, classes=tuple("abcdefg")),
    "many classes": made_up(n=200, classes=tuple(f"class {k}" for k in range(40))),
    "one row": made_up(n=1),
}


def nothing():
    findings = made_up(n=3)
    return dataclasses.replace(findings, **{name: frame.clear() for name, frame in findings.tables().items()})


@pytest.fixture(params=[*EXAMPLES, "nothing"])
def text(request):
    findings = nothing() if request.param == "nothing" else EXAMPLES[request.param]
    return html.page(summarise(findings, folder="out"))


def test_it_is_well_formed(text):
    page = parse(text)
    assert page.errors == []
    assert text.startswith("<!doctype html>")
    assert len(page.ids) == len(set(page.ids))
    assert page.count["h1"] == page.count["main"] == page.count["header"] == page.count["footer"] == 1
    assert page.count["nav"] == 1


def test_links_stay_on_the_page_and_lead_somewhere(text):
    page = parse(text)
    assert page.links
    assert {link[1:] for link in page.links} <= set(page.ids)
    assert all(link.startswith("#") for link in page.links)
    assert not re.search(r"https?://|url\(|@import|//cdn", text)


def test_headings_go_down_one_at_a_time(text):
    levels = [int(tag[1]) for tag, _, _ in parse(text).elements if re.fullmatch(r"h[1-6]", tag)]
    assert levels[0] == 1
    assert all(b - a <= 1 for a, b in pairwise(levels))


def test_tables_have_captions_and_scopes_and_charts_have_words(text):
    page = parse(text)
    of_rows = [stack for tag, _, stack in page.elements if tag == "table" and "ol" in stack]
    assert page.count["caption"] == page.count["table"] - len(of_rows)
    assert all(attrs.get("scope") in ("col", "row") for tag, attrs, _ in page.elements if tag == "th")
    charts = [attrs for tag, attrs, _ in page.elements if tag == "svg" and "aria-hidden" not in attrs]
    assert all(attrs["role"] == "img" for attrs in charts)
    assert all(set(attrs["aria-labelledby"].split()) <= set(page.ids) for attrs in charts)
    tables = [stack for tag, _, stack in page.elements if tag == "table" and "figure" in stack]
    assert len(tables) == page.count["figure"]
    regions = [attrs for tag, attrs, _ in page.elements if attrs.get("class") == "scroll"]
    assert all(attrs["tabindex"] == "0" and attrs["aria-label"] for attrs in regions)


def test_charts_carry_their_colours_without_the_style_sheet(text):
    shapes = [
        attrs
        for tag, attrs, stack in parse(text).elements
        if tag in ("rect", "circle", "path") and "svg" in stack
    ]
    assert all("fill" in attrs or "stroke" in attrs for attrs in shapes)


def test_the_policy_allows_just_this_style_and_this_script(text):
    page = parse(text)
    policy = next(
        a["content"] for _, a, _ in page.elements if a.get("http-equiv") == "Content-Security-Policy"
    )
    data = re.search(r'<script type="application/json"[^>]*>(.*?)</script>', text, re.DOTALL)
    code = page.texts["script"].removeprefix(data.group(1) if data else "")
    for content, name in ((page.texts["style"], "style-src"), (code, "script-src")):
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert f"{name} 'sha256-{digest}'" in policy
    assert policy.startswith("default-src 'none'; ")
    assert "base-uri 'none'; form-action 'none'" in policy
    assert "unsafe" not in policy
    inline = [
        (tag, name)
        for tag, attrs, _ in page.elements
        for name in attrs
        if name == "style" or name.startswith("on")
    ]
    assert inline == []


def test_marks_lie_inside_their_charts(text):
    for tag, attrs, stack in parse(text).elements:
        if "svg" not in stack or "figure" not in stack:
            continue
        if tag == "circle":
            assert 46 <= float(attrs["cx"]) <= 404
            assert 20 <= float(attrs["cy"]) <= 200
        if tag == "rect" and "x" in attrs:
            assert float(attrs["x"]) >= 46
            assert float(attrs["x"]) + float(attrs["width"]) <= 412
            assert float(attrs["width"]) > 0
            assert float(attrs["height"]) >= 0
    assert "nan" not in re.findall(r'(?:d|x|y|cx|cy)="([^"]*)"', text)


def test_it_says_first_what_was_found_and_what_to_do():
    page = parse(html.page(summarise(made_up(n=60))))
    headings = page.texts["h2"]
    assert page.texts["h1"].startswith("About 16 of 60 labels are probably wrong")
    assert headings.startswith("What to do nextThe ten rows to look at firstHow far to trust it")
    first = [attrs["aria-label"] for tag, attrs, _ in page.elements if tag == "article"]
    assert first == [f"Row number {k}" for k in range(1, 11)]


def test_evidence_is_marked_in_the_text_and_nowhere_else():
    findings = made_up(n=1, cell="The METER, the deal & <b>gas</b>; meters")
    text = html.page(summarise(findings))
    shown = re.search(r'<div class="t" dir="auto">(.*?)</div>', text).group(1)
    against = findings.evidence.filter(pl.col("contribution") < 0)["level"].to_list()
    assert {"deal", "gas"} <= set(against)
    assert shown == "The METER, the <mark>deal</mark> &amp; &lt;b&gt;<mark>gas</mark>&lt;/b&gt;; meters"


def test_a_failed_check_comes_before_the_steps():
    findings = made_up()
    bad = findings.health.with_columns(ok=pl.col("check") != "calibration")
    text = html.page(summarise(dataclasses.replace(findings, health=bad)))
    assert text.index("See what is wrong with the audit itself.") < text.index("Read the ten rows below.")
    assert '<li class="bad"><b>Failed</b> Left-out probabilities are calibrated.</li>' in text


@pytest.mark.parametrize("cell", [None, "word " * 200, "&<>\"'" * 200, "\x01" * 900, "漢" * 900])
def test_500_rows_fit_into_one_megabyte(cell):
    text = html.page(summarise(made_up(n=700, cell=cell)))
    page = parse(text)
    assert len(text.encode()) <= 1_000_000
    assert page.errors == []
    shown = sum(tag == "li" and "data-l" in attrs for tag, attrs, _ in page.elements)
    assert shown == 500
    assert "Rows 1 to 500 of 700, the most suspect first." in text
    assert "… and 200 more rows" in text


def test_wide_tables_and_long_names_still_fit():
    findings = made_up(n=500, text=False, hostile="&" * 3000)
    text = html.page(summarise(findings))
    assert len(text.encode()) <= 1_000_000
    assert parse(text).errors == []
    assert 'id="r10"' in text


def test_500_rows_are_written_within_a_second():
    summary = summarise(made_up(n=500))
    html.page(summary, rows=1)  # templates are compiled once
    times = []
    for _ in range(3):
        start = time.perf_counter()
        html.page(summary)
        times.append(time.perf_counter() - start)
    assert min(times) < 1.0


def test_the_same_run_gives_the_same_bytes():
    assert html.page(summarise(made_up())) == html.page(summarise(made_up()))


def test_a_notebook_gets_the_page_in_a_closed_frame():
    shown = html.notebook(made_up(n=100))
    frame = parse(shown)
    (tag, attrs, _), *more = frame.elements
    assert (tag, more) == ("iframe", [])
    assert attrs["sandbox"] == "allow-scripts allow-downloads"
    inner = parse(attrs["srcdoc"])
    assert inner.errors == []
    assert inner.count["h1"] == 1
    assert stdlib_html.unescape(shown).count("<li data-l") == 50


def test_the_report_is_written_whole_or_not_at_all(tmp_path):
    path = html.write_report(made_up(), tmp_path / "report.html")
    assert path.read_text(encoding="utf-8") == html.page(summarise(made_up(), folder=tmp_path.as_posix()))
    assert [entry.name for entry in tmp_path.iterdir()] == ["report.html"]
    with pytest.raises(WriteError, match="the report cannot be written"):
        html.write_report(made_up(), path / "below" / "report.html")


def luminance(colour):
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_both_palettes_have_contrast():
    style = parse(html.page(summarise(made_up(n=1)))).texts["style"]
    palettes = [
        dict(re.findall(r"--(\w+): (#[0-9a-f]{6})", rule))
        for rule in re.findall(r":root \{(.*?)\}", style, re.DOTALL)
    ]
    assert len(palettes) == 3  # light, dark, print
    for palette in palettes[:2]:
        for ink in ("ink", "soft", "accent", "against", "ok"):
            for ground in ("paper", "card", "wash"):
                light, dark = sorted((luminance(palette[ink]), luminance(palette[ground])), reverse=True)
                assert (light + 0.05) / (dark + 0.05) >= 4.5, (ink, ground)
        light, dark = sorted((luminance(palette["ink"]), luminance(palette["mark"])), reverse=True)
        assert (light + 0.05) / (dark + 0.05) >= 4.5


def test_names_too_long_or_withheld_leave_the_review_out():
    plain = html.page(summarise(made_up()))
    assert 'id="review-data"' in plain
    long = html.page(summarise(made_up(hostile="x" * 400)))
    withheld = html.page(told(made_up(), "all")[1])
    for text in (long, withheld):
        page = parse(text)
        assert page.errors == []
        assert "review-data" not in page.ids
        assert "localStorage" not in text


def test_what_the_script_is_given_is_exact_and_harmless():
    text = html.page(told(made_up(hostile="</script>\u2028&'\"<!--"), "cells")[1])
    given = re.search(
        r'<script type="application/json" id="review-data">(.*?)</script>', text, re.DOTALL
    ).group(1)
    assert not set("<>&\u2028") & set(given)
    values = json.loads(given)
    findings = made_up(hostile="</script>\u2028&'\"<!--")
    rows = findings.labels.select("row_id", "label", "suggested_label").rows()
    assert [(name, values["classes"][a], values["classes"][b]) for name, a, b, _ in values["rows"]] == rows
    assert values["run"] == findings.provenance.run_id
    assert values["expected"] == pytest.approx(findings.labels["p_wrong"].sum(), abs=1e-3)
