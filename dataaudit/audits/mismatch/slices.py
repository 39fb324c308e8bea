"""How far a slice's own training rows decide, and spoil, the predictions of its test rows.

For a slice S with n_S training rows, and a sample of its mispredicted test rows t,

    share(t) = Σ_{i∈S} |I_up,loss(i, t)| / Σ_i |I_up,loss(i, t)|        lift = mean share / (n_S/n)

A large lift says that a few rows of its own carry the slice. Whether they mislead is asked of all its test
rows, errors or not, or the choice of the errors would answer: with the slice's rows away the parameters move
by v = H⁻¹ Σ_{i∈S} g_i / n, and

    harm = mean_t [ℓ(s_t) - ℓ(s_t + x̃_tᵀ v)]        in nats, positive where the slice does better without

with its standard error over the test rows. Whether the labels differ is asked of the class that the errors
are drawn to: its count in training and in test, see `counts`. The order is by the toll, the test loss that
each of the slice's own training rows costs: n_test/n_S times the lower end of the harm.

Cost: one product with every row per column of the data, and 100 × min(n_S, 2000) influences per slice.

Slices of the data by the user's own columns: which training and test rows share a level, a bin or a word.

Slices are cut on the raw columns, whatever the encoding pools: every level of a categorical column and of a
whole-number column with few values, quantile bins (of the training rows) of the other numbers and dates,
``(missing)``, and the terms of a text. The first 400 terms by test errors are taken, and the levels that any
test row has.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray
from torch import Tensor

from dataaudit.audits.mismatch.tracing import is_few, loss_without, move_without
from dataaudit.audits.testset import Tested
from dataaudit.data import Dataset
from dataaudit.features import Columns, Role
from dataaudit.features.categorical import to_levels
from dataaudit.features.columns import MISSING, values_of
from dataaudit.influence.influence import pair_influences
from dataaudit.statistics import Z95
from dataaudit.training.trained import Trained

FEW_VALUES = 25
BINS = 8
TERMS = 400

Rows = NDArray[np.int64]


@dataclass(frozen=True)
class Slice:
    """Rows that share a level of a column, or of two.

    Attributes
    ----------
    column, level : str
        The source column, and the level, bin, term or ``(missing)``.
    train, test : ndarray of int64
        Positions of its rows, increasing.
    second_column, second_level : str or None
        Of a pair.
    """

    column: str
    level: str
    train: Rows
    test: Rows
    second_column: str | None = None
    second_level: str | None = None

    @property
    def name(self) -> str:
        """The slice as people write it: ``age = [0-10)``."""
        second = "" if self.second_column is None else f" and {self.second_column} = {self.second_level}"
        return f"{self.column} = {self.level}{second}"


def cut_slices(trained: Trained, train: Dataset, tested: Tested) -> tuple[Slice, ...]:
    """Cut the rows into slices by every column in use.

    Parameters
    ----------
    trained : Trained
        Gives the roles of the columns and the terms of texts.
    train : Dataset
        n training rows.
    tested : Tested
        Test rows.

    Returns
    -------
    tuple of Slice
        Column by column; only those that hold a test row.
    """
    slices: list[Slice] = []
    for role in trained.roles:
        if role.role in ("left out", "vector"):
            continue
        if role.role == "text":
            slices.extend(_term_slices(trained, tested, role.column))
            continue
        known, new = values_of(train.frame, role.column), values_of(tested.dataset.frame, role.column)
        texts, others = _as_levels(known, new, role)
        slices.extend(_level_slices(role.column, texts, others))
    return tuple(slices)


def cross(first: Slice, second: Slice) -> Slice:
    """Return the rows that two slices of different columns share."""
    return Slice(
        first.column,
        first.level,
        np.intersect1d(first.train, second.train, assume_unique=True),
        np.intersect1d(first.test, second.test, assume_unique=True),
        second.column,
        second.level,
    )


def _as_levels(known: pl.Series, new: pl.Series, role: Role) -> tuple[pl.Series, pl.Series]:
    """Return the level of every training and every test row as text."""
    if role.role == "categorical" or (role.role == "boolean" and not known.dtype.is_float()):
        return _texts(known), _texts(new)
    a, b = _numbers(known), _numbers(new)
    distinct = a.drop_nulls().n_unique()
    if distinct <= FEW_VALUES and (a.drop_nulls() % 1 == 0).all():
        return _whole_texts(a), _whole_texts(b)
    edges = np.unique(np.quantile(a.drop_nulls().to_numpy(), np.linspace(0, 1, BINS + 1)[1:-1]))
    dates = known.dtype if known.dtype.is_temporal() else None
    names = _bin_names(edges, dates)
    return _binned(a, edges, names), _binned(b, edges, names)


def _texts(series: pl.Series) -> pl.Series:
    return to_levels(series, series.dtype).fill_null(MISSING)


def _whole_texts(values: pl.Series) -> pl.Series:
    text = values.cast(pl.Int64, strict=False).cast(pl.String)
    return text.fill_null(MISSING)


def _numbers(series: pl.Series) -> pl.Series:
    """Return numbers, dates as days since 1970, and null where there is none."""
    if series.dtype.is_temporal():
        return series.to_physical().cast(pl.Float64)
    if series.dtype == pl.String:
        series = series.str.strip_chars()
    values = series.cast(pl.Float64, strict=False)
    return values.set(~values.is_finite().fill_null(value=True), None)


def _bin_names(edges: NDArray[np.float64], dates: pl.DataType | None) -> list[str]:
    """Return one name per bin: below the first edge, between edges, from the last edge on."""
    if dates is None:
        shown = [f"{edge:.6g}" for edge in edges]
    else:
        physical = pl.Int32() if dates == pl.Date else pl.Int64()
        shown = pl.Series(edges).cast(physical).cast(dates).cast(pl.String).to_list()
    between = [f"[{low}, {high})" for low, high in pairwise(shown)]
    return [f"< {shown[0]}", *between, f"≥ {shown[-1]}"]


def _binned(values: pl.Series, edges: NDArray[np.float64], names: list[str]) -> pl.Series:
    filled = values.fill_null(float("nan")).to_numpy()
    codes = np.searchsorted(edges, filled, side="right")
    text = pl.Series(np.array(names, dtype=object)[np.minimum(codes, len(names) - 1)], dtype=pl.String)
    return text.set(values.is_null(), MISSING)


def _level_slices(column: str, known: pl.Series, new: pl.Series) -> Iterator[Slice]:
    """Yield one slice for each level that a test row has, in the order of the alphabet."""
    levels = new.unique().sort()
    kind = pl.Enum(levels)
    train, test = _grouped(known.cast(kind, strict=False), len(levels)), _grouped(new.cast(kind), len(levels))
    for name, train_rows, test_rows in zip(levels.to_list(), train, test, strict=True):
        yield Slice(column, name, train_rows, test_rows)


def _grouped(levels: pl.Series, count: int) -> list[Rows]:
    """Return the rows of every level; null belongs to none."""
    codes = levels.to_physical().cast(pl.Int64).fill_null(count).to_numpy()
    order = np.argsort(codes, kind="stable")
    ends = np.searchsorted(codes[order], np.arange(count + 1))
    return [order[start:end] for start, end in pairwise(ends)]


def _term_slices(trained: Trained, tested: Tested, column: str) -> Iterator[Slice]:
    """Yield one slice for each of the terms that most test errors contain."""
    encoded = trained.encoded
    if encoded is None:
        return
    names = [f.level or f.name for f in encoded.columns.term_features]
    mine = np.flatnonzero([f.column == column for f in encoded.columns.term_features])
    counts = np.bincount(tested.columns.terms[np.flatnonzero(tested.wrong)].indices, minlength=len(names))
    ordered = mine[np.argsort(-counts[mine], kind="stable")][:TERMS]
    train, test = _occurrences(encoded.columns, ordered), _occurrences(tested.columns, ordered)
    for j, train_rows, test_rows in zip(ordered.tolist(), train, test, strict=True):
        if len(test_rows):
            yield Slice(column, names[j], train_rows, test_rows)


def _occurrences(columns: Columns, terms: Rows) -> list[Rows]:
    """Return the rows in which each term occurs."""
    by_column = columns.terms[:, terms].tocsc()
    by_column.sort_indices()
    return [by_column.indices[a:b].astype(np.int64) for a, b in pairwise(by_column.indptr)]


SAMPLED_ERRORS, SAMPLED_ROWS = 100, 2000
# Errors that a slice with the usual lift is credited with: they pull the lift of one or two errors towards 1.
PRIOR_ERRORS = 2.0
# Standard errors that the harm must exceed.
HARM_ERRORS = 2.0
# Slices that are crossed with each other; test rows of a pair, at least and as a share of its slices'.
CROSSED, FEWEST_TESTS, SMALLER = 15, 10, 0.8


@dataclass(frozen=True)
class Lift:
    """Share of |influence| on a slice's errors that its own training rows carry.

    Attributes
    ----------
    share : float
        Mean over its errors.
    value : float
        Over the slice's share of the training rows.
    low, high : float
        95 % interval of `value` over the errors, the lower end drawn towards 1 where they are few.
    """

    share: float
    value: float
    low: float
    high: float


@dataclass(frozen=True)
class SliceScore:
    """What was measured on one slice.

    Attributes
    ----------
    slice : Slice
        Its rows.
    n_errors : int
        Mispredicted test rows in it.
    drawn_to : int
        The class that these errors are most often predicted as.
    drawn_train, drawn_test : int
        Training and test rows of the slice whose label that class is.
    error_rate, loss : float
        Of its test rows; the loss in nats.
    lift : Lift
        How far its own training rows carry its errors.
    harm, harm_error : float
        Mean loss of its test rows that its training rows cause, in nats, and its standard error.
    fixed : int
        Predicted fall of the number of errors once its training rows leave.
    pair_pays : bool
        Of a pair: whether neither of its two slices is spoilt by itself.
    """

    slice: Slice
    n_errors: int
    drawn_to: int
    drawn_train: int
    drawn_test: int
    error_rate: float
    loss: float
    lift: Lift
    harm: float
    harm_error: float
    fixed: int
    pair_pays: bool = False

    @property
    def harm_low(self) -> float:
        """Lower end of the interval of the harm, in nats a test row."""
        return self.harm - HARM_ERRORS * self.harm_error

    @property
    def toll(self) -> float:
        """Test loss that each of its training rows costs its test rows, cautiously, in nats."""
        return self.harm_low * len(self.slice.test) / max(1, len(self.slice.train))

    @property
    def spoilt(self) -> bool:
        """Whether its own training rows carry it and do it harm, beyond chance in its test rows."""
        return self.harm_low > 0 and self.lift.low > 1

    @property
    def order(self) -> tuple[bool, bool, float]:
        """What the table is sorted by, largest first: spoilt slices by toll, pairs below; others by lift."""
        single = self.slice.second_column is None
        return self.spoilt, single, self.toll if self.spoilt else self.lift.low


@dataclass(frozen=True)
class Carried:
    """Influence on test errors, solved once for everything that asks.

    Attributes
    ----------
    rows : ndarray (m,) int64
        Positions of the test errors that were solved for.
    solved : Tensor (p, m)
        H⁻¹ g_t.
    total : ndarray (m,)
        Σ_i |I_up,loss(i, t)| over all training rows.
    """

    rows: NDArray[np.int64]
    solved: Tensor
    total: NDArray[np.float64]


def score_slices(
    trained: Trained, tested: Tested, slices: tuple[Slice, ...], *, carried: Carried, seed: int = 0
) -> list[SliceScore]:
    """Measure every slice.

    Parameters
    ----------
    trained : Trained
        The model.
    tested : Tested
        Test rows and predictions.
    slices : tuple of Slice
        What to measure.
    carried : Carried
        Solved errors.
    seed : int
        Draws errors and rows of large slices.

    Returns
    -------
    list of SliceScore
        In the order of `slices`.
    """
    if not slices:
        return []
    place = np.full(tested.n, -1, dtype=np.int64)
    place[carried.rows] = np.arange(len(carried.rows))
    moves = _moves(trained, slices)
    random = np.random.default_rng(seed)
    scores = []
    for part, move in zip(slices, moves.T, strict=True):
        solved_errors = place[part.test]
        errors = _draw(solved_errors[solved_errors >= 0], SAMPLED_ERRORS, random)
        lift = _lift(trained, part.train, errors, carried=carried, random=random)
        scores.append(_score(trained, tested, part, move=move, lift=lift))
    return scores


def _moves(trained: Trained, slices: tuple[Slice, ...]) -> Tensor:
    """Return how θ moves when each slice's training rows leave, to first order."""  # -> (p, slices)
    objective, theta = trained.objective, trained.fit.theta
    columns = []
    for part in slices:
        block = objective.rows.take(torch.from_numpy(part.train))
        columns.append(objective.model.gradient(theta, block))
    return trained.prepared.for_groups(torch.stack(columns, dim=1)) / objective.rows.n


