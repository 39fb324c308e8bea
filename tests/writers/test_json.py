"""JSON: the exact text of every cell, numbers that are finite, one object a line."""

import dataclasses
import io
import json
import unicodedata

import polars as pl
import pytest
from writers.example import made_up
from writers.payloads import PAYLOADS, for_every_payload
from writers.synthetic import every_block

from dataaudit.report.blocks import Commands, Report, Section
from dataaudit.writers.json import WRITERS

COMMANDS = Section("Next", (Commands((("Look", "audit look"),)),), 0, "next")


def written(name, findings, report):
    out = io.StringIO()
    WRITERS[name].write(findings, report, out)
    text = out.getvalue()
    bad = ("Cc", "Cf", "Cs", "Zl", "Zp")
    assert {c for c in set(text) - set("\n\u200c\u200d") if unicodedata.category(c) in bad} == set()
    return text


def report(**changes):
    said = {"kind": "explanation", "over": "", "name": "", "headline": "About 3.", "sentences": ("One.",)}
    about = {"sections": (COMMANDS,), "provenance": {"run_id": "ab"}, "records": "labels"}
    return Report(**said | about | changes)


@for_every_payload
def test_it_gives_back_the_exact_cells(payload):
    findings = made_up(n=6, hostile=payload[:2000], cell=payload)
    rows = [json.loads(row) for row in written("jsonl", findings, report()).split("\n")[:-1]]
    document = json.loads(written("json", findings, report()))
    assert [row["row_id"] for row in rows] == findings.labels["row_id"].to_list()
    assert document["labels"] == rows
    assert document["cells"][0]["cell"] == payload


def test_the_document_has_the_answer_and_every_table():
    findings = made_up(n=3)
    document = json.loads(written("json", findings, report()))
    assert set(document) == {"kind", "next_commands", "provenance", "verdict", *findings.SCHEMAS}
    assert document["verdict"] == {"headline": "About 3.", "sentences": ["One."]}
    assert document["next_commands"] == [{"purpose": "Look", "command": "audit look"}]
    assert document["provenance"] == {"run_id": "ab"}
    wrapped = json.loads(written("json", findings, report(kind="labels")))
    assert set(wrapped) == {"summary", *findings.SCHEMAS}
    assert wrapped["summary"]["verdict"] == document["verdict"]


def test_numbers_that_are_not_finite_are_null():
    findings = made_up(n=3)
    labels = findings.labels.with_columns(p_wrong=pl.Series([float("nan"), float("inf"), 0.5]))
    rows = written("jsonl", dataclasses.replace(findings, labels=labels), report())
    assert [json.loads(row)["p_wrong"] for row in rows.splitlines()] == [None, None, 0.5]


@pytest.mark.parametrize("payload", list(PAYLOADS.values())[:10])
def test_a_report_may_have_objects_of_its_own(payload):
    assert json.loads(written("jsonl", None, every_block(payload))) == {"name": payload}
