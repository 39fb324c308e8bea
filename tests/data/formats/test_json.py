"""NDJSON, arrays, and objects one after another."""

import gzip
import json

import pandas as pd
import pytest

from dataaudit.data.load import load
from dataaudit.errors import DataError, MissingColumn, UnreadableFile

ROWS = [
    {"a": 1, "t": 'line\n"two"', "y": "p"},
    {"a": 2.5, "t": None, "y": "q"},
    {"t": "é,", "y": "p", "a": 3},
]
EXPECTED = [(1.0, 'line\n"two"', "p"), (2.5, None, "q"), (3.0, "é,", "p")]


@pytest.fixture
def table(tmp_path):
    def write(text, name="x.jsonl"):
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write


@pytest.mark.parametrize(
    ("text", "kind", "lines"),
    [
        ("\n".join(map(json.dumps, ROWS)) + "\n", "ndjson", [1, 2, 3]),
        ("\n\n" + "\r\n \r\n".join(map(json.dumps, ROWS)), "ndjson", [3, 5, 7]),
        ("\ufeff" + "\n".join(map(json.dumps, ROWS)), "ndjson", [1, 2, 3]),
        (json.dumps(ROWS, indent=1), "json", [2, 7, 12]),
        ("[\n" + ",\n".join(map(json.dumps, ROWS)) + "\n]\n", "json", [2, 3, 4]),
        ("\n".join(json.dumps(row, indent=1) for row in ROWS), "json", [1, 6, 11]),  # what `jq .` prints
        (json.dumps(ROWS), "json", [1, 1, 1]),
    ],
)
@pytest.mark.parametrize("name", ["x.jsonl", "x.json", "x.ndjson.gz", "x"])
def test_records_with_their_lines(table, text, kind, lines, name):
    packed = name.endswith(".gz")
    path = table(gzip.compress(text.encode()) if packed else text, name)
    result = load(path, target="y")
    assert result.frame.select("a", "t", "y").rows() == EXPECTED
    assert result.line.to_list() == lines
    assert result.origins[0].format == kind + "+gzip" * packed
    mark = "#" if len(set(lines)) == 1 else ":"  # several records on a line are named by number
    numbers = range(3) if mark == "#" else lines
    assert result.row_id.to_list() == [f"{path.as_posix()}{mark}{number}" for number in numbers]


def test_a_key_that_only_late_rows_have(table):
    text = '{"y":"p"}\n' * 3_000 + '{"y":"q","late":1.5}\n'
    assert load(table(text), target="y").frame["late"].to_list()[-2:] == [None, 1.5]


def test_pythons_nan_is_read_though_it_is_no_json(table):
    frame = load(table('{"a":1,"y":"p"}\n{"a":NaN,"y":"q"}\n'), target="y").frame
    assert frame["a"].is_nan().to_list() == [False, True]


def test_lists_are_vectors_and_long_numbers_text(table):
    frame = load(table('{"v":[1,2.5],"k":1e2,"y":1}\n{"v":[3,4],"k":5,"y":0}\n'), target="y").frame
    assert frame["v"].to_list() == [[1.0, 2.5], [3.0, 4.0]]
    frame = load(table('{"k":123456789012345678901234,"y":1}\n{"k":5,"y":0}\n'), target="y").frame
    assert frame["k"].to_list() == ["123456789012345678901234", "5"]


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        (
            '{"y":1}\n{"y":2,,}\n{"y":3}\n',
            UnreadableFile,
            "the record at line 2 is not JSON: Expecting property",
        ),
        ('{"y":1}\n\n{"y":2,"a":\n', UnreadableFile, "the record at line 3 is not JSON"),
        ('[\n{"y":1},\n{"y":2}', UnreadableFile, "cut short: its array never closes"),
        ('[{"y":1}]\n{"y":2}', UnreadableFile, "line 2 goes on after its array has closed"),
        ('{"y":1}\n7\n', UnreadableFile, "line 2 holds 7, not an object. Hint: give one object per row"),
        ("[]", DataError, "holds no records"),
        ('{"a":{"b":{"c":1}}}', UnreadableFile, "one object of 'a', not .* orient=\"records\", or .* jq -c"),
        ('{"train":[{"y":1}],"test":[{"y":2}]}', UnreadableFile, "has rows under 'train' and 'test'.*jq -c"),
        ("[[1,2],[3]]", UnreadableFile, "row 1 of .* has 1 values where others have 2"),
        ('[[1,2],{"a":3}]', UnreadableFile, "line 1 holds {'a': 3}, not an array"),
        ('{"columns":["a","b"],"index":[0],"data":[[1]]}', UnreadableFile, "row 0 of .* has 1 values"),
        ('{"a":{"0":1},"b":{"0":2}}', MissingColumn, "column 'y' is not in .*the columns are a, b"),
        ('{"a":1,"y":1}\n{"a":[2],"y":2}\n', DataError, "column 'a' of .* mixes int and list"),
        ('{"a":1}\n{"a":2}\n', MissingColumn, "column 'y' is not in .*the columns are a"),
        (
            '{"y":1}\n{"y":' + "[" * 100_000,
            UnreadableFile,
            "line 2 is nested too deep|record at line 2 is not JSON",
        ),
        (
            b'\xef\xbb\xbf{"y":"\xe9"}\n',
            UnreadableFile,
            r"not UTF-8: got byte 0xe9 at byte 9 \(line 1\)",
        ),
    ],
)
def test_bad_json_says_what_and_where(table, text, error, message):
    with pytest.raises(error, match=message) as caught:
        load(table(text), target="y")
    assert "\n" not in str(caught.value)


