"""Which rows' cells are kept beside the findings of a mismatch: what a person looks at, not all data."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray

from dataaudit.audits.discover import Found
from dataaudit.audits.mismatch_tables import cells_table
from dataaudit.audits.pair import Pair
from dataaudit.audits.tested import Tested
from dataaudit.audits.trained import Trained

# Test rows that are kept, of each finding and in all; training rows behind each, of either sign.
OF_FINDING, TESTS, BEHIND = 3, 100, 3

Rows = NDArray[np.int64]


def shown_cells(
    trained: Trained, tested: Tested, pair: Pair, *, found: Sequence[Found], traces: pl.DataFrame
) -> pl.DataFrame:
    """Return the table `CELLS` for the rows of the findings, some traced test rows and what is behind them.

    Parameters
    ----------
    trained : Trained
        Columns in use.
    tested : Tested
        Losses of the test rows.
    pair : Pair
        Both tables.
    found : sequence of Found
        The findings, in their order.
    traces : pl.DataFrame
        By the schema `mismatch_findings.TRACES`.

    Returns
    -------
    pl.DataFrame
        By the schema `mismatch_findings.CELLS`; the label is a cell of the label column.
    """
    tests = _tests(tested, found, _places(pair.test.row_id, traces["test_row_id"]))
    names = pair.test.row_id[tests.tolist()]
    harm = pl.col("delta_loss_if_removed") < 0
    behind = traces.filter(pl.col("test_row_id").is_in(names.implode())).sort("test_row", "rank")
    behind = behind.group_by("test_row_id", harm.alias("harm"), maintain_order=True).head(BEHIND)
    train = [one.rows for one in found] + [_places(pair.train.row_id, behind["train_row_id"])]
    return cells_table(trained, pair, train_rows=np.unique(np.concatenate(train)), test_rows=tests)


def _tests(tested: Tested, found: Sequence[Found], traced: Rows) -> Rows:
    """Return the worst traced rows of every finding, then the worst of all."""
    order = traced[np.argsort(-tested.loss[traced], kind="stable")]
    first = [order[np.isin(order, one.errors)][:OF_FINDING] for one in found]
    chosen = np.concatenate([*first, order])
    _, at = np.unique(chosen, return_index=True)
    return np.sort(chosen[np.sort(at)][:TESTS])


def _places(row_id: pl.Series, names: pl.Series) -> Rows:
    """Return the positions of the rows with these names, increasing."""
    return np.flatnonzero(row_id.is_in(names.unique().implode()).to_numpy())
