"""Zip files with one table."""

import io
import zipfile

import polars as pl
import pytest

from dataaudit.data.load import load
from dataaudit.errors import DataError, UnreadableFile

CSV = b"x,y\n1,p\n2,q\n"


@pytest.fixture
def packed(tmp_path):
    def write(**members):
        path = tmp_path / "t.zip"
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, data in members.items():
                archive.writestr(name, data)
        return path

    return write


def parquet():
    out = io.BytesIO()
    pl.DataFrame({"x": [1, 2], "y": ["p", "q"]}).write_parquet(out)
    return out.getvalue()


@pytest.mark.parametrize(
    ("members", "kind", "ids"),
    [
        ({"t.csv": CSV}, "csv+zip", ":3"),
        (
            {"data/t.csv": CSV, "__MACOSX/data/._t.csv": b"\0", "data/.DS_Store": b"\0", "README.md": b"hi"},
            "csv+zip",
            ":3",
        ),
        ({"SMSSpam": b"x\ty\n1\tp\n2\tq\n"}, "tsv+zip", ":3"),
        ({"T.PARQUET": parquet()}, "parquet+zip", "#1"),
        ({"t.ndjson": b'{"x":1,"y":"p"}\n{"x":2,"y":"q"}\n'}, "ndjson+zip", ":2"),
    ],
)
def test_one_table(packed, members, kind, ids):
    path = packed(**members)
    result = load(path, target="y")
    assert result.frame.rows() == [(1, "p"), (2, "q")]
    assert result.row_id[1] == path.as_posix() + ids
    assert result.origins[0].format == kind


def test_a_folder_with_nothing_else(packed):
    assert load(packed(**{"t.csv": CSV}).parent, target="y").n == 2


@pytest.mark.parametrize(
    ("members", "error", "message"),
    [
        ({"a.csv": CSV, "b.csv": CSV}, DataError, r"zip file of 2 files: a.csv, b.csv. Hint: unpack it"),
        ({"a.txt": b"hi", "b.txt": b"ho"}, DataError, r"zip file of 2 files: a.txt, b.txt"),
        (
            {"a.npy": b"hi", "b.npy": b"ho"},
            UnreadableFile,
            r"holds NumPy arrays: a.npy, b.npy. Hint: write them",
        ),
        ({"__MACOSX/a.csv": b"hi"}, UnreadableFile, "zip file with nothing in it"),
        ({"a.csv": b""}, UnreadableFile, "t.zip is empty"),
    ],
)
def test_what_cannot_be_chosen(packed, members, error, message):
    with pytest.raises(error, match=message):
        load(packed(**members), target="y")


def test_a_bomb_is_not_unpacked(tmp_path):
    with zipfile.ZipFile(tmp_path / "t.zip", "w") as archive:
        archive.writestr("t.csv", CSV)
        archive.infolist()[0].file_size = 2**50  # as the directory at the end will say
    with pytest.raises(DataError, match=r"t.zip unpacks to 1,048,576.0 GiB, more than half of this machine"):
        load(tmp_path / "t.zip", target="y")


def test_encrypted(packed):
    path = packed(**{"t.csv": CSV})
    data = bytearray(path.read_bytes())
    data[data.rindex(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(bytes(data))
    with pytest.raises(UnreadableFile, match=r"t.zip is encrypted. Hint: unpack it with its password"):
        load(path, target="y")
