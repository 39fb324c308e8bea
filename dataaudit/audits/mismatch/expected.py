"""Accuracy and loss that test rows without labels would show if only their inputs had shifted.

Each training row has an outcome: whether it is predicted right without itself, and its loss then. Two
regressions say what to expect of a row: correctness by its confidence (logistic), loss by its entropy
(linear). Their mean over the test rows is *calibrated confidence*, as in CBPE (Białek et al. 2023). What they
miss on training rows, weighted by how much more frequent such rows are in test, is added, so that the sum is
right if either the calibration or the weights are (augmented inverse probability weighting: Robins, Rotnitzky
& Zhao 1994). The weights come from the classifier of the two-sample test, its scores rescaled out-of-sample.

**Interval.** Variance by a bootstrap of training and test rows, in which the classifier moves by one Newton
step and everything after it is fitted again; the labels' own noise in as many rows; and the square of what
the weights bring, which are only as good as the classifier. Equal test rows have one label between them
where training has no such copies.

Where no training row is like a test row, nothing is known of it: such rows are counted and left out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.special import expit

from dataaudit.audits.shift.audit import of_one_type
from dataaudit.audits.shift.two_sample import Membership, fit_membership
from dataaudit.audits.testset import Pair, Tested, predict
from dataaudit.features.columns import MISSING, values_of
from dataaudit.findings.schemas import EXPECTED
from dataaudit.options import MismatchOptions
from dataaudit.training.trained import RowScores, Trained, score_rows

ROWS: Final = 3000  # of each side that the classifier is trained on
DRAWS: Final = 100  # of the bootstrap
Z90: Final = 1.6449
LEAST_EFFECTIVE: Final = 20.0  # training rows that the weights leave, below which nothing is said
MOST_UNLIKE: Final = 0.5  # of the test rows, above which nothing is said
CHANCE: Final = 0.01  # of the test rows with a level that training lacks, beyond what its own rare levels say
FLOOR: Final = 1e-9  # of a probability
MEASURES: Final = ("accuracy", "loss")

Reals = NDArray[np.float64]


@dataclass(frozen=True)
class Predicted:
    """What a model says of n rows."""

    confidence: Reals  # (n,) log-odds of the likeliest class
    entropy: Reals  # (n,) expected loss, were the probabilities true, in nats

    @staticmethod
    def of(p: Reals) -> Predicted:
        """Return it of probabilities."""  # (n, K)
        p = np.clip(p, FLOOR, 1.0 - FLOOR)
        most = p.max(1)
        return Predicted(np.log(most) - np.log1p(-most), -(p * np.log(p)).sum(1))


@dataclass(frozen=True)
class Outcomes:
    """The training rows that weights are known of, s of them, and the test rows that are like some, t."""

    train: Predicted
    test: Predicted
    shown: Reals  # (s, 2) whether predicted right, and the loss, without the row itself

    def expected(self, count: Reals) -> tuple[Reals, Reals]:
        """Return what is expected of either side, calibrated on training rows that count so often."""
        by_rows = logistic(self.train.confidence, self.shown[:, 0], count)
        slope, offset = line(self.train.entropy, self.shown[:, 1], count)
        return tuple(  # type: ignore[return-value]  # of two
            np.column_stack([expit(by_rows[0] * p.confidence + by_rows[1]), slope * p.entropy + offset])
            for p in (self.train, self.test)
        )

    def estimate(self, scores: Reals, member: Reals, count: Reals) -> tuple[Reals, Reals, Reals]:
        """Return accuracy and loss, the training rows' weights, and what the calibration misses on them."""
        s = len(self.shown)  # scores, member and count: (s + m,)
        slope, offset = logistic(scores, member, count)
        odds = slope * scores[:s] + offset
        weight = np.exp(odds - odds.max()) * count[:s]
        weight /= weight.sum()
        here, there = self.expected(count[:s])
        missed = self.shown - here
        return there.mean(0) + weight @ missed, weight, missed


def logistic(x: Reals, y: Reals, count: Reals) -> tuple[float, float]:
    """Return slope and intercept of y on x, drawn to 1 and 0 by what two rows are worth."""
    prior, theta = np.array([1.0, 0.0]), np.array([1.0, 0.0])
    X = np.column_stack([x, np.ones(len(x))])
    for _ in range(20):
        p = expit(X @ theta)
        gradient = X.T @ (count * (p - y)) + 2.0 * (theta - prior)
        hessian = (X * (count * p * (1.0 - p))[:, None]).T @ X + 2.0 * np.eye(2)
        step = np.linalg.solve(hessian, gradient)
        theta -= step
        if np.abs(step).max() < 1e-6:  # noqa: PLR2004 - far below any use
            break
    return float(theta[0]), float(theta[1])


def line(x: Reals, y: Reals, count: Reals) -> tuple[float, float]:
    """Return slope and intercept of y on x by least squares, drawn to 1 by what two rows are worth."""
    mean_x, mean_y = np.average(x, weights=count), np.average(y, weights=count)
    spread = float((count * (x - mean_x) ** 2).sum())
    rest = float((count * (x - mean_x) * (y - mean_y - (x - mean_x))).sum())
    slope = 1.0 + rest / (spread * (1.0 + 2.0 / count.sum()) + FLOOR)
    return slope, float(mean_y - slope * mean_x)


