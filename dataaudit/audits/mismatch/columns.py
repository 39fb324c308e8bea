"""Suspects that are columns: moved, broken or exchanged in test, or without their meaning there.

Two screens. *Moved*: the distribution differs, over all rows and within a class (a class rate moves every
column; a broken column moves within the classes too). *Dead*: what the column adds to the scores says less of
the labels in test than it does of left-out training rows, though its distribution may be the same. With the
contribution c_i of a column to the scores s_i, the test loss along s_i + α c_i has the slope Σ r_i'c_i at 0,
made orthogonal to offsets of the classes and to a common factor of all scores (the efficient score).

For each column that a screen lets through, what may have happened is guessed from its cells (`numbers`,
`levels`, `texts`), every guess undone and the losses compared on some of the rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import combinations, permutations
from typing import Any, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.special import chdtrc

from dataaudit.audits.mismatch.causes.association import Association, associations
from dataaudit.audits.mismatch.causes.fixes import (
    NAME,
    Guess,
    LeaveOut,
    Rewrite,
    levels_of,
    listed,
    numbers_of,
    quoted,
)
from dataaudit.audits.mismatch.causes.levels import level_guesses
from dataaudit.audits.mismatch.causes.numbers import number_guesses
from dataaudit.audits.mismatch.causes.sides import POINTS, LevelSides, NumberSides
from dataaudit.audits.mismatch.causes.texts import TextSides, text_guesses, texts_of
from dataaudit.audits.mismatch.causes.vectors import vector_guesses
from dataaudit.audits.mismatch.suspects import Fix, Suspect
from dataaudit.audits.mismatch.world import World
from dataaudit.audits.shift.comparison import ALPHA, percent
from dataaudit.audits.shift.covariates import cut_levels, cut_numbers
from dataaudit.audits.testset import Pair, Tested
from dataaudit.errors import EncodeError
from dataaudit.features import Role
from dataaudit.features.text import TextEncoder
from dataaudit.options.progress import portion, ticking
from dataaudit.statistics import chi_square, ks_distance, normal_p, split_p

Reals = NDArray[np.float64]
NUMBERS: Final = ("numeric", "datetime")
LEVELS: Final = ("categorical", "boolean")
TRIED: Final = 2000  # test rows that guesses are tried on
FEW: Final = 12  # different numbers up to which they may be names
DEAD: Final = 5  # columns that say less, at most
BROKEN: Final = ("stuck", "missing")  # causes that leave a column without information
TIED: Final = 2.0  # standard errors by which an exchange must help
SURE: Final = 3.0  # standard errors by which moving cells to other rows must help
GIVEN: Final = 0.2  # share of the errors of no knowledge that a leak leaves, at most
WEAKER: Final = -0.3  # strength from which on a column says less
PAIR: Final = 2
CLOSER: Final = 0.5  # how much nearer a column of test is to the one that it may be, at least


@dataclass(frozen=True)
class Screened:
    """A column in use that may be broken or moved."""

    role: Role
    p: float  # that its distributions are alike, in all rows or in all classes; corrected
    less: Association  # what it says of the labels
    p_less: float  # that it says as much of them as in training; corrected

    @property
    def column(self) -> str:
        """Its name."""
        return self.role.column

    @property
    def moved(self) -> bool:
        """Whether its distribution differs."""
        return self.p < ALPHA

    @property
    def dead(self) -> bool:
        """Whether it says less of the labels."""
        return self.p_less < ALPHA and self.less.strength < WEAKER


def column_suspects(pair: Pair, tested: Tested, *, world: World) -> list[Suspect]:
    """Return the columns that may be broken or moved in test, and those that may be exchanged."""
    used = [role for role in world.trained.roles if role.role != "left out"]
    some = _drawn_rows(world)
    with portion(0, 2 + DEAD):
        moved = [one for one in _screen(world, used, tested) if one.moved]
    tried = _exchanges(world.some(some), moved)
    with portion(1, 2 + DEAD):
        for look in ticking(moved):
            tried.append(_tried(world.some(some), look, _guesses(world.some(some), look.role)))
    # A column that is broken makes others say less: what is left once the worst is fixed is theirs.
    worst = max(tried, key=lambda one: one.gain, default=None)
    if worst is not None and worst.gain > 0:
        fixes = worst.suspect.fixes
        world = fixes[-1 if worst.suspect.cause in BROKEN else 0].apply(world, exact=False)
    known = {name for one in tried for name in one.suspect.columns}
    for done in range(DEAD):
        with portion(2 + done, 2 + DEAD):
            rest = _screen(world, [role for role in used if role.column not in known], tested)
        one = max((look for look in rest if look.dead), key=lambda look: look.less.z, default=None)
        if one is None or len(used) == 1:  # a model of no column is no fix
            break
        small = world.some(some)
        tried.append(_tried(small, one, [*_unmoved(small, one.role), *_rows_moved(pair, small, one)]))
        known.add(one.column)
        world = tried[-1].suspect.fixes[0].apply(world, exact=False)
    return [one.suspect for one in tried]


def _screen(world: World, used: list[Role], tested: Tested) -> list[Screened]:
    """Return what the screens say of columns."""
    less, count = associations(world, [role.column for role in used]), max(len(used), 1)
    found = []
    for role in ticking(used):
        said = less[role.column]
        p_less = 2.0 * normal_p(said.z) if said.z > 0 else 1.0
        found.append(
            Screened(role, min(1.0, _moved(world, role, tested) * count), said, min(1.0, p_less * count))
        )
    return found


def _drawn_rows(world: World) -> NDArray[np.int64]:
    """Return some rows, as many of either half."""
    random = np.random.default_rng(0)
    halves = (np.flatnonzero(world.first), np.flatnonzero(~world.first))
    some = [random.choice(half, min(len(half), TRIED // 2), replace=False) for half in halves]
    return np.sort(np.concatenate(some))


def _moved(world: World, role: Role, tested: Tested) -> float:
    """Return how likely the distributions are alike: over all rows, and within the classes."""
    y, z = classes_of(world)
    known, new, compare = _compared(world, role, tested)
    over_all = compare(known, new)
    if over_all >= ALPHA:
        return 1.0
    classes = [c for c in range(int(y.max()) + 1) if (z == c).any() and (y == c).any()]
    within = np.array([compare(known[y == c], new[z == c]) for c in classes])
    # One class that differs much, or many that differ a little (Fisher 1932).
    every = float(chdtrc(2 * len(within), -2.0 * float(np.log(np.maximum(within, 1e-300)).sum())))
    return max(over_all, min(1.0, 2.0 * min(every, float(within.min()) * len(within))))


def classes_of(world: World) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the classes of training and of judged rows, or the quarters of the numbers of training."""
    y, z = world.objective.rows.y.numpy(), world.y
    if world.trained.quantity is None:
        return y, z
    edges = np.unique(np.quantile(y, (0.25, 0.5, 0.75)))
    return np.searchsorted(edges, y, side="right"), np.searchsorted(edges, z, side="right")


