"""Facts about the label column: its classes, how they are spelled, and rows without one."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from typing import Final

import polars as pl

from dataaudit.errors import closest
from dataaudit.gate.data import Data, Material
from dataaudit.gate.facts.table import FactTable, Inapplicable, Rows
from dataaudit.gate.rules import Need

_MANY: Final = 50  # different numbers from which a label with fractions is a quantity
_CLOSE: Final = 0.75  # likeness from which a name may be a slip of the pen
_DIGITS: Final = re.compile(r"\d+")
_BLANKS: Final = re.compile(r"^ +| +$| {2,}")
_BLANK: Final = "␣"
_INVISIBLE: Final = re.compile("[\u00ad\u200b-\u200f\u2060\ufeff]")
_QUOTES: Final = " \t\r\n\"'`\u2018\u2019\u201c\u201d"
_NEEDS: Final = frozenset[Need]({"label"})
_NO_CLASSES: Final = "The label is a quantity, or missing in every row: there are no classes."


@FactTable("rows whole, classes whole, missing whole", scope="dataset", needs=_NEEDS)
def label(material: Material) -> Rows:
    """The number of rows with a label, of classes, and of rows without a label."""
    counts = _counts(material.rows, material.settings.label)
    rows = int(counts["rows"].sum())
    yield rows, counts.height, material.rows.n - rows


@FactTable(
    "column text, class text, name text, rows whole, share real, test_rows whole, test_share real",
    scope="column",
    key=("class",),
    score="rows",
    needs=_NEEDS,
    empty=_NO_CLASSES,
)
def classes(material: Material) -> pl.DataFrame:
    """Each class with its rows, here and in labelled test data; none where the label is a quantity."""
    name, test = material.settings.label, material.test
    counts = _counts(material.rows, name)
    if _is_quantity(material, counts):
        return classes.of(())
    met = counts.with_columns(test_rows=pl.lit(None, pl.Int64))
    if test is not None and name in test.schema:
        other = _counts(test, name).rename({"rows": "test_rows"})
        met = counts.join(other, on="class", how="full", coalesce=True).fill_null(0)
    shares = met.with_columns(
        column=pl.lit(name),
        name=pl.col("class").map_elements(_seen, return_dtype=pl.String),
        share=pl.col("rows") / pl.col("rows").sum(),
        test_share=pl.col("test_rows") / pl.col("test_rows").sum(),
    )
    return shares.sort("class")


@FactTable(
    "column text, class text, twin text, rows whole, twin_rows whole, name text, twin_name text",
    scope="column",
    key=("class",),
    score="rows",
    needs=_NEEDS,
)
def class_names(material: Material) -> Rows:
    """Classes whose name is a more frequent one's but for case, spaces, quotes, or a number's way."""
    name = material.settings.label
    counts = _counts(material.rows, name)
    if _is_quantity(material, counts):
        raise Inapplicable(_NO_CLASSES)
    first: dict[str, tuple[str, int]] = {}
    for spelled, rows in counts.sort("rows", "class", descending=[True, False]).iter_rows():
        form = normal_class(spelled)
        if form in first:
            twin, twin_rows = first[form]
            yield name, spelled, twin, rows, twin_rows, *seen(spelled, twin)
        first.setdefault(form, (spelled, rows))


@FactTable(
    "column text, class text, name text, rows whole, near text, offer text",
    scope="column",
    key=("class",),
    score="rows",
    needs={"label", "base"},
)
def new_classes(material: Material) -> Rows:
    """Classes that the base has not, and of its classes the one that may be meant."""
    name, base = material.settings.label, material.base_rows
    if name not in base.schema:
        raise Inapplicable(f"The base has no column {name!r}.")
    counts, known = _counts(material.rows, name), _counts(base, name)
    if _is_quantity(material, counts):
        raise Inapplicable(_NO_CLASSES)
    classes = known.sort("rows", "class", descending=[True, False])["class"].to_list()
    for spelled, rows in counts.join(known, on="class", how="anti").iter_rows():
        near = _near(spelled, classes)
        own, other = seen(spelled, near or "")
        yield name, spelled, own, rows, near, f"; did you mean {other}?" if near else "."


def _near(name: str, classes: Sequence[str]) -> str | None:
    """Return the class that is meant by another spelling, or by a slip of the pen; None if there is none."""
    for other in classes:
        if normal_class(other) == normal_class(name):
            return other
    words = [other for other in classes if _DIGITS.sub("", other) != _DIGITS.sub("", name)]
    return closest(name, words, least=_CLOSE)


def seen(name: str, other: str) -> tuple[str, str]:
    """Return two names in quotes so that they look different: blanks at the ends, and strange characters."""
    pair = _seen(name), _seen(other)
    return (
        pair
        if unicodedata.normalize("NFC", pair[0]) != unicodedata.normalize("NFC", pair[1])
        else (
            ascii(name),
            ascii(other),
        )
    )


def _seen(name: str) -> str:
    """Return a name in quotes, in which each blank that is easily overlooked is a mark."""
    return repr(_BLANKS.sub(lambda blanks: _BLANK * len(blanks[0]), name))


@FactTable("row whole", scope="row", needs=_NEEDS)
def unlabelled(material: Material) -> pl.DataFrame:
    """Rows without a label."""
    cells = material.rows.read([material.settings.label]).to_series()
    return pl.DataFrame({"row": _is_missing(cells).arg_true().cast(pl.Int64)})


def _counts(data: Data, name: str) -> pl.DataFrame:
    """Return class, rows of every label that is there."""
    cells = data.lazy.select(pl.col(name).cast(pl.String).alias("class"))
    counts = cells.filter(pl.col("class") != "").group_by("class").len("rows")
    return counts.collect(engine="streaming").cast({"rows": pl.Int64}).sort("class")


def _is_quantity(material: Material, counts: pl.DataFrame) -> bool:
    """Tell whether labels are numbers on a scale: as was said, or with fractions, and many."""
    data, task = material.rows, material.settings.task
    if task is not None:
        return task != "classification"
    dtype = data.schema[material.settings.label]
    if dtype.is_float() or dtype.is_decimal():
        values = counts["class"].cast(pl.Float64, strict=False)
        return counts.height > _MANY and bool((values != values.round()).any())
    return dtype.is_temporal() or counts.height > max(_MANY, data.n // 2)


def _is_missing(cells: pl.Series) -> pl.Series:
    if cells.dtype.is_float():
        return cells.fill_nan(None).is_null()
    return (cells.replace("", None) if cells.dtype == pl.String else cells).is_null()


def normal_class(name: str) -> str:
    """Return what spellings of one class have in common: A+ and A-, <=50K and >50K, -1 and 1 are apart."""
    bare = _INVISIBLE.sub("", unicodedata.normalize("NFKC", name)).strip(_QUOTES).casefold()
    return " ".join(map(_word, re.split(r"[\s_]+", bare))).strip() or bare


def _word(word: str) -> str:
    try:
        return repr(float(word))
    except ValueError:
        return re.sub(r"(?<=[^\W\d])[-./]+(?=[^\W\d])", " ", word.rstrip(".,;:"))
