"""How rows are named where people read: short, unlike any other, and whole for programs."""

import io
import json

import polars as pl
import pytest
from report.made import MADE
from writers.example import made_up

from dataaudit.findings.verdict import Site
from dataaudit.report import shown
from dataaudit.report.words import RowNames, short_names, short_rows, site_name
from dataaudit.writers import get


@pytest.mark.parametrize(
    ("files", "names"),
    [
        (["/long/way/train.csv"], [""]),
        (["/a/train.csv", "/a/test.csv"], ["train.csv", "test.csv"]),
        (["/a/x.csv", "/b/x.csv", "/b/y.csv"], ["a/x.csv", "b/x.csv", "y.csv"]),
        (["a/x.csv", "x.csv"], ["a/x.csv", "x.csv"]),
        (["/b/a/x.csv", "/c/a/x.csv"], ["b/a/x.csv", "c/a/x.csv"]),
        ([], []),
    ],
)
def test_files_have_the_shortest_names_that_tell_them_apart(files, names):
    assert [short_names(files)[file] for file in files] == names


FILES = {"/a/train.csv": "train.csv ", "/a/test.csv": "test.csv "}
NAMES = {
    "/a/train.csv:480": "train.csv line 480",
    "/a/test.csv#0": "test.csv row 0",
    "/a/other.csv:3": "/a/other.csv:3",
    "/mail/ham/0001.txt:1": "ham/0001.txt",
    "patient 7": "patient 7",
    "#17": "#17",
    "": "",
}


def test_a_row_is_named_by_line_or_number():
    names = RowNames(FILES, "/mail/")
    assert {name: names.one(name) for name in NAMES} == NAMES
    frame = pl.DataFrame({"row": list(NAMES)})
    assert frame.select(names(pl.col("row")))["row"].to_list() == list(NAMES.values())
    assert RowNames({}).one("train.csv:3") == "train.csv:3"


def test_a_place_of_a_verdict_is_named_likewise():
    one = {"/a/b.csv": ""}
    assert site_name(Site(source="/a/b.csv", row=3, line=5), one) == "line 5"
    assert site_name(Site(source="/a/b.csv", row=3), one) == "row 3"
    assert site_name(Site(source="/a/b.csv", column="age"), one) == "b.csv[age]"
    assert site_name(Site(source="/a/b.csv"), one) == "b.csv"
    assert site_name(Site(source="/a/c.csv", row=1), one) == "/a/c.csv row 1"


def test_ids_of_the_user_stay_as_they_are():
    record = made_up().provenance
    named = RowNames.of(record)
    assert named.files == {"mail.csv": ""}
    by_id = type(record)(**{**vars(record), "settings": {"id_column": "key"}})
    assert RowNames.of(by_id).one("mail.csv:3") == "mail.csv:3"


@pytest.mark.parametrize("kind", MADE)
def test_programs_get_whole_names_and_the_same_run(kind):
    findings, report = shown(MADE[kind]())
    assert report.provenance["run_id"] == findings.provenance.run_id == short_rows(findings).provenance.run_id
    out = io.StringIO()
    get("json", kind).write(findings, report, out)
    whole = json.loads(out.getvalue())
    for table, frame in findings.tables().items():
        for name in [
            name for name, held in findings.SCHEMAS[table].holds.items() if held in ("train", "test")
        ]:
            assert [row[name] for row in whole[table]] == frame[name].to_list()


def test_decisions_go_by_whole_names():
    report = shown(made_up())[1]
    (rows,) = next(section.blocks for section in report.sections if section.key == "rows")
    assert [row.row_id for row in rows.items[:2]] == ["line 2", "line 4"]
    assert [row[0] for row in rows.queue["rows"][:2]] == ["mail.csv:2", "mail.csv:4"]