def _lift(
    trained: Trained,
    rows: NDArray[np.int64],
    errors: NDArray[np.int64],
    *,
    carried: Carried,
    random: np.random.Generator,
) -> Lift:
    """Return the lift of one slice, whose errors are places in `carried`."""
    if not len(rows) or not len(errors):
        return Lift(0.0, 0.0, 0.0, float("inf"))
    objective = trained.objective
    some = _draw(rows, SAMPLED_ROWS, random)
    block, solved = objective.rows.take(torch.from_numpy(some)), carried.solved[:, torch.from_numpy(errors)]
    influence = pair_influences(objective.model, trained.fit.theta, solved, block=block)  # (b, m)
    own = influence.abs().sum(0).numpy() * (len(rows) / len(some))
    share = own / np.maximum(carried.total[errors], 1e-300)
    base = len(rows) / objective.rows.n
    logs = np.log(np.maximum(share / base, 1e-12))
    mean = float(np.log(max(share.mean() / base, 1e-12)))
    # Errors of one slice are alike, but one error is an anecdote: spread of at least a factor e, and a prior.
    m = len(logs)
    weight = m / (m + PRIOR_ERRORS)
    spread = Z95 * float(np.sqrt((float(logs.var()) * m + PRIOR_ERRORS) / (m + PRIOR_ERRORS) / m))
    low, high = float(np.exp(weight * mean - spread)), float(np.exp(mean + spread))
    return Lift(float(share.mean()), float(np.exp(mean)), low, high)


