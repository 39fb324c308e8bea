"""Facts about the label column: its classes, how they are spelled, and rows without one."""

from __future__ import annotations

import re
from typing import Final

import polars as pl

from dataaudit.gate.data import Data, Material
from dataaudit.gate.facts.table import FactTable, Inapplicable, Rows
from dataaudit.gate.rules import Need

_MANY: Final = 50  # different numbers from which a label with fractions is a quantity
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
    "column text, class text, rows whole, share real, test_rows whole, test_share real",
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
    if _is_quantity(material.rows, counts, name):
        return classes.of(())
    met = counts.with_columns(test_rows=pl.lit(None, pl.Int64))
    if test is not None and name in test.schema:
        other = _counts(test, name).rename({"rows": "test_rows"})
        met = counts.join(other, on="class", how="full", coalesce=True).fill_null(0)
    shares = met.with_columns(
        column=pl.lit(name),
        share=pl.col("rows") / pl.col("rows").sum(),
        test_share=pl.col("test_rows") / pl.col("test_rows").sum(),
    )
    return shares.sort("class")


@FactTable(
    "column text, class text, twin text, rows whole, twin_rows whole",
    scope="column",
    key=("class",),
    score="rows",
    needs=_NEEDS,
)
def class_names(material: Material) -> Rows:
    """Classes whose name is a more frequent one's but for case, spaces, quotes, or a number's way."""
    name = material.settings.label
    counts = _counts(material.rows, name)
    if _is_quantity(material.rows, counts, name):
        raise Inapplicable(_NO_CLASSES)
    first: dict[str, tuple[str, int]] = {}
    for spelled, rows in counts.sort("rows", "class", descending=[True, False]).iter_rows():
        form = normal_class(spelled)
        if form in first:
            yield name, spelled, first[form][0], rows, first[form][1]
        first.setdefault(form, (spelled, rows))


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


def _is_quantity(data: Data, counts: pl.DataFrame, name: str) -> bool:
    """Tell whether labels are numbers on a scale: with fractions, and many."""
    dtype = data.schema[name]
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
    bare = name.strip(_QUOTES).casefold()
    return " ".join(map(_word, re.split(r"[\s_]+", bare))).strip() or bare


def _word(word: str) -> str:
    try:
        return repr(float(word))
    except ValueError:
        return re.sub(r"(?<=[^\W\d])[-./]+(?=[^\W\d])", " ", word.rstrip(".,;:"))
