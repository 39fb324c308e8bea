"""Whether a slice's labels differ between training and test by more than chance, for many slices at once.

For a of n training rows and b of t test rows of a class, given a + b, Fisher's exact test (1935) is

    P(A ≥ a) = Σ_{x ≥ a} C(a+b, x) C(n+t-a-b, n-x) / C(n+t, n)

one-sided, since only a class that training has too much of can draw errors to itself. A slice of a handful
of rows cannot reach a small p-value whatever its labels, so it need not be paid for (Tarone 1990, Biometrics
46): the correction for multiplicity counts the slices that could have. Only `scipy.special`: it imports fast.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaincinv, gammaln

Counts = NDArray[np.int64]
Reals = NDArray[np.float64]


def exact_interval(hits: Counts, n: Counts) -> tuple[Reals, Reals]:
    """Return the 95 % intervals of Clopper & Pearson (1934) for shares.

    Parameters
    ----------
    hits, n : ndarray (m,) int64
        Hits among n rows.

    Returns
    -------
    tuple of ndarray (m,)
        Low and high ends; 0 and 1 without rows.
    """
    low = np.where(hits > 0, betaincinv(np.maximum(hits, 1), n - hits + 1, 0.025), 0.0)
    high = np.where(hits < n, betaincinv(hits + 1, np.maximum(n - hits, 1), 0.975), 1.0)
    return low, high


def fisher(train: tuple[Counts, Counts], test: tuple[Counts, Counts]) -> tuple[Reals, Reals]:
    """Return Fisher's one-sided p-values, and the smallest that the margins allow.

    Parameters
    ----------
    train : tuple of ndarray (m,) int64
        a and n: rows of the class, and all, among the training rows of each slice.
    test : tuple of ndarray (m,) int64
        b and t: the same among its test rows.

    Returns
    -------
    tuple of ndarray (m,)
        P(A ≥ a) and P(A = its largest value); 1 where one side has no rows.
    """
    (a, n), (b, t) = train, test
    largest = np.minimum(n, a + b)
    lengths = largest - a + 1
    which = np.repeat(np.arange(len(a)), lengths)
    starts = np.cumsum(lengths) - lengths
    x = a[which] + np.arange(len(which)) - starts[which]
    found, total = (a + b)[which], (n + t)[which]
    logs = _log_choose(found, x) + _log_choose(total - found, n[which] - x) - _log_choose(total, n[which])
    p = np.add.reduceat(np.exp(logs), starts) if len(a) else np.zeros(0)
    least = np.exp(logs[starts + lengths - 1])
    some = (n > 0) & (t > 0)
    return np.where(some, np.minimum(p, 1.0), 1.0), np.where(some, np.minimum(least, 1.0), 1.0)


def tarone(p_least: Reals, level: float) -> int:
    """Return how many tests must be paid for at a level (Tarone 1990).

    Parameters
    ----------
    p_least : ndarray (m,)
        The smallest p-value that each test could have given.
    level : float
        Chance of any false alarm that is to be kept.

    Returns
    -------
    int
        The smallest c such that at most c tests could pass at level/c; at least 1.
    """
    ordered = np.sort(p_least)
    counts = np.arange(1, len(ordered) + 1)
    enough = np.searchsorted(ordered, level / counts, side="right") <= counts
    return int(counts[enough][0]) if enough.any() else max(1, len(ordered))


def _log_choose(n: Counts, k: Counts) -> Reals:
    return np.asarray(gammaln(n + 1.0) - gammaln(k + 1.0) - gammaln(n - k + 1.0))
