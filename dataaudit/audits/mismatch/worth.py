"""What fixing each suspect is worth, and which of them are causes.

Every fix is tried on the test rows whose labels are known: of each row the loss that it takes away, in nats,

    gain_t = ℓ_t(as it is) - ℓ_t(fixed),        worth = Σ_t gain_t,        z = worth / √(Σ_t (gain_t - mean)²)

The first cause is the suspect worth most, or a simpler one that is not worth less beyond chance. It is fixed,
and the others are judged again in the world after that: those that are worth nothing there any more are its
by-products; of the others the next cause is taken, and so on.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import get_args

import numpy as np
from numpy.typing import NDArray

from dataaudit.audits.mismatch.suspects import Fix, Kind, Suspect
from dataaudit.audits.mismatch.world import World
from dataaudit.errors import AuditError
from dataaudit.options import StepCallback, ignore_progress
from dataaudit.statistics import Z95

# Standard errors that the worth must exceed where the test that screened it has spoken already, and at what
# chance it has; and else, where many were tried.
TESTED, LEVEL = 2.0, 0.01
BEYOND = {"exchange": 2.0, "column": 2.0, "copies": 2.0, "rates": 3.0, "rows": 4.0, "slice": 4.0, "row": 4.0}
# Least worth that is more than a note: a share of the test loss or of that of its own test rows, and nats;
# fewer of what a test has shown already.
SHARE, OWN, NATS, SHOWN = 0.01, 0.2, 3.0, 2.0
# Share of the test loss from which it is high.
HIGH = 0.1
# Standard errors by which a simpler suspect may be worth less than the best.
TIED = 2.0
# Nats by which labels must differ more for each further condition of a slice, and to be worth a little less.
EACH, SURE = 3.0, 10.0
# Kinds that a few rows show by themselves, and how many times their worth something else has to come before.
DIRECT, APART = ("copies", "row", "rows"), 3.0
# Share of what the best fix of a suspect is worth that a plainer one must be, and its standard errors.
PLAINER, SOUND = 0.5, 4.0
# Causes of columns that do not say what happened, and those that nothing undoes.
VAGUE, EMPTY = ("moved", "dead", "row shift", "permuted"), ("stuck", "missing", "dead leak")
# Share of some rows that a slice must have, and of their worth, to be named in their place.
SAME = 0.75
# Broken columns that are tried before a slice, and the share of its worth of which more must be left then.
RIVALS, HALF = 4, 0.5
# Kinds of causes that hide slices.
HIDING = ("exchange", "column", "rates")
# Causes that are looked for; chance below which notes are equally sure.
CAUSES, CERTAIN = 10, 1e-12
JUDGING = "try fixes"

Reals = NDArray[np.float64]
_ORDER = {kind: place for place, kind in enumerate(get_args(Kind))}


@dataclass(frozen=True, eq=False)
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


@dataclass(frozen=True, eq=False)
class Judged:
    """A suspect with everything that was tried for it."""

    suspect: Suspect
    trials: tuple[Trial, ...]
    severity: str = "note"  # high, medium, note
    own_loss: float = float("inf")  # of its own test rows, in nats; infinite where it is about all of them
    under: int | None = None  # place of the cause whose by-product it is
    left: float | None = None  # share of its worth that is left once the causes before it are fixed

    @cached_property
    def best(self) -> Trial:
        """The fix that is worth most, or a plainer one that is as good; without more errors, if one is."""
        most = max(self.trials, key=lambda trial: trial.worth)
        if most.worth <= 0:
            return most
        enough = [t for t in self.trials if t.worth >= PLAINER * most.worth and t.z >= min(most.z, SOUND)]
        fewest = max(min(t.errors[1] for t in enough), enough[0].errors[0])
        plain = [t for t in enough if t.errors[1] <= fewest]
        most = max(plain, key=lambda trial: trial.worth)
        return next(trial for trial in plain if trial is most or not less(trial, most))

    @property
    def worth(self) -> float:
        """What the best fix is worth, in nats."""
        return self.best.worth


@dataclass
class _Court:
    """The suspects, as far as they are judged."""

    exact: bool  # whether causes are proved by refits
    rest: list[Judged]  # in the world as it is once the causes so far are fixed
    causes: list[Judged] = field(default_factory=list)
    loud: dict[int, Judged] = field(default_factory=dict)  # those that were more than a note, by suspect
    folded: list[Judged] = field(default_factory=list)
    proved: set[int] = field(default_factory=set)
    refuted: dict[int, Judged] = field(default_factory=dict)  # those that a refit did not confirm

    def next_cause(self, world: World) -> Judged | None:
        """Take the next cause, proved, from the rest; None where there is none."""
        while now := [one for one in self.rest if one.severity != "note"]:
            first = first_of(now)
            if self.exact and not self.causes and id(first.suspect) not in self.proved:
                self.prove([first, *self.rivals(now)], world)
                continue
            cause = self.before(first, now, world)
            self.rest = [one for one in self.rest if one is not cause]
            if self.causes:  # not all of its fixes were tried in this world
                cause = tried(cause.suspect, world, screened=False)
                cause = _proved(cause, world, screened=False) if self.exact else cause
            if cause.severity != "note":
                return cause
            self.refuted[id(cause.suspect)] = cause
        return None

    def rivals(self, now: Sequence[Judged]) -> list[Judged]:
        """Return what may be worth as much as the first once it is refitted: the best, and what is broken."""
        order = sorted(now, key=lambda one: -one.worth)
        return list(dict.fromkeys([*order[:RIVALS], *filter(_is_broken, order)]))[: 2 * RIVALS]

    def prove(self, some: Sequence[Judged], world: World) -> None:
        """Refit the best fix of some suspects."""
        known = {id(one.suspect): _proved(one, world) for one in some}
        self.proved |= known.keys()
        self.rest = [known.get(id(one.suspect), one) for one in self.rest]

    def before(self, first: Judged, now: Sequence[Judged], world: World) -> Judged:
        """Return what is broken in the place of a slice of which little is left once that is fixed."""
        if first.suspect.kind != "slice":
            return first
        broken = sorted(filter(_is_broken, now), key=lambda one: -one.worth)
        for one in broken[:RIVALS]:
            left = _trial(first.best.fix, one.best.fix.apply(world, exact=False), exact=False)
            if left is None or left.worth < HALF * first.worth:
                return one
        return first

    def fold(self, cause: Judged, again: Sequence[Judged]) -> None:
        """Put what is no more than a note, once a cause is fixed, under it if it was more before."""
        self.rest = []
        for one in again:
            was = self.loud.get(id(one.suspect))
            same = bool(one.suspect.columns) and set(one.suspect.columns) <= set(cause.suspect.columns)
            if was is not None and (same or one.severity == "note"):
                share = one.worth / was.worth
                self.folded.append(replace(was, under=len(self.causes) - 1, left=share))
                del self.loud[id(one.suspect)]
            elif not same:
                self.rest.append(one)


def judge(
    suspects: Sequence[Suspect],
    world: World,
    *,
    prove: int = 20,
    search: Callable[[World], Sequence[Suspect]] | None = None,
    on_step: StepCallback = ignore_progress,
) -> list[Judged]:
    """Return the suspects: causes as they are to be fixed, by-products by worth per training row, others.

    Of the first `prove` causes the fix is proved by a refit, and each later one is judged in the world where
    those before it are fixed. There `search` may find further suspects, which a broken column has hidden.
    """
    n = world.objective.rows.n
    court = _Court(bool(prove), _all_tried(suspects, world, on_step))
    alone = {id(one.suspect): one for one in court.rest}
    while len(court.causes) < max(prove, 1) and len(court.causes) < CAUSES:
        court.loud |= {id(one.suspect): one for one in court.rest if one.severity != "note"}
        cause = court.next_cause(world)
        if cause is None:
            break
        before = alone[id(cause.suspect)].worth
        left = cause.worth / before if court.causes and before > 0 else None
        court.causes.append(replace(cause, left=left))
        court.loud.pop(id(cause.suspect))
        world = cause.best.fix.apply(world, exact=court.exact)
        if search is not None and cause.suspect.kind in HIDING:
            known = {one.suspect.key for one in alone.values()}
            more = [one for one in search(world) if one.key not in known]
            found = _all_tried(more, world, on_step)
            alone |= {id(one.suspect): one for one in found}
            court.rest += found
        court.fold(cause, [_again(one, world) for one in court.rest])
    placed = {id(one.suspect) for one in (*court.causes, *court.folded)}
    others = [court.refuted.get(key, one) for key, one in alone.items() if key not in placed]
    folded = sorted(court.folded, key=lambda one: (one.under, -one.worth / (len(one.suspect.train) or n)))
    return [*court.causes, *folded, *sorted(others, key=_as_note)]


def _as_note(one: Judged) -> tuple[bool, float, float]:
    """Return what notes are sorted by: those that are worth nothing last, then by chance and by worth."""
    return one.severity == "note", max(one.suspect.p_value, CERTAIN), -one.worth


def _all_tried(suspects: Sequence[Suspect], world: World, on_step: StepCallback) -> list[Judged]:
    found = []
    for place, one in enumerate(suspects):
        on_step(JUDGING, place, len(suspects))
        found.append(tried(one, world))
    on_step(JUDGING, len(suspects), len(suspects))
    return [one for one in found if one.trials]


def _again(one: Judged, world: World) -> Judged:
    """Return a suspect judged in another world: by the fix that was best and the plainest one."""
    fixes = tuple(trial.fix for trial in one.trials if trial is one.trials[0] or trial is one.best)
    again = replace(tried(replace(one.suspect, fixes=fixes), world, screened=False), suspect=one.suspect)
    return again if again.trials else replace(one, severity="note")


def tried(suspect: Suspect, world: World, *, screened: bool = True) -> Judged:
    """Try every fix of a suspect, by one Newton step where it concerns training rows.

    It was `screened` in this world, or in another one, so that its p-value says nothing here.
    """
    trials = (_trial(fix, world, exact=False) for fix in suspect.fixes)
    own = float("inf")
    if len(suspect.test):
        own = float(world.evaluation.loss[np.isin(world.rows, suspect.test)].sum())
    judged = Judged(suspect, tuple(trial for trial in trials if trial is not None), own_loss=own)
    return replace(judged, severity=severity_of(judged, screened=screened) if judged.trials else "note")


def _trial(fix: Fix, world: World, *, exact: bool) -> Trial | None:
    try:
        there = fix.apply(world, exact=exact)
        before, after = world.judged(exact=exact), there.judged(exact=exact)
    except AuditError:  # nothing would be left to fit
        return None
    if not np.isfinite(after.loss).all():
        return None
    change = float(after.loss.mean() - before.loss.mean()) if there.theta is not world.theta else None
    wrong = before.wrong, after.wrong
    return Trial(fix, before.loss, after.loss, wrong, None if exact else change, change if exact else None)


def _proved(one: Judged, world: World, *, screened: bool = True) -> Judged:
    """Return a suspect with the best fix proved by a refit, where it concerns training rows."""
    while (best := one.best).predicted is not None and best.measured is None:
        again = _trial(best.fix, world, exact=True)
        trials = [trial for trial in one.trials if trial is not best or again is not None]
        if again is not None:
            trials[one.trials.index(best)] = replace(again, predicted=best.predicted)
        if not trials:
            return replace(one, severity="note")
        one = replace(one, trials=tuple(trials))
    return replace(one, severity=severity_of(one, screened=screened))


def severity_of(one: Judged, *, screened: bool) -> str:
    """Return how severe it is: by the share of the test loss that fixing it takes away, beyond chance."""
    best, total = one.best, float(one.best.before.sum())
    known = screened and one.suspect.p_value <= LEVEL
    beyond = TESTED if known and one.suspect.kind not in ("row", "rows") else BEYOND[one.suspect.kind]
    if best.z <= beyond or best.worth < (SHOWN if known else NATS):
        return "note"
    if best.worth < SHARE * total and best.worth < OWN * one.own_loss:
        return "note"
    return "high" if best.worth >= HIGH * total else "medium"


def first_of(now: Sequence[Judged]) -> Judged:
    """Return the suspect worth most, or a simpler one that is not worth less beyond chance.

    Rows that stand apart or contradict their copies come before what is worth little more, by their doing.
    """
    best = max(now, key=lambda one: one.best.interval[0])
    apart = [one for one in now if one.suspect.kind in DIRECT and one.suspect.p_value <= LEVEL]
    apart = [one for one in apart if one.worth >= best.worth / APART]
    tied = [one for one in now if not less(one.best, best.best) or _differs_more(one, best)]
    first = min(apart or tied, key=lambda one: (_complexity(one), -one.best.interval[0]))
    return _nearer(first, now, tied)


def _differs_more(one: Judged, best: Judged) -> bool:
    """Whether labels of a slice differ more than those of another one, which is not worth much more."""
    kinds = {one.suspect.kind, best.suspect.kind}
    more = one.suspect.p_value <= LEVEL and one.suspect.evidence > best.suspect.evidence + SURE
    return kinds == {"slice"} and more and one.worth >= HALF * best.worth


def _nearer(first: Judged, now: Sequence[Judged], tied: Sequence[Judged]) -> Judged:
    """Return a slice in the place of a column, or of rows, that do not say what happened, where one does."""
    kind, columns, rows = first.suspect.kind, set(first.suspect.columns), first.suspect.train
    slices: list[Judged] = []
    if kind == "column" and not _is_broken(first):
        slices = [one for one in tied if set(one.suspect.columns) == columns]
        slices = [one for one in slices if one.worth >= SAME * first.worth]
    if kind in ("row", "rows") and not columns:  # what the rows have in common says more
        slices = [one for one in now if one.suspect.p_value <= LEVEL and one.worth >= SAME * first.worth]
        slices = [one for one in slices if np.isin(rows, one.suspect.train).mean() >= SAME]
    slices = [one for one in slices if one.suspect.kind == "slice"]
    return min(slices, key=lambda one: (_complexity(one), -one.worth), default=first)


def _is_broken(one: Judged) -> bool:
    """Whether it is a fault in itself: copies, or a column that is broken, not only distributed otherwise."""
    suspect = one.suspect
    undone = one.best.fix.name != "leave out column" or suspect.cause in EMPTY
    return suspect.kind in ("exchange", "column", "copies") and suspect.cause not in VAGUE and undone


def less(one: Trial, best: Trial) -> bool:
    """Whether a fix is worth less than the best one beyond chance."""
    lost = best.gain - one.gain
    return float(lost.sum()) > TIED * float(lost.std() * np.sqrt(len(lost)))


def _complexity(one: Judged) -> tuple[int, float, bool, int]:
    """Return what makes a suspect less simple: its kind, labels that differ less, and what it takes."""
    suspect = one.suspect
    evidence = suspect.evidence if suspect.p_value <= LEVEL else 0.0
    evidence -= EACH * (len(suspect.columns) - 1)
    return _ORDER[suspect.kind], -evidence, one.best.fix.name == "offset", len(suspect.columns)
