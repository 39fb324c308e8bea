"""What may have happened to the levels of a column between training and test: other names, other places.

Names are matched by spelling where they say the same (``Male`` and ``male``, ``t`` and ``true``). Else the
model decides: the cost of calling the test level a by the training level b is

    c(a, b) = Σ loss of the rows of a with the cell b - n_a log(share of b in training),

and the assignment of least cost (the Hungarian method) is the guess, learned on one half of the test rows and
applied to the other.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from dataaudit.audits.mismatch.causes.fixes import (
    Guess,
    Rewrite,
    draw,
    level_cells,
    levels_of,
    never_filled,
    quoted,
)
from dataaudit.audits.mismatch.causes.sides import LevelSides, Texts
from dataaudit.audits.mismatch.world import World
from dataaudit.audits.shift.comparison import ALPHA, percent
from dataaudit.statistics import split_p

FEWEST: Final = 0.01  # share of the test rows from which a level is looked at
MOST: Final = 12  # levels of an assignment
ALIKE: Final = 3.0  # how many times as frequent a name may be as the one that it replaces
BEYOND: Final = 5.0  # nats that an assignment must be better than the names as they are
TRUE: Final = frozenset(("true", "t", "yes", "y", "1", "on"))
FALSE: Final = frozenset(("false", "f", "no", "n", "0", "off"))
LOST: Final = frozenset(
    (*("unknown", "unk", "?", "na", "n/a", "#n/a", "nan", "null", "none", "nil", "-", "--", ".", "missing"),
     *("undefined", "other", "0", "-1", "-9", "-99", "-999", "-9999", "99", "999", "9999"))
)  # fmt: skip


def level_guesses(sides: LevelSides, world: World) -> list[Guess]:
    """Return what may have happened, the most telling guess first; `world` has some of the test rows."""
    if not sides.after:
        return [never_filled(sides.column, percent(sides.missing[0]))]
    found: list[Guess] = []
    if len(sides.after) == 1 < len(sides.before):
        only = next(iter(sides.after))
        where = "every test row that has a value" if sides.missing[1] else "every test row"
        title = (
            f"{sides.name} is {quoted(only)} in {where} and in {percent(sides.before.get(only, 0.0))} of the"
        )
        found.append(Guess("stuck", f"{title} training rows: is it stuck?", draw(sides.column), (only,)))
    found += [*_spelled(sides), *_words_for_missing(sides), *_became_missing(sides)]
    found += [*_assigned(sides, world), *_by_frequency(sides), *_unseen(sides)]
    return [*found, Guess("moved", _moved(sides), draw(sides.column))]


def form(level: str) -> str:
    """Return what different spellings of a level have in common."""
    if re.fullmatch(r"[-+]?\d+(\.\d+)?", level.strip()):
        return f"{float(level):g}"
    plain = unicodedata.normalize("NFKD", repaired(level)).casefold()
    plain = "".join(c for c in plain if not unicodedata.combining(c))
    # Between digits a mark is part of what is said: 1-2, 1.5.
    marks = r"[\s_\"']+" if re.search(r"\d", plain) else r"[\s_\"'.,;:/()-]+"
    return re.sub(marks, "", plain) or plain.strip()


def repaired(text: str) -> str:
    """Return a text that was written as UTF-8 and read as Latin-1 or Windows-1252 as it was."""
    for encoding in ("cp1252", "latin-1"):
        try:
            read = text.encode(encoding).decode("utf-8")
        except UnicodeError:
            continue
        if read != text:
            return read
    return text


def _spelled(sides: LevelSides) -> Iterator[Guess]:
    """Guess that levels are spelled in another way."""
    targets: dict[str, list[str]] = {}
    for level in sides.before:
        targets.setdefault(form(level), []).append(level)
    mapping = {}
    for level in sides.unseen:
        same = targets.get(form(level), [])
        if len(same) == 1:
            mapping[level] = same[0]
    plain = all(level.strip().casefold() in TRUE | FALSE for level in sides.before)
    for words in (TRUE, FALSE) if plain else ():
        two = [level for level in sides.before if level.strip().casefold() in words]
        if len(two) == 1:
            mapping |= {u: two[0] for u in sides.unseen if u.strip().casefold() in words and u not in mapping}
    if not mapping:
        mapping = _shortened(sides)
    if mapping:
        yield _renamed(sides, mapping, None, "renamed")


def _shortened(sides: LevelSides) -> dict[str, str]:
    """Return the levels of which the unseen ones are the beginning, or the other way round."""
    found = {}
    for level in sides.unseen:
        same = [k for k in sides.before if (k.startswith(level) or level.startswith(k)) and len(level) > 2]  # noqa: PLR2004
        if len(same) == 1:
            found[level] = same[0]
    return found if len(set(found.values())) == len(found) else {}


def _named(new: str, old: str) -> tuple[str, str]:
    """Return two levels in quotation marks, with their blanks where these are what differs."""
    if quoted(new) == quoted(old):
        new, old = (level.replace(" ", "␠") for level in (new, old))
    return quoted(new), quoted(old)


def _renamed(
    sides: LevelSides,
    mapping: Mapping[str, str],
    halves: tuple[Mapping[str, str], Mapping[str, str]] | None,
    cause: str,
) -> Guess:
    """Return the guess that levels have other names; what each half of the rows learned goes to the other."""
    shown = [_named(new, old) for new, old in list(mapping.items())[:3]]
    more = f" and {len(mapping) - 3} more" if len(mapping) > 3 else ""  # noqa: PLR2004
    pairs = ", ".join(f"{new} for {old}" for new, old in shown) + more
    back = ", ".join(f"{new} to {old}" for new, old in shown) + more
    if cause == "permuted":
        title = f"{sides.name} has its levels at other places in test: {pairs}?"
    else:
        share = percent(sum(sides.after.get(level, 0.0) for level in mapping))
        title = f"{sides.name} has levels in {share} of the test rows that training never has: {pairs}?"
    column, dtype = sides.column, sides.dtype

    def change(world: World) -> tuple[pl.Series, ...]:
        texts = levels_of(world.new, world.known, column)
        if halves is None:
            return (level_cells(texts.replace(dict(mapping)), column, dtype),)
        of_first, of_second = (texts.replace(dict(half)) for half in halves)
        return (level_cells(of_second.zip_with(pl.Series(world.first), of_first), column, dtype),)

    detail, advice = (
        f"{sides.name} of the test rows renamed: {back}",
        f"Rename the levels of {sides.name} of the test rows: {back}.",
    )
    return Guess(cause, title, Rewrite("rename", detail, advice, change), tuple(mapping))


def _words_for_missing(sides: LevelSides) -> Iterator[Guess]:
    """Guess that a word stands for a missing value."""
    fell = sides.missing[0] - sides.missing[1]
    for word in sides.unseen[:MOST]:
        share = sides.after[word]
        if share < FEWEST or not (word.strip().casefold() in LOST or abs(share - fell) < fell / 2):
            continue
        shown = quoted(word)
        yield sides.guess(
            "fill value",
            f"{sides.name} is {shown} in {percent(share)} of the test rows and never in training: "
            "does it stand for a missing value?",
            _emptied([word]),
            fix="set missing",
            done=f"missing where it is {shown}",
            advice=f"Take {shown} in {sides.name} of the test rows as missing.",
        ).about(word)


def _emptied(levels: list[str]) -> Callable[[Texts], Texts]:
    return lambda texts: texts.set(texts.is_in(levels).fill_null(value=False), None)


def _became_missing(sides: LevelSides) -> Iterator[Guess]:
    """Guess that one level, or any, became missing."""
    n, t = len(sides.known), len(sides.new)
    k, j = sides.known.null_count(), sides.new.null_count()
    p = float(split_p(np.array([j]), np.array([j + k]), t / (n + t))[0]) if j else 1.0
    rise = j / t - k / n
    if rise < FEWEST or p > ALPHA:
        return
    shares = f"{percent(j / t)} of the test rows and {percent(k / n)} of the training rows"
    title = f"{sides.name} is missing in {shares}"
    for level in sides.lost[:2]:
        if rise / ALIKE < sides.before[level] < rise * ALIKE:
            shown = quoted(level)
            yield sides.guess(
                "missing",
                f"{title}, and hardly ever {shown}: did {shown} become missing?",
                lambda texts, level=level: texts.fill_null(level),  # type: ignore[misc]
                fix="fill",
                done=f"{shown} where it is missing",
                advice=f"Write {shown} where {sides.name} of the test rows is missing.",
            ).about(level)
    present = sides.known.drop_nulls()
    yield sides.guess(
        "missing",
        f"{title}: did values get lost?",
        lambda texts: texts.zip_with(texts.is_not_null(), _some(present, len(texts))),
        fix="draw",
        done="drawn from training where it is missing",
        advice=f"Find out why {sides.name} is missing; until then draw these cells from the training rows.",
    )


def _some(known: Texts, count: int) -> Texts:
    """Return levels of training, the same ones whenever it is asked."""
    return known[np.random.default_rng(0).integers(0, len(known), count)]


def _assigned(sides: LevelSides, world: World) -> Iterator[Guess]:
    """Guess, by the model, which level of training each one of test is."""
    rows, columns = sides.unseen or list(sides.after), sides.lost if sides.unseen else list(sides.before)
    rows = [level for level in rows if sides.after[level] >= FEWEST and len(sides.after) > 1]
    columns = [level for level in columns if sides.before[level] >= FEWEST]
    if not rows or not columns or max(len(rows), len(columns)) > MOST:
        return
    new = levels_of(world.new, world.known, sides.column).to_numpy()
    losses = np.column_stack([_loss_as(world, sides, level) for level in columns])  # (t, m)
    prior = np.array([-np.log(sides.before[level]) for level in columns])
    everyone = np.ones(len(new), dtype=bool)
    whole, gain = _cheapest(losses + prior, new, rows, columns, everyone)
    if not whole or (not sides.unseen and gain < BEYOND):
        return
    if sides.unseen and not all(
        1 / ALIKE < sides.after[a] / sides.before[b] < ALIKE for a, b in whole.items()
    ):
        return
    halves = tuple(
        _cheapest(losses + prior, new, rows, columns, half)[0] for half in (world.first, ~world.first)
    )
    yield _renamed(sides, whole, (halves[0], halves[1]), "renamed" if sides.unseen else "permuted")


def _loss_as(world: World, sides: LevelSides, level: str) -> NDArray[np.float64]:
    """Return the losses of all rows with one level."""  # -> (t,)
    texts = pl.Series([level]).new_from_index(0, world.new.height)
    return world.with_cells(level_cells(texts, sides.column, sides.dtype)).evaluation.loss


def _cheapest(
    cost: NDArray[np.float64],
    new: NDArray[np.object_],
    rows: list[str],
    columns: list[str],
    some: NDArray[np.bool_],
) -> tuple[dict[str, str], float]:
    """Return the assignment of least cost, less what stays, and what it saves on the names as they are."""
    table = np.array([cost[some & (new == level)].sum(0) for level in rows])
    at, to = linear_sum_assignment(table)
    stay = {level: columns.index(level) for level in rows if level in columns}
    saved = sum(table[rows.index(level), j] for level, j in stay.items()) - table[at, to].sum()
    pairs = {rows[i]: columns[j] for i, j in zip(at, to, strict=True) if rows[i] != columns[j]}
    return pairs, float(saved) if len(stay) == len(rows) else float("inf")


def _by_frequency(sides: LevelSides) -> Iterator[Guess]:
    """Guess names by frequency, where there are too many for an assignment."""
    lost = [level for level in sides.lost if level not in sides.after]
    if max(len(sides.unseen), len(lost)) <= MOST or not min(len(sides.unseen), len(lost)):
        return
    mapping = dict(zip(sides.unseen, lost, strict=False))
    if all(1 / ALIKE < sides.after[a] / sides.before[b] < ALIKE for a, b in list(mapping.items())[:MOST]):
        yield _renamed(sides, mapping, None, "renamed")


def _unseen(sides: LevelSides) -> Iterator[Guess]:
    """Say that test has levels that training never has."""
    share, levels = sum(sides.after[level] for level in sides.unseen), tuple(sides.unseen)
    if share < FEWEST:
        return
    some = ", ".join(map(quoted, levels[:3])) + (f" and {len(levels) - 3:,} more" if len(levels) > 3 else "")  # noqa: PLR2004
    title = f"{sides.name} has levels in {percent(share)} of the test rows that training never has: {some}."
    yield sides.guess(
        "unseen",
        title,
        _emptied(list(levels)),
        fix="set missing",
        done="missing where training never has the level",
        advice=f"Take {some} in {sides.name} of the test rows as missing.",
    ).about(*levels[:3])
    known = sides.known
    yield sides.guess(
        "unseen",
        title,
        lambda texts: _some(known, len(texts)).zip_with(texts.is_in(levels).fill_null(value=False), texts),
        fix="draw",
        done="drawn from training where training never has the level",
        advice=f"Collect training rows with {some} in {sides.name}; until then draw other levels.",
    ).about(*levels[:3])


def _moved(sides: LevelSides) -> str:
    names = list(sides.before | sides.after)
    names.sort(key=lambda level: -abs(sides.after.get(level, 0.0) - sides.before.get(level, 0.0)))
    moved = [[percent(shares.get(name, 0.0)) for shares in (sides.before, sides.after)] for name in names[:2]]
    shares = "; ".join(f"{quoted(name)} from {a} to {b}" for name, (a, b) in zip(names, moved, strict=False))
    return f"{sides.name} has other shares of levels in test: {shares}."
