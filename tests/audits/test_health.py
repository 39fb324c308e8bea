"""The check that suspected rows lie as random mistakes would."""

import numpy as np
import polars as pl
import pytest
from sklearn.datasets import load_breast_cancer

import dataaudit
from dataaudit.audits.health import LIMIT
from dataaudit.findings.schemas import RANDOM

QUICK = {"label": "y", "basis": "linear", "l2": 0.01, "verify": 0, "top": 0}


@pytest.fixture(scope="module")
def tissue():
    """Columns, with a site that is none of the tissue's, and right labels."""
    bunch = load_breast_cancer()
    columns = {f"x{j}": bunch.data[:, j] for j in range(10)}
    sites = np.array(["north", "south", "east", "west", "inland"])
    random = np.random.default_rng(0)
    frame = pl.DataFrame(columns | {"site": sites[random.integers(0, 5, len(bunch.target))]})
    return frame, bunch.target, random


def checked(frame, y):
    named = frame.with_columns(y=pl.Series(np.where(y == 1, "benign", "malignant")))
    audit = dataaudit.audit_labels(named, **QUICK)
    check = audit.health.row(by_predicate=pl.col("check") == RANDOM, named=True)
    return check, audit.findings.provenance


def flipped(y, rows):
    changed = y.copy()
    changed[rows] = 1 - changed[rows]
    return changed


def test_random_mistakes_pass_and_have_an_interval(tissue):
    frame, y, random = tissue
    check, provenance = checked(frame, flipped(y, random.permutation(len(y))[:57]))
    assert check["ok"]
    assert check["value"] >= LIMIT
    assert provenance.has_interval
    assert provenance.expected_low <= 57 <= provenance.expected_high


def test_a_batch_of_the_file_is_named(tissue):
    frame, y, random = tissue
    check, provenance = checked(frame, flipped(y, 114 + random.permutation(57)[:40]))
    assert not check["ok"]
    assert "rows 115 to 171 of 569, as in a batch" in check["message"]
    assert "audit review FOLDER --sample 60" in check["message"]
    assert not provenance.has_interval


def test_a_level_that_is_labelled_worse_is_named(tissue):
    frame, y, random = tissue
    south = np.flatnonzero(frame["site"] == "south")
    check, provenance = checked(frame, flipped(y, random.permutation(south)[: len(south) // 2]))
    assert not check["ok"]
    assert "a level of “site”" in check["message"]
    assert not provenance.has_interval


def test_nothing_rests_on_it_where_no_interval_is_claimed(tissue):
    frame, y, random = tissue
    check, provenance = checked(frame, random.permutation(y))
    assert check["ok"]
    assert check["value"] is None
    assert provenance.overlapping
    assert not provenance.has_interval
