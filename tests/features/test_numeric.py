"""Numbers, booleans and dates."""

import datetime as dt

import numpy as np
import polars as pl
import pytest

from dataaudit.errors import EncodeError
from dataaudit.features import Feature, fit_encoding
from dataaudit.options import EncoderOptions

Y = pl.Series("y", [0, 1] * 3)


def encode(values, name="x", *, dtype=None, **settings):
    series = values if isinstance(values, pl.Series) else pl.Series(name, values, dtype=dtype, strict=False)
    frame = pl.DataFrame([Y.head(len(series)), series.alias(name)])
    encoding = fit_encoding(frame, "y", settings=EncoderOptions(**settings))
    return encoding, encoding.transform(frame)


def new(values, dtype=None):
    return pl.DataFrame({"x": pl.Series(values, dtype=dtype)})


def test_numbers_stay_in_the_users_units():
    encoding, columns = encode([3.5, -1.0, 2.0, 8.25, 0.0, 1.0])
    assert columns.numeric[:, 0].tolist() == [3.5, -1.0, 2.0, 8.25, 0.0, 1.0]
    assert columns.numeric_features == (Feature("x", "x", None, "numeric", 1.0),)
    assert (columns.levels.shape, columns.vectors.shape, columns.terms.shape) == ((6, 0), (6, 0), (6, 0))
    assert encoding.notes == ()


def test_missing_values_get_the_median_and_an_indicator():
    encoding, columns = encode([4.0, None, 1.0, float("nan"), 3.0, 2.0])
    assert columns.numeric[:, 0].tolist() == [4.0, 2.5, 1.0, 2.5, 3.0, 2.0]  # median of 1, 2, 3, 4
    assert columns.levels.toarray()[:, 0].tolist() == [0, 1, 0, 1, 0, 0]
    assert columns.level_features == (Feature("x (missing)", "x", "(missing)", "missing", 1.0),)
    later = encoding.transform(new([None, 7.0]))
    assert later.numeric[:, 0].tolist() == [2.5, 7.0]
    assert later.levels.toarray().tolist() == [[1], [0]]


def test_missing_only_later_has_no_indicator():
    encoding, columns = encode([4.0, 0.0, 1.0, 5.0, 3.0, 2.0])
    assert columns.level_features == ()
    assert encoding.transform(new([None, 7.0])).numeric[:, 0].tolist() == [2.5, 7.0]


def test_infinite_and_huge_values_count_as_missing_and_are_counted():
    encoding, columns = encode([np.inf, -np.inf, 1e308, 1.0, 2.0, 6.0])
    assert columns.numeric[:, 0].tolist() == [2.0, 2.0, 2.0, 1.0, 2.0, 6.0]
    assert columns.levels.toarray()[:, 0].tolist() == [1, 1, 1, 0, 0, 0]
    assert encoding.notes == ("Column 'x': 3 values infinite or beyond 1e+100 in size, taken as missing.",)
    assert np.isfinite(encoding.transform(new([np.inf, 1.0])).numeric).all()


def test_large_values_do_not_overflow():
    _, columns = encode([9e99, -9e99, 1e99, None, 2.0, 3.0])
    with np.errstate(all="raise"):
        assert np.isfinite(columns.numeric).all()
        assert np.isfinite(columns.numeric.var())


def test_wide_integers_and_decimals_are_read():
    _, columns = encode([2**63, 0, 1, 5, 7, 2**64 - 1], dtype=pl.UInt64)
    assert columns.numeric[-1, 0] == float(2**64)
    _, columns = encode(pl.Series(["1.25", "2", "3", "-4", "5", "6"]).cast(pl.Decimal(10, 2)))
    assert columns.numeric[:, 0].tolist() == [1.25, 2, 3, -4, 5, 6]


def test_one_value_or_missing_keeps_the_indicator_alone():
    _, columns = encode([2.5, None, 2.5, 2.5, None, 2.5])
    assert columns.numeric.shape == (6, 0)
    assert columns.levels.toarray()[:, 0].tolist() == [0, 1, 0, 0, 1, 0]


def test_strings_of_numbers_are_read_and_the_rest_is_stated():
    encoding, columns = encode(["1", " 2.5", "?", "4e0", "-1", "0"])
    assert columns.numeric[:, 0].tolist() == [1, 2.5, 1, 4, -1, 0]
    assert encoding.notes == ("Column 'x' is read as numbers, taking '?' (1 row) as missing.",)
    # Later rows may come as numbers, and may hold other strings that are none.
    assert encoding.transform(new([7, 8])).numeric[:, 0].tolist() == [7, 8]
    assert encoding.transform(new(["n/a", "8"])).numeric[:, 0].tolist() == [1, 8]


def test_other_types_are_cast_where_that_loses_nothing():
    encoding, _ = encode([3.5, -1.0, 2.0, 8.25, 0.0, 1.0])
    for later in (
        new([7, 8]),
        new(["7", "8 "]),
        new(["7", "8"], pl.Categorical),
        new(["7", "8"]).cast(pl.Decimal(10, 2)),
    ):
        assert encoding.transform(later).numeric[:, 0].tolist() == [7, 8]
    assert encoding.transform(new([None, None], pl.Null)).numeric[:, 0].tolist() == [1.5, 1.5]


