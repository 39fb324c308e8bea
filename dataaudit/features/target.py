"""The label column as class numbers or as numbers, every decision stated; and row weights, checked."""

from __future__ import annotations

import math
import shlex
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from dataaudit.cells import CLASS_FIELDS
from dataaudit.errors import AskTask, BadTarget, DataError
from dataaudit.features.columns import counted
from dataaudit.options import TaskName
from dataaudit.statistics import robust_scale

Floats = NDArray[np.float64]

_FEWEST: Final = 10  # rows
_GROSS: Final = 10.0  # robust standard deviations from the median, beyond which a value chooses no basis
_FAR: Final = 4.0  # standard deviations of the noise, beyond which an error chooses no basis
_BINS: Final = 20
_MOST_DECIMALS: Final = 12

# A column with more distinct fractions than this is a measurement, not a class.
MAX_FLOAT_CLASSES = 20
# Whole numbers may be names, such as postal codes: of more of them than this one asks.
MAX_INTEGER_CLASSES = 20
DIGITS = 10  # of more whole numbers it is said that they are taken as classes
# A column of more classes than this is asked whether it has rows enough.
MANY = 100
_NULLISH = ("", "na", "n/a", "n.a.", "nan", "null", "none", "nil", "<na>", "#n/a", "?", "??", "-", "--")
_UNKNOWN = ("unknown", "missing", "undefined", "unlabeled", "unlabelled", "not available")  # or a class
# Above it a float64 has no fractions and no longer every whole number.
LARGEST_WHOLE = 2.0**53


@dataclass(frozen=True)
class Quantity:
    """What the numbers of a label column are, and the unit in which a model has them."""

    task: TaskName  # regression or count
    values: Floats  # (n,) as they stand, in the user's unit
    decimals: int  # that the column is written with
    centre: float = 0.0
    cut: Floats | None = None  # the values with gross ones nearer to what is predicted of them
    unit: float = 1.0  # what the model calls 1: of measurements their noise, so that losses are nats

    @property
    def is_count(self) -> bool:
        """Whether they are counts."""
        return self.task == "count"

    def in_unit(self, unit: float) -> Quantity:
        """Return the same, measured in another unit."""
        return self if self.is_count else replace(self, unit=unit)

    def coded(self, values: Floats) -> Floats:
        """Return values as the model has them."""
        return values if self.is_count else (values - self.centre) / self.unit

    def decoded(self, coded: Floats) -> Floats:
        """Return values as the user has them."""
        return coded if self.is_count else self.centre + self.unit * coded

    def of_scores(self, scores: Floats) -> Floats:
        """Return what scores predict, in the user's unit."""
        return np.exp(np.minimum(scores, 700.0)) if self.is_count else self.decoded(scores)

    @property
    def screened(self) -> Floats:
        """What a basis is chosen by with least squares: gross values cut off, counts as logarithms."""
        if self.is_count:
            return np.log1p(self.values)
        if self.cut is not None:
            return self.coded(self.cut)
        coded, spread = self.coded(self.values), robust_scale(self.coded(self.values))
        return np.clip(coded, -_GROSS * spread, _GROSS * spread)

    def cut_at(self, predicted: Floats) -> Quantity:
        """Return the same with values that are grossly off moved towards what is predicted of their rows."""
        errors = self.values - predicted
        most = _FAR * robust_scale(errors)
        return replace(self, cut=predicted + np.clip(errors, -most, most))

    def texts(self, values: Floats, noise: Floats) -> list[str]:
        """Return suggested values as the column writes them, no finer than a tenth of their noise."""
        found = []
        for value, scale in zip(values.tolist(), noise.tolist(), strict=True):
            fine = math.ceil(1 - math.log10(scale)) if scale > 0 else self.decimals
            places = min(self.decimals, fine)
            text = f"{round(value, places):.{max(places, 0)}f}"
            found.append(text[1:] if text.startswith("-") and not text.strip("-0.") else text)
        return found


