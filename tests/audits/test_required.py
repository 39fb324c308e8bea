"""A slip in a call is one line with a hint, whatever the argument; what is meant is taken."""

import numpy as np
import polars as pl
import pytest

import dataaudit
from dataaudit.errors import MissingColumn, SettingError

X = np.random.default_rng(0).normal(size=60)
FRAME = pl.DataFrame({"x": X, "y": np.where(X + np.random.default_rng(1).normal(size=60) > 0, "a", "b")})
KNOWN = {"label": "y", "l2": 1e-2}


@pytest.mark.parametrize(
    ("call", "settings", "said"),
    [
        (
            dataaudit.explain,
            {"row": "3"},
            "row must be a whole number: got '3'. Hint: give one without",
        ),
        (dataaudit.explain, {"row": 3, "seed": "a"}, "seed must be a whole number: got 'a'"),
        (dataaudit.explain, {"row": 3, "flip": 5}, "flip must be text: got 5"),
        (dataaudit.vulnerability, {"within": "a"}, "within must be a number: got 'a'"),
        (dataaudit.vulnerability, {"rows": "3"}, "rows must be a whole number: got '3'"),
        (dataaudit.vulnerability, {"swaps": 1.5}, "swaps must be a whole number: got 1.5"),
        (dataaudit.audit_mismatch, {"label": ["y"]}, "label must be text: got ['y']. Hint: give one name"),
        (dataaudit.audit_mismatch, {"l2": "1"}, "l2 must be a number: got '1'"),
    ],
)
def test_a_slip_is_one_line(call, settings, said):
    with pytest.raises(SettingError) as error:
        call(FRAME, FRAME, **KNOWN | settings)
    assert str(error.value).startswith(said)


def test_labels_are_checked_too():
    with pytest.raises(SettingError, match="label must be text"):
        dataaudit.audit_labels(FRAME, label=["y"])
    with pytest.raises(SettingError, match="seed must be a whole number"):
        dataaudit.audit_labels(FRAME, label="y", seed="a")


def test_one_row_needs_no_list():
    right = dataaudit.vulnerability(FRAME, FRAME, tests=1, **KNOWN).attacks["test_row"][0]
    for rows in (right, [right], np.array([right])):
        assert set(dataaudit.vulnerability(FRAME, FRAME, rows=rows, **KNOWN).attacks["test_row"]) == {right}
    traced = dataaudit.audit_mismatch(FRAME, FRAME, rows=3, prove=0, **KNOWN).traces
    assert traced["test_row_id"].n_unique() == 1


def test_a_table_without_columns_is_told_of_as_one():
    with pytest.raises(MissingColumn, match="Hint: give a table that has columns"):
        dataaudit.audit_labels(pl.DataFrame(), label="y")
