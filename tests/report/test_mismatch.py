"""Reports of a mismatch: what they say, and that every part is of the tables."""

import dataclasses
import io
import json
import re
from itertools import pairwise

import polars as pl
import pytest
from rich.cells import cell_len
from rich.console import Console
from writers.mismatch_example import real, spoilt, wide
from writers.pages import parse
from writers.payloads import for_every_payload

from dataaudit.report import figures, mismatch, shown
from dataaudit.report.blocks import plain
from dataaudit.report.findings import _traces, mismatch_findings, slices_of, values_of
from dataaudit.writers import get, names
from dataaudit.writers.console import show
from dataaudit.writers.html import page


@pytest.fixture(scope="module")
def tables():
    return real()


@pytest.fixture(scope="module")
def first(tables):
    return mismatch_findings(tables, values_of(tables), slices_of(tables))[0]


def nothing():
    return dataclasses.replace(real(), **{name: frame.clear() for name, frame in real().tables().items()})


def with_facts(tables, **facts):
    return dataclasses.replace(tables, provenance=dataclasses.replace(tables.provenance, **facts))


def said(tables):
    return " ".join(plain(sentence) for sentence in mismatch.report(tables).sentences)


def with_loss(tables, **parts):
    """Return tables whose split of the loss is (value, significant) by part."""
    rows = [
        (None, "loss", part, value, value - 0.01, value + 0.01, 1e-9, 900, sure, "")
        for part, (value, sure) in parts.items()
    ]
    kept = tables.shift.filter((pl.col("measure") != "loss") | pl.col("column").is_not_null())
    split = pl.DataFrame(rows, schema=kept.schema, orient="row")
    return dataclasses.replace(tables, shift=pl.concat([split, kept]))


def written(name, tables):
    out = io.StringIO()
    get(name, "mismatch").write(*shown(tables, folder="audit-mismatch"), out)
    return out.getvalue()


def console(tables, width=80, **settings):
    out = io.StringIO()
    show(
        mismatch.report(tables, folder="audit-mismatch"),
        Console(file=out, width=width, _environ={}, **settings),
    )
    return out.getvalue()


def test_the_headline_counts_wrong_test_rows(tables):
    n, wrong = tables.provenance.n_test, tables.provenance.n_errors
    share = f"{100 * wrong / n:.1f}\xa0%"
    assert mismatch.report(tables).headline == f"{wrong} of {n} labelled test rows are mispredicted ({share})"
    one = mismatch.report(with_facts(tables, n_errors=1, n_test=4000)).headline
    assert one == "1 of 4,000 labelled test rows is mispredicted (0.03\xa0%)"
    none = mismatch.report(with_facts(tables, n_errors=0)).headline
    assert none == f"None of {n} labelled test rows is mispredicted"


def test_the_sentences_have_losses_findings_and_checks(tables):
    p, text = tables.provenance, said(tables)
    assert f"{p.test_loss:.3g} nats, that of the 600 training rows {p.train_loss:.3g} nats" in text
    assert "Found: 1 finding of high severity" in text
    assert "above all about “age = child”" in text
    failed = tables.health["ok"].not_().sum()
    assert f"{failed} of {len(tables.health)} checks of the audit itself failed" in text or not failed
    one = tables.findings.head(1)
    two = pl.concat([one, one, one.with_columns(severity=pl.lit("note"))])
    assert "Found: 2 findings of high severity and 1 note" in said(dataclasses.replace(tables, findings=two))
    none = dataclasses.replace(tables, findings=tables.findings.clear())
    assert "No slice and no group" in said(none)


@pytest.mark.parametrize(
    ("inputs", "labels", "words"),
    [
        ((-0.018, True), (0.027, True), "It is the labels, not the inputs"),
        ((0.2, True), (0.01, False), "It is the inputs, not the labels"),
        ((0.2, True), (0.1, True), "It is inputs and labels"),
        ((0.2, False), (0.1, False), "change the loss beyond chance"),
        ((-0.2, True), (0.1, False), "make the loss larger beyond chance"),
    ],
)
def test_it_says_whether_it_is_inputs_or_labels(tables, inputs, labels, words):
    text = said(with_loss(tables, inputs=inputs, labels=labels))
    assert words in text
    if labels == (0.027, True):
        assert "inputs lower the loss by 0.018 nats a row" in text
        assert "labels given the inputs raise the loss by 0.027 nats a row" in text


