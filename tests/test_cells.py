"""Cells that are almost equal have one normal form; others do not."""

import datetime as dt

import polars as pl
import pytest

from dataaudit.cells import normal_form


def _forms(values, *, text=False, dtype=None):
    frame = pl.DataFrame({"x": pl.Series(values, dtype=dtype)})
    return frame.select(normal_form("x", frame.schema["x"], text=text)).to_series().to_list()


@pytest.mark.parametrize(
    ("values", "text", "dtype"),
    [
        (["Win $500 now!", "win   900 NOW"], True, None),
        (["Ja, ÄRGER!", "ja ärger"], True, None),
        ([" North", "north"], False, None),
        (["North", " north "], False, pl.Categorical),
        ([1234.0, 1233.6], False, None),
        ([float("nan"), None], False, None),
    ],
)
def test_cells_that_are_almost_equal(values, text, dtype):
    one, other = _forms(values, text=text, dtype=dtype)
    assert one == other


@pytest.mark.parametrize(
    ("values", "text"),
    [
        (["win now", "win later"], True),
        (["A1", "A2"], False),
        (["A+", "A-"], False),
        ([1234, 1235], False),
        ([1.234, 1.244], False),
        ([dt.date(2020, 1, 1), dt.date(2020, 1, 2)], False),
        ([[1.0, 2.0], [1.0, 2.5]], False),
    ],
)
def test_cells_that_differ(values, text):
    one, other = _forms(values, text=text)
    assert one != other
