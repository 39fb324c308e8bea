"""The model before and after a repair: the same audit of both files, and their predictions for test rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from dataaudit.audits.asked import LabelSettings, StepCallback, encode_training, no_step, read_labelled
from dataaudit.audits.labels import label_findings
from dataaudit.audits.tested import predict
from dataaudit.audits.train import train
from dataaudit.audits.trained import Trained
from dataaudit.encode import EncoderSettings
from dataaudit.encode.target import class_texts
from dataaudit.errors import DataError
from dataaudit.findings import Findings
from dataaudit.sources import load


@dataclass(frozen=True, slots=True)
class Standing:
    """How a model stands.

    Attributes
    ----------
    rows : int
        Labelled rows that it is trained on.
    loo_loss : float
        Mean leave-one-out loss of a row, in nats.
    expected_wrong : float
        Expected number of wrong labels; nan where it cannot be estimated.
    test_rows : int
        Labelled test rows; 0 for none.
    test_loss, test_accuracy : float
        Mean loss of a test row in nats, and share of test rows predicted right; nan without test rows.
    """

    rows: int
    loo_loss: float
    expected_wrong: float
    test_rows: int = 0
    test_loss: float = float("nan")
    test_accuracy: float = float("nan")


def compare(
    findings: Findings,
    repaired: Path,
    *,
    source: str,
    test: str | None = None,
    weight_column: str | None = None,
    on_step: StepCallback = no_step,
) -> tuple[Standing, Standing]:
    """Audit the repaired file with the settings of the findings.

    Parameters
    ----------
    findings : Findings
        Those of the file as it was.
    repaired : Path
        The repaired file.
    source : str
        The file as it was, if test rows are given and it is still there.
    test : str, optional
        Labelled test rows.
    weight_column : str, optional
        Column of weights that the repair made.
    on_step : callable
        Called with (stage, done, total).

    Returns
    -------
    before, after : Standing

    Raises
    ------
    AuditError
        If the audit was of several files or of a model of the user's own, or one cannot be trained.
    """
    known = findings.provenance
    if len(known.origins) != 1 or not known.roles:
        what = "the model before and after is compared where one file was audited with a model of the tool's"
        raise DataError(what, "say --no-model")
    settings = replace(_settings(known.settings), verify=0, top=0)
    before = Standing(findings.labels.height, _mean_loss(findings), known.expected_wrong)
    if test is not None:
        before = _tested(before, _train(source, settings, on_step)[1], test, settings)
    settings = replace(settings, weight=weight_column or settings.weight)
    again, trained = _train(str(repaired), settings, on_step)
    after = Standing(again.labels.height, _mean_loss(again), again.provenance.expected_wrong)
    return before, after if test is None else _tested(after, trained, test, settings)


def _train(source: str, settings: LabelSettings, on_step: StepCallback) -> tuple[Findings, Trained]:
    dataset, target = read_labelled([source], settings, on_step=on_step)
    trained = train(encode_training(dataset, target, settings, on_step=on_step), settings, on_step=on_step)
    return label_findings(dataset, target, trained, settings=settings, on_step=on_step), trained


def _tested(standing: Standing, trained: Trained, test: str, settings: LabelSettings) -> Standing:
    """Add the test rows whose class the model knows."""
    dataset = load(test, target=settings.label)
    texts = class_texts(dataset.frame[settings.label])
    known = texts.is_in(list(trained.classes)).fill_null(value=False)
    numbers = {name: i for i, name in enumerate(trained.classes)}
    y = np.array([numbers[name] for name in texts.filter(known)], dtype=np.int64)
    tested = predict(trained, dataset.keep(known), y)
    loss, accuracy = float(tested.loss.mean()), float(1 - tested.wrong.mean())
    return replace(standing, test_rows=len(y), test_loss=loss, test_accuracy=accuracy)


def _mean_loss(findings: Findings) -> float:
    return float(findings.labels.select(pl.col("loo_loss").mean()).item())


def _settings(known: Mapping[str, Any]) -> LabelSettings:
    """Return the settings that a provenance holds."""
    columns = {name: _frozen(value) for name, value in known["columns"].items()}
    names = {f.name for f in fields(LabelSettings)} - {"columns"}
    values = {name: _frozen(value) for name, value in known.items() if name in names}
    return LabelSettings(**values, columns=EncoderSettings(**columns))


def _frozen(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
