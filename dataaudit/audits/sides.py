"""Training and test rows need not have the same columns: what only one side has is no feature.

Such a column stays in the table of its side, where it can still name rows or cut slices of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Final

import polars as pl

from dataaudit.data.dataset import Dataset
from dataaudit.errors import DataError, MissingColumn, closest
from dataaudit.escape import shown
from dataaudit.features.columns import types_apart
from dataaudit.options import PairOptions

ONLY_TRAIN: Final = "only training has it"
ONLY_TEST: Final = "only test has it"
ALIKE: Final = 0.8  # likeness from which on two names may be of one column
TRAIN_WORDS: Final = frozenset(("train", "training", "fit"))
LISTED: Final = 8  # columns that a note names


def is_training(words: pl.Series) -> pl.Series:
    """Tell which rows a column says are of training."""
    return plain(words).is_in(list(TRAIN_WORDS)).fill_null(value=False)


def plain(words: pl.Series) -> pl.Series:
    """Return words as they are compared."""
    return words.cast(pl.String).str.strip_chars().str.to_lowercase()


def match_sides(known: Dataset, new: Dataset, settings: PairOptions) -> tuple[Dataset, Dataset]:
    """Return training and test rows that know which columns the other lacks."""
    _require_named(known, new, settings)
    here, there = (side.frame.columns for side in (known, new))
    own = {settings.label}
    unshared = {name: ONLY_TRAIN for name in here if name not in {*there, *own}}
    unshared |= {name: ONLY_TEST for name in there if name not in {*here, *own}}
    shared = [name for name in here if name in there and name not in own]
    asked = settings.columns.features
    if asked and not set(asked) & set(shared):
        lone = f"{shown(repr(asked[0]))}: {unshared.get(asked[0], 'it is no feature')}"
        both = [name for name in known.names if name in new.names and name not in own]
        raise DataError(
            f"no feature that was named is in both training and test ({lone})", f"both have {_listed(both)}"
        )
    if not shared:
        raise _nothing_shared(known, new, settings.label)
    notes = (*known.notes, *_notes(unshared, known, new, settings), *_types(shared, known, new))
    return replace(known, unshared=unshared, notes=notes), replace(new, unshared=unshared)


def _require_named(known: Dataset, new: Dataset, settings: PairOptions) -> None:
    """Refuse a name that neither side has: it is a slip."""
    columns = settings.columns
    present = tuple(dict.fromkeys((*known.names, *new.names)))
    named = (*columns.features, *columns.text, *columns.categorical, *columns.exclude)
    for name in (*named, *([settings.id] if settings.id else [])):
        if name not in present:
            raise MissingColumn(name, present, "the training and the test rows")


def _nothing_shared(known: Dataset, new: Dataset, label: str) -> DataError:
    columns = [[name for name in side.frame.columns if name != label] for side in (known, new)]
    what = "training and test share no column but the label"
    if not all(columns):
        which = "training has" if not columns[0] else "the test rows have"
        return DataError(f"{which} no column but the label", "give features to both")
    hint = f"training has {_listed(columns[0])}; test has {_listed(columns[1])}"
    return DataError(what, f"{hint}: give both the same names, or --no-header to files without")


def _notes(unshared: dict[str, str], known: Dataset, new: Dataset, settings: PairOptions) -> Iterable[str]:
    """Say which columns of test are left out, which may be another's, and where the rows' names are from."""
    ours, theirs = ([n for n, why in unshared.items() if why == one] for one in (ONLY_TRAIN, ONLY_TEST))
    if theirs:
        are = "1 column of test is" if len(theirs) == 1 else f"{len(theirs):,} columns of test are"
        yield f"{are} left out: {_listed(theirs)} ({ONLY_TEST})."
    if new.frame[settings.label].null_count() == new.n:
        ours = [settings.label, *ours]
    for name in ours:
        if near := closest(name, theirs, least=ALIKE):
            yield f"Is {shown(repr(near))} in test the same as {shown(repr(name))} in training?"
    for side, other, words in ((known, new, ("test", "training")), (new, known, ("training", "test"))):
        if settings.id and settings.id not in side.names and settings.id in other.names:
            named = f"rows of {words[1]} are named by their place"
            yield f"Only {words[0]} has {shown(repr(settings.id))}: {named}."


def _types(shared: Sequence[str], known: Dataset, new: Dataset) -> Iterable[str]:
    """Say which columns of text are of another type in test, as whose text they are then compared."""
    for name in shared:
        text, other = known.frame[name], new.frame[name]
        if text.dtype == pl.String and (other.dtype.is_numeric() or other.dtype == pl.Boolean):
            numbers = text.str.strip_chars().cast(pl.Float64, strict=False)
            if numbers.null_count() > text.null_count():
                then, now = types_apart(text.dtype, other.dtype)
                yield f"Column {shown(repr(name))} is {then} in training and {now} in test: read as {then}."


def _listed(names: Sequence[str]) -> str:
    left = len(names) - LISTED
    return ", ".join(map(shown, names[:LISTED])) + (f" and {left:,} more" if left > 0 else "")
