"""NDJSON, arrays, and objects one after another."""

import gzip
import json

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
        ('{"a":{"0":1},"y":{"0":2}}', UnreadableFile, "one object of 'a', 'y'.* orient=\"records\""),
        ('{"a":1,"y":1}\n{"a":[2],"y":2}\n', DataError, "column 'a' of .* mixes int and list"),
        ('{"a":1}\n{"a":2}\n', MissingColumn, "column 'y' is not in .*the columns are a"),
        (
            '{"y":1}\n{"y":' + "[" * 100_000,
            UnreadableFile,
            "line 2 is nested too deep|record at line 2 is not JSON",
        ),
        (b'{"y":"\xe9"}\n', UnreadableFile, r"not UTF-8: got byte 0xe9 at byte 6 \(line 1\)"),
    ],
)
def test_bad_json_says_what_and_where(table, text, error, message):
    with pytest.raises(error, match=message) as caught:
        load(table(text), target="y")
    assert "\n" not in str(caught.value)
