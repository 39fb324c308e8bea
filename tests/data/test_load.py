"""Several files as one table, and `keep`."""

import polars as pl
import pytest

from dataaudit.data.load import load
from dataaudit.errors import DataError, MissingColumn


@pytest.fixture
def files(tmp_path):
    def write(*contents):
        for i, content in enumerate(contents):
            if isinstance(content, pl.DataFrame):
                content.write_parquet(tmp_path / f"{i}.parquet")
            else:
                (tmp_path / f"{i}.csv").write_text(content, encoding="utf-8")
        return tmp_path

    return write


def test_a_column_that_some_files_lack_is_missing_there(files):
    folder = files("x,y\n1,p\n", "x,z,y\n1,2,p\n5,6,q\n", "x,y,Z\n3,q,4\n")
    result = load(folder, target="y")
    assert result.frame.rows(named=True) == [
        {"x": 1, "y": "p", "z": None, "Z": None},
        {"x": 1, "y": "p", "z": 2, "Z": None},
        {"x": 5, "y": "q", "z": 6, "Z": None},
        {"x": 3, "y": "q", "z": None, "Z": 4},
    ]
    base = folder.as_posix()
    assert result.notes == (
        f"Column 'z' is not in {base}/0.csv, {base}/2.csv (2 of 3 files): missing in 2 rows.",
        f"Column 'Z' is not in {base}/0.csv, {base}/1.csv (2 of 3 files): missing in 3 rows.",
    )
    assert load(folder, target="y", columns=["z"]).frame["z"].to_list() == [None, 2, 6, None]
    assert load(folder, target="y", exclude=["z", "Z"]).notes == ()
    with pytest.raises(MissingColumn, match=r"column 'zz' is not in .*did you mean 'Z'"):
        load(folder, target="y", exclude=["zz"])
    with pytest.raises(MissingColumn, match=r"column 'zz' is not in .*0.csv.*"):
        load(folder, target="y", columns=["zz"])


def test_a_misspelt_column_is_asked_about(files):
    folder = files("colour,x,y\nred,1,p\n", "x,color,y\n1,red,p\n")
    notes = load(folder, target="y").notes
    assert len(notes) == 2
    assert notes[0].endswith("1.csv (1 of 2 files): missing in 1 row. Is 'color' there the same as 'colour'?")
    assert notes[1].endswith("0.csv (1 of 2 files): missing in 1 row.")


def test_files_without_the_label_or_the_id(files):
    folder = files("x,y,k\n1,p,a\n", "x,k\n2,b\n")
    result = load(folder, target="y", exclude=["k"])
    assert result.frame["y"].to_list() == ["p", None]
    assert result.notes[0].endswith("missing in 1 row. Rows without 'y' are left out.")
    assert load(folder, target="y", id_column="k").row_id.to_list() == ["a", "b"]
    with pytest.raises(MissingColumn, match=r"column 'i' is not in .*0.csv"):
        load(folder, target="y", id_column="i")
    with pytest.raises(MissingColumn, match=r"column 'yy' is not in .*0.csv.*did you mean 'y'"):
        load(folder, target="yy")
    (folder / "2.csv").write_text("x,y\n1,p\n", encoding="utf-8")
    with pytest.raises(MissingColumn, match=r"column 'k' is not in .*2.csv"):
        load(folder, target="y", id_column="k")


def test_files_of_two_tables_are_refused(files):
    folder = files("x,y\n1,p\n", "u,v,y\n1,2,p\n")
    with pytest.raises(DataError, match=r"1.csv has none of the columns of .*0.csv. Hint: name the files"):
        load(folder, target="y")


def test_a_shard_without_rows_has_no_say(files):
    frame = pl.DataFrame({"x": [1], "y": ["p"]})
    folder = files(frame, pl.DataFrame(schema={"x": pl.String, "u": pl.Int64, "y": pl.String}), frame)
    assert load(folder, target="y").frame.schema == frame.schema


def test_numbers_widen_and_empty_columns_take_any_type(files):
    folder = files("x,n,y\n1,,p\n", "x,n,y\n2.5,,q\n", "x,n,y\n,7,q\n")
    frame = load(folder, target="y").frame
    assert frame["x"].to_list() == [1.0, 2.5, None]
    assert frame["n"].to_list() == [None, None, 7]
    folder = files(
        *(pl.DataFrame({"x": pl.Series([1], dtype=t), "y": ["p"]}) for t in (pl.Int8, pl.UInt32, pl.Int64))
    )
    assert load(f"{folder}/*.parquet", target="y").frame.schema["x"] == pl.Int64


def test_cells_of_text_files_become_text_where_files_disagree(files):
    result = load(files("k,y\n5,p\n", "k,y\nA7,q\n"), target="y")
    assert result.frame["k"].to_list() == ["5", "A7"]
    assert any("'k' is Int64 in" in note and "read as text in all files" in note for note in result.notes)


def test_typed_files_that_disagree_are_refused(files):
    folder = files(pl.DataFrame({"k": [5], "y": ["p"]}), pl.DataFrame({"k": ["A7"], "y": ["q"]}))
    with pytest.raises(
        DataError, match=r"column 'k' is Int64 in .*0.parquet, String in .*1.parquet. Hint: give it"
    ):
        load(folder, target="y")


def test_categories_and_text_are_text(files):
    enums = [pl.Series(["a"], dtype=pl.Enum(["a"])), pl.Series(["b"], dtype=pl.Categorical), pl.Series(["c"])]
    frame = load(files(*(pl.DataFrame({"k": s, "y": [1]}) for s in enums)), target="y").frame
    assert frame["k"].to_list() == ["a", "b", "c"]


def test_a_file_without_rows_among_others(files):
    result = load(files("x,y\n", "x,y\n1,p\n"), target="y")
    assert result.frame.rows() == [(1, "p")]
    assert [origin.rows for origin in result.origins] == [0, 1]
    assert any("0.csv has no rows" in note for note in result.notes)


def test_ids_must_be_unique_over_all_files(files):
    folder = files("k,y\n1,p\n2,q\n", "k,y\n2,p\n")
    with pytest.raises(DataError, match=r"got '2' 2 times, at .*0.csv:3 and .*1.csv:2"):
        load(folder, target="y", id_column="k")


def test_keep_filters_every_part(files):
    result = load(files("x,y\n1,p\n2,\n3,q\n", "x,y\n4,p\n"), target="y")
    kept = result.keep(result.frame["y"].is_not_null())
    assert kept.n == 3
    assert kept.frame["x"].to_list() == [1, 3, 4]
    assert [name.rsplit("/", 1)[1] for name in kept.row_id] == ["0.csv:2", "0.csv:4", "1.csv:2"]
    assert kept.row.to_list() == [0, 2, 0]
    assert kept.line.to_list() == [2, 4, 2]
    assert [len(series) for series in (kept.source, kept.row, kept.line, kept.row_id)] == [3] * 4
    assert (kept.origins, kept.notes, kept.target) == (result.origins, result.notes, "y")
    assert result.keep(pl.Series([True, None, False, None])).frame["x"].to_list() == [1]
    with pytest.raises(ValueError, match="Boolean with 4 values: got Boolean with 2"):
        result.keep(pl.Series([True, False]))
    with pytest.raises(ValueError, match="got Int64 with 4"):
        result.keep(pl.Series([1, 0, 1, 0]))


def test_types_of_the_parts(files):
    result = load(files("x,y\n1,p\n"), target="y")
    assert (result.row_id.dtype, result.source.dtype) == (pl.String, pl.String)
    assert (result.row.dtype, result.line.dtype) == (pl.Int64, pl.Int64)
