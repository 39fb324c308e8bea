"""The likelihood of noisy labels given leave-one-out scores, and its maximum.

With Z the scores, class 0 the reference with score 0, and T the noise rates,

    s_i = softmax(a Z_i + b)                        P(truth = t | x_i)
    P(y_i = l) = Σ_t s_it T[t, l]                   T[t, l] = P(label l | truth t), rows of T sum to 1
    P(wrong_i) = Σ_{t≠y_i} s_it T[t, y_i] / P(y_i)

which is the class-conditional noise of Natarajan et al. (2013), "Learning with noisy labels", and the joint
distribution that Northcutt et al. (2021), "Confident learning", count; here by likelihood, with the
recalibration (a, b) that a model fitted to noisy labels needs, on the out-of-sample scores of Rad & Maleki
(2020).

The rates are written T[t, l] = o_tl / (1 + Σ_l o_tl) with odds o_tl = φ_tl² / (K−1): on the scale of φ a rate
has about the same standard error whether it is small or large, and φ is of one size for many classes and few.
Maximised is the log-likelihood minus, with sums over ordered pairs t ≠ l,

    (log a)² / 8 + Σ (b − b̄)² + Σ (φ − φ̄)² / (τ² (K−1)) − Σ log T[t, l] / (K(K−1))

or, for "sparse" pairs, Σ log(1 + (φ − φ̄)²/σ²) in place of the third term: Cauchy's distribution, by which
most rates are equal and few stand apart. They are a weak ridge on the slope; one on the shift, of one unit of
log-odds for two classes, without which b trades against the rates where classes overlap; rates drawn to a
common one; and one wrong row in advance, so that no rate is nought and rows of a class do not tie. Cost:
O(n K) a step, some dozens of steps.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_RATE_SPREAD = 0.15  # τ; smaller ones lose one-sided noise, larger ones order on small tables
_STANDS_APART = 0.05  # σ
_FLOOR = 1e-300
_BLOCK = 1 << 14  # rows whose terms are made at a time


@dataclass(frozen=True)
class Sample:
    """Rows on which the likelihood is summed.

    Classes come first: sums over few classes then run along contiguous rows, four times as fast.
    """

    scores: Floats  # (K, n) leave-one-out scores, the reference class with its zeros first
    y: Ints  # (n,)
    weight: Floats  # (n,) how many rows each one stands for
    same: NDArray[np.bool_] | None = None  # (K, K) which classes are spellings of one; None if none are

    @property
    def classes(self) -> int:
        """K."""
        return len(self.scores)

    @property
    def total(self) -> float:
        """The number of rows that the sample stands for."""
        return float(self.weight.sum())

    @cached_property
    def blocks(self) -> list[Sample]:
        """The same rows, as many at a time as stay in the cache."""
        starts = range(0, len(self.y), _BLOCK)
        spans = [slice(start, start + _BLOCK) for start in starts]
        return [Sample(self.scores[:, at], self.y[at], self.weight[at], self.same) for at in spans]


@dataclass(frozen=True)
class Fitted:
    """A maximum of the likelihood."""

    theta: Floats  # (p,) (log a, b_1 .. b_{K−1}, φ)
    structure: str  # φ has no number for "none", one for "common", K(K−1) for others
    value: float  # the penalised negative log-likelihood, a sum over rows


def thinned(rows: Sample, most: int) -> Sample:
    """Return every j-th row along (label, margin), weighted up: nearly the same likelihood, no chance."""
    n, k = len(rows.y), rows.classes
    if n <= most:
        return rows
    other = np.where(np.eye(k, dtype=bool)[:, rows.y], -np.inf, rows.scores).max(axis=0)
    order = np.lexsort((rows.scores[rows.y, np.arange(n)] - other, rows.y))
    kept = order[np.unique(np.linspace(0, n - 1, most).round().astype(np.int64))]
    stands_for = np.bincount(rows.y, minlength=k) / np.maximum(np.bincount(rows.y[kept], minlength=k), 1)
    scores = np.ascontiguousarray(rows.scores[:, kept])
    return replace(rows, scores=scores, y=rows.y[kept], weight=stands_for[rows.y[kept]])


def unpacked(theta: Floats, structure: str, k: int) -> tuple[float, Floats, Floats]:
    """Return slope a, shifts b (K,) with b_0 = 0, and rates T (K, K) of the parameters θ (p,)."""
    phi = np.zeros((k, k))
    if structure == "common":
        phi[:] = theta[k]
    elif structure != "none":
        phi[~np.eye(k, dtype=bool)] = theta[k:]
    odds = np.square(phi) / (k - 1)
    np.fill_diagonal(odds, 1.0)
    return math.exp(theta[0]), np.concatenate(([0.0], theta[1:k])), odds / odds.sum(axis=1, keepdims=True)


def _truth(rows: Sample, slope: float, bias: Floats) -> Floats:
    """Return softmax(a Z + b), (K, n)."""
    z = slope * rows.scores + bias[:, None]
    z -= z.max(axis=0)
    np.exp(z, out=z)
    z /= z.sum(axis=0)
    return z


def p_wrong(rows: Sample, theta: Floats, structure: str) -> Floats:
    """Return P(wrong), (n,)."""
    wrong, right = _wrong_and_right(rows, theta, structure)
    return np.asarray(np.minimum(wrong / np.maximum(wrong + right, _FLOOR), 1.0))


def log_odds(rows: Sample, theta: Floats, structure: str) -> Floats:
    """Return log(P(wrong) / P(right)), (n,)."""
    wrong, right = _wrong_and_right(rows, theta, structure)
    return np.asarray(np.log(np.maximum(wrong, _FLOOR)) - np.log(np.maximum(right, _FLOOR)))


def _wrong_and_right(rows: Sample, theta: Floats, structure: str) -> tuple[Floats, Floats]:
    """Return what both are proportional to, 2 × (n,).

    Wrong truths are summed, since 1 − P(right) would lose small probabilities.
    """
    slope, bias, rates = unpacked(theta, structure, rows.classes)
    right, found = np.eye(rows.classes, dtype=bool), np.empty((2, len(rows.y)))
    right |= False if rows.same is None else rows.same
    for some, made in zip(rows.blocks, np.split(found, range(_BLOCK, len(rows.y), _BLOCK), 1), strict=True):
        joint = _truth(some, slope, bias) * rates[:, some.y]  # (K, n)
        truly = np.where(right[:, some.y], joint, 0.0)
        made[:] = (joint - truly).sum(axis=0), truly.sum(axis=0)
    return found[0], found[1]


def moments(rows: Sample, theta: Floats, structure: str) -> tuple[Floats, Floats, float]:
    """Return mean and variance of P(wrong) over the labels that each row might carry, (n,), and 1 − max s.

    Under the model, p_wrong of the label that a row does carry is a draw of these; the last is a mean over
    rows.
    """
    slope, bias, rates = unpacked(theta, structure, rows.classes)
    s = _truth(rows, slope, bias)
    joint = np.maximum(rates.T @ s, _FLOOR)  # (K, n): P(label | x)
    wrong = np.maximum(1.0 - s * np.diag(rates)[:, None] / joint, 0.0)
    mean = (joint * wrong).sum(axis=0)
    variance = np.maximum((joint * wrong**2).sum(axis=0) - mean**2, 0.0)
    return mean, variance, float(1.0 - s.max(axis=0).mean())


def objective(theta: Floats, rows: Sample, structure: str) -> tuple[float, Floats]:
    """Return the penalised negative log-likelihood, a sum over rows, and its gradient (p,)."""
    k = rows.classes
    slope, bias, rates = unpacked(theta, structure, k)
    value, gradient = penalty(theta, structure, k)
    by_rate = np.zeros((k, k))
    for some in rows.blocks:
        s = _truth(some, slope, bias)
        given = rates[:, some.y]  # (K, n): T[t, y_i]
        p = np.maximum((s * given).sum(axis=0), _FLOOR)
        value -= float(some.weight @ np.log(p))
        s *= some.weight / p
        dz = s * (p - given)  # ∂(−log P)/∂z
        gradient[0] += slope * float(np.vdot(dz, some.scores))
        gradient[1:k] += dz.sum(axis=1)[1:]
        for truth in range(k if structure != "none" else 0):
            by_rate[truth] -= np.bincount(some.y, weights=s[truth], minlength=k)
    if structure != "none":
        gradient[k:] += _through_rates(by_rate, rates, theta[k:], structure)
    return value, gradient


def penalty(theta: Floats, structure: str, k: int) -> tuple[float, Floats]:
    """Return the ridges and the wrong row in advance (see the module's head), with their gradient (p,)."""
    _, bias, rates = unpacked(theta, structure, k)
    away = bias - bias.mean()
    gradient = np.zeros_like(theta)
    gradient[0], gradient[1:k] = theta[0] / 4, 2 * away[1:]
    value = float(theta[0] ** 2 / 8 + away @ away)
    if structure == "none":
        return value, gradient
    phi, off, advance = theta[k:], ~np.eye(k, dtype=bool), 1 / (k * (k - 1))
    spread = phi - phi.mean()
    if structure == "sparse":
        square = (spread / _STANDS_APART) ** 2
        value += float(np.log1p(square).sum())
        apart = 2 * spread / (_STANDS_APART**2 * (1 + square))
        gradient[k:] = apart - apart.mean()
    else:
        tightness = 1 / (_RATE_SPREAD**2 * (k - 1))
        value += tightness * float(spread @ spread)
        gradient[k:] = 2 * tightness * spread
    value -= advance * float(np.log(np.maximum(rates[off], _FLOOR)).sum())
    by_rate = np.where(off, -advance / np.maximum(rates, _FLOOR), 0.0)
    gradient[k:] += _through_rates(by_rate, rates, phi, structure)
    return value, gradient


def _through_rates(by_rate: Floats, rates: Floats, phi: Floats, structure: str) -> Floats:
    """∂/∂T (K, K) -> ∂/∂φ, by ∂/∂odds_tl = T_tt (∂/∂T_tl − Σ_m T_tm ∂/∂T_tm) and ∂odds/∂φ = 2φ/(K−1)."""
    by_odds = np.diag(rates)[:, None] * (by_rate - (rates * by_rate).sum(axis=1, keepdims=True))
    off = by_odds[~np.eye(len(rates), dtype=bool)]
    return np.asarray(2 * phi / (len(rates) - 1) * (off.sum() if structure == "common" else off))


def best(rows: Sample, structure: str, starts: list[Floats], *, level: bool = False) -> Fitted:
    """Return the best of the maxima reached from several starts, without a shift if `level`."""  # (p,)
    from scipy.optimize import minimize  # noqa: PLC0415 - 0.2 s that reading a budget does not need

    k, total = rows.classes, rows.total

    def mean(theta: Floats) -> tuple[float, Floats]:
        value, gradient = objective(theta, rows, structure)
        return value / total, gradient / total

    shift = (0.0, 0.0) if level else (-30.0, 30.0)
    bounds = [(-5.0, 5.0)] + [shift] * (k - 1) + [(1e-4, math.sqrt(k - 1))] * (len(starts[0]) - k)
    options = {"maxiter": 500, "ftol": 1e-13, "gtol": 1e-6}
    found = [
        minimize(mean, start, jac=True, method="L-BFGS-B", bounds=bounds, options=options) for start in starts
    ]
    least = min(found, key=lambda result: float(result.fun))
    return Fitted(np.asarray(least.x, dtype=np.float64), structure, float(least.fun) * total)


def differences(function: Callable[[Floats], Floats], theta: Floats) -> Floats:
    """Return central differences of a function (p,) -> (m,), one row a parameter, (p, m)."""
    step = 1e-5
    steps = step * np.eye(len(theta))
    return np.asarray([(function(theta + e) - function(theta - e)) / (2 * step) for e in steps])
