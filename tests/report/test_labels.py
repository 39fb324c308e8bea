"""Reports of labels: what they say, and that every part is of the tables."""

import dataclasses
import html
import io
import json
import math
from itertools import pairwise

import numpy as np
import polars as pl
import pytest
from rich.console import Console
from writers.example import made_up, table
from writers.pages import parse

from dataaudit.errors import WriteError
from dataaudit.findings import schemas
from dataaudit.report import figures, labels, shown
from dataaudit.report.blocks import Cell, plain
from dataaudit.report.common import Refit, refits_of
from dataaudit.report.rows import Value, excerpt, review_row, review_rows
from dataaudit.writers import get
from dataaudit.writers.console import show
from dataaudit.writers.html import notebook, page, write_report

LOOKED = {"known": 0, "wrong": 5, "unsure": 0, "ordered": False, "decisions": 60}


def with_facts(findings, **facts):
    return dataclasses.replace(findings, provenance=dataclasses.replace(findings.provenance, **facts))


def with_p_wrong(findings, p_wrong):
    return dataclasses.replace(findings, labels=findings.labels.with_columns(p_wrong=pl.Series(p_wrong)))


def sentences(findings):
    return [plain(sentence) for sentence in labels.report(findings).sentences]


def nothing():
    findings = made_up(n=3)
    return dataclasses.replace(findings, **{name: frame.clear() for name, frame in findings.tables().items()})


def console(findings, width=80):
    out = io.StringIO()
    show(labels.report(findings, folder="audit-findings"), Console(file=out, width=width))
    return out.getvalue()


def test_rows_carry_their_evidence_cells_and_neighbours():
    findings = made_up(n=20)
    rows = review_rows(findings, 5)
    assert [row.rank for row in rows] == [1, 2, 3, 4, 5]
    first, known = rows[0], findings.labels.row(0, named=True)
    columns = {field.name for field in dataclasses.fields(first)} & known.keys()
    assert columns >= {"row_id", "label", "suggested_label", "p_wrong", "loo_loss"}
    assert all(getattr(first, name) == known[name] for name in columns)
    assert [t.contribution for t in first.evidence] == findings.evidence["contribution"].head(6).to_list()
    assert {t.role for t in first.evidence} == {"text"}
    assert first.cells == (Value("text", findings.cells["cell"][0]),)
    assert [n.row_id for n in first.neighbours] == findings.neighbours["neighbour_row_id"].head(5).to_list()
    assert first.neighbours[0].excerpt == findings.cells["cell"][1]


def test_columns_stay_in_the_order_of_the_table_and_those_that_are_evidence_are_marked():
    findings = made_up(text=False)
    evidence = table("evidence", [(findings.labels["row_id"][0], 1, "note", None, "x", -1.0)])
    row = review_rows(dataclasses.replace(findings, evidence=evidence), 1)[0]
    assert [cell.column for cell in row.cells] == ["age", "job", "balance", "note"]
    shown = review_row(row)
    assert [cell.tone for _, cell in shown.cells] == ["", "", "", "marked"]
    assert shown.telling == ("note",)


def test_histograms_count_every_row_once():
    findings = made_up(n=300)
    wrong, loss = (figures.histogram(findings.labels[name], 20) for name in ("p_wrong", "loo_loss"))
    assert sum(bar.rows for bar in wrong) == sum(bar.rows for bar in loss) == 300
    assert all(a.high == b.low for a, b in pairwise(loss))
    assert (
        sum(bar.rows for bar in figures.histogram(pl.Series([0.5, math.nan, math.inf, None]), 20, 1.0)) == 1
    )


def test_the_budget_curve_is_the_running_sum_of_p_wrong():
    findings = made_up(n=300)
    curve = figures.curve(findings.labels["p_wrong"])
    running = np.cumsum(findings.labels["p_wrong"].to_numpy())
    assert (curve[0], curve[-1][0]) == ((0, 0.0), 300)
    assert all(found == pytest.approx(running[rows - 1]) for rows, found in curve[1:])


def test_slope_and_pearson_of_the_refits():
    refits = [Refit(*row) for row in made_up().verification.iter_rows()]
    sentence, known = refits_of(refits, none="none")  # measured = 1.01 · predicted, by construction
    assert known
    assert "agree over 12 true refits: slope 0.990, Pearson’s correlation 1.0000." in sentence
    assert refits_of(refits[:2], none="none") == ("none", False)
    assert refits_of([one._replace(predicted=0.5) for one in refits], none="none") == ("none", False)


