"""From encoded columns to one design matrix: scaling, cubic splines, RBF features.

A logistic model on standardised columns is too weak to tell wrong labels from hard rows; on a richer
basis it is not, and stays convex with exact influence. For a numeric column with value v the basis holds

    standard   (v - mean)/sd          rank   Φ⁻¹(mid-rank of v among the training values)
    spline     cubic B-splines of the scaled value on knots at its quartiles, constant beyond the ends
    RBF        k(z, S) K_SS^(-1/2)    with k(z, s) = exp(-γ‖z - s‖²) and S up to 500 training rows

The last is the Nyström approximation of a kernel (`dataaudit.features.rbf`). z holds the scaled numeric
columns, the vectors, and the one-hot levels of columns with few levels. Its width is given as γ·d, where
d is the total variance of z: one per standardised column, less for rare levels, so that a width means the
same for tables of numbers and of categories. Distances may be measured in a metric that is learned from
the labels.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array, hstack
from scipy.special import ndtri

from dataaudit.errors import EncodeError, SettingError
from dataaudit.features.columns import AnyColumns, Columns, Feature
from dataaudit.features.rbf import Kernel, draw_landmarks, fit_kernel, learn_metric

Array = NDArray[np.float64]

KNOTS = (0.0, 0.25, 0.5, 0.75, 1.0)
# Columns with more levels stay out of the kernel: each of their levels is too rare to measure by.
KERNEL_LEVELS = 20
# Points of a rank transform that are kept; exact for columns with fewer distinct values.
RANK_POINTS = 4096
# X is kept sparse where it would hold fewer values than this share.
SPARSE_SHARE = 0.15
BLOCK_ROWS = 4096
# A metric has few parameters: this many rows teach it, at a sixth of the cost of all.
METRIC_ROWS, METRIC_LANDMARKS = 2500, 200


@dataclass(frozen=True, slots=True)
class BasisSettings:
    """Which basis."""

    scaling: Literal["standard", "rank"] = "standard"  # how numeric columns are scaled
    spline: bool = False  # add cubic splines of every numeric column
    rbf_width: float | None = None  # γ·d of the RBF features; None for none
    metric: Literal["plain", "scaled", "turned"] = "plain"  # of the RBF: columns scaled, or directions turned
    matched: bool = False  # with an RBF, numbers in all vary by 1, as much as its features can
    landmarks: int = 500  # most training rows that the RBF features are measured from
    seed: int = 0

    def __post_init__(self) -> None:
        """Check the values."""
        if self.scaling not in ("standard", "rank"):
            raise SettingError(f"scaling is unknown: got {self.scaling!r}", 'use "standard" or "rank"')
        if self.metric not in ("plain", "scaled", "turned"):
            raise SettingError(f"metric is unknown: got {self.metric!r}", 'use "plain", "scaled" or "turned"')
        if self.rbf_width is not None and not 0 < self.rbf_width < float("inf"):
            raise SettingError(f"rbf_width must be above 0: got {self.rbf_width}", "use about 1")
        if self.landmarks < 1:
            raise SettingError(f"landmarks must be 1 or more: got {self.landmarks}", "use a few hundred")


@dataclass(frozen=True)
class Curve:
    """A monotone piecewise linear map of one column, constant beyond its ends."""

    at: Array
    to: Array

    def __call__(self, values: Array) -> Array:
        """Return the image of each value."""  # (b,) -> (b,)
        return np.interp(values, self.at, self.to)


@dataclass(frozen=True)
class Basis:
    """A fitted basis; a value that can be pickled."""

    settings: BasisSettings
    mean: Array  # (dn,) of the numeric columns; used by "standard"
    sd: Array  # (dn,) of the numeric columns; used by "standard"
    curves: tuple[Curve, ...]  # rank transforms of the numeric columns; used by "rank"
    knots: tuple[Array, ...]  # of every numeric column; empty where it has too few distinct values
    kernel: Kernel | None
    kernel_levels: NDArray[np.int64]  # levels that take part in the kernel
    columns: tuple[Feature, ...]  # features of the encoded columns, in their order
    name: str
    share: float = 1.0  # what numbers, vectors and splines are multiplied by

    @cached_property
    def features(self) -> tuple[Feature, ...]:
        """One per column of the design matrix: encoded columns, then splines, then RBF features."""
        rank = self.settings.scaling == "rank"
        d = len(self.mean)
        scales = (np.ones(d) if rank else self.sd) / self.share
        numeric = [replace(f, scale=f.scale * float(s)) for f, s in zip(self.columns, scales, strict=False)]
        splines = [
            Feature(f"{f.name} (spline {i + 1})", f.column, str(i + 1), "spline")
            for f, knots in zip(self.columns, self.knots, strict=False)
            for i in range(_width(knots))
        ]
        r = self.kernel.root.shape[1] if self.kernel else 0
        rbf = [Feature(f"RBF {i + 1}", "(all columns)", str(i + 1), "rbf") for i in range(r)]
        return (*numeric, *self.columns[d:], *splines, *rbf)

    def transform(self, columns: Columns) -> Array | csr_array:
        """Make the design matrix, sparse where few values are not zero."""  # -> (n, d)
        if columns.features != self.columns:
            what = f"the encoded columns differ: got {len(columns.features)}, fitted on {len(self.columns)}"
            raise EncodeError(what, "encode both with the same encoding")
        if self._sparse_pays(columns):
            Z = self._scaled(columns.numeric)
            parts = [Z, columns.vectors, columns.levels, columns.terms, self._splines(Z)]
            return csr_array(hstack([csr_array(part) for part in parts], format="csr"))
        X = np.empty((columns.n, len(self.features)))
        for start in range(0, columns.n, BLOCK_ROWS):
            X[start : start + BLOCK_ROWS] = self._dense(columns, slice(start, start + BLOCK_ROWS))
        return X

    def _dense(self, columns: Columns, rows: slice) -> Array:
        before, after = self.sides(columns, rows)
        return np.hstack([before, columns.levels[rows].toarray(), columns.terms[rows].toarray(), after])

    def sides(self, columns: Columns, rows: slice) -> tuple[Array, Array]:
        """Return the features of some rows before the levels, and those after the terms."""
        Z, vectors = self._scaled(columns.numeric[rows]), columns.vectors[rows]
        after = [self.share * self._splines(Z)]
        if self.kernel:
            levels = columns.levels[rows][:, self.kernel_levels].toarray()
            after.append(self.kernel(np.hstack([Z, vectors, levels])))
        return np.hstack([self.share * Z, self.share * vectors]), np.hstack(after)

    def _sparse_pays(self, columns: Columns) -> bool:
        """Return whether few values of X are not zero; RBF features have no zeros."""
        if self.kernel or columns.terms.shape[1] + columns.levels.shape[1] == 0:
            return False
        full = columns.numeric.shape[1] + columns.vectors.shape[1] + sum(map(_width, self.knots))
        filled = columns.n * full + columns.levels.nnz + columns.terms.nnz
        return bool(filled < SPARSE_SHARE * columns.n * len(self.features))

    def _scaled(self, numeric: Array) -> Array:
        if self.settings.scaling == "standard":
            return (numeric - self.mean) / self.sd
        return _stack([curve(numeric[:, j]) for j, curve in enumerate(self.curves)], len(numeric))

    def _splines(self, Z: Array) -> Array:
        parts = [_spline(Z[:, j], knots) for j, knots in enumerate(self.knots) if _width(knots)]
        return np.hstack(parts) if parts else np.empty((len(Z), 0))


def fit_basis(
    columns: AnyColumns,
    settings: BasisSettings,
    *,
    targets: Callable[[NDArray[np.int64]], Array] | None = None,  # indicators of the classes of rows, (m, K)
) -> Basis:
    """Learn scales, knots and landmarks, and a metric from the labels if asked."""
    learned = [_of_number(columns.number(j), settings) for j in range(len(columns.numeric_features))]
    mean, sd = (
        np.array([getattr(one, name) for one in learned], dtype=np.float64) for name in ("mean", "sd")
    )
    basis = Basis(
        settings,
        mean,
        sd,
        tuple(one.curve for one in learned if one.curve is not None),
        tuple(one.knots for one in learned),
        None,
        np.empty(0, dtype=np.int64),
        columns.features,
        "",
    )
    if settings.rbf_width is not None:
        basis = replace(basis, kernel_levels=_few_levels(columns.level_features))
        basis = replace(basis, kernel=_kernel(columns, basis, targets))
    name = _name(columns, settings, splines=any(map(_width, basis.knots)), kernel=basis.kernel)
    basis = replace(basis, name=name)
    return replace(basis, share=_share(basis, columns)) if settings.matched and basis.kernel else basis


class _Number(NamedTuple):
    """What is learned of one numeric feature."""

    mean: float
    sd: float
    curve: Curve | None
    knots: Array


def _of_number(values: Array, settings: BasisSettings) -> _Number:
    mean, sd = float(values.mean()), float(values.std())
    # A column that is constant up to rounding must not be blown up to noise.
    sd = sd if sd > 1e-12 * max(1.0, abs(mean)) else 1.0
    curve = _rank_curve(values) if settings.scaling == "rank" else None
    if not settings.spline:
        return _Number(mean, sd, curve, np.empty(0))
    scaled = curve(values) if curve else (values - mean) / sd
    return _Number(mean, sd, curve, np.unique(np.quantile(scaled, KNOTS)))


def _share(basis: Basis, columns: AnyColumns) -> float:
    """Return what makes the variances of numbers, vectors and splines sum up to 1."""

    def dense(part: Columns) -> Array:
        Z = basis._scaled(part.numeric)  # noqa: SLF001 - the same class, half-way
        return np.hstack([Z, part.vectors, basis._splines(Z)])  # noqa: SLF001 - as above

    varied = variance(columns, dense)
    return float(varied**-0.5) if varied > 0.0 else 1.0


def variance(columns: AnyColumns, values: Callable[[Columns], Array]) -> float:
    """Return the sum of the variances of what is made of rows, all of them in one or more blocks."""
    n, mean, squares = 0, np.zeros(0), np.zeros(0)
    for part in columns.blocks():
        made = values(part)
        m, own = len(made), made.mean(0)
        if not n:
            n, mean, squares = m, own, m * made.var(0)
            continue
        apart = own - mean  # Chan, Golub & LeVeque 1983
        squares += m * made.var(0) + apart**2 * (n * m / (n + m))
        n, mean = n + m, mean + apart * (m / (n + m))
    return float(squares.sum() / max(n, 1))


def _kernel(
    columns: AnyColumns, basis: Basis, targets: Callable[[NDArray[np.int64]], Array] | None
) -> Kernel | None:
    """Fit the RBF features, in the metric that is asked for."""
    settings, n = basis.settings, columns.n
    width, size, seed = settings.rbf_width or 1.0, settings.landmarks, settings.seed

    def inputs(part: Columns) -> Array:
        levels = part.levels[:, basis.kernel_levels].toarray()
        return np.hstack([basis._scaled(part.numeric), part.vectors, levels])  # noqa: SLF001 - as above

    landmarks = inputs(columns.take(draw_landmarks(n, size, seed)))
    plain = fit_kernel(landmarks, variance(columns, inputs), width)
    if plain is None or targets is None or settings.metric == "plain":
        return plain
    some = np.sort(np.random.default_rng(seed).permutation(n)[:METRIC_ROWS])
    few = inputs(columns.take(some))
    drawn = few[draw_landmarks(len(few), min(size, METRIC_LANDMARKS), seed)]
    first, full = fit_kernel(drawn, float(few.var(0).sum()), width), settings.metric == "turned"
    metric = learn_metric(few, targets(some), first, full=full) if first else None
    if metric is None:
        return plain
    return fit_kernel(landmarks, variance(columns, lambda part: inputs(part) @ metric), width, metric=metric)


def _few_levels(features: tuple[Feature, ...]) -> NDArray[np.int64]:
    """Return the positions of levels whose column has few of them."""
    counts = Counter(f.column for f in features)
    few = [j for j, f in enumerate(features) if counts[f.column] <= KERNEL_LEVELS]
    return np.array(few, dtype=np.int64)


def _rank_curve(values: Array) -> Curve:
    """Return the map from a value to the normal score of its mid-rank."""
    at, counts = np.unique(values, return_counts=True)
    to = ndtri((np.cumsum(counts) - counts / 2) / len(values))
    if len(at) > RANK_POINTS:
        kept = np.unique(np.linspace(0, len(at) - 1, RANK_POINTS).astype(np.int64))
        at, to = at[kept], to[kept]
    return Curve(at, to)


def _width(knots: Array) -> int:
    """Return how many splines a column with these knots has: intervals + 3, less one for the intercept."""
    return len(knots) + 1 if len(knots) > 2 else 0  # noqa: PLR2004 - two intervals at the least


def _spline(values: Array, knots: Array) -> Array:
    """Return cubic B-splines but the last, which the intercept makes up for."""  # (b,) -> (b, s)
    from scipy.interpolate import BSpline  # noqa: PLC0415 - half a second that text does not need

    ends = np.r_[[knots[0]] * 3, knots, [knots[-1]] * 3]
    design = BSpline.design_matrix(np.clip(values, knots[0], knots[-1]), ends, 3)
    return np.asarray(design.toarray())[:, :-1]


def _stack(parts: list[Array], n: int) -> Array:
    return np.column_stack(parts) if parts else np.empty((n, 0))


def _name(columns: AnyColumns, settings: BasisSettings, *, splines: bool, kernel: Kernel | None) -> str:
    """Return the basis in words."""
    scaled = {"standard": "standardised", "rank": "rank-to-normal"}[settings.scaling]
    metric = "" if kernel is None or kernel.metric is None else f" ({settings.metric} metric)"
    parts = (
        (bool(columns.numeric_features), f"{scaled} numbers"),
        (bool(columns.vector_features), "vectors"),
        (bool(columns.level_features), "levels"),
        (bool(columns.term_features), "terms"),
        (splines, "cubic splines"),
        (kernel is not None, f"RBF of width {settings.rbf_width}{metric}"),
    )
    return " + ".join(text for used, text in parts if used)
