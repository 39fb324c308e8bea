"""Exact scores of single rows, where those of all are estimates and there are several classes.

As in `forms`, but the k × k form of a row would take k solves: its scores without itself take one, with
another label for it one more, its influence on itself a third (`solvers.changes`). Where that would be much
work it is done for some of the rows that are shown, and the others are marked. Leverage stays what the
projections say. By the rows that are drawn the estimates of all others are set right on the whole: their
blocks of one class each are off by nothing in sparse texts, by 10 to 25 % where all classes overlap.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from dataaudit.audits.health import Check
from dataaudit.audits.validation import patched, refined
from dataaudit.noise import NoiseModel
from dataaudit.options import Checkpoint, StepCallback
from dataaudit.options.progress import within
from dataaudit.statistics import Z95
from dataaudit.training.trained import RowScores, Trained, suggested_classes

SAMPLED: Final = 20  # rows by which the estimates are judged
ROUNDS: Final = 4
# Multiplications that solving may take, products with X that a row takes, and rows solved for anyway.
WORK, PRODUCTS, LEAST = 2e11, 300, 20
MARGIN: Final = 10
COVERED: Final = 0.85  # least share of the sampled rows within their interval; 95 % are expected

Rows = NDArray[np.int64]


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


@dataclass(frozen=True)
class Exact:
    """A model with scores of which the first rows' are exact, and how far the estimates of others are off."""

    trained: Trained
    scores: RowScores
    check: Check


def standard_error(probes: int) -> float:
    """Return the standard error of how far a row moves its scores, relative to that, at most."""
    return float(2.0 / np.sqrt(probes))