@pytest.mark.parametrize(
    ("later", "message"),
    [
        (["7", "eight"], "column 'x' does not fit: numbers in training and text now: got 'eight'"),
        ([dt.date(2024, 1, 1)], "numbers in training and dates now: got '2024-01-01'"),
        ([[1, 2]], "numbers in training and List.Int64. now"),
        ([{"a": 1}], "numbers in training and Struct"),
        ([b"a"], "numbers in training and Binary now"),
    ],
)
def test_what_cannot_be_cast_is_one_line(later, message):
    encoding, _ = encode([3.5, -1.0, 2.0, 8.25, 0.0, 1.0])
    with pytest.raises(EncodeError, match=message):
        encoding.transform(new(later))


def test_booleans_are_one_feature():
    encoding, columns = encode([True, False, None, True, False, False])
    assert columns.levels.toarray().tolist() == [[1, 0], [0, 0], [0, 1], [1, 0], [0, 0], [0, 0]]
    assert columns.level_features == (
        Feature("x", "x", "true", "boolean", 1.0),
        Feature("x (missing)", "x", "(missing)", "missing", 1.0),
    )
    for later in (new(["true", "False"]), new([1, 0])):
        assert encoding.transform(later).levels.toarray().tolist() == [[1, 0], [0, 0]]
    with pytest.raises(EncodeError, match="true or false in training and text now: got 'yes'"):
        encoding.transform(new(["yes"]))


def test_two_integers_are_a_boolean_of_the_larger():
    encoding, columns = encode([3, 5, 5, 3, 3, 5])
    assert columns.levels.toarray()[:, 0].tolist() == [0, 1, 1, 0, 0, 1]
    assert columns.level_features == (Feature("x=5", "x", "5", "boolean", 1.0),)
    assert encoding.transform(new([5.0, 4.0])).levels.toarray()[:, 0].tolist() == [1, 0]
    assert encoding.unseen(new([5, 4, None])) == {"x": ("4", "(missing)")}
    with pytest.raises(EncodeError, match=r"Int64 in training and Float64 now: got '4\.5'"):
        encoding.transform(new([4.5]))


def test_dates_are_split_and_constant_parts_left_out():
    days = [dt.date(2024, 1, 29), dt.date(2024, 2, 1), None, dt.date(2024, 3, 3), dt.date(1969, 12, 31)]
    _, columns = encode(days)
    assert [feature.level for feature in columns.numeric_features] == ["days", "month", "weekday"]
    assert {feature.kind for feature in columns.numeric_features} == {"datetime"}
    slow = [[(day - dt.date(1970, 1, 1)).days, day.month, day.isoweekday()] for day in days if day]
    assert columns.numeric[[0, 1, 3, 4]].tolist() == slow
    assert columns.numeric[2].tolist() == np.median(slow, axis=0).tolist()
    assert columns.levels.toarray()[:, 0].tolist() == [0, 0, 1, 0, 0]
    _, columns = encode([dt.date(2024, 1, 1), dt.date(2024, 1, 8)])
    assert [feature.level for feature in columns.numeric_features] == ["days"]


def test_hours_are_local_and_days_are_not():
    utc = [dt.datetime(2024, 7, 1, hour, 30, tzinfo=dt.UTC) for hour in (0, 6, 22)]
    encoding, columns = encode(pl.Series(utc).dt.convert_time_zone("Europe/Berlin"))
    names = [feature.level for feature in columns.numeric_features]
    assert names == ["days", "weekday", "hour"]
    assert columns.numeric[:, names.index("hour")].tolist() == [2, 8, 0]
    assert columns.numeric[:, names.index("weekday")].tolist() == [1, 1, 2]
    slow = [(moment - dt.datetime(1970, 1, 1, tzinfo=dt.UTC)) / dt.timedelta(days=1) for moment in utc]
    np.testing.assert_allclose(columns.numeric[:, 0], slow, rtol=1e-14)
    # A naive time is taken as local, a string as naive.
    for later in (new([dt.datetime(2024, 7, 1, 8, 30)]), new(["2024-07-01 08:30"])):  # noqa: DTZ001
        np.testing.assert_array_equal(encoding.transform(later).numeric, columns.numeric[1:2])


def test_times_and_durations_are_numbers():
    _, columns = encode([dt.time(6, 30), dt.time(12), None, dt.time(18)])
    assert columns.numeric[:, 0].tolist() == [6.5, 12, 12, 18]
    _, columns = encode([dt.timedelta(hours=6), dt.timedelta(days=-2), dt.timedelta(days=3)])
    assert columns.numeric[:, 0].tolist() == [0.25, -2, 3]


def test_iso_strings_equal_their_dates():
    texts = ["2024-01-29", "2024-02-01T10:30", "2024-03-03 23:59:59.25Z", "1969-12-31", "2024-02-30"]
    encoding, columns = encode(texts)
    moments = [dt.datetime(2024, 1, 29), dt.datetime(2024, 2, 1, 10, 30), dt.datetime(2024, 3, 3, 23, 59, 59)]  # noqa: DTZ001
    _, twin = encode([*moments, dt.datetime(1969, 12, 31), None])  # noqa: DTZ001
    np.testing.assert_array_equal(columns.numeric, twin.numeric)
    assert encoding.notes == ("Column 'x' is read as dates, taking 1 other value as missing.",)
    np.testing.assert_array_equal(encoding.transform(new(moments)).numeric, columns.numeric[:3])
    with pytest.raises(EncodeError, match="column 'x' does not fit: dates in training and numbers now"):
        encoding.transform(new([3.5]))


def test_dates_later_given_as_strings():
    encoding, columns = encode([dt.date(2024, 1, 29), dt.date(2024, 2, 1), dt.date(2024, 3, 3)])
    np.testing.assert_array_equal(encoding.transform(new(["2024-02-01"])).numeric, columns.numeric[1:2])
    assert encoding.unseen(new(["2024-02-01"])) == {}
