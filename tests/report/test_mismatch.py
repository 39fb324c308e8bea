"""Reports of a mismatch: what they say, and that every part is of the tables."""

import dataclasses
import io
import json
import re
import shlex
from itertools import pairwise

import polars as pl
import pytest
from report.made import MADE
from rich.cells import cell_len
from rich.console import Console
from writers.mismatch_example import real, spoilt, wide
from writers.pages import parse
from writers.payloads import for_every_payload

from dataaudit.report import figures, mismatch, shown
from dataaudit.report.blocks import plain
from dataaudit.report.findings import _traces, findings_of
from dataaudit.report.rows import values_of
from dataaudit.writers import get, names
from dataaudit.writers.console import show
from dataaudit.writers.html import page


@pytest.fixture(scope="module")
def tables():
    return real()


@pytest.fixture(scope="module")
def made():
    """A slice with a by-product, and a column that moved."""
    return MADE["mismatch"]()


@pytest.fixture(scope="module")
def first(made):
    return findings_of(made, values_of(made.cells))[0]


def nothing():
    return dataclasses.replace(real(), **{name: frame.clear() for name, frame in real().tables().items()})


def with_facts(tables, **facts):
    return dataclasses.replace(tables, provenance=dataclasses.replace(tables.provenance, **facts))


def said(tables):
    return " ".join(plain(sentence) for sentence in mismatch.report(tables).sentences)


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


def test_the_sentences_have_losses_causes_and_checks(made):
    text = said(made)
    assert "0.7 nats, that of the 40 training rows 0.3 nats" in text
    assert "Labels given the inputs changed: age = child: 4 of 8 test rows are wrong." in text
    assert "Inputs changed: “mass” is 2.2 times as large in test at every quantile: pounds for" in text
    assert "Found: 1 cause of high severity, 1 cause of medium severity and 1 by-product." in text
    assert "1 of 2 checks of the audit itself failed" in text
    one = made.findings.head(1)
    notes = pl.concat([one, one]).with_columns(severity=pl.lit("note"))
    text = said(dataclasses.replace(made, findings=notes))
    assert "Neither inputs nor labels: nothing that was tried" in text
    assert "Found: 2 notes." in text
    assert "changed" not in text


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("exchange", "Inputs changed: "),
        ("rates", "Class rates changed: "),
        ("copies", "Labels contradict each other: "),
        ("row", "A training row misleads: "),
        ("slice", "Labels given the inputs changed: "),
    ],
)
def test_the_verdict_is_that_of_the_first_cause(made, kind, words):
    findings = made.findings.head(1).with_columns(kind=pl.lit(kind))
    assert f"{words}age = child: 4 of 8" in said(dataclasses.replace(made, findings=findings))


def test_rows_that_training_lacks_are_no_change_of_labels(made):
    findings = made.findings.head(1).with_columns(n_train_rows=pl.lit(0, pl.Int64))
    assert "Test has rows that training lacks: age" in said(dataclasses.replace(made, findings=findings))


def test_the_split_of_the_loss_is_no_verdict(made):
    split = made.shift.head(1).with_columns(
        measure=pl.lit("loss"), level=pl.lit("labels"), value=0.3, message=pl.lit("Labels explain it.")
    )
    with_split = dataclasses.replace(made, shift=pl.concat([made.shift, split]))
    assert said(with_split) == said(made)
    text = page(mismatch.report(with_split))
    assert text.index('<section id="findings"') < text.index("Labels explain it.")


def test_a_finding_has_its_rows_fixes_and_by_products(made, first):
    assert (first["about"], first["severity"]) == ("age = child", "high")
    assert [row["row_id"] for row in first["rows"]] == ["t1", "t2"]
    assert {row["label"] for row in first["rows"]} == {"yes"}
    assert all("y" not in {cell.column for cell in row["cells"]} for row in first["rows"])
    assert [fix["fix"] for fix in first["fixes"]] == ["remove", "relabel"]
    assert first["telling"] == {"age"}


def test_what_is_found_is_named_in_a_few_words(made):
    one = made.findings.head(1)
    kinds = {
        "slice": "age = child",
        "row": "training row t1",
        "rows": "2 training rows",
        "rates": "class rates",
    }
    for kind, name in kinds.items():
        slice_ = "age = child" if kind == "slice" else ""
        found = one.with_columns(kind=pl.lit(kind), slice=pl.lit(slice_))
        assert findings_of(dataclasses.replace(made, findings=found), {})[0]["about"] == name


def test_traces_have_harmful_and_helpful_rows(tables):
    traces = _traces(tables, values_of(tables.cells))
    assert traces
    for trace in traces:
        behind = tables.traces.filter(test_row_id=trace["test_row_id"])
        harmful = behind.filter(pl.col("delta_loss_if_removed") < 0).sort("rank")["train_row_id"].head(2)
        assert [row["row_id"] for row, change in trace["behind"] if change < 0] == harmful.to_list()
        assert trace["test"]["cells"]
        assert all(row["cells"] and row["label"] in ("ill", "well") for row, _ in trace["behind"])
    behind = [row["row_id"] for trace in traces for row, change in trace["behind"] if change < 0]
    assert {f"0-{i}" for i in range(5)} & set(behind)