TABLE = pd.DataFrame(
    {"x": [1, 2, 3], "t": ["a", "é", None], "y": ["p", "q", "p"]},
    index=[7, 3, 5],  # as a split leaves it
)


@pytest.mark.parametrize("indent", [None, 1])
@pytest.mark.parametrize("orient", ["columns", "index", "split", "table", "records"])
def test_every_layout_of_pandas_is_the_same_table(orient, indent, table):
    text = TABLE.to_json(orient=orient, indent=indent, force_ascii=False)
    data = load(table(text, "x.json"), target="y")
    assert data.frame.columns == ["x", "t", "y"]
    assert data.frame.rows() == [(1, "a", "p"), (2, "é", "q"), (3, None, "p")]
    assert data.origins[0].format == "json"
    left = [note for note in data.notes if "The index that pandas wrote ('index') is left out" in note]
    assert len(left) == (orient == "table")


def test_the_index_of_a_table_can_be_asked_for(table):
    path = table(TABLE.to_json(orient="table"), "x.json")
    data = load(path, target="y", id_column="index")
    assert data.row_id.to_list() == ["7", "3", "5"]
    assert data.frame.columns == ["x", "t", "y"]


def test_values_are_named_by_their_place(table):
    data = load(table(TABLE.to_json(orient="values", indent=1), "x.json"), target="column_3")
    assert data.frame.columns == ["column_1", "column_2", "column_3"]
    assert data.line.to_list() == [2, 7, 12]


def test_lists_by_column(table):
    data = load(table(json.dumps({"x": [1, 2], "y": ["p", "q"]})), target="y")
    assert data.frame.rows() == [(1, "p"), (2, "q")]


@pytest.mark.parametrize("key", ["data", "rows"])
def test_rows_below_one_key(key, table):
    wrapped = {"meta": {"n": 3, "of": [1, 2]}, key: ROWS, "next": None}
    data = load(table(json.dumps(wrapped, indent=1), "x.json"), target="y")
    assert data.frame.select("a", "t", "y").rows() == EXPECTED
    lines = json.dumps(wrapped, indent=1).split("\n")
    assert [lines[line - 1].strip() for line in data.line.to_list()] == ["{"] * 3


def test_a_single_record_with_lists_of_objects_is_a_record(table):
    path = table('{"y":"p","parts":[{"a":1},{"a":2}]}')
    assert load(path, target="y").n == 1


@pytest.mark.parametrize("rows", ['{"k":%s,"y":1}\n{"k":5,"y":0}\n', '[{"k":%s,"y":1},{"k":5,"y":0}]'])
@pytest.mark.parametrize("digits", [20, 40, 60, 400])
def test_a_number_longer_than_any_integer_is_text(rows, digits, table):
    assert load(table(rows % ("1" * digits)), target="y").frame["k"].to_list() == ["1" * digits, "5"]


def test_a_number_that_python_does_not_convert_is_refused(table):
    with pytest.raises(UnreadableFile, match="line 1 has a number too long"):
        load(table('[{"k":%s,"y":1}]' % ("1" * 5000)), target="y")


@pytest.mark.parametrize(
    "rows", ['{"t":"%s","y":1}\n{"t":"b","y":0}\n', '[{"t":"%s","y":1},{"t":"b","y":0}]']
)
def test_half_a_character_is_replaced(rows, table):
    """As where a text was cut within an emoji."""
    assert load(table(rows % "a\\ud83d"), target="y").frame["t"].to_list() == ["a\ufffd", "b"]


def test_a_key_with_half_a_character(table):
    data = load(table('[{"\\ud83d":1,"y":1},{"\\ud83d":2,"y":0}]'), target="y")
    assert data.frame.columns == ["\ufffd", "y"]


def test_vectors_of_whole_and_other_numbers(table):
    data = load(table('[{"v":[1,1.5],"y":1},{"v":[2,null],"y":0},{"v":null,"y":0}]'), target="y")
    assert data.frame["v"].to_list() == [[1.0, 1.5], [2.0, None], None]
