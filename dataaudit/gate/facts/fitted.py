"""The one fit that all facts about rows, slices and predictions come from."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import polars as pl
from numpy.typing import NDArray

from dataaudit.audits.mismatch.audit import Searched, search_mismatch
from dataaudit.audits.testset import Tested, predict, read_pair
from dataaudit.audits.validation import refined
from dataaudit.data.dataset import Dataset
from dataaudit.features.target import Target, class_texts
from dataaudit.gate.data import Data, Material
from dataaudit.noise import NoiseModel, fit_noise
from dataaudit.noise.values import ValueNoise
from dataaudit.options import LabelOptions, MismatchOptions
from dataaudit.training import numbers
from dataaudit.training.encoded import encode_training, read_labelled
from dataaudit.training.train import train
from dataaudit.training.trained import RowScores, Trained, score_rows


@dataclass(frozen=True)
class FittedRows:
    """A model of some rows, and what it says of them."""

    dataset: Dataset  # the n labelled rows; `row` holds their positions in what was given
    target: Target  # their classes
    trained: Trained  # the model

    @cached_property
    def scores(self) -> RowScores:
        """Every row with and without itself."""
        return refined(self.trained, score_rows(self.trained))

    @cached_property
    def values(self) -> ValueNoise | None:
        """What the scores say of labels that are numbers."""
        return numbers.value_noise(self.trained, self.scores) if self.trained.quantity else None

    @cached_property
    def noise(self) -> NoiseModel:
        """What the scores say of wrong labels."""
        if self.values is not None:
            return self.values.model
        groups = self.trained.groups
        together = None if groups is None else groups.group
        K, same = len(self.target.classes), self.trained.same_class
        return fit_noise(self.scores.loo_scores, self.target.y, K, groups=together, same=same)

    @property
    def positions(self) -> NDArray[np.int64]:
        """Where the rows are in what was given."""
        return self.dataset.row.to_numpy()

    @property
    def labels(self) -> NDArray[np.object_]:
        """The rows' labels, as text."""
        if self.values is not None:
            return class_texts(self.dataset.frame[self.dataset.target]).to_numpy()
        return np.array(self.target.classes, dtype=object)[self.target.y]


@dataclass(frozen=True)
class Against:
    """The model on the test rows."""

    tested: Tested
    searched: Searched


def fitted(material: Material) -> FittedRows:
    """Return the model of all rows, fitted once."""

    def make() -> FittedRows:
        return fit(material.rows.read(wanted(material, material.rows)), material)

    return material.once("fitted", make)


def fit(frame: pl.DataFrame, material: Material) -> FittedRows:
    """Fit a model to rows by the settings of a dataset."""
    given, step = material.settings, material.on_step
    settings = LabelOptions(
        label=given.label,
        task=given.task,
        weight=given.weight,
        group=given.group if given.group in frame.columns else None,
        by=tuple(name for name in given.by if name in frame.columns),
        exclude=tuple(name for name in material.only_counted if name in frame.columns),
        text=tuple(name for name in given.text if name in frame.columns),
        text_units=given.text_units,
        categorical=tuple(name for name in given.categorical if name in frame.columns),
        seed=material.seed,
    )
    dataset, target = read_labelled(frame, settings, on_step=step)
    trained = train(encode_training(dataset, target, settings, on_step=step), settings, on_step=step)
    return FittedRows(dataset, target, numbers.settled(trained) if trained.quantity else trained)


def wanted(material: Material, data: Data) -> list[str]:
    """Return the columns of `data` that a fit is given: features, label and weight."""
    settings = material.settings
    named = [*settings.features, *settings.text, *settings.categorical] if settings.features else []
    chosen = [*(named or material.features), settings.label, settings.weight, settings.group, *settings.by]
    return [name for name in dict.fromkeys(chosen) if name and name in data.schema]


def against(material: Material) -> Against | None:
    """Return what the model makes of the test rows, searched once."""
    return material.once("against", lambda: _against(material))


def _against(material: Material) -> Against | None:
    test, settings = material.test_rows, material.settings
    mine, theirs = (wanted(material, data) for data in (material.rows, test))
    used = {settings.weight, settings.group, *material.only_counted}  # and no features
    if settings.label not in theirs or set(mine) - set(theirs) - used:
        return None
    model = fitted(material)
    asked = MismatchOptions(
        label=settings.label,
        task=settings.task,
        text=settings.text,
        text_units=settings.text_units,
        categorical=settings.categorical,
        prove=0,
        verify=0,
        seed=material.seed,
    )
    columns = [name for name in mine if name not in used]
    pair = read_pair(material.rows.read(columns), test.read(columns), asked)
    if pair.y is None:
        return None
    tested = predict(model.trained, pair.test, pair.y)
    searched = search_mismatch(pair, model.trained, tested, settings=asked, on_step=material.on_step)
    return Against(tested, searched)
