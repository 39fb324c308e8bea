"""What columns are cut into, to count by."""

from datetime import UTC, date, datetime, time, timedelta

import numpy as np
import polars as pl
import pytest

from dataaudit.errors import AuditError
from dataaudit.features.levels import cut_levels, require_levels
from dataaudit.options import LabelOptions


def cut(values, name="source", **more):
    return cut_levels(pl.DataFrame({name: values}), name, **more)


def days(first, step, n):
    return [date(2026, 1, first) + timedelta(days=step * i) for i in range(n)]


@pytest.mark.parametrize(
    ("values", "kind", "names"),
    [
        (["b", "a", "b", None, "", "a"] * 3, "values", ["a", "b", "(missing)"]),
        (pl.Series(["b", "a"] * 5, dtype=pl.Categorical), "values", ["a", "b"]),
        ([True, False, None, True] * 3, "values", ["false", "true", "(missing)"]),
        ([10, 9, 1, 10] * 3, "values", ["1", "9", "10"]),
        ([1.0, 2.0, float("nan"), 1.0] * 3, "values", ["1", "2", "(missing)"]),
        (["07", "7", "10", "07"] * 3, "values", ["07", "10", "7"]),
        (days(1, 7, 20), "dates", ["2026-01", "2026-02", "2026-03", "2026-04", "2026-05"]),
        ([f"{d}" for d in days(1, 2, 14)] * 2, "dates", [f"{d}" for d in days(1, 2, 14)]),
        (days(1, 70, 25) * 2, "dates", [f"{y}-Q{q}" for y in range(2026, 2031) for q in range(1, 5)][:19]),
        (days(1, 400, 30) * 4, "dates", [f"{d.year}" for d in days(1, 400, 30)]),
        (
            [datetime(2026, 1, 31, 23, tzinfo=UTC), datetime(2026, 2, 1, 1, tzinfo=UTC)] * 3,
            "dates",
            ["2026-01", "2026-02"],
        ),
        (["2026-01-31T23:00:00Z", "2026-02-01 01:00"] * 3, "dates", ["2026-01", "2026-02"]),
        ([time(9, 30), time(9, 45), time(17, 0)] * 3, "values", ["09:00", "17:00"]),
    ],
)
def test_levels(values, kind, names):
    found = cut(values)
    assert (found.kind, list(found.names)) == (kind, list(dict.fromkeys(names)))
    assert found.texts.to_list() == [found.names[at] for at in found.code]


def test_numbers_are_cut_at_rounded_quantiles():
    values = np.random.default_rng(0).normal(50, 10, 1000)
    found = cut(values)
    assert found.kind == "numbers"
    assert len(found.names) == 10
    assert found.names[0].startswith("below ")
    assert found.names[-1].endswith(" or more")
    edge = float(found.names[0].removeprefix("below "))
    assert ((found.code == 0) == (values < edge)).all()
    assert np.bincount(found.code).min() >= 90


def test_numbers_in_strings_durations_and_missing_ones_are_numbers():
    values = [f" {i / 7:.3f}" for i in range(200)]
    assert cut([*values, None]).names[-1] == "(missing)"
    assert cut(values).kind == "numbers"
    assert cut([timedelta(hours=i) for i in range(200)]).kind == "numbers"
    skewed = cut([0.0] * 180 + [0.5 + i for i in range(60)])
    assert skewed.kind == "numbers"
    assert skewed.code[:180].tolist() == [0] * 180


def test_numbers_that_are_names_stay_whole():
    people = [1000 + i % 90 for i in range(900)]
    assert cut(people).kind == "numbers"
    assert len(cut(people, name="annotator_id").names) == 90
    assert len(cut(people, categorical=["source"]).names) == 90


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (["a"] * 9, "has one value in all rows"),
        ([None] * 9, "has one value in all rows"),
        ([f"row {i}" for i in range(9)], "nearly names the rows: 9 values in 9 rows"),
        ([f"row {i // 2}" for i in range(9)] + ["x"] * 0, "nearly names the rows: 5 values in 9 rows"),
        ([[1, 2]] * 9, "nothing can be counted by it"),
    ],
)
def test_what_cannot_be_counted_by_is_refused_with_a_hint(values, said):
    with pytest.raises(AuditError, match=said) as refused:
        cut(values)
    assert "'source'" in refused.value.what
    assert refused.value.hint.startswith("name a column")


def test_the_id_is_refused():
    with pytest.raises(AuditError, match="'key' names the rows"):
        require_levels(pl.DataFrame({"x": [1, 2]}), ["key"], LabelOptions(label="y", id="key"))
