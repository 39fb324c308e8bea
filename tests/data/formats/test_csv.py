"""CSV and its kin: what is read, and what is said of what cannot be."""

import datetime as dt
import gzip
import hashlib

import numpy as np
import polars as pl
import pyarrow as pa
import pytest

from dataaudit.data.blob import Blob
from dataaudit.data.dataset import Wanted
from dataaudit.data.formats.csv import _part, _Table
from dataaudit.data.load import combine, load
from dataaudit.errors import DataError, MissingColumn, SettingError, UnreadableFile


@pytest.fixture
def table(tmp_path):
    """Write bytes to a file in an empty folder and return its path."""

    def write(data, name="x.csv"):
        path = tmp_path / name
        path.write_bytes(data)
        return path

    return write


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
@pytest.mark.parametrize("name", ["x.csv", "x.txt", "x"])
def test_separator_is_found(table, separator, name):
    lines = ["a,text,y", '1.5,"u, v; w|x\tz",p', "2.5,plain; words,q"]
    data = "\n".join(line.replace(",", separator) for line in lines[:1])
    data += f'\n1.5{separator}"u, v; w|x\tz"{separator}p\n2.5{separator}plain{separator}q\n'
    result = load(table(data.encode(), name), target="y")
    assert result.frame.rows() == [(1.5, "u, v; w|x\tz", "p"), (2.5, "plain", "q")]
    assert result.origins[0].format == ("tsv" if separator == "\t" else "csv")


def test_tsv_is_tabbed_by_name(table):
    assert load(table(b"y\ta,b\np\t1,2\n", "x.tsv"), target="y").frame.columns == ["y", "a,b"]


@pytest.mark.parametrize(
    ("name", "pack"),
    [("x.csv.gz", gzip.compress), ("x.csv.zst", lambda data: pa.compress(data, codec="zstd", asbytes=True))],
)
def test_packed(table, name, pack):
    data = pack(b'a,y\r\n1,p\r\n"x\r\ny",q\r\n')
    path = table(data, name)
    result = load(path, target="y")
    assert result.frame["a"].to_list() == ["1", "x\r\ny"]
    assert result.line.to_list() == [2, 3]
    assert result.origins[0].sha256 == hashlib.sha256(data).hexdigest()
    assert result.origins[0].format == ("csv+gzip" if name.endswith("gz") else "csv+zstd")


def test_a_late_float_or_word_does_not_fail(table):
    data = "a,b,y\n" + "1,1,p\n" * 20_000 + "2.5,word,q\n"
    frame = load(table(data.encode()), target="y").frame
    assert frame.schema["a"] == pl.Float64
    assert frame["b"][-1] == "word"


def test_a_late_float_in_a_file_too_large_to_infer_whole(table, monkeypatch):
    monkeypatch.setattr("dataaudit.data.formats.csv._INFER_ALL", 100)
    data = "a,b,y\n" + "1,,p\n" * 20_000 + "2.5,7,q\n"
    frame = load(table(data.encode()), target="y").frame
    assert frame.schema["a"] == pl.Float64
    assert frame["b"].to_list()[-1] == 7


def test_empty_cells_are_null_quoted_or_not(table):
    frame = load(table(b'a,b,c,y\n1,x,0.5,p\n,"",,q\n"",,NaN,p\n'), target="y").frame
    assert frame["a"].to_list() == [1, None, None]
    assert frame["b"].to_list() == ["x", None, None]
    assert frame["c"].to_list() == [0.5, None, None]


def test_missing_words_leave_a_column_of_numbers(table):
    result = load(table(b"a,b,y\n1,?,p\nNA,x,q\n 2.5,n/a,p\n?,x,q\n"), target="y")
    assert result.frame["a"].to_list() == [1.0, None, 2.5, None]
    assert result.frame["b"].to_list() == ["?", "x", "n/a", "x"]  # among words they are levels
    assert "x.csv: column 'a': 2 cells that read '?' or 'NA' are taken as missing." in [
        note[note.index("x.csv") :] for note in result.notes
    ]


