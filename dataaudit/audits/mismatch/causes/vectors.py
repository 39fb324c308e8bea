"""What may have happened to a column of vectors: another scale, another centre, another order, no centre."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

import numpy as np
import polars as pl

from dataaudit.audits.mismatch.causes.fixes import NAME, Guess, Reals, Rewrite, draw, quoted
from dataaudit.audits.mismatch.world import World

FAR: Final = 0.1  # by which a ratio of sizes differs from 1, or a centre from another in standard deviations


def vectors_of(series: pl.Series) -> Reals:
    """Return vectors as rows of one array, NaN where missing."""  # -> (n, d)
    present = series.drop_nulls()
    found = np.full((len(series), len(present[0]) if len(present) else 0), np.nan)
    if len(present):
        found[series.is_not_null().to_numpy()] = np.array(present.to_list(), dtype=np.float64)
    return found


def vector_guesses(column: str, known: pl.Series, new: pl.Series) -> list[Guess]:
    """Return what may have happened, the most telling guess first."""
    A, B = vectors_of(known), vectors_of(new)
    name = quoted(column, NAME)
    found = list(_changed(column, A, B)) if A.shape[1] == B.shape[1] > 0 else []
    lengths = f"mean length {_length(A):.4g} in training and {_length(B):.4g} in test"
    return [*found, Guess("moved", f"{name} is distributed differently in test: {lengths}.", draw(column))]


def _length(X: Reals) -> float:
    return float(np.nanmean(np.linalg.norm(X, axis=1))) if X.size else 0.0


def _changed(column: str, A: Reals, B: Reals) -> Iterator[Guess]:
    name = quoted(column, NAME)
    ratio = _length(B) / max(_length(A), 1e-300)
    if abs(ratio - 1) > FAR and ratio > 0:
        title = f"{name} is {ratio:.3g} times as long in test: another scale?"
        yield _guess(column, "scaled", title, lambda X: X / ratio, f"divided by {ratio:.4g}")
    (m, s), (c, d) = ((np.nanmean(X, axis=0), np.nanstd(X, axis=0)) for X in (A, B))
    if (
        np.abs((m - c) / np.where(s > 0, s, 1.0)).mean() > FAR
        or np.abs(d / np.where(s > 0, s, 1.0) - 1).mean() > FAR
    ):
        title = f"{name} has another centre and spread in test: is it standardised in one of the tables?"
        yield _guess(
            column,
            "scaled",
            title,
            lambda X: (X - c) / np.where(d > 0, d, 1.0) * s + m,
            "centred as in training",
        )
    if ((m[::-1] - c) ** 2).sum() < ((m - c) ** 2).sum() / 2:
        title = f"{name} of test is like that of training from its last number to its first: is it backwards?"
        yield _guess(column, "permuted", title, lambda X: X[:, ::-1], "turned round")


def _guess(column: str, cause: str, title: str, change: Callable[[Reals], Reals], done: str) -> Guess:
    def cells(world: World) -> tuple[pl.Series, ...]:
        series = world.new.get_column(column)
        X = change(vectors_of(series))
        moved = pl.Series(column, X.tolist(), pl.List(pl.Float64))
        return (moved.zip_with(series.is_not_null(), pl.Series(column, [None] * len(moved), moved.dtype)),)

    name = quoted(column, NAME)
    advice = f"Use {name} of the test rows {done}."
    return Guess(cause, title, Rewrite("scale", f"{name} of the test rows {done}", advice, cells))
