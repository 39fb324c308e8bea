"""The label column as numbers: measurements or counts, the unit of the model, and how they are written."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from dataaudit.errors import BadTarget
from dataaudit.options import TaskName
from dataaudit.statistics import robust_scale

Floats = NDArray[np.float64]

_FEWEST: Final = 10  # rows
_GROSS: Final = 10.0  # robust standard deviations from the median, beyond which a value chooses no basis
_FAR: Final = 4.0  # standard deviations of the noise, beyond which an error chooses no basis
_BINS: Final = 20
_MOST_DECIMALS: Final = 12


@dataclass(frozen=True)
class Quantity:
    """What the numbers of a label column are, and the unit in which a model has them."""

    task: TaskName  # regression or count
    values: Floats  # (n,) as they stand, in the user's unit
    decimals: int  # that the column is written with
    centre: float = 0.0
    cut: Floats | None = None  # the values with gross ones nearer to what is predicted of them
    unit: float = 1.0  # what the model calls 1: of measurements their noise, so that losses are nats

    @property
    def is_count(self) -> bool:
        """Whether they are counts."""
        return self.task == "count"

    def in_unit(self, unit: float) -> Quantity:
        """Return the same, measured in another unit."""
        return self if self.is_count else replace(self, unit=unit)

    def coded(self, values: Floats) -> Floats:
        """Return values as the model has them."""
        return values if self.is_count else (values - self.centre) / self.unit

    def decoded(self, coded: Floats) -> Floats:
        """Return values as the user has them."""
        return coded if self.is_count else self.centre + self.unit * coded

    def of_scores(self, scores: Floats) -> Floats:
        """Return what scores predict, in the user's unit."""
        return np.exp(np.minimum(scores, 700.0)) if self.is_count else self.decoded(scores)

    @property
    def screened(self) -> Floats:
        """What a basis is chosen by with least squares: gross values cut off, counts as logarithms."""
        if self.is_count:
            return np.log1p(self.values)
        if self.cut is not None:
            return self.coded(self.cut)
        coded, spread = self.coded(self.values), robust_scale(self.coded(self.values))
        return np.clip(coded, -_GROSS * spread, _GROSS * spread)

    def cut_at(self, predicted: Floats) -> Quantity:
        """Return the same with values that are grossly off moved towards what is predicted of their rows."""
        errors = self.values - predicted
        most = _FAR * robust_scale(errors)
        return replace(self, cut=predicted + np.clip(errors, -most, most))

    def texts(self, values: Floats, noise: Floats) -> list[str]:
        """Return suggested values as the column writes them, no finer than a tenth of their noise."""
        found = []
        for value, scale in zip(values.tolist(), noise.tolist(), strict=True):
            fine = math.ceil(1 - math.log10(scale)) if scale > 0 else self.decimals
            places = min(self.decimals, fine)
            text = f"{round(value, places):.{max(places, 0)}f}"
            found.append(text[1:] if text.startswith("-") and not text.strip("-0.") else text)
        return found


def read_quantity(labels: pl.Series, task: TaskName) -> tuple[Quantity, pl.Series]:
    """Return the numbers of a label column, and which rows have one."""
    name, numbers = labels.name, numbers_of(labels, task)
    kept = numbers.is_not_null()
    values = numbers.filter(kept).to_numpy(writable=True)
    _require_numbers(name, values, task)
    whole = bool((values % 1 == 0).all())
    quantity = Quantity(task, values, 0 if whole else _decimals(numbers.cast(pl.String)))
    if task == "regression":
        centre = float(np.median(values))
        quantity = replace(quantity, centre=centre, unit=robust_scale(values - centre))
    return quantity, kept.rename("kept")


def numbers_of(labels: pl.Series, task: TaskName) -> pl.Series:
    """Return a label column as floats, null where there is none."""
    kind = labels.dtype
    if not (kind.is_numeric() or kind.is_decimal()) or kind == pl.Boolean:
        got = next((repr(one)[:60] for one in labels.drop_nulls().head(1).to_list()), "no values")
        what = f"label column {labels.name!r} holds no numbers, which {task} needs: got {got}"
        raise BadTarget(what, "name a column of numbers, or leave --task out for classes")
    return labels.cast(pl.Float64).fill_nan(None)


def _require_numbers(name: str, values: Floats, task: TaskName) -> None:
    column, other = f"label column {name!r}", "name another --label"
    if not np.isfinite(values).all():
        raise BadTarget(f"{column} has {(~np.isfinite(values)).sum():,} infinite values", "empty those cells")
    if len(values) < _FEWEST:
        raise BadTarget(f"{column} has numbers in {len(values)} rows, too few for {task}", other)
    if values.min() == values.max():
        raise BadTarget(f"{column} is constant: got {values[0]:g} in all {len(values):,} rows", other)
    require_counts(name, values, task)


def require_counts(name: str, values: Floats, task: TaskName) -> None:
    """Refuse what is no count, where counts are asked for."""
    if task == "count" and (values.min() < 0 or (values % 1).any()):
        wrong = values[(values < 0) | (values % 1 != 0)]
        kind = "negative" if wrong[0] < 0 else "fractional"
        count = f"{len(wrong):,} values are negative or fractional, the first {kind}"
        what = f"label column {name!r} holds no counts: {count}"
        raise BadTarget(f"{what}: got {wrong[0]:g}", "use --task regression")


def _decimals(texts: pl.Series) -> int:
    """Return the digits after the point of the value that has most, as far as these say anything."""
    fractions = texts.str.extract(r"\.(\d+)$").str.strip_chars_end("0").str.len_chars()
    return min(int(fractions.max() or 0), _MOST_DECIMALS)  # type: ignore[arg-type]


def in_bins(values: Floats, like: Floats) -> list[str]:
    """Name values by the fifth of other values that they are in, as for a comparison of classes."""
    edges = np.unique(np.quantile(like, (0.2, 0.4, 0.6, 0.8)))
    ends = [f"{edge:.6g}" for edge in edges]
    names = [f"< {ends[0]}", *(f"{a} to {b}" for a, b in pairwise(ends)), f"≥ {ends[-1]}"]
    return [names[at] for at in np.searchsorted(edges, values, side="right").tolist()]


def binned(values: Floats) -> NDArray[np.int64]:
    """Return the number of the bin of each value, bins of about as many rows: classes for what needs some."""
    edges = np.unique(np.quantile(values, np.linspace(0, 1, _BINS + 1)[1:-1]))
    bins = np.searchsorted(edges, values, side="right")
    return np.unique(bins, return_inverse=True)[1].reshape(-1).astype(np.int64)
