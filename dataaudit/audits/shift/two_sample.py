"""Classifier two-sample test (C2ST) for covariate shift.

A classifier of membership is scored on rows that it has not seen (Friedman 2003; Lopez-Paz & Oquab, ICLR
2017): as many seeded rows of train as of test, membership as the label, the tool's own logistic model on
numbers (rank-to-normal, with cubic splines), levels and terms. Every row is scored without itself, by the
one-step leave-one-out of `leave_one_out`, from one factorisation. Leaving out a row of one sample moves the
intercept towards the other; that artefact is taken off the score as the log-odds of the sizes that remain, or
two alike samples would have an AUC below one half.

**p-value.** Leave-one-out scores share rows, so a Mann-Whitney test would be too bold (about √2 in the
standard error). Where membership means nothing the model is at θ = 0 with all curvatures ¼ and one Newton
step is ridge regression, S = X(XᵀX + 4nλI)⁻¹Xᵀ, whose leave-one-out scores are ``(S m - h m)/(1 - h)`` for
memberships m = ±1 (Allen 1974). S knows no labels, so the separation under all permutations of m comes from
one matrix product.

**λ** knows no labels either, or choosing it would break that: 4nλ = tr(XᵀX)/(n/20), so that at most a
twentieth as many degrees of freedom are spent as there are rows.

**Columns.** A row's leave-one-out score is a sum over source columns. A column's share of the separation is
the difference of its means over test and train, over that of the whole score: the shares add up to 1.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import polars as pl
import torch
from scipy.sparse import csr_array
from scipy.special import ndtr

from dataaudit.audits.shift.comparison import ALPHA, Comparison, Ints, Reals, percent
from dataaudit.features import Basis, BasisSettings, Columns, Encoding, Role, fit_basis, fit_encoding
from dataaudit.influence.leave_one_out import leave_one_out_scores
from dataaudit.model.linear import LinearModel
from dataaudit.model.losses import Softmax
from dataaudit.model.objective import Objective
from dataaudit.model.rows import MemoryRows
from dataaudit.options import EncoderOptions
from dataaudit.solvers import Cholesky
from dataaudit.solvers.newton import FitSettings, minimise
from dataaudit.statistics import Z95

# Rows of each sample that the classifier is trained on, and features that it has at most.
ROWS, FEATURES = 1500, 1000
ROWS_PER_FREEDOM = 20
PERMUTATIONS = 1999
SCORED_AT_ONCE = 8192
# Columns that are named as separating train from test; shares below this are left out.
NAMED, LEAST_SHARE = 3, 0.05
_MEMBERSHIP = "is a test row"


@dataclass(frozen=True)
class TwoSampleTest:
    """How well train and test are told apart."""

    auc: float  # chance that a test row scores above a training row, leave-one-out; ½ if they are alike
    low: float  # 95 % interval of that
    high: float
    p: float  # share of permutations of membership under which the samples are separated as well
    columns: tuple[tuple[str, float], ...]  # share of the separation of each source column, largest first
    rows: int  # rows of both samples that were used
    scores_train: Reals  # (n,) log-odds of being a test row, out-of-sample
    scores_test: Reals  # (m,) likewise


@dataclass(frozen=True)
class _SharedEncoding:
    """The encoding that both samples share, fitted without regard to membership."""

    encoding: Encoding
    basis: Basis
    kept: Ints
    mean: Reals

    def design(self, frame: pl.DataFrame) -> Reals:
        """Return centred features."""  # -> (b, d)
        return _dense(self.basis.transform(self.encoding.transform(frame))[:, self.kept]) - self.mean


@dataclass(frozen=True)
class Membership:
    """The classifier of membership, and its N rows: drawn from train, then as many from test."""

    shared: _SharedEncoding
    drawn: tuple[Ints, Ints]  # positions in train and in test, increasing
    X: Reals  # (N, d) centred features
    member: Ints  # (N,) 1 for test
    objective: Objective
    theta: torch.Tensor  # (d + 1,)
    scores: Reals  # (N,) log-odds of being a test row, leave-one-out

    def score(self, frame: pl.DataFrame) -> Reals:
        """Return the log-odds of any rows."""
        theta = self.theta.numpy()
        parts = (frame[at : at + SCORED_AT_ONCE] for at in range(0, frame.height, SCORED_AT_ONCE))
        return np.concatenate([self.shared.design(part) @ theta[:-1] + theta[-1] for part in parts])

    def moved(self, counts: Reals) -> Reals:
        """Return how scores move by one Newton step if each row counts so often."""  # (N, b) -> (N, b)
        X1 = np.column_stack([self.X, np.ones(len(self.X))])
        s = self.objective.scores(self.theta)
        slope = self.objective.model.loss.slope(s, self.objective.rows.y)[:, :1].numpy()
        W = self.objective.curvature(self.theta)[:, 0].numpy()
        H = X1.T @ (W * X1) + len(X1) * self.objective.l2 * np.diag([*np.ones(self.X.shape[1]), 1e-9])
        return np.asarray(X1 @ np.linalg.solve(H, X1.T @ ((1.0 - counts) * slope)))


def fit_membership(
    train: pl.DataFrame,
    test: pl.DataFrame,
    roles: tuple[Role, ...],
    *,
    settings: EncoderOptions,
    size: int,
    random: np.random.Generator,
) -> Membership | None:
    """Train the classifier of membership on at most `size` rows of each sample; None if they are few."""
    size = min(train.height, test.height, size)
    if size < 10:  # noqa: PLR2004 - nothing can be learnt
        return None
    first, second = (np.sort(random.choice(f.height, size, replace=False)) for f in (train, test))
    pooled = pl.concat([train[first.tolist()], test[second.tolist()]])
    shared = _fit_encoding(pooled, roles, settings)
    if shared is None:
        return None
    X, member = shared.design(pooled), np.repeat([0, 1], size)
    return Membership(shared, (first, second), X, member, *_leave_one_out(X, member))


def two_sample_test(
    train: pl.DataFrame,
    test: pl.DataFrame,
    roles: tuple[Role, ...],
    *,
    settings: EncoderOptions,
    score: int,
    seed: int,
) -> TwoSampleTest | None:
    """Train the classifier of membership and score it out-of-sample."""
    random = np.random.default_rng(seed)
    fitted = fit_membership(train, test, roles, settings=settings, size=ROWS, random=random)
    if fitted is None:
        return None
    shared, drawn, X, member = fitted.shared, fitted.drawn, fitted.X, fitted.member
    objective, theta, scores, size = fitted.objective, fitted.theta, fitted.scores, len(fitted.drawn[0])
    auc = _auc(scores, member)
    p, spread = _permuted(X, 4.0 * len(X) * objective.l2, member, random)
    error = max(_delong(scores, member), spread)
    features = [shared.basis.features[j].column for j in shared.kept]
    others = [_score_others(shared, theta, frame, random, score) for frame in (train, test)]
    others[0][drawn[0]], others[1][drawn[1]] = scores[:size], scores[size:]
    return TwoSampleTest(
        auc=auc,
        low=max(0.0, auc - Z95 * error),
        high=min(1.0, auc + Z95 * error),
        p=p,
        columns=_shares(X, objective, theta, member=member, columns=features),
        rows=2 * size,
        scores_train=others[0],
        scores_test=others[1],
    )


def _fit_encoding(
    pooled: pl.DataFrame, roles: tuple[Role, ...], settings: EncoderOptions
) -> _SharedEncoding | None:
    """Encode both samples together; the most frequent levels and terms are kept."""
    used = [role for role in roles if role.role != "left out" and _varies(pooled[role.column])]
    if not used:
        return None
    asked = replace(
        settings,
        features=tuple(role.column for role in used),
        exclude=(),
        text=tuple(role.column for role in used if role.role == "text"),
        categorical=tuple(role.column for role in used if role.role == "categorical"),
    )
    frame = pooled.select(asked.features).with_columns(pl.lit(0).alias(_MEMBERSHIP))
    encoding = fit_encoding(frame, _MEMBERSHIP, settings=asked)
    columns = encoding.transform(frame)
    basis = fit_basis(columns, BasisSettings("rank", spline=True))
    X = basis.transform(columns)
    kept = _most_frequent(columns, X.shape[1])
    return _SharedEncoding(encoding, basis, kept, _dense(X[:, kept]).mean(0))


def _dense(X: Reals | csr_array) -> Reals:
    return X.toarray() if isinstance(X, csr_array) else X


def _varies(series: pl.Series) -> bool:
    """Tell whether a column has two values, one of which may be missing."""
    if series.dtype.is_nested() or series.dtype == pl.Binary:
        return series.null_count() < len(series)
    return series.n_unique() > 1


def _most_frequent(columns: Columns, d: int) -> Ints:
    """Return the features to keep: all dense ones, and as many levels and terms as there is room for."""
    first = columns.numeric.shape[1] + columns.vectors.shape[1]
    parts = (columns.levels, columns.terms)
    sparse = sum(part.shape[1] for part in parts)
    frequency = np.concatenate([np.bincount(part.indices, minlength=part.shape[1]) for part in parts])
    room = max(0, FEATURES - (d - sparse))
    frequent = first + np.argsort(-frequency, kind="stable")[:room]
    dense = np.concatenate([np.arange(first), np.arange(first + sparse, d)])
    return np.sort(np.concatenate([dense, frequent])).astype(np.int64)


def _leave_one_out(X: Reals, member: Ints) -> tuple[Objective, torch.Tensor, Reals]:
    """Fit membership and return every row's score without it, less the log-odds of the sizes that remain."""
    n = len(X)
    l2 = max(float((X * X).sum()) / n, 1e-12) * ROWS_PER_FREEDOM / (4.0 * n)
    rows = MemoryRows(torch.from_numpy(X), torch.from_numpy(member), torch.ones(n, dtype=torch.float64))
    objective = Objective(rows, LinearModel(Softmax(2), X.shape[1]), l2)
    theta = minimise(objective, settings=FitSettings(tolerance=1e-6)).theta
    forms = Cholesky().prepare(objective, theta).quadratic_forms()
    scores = leave_one_out_scores(objective, theta, forms)[:, 0].numpy()
    sizes = np.bincount(member)
    prior = np.where(member == 1, np.log((sizes[1] - 1) / sizes[0]), np.log(sizes[1] / (sizes[0] - 1)))
    return objective, theta, scores - prior


