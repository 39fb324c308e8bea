"""Columns that give the label away: what each one alone predicts, and which ones restate it.

The rows are parted in two. In each half a column's values, or quantile bins of its numbers, are given the
class that is most frequent there, and the other half is predicted by that; so a column of names, each value
met once, predicts nothing. With accuracy a and the share b of the greatest class::

    gain = (a − b) / (1 − b)        0 for nothing, 1 for everything

A column *restates* the label if a few values of it, or whether it has a value at all, go with one class each,
wrong labels included: what people mislabel, an honest column contradicts. A number that parts the classes
without an exception may restate it, too; but classes may be far apart, or be computed from it. Cost: O(rows)
for each column, on at most 50,000 rows spread over the table.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from dataaudit.features.columns import Role, counted, values_of

Codes = NDArray[np.int64]

ROWS: Final = 50_000
FEW: Final = 20  # rows outside the greatest class, below which nothing is known
GIVEAWAY: Final = 0.98  # gain of a column that may have been filled in with the label
_RESTATED, _NAMED = 0.99, 0.95  # gain of a column that restates it; of one whose name says so
_LEVELS: Final = 5  # values of such a column for each class, and for one more, at most
_LEVEL_ROWS: Final = 10  # of each value on average, at least: more than of one person or group
_BINS: Final = 256
_LOOK: Final = 2_000  # rows by which most columns are seen to be none
_DOUBT: Final = 0.02  # of a gain on few rows
_NAMES: Final = re.compile(
    r"(?:^|[\s_.\-])(?:status|state|outcome|result|target|label|class|verdict|y)\d*$", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class Gain:
    """What one column alone says of the label of rows that it was not counted on."""

    column: str
    values: int
    accuracy: float
    most: float  # share of the greatest class
    is_copy: bool  # values and classes are in one-to-one correspondence

    @property
    def gain(self) -> float:
        """Share of the errors of the greatest class that it avoids."""
        return (self.accuracy - self.most) / (1 - self.most)


@dataclass(frozen=True, slots=True)
class Restated:
    """A column that may hold the label itself."""

    column: str
    reason: str  # how, to follow the name of the column
    sure: bool  # whether it does so, rather than predict the label better than is usual


def gains(frame: pl.DataFrame, y: Codes, names: Sequence[str]) -> Iterator[Gain]:
    """Yield what each column says of the class numbers of the rows."""
    most = np.bincount(y).max() / len(y)
    for name in names:
        x = _binned(values_of(frame, name))
        yield Gain(name, int(x.max()) + 1, _accuracy(x, y), float(most), _is_copy(x, y))


def few_outside(y: Codes) -> bool:
    """Whether too few rows are outside the greatest class to know what a column says."""
    return len(y) - int(np.bincount(y, minlength=1).max()) < FEW


def codes(values: pl.Series) -> Codes:
    """Return numbers 0, 1, … for the values, null among them."""
    return values.rank("dense").fill_null(0).cast(pl.Int64).rank("dense").cast(pl.Int64).to_numpy() - 1


def restated(frame: pl.DataFrame, y: Codes, roles: Sequence[Role], *, label: str) -> tuple[Restated, ...]:
    """Return the columns in use that restate the label, or may."""
    if few_outside(y):
        return ()
    used = [role for role in roles if role.role not in ("left out", "vector")]
    step, look = max(1, len(y) // ROWS), max(1, len(y) // _LOOK)
    few = 1 if few_outside(y[::look]) else look
    head = frame.gather_every(few)
    alone = {role.column: _best(head, y[::few], role) for role in used}
    found = []
    for role in used:
        if alone[role.column] >= _NAMED - _DOUBT:
            least = _NAMED if _says_label(role.column, label) else _RESTATED
            rows = frame.get_column(role.column).gather_every(step).to_frame()
            found.append(_restates(rows, y[::step], role, least=least))
    return tuple(one for one in found if one)


def _best(rows: pl.DataFrame, y: Codes, role: Role) -> float:
    """Return the gain of a column, or of the best that is made of it."""
    values = _read(rows, role)
    if _is_parted(values, y):
        return 1.0
    return max((_gain(x, y) for _, x in _made(values, role, y)), default=0.0)


def _restates(rows: pl.DataFrame, y: Codes, role: Role, *, least: float) -> Restated | None:
    values, n_classes, most = _read(rows, role), int(y.max()) + 1, 0.0
    levels = n_classes + 1 if role.role == "numeric" else _LEVELS * (n_classes + 1)
    for what, x in _made(values, role, y):
        gain, width = _gain(x, y), int(x.max()) + 1
        if gain >= least and n_classes <= width <= levels:
            return Restated(role.column, f"{what}{_but(x, y)}", sure=True)
        most = max(most, gain)
    if _is_parted(values, y):
        apart = "its numbers lie in one stretch for each class, without an exception"
        return Restated(role.column, apart, sure=False)
    if most >= GIVEAWAY:
        return Restated(role.column, f"alone it is right in {_right(most, y):.1%} of the rows", sure=False)
    return None


def _right(gain: float, y: Codes) -> float:
    most = float(np.bincount(y).max() / len(y))
    return most + gain * (1 - most)


def _read(rows: pl.DataFrame, role: Role) -> pl.Series:
    """Return the values of a column, null where there is none."""
    values = values_of(rows, role.column)
    if role.role == "numeric" and values.dtype == pl.String:
        return values.str.strip_chars().cast(pl.Float64, strict=False)
    if values.dtype == pl.String:
        return values.set((values == "").fill_null(value=False), None)
    return values.fill_nan(None) if values.dtype.is_float() else values


def _made(values: pl.Series, role: Role, y: Codes) -> Iterator[tuple[str, Codes]]:
    """Yield what may restate the label: whether there is a value, the values, whether it is the usual one."""
    if 0 < values.null_count() < len(values):
        yield "whether it is empty goes with the class", values.is_null().cast(pl.Int64).to_numpy()
    if role.role == "text" or values.dtype.is_nested():
        return
    x = _binned(values)
    width = int(x.max()) + 1
    if len(y) >= _LEVEL_ROWS * width:
        yield f"each of its {counted(width, 'value')} goes with one class", x
    elif values.dtype.is_numeric():
        yield "its numbers go with the class", _binned(values, len(y) // _LEVEL_ROWS)
    if width > _LEVELS * (int(y.max()) + 2) and len(usual := values.drop_nulls().mode(maintain_order=True)):
        is_usual = (values == usual[0]).fill_null(value=False).cast(pl.Int64)
        yield f"whether it is {str(usual[0])[:40]!r} goes with the class", is_usual.to_numpy()


def _says_label(column: str, label: str) -> bool:
    """Whether the name of a column says that it holds a label."""
    return bool(_NAMES.search(column)) or (len(label) > 1 and label.casefold() in column.casefold())


def _but(x: Codes, y: Codes) -> str:
    """Say in how many rows it does not."""
    table = np.zeros((int(x.max()) + 1, int(y.max()) + 1), dtype=np.int64)
    np.add.at(table, (x, y), 1)
    other = len(y) - int(table.max(axis=1).sum())
    return f", but for {counted(other, 'row')}" if other else ""


def _is_parted(values: pl.Series, y: Codes) -> bool:
    """Whether numbers lie in one stretch for each class, and no number is of two."""
    if not values.dtype.is_numeric() or values.null_count():
        return False
    numbers = values.cast(pl.Float64).to_numpy()
    order = np.argsort(numbers, kind="stable")
    turns, ordered = np.flatnonzero(np.diff(y[order])), numbers[order]
    return len(turns) == len(np.unique(y)) - 1 and bool((ordered[turns + 1] > ordered[turns]).all())


def _gain(x: Codes, y: Codes) -> float:
    most = float(np.bincount(y).max() / len(y))
    return (_accuracy(x, y) - most) / (1 - most)


def _binned(values: pl.Series, bins: int = _BINS) -> Codes:
    """Return a code for each value; numbers of many values are put in bins of equally many."""
    if values.dtype.is_float():
        values = values.fill_nan(None)
    if values.dtype in (pl.Categorical, pl.Enum):
        values = values.cast(pl.String)
    numbers = codes(values)
    if values.dtype.is_numeric() and numbers.max() >= bins:
        order = values.rank("average").fill_null(0).to_numpy()  # null alone in the first bin
        return codes(pl.Series(np.ceil(order * (bins - 1) / len(order))))
    return numbers


def _accuracy(x: Codes, y: Codes) -> float:
    """Return the share of rows whose class the other half's most frequent one for their value is."""
    halves = np.arange(len(y)) % 2 == 0
    right = sum(int((_predict(x, y, known)[~known] == y[~known]).sum()) for known in (halves, ~halves))
    return right / len(y)


def _predict(x: Codes, y: Codes, known: NDArray[np.bool_]) -> Codes:
    width = int(y.max()) + 1
    table = np.bincount(x[known] * width + y[known], minlength=(int(x.max()) + 1) * width).reshape(-1, width)
    best = np.where(table.sum(1) > 0, table.argmax(1), np.bincount(y[known]).argmax())
    predicted: Codes = best[x]
    return predicted


def _is_copy(x: Codes, y: Codes) -> bool:
    pairs = len(np.unique(x * (int(y.max()) + 1) + y))
    return pairs == len(np.unique(x)) == len(np.unique(y))