def test_calibration_bins_hold_the_second_class():
    findings = made_up(n=200)
    bins = figures.calibration_bins(findings.labels, ("ham", "spam"))
    p, label = findings.labels["loo_p_label"].to_numpy(), findings.labels["label"].to_numpy()
    second = np.where(label == "spam", p, 1 - p)
    lowest = second < 0.1
    assert sum(rows for _, _, rows in bins) == 200
    assert bins[0][2] == lowest.sum()
    assert bins[0][1] == pytest.approx((label[lowest] == "spam").mean())
    assert figures.calibration(made_up().labels, ("a", "b", "c")) is None


def test_expected_wrong_labels_by_label_add_up():
    findings = made_up(n=100)
    counts = labels.by_label(findings.labels)
    assert sum(rows for _, rows, _ in counts) == 100
    assert sum(wrong for _, _, wrong in counts) == pytest.approx(findings.provenance.expected_wrong)


@pytest.mark.parametrize(
    ("facts", "headline"),
    [
        (
            {"expected_wrong": 372.2, "expected_low": 346.0, "n_rows": 4137},
            "About 372 of 4,137 labels contradict the other rows (9.0\xa0%)",
        ),
        (
            {"expected_wrong": 0.2, "expected_low": 0.0, "n_rows": 4137},
            "Few if any of 4,137 labels contradict the other rows",
        ),
        (
            {"expected_wrong": 3.0, "expected_low": 0.0, "n_rows": 4137},
            "Few if any of 4,137 labels contradict the other rows: about 3",
        ),
        (
            {"expected_wrong": 88.0, "expected_low": 0.0, "n_rows": 2500},
            "About 88 of 2,500 labels contradict the other rows (3.5\xa0%)",
        ),
        (
            {"expected_wrong": math.nan, "n_rows": 4137},
            "How many of 4,137 labels are wrong cannot be estimated",
        ),
        (
            {"n_rows": 20000, "claim": {"overlapping": True}},
            "These columns cannot say how many of 20,000 labels are wrong",
        ),
        (
            {
                "n_rows": 1000,
                "claim": {"overlapping": True},
                "learned": LOOKED | {"expected": 50.2, "low": 31.0, "high": 70.0, "sampled": 60},
            },
            "About 50 of 1,000 labels are wrong (5.0\xa0%)",
        ),
    ],
)
def test_the_headline(facts, headline):
    assert labels.report(with_facts(made_up(), **facts)).headline == headline


RANDOM = {"identified": True, "overlapping": False, "random": True, "undetermined": 0.05}


@pytest.mark.parametrize(
    ("claim", "said", "unsaid"),
    [
        (RANDOM, "If mistakes fall on the rows of a class at random, the number", "No interval"),
        (RANDOM | {"random": False}, "do not lie as random mistakes would", "confidence"),
        (RANDOM | {"identified": False}, "may as well be right, but hard", "confidence"),
        (
            RANDOM | {"identified": False, "overlapping": True, "undetermined": 0.38},
            "leave open which label 38\xa0% of the rows should have",
            "Expect",
        ),
    ],
)
def test_without_looks_it_says_what_the_number_rests_on(claim, said, unsaid):
    findings = with_facts(made_up(), claim=claim)
    text = " ".join([labels.report(findings).headline, *sentences(findings)])
    assert said in text
    assert unsaid not in text
    assert "probably wrong" not in page(labels.report(findings))


def test_by_looks_the_number_holds_whatever_the_mistakes_are():
    learned = LOOKED | {"expected": 12.0, "low": 8.0, "high": 17.0, "sampled": 20}
    failed = table("health", [(schemas.RANDOM, 1e-6, 1e-3, False, "They gather.")])
    findings = made_up()
    findings = dataclasses.replace(findings, health=pl.concat([findings.health, failed]))
    assert sentences(findings)[-1].startswith("1 of 3 checks")
    text = " ".join(sentences(with_facts(findings, learned=learned, claim=RANDOM)))
    assert "between 8 and 17" in text
    assert "by 20 rows drawn for it and looked at, whatever the mistakes are" in text
    assert "at random" not in text
    assert "Every check of the audit itself passed (2)." in text


def test_the_sentences_say_where_the_mistakes_are_and_whether_checks_failed():
    findings = made_up(n=40)
    is_ham = (findings.labels["label"] == "ham").to_numpy()
    findings = with_facts(
        with_p_wrong(findings, np.where(is_ham, 0.9, 0.0)), expected_wrong=0.9 * is_ham.sum()
    )
    assert any("carry the label “ham”" in sentence for sentence in sentences(findings))
    assert "Every check of the audit itself passed (2)." in sentences(findings)
    bad = findings.health.with_columns(ok=pl.col("check") != "calibration")
    failed = dataclasses.replace(findings, health=bad)
    assert sentences(failed)[-1].startswith("1 of 2 checks of the audit itself failed")
    text = page(labels.report(failed))
    assert text.index("See what is wrong with the audit itself.") < text.index("Read the ten rows below.")


