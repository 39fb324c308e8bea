"""Columns in the paths of tables."""

import polars as pl
import pytest

from dataaudit.data.load import load
from dataaudit.errors import DataError, MissingColumn

ROWS = pl.DataFrame(
    {"x": [1, 2, 3, 4], "y": ["a b", "c/d", None, "a b"], "m": [1, 2, 2, 3], "f": ["1.5", "2", "2", "1.5"]}
)
TIMES = ["2024-01-01 00:00:00", "2024-02-01 10:00:00"]


def scatter(folder, levels, write, *, name="part-0.parquet"):
    """Write one row a file, some of its columns in the path, as Spark does."""
    for i, row in enumerate(ROWS.iter_rows(named=True)):
        inside = {k: v for k, v in row.items() if k not in levels}
        path = folder.joinpath(*(f"{k}={_encoded(row[k])}" for k in levels), f"{i}-{name}")
        path.parent.mkdir(parents=True, exist_ok=True)
        write(pl.DataFrame([inside]), path)
    (folder / "_SUCCESS").touch()
    (folder / "_metadata").write_bytes(b"PAR1 is not what this is")
    (folder / ".part.crc").write_bytes(b"x")
    return folder


def _encoded(value):
    if value is None:
        return "__HIVE_DEFAULT_PARTITION__"
    return str(value).replace(" ", "%20").replace("/", "%2F")


@pytest.mark.parametrize(
    ("write", "name"),
    [
        (pl.DataFrame.write_parquet, "part-0.snappy.parquet"),
        (pl.DataFrame.write_csv, "part.0.csv"),
        (pl.DataFrame.write_ndjson, "part-0.json"),
    ],
)
def test_label_in_the_path(tmp_path, write, name):
    folder = scatter(tmp_path / "h", ["y", "m", "f"], write, name=name)
    result = load(folder, target="y")
    typed = ROWS.with_columns(pl.col("f").cast(pl.Float64)).select("x", "y", "m", "f").sort("x")
    assert result.frame.sort("x").equals(typed)
    assert "Read from the names of folders: 'y', 'm', 'f'." in result.notes
    assert len(result.origins) == 4
    assert load(f"{folder}/*/*/*/*{name}", target="y").frame.sort("x").equals(typed)
    assert load(folder, target="y", exclude=["m", "f"]).frame.columns == ["x", "y"]
    assert set(load(folder, target="y", columns=["m"]).frame.columns) == {"y", "m"}


def test_what_polars_writes(tmp_path):
    ROWS.write_parquet(pl.PartitionBy(tmp_path / "h", key=["y", "m"]))
    assert load(tmp_path / "h", target="y").frame.sort("x").equals(ROWS.select("x", "f", "y", "m"))


@pytest.mark.parametrize(
    ("values", "typed"),
    [
        (["2024-01-01", "2024-02-01"], pl.Series(["2024-01-01", "2024-02-01"]).str.to_date()),
        (["2024-01-01 00%3A00%3A00", "2024-02-01 10%3A00%3A00"], pl.Series(TIMES).str.to_datetime()),
        (["01", "02"], ["01", "02"]),
        (["1", "x"], ["1", "x"]),
        (["1", "__HIVE_DEFAULT_PARTITION__"], [1, None]),
        (["2024-01-01", "2024-13-01"], ["2024-01-01", "2024-13-01"]),
        (["1", "2.5"], [1.0, 2.5]),
        (["a=b", "c"], ["a=b", "c"]),
    ],
)
def test_types(tmp_path, values, typed):
    for value in values:
        (tmp_path / f"_v={value}").mkdir()
        (tmp_path / f"_v={value}" / "t.csv").write_text("y\np\n", encoding="utf-8")
    found = load(tmp_path, target="y").frame["_v"].to_list()
    assert sorted(map(str, found)) == sorted(map(str, typed))


def test_a_column_in_path_and_file(tmp_path):
    for value in "pq":
        (tmp_path / f"y={value}").mkdir()
        (tmp_path / f"y={value}" / "t.csv").write_text("x,y\n1,wrong\n", encoding="utf-8")
    result = load(tmp_path, target="y")
    assert result.frame["y"].to_list() == ["p", "q"]
    assert "Column 'y' is in the path and in the files: the path counts." in result.notes


def test_a_folder_far_above_is_no_column(tmp_path):
    folder = tmp_path / "run=7" / "data"
    folder.mkdir(parents=True)
    for i in range(2):
        (folder / f"{i}.csv").write_text("x,y\n1,p\n", encoding="utf-8")
    assert load(folder, target="y").frame.columns == ["x", "y"]
    assert load(folder, target="y", columns=["run"]).frame["run"].to_list() == [7, 7]
    with pytest.raises(MissingColumn):
        load(folder, target="runs")


def test_texts_by_class_stay_texts(tmp_path):
    for name in ("y=spam", "y=ham"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "1.txt").write_text("hello", encoding="utf-8")
    assert load(tmp_path, target="label").frame["label"].to_list() == ["y=ham", "y=spam"]


def test_files_of_different_depth(tmp_path):
    (tmp_path / "y=p").mkdir()
    (tmp_path / "y=p" / "t.csv").write_text("x\n1\n", encoding="utf-8")
    (tmp_path / "old.csv").write_text("x,y\n2,q\n", encoding="utf-8")
    assert load(tmp_path, target="y").frame.rows() == [(2, "q"), (1, "p")]
    (tmp_path / "t.parquet").write_bytes(b"PAR1")
    with pytest.raises(DataError, match="holds tables of 2 kinds"):
        load(tmp_path, target="y")


@pytest.mark.parametrize(("log", "kind"), [("_delta_log", "Delta Lake"), (".hoodie", "Hudi")])
def test_tables_whose_files_hold_older_rows(tmp_path, log, kind):
    (tmp_path / log).mkdir()
    (tmp_path / "t.csv").write_text("x,y\n1,p\n", encoding="utf-8")
    with pytest.raises(DataError, match=f"is a table of {kind}, whose files hold rows of older versions too"):
        load(tmp_path, target="y")
