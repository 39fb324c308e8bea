"""Folders of save_to_disk, and numbers of classes with names."""

import json

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dataaudit.data.load import load
from dataaudit.errors import DataError, UnreadableFile

FEATURES = {
    "t": {"dtype": "string", "_type": "Value"},
    "label": {"names": ["neg", "pos"], "_type": "ClassLabel"},
}
NOTE = "Column 'label' holds numbers with names, which are read: neg, pos."


def table(labels=(0, 1, -1, None)):
    metadata = {b"huggingface": json.dumps({"info": {"features": FEATURES}}).encode()}
    rows = pa.table({"t": [f"t{i}" for i in range(len(labels))], "label": pa.array(labels, pa.int64())})
    return rows.replace_schema_metadata(metadata)


def save_to_disk(folder, *tables):
    """Write what `Dataset.save_to_disk` writes; test_the_package compares."""
    folder.mkdir(parents=True)
    names = [f"data-{i:05}-of-{len(tables):05}.arrow" for i in range(len(tables))]
    for name, rows in zip(names, tables, strict=True):
        with pa.ipc.new_stream(folder / name, rows.schema) as writer:
            writer.write_table(rows)
    state = {"_data_files": [{"filename": name} for name in names], "_fingerprint": "1", "_split": None}
    (folder / "state.json").write_text(json.dumps(state), encoding="utf-8")
    (folder / "dataset_info.json").write_text(json.dumps({"features": FEATURES}), encoding="utf-8")
    return folder


def test_saved_folder(tmp_path):
    folder = save_to_disk(tmp_path / "d", table(), table((1, 0)))
    result = load(folder, target="label")
    assert result.frame["label"].to_list() == ["neg", "pos", None, None, "pos", "neg"]
    assert result.notes == (NOTE,)
    assert [origin.format for origin in result.origins] == ["arrow", "arrow"]


def test_splits_are_named(tmp_path):
    for split in ("train", "test"):
        save_to_disk(tmp_path / "d" / split, table())
    (tmp_path / "d" / "dataset_dict.json").write_text('{"splits": ["train", "test"]}', encoding="utf-8")
    message = r"d holds a dataset of 2 splits: train, test. Hint: name the folder of one: .*/d/train"
    with pytest.raises(DataError, match=message):
        load(tmp_path / "d", target="label")
    assert load(tmp_path / "d" / "train", target="label").n == 4
    (tmp_path / "d" / "dataset_dict.json").write_text('{"splits": ["test"]}', encoding="utf-8")
    assert load(tmp_path / "d", target="label").n == 4


def test_a_file_that_is_gone(tmp_path):
    folder = save_to_disk(tmp_path / "d", table())
    next(folder.glob("*.arrow")).unlink()
    with pytest.raises(
        UnreadableFile, match=r"d lacks data-00000-of-00001.arrow, which its state.json names"
    ):
        load(folder, target="label")


@pytest.mark.parametrize("name", ["t.parquet", "t.arrow", "t.feather"])
def test_names_in_a_file(tmp_path, name):
    if name == "t.parquet":
        pq.write_table(table(), tmp_path / name)
    else:
        with pa.ipc.new_file(tmp_path / name, table().schema) as writer:
            writer.write_table(table())
    result = load(tmp_path / name, target="label")
    assert result.frame["label"].to_list() == ["neg", "pos", None, None]
    assert result.notes == (NOTE,)
    assert load(tmp_path / name, target="t", exclude=["label"]).notes == ()


@pytest.mark.parametrize("metadata", [b"", b"[1]", b'{"info": {"features": []}}'])
def test_metadata_that_say_nothing(tmp_path, metadata):
    pq.write_table(table().replace_schema_metadata({b"huggingface": metadata}), tmp_path / "t.parquet")
    assert load(tmp_path / "t.parquet", target="label").frame["label"].to_list() == [0, 1, -1, None]


def test_the_package(tmp_path):
    import datasets

    made = datasets.Dataset(table((0, 1, 1)))
    made.save_to_disk(tmp_path / "theirs")
    made.to_parquet(tmp_path / "t.parquet")
    ours = save_to_disk(tmp_path / "ours", table((0, 1, 1)))
    expected = load(ours, target="label").frame
    part = made.select([2, 0])
    for source in (tmp_path / "theirs", tmp_path / "t.parquet", made):
        result = load(source, target="label")
        assert result.frame.equals(expected)
        assert result.notes == (NOTE,)
    assert load(part, target="label").frame["t"].to_list() == ["t2", "t0"]
    both = datasets.DatasetDict({"train": made, "test": made})
    with pytest.raises(DataError, match=r"2 splits was given: train, test. Hint: give one of them"):
        load(both, target="label")
    both.save_to_disk(tmp_path / "both")
    with pytest.raises(DataError, match="2 splits: train, test"):
        load(tmp_path / "both", target="label")
    with pytest.raises(DataError, match="a IterableDataset of Hugging Face cannot be read"):
        load(made.to_iterable_dataset(), target="label")


def test_what_the_gate_reads(tmp_path):
    from dataaudit.gate.data import open_data

    pq.write_table(table(), tmp_path / "t.parquet")
    data = open_data([str(tmp_path / "t.parquet")], label="label")
    assert data.places is None  # scanned where it is
    assert data.read(["label"])["label"].to_list() == ["neg", "pos", None, None]
    assert data.schema["label"] == pl.String