@dataclass(frozen=True)
class Target:
    """Classes of the rows that have one."""

    classes: tuple[str, ...]  # names in natural order; the first is the reference class of the model
    y: NDArray[np.int64]  # (n,) class number of every kept row
    kept: pl.Series  # mask over the rows given: False where the label is missing
    notes: tuple[str, ...]  # what was decided, in sentences
    spellings: tuple[str, ...] = ()  # those of them on classes that differ in case or blanks only
    empty: tuple[str, ...] = ()  # on classes that read like a missing label
    unknown: tuple[str, ...] = ()  # and on classes that may stand for one
    quantity: Quantity | None = None  # of a column of numbers: there are no classes, equal values have one y


def encode_target(labels: pl.Series, task: TaskName | None = None) -> Target:
    """Return the classes of a label column, numbered; or its numbers, where these are what is asked."""
    if task in ("regression", "count"):
        quantity, kept = read_quantity(labels, task)
        codes = np.unique(quantity.values, return_inverse=True)[1].reshape(-1).astype(np.int64)
        gone = int((~kept).sum())
        said = (_missing(labels.name, gone, len(kept)),) if gone else ()
        return Target((), codes, kept, said, quantity=quantity)
    name = labels.name
    _, held = _unpacked(labels)
    labels = _countable(labels)
    if task is None:
        _require_no_fractions(labels)
    kept = labels.is_not_null()
    present = labels.filter(kept)
    if present.is_empty():
        raise BadTarget(
            f"label column {name!r} has no values: {len(labels)} rows, all empty", "name another --label"
        )
    values = present.unique().sort()
    _require_classes(name, values, len(present))
    if task is None:
        _require_names(present)
    names = values.cast(pl.String)
    y = present.cast(pl.String).replace_strict(
        names, pl.int_range(len(names), eager=True), return_dtype=pl.Int64
    )
    counts = np.bincount(y.to_numpy(), minlength=len(names))
    rows = dict(zip(names, counts.tolist(), strict=True))
    spellings, (empty, unknown) = _spellings(rows), _empty(rows)
    notes = (*_notes(name, labels, names, counts), *empty, *unknown, *spellings)
    notes = ((f"The label column {name!r} holds {held}.",) if held else ()) + notes
    if task is None and values.dtype.is_numeric() and len(values) > DIGITS:
        as_names = f"The {len(values)} numbers of {name!r} are taken as classes without an order"
        notes = (f"{as_names}: say --task count or regression where they are quantities.", *notes)
    numbers = y.to_numpy().astype(np.int64)
    return Target(tuple(names.to_list()), numbers, kept.rename("kept"), notes, spellings, empty, unknown)


def folded(name: str) -> str:
    """Return what spellings of one class have in common: they differ in case or blanks only."""
    return " ".join(name.split()).casefold()


def same_class(classes: Sequence[str]) -> NDArray[np.bool_] | None:
    """Return which classes are spellings of one, None if none are, or all."""  # -> (K, K)
    forms = np.array([folded(name) for name in classes])
    if not 1 < len(set(forms)) < len(forms):
        return None
    same: NDArray[np.bool_] = forms[:, None] == forms
    return same


@dataclass(frozen=True, slots=True)
class Reading:
    """How labels are read: which of them are none, and which spelling stands for a class."""

    none: tuple[str, ...]  # labels that mean that there is none
    spelled: Mapping[str, str]  # folded name → its commonest spelling; empty where spellings stay apart

    @classmethod
    def of(cls, labels: pl.Series, *, fold: bool, none: Sequence[str]) -> Reading:
        """Return how the labels of a column are read."""
        spelled: dict[str, str] = {}
        if fold:
            counts = class_texts(labels).drop_nulls().alias("class").value_counts(name="rows")
            for name in counts.sort("rows", "class", descending=[True, False])["class"]:
                spelled.setdefault(folded(name), name)
        return cls(tuple(one.strip() for one in none), spelled)

    def read(self, labels: pl.Series) -> tuple[pl.Series, tuple[str, ...]]:
        """Return labels as they are read, and what became of them."""
        texts = class_texts(labels)
        counts = dict(texts.drop_nulls().alias("class").value_counts(name="rows").sort("class").iter_rows())
        shown = {name: f"{_visible(name)} ({counted(rows, 'row')})" for name, rows in counts.items()}
        gone = [name for name in counts if name.strip() in self.none]
        spelled = {name: self.spelled.get(folded(name), name) for name in counts if name not in gone}
        merged = defaultdict(list)
        for name, other in spelled.items():
            if other != name:
                merged[other].append(shown[name])
        notes = [
            f"{_listed(others)} {'is' if len(others) == 1 else 'are'} read as {_visible(name)}, as asked."
            for name, others in merged.items()
        ]
        notes += [f"{shown[name]} is read as no label, as asked." for name in gone]
        unmet = sorted(set(self.none) - {name.strip() for name in gone})
        notes += [f"No row has the label {name!r}, which was to be read as none." for name in unmet]
        if merged:
            return texts.replace({**spelled, **dict.fromkeys(gone)}), tuple(notes)
        kept = ~texts.is_in(gone).fill_null(value=False)
        return pl.select(pl.when(kept).then(labels).alias(labels.name)).to_series(), tuple(notes)


