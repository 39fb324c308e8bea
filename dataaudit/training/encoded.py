"""Training rows read, labelled and encoded.

Nothing here needs torch: Polars reads and encodes while another thread imports it, and what is wrong with a
file or a column is reported before that import is over.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from dataaudit.data.dataset import Dataset
from dataaudit.data.load import load
from dataaudit.errors import MissingColumn
from dataaudit.features import Columns, Encoding, fit_encoding
from dataaudit.features.target import Target, encode_target, encode_weight
from dataaudit.options import StepCallback, TrainingOptions, ignore_progress

if TYPE_CHECKING:
    from dataaudit.influence.groups import Partition


@dataclass(frozen=True)
class Groups:
    """Which of n rows leave training together, and which of these are equal to the model."""

    group: NDArray[np.int64]  # (n,) rows of one number leave together
    twin: NDArray[np.int64]  # (n,) rows of one number are encoded alike
    notes: tuple[str, ...] = ()

    @cached_property
    def partition(self) -> Partition:
        """The same as the numerics take it."""
        from dataaudit.influence.groups import Partition  # noqa: PLC0415 - torch

        return Partition.of(self.group, self.twin)

    def take(self, rows: NDArray[np.int64]) -> Groups:
        """Return the groups of some rows."""  # (b,) positions
        return Groups(self.group[rows], self.twin[rows])

    def draw(self, most: int, seed: int) -> NDArray[np.int64] | None:
        """Return at most so many rows of whole groups, in order; None where groups are too large for that."""
        sizes = np.bincount(self.group)
        order = np.random.default_rng(seed).permutation(len(sizes))
        drawn = order[np.cumsum(sizes[order]) <= most]
        rows = np.flatnonzero(np.isin(self.group, drawn))
        return rows if 2 * len(rows) >= most else None

    def mates(self, row: int) -> NDArray[np.int64]:
        """Return the rows that leave with a row, itself among them."""
        return np.flatnonzero(self.group == self.group[row])


@dataclass(frozen=True)
class Training:
    """Labelled rows, encoded."""

    dataset: Dataset  # the n rows, label column included
    target: Target
    encoding: Encoding  # learned statistics and roles of the columns
    columns: Columns
    weight: NDArray[np.float64]  # (n,) weights of the rows in the objective
    notes: tuple[str, ...] = ()  # what was decided about the weights and the groups
    groups: Groups | None = None  # None where every row leaves alone


def read_labelled(
    source: Any, settings: TrainingOptions, *, on_step: StepCallback = ignore_progress
) -> tuple[Dataset, Target]:
    """Read the rows that have a label."""
    on_step("read", 0, 1)
    columns, wanted = settings.columns, None
    if columns.features:
        named = (*columns.features, *columns.text, *columns.categorical, *filter(None, [settings.weight]))
        wanted = tuple(dict.fromkeys(named))
    dataset = load(
        source, target=settings.label, columns=wanted, exclude=columns.exclude, id_column=settings.id
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
