"""Tables of a mismatch: what a fix does for the rows that it is about, and the profiles of columns."""

from dataclasses import replace
from html import unescape

import numpy as np
import polars as pl
import pytest
from writers.mismatch_example import real

import dataaudit
from dataaudit.audits.mismatch.rows.fixes import Remove
from dataaudit.audits.mismatch.tables import result_in_words
from dataaudit.audits.mismatch.worth import Trial
from dataaudit.findings.schemas import MismatchFindings
from dataaudit.report import mismatch as report_of
from dataaudit.writers import html


@pytest.fixture(scope="module")
def moved():
    """Findings of a column that is ten times as large in test."""
    random = np.random.default_rng(0)
    x, z = random.normal(50, 10, 900), random.normal(size=900)
    y = np.where(x - 50 + 5 * z + random.normal(0, 3, 900) > 0, "a", "b")
    frame = pl.DataFrame({"x": x, "z": z, "y": y})
    test = frame[500:].with_columns(pl.col("x") * 10)
    return dataaudit.audit_mismatch(frame[:500], test, label="y", l2=1e-3, prove=2, verify=2).tables


def test_a_column_is_profiled_in_training_in_test_and_fixed(moved):
    one = moved.findings.row(0, named=True)
    assert (one["kind"], one["columns"]) == ("column", ["x"])
    profiles = moved.profiles.filter(finding=1)
    assert profiles["column"].unique().to_list() == ["x"]
    sums = profiles.group_by("part").agg(pl.col("share").sum())
    assert dict(sums.iter_rows()) == {part: pytest.approx(1.0) for part in ("train", "test", "fixed")}
    middles = profiles.group_by("part").agg(pl.col("position").dot("share").alias("middle"))
    middle = dict(middles.iter_rows())
    assert abs(middle["fixed"] - middle["train"]) < 0.5
    assert middle["test"] - middle["train"] > 3


def test_a_fix_says_what_it_does_for_its_own_rows(moved):
    best = moved.fixes.filter("best").row(0, named=True)
    assert best["rows"] == best["own_rows"] == 400
    assert (best["own_errors_before"], best["own_errors_after"]) == (
        best["errors_before"],
        best["errors_after"],
    )
    number = real().findings.filter(slice="age = child")["finding"][0]
    children = real().fixes.filter(pl.col("best"), finding=number).row(0, named=True)
    assert (children["rows"], children["own_rows"]) == (900, 40)
    assert children["own_errors_after"] < children["own_errors_before"] <= children["errors_before"]
    assert children["own_loss_after"] < children["own_loss_before"]


def test_larger_coefficients_are_counted_and_said(moved):
    """Spread of x times its slope is twice that of z: none is larger; of a level, by the refitted model."""
    assert moved.findings["larger"][0] == 0
    assert "A look at the coefficients would show it: none of" in unescape(html.page(report_of.report(moved)))
    many = moved.findings.with_columns(larger=pl.lit(14, pl.Int64))
    text = unescape(html.page(report_of.report(replace(moved, findings=many))))
    assert f"would not show it: 14 of {moved.provenance.n_features} are larger." in text
    old = MismatchFindings.UPGRADES["findings"](moved.findings.drop("larger"))
    assert old["larger"].null_count() == len(old)
    assert "coefficients" not in html.page(report_of.report(replace(moved, findings=old)))


@pytest.mark.parametrize(
    ("after", "said"),
    [
        (1, "1 instead of 2 of 4 test rows are then wrong"),
        (2, "the mean test loss goes from 0.5 to 0.4 nats, and as before 2 of 4 test rows are then wrong"),
        (3, "the mean test loss goes from 0.5 to 0.4 nats, but 3 instead of 2 of 4 test rows are then wrong"),
    ],
)
def test_advice_says_the_loss_where_errors_do_not_fall(after, said):
    wrong = np.arange(4) < 2, np.arange(4) < after
    fix = Remove(np.arange(3), "3 rows")
    assert result_in_words(Trial(fix, np.full(4, 0.5), np.full(4, 0.4), wrong, -0.1, -0.1)) == said
