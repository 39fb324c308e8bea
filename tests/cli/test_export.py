"""``audit export``: what other tools read, and how their decisions come back."""

import csv
import dataclasses
import json
from xml.etree import ElementTree as ET

import polars as pl
import pytest
from command import audit
from writers.example import made_up
from writers.mismatch_example import real

from dataaudit.findings.schemas import Findings


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Findings of labels, the cells of the last ten rows of which are not known."""
    folder = tmp_path_factory.mktemp("export")
    whole = made_up(n=40)
    known = set(whole.labels["row_id"].head(30))
    cells = whole.cells.filter(pl.col("row_id").is_in(known))
    dataclasses.replace(whole, cells=cells).write(folder / "labels")
    real().write(folder / "mismatch")
    return folder


def export(folder, *arguments):
    return audit("export", *arguments, cwd=folder)


def test_tasks_fit_the_labelling_setup(folder):
    done = export(folder, "labels", "--to", "labelstudio", "-o", "tasks.json", "--top", "5")
    assert (done.returncode, done.stdout) == (0, "")
    assert "The labelling setup is tasks.config.xml" in done.stderr
    tasks = json.loads((folder / "tasks.json").read_text(encoding="utf-8"))
    setup = ET.parse(folder / "tasks.config.xml").getroot()
    choices, text = setup.find("Choices"), setup.find("Text")
    offered = {choice.get("value") for choice in choices}
    assert len(tasks) == 5
    assert text.get("value").removeprefix("$") in tasks[0]["data"]
    for task in tasks:
        (prediction,) = task["predictions"]
        (result,) = prediction["result"]
        assert result["from_name"] == choices.get("name")
        assert result["to_name"] == choices.get("toName") == text.get("name")
        assert set(result["value"]["choices"]) <= offered
        assert prediction["score"] == task["data"]["p_wrong"]
        assert prediction["model_version"].startswith("dataaudit 0.1.0 ")
    assert [task["data"]["rank"] for task in tasks] == [1, 2, 3, 4, 5]


def test_records_are_what_argilla_reads(folder):
    done = export(folder, "labels", "--to", "argilla")
    records = json.loads(done.stdout)
    assert len(records) == 30  # those whose cells are known
    for record in records:
        assert set(record) == {"id", "fields", "metadata", "suggestions", "responses", "vectors"}
        assert record["id"] == record["metadata"]["row_id"]
        assert set(record["suggestions"]["label"]) == {"value", "score", "agent"}
        assert all(isinstance(value, str | int | float) for value in record["metadata"].values())


def test_a_spreadsheet_has_every_row(folder):
    done = export(folder, "labels", "--to", "csv", "-o", "rows.csv")
    assert "the cells of the first 30 are known" in done.stderr
    with (folder / "rows.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    labels = Findings.read(folder / "labels").labels
    assert [row["row_id"] for row in rows] == labels["row_id"].to_list()
    assert [float(row["p_wrong"]) for row in rows] == labels["p_wrong"].to_list()
    assert rows[0]["text"]
    assert rows[-1]["text"] == ""


def test_what_is_withheld_is_not_exported(folder):
    for to in ("labelstudio", "argilla", "csv"):
        told = export(folder, "labels", "--to", to, "--redact", "all")
        assert told.returncode == 0
        assert "mail" not in told.stdout
        assert "spam" not in told.stdout
        assert "cells are withheld" in told.stderr
        cells = export(folder, "labels", "--to", to, "--redact", "cells").stdout
        assert "mail.csv:" in cells
        assert not {"meter", "winner", "attached"} & set(cells.split())


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["mismatch", "--to", "csv"], "holds an audit of a mismatch, which has no suspect labels to export"),
        (["labels", "--to", "xls"], "Invalid value for '--to': 'xls' is not one of"),
        (["labels"], "Missing option '--to'"),
        (["nowhere", "--to", "csv"], "nowhere is not a folder of findings"),
        (["labels", "--to", "csv", "-o", "nowhere/x.csv"], "cannot be written to nowhere/x.csv"),
        (["labels", "--to", "csv", "-o", "labels/labels.parquet"], "would be written over"),
        (["labels", "--to", "csv", "--top", "0"], "greater than or equal to 1"),
    ],
)
def test_what_cannot_be_done_is_one_line(folder, arguments, said):
    done = export(folder, *arguments)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert said in done.stderr
