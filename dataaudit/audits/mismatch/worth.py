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
from dataaudit.errors import AuditError
from dataaudit.options import StepCallback, ignore_progress
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
# Causes that are looked for, and suspects among which.
CAUSES, JUDGED = 10, 30
JUDGING = "try fixes"

Reals = NDArray[np.float64]
_ORDER = {kind: place for place, kind in enumerate(get_args(Kind))}


@dataclass(frozen=True)
class Trial:
    """A fix, and what it came to on t judged test rows."""

    fix: Fix
    before: Reals  # (t,) losses without it, in nats
    after: Reals  # (t,) and with it
    wrong: tuple[NDArray[np.bool_], NDArray[np.bool_]]  # 2 × (t,) which are mispredicted, without and with it
    predicted: float | None  # change of the mean loss by one Newton step; None where nothing is refitted
    measured: float | None  # the same by a refit; None where there was none

    @property
    def gain(self) -> Reals:
        """Loss that it takes away from each row."""  # (t,)
        return self.before - self.after

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

    @property
    def errors(self) -> tuple[int, int]:
        """Mispredicted rows without it and with it."""
        return int(self.wrong[0].sum()), int(self.wrong[1].sum())


@dataclass(frozen=True)
class Judged:
    """A suspect with everything that was tried for it."""

    suspect: Suspect
    trials: tuple[Trial, ...]
    severity: str = "note"  # high, medium, note
    under: int | None = None  # place of the cause whose by-product it is
    left: float | None = None  # share of its worth that is left once the causes before it are fixed

    @property
    def best(self) -> Trial:
        """The fix that is worth most."""
        return max(self.trials, key=lambda trial: trial.worth)

    @property
    def worth(self) -> float:
        """What the best fix is worth, in nats."""
        return self.best.worth


def judge(
    suspects: Sequence[Suspect], world: World, *, prove: int = 20, on_step: StepCallback = ignore_progress
) -> list[Judged]:
    """Return the suspects: causes in the order of their worth, then their by-products, then the others.

    Of the first `prove` that are more than a note by one Newton step, the best fix is proved by a refit.
    """
    total, alone = float(world.evaluation.loss.sum()), []
    for place, one in enumerate(suspects):
        on_step(JUDGING, place, len(suspects))
        alone.append(tried(one, world))
    on_step(JUDGING, len(suspects), len(suspects))
    alone = [replace(one, severity=severity_of(one, total)) for one in alone if one.trials]
    alone.sort(key=lambda one: -one.worth)
    above = [one for one in alone if one.severity != "note"]
    proved = [_proved(one, world, total) for one in above[:prove]] + above[prove:]
    causes, folded = _explained(proved[:JUDGED], world, total, exact=bool(prove))
    known = {id(one.suspect) for one in (*causes, *folded)}
    return [*causes, *folded, *(one for one in [*proved, *alone] if _once(one, known))]


def _once(one: Judged, known: set[int]) -> bool:
    if id(one.suspect) in known:
        return False
    known.add(id(one.suspect))
    return True


def _explained(
    found: Sequence[Judged], world: World, total: float, *, exact: bool
) -> tuple[list[Judged], list[Judged]]:
    """Return the causes among some suspects, and their by-products."""
    causes: list[Judged] = []
    folded: list[Judged] = []
    alone = {id(one.suspect): one for one in found}
    now = [one for one in found if one.severity != "note"]
    while now and len(causes) < CAUSES:
        cause = first_of(now)
        if causes and exact:
            cause = _proved(cause, world, total)
            if cause.severity == "note":
                now = [one for one in now if one.suspect is not cause.suspect]
                continue
        before = alone[id(cause.suspect)].worth
        causes.append(replace(cause, left=cause.worth / before if causes and before else None))
        world = cause.best.fix.apply(world, exact=exact)
        others, now = [one for one in now if one.suspect is not cause.suspect], []
        for one in others:
            again, was = tried(one.suspect, world), alone[id(one.suspect)]
            again = replace(again, severity=severity_of(again, total) if again.trials else "note")
            if again.severity == "note" or set(one.suspect.columns) <= set(cause.suspect.columns):
                share = again.worth / was.worth if again.trials and was.worth else 0.0
                folded.append(replace(was, under=len(causes) - 1, left=share))
            else:
                now.append(again)
    return causes, folded


def tried(suspect: Suspect, world: World) -> Judged:
    """Try every fix of a suspect, by one Newton step where it concerns training rows."""
    trials = (_trial(fix, world, exact=False) for fix in suspect.fixes)
    return Judged(suspect, tuple(trial for trial in trials if trial is not None))


def _trial(fix: Fix, world: World, *, exact: bool) -> Trial | None:
    before = world.evaluation
    try:
        there = fix.apply(world, exact=exact)
        after = there.evaluation
    except AuditError:  # nothing would be left to fit
        return None
    if not np.isfinite(after.loss).all():
        return None
    change = float(after.loss.mean() - before.loss.mean()) if there.theta is not world.theta else None
    wrong = before.wrong, after.wrong
    return Trial(fix, before.loss, after.loss, wrong, None if exact else change, change if exact else None)


def _proved(one: Judged, world: World, total: float) -> Judged:
    """Return a suspect with the best fix proved by a refit, where it concerns training rows."""
    best = one.best
    if best.predicted is None:
        return one
    again = _trial(best.fix, world, exact=True)
    if again is None:
        return replace(one, severity="note")
    again = replace(again, predicted=best.predicted)
    trials = tuple(again if trial is best else trial for trial in one.trials)
    proved = replace(one, trials=trials)
    return replace(proved, severity=severity_of(proved, total))


def severity_of(one: Judged, total: float) -> str:
    """Return how severe it is: by the share of the test loss that fixing it takes away, beyond chance."""
    best = one.best
    if best.z <= BEYOND[one.suspect.kind] or best.worth < max(NATS, SHARE * total):
        return "note"
    return "high" if best.worth >= HIGH * total else "medium"


def first_of(now: Sequence[Judged]) -> Judged:
    """Return the suspect worth most, or a simpler one that is not worth less beyond chance."""
    best = max(now, key=lambda one: one.worth).best
    tied = [one for one in now if not _less(one.best, best)]
    return min(tied, key=lambda one: (_complexity(one), -one.worth))


def _less(one: Trial, best: Trial) -> bool:
    """Whether a fix is worth less than the best one beyond chance."""
    lost = best.gain - one.gain
    return float(lost.sum()) > TIED * float(lost.std() * np.sqrt(len(lost)))


def _complexity(one: Judged) -> tuple[int, bool, int]:
    suspect = one.suspect
    return _ORDER[suspect.kind], one.best.fix.name == "offset", len(suspect.columns)
