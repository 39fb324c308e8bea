"""ARFF, dense and sparse."""

import csv
import io

import numpy as np
import polars as pl
import pytest
from scipy.io import arff

from dataaudit.data.load import load
from dataaudit.errors import DataError, UnreadableFile

DENSE = """% Weka's own comment
@RELATION 'a table'

@Attribute 'petal width' NUMERIC
@attribute n integer
@attribute "d\\'oh" {red, 'dark blue', "it's"}
@attribute t string
@attribute when date "yyyy-MM-dd HH:mm:ss"
@attribute y {p,q}
@DATA
1.5, 1, red, 'a, b', "2024-01-02 03:04:05", p
% in between
?,?,?,?,?,q
-2e3,3,'dark blue','it\\'s \\n', '2024-01-02 03:04:06',q
"""

SPARSE = """@relation t
@attribute a numeric
@attribute c {x,z}
@attribute 'b b' real
@attribute y {p,q}
@data
{0 1.5, 3 q}
{}
{2 ?, 1 z , 3 'q'}
"""


def write(path, text):
    path.write_text(text, encoding="utf-8")
    return path


def test_dense(tmp_path):
    result = load(write(tmp_path / "t.arff", DENSE), target="y")
    frame = result.frame
    assert frame.columns == ["petal width", "n", "d'oh", "t", "when", "y"]
    assert frame["petal width"].to_list() == [1.5, None, -2000.0]
    assert frame["n"].to_list() == [1, None, 3]
    assert frame["d'oh"].to_list() == ["red", None, "dark blue"]
    assert frame["t"].to_list() == ["a, b", None, "it's \n"]
    assert frame["when"].dt.to_string().to_list() == [
        "2024-01-02 03:04:05.000000",
        None,
        "2024-01-02 03:04:06.000000",
    ]
    assert result.line.to_list() == [11, 13, 14]
    assert result.row_id[2] == f"{(tmp_path / 't.arff').as_posix()}:14"
    assert result.origins[0].format == "arff"


def test_sparse(tmp_path):
    frame = load(write(tmp_path / "t.arff", SPARSE), target="y").frame
    assert frame.rows() == [(1.5, "x", 0.0, "q"), (0.0, "x", 0.0, "p"), (0.0, "z", None, "q")]


def test_as_scipy_reads_it(tmp_path):
    rng = np.random.default_rng(1)
    rows = "\n".join(f"{a},{b:.3e},{'pq'[int(b > 0)]}" for a, b in rng.normal(size=(50, 2)))
    text = f"@relation t\n@attribute a real\n@attribute b numeric\n@attribute y {{p,q}}\n@data\n{rows}\n"
    limit = csv.field_size_limit()
    theirs, _ = arff.loadarff(io.StringIO(text))
    csv.field_size_limit(limit)  # SciPy sets one for the whole process
    ours = load(write(tmp_path / "t.arff", text), target="y").frame
    assert np.array_equal(ours["a"].to_numpy(), theirs["a"])
    assert np.array_equal(ours["b"].to_numpy(), theirs["b"])
    assert ours["y"].to_list() == [value.decode() for value in theirs["y"]]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("@relation t\n@attribute a numeric\n", "it has no @data"),
        ("@relation t\n@data\n1\n", "line 2 stands where @relation, @attribute"),
        ("@relation t\n@attribute a\n@data\n1\n", "line 2 gives a column no name or no type"),
        ("@relation t\n@attribute a relational\n@data\n", "column 'a' is of type 'relational'"),
        ("@relation t\nhello\n", "line 2 stands where @relation"),
        (
            "@attribute a numeric\n@attribute y {p}\n@data\n1,p\n1,p,3\n",
            "line 5 has 3 values where the header has 2",
        ),
        ("@attribute a numeric\n@attribute y {p}\n@data\n'1'x,p\n", "line 4 has 0 values"),
        ("@attribute a numeric\n@attribute y {p}\n@data\nx,p\n", "line 4: column 'a' cannot hold 'x'"),
        ("@attribute a numeric\n@attribute y {p}\n@data\n{7 1}\n", "line 4 has a value for column 7"),
        ("@attribute a numeric\n@attribute y {p}\n@data\n{x 1}\n", "line 4 is not a sparse row"),
        ("@attribute a numeric\n@attribute a {p}\n@data\n1,p\n", "column 'a' stands twice"),
        ("@attribute a numeric\n@attribute y {p}\n@data\n", "has a header but no rows"),
    ],
)
def test_what_is_wrong_is_named(tmp_path, text, message):
    with pytest.raises((UnreadableFile, DataError), match=message):
        load(write(tmp_path / "t.arff", text), target="y")


def test_weights_of_rows_are_passed_over(tmp_path):
    text = "@attribute a numeric\n@attribute y {p,q}\n@data\n1,p,{5}\n2,q\n"
    assert load(write(tmp_path / "t.arff", text), target="y").frame.rows() == [(1.0, "p"), (2.0, "q")]


def test_packed_by_a_folder(tmp_path):
    write(tmp_path / "t.arff", SPARSE)
    assert load(tmp_path, target="y", columns=["a"]).frame.schema == {"a": pl.Float64, "y": pl.String}
