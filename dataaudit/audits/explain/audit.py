"""Why one prediction is what it is: the whole story on one screen.

read training and test rows → find the row → train → predict it → influence of every training row, and what
its removal does → which of their columns carry it → neighbours → contributions of the row's own cells → the
smallest set of rows whose removal changes a conclusion → tables.

A row without a label that training knows is explained for the class that it is predicted as: its loss is that
class's, and helpful rows are those that support the prediction. A second model, where one is asked for, is
trained on the same rows and explained for the same class (`compare`).
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import polars as pl

from dataaudit.audits.attribution import Rows, attribute, column_contributions, loss_without, nearest
from dataaudit.audits.conditions import without_extra
from dataaudit.audits.explain.compare import (
    ModelComparison,
    compare,
    models_table,
    require_models,
    train_model,
    versus_table,
)
from dataaudit.audits.explain.flip import FlipResult, find_flip
from dataaudit.audits.explain.tables import (
    ExplainedRow,
    cells_table,
    contribution_table,
    explanation_provenance,
    features_table,
    flip_table,
    influence_table,
    neighbour_table,
    probability_table,
)
from dataaudit.audits.explain.trust import Trust, trust
from dataaudit.audits.explain.without import Condition, LeftOut, leave_out
from dataaudit.audits.health import Check, fit_checks
from dataaudit.audits.perturbation import column_effects, slope_pictures
from dataaudit.audits.testset import Tested, predict, read_sources, with_numbers
from dataaudit.data.dataset import Dataset
from dataaudit.errors import DataError, SettingError, closest
from dataaudit.features import Encoding
from dataaudit.features.target import Target, class_texts, encode_target, numbers_of
from dataaudit.findings.schemas import (
    HEALTH,
    LEFT_OUT,
    LEFT_OUT_CLASSES,
    MODELS,
    TRUST,
    TURNED,
    VERSUS,
    ExplanationFindings,
)
from dataaudit.options import ExplainOptions, Question, StepCallback, ignore_progress, is_module
from dataaudit.training.encoded import Training, encode_training
from dataaudit.training.trained import Trained

_SEARCHED = 20_000  # names that a mistyped one is compared with


def explain_row(
    train_source: Any,
    test_source: Any,
    settings: ExplainOptions,
    *,
    command: str = "dataaudit.explain",
    on_step: StepCallback = ignore_progress,
) -> ExplanationFindings:
    """Explain the prediction of one test row."""
    on_step("read", 0, 1)
    known, new = read_sources(train_source, test_source, settings)
    at = _position(known, new, settings)
    target = encode_target(known.frame[settings.label], settings.task)
    condition = Condition.of(known, new, target=target, settings=settings)
    known, new = (without_extra(side, settings) for side in (known, new))
    known = known if target.kept.all() else known.keep(target.kept)
    on_step("read", 1, 1)
    training = encode_training(known, target, settings, on_step=on_step)
    require_models(training, settings.named)
    if settings.trust and is_module(settings.model):
        what = "trust is measured in the columns of a model of the tool's: got a network"
        raise SettingError(what, "leave it out: ModuleInfluence.neighbourhood says it of networks")
    few = settings.question is None and condition is None and not settings.trust
    models = [
        train_model(training, settings.of_model(name), solves=few, on_step=on_step) for name in settings.named
    ]
    label, notes = _label(new, at, target)
    tested = _predict_one(models[0], new, at, label=label, encoding=training.encoding)
    on_step("explain", 0, 1)
    explained = ExplainedRow(models[0], known, new, at, label, tested, (*target.notes, *notes))
    compared = _compare(explained, models[1], training, settings) if len(models) > 1 else None
    judged = None if condition is None else _judged(explained, training.encoding)
    left = None if condition is None else leave_out(explained, condition, judged)
    usual = trust(explained, training.encoding, settings) if settings.trust else None
    found = _explain(explained, settings, compared, left, command=command)
    if usual is not None:
        found = _with_trust(found, usual)
    on_step("explain", 1, 1)
    return found


def _with_trust(found: ExplanationFindings, usual: Trust) -> ExplanationFindings:
    provenance = dataclasses.replace(found.provenance, trust=usual.facts)
    return dataclasses.replace(found, trust=usual.table, provenance=provenance)


def _compare(
    explained: ExplainedRow, other: Trained, training: Training, settings: ExplainOptions
) -> ModelComparison:
    """Compare the other model with the one that is explained, on the class that is explained."""
    again = predict(other, explained.tested.dataset, explained.tested.y, encoding=training.encoding)
    first, second = settings.named
    main = first, explained.trained, explained.tested
    return compare(main, (second, other, again), training.columns, top=settings.top)


def _explain(
    explained: ExplainedRow,
    settings: ExplainOptions,
    compared: ModelComparison | None,
    left: LeftOut | None,
    *,
    command: str,
) -> ExplanationFindings:
    """Turn a trained model and the prediction of one row into the tables."""
    trained, block, seed = explained.trained, explained.tested.block, settings.seed
    whole = attribute(trained, block)
    rows = whole.strongest(settings.top)
    near = nearest(trained, explained.tested, settings.top)
    delta, both = np.full(len(whole.influence), np.nan), np.unique(np.r_[rows, *(one.rows for one in near)])
    delta[both] = loss_without(trained, block, both)
    influences = influence_table(
        explained, whole, rows=rows, delta=delta, components=settings.show_components
    )
    nameless = trained.adopted is not None and trained.adopted.kernel  # its features have no names
    effects = (
        [[] for _ in rows]
        if nameless
        else column_effects(trained, rows, block, solved=whole.solved, seed=seed)
    )
    parts = column_contributions(trained, explained.tested, against=explained.against, seed=seed)
    flip = None if settings.question is None else _flip(explained, settings.question)
    none = np.zeros(0, dtype=np.int64)
    removed = none if flip is None else flip.rows
    other = none if compared is None else compared.rows
    named = np.unique(np.concatenate([rows, removed, other, *(one.rows for one in near)]))
    return ExplanationFindings(
        influences=influences,
        neighbours=neighbour_table(explained, whole, near=near, delta=delta),
        contributions=contribution_table(explained, parts),
        features=features_table(explained, effects, influences["train_row_id"].to_list()),
        probabilities=probability_table(explained),
        cells=cells_table(explained, named, slope_pictures(trained, rows, block)),
        flip=flip_table(explained, removed, None if flip is None else flip.flip),
        without=pl.DataFrame(schema=LEFT_OUT) if left is None else left.without,
        without_classes=pl.DataFrame(schema=LEFT_OUT_CLASSES) if left is None else left.classes,
        turned=pl.DataFrame(schema=TURNED) if left is None else left.turned,
        trust=pl.DataFrame(schema=TRUST),
        models=pl.DataFrame(schema=MODELS) if compared is None else models_table(compared),
        versus=pl.DataFrame(schema=VERSUS) if compared is None else versus_table(compared, explained.known),
        health=pl.DataFrame(_checks(trained, compared), schema=HEALTH, orient="row"),
        provenance=dataclasses.replace(
            explanation_provenance(explained, settings, flip=flip, compared=compared, command=command),
            without={} if left is None else left.facts,
        ),
    )


def _checks(trained: Trained, compared: ModelComparison | None) -> list[Check]:
    """Return the checks of the model that is explained, and those of the other one under its name."""
    found = fit_checks(trained)
    if compared is not None:
        other = compared.sides[1]
        for name, value, limit, ok, message in fit_checks(other.trained)[:2]:  # its rows are the same
            found.append((f"{name} of {other.name}", value, limit, ok, f"{other.name}: {message}"))
    return found


def _position(known: Dataset, new: Dataset, settings: ExplainOptions) -> int:
    """Return the place of the test row that is asked for."""
    if settings.row is not None:
        found = np.flatnonzero((new.row == settings.row).to_numpy())
        if len(found) > 1:
            what = f"row {settings.row} is in {len(found)} files of test rows"
            raise SettingError(what, f"name it: --row-id {new.row_id[int(found[0])]}")
    else:
        found = np.flatnonzero((new.row_id == settings.row_id).to_numpy())
    if not len(found):
        raise _no_row(known, new, settings)
    return int(found[0])


def _no_row(known: Dataset, new: Dataset, settings: ExplainOptions) -> SettingError:
    """Say why there is no such test row."""
    split = settings.split_column is not None or settings.test_size is not None
    first = new.row[0]
    if settings.row is not None:
        if split and (known.row == settings.row).any():
            what = f"row {settings.row} is one of the training rows"
            return SettingError(what, f"name a test row, such as --row {first}")
        low, high = (int(end) for end in (new.row.to_numpy().min(), new.row.to_numpy().max()))
        return SettingError(f"there is no test row {settings.row}", f"rows go from {low} to {high}")
    if split and (known.row_id == settings.row_id).any():
        what = f"row {settings.row_id!r} is one of the training rows"
        return SettingError(what, f"name a test row, such as --row {first}")
    names = list(map(str, new.row_id.head(_SEARCHED)))
    close = closest(str(settings.row_id), names)
    hint = f"did you mean {close!r}?" if close else f"names look like {names[0]!r}"
    return SettingError(f"there is no test row named {settings.row_id!r}", hint)


def _label(new: Dataset, at: int, target: Target) -> tuple[float | None, tuple[str, ...]]:
    """Return the class of the test row, or its number; None with the reason where there is none."""
    labels = new.frame[new.target]
    if target.quantity is not None:
        empty = labels.null_count() == len(labels)
        number = None if empty else numbers_of(labels, target.quantity.task)[at]
        if number is None:
            what = f"the test row has no {new.target!r}, and a number is explained by how far it is off"
            raise DataError(what, "give its value, or name another row")
        return float(number), ()
    text = None if labels.dtype == pl.Null or labels[at] is None else class_texts(labels)[at]
    if text is None:
        return None, (f"The test row has no {new.target!r}: it is explained for its predicted class.",)
    if text not in target.classes:
        said = f"The test row's {new.target!r} is {text!r}, which no training row has: "
        return None, (said + "it is explained for its predicted class.",)
    return target.classes.index(text), ()


def _predict_one(
    trained: Trained, new: Dataset, at: int, *, label: float | None, encoding: Encoding
) -> Tested:
    """Predict the one row; without a label it gets the class that it is predicted as."""
    mask = np.zeros(new.n, dtype=bool)
    mask[at] = True
    one = new.keep(pl.Series(mask))
    if label is None:
        label = int(predict(trained, one, np.zeros(1, dtype=np.int64), encoding=encoding).predicted[0])
    kind = np.int64 if trained.quantity is None else np.float64
    return predict(trained, one, np.array([label], dtype=kind), encoding=encoding)


def _flip(explained: ExplainedRow, question: Question) -> FlipResult:
    """Search for rows to remove; the errors of a slice are those of all test rows that have a label."""
    judged = _judged(explained, None) if question.kind == "slice" else None
    labelled = None if judged is None else (explained.known, judged[1])
    return find_flip(explained.trained, explained.tested, question, labelled=labelled)


def _judged(explained: ExplainedRow, encoding: Encoding | None) -> tuple[Rows, Tested] | None:
    """Return the positions of the test rows whose label training knows, and their predictions."""
    labels = explained.new.frame[explained.new.target]
    if labels.null_count() == len(labels):
        return None
    if (quantity := explained.trained.quantity) is not None:
        y, at, *_ = with_numbers(labels, quantity)
        mask = np.isin(np.arange(len(labels)), at)
        some = explained.new.keep(pl.Series(mask))
        return at, predict(explained.trained, some, y, encoding=encoding)
    number = {name: place for place, name in enumerate(explained.trained.classes)}
    codes = class_texts(labels).replace_strict(number, default=None, return_dtype=pl.Int64)
    known = codes.is_not_null()
    if not known.any():
        return None
    y = codes.drop_nulls().to_numpy(writable=True)
    tested = predict(explained.trained, explained.new.keep(known), y, encoding=encoding)
    return np.flatnonzero(known.to_numpy()), tested
