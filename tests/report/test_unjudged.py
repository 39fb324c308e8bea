"""Test rows of no class that training knows are in every verdict, their class only where it may be told."""

import numpy as np
import polars as pl
import pytest

import dataaudit
from dataaudit.errors import SettingError
from dataaudit.report import shown
from dataaudit.report.blocks import Report, plain

L2 = 1e-2


def shops(n, seed):
    random = np.random.default_rng(seed)
    x = random.normal(size=n)
    return pl.DataFrame({"x": x, "y": np.where(x + random.normal(size=n) > 0, "yes", "no")})


@pytest.fixture(scope="module")
def known():
    return shops(120, 0)


@pytest.fixture(scope="module")
def new():
    """Of 60 rows the first three are of a class that training lacks, the fourth has no label."""
    labels = pl.Series(["perhaps"] * 3 + [None] + shops(60, 1)["y"].to_list()[4:])
    return shops(60, 1).with_columns(y=labels)


def verdict(tables, policy):
    report = shown(tables, policy)[1]
    sentences = report.sentences if isinstance(report, Report) else report.verdict.sentences
    return " ".join(map(plain, sentences))


def test_a_mismatch_and_a_vulnerability_tell_how_many(known, new):
    mismatch = dataaudit.audit_mismatch(known, new, label="y", l2=L2, prove=0).tables
    attacked = dataaudit.vulnerability(known, new, label="y", l2=L2, tests=1).tables
    for tables in (mismatch, attacked):
        said = "Not judged: 3 test rows have a class that no training row has{} and 1 test row has no label."
        assert said.format(" (“perhaps”)") in verdict(tables, "none")
        assert said.format(" (“perhaps”)") in verdict(tables, "cells")
        assert said.format("") in verdict(tables, "all")
        assert "perhaps" not in str(shown(tables, "all")[1])
    every = dataaudit.audit_mismatch(known, shops(60, 1), label="y", l2=L2, prove=0).tables
    assert "Not judged" not in verdict(every, "none")


def test_an_explanation_tells_why_it_has_no_loss(known, new):
    strange = dataaudit.explain(known, new, label="y", l2=L2, row=0).tables
    assert "Its label (“perhaps”) is not one that training knows, so it is explained" in verdict(
        strange, "none"
    )
    assert "Its label is not one that training knows, so it is explained" in verdict(strange, "all")
    assert "perhaps" not in str(shown(strange, "all")[1])
    bare = dataaudit.explain(known, new, label="y", l2=L2, row=3).tables
    assert "It has no label, so it is explained" in verdict(bare, "none")


@pytest.mark.parametrize("row", [0, 3])
def test_a_row_that_cannot_be_attacked_is_not_said_to_be_missing(known, new, row):
    with pytest.raises(SettingError, match=f"test row {row} has no label that training knows. Hint: ask for"):
        dataaudit.vulnerability(known, new, label="y", l2=L2, rows=[row])
    with pytest.raises(SettingError, match=r"no test row 60\. Hint: rows go from 0 to 59"):
        dataaudit.vulnerability(known, new, label="y", l2=L2, rows=[60])