def class_texts(values: pl.Series) -> pl.Series:
    """Return the name of every value's class, as `encode_target` has it."""
    return _countable(values).cast(pl.String)


def _countable(labels: pl.Series) -> pl.Series:
    """Return the labels out of what holds them, floats as whole numbers where they are, nothing as null."""
    labels, _ = _unpacked(labels)
    kind, name = labels.dtype, labels.name
    if kind.is_float():
        labels = labels.fill_nan(None)
        present = labels.drop_nulls()
        if not present.is_finite().all():
            what = f"label column {name!r} has {present.is_infinite().sum():,} infinite values"
            raise BadTarget(what, "empty those cells, or name another --label")
        if ((present % 1 == 0) & (present.abs() <= LARGEST_WHOLE)).all():
            return labels.cast(pl.Int64)
        return labels
    if kind.is_nested() or kind.is_temporal() or kind == pl.Binary:
        raise _not_classes(labels)
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
    is_number = values.dtype.is_numeric()
    kind, also = (AskTask, ", or say --task regression") if is_number else (BadTarget, "")
    if n == K:
        what = f"label column {name!r} has a class of its own for each of the {n} rows"
        raise kind(what, f"is it an identifier? name another --label{also}")
    if K > MANY and n < 2 * K:
        what = f"label column {name!r} has {K:,} classes in {n:,} rows, less than two rows a class"
        raise kind(what, f"name another --label, group rare classes{also}")


def _require_no_fractions(labels: pl.Series) -> None:
    """Refuse measurements, which would be classes that nobody meant."""
    kind, found = labels.dtype, labels.n_unique()
    if (
        (kind.is_float() or kind.is_decimal())
        and found > MAX_FLOAT_CLASSES
        and (labels.cast(pl.Float64) % 1 != 0).any()
    ):
        what = f"label column {labels.name!r} is continuous: got {found} distinct fractions"
        raise AskTask(what, "predict numbers with --task regression, or cut it into classes first")


def _require_names(present: pl.Series) -> None:
    """Refuse whole numbers that may be quantities, unless they are few or count classes."""
    found = present.n_unique()
    if present.dtype.is_numeric() and found > MAX_INTEGER_CLASSES and not _are_codes(present):
        what = f"label column {present.name!r} may hold quantities: got {found} distinct numbers"
        raise AskTask(what, "say --task regression, count, or classification if they are names")


def _are_codes(present: pl.Series) -> bool:
    """Whether whole numbers count classes: from 0 or 1 on, none left out, each as often as not by chance."""
    least, most, found = present.min(), present.max(), present.n_unique()
    return least in (0, 1) and most == least + found - 1 and len(present) >= 2 * found  # type: ignore[operator]


