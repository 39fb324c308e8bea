"""What chance alone would do: intervals of shares, p-values, and their correction for multiplicity.

Only `scipy.special`: importing `scipy.stats` takes longer than most audits of small tables.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import betainc, chdtrc, gammaln, kolmogorov, ndtr

Array = NDArray[np.float64]

# Two-sided 95 %.
Z95 = 1.959963984540054
# Critical value of the Kolmogorov distribution at 5 %.
_KOLMOGOROV95 = 1.3580986
# Cells with fewer expected rows make the chi-square approximation too bold.
FEWEST_EXPECTED = 5.0


def wilson(k: float, n: float, *, z: float = Z95) -> tuple[float, float]:
    """Return Wilson's interval of a share.

    The values p for which the score test does not reject, ``|k/n - p| ≤ z √(p(1-p)/n)`` (Wilson 1927).

    Parameters
    ----------
    k, n : float
        Hits among n rows.
    z : float
        Normal quantile; 1.96 for 95 %.

    Returns
    -------
    tuple of float
        Low and high; (0, 1) without rows.
    """
    if n <= 0:
        return 0.0, 1.0
    p, spread = k / n, z * z / n
    centre, half = p + spread / 2.0, z * float(np.sqrt(p * (1.0 - p) / n + spread / (4.0 * n)))
    return max(0.0, (centre - half) / (1.0 + spread)), min(1.0, (centre + half) / (1.0 + spread))


def difference_interval(first: tuple[float, float], second: tuple[float, float]) -> tuple[float, float]:
    """Return the interval of ``k₂/n₂ - k₁/n₁`` made of the two Wilson intervals (Newcombe 1998, method 10).

    Parameters
    ----------
    first, second : tuple of float
        (k, n) of each sample.

    Returns
    -------
    tuple of float
        Low and high.
    """
    p, q = first[0] / max(first[1], 1.0), second[0] / max(second[1], 1.0)
    (low_p, high_p), (low_q, high_q) = wilson(*first), wilson(*second)
    below = float(np.hypot(q - low_q, high_p - p))
    above = float(np.hypot(high_q - q, p - low_p))
    return q - p - below, q - p + above


def split_p(k: NDArray[np.int64], c: NDArray[np.int64], share: float) -> Array:
    """Return two-sided p-values that k of c marked rows fall into a sample that holds `share` of all rows.

    Given c, k is hypergeometric if both samples are alike; the binomial has the same mean and larger tails.

    Parameters
    ----------
    k, c : ndarray (m,)
        Marked rows in the sample, and altogether.
    share : float
        Rows of the sample over all rows.

    Returns
    -------
    ndarray (m,)
        At most 1.
    """
    k, c = k.astype(np.float64), c.astype(np.float64)
    # Binomial tails as incomplete beta functions (bdtr warns about counts that are no integers in C).
    below = np.where(k < c, betainc(np.maximum(c - k, 1.0), k + 1.0, 1.0 - share), 1.0)
    above = np.where(k > 0, betainc(np.maximum(k, 1.0), c - k + 1.0, share), 1.0)
    return np.minimum(1.0, 2.0 * np.minimum(below, above))


def all_in_p(c: NDArray[np.int64], n_test: int, n_train: int) -> Array:
    """Return the probability that all of c given rows fall into the test sample.

    Parameters
    ----------
    c : ndarray (m,) int64
        Numbers of rows, each at most `n_test`.
    n_test, n_train : int
        Sizes of the samples.

    Returns
    -------
    ndarray (m,)
        ``C(N - c, n_train) / C(N, n_train)``, the hypergeometric probability.
    """
    n, c = float(n_test + n_train), c.astype(np.float64)
    log = gammaln(n - c + 1) + gammaln(n_test + 1) - gammaln(n_test - c + 1) - gammaln(n + 1)
    p: Array = np.exp(np.minimum(log, 0.0))
    return p


def ks_distance(train: Array, test: Array) -> tuple[float, float, float]:
    """Return the Kolmogorov-Smirnov distance of two samples, its critical value at 5 %, and its p-value.

    Parameters
    ----------
    train, test : ndarray (n,), (m,)
        Values without NaN, at least one each.

    Returns
    -------
    tuple of float
        Largest difference of the distribution functions; what it exceeds once in twenty by chance; the
        asymptotic p-value, which ties make too large, never too small.
    """
    train, test = np.sort(train), np.sort(test)
    at = np.unique(np.concatenate([train, test]))
    first = np.searchsorted(train, at, side="right") / len(train)
    second = np.searchsorted(test, at, side="right") / len(test)
    distance = float(np.abs(first - second).max())
    root = float(np.sqrt(len(train) * len(test) / (len(train) + len(test))))
    return distance, _KOLMOGOROV95 / root, float(kolmogorov(root * distance))


def chi_square(train: NDArray[np.int64], test: NDArray[np.int64]) -> float:
    """Return the p-value that two samples of levels are alike; levels that are rare in both are pooled.

    Parameters
    ----------
    train, test : ndarray (L,) int64
        Counts of the same levels.

    Returns
    -------
    float
        1 where fewer than two levels are left.
    """
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
    return float(chdtrc(counts.shape[1] - 1, ((counts - expected) ** 2 / expected).sum()))


def chance_variation(train: NDArray[np.int64], test: NDArray[np.int64]) -> float:
    """Return the total variation that two alike samples of these sizes have on average."""
    n, m = max(int(train.sum()), 1), max(int(test.sum()), 1)
    p = (train + test) / (n + m)
    return float(np.sqrt(2.0 * p * (1.0 - p) * (1.0 / n + 1.0 / m) / np.pi).sum() / 2.0)


def normal_p(z: float) -> float:
    """Return the two-sided p-value of a standard normal statistic."""
    return float(2.0 * ndtr(-abs(z)))


def holm(p: Array) -> Array:
    """Return p-values corrected for their number (Holm 1979): any below α by chance in a share α at most.

    Parameters
    ----------
    p : ndarray (m,)
        Raw p-values.

    Returns
    -------
    ndarray (m,)
        Corrected, in the same order, at most 1.
    """
    order = np.argsort(p, kind="stable")
    steps = p[order] * np.arange(len(p), 0, -1)
    corrected = np.empty(len(p))
    corrected[order] = np.minimum(1.0, np.maximum.accumulate(steps))
    return corrected