def test_codes_with_leading_zeros_stay_text_and_it_is_said(table):
    result = load(table(b"zip,n,y\n00123,0,p\n14,10,q\n,7,p\n"), target="y")
    assert result.frame["zip"].to_list() == ["00123", "14", None]
    assert result.frame["n"].to_list() == [0, 10, 7]
    assert any("column 'zip' is kept as text, since 00123 is a code" in note for note in result.notes)
    assert not any("'n'" in note for note in result.notes)


def test_numbers_too_long_for_64_bits_stay_text(table):
    result = load(table(b"k,y\n99999999999999999999999,p\n14,q\n"), target="y")
    assert result.frame["k"].to_list() == ["99999999999999999999999", "14"]
    assert any("'k' is kept as text" in note for note in result.notes)


def test_decimal_commas_beside_semicolons(table):
    frame = load(table(b"a;b;y\n1,5;x,y;p\n-2,25;z;q\n"), target="y").frame
    assert frame["a"].to_list() == [1.5, -2.25]
    assert frame["b"].to_list() == ["x,y", "z"]


def test_iso_dates_are_dates_but_not_in_the_label(table):
    frame = load(
        table(b"d,t,y\n2024-02-29,2024-02-29T10:00:00Z,2024-01-01\n,,2024-01-02\n"), target="y"
    ).frame
    assert frame["d"].to_list() == [dt.date(2024, 2, 29), None]
    assert frame["t"].to_list() == [dt.datetime(2024, 2, 29, 10, tzinfo=dt.UTC), None]
    assert frame["y"].to_list() == ["2024-01-01", "2024-01-02"]


def test_infinities_are_left_for_the_audit_to_judge(table):
    assert load(table(b"a,y\ninf,p\n-inf,q\n1,p\n"), target="y").frame["a"].to_list() == [
        float("inf"),
        float("-inf"),
        1.0,
    ]


def test_only_wanted_columns(table):
    path = table(b"a,b,c,y\n1,2,3,p\n4,5,6,q\n")
    assert load(path, target="y", columns=["c", "a"]).frame.columns == ["a", "c", "y"]
    assert load(path, target="y", exclude=["b"]).frame.columns == ["a", "c", "y"]
    assert load(path, target="y", columns=["a"], exclude=["a"]).frame.columns == ["a", "y"]


def test_id_column_names_the_rows_and_is_no_feature(table):
    result = load(table(b"k,a,y\n007,1,p\n8,2,q\n"), target="y", id_column="k")
    assert result.row_id.to_list() == ["007", "8"]
    assert result.frame.columns == ["a", "y"]
    assert result.line.to_list() == [2, 3]


def test_header_with_odd_names(table):
    result = load(table(b'"a\nb", c ,"say ""hi""",1,0,y\n1,2,3,4,5,p\n'), target="y")
    assert result.frame.columns == ["a\nb", "c", 'say "hi"', "1", "0", "y"]
    assert result.frame.row(0) == (1, 2, 3, 4, 5, "p")
    assert result.line.to_list() == [3]


def test_a_nameless_column_is_named_by_its_place(table):
    result = load(table(b",a,y\n0,5,p\n1,6,q\n"), target="y")
    assert result.frame.columns == ["column_1", "a", "y"]
    assert any("column 1 has no name, so it is called 'column_1'" in note for note in result.notes)


