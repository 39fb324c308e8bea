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
from dataaudit.audits.mismatch.world import World
from dataaudit.audits.shift.duplicates import row_keys
from dataaudit.audits.testset import Pair, Tested
from dataaudit.features.columns import counted
from dataaudit.training.trained import Trained

# Chance that so many copies disagree, and how many must.
LEVEL, FEWEST = 1e-3, 3

Rows = NDArray[np.int64]


def copy_suspects(pair: Pair, trained: Trained, tested: Tested, world: World, seed: int = 0) -> list[Suspect]:
    """Return copies of test rows that have another label in training, as one suspect."""
    del world, seed  # all copies count
    train, test = twins(pair)
    y, new = pair.target.y[train], tested.y[test]
    differ = y != new
    rows = np.unique(train[differ])
    if len(rows) < FEWEST:
        return []
    # Every test row counts once, or a row with many copies would speak for all.
    chance = 1.0 - (tested.p**2).sum(1)
    some, first = np.unique(test, return_index=True)
    expected = chance[some]
    p = float(
        ndtr(-(differ[first].sum() - expected.sum()) / np.sqrt((expected * (1 - expected)).sum() + 1.0))
    )
    if p > LEVEL:
        return []
    labels = _labels_of_test(train[differ], new[differ], len(trained.classes))
    what = f"the {counted(len(rows), 'training row')} that test has with another label"
    title = (
        f"{counted(len(np.unique(test[differ])), 'test row')} of {len(some):,} that training has too are "
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


def twins(pair: Pair) -> tuple[Rows, Rows]:
    """Return all pairs of a training row and a test row that are equal but for the label."""
    columns = [c for c in pair.train.frame.columns if c != pair.train.target and c in pair.test.frame.columns]
    first, second = (
        row_keys(frame, columns).to_frame().with_row_index("row")
        for frame in (pair.train.frame, pair.test.frame)
    )
    both = first.join(second, on="key", how="inner", suffix="_test").sort("row", "row_test")
    return both["row"].cast(pl.Int64).to_numpy(), both["row_test"].cast(pl.Int64).to_numpy()


def _labels_of_test(train: Rows, y: Rows, classes: int) -> Rows:
    """Return the most frequent label among each training row's test twins, the rows in order."""
    rows, at = np.unique(train, return_inverse=True)
    counts = np.zeros((len(rows), classes), dtype=np.int64)
    np.add.at(counts, (at, y), 1)
    labels: Rows = counts.argmax(1)
    return labels
