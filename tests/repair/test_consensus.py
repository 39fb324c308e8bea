"""Small literal exports in each shape, and what several annotators come to."""

import json

import polars as pl
import pytest

from dataaudit.errors import DataError, UnreadableFile
from dataaudit.findings.schemas import Findings, Provenance
from dataaudit.repair.annotations import read_annotations
from dataaudit.repair.consensus import consensus
from dataaudit.writers.exports import safe

NAMES = ["m.csv:2", "m.csv:3", "=m:4", "17"]
LABELS = ["spam", "ham", "ham", "1"]


@pytest.fixture(scope="module")
def findings():
    """Four rows, one of which has a name that a spreadsheet would compute."""
    table = pl.DataFrame({"row_id": NAMES, "label": LABELS, "rank": [1, 2, 3, 4]})
    missing = {
        name: pl.lit(None, kind) for name, kind in Findings.SCHEMAS["labels"].items() if name not in table
    }
    labels = (
        table.with_columns(**missing)
        .select(list(Findings.SCHEMAS["labels"]))
        .cast(Findings.SCHEMAS["labels"])
    )
    provenance = Provenance(
        version="0", command="", dataset="m.csv", target="label", n_rows=4, n_features=1, n_classes=3,
        classes=("1", "ham", "spam"), ranking="p-wrong", ranking_reason="", expected_wrong=0.0,
        expected_low=0.0, expected_high=0.0, l2=1.0, basis="", solver="", solver_reason="",
        gradient_norm=0.0, seed=0,
    )  # fmt: skip
    others = {name: pl.DataFrame(schema=s) for name, s in Findings.SCHEMAS.items() if name != "labels"}
    return Findings(labels=labels, **others, provenance=provenance)


def decided(findings, path, **more):
    """Return the decisions by row, as text, and the whole."""
    made = consensus(read_annotations(path), findings, written=safe, **more)
    return {row.row_id: row.label or row.action for row in made.decisions.rows}, made


def choice(label, **more):
    return {"result": [{"type": "choices", "from_name": "choice", "value": {"choices": [label]}}], **more}


SHAPES = {
    "tasks.json": [
        {"data": {"row_id": "m.csv:2"}, "annotations": [choice("ham")]},
        {"data": {"row_id": "m.csv:3"}, "annotations": [choice("ham")]},
        {"data": {"row_id": "=m:4"}, "annotations": [{"result": [], "was_cancelled": True}]},
        {"data": {"row_id": "17"}, "annotations": [{"result": []}], "predictions": [choice("ham")]},
    ],
    "completions.json": [
        {"data": {"row_id": "m.csv:2"}, "completions": [choice("ham")]},
        {"data": {"row_id": "m.csv:3"}, "completions": [choice("ham")]},
        {"data": {"row_id": "=m:4"}, "completions": [choice("ham", skipped=True)]},
    ],
    "json-min.json": [
        {"id": 1, "row_id": "m.csv:2", "label": "spam", "choice": "ham", "annotator": 1},
        {"id": 2, "row_id": "m.csv:3", "label": "ham", "choice": {"choices": ["ham"]}},
        {"id": 3, "row_id": "=m:4", "label": "ham", "choice": "unsure"},
        {"id": 4, "row_id": "17", "label": "1"},
    ],
    "records.json": [
        {"id": "m.csv:2", "fields": {}, "responses": {"label": [{"value": "ham", "user_id": "u"}]}},
        {"id": "m.csv:3", "fields": {}, "metadata": {}, "responses": {"label": [{"value": "ham"}]}},
        {"id": "=m:4", "fields": {}, "responses": {"label": [{"value": None, "status": "discarded"}]}},
        {"id": "17", "fields": {}, "responses": {}},
    ],
    "server.json": {"items": [
        {"id": "m.csv:2", "fields": {}, "responses": [{"values": {"label": {"value": "ham"}}, "user_id": 1}]},
        {"id": "m.csv:3", "fields": {}, "responses": [{"values": {"label": {"value": "ham"}}}]},
        {"id": "=m:4", "fields": {}, "responses": [{"values": {}, "status": "discarded"}]},
        {"id": "17", "fields": {}, "responses": [{"values": {"label": {"value": "ham"}}, "status": "draft"}]},
    ]},
    "columns.json": {
        "id": NAMES, "text": ["a", "b", "c", "d"],
        "label.responses": [["ham"], ["ham"], [None], None],
        "label.responses.users": [["u"], ["u"], ["u"], None],
        "label.responses.status": [["submitted"], ["submitted"], ["discarded"], None],
    },
    "by-id.json": {
        "m.csv:2": {"id": "m.csv:2", "fields": {}, "responses": {"label": [{"value": "ham"}]}},
        "m.csv:3": {"id": "m.csv:3", "fields": {}, "responses": {"label": [{"value": "ham"}]}},
        "=m:4": {"id": "=m:4", "fields": {}, "responses": {"label": [{"status": "discarded"}]}},
    },
    "rows.csv": "row_id,Corrected Label\nm.csv:2,ham\nm.csv:3,HAM\n'=m:4,unsure\n17,\n",
    "rows.tsv": "sep=\t\nrow_id\taction\tlabel\nm.csv:2\trelabel\tham\nm.csv:3\tkeep\t\n=m:4\tunsure\t\n",
    "rows.ndjson": '{"row_id": "m.csv:2", "gold": "ham"}\n{"row_id": "m.csv:3", "gold": "ham"}\n'
                   '{"row_id": "=m:4", "gold": "Unsure"}\n{"row_id": 17, "gold": null}\n',
    "labels.csv": '"row_id";"choice"\r\n"m.csv:2";"{""choices"": [""ham""]}"\r\n"m.csv:3";"ham"\r\n'
                  '"=m:4";"unsure"',
}  # fmt: skip


