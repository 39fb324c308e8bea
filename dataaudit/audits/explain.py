"""Why one prediction is what it is: the whole story on one screen.

read training and test rows → find the row → train → predict it → influence of every training row, and what
its removal does → which of their columns carry it → neighbours → contributions of the row's own cells → the
smallest set of rows that overturns a conclusion → tables.

A row without a label that training knows is explained for the class that it is predicted as: its loss is that
class's, and helpful rows are those that support the prediction.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import polars as pl

from dataaudit.audits.asked import StepCallback, encode_training, no_step
from dataaudit.audits.attribution import attribute, contributions, nearest
from dataaudit.audits.columns_effect import column_effects
from dataaudit.audits.explanation_tables import (
    Asked,
    cells,
    contribution_table,
    explanation_provenance,
    features_table,
    flip_table,
    influence_table,
    neighbour_table,
    probability_table,
)
from dataaudit.audits.health import fit_checks
from dataaudit.audits.overturn import Overturned, Question, overturn, parse_question
from dataaudit.audits.pair import MismatchSettings, read_sources
from dataaudit.audits.tested import Tested, predict
from dataaudit.audits.train import train
from dataaudit.audits.trained import Trained
from dataaudit.encode import EncoderSettings
from dataaudit.encode.target import Target, class_texts, encode_target
from dataaudit.errors import SettingError, closest
from dataaudit.explanation_findings import ExplanationFindings
from dataaudit.findings import HEALTH
from dataaudit.sources import Dataset

TOP = 10
_SEARCHED = 20_000  # names that a mistyped one is compared with


@dataclass(frozen=True)
class ExplainSettings:
    """Everything that can be asked of an explanation.

    Attributes
    ----------
    label : str
        The label column; the test rows may lack it.
    row : int or None
        0-based record number of the test row in its file.
    row_id : str or None
        Its name; this or its number must be given.
    id_column : str or None
        A column of unique names for the rows.
    columns : EncoderSettings
        Roles of columns.
    basis : {"linear", "auto", "spline", "rbf"}
        Basis of the numeric block. Linear unless asked: its effects are read off column by column.
    l2 : float or None
        λ; None lets the leave-one-out loss choose.
    split_column : str or None
        In one source: the column that says ``train`` for the training rows.
    test_size : float or None
        In one source: share (below 1) or number of rows to draw for the test.
    top : int
        Harmful and helpful training rows, and neighbours by each measure, to show.
    show_components : bool
        Also give every shown row its influence without the training loss, and without H⁻¹.
    flip : str or None
        A conclusion to overturn, as `overturn.parse_question` reads it.
    seed : int
        Of everything random.

    Raises
    ------
    SettingError
        If a value makes no sense.
    """

    label: str
    row: int | None = None
    row_id: str | None = None
    id_column: str | None = None
    columns: EncoderSettings = field(default_factory=EncoderSettings)
    basis: Literal["auto", "linear", "spline", "rbf"] = "linear"
    l2: float | None = None
    split_column: str | None = None
    test_size: float | None = None
    top: int = TOP
    show_components: bool = False
    flip: str | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        """Check the values."""
        if (self.row is None) == (self.row_id is None):
            got = "neither row nor row_id" if self.row is None else "both row and row_id"
            raise SettingError(f"one test row must be named: got {got}", "give its number, such as --row 17")
        if self.row is not None and self.row < 0:
            raise SettingError(f"rows are counted from 0: got {self.row}", "use --row 0 for the first one")
        if self.top < 1:
            raise SettingError(f"top must be 1 or more: got {self.top}", "leave it out")
        _ = self.of_pair, self.question  # both check themselves

    @property
    def of_pair(self) -> MismatchSettings:
        """What is asked of the training and test rows."""
        return MismatchSettings(
            label=self.label,
            id_column=self.id_column,
            columns=self.columns,
            basis=self.basis,
            l2=self.l2,
            split_column=self.split_column,
            test_size=self.test_size,
            seed=self.seed,
        )

    @property
    def question(self) -> Question | None:
        """The conclusion to overturn."""
        return None if self.flip is None else parse_question(self.flip)


def explain_row(
    train_source: Any,
    test_source: Any,
    settings: ExplainSettings,
    *,
    command: str = "dataaudit.explain",
    on_step: StepCallback = no_step,
) -> ExplanationFindings:
    """Explain the prediction of one test row.

    Parameters
    ----------
    train_source : str, Path, sequence of these, or frame
        Training rows; or all rows, where the settings say how to split them.
    test_source : the same, or None
        Test rows.
    settings : ExplainSettings
        What is asked.
    command : str
        How the explanation was called, for the provenance.
    on_step : callable
        Called with (stage, done, total) as the work goes on.

    Returns
    -------
    ExplanationFindings
        All tables and the provenance.

    Raises
    ------
    AuditError
        For input that cannot be explained; the message says why and what to do.
    """
    on_step("read", 0, 1)
    known, new = read_sources(train_source, test_source, settings.of_pair)
    at = _position(known, new, settings)
    target = encode_target(known.frame[settings.label])
    known = known if target.kept.all() else known.keep(target.kept)
    on_step("read", 1, 1)
    asked = settings.of_pair.of_training
    trained = train(encode_training(known, target, asked, on_step=on_step), asked, on_step=on_step)
    label, notes = _label(new, at, target)
    tested = _predict_one(trained, new, at, label=label)
    on_step("explain", 0, 1)
    found = _explain(Asked(trained, known, new, at, label, tested, notes), settings, command=command)
    on_step("explain", 1, 1)
    return found


def _explain(asked: Asked, settings: ExplainSettings, *, command: str) -> ExplanationFindings:
    """Turn a trained model and the prediction of one row into the tables."""
    trained, block, seed = asked.trained, asked.tested.block, settings.seed
    whole = attribute(trained, block)
    rows = whole.strongest(settings.top)
    influences = influence_table(asked, whole, rows, components=settings.show_components)
    near = nearest(trained, block, settings.top)
    effects = column_effects(trained, rows, block, seed=seed)
    parts = contributions(trained, asked.tested, against=asked.against, seed=seed)
    flip = None if settings.question is None else _overturn(asked, settings.question)
    gone = np.zeros(0, dtype=np.int64) if flip is None else flip.rows
    named = np.unique(np.concatenate([rows, gone, *(one.rows for one in near)]))
    return ExplanationFindings(
        influences=influences,
        neighbours=neighbour_table(asked, whole, near),
        contributions=contribution_table(asked, parts),
        features=features_table(asked, effects, influences["train_row_id"].to_list()),
        probabilities=probability_table(asked),
        cells=cells(asked, named),
        flip=flip_table(asked, gone),
        health=pl.DataFrame(fit_checks(trained), schema=HEALTH, orient="row"),
        provenance=explanation_provenance(asked, settings, flip=flip, command=command),
    )


def _position(known: Dataset, new: Dataset, settings: ExplainSettings) -> int:
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


def _no_row(known: Dataset, new: Dataset, settings: ExplainSettings) -> SettingError:
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


def _label(new: Dataset, at: int, target: Target) -> tuple[int | None, tuple[str, ...]]:
    """Return the class of the test row, or None with the reason where training does not know it."""
    labels = new.frame[new.target]
    text = None if labels.dtype == pl.Null or labels[at] is None else class_texts(labels)[at]
    if text is None:
        return None, (f"The test row has no {new.target!r}: it is explained for its predicted class.",)
    if text not in target.classes:
        said = f"The test row's {new.target!r} is {text!r}, which no training row has: "
        return None, (said + "it is explained for its predicted class.",)
    return target.classes.index(text), ()


def _predict_one(trained: Trained, new: Dataset, at: int, *, label: int | None) -> Tested:
    """Predict the one row; without a label it gets the class that it is predicted as."""
    mask = np.zeros(new.n, dtype=bool)
    mask[at] = True
    one = new.keep(pl.Series(mask))
    if label is None:
        label = int(predict(trained, one, np.zeros(1, dtype=np.int64)).predicted[0])
    return predict(trained, one, np.array([label], dtype=np.int64))


def _overturn(asked: Asked, question: Question) -> Overturned:
    """Search for rows to remove; for a slice, among all test rows that have a label."""
    labels = asked.new.frame[asked.new.target]
    if question.kind != "slice" or labels.null_count() == len(labels):
        return overturn(asked.trained, asked.tested, question, judged=None)
    number = {name: place for place, name in enumerate(asked.trained.classes)}
    codes = class_texts(labels).replace_strict(number, default=None, return_dtype=pl.Int64)
    rows = asked.new.keep(codes.is_not_null())
    judged = predict(asked.trained, rows, codes.drop_nulls().to_numpy(writable=True))
    return overturn(asked.trained, asked.tested, question, judged=(asked.known, judged))