@dataclass(frozen=True)
class Solver:
    """Solves for rows until none that is shown is an estimate."""

    again: Callable[..., Judged]  # what other scores show
    shown: int
    kept: Checkpoint
    on_step: StepCallback

    def exact(self, judged: Judged, seed: int) -> Exact:
        """Make the scores of the first rows exact."""
        stage, n = "solve for the first rows", len(judged.order)
        first = self._first(judged)
        drawn = np.sort(np.random.default_rng(seed).choice(n, min(n, SAMPLED), replace=False))
        rows, exact = np.union1d(drawn, judged.order[:first]), np.zeros(n, dtype=bool)
        for done in range(ROUNDS):
            self.on_step(stage, done, ROUNDS + 1)
            with within(self.on_step, stage, done=done, parts=ROUNDS + 1):
                scores = self._without(judged, rows, f"{stage}: {done}")
            exact[rows] = True
            if not done:
                estimated, scores = _levelled(judged, scores, drawn, exact)
            judged = self.again(replace(judged.trained, exact=exact.copy()), scores=scores)
            if not len(rows := self._candidates(judged, exact)):
                break
        changed = np.flatnonzero(judged.scores.suggested != estimated.suggested)
        self.on_step(stage, ROUNDS, ROUNDS + 1)
        near = judged.order[: first + 1 + first // MARGIN]  # the list moves once more when all is exact
        rows = np.union1d(changed, near[exact[near]])
        scores = self._changed(judged, rows, f"{stage}: labels")
        self.on_step(stage, 1, 1)
        solved = replace(judged.trained, exact=exact & np.isin(np.arange(n), rows))  # all values of which are
        check = _check(estimated, scores, drawn, judged.trained.prepared.probes)
        scores = refined(solved, scores)  # as where all is exact, the rows of high leverage
        return Exact(solved, scores, check)

    def _without(self, judged: Judged, rows: Rows, stage: str) -> RowScores:
        """Return the scores with those of some rows without themselves, and their groups, solved for."""
        trained, scores = judged.trained, judged.scores
        changed = trained.prepared.changed
        if changed is None:
            return scores
        sets = [np.r_[row, np.setdiff1d(trained.mates(row), row)] for row in rows.tolist()]
        left = self.kept.once(stage, lambda: changed.scores([torch.from_numpy(one) for one in sets]))
        suggested = scores.suggested.copy()
        suggested[rows] = suggested_classes(trained, left, trained.objective.rows.y[torch.from_numpy(rows)])
        new = replace(scores, suggested=suggested)
        return patched(trained, new, rows, without=left.numpy(), relabelled=scores.relabelled_scores[rows])

    def _changed(self, judged: Judged, rows: Rows, stage: str) -> RowScores:
        """Return the scores with those of some rows with another label, and their influence, solved for."""
        trained, scores, at = judged.trained, judged.scores, torch.from_numpy(rows)
        y, near = (torch.from_numpy(values[rows]) for values in (scores.suggested, scores.loo_scores))
        changed = trained.prepared.changed
        if changed is None:
            return scores
        relabelled, own = self.kept.once(
            stage, lambda: (changed.scores(list(at[:, None]), y=y, near=near), changed.self_influence(at))
        )
        influence = scores.self_influence.copy()
        influence[rows] = own.numpy()
        new = patched(trained, scores, rows, without=scores.loo_scores[rows], relabelled=relabelled.numpy())
        return replace(new, self_influence=influence)

    def _first(self, judged: Judged) -> int:
        """Return how many of the first rows are solved for: those shown, or as many as the work allows."""
        return min(self.shown, max(LEAST, _most(judged.trained) // 2))

    def _candidates(self, judged: Judged, exact: NDArray[np.bool_]) -> Rows:
        """Return estimated rows that are among the first, or that might be where the work allows it."""
        scores, p = judged.scores, judged.noise.p_wrong.clip(1e-300, 1.0 - 1e-16)
        error = Z95 * standard_error(judged.trained.prepared.probes)
        key, larger = {
            "p-wrong": (np.log(p) - np.log1p(-p), error * (scores.loo_loss - scores.train_loss)),
            "leave-one-out": (scores.loo_loss, error * (scores.loo_loss - scores.train_loss)),
            "self-influence": (scores.self_influence, error * scores.self_influence),
        }[judged.ranking]
        first = judged.order[: self._first(judged)]
        high = np.where(exact, -np.inf, key + larger)
        maybe = np.flatnonzero(high >= key[first].min(initial=np.inf))
        left = _most(judged.trained) - int(exact.sum())
        maybe = maybe[np.argsort(-high[maybe], kind="stable")][: max(0, min(self.shown, left))]
        rows = np.union1d(first, maybe)
        return np.asarray(rows[~exact[rows]])


def _most(trained: Trained) -> int:
    """Return how many rows may be solved for."""
    size = trained.objective.size
    return int(WORK / (PRODUCTS * size.numbers * (size.k + 1)))


def _levelled(
    judged: Judged, solved: RowScores, drawn: Rows, exact: NDArray[np.bool_]
) -> tuple[RowScores, RowScores]:
    """Return the estimates, and the scores, where rows move by as much on the whole as those drawn do."""
    trained, scores = judged.trained, judged.scores
    now = trained.objective.scores(trained.fit.theta).numpy()
    moved, truly = ((s.loo_scores - now)[drawn] for s in (scores, solved))
    along = (moved * truly).sum(1) / np.maximum((moved**2).sum(1), 1e-300)
    level = float(np.median(along))
    every = np.arange(len(exact))
    parts = [
        patched(
            trained,
            one,
            rows,
            without=(now + level * (scores.loo_scores - now))[rows],
            relabelled=one.relabelled_scores[rows],
        )
        for one, rows in ((scores, every), (solved, every[~exact]))
    ]
    return parts[0], parts[1]


def _check(estimated: RowScores, exact: RowScores, rows: Rows, probes: int) -> Check:
    """Compare how far rows move their own scores with what solving gives."""
    moved, truly = ((s.loo_loss - s.train_loss)[rows] for s in (estimated, exact))
    off = np.abs(moved - truly) / np.maximum(np.abs(truly), 1e-300)
    within = float((off <= Z95 * standard_error(probes)).mean())
    message = (
        f"What most rows do to their own loss is estimated, by {probes} random projections: of "
        f"{len(rows)} rows drawn at random half are off by less than {np.median(off):.0%}, and {within:.0%} "
        "are within the 95% interval that is claimed."
    )
    return ("estimates", within, COVERED, within >= COVERED, message)


def note(trained: Trained, shown: Rows) -> str:
    """Say in one sentence what is estimated, and how well."""
    among = int(trained.estimated[shown].sum())
    first = f" ({among:,} of them among the first {len(shown):,})" if among else ""
    estimated, error = int(trained.estimated.sum()), standard_error(trained.prepared.probes)
    return (
        f"The leverage of all rows, and self-influence and leave-one-out values of {estimated:,} of "
        f"{len(trained.estimated):,} rows{first}, marked “estimated” in labels.parquet, are estimates, with "
        f"a standard error of at most {error:.0%}; all else is exact."
    )