def _score(trained: Trained, tested: Tested, part: Slice, *, move: Tensor, lift: Lift) -> SliceScore:
    """Put one slice's numbers together, but for the tests on its counts."""
    wrong = tested.wrong[part.test]
    guesses = tested.predicted[part.test[wrong]]
    drawn_to = int(np.bincount(guesses if len(guesses) else tested.predicted[part.test]).argmax())
    labels = trained.objective.rows.y.numpy()[part.train]
    gain, fixed = loss_without(trained, tested, part.test, move=move)
    if gain.mean() > 0 and is_few(trained, part.train):
        gain, fixed = loss_without(trained, tested, part.test, move=move_without(trained, part.train))
    spread = (float(gain.var()) * len(gain) + PRIOR_ERRORS * float(np.abs(gain).max()) ** 2) / (
        len(gain) + PRIOR_ERRORS
    )
    return SliceScore(
        slice=part,
        n_errors=int(wrong.sum()),
        drawn_to=drawn_to,
        drawn_train=int((labels == drawn_to).sum()),
        drawn_test=int((tested.y[part.test] == drawn_to).sum()),
        error_rate=float(wrong.mean()),
        loss=float(tested.loss[part.test].mean()),
        lift=lift,
        harm=float(gain.mean()),
        harm_error=float(np.sqrt(spread / len(gain))),
        fixed=fixed,
    )