def test_a_finding_has_its_rows_with_labels_and_cells(tables, first):
    row = tables.findings.row(0, named=True)
    assert (first["slice"], first["severity"], first["n_errors"]) == ("age = child", "high", row["n_errors"])
    assert first["row_ids"] == row["train_row_ids"]
    assert {r["row_id"] for r in first["rows"]} == {f"0-{i}" for i in range(5)}
    assert sorted(r["label"] for r in first["rows"]) == ["ill"] * 4 + ["well"]
    assert all((r["cells"][0].column, r["cells"][0].text) == ("age", "child") for r in first["rows"])
    assert all("y" not in {cell.column for cell in r["cells"]} for r in first["rows"])


def test_a_finding_has_its_proof_remedies_slice_and_columns(tables, first):
    assert first["predicted"] == pytest.approx(first["measured"], rel=0.05)
    assert first["measured"] < 0
    tried = tables.remedies.filter(finding=1)
    assert [r["remedy"] for r in first["remedies"]] == tried["remedy"].to_list()
    assert len({r["l2"] for r in first["remedies"] if r["remedy"] == "ridge"}) >= 5
    line = first["line"]
    assert (line["n_train"], line["n_test"], line["rate_train"]) == (5, 40, 0.8)
    whole = tables.features.filter(pl.col("level").is_null(), pl.col("finding") == 1)
    assert first["carriers"][0][0] == "age"
    assert first["carriers"][0][1] == pytest.approx(whole.filter(column="age")["finite_effect"].sum())


def test_traces_have_harmful_and_helpful_rows(tables):
    traces = _traces(tables, values_of(tables))
    assert traces
    for trace in traces:
        behind = tables.traces.filter(test_row_id=trace["test_row_id"])
        harmful = behind.filter(pl.col("delta_loss_if_removed") < 0).sort("rank")["train_row_id"].head(2)
        assert [row["row_id"] for row, change in trace["behind"] if change < 0] == harmful.to_list()
        assert trace["test"]["cells"]
        assert all(row["cells"] and row["label"] in ("ill", "well") for row, _ in trace["behind"])
    child = next(trace for trace in traces if trace["finding"] == 1)
    assert {row["row_id"] for row, change in child["behind"] if change < 0} <= {f"0-{i}" for i in range(5)}


@pytest.mark.parametrize(
    ("low", "high", "said"), [(141.2, 381.7, ["141", "382"]), (2.34, 8.0, ["2.3", "8"]), (2.0, 2e4, None)]
)
def test_numbers_of_rows_are_counts(low, high, said):
    plot = figures.concentration(pl.Series([low / 0.999, (low * high) ** 0.5, high / 1.001]))
    assert [tick.text for tick in plot.x_ticks] == (said or ["10", "100", "1,000", "10,000"])
    assert sum(int(row[2]) for row in plot.table) == 3


def test_commands_to_type_next(tables):
    base = "audit mismatch train.csv test.csv --label y"
    assert [typed for _, typed in mismatch.report(tables, folder="out").commands] == [
        "out/report.html",
        "audit verify out --top 50",
        f"{base} --where \"age = 'child'\" --out out-slice",
    ]
    chosen = with_facts(tables, command=f"{base} --rows 3 -o x --format json")
    typed = [typed for _, typed in mismatch.report(chosen, folder="x").commands]
    assert typed == ["x/report.html", "audit verify x --top 50"]
    long = with_facts(tables, command=f"{base} --features {','.join(['column'] * 60)}")
    assert len(mismatch.report(long, folder="x").commands) == 2
    assert mismatch.report(with_facts(tables, command="dataaudit.audit_mismatch")).commands == ()


def test_without_labels_only_inputs_are_spoken_of():
    report = mismatch.report(real(labelled=False), folder="out")
    assert report.headline.startswith("The inputs of 900 test rows ")
    assert "no prediction can be judged" in report.sentences[0]
    assert [typed for _, typed in report.commands] == ["out/report.html"]
    text = console(real(labelled=False))
    assert "- “age” " in text
    assert "severity" not in text
    found = parse(page(report))
    assert "Findings" not in found.texts["h2"]
    assert "Train against test" in found.texts["h2"]
    assert "apart" in found.texts["h3"]


@pytest.mark.parametrize("made", [real, lambda: real(labelled=False), nothing])
@pytest.mark.parametrize("name", names("mismatch"))
def test_every_format_draws_it(name, made):
    text = written(name, made())
    if name == "html":
        found = parse(text)
        assert found.errors == []
        assert found.count["script"] == 0
        assert len(found.ids) == len(set(found.ids))
        levels = [int(tag[1]) for tag, _, _ in found.elements if re.fullmatch(r"h[1-6]", tag)]
        assert all(b - a <= 1 for a, b in pairwise(levels))
        assert "`" not in text[text.index("<main") :]
    elif name == "json":
        assert json.loads(text)["summary"]["provenance"]["n_errors"] == made().provenance.n_errors


