"""Lines and cells against the slow twin: Python's csv module, one record at a time."""

import contextlib
import csv
import gzip
import io

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from dataaudit.data.formats.lines import index_lines, index_records
from dataaudit.data.load import load
from dataaudit.errors import AuditError

FREELY = settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def twin(data, separator=","):
    """Return header, rows and 1-based lines by walking; None if csv finds the text malformed."""
    if b"\n" not in data:
        data = data.replace(b"\r", b"\n")
    reader = csv.reader(
        (line.decode("utf-8-sig" if i == 0 else "utf-8") for i, line in enumerate(io.BytesIO(data))),
        delimiter=separator,
        strict=True,
    )
    rows, lines, line = [], [], 0
    try:
        for row in reader:
            if row:
                rows.append(row)
                lines.append(line + 1)
            line = reader.line_num
    except csv.Error:
        return None
    return rows[0], rows[1:], lines[1:]


def cells(frame):
    return [["" if cell is None else str(cell) for cell in row] for row in frame.rows()]


# No digits, so that no column becomes numbers and cells compare as text.
words = st.text(alphabet=st.sampled_from('xyÉ ",;\n\r\t|'), max_size=8).map(lambda word: word + "t")


@FREELY
@given(
    rows=st.lists(st.tuples(words, words, words), min_size=1, max_size=12),
    dialect=st.tuples(
        st.sampled_from(["\n", "\r\n"]),
        st.sampled_from([csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC, csv.QUOTE_MINIMAL]),
        st.sampled_from(",;\t|"),
    ),
    bom=st.booleans(),
    last=st.booleans(),
)
def test_written_tables_come_back_with_their_lines(tmp_path, rows, dialect, bom, last):
    newline, quoting, separator = dialect
    assume(quoting != csv.QUOTE_MINIMAL or newline == "\r\n")  # else Python leaves a bare CR unquoted
    text = io.StringIO(newline="")
    csv.writer(text, delimiter=separator, lineterminator=newline, quoting=quoting).writerows(
        [("key", "other", "y"), *rows]
    )
    body = text.getvalue() if last else text.getvalue().removesuffix(newline)
    data = ("\ufeff" if bom else "").encode() + body.encode()
    path = tmp_path / "table.csv"
    path.write_bytes(data)
    result = load(path, target="y")
    header, expected, lines = twin(data, separator)
    assert result.frame.columns == header == ["key", "other", "y"]
    assert cells(result.frame) == expected == [list(row) for row in rows]
    assert result.line.to_list() == lines
    assert result.row_id.to_list() == [f"{path.as_posix()}:{line}" for line in lines]


@FREELY
@given(rest=st.text(alphabet=st.sampled_from('xz",\n\r'), max_size=40))
def test_whatever_csv_reads_is_read_alike_and_nothing_else_crashes(tmp_path, rest):
    data = ("k,y\n" + rest).encode()
    path = tmp_path / "odd.csv"
    path.write_bytes(data)
    expected = twin(data)
    regular = (
        expected is not None and expected[1] and all(len(row) == len(expected[0]) for row in expected[1])
    )
    with contextlib.nullcontext() if regular else contextlib.suppress(AuditError):
        result = load(path, target="y")
    if regular:
        assert cells(result.frame) == expected[1]
        assert result.line.to_list() == expected[2]
        assert result.row.to_list() == list(range(result.n))


@FREELY
@given(rest=st.text(alphabet=st.sampled_from('x",\n'), max_size=60))
def test_index_counts_fields_as_csv_does(rest):
    data = ("k,y\n" + rest).encode()
    records = index_records(data, b",")
    expected = twin(data)
    if records is None or expected is None:
        return  # irregular quotes: the walk's business
    assert records.lines[1:].tolist() == expected[2]
    assert records.fields[1:].tolist() == [len(row) for row in expected[1]]


def test_index_holds_across_chunk_borders(monkeypatch):
    rng = np.random.default_rng(0)
    fields = ["x", '"a,b"', '"c\nd"', '""', '"e""\n""f"', "é"]
    rows = [",".join(rng.choice(fields, 3)) for _ in range(200)]
    data = ("a,b,y\n" + "\n".join(rows) + "\n").encode()
    whole = index_records(data, b",")
    monkeypatch.setattr("dataaudit.data.formats.lines._CHUNK", 7)
    pieces = index_records(data, b",")
    for name in ("starts", "ends", "lines", "fields"):
        assert np.array_equal(getattr(pieces, name), getattr(whole, name)), name
    assert whole.lines[1:].tolist() == twin(data)[2]


def test_blank_lines_are_passed_over_and_counted(tmp_path):
    path = tmp_path / "gaps.csv"
    path.write_bytes(b'\r\n\na,y\n\n1,p\r\n\r\n\n"2\n\n3",q\n\n4,p\n\n\n')
    result = load(path, target="y")
    assert result.frame["a"].to_list() == ["1", "2\n\n3", "4"]
    assert result.line.to_list() == [5, 8, 12]
    assert any("4 blank lines were passed over" in note for note in result.notes)


def test_index_lines_passes_over_white_space():
    records = index_lines(b'  \n{"a":1}\r\n\t\r\n {"a":2}\n\n{"a":3}')
    assert records.lines.tolist() == [2, 4, 6]
    assert records.ends.tolist()[0] == 10  # before the carriage return


@pytest.mark.parametrize("ending", [b"\n", b"\r\n", b"\r"])
def test_line_endings(tmp_path, ending):
    path = tmp_path / "table.csv"
    path.write_bytes(ending.join([b"a,y", b"1,p", b"2,q", b""]))
    result = load(path, target="y")
    assert result.frame.rows() == [(1, "p"), (2, "q")]
    assert result.line.to_list() == [2, 3]


def test_stray_quotes_go_the_long_way_with_the_same_result(tmp_path):
    path = tmp_path / "pipes.csv"
    path.write_bytes(b'size,y\n5" pipe,p\n"6\n""inch""",q\n7" x 8",p\n')
    result = load(path, target="y")
    assert result.frame["size"].to_list() == ['5" pipe', '6\n"inch"', '7" x 8"']
    assert result.line.to_list() == [2, 3, 5]


def test_fields_longer_than_the_csv_modules_limit_in_a_walk(tmp_path):
    path = tmp_path / "long.csv"
    long = "w" * (csv.field_size_limit() + 10)
    path.write_text(f'text,y\n5" pipe,p\n{long},q\n', encoding="utf-8")
    before = csv.field_size_limit()
    assert load(path, target="y").frame["text"].str.len_chars().to_list() == [7, len(long)]
    assert csv.field_size_limit() == before


def test_large_mail_has_its_lines_in_seconds(tmp_path):
    """The lines of 20 MB of quoted mail, as many as the walk finds."""
    n = 20_000
    body = pl.Series([f'Subject: "offer" {i}\nline two, of mail\r\n\r\n{"x" * 900}' for i in range(n)])
    path = tmp_path / "mail.csv.gz"
    text = pl.DataFrame({"text": body, "y": ["ham", "spam"] * (n // 2)}).write_csv()
    path.write_bytes(gzip.compress(text.encode(), compresslevel=1))
    result = load(path, target="y")
    assert result.line.to_list() == [2 + 4 * i for i in range(n)]
    assert result.frame["text"].equals(body)
