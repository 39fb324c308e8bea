"""Texts that are read some records at a time are what a reader of the whole file makes of them."""

import gzip

import numpy as np
import polars as pl
import pytest

from dataaudit.data import scan
from dataaudit.data.dataset import Dialect, Wanted
from dataaudit.data.formats.batches import Uneven
from dataaudit.data.load import load
from dataaudit.data.paths import find
from dataaudit.data.scratch import Scratch
from dataaudit.errors import UnreadableFile


@pytest.fixture(autouse=True)
def batches(monkeypatch):
    monkeypatch.setattr(scan, "BATCH", 300)


def assert_same(path, **asked):
    """Compare a file in batches with the same read whole."""
    whole = load(str(path), target="y", **asked)
    dialect = asked.pop("dialect", Dialect())
    with Scratch() as scratch:
        wanted = Wanted("y", dialect=dialect, **asked)
        found = scan.scan(find([str(path)], "y"), wanted, given=[str(path)], scratch=scratch)
        assert len(found.frame.pieces) > 1
        assert found.frame.schema == whole.frame.schema
        assert found.frame.collect().equals(whole.frame)
    for name in ("row_id", "row", "source", "line"):
        assert getattr(found, name).equals(getattr(whole, name)), name
    assert (found.origins, found.notes, found.names) == (whole.origins, whole.notes, whole.names)


def table(n=200):
    """Columns whose first rows do not tell what the others are."""
    late = np.arange(n) > n * 0.6
    numbers = np.arange(n)
    return pl.DataFrame(
        {
            "name": [f"row {i}" for i in range(n)],
            "whole": numbers,
            "real_later": [f"{i}.5" if late[i] else f"{i}" for i in range(n)],
            "code_later": [f"0{i}" if late[i] else f"{i}" for i in range(n)],
            "word_later": ["many" if i == n - 1 else f"{i}" for i in range(n)],
            "missing": ["n/a" if i % 7 == 0 else f"{i / 4}" for i in range(n)],
            "date": [f"2021-03-{1 + i % 28:02d}" for i in range(n)],
            "date_or_not": ["soon" if i == n - 2 else "2021-03-04" for i in range(n)],
            "time_later": ["2021-03-04 10:00:00" if late[i] else "2021-03-04" for i in range(n)],
            "truth": ["true" if i % 2 else "false" for i in range(n)],
            "truth_or_not": ["true" if not late[i] else "maybe" for i in range(n)],
            "empty": [None] * n,
            "empty_first": [f"{i}" if late[i] else None for i in range(n)],
            "said": [f'he said "{i}"\nand, then' if i % 3 == 0 else "nothing" for i in range(n)],
            "y": ["yes" if i % 2 else "no" for i in range(n)],
        }
    )


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_columns_are_what_all_of_their_cells_say(tmp_path, separator):
    path = tmp_path / "rows.csv"
    table().write_csv(path, separator=separator)
    assert_same(path)
    assert_same(path, id_column="name", exclude=["whole"])


def test_packed_with_byte_order_mark_windows_line_ends_and_no_last_one(tmp_path):
    path = tmp_path / "rows.csv.gz"
    text = table().drop("said").write_csv(line_terminator="\r\n").removesuffix("\r\n")
    path.write_bytes(gzip.compress(b"\xef\xbb\xbf" + text.encode()))
    assert_same(path)


def test_blank_lines_and_lines_before_the_header(tmp_path):
    path, lines = tmp_path / "rows.csv", table().drop("said").write_csv().splitlines()
    lines[20:20] = [""]
    lines[150:150] = ["", ""]
    path.write_text("\n".join(lines) + "\n")
    assert_same(path)


def test_without_a_header(tmp_path):
    path = tmp_path / "rows.csv"
    table().select("whole", "code_later", "y").write_csv(path, include_header=False)
    whole = load(str(path), target="column_3", dialect=Dialect(no_header=True))
    with Scratch() as scratch:
        wanted = Wanted("column_3", dialect=Dialect(no_header=True))
        found = scan.scan(find([str(path)], ""), wanted, given=[str(path)], scratch=scratch)
        assert found.frame.collect().equals(whole.frame)
    assert found.line.equals(whole.line)


def test_lines_of_json(tmp_path):
    path, random = tmp_path / "rows.ndjson", np.random.default_rng(0)
    rows = (
        table()
        .select("name", "whole", "said", "truth", "y")
        .with_columns(
            real_later=pl.Series([i + 0.5 * (i > 150) for i in range(200)]),
            vector=pl.Series(random.standard_normal((200, 3)).tolist()),
            now_and_then=pl.Series([None if i < 120 else i for i in range(200)]),
        )
    )
    rows.write_ndjson(path)
    assert_same(path)
    assert_same(path, id_column="name")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("rows.csv", "x,y\n" + '5" pipe,no\n' * 200),
        ("rows.csv", "x,y\n" + "caf\u00e9,no\n" * 200),
        ("rows.ndjson", '{"x": 1, "y": "a"}\n' * 200 + '{"x": "one", "y": "b"}\n'),
        ("rows.csv", "x,y\n" + "1,no\n" * 200 + "1,2,no\n"),
    ],
)
def test_what_cannot_be_cut_is_left_to_the_reader_of_the_whole(tmp_path, name, text):
    path = tmp_path / name
    path.write_bytes(text.encode("cp1252"))
    with Scratch() as scratch, pytest.raises(Uneven):
        scan.scan(find([str(path)], "y"), Wanted("y"), given=[str(path)], scratch=scratch)


def test_what_is_wrong_from_the_start_is_said(tmp_path):
    path = tmp_path / "rows.csv"
    path.write_text("x,y\n" + "1,2,no\n" * 200)
    with Scratch() as scratch, pytest.raises(UnreadableFile, match="line 2 has 3 fields"):
        scan.scan(find([str(path)], "y"), Wanted("y"), given=[str(path)], scratch=scratch)
