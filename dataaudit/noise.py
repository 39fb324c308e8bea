"""How likely each label is wrong: a small noise model on fixed leave-one-out scores.

Leave-one-out scores are out-of-sample for every row, so the chance that a label was corrupted can be fitted on them
without another fit of the classifier. With ``Z`` the scores, class 0 the reference with score 0, and ``T`` the noise rates,

    s_i = softmax(a Z_i + b)                          P(truth = t | x_i)
    P(y_i = l) = Σ_t s_it T[t, l]                     T[t, l] = P(label l | truth t), rows of T sum to 1
    P(wrong_i) = Σ_{t≠y_i} s_it T[t, y_i] / P(y_i)    expected number of wrong labels = Σ_i P(wrong_i)

which is the class-conditional noise of Natarajan et al. (2013) and the joint that confident learning counts (Northcutt et al.
2021), by likelihood, with the recalibration (a, b) that noisy labels need; leave-one-out scores as in Rad & Maleki (2020).

The rates are written T[t, l] = φ_tl² / (1 + Σ_l φ_tl²): on this scale a rate has about the same standard error whether it is
small or large, and its boundary at nought is an ordinary point. Maximised is the log-likelihood minus

    α² / 2·2² with α = log a,  Σ (b − b̄)²,  Σ (φ − φ̄)² / τ²,  −κ Σ log T[t, l]

(weak ridges on recalibration; rates drawn to a common one; one wrong row in advance, so that no rate is exactly nought and
rows never tie). The ridge on b, worth one unit of log-odds, is not a detail: where classes overlap, b trades against the
rates. Cost: O(n K) a step, some dozens of steps, on at most 20,000 rows; all rows are seen by the last steps only.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dataaudit.errors import FitError

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

SHARES = (0.5, 0.8, 0.95)
LARGEST_ERROR = 0.075  # of sqrt(odds of a rate): rates under (2 · 0.075)² ≈ 2 % could not be told from none
_RATE_SPREAD = 0.15  # τ, in sqrt(odds)
_MOST_SCORE = 50.0
_SEARCH_SIZE = 40_000  # rows times classes that the search runs on
_PAIR_CLASSES = 12  # with more classes the rates of pairs are too many to fit and to check
_PAIR_ROWS = 5  # rows for each ordered pair
_FLOOR = 1e-300
_TAILS = (1.35, 1.0, 0.75, 0.55, 0.4)  # of s: 1 is logistic, smaller ones allow more confident mistakes without noise
_FEW_TAILS = (1.0, 0.55)
_SEEN = 3.0  # gain of log-likelihood over no noise: twice it is χ² of one or two degrees, 95 %


@dataclass(frozen=True)
class NoiseModel:
    """What the leave-one-out scores say about wrong labels.

    Attributes
    ----------
    p_wrong : (n,) array
        Probability that the row's label is not its true class. Several rows can round to exactly 1; order those by loss.
    rates : (K, K) array
        ``rates[truth, label]`` = P(label | truth); rows sum to 1.
    expected : float
        Expected number of wrong labels, the sum of `p_wrong`.
    interval : (float, float)
        90 % interval of that number.
    supported : bool
        Whether `p_wrong` may order the rows. If not, the leave-one-out loss should, and `p_wrong` is that of one common rate.
    reason : str
        One sentence for people: why.
    slope, bias : float
        a and b. With several classes `bias` is the one of largest magnitude.
    """

    p_wrong: Floats
    rates: Floats
    expected: float
    interval: tuple[float, float]
    supported: bool
    reason: str
    slope: float
    bias: float


@dataclass(frozen=True)
class _Sample:
    """Rows on which the likelihood is summed: scores with the reference class (K, n), labels, weights (n,).

    Classes come first, since sums over few classes then run along contiguous rows: four times as fast.
    """

    scores: Floats
    y: Ints
    weight: Floats

    @property
    def classes(self) -> int:
        return self.scores.shape[0]

    @property
    def total(self) -> float:
        return float(self.weight.sum())


@dataclass(frozen=True)
class _Fitted:
    """Parameters θ = (α, b_1..b_{K−1}, φ), of structure "none", "common" (one φ) or "pairs" (K(K−1) of them)."""

    theta: Floats
    structure: str
    value: float  # the penalised objective at θ, a sum over rows


def fit_noise(loo_scores: Floats, y: Ints, n_classes: int) -> NoiseModel:
    """Fit noise rates to leave-one-out scores and give each row the probability that its label is wrong.

    Parameters
    ----------
    loo_scores : (n, K − 1) array
        Leave-one-out scores of the classes 1..K−1 against class 0 (log-odds).
    y : (n,) array of int
        Labels as they stand, 0..K−1.
    n_classes : int
        K.

    Returns
    -------
    NoiseModel

    Raises
    ------
    FitError
        If shapes do not fit, a score is not finite, or there are no two classes.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> score = rng.normal(0, 6, size=(2000, 1))
    >>> truth = rng.random(2000) < 1 / (1 + np.exp(-score[:, 0]))
    >>> flipped = rng.random(2000) < 0.1
    >>> model = fit_noise(score, (truth ^ flipped).astype(np.int64), 2)
    >>> model.supported, bool(abs(model.expected - flipped.sum()) < 30)
    (True, True)
    """
    scores, labels = _checked(loo_scores, y, n_classes)
    scale = max(1.0, float(np.quantile(np.abs(scores).max(axis=0), 0.999)) / _MOST_SCORE)
    rows = _Sample(np.clip(scores / scale, -1.2 * _MOST_SCORE, 1.2 * _MOST_SCORE), labels, np.ones(len(labels)))
    few = _thinned(rows, max(_SEARCH_SIZE // n_classes, 2000))
    none = _best(few, "none", [np.zeros(n_classes)])
    common = _best(few, "common", [np.append(_warmer(none.theta), phi) for phi in (0.1, 0.35)])
    paired = n_classes <= _PAIR_CLASSES and len(labels) >= _PAIR_ROWS * n_classes * (n_classes - 1)
    chosen = _pairs(few, none, common) if paired else common
    error, covariance = _error(few, chosen)
    supported = paired and error <= LARGEST_ERROR
    if not supported:
        chosen, covariance = common, _error(few, common)[1]
    interval = _interval(few, chosen, covariance)
    if len(few.y) < len(rows.y):
        chosen = _best(rows, chosen.structure, [chosen.theta])
    slope, bias, rates = _unpacked(chosen.theta, chosen.structure, n_classes)
    p_wrong = _p_wrong(rows, chosen.theta, chosen.structure)
    expected = float(p_wrong.sum())
    low, high = math.floor(min(interval[0], expected)), math.ceil(max(interval[1], expected))
    gain = _log_likelihood(few, chosen) - _log_likelihood(few, none)
    reason = _reason(n_classes, supported, error if paired else None, seen=gain >= _SEEN)
    largest = float(bias[np.argmax(np.abs(bias))])
    return NoiseModel(p_wrong, rates, expected, (float(low), float(high)), supported, reason, slope / scale, largest)


def review_budget(p_wrong: Floats, shares: tuple[float, ...] = SHARES) -> tuple[tuple[float, int], ...]:
    """How many rows to check, in this order, to catch a share of the expected wrong labels.

    Parameters
    ----------
    p_wrong : (n,) array
        Probabilities that labels are wrong, first the row to look at first.
    shares : tuple of float
        Shares of the expected number, in (0, 1].

    Returns
    -------
    tuple of (share, rows)
        Rows is 0 where less than half a wrong label is expected in all.
    """
    caught = np.cumsum(np.asarray(p_wrong, dtype=np.float64))
    if len(caught) == 0 or caught[-1] < 0.5:  # noqa: PLR2004 - half a row: none expected
        return tuple((share, 0) for share in shares)
    # A relative hair keeps 0.5 · total from missing its row by rounding.
    needed = np.asarray(shares) * caught[-1] * (1 - 1e-12)
    return tuple((share, int(row) + 1) for share, row in zip(shares, np.searchsorted(caught, needed), strict=True))


def _checked(loo_scores: Floats, y: Ints, n_classes: int) -> tuple[Floats, Ints]:
    """The scores with the reference class, (K, n), and the labels; or what is wrong with them."""
    scores, labels = np.asarray(loo_scores, dtype=np.float64), np.asarray(y, dtype=np.int64)
    scores = scores[:, None] if scores.ndim == 1 else scores
    if n_classes < 2 or scores.shape != (len(labels), n_classes - 1):  # noqa: PLR2004
        raise FitError(
            f"the noise model needs (n, K − 1) scores: got {scores.shape} for {len(labels)} labels and {n_classes} classes",
            "pass the leave-one-out scores of classes 1..K−1 against class 0",
        )
    bad = int((~np.isfinite(scores)).any(axis=1).sum())
    if bad:
        raise FitError(f"{bad} of {len(labels)} rows have a leave-one-out score that is not finite", "raise the ridge (--l2)")
    if len(set(labels.tolist())) < 2 or labels.min() < 0 or labels.max() >= n_classes:  # noqa: PLR2004
        raise FitError(f"the noise model needs labels of two classes at least within 0..{n_classes - 1}", "check the labels")
    return np.vstack([np.zeros((1, len(labels))), scores.T]), labels


def _thinned(rows: _Sample, most: int) -> _Sample:
    """Every j-th row along (label, margin), weighted up: the same likelihood to a few parts in a thousand, and no chance."""
    n = len(rows.y)
    if n <= most:
        return rows
    own = rows.scores[rows.y, np.arange(n)]
    margin = own - np.where(np.eye(rows.classes, dtype=bool)[:, rows.y], -np.inf, rows.scores).max(axis=0)
    order = np.lexsort((margin, rows.y))
    kept = order[np.unique(np.linspace(0, n - 1, most).round().astype(np.int64))]
    weight = np.bincount(rows.y, minlength=rows.classes) / np.maximum(np.bincount(rows.y[kept], minlength=rows.classes), 1)
    return _Sample(np.ascontiguousarray(rows.scores[:, kept]), rows.y[kept], weight[rows.y[kept]])


# ── the likelihood ────────────────────────────────────────────────────────────────────────────────────────────────────
def _unpacked(theta: Floats, structure: str, k: int) -> tuple[float, Floats, Floats]:
    """θ -> slope a, bias b (K,) with b_0 = 0, rates T (K, K)."""
    phi = np.zeros((k, k))
    if structure == "common":
        phi[:] = theta[k]
    elif structure == "pairs":
        phi[~np.eye(k, dtype=bool)] = theta[k:]
    odds = np.square(phi)
    np.fill_diagonal(odds, 1.0)
    return math.exp(theta[0]), np.concatenate(([0.0], theta[1:k])), odds / odds.sum(axis=1, keepdims=True)


def _truth(rows: _Sample, slope: float, bias: Floats) -> Floats:
    """softmax(a Z + b)."""
    z = slope * rows.scores + bias[:, None]
    z -= z.max(axis=0)
    np.exp(z, out=z)
    z /= z.sum(axis=0)
    return z


def _p_wrong(rows: _Sample, theta: Floats, structure: str) -> Floats:
    """Σ_{t≠y} s_t T[t, y] / P(y): the wrong truths are summed, since 1 − P(right) would lose small probabilities."""
    slope, bias, rates = _unpacked(theta, structure, rows.classes)
    joint = _truth(rows, slope, bias) * rates[:, rows.y]  # (K, n)
    total = np.maximum(joint.sum(axis=0), _FLOOR)
    joint[rows.y, np.arange(len(rows.y))] = 0.0
    return np.asarray(np.minimum(joint.sum(axis=0) / total, 1.0))


def _objective(theta: Floats, rows: _Sample, structure: str) -> tuple[float, Floats]:
    """Negative penalised log-likelihood, a sum over rows, and its gradient."""
    k = rows.classes
    slope, bias, rates = _unpacked(theta, structure, k)
    s = _truth(rows, slope, bias)
    given = rates[:, rows.y]  # (K, n): T[t, y_i]
    p = np.maximum((s * given).sum(axis=0), _FLOOR)
    value = -float(rows.weight @ np.log(p))
    s *= rows.weight / p
    dz = s * (p - given)  # (K, n)
    gradient = np.zeros_like(theta)
    gradient[0] = slope * float(np.vdot(dz, rows.scores))
    gradient[1:k] = dz.sum(axis=1)[1:]
    if structure != "none":
        by_rate = np.stack([-np.bincount(rows.y, weights=part, minlength=k) for part in s])
        gradient[k:] = _rate_gradient(by_rate, rates, theta[k:], structure)
    penalty, slope_of_penalty = _penalty(theta, rates, structure)
    return value + penalty, gradient + slope_of_penalty


def _rate_gradient(by_rate: Floats, rates: Floats, phi: Floats, structure: str) -> Floats:
    """∂/∂T (K, K) -> ∂/∂φ.  With T = odds / Σ odds: ∂/∂odds_tl = T_tt (∂/∂T_tl − Σ_m T_tm ∂/∂T_tm), ∂odds/∂φ = 2 φ."""
    by_odds = np.diag(rates)[:, None] * (by_rate - (rates * by_rate).sum(axis=1, keepdims=True))
    off = by_odds[~np.eye(len(rates), dtype=bool)]
    return np.asarray(2 * phi * (off if structure == "pairs" else off.sum()))


def _penalty(theta: Floats, rates: Floats, structure: str) -> tuple[float, Floats]:
    """The ridges and the one wrong row in advance (see the module's head), with their gradient."""
    k = len(rates)
    bias = np.concatenate(([0.0], theta[1:k]))
    away = bias - bias.mean()
    gradient = np.zeros_like(theta)
    gradient[0], gradient[1:k] = theta[0] / 4, 2 * away[1:]
    value = theta[0] ** 2 / 8 + float(away @ away)
    if structure == "none":
        return float(value), gradient
    phi = theta[k:]
    off = ~np.eye(k, dtype=bool)
    spread = phi - phi.mean()
    advance = 1.0 / (k * (k - 1))
    value += float(spread @ spread) / _RATE_SPREAD**2 - advance * float(np.log(np.maximum(rates[off], _FLOOR)).sum())
    pseudo = np.where(off, -advance / np.maximum(rates, _FLOOR), 0.0)
    gradient[k:] = 2 * spread / _RATE_SPREAD**2 + _rate_gradient(pseudo, rates, phi, structure)
    return float(value), gradient


def _log_likelihood(rows: _Sample, fitted: _Fitted) -> float:
    _, _, rates = _unpacked(fitted.theta, fitted.structure, rows.classes)
    return _penalty(fitted.theta, rates, fitted.structure)[0] - fitted.value


# ── the search ────────────────────────────────────────────────────────────────────────────────────────────────────────
def _best(rows: _Sample, structure: str, starts: list[Floats]) -> _Fitted:
    """The best of the minima reached from several starts, by L-BFGS-B on the mean."""
    from scipy.optimize import minimize

    k, total = rows.classes, rows.total

    def mean(theta: Floats) -> tuple[float, Floats]:
        value, gradient = _objective(theta, rows, structure)
        return value / total, gradient / total

    bounds = [(-5.0, 5.0)] + [(-30.0, 30.0)] * (k - 1) + [(1e-4, 1.0)] * (len(starts[0]) - k)
    options = {"maxiter": 500, "ftol": 1e-13, "gtol": 1e-6}
    found = [minimize(mean, start, jac=True, method="L-BFGS-B", bounds=bounds, options=options) for start in starts]
    best = min(found, key=lambda result: float(result.fun))
    return _Fitted(np.asarray(best.x, dtype=np.float64), structure, float(best.fun) * total)


def _warmer(theta: Floats) -> Floats:
    """Noise flattens a fit that knows none: with noise in the model the slope will be larger."""
    return np.concatenate(([theta[0] + 0.5], theta[1:]))


def _pairs(rows: _Sample, none: _Fitted, common: _Fitted) -> _Fitted:
    """One rate for each ordered pair, from the common one and, with two classes, from either one mislabelled alone.

    With two classes equal rates can lead to a worse minimum. With more, starts from single pairs led nowhere new.
    """
    k = rows.classes
    starts = [np.concatenate((common.theta[:k], np.full(k * (k - 1), common.theta[k])))]
    if k == 2:  # noqa: PLR2004
        slope, bias = _warmer(none.theta)
        starts += [np.array([slope, bias - 0.5, 0.35, 0.03]), np.array([slope, bias + 0.5, 0.03, 0.35])]
    return _best(rows, "pairs", starts)


# ── how sure ──────────────────────────────────────────────────────────────────────────────────────────────────────────
def _differences(function: Callable[[Floats], Floats], theta: Floats) -> Floats:
    """Central differences of a vector function (p,) -> (m,): rows are the derivatives, (p, m)."""
    step = 1e-5
    out = []
    for j in range(len(theta)):
        shift = np.zeros_like(theta)
        shift[j] = step
        out.append((function(theta + shift) - function(theta - shift)) / (2 * step))
    return np.asarray(out)


def _error(rows: _Sample, fitted: _Fitted) -> tuple[float, Floats]:
    """Standard error of sqrt(odds that a label of a class is wrong), and the covariance of θ, from the curvature.

    With two classes the larger of both errors: the order is a weighing of one class against the other, and is as good as
    the worse known rate. With more the root mean square over rows: a class of three rows always has an unknown rate.
    """
    k = rows.classes
    hessian = _differences(lambda theta: _objective(theta, rows, fitted.structure)[1], fitted.theta)
    values, vectors = np.linalg.eigh((hessian + hessian.T) / 2)
    covariance = (vectors / np.maximum(values, 1e-3)) @ vectors.T

    def roots(theta: Floats) -> Floats:
        rates = _unpacked(theta, fitted.structure, k)[2]
        return np.asarray(np.sqrt(np.maximum(1 / np.diag(rates) - 1, _FLOOR)))

    jacobian = _differences(roots, fitted.theta)
    variances = np.maximum(np.einsum("pt,pq,qt->t", jacobian, covariance, jacobian), 0.0)
    share = np.bincount(rows.y, weights=rows.weight, minlength=k) / rows.total
    return math.sqrt(variances.max() if k == 2 else share @ variances), covariance  # noqa: PLR2004


def _interval(rows: _Sample, fitted: _Fitted, covariance: Floats) -> tuple[float, float]:
    """90 % interval of the number of wrong labels: rates, chance given the rates, and the shape of the tails of s.

    Mixture over tails, weighted by likelihood, of normals of mean E = Σ P(wrong) and variance ∇Eᵀ Cov ∇E + Σ P(1 − P).
    Logistic tails alone gave intervals that were too narrow: on real mail some confident mistakes are not noise.
    """
    spread = rows.scores.max(axis=0) - rows.scores.min(axis=0)
    reach = np.maximum(math.exp(fitted.theta[0]) * spread, 1e-9)
    means, deviations, fits = [], [], []
    for tail in _TAILS if rows.classes == 2 else _FEW_TAILS:  # noqa: PLR2004
        bent = _Sample(rows.scores * np.expm1(tail * np.log1p(reach)) / (tail * reach), rows.y, rows.weight)
        again = _best(bent, fitted.structure, [fitted.theta])

        def expected(theta: Floats, bent: _Sample = bent) -> Floats:
            return np.asarray([bent.weight @ _p_wrong(bent, theta, fitted.structure)])

        slope = _differences(expected, again.theta)[:, 0]
        p = _p_wrong(bent, again.theta, fitted.structure)
        means.append(float(bent.weight @ p))
        deviations.append(math.sqrt(float(slope @ covariance @ slope) + float(bent.weight @ (p * (1 - p)))))
        fits.append(-again.value)
    weights = np.exp(np.asarray(fits) - max(fits))
    grid = np.linspace(-3.5, 3.5, 141)
    values = (np.asarray(means)[:, None] + np.asarray(deviations)[:, None] * grid).ravel()
    mass = (weights[:, None] * np.exp(-grid**2 / 2)).ravel()
    order = np.argsort(values, kind="stable")
    share = np.cumsum(mass[order]) / mass.sum()
    low, high = (float(values[order][min(np.searchsorted(share, q), len(order) - 1)]) for q in (0.05, 0.95))
    return max(low, 0.0), min(max(high, 0.0), rows.total)


def _reason(k: int, supported: bool, error: float | None, *, seen: bool) -> str:
    """Why `p_wrong` orders the rows, or why it does not, in one sentence."""
    classes = "the two classes" if k == 2 else f"the {k} classes"  # noqa: PLR2004
    if error is None:
        return f"{classes} are too many, or the rows too few, for noise rates of single pairs: the leave-one-out loss orders the rows"
    told = f"rates of wrong labels under {(2 * error) ** 2:.1%} could not be told from none"
    if not supported:
        return f"{classes} overlap too much for so few rows ({told}): the leave-one-out loss orders the rows"
    if not seen:
        return f"{classes} are apart ({told}) and hardly a wrong label is seen: the probability of a wrong label orders the rows"
    return f"{classes} are apart enough to see wrong labels ({told}): the probability of a wrong label orders the rows"