def expected_table(pair: Pair, trained: Trained, *, settings: MismatchOptions) -> pl.DataFrame:
    """Return the table `EXPECTED` of test rows without labels; empty where there are too few rows."""
    tested = predict(trained, pair.test, np.zeros(pair.test.n, dtype=np.int64))
    roles = tuple(role for role in trained.roles if role.role != "left out")
    names = [role.column for role in roles]
    train, test = of_one_type(pair.train.frame, pair.test.frame, names=names)
    random = np.random.default_rng(settings.seed)
    fitted = fit_membership(train, test, roles, settings=settings.columns, size=ROWS, random=random)
    if fitted is None:
        return pl.DataFrame(schema=EXPECTED.facts)
    unlike = _unlike(fitted, trained, pair, test)
    outcomes = _outcomes(fitted, score_rows(trained), tested, trained.objective.rows.y.numpy(), unlike)
    values, error, effective = _bootstrapped(fitted, outcomes, _copies(train, test), random)
    known = effective >= LEAST_EFFECTIVE and unlike.mean() <= MOST_UNLIKE
    most = (1.0, np.inf)
    rows = [
        {
            "measure": measure,
            "value": min(max(values[i], 0.0), most[i]) if known else None,
            "low": min(max(values[i] - Z90 * error[i], 0.0), most[i]) if known else None,
            "high": min(max(values[i] + Z90 * error[i], 0.0), most[i]) if known else None,
            "rows": int((~unlike).sum()),
            "unlike": int(unlike.sum()),
            "effective_rows": effective,
        }
        for i, measure in enumerate(MEASURES)
    ]
    return pl.DataFrame(rows, schema=EXPECTED.facts)


def _outcomes(
    fitted: Membership, scores: RowScores, tested: Tested, y: NDArray[np.int64], unlike: NDArray[np.bool_]
) -> Outcomes:
    at = fitted.drawn[0]
    right = scores.loo_p[at].argmax(1) == y[at]
    shown = np.column_stack([right, scores.loo_loss[at]])
    kept = ~unlike if not unlike.all() else unlike
    return Outcomes(Predicted.of(scores.loo_p[at]), Predicted.of(tested.p[kept]), shown)


def _bootstrapped(
    fitted: Membership, outcomes: Outcomes, copies: float, random: np.random.Generator
) -> tuple[Reals, Reals, float]:
    """Return accuracy and loss, their standard errors, and how many training rows the weights leave."""
    scores, member = fitted.scores, fitted.member.astype(np.float64)
    s, t = len(outcomes.shown), len(outcomes.test.confidence)
    values, weight, missed = outcomes.estimate(scores, member, np.ones(len(scores)))
    both = [random.multinomial(s, np.full(s, 1.0 / s), DRAWS).T for _ in range(2)]
    counts = np.vstack(both).astype(np.float64)
    moved = scores[:, None] + fitted.moved(counts)
    drawn = [outcomes.estimate(s_, member, c)[0] for s_, c in zip(moved.T, counts.T, strict=True)]
    noise = copies * (weight @ missed**2) / t
    brought = weight @ missed - missed.mean(0)
    return values, np.sqrt(np.var(drawn, axis=0) + noise + brought**2), float(1.0 / (weight**2).sum())


def _unlike(fitted: Membership, trained: Trained, pair: Pair, test: pl.DataFrame) -> NDArray[np.bool_]:
    """Return the test rows that no training row is like: beyond all, or with a new level."""
    scores = fitted.score(test)
    scores[fitted.drawn[1]] = fitted.scores[fitted.member == 1]
    unlike = scores > fitted.scores[fitted.member == 0].max()
    if trained.encoded is None:
        return np.asarray(unlike)
    for column, levels in trained.encoded.encoding.unseen(pair.test.frame).items():
        new = values_of(pair.test.frame, column).cast(pl.String)
        strange = (new.is_in(list(levels)) | (new.is_null() & (MISSING in levels))).fill_null(value=False)
        # As likely as a level that was never met are those that were met once (Good 1953).
        known = values_of(pair.train.frame, column)
        once = known.is_unique().to_numpy().mean()
        mask = strange.to_numpy()
        if mask.mean() > CHANCE + 2.0 * once:
            unlike |= mask
    return np.asarray(unlike)


def _copies(train: pl.DataFrame, test: pl.DataFrame) -> float:
    """Return how many rows share the label of a test row, its own included; 1 if training has such copies."""
    alike = [
        float((frame.hash_rows().alias("h").value_counts()["count"].cast(pl.Float64) ** 2).sum())
        / frame.height
        for frame in (train, test)
    ]
    usual = 1.0 + (alike[0] - 1.0) * test.height / train.height
    return max(1.0, alike[1] - usual + 1.0) if usual < 2.0 else 1.0  # noqa: PLR2004 - mostly distinct rows
