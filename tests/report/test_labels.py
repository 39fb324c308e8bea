import dataclasses
import json
import math

import numpy as np
import polars as pl
import pytest
from writers.example import made_up, table

from dataaudit.summary import Cell, excerpt, summarise


def with_facts(findings, **facts):
    return dataclasses.replace(findings, provenance=dataclasses.replace(findings.provenance, **facts))


def with_p_wrong(findings, p_wrong):
    return dataclasses.replace(findings, labels=findings.labels.with_columns(p_wrong=pl.Series(p_wrong)))


def test_rows_carry_their_evidence_cells_and_neighbours():
    findings = made_up(n=20)
    summary = summarise(findings, top=5)
    assert [row.rank for row in summary.rows] == [1, 2, 3, 4, 5]
    first, labels = summary.rows[0], findings.labels.row(0, named=True)
    assert all(getattr(first, name) == labels[name] for name in labels)
    assert [t.contribution for t in first.evidence] == findings.evidence["contribution"].head(6).to_list()
    assert {t.role for t in first.evidence} == {"text"}
    assert first.cells == (Cell("text", findings.cells["cell"][0]),)
    assert [n.row_id for n in first.neighbours] == findings.neighbours["neighbour_row_id"].head(5).to_list()
    assert first.neighbours[0].excerpt == findings.cells["cell"][1]


def test_columns_that_are_evidence_come_first():
    findings = made_up(text=False)
    evidence = table("evidence", [(findings.labels["row_id"][0], 1, "note", None, "x", -1.0)])
    row = summarise(dataclasses.replace(findings, evidence=evidence)).rows[0]
    assert [cell.column for cell in row.cells] == ["note", "age", "job", "balance"]


def test_histograms_count_every_row_once():
    summary = summarise(made_up(n=300))
    assert sum(bar.rows for bar in summary.p_wrong) == sum(bar.rows for bar in summary.loo_loss) == 300
    assert (summary.p_wrong[0].low, summary.p_wrong[-1].high) == (0.0, 1.0)
    assert all(a.high == b.low for a, b in zip(summary.loo_loss, summary.loo_loss[1:], strict=False))


def test_the_budget_curve_is_the_running_sum_of_p_wrong():
    findings = made_up(n=300)
    curve = summarise(findings).curve
    running = np.cumsum(findings.labels["p_wrong"].to_numpy())
    assert (curve[0].rows, curve[0].found, curve[-1].rows) == (0, 0.0, 300)
    assert all(point.found == pytest.approx(running[point.rows - 1]) for point in curve[1:])


def test_slope_and_pearson_of_the_refits():
    findings = made_up()
    trust = summarise(findings).trust  # measured = 1.01 · predicted, by construction
    assert (trust.slope, trust.pearson) == (pytest.approx(1 / 1.01), pytest.approx(1.0))
    few = dataclasses.replace(findings, verification=findings.verification.head(2))
    assert summarise(few).trust.slope is None
    same = findings.verification.with_columns(predicted=pl.lit(0.5))
    assert summarise(dataclasses.replace(findings, verification=same)).trust.pearson is None


def test_calibration_bins_hold_the_second_class():
    findings = made_up(n=200)
    bins = summarise(findings).trust.calibration
    p, label = findings.labels["loo_p_label"].to_numpy(), findings.labels["label"].to_numpy()
    second = np.where(label == "spam", p, 1 - p)
    lowest = second < 0.1
    assert sum(b.rows for b in bins) == 200
    assert bins[0].rows == lowest.sum()
    assert bins[0].observed == pytest.approx((label[lowest] == "spam").mean())
    assert summarise(made_up(classes=("a", "b", "c"))).trust.calibration == ()


def test_expected_wrong_labels_by_label_add_up():
    summary = summarise(made_up(n=100))
    assert sum(entry.rows for entry in summary.by_label) == 100
    total = sum(entry.expected_wrong for entry in summary.by_label)
    assert total == pytest.approx(summary.provenance["expected_wrong"])


