"""Smallest set of training rows whose removal changes a conclusion (AMIP).

The question is text, the search is `amip.smallest_flip`, the proof is its refit:

``prediction``
    the class that the test row gets;
``coefficient:COLUMN`` or ``coefficient:COLUMN=LEVEL``
    the sign of that feature's coefficient. With more than two classes it is the one for the predicted class
    (for its rival, where the predicted class is the reference), against the reference;
``slice:COLUMN=LEVEL``
    that most of the slice's labelled test rows are predicted wrong; where fewer are, that more than half of
    those errors stay.

The set that is found is sufficient, and small. It is not proved to be the smallest, nor does finding no set
prove that no set exists.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from dataaudit.audits.mismatch.lift import Slice, cut_slices
from dataaudit.audits.testset import Tested, evaluate
from dataaudit.data.dataset import Dataset
from dataaudit.errors import SettingError, closest
from dataaudit.features import Feature
from dataaudit.influence.amip import CoefficientSign, Conclusion, Flip, Prediction, SliceErrors, smallest_flip
from dataaudit.options import Question
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


def find_flip(
    trained: Trained, tested: Tested, question: Question, *, labelled: tuple[Dataset, Tested] | None
) -> FlipResult:
    """Search for few training rows whose removal changes a conclusion, and refit without them."""
    if question.kind == "prediction":
        return _prediction(trained, tested)
    if question.kind == "coefficient":
        return _coefficient(trained, tested, question.name)
    if labelled is None:
        raise SettingError("no test row has a label, so no slice has errors", "use --flip prediction")
    return _slice(trained, *labelled, name=question.name)


def _prediction(trained: Trained, tested: Tested) -> FlipResult:
    names, predicted = trained.classes, int(tested.predicted[0])
    flip = _search(trained, Prediction(trained.objective.model, tested.block, predicted))
    what = f"this prediction is “{names[predicted]}”"
    if flip is None:
        return _not_found(trained, what, "flips this prediction")
    s = trained.objective.model.scores(flip.fit.theta, tested.block)
    now = names[int(torch.nn.functional.pad(s, (1, 0)).argmax())]
    return _found(what, flip, f"flips this prediction from “{names[predicted]}” to “{now}”")


def _coefficient(trained: Trained, tested: Tested, name: str) -> FlipResult:
    feature, j = _feature(trained, name)
    k = trained.objective.model.loss.n_scores
    order = np.argsort(-tested.p[0], kind="stable")
    column = max(int(order[0]) or int(order[1]), 1) - 1
    position = j * k + column
    value = float(trained.fit.theta[position])
    if value == 0.0:
        raise SettingError(f"the coefficient of {_named(feature)} is 0", "name another feature")
    flip = _search(trained, CoefficientSign(position, np.sign(value)))
    towards = f"“{trained.classes[column + 1]}” against “{trained.classes[0]}”"
    sign = ("negative", "positive")[value > 0]
    what = f"the coefficient of {_named(feature)}, for {towards}, is {sign}"
    does = f"turns the sign of the coefficient of {_named(feature)}"
    if flip is None:
        return _not_found(trained, what, does)
    change = f"from {value:+.3g} to {np.sign(value) * flip.measured:+.3g} in log-odds of {towards}"
    return _found(what, flip, f"{does} {change}")


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


def _slice(trained: Trained, train: Dataset, tested: Tested, *, name: str) -> FlipResult:
    part = _find_slice(cut_slices(trained, train, tested), name)
    n, errors = len(part.test), int(tested.wrong[part.test].sum())
    if not errors:
        raise SettingError(f"no test row of {part.name} is predicted wrong", "name a slice with errors")
    most = 2 * errors > n
    what = f"{errors:,} of {n:,} test rows of {part.name} are predicted wrong"
    does = f"rights at least half of {part.name}" if most else f"halves the errors of {part.name}"
    rows = tested.take(part.test)
    flip = _search(trained, SliceErrors(trained.objective.model, rows, n // 2 if most else errors // 2))
    if flip is None:
        return _not_found(trained, what, does)
    left = int(evaluate(trained, tested, flip.fit.theta).wrong[part.test].sum())
    return _found(what, flip, f"{does}: {errors:,} of {n:,} test rows are wrong now, {left:,} without")


def _find_slice(slices: tuple[Slice, ...], name: str) -> Slice:
    column, level = _split(name, sorted({part.column for part in slices}))
    mine = [part for part in slices if part.column == column]
    for part in mine:
        if part.level == level:
            return part
    raise _unknown_level(column, level or "", [part.level for part in mine])


def _search(trained: Trained, conclusion: Conclusion) -> Flip | None:
    solve = trained.prepared.solve
    return smallest_flip(trained.objective, trained.fit, conclusion, limit=LIMIT, precondition=solve)


def _found(what: str, flip: Flip, does: str) -> FlipResult:
    m = len(flip.rows)
    rows = "1 row" if m == 1 else f"{m:,} rows"
    share = f"{100 * flip.share:.2g}" if flip.share >= 1e-4 else "<0.01"  # noqa: PLR2004 - a hundredth of a per cent
    sentence = f"Removing {rows} ({share} %) {does} (confirmed by retraining)."
    return FlipResult(what, sentence, flip.rows.numpy(), flip)


def _not_found(trained: Trained, what: str, does: str) -> FlipResult:
    most = int(LIMIT * trained.objective.rows.n)
    sentence = f"No set of up to {most:,} training rows ({LIMIT:.0%}) was found whose removal {does}."
    return FlipResult(what, sentence.replace("%", " %"), np.zeros(0, dtype=np.int64), None)
