"""Vectors of another scale, another centre, backwards."""

import numpy as np
import polars as pl
import pytest

from dataaudit.audits.mismatch.causes.vectors import vector_guesses, vectors_of


def cells(X):
    return pl.Series("v", X.tolist(), pl.List(pl.Float64))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda X: X * 255, "times as long in test: another scale?"),
        (lambda X: X - X.mean(0), "centre"),
        (lambda X: X[:, ::-1], "backwards"),
    ],
)
def test_what_happened_is_named(change, words):
    known, new = (np.random.default_rng(seed).normal(np.arange(5.0), 1.0, (300, 5)) for seed in (0, 1))
    titles = [guess.title for guess in vector_guesses("v", cells(known), cells(change(new)))]
    assert any(words in title for title in titles)


def test_missing_vectors_are_kept():
    series = pl.Series("v", [[1.0, 2.0], None], pl.List(pl.Float64))
    np.testing.assert_array_equal(vectors_of(series), [[1.0, 2.0], [np.nan, np.nan]])
