import dataclasses
import json
import math
import os

import polars as pl
import pytest
from polars.testing import assert_frame_equal
from writers.example import made_up

from dataaudit.errors import DataError, UnreadableFile, WriteError
from dataaudit.findings.schemas import LABELS, Findings


def test_what_is_written_is_read_back(tmp_path):
    findings = made_up()
    back = Findings.read(findings.write(tmp_path / "new" / "folder"))
    for name, frame in findings.tables().items():
        assert_frame_equal(back.tables()[name], frame)
    assert back.provenance == dataclasses.replace(
        findings.provenance, classes=["ham", "spam"], origins=[dict(o) for o in findings.provenance.origins]
    )
    assert back.provenance.run_id == findings.provenance.run_id


def test_further_columns_of_labels_are_kept(tmp_path):
    findings = made_up()
    findings = dataclasses.replace(findings, labels=findings.labels.with_columns(margin=pl.lit(1.5)))
    assert Findings.read(findings.write(tmp_path)).labels["margin"].sum() == 1.5 * 40


def test_the_same_findings_give_the_same_bytes(tmp_path):
    first, second = made_up().write(tmp_path / "a"), made_up().write(tmp_path / "b")
    files = sorted(path.name for path in first.iterdir())
    assert files == sorted([*(f"{name}.parquet" for name in Findings.SCHEMAS), "provenance.json"])
    assert all((first / name).read_bytes() == (second / name).read_bytes() for name in files)


def test_provenance_is_json_with_sorted_keys_even_where_numbers_are_missing(tmp_path):
    folder = made_up(expected_wrong=math.nan, settings={"z": math.inf, "a": 1, "path": tmp_path}).write(
        tmp_path
    )
    values = json.loads((folder / "provenance.json").read_text(), parse_constant=pytest.fail)
    assert list(values) == sorted(values)
    assert values["expected_wrong"] is None
    assert values["settings"] == {"a": 1, "path": str(tmp_path), "z": None}
    assert math.isnan(Findings.read(folder).provenance.expected_wrong)


def test_the_run_id_changes_with_any_setting():
    assert made_up().provenance.run_id == made_up().provenance.run_id
    assert made_up().provenance.run_id != made_up(seed=1).provenance.run_id
    assert len(made_up().provenance.run_id) == 16


@pytest.mark.parametrize("name", Findings.SCHEMAS)
def test_every_table_is_checked(name):
    findings = made_up()
    frame = findings.tables()[name]
    with pytest.raises(DataError, match=f"table {name} lacks {frame.columns[0]}"):
        dataclasses.replace(findings, **{name: frame.drop(frame.columns[0])})
    with pytest.raises(DataError, match=f"column {frame.columns[0]} of table {name} is Null"):
        dataclasses.replace(findings, **{name: frame.with_columns(pl.lit(None).alias(frame.columns[0]))})
    with pytest.raises(DataError, match=f"table {name} has the columns"):
        dataclasses.replace(findings, **{name: frame.select(reversed(frame.columns))})


def test_labels_must_be_in_the_order_of_their_rank():
    findings = made_up()
    with pytest.raises(DataError, match="not sorted by rank"):
        dataclasses.replace(findings, labels=findings.labels.reverse())
    with pytest.raises(DataError, match="not sorted by rank"):
        dataclasses.replace(
            findings, labels=findings.labels.head(3).with_columns(rank=pl.lit(None, pl.Int64))
        )


def test_empty_tables_have_their_schema():
    assert Findings.empty("labels").schema == LABELS
    assert Findings(
        **{name: Findings.empty(name) for name in Findings.SCHEMAS}, provenance=made_up().provenance
    ).labels.is_empty()


def test_a_folder_is_not_replaced_by_half_of_another(tmp_path):
    old = made_up()
    folder = old.write(tmp_path)
    in_the_way = folder / f".noise.parquet.{os.getpid()}.part"  # one table cannot be written
    in_the_way.mkdir()
    with pytest.raises(WriteError, match="findings cannot be written"):
        made_up(n=7).write(folder)
    in_the_way.rmdir()
    assert_frame_equal(Findings.read(folder).labels, old.labels)
    assert not list(folder.glob(".*"))


