"""Polars and pandas frames from Python."""

import os
import subprocess
import sys

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
    with pytest.raises(
        DataError, match=r"the pandas frame cannot be converted: .*. Hint: give every column one type"
    ):
        load(pd.DataFrame({"m": [1, "x"], "y": [0, 1]}), target="y")


def test_python_objects_are_refused():
    frame = pl.DataFrame({"o": pl.Series([object(), object()], dtype=pl.Object), "y": [0, 1]})
    with pytest.raises(DataError, match="column 'o' of the frame holds Python objects"):
        load(frame, target="y")
    assert load(frame, target="y", exclude=["o"]).n == 2


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
