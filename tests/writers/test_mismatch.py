"""Console, text and JSON of a mismatch, and that nothing in the data steers what reads them."""

import dataclasses
import io
import json
import re
import unicodedata

import pytest
from rich.cells import cell_len
from rich.console import Console
from writers.mismatch_example import real, spoilt
from writers.pages import parse
from writers.payloads import PAYLOADS

from dataaudit.summary import summarise_mismatch
from dataaudit.writers import Writer, get, mismatch_html, names
from dataaudit.writers.mismatch_console import show

JOINERS = "\u200c\u200d"


def written(name, tables):
    out = io.StringIO()
    get(name, "mismatch").write(tables, summarise_mismatch(tables, folder="audit-mismatch"), out)
    return out.getvalue()


def shown(tables, *, width=80, **settings):
    out = io.StringIO()
    show(summarise_mismatch(tables, folder="audit-mismatch"), Console(file=out, width=width, **settings))
    return out.getvalue()


@pytest.mark.parametrize("labelled", [True, False])
@pytest.mark.parametrize("name", names("mismatch"))
def test_every_format_writes_something(name, labelled):
    assert isinstance(get(name, "mismatch"), Writer)
    assert get(name, "mismatch").name == name
    text = written(name, real(labelled=labelled))
    if labelled or name not in ("text", "jsonl"):
        assert text.rstrip()
    else:
        assert text == ""  # there are no findings


def test_the_console_says_verdict_findings_proof_and_what_to_type():
    text = shown(real())
    flat = " ".join(text.split())
    assert "labelled test rows are mispredicted (" in flat
    row = next(row for row in text.splitlines() if "age = child" in row and "high" in row)
    assert re.search(r"falls \d.*falls \d", row)
    assert "1. age = child:" in text
    assert "audit-mismatch/report.html" in text
    assert "audit verify audit-mismatch --top 50" in flat


def test_the_console_without_labels_names_the_columns():
    text = shown(real(labelled=False))
    assert "no prediction can be judged" in " ".join(text.split())
    assert "- “age” " in text
    assert "`" not in text
    assert "severity" not in text


@pytest.mark.parametrize("width", [60, 80, 120])
def test_no_line_is_wider_than_the_terminal(width):
    assert max(map(len, shown(real(), width=width).splitlines())) <= width


@pytest.mark.parametrize("name", ["console", "text", "html"])
def test_no_change_of_loss_is_a_bare_signed_number(name):
    tables = real()
    parts = {
        "findings": tables.findings.filter(finding=1),
        "shift": tables.shift.clear(),
        "health": tables.health.filter(check="gradient norm"),
    }  # what other modules word
    plain = dataclasses.replace(tables, **parts)
    text = re.sub(r"<style>.*?</style>|<svg.*?</svg>", "", written(name, plain), flags=re.DOTALL)
    assert not re.search(r"[\s>(][−+]\d", text)
    assert "falls by" in text or "falls 1" in text


def test_text_is_one_line_a_finding():
    tables = real()
    rows = written("text", tables).splitlines()
    assert len(rows) == len(tables.findings)
    assert rows[0].split()[:5] == ["1", "high", "age", "=", "child"]
    assert "5 training rows" in rows[0]
    assert re.search(r"mean loss falls by \S+ nats \(predicted\), falls by \S+ nats \(measured\)", rows[0])


def test_json_lines_are_the_findings_with_their_remedies():
    tables = real()
    rows = [json.loads(row) for row in written("jsonl", tables).splitlines()]
    assert [row["title"] for row in rows] == tables.findings["title"].to_list()
    assert [tuple(row["row_ids"]) for row in rows] == [
        tuple(v) for v in tables.findings["train_row_ids"].to_list()
    ]
    assert {r["remedy"] for r in rows[0]["remedies"]} >= {"remove", "ridge"}


def test_json_is_the_summary_and_all_slices():
    tables = real()
    document = json.loads(written("json", tables))
    assert document.keys() == {"summary", "slices"}
    assert len(document["slices"]) == len(tables.slices)
    assert document["summary"]["findings"][0]["slice"] == "age = child"
    assert document["summary"]["provenance"]["n_errors"] == tables.provenance.n_errors


def dangerous(text):
    bad = ("Cc", "Cf", "Cs", "Zl", "Zp")
    return {f"U+{ord(c):04X}" for c in set(text) - set("\n" + JOINERS) if unicodedata.category(c) in bad}


@pytest.fixture(scope="module", params=PAYLOADS.values(), ids=PAYLOADS)
def payload(request):
    return request.param[:2000]


def test_no_writer_lets_steering_characters_out(payload):
    tables = spoilt(payload)
    for name in names("mismatch"):
        text = written(name, tables)
        assert dangerous(text) == set(), name
        commands = [row for row in text.splitlines() if row.lstrip().startswith(("::", "##[", "##vso"))]
        assert commands == [] or name == "html"  # a page is no log


@pytest.mark.parametrize("labelled", [True, False])
def test_the_page_is_the_same_page_whatever_the_cells_say(payload, labelled):
    harmless = parse(mismatch_html.page(summarise_mismatch(spoilt("harmless", labelled=labelled))))
    page = parse(mismatch_html.page(summarise_mismatch(spoilt(payload, labelled=labelled))))
    assert page.errors == []
    assert page.names == harmless.names  # no element and no attribute more
    assert page.count["h1"] == page.count["style"] == 1
    assert page.count["script"] == 0
    assert page.count["details"] == harmless.count["details"]
    assert all(link.startswith("#") for link in page.links)


def test_json_gives_back_the_exact_cells(payload):
    rows = [json.loads(row) for row in written("jsonl", spoilt(payload)).split("\n")[:-1]]
    assert rows[0]["rows"][0]["cells"][0] == {
        "column": f"age{payload}",
        "text": f"child{payload}",
        "picture": "",
    }


def test_the_console_keeps_to_80_columns_and_its_own_colours(payload):
    text = shown(spoilt(payload), force_terminal=True, color_system="standard", _environ={})
    assert set(re.findall(r"\x1b[^m]*m?", text)) <= {"\x1b[0m", "\x1b[1m", "\x1b[2m", "\x1b[1;31m"}
    plain = re.sub(r"\x1b\[[\d;]*m", "", text)
    assert max(map(cell_len, plain.splitlines())) <= 80
