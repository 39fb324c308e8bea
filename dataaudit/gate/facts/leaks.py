"""Facts about columns that give the label away: what each one alone predicts.

The rows are parted in two. In each half a column's values, or quantile bins of its numbers, are given the
class that is most frequent there, and the other half is predicted by that; so a column of names, each value
met once, predicts nothing. With accuracy a and the share b of the greatest class::

    gain = (a − b) / (1 − b)        0 for nothing, 1 for everything

A column is a *copy* if its values and the classes are in one-to-one correspondence. Cost: O(rows) for each of
the columns, on at most 50,000 rows spread over the table.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from dataaudit.gate.data import Material
from dataaudit.gate.facts.classes import classes
from dataaudit.gate.facts.columns import roles
from dataaudit.gate.facts.table import FactTable, Inapplicable, Rows

_ROWS: Final = 50_000
_BINS: Final = 256
_FEW: Final = 20  # rows outside the greatest class, below which there are no facts


@FactTable(
    "column text, values whole, accuracy real, most real, gain real, copy flag",
    scope="column",
    key=("column",),
    score="gain",
    needs={"label"},
    cost=1,
)
def leaks(material: Material) -> Rows:
    """How well each column alone predicts the label of rows it was not counted on."""
    label = material.settings.label
    if classes.make(material).height < 2:  # noqa: PLR2004 - one class leaks nothing
        raise Inapplicable("There is one class: any column predicts it.")
    used = {name for name, role in roles(material).items() if role.role != "text"} & set(material.features)
    names = [name for name in roles(material) if name in used and not material.rows.schema[name].is_nested()]
    if not names:
        raise Inapplicable("There is no feature column but text and lists.")
    step = max(1, material.rows.n // _ROWS)
    rows = material.rows.lazy.select([label, *names]).gather_every(step).collect()
    rows = rows.filter(pl.col(label).cast(pl.String) != "")
    y = _codes(rows[label].cast(pl.String))
    most = int(np.bincount(y).max()) if len(y) else 0
    if len(y) - most < _FEW:
        raise Inapplicable(f"Fewer than {_FEW} rows are outside the greatest class.")
    share = most / len(y)
    for name in names:
        x = _binned(rows[name])
        accuracy = _accuracy(x, y)
        gain = (accuracy - share) / (1 - share)
        yield name, int(x.max()) + 1, accuracy, share, gain, _is_copy(x, y)


def _codes(values: pl.Series) -> NDArray[np.int64]:
    """Return numbers 0, 1, … for the values, null among them."""
    return values.rank("dense").fill_null(0).cast(pl.Int64).rank("dense").cast(pl.Int64).to_numpy() - 1


def _binned(values: pl.Series) -> NDArray[np.int64]:
    """Return a code for each value; numbers of many values are put in bins of equally many."""
    if values.dtype.is_float():
        values = values.fill_nan(None)
    if values.dtype in (pl.Categorical, pl.Enum):
        values = values.cast(pl.String)
    codes = _codes(values)
    if values.dtype.is_numeric() and codes.max() >= _BINS:
        order = values.rank("average").fill_null(0).to_numpy()  # null alone in the first bin
        return _codes(pl.Series(np.ceil(order * (_BINS - 1) / len(order))))
    return codes


def _accuracy(x: NDArray[np.int64], y: NDArray[np.int64]) -> float:
    """Return the share of rows whose class the other half's most frequent one for their value is."""
    halves = np.arange(len(y)) % 2 == 0
    right = sum(int((_predict(x, y, known)[~known] == y[~known]).sum()) for known in (halves, ~halves))
    return right / len(y)


def _predict(x: NDArray[np.int64], y: NDArray[np.int64], known: NDArray[np.bool_]) -> NDArray[np.int64]:
    width = int(y.max()) + 1
    table = np.bincount(x[known] * width + y[known], minlength=(int(x.max()) + 1) * width).reshape(-1, width)
    best = np.where(table.sum(1) > 0, table.argmax(1), np.bincount(y[known]).argmax())
    predicted: NDArray[np.int64] = best[x]
    return predicted


def _is_copy(x: NDArray[np.int64], y: NDArray[np.int64]) -> bool:
    pairs = len(np.unique(x * (int(y.max()) + 1) + y))
    return pairs == len(np.unique(x)) == len(np.unique(y))