@pytest.mark.parametrize(
    ("data", "error", "message"),
    [
        (b"", UnreadableFile, "x.csv is empty: got 0 bytes"),
        (b" \r\n\n", UnreadableFile, "x.csv is empty: got 4 blank bytes"),
        (b"a,y\n", DataError, "x.csv has a header but no rows"),
        (b"a,y", DataError, "x.csv has a header but no rows"),
        (b"a,y,a\n1,2,3\n", DataError, "column 'a' stands twice in the header of .*x.csv"),
        (
            "a,y\né,p\nñö,p\ncaf".encode() + b"\xe9,q\n",
            UnreadableFile,
            r"not UTF-8: got byte 0xe9 at byte 19 \(line 4\). Hint: name its encoding with --encoding",
        ),
        (b"\xef\xbb\xbfa,y\n\xff,q\n", UnreadableFile, r"got byte 0xff at byte 7 \(line 2\)"),
        (b"a,y\n1,p\nx\x00,q\n", UnreadableFile, r"got a null byte at byte 9 \(line 3\)"),
        (
            b'a,b,y\n"1\n",2,p\n3,q\n4,r\n',
            UnreadableFile,
            "line 4 has 2 fields where the header has 3, and 1 more",
        ),
        (
            b"a,y\n1,p,extra\n",
            UnreadableFile,
            "line 2 has 3 fields where the header has 2. Hint: fix that line",
        ),
        (b'a,y\n5" pipe,p\n1,p,q\n', UnreadableFile, "line 3 has 3 fields where the header has 2"),
        (b"a;y\n1\n", UnreadableFile, "line 2 has 1 field where the header has 2.* that hold a semicolon"),
        (b'a,y\n1,p\n"2,q\n3,r\n', UnreadableFile, "line 3 opens a quote that never closes"),
        (b'a,y\n1,p\n"2,q\n3,"r"\n', UnreadableFile, "line 3 has text after a closing quote, on line 4"),
        (b"PK\x03\x04rest", UnreadableFile, "cannot be unpacked: File is not a zip file"),
        (b"\x1f\x8b\x08broken", UnreadableFile, "cannot be unpacked"),
        (b"\x28\xb5\x2f\xfdbroken", UnreadableFile, "cannot be unpacked"),
        (gzip.compress(b"a,y\n1,p\n" * 100)[:-9], UnreadableFile, "cannot be unpacked.*fetch it again"),
        (gzip.compress(b""), UnreadableFile, "empty: got 0 bytes unpacked"),
    ],
)
def test_bad_files_say_what_and_where(table, data, error, message):
    with pytest.raises(error, match=message) as caught:
        load(table(data), target="y")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"target": "lable"}, "column 'lable' is not in .*x.csv. Hint: did you mean 'label'"),
        ({"target": "zzz"}, "column 'zzz' is not in .*Hint: the columns are key, label, age"),
        ({"target": "label", "columns": ["agee"]}, "column 'agee' .*did you mean 'age'"),
        ({"target": "label", "exclude": ["kee"]}, "column 'kee' .*did you mean 'key'"),
        ({"target": "label", "id_column": "Keys"}, "column 'Keys' .*did you mean 'key'"),
    ],
)
def test_misspelt_columns_get_a_close_match(table, settings, message):
    with pytest.raises(MissingColumn, match=message):
        load(table(b"key,label,age\n1,p,3\n"), **settings)


def test_ids_must_be_unique_and_full(table):
    with pytest.raises(
        DataError, match=r"id column 'k' is not unique: got '7' 2 times, at .*x.csv:2 and .*x.csv:4"
    ):
        load(table(b"k,y\n7,p\n8,q\n7,p\n"), target="y", id_column="k")
    with pytest.raises(DataError, match=r"id column 'k' is empty in 1 of 2 rows, first at .*x.csv:3"):
        load(table(b'k,y\n7,p\n"",q\n'), target="y", id_column="k")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"exclude": ["y"]}, "column 'y' is both the label and excluded"),
        ({"id_column": "y"}, "column 'y' is both the label and the id"),
    ],
)
def test_contradicting_settings(table, settings, message):
    with pytest.raises(SettingError, match=message):
        load(table(b"a,y\n1,p\n"), target="y", **settings)


def test_hostile_names_stay_on_one_line(table):
    path = table(b"a,y\n1\n", "x\n\x1b[31m\u202e.csv")
    with pytest.raises(UnreadableFile) as caught:
        load(path, target="y")
    assert str(caught.value).isprintable()
    with pytest.raises(MissingColumn) as caught:
        load(table(b'"a\n\x1b[31m",y\n1,p\n'), target="zz")
    assert "\n" not in str(caught.value)


def test_rows_that_polars_counts_otherwise_are_named_by_number():
    """No file is known with which this happens, so the last step is tested by itself."""
    blob = Blob("x.csv", ".csv", "", "0" * 64, "", b"")
    lost = _Table(("a", "y"), b"", np.array([2, 3, 4]), 2)
    part = _part(pl.DataFrame({"a": [1, 2], "y": ["p", "q"]}), lost, blob, kind="csv", notes=[])
    result = combine([part], Wanted("y"), notes=())
    assert result.row_id.to_list() == ["x.csv#0", "x.csv#1"]
    assert result.line.null_count() == 2
    assert any("its lines could not be found (3 records found, 2 rows read)" in note for note in result.notes)
