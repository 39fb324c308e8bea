"""Facts about the table as a whole and about each of its columns.

One pass over all cells makes a `Profile`: per column its missing cells and its range, per row a hash, 64 bits
over what the row holds besides label, id and weight. Two rows are copies if it is equal; two of 5 million
different rows share one with probability 7·10⁻⁷. Memory: 8 bytes a row. Cost: O(cells).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import polars as pl

from dataaudit.cells import hashable
from dataaudit.features.columns import Role
from dataaudit.features.roles import infer_roles, names_rows
from dataaudit.gate.data import Data, Material
from dataaudit.gate.facts.table import FactTable, Rows
from dataaudit.gate.settings import DatasetSettings
from dataaudit.options import EncoderOptions

_PARTS: Final = ("missing", "infinite", "low", "high")  # of a `Column`, where its type has them
_CHANGES: Final = "column text, change text, was text, now text, what text"
NO_FEATURE: Final = "There is no feature column."
SAMPLE: Final = 10_000  # rows by which a column's role is decided


@dataclass(frozen=True, slots=True)
class Column:
    """One column's sums over all rows."""

    missing: int = 0
    infinite: int = 0
    low: Any = None
    high: Any = None
    ordered: bool = True  # whether the type has an order, so that `low` and `high` say something

    def plus(self, other: Column) -> Column:
        """Return the sums over both."""
        return Column(
            self.missing + other.missing,
            self.infinite + other.infinite,
            min((value for value in (self.low, other.low) if value is not None), default=None),
            max((value for value in (self.high, other.high) if value is not None), default=None),
            self.ordered and other.ordered,
        )


@dataclass(frozen=True, slots=True)
class Profile:
    """All columns by name, and the rows' hashes: UInt64, (n,)."""

    columns: Mapping[str, Column]
    hashes: pl.Series


def profile(material: Material) -> Profile:
    """Return what a pass over the data finds, made once."""
    return material.once("profile", lambda: _profile(material.rows, content(material)))


def roles(material: Material) -> Mapping[str, Role]:
    """Return what each feature column would be used as, by the first rows."""

    def make() -> Mapping[str, Role]:
        settings, head = material.settings, material.rows.lazy.head(SAMPLE).collect()
        found = infer_roles(head, settings.label, settings=as_named(settings, head.columns))
        return {role.column: role for role in found}

    return material.once("roles", make)


def as_named(settings: DatasetSettings, known: Collection[str]) -> EncoderOptions:
    """Return what the settings say of how to read some columns."""
    text, categorical = settings.text, settings.categorical
    return EncoderOptions(
        text=tuple(name for name in text if name in known),
        categorical=tuple(name for name in categorical if name in known),
        text_units=settings.text_units,
    )


def content(material: Material) -> list[str]:
    """Return the columns in which copies of a row are equal: not label, id, weight, nor what names rows."""
    settings = material.settings
    used = roles(material)
    return [
        name
        for name in material.rows.schema
        if name not in (settings.label, settings.id, settings.weight)
        and not (name in used and names_rows(used[name]) and name not in settings.features)
    ]


def _profile(data: Data, keys: Sequence[str]) -> Profile:
    schema = data.schema
    sums = {name: Column(ordered=_ordered(dtype)) for name, dtype in schema.items()}
    tests = [test for name, dtype in schema.items() for test in _tests(name, dtype)]
    cells = [hashable(name, schema[name]) for name in keys]
    hashes = []
    for batch in data.batches(list(schema)):
        found = batch.select(tests).row(0, named=True)
        for name, old in sums.items():
            parts: dict[str, Any] = {p: found[f"{name}\0{p}"] for p in _PARTS if f"{name}\0{p}" in found}
            sums[name] = old.plus(Column(**parts))
        if cells:
            hashes.append(batch.select(cells).hash_rows())
    none = pl.Series(dtype=pl.UInt64)
    return Profile(sums, pl.concat(hashes) if hashes else none)


