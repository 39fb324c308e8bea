"""Parquet and Arrow: only the wanted columns are read, and damage is told."""

import gzip
import hashlib

import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dataaudit.data.load import load
from dataaudit.errors import DataError, MissingColumn, UnreadableFile

FRAME = pl.DataFrame(
    {
        "a": range(2_000),
        "v": [[1.0, 2.0]] * 2_000,
        "c": pl.Series(["u", "v"] * 1_000, dtype=pl.Categorical),
        "y": ["p", "q"] * 1_000,
    }
)


@pytest.fixture
def parquet(tmp_path):
    path = tmp_path / "x.parquet"
    FRAME.write_parquet(path)
    return path


def test_parquet(parquet):
    result = load(parquet, target="y")
    assert result.frame.equals(FRAME)
    assert result.frame.schema == FRAME.schema
    assert result.row_id.to_list()[:2] == [f"{parquet.as_posix()}#0", f"{parquet.as_posix()}#1"]
    assert result.line.null_count() == result.n
    origin = result.origins[0]
    assert (origin.format, origin.rows) == ("parquet", 2_000)
    assert origin.sha256 == hashlib.sha256(parquet.read_bytes()).hexdigest()


@pytest.mark.parametrize("name", ["x.arrow", "x.feather", "x.ipc", "x"])
@pytest.mark.parametrize("stream", [False, True])
def test_arrow(tmp_path, name, stream):
    path = tmp_path / name
    (FRAME.write_ipc_stream if stream else FRAME.write_ipc)(path)
    result = load(path, target="y", columns=["a"])
    assert result.frame.equals(FRAME.select("a", "y"))
    assert result.origins[0].format == "arrow"


def test_what_a_file_is_comes_before_what_it_is_called(parquet):
    named = parquet.rename(parquet.with_name("x.csv"))
    assert load(named, target="y").origins[0].format == "parquet"


def test_packed_parquet_and_names_that_are_patterns(parquet):
    for name in ("x.parquet.gz", "[x]*?.parquet"):
        path = parquet.with_name(name)
        path.write_bytes(gzip.compress(parquet.read_bytes()) if name.endswith("gz") else parquet.read_bytes())
        assert load(path, target="y").n == FRAME.height


def test_a_damaged_column_that_is_not_wanted_is_not_read(parquet):
    group = pq.ParquetFile(parquet).metadata.row_group(0)
    chunk = next(group.column(i) for i in range(group.num_columns) if group.column(i).path_in_schema == "a")
    start = chunk.dictionary_page_offset or chunk.data_page_offset
    data = bytearray(parquet.read_bytes())
    data[start : start + chunk.total_compressed_size] = b"\xff" * chunk.total_compressed_size
    parquet.write_bytes(data)
    assert load(parquet, target="y", exclude=["a"]).frame.columns == ["v", "c", "y"]
    with pytest.raises(
        UnreadableFile, match=r"x.parquet is not a readable Parquet file: .+ Hint: the file may be cut"
    ):
        load(parquet, target="y")


def test_id_column_of_numbers_becomes_text(parquet):
    result = load(parquet, target="y", id_column="a")
    assert result.row_id.to_list()[:3] == ["0", "1", "2"]
    assert "a" not in result.frame.columns
    with pytest.raises(DataError, match=r"the id column 'v' of .* holds List\(Float64\)"):
        load(parquet, target="y", id_column="v")


def test_missing_column(parquet):
    with pytest.raises(MissingColumn, match=r"column 'Y2' is not in .*x.parquet. Hint: did you mean 'y'"):
        load(parquet, target="Y2")


@pytest.mark.parametrize("keep", [4, 8, 100, -1, -4, -100])
def test_parquet_cut_short(parquet, keep):
    parquet.write_bytes(parquet.read_bytes()[:keep])
    with pytest.raises(
        UnreadableFile, match=r"x.parquet is (cut short|not a readable Parquet file).* Hint: "
    ) as caught:
        load(parquet, target="y")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("keep", [-1, -40, -600, 700, 10])