@pytest.mark.parametrize("name", SHAPES)
def test_each_shape_says_the_same(name, findings, tmp_path):
    path, content = tmp_path / name, SHAPES[name]
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    rows, made = decided(findings, path)
    assert rows == {"m.csv:2": "ham", "m.csv:3": "keep", "=m:4": "unsure"}
    assert made.split == {}
    assert made.unknown == ()


def test_annotators_decide_by_more_than_half(findings, tmp_path):
    votes = {
        "m.csv:2": ["ham", "ham", "spam"],
        "m.csv:3": ["ham", "spam"],
        "=m:4": ["spam", "unsure", "unsure"],
        "17": ["unsure", "unsure"],
        "gone": ["ham"],
    }
    lines = [f"{name},{vote},ann{i}" for name, given in votes.items() for i, vote in enumerate(given)]
    path = tmp_path / "votes.csv"
    path.write_text("\n".join(["row_id,choice,annotator", *lines]), encoding="utf-8")
    rows, made = decided(findings, path)
    assert rows == {"m.csv:2": "ham", "=m:4": "spam", "17": "unsure"}
    assert made.split == {"m.csv:3": "ham 1, spam 1"}
    assert made.unknown == ("gone",)
    first = made.decisions.rows[0]
    assert (first.reviewer, first.note) == ("ann0, ann1", "2 of 3 annotators")


@pytest.mark.parametrize(
    ("label", "meant"), [("1.0", "keep"), (" Spam ", "spam"), ("2", None), ("drop", "drop")]
)
def test_classes_as_people_write_them(label, meant, findings, tmp_path):
    path = tmp_path / "rows.csv"
    path.write_text(f"row_id,new_label\n17,{label}\n", encoding="utf-8")
    if meant is None:
        with pytest.raises(DataError, match="row '17' was given a class that no row has: got '2'"):
            decided(findings, path)
        assert decided(findings, path, new_class=True)[0] == {"17": "2"}
    else:
        assert decided(findings, path)[0] == {"17": meant}


def test_a_sheet_needs_what_reads_it(findings, tmp_path):
    path = tmp_path / "rows.xlsx"
    path.write_bytes(b"PK\x03\x04 and no more")
    with pytest.raises(UnreadableFile, match=r"dataaudit\[excel\]|cannot be read as an Excel sheet"):
        decided(findings, path)
