"""Columns one by one: whether their distribution in test is that of training.

=============  =========================================  ==================================================
column         distance                                   chance
=============  =========================================  ==================================================
number, date   Kolmogorov-Smirnov                         its asymptotic p-value, too large for ties
level          total variation, ½ Σ |p - q|               chi-square, levels rare in both samples pooled
text           largest difference of a term's row share   binomial given the term's rows, times the terms
vector         largest Kolmogorov-Smirnov by coordinate   the same, times the coordinates
=============  =========================================  ==================================================

Missing values are compared apart from the values. Levels and extremes that training never saw are tested
exactly: given all rows, a level is missing from training by chance with a hypergeometric probability.

Shares and rates are compared over strata: columns cut into few levels, the same way in train and test.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.special import pdtrc

from dataaudit.audits.shift.comparison import Comparison, Ints, Reals, percent
from dataaudit.features import Role
from dataaudit.features.categorical import to_levels
from dataaudit.features.columns import MISSING, counted, values_of
from dataaudit.features.numeric import read_datetime, to_floats
from dataaudit.features.text import choose_units, document_frequencies
from dataaudit.options import TextUnits
from dataaudit.statistics import (
    all_in_p,
    chance_variation,
    chi_square,
    difference_interval,
    ks_distance,
    split_p,
)

QUANTILES = 10
# Levels of a categorical column that stay apart; the others form one stratum.
LEVELS = 50
OTHER = "(other)"
# Rows of each sample whose words, or coordinates, are compared.
READ_ROWS = 20_000
# Rows that must hold a term for it to be compared.
TERM_ROWS = 5
NAMED = 3
# Shares of their spread and of their size by which equal numbers may differ: 32 bits are that coarse.
TRIFLE, SINGLE = 1e-4, 2.0**-23


@dataclass(frozen=True)
class Strata:
    """One column in both samples, cut the same way."""

    train: Ints  # (n,) stratum of each row
    test: Ints  # (m,) likewise
    names: tuple[str, ...]  # of the strata

    @property
    def counts(self) -> tuple[Ints, Ints]:
        """Rows of each stratum in train and in test."""  # -> (L,), (L,)
        size = len(self.names)
        return np.bincount(self.train, minlength=size), np.bincount(self.test, minlength=size)


def numbers(series: pl.Series, dtype: pl.DataType) -> Reals:
    """Return numbers, or dates as days, with NaN where missing."""  # -> (n,)
    if series.dtype.is_temporal() or dtype.is_temporal() or _holds_dates(series):
        moments = read_datetime(series, dtype)
        if moments.dtype == pl.Time:
            return moments.to_physical().cast(pl.Float64).to_numpy() / 8.64e13
        if moments.dtype == pl.Duration:
            return moments.dt.total_milliseconds().cast(pl.Float64).to_numpy() / 8.64e7
        return moments.dt.epoch("ms").cast(pl.Float64).to_numpy() / 8.64e7
    return to_floats(series, lenient=True)[0]


def _holds_dates(series: pl.Series) -> bool:
    """Tell whether strings are ISO dates, by the first that is there."""
    first = series.drop_nulls().head(1)
    is_text = series.dtype == pl.String and len(first) > 0
    return is_text and bool(first.str.contains(r"^\d{4}-\d{2}-\d{2}").all())


def cut_numbers(train: Reals, test: Reals) -> Strata:
    """Cut numbers at the deciles of both samples together; missing values are a stratum of their own."""
    pooled = np.concatenate([train, test])
    present = pooled[~np.isnan(pooled)]
    inner = np.arange(1, QUANTILES) / QUANTILES
    edges = np.unique(np.quantile(present, inner)) if len(present) else np.empty(0)
    between = [f"{low:.6g} to {high:.6g}" for low, high in pairwise(edges)]
    names = [f"below {edges[0]:.6g}", *between, f"{edges[-1]:.6g} and above"] if len(edges) else ["present"]

    def codes(values: Reals) -> Ints:
        cut = np.searchsorted(edges, values, side="right")
        return np.where(np.isnan(values), len(names), cut).astype(np.int64)

    return Strata(codes(train), codes(test), (*names, MISSING))


def cut_levels(train: pl.Series, test: pl.Series, *, most: int | None = LEVELS) -> Strata:
    """Give every level a stratum, missing values too."""
    texts = to_levels(train, train.dtype), to_levels(test, train.dtype)
    both = pl.concat([text.alias("level") for text in texts])
    ordered = both.fill_null(MISSING).to_frame().group_by("level").len()
    ordered = ordered.sort(["len", "level"], descending=[True, False])
    kept = ordered["level"].head(most or ordered.height)
    names = tuple(kept.to_list())
    coded = both.fill_null(MISSING).cast(pl.Enum(names), strict=False).to_physical().cast(pl.Int64)
    codes = coded.fill_null(len(names)).to_numpy()
    return Strata(codes[: len(train)], codes[len(train) :], (*names, OTHER))


def compare_column(
    train: pl.DataFrame, test: pl.DataFrame, role: Role, *, text_units: TextUnits = "auto"
) -> Iterator[Comparison]:
    """Compare one column."""
    first, second = values_of(train, role.column), values_of(test, role.column)
    if role.role not in ("numeric", "datetime"):
        yield from _missing(role.column, _is_missing(first), _is_missing(second))
    match role.role:
        case "numeric" | "datetime":
            a, b = numbers(first, first.dtype), numbers(second, first.dtype)
            yield from _missing(role.column, np.isnan(a), np.isnan(b))
            a, b = a[~np.isnan(a)], b[~np.isnan(b)]
            if len(a) and len(b):
                yield _numeric(role.column, a, b)
                yield from _out_of_range(role.column, a, b, role.role)
        case "categorical" | "boolean":
            strata = cut_levels(first, second, most=None)
            yield _categorical(role.column, strata)
            yield from _unseen(role.column, strata)
        case "text":
            yield from _text(role.column, first, second, text_units)
        case "vector":
            yield from _vector(role.column, first, second)


def _is_missing(cells: pl.Series) -> NDArray[np.bool_]:
    return (cells.replace("", None) if cells.dtype == pl.String else cells).is_null().to_numpy()


def _missing(column: str, train: NDArray[np.bool_], test: NDArray[np.bool_]) -> Iterator[Comparison]:
    """Compare the shares of missing values."""
    k, n, j, m = int(train.sum()), len(train), int(test.sum()), len(test)
    if k + j == 0:
        return
    p = float(split_p(np.array([j]), np.array([k + j]), m / (n + m))[0])
    low, high = difference_interval((k, n), (j, m))
    shares = f"{percent(k / n)} of the training rows and {percent(j / m)} of the test rows"
    yield Comparison(
        column, "missing", None, value=j / m - k / n, low=low, high=high, p=p, n=j,
        found=f"“{column}” is missing in {shares}: the rates differ.",
        otherwise=f"“{column}” is missing in {shares}: no more different than by chance.",
    )  # fmt: skip


def _numeric(column: str, train: Reals, test: Reals) -> Comparison:
    """Compare the distributions of numbers."""
    distance, by_chance, p = ks_distance(train, test)
    middle = f"median {np.median(train):.4g} in train, {np.median(test):.4g} in test"
    return Comparison(
        column, "covariate", None, value=distance, low=max(0.0, distance - by_chance),
        high=min(1.0, distance + by_chance), p=p, n=len(test),
        found=f"“{column}” is distributed differently ({middle}): the distribution functions are up to "
        f"{distance:.3f} apart, {size(distance)}.",
        otherwise=f"“{column}” is distributed alike: up to {distance:.3f} apart, as by chance.",
    )  # fmt: skip


def without_rounding(train: Reals, test: Reals) -> Reals:
    """Return test values with those that differ from one of training by rounding alone put back to it."""
    both = np.concatenate([train, test])
    both, known = both[np.isfinite(both)], np.unique(train[np.isfinite(train)])
    if not len(known):
        return test
    spread = float(np.subtract(*np.quantile(both, (0.9, 0.1)))) or float(both.std())
    near = max(TRIFLE * spread, SINGLE * float(np.abs(both).max()))
    at = np.searchsorted(known, test)
    below, above = (known[np.clip(place, 0, len(known) - 1)] for place in (at - 1, at))
    nearest = np.where(test - below <= above - test, below, above)
    return np.where(np.abs(test - nearest) <= near, nearest, test)


def size(distance: float) -> str:
    """Return a distance between 0 and 1 in words."""
    words = ((0.02, "a trifle"), (0.1, "a small difference"), (0.25, "a clear difference"))
    return next((word for limit, word in words if distance < limit), "a large difference")


def _out_of_range(column: str, train: Reals, test: Reals, role: str) -> Iterator[Comparison]:
    """Count test values beyond the smallest and largest of training."""
    low, high = train.min(), train.max()
    under, over = int((test < low).sum()), int((test > high).sum())
    if under + over == 0:
        return
    # The k largest of all values lie in test; so for the smallest.
    p = 2.0 * float(all_in_p(np.array([under, over]), len(test), len(train)).min())
    shown = f" of {low:.6g} to {high:.6g}" if role == "numeric" else ""
    what = f"“{column}” lies outside the training range{shown} in {counted(under + over, 'test row')}"
    yield Comparison(
        column, "out-of-range", None, value=(under + over) / len(test), p=min(1.0, p), n=under + over,
        found=f"{what} ({under:,} below, {over:,} above): more than chance brings.",
        otherwise=f"{what}, as a random split would.",
    )  # fmt: skip


def _categorical(column: str, strata: Strata) -> Comparison:
    """Compare the distributions of levels that are there."""
    train, test = (counts.copy() for counts in strata.counts)
    if MISSING in strata.names:
        train[strata.names.index(MISSING)] = test[strata.names.index(MISSING)] = 0
    p, q = train / max(train.sum(), 1), test / max(test.sum(), 1)
    variation, p_value = float(np.abs(p - q).sum() / 2.0), chi_square(train, test)
    moved = [
        f"{strata.names[j]} from {percent(p[j])} to {percent(q[j])}"
        for j in np.argsort(-np.abs(p - q), kind="stable")[:NAMED]
        if p[j] != q[j]
    ]
    by_chance = chance_variation(train, test)
    return Comparison(
        column, "covariate", None, value=variation, p=p_value, n=int(test.sum()),
        found=f"“{column}” has other shares of levels in test ({'; '.join(moved)}): {percent(variation)} of "
        f"the rows would have to move, {size(variation)} ({percent(by_chance)} by chance).",
        otherwise=f"“{column}” has the same shares of levels up to chance ({percent(variation)} of the rows "
        f"would have to move, {percent(by_chance)} by chance).",
    )  # fmt: skip


def _unseen(column: str, strata: Strata) -> Iterator[Comparison]:
    """Count test rows with levels that training never has."""
    train, test = strata.counts
    new = np.flatnonzero((train == 0) & (test > 0))
    new = new[[strata.names[j] != MISSING for j in new]]
    if not len(new):
        return
    counts, n, m = test[new], len(strata.train), len(strata.test)
    # Either one level too frequent to be missed, or more levels than the rare ones would bring.
    single = float(all_in_p(counts, m, n).min()) * int(((train + test) > 0).sum())
    expected = float(all_in_p(np.minimum(train + test, m)[(train + test) > 0], m, n).sum())
    # The number of unseen levels varies no more than a Poisson variable.
    several = float(pdtrc(len(new) - 1, expected)) if expected > 0 else 0.0
    p = min(1.0, 2.0 * min(single, several))
    order = np.argsort(-counts, kind="stable")
    shown = ", ".join(f"{strata.names[new[j]]} ({counts[j]:,})" for j in order[:NAMED])
    rows, levels = counted(int(counts.sum()), "test row"), counted(len(new), "level")
    shown += ", …" if len(new) > NAMED else ""
    what = f"“{column}” has {levels} that training never has, in {rows}: {shown}"
    yield Comparison(
        column, "unseen", None, value=float(counts.sum()) / m, p=p, n=int(counts.sum()),
        found=f"{what}. Chance does not explain it.",
        otherwise=f"{what}. A random split brings about {expected:.3g} such levels.",
    )  # fmt: skip


def _text(column: str, train: pl.Series, test: pl.Series, asked: TextUnits) -> Iterator[Comparison]:
    """Compare the shares of rows that hold each term."""
    texts = [s.gather_every(max(1, -(-len(s) // READ_ROWS))) for s in (train, test)]
    units, _ = choose_units(pl.concat(texts), asked)
    first, second = (document_frequencies(s, units) for s in texts)
    terms = first.join(second, on="term", how="full", suffix="_test", coalesce=True).fill_null(0)
    terms = terms.filter(pl.col("rows") + pl.col("rows_test") >= TERM_ROWS).sort("term")
    if terms.is_empty():
        return
    k, j = terms["rows"].to_numpy(), terms["rows_test"].to_numpy()
    n, m = len(texts[0]), len(texts[1])
    each = split_p(j, k + j, m / (n + m))
    gap = j / m - k / n
    order = np.lexsort((-np.abs(gap), each))[:NAMED]
    shares = [f"from {percent(k[i] / n)} to {percent(j[i] / m)}" for i in order]
    moved = "; ".join(f"“{terms['term'][int(i)]}” {share}" for i, share in zip(order, shares, strict=True))
    value, terms_named = (
        float(np.abs(gap[order]).max()),
        "words" if units == "words" else "runs of characters",
    )
    yield Comparison(
        column, "covariate", None, value=value, p=min(1.0, float(each.min()) * len(each)), n=m,
        found=f"“{column}” uses other {terms_named} in test: {moved} of the rows, {size(value)}.",
        otherwise=f"“{column}” uses the same {terms_named} up to chance.",
    )  # fmt: skip


def _vector(column: str, train: pl.Series, test: pl.Series) -> Iterator[Comparison]:
    """Compare the coordinates of vectors."""
    parts = [s.drop_nulls() for s in (train, test)]
    parts = [s.gather_every(max(1, -(-len(s) * 4 // READ_ROWS))) for s in parts]
    if not all(map(len, parts)):
        return
    A, B = (np.array(s.to_list(), dtype=np.float64) for s in parts)
    A, B = A.reshape(len(A), -1), B.reshape(len(B), -1)
    each = [ks_distance(A[:, j], B[:, j]) for j in range(A.shape[1])]
    j = min(range(len(each)), key=lambda i: each[i][2])
    distance, _, p = each[j]
    yield Comparison(
        column, "covariate", None, value=distance, p=min(1.0, p * len(each)), n=len(B),
        found=f"“{column}” is distributed differently: coordinate {j + 1} is up to {distance:.3f} apart, "
        f"{size(distance)}.",
        otherwise=f"“{column}” is distributed alike up to chance.",
    )  # fmt: skip
