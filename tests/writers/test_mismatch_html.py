"""The page of a mismatch: well formed, self-contained, small, and in the order in which it is read."""

import base64
import dataclasses
import hashlib
import re
from itertools import pairwise

import pytest
from writers.mismatch_example import real, spoilt, wide
from writers.pages import parse

from dataaudit import MismatchAudit
from dataaudit.errors import WriteError
from dataaudit.summary import Bar, Concentration, summarise_mismatch
from dataaudit.writers import html, mismatch_html
from dataaudit.writers.mismatch_figures import concentration


def nothing():
    tables = real()
    return dataclasses.replace(tables, **{name: frame.clear() for name, frame in tables.tables().items()})


EXAMPLES = {"labelled": real, "without labels": lambda: real(labelled=False), "nothing": nothing}


@pytest.fixture(params=EXAMPLES)
def text(request):
    return mismatch_html.page(summarise_mismatch(EXAMPLES[request.param](), folder="out"))


def test_it_is_well_formed(text):
    page = parse(text)
    assert page.errors == []
    assert text.startswith("<!doctype html>")
    assert len(page.ids) == len(set(page.ids))
    assert page.count["h1"] == page.count["main"] == page.count["header"] == page.count["footer"] == 1
    assert {link[1:] for link in page.links} <= set(page.ids)
    assert not re.search(r"https?://|url\(|@import|//cdn", text)


def test_headings_go_down_one_at_a_time(text):
    levels = [int(tag[1]) for tag, _, _ in parse(text).elements if re.fullmatch(r"h[1-6]", tag)]
    assert levels[0] == 1
    assert all(b - a <= 1 for a, b in pairwise(levels))


def test_tables_have_captions_and_scopes_and_charts_have_words(text):
    page = parse(text)
    assert page.count["caption"] == page.count["table"]
    assert all(attrs.get("scope") in ("col", "row") for tag, attrs, _ in page.elements if tag == "th")
    charts = [attrs for tag, attrs, _ in page.elements if tag == "svg" and "aria-hidden" not in attrs]
    assert all(attrs["role"] == "img" for attrs in charts)
    assert all(set(attrs["aria-labelledby"].split()) <= set(page.ids) for attrs in charts)
    tables = [stack for tag, _, stack in page.elements if tag == "table" and "figure" in stack]
    assert len(tables) == page.count["figure"]
    shapes = [a for tag, a, stack in page.elements if tag in ("rect", "circle", "path") and "svg" in stack]
    assert all("fill" in attrs or "stroke" in attrs for attrs in shapes)


def test_no_script_and_the_policy_allows_none(text):
    page = parse(text)
    policy = next(
        a["content"] for _, a, _ in page.elements if a.get("http-equiv") == "Content-Security-Policy"
    )
    digest = base64.b64encode(hashlib.sha256(page.texts["style"].encode()).digest()).decode()
    assert policy.startswith(f"default-src 'none'; style-src 'sha256-{digest}'; ")
    assert "script" not in policy
    assert page.count["script"] == 0
    assert not [
        (tag, n) for tag, attrs, _ in page.elements for n in attrs if n == "style" or n.startswith("on")
    ]


def test_marks_lie_inside_their_charts(text):
    for tag, attrs, stack in parse(text).elements:
        if "svg" in stack and "figure" in stack and tag == "rect" and "x" in attrs:
            assert float(attrs["x"]) >= 20
            assert float(attrs["x"]) + float(attrs["width"]) <= 412
            assert float(attrs["width"]) > 0
    assert "nan" not in re.findall(r'(?:d|x|y|cx|cy)="([^"]*)"', text)


def test_verdict_steps_and_findings_come_first():
    text = mismatch_html.page(summarise_mismatch(real()))
    page = parse(text)
    assert "labelled test rows are mispredicted" in page.texts["h1"]
    order = [
        "What to do next",
        "Findings",
        "How far to trust it",
        "Traced rows",
        "Train against test",
        "Slices",
    ]
    places = [page.texts["h2"].index(name) for name in order]
    assert places == sorted(places)
    cards = [
        a["aria-label"] for tag, a, _ in page.elements if tag == "article" and a.get("id", "").startswith("f")
    ]
    assert cards == [f"Finding {k}" for k in range(1, len(cards) + 1)]