@pytest.mark.parametrize(
    ("low", "high", "said"), [(141.2, 381.7, ["141", "382"]), (2.34, 8.0, ["2.3", "8"]), (2.0, 2e4, None)]
)
def test_numbers_of_rows_are_counts(low, high, said):
    plot = figures.concentration(pl.Series([low / 0.999, (low * high) ** 0.5, high / 1.001]))
    assert [tick.text for tick in plot.x_ticks] == (said or ["10", "100", "1,000", "10,000"])
    assert sum(int(row[2]) for row in plot.table) == 3


def test_commands_to_type_next(made):
    base = "audit mismatch train.csv test.csv --label y"
    roles = ({"column": "age", "role": "categorical", "reason": ""},)
    made = with_facts(made, roles=roles)
    assert [typed for _, typed in mismatch.report(made, folder="out").commands] == [
        "out/report.html",
        "audit verify out --top 50",
        f"{base} --where \"age = 'child'\" --out out-slice",
    ]
    both = {"columns": ["age", "the site"], "levels": ["child", "St. John's"]}
    pair = dataclasses.replace(made, findings=made.findings.head(1).with_columns(
        **{name: pl.lit(values, dtype=pl.List(pl.String)) for name, values in both.items()}
    ))  # fmt: skip
    pair = with_facts(pair, roles=(*roles, {"column": "the site", "role": "categorical", "reason": ""}))
    condition = "age = 'child' and \"the site\" = 'St. John''s'"
    assert shlex.quote(condition) in mismatch.report(pair, folder="out").commands[-1][1]
    chosen = with_facts(made, command=f"{base} --rows 3 -o x --format json")
    typed = [typed for _, typed in mismatch.report(chosen, folder="x").commands]
    assert typed == ["x/report.html", "audit verify x --top 50"]
    long = with_facts(made, command=f"{base} --features {','.join(['column'] * 60)}")
    assert len(mismatch.report(long, folder="x").commands) == 2
    assert mismatch.report(with_facts(made, command="dataaudit.audit_mismatch")).commands == ()


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


@pytest.mark.parametrize("made", [real, lambda: real(labelled=False), nothing, MADE["mismatch"]])
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


def test_verdict_steps_and_findings_come_first(made):
    found = parse(page(mismatch.report(made)))
    assert "labelled test rows are mispredicted" in found.texts["h1"]
    order = [
        "What to do next",
        "Findings",
        "Train against test",
        "How far to trust it",
        "Traced rows",
        "Slices",
    ]
    places = [found.texts["h2"].index(name) for name in order]
    assert places == sorted(places)
    cards = [
        a["aria-label"]
        for tag, a, _ in found.elements
        if tag == "article" and a.get("id", "").startswith("f")
    ]
    assert cards == ["Finding 1", "Finding 3"]  # the second is a by-product


def test_a_finding_shows_its_worth_its_picture_what_was_tried_and_its_by_products(made):
    text = page(mismatch.report(made))
    card = text[text.index('id="f1"') : text.index("</article>")]
    assert "worth 6.4 nats of the summed test loss (45\xa0%; 95 % interval 3.2 to 9.6)" in card
    assert "by a true refit it falls by 0.32 nats" in card
    assert "its rows, as it is" in card
    assert ">4 of 8 wrong</text>" in card
    assert "other rows, fixed" in card
    assert ">2 of 12 wrong</text>" in card
    tried = [card.index(detail) for detail in ("2 training rows removed", "2 training rows relabelled")]
    assert tried == sorted(tried)
    assert ">6\xa0→\xa03</td>" in card
    assert card.index("1 by-product: gone, or nearly, once it is fixed") < card.index("mass &lt; 40")
    assert all(f">{row}</th>" in card for row in ("t1", "t2"))


def test_a_column_is_drawn_in_training_in_test_and_fixed(made):
    text = page(mismatch.report(made))
    card = text[text.index('id="f3"') :]
    assert {"f3-column-0", "f3-column-0-t"} <= set(parse(text).ids)
    chart = card[card.index("<svg") : card.index("</svg>")]
    assert "training (grey), test (red), test once it is fixed (green)" in chart
    assert chart.count('stroke-dasharray="5 4"') == 1
    levels = dataclasses.replace(
        made, provenance=dataclasses.replace(made.provenance, roles=()), profiles=made.profiles
    )
    card = page(mismatch.report(levels))
    assert "80\xa0% → 20\xa0% → 30\xa0%" in card[card.index('id="f3"') :]


@pytest.mark.parametrize("kind", ["copies", "row"])
def test_rows_stand_next_to_the_test_rows(made, kind):
    findings = made.findings.head(1).with_columns(kind=pl.lit(kind))
    text = page(mismatch.report(dataclasses.replace(made, findings=findings)))
    card = text[text.index('id="f1"') : text.index("</article>")]
    assert ">training row t1</th>" in card
    assert ">test row q1</th>" in card
    assert "f1-own" not in card