def _compared(world: World, role: Role, tested: Tested) -> tuple[Any, Any, Callable[[Any, Any], float]]:
    """Return what is compared of a column, row by row in training and in test, and how."""
    column = role.column
    if role.role in NUMBERS:
        both = (numbers_of(frame, world.known, column) for frame in (world.known, world.new))
        a, b = (np.where(np.isnan(values), -np.inf, values) for values in both)
        return a, b, _numbers_differ
    if role.role in LEVELS:
        strata = cut_levels(*(levels_of(f, world.known, column) for f in (world.known, world.new)), most=None)
        return strata.train, strata.test, _levels_differ
    known, new = world.trained.described.columns, tested.columns  # type: ignore[union-attr]
    if role.role == "vector":
        mine = np.array([f.column == column for f in known.vector_features])
        return known.vectors[:, mine], new.vectors[world.rows][:, mine], _vectors_differ
    mine = np.flatnonzero([f.column == column for f in known.term_features])
    return known.terms[:, mine], new.terms[world.rows][:, mine], _terms_differ


def _vectors_differ(a: Reals, b: Reals) -> float:
    least = min(ks_distance(x, y)[2] for x, y in zip(a.T, b.T, strict=True))
    return min(1.0, least * int(a.shape[1]))


def _terms_differ(a: csr_array, b: csr_array) -> float:
    """Return how likely each term is in as many texts, and a text has as many of the terms."""
    k, j = (np.bincount(X.indices, minlength=X.shape[1]) for X in (a, b))
    each = split_p(j, k + j, b.shape[0] / (a.shape[0] + b.shape[0]))
    lengths = (np.diff(X.indptr).astype(np.float64) for X in (a, b))
    return min(1.0, 2.0 * min(float(each.min()) * len(each), ks_distance(*lengths)[2]))