def test_verdict_steps_and_findings_come_first():
    found = parse(page(mismatch.report(real())))
    assert "labelled test rows are mispredicted" in found.texts["h1"]
    order = [
        "What to do next",
        "Findings",
        "How far to trust it",
        "Traced rows",
        "Train against test",
        "Slices",
    ]
    places = [found.texts["h2"].index(name) for name in order]
    assert places == sorted(places)
    cards = [
        a["aria-label"]
        for tag, a, _ in found.elements
        if tag == "article" and a.get("id", "").startswith("f")
    ]
    assert cards == [f"Finding {k}" for k in range(1, len(cards) + 1)]


def test_a_finding_shows_proof_remedies_rows_and_rates(tables):
    text = page(mismatch.report(tables))
    card = text[text.index('id="f1"') : text.index("</article>")]
    assert re.search(
        r"falls by [\d.]+ nats \(predicted\); measured by a true refit, it falls by [\d.]+ nats", card
    )
    assert {"f1-rates", "f1-proof", "f1-grid"} <= set(parse(text).ids)
    removed = tables.remedies.filter(finding=1, remedy="remove").row(0, named=True)
    assert f">{removed['errors_before']} → {removed['errors_after']}</td>" in card
    assert all(f">0-{i}</th>" in card for i in range(5))
    effects = re.findall(
        r"Removing training row <bdi>\S+</bdi> (lowers|raises) the loss of .*?: (\w+)\.", text
    )
    assert set(effects) == {("lowers", "harmful"), ("raises", "helpful")}


def test_the_console_says_verdict_findings_proof_and_what_to_type(tables):
    text = console(tables)
    row = next(row for row in text.splitlines() if row.split()[:2] == ["1", "high"])
    assert re.search(r"falls \d.*falls \d", row)
    assert "1. age = child:" in text
    assert "audit verify audit-mismatch --top 50" in " ".join(text.split())
    for width in (60, 80, 120):
        assert max(map(len, console(tables, width).splitlines())) <= width


def test_text_and_json_lines_are_one_line_a_finding(tables):
    rows = written("text", tables).splitlines()
    assert len(rows) == len(tables.findings)
    assert rows[0].split()[:5] == ["1", "high", "age", "=", "child"]
    assert "5 training rows" in rows[0]
    assert re.search(r"mean loss falls by \S+ nats \(predicted\), falls by \S+ nats \(measured\)", rows[0])
    records = [json.loads(row) for row in written("jsonl", tables).splitlines()]
    assert [row["title"] for row in records] == tables.findings["title"].to_list()
    assert [row["row_ids"] for row in records] == tables.findings["train_row_ids"].to_list()
    assert {r["remedy"] for r in records[0]["remedies"]} >= {"remove", "ridge"}


def test_markdown_shows_the_rows_of_the_first_finding(tables):
    text = written("markdown", tables)
    assert "**1. age = child: " in text
    assert "measured by a true refit" in text
    assert text.index("### Findings") < text.index("### Training rows to look at first")
    assert "### Findings" not in written("markdown", real(labelled=False))


@pytest.mark.parametrize("columns", [40, 200])
def test_many_columns_fit_into_one_megabyte(columns):
    text = page(mismatch.report(wide(columns)))
    assert len(text.encode()) <= 1_000_000
    assert parse(text).errors == []
    assert "more columns" in text


@pytest.mark.parametrize("payload", ["&" * 2000, "\x01" * 2000, "漢" * 2000])
def test_long_names_and_many_findings_fit_into_one_megabyte(payload):
    many = spoilt(payload)
    many = dataclasses.replace(many, findings=many.findings[[0] * 25])
    text = page(mismatch.report(many))
    assert len(text.encode()) <= 1_000_000
    assert parse(text).errors == []


@for_every_payload
def test_no_cell_leaves_its_place(payload):
    tables = spoilt(payload[:2000])
    found, harmless = parse(page(mismatch.report(tables))), parse(page(mismatch.report(spoilt("harmless"))))
    assert found.errors == []
    assert found.names == harmless.names
    assert found.count["details"] == harmless.count["details"]
    text = console(tables, force_terminal=True, color_system="standard")
    assert set(re.findall(r"\x1b[^m]*m?", text)) <= {"\x1b[0m", "\x1b[1m", "\x1b[2m", "\x1b[1;31m"}
    assert max(map(cell_len, re.sub(r"\x1b\[[\d;]*m", "", text).splitlines())) <= 80
    rows = [json.loads(row) for row in written("jsonl", tables).split("\n")[:-1]]
    cell = {"column": f"age{payload[:2000]}", "text": f"child{payload[:2000]}", "picture": ""}
    assert rows[0]["rows"][0]["cells"][0] == cell
