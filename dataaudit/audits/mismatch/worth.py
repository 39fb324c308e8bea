"""What fixing each suspect is worth, and which of them are causes.

Every fix is tried on the test rows whose labels are known: of each row the loss that it takes away, in nats,

    gain_t = ℓ_t(as it is) - ℓ_t(fixed),        worth = Σ_t gain_t,        z = worth / √(Σ_t (gain_t - mean)²)

The first cause is the suspect worth most, or a simpler one that is not worth less beyond chance. It is fixed,
and the others are judged again in the world after that: those that are worth nothing there any more are its
by-products; of the others the next cause is taken, and so on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import get_args

import numpy as np
from numpy.typing import NDArray

from dataaudit.audits.mismatch.suspects import Fix, Kind, Suspect
from dataaudit.audits.mismatch.world import World
from dataaudit.statistics import Z95

# Standard errors that the worth must exceed: a column's two-sample test has spoken already, of slices and
# single rows many were tried.
BEYOND = {"exchange": 2.0, "column": 2.0, "copies": 2.0, "rates": 3.0, "rows": 3.5, "slice": 3.5, "row": 4.0}
# Least worth that is more than a note: a share of the test loss, and nats.
SHARE, NATS = 0.01, 3.0
# Share of the test loss from which it is high.
HIGH = 0.1
# Standard errors by which a simpler suspect may be worth less than the best.
TIED = 2.0
MOST = 20  # causes that are looked for

Reals = NDArray[np.float64]
_ORDER = {kind: place for place, kind in enumerate(get_args(Kind))}


@dataclass(frozen=True)
class Trial:
    """A fix, and what it came to on t judged test rows."""

    fix: Fix
    gain: Reals  # (t,) loss that it takes away, in nats
    wrong: NDArray[np.bool_]  # (t,) which are mispredicted after it

    @property
    def worth(self) -> float:
        """Loss that it takes away from all of them, in nats."""
        return float(self.gain.sum())

    @property
    def error(self) -> float:
        """Standard error of the worth."""
        return float(self.gain.std() * np.sqrt(len(self.gain)))

    @property
    def z(self) -> float:
        """Worth over its standard error."""
        return self.worth / self.error if self.error > 0 else 0.0

    @property
    def interval(self) -> tuple[float, float]:
        """95 % interval of the worth."""
        return self.worth - Z95 * self.error, self.worth + Z95 * self.error


@dataclass(frozen=True)
class Judged:
    """A suspect with everything that was tried for it."""

    suspect: Suspect
    trials: tuple[Trial, ...]
    severity: str = "note"  # high, medium, note
    under: int | None = None  # place of the cause whose by-product it is
    left: float | None = None  # share of its worth that is left once that is fixed

    @property
    def best(self) -> Trial:
        """The fix that is worth most."""
        return max(self.trials, key=lambda trial: trial.worth)


def judge(suspects: Sequence[Suspect], world: World, *, exact: bool = False) -> list[Judged]:
    """Return the suspects: causes by worth, then their by-products, then the others."""
    alone = [judged for one in suspects if (judged := tried(one, world, exact=exact)).trials]
    total = float(world.evaluation.loss.sum())
    causes: list[Judged] = []
    folded: list[Judged] = []
    left = [one for one in alone if severity_of(one, total) != "note"]
    notes = [one for one in alone if severity_of(one, total) == "note"]
    now = left
    while now and len(causes) < MOST:
        cause = first_of(now)
        causes.append(replace(cause, severity=severity_of(cause, total)))
        world = cause.best.fix.apply(world, exact=exact)
        again = [tried(one.suspect, world, exact=exact) for one in now if one.suspect is not cause.suspect]
        before = {id(one.suspect): one for one in alone}
        now = []
        for one in again:
            was = before[id(one.suspect)]
            same = set(one.suspect.columns) <= set(cause.suspect.columns)
            if not same and one.trials and severity_of(one, total) != "note":
                now.append(one)
            else:
                share = one.best.worth / was.best.worth if one.trials else 0.0
                folded.append(replace(was, under=len(causes) - 1, left=share))
    notes.sort(key=lambda one: -one.best.worth)
    return [*causes, *folded, *notes]


def tried(suspect: Suspect, world: World, *, exact: bool) -> Judged:
    """Try every fix of a suspect."""
    before = world.evaluation.loss
    trials = []
    for fix in suspect.fixes:
        after = fix.apply(world, exact=exact).evaluation
        trials.append(Trial(fix, before - after.loss, after.wrong))
    return Judged(suspect, tuple(trials))


def severity_of(one: Judged, total: float) -> str:
    """Return how severe it is: by the share of the test loss that fixing it takes away, beyond chance."""
    best = one.best
    if best.z <= BEYOND[one.suspect.kind] or best.worth < max(NATS, SHARE * total):
        return "note"
    return "high" if best.worth >= HIGH * total else "medium"


def first_of(now: Sequence[Judged]) -> Judged:
    """Return the suspect worth most, or a simpler one that is not worth less beyond chance."""
    best = max(now, key=lambda one: one.best.worth)
    tied = [one for one in now if not _less(one.best, best.best)]
    return min(tied, key=lambda one: (_complexity(one), -one.best.worth))


def _less(one: Trial, best: Trial) -> bool:
    """Whether a fix is worth less than the best one beyond chance."""
    lost = best.gain - one.gain
    return float(lost.sum()) > TIED * float(lost.std() * np.sqrt(len(lost)))


def _complexity(one: Judged) -> tuple[int, bool, int]:
    suspect = one.suspect
    return _ORDER[suspect.kind], one.best.fix.name == "offset", len(suspect.columns)
