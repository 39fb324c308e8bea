"""Training rows that are copies of test rows but for their label.

Rows are equal if every source column but the label is (`shift.duplicates`). Twins of a noisy world disagree
too: two rows with the class probabilities p have different labels with probability 1 - Σ p². Copies are a
suspect where more disagree than that explains.
"""

from __future__ import annotations

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.special import ndtr

from dataaudit.audits.mismatch.rows.fixes import Relabel, Remove
from dataaudit.audits.mismatch.suspects import Suspect
from dataaudit.audits.shift.duplicates import row_keys
from dataaudit.audits.testset import Pair, Tested
from dataaudit.features.columns import counted

# Chance that so many copies disagree, and how many must.
LEVEL, FEWEST = 1e-3, 3

Rows = NDArray[np.int64]


def copy_suspects(pair: Pair, tested: Tested) -> list[Suspect]:
    """Return copies of test rows that have another label in training, as one suspect."""
    train, test, matched = twins(pair)
    y, new = pair.target.y[train], tested.y[test]
    differ = y != new
    # Every row counts once, or one with many copies would speak for all.
    expected = (1.0 - (tested.p**2).sum(1))[test[matched]]
    more = int(differ[matched].sum()) - expected.sum()
    p = float(ndtr(-more / np.sqrt((expected * (1 - expected)).sum() + 1.0)))
    if p > LEVEL or differ.sum() < FEWEST:
        return []
    rows = np.unique(train[differ])
    labels = _labels_of_test(train[differ], new[differ], len(pair.target.classes))
    what = f"the {counted(len(rows), 'training row')} that test has with another label"
    title = (
        f"{int(differ[matched].sum()):,} of {counted(len(expected), 'test row')} that training has too are "
        f"there with another label, in {counted(len(rows), 'training row')}; "
        f"{expected.sum():.0f} would be by chance"
    )
    fixes = (Remove(rows, what), Relabel(rows, labels, what, "as the test rows are"))
    return [
        Suspect(
            kind="copies",
            cause="another label",
            columns=(),
            title=title,
            fixes=fixes,
            train=rows,
            test=np.unique(test[differ]),
            p_value=p,
        )
    ]


def twins(pair: Pair) -> tuple[Rows, Rows, NDArray[np.bool_]]:
    """Return all pairs of equal rows of training and test, and which of them match each row once at most."""
    columns = [c for c in pair.train.frame.columns if c != pair.train.target and c in pair.test.frame.columns]
    first, second = (
        row_keys(frame, columns)
        .to_frame()
        .with_row_index("row")
        .with_columns(place=pl.int_range(pl.len()).over("key"))
        for frame in (pair.train.frame, pair.test.frame)
    )
    both = first.join(second, on="key", how="inner", suffix="_test").sort("row", "row_test")
    train, test = (both[name].cast(pl.Int64).to_numpy() for name in ("row", "row_test"))
    return train, test, (both["place"] == both["place_test"]).to_numpy()


def _labels_of_test(train: Rows, y: Rows, classes: int) -> Rows:
    """Return the most frequent label among each training row's test twins, the rows in order."""
    rows, at = np.unique(train, return_inverse=True)
    counts = np.zeros((len(rows), classes), dtype=np.int64)
    np.add.at(counts, (at, y), 1)
    labels: Rows = counts.argmax(1)
    return labels
