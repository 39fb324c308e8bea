"""What chance alone would do: intervals of shares, p-values, and their correction for multiplicity.

Only `scipy.special`: importing `scipy.stats` takes longer than most audits of small tables.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Counts = NDArray[np.int64]
Reals = NDArray[np.float64]

# Two-sided 95 %.
Z95 = 1.959963984540054
# Standard deviations of a normal distribution in the median size of its values.
NORMAL = 1.4826
# Critical value of the Kolmogorov distribution at 5 %.
_KOLMOGOROV95 = 1.3580986
# Cells with fewer expected rows make the chi-square approximation too bold.
FEWEST_EXPECTED = 5.0
# Through fewer points a correlation says nothing.
FEWEST = 3


@cache
def _special() -> Any:
    """Return `scipy.special`; a report, which only compares, need not wait for it."""
    return import_module("scipy.special")


def robust_scale(values: Reals) -> float:
    """Return the spread around 0: by the median size, or by the mean square where more than half are 0."""
    middle = NORMAL * float(np.median(np.abs(values)))
    return middle if middle > 0 else float(np.sqrt((values**2).mean())) or 1.0


def wilson(k: float, n: float, *, z: float = Z95) -> tuple[float, float]:
    """Return Wilson's interval (1927) of a share: the p with ``|k/n - p| ≤ z √(p(1-p)/n)``."""
    if n <= 0:
        return 0.0, 1.0
    p, spread = k / n, z * z / n
    centre, half = p + spread / 2.0, z * float(np.sqrt(p * (1.0 - p) / n + spread / (4.0 * n)))
    return max(0.0, (centre - half) / (1.0 + spread)), min(1.0, (centre + half) / (1.0 + spread))


def difference_interval(first: tuple[float, float], second: tuple[float, float]) -> tuple[float, float]:
    """Return the interval of ``k₂/n₂ - k₁/n₁`` made of both Wilson intervals (Newcombe 1998, method 10)."""
    p, q = first[0] / max(first[1], 1.0), second[0] / max(second[1], 1.0)
    (low_p, high_p), (low_q, high_q) = wilson(*first), wilson(*second)
    below = float(np.hypot(q - low_q, high_p - p))
    above = float(np.hypot(high_q - q, p - low_p))
    return q - p - below, q - p + above


def split_p(k: Counts, c: Counts, share: float) -> Reals:
    """Return two-sided p-values that k of c marked rows fall into a sample that holds `share` of all rows.

    Given c, k is hypergeometric if both samples are alike; the binomial has the same mean and larger tails.
    """  # k, c (m,) -> (m,)
    k, c = k.astype(np.float64), c.astype(np.float64)
    # Binomial tails as incomplete beta functions (bdtr warns about counts that are no integers in C).
    below = np.where(k < c, _special().betainc(np.maximum(c - k, 1.0), k + 1.0, 1.0 - share), 1.0)
    above = np.where(k > 0, _special().betainc(np.maximum(k, 1.0), c - k + 1.0, share), 1.0)
    return np.minimum(1.0, 2.0 * np.minimum(below, above))


def all_in_p(c: Counts, n_test: int, n_train: int) -> Reals:
    """Return the hypergeometric probability that all of c rows fall into the test sample."""  # (m,) -> (m,)
    n, c = float(n_test + n_train), c.astype(np.float64)
    log = (
        _special().gammaln(n - c + 1)
        + _special().gammaln(n_test + 1)
        - _special().gammaln(n_test - c + 1)
        - _special().gammaln(n + 1)
    )
    p: Reals = np.exp(np.minimum(log, 0.0))
    return p


def ks_distance(train: Reals, test: Reals, *, tolerance: float = 0.0) -> tuple[float, float, float]:
    """Return the Kolmogorov-Smirnov distance of two samples, its critical value at 5 %, and its p-value.

    With a tolerance δ it is the supremum of F(x - δ) - G(x) and of G(x - δ) - F(x): 0 where no value moved
    further than that.
    """
    train, test = np.sort(train), np.sort(test)
    distance = max(_ahead(train, test, tolerance), _ahead(test, train, tolerance))
    root = float(np.sqrt(len(train) * len(test) / (len(train) + len(test))))
    return distance, _KOLMOGOROV95 / root, float(_special().kolmogorov(root * distance))


def _ahead(first: Reals, second: Reals, tolerance: float) -> float:
    """Return ``sup F(x - δ) - G(x)`` of two sorted samples: reached where F jumps, a moment before G."""
    own = np.searchsorted(first, first, side="right") / len(first)
    other = np.searchsorted(second, first + tolerance, side="right") / len(second)
    return max(0.0, float((own - other).max()))