def _numbers_differ(a: Reals, b: Reals) -> float:
    p = ks_distance(a, b)[2]
    # A few values, each frequent, say more than the distance of their distribution functions.
    values = np.unique(np.concatenate([a, b]))
    if len(values) <= FEW:
        codes = [np.bincount(np.searchsorted(values, v), minlength=len(values)) for v in (a, b)]
        return min(1.0, 2.0 * min(p, chi_square(codes[0], codes[1])))
    return p


def _levels_differ(a: NDArray[np.int64], b: NDArray[np.int64]) -> float:
    size = int(max(a.max(initial=0), b.max(initial=0))) + 1
    counts = [np.bincount(v, minlength=size) for v in (a, b)]
    whole = chi_square(counts[0], counts[1])
    each = split_p(counts[1], counts[0] + counts[1], len(b) / (len(a) + len(b)))
    return min(1.0, 2.0 * min(whole, float(each.min()) * size))


def _guesses(world: World, role: Role) -> list[Guess]:
    """Return what may have happened to a column."""
    column, dtype = role.column, world.known.schema[role.column]
    if role.role in LEVELS:
        return level_guesses(_level_sides(world, column), world)
    if role.role == "vector":
        return vector_guesses(column, world.known.get_column(column), world.new.get_column(column))
    if role.role == "text":
        encoders = world.trained.described.encoding.encoders  # type: ignore[union-attr]
        encoder = next(e for e in encoders if e.column == column and isinstance(e, TextEncoder))
        return text_guesses(
            TextSides(column, encoder, texts_of(world.known, column), texts_of(world.new, column))
        )
    a, b = (numbers_of(f, world.known, column) for f in (world.known, world.new))
    found = number_guesses(NumberSides(column, dtype, a, b))
    present = np.unique(b[~np.isnan(b)])
    if role.role == "numeric" and 1 < len(present) <= FEW and dtype != pl.String:
        try:
            named = level_guesses(_level_sides(world, column), world)
        except EncodeError:  # 1.5 in a column of whole numbers
            return found
        found = [*found, *(g for g in named if g.cause in ("renamed", "permuted"))]
    return found


def _level_sides(world: World, column: str) -> LevelSides:
    known, new = (levels_of(f, world.known, column) for f in (world.known, world.new))
    return LevelSides(column, world.known.schema[column], known, new)


def _unmoved(world: World, role: Role) -> list[Guess]:
    """Return what may have happened to a column that is distributed alike: another sign, other places."""
    return [guess for guess in _guesses(world, role) if guess.cause in ("sign", "reversed", "permuted")]


def _rows_moved(pair: Pair, world: World, one: Screened) -> list[Guess]:
    """Return the guesses that the cells of a column stand one row too high or too low."""
    name, cells = quoted(one.column, NAME), pair.raw_test[one.column]
    title = (
        f"{name} says less of the labels in test than in training, though its values are those of training"
    )
    found = []
    for step, where in ((-1, "up"), (1, "down")):
        moved = cells.shift(step, fill_value=cells[0 if step < 0 else -1])[pair.labelled]

        def change(world: World, moved: pl.Series = moved) -> tuple[pl.Series, ...]:
            return (moved[world.rows].alias(one.column),)

        advice = f"Move the cells of {name} in the test rows {where} by one row."
        fix = Rewrite("shift", f"{name} of the test rows moved {where} by one row", advice, change)
        gain = world.evaluation.loss - fix.apply(world, exact=False).evaluation.loss
        if _helps(gain, SURE):
            found.append(Guess("row shift", f"{title}: are its cells a row too {_WRONG[where]}?", fix))
    return found