@pytest.mark.parametrize("stream", [False, True])
def test_arrow_cut_short(tmp_path, keep, stream):
    path = tmp_path / "x.arrow"
    (FRAME.write_ipc_stream if stream else FRAME.write_ipc)(path)
    data = path.read_bytes()
    if stream and keep in (-1, -40):
        keep = -2_000  # what follows the last batch in a stream is only its end mark
    path.write_bytes(data[:keep])
    with pytest.raises(UnreadableFile, match=r"x.arrow is not a readable Arrow file: .+ Hint: ") as caught:
        load(path, target="y")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("x.parquet", b"a,y\n1,2\n", "x.parquet is not a Parquet file: it starts with b'a,y"),
        ("x.parquet", b"PAR1....PARE", "encrypted Parquet"),
        ("x.feather", b"FEA1....", "Feather version 1"),
        ("x.arrow", b"garbage", "not an Arrow file: it starts with b'garbag'"),
        ("x.pkl", b"\x80\x04", "format that is not read here: .pkl. Hint: write it as Parquet"),
        ("x.sqlite", b"SQLite format 3\0", "format that is not read here: .sqlite"),
        ("x.bin", b"\x01\x00\x02", "not a text table: got a null byte"),
    ],
)
def test_bad_magic(tmp_path, name, data, message):
    path = tmp_path / name
    path.write_bytes(data)
    with pytest.raises(UnreadableFile, match=message):
        load(path, target="y")


def test_no_rows(tmp_path):
    path = tmp_path / "x.parquet"
    FRAME.clear().write_parquet(path)
    with pytest.raises(DataError, match=r"x.parquet has a header but no rows"):
        load(path, target="y")


def test_real_mail(data_folder):
    result = load(data_folder / "enron1.parquet", target="label")
    assert result.n > 5_000
    assert result.row_id.n_unique() == result.n


def _pandas(index):
    frame = pd.DataFrame({"a": [1.5, 2.5, 3.5], "y": ["p", "q", "p"]})
    return frame.set_axis(index) if isinstance(index, pd.Index) else frame.set_index(index)


INDEXES = {
    "without a name": (pd.Index([7, 3, 5]), ("__index_level_0__",), ""),
    "with a name": (pd.Index(["x", "y", "z"], name="patient"), ("patient",), "name it under --id"),
    "of two levels": (
        pd.MultiIndex.from_tuples([(1, "x"), (1, "y"), (2, "x")], names=["site", None]),
        ("site", "__index_level_1__"),
        "name it under --id",
    ),
    "that only counts": (pd.RangeIndex(3), (), ""),
}


def _stream(frame, path):
    table = pa.Table.from_pandas(frame)
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)


def _arrow(frame, path):
    table = pa.Table.from_pandas(frame)
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)


WAYS = {"parquet": lambda frame, path: frame.to_parquet(path), "arrow": _arrow, "stream": _stream}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", INDEXES)
def test_the_index_of_pandas_is_left_out_unless_it_is_named(tmp_path, name, way):
    index, columns, use = INDEXES[name]
    path = tmp_path / f"t.{way}"
    WAYS[way](_pandas(index), path)
    result = load(path, target="y")
    assert result.frame.columns == ["a", "y"]
    assert len(result.notes) == bool(columns)
    assert all(use in note and all(repr(column) in note for column in columns) for note in result.notes)
    assert load(path, target="y", exclude=columns).notes == ()
    packed = path.with_suffix(path.suffix + ".gz")
    packed.write_bytes(gzip.compress(path.read_bytes()))
    assert load(packed, target="y").frame.equals(result.frame)
    for column in columns:
        assert column in load(path, target="y", named=[column]).frame.columns
        assert load(path, target="y", columns=[column]).frame.columns == ["y", column]
        if name != "of two levels":
            assert load(path, target="y", id_column=column).row_id.to_list() == list(map(str, index))


def test_the_index_may_be_the_label(tmp_path):
    _pandas("y").to_parquet(tmp_path / "t.parquet")
    assert load(tmp_path / "t.parquet", target="y").frame.columns == ["a", "y"]


def test_shards_fit_whatever_their_index(tmp_path):
    whole = _pandas(pd.Index([7, 3, 5]))
    whole.to_parquet(tmp_path / "0.parquet")
    whole.iloc[:0].to_parquet(tmp_path / "1.parquet")
    whole.reset_index(drop=True).to_parquet(tmp_path / "2.parquet")
    result = load(tmp_path, target="y")
    assert result.frame["a"].to_list() == [1.5, 2.5, 3.5] * 2
    assert sum("index" in note for note in result.notes) == 1
