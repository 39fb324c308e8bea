"""The label column as class numbers, with every decision stated; and a column of row weights, checked."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from dataaudit.errors import BadTarget, DataError

MAX_CLASSES = 100
# A float column with more distinct values than this is a measurement, not a class.
MAX_FLOAT_CLASSES = 20
# Above it a float64 has no fractions and no longer every whole number.
LARGEST_WHOLE = 2.0**53


@dataclass(frozen=True)
class Target:
    """Classes of the rows that have one."""

    classes: tuple[str, ...]  # names in natural order; the first is the reference class of the model
    y: NDArray[np.int64]  # (n,) class number of every kept row
    kept: pl.Series  # mask over the rows given: False where the label is missing
    notes: tuple[str, ...]  # what was decided, in sentences


def encode_target(labels: pl.Series) -> Target:
    """Return the classes of a label column, numbered."""
    name = labels.name
    labels = _countable(labels)
    kept = labels.is_not_null()
    present = labels.filter(kept)
    if present.is_empty():
        raise BadTarget(
            f"label column {name!r} has no values: {len(labels)} rows, all empty", "name another --label"
        )
    values = present.unique().sort()
    _require_classes(name, values, len(present))
    names = values.cast(pl.String)
    y = present.cast(pl.String).replace_strict(
        names, pl.int_range(len(names), eager=True), return_dtype=pl.Int64
    )
    notes = _notes(name, labels, names, np.bincount(y.to_numpy(), minlength=len(names)))
    return Target(tuple(names.to_list()), y.to_numpy().astype(np.int64), kept.rename("kept"), notes)


def class_texts(values: pl.Series) -> pl.Series:
    """Return the name of every value's class, as `encode_target` has it."""
    return _countable(values).cast(pl.String)


def _countable(labels: pl.Series) -> pl.Series:
    """Return the labels with floats as whole numbers where they are, and nothing as null."""
    kind, name = labels.dtype, labels.name
    if kind.is_float():
        labels = labels.fill_nan(None)
        present = labels.drop_nulls()
        if not present.is_finite().all():
            what = f"label column {name!r} has {present.is_infinite().sum():,} infinite values"
            raise BadTarget(what, "empty those cells, or name another --label")
        if ((present % 1 == 0) & (present.abs() <= LARGEST_WHOLE)).all():
            return labels.cast(pl.Int64)
        if labels.n_unique() > MAX_FLOAT_CLASSES:
            what = f"label column {name!r} is continuous: got {labels.n_unique()} distinct fractions"
            raise BadTarget(what, "cut it into classes first, or name another --label")
        return labels
    if kind.is_nested() or kind.is_temporal() or kind == pl.Binary:
        raise BadTarget(f"label column {name!r} has no classes: got type {kind}", "name another --label")
    if kind == pl.Null:
        raise BadTarget(
            f"label column {name!r} has no values: {len(labels)} rows, all empty", "name another --label"
        )
    return labels


def _require_classes(name: str, values: pl.Series, n: int) -> None:
    """Check the number of classes."""
    K = len(values)
    if K == 1:
        what = f"label column {name!r} has one class: got {values[0]!r} in all {n} rows"
        raise BadTarget(what, "give rows of at least two classes")
    if n == K:
        what = f"label column {name!r} has a class of its own for each of the {n} rows"
        raise BadTarget(what, "is it an identifier? name another --label")
    if K > MAX_CLASSES:
        what = f"label column {name!r} has {K:,} classes, at most {MAX_CLASSES} can be audited"
        raise BadTarget(what, "name another --label, or group rare classes")


def _notes(name: str, labels: pl.Series, names: pl.Series, counts: NDArray[np.int64]) -> tuple[str, ...]:
    """Return what a person should know about the label column."""
    notes = []
    if labels.null_count():
        notes.append(f"{labels.null_count():,} of {len(labels):,} rows have no {name!r} and were left out.")
    rare = [str(names[int(j)]) for j in np.flatnonzero(counts == 1)]
    if rare:
        shown = ", ".join(map(repr, rare[:3])) + (", …" if len(rare) > 3 else "")  # noqa: PLR2004 - one line
        one = len(rare) == 1
        which, whose = ("1 class has", "its label") if one else (f"{len(rare)} classes have", "their labels")
        notes.append(f"{which} a single row ({shown}): {whose} cannot be judged.")
    folded = defaultdict(list)
    for value in names:
        folded[" ".join(value.split()).casefold()].append(value)
    alike = [" and ".join(map(_visible, same)) for same in folded.values() if len(same) > 1]
    if alike:
        shown = "; ".join(alike[:3]) + ("; …" if len(alike) > 3 else "")  # noqa: PLR2004 - one line
        notes.append(f"Classes {shown} differ in case or blanks only: they were kept apart.")
    return tuple(notes)


def _visible(name: str) -> str:
    """Return a class in quotes, its blanks visible where there are more than between words."""
    return repr(name if name == " ".join(name.split()) else name.replace(" ", "␣"))


def encode_weight(weights: pl.Series) -> NDArray[np.float64]:
    """Return row weights."""  # -> (n,)
    name = weights.name
    if not (weights.dtype.is_numeric() or weights.dtype == pl.Boolean):
        raise DataError(
            f"weight column {name!r} holds no numbers: got type {weights.dtype}", "name another --weight"
        )
    values = weights.cast(pl.Float64)
    wrong = int((values.is_null() | ~values.is_finite().fill_null(value=False) | (values < 0)).sum())
    if wrong:
        what = f"weight column {name!r} has {wrong:,} values that are missing, negative or infinite"
        raise DataError(what, "give every row a weight of 0 or more")
    if not (values > 0).any():
        raise DataError(f"weight column {name!r} is 0 in all {len(values):,} rows", "name another --weight")
    return values.to_numpy(writable=True)
