"""The rows to look at for an honest count, and what the table of labels says of every row, as arrays.

The sample is drawn from the first order and its scores, also where decisions have changed both since: it is
the same whenever it is drawn, and a longer one begins with the shorter one.
"""

from __future__ import annotations

import numpy as np
import polars as pl
from numpy.typing import NDArray

from dataaudit.findings.schemas import LEARNED, SAMPLE
from dataaudit.noise.learned import Scored
from dataaudit.noise.sample import draw, inclusion, sizes

ROWS = 100  # looks after which a count is as good as most people need


def sample_of(labels: pl.DataFrame, rows: int, *, seed: int) -> pl.DataFrame:
    """Draw rows of a table of labels; return the table `SAMPLE`."""
    first = _as_it_was(labels)
    size = chances(first)
    at = draw(size, min(rows, len(size)), seed=seed)
    share = inclusion(size, len(at))[at]
    picked = first.select("row_id", "row")[at.tolist()]
    order = pl.int_range(1, len(at) + 1, eager=True, dtype=pl.Int64).alias("order")
    drawn: pl.DataFrame = picked.with_columns(order, pl.Series("inclusion_probability", share)).cast(SAMPLE)
    return drawn


def chances(labels: pl.DataFrame) -> NDArray[np.float64]:
    """Return what the chances of rows to be drawn are proportional to."""  # -> (n,)
    p_label = labels["loo_p_label"].to_numpy()
    return sizes(_p_wrong(labels), np.where(np.isfinite(p_label), p_label, 0.5))


def scored(labels: pl.DataFrame) -> tuple[pl.DataFrame, Scored]:
    """Return the rows in the first order, and their scores."""
    first = _as_it_was(labels)
    numbers = "residual" in first.columns  # then no label is a class
    own = pl.Series([""] * len(first), dtype=pl.String) if numbers else first["label"]
    given = own.unique().sort()
    return first, Scored(
        p_wrong=_p_wrong(first),
        p_label=first["loo_p_label"].fill_nan(0.5).to_numpy(),
        self_influence=first["self_influence"].fill_null(1.0).fill_nan(0.0).to_numpy(),  # null: none has any
        y=given.search_sorted(own).cast(pl.Int64).to_numpy(),
        rank=first["rank"].to_numpy(),
        n_classes=len(given),
    )


def _as_it_was(labels: pl.DataFrame) -> pl.DataFrame:
    """Return the rows in the first order, with the first probabilities."""
    if "first_rank" not in labels.columns:
        return labels
    first = labels.with_columns(p_wrong=pl.col("first_p_wrong"), rank=pl.col("first_rank")).sort("rank")
    return first.drop(LEARNED.names(), strict=False)


def _p_wrong(labels: pl.DataFrame) -> NDArray[np.float64]:
    """Return P(label is wrong); where it is not known, P(another class) without the row."""
    p_wrong, p_label = labels["p_wrong"].to_numpy(), labels["loo_p_label"].fill_nan(0.5).to_numpy()
    return np.where(np.isfinite(p_wrong), p_wrong, 1.0 - p_label)
