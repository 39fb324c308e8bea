"""Smallest set of training rows whose removal, or relabelling, changes a conclusion (AMIP).

The question is text, the search is `amip.smallest_flip`, the proof is its refit:

``prediction``
    the class that the test row gets; of a number, ``prediction:VALUE``, on which side of VALUE it is;
``coefficient:COLUMN`` or ``coefficient:COLUMN=LEVEL``
    the sign of that feature's coefficient. With more than two classes it is the one for the predicted class
    (for its rival, where the predicted class is the reference), against the reference;
``slice:COLUMN=LEVEL``
    that more than half of the slice's errors stay, counted over its labelled test rows;
``relabel``
    the class that the test row gets, by other labels of training rows rather than without them; of a row
    that is predicted wrong, that it does not get its own. ``relabel:`` goes before the other two as well.

The set that is found is sufficient, and small. It is not proved to be the smallest, nor does finding no set
prove that no set exists.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from dataaudit.audits.mismatch.rows.cuts import Cuts, Slice, cut
from dataaudit.audits.mismatch.suspects import slice_name
from dataaudit.audits.testset import Tested, evaluate
from dataaudit.data.dataset import Dataset
from dataaudit.errors import SettingError, closest
from dataaudit.features import Feature
from dataaudit.influence.amip import (
    CoefficientSign,
    Conclusion,
    Flip,
    Misprediction,
    Passing,
    Prediction,
    SliceErrors,
    smallest_flip,
)
from dataaudit.options import Question
from dataaudit.training.numbers import quantity_of
from dataaudit.training.trained import Trained

LIMIT = 0.1  # largest share of the training rows that may go
_SHOWN = 6  # levels in a hint


@dataclass(frozen=True)
class FlipResult:
    """The answer."""

    conclusion: str  # what was to change, in words
    sentence: str  # what it takes, in words
    rows: NDArray[np.int64]  # (m,) positions of the training rows in the order of their removal
    flip: Flip | None  # the search and its refit
    relabel: bool  # whether they get other labels, rather than leave


def find_flip(
    trained: Trained, tested: Tested, question: Question, *, labelled: tuple[Dataset, Tested] | None
) -> FlipResult:
    """Search for few training rows whose removal changes a conclusion, and refit without them."""
    asked = _Asked(trained, question.relabel)
    if question.kind == "prediction" and trained.quantity is not None:
        return _number(asked, tested, float(question.name))
    if question.kind == "prediction":
        return _prediction(asked, tested)
    if question.kind == "coefficient":
        return _coefficient(asked, tested, question.name)
    if labelled is None:
        raise SettingError("no test row has a label, so no slice has errors", "use --flip prediction")
    return _slice(asked, *labelled, name=question.name)


@dataclass(frozen=True)
class _Asked:
    """A model, and what is to be done with its training rows."""

    trained: Trained
    relabel: bool

    def search(self, conclusion: Conclusion) -> Flip | None:
        """Return few rows that change a conclusion, if there are some."""
        trained, solve = self.trained, self.trained.prepared.solve
        return smallest_flip(
            trained.objective, trained.fit, conclusion, limit=LIMIT, relabel=self.relabel, precondition=solve
        )

    def found(self, what: str, flip: Flip, does: str) -> FlipResult:
        """Say what it takes."""
        m = len(flip.rows)
        rows = "1 training row" if m == 1 else f"{m:,} training rows"
        share = f"{100 * flip.share:.2g}" if flip.share >= 1e-4 else "<0.01"  # noqa: PLR2004 - a hundredth of a per cent
        by = "Relabelling" if self.relabel else "Removing"
        sentence = f"{by} {rows} ({share} %) {does} (confirmed by retraining)."
        return FlipResult(what, sentence, flip.rows.numpy(), flip, self.relabel)

    def not_found(self, what: str, does: str) -> FlipResult:
        """Say that there was none."""
        most = int(LIMIT * self.trained.objective.rows.n)
        by = "relabelling" if self.relabel else "removal"
        sentence = (
            f"No set of up to {most:,} training rows ({100 * LIMIT:.0f} %) was found whose {by} {does}."
        )
        return FlipResult(what, sentence, np.zeros(0, dtype=np.int64), None, self.relabel)


def _prediction(asked: _Asked, tested: Tested) -> FlipResult:
    trained, model = asked.trained, asked.trained.objective.model
    names, predicted = trained.classes, int(tested.predicted[0])
    what = f"this prediction is “{names[predicted]}”"
    conclusion: Conclusion = Prediction(model, tested.block, predicted)
    does = "flips this prediction"
    if asked.relabel and tested.wrong[0]:
        conclusion, does = Misprediction(model, tested.block), "rights this prediction"
    flip = asked.search(conclusion)
    if flip is None:
        return asked.not_found(what, does)
    s = model.scores(flip.fit.theta, tested.block)
    now = names[int(torch.nn.functional.pad(s, (1, 0)).argmax())]
    return asked.found(what, flip, f"{does}, from “{names[predicted]}” to “{now}”")


def _number(asked: _Asked, tested: Tested, bound: float) -> FlipResult:
    """Search for rows without which a predicted number passes a value."""
    trained, quantity = asked.trained, quantity_of(asked.trained)
    if quantity.is_count and bound <= 0:
        raise SettingError(f"a predicted count is above 0: got {bound:g}", "name a value that it can pass")
    at = float(np.log(bound)) if quantity.is_count else float(quantity.coded(np.array(bound)))
    score = float(tested.scores[0, 0])
    if score == at:
        raise SettingError(f"the prediction is {bound:g} as it is", "name a value that it is to pass")
    side, other = ("above", "below") if score > at else ("below", "above")
    what, does = f"this prediction is {side} {bound:g}", f"moves this prediction {other} {bound:g}"
    flip = asked.search(Passing(trained.objective.model, tested.block, at, np.sign(score - at)))
    if flip is None:
        return asked.not_found(what, does)
    s = trained.objective.model.scores(flip.fit.theta, tested.block)
    before, after = (quantity.of_scores(one[:, 0].numpy())[0] for one in (tested.scores, s))
    return asked.found(what, flip, f"{does}, from {before:.4g} to {after:.4g}")


def _coefficient(asked: _Asked, tested: Tested, name: str) -> FlipResult:
    trained = asked.trained
    feature, j = _feature(trained, name)
    k = trained.objective.model.loss.n_scores
    column, unit, towards, of = 0, 1.0, "logarithms of the count", ""
    if trained.quantity is None:
        order = np.argsort(-tested.p[0], kind="stable")
        column = max(int(order[0]) or int(order[1]), 1) - 1
        pair = f"“{trained.classes[column + 1]}” against “{trained.classes[0]}”"
        towards, of = f"log-odds of {pair}", f", for {pair},"
    elif not trained.quantity.is_count:
        unit, towards = trained.quantity.unit, "the unit of the label"
    position = j * k + column
    value = float(trained.fit.theta[position])
    if value == 0.0:
        raise SettingError(f"the coefficient of {_named(feature)} is 0", "name another feature")
    flip = asked.search(CoefficientSign(position, np.sign(value)))
    sign = ("negative", "positive")[value > 0]
    what = f"the coefficient of {_named(feature)}{of} is {sign}"
    does = f"turns the sign of the coefficient of {_named(feature)}"
    if flip is None:
        return asked.not_found(what, does)
    after = np.sign(value) * flip.measured
    change = f"from {unit * value:+.3g} to {unit * after:+.3g} in {towards}"
    return asked.found(what, flip, f"{does} {change}")


def _feature(trained: Trained, name: str) -> tuple[Feature, int]:
    """Return the one feature that is meant, and its place."""
    columns = sorted({f.column for f in trained.features})
    column, level = _split(name, columns)
    mine = [(f, j) for j, f in enumerate(trained.features) if f.column == column]
    if level is not None:
        known = [f.level for f, _ in mine if f.level is not None]
        mine = [(f, j) for f, j in mine if level == (f.name if f.level is None else f.level)]
        if not mine:
            raise _unknown_level(column, level, known)
    elif len(slopes := [(f, j) for f, j in mine if f.level is None]) == 1:
        mine = slopes  # of a number with gaps, whose other coefficient is that of the gaps
    if len(mine) > 1:
        what = f"column {column!r} has {len(mine):,} coefficients"
        raise SettingError(what, f"name one: coefficient:{column}={mine[0][0].level or mine[0][0].name}")
    return mine[0]


def _unknown_level(column: str, level: str, known: list[str]) -> SettingError:
    close = closest(level, known)
    shown = ", ".join(known[:_SHOWN]) + (", …" if len(known) > _SHOWN else "")
    hint = f"did you mean {close!r}?" if close else f"it has {shown}" if known else "leave the level out"
    return SettingError(f"column {column!r} has no level {level!r}", hint)


def _split(name: str, columns: list[str]) -> tuple[str, str | None]:
    """Return column and level; a column's own name may have a ``=``."""
    if name in columns:
        return name, None
    found = [column for column in columns if name.startswith(f"{column}=")]
    if found:
        column = max(found, key=len)
        return column, name[len(column) + 1 :]
    column = name.partition("=")[0]
    close = closest(column, columns)
    hint = f"did you mean {close!r}?" if close else f"the columns are {', '.join(columns[:_SHOWN])}"
    raise SettingError(f"column {column!r} is not in use", hint)


