"""Exact values for the rows that people look at, where those of all rows are estimates.

Where no factor of the Hessian fits in memory the quadratic forms of all rows come from random projections
(`solvers.projected`). A row that the list does not show might belong there by the error of its estimate. So
the first rows, and those that would be among them if they moved themselves more by Z standard errors, are
solved for; the list is made anew, until no row at its top is an estimate. A random sample of rows is solved
for as well, and says how far the estimates of all the others are off.

**Forms.** Of one score a row, its form is a solve, from which all else follows.

**Scores.** Of several classes the k × k form of a row would take k solves: its scores without itself take
one, with another label for it one more, its influence on itself a third (`solvers.changes`). Where that would
be much work it is done for some of the rows that are shown, and the others are marked. Leverage stays what
the projections say. By the rows that are drawn the estimates of all others are set right on the
whole: their blocks of one class each are off by nothing in sparse texts, by 10 to 25 % where all classes
overlap.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import ClassVar, Final, Generic, Protocol, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from dataaudit.audits.health import Check
from dataaudit.audits.validation import patched, refined
from dataaudit.noise import NoiseModel
from dataaudit.options import Checkpoint, StepCallback
from dataaudit.options.progress import within
from dataaudit.solvers.base import Changed
from dataaudit.statistics import Z95
from dataaudit.training.trained import RowScores, Trained, suggested_classes

SAMPLED, FEWER = 100, 20  # rows by which the estimates are judged, of one score and of several
MOST: Final = 4  # times the rows that are shown, solved for in one round at most
MARGIN: Final = 1.03
ROUNDS: Final = 8
STAGES: Final = ("solve for the first rows", "solve for rows that moved up", "solve for their labels")
COVERED: Final = 0.85  # least share of the sampled rows within their interval; 95 % are expected
LARGEST: Final = (
    0.99  # leverage that an error may lead to: without a row that fits itself alone nothing is left
)
# Of several classes: multiplications that solving may take, products with X that a row takes, and rows that
# are solved for anyway; one in so many more than are shown, as the list moves once more when all is exact.
WORK, PRODUCTS, LEAST, EVERY = 2e11, 300, 20, 10

Rows = NDArray[np.int64]
Floats = NDArray[np.float64]


class Judged(Protocol):
    """Rows with their scores, the noise that these show, and the order to look at them."""

    @property
    def trained(self) -> Trained:
        """The model."""

    @property
    def scores(self) -> RowScores:
        """Of all rows."""

    @property
    def noise(self) -> NoiseModel:
        """What the scores show."""

    @property
    def order(self) -> Rows:
        """Positions, the most suspect first."""

    @property
    def ranking(self) -> str:
        """What they are ordered by."""


J = TypeVar("J", bound=Judged)
T = TypeVar("T")


@dataclass(frozen=True)
class Shown:
    """How many rows of the list people look at."""

    first: int  # which they are is not to depend on estimates
    exact: int  # their values are exact

    @property
    def asked(self) -> int:
        """How many are solved for at first: some more, as the list moves when their values become exact."""
        return round(MARGIN * self.exact)


@dataclass(frozen=True)
class Bounds:
    """What rows are ordered by within each kind of row, and what it might be; how many may be solved for."""

    key: Floats
    high: Floats
    kind: Rows
    most: int


def standard_errors(leverage: Floats, probes: int) -> Floats:
    """Return the standard errors of estimated leverages, relative to them (`solvers.projected`)."""
    h = np.clip(leverage, 0.0, 1.0)
    return np.asarray(np.sqrt(2.0 / probes) * (1.0 - h) / np.sqrt(h**2 + (1.0 - h) ** 2))


def intervals(leverage: Floats, probes: int) -> Floats:
    """Return half the 95 % intervals of estimated leverages, relative to them.

    Means of m squares lie further out than a normal distribution does: as far as Student's t of m/2 degrees,
    whose quantile is near z + (z³ + z)/2m. *Measured* on 3,000 mails and six seeds, z alone covers 94.6 % of
    the rows, this 95.3 %.
    """
    return standard_errors(leverage, probes) * (Z95 + (Z95**3 + Z95) / (2 * probes))


def agreement(what: str, estimated: Floats, exact: Floats, *, half: Floats | float, probes: int) -> Check:
    """Compare estimates of some rows with what solving gives, and with half their relative intervals."""
    off = np.abs(estimated - exact) / np.maximum(np.abs(exact), 1e-300)
    within = float((off <= half).mean())
    message = (
        f"{what} is estimated, by {probes} random projections: of {len(off)} rows drawn at random half "
        f"are off by less than {np.median(off):.0%}, and {within:.0%} are within the 95% interval that is "
        "claimed."
    )
    return ("estimates", within, COVERED, within >= COVERED, message)


def candidates(judged: Judged, bounds: Bounds, shown: Shown) -> Rows:
    """Return rows still estimated that are among the first, or might be."""
    exact, first = judged.trained.exact, judged.order[: shown.first]
    key, high, kind = bounds.key, bounds.high, bounds.kind
    least = np.full(int(kind.max(initial=0)) + 1, np.inf)
    np.minimum.at(least, kind[first], key[first])
    least[np.isinf(least)] = key[first].max(initial=-np.inf) if len(first) else np.inf
    known = np.zeros(len(key), dtype=bool) if exact is None else exact
    maybe = np.flatnonzero((high >= least[kind]) & ~known)
    maybe = maybe[np.argsort(-high[maybe], kind="stable")][: bounds.most]
    rows = np.union1d(judged.order[: shown.exact], maybe)
    return np.asarray(rows[~known[rows]])


@dataclass(frozen=True)
class Solver(Generic[J]):
    """Solves for rows until none that is shown is an estimate; a row by its form."""

    again: Callable[..., J]  # what another model, or other scores, show
    shown: Shown
    kept: Checkpoint
    on_step: StepCallback
    sampled: ClassVar[int] = SAMPLED

    def exact(self, judged: J, seed: int) -> tuple[J, Check, tuple[str, ...]]:
        """Make the values of the first rows exact; say how far others are off, and what is estimated."""
        n, before, shown = len(judged.order), judged, self._first(judged)
        drawn = np.sort(np.random.default_rng(seed).choice(n, min(n, self.sampled), replace=False))
        rows = np.union1d(drawn, judged.order[: shown.asked])
        for done in range(ROUNDS):
            kept = self.kept.below(f"{STAGES[0]}: {judged.trained.way}: {done}")
            judged = self._step(min(done, 1), partial(self._solved, judged, drawn, kept), rows)
            rows = candidates(judged, self._bounds(judged), shown)
            if not len(rows):
                break
        judged, check = self._finished(before, judged, drawn)
        return judged, check, self._notes(judged)

    def _first(self, judged: J) -> Shown:
        """Return how many of the first rows are solved for."""
        return self.shown

    def _step(self, number: int, solve: Callable[[Rows], T], rows: Rows) -> T:
        """Solve for rows as a stage of its own."""
        self.on_step(STAGES[number], 0, len(rows))
        with within(self.on_step, STAGES[number]):
            found = solve(rows)
        self.on_step(STAGES[number], len(rows), len(rows))
        return found

    def _solved(self, judged: J, drawn: Rows, kept: Checkpoint, rows: Rows) -> J:
        """Solve for some rows."""
        return self.again(judged.trained.sharpened(rows, kept))

    def _bounds(self, judged: J) -> Bounds:
        """Return what rows are ordered by, and what it might be by the error of the estimate."""
        trained, scores = judged.trained, judged.scores
        h, y = np.clip(scores.leverage, 1e-12, LARGEST), trained.objective.rows.y.numpy()
        larger = np.minimum(h * (1.0 + intervals(h, trained.prepared.probes)), LARGEST)
        # The probability that a label is wrong rises with the loss, but not alike for all labels.
        kind, most = y if judged.ranking == "p-wrong" else np.zeros_like(y), MOST * self.shown.first
        if judged.ranking == "self-influence":
            return Bounds(scores.self_influence, scores.self_influence * larger / h, kind, most)
        now = trained.objective.scores(trained.fit.theta)
        further = torch.from_numpy(larger * (1.0 - h) / (h * (1.0 - larger)))[:, None]
        without = now + (torch.from_numpy(scores.loo_scores) - now) * further
        high = trained.loss(without, trained.objective.rows.y).numpy()
        return Bounds(scores.loo_loss, high, kind, most)

    def _finished(self, before: J, judged: J, drawn: Rows) -> tuple[J, Check]:
        """Compare the estimates of the rows that were drawn with what solving gives."""
        estimated, exact = (one.scores.leverage[drawn] for one in (before, judged))
        probes = judged.trained.prepared.probes
        half = intervals(exact, probes)
        return judged, agreement(
            "The influence of most rows on themselves", estimated, exact, half=half, probes=probes
        )

    def _notes(self, judged: J) -> tuple[str, ...]:
        """Say in one sentence what is estimated, and how well."""
        some, probes = judged.trained.estimated, judged.trained.prepared.probes
        if not some.any():
            return ()
        error = float(np.median(standard_errors(judged.scores.leverage[some], probes)))
        return (note("Leverage and what follows from it", some, f"{error:.0%}"),)


@dataclass(frozen=True)
class ScoreSolver(Solver[J]):
    """The same for several classes: a row by its scores."""

    changed: Changed
    sampled: ClassVar[int] = FEWER

    def _first(self, judged: J) -> Shown:
        """Return those that are shown, or as many as the work allows."""
        first = min(self.shown.first, max(LEAST, _most(judged.trained) // 2))
        return Shown(first, first)

    def _solved(self, judged: J, drawn: Rows, kept: Checkpoint, rows: Rows) -> J:
        trained, scores = judged.trained, judged.scores
        sets = [torch.from_numpy(np.r_[row, np.setdiff1d(trained.mates(row), row)]) for row in rows.tolist()]
        left = kept.once("scores", lambda: self.changed.scores(sets))
        suggested = scores.suggested.copy()
        suggested[rows] = suggested_classes(trained, left, trained.objective.rows.y[torch.from_numpy(rows)])
        new = _left_out(trained, replace(scores, suggested=suggested), rows, left.numpy())
        exact = np.zeros(len(suggested), dtype=bool) if trained.exact is None else trained.exact.copy()
        exact[rows] = True
        if trained.exact is None:
            rest = np.flatnonzero(~exact)
            new = _left_out(trained, new, rest, _levelled(judged, new, drawn)[rest])
        return self.again(replace(trained, exact=exact), scores=new)

    def _bounds(self, judged: J) -> Bounds:
        scores, p, trained = judged.scores, judged.noise.p_wrong.clip(1e-300, 1.0 - 1e-16), judged.trained
        key, moved = {
            "p-wrong": (np.log(p) - np.log1p(-p), scores.loo_loss - scores.train_loss),
            "leave-one-out": (scores.loo_loss, scores.loo_loss - scores.train_loss),
            "self-influence": (scores.self_influence, scores.self_influence),
        }[judged.ranking]
        left = _most(trained) - (0 if trained.exact is None else int(trained.exact.sum()))
        high = key + Z95 * score_error(trained.prepared.probes) * moved
        return Bounds(key, high, np.zeros(len(key), dtype=int), max(0, min(self.shown.first, left)))

    def _finished(self, before: J, judged: J, drawn: Rows) -> tuple[J, Check]:
        """Solve for other labels and the influence of rows on themselves as well."""
        trained, scores, probes = judged.trained, judged.scores, judged.trained.prepared.probes
        other = np.flatnonzero(scores.suggested != before.scores.suggested)
        first, exact = self._first(judged).first, np.flatnonzero(~trained.estimated)
        near = judged.order[: first + 1 + first // EVERY]
        rows = np.union1d(other, np.intersect1d(near, exact))
        y, loss = trained.objective.rows.y[torch.from_numpy(drawn)], scores.train_loss[drawn]
        left = torch.from_numpy(_levelled(before, scores, drawn)[drawn])
        check = agreement(
            "What most rows do to their own loss",
            trained.loss(left, y).numpy() - loss,
            scores.loo_loss[drawn] - loss,
            half=Z95 * score_error(probes),
            probes=probes,
        )
        scores = self._step(2, partial(self._relabelled, judged), rows)
        exact = np.intersect1d(rows, exact)  # all values of these are
        trained = replace(trained, exact=np.isin(np.arange(len(scores.leverage)), exact))
        # As where all is exact, the rows of high leverage are refined.
        return self.again(trained, scores=refined(trained, scores)), check

    def _relabelled(self, judged: J, rows: Rows) -> RowScores:
        """Return the scores with those of some rows with another label, and their influence, solved for."""
        trained, scores, at = judged.trained, judged.scores, torch.from_numpy(rows)
        y, near = (torch.from_numpy(values[rows]) for values in (scores.suggested, scores.loo_scores))
        relabelled, own = self.kept.once(
            f"{STAGES[2]}: {trained.way}",
            lambda: (self.changed.scores(list(at[:, None]), y=y, near=near), self.changed.self_influence(at)),
        )
        influence = scores.self_influence.copy()
        influence[rows] = own.numpy()
        new = patched(trained, scores, rows, without=scores.loo_scores[rows], relabelled=relabelled.numpy())
        return replace(new, self_influence=influence)

    def _notes(self, judged: J) -> tuple[str, ...]:
        what = "The leverage of all rows, and self-influence and leave-one-out values"
        error = f"at most {score_error(judged.trained.prepared.probes):.0%}; all else is exact"
        return (note(what, judged.trained.estimated, error, shown=judged.order[: self.shown.first]),)


def _most(trained: Trained) -> int:
    """Return how many rows of several classes may be solved for."""
    size = trained.objective.size
    return int(WORK / (PRODUCTS * size.numbers * (size.k + 1)))


def note(what: str, estimated: NDArray[np.bool_], error: str, *, shown: Rows | None = None) -> str:
    """Say what is estimated, in how many of the rows that are shown, and how well."""
    among = 0 if shown is None else int(estimated[shown].sum())
    first = f" ({among:,} of them among the first {len(shown):,})" if shown is not None and among else ""
    return (
        f"{what} of {int(estimated.sum()):,} of {len(estimated):,} rows{first}, marked “estimated” in "
        f"labels.parquet, are estimates, with a standard error of {error}."
    )


def score_error(probes: int) -> float:
    """Return the standard error of how far a row moves its scores, relative to that, at most."""
    return float(2.0 / np.sqrt(probes))


def _left_out(trained: Trained, scores: RowScores, rows: Rows, left: Floats) -> RowScores:
    """Return the scores with those of some rows without themselves."""  # left (m, k)
    return patched(trained, scores, rows, without=left, relabelled=scores.relabelled_scores[rows])


def _levelled(before: Judged, solved: RowScores, drawn: Rows) -> Floats:
    """Return the estimated scores of all rows without themselves, moved by as much as those drawn are."""
    now = before.trained.objective.scores(before.trained.fit.theta).numpy()
    moved, truly = ((s.loo_scores - now)[drawn] for s in (before.scores, solved))
    along = (moved * truly).sum(1) / np.maximum((moved**2).sum(1), 1e-300)
    return np.asarray(now + float(np.median(along)) * (before.scores.loo_scores - now))
