"""Tables of other libraries, dicts of columns and lists of rows."""

import duckdb
import numpy as np
import polars as pl
import pyarrow as pa
import pytest

from dataaudit import audit_labels
from dataaudit.data.load import load
from dataaudit.errors import DataError, MissingColumn

COLUMNS = {"x": [1, 2, 3], "y": ["p", "q", "p"]}
EXPECTED = pl.DataFrame(COLUMNS)


class Stream:
    """What any library may give: an Arrow stream and nothing else."""

    def __init__(self, table):
        self.table = table

    def __arrow_c_stream__(self, requested_schema=None):
        return self.table.__arrow_c_stream__(requested_schema)


QUERY = "select * from (values (1, 'p'), (2, 'q'), (3, 'p')) t(x, y)"
MADE = {
    "table": lambda: pa.table(COLUMNS),
    "batch": lambda: pa.record_batch(COLUMNS),
    "reader": lambda: pa.table(COLUMNS).to_reader(),
    "relation": lambda: duckdb.sql(QUERY),
    "stream": lambda: Stream(pa.table(COLUMNS)),
    "columns": COLUMNS.copy,
    "arrays": lambda: {"x": np.array([1, 2, 3]), "y": pl.Series(COLUMNS["y"])},
    "by row": lambda: EXPECTED.to_pandas().to_dict(),
    "rows": EXPECTED.to_dicts,
}


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("table", "pyarrow"),
        ("batch", "pyarrow"),
        ("reader", "pyarrow"),
        ("relation", "duckdb"),
        ("stream", Stream.__module__.partition(".")[0]),
        ("columns", "python"),
        ("arrays", "python"),
        ("by row", "python"),
        ("rows", "python"),
    ],
)
def test_tables(name, kind):
    def make():
        return MADE[name]()

    result = load(make(), target="y")
    assert result.frame.cast({"x": pl.Int64}).equals(EXPECTED)
    assert result.row_id.to_list() == ["<frame>#0", "<frame>#1", "<frame>#2"]
    assert result.origins[0].format.rpartition(".")[2] == kind
    assert load(make(), target="y", exclude=["x"]).frame.columns == ["y"]
    with pytest.raises(MissingColumn, match="column 'z' is not in the table"):
        load(make(), target="z")


def test_ibis_tables():
    import ibis

    assert load(ibis.memtable(COLUMNS), target="y").frame.equals(EXPECTED)


def test_a_stream_gives_its_rows_once():
    reader = pa.table(COLUMNS).to_reader()
    assert load(reader, target="y").n == 3
    with pytest.raises(
        DataError, match=r"table of pyarrow has no rows. Hint: .* a stream gives them only once"
    ):
        load(reader, target="y")


def test_the_index_of_pandas_is_left_out():
    shuffled = pa.Table.from_pandas(EXPECTED.to_pandas().sample(3, random_state=1))
    result = load(shuffled, target="y")
    assert result.frame.columns == ["x", "y"]
    assert result.notes == ("The index that pandas wrote ('__index_level_0__') is left out.",)
    assert load(shuffled, target="y", id_column="__index_level_0__").n == 3


def test_rows_may_lack_names():
    result = load([{"x": 1, "y": "p"}, {"x": 2.5, "y": "q", "z": True}], target="y")
    assert result.frame.rows() == [(1.0, "p", None), (2.5, "q", True)]


def test_vectors_and_nested_values():
    frame = load({"e": np.ones((2, 3)), "l": [[1, 2], [3]], "y": ["p", "q"]}, target="y").frame
    assert frame["e"].to_list() == [[1.0] * 3] * 2
    assert frame["l"].to_list() == [[1, 2], [3]]


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (
            {"x": 1, "y": "p"},
            r"column 'x' is a int, not the values of all rows. Hint: give one list a column",
        ),
        ({"x": [1], "y": ["p", "q"]}, "column 'y' has 2 rows, 'x' has 1"),
        ({1: [1], "1": [2], "y": ["p"]}, "column '1' stands twice in the table"),
        ([{"y": "p"}, 3], "row 1 is a int, not a dict"),
        (
            {"x": [{1}, {2}], "y": ["p", "q"]},
            r"column 'x' holds Python objects of type set. Hint: exclude it",
        ),
        ({}, "column 'y' is not in the table"),
        (pl.Series("x", [1]), "the table of polars cannot be read: .* Hint: give a whole table"),
        (np.ones((2, 2)), r"a ndarray cannot be read. Hint: give a path, .* or a dict of columns"),
    ],
)
def test_what_is_no_table(source, message):
    with pytest.raises(DataError, match=message):
        load(source, target="y")


def test_mixed_values_are_text():
    result = load({"x": [1, "a", None, np.float32(2)], "y": list("pqpq")}, target="y")
    assert result.frame["x"].to_list() == ["1", "a", None, "2.0"]
    assert result.notes == ("Column 'x' mixes float and int and str: it is read as text.",)


def test_audit_of_a_table():
    rng = np.random.default_rng(3)
    y = rng.integers(0, 2, 60)
    rows = pa.table({"x": y + rng.normal(0, 0.4, 60), "y": y})
    found = audit_labels(rows.to_reader(), label="y", verify=1, top=3)
    assert found.labels.equals(audit_labels(duckdb.sql("from rows"), label="y", verify=1, top=3).labels)