def test_a_finding_shows_proof_remedies_rows_and_rates():
    tables = real()
    text = mismatch_html.page(summarise_mismatch(tables))
    card = text[text.index('id="f1"') : text.index("</article>")]
    assert re.search(
        r"falls by [\d.]+ nats \(predicted\); measured by a true refit, it falls by [\d.]+ nats", card
    )
    assert {"f1-rates", "f1-proof", "f1-grid"} <= set(parse(text).ids)
    removed = tables.remedies.filter(finding=1, remedy="remove").row(0, named=True)
    assert f"<td>{removed['errors_before']} → {removed['errors_after']}</td>" in card
    assert all(f">0-{i}</th>" in card for i in range(5))
    assert "one Newton step for the whole group" in text
    assert "the other rows and the ridge stay as they are" in text


@pytest.mark.parametrize(
    ("low", "high", "said"), [(141.2, 381.7, ["141", "382"]), (2.34, 8.0, ["2.3", "8"]), (2.0, 2e4, None)]
)
def test_numbers_of_rows_are_counts(low, high, said):
    edges = [low * (high / low) ** (k / 4) for k in range(5)]
    bars = tuple(Bar(a, b, 3) for a, b in pairwise(edges))
    summary = dataclasses.replace(
        summarise_mismatch(real()), concentration=Concentration(bars, 12, low, (low * high) ** 0.5)
    )
    ticks = [tick.text for tick in concentration(summary).x_ticks]
    assert ticks == (said or ["10", "100", "1,000", "10,000"])


def test_influences_are_sentences_in_nats():
    text = mismatch_html.page(summarise_mismatch(real()))
    said = re.findall(
        r"<li>Removing training row (\S+) (lowers|raises) the loss of test row \S+ by \S+ nats: (\w+)\.", text
    )
    assert said
    assert {(verb, word) for _, verb, word in said} == {("lowers", "harmful"), ("raises", "helpful")}


def test_without_labels_the_page_says_so_and_compares_columns():
    page = parse(mismatch_html.page(summarise_mismatch(real(labelled=False))))
    assert "Findings" not in page.texts["h2"]
    assert "Traced rows" not in page.texts["h2"]
    assert "Train against test" in page.texts["h2"]
    assert "no prediction can be judged" in page.texts["p"]
    assert "apart" in page.ids


@pytest.mark.parametrize("columns", [40, 80, 200])
def test_many_columns_fit_into_one_megabyte(columns):
    text = mismatch_html.page(summarise_mismatch(wide(columns)))
    assert len(text.encode()) <= 1_000_000
    assert parse(text).errors == []
    assert "more columns" in text


@pytest.mark.parametrize("payload", ["&" * 2000, "\x01" * 2000, "漢" * 2000, "\u202e" * 2000])
def test_long_names_and_many_findings_fit_into_one_megabyte(payload):
    tables = spoilt(payload)
    many = dataclasses.replace(tables, findings=tables.findings.select(tables.findings.columns)[[0] * 25])
    text = mismatch_html.page(summarise_mismatch(many))
    assert len(text.encode()) <= 1_000_000
    assert parse(text).errors == []


@pytest.mark.parametrize("labelled", [True, False])
def test_names_stand_in_quotes_not_in_markdown(labelled):
    page = mismatch_html.page(summarise_mismatch(real(labelled=labelled)))
    assert "`" not in page[page.index("<main") :]
    assert "“age” " in page


def test_the_same_run_gives_the_same_bytes():
    assert mismatch_html.page(summarise_mismatch(real())) == mismatch_html.page(summarise_mismatch(real()))


def test_the_report_is_written_whole_or_not_at_all(tmp_path):
    path = html.write_report(real(), tmp_path / "report.html")
    shown = mismatch_html.page(summarise_mismatch(real(), folder=tmp_path.as_posix()))
    assert path.read_text(encoding="utf-8") == shown
    assert [entry.name for entry in tmp_path.iterdir()] == ["report.html"]
    with pytest.raises(WriteError, match="the report cannot be written"):
        html.write_report(real(), path / "below" / "report.html")


def test_an_audit_writes_its_report_and_shows_it_in_a_notebook(tmp_path):
    audit = MismatchAudit(real())
    folder = audit.write(tmp_path / "out")
    assert (folder / "report.html").read_text(encoding="utf-8").startswith("<!doctype html>")
    assert (folder / "findings.parquet").exists()
    assert audit._repr_html_() == html.notebook(real())


def test_a_notebook_gets_the_page_in_a_closed_frame():
    ((tag, attrs, _),) = parse(html.notebook(real())).elements
    assert (tag, attrs["sandbox"]) == ("iframe", "allow-scripts allow-downloads")
    assert parse(attrs["srcdoc"]).errors == []
