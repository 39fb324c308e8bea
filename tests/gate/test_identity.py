"""A row keeps its identity wherever it moves and in whatever format it is read."""

import datetime as dt

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataaudit.data.load import load
from dataaudit.errors import MissingColumn
from dataaudit.gate.identity import fingerprint, row_contents, row_keys

NOON = dt.datetime(2024, 6, 1, 12, 30)  # noqa: DTZ001 - a table has such times
FRAME = pl.DataFrame(
    {
        "whole": [1, 2, 3],
        "part": [0.1, 2.0, None],
        "text": ["a", 'b,"\n', None],
        "yes": [True, False, None],
        "day": [dt.date(2024, 2, 29), None, dt.date(1969, 1, 1)],
        "time": [NOON, NOON - dt.timedelta(days=20_000, microseconds=5), None],
        "y": ["u", "v", "u"],
    }
)
KEYS = ["43cd3c53e05bd3ce6b3be3d9b65e7718", "40661216cbada25b7553240b8ff0d43c"]
FINGERPRINT = "48b0be12dacefa47a200e26be4779819"


def keys(frame, **options):
    return row_keys(frame, columns=frame.columns, **options).to_list()


def test_csv_and_parquet_of_the_same_rows_have_the_same_keys(tmp_path):
    narrow = FRAME.with_columns(pl.col("part").cast(pl.Float32), pl.col("whole").cast(pl.Int16))
    FRAME.write_csv(tmp_path / "d.csv")
    narrow.write_parquet(tmp_path / "d.parquet")
    read = [load(tmp_path / name, target="y").frame for name in ("d.csv", "d.parquet")]
    assert keys(read[0]) == keys(read[1]) == keys(FRAME)


def test_order_of_rows_and_columns_does_not_matter():
    turned = FRAME.reverse().select(FRAME.columns[::-1])
    assert keys(turned) == keys(FRAME)[::-1]


def test_equal_rows_are_counted():
    twice = pl.concat([FRAME, FRAME.head(1), FRAME.head(1)])
    made = keys(twice)
    assert made[:3] == keys(FRAME)
    assert len(set(made)) == 5
    assert len(set(row_contents(twice, columns=twice.columns))) == 3


def test_an_id_names_the_row_whatever_it_holds():
    other = FRAME.with_columns(part=pl.lit(7.0))
    assert keys(other, id_column="whole") == keys(FRAME, id_column="whole")
    assert keys(other) != keys(FRAME)


def test_missing_cells_are_alike_and_unlike_any_text():
    missing = pl.DataFrame({"x": [None], "y": [float("nan")], "z": [""]})
    empty = pl.DataFrame({"x": [""], "y": [None], "z": [None]}, schema=dict.fromkeys("xyz", pl.String))
    assert keys(missing) == keys(empty)
    assert keys(empty) != keys(pl.DataFrame({"x": ["\x1e0"], "y": ["\x1e0"], "z": ["\x1e0"]}))


@given(st.lists(st.tuples(st.text("ab\x1e\x1f01"), st.text("ab\x1e\x1f01")), min_size=1, unique=True))
def test_no_two_contents_share_a_spelling(rows):
    frame = pl.DataFrame(rows, schema=["x", "y"], orient="row")
    assert row_contents(frame, columns=["x", "y"]).n_unique() == len(rows)


@given(st.lists(st.floats(allow_nan=False), min_size=1))
def test_numbers_are_told_apart_exactly(values):
    frame = pl.DataFrame({"x": values})
    assert row_contents(frame, columns=["x"]).n_unique() == len(set(values))


def test_nested_cells_are_told_apart():
    cells = [[1.5], [], None, [None], [1.5, None], [None, 1.5]]
    assert row_contents(pl.DataFrame({"x": cells}), columns=["x"]).n_unique() == len(cells)
    records = [{"a": 1, "b": ""}, {"a": 1, "b": "c"}, None, {"a": 2, "b": ""}]
    assert row_contents(pl.DataFrame({"x": records}), columns=["x"]).n_unique() == len(records)
    fixed = pl.Series("x", [[1.5, 2.0]], dtype=pl.Array(pl.Float32, 2)).to_frame()
    assert keys(fixed) == keys(pl.DataFrame({"x": [[1.5, 2.0]]}))


def test_time_zones_and_nanoseconds_count():
    noon = pl.Series("t", [NOON])
    bare, utc = noon.dt.cast_time_unit("ns"), noon.dt.replace_time_zone("UTC")
    paris = utc.dt.convert_time_zone("Europe/Paris")
    later = (bare.to_physical() + 1).cast(pl.Datetime("ns"))
    made = [keys(series.to_frame())[0] for series in (noon, bare, utc, paris, later)]
    assert made[0] == made[1]
    assert made[2] == made[3]
    assert len(set(made)) == 3


def test_the_secret_changes_every_key_and_may_be_long():
    sets = [set(keys(FRAME, secret=secret)) for secret in ("", "a", "b", "a" * 200)]
    assert len(set.union(*sets)) == sum(map(len, sets))


def test_keys_stay_what_they_were():
    # Written down on the day the scheme was set: a baseline on disk must go on matching.
    assert keys(FRAME)[:2] == KEYS
    assert fingerprint("DA101", "train", KEYS[0]) == FINGERPRINT


def test_fingerprints_differ_by_rule_dataset_and_key():
    parts = [("DA101", "a", "k"), ("DA102", "a", "k"), ("DA101", "b", "k"), ("DA101", "a", "l")]
    assert len({fingerprint(*part) for part in parts}) == 4


def test_no_rows_and_unknown_columns():
    assert keys(FRAME.clear()) == []
    with pytest.raises(MissingColumn, match="did you mean 'part'"):
        row_keys(FRAME, columns=["parts"])
