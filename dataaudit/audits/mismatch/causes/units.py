"""Changes of all values of a column of numbers: another unit, zero, sign or scale, decimals cut away.

Every guess undoes the change by a map f of the test values; it is made only where the distribution of f(test)
is that of training, far better than that of the test values themselves. Quantiles stand for the values.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np

from dataaudit.audits.mismatch.causes.fixes import Guess, Reals
from dataaudit.audits.mismatch.causes.sides import Change, NumberSides
from dataaudit.statistics import ks_distance

NEAR: Final = 0.08  # of a factor, up to which it is taken for a known one
EVERY: Final = 0.99  # share of the test values that are round where all are
# How many times as large the first unit's numbers are as the second's.
UNITS: Final = (
    (2.20462, "pounds", "kilograms"),
    (2.54, "centimetres", "inches"),
    (3.28084, "feet", "metres"),
    (1.609344, "kilometres", "miles"),
    (28.3495, "grams", "ounces"),
    (453.592, "grams", "pounds"),
    (4.184, "kilojoules", "kilocalories"),
    (18.0182, "mg/dl", "mmol/l"),
    (57.29578, "degrees", "radians"),
    (7.0, "days", "weeks"),
    (12.0, "months", "years"),
    (24.0, "hours", "days"),
    (60.0, "minutes", "hours"),
    (365.25, "days", "years"),
    (3600.0, "seconds", "hours"),
    (86400.0, "seconds", "days"),
    (2.0, "", ""),
    (10.0, "", ""),
    (100.0, "centimetres", "metres"),
    (255.0, "", ""),
    (1000.0, "grams", "kilograms"),
    (1e6, "", ""),
)
PER_CENT: Final = 100.0
OFFSETS: Final = ((273.15, "kelvin for degrees Celsius"), (-273.15, "degrees Celsius for kelvin"))
FAHRENHEIT: Final = 1.8, 32.0
BENDS: Final[tuple[tuple[str, Change], ...]] = (
    ("the natural logarithm", np.exp),
    ("the logarithm of 1 plus it", np.expm1),
    ("the logarithm to base 10", lambda v: np.power(10.0, v)),
    ("the logarithm to base 2", np.exp2),
    ("the square root", np.square),
    ("the square", np.sqrt),
    ("the exponential", np.log),
    ("the reciprocal", np.reciprocal),
)
_AT: Final = np.linspace(0.05, 0.95, 37)


def unit_guesses(sides: NumberSides) -> list[Guess]:
    """Return what known change explains all values."""
    if sides.dtype.is_temporal():
        return list(offset_guesses(sides)) if sides.distance > sides.chance else []
    turned = list(_turned(sides))
    if sides.distance <= sides.chance:
        return turned
    exact = [*_fahrenheit(sides), *_factor(sides), *offset_guesses(sides), *turned]
    return [*exact, *(() if exact else _bent(sides)), *_rounded(sides)]


def _factor(sides: NumberSides) -> Iterator[Guess]:
    x, y = np.quantile(sides.a, _AT), np.quantile(sides.b, _AT)
    some = (np.abs(x) > 1e-9 * np.abs(x).max()) & (y != 0)
    ratio = float(np.median(y[some] / x[some])) if some.any() else 1.0
    if ratio <= 0 or abs(np.log(ratio)) < NEAR / 2:
        return
    known = [*UNITS, *((1 / k, two, one) for k, one, two in UNITS)]
    k, one, two = min(known, key=lambda unit: abs(np.log(ratio / unit[0])))
    worse = sides.left(lambda v: v / k) > sides.left(lambda v: v / ratio) + sides.chance / 2
    if abs(np.log(ratio / k)) > NEAR or worse:
        k, one, two = float(f"{ratio:.3g}"), "", ""
    if not sides.fits(lambda v: v / k):
        return
    shares = k == PER_CENT and sides.a[0] >= 0 and sides.a[-1] <= 1
    why = "per cent for shares?" if shares else f"{one} for {two}?" if one else "another unit?"
    size = f"{k:,.0f}" if k >= 1000 else f"{k:.3g}"  # noqa: PLR2004 - beyond three figures
    yield sides.guess(
        "scaled",
        f"{sides.name} is {size} times as large in test at every quantile: {why}",
        lambda v: v / k,
        fix="scale",
        done=f"divided by {k:.6g}",
        advice=f"Divide {sides.name} of the test rows by {k:.6g}.",
    )


def _slope(sides: NumberSides) -> tuple[float, float]:
    """Return slope and shift of the line through the quantiles."""
    x, y = np.quantile(sides.a, _AT), np.quantile(sides.b, _AT)
    spread = float(((x - x.mean()) ** 2).sum())
    slope = float(((x - x.mean()) * (y - y.mean())).sum()) / spread if spread > 0 else 1.0
    return slope, float(np.median(y - slope * x))


def _fahrenheit(sides: NumberSides) -> Iterator[Guess]:
    slope, _ = _slope(sides)
    k, shift = FAHRENHEIT
    there = (
        (k, shift, "degrees Fahrenheit for Celsius?"),
        (1 / k, -shift / k, "degrees Celsius for Fahrenheit?"),
    )
    for size, zero, why in there:
        if slope > 0 and abs(np.log(slope / size)) < 2 * NEAR and sides.fits(lambda v: (v - zero) / size):  # noqa: B023
            yield _affine(sides, size, zero, why)


def affine_guesses(sides: NumberSides) -> Iterator[Guess]:
    """Guess another unit and another zero."""
    slope, shift = _slope(sides)
    if slope <= 0 or abs(slope - 1) < NEAR or sides.distance <= sides.chance:
        return
    if sides.fits(lambda v: (v - shift) / slope):
        standard = abs(sides.b.mean()) < 0.2 and abs(sides.b.std() - 1) < 0.2  # noqa: PLR2004 - about 0 and 1
        unit = sides.b[0] >= 0 and sides.b[-1] <= 1 < sides.a[-1]
        why = "standardised already?" if standard else "cut to 0 to 1?" if unit else "another unit?"
        yield _affine(sides, slope, shift, why)


def _affine(sides: NumberSides, slope: float, shift: float, why: str) -> Guess:
    sign, first, from_to = ("plus", "Subtract", "from") if shift >= 0 else ("less", "Add", "to")
    size = f"{abs(shift):.4g}"
    return sides.guess(
        "scaled",
        f"{sides.name} of test is {slope:.3g} times that of training {sign} {size} at every quantile: {why}",
        lambda v: (v - shift) / slope,
        fix="scale",
        done=f"{'less' if shift >= 0 else 'plus'} {size}, divided by {slope:.4g}",
        advice=f"{first} {size} {from_to} {sides.name} of the test rows and divide by {slope:.4g}.",
    )


def offset_guesses(sides: NumberSides) -> Iterator[Guess]:
    """Guess another zero."""
    shift = float(np.median(np.quantile(sides.b, _AT) - np.quantile(sides.a, _AT)))
    why = "another zero?"
    for known, words in OFFSETS:
        if abs(known - shift) < NEAR * abs(shift):
            shift, why = known, f"{words}?"
    if abs(shift) < 0.05 * sides.spread or not sides.fits(lambda v: v - shift):
        return
    size = f"{abs(shift):.4g}{' days' if sides.dtype.is_temporal() else ''}"
    more, first, from_to = ("more", "Subtract", "from") if shift > 0 else ("less", "Add", "to")
    yield sides.guess(
        "offset",
        f"{sides.name} is {size} {more} in test at every quantile: {why}",
        lambda v: v - shift,
        fix="scale",
        done=f"{'less' if shift > 0 else 'plus'} {size}",
        advice=f"{first} {size} {from_to} {sides.name} of the test rows.",
    )


def _turned(sides: NumberSides) -> Iterator[Guess]:
    """Guess another sign, or a scale that runs the other way."""
    limit = max(sides.limit, sides.chance)
    alike = f"{sides.name} of test is distributed like"
    if sides.left(np.negative) <= limit:
        yield sides.guess(
            "sign",
            f"{alike} that of training with the other sign: was the sign changed?",
            np.negative,
            fix="scale",
            done="with the other sign",
            advice=f"Change the sign of {sides.name} of the test rows.",
        )
    ends = float(sides.a[0] + sides.a[-1])
    if sides.a[0] >= 0 and ends and sides.left(lambda v: ends - v) <= limit:
        yield sides.guess(
            "reversed",
            f"{alike} {ends:.6g} less that of training: is the scale reversed?",
            lambda v: ends - v,
            fix="scale",
            done=f"taken from {ends:.6g}",
            advice=f"Replace {sides.name} of the test rows by {ends:.6g} less its value.",
        )


def _bent(sides: NumberSides) -> Iterator[Guess]:
    """Guess a logarithm, a power, a reciprocal."""
    close = [(sides.left(change), what, change) for what, change in BENDS]
    left, what, change = min(close, key=lambda one: one[0])
    if left <= sides.limit:
        yield sides.guess(
            "transformed",
            f"{sides.name} of test is distributed like {what} of that of training: was it transformed?",
            change,
            fix="scale",
            done=f"freed of {what}",
            advice=f"Undo {what} in {sides.name} of the test rows.",
        )


def _rounded(sides: NumberSides) -> Iterator[Guess]:
    """Guess that decimals were lost: the mean of the training values that become the same stands in."""
    size = float(np.abs(sides.a).max())
    for step in 10.0 ** np.arange(np.floor(np.log10(max(size, 1e-9))), -7, -1):
        if _round(sides.b, step) > EVERY and _round(sides.a, step) < EVERY / 2:
            break
    else:
        return
    known = np.sort(sides.known[~np.isnan(sides.known)])
    ways: tuple[tuple[str, float, Change], ...] = (
        ("cut to whole steps", 0.0, np.floor),
        ("rounded", 0.5, np.round),
    )
    what, back, way = min(ways, key=lambda one: ks_distance(one[2](sides.a / step) * step, sides.b)[0])
    if ks_distance(way(sides.a / step) * step, sides.b, tolerance=step / 100)[0] > sides.limit:
        return

    total = np.concatenate([[0.0], np.cumsum(known)])

    def change(v: Reals) -> Reals:
        low = v - back * step
        first, last = np.searchsorted(known, low), np.searchsorted(known, low + step)
        return np.where(last > first, (total[last] - total[first]) / np.maximum(last - first, 1), v)

    yield sides.guess(
        "rounded",
        f"{sides.name} is a multiple of {step:g} in test, and seldom in training: was it {what}?",
        change,
        fix="fill",
        done="set to the mean of the training values that would be the same",
        advice=f"Write {sides.name} with its decimals; until then use the mean of what becomes each value.",
    )


def _round(values: Reals, step: float) -> float:
    """Return the share of values that are multiples of a step."""
    return float(np.mean(np.abs(values - np.round(values / step) * step) < 1e-6 * step))
