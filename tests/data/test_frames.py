"""Polars and pandas frames from Python."""

import datetime as dt
import os
import subprocess
import sys

import numpy as np
import pandas as pd
import polars as pl
import pytest

from dataaudit.data.load import load
from dataaudit.errors import DataError, MissingColumn, UnreadableFile

FRAME = pl.DataFrame({"k": ["u", "v", "w"], "x": [1.5, None, 3.0], "y": ["p", "q", "p"]})


@pytest.mark.parametrize("source", [FRAME, FRAME.lazy(), FRAME.to_pandas()], ids=["eager", "lazy", "pandas"])
def test_frames(source):
    result = load(source, target="y", exclude=["k"])
    assert result.frame.equals(FRAME.select("x", "y"))
    assert result.row_id.to_list() == ["<frame>#0", "<frame>#1", "<frame>#2"]
    assert result.source.to_list() == ["<frame>"] * 3
    assert result.line.null_count() == 3
    assert result.origins[0].rows == 3
    named = load(source, target="y", id_column="k")
    assert named.row_id.to_list() == ["u", "v", "w"]
    assert named.frame.columns == ["x", "y"]
    with pytest.raises(MissingColumn, match="column 'z' is not in the frame"):
        load(source, target="z")


def test_hash_is_of_the_content():
    same = load(FRAME.clone(), target="y").origins[0].sha256
    assert load(FRAME, target="y").origins[0].sha256 == same
    assert load(FRAME.lazy(), target="y").origins[0].sha256 == same
    assert load(FRAME.with_columns(x=pl.lit(2.0)), target="y").origins[0].sha256 != same
    assert len(same) == 64


def test_a_lazy_column_that_is_not_wanted_is_not_computed():
    lazy = FRAME.lazy().with_columns(bad=pl.col("k").cast(pl.Int64))
    assert load(lazy, target="y", exclude=["bad"]).n == 3
    with pytest.raises(UnreadableFile, match=r"the frame cannot be collected: .* Hint: run .collect"):
        load(lazy, target="y")


def test_pandas_index_and_odd_names():
    frame = pd.DataFrame({0: [1, 2], "y": ["p", "q"]}, index=pd.Index(["a", "b"], name="key"))
    result = load(frame, target="y", id_column="key")
    assert result.row_id.to_list() == ["a", "b"]
    assert result.frame.columns == ["0", "y"]
    assert load(frame, target="y").row_id.to_list() == ["<frame>#0", "<frame>#1"]
    frame.columns = ["y", "y"]
    with pytest.raises(DataError, match="column 'y' stands twice in the frame"):
        load(frame, target="y")


def test_pandas_subclasses_and_types():
    class Mine(pd.DataFrame):
        pass

    frame = Mine(
        {"c": pd.Categorical(["a", "b"]), "i": pd.array([1, None], dtype="Int64"), "y": [True, False]}
    )
    result = load(frame, target="y").frame
    assert result["c"].to_list() == ["a", "b"]
    assert result["i"].to_list() == [1, None]


Y = ["p", "q", "p"]
MONTHS = [pd.Timestamp(f"2024-0{month}-01").to_pydatetime() for month in (1, 2, 3)]


@pytest.mark.parametrize(
    ("column", "values", "note"),
    [
        (pd.period_range("2024-01", periods=3, freq="M"), MONTHS, ""),
        (pd.interval_range(0, 3), ["(0, 1]", "(1, 2]", "(2, 3]"], ""),
        (pd.cut(pd.Series([1, 2, None]), [0, 1, 2]), ["(0, 1]", "(1, 2]", None], ""),
        (pd.arrays.SparseArray([0, 0, 1]), [0, 0, 1], ""),
        (pd.arrays.SparseArray([np.nan, 0, 1.5]), [None, 0.0, 1.5], ""),
        (pd.to_timedelta([1, 2, None], unit="s"), [dt.timedelta(seconds=s) for s in (1, 2)] + [None], ""),
        (pd.array([1.5, None, 2], dtype="Float64"), [1.5, None, 2.0], ""),
        (pd.array(["a", None, "b"], dtype="string"), ["a", None, "b"], ""),
        ([1, "a", None], ["1", "a", None], "int and str"),
        ([True, "a", np.nan], ["True", "a", None], "bool and str"),
        (pd.Series([1, "a", 2], dtype="category"), ["1", "a", "2"], "int and str"),
        (pd.Series([pd.NA, np.int64(1), "a"], dtype=object), [None, "1", "a"], "int and str"),
        (pd.Series([1, 2.5, True], dtype=object), [1.0, 2.5, 1.0], ""),
    ],
)
def test_columns_of_pandas(column, values, note):
    result = load(pd.DataFrame({"c": column, "y": Y}), target="y")
    assert result.frame["c"].to_list() == values
    assert result.notes == ((f"Column 'c' mixes {note}: it is read as text.",) if note else ())


@pytest.mark.parametrize(
    ("column", "message"),
    [
        ([1j, 2, 3], r"column 'c' of the frame holds complex numbers. Hint: take its parts"),
        ([object()] * 3, "column 'c' holds Python objects of type object. Hint: exclude it"),
        ([1, pd.Timestamp(2024, 1, 1), 2], "column 'c' holds Python objects of type Timestamp and int"),
    ],
)
def test_columns_of_pandas_that_are_refused(column, message):
    frame = pd.DataFrame({"c": column, "y": Y})
    with pytest.raises(DataError, match=message):
        load(frame, target="y")
    assert load(frame, target="y", exclude=["c"]).n == 3


def test_levels_of_columns_are_joined():
    frame = pd.DataFrame({("a", "x"): [1, 2], ("a", 7): [3, 4], ("y", ""): ["p", "q"]})
    result = load(frame, target="y")
    assert result.frame.columns == ["a_x", "a_7", "y"]
    assert result.notes == ("The names of columns have 2 levels, which are joined by _.",)
    with pytest.raises(MissingColumn, match="column 'a' is not in the frame"):
        load(frame, target="a")


def test_label_in_the_index():
    frame = pd.DataFrame({"x": [1, 2, 3]}, index=pd.Index(Y, name="y"))
    assert load(frame, target="y").frame["y"].to_list() == Y


def test_types_that_pandas_wrote(tmp_path):
    frame = pd.DataFrame({"p": pd.period_range("2024-01", periods=3, freq="M"), "y": Y})
    frame.to_parquet(tmp_path / "t.parquet")
    assert load(tmp_path / "t.parquet", target="y").frame["p"].to_list() == [648, 649, 650]


def test_python_objects_are_refused():
    frame = pl.DataFrame({"o": pl.Series([object(), object()], dtype=pl.Object), "y": [0, 1]})
    with pytest.raises(DataError, match="column 'o' holds Python objects of type object"):
        load(frame, target="y")
    assert load(frame, target="y", exclude=["o"]).n == 2
    mixed = pl.DataFrame({"o": pl.Series([1, "a"], dtype=pl.Object), "y": [0, 1]})
    assert load(mixed, target="y").frame["o"].to_list() == ["1", "a"]


def test_no_rows():
    with pytest.raises(DataError, match="<frame> has a header but no rows"):
        load(FRAME.clear(), target="y")


def test_pandas_and_torch_are_never_imported(root):
    code = (
        "import sys, polars as pl; from dataaudit.data.load import load;"
        "load(pl.DataFrame({'x': [1], 'y': [2]}), target='y');"
        "print([m for m in ('pandas', 'torch', 'sklearn', 'scipy', 'pyarrow') if m in sys.modules])"
    )
    environment = {**os.environ, "PYTHONPATH": str(root)}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