@pytest.mark.parametrize(
    ("facts", "headline"),
    [
        (
            {"expected_wrong": 372.2, "expected_low": 346.0, "n_rows": 4137},
            "About 372 of 4,137 labels are probably wrong (9.0\xa0%)",
        ),
        (
            {"expected_wrong": 0.2, "expected_low": 0.0, "n_rows": 4137},
            "No sign of wrong labels in 4,137 rows",
        ),
        (
            {"expected_wrong": 3.0, "expected_low": 0.0, "n_rows": 4137},
            "Few if any of 4,137 labels are wrong: about 3",
        ),
        (
            {"expected_wrong": 88.0, "expected_low": 0.0, "n_rows": 2500},
            "Perhaps 88 of 2,500 labels are wrong (3.5\xa0%), perhaps none",
        ),
        (
            {"expected_wrong": math.nan, "n_rows": 4137},
            "How many of 4,137 labels are wrong cannot be estimated",
        ),
        (
            {"expected_wrong": 50.0, "expected_low": 20.0, "n_rows": 1000, "ranking": "leave-one-out"},
            "Perhaps 50 of 1,000 labels are wrong (5.0\xa0%)",
        ),
    ],
)
def test_the_headline(facts, headline):
    assert summarise(with_facts(made_up(), **facts)).verdict.headline == headline


def test_a_fallback_is_announced_and_a_wish_is_not():
    reason = "The classes overlap."
    fallback = with_facts(made_up(), ranking="leave-one-out", ranking_reason=reason)
    assert reason in summarise(fallback).verdict.sentences
    asked = with_facts(fallback, settings={"rank": "leave-one-out"})
    assert reason not in summarise(asked).verdict.sentences
    assert summarise(asked).verdict.headline.startswith("About ")


def test_the_sentences_say_where_the_mistakes_are_and_whether_checks_failed():
    findings = made_up(n=40)
    is_ham = (findings.labels["label"] == "ham").to_numpy()
    findings = with_facts(
        with_p_wrong(findings, np.where(is_ham, 0.9, 0.0)), expected_wrong=0.9 * is_ham.sum()
    )
    sentences = summarise(findings).verdict.sentences
    assert any("carry the label “ham”" in sentence for sentence in sentences)
    assert "Every check of the audit itself passed (2)." in sentences
    bad = findings.health.with_columns(ok=pl.col("check") != "calibration")
    sentences = summarise(dataclasses.replace(findings, health=bad)).verdict.sentences
    assert sentences[-1].startswith("1 of 2 checks of the audit itself failed")


def test_a_summary_is_plain_json_even_of_nothing():
    findings = made_up(n=0)
    empty = {name: frame.clear() for name, frame in findings.tables().items()}
    for summary in (summarise(made_up()), summarise(dataclasses.replace(findings, **empty))):
        values = summary.to_dict()
        assert json.loads(json.dumps(values, allow_nan=False)) == values


def test_numbers_that_are_missing_do_not_count():
    findings = with_p_wrong(made_up(n=4), [0.5, math.nan, math.inf, None])
    summary = summarise(findings)
    assert sum(bar.rows for bar in summary.p_wrong) == 1
    assert summary.to_dict()["rows"][1]["p_wrong"] is None


def test_commands_to_type_next():
    assert [c.command for c in summarise(made_up(), folder="out").next_commands] == [
        "out/report.html",
        "audit review out",
        "audit verify out --top 50",
        "audit labels mail.csv --label y --format jsonl",
    ]
    assert summarise(made_up(command="dataaudit.audit_labels")).next_commands == ()


def test_excerpts_are_one_short_line():
    assert excerpt((Cell("text", "a\n b\t c"),), 20) == "a b c"
    assert excerpt((Cell("text", "x" * 10**6),), 20) == "x" * 19 + "…"
    assert excerpt((Cell("age", "3"), Cell("job", "cook")), 20) == "age 3 · job cook"
    assert excerpt((), 20) == ""