def test_commands_to_type_next():
    assert [typed for _, typed in labels.report(made_up(), folder="out").commands] == [
        "out/report.html",
        "audit review out --sample 60",
        "audit review out",
        "audit verify out --top 50",
        "audit labels mail.csv --label y --format jsonl",
    ]
    assert labels.report(made_up(command="dataaudit.audit_labels")).commands == ()


def test_excerpts_are_one_short_line():
    assert excerpt((Value("text", "a\n b\t c"),), 20) == "a b c"
    assert excerpt((Value("text", "x" * 10**6),), 20) == "x" * 19 + "…"
    assert excerpt((Value("age", "3"), Value("job", "cook")), 20) == "age 3 · job cook"
    assert excerpt((), 20) == ""


@pytest.mark.parametrize("name", ["console", "html", "json", "markdown"])
def test_nothing_to_show_is_no_error(name):
    out = io.StringIO()
    get(name).write(*shown(nothing()), out)
    assert "contradict the other rows" in out.getvalue()
    if name == "json":
        assert json.loads(out.getvalue())["labels"] == []


def test_the_page_says_first_what_was_found_and_what_to_do():
    text = page(labels.report(made_up(n=60)))
    found = parse(text)
    assert found.texts["h1"].startswith("About 16 of 60 labels contradict the other rows")
    assert found.texts["h2"].startswith("What to do nextThe ten rows to look at firstHow far to trust it")
    first = [attrs["aria-label"] for tag, attrs, _ in found.elements if tag == "article"]
    assert first == [f"Row number {k}" for k in range(1, 11)]
    charts = {"p-wrong", "loo-loss", "budget", "selection", "noise", "refits", "calibration"}
    assert charts <= set(found.ids)
    assert "nan" not in text.partition("<main")[2]


@pytest.mark.parametrize("cell", [None, "word " * 200, "&<>\"'" * 200, "\x01" * 900, "漢" * 900])
def test_500_rows_fit_into_one_megabyte(cell):
    text = page(labels.report(made_up(n=700, cell=cell)))
    assert len(text.encode()) <= 1_000_000
    rows = text.count("<li data-l")
    assert rows == 500 or (rows > 440 and cell.startswith("&"))  # a tenth of the room is the sample's
    assert f"Rows 1 to {rows} of 700, the most suspect first." in text
    assert f"… and {700 - rows} more rows" in text
    assert text.count('<details id="s') == 20


def test_wide_tables_and_long_names_still_fit():
    text = page(labels.report(made_up(n=500, text=False, hostile="&" * 3000)))
    assert len(text.encode()) <= 1_000_000
    assert parse(text).errors == []
    assert 'id="r10"' in text


def test_names_too_long_or_withheld_leave_the_review_out():
    assert 'id="review-data"' in page(labels.report(made_up()))
    for report in (labels.report(made_up(hostile="x" * 400)), shown(made_up(), "all")[1]):
        text = page(report)
        assert parse(text).errors == []
        assert "review-data" not in text
        assert "localStorage" not in text


def test_what_the_script_is_given_is_exact():
    findings = made_up(hostile="</script>\u2028&'\"<!--")
    data = page(shown(findings, "cells")[1]).partition('id="review-data">')[2].partition("</script>")[0]
    assert not set("<>&\u2028") & set(data)
    values = json.loads(data)
    rows = findings.labels.select("row_id", "label", "suggested_label").rows()
    assert [(name, values["classes"][a], values["classes"][b]) for name, a, b, *_ in values["rows"]] == rows
    assert values["run"] == findings.provenance.run_id
    assert values["expected"] == pytest.approx(findings.labels["p_wrong"].sum(), abs=1e-3)


def test_the_page_is_written_whole_or_not_at_all(tmp_path):
    path = write_report(made_up(), tmp_path / "report.html")
    assert path.read_text("utf-8") == page(shown(made_up(), folder=tmp_path.as_posix())[1])
    assert [entry.name for entry in tmp_path.iterdir()] == ["report.html"]
    with pytest.raises(WriteError, match="the report cannot be written"):
        write_report(made_up(), path / "below" / "report.html")