def test_a_failure_between_two_files_leaves_a_folder_that_says_so(tmp_path):
    folder = made_up().write(tmp_path)
    (folder / "cells.parquet").unlink()
    (folder / "cells.parquet").mkdir()  # the new table cannot take its place
    with pytest.raises(WriteError, match="findings cannot be written"):
        made_up(n=7).write(folder)
    with pytest.raises(DataError, match="not a whole folder of findings"):
        Findings.read(folder)
    assert not list(folder.glob(".*"))


def test_a_file_in_the_place_of_the_folder(tmp_path):
    (tmp_path / "file").write_text("")
    for folder in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(WriteError, match="--out"):
            made_up().write(folder)


def test_reading_what_is_no_findings(tmp_path):
    with pytest.raises(DataError, match="is not a folder of findings"):
        Findings.read(tmp_path / "absent")
    with pytest.raises(DataError, match=r"lacks provenance\.json"):
        Findings.read(tmp_path)
    folder = made_up().write(tmp_path)
    (folder / "noise.parquet").unlink()
    with pytest.raises(DataError, match=r"lacks the table noise\.parquet"):
        Findings.read(folder)
    (folder / "noise.parquet").write_bytes(b"PAR1 cut short")
    with pytest.raises(UnreadableFile, match=r"noise\.parquet is not a whole Parquet file"):
        Findings.read(folder)
    (made_up(n=3).write(folder) / "labels.parquet").write_bytes((folder / "budget.parquet").read_bytes())
    with pytest.raises(DataError, match="table labels lacks row_id"):
        Findings.read(folder)


@pytest.mark.parametrize(
    ("text", "error", "match"),
    [
        ("{", UnreadableFile, "is not JSON"),
        ("[]", UnreadableFile, "no JSON object"),
        ("{}", DataError, "has format None, this version reads 1"),
        ('{"format": 2}', DataError, "has format 2"),
        ('{"format": 1}', DataError, "is not of an audit of labels"),
        ('{"format": 1, "kind": "labels", "seed": 0}', DataError, "lacks version, command"),
    ],
)
def test_reading_a_provenance_that_is_not_ours(tmp_path, text, error, match):
    folder = made_up().write(tmp_path)
    (folder / "provenance.json").write_text(text)
    with pytest.raises(error, match=match):
        Findings.read(folder)


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ('{"kind": "mismatch"}', "an audit of a mismatch"),
        ('{"kind": "explanation"}', "an explanation"),
        ('{"kind": ["labels"]}', "a provenance.json of something else"),
        ("{", "a provenance.json of something else"),
    ],
)
def test_a_folder_that_holds_something_else_is_left_as_it_is(tmp_path, text, holds):
    (tmp_path / "provenance.json").write_text(text)
    with pytest.raises(WriteError, match=rf" holds {holds}\. Hint: name another folder with --out\.$"):
        made_up().write(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["provenance.json"]
    assert (tmp_path / "provenance.json").read_text() == text


def test_tables_of_an_earlier_version_go_and_other_files_stay(tmp_path):
    folder = made_up().write(tmp_path / "found")
    known = json.loads((folder / "provenance.json").read_text())
    assert known["tables"] == sorted(Findings.SCHEMAS)
    known["tables"] += ["retired", "../outside", 7]
    (folder / "provenance.json").write_text(json.dumps(known))
    for path in (folder / "retired.parquet", folder / "mine.parquet", tmp_path / "outside.parquet"):
        path.write_bytes(b"")
    made_up(n=30).write(folder)
    assert not (folder / "retired.parquet").exists()
    assert (folder / "mine.parquet").exists()
    assert (tmp_path / "outside.parquet").exists()
    assert Findings.read(folder).labels.height == 30


def test_no_table_is_written_over_the_data(tmp_path):
    (tmp_path / "labels.parquet").write_bytes(b"data")
    origin = {"path": (tmp_path / "labels.parquet").as_posix(), "format": "parquet", "sha256": "", "rows": 1}
    with pytest.raises(WriteError, match="would be written over"):
        made_up(origins=[origin]).write(tmp_path)
    assert (tmp_path / "labels.parquet").read_bytes() == b"data"
    assert len(list(tmp_path.iterdir())) == 1