def _auc(scores: Reals, member: Ints) -> float:
    """Return the chance that a test row scores above a training row."""
    n, m = len(scores), int(member.sum())
    _, inverse, counts = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2.0)[inverse]  # ties share their mean rank
    return (float(ranks[member == 1].sum()) - m * (m + 1) / 2.0) / (m * (n - m))


def _delong(scores: Reals, member: Ints) -> float:
    """Return the standard error of the AUC over rows (DeLong et al. 1988)."""
    test, train = np.sort(scores[member == 1]), np.sort(scores[member == 0])
    above = np.searchsorted(train, test, side="left") / len(train)
    below = 1.0 - np.searchsorted(test, train, side="right") / len(test)
    return float(np.sqrt(above.var(ddof=1) / len(test) + below.var(ddof=1) / len(train)))


def _permuted(X: Reals, ridge: float, member: Ints, random: np.random.Generator) -> tuple[float, float]:
    """Return the p-value of the separation by permuting membership, and the spread of the AUC under it."""
    sign = np.where(member == 1, 1.0, -1.0)
    M = np.column_stack([sign, *(random.permutation(sign) for _ in range(PERMUTATIONS))])
    L = np.linalg.cholesky(X.T @ X + ridge * np.eye(X.shape[1]))
    U = np.linalg.solve(L, X.T).T
    h = (U * U).sum(1)[:, None]
    scores = (U @ (U.T @ M) - h * M) / (1.0 - h)
    # Half the difference of the means, in standard deviations: orders permutations as the AUC does, unsorted.
    gaps = (scores * M).mean(0) / np.maximum(scores.std(0), 1e-300)
    p = (1.0 + float((gaps[1:] >= gaps[0]).sum())) / (1.0 + PERMUTATIONS)
    return p, float(ndtr(np.sqrt(2.0) * gaps[1:]).std())


