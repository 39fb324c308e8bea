"""Slices of the data by the user's own columns, and how far their training rows decide and harm predictions.

Slices are cut on the raw columns, whatever the encoding pools: every level of a categorical column and of a
whole-number column with few values, quantile bins (of the training rows) of the other numbers and dates,
``(missing)``, and the terms of a text. The first 400 terms by test errors are taken, and the levels that any
test row has.

For a slice S with n_S training rows, and a sample of its mispredicted test rows t,

    share(t) = Σ_{i∈S} |I_up,loss(i, t)| / Σ_i |I_up,loss(i, t)|        lift = mean share / (n_S/n)

A large lift says that a few rows of its own carry the slice. Whether they mislead is asked of all its test
rows, errors or not, or the choice of the errors would answer: with the slice's rows away the parameters move
by v = H⁻¹ Σ_{i∈S} g_i / n, and

    harm = mean_t [ℓ(s_t) - ℓ(s_t + x̃_tᵀ v)]        in nats, positive where the slice does better without

with its standard error over the test rows. Whether the labels differ is asked of the class that the errors
are predicted as: its count in training and in test (`statistics.fisher`). The order is by the harm per
training row, the test loss that each of the slice's own training rows costs: n_test/n_S times the lower end
of the harm.

Cost: one product with every row per column of the data, and 100 × min(n_S, 2000) influences per slice.
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

from dataaudit.audits.mismatch.tracing import is_few, loss_gain, move_without
from dataaudit.audits.testset import Tested
from dataaudit.data.dataset import Dataset
from dataaudit.features import Columns, Role
from dataaudit.features.categorical import to_levels
from dataaudit.features.columns import MISSING, values_of
from dataaudit.influence.influence import pair_influences
from dataaudit.statistics import Z95
from dataaudit.training.trained import Trained

# Distinct whole numbers that make a level each; bins of other numbers; terms of a text.
FEW_VALUES, BINS, TERMS = 25, 8, 400
SAMPLED_ERRORS, SAMPLED_ROWS = 100, 2000
# Errors that a slice with the usual lift is credited with: they pull the lift of one or two errors towards 1.
PRIOR_ERRORS = 2.0
# Standard errors that the harm must exceed.
HARM_ERRORS = 2.0
# Slices that are crossed with each other; test rows of a pair, at least and as a share of its slices'.
CROSSED, FEWEST_TESTS, SMALLER = 15, 10, 0.8

Rows = NDArray[np.int64]


@dataclass(frozen=True)
class Slice:
    """Rows that share a level of a column, or of two."""

    column: str
    level: str  # the level, bin, term or ``(missing)``
    train: Rows  # positions of its training rows, increasing
    test: Rows  # positions of its test rows, increasing
    second_column: str | None = None  # of a pair
    second_level: str | None = None

    @property
    def name(self) -> str:
        """The slice as people write it: ``age = [0-10)``."""
        second = "" if self.second_column is None else f" and {self.second_column} = {self.second_level}"
        return f"{self.column} = {self.level}{second}"


def cut_slices(trained: Trained, train: Dataset, tested: Tested) -> tuple[Slice, ...]:
    """Cut the rows into slices by every column in use."""
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
    """Return numbers, dates as days since 1970, and null for anything else."""
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


@dataclass(frozen=True)
class Lift:
    """Share of |influence| on a slice's errors that its own training rows carry."""

    share: float  # mean over its errors
    value: float  # over the slice's share of the training rows
    low: float  # 95 % interval over the errors, the lower end drawn towards 1 where they are few
    high: float


@dataclass(frozen=True)
class SliceScore:
    """What was measured on one slice."""

    slice: Slice  # its rows
    n_errors: int  # mispredicted test rows in it
    predicted_class: int  # the class that these errors are most often predicted as
    class_in_train: int  # its training rows with that label
    class_in_test: int  # its test rows with that label
    error_rate: float  # of its test rows
    loss: float  # mean loss of its test rows, in nats
    lift: Lift  # how far its own training rows carry its errors
    harm: float  # mean loss of its test rows that its training rows cause, in nats
    harm_error: float  # standard error of that
    fixed: int  # predicted fall of the number of errors once its training rows leave
    pair_pays: bool = False  # of a pair: whether neither of its two slices is harmful by itself

    @property
    def harm_low(self) -> float:
        """Lower end of the interval of the harm, in nats a test row."""
        return self.harm - HARM_ERRORS * self.harm_error

    @property
    def harm_per_training_row(self) -> float:
        """Test loss that each of its training rows costs its test rows, cautiously, in nats."""
        return self.harm_low * len(self.slice.test) / max(1, len(self.slice.train))

    @property
    def is_harmful(self) -> bool:
        """Whether its own training rows carry it and do it harm, beyond chance in its test rows."""
        return self.harm_low > 0 and self.lift.low > 1

    @property
    def order(self) -> tuple[bool, bool, float]:
        """What the table is sorted by, largest first: harmful slices by harm, pairs below; others by lift."""
        single = self.slice.second_column is None
        return self.is_harmful, single, self.harm_per_training_row if self.is_harmful else self.lift.low


