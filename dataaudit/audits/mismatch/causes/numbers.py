"""What may have happened to a column of numbers, or of dates, between training and test.

Some values may stand for missing ones, become missing, lie outside the range of training; or all of them
changed in a way that `units` knows, or does not know: then the training value of the same rank takes their
place.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np

from dataaudit.audits.mismatch.causes.fixes import Guess, Mask, Reals, draw, never_filled
from dataaudit.audits.mismatch.causes.sides import Change, NumberSides
from dataaudit.audits.mismatch.causes.units import affine_guesses, unit_guesses
from dataaudit.audits.shift.comparison import ALPHA, percent
from dataaudit.statistics import split_p

# Values that stand for a missing one; and the share of test rows from which a value may.
SENTINELS: Final = frozenset((0, -1, -9, -99, -999, -9999, 9, 99, 999, 9999, 99999, 1e6))
FEWEST: Final = 0.01
TIMES: Final = 3.0  # how many times as frequent a value is in test that stands for another
LOOKED_AT: Final = 3  # values that are most frequent in test
FACTORS: Final = (1000.0, 100.0, 10.0, 0.001, 0.01, 0.1, 2.20462, 2.54, 1 / 2.20462, 1 / 2.54)
MOSTLY: Final = 0.9


def number_guesses(sides: NumberSides) -> list[Guess]:
    """Return what may have happened, the most telling guess first."""
    if not len(sides.b) or not len(sides.a):
        return [never_filled(sides.column, percent(float(np.isnan(sides.known).mean())))]
    if sides.b[0] == sides.b[-1]:
        return _stuck(sides)
    found = unit_guesses(sides)
    if not found or all(guess.cause in ("sign", "reversed") for guess in found):
        found += [*_fill_values(sides), *affine_guesses(sides), *_out_of_range(sides)]
    found += _became_missing(sides)
    return [*found, _ranked(sides), Guess("moved", _moved(sides), draw(sides.column))]


def _stuck(sides: NumberSides) -> list[Guess]:
    value, low, high = (sides.shown(v) for v in (sides.b[0], sides.a[0], sides.a[-1]))
    where = "every test row" if not np.isnan(sides.new).any() else "every test row that has a value"
    title = f"{sides.name} is {value} in {where}; in training it goes from {low} to {high}: is it stuck?"
    median = float(np.median(sides.a))
    shown = sides.shown(median)
    fill = sides.guess(
        "stuck",
        title,
        lambda v: np.full(len(v), median),
        fix="fill",
        done=f"set to {shown}, the median of training",
        advice=f"Find out why {sides.name} does not change; until then set it to {shown}, training's median.",
    ).about(value)
    return [fill, Guess("stuck", title, draw(sides.column), (value,))]


def _fill_values(sides: NumberSides) -> Iterator[Guess]:
    """Guess that a value stands for a missing one: frequent in test, rare in training."""
    n, t = len(sides.known), len(sides.new)
    values, counts = np.unique(sides.new[~np.isnan(sides.new)], return_counts=True)
    before = np.array([(sides.known == value).sum() for value in values[np.argsort(-counts)[:LOOKED_AT]]])
    often = np.argsort(-counts)[:LOOKED_AT]
    p = split_p(counts[often], counts[often] + before, t / (n + t)) * len(values)
    for value, count, was, chance in zip(values[often].tolist(), counts[often], before, p, strict=True):
        share = count / t
        # A value that stands for others moves no more than its share of the rows.
        if share < max(FEWEST, TIMES * was / n, sides.distance / 2) or chance > ALPHA:
            continue
        shown, rows = (
            sides.shown(value),
            f"{percent(count / t)} of the test rows and {percent(was / n)} of the",
        )
        title = f"{sides.name} is {shown} in {rows} training rows{_why(sides, value, share)}"
        yield sides.guess(
            "fill value",
            title,
            _without(value),
            fix="set missing",
            done=f"missing where it is {shown}",
            advice=f"Take {shown} in {sides.name} of the test rows as missing.",
        ).about(shown)
        yield sides.guess(
            "fill value",
            title,
            _drawn_at(value, sides.known),
            fix="draw",
            done=f"drawn from training where it is {shown}",
            advice=f"Find out why {sides.name} is {shown} so often; until then draw it from training.",
        ).about(shown)


def _why(sides: NumberSides, value: float, share: float) -> str:
    """Return how a sentence about a frequent value ends."""
    for what, usual in (("median", np.median(sides.a)), ("mean", np.nanmean(sides.known))):
        if np.isclose(value, usual, rtol=1e-3):
            return f", the {what} of training: were missing values filled?"
    fell = float(np.isnan(sides.known).mean() - np.isnan(sides.new).mean())
    beyond = not sides.a[0] < value < sides.a[-1]
    if value in SENTINELS or fell > share / 2 or beyond:
        return ": does it stand for a missing value?"
    return ": is it stuck in these rows?"


def _without(value: float) -> Change:
    return lambda v: np.where(v == value, np.nan, v)


def _drawn_at(value: float, known: Reals) -> Change:
    return lambda v: np.where(v == value, _some(known, len(v)), v)


def _some(known: Reals, count: int) -> Reals:
    """Return values of training, the same ones whenever it is asked."""  # -> (count,)
    drawn: Reals = known[np.random.default_rng(0).integers(0, len(known), count)]
    return drawn


def _became_missing(sides: NumberSides) -> Iterator[Guess]:
    """Guess that values became missing: all of one value, or any."""
    gap, gaps = np.isnan(sides.known), np.isnan(sides.new)
    n, t, k, j = len(gap), len(gaps), int(gap.sum()), int(gaps.sum())
    p = float(split_p(np.array([j]), np.array([j + k]), t / (n + t))[0]) if j else 1.0
    if j / t < k / n + FEWEST or p > ALPHA:
        return
    shares = f"{percent(j / t)} of the test rows and {percent(k / n)} of the training rows"
    title, lost = f"{sides.name} is missing in {shares}", ": did values get lost?"
    values, counts = np.unique(sides.known[~gap], return_counts=True)
    value, share, rise = float(values[counts.argmax()]), counts.max() / n, j / t - k / n
    shown = sides.shown(value)
    if rise / TIMES < share < rise * TIMES and (sides.new == value).mean() < share / TIMES:
        yield _filled(sides, value, f"{title}, and {shown} is rarer there: did it become missing?", shown)
    present = sides.known[~gap]
    yield sides.guess(
        "missing",
        title + lost,
        lambda v: np.where(np.isnan(v), _some(present, len(v)), v),
        fix="draw",
        done="drawn from training where it is missing",
        advice=f"Find out why {sides.name} is missing; until then draw these cells from the training rows.",
    )
    median = float(np.median(sides.a))
    yield _filled(sides, median, title + lost, f"{sides.shown(median)}, the median of training,")


def _filled(sides: NumberSides, value: float, title: str, words: str) -> Guess:
    return sides.guess(
        "missing",
        title,
        lambda v: np.where(np.isnan(v), value, v),
        fix="fill",
        done=f"{sides.shown(value)} where it is missing",
        advice=f"Write {words} where {sides.name} of the test rows is missing.",
    )


def _beyond(v: Reals, low: float, high: float) -> Mask:
    beyond: Mask = (v < low) | (v > high)
    return beyond


def _out_of_range(sides: NumberSides) -> Iterator[Guess]:
    """Guess what happened to values beyond those of training: another unit in some rows, or nonsense."""
    low, high = float(sides.a[0]), float(sides.a[-1])
    outside = _beyond(sides.new, low, high)
    share = float(outside.mean())
    if share < max(FEWEST, TIMES / len(sides.known)):
        return
    if sides.dtype.is_temporal():
        yield from _later(sides, low, high)
        return
    span = f"{sides.shown(low)} to {sides.shown(high)}"
    title = f"{sides.name} lies outside {span}, the range of training, in {percent(share)} of the test rows"
    some = f"where it lies outside {span}"
    back = [k for k in FACTORS if np.mean(~_beyond(sides.new[outside] / k, low, high)) > MOSTLY > share]
    if back:
        k = min(back, key=lambda k: sides.left(lambda v: np.where(_beyond(v, low, high), v / k, v)))
        yield sides.guess(
            "scaled in part",
            f"{title}, and inside it if divided by {k:.6g}: another unit in some rows?",
            lambda v: np.where(_beyond(v, low, high), v / k, v),
            fix="scale",
            done=f"divided by {k:.6g} {some}",
            advice=f"Divide {sides.name} of the test rows by {k:.6g} {some}.",
        )
    yield sides.guess(
        "out of range",
        f"{title}: are they right?",
        lambda v: np.where(_beyond(v, low, high), np.nan, v),
        fix="set missing",
        done=f"missing {some}",
        advice=f"Take {sides.name} of the test rows as missing {some}.",
    )
    yield sides.guess(
        "out of range",
        f"{title}: are they right?",
        lambda v: np.clip(v, low, high),
        fix="fill",
        done=f"set to the nearer end {some}",
        advice=f"Set {sides.name} of the test rows to the nearer end {some}.",
    )


def _later(sides: NumberSides, low: float, high: float) -> Iterator[Guess]:
    """Guess that time has moved on."""
    late, early = float((sides.new > high).mean()), float((sides.new < low).mean())
    side, end = ("later", high) if late > early else ("earlier", low)
    rows = f"in {percent(max(late, early))} of the test rows"
    yield sides.guess(
        "date",
        f"{sides.name} is {side} than {sides.shown(end)}, the end of training, {rows}: has time moved on?",
        lambda v: np.clip(v, low, high),
        fix="fill",
        done="set to the nearest date of training",
        advice=f"Set {sides.name} of the test rows to the nearest date of training.",
    )


def _moved(sides: NumberSides) -> str:
    middle, other = (sides.shown(float(np.median(v))) for v in (sides.a, sides.b))
    return (
        f"{sides.name} is distributed differently in test: median {middle} in training and {other} in test."
    )


def _ranked(sides: NumberSides) -> Guess:
    quantiles = sides.a

    def change(v: Reals) -> Reals:
        there = np.sort(v[~np.isnan(v)])
        middle = (np.searchsorted(there, v, side="left") + np.searchsorted(there, v, side="right")) / 2
        share = np.where(np.isnan(v), np.nan, middle / max(len(there), 1))
        return np.interp(share, (np.arange(len(quantiles)) + 0.5) / len(quantiles), quantiles)

    return sides.guess(
        "moved",
        _moved(sides),
        change,
        fix="rank",
        done="replaced by the training value of the same rank",
        advice=f"Replace each value of {sides.name} of the test rows by the training value of the same rank.",
    )
