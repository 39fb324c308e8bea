"""The summary of a mismatch: what the verdict says, and that every part is of the tables."""

import dataclasses
import json

import polars as pl
import pytest
from writers.mismatch_example import real

from dataaudit.summary import summarise_mismatch


@pytest.fixture(scope="module")
def tables():
    return real()


@pytest.fixture(scope="module")
def summary(tables):
    return summarise_mismatch(tables, folder="out")


def with_facts(tables, **facts):
    return dataclasses.replace(tables, provenance=dataclasses.replace(tables.provenance, **facts))


def with_loss(tables, **parts):
    """Return tables whose split of the loss is (value, significant) by part."""
    rows = [
        (None, "loss", part, value, value - 0.01, value + 0.01, 1e-9, 900, sure, "")
        for part, (value, sure) in parts.items()
    ]
    kept = tables.shift.filter((pl.col("measure") != "loss") | pl.col("column").is_not_null())
    split = pl.DataFrame(rows, schema=kept.schema, orient="row")
    return dataclasses.replace(tables, shift=pl.concat([split, kept]))


def test_the_headline_counts_wrong_test_rows(tables, summary):
    n, wrong = tables.provenance.n_test, tables.provenance.n_errors
    assert summary.verdict.headline == (
        f"{wrong} of {n} labelled test rows are mispredicted ({100 * wrong / n:.1f}\xa0%)"
    )
    one = summarise_mismatch(with_facts(tables, n_errors=1, n_test=4000)).verdict.headline
    assert one == "1 of 4,000 labelled test rows is mispredicted (0.03\xa0%)"
    none = summarise_mismatch(with_facts(tables, n_errors=0)).verdict.headline
    assert none == f"None of {n} labelled test rows is mispredicted"


def test_the_sentences_have_losses_findings_and_checks(tables, summary):
    said = " ".join(summary.verdict.sentences)
    p = tables.provenance
    assert f"{p.test_loss:.3g} nats, that of the 600 training rows {p.train_loss:.3g} nats" in said
    assert "Found: 1 finding of high severity" in said
    assert "above all about “age = child”" in said
    failed = tables.health["ok"].not_().sum()
    assert f"{failed} of {len(tables.health)} checks of the audit itself failed" in said or not failed
    two = pl.concat(
        [tables.findings.head(1)] * 2 + [tables.findings.head(1).with_columns(severity=pl.lit("note"))]
    )
    said = " ".join(summarise_mismatch(dataclasses.replace(tables, findings=two)).verdict.sentences)
    assert "Found: 2 findings of high severity and 1 note" in said
    none = dataclasses.replace(tables, findings=tables.findings.clear())
    assert "No slice and no group" in " ".join(summarise_mismatch(none).verdict.sentences)


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
    said = " ".join(summarise_mismatch(with_loss(tables, inputs=inputs, labels=labels)).verdict.sentences)
    assert words in said
    if labels == (0.027, True):
        assert "inputs lower the loss by 0.018 nats a row" in said
        assert "labels given the inputs raise the loss by 0.027 nats a row" in said


def test_a_finding_has_its_rows_with_labels_and_cells(tables, summary):
    first, row = summary.findings[0], tables.findings.row(0, named=True)
    assert (first.slice, first.severity, first.n_errors) == ("age = child", "high", row["n_errors"])
    assert first.row_ids == tuple(row["train_row_ids"])
    assert {r.row_id for r in first.rows} == {f"0-{i}" for i in range(5)}
    labels = {r.row_id: r.label for r in first.rows}
    assert sorted(labels.values()) == ["ill"] * 4 + ["well"]
    assert all(r.cells[0].column == "age" and r.cells[0].text == "child" for r in first.rows)
    assert all("y" not in {cell.column for cell in r.cells} for r in first.rows)


def test_a_finding_has_its_proof_remedies_slice_and_columns(tables, summary):
    first = summary.findings[0]
    assert first.predicted == pytest.approx(first.measured, rel=0.05)
    assert first.measured < 0
    tried = tables.remedies.filter(finding=1)
    assert [r.remedy for r in first.remedies] == tried["remedy"].to_list()
    assert [r.errors_after for r in first.remedies] == tried["errors_after"].to_list()
    assert len({r.l2 for r in first.remedies if r.remedy == "ridge"}) >= 5
    assert (first.line.n_train, first.line.n_test, first.line.rate_train) == (5, 40, 0.8)
    whole = tables.features.filter(pl.col("level").is_null(), pl.col("finding") == 1)
    assert first.carriers[0].column == "age"
    effect = whole.filter(column="age")["finite_effect"].sum()
    assert first.carriers[0].effect == pytest.approx(effect)


def test_traces_set_harmful_and_helpful_rows_beside_the_test_row(tables, summary):
    assert summary.traces
    for trace in summary.traces:
        behind = tables.traces.filter(test_row_id=trace.test.row_id)
        harmful = behind.filter(pl.col("delta_loss_if_removed") < 0).sort("rank")
        assert [t.row.row_id for t in trace.harmful] == harmful["train_row_id"].head(2).to_list()
        assert all(t.change < 0 for t in trace.harmful)
        assert all(t.change > 0 for t in trace.helpful)
        assert trace.test.cells
        assert all(t.row.cells and t.row.label in ("ill", "well") for t in (*trace.harmful, *trace.helpful))
    child = next(trace for trace in summary.traces if trace.finding == 1)
    assert {t.row.row_id for t in child.harmful} <= {f"0-{i}" for i in range(5)}


def test_concentration_counts_every_traced_row(tables, summary):
    found = summary.concentration
    assert sum(bar.rows for bar in found.bars) == found.rows == len(tables.responsible)
    assert found.fewest == tables.responsible["effective_rows"].min()
    assert all(a.high == b.low for a, b in zip(found.bars, found.bars[1:], strict=False))


def test_commands_to_type_next(tables, summary):
    typed = [command.command for command in summary.next_commands]
    base = "audit mismatch train.csv test.csv --label y"
    assert typed == [
        "out/report.html",
        "audit verify out --top 50",
        f"{base} --where \"age = 'child'\" --out out-slice",
    ]
    chosen = with_facts(tables, command=f"{base} --rows 3 -o x --format json")
    typed = [command.command for command in summarise_mismatch(chosen, folder="x").next_commands]
    assert typed == ["x/report.html", "audit verify x --top 50"]
    long = with_facts(tables, command=f"{base} --features {','.join(['column'] * 60)}")
    assert len(summarise_mismatch(long, folder="x").next_commands) == 2
    assert summarise_mismatch(with_facts(tables, command="dataaudit.audit_mismatch")).next_commands == ()


def test_without_labels_only_inputs_are_spoken_of():
    summary = summarise_mismatch(real(labelled=False), folder="out")
    assert not summary.labelled
    assert summary.verdict.headline.startswith("The inputs of 900 test rows ")
    assert "no prediction can be judged" in summary.verdict.sentences[0]
    assert (summary.findings, summary.traces, summary.slices, summary.concentration) == ((), (), (), None)
    assert [command.command for command in summary.next_commands] == ["out/report.html"]


def test_a_summary_is_plain_json_even_of_nothing(tables):
    empty = {name: frame.clear() for name, frame in tables.tables().items()}
    for some in (tables, real(labelled=False), dataclasses.replace(tables, **empty)):
        values = summarise_mismatch(some).to_dict()
        assert json.loads(json.dumps(values, allow_nan=False)) == values