def _shares(
    X: Reals, objective: Objective, theta: torch.Tensor, *, member: Ints, columns: list[str]
) -> tuple[tuple[str, float], ...]:
    """Split the leave-one-out separation by source column."""
    n, coefficients = len(X), theta[:-1].numpy()
    s = objective.scores(theta)
    slope = objective.model.loss.slope(s, objective.rows.y)[:, 0].numpy()
    W = objective.curvature(theta)[:, 0, 0].numpy()
    H = X.T @ (W[:, None] * X) / n + objective.l2 * np.eye(X.shape[1])
    A = np.linalg.solve(H, X.T).T / n
    leverage = W * (A * X).sum(1)
    # Without row i, θ moves by A_i r_i/(1 - h_i); what that does to the row's own score, feature by feature.
    parts = X * coefficients + A * X * (slope / (1.0 - leverage))[:, None]
    gap = parts[member == 1].mean(0) - parts[member == 0].mean(0)
    names = sorted(set(columns))
    sums = np.zeros(len(names))
    np.add.at(sums, np.searchsorted(names, columns), gap)
    total = float(sums.sum())
    if total <= 0.0:
        return ()
    ordered = np.argsort(-sums, kind="stable")
    return tuple((names[j], float(sums[j] / total)) for j in ordered)


def _score_others(
    shared: _SharedEncoding, theta: torch.Tensor, frame: pl.DataFrame, random: np.random.Generator, count: int
) -> Reals:
    """Score some rows; those that the classifier was trained on get their leave-one-out score later."""
    scores = np.full(frame.height, np.nan)
    rows = np.sort(random.choice(frame.height, min(count, frame.height), replace=False))
    for start in range(0, len(rows), SCORED_AT_ONCE):
        part = rows[start : start + SCORED_AT_ONCE]
        scores[part] = shared.design(frame[part.tolist()]) @ theta[:-1].numpy() + float(theta[-1])
    return scores


def separation_rows(apart: TwoSampleTest) -> Iterator[Comparison]:
    """Say how well train and test can be told apart, and by which columns."""
    leading = [(name, share) for name, share in apart.columns if share >= LEAST_SHARE][:NAMED]
    by = ", ".join(f"“{name}” ({percent(share)})" for name, share in leading)
    auc = f"a test row scores above a training row with probability {apart.auc:.3f}"
    interval = f"{apart.low:.3f} to {apart.high:.3f}"
    yield Comparison(
        None, "two-sample", None, value=apart.auc, low=apart.low, high=apart.high, p=apart.p, n=apart.rows,
        found=f"Train and test can be told apart: {auc} ({interval}; one half if they were alike)"
        + (f", most by {by}." if by else "."),
        otherwise=f"Train and test cannot be told apart: {auc} ({interval}; one half if they were alike).",
    )  # fmt: skip
    for name, share in leading if apart.p < ALPHA else ():
        said = f"“{name}” makes up {percent(share)} of what tells train from test."
        yield Comparison(name, "two-sample", "share", value=share, n=apart.rows, found=said)
