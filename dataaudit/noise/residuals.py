r"""Whether the suspected rows behave like random mistakes, which the count without looks rests on.

If mistakes fall on the rows of a class at random, p_wrong of row i by the fitted rates is a draw of known
mean m_i and variance v_i (`NoiseModel.by_rates`, `foreseen`, `variance`), whatever the row is like. So over
rows that were grouped without their labels, by their place in the file, a level of a column or the
confidence of the model,

    z_g = Σ_{i in g} (p_wrong_i − m_i) / √(Σ_{i in g} v_i)

is about standard normal. A batch, an annotator or a date that is labelled worse than the rest shows as a
large z_g; a model of the wrong shape shows in the bins of confidence. The p-value of a grouping is that of
its largest z_g by Bonferroni, since one bad batch is what is looked for.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from dataaudit.noise.likelihood import Floats, Ints
from dataaudit.noise.model import NoiseModel
from dataaudit.statistics import normal_p

_LEAST_VARIANCE = 0.5  # of a group's sum; below it the normal approximation is too bold


@dataclass(frozen=True)
class Excess:
    """The group of rows in which the suspected ones gather most, of one grouping."""

    group: int  # its number
    found: float  # sum of p_wrong
    expected: float  # the same, if mistakes are random
    p: float  # of so large an excess in any group of the grouping


def excess(noise: NoiseModel, group: Ints, *, rows: Ints | None = None) -> Excess | None:
    """Return the group that stands out most; None where none has enough rows to say.

    Only `rows` count, by default all of them: rows that are wrong together are one draw.
    """  # group (n,) from 0, rows (m,)
    at = slice(None) if rows is None else rows
    found, expected, variance = (
        np.bincount(group[at], weights=values[at])
        for values in (noise.by_rates, noise.foreseen, noise.variance)
    )
    able = np.flatnonzero(variance >= _LEAST_VARIANCE)
    if not len(able):
        return None
    z = (found[able] - expected[able]) / np.sqrt(variance[able])
    most = int(np.argmax(z))
    p = min(len(able) * normal_p(float(z[most])) / 2.0, 1.0) if z[most] > 0 else 1.0
    it = int(able[most])
    return Excess(it, float(found[it]), float(expected[it]), p)


def misfit(noise: NoiseModel, group: Ints, *, rows: Ints | None = None) -> Excess | None:
    """Return the same of all groups together, of too much or too little in them: Σ z² is a χ²."""
    most = excess(noise, group, rows=rows)
    if most is None:
        return None
    from scipy.special import chdtrc  # noqa: PLC0415 - reading a budget does not need it

    at = slice(None) if rows is None else rows
    away, variance = (
        np.bincount(group[at], weights=values[at])
        for values in (noise.by_rates - noise.foreseen, noise.variance)
    )
    able = variance >= _LEAST_VARIANCE
    p = float(chdtrc(able.sum(), (away[able] ** 2 / variance[able]).sum()))
    return Excess(most.group, most.found, most.expected, min(p, most.p))


def bins(values: Floats, most: int) -> Ints:
    """Return the bin of each value, of about as many rows each."""  # (n,) -> (n,)
    inner = np.unique(np.quantile(values, np.linspace(0.0, 1.0, most + 1)[1:-1]))
    return np.searchsorted(inner, values, side="right")


def strongest(found: Iterable[tuple[str, Excess | None]]) -> tuple[str, Excess] | None:
    """Return the grouping with the smallest p-value, which is corrected for their number."""
    known = [(name, one) for name, one in found if one is not None]
    if not known:
        return None
    name, one = min(known, key=lambda pair: pair[1].p)
    return name, Excess(one.group, one.found, one.expected, min(1.0, one.p * len(known)))
