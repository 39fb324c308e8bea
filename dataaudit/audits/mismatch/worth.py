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
from functools import cached_property
from typing import get_args

import numpy as np
from numpy.typing import NDArray

from dataaudit.audits.mismatch.suspects import Fix, Kind, Suspect
from dataaudit.audits.mismatch.world import World
from dataaudit.errors import AuditError
from dataaudit.options import StepCallback, ignore_progress
from dataaudit.statistics import Z95

# Standard errors that the worth must exceed where the test that screened it has spoken already, at what chance
# it has; and else, where many were tried.
TESTED, LEVEL = 2.0, 0.01
BEYOND = {"exchange": 2.0, "column": 2.0, "copies": 2.0, "rates": 3.0, "rows": 3.5, "slice": 3.5, "row": 4.0}
# Least worth that is more than a note: a share of the test loss, and nats.
SHARE, NATS = 0.01, 3.0
# Share of the test loss from which it is high.
HIGH = 0.1
# Standard errors by which a simpler suspect may be worth less than the best.
TIED = 2.0
# Nats by which labels must differ more for each further condition of a slice.
EACH = 3.0
# What a few rows are seen by alone, and how many times as much must something else be worth to come before them.
DIRECT, APART = ("copies", "row", "rows"), 3.0
# Share of what the best fix of a suspect is worth that a plainer one must be, and its standard errors.
PLAINER, SOUND = 0.5, 4.0
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

    @cached_property
    def best(self) -> Trial:
        """The fix that is worth most, or a plainer one that is as good; one without more errors if there is."""
        most = max(self.trials, key=lambda trial: trial.worth)
        enough = [t for t in self.trials if t.worth >= PLAINER * most.worth and t.z >= min(most.z, SOUND)]
        enough = enough or [most]  # worth less than nothing
        plain = [t for t in enough if t.errors[1] <= t.errors[0]] or enough
        most = max(plain, key=lambda trial: trial.worth)
        return next(trial for trial in plain if trial is most or not less(trial, most))

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
    rest = sorted([*proved, *alone], key=lambda one: (one.severity == "note", one.suspect.p_value > LEVEL))
    return [*causes, *folded, *(one for one in rest if _once(one, known))]


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
            same = one.suspect.columns and set(one.suspect.columns) <= set(cause.suspect.columns)
            if again.severity == "note" or same:
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
    tested = one.suspect.p_value <= LEVEL and one.suspect.kind not in ("row", "rows")
    beyond = TESTED if tested else BEYOND[one.suspect.kind]
    if best.z <= beyond or best.worth < max(NATS, SHARE * total):
        return "note"
    return "high" if best.worth >= HIGH * total else "medium"


def first_of(now: Sequence[Judged]) -> Judged:
    """Return the suspect worth most, or a simpler one that is not worth less beyond chance.

    Rows that stand apart or contradict their copies come before what is worth little more, by their doing.
    """
    best = max(now, key=lambda one: one.worth)
    apart = [one for one in now if one.suspect.kind in DIRECT and one.suspect.p_value <= LEVEL]
    apart = [one for one in apart if one.worth >= best.worth / APART]
    tied = [one for one in now if not less(one.best, best.best)]
    return min(apart or tied, key=lambda one: (_complexity(one), -one.worth))


def less(one: Trial, best: Trial) -> bool:
    """Whether a fix is worth less than the best one beyond chance."""
    lost = best.gain - one.gain
    return float(lost.sum()) > TIED * float(lost.std() * np.sqrt(len(lost)))


def _complexity(one: Judged) -> tuple[int, float, bool, int]:
    """Return what makes a suspect less simple: its kind, labels that differ less, and what it takes."""
    suspect = one.suspect
    evidence = suspect.evidence - EACH * (len(suspect.columns) - 1)
    return _ORDER[suspect.kind], -evidence, one.best.fix.name == "offset", len(suspect.columns)
