"""Which noise model the data bear, what it says of each row, and how many labels are wrong in all.

Two models are fitted, one common rate and one rate for each ordered pair of classes; without noise is the
third, to compare. The number of wrong labels is by rates of pairs where these are known: where the standard
error of sqrt(odds of a rate) is within a limit. In which order the rows stand is asked of several models
(`noise.order`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from dataaudit.errors import FitError
from dataaudit.noise.likelihood import (
    Fitted,
    Floats,
    Ints,
    Sample,
    best,
    differences,
    moments,
    objective,
    p_wrong,
    penalty,
    thinned,
    unpacked,
)
from dataaudit.noise.order import pooled

LARGEST_ERROR = 0.075  # of sqrt(odds): rates under (2 · 0.075)² ≈ 2 % could not be distinguished from none
_SEARCH_SIZE, _SEARCH_LEAST = 40_000, 2000  # rows times classes of the search, and rows; all are seen last
_MOST_SCORE = 50.0
_STARTS = (0.1, 0.35)  # sqrt(odds)
_PAIR_CLASSES = 12  # beyond, the rates of pairs are too many to fit and to check
_PAIR_ROWS = 5  # rows for each ordered pair
_TAILS = (1.35, 1.0, 0.75, 0.55, 0.4)  # 1 is logistic; with smaller ones confident mistakes surprise less
_FEW_TAILS = (1.0, 0.55)
_DOUBT = 1.5  # on the standard deviation of the number of wrong labels; see _interval
# Of the labels that contradict the other rows, the share that noise has to explain. *Measured* on 25 audits:
# with 10 % of the labels flipped it is .49 to .78 where the number is right, without flips .04 to .21.
_LEAST_SHARE = 1 / 3
_OPEN = 0.1  # share of undetermined rows from which on even a number is a guess, where noise does not show
_SHOWS = 6.0  # gain of log-likelihood from which on its number may be claimed: 99.8 %
_SEEN = 3.0  # gain of log-likelihood over no noise; twice it is a χ² of one or two degrees, 95 %


@dataclass(frozen=True)
class NoiseModel:
    """What the leave-one-out scores say about wrong labels."""

    p_wrong: Floats  # (n,) probability that the label is not the true class (`noise.order`)
    by_rates: Floats  # (n,) the same by `rates` alone; several can round to 1
    rates: Floats  # (K, K) ``rates[truth, label]`` = P(label | truth); rows sum to 1
    expected: float  # expected number of wrong labels, the sum of `p_wrong`
    interval: tuple[float, float]  # 90 % interval of that number, rounded outwards to whole rows
    reason: str  # what the order rests on, in one sentence for people
    slope: float  # a, by which leave-one-out scores are too small (a > 1) or too large for the true classes
    bias: float  # b of class 1 for two classes, else the b of largest magnitude
    foreseen: Floats  # (n,) mean of `by_rates` over the labels that a row might carry, if mistakes are random
    variance: Floats  # (n,) and its variance
    gain: float  # log-likelihood over that of no noise, less the penalties
    undetermined: float  # mean of 1 − max P(truth | x): the share of rows that the columns leave open

    @property
    def identified(self) -> bool:
        """Whether the number of wrong labels shows in the scores, if mistakes are random.

        Else the labels that contradict the other rows are for the most part what the columns leave open:
        without looks at rows, a wrong label and an outcome that they do not determine are the same thing.
        """
        share = self.expected / max(len(self.p_wrong), 1)
        return self.gain >= _SHOWS and share >= _LEAST_SHARE * (share + self.undetermined)

    @property
    def overlapping(self) -> bool:
        """Whether the columns leave so many rows open that nothing can be said of the number."""
        return not self.identified and self.undetermined >= _OPEN


def fit_noise(
    loo_scores: Floats,
    y: Ints,
    n_classes: int,
    *,
    groups: Ints | None = None,
    same: NDArray[np.bool_] | None = None,
) -> NoiseModel:
    """Fit noise rates to leave-one-out scores, and give each row the probability that its label is wrong.

    The scores are log-odds of classes 1 to K−1 against class 0; labels are 0 to K−1; rows of one group are
    taken to be wrong together as far as their probabilities are alike, which widens the interval. A label is
    not wrong where the true class is the same one in another spelling.
    """  # (n, K−1) or (n,), (n,), (n,), (K, K)
    scores, labels = _checked(loo_scores, y, n_classes)
    # Steps this small only wait for each other's threads: up to fifty times slower on a busy machine.
    with threadpool_limits(limits=1, user_api="blas"):
        return _fit(Sample(scores, labels, np.ones(len(labels)), same), groups)


def _fit(rows: Sample, groups: Ints | None) -> NoiseModel:
    """Fit the rates by the likelihood, as simple as the rows demand."""
    n_classes, labels = rows.classes, rows.y
    scale = max(1.0, float(np.quantile(np.abs(rows.scores).max(axis=0), 0.999)) / _MOST_SCORE)
    rows = replace(rows, scores=np.clip(rows.scores / scale, -2 * _MOST_SCORE, 2 * _MOST_SCORE))
    few = thinned(rows, max(_SEARCH_SIZE // n_classes, _SEARCH_LEAST))
    none = best(few, "none", [np.zeros(n_classes)])
    common = best(few, "common", [np.append(_steeper(none.theta), phi) for phi in _STARTS])
    chosen, error, pairs = common, math.inf, None
    if n_classes <= _PAIR_CLASSES and len(labels) >= _PAIR_ROWS * n_classes * (n_classes - 1):
        pairs = _pairs(few, none, common)
        error = _error(few, pairs)
        chosen = pairs if error <= LARGEST_ERROR else common
    together = (
        1.0 if groups is None else _design_effect(p_wrong(rows, chosen.theta, chosen.structure), groups)
    )
    low, high = _interval(few, chosen, together=together)
    gain = _log_likelihood(chosen, n_classes) - _log_likelihood(none, n_classes)
    if few is not rows:
        chosen = best(rows, chosen.structure, [chosen.theta])
    slope, bias, rates = unpacked(chosen.theta, chosen.structure, n_classes)
    wrong = p_wrong(rows, chosen.theta, chosen.structure)
    expected = float(wrong.sum())
    foreseen, variance, undetermined = moments(rows, chosen.theta, chosen.structure)
    return NoiseModel(
        p_wrong=pooled(rows, few, common=common, pairs=pairs, expected=expected),
        by_rates=wrong,
        rates=rates,
        expected=expected,
        interval=(float(math.floor(min(low, expected))), float(math.ceil(max(high, expected)))),
        reason=_reason(n_classes, error, seen=gain >= _SEEN),
        slope=slope / scale,
        bias=float(bias[np.argmax(np.abs(bias))]),
        foreseen=foreseen,
        variance=variance,
        gain=gain,
        undetermined=undetermined,
    )


def _checked(loo_scores: Floats, y: Ints, n_classes: int) -> tuple[Floats, Ints]:
    """Return the scores with the reference class, (K, n), and the labels (n,)."""
    scores, labels = np.asarray(loo_scores, dtype=np.float64), np.asarray(y, dtype=np.int64)
    n = len(labels)
    scores = scores[:, None] if scores.ndim == 1 else scores
    if n_classes < 2 or scores.shape != (n, n_classes - 1):  # noqa: PLR2004
        raise FitError(
            f"leave-one-out scores do not fit {n} labels of {n_classes} classes: got shape {scores.shape}",
            "pass (n, K − 1) scores, those of classes 1..K−1 against class 0",
        )
    if len(np.unique(labels)) < 2 or labels.min() < 0 or labels.max() >= n_classes:  # noqa: PLR2004
        raise FitError(
            f"the labels are not of two classes at least within 0..{n_classes - 1}",
            "check the label column",
        )
    bad = int((~np.isfinite(scores)).any(axis=1).sum())
    if bad:
        raise FitError(
            f"leave-one-out scores are not all finite: got {bad} bad rows of {n}",
            "raise the ridge, with which no row fits itself alone (--l2)",
        )
    return np.vstack([np.zeros((1, n)), scores.T]), labels


def _steeper(theta: Floats) -> Floats:
    """Return a start for a fit with noise: what noise explains, a flat slope need not."""
    return np.concatenate(([theta[0] + 0.5], theta[1:]))


def _pairs(rows: Sample, none: Fitted, common: Fitted) -> Fitted:
    """Fit a rate for each ordered pair, from the common one and from either of two classes mislabelled alone.

    From equal rates only, the search was seen to end in a worse maximum when one of two classes is
    mislabelled. With more classes, starts from single pairs led nowhere new.
    """
    k = rows.classes
    starts = [np.concatenate((common.theta[:k], np.full(k * (k - 1), common.theta[k])))]
    if k == 2:  # noqa: PLR2004
        slope, bias = _steeper(none.theta)
        starts += [np.array([slope, bias - 0.5, 0.35, 0.03]), np.array([slope, bias + 0.5, 0.03, 0.35])]
    return best(rows, "pairs", starts)


def _log_likelihood(fitted: Fitted, k: int) -> float:
    return penalty(fitted.theta, fitted.structure, k)[0] - fitted.value


def _covariance(rows: Sample, fitted: Fitted) -> Floats:
    """Return the inverse curvature of the penalised likelihood at its maximum, (p, p)."""
    hessian = differences(lambda theta: objective(theta, rows, fitted.structure)[1], fitted.theta)
    values, vectors = np.linalg.eigh((hessian + hessian.T) / 2)
    return np.asarray((vectors / np.maximum(values, 1e-3)) @ vectors.T)


def _error(rows: Sample, fitted: Fitted) -> float:
    """Return the standard error of sqrt(odds that a label of a class is wrong).

    With two classes the larger of both errors, since the order weighs one class against the other. With more
    the root mean square over rows: a class of three rows always has an unknown rate, and moves three rows.
    """
    k = rows.classes

    def roots(theta: Floats) -> Floats:
        right = np.diag(unpacked(theta, fitted.structure, k)[2])
        return np.asarray(np.sqrt(1 / right - 1))

    jacobian = differences(roots, fitted.theta)  # (p, K)
    variances = ((_covariance(rows, fitted) @ jacobian) * jacobian).sum(axis=0)
    share = np.bincount(rows.y, weights=rows.weight, minlength=k) / rows.total
    return math.sqrt(float(variances.max() if k == 2 else share @ variances))  # noqa: PLR2004


def _design_effect(wrong: Floats, groups: Ints) -> float:
    """Return by how much groups raise the variance of the number of wrong labels (Kish 1965).

    It is 1 + (m − 1) ρ, with m the size of a wrong row's group, and ρ the correlation of two rows of a group.
    """
    apart, size = wrong - wrong.mean(), np.bincount(groups)
    squares = np.bincount(groups, weights=apart**2)
    pairs = float((np.bincount(groups, weights=apart) ** 2 - squares).sum())
    correlation = pairs / max(float((size - 1).clip(0) @ squares), 1e-12)
    m = float(wrong @ size[groups]) / max(float(wrong.sum()), 1e-12)
    return 1.0 + (max(m, 1.0) - 1.0) * min(max(correlation, 0.0), 1.0)


def _interval(rows: Sample, fitted: Fitted, *, together: float) -> tuple[float, float]:
    """Return the 90 % interval of the number of wrong labels.

    A mixture over the tails of s, weighted by likelihood, of normals of mean E = Σ P(wrong) and of
    variance 1.5² (∇Eᵀ Cov ∇E + Σ P(1 − P)): unknown rates, and chance given the rates. A tail c bends
    scores of reach r by ((1+r)^c − 1)/(c r). Logistic tails alone gave intervals that were too narrow,
    since on real mail some confident mistakes are no noise. The 1.5 is for what so small a model leaves
    out, *measured* on 184 audits of 25 tables with known flips: 79 % of the intervals covered the truth
    without it, 90 % with it.
    """
    reach = math.exp(fitted.theta[0]) * (rows.scores.max(axis=0) - rows.scores.min(axis=0)) + 1e-9
    covariance = _covariance(rows, fitted)
    grid = np.linspace(-3.5, 3.5, 141)
    counts, logs = [], []
    for tail in _TAILS if rows.classes == 2 else _FEW_TAILS:  # noqa: PLR2004
        scores = rows.scores * (np.expm1(tail * np.log1p(reach)) / (tail * reach))
        bent = replace(rows, scores=scores)
        again = best(bent, fitted.structure, [fitted.theta])
        wrong = p_wrong(bent, again.theta, fitted.structure)
        slope = _slope_of_expected(bent, again)
        variance = float(slope @ covariance @ slope + bent.weight @ (wrong * (1 - wrong)))
        deviation = _DOUBT * math.sqrt(together * variance)
        counts.append(float(bent.weight @ wrong) + deviation * grid)
        logs.append(fitted.value - again.value - grid**2 / 2)
    values, log = np.concatenate(counts), np.concatenate(logs)
    mass = np.exp(log - log.max())  # of many rows another tail is e^1000 times as likely
    order = np.argsort(values, kind="stable")
    share = np.cumsum(mass[order]) / mass.sum()
    low, high = values[order][np.searchsorted(share, [0.05, 0.95])]
    return max(float(low), 0.0), min(max(float(high), 0.0), rows.total)


def _slope_of_expected(rows: Sample, fitted: Fitted) -> Floats:
    """Return ∇E (p,) of the expected number of wrong labels E."""

    def expected(theta: Floats) -> Floats:
        return np.asarray([rows.weight @ p_wrong(rows, theta, fitted.structure)])

    return np.asarray(differences(expected, fitted.theta)[:, 0])


def _reason(k: int, error: float, *, seen: bool) -> str:
    """Say what the order by `p_wrong` rests on."""
    classes = "The two classes" if k == 2 else f"The {k} classes"  # noqa: PLR2004
    ordered = "rows are ordered by the probability that their label is wrong"
    if math.isinf(error):
        return (
            f"{classes} are too many, or the rows too few, to fit a noise rate to each pair of classes, "
            f"so {ordered} if all have one rate."
        )
    share = (2 * error) ** 2
    limit = f" (a share of wrong labels under {share:.1%} in a class would go unseen)"
    unseen = limit if 2 * share < 1 else ""
    if error > LARGEST_ERROR:
        return (
            f"{classes} overlap too much, or the rows are too few, to tell wrong labels from hard rows"
            f"{unseen}: {ordered}, averaged over several noise models."
        )
    found = (
        "labels that contradict the other rows show" if seen else "hardly any label contradicts the others"
    )
    return (
        f"{classes} are far enough apart and {found}{unseen}: {ordered}, averaged over several noise models."
    )
