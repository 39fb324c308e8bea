"""Training rows read, labelled and encoded.

Nothing here needs torch: Polars reads and encodes while another thread imports it, and what is wrong with a
file or a column is reported before that import is over.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from dataaudit.data.dataset import Dataset, Dialect
from dataaudit.data.load import load
from dataaudit.errors import MissingColumn
from dataaudit.features import Columns, Encoding, fit_encoding
from dataaudit.features.target import Target, encode_target, encode_weight
from dataaudit.options import StepCallback, TrainingOptions, ignore_progress


@dataclass(frozen=True)
class Training:
    """Labelled rows, encoded."""

    dataset: Dataset  # the n rows, label column included
    target: Target
    encoding: Encoding  # learned statistics and roles of the columns
    columns: Columns
    weight: NDArray[np.float64]  # (n,) weights of the rows in the objective
    notes: tuple[str, ...] = ()  # what was decided about the weights


def read_labelled(
    source: Any, settings: TrainingOptions, *, on_step: StepCallback = ignore_progress
) -> tuple[Dataset, Target]:
    """Read the rows that have a label."""
    on_step("read", 0, 1)
    columns = settings.columns
    own = (*columns.features, *columns.text, *columns.categorical, *filter(None, [settings.weight]))
    named = tuple(dict.fromkeys(own))
    dataset = load(
        source,
        target=settings.label,
        columns=named if columns.features else None,
        exclude=columns.exclude,
        id_column=settings.id,
        named=named,
        dialect=Dialect(settings.encoding, settings.no_header),
    )
    target = encode_target(dataset.frame[settings.label])
    on_step("read", 1, 1)
    return (dataset if target.kept.all() else dataset.keep(target.kept)), target


def encode_training(
    dataset: Dataset, target: Target, settings: TrainingOptions, *, on_step: StepCallback = ignore_progress
) -> Training:
    """Encode the columns of labelled rows."""
    on_step("encode", 0, 1)
    frame, weight, notes = weighted(dataset, settings)
    encoding = fit_encoding(frame, settings.label, settings=settings.columns)
    columns = encoding.transform(frame)
    on_step("encode", 1, 1)
    return Training(dataset, target, encoding, columns, weight, notes)


def weighted(
    dataset: Dataset, settings: TrainingOptions
) -> tuple[pl.DataFrame, NDArray[np.float64], tuple[str, ...]]:
    """Return the frame without the weights, the weights, and a note on them."""
    if settings.weight is None:
        return dataset.frame, np.ones(dataset.n), ()
    if settings.weight not in dataset.frame.columns:
        raise MissingColumn(settings.weight, dataset.frame.columns, "the data")
    weight = encode_weight(dataset.frame[settings.weight])
    note = f"Rows weigh {settings.weight!r} in the fit and in influence; basis and λ were chosen without."
    return dataset.frame.drop(settings.weight), weight, (note,)