def _named(feature: Feature) -> str:
    return feature.column if feature.level is None else f"{feature.column} = {feature.level}"


def _slice(asked: _Asked, train: Dataset, tested: Tested, *, name: str) -> FlipResult:
    trained = asked.trained
    part = _find_slice(cut(train, trained, tested), name)
    n, errors = len(part.test), int(tested.wrong[part.test].sum())
    if not errors:
        raise SettingError(f"no test row of {part.name} is predicted wrong", "name a slice with errors")
    what = f"{errors:,} of {n:,} test rows of {part.name} are predicted wrong"
    does = f"rights half of the errors of {part.name}" if errors > 1 else f"rights the error of {part.name}"
    usual = None if trained.quantity is None else trained.usual_loss
    flip = asked.search(SliceErrors(trained.objective.model, tested.take(part.test), errors // 2, usual))
    if flip is None:
        return asked.not_found(what, does)
    left = int(evaluate(trained, tested, flip.fit.theta).wrong[part.test].sum())
    are = "is" if errors == 1 else "are"
    fall = f"{errors:,} of its {n:,} test rows {are} predicted wrong now, {left:,} after it"
    return asked.found(what, flip, f"{does}: {fall}")


def _find_slice(cuts: Cuts, name: str) -> Slice:
    """Return the slice of a name, which may also be written as ``column=level``."""
    for at, (column, level) in enumerate(zip(cuts.columns, cuts.levels, strict=True)):
        if name in (slice_name((column,), (level,)), f"{column}={level}"):
            return cuts.slice(at)
    asked, missing = _split(name, sorted(set(cuts.columns)))
    mine = [own for other, own in zip(cuts.columns, cuts.levels, strict=True) if other == asked]
    raise _unknown_level(asked, missing or "", mine)
