"""One-hot levels, against Python loops."""

import datetime as dt

import numpy as np
import polars as pl
import pytest

from dataaudit.features import Feature, fit_encoding
from dataaudit.options import EncoderOptions


def encode(values, *, max_levels=100, dtype=None):
    frame = pl.DataFrame({"y": [0] * len(values), "x": pl.Series(values, dtype=dtype)})
    settings = EncoderOptions(categorical=("x",), max_levels=max_levels)
    encoding = fit_encoding(frame, "y", settings=settings)
    return encoding, encoding.transform(frame)


def one_hot_slow(values, features):
    """Loop over rows and features; a value that no feature names goes to the pool, if there is one."""
    out = np.zeros((len(values), len(features)))
    names = [feature.level for feature in features]
    for i, value in enumerate(values):
        shown = "(missing)" if value in (None, "") else str(value)
        if shown in names:
            out[i, names.index(shown)] = 1
        elif names[-1].startswith("(other"):
            out[i, -1] = 1
    return out


def test_levels_missing_and_pool_in_order():
    values = ["b", "a", "b", None, "c", "b", "a", "d", ""]
    encoding, columns = encode(values, max_levels=2)
    assert columns.level_features == (
        Feature("x=a", "x", "a", "level", 1.0),
        Feature("x=b", "x", "b", "level", 1.0),
        Feature("x=(missing)", "x", "(missing)", "level", 1.0),
        Feature("x=(other: 2 levels)", "x", "(other: 2 levels)", "level", 1.0),
    )
    np.testing.assert_array_equal(columns.levels.toarray(), one_hot_slow(values, columns.level_features))
    note = "Column 'x' has 4 levels: the 2 most frequent have a feature each, the other 2 (2 rows) share one."
    assert encoding.notes == (note,)


def test_rare_levels_keep_their_feature_up_to_the_limit():
    values = [f"level {i}" for i in range(100)] + ["level 0"] * 50
    encoding, columns = encode(values)
    assert columns.levels.shape == (150, 100)
    assert encoding.notes == ()
    _, columns = encode([*values, "one more"])
    assert columns.levels.shape == (151, 101)
    # Of the levels with one row each the last in the alphabet is pooled.
    assert columns.level_features[-1].level == "(other: 1 level)"
    assert "one more" not in {*columns.level_features[:-2]}
    np.testing.assert_array_equal(columns.levels.sum(axis=1), 1)


def test_unseen_levels_go_to_the_pool_else_nowhere():
    pooled, _ = encode(["a", "a", "b", "c"], max_levels=1)
    later = pl.DataFrame({"x": ["a", "b", "new", None]})
    assert pooled.transform(later).levels.toarray().tolist() == [[1, 0], [0, 1], [0, 1], [0, 1]]
    assert pooled.unseen(later) == {"x": ("new", "(missing)")}
    plain, _ = encode(["a", "a", "b", "c"])
    assert plain.transform(later).levels.toarray().tolist() == [[1, 0, 0], [0, 1, 0], [0, 0, 0], [0, 0, 0]]
    assert plain.unseen(later) == {"x": ("new", "(missing)")}
    assert plain.unseen(later.head(2)) == {}


@pytest.mark.parametrize(
    ("values", "levels"),
    [
        ([1, 2, 10], ["1", "10", "2"]),
        ([1.5, None, float("nan")], ["1.5", "(missing)"]),
        ([True, False, None], ["false", "true", "(missing)"]),
        ([dt.date(2024, 1, 2), dt.date(2024, 1, 1)], ["2024-01-01", "2024-01-02"]),
        ([dt.timedelta(days=1), dt.timedelta(hours=2)], ["P1D", "PT2H"]),
        (["(missing)", None, "a"], ["a", "(missing)"]),
        (
            ["a b", "a=b", 'quo"te', "line\nbreak", "naïve ☃"],
            ["a b", "a=b", "line\nbreak", "naïve ☃", 'quo"te'],
        ),
        (["(other: 3 levels)", "a"], ["(other: 3 levels)", "a"]),
    ],
)
def test_any_type_and_any_characters(values, levels):
    _, columns = encode(values)
    assert [feature.level for feature in columns.level_features] == levels
    np.testing.assert_array_equal(columns.levels.sum(axis=1), 1)


def test_integers_and_floats_of_the_same_value_agree():
    encoding, _ = encode([1, 2, 10])
    assert encoding.transform(pl.DataFrame({"x": [2.0, 10.0]})).levels.toarray().tolist() == [
        [0, 0, 1],
        [0, 1, 0],
    ]
    assert encoding.transform(pl.DataFrame({"x": ["2", "10"]})).levels.toarray().tolist() == [
        [0, 0, 1],
        [0, 1, 0],
    ]


def test_another_enum_has_unseen_levels_not_an_error():
    encoding, _ = encode(["a", "b", "a"], dtype=pl.Enum(["a", "b"]))
    later = pl.DataFrame({"x": pl.Series(["b", "z"], dtype=pl.Enum(["b", "z"]))})
    assert encoding.transform(later).levels.toarray().tolist() == [[0, 1], [0, 0]]
    assert encoding.unseen(later) == {"x": ("z",)}


def test_hospital_table_equals_the_loop(data_folder):
    frame = pl.read_parquet(data_folder / "diabetes130.parquet").head(3000)
    encoding = fit_encoding(frame, "readmitted")
    columns = encoding.transform(frame)
    categorical = [role.column for role in encoding.roles if role.role == "categorical"]
    assert len(categorical) > 20
    dense = columns.levels.toarray()
    for name in categorical:
        mine = [j for j, feature in enumerate(columns.level_features) if feature.column == name]
        features = [columns.level_features[j] for j in mine]
        np.testing.assert_array_equal(
            dense[:, mine], one_hot_slow(frame[name].to_list(), features), err_msg=name
        )
    assert columns.levels.has_sorted_indices
    assert columns.levels.data.dtype == np.float64
