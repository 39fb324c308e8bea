"""Whether the labels differ, and whether a difference of loss is due to the inputs or to the labels.

**P(y).** Class shares with Newcombe's intervals, and a chi-square test over all classes.

**P(y | column) beyond P(y).** If only class shares changed, the odds ratio of a class between test and train
would be the same in every stratum of a column. The Breslow-Day test (1980, with the Mantel-Haenszel odds
ratio) asks whether it is; one class against the others, the smallest p-value times the classes.

**The loss.** Cai, Namkoong & Yadlowsky (2023, "Diagnosing model performance under distribution shift")
compare losses on inputs that both samples share, S ∝ pq/(p+q) for input densities p (train) and q (test):

    E_q ℓ_test - E_p ℓ_train  =  (E_S ℓ_train - E_p ℓ_train) + (E_q ℓ_test - E_S ℓ_test)     inputs differ
                               +  E_S ℓ_test - E_S ℓ_train                                   labels given them

The densities are shares of strata here: of one column's levels or deciles, or, over all columns, of the score
that separates train from test best (subclassification on a balancing score, Rosenbaum & Rubin 1984),
out-of-sample for every row. Standard errors come from redrawing shares (multinomial) and mean losses (normal)
of the strata. Where the samples share few inputs, E_S is about almost no row, and the split says nothing:
the overlap Σ 2 p q/(p + q) is 1 for equal shares and 0 for strata that no two rows share.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy.special import chdtrc

from dataaudit.audits.shift.comparison import Comparison, Ints, Reals, percent
from dataaudit.audits.shift.covariates import Strata
from dataaudit.statistics import Z95, chance_variation, chi_square, difference_interval, normal_p, split_p

REDRAWS = 400
# A stratum with less variance of the hypergeometric count says nothing, and would break the approximation.
LEAST_VARIANCE = 1.0
# Overlap of the inputs below which a difference of loss is not split.
OVERLAP = 0.25


def compare_classes(
    target: str, classes: tuple[str, ...], *, train: Ints, test: Ints
) -> Iterator[Comparison]:
    """Compare class shares."""  # train, test (n,)
    k, j = (np.bincount(y, minlength=len(classes)) for y in (train, test))
    n, m = max(len(train), 1), max(len(test), 1)
    value = float(np.abs(k / n - j / m).sum() / 2.0)
    yield Comparison(
        target, "label", None, value=value, p=chi_square(k, j), n=len(test),
        found=f"The labels “{target}” have other shares in test: {percent(value)} of the rows would have "
        f"to get another one ({percent(chance_variation(k, j))} by chance).",
        otherwise=f"The labels “{target}” have the same shares up to chance.",
    )  # fmt: skip
    each = split_p(j, k + j, m / (n + m))
    for c in range(1 if len(classes) == 2 else 0, len(classes)):  # noqa: PLR2004 - the other one mirrors it
        low, high = difference_interval((k[c], n), (j[c], m))
        share = f"{percent(k[c] / n)} of the training rows and {percent(j[c] / m)} of the test rows"
        shares, more = f"“{target} = {classes[c]}” in {share}", j[c] / m > k[c] / n
        yield Comparison(
            target, "label", classes[c], value=j[c] / m - k[c] / n, low=low, high=high, p=float(each[c]),
            n=int(j[c]), found=f"{shares}: they are {'more' if more else 'less'} frequent.",
            otherwise=f"{shares}: no more different than by chance.",
        )  # fmt: skip


def compare_given(
    column: str, strata: Strata, classes: tuple[str, ...], *, train: Ints, test: Ints
) -> Comparison:
    """Ask whether labels changed differently from one stratum of a column to the next."""  # train, test (n,)
    size, K = len(strata.names), len(classes)
    first = np.bincount(strata.train * K + train, minlength=size * K).reshape(size, K)
    second = np.bincount(strata.test * K + test, minlength=size * K).reshape(size, K)
    found = [_breslow_day(first, second, c) for c in range(1 if K == 2 else 0, K)]  # noqa: PLR2004
    best = min(range(len(found)), key=lambda i: found[i][0])
    p, gaps = found[best]
    rows, c = second.sum(1), best + (K == 2)  # noqa: PLR2004
    worst = int(np.argmax(np.abs(gaps) * np.sqrt(rows)))
    shares = [float(part[worst, c] / max(part[worst].sum(), 1)) for part in (first, second)]
    where = f"“{column} = {strata.names[worst]}”"
    return Comparison(
        column, "concept", strata.names[worst], value=float(np.abs(gaps) @ rows / max(rows.sum(), 1)),
        p=min(1.0, p * len(found)), n=int(rows.sum()),
        found=f"Labels given “{column}” changed beyond the overall change, most for {where}: {classes[c]} in "
        f"{percent(shares[0])} of its training rows and {percent(shares[1])} of its test rows.",
        otherwise=f"Labels given “{column}” did not change beyond the overall change.",
    )  # fmt: skip


def _breslow_day(train: Ints, test: Ints, c: int) -> tuple[float, Reals]:
    """Return the p-value of one common odds ratio, and each stratum's excess share in test."""  # (L, K) x2
    a, n, m = test[:, c].astype(float), train.sum(1).astype(float), test.sum(1).astype(float)
    t, total = a + train[:, c], n + m
    inside = np.where(total > 0, total, 1.0)
    up, down = (a * (n - train[:, c]) / inside).sum(), ((m - a) * train[:, c] / inside).sum()
    if up <= 0.0 or down <= 0.0:
        return 1.0, np.zeros(len(a))
    odds = up / down
    # The expected count A solves A (n - t + A) = odds (m - A)(t - A).
    b = odds * (m + t) + (n - t)
    root = np.sqrt(np.maximum(b * b - 4.0 * odds * (odds - 1.0) * m * t, 0.0))
    expected = 2.0 * odds * m * t / np.maximum(b + root, 1e-300)
    cells = np.stack([expected, m - expected, t - expected, n - t + expected])
    variance = np.where((cells > 0).all(0), 1.0 / (1.0 / np.maximum(cells, 1e-12)).sum(0), 0.0)
    gaps = np.where(m > 0, (a - expected) / np.maximum(m, 1.0), 0.0)
    used = variance >= LEAST_VARIANCE
    if used.sum() < 2:  # noqa: PLR2004 - one stratum has nothing to differ from
        return 1.0, np.where(used, gaps, 0.0)
    statistic = ((a - expected)[used] ** 2 / variance[used]).sum()
    # Tarone (1985): the Mantel-Haenszel odds ratio is not the most efficient one.
    statistic -= (a - expected)[used].sum() ** 2 / variance[used].sum()
    return float(chdtrc(int(used.sum()) - 1, max(statistic, 0.0))), np.where(used, gaps, 0.0)