_WRONG: Final = {"up": "low", "down": "high"}


@dataclass(frozen=True)
class Tried:
    """A suspect, and what the first of its fixes did to the rows that it was tried on."""

    suspect: Suspect
    gain: float  # nats a row


def _tried(world: World, one: Screened, guesses: list[Guess]) -> Tried:
    """Return the suspect of the guess that helps most, or of a plainer one that helps as much."""
    now = world.evaluation.loss
    gains = [now - guess.fix.apply(world, exact=False).evaluation.loss for guess in guesses]
    helpful = [i for i, gain in enumerate(gains) if _helps(gain)]
    p, out = min(one.p, one.p_less), LeaveOut((one.column,))
    leak = _leak(world, one.role) if one.dead or (guesses and guesses[0].cause in BROKEN) else ""
    if leak:
        return Tried(Suspect("column", "dead leak", (one.column,), leak, (out,), p_value=p), np.inf)
    if not helpful and one.dead and (not guesses or guesses[0].cause not in BROKEN):
        return Tried(Suspect("column", "dead", (one.column,), _dead(one), (out,), p_value=p), 0.0)
    best = max(helpful or [0], key=lambda i: float(gains[i].mean()))
    best = next((i for i in helpful if _not_worse(gains[i], gains[best])), best)
    chosen = guesses[best]
    order = sorted(helpful, key=lambda i: -float(gains[i].mean()))
    others = [guesses[i].fix for i in order if guesses[i].fix.name != chosen.fix.name]
    fixes: list[Fix] = [chosen.fix, *others[:2]]
    if helpful or one.less.z > 1 or chosen.cause in BROKEN:
        fixes.append(out)
    suspect = Suspect(
        "column", chosen.cause, (one.column,), chosen.title, tuple(fixes), chosen.levels, p_value=p
    )
    return Tried(suspect, float(gains[best].mean()))


def _leak(world: World, role: Role) -> str:
    """Say that a column gives the label away in training and not in test; empty if it does not."""
    frames, column = (world.known, world.new), role.column
    if role.role in NUMBERS:
        strata = cut_numbers(*(numbers_of(frame, world.known, column) for frame in frames))
    elif role.role in LEVELS:
        strata = cut_levels(*(levels_of(frame, world.known, column) for frame in frames))
    else:
        return ""
    y, z = classes_of(world)
    size = int(max(strata.train.max(), strata.test.max())) + 1
    counts = np.zeros((size, int(y.max()) + 1))
    np.add.at(counts, (strata.train, y), 1)
    guess = counts.argmax(1)
    given, left = float((guess[strata.train] == y).mean()), float((guess[strata.test] == z).mean())
    usual = float(counts.sum(0).max() / len(y))
    if 1 - given > GIVEN * (1 - usual) or left > (given + usual) / 2:
        return ""
    shares = f"{percent(given)} of the training rows and of {percent(left)} of the test rows"
    return (
        f"{quoted(column, NAME)} alone gives the label of {shares}: a leak that is not there when predicting?"
    )


def _dead(one: Screened) -> str:
    name = quoted(one.column, NAME)
    values = "and its values differ" if one.moved else "though its values are those of training"
    said = f"{name} says less of the labels in test than in training, {values}"
    return f"{said}: are its cells of other rows, was it a leak, or is training mislabelled by it?"


def _helps(gain: Reals, errors: float = 0.5) -> bool:
    """Tell whether a fix lowers the loss, by so many standard errors."""
    return bool(gain.mean() > errors * gain.std() / max(len(gain), 1) ** 0.5)