def _draw(rows: NDArray[np.int64], most: int, random: np.random.Generator) -> NDArray[np.int64]:
    """Return at most so many rows, in order."""
    return rows if len(rows) <= most else np.sort(random.choice(rows, most, replace=False))


def score_pairs(
    trained: Trained, tested: Tested, scores: list[SliceScore], *, carried: Carried, seed: int = 0
) -> list[SliceScore]:
    """Cross the slices at the top with those of other columns, and measure what has enough rows.

    Parameters
    ----------
    trained : Trained
        The model.
    tested : Tested
        Test rows and predictions.
    scores : list of SliceScore
        Single slices.
    carried : Carried
        Solved errors.
    seed : int
        Draws errors and rows of large slices.

    Returns
    -------
    list of SliceScore
        Pairs that are smaller than both of their slices by a fifth.
    """
    top = sorted(scores, key=lambda s: s.order, reverse=True)[:CROSSED]
    pairs, alone = [], []
    for i, one in enumerate(top):
        for two in top[i + 1 :]:
            if one.slice.column == two.slice.column:
                continue
            pair = cross(one.slice, two.slice)
            most = SMALLER * min(len(one.slice.test), len(two.slice.test))
            if len(pair.train) and FEWEST_TESTS <= len(pair.test) <= most:
                pairs.append(pair)
                alone.append(not (one.spoilt or two.spoilt))
    measured = score_slices(trained, tested, tuple(pairs), carried=carried, seed=seed)
    return [replace(score, pair_pays=pays) for score, pays in zip(measured, alone, strict=True)]