def _tests(name: str, dtype: pl.DataType) -> list[pl.Expr]:
    cell = pl.col(name)
    tests = {"missing": cell.null_count()}
    if dtype.is_float():
        tests["missing"] += cell.is_nan().sum()
        tests["infinite"] = cell.is_infinite().sum()
        cell = cell.fill_nan(None)
    if dtype == pl.String:
        tests["missing"] += (cell.str.len_bytes() == 0).sum()
    if _ordered(dtype):
        tests |= {"low": cell.min(), "high": cell.max()}
    return [test.alias(f"{name}\0{part}") for part, test in tests.items()]


def _ordered(dtype: pl.DataType) -> bool:
    return dtype.is_numeric() or dtype.is_temporal() or dtype in (pl.String, pl.Boolean)


@FactTable("problem text", scope="dataset", key=("problem",))
def reading(_: Material) -> Rows:
    """What kept the data from being read; no row where they were."""
    return ()


@FactTable("rows whole, columns whole", scope="dataset")
def dataset(material: Material) -> Rows:
    """The size of the table."""
    yield material.rows.n, len(material.rows.schema)


@FactTable("rows whole, base_rows whole, lost_share real, grown real", scope="dataset", needs={"base"})
def growth(material: Material) -> Rows:
    """Rows now and in the base: the share that is gone, and how many times as many there are."""
    now, was = material.rows.n, material.base_rows.n
    yield now, was, max(0.0, 1 - now / was), now / was


@FactTable(
    "column text, dtype text, part text, missing whole, missing_share real, constant flag,"
    "infinite whole, low text, high text",
    scope="column",
    key=("column",),
    score="missing",
    cells={"low", "high"},
)
def columns(material: Material) -> Rows:
    """Missing and infinite cells and range of a column; part: feature, label, id, weight, group, date."""
    settings, n = material.settings, material.rows.n
    parts = {name: getattr(settings, name) for name in ("label", "id", "weight", "group", "date")}
    named = {column: name for name, column in parts.items()}
    for name, found in profile(material).columns.items():
        constant = found.missing == 0 and n > 1 and bool(found.low == found.high)
        yield (
            name,
            str(material.rows.schema[name]),
            named.get(name, "feature"),
            found.missing,
            found.missing / n,
            constant if found.ordered else None,
            found.infinite if material.rows.schema[name].is_float() else None,
            _shown(found.low),
            _shown(found.high),
        )


@FactTable(_CHANGES, name="schema", scope="column", key=("column", "change"), needs={"base"})
def schema_change(material: Material) -> Rows:
    """Columns that the base has and the data lack (removed), the reverse (added), or of another type."""
    return _changes(
        material.base_rows.schema,
        material.rows.schema,
        gone="is gone, and was {} in the base",
        other="was {} in the base, and is {}",
    )


@FactTable(_CHANGES, scope="column", key=("column", "change"), needs={"test"})
def test_schema(material: Material) -> Rows:
    """The same, from the data to the test data; a label may be absent from these."""
    label = material.settings.label
    was, now = (
        {name: dtype for name, dtype in data.schema.items() if name != label}
        for data in (material.rows, material.test_rows)
    )
    return _changes(
        was,
        now,
        gone="is {} in the data, and absent from the test data",
        other="is {} in the data, and {} in the test data",
    )


def _changes(
    was: Mapping[str, pl.DataType], now: Mapping[str, pl.DataType], *, gone: str, other: str
) -> Rows:
    for name, dtype in was.items():
        if name not in now:
            yield name, "removed", str(dtype), "", gone.format(dtype)
        elif _family(dtype) != _family(now[name]):
            yield name, "type", str(dtype), str(now[name]), other.format(dtype, now[name])
    yield from (
        (name, "added", "", str(d), f"is new, of type {d}") for name, d in now.items() if name not in was
    )


def _family(dtype: pl.DataType) -> str:
    """Return what a type is for: another width of number is no change, and a whole column may gain a half."""
    if dtype.is_numeric():
        return "number"
    if isinstance(dtype, pl.String | pl.Categorical | pl.Enum):
        return "text"
    if dtype.is_nested():
        return "nested"
    return "time" if dtype.is_temporal() else str(dtype)


def _shown(value: object) -> str | None:
    return None if value is None else str(value)[:80]