def test_a_notebook_gets_a_small_table_a_chart_and_what_to_type():
    text = notebook(made_up(n=100))
    assert len(text) < 40_000
    inner = html.unescape(text)
    assert inner.count("<tr>") < 30
    assert "<svg" in inner
    assert ".labels</code>" in inner
    assert "<script" not in inner
    assert "default-src 'none'" in inner


def test_the_console_says_the_verdict_the_rows_and_what_to_type_next():
    text = console(made_up(n=60))
    flat = " ".join(text.split())
    assert "About 16 of 60 labels contradict the other rows (" in text
    assert "with 90% confidence" in text
    assert "Expect half of them in the first" in flat
    assert "slope 0.990, Pearson’s correlation 1.0000" in flat
    assert "audit-findings/report.html" in text
    rows = [row for row in text.splitlines() if "mail.csv:" in row]
    assert len(rows) == 20
    assert rows[0].split()[:2] == ["1", "mail.csv:2"]


def test_long_names_of_rows_are_kept_whole_on_a_console():
    findings = made_up(n=5)
    name = "/data/" + "deep/" * 15 + "file.csv:17"
    known = findings.labels.with_columns(row_id=pl.lit(name))
    text = console(dataclasses.replace(findings, labels=known))
    assert max(map(len, text.splitlines())) <= 80
    start = next(at for at, row in enumerate(text.splitlines()) if row.startswith("1  /data"))
    pieces = (row[3:].split("  ")[0].strip() for row in text.splitlines()[start : start + 4])
    assert "".join(pieces).startswith(name)


@pytest.mark.parametrize("classes", [("no", "yes"), ("<30", ">30", "NO"), ("not spam", "spam")])
@pytest.mark.parametrize("width", [80, 83, 100, 160])
def test_words_against_a_label_never_cost_the_row_or_its_label(width, classes):
    findings = made_up(n=60, text=False, classes=classes)
    evidence = findings.evidence.with_columns(column=pl.lit("a_column_with_a_rather_long_name"))
    findings = dataclasses.replace(findings, evidence=evidence)
    lines = console(findings, width).splitlines()
    head = next(at for at, line in enumerate(lines) if "label → suggested" in line)
    for row, line in zip(review_rows(findings, 20), lines[head + 2 :], strict=False):
        assert line.split()[0] == str(row.rank)
        assert row.row_id in line
        assert f"{row.label} → {row.suggested_label}" in line


def test_classes_that_are_bare_numbers_have_their_columns_name():
    findings = with_facts(made_up(), classes=("0", "1"), target="readmitted")
    labels_ = findings.labels.with_columns(label=pl.lit("1"), suggested_label=pl.lit("0"))
    findings = dataclasses.replace(findings, labels=labels_)
    out = console(findings)
    assert "readmitted: 1 → 0" in out
    for name, says in {
        "html": "readmitted:</span> <s>1</s>",
        "markdown": "`1` → `0`",
        "text": "readmitted: 1 -> 0",
    }.items():
        written = io.StringIO()
        get(name, "labels").write(findings, labels.report(findings), written)
        assert says in written.getvalue()
    row = review_row(review_rows(findings, 1)[0])
    assert "gets “readmitted = 1”" in row.sentences[0]
    assert row.other[0].label.startswith("readmitted = ")
    assert review_row(review_rows(made_up(), 1)[0]).of == ""


def test_of_a_wide_table_the_columns_that_tell_are_in_sight():
    names = [f"c{at:02}" for at in range(30)]
    cells = tuple((name, Cell("x")) for name in names)
    row = dataclasses.replace(review_row(review_rows(made_up(), 1)[0]), cells=cells, telling=("c20", "c03"))
    seen, others = row.parted
    assert [name for name, _ in seen] == ["c03", "c20"]
    assert [name for name, _ in others] == [name for name in names if name not in ("c03", "c20")]
    assert dataclasses.replace(row, telling=()).parted == (cells, ())
    assert dataclasses.replace(row, cells=cells[:5]).parted == (cells[:5], ())


def test_an_excerpt_has_the_same_columns_for_every_row():
    values = [Value(f"c{at}", str(at)) for at in range(12)]
    assert excerpt(values, columns=("c11", "c2")).startswith("c0 0 · c1 1 · c2 2 · c3 3")
    assert "c11 11" in excerpt(values, columns=("c11", "c2"))


def test_how_far_to_go_is_said_only_where_the_number_bears_it():
    few = with_facts(made_up(n=900), expected_wrong=1.2, expected_low=0.0)
    assert not [said for said in sentences(few) if "in the first" in said]
    assert "95" not in "".join(map(str, labels.report(few).steps))