def _not_worse(gain: Reals, best: Reals) -> bool:
    """Tell whether one gain is less than another by chance only."""
    apart = best - gain
    error = float(apart.std()) / max(len(apart), 1) ** 0.5
    return bool(apart.mean() <= max(2.0 * error, 0.05 * float(best.mean())))


def _exchanges(world: World, looks: list[Screened]) -> list[Tried]:
    """Return the columns of which each one of test is distributed like another of training."""
    p = {one.column: one.p for one in looks}
    kind = {one.column: _is_number(world, one.role) for one in looks}
    alike = {
        (one, two)
        for one, two in permutations(p, 2)
        if kind[one] == kind[two] and _like(world, one, two, numbers=kind[one])
    }
    found = []
    for cycle in _cycles(list(p), alike):
        fix = _exchange(cycle)
        gain = world.evaluation.loss - fix.apply(world, exact=False).evaluation.loss
        if not _helps(gain, TIED):
            continue
        first = f"{quoted(cycle[0], NAME)} of test is distributed like {quoted(cycle[1], NAME)} of training"
        rest = (
            "and the other way round"
            if len(cycle) == PAIR
            else f"that like {quoted(cycle[2], NAME)}, and so on"
        )
        title = f"{first}, {rest}: are the columns exchanged?"
        p_value = max(p[name] for name in cycle)
        suspect = Suspect("exchange", "exchanged", cycle, title, (fix,), p_value=p_value)
        found.append(Tried(suspect, float(gain.mean())))
    return found


def _is_number(world: World, role: Role) -> bool:
    return role.role in NUMBERS or world.known.schema[role.column].is_numeric()


def _like(world: World, one: str, two: str, *, numbers: bool) -> bool:
    """Tell whether column `one` of test is distributed like column `two` of training."""
    if numbers:
        own, other = (numbers_of(world.known, world.known, name) for name in (one, two))
        new = numbers_of(world.new, world.known, one)
        far, near = (_distance(values, new) for values in (own, other))
    else:
        own_, other_ = (levels_of(world.known, world.known, name) for name in (one, two))
        new_ = levels_of(world.new, world.new, one)
        far, near = (_variation(values, new_) for values in (own_, other_))
    return near < CLOSER * far


def _distance(a: Reals, b: Reals) -> float:
    a, b = a[~np.isnan(a)], b[~np.isnan(b)]
    if not len(a) or not len(b):
        return 1.0
    return ks_distance(a[:: max(1, len(a) // POINTS)], b)[0]


def _variation(a: pl.Series, b: pl.Series) -> float:
    strata = cut_levels(a, b, most=None)
    p, q = (counts / max(counts.sum(), 1) for counts in strata.counts)
    return float(np.abs(p - q).sum() / 2)


def _cycles(names: list[str], alike: set[tuple[str, str]]) -> Iterator[tuple[str, ...]]:
    """Yield pairs, and rings of three, in which each is like the next."""
    for one, two in combinations(names, 2):
        if {(one, two), (two, one)} <= alike:
            yield one, two
    for one, two, three in permutations(names, 3):
        if one == min(one, two, three) and {(one, two), (two, three), (three, one)} <= alike:
            yield one, two, three


def _exchange(cycle: tuple[str, ...]) -> Rewrite:
    """Return the fix that writes each column of test to where it belongs."""
    to = (*cycle[1:], cycle[0])

    def change(world: World) -> tuple[pl.Series, ...]:
        return tuple(world.new[one].alias(two) for one, two in zip(cycle, to, strict=True))

    if len(cycle) == PAIR:
        return Rewrite(
            "exchange",
            f"{listed(cycle)} of the test rows exchanged",
            f"Exchange {listed(cycle)} of the test rows.",
            change,
        )
    moves = ", ".join(f"{quoted(one)} to {quoted(two)}" for one, two in zip(cycle, to, strict=True))
    return Rewrite(
        "exchange", f"of the test rows moved: {moves}", f"Move the columns of the test rows: {moves}.", change
    )