@dataclass(frozen=True)
class SolvedErrors:
    """Influence on test errors, solved once for everything that asks."""

    rows: Rows  # (m,) positions of the test errors that were solved for
    solved: Tensor  # (p, m) H⁻¹ g_t
    total: NDArray[np.float64]  # (m,) Σ_i |I_up,loss(i, t)| over all training rows


def score_slices(
    trained: Trained, tested: Tested, slices: tuple[Slice, ...], *, solved: SolvedErrors, seed: int = 0
) -> list[SliceScore]:
    """Measure every slice."""
    if not slices:
        return []
    place = np.full(tested.n, -1, dtype=np.int64)
    place[solved.rows] = np.arange(len(solved.rows))
    moves = _moves(trained, slices)
    random = np.random.default_rng(seed)
    scores = []
    for part, move in zip(slices, moves.T, strict=True):
        solved_errors = place[part.test]
        errors = _draw(solved_errors[solved_errors >= 0], SAMPLED_ERRORS, random)
        lift = _lift(trained, part.train, errors, solved=solved, random=random)
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
    rows: Rows,
    errors: Rows,
    *,
    solved: SolvedErrors,
    random: np.random.Generator,
) -> Lift:
    """Return the lift of one slice, whose errors are places in `solved`."""
    if not len(rows) or not len(errors):
        return Lift(0.0, 0.0, 0.0, float("inf"))
    objective = trained.objective
    some = _draw(rows, SAMPLED_ROWS, random)
    block, own = objective.rows.take(torch.from_numpy(some)), solved.solved[:, torch.from_numpy(errors)]
    influence = pair_influences(objective.model, trained.fit.theta, own, block=block)  # (b, m)
    carried = influence.abs().sum(0).numpy() * (len(rows) / len(some))
    share = carried / np.maximum(solved.total[errors], 1e-300)
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
    """Put one slice's numbers together."""
    wrong = tested.wrong[part.test]
    guesses = tested.predicted[part.test[wrong]]
    predicted_class = int(np.bincount(guesses if len(guesses) else tested.predicted[part.test]).argmax())
    labels = trained.objective.rows.y.numpy()[part.train]
    gain, fixed = loss_gain(trained, tested, part.test, move=move)
    if gain.mean() > 0 and is_few(trained, part.train):
        gain, fixed = loss_gain(trained, tested, part.test, move=move_without(trained, part.train))
    spread = (float(gain.var()) * len(gain) + PRIOR_ERRORS * float(np.abs(gain).max()) ** 2) / (
        len(gain) + PRIOR_ERRORS
    )
    return SliceScore(
        slice=part,
        n_errors=int(wrong.sum()),
        predicted_class=predicted_class,
        class_in_train=int((labels == predicted_class).sum()),
        class_in_test=int((tested.y[part.test] == predicted_class).sum()),
        error_rate=float(wrong.mean()),
        loss=float(tested.loss[part.test].mean()),
        lift=lift,
        harm=float(gain.mean()),
        harm_error=float(np.sqrt(spread / len(gain))),
        fixed=fixed,
    )


def _draw(rows: Rows, most: int, random: np.random.Generator) -> Rows:
    """Return at most so many rows, in order."""
    return rows if len(rows) <= most else np.sort(random.choice(rows, most, replace=False))


def score_pairs(
    trained: Trained, tested: Tested, scores: list[SliceScore], *, solved: SolvedErrors, seed: int = 0
) -> list[SliceScore]:
    """Cross the slices at the top with those of other columns, and measure what has enough rows."""
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
                alone.append(not (one.is_harmful or two.is_harmful))
    measured = score_slices(trained, tested, tuple(pairs), solved=solved, seed=seed)
    return [replace(score, pair_pays=pays) for score, pays in zip(measured, alone, strict=True)]