def _not_classes(labels: pl.Series) -> BadTarget:
    """Return the error for values that are no classes, with how to make some of them."""
    kind, name = labels.dtype, labels.name
    column, cell = f"pl.col({name!r})", f"df[{name!r}]"
    if isinstance(kind, pl.List | pl.Array):
        casts = f"{column}.list.first() in Polars, {cell}.str[0] in pandas, or one column for each value"
    elif isinstance(kind, pl.Struct):
        field = kind.fields[0].name if kind.fields else "name"
        casts = f"{column}.struct.field({field!r}) in Polars, {cell}.str[{field!r}] in pandas"
    elif kind == pl.Binary:
        casts = f"{column}.bin.encode('hex') in Polars, {cell}.map(bytes.hex) in pandas"
    else:
        casts = f"{column}.cast(pl.String) in Polars, {cell}.astype(str) in pandas"
    held = {pl.List: "lists of several values", pl.Array: "lists of several values"}
    got = held.get(kind.base_type(), "bytes that are not UTF-8" if kind == pl.Binary else f"type {kind}")
    return BadTarget(f"label column {name!r} has no classes: got {got}", f"cast it: {casts}")


def _unpacked(labels: pl.Series) -> tuple[pl.Series, str]:
    """Return the values in lists of one, structs with a name and UTF-8 bytes, and what held them."""
    kind, present = labels.dtype, labels.drop_nulls()
    if isinstance(kind, pl.Array):
        labels = labels.arr.to_list()
        kind, present = labels.dtype, labels.drop_nulls()
    if isinstance(kind, pl.List) and not kind.inner.is_nested() and (present.list.len() <= 1).all():
        return labels.list.first(), "lists of one value: the value is the class"
    if isinstance(kind, pl.Struct):
        names = [field.name for field in kind.fields]
        named = names if len(names) == 1 else [name for name in names if name.casefold() in CLASS_FIELDS]
        for name in named[:1]:
            inner = labels.struct.field(name).alias(labels.name)
            if not inner.dtype.is_nested() and present.n_unique() == inner.drop_nulls().n_unique():
                return inner, f"structs: their field {name!r} is the class"
    if kind == pl.Binary:
        with suppress(pl.exceptions.ComputeError):
            return labels.cast(pl.String), "bytes: they are read as UTF-8"
    return labels, ""


def _missing(name: str, missing: int, rows: int) -> str:
    """Say how many rows have no label."""
    return f"{missing:,} of {rows:,} rows have no {name!r} and were left out."


def _notes(name: str, labels: pl.Series, names: pl.Series, counts: NDArray[np.int64]) -> tuple[str, ...]:
    """Return what a person should know about the label column."""
    notes = []
    if labels.null_count():
        notes.append(_missing(name, labels.null_count(), len(labels)))
    rare = [str(names[int(j)]) for j in np.flatnonzero(counts == 1)]
    if rare:
        shown = ", ".join(map(repr, rare[:3])) + (", …" if len(rare) > 3 else "")  # noqa: PLR2004 - one line
        one = len(rare) == 1
        which, whose = ("1 class has", "its label") if one else (f"{len(rare)} classes have", "their labels")
        notes.append(f"{which} a single row ({shown}): {whose} cannot be judged.")
    return tuple(notes)


def _spellings(rows: Mapping[str, int]) -> tuple[str, ...]:
    """Return a note on classes that are spellings of one."""
    alike = defaultdict(list)
    for value, n in rows.items():
        alike[folded(value)].append(f"{_visible(value)} ({counted(n, 'row')})")
    several = [f"{', '.join(same[:-1])} and {same[-1]}" for same in alike.values() if len(same) > 1]
    if not several:
        return ()
    shown = "; ".join(several[:3]) + ("; …" if len(several) > 3 else "")  # noqa: PLR2004 - one line
    apart = f"Classes {shown} differ in case or blanks only: they were kept apart."
    return (f"{apart} An audit with --fold-labels reads them as one.",)