@dataclass(frozen=True)
class LossPart:
    """A part of the difference of loss, test minus train, in nats per row."""

    value: float
    error: float  # standard error
    overlap: float = 1.0  # of the inputs that it compares

    @property
    def p(self) -> float | None:
        """Two-sided p-value under no difference; None where it cannot be split."""
        if self.overlap < OVERLAP:
            return None
        return normal_p(self.value / self.error) if self.error > 0 else 1.0


def split_loss(strata: Strata, losses: tuple[Reals, Reals], *, seed: int) -> dict[str, LossPart]:
    """Split the difference of mean loss, the total, into inputs and labels."""  # losses (n,)
    random = np.random.default_rng(seed)
    sides = [
        _Side.of(codes, loss, len(strata.names))
        for codes, loss in zip((strata.train, strata.test), losses, strict=True)
    ]
    point = _parts([(side.share[None], side.mean[None]) for side in sides])
    redrawn = _parts([side.redraw(random) for side in sides])
    p, q = (side.share for side in sides)
    overlap = float((2.0 * p * q / np.maximum(p + q, 1e-300)).sum())
    parts = zip(("total", "inputs", "labels"), point, redrawn, (1.0, overlap, overlap), strict=True)
    return {name: LossPart(float(v[0]), float(drawn.std()), shared) for name, v, drawn, shared in parts}


@dataclass(frozen=True)
class _Side:
    """Rows, share, mean loss and its standard error of every stratum of one sample."""

    n: int
    share: Reals
    mean: Reals
    error: Reals

    @classmethod
    def of(cls, codes: Ints, loss: Reals, size: int) -> _Side:
        """Sum up the rows."""
        counts = np.bincount(codes, minlength=size).astype(np.float64)
        filled = np.maximum(counts, 1.0)
        mean = np.bincount(codes, loss, size) / filled
        spread = np.bincount(codes, (loss - mean[codes]) ** 2, size)
        # A stratum with one row borrows the variance of all rows.
        own = np.where(counts > 1, spread / np.maximum(counts - 1.0, 1.0), loss.var())
        return cls(len(codes), counts / max(len(codes), 1), mean, np.sqrt(own / filled))

    def redraw(self, random: np.random.Generator) -> tuple[Reals, Reals]:
        """Draw shares and mean losses anew."""  # -> (r, L), (r, L)
        share = random.multinomial(self.n, self.share / self.share.sum(), size=REDRAWS) / self.n
        return share, self.mean + self.error * random.standard_normal(share.shape)


def _parts(sides: list[tuple[Reals, Reals]]) -> tuple[Reals, Reals, Reals]:
    """Return total, inputs and labels of every draw."""  # [(r, L), (r, L)] x2 -> (r,) x3
    (p, first), (q, second) = sides
    shared = p * q / np.maximum(p + q, 1e-300)
    shared /= np.maximum(shared.sum(1, keepdims=True), 1e-300)
    total = (q * second).sum(1) - (p * first).sum(1)
    labels = (shared * (second - first)).sum(1)
    return total, total - labels, labels


def loss_rows(column: str | None, split: dict[str, LossPart], *, n: int) -> Iterator[Comparison]:
    """Say what was split."""
    whose = "the inputs" if column is None else f"“{column}”"
    names = {"total": "The loss", "inputs": f"What {whose} explain{'' if column is None else 's'}",
             "labels": f"What the labels given {whose} explain"}  # fmt: skip
    for level, part in split.items():
        if column is not None and level == "total":
            continue
        half = Z95 * part.error
        between = f"{part.value:+.4f} nats a row ({part.value - half:+.4f} to {part.value + half:+.4f})"
        verb = "differs by" if level == "total" else "of the difference of loss is"
        text = f"{names[level]} {verb} {between}, test against train"
        if part.p is None:
            cannot = f"Whether {whose} or the labels given {'them' if column is None else 'it'} explain it"
            text = f"{cannot} cannot be said: train and test overlap by {percent(part.overlap)} only"
        yield Comparison(
            column, "loss", level, value=part.value, low=part.value - half, high=part.value + half, p=part.p,
            n=n, found=f"{text}.", otherwise=f"{text}: nothing beyond chance.",
        )  # fmt: skip