def test_copies_stand_next_to_the_row_that_they_copy(made):
    cells = made.cells.with_columns(
        cell=pl.when(pl.col("column").eq("age") & pl.col("row_id").eq("t2"))
        .then(pl.lit("adult"))
        .otherwise("cell")
    )
    findings = made.findings.head(1).with_columns(kind=pl.lit("copies"))
    copies = dataclasses.replace(made, findings=findings, cells=cells)
    rows = findings_of(copies, values_of(copies.cells))[0]["rows"]
    assert [(row["part"], row["row_id"]) for row in rows] == [("train", "t1"), ("test", "q1")]


def test_notes_are_folded_and_nothing_is_advised_for_them(made):
    notes = made.findings.with_columns(severity=pl.lit("note"), under=pl.lit(None, pl.Int64))
    report = mismatch.report(dataclasses.replace(made, findings=notes))
    text = page(report)
    assert "3 notes: worth little, or no more than chance</summary>" in text
    assert "<article" not in text[text.index('id="findings"') : text.index('id="shift"')]
    assert not any("Divide" in plain(step) for _, step in report.steps)
    assert "What to do" not in console(dataclasses.replace(made, findings=notes))


def test_training_rows_that_cost_most_have_bars(made):
    text = page(mismatch.report(made))
    traced = text[text.index('<section id="traced"') :]
    assert "falls\xa00.5" in traced
    assert re.search(r"Removing training <bdi>row t1</bdi> lowers its loss by [\d.]+ nats: harmful", traced)


def test_the_console_says_verdict_first_suspects_and_what_to_type(made):
    text = console(made)
    row = next(row for row in text.splitlines() if row.split()[:2] == ["1", "high"])
    assert re.search(r"age = child +6\.4 +45% +6.→.3", row)
    assert "What to do: Look at these 2 training rows" in text
    assert text.index("What to do") < text.index(row) < text.index("Next")
    assert "Gone, or nearly, once its cause is fixed: “mass < 40”." in " ".join(text.split())
    assert text.count("mass < 40") == 1, "a by-product has no line in the table"
    assert "audit verify audit-mismatch --top 50" in " ".join(text.split())
    for width in (60, 80, 120):
        assert max(map(len, console(made, width).splitlines())) <= width


def test_text_and_json_lines_are_one_line_a_finding(made):
    rows = written("text", made).splitlines()
    assert len(rows) == len(made.findings)
    assert rows[0].split()[:5] == ["1", "high", "age", "=", "child"]
    assert "worth 6.4 nats (45\xa0%)" in rows[0]
    assert "by-product of 1" in rows[1]
    records = [json.loads(row) for row in written("jsonl", made).splitlines()]
    assert [row["title"] for row in records] == made.findings["title"].to_list()
    assert [row["train_row_ids"] for row in records] == made.findings["train_row_ids"].to_list()
    assert [fix["fix"] for fix in records[0]["fixes"]] == ["remove", "relabel"]


def test_markdown_says_what_to_do_before_the_table(made):
    text = written("markdown", made)
    assert text.index("**What to do:** ") < text.index("| 1 | high | `age = child` |")
    assert text.index("### Findings") < text.index("<summary>Finding 1: what was tried</summary>")
    assert "| **2 training rows removed** | 6.4 |" in text
    assert "### Findings" not in written("markdown", real(labelled=False))


@pytest.mark.parametrize("columns", [40, 200])
def test_many_columns_fit_into_one_megabyte(columns):
    text = page(mismatch.report(wide(columns)))
    assert len(text.encode()) <= 1_000_000
    assert parse(text).errors == []
    assert "more columns" in text


@pytest.mark.parametrize("payload", ["&" * 2000, "\x01" * 2000, "漢" * 2000])
def test_long_names_and_many_findings_fit_into_one_megabyte(payload):
    many = spoilt(payload, tables=MADE["mismatch"]())
    many = dataclasses.replace(many, findings=many.findings[[0] * 25])
    text = page(mismatch.report(many))
    assert len(text.encode()) <= 1_000_000
    assert parse(text).errors == []


@for_every_payload
def test_no_cell_leaves_its_place(payload, made):
    tables = spoilt(payload[:2000], tables=made)
    harmless = parse(page(mismatch.report(spoilt("harmless", tables=made))))
    found = parse(page(mismatch.report(tables)))
    assert found.errors == []
    assert found.names == harmless.names
    assert found.count["details"] == harmless.count["details"]
    text = console(tables, force_terminal=True, color_system="standard")
    assert set(re.findall(r"\x1b[^m]*m?", text)) <= {"\x1b[0m", "\x1b[1m", "\x1b[2m", "\x1b[1;31m"}
    assert max(map(cell_len, re.sub(r"\x1b\[[\d;]*m", "", text).splitlines())) <= 80