def _empty(rows: Mapping[str, int]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return notes on classes that read like a missing label, and on those that may stand for one."""
    empty, unknown = [], []
    for value, n in rows.items():
        word, which = value.strip().casefold(), f"The class {_visible(value)} ({counted(n, 'row')})"
        cure = f"empty those cells, or audit with --no-label={shlex.quote(value)}, if it is no class."
        if word in _NULLISH:
            empty.append(f"{which} reads like a missing label and was kept: {cure}")
        elif word in _UNKNOWN or _means_none(value, rows):
            unknown.append(f"{which} may stand for a missing label and was kept: {cure}")
    return tuple(empty), tuple(unknown)


def _means_none(value: str, names: Iterable[str]) -> bool:
    """Whether a class is the -1 that stands for no label: the others are 0, 1 and so on, but not 1 alone."""
    others = [name for name in names if name != value]
    return value == "-1" and len(others) > 1 and all(name.isdecimal() for name in others)


def _listed(parts: Sequence[str]) -> str:
    """Return parts as in ``a, b and c``."""
    return " and ".join([", ".join(parts[:-1]), parts[-1]]) if len(parts) > 1 else "".join(parts)


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


def read_quantity(labels: pl.Series, task: TaskName) -> tuple[Quantity, pl.Series]:
    """Return the numbers of a label column, and which rows have one."""
    name, numbers = labels.name, numbers_of(labels, task)
    kept = numbers.is_not_null()
    values = numbers.filter(kept).to_numpy(writable=True)
    _require_numbers(name, values, task)
    whole = bool((values % 1 == 0).all())
    quantity = Quantity(task, values, 0 if whole else _decimals(numbers.cast(pl.String)))
    if task == "regression":
        centre = float(np.median(values))
        quantity = replace(quantity, centre=centre, unit=robust_scale(values - centre))
    return quantity, kept.rename("kept")


def numbers_of(labels: pl.Series, task: TaskName) -> pl.Series:
    """Return a label column as floats, null where there is none."""
    kind = labels.dtype
    if not (kind.is_numeric() or kind.is_decimal()) or kind == pl.Boolean:
        got = next((repr(one)[:60] for one in labels.drop_nulls().head(1).to_list()), "no values")
        what = f"label column {labels.name!r} holds no numbers, which {task} needs: got {got}"
        raise BadTarget(what, "name a column of numbers, or leave --task out for classes")
    return labels.cast(pl.Float64).fill_nan(None)


def _require_numbers(name: str, values: Floats, task: TaskName) -> None:
    column, other = f"label column {name!r}", "name another --label"
    if not np.isfinite(values).all():
        raise BadTarget(f"{column} has {(~np.isfinite(values)).sum():,} infinite values", "empty those cells")
    if len(values) < _FEWEST:
        raise BadTarget(f"{column} has numbers in {len(values)} rows, too few for {task}", other)
    if values.min() == values.max():
        raise BadTarget(f"{column} is constant: got {values[0]:g} in all {len(values):,} rows", other)
    require_counts(name, values, task)


def require_counts(name: str, values: Floats, task: TaskName) -> None:
    """Refuse what is no count, where counts are asked for."""
    if task == "count" and (values.min() < 0 or (values % 1).any()):
        wrong = values[(values < 0) | (values % 1 != 0)]
        kind = "negative" if wrong[0] < 0 else "fractional"
        count = f"{len(wrong):,} values are negative or fractional, the first {kind}"
        what = f"label column {name!r} holds no counts: {count}"
        raise BadTarget(f"{what}: got {wrong[0]:g}", "use --task regression")


def _decimals(texts: pl.Series) -> int:
    """Return the digits after the point of the value that has most, as far as these say anything."""
    fractions = texts.str.extract(r"\.(\d+)$").str.strip_chars_end("0").str.len_chars()
    return min(int(fractions.max() or 0), _MOST_DECIMALS)  # type: ignore[arg-type]


def in_bins(values: Floats, like: Floats) -> list[str]:
    """Name values by the fifth of other values that they are in, as for a comparison of classes."""
    edges = np.unique(np.quantile(like, (0.2, 0.4, 0.6, 0.8)))
    ends = [f"{edge:.6g}" for edge in edges]
    names = [f"< {ends[0]}", *(f"{a} to {b}" for a, b in pairwise(ends)), f"≥ {ends[-1]}"]
    return [names[at] for at in np.searchsorted(edges, values, side="right").tolist()]


def binned(values: Floats) -> NDArray[np.int64]:
    """Return the number of the bin of each value, bins of about as many rows: classes for what needs some."""
    edges = np.unique(np.quantile(values, np.linspace(0, 1, _BINS + 1)[1:-1]))
    bins = np.searchsorted(edges, values, side="right")
    return np.unique(bins, return_inverse=True)[1].reshape(-1).astype(np.int64)