def chi_square(train: Counts, test: Counts) -> float:
    """Return the p-value that two samples of levels are alike; levels that are rare in both are pooled."""
    counts = np.stack([train, test]).astype(np.float64)
    rows, total = counts.sum(1), counts.sum()
    if rows.min() <= 0:
        return 1.0
    rare = counts.sum(0) * rows.min() / total < FEWEST_EXPECTED
    counts = np.column_stack([counts[:, ~rare], counts[:, rare].sum(1)])
    counts = counts[:, counts.sum(0) > 0]
    if counts.shape[1] < 2:  # noqa: PLR2004 - one level cannot differ
        return 1.0
    expected = rows[:, None] * counts.sum(0) / total
    return float(_special().chdtrc(counts.shape[1] - 1, ((counts - expected) ** 2 / expected).sum()))


def chance_variation(train: Counts, test: Counts) -> float:
    """Return the total variation that two alike samples of these sizes have on average."""
    n, m = max(int(train.sum()), 1), max(int(test.sum()), 1)
    p = (train + test) / (n + m)
    return float(np.sqrt(2.0 * p * (1.0 - p) * (1.0 / n + 1.0 / m) / np.pi).sum() / 2.0)


def normal_p(z: float) -> float:
    """Return the two-sided p-value of a standard normal statistic."""
    return float(2.0 * _special().ndtr(-abs(z)))


def holm(p: Reals) -> Reals:
    """Return p-values corrected for their number (Holm 1979): any below α by chance in a share α at most."""
    order = np.argsort(p, kind="stable")
    steps = p[order] * np.arange(len(p), 0, -1)
    corrected = np.empty(len(p))
    corrected[order] = np.minimum(1.0, np.maximum.accumulate(steps))
    return corrected


class Checked(Protocol):
    """A change whose effect was predicted and then measured by a refit."""

    @property
    def change(self) -> str:
        """Kind of change: ``"removed"`` or ``"relabelled"``."""

    @property
    def predicted(self) -> float:
        """Predicted change of loss, in nats."""

    @property
    def measured(self) -> float:
        """Measured change of loss, in nats."""


@dataclass(frozen=True)
class Agreement:
    """Predictions against measurements."""

    slope: float  # of predicted on measured, through 0, for the kind of change where it is furthest from 1
    pearson: float  # correlation over all changes; nan for fewer than three, or where either does not vary


def agreement(refits: Sequence[Checked]) -> Agreement:
    """Compare predictions with measurements, pairs that are not finite left out."""
    finite = [r for r in refits if np.isfinite((r.predicted, r.measured)).all()]
    slopes = [
        _slope([r for r in finite if r.change == change]) for change in sorted({r.change for r in finite})
    ]
    slopes = [slope for slope in slopes if np.isfinite(slope)]
    predicted, measured = (np.array([getattr(r, name) for r in finite]) for name in ("predicted", "measured"))
    flat = len(finite) < FEWEST or measured.std() == 0 or predicted.std() == 0
    return Agreement(
        slope=max(slopes, key=lambda slope: abs(slope - 1.0)) if slopes else float("nan"),
        pearson=float("nan") if flat else float(np.corrcoef(predicted, measured)[0, 1]),
    )


def _slope(refits: Sequence[Checked]) -> float:
    """Return Σ predicted·measured / Σ measured²."""
    norm = sum(r.measured**2 for r in refits)
    return sum(r.predicted * r.measured for r in refits) / norm if norm > 0 else float("nan")


def student(share: float, freedom: float) -> float:
    """Return the quantile of Student's t distribution."""
    return float(_special().stdtrit(freedom, share))


def effective_interval(hits: float, n: float, *, level: float) -> tuple[float, float]:
    """Return Clopper & Pearson's interval for a share of n looks, which need not be whole numbers."""
    tail = (1.0 - level) / 2.0
    low = _special().betaincinv(hits, n - hits + 1.0, tail) if hits > 0 else 0.0
    high = _special().betaincinv(hits + 1.0, n - hits, 1.0 - tail) if hits < n else 1.0
    return float(low), float(high)


def probability(odds: Reals) -> Reals:
    """Return the probabilities of log-odds."""  # (n,) -> (n,)
    return np.asarray(np.exp(-np.logaddexp(0.0, -odds)))  # small ones to their last digit


def shift_to(total: float, odds: Reals) -> float:
    """Return what is added to log-odds so that their probabilities add up to `total`."""
    low, high, shift = -60.0, 60.0, 0.0
    for _ in range(60):  # steps of Newton's within what is known
        p = probability(odds + shift)
        excess, slope = float(p.sum()) - total, float(p @ (1.0 - p))
        low, high = (shift, high) if excess < 0 else (low, shift)
        before, shift = shift, shift - excess / max(slope, 1e-300)
        shift = shift if low < shift < high else (low + high) / 2.0
        if abs(shift - before) <= 1e-14 * max(1.0, abs(shift)):
            break
    return shift
