"""Facts about what the cells of a column are: equal columns, numbers as text, garbled texts, -999."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Final

import polars as pl

from dataaudit.findings.tables import schema
from dataaudit.gate.data import Material
from dataaudit.gate.facts import FactTable
from dataaudit.gate.facts.columns import SAMPLE, profile, roles

_HERE: Final = __name__
_STAND_INS: Final = tuple(sign * (10**digits - 1) for digits in (2, 3, 4, 5, 6) for sign in (-1, 1))
_ODD: Final = 3  # cells shown
# What UTF-8 becomes if it is read as Latin-1, and what stands for a byte that could not be read.
GARBLED: Final = ("\ufffd", *(lead + chr(code) for lead in "ÂÃ" for code in range(0x80, 0xC0)), "â€")

TABLES: Final = (
    FactTable(
        name="equal_columns",
        maker=f"{_HERE}:equal_columns",
        schema=schema("column text, twin text"),
        scope="column",
        key=("column", "twin"),
        doc="Feature columns that equal an earlier one, the twin, in every row.",
    ),
    FactTable(
        name="texts",
        maker=f"{_HERE}:texts",
        schema=schema("column text, numbers_share real, odd text, garbled whole, garbled_share real"),
        scope="column",
        key=("column",),
        score="garbled",
        cells=frozenset({"odd"}),
        doc="Each text column: the share of its cells that are numbers, others of them; garbled texts.",
    ),
    FactTable(
        name="stand_ins",
        maker=f"{_HERE}:stand_ins",
        schema=schema("column text, value real, rows whole, low real, high real"),
        scope="column",
        key=("column", "value"),
        score="rows",
        cells=frozenset({"value", "low", "high"}),
        doc="Columns in which -999 or its like lies far from all other values, from low to high.",
    ),
)


def equal_columns(material: Material) -> pl.DataFrame:
    """Return the table ``equal_columns``: those alike in sums and first rows are compared in full."""
    data, sums = material.rows, profile(material).columns
    head = data.lazy.select(material.features).head(SAMPLE).collect()
    alike: dict[tuple[str, ...], list[str]] = {}
    for name in material.features:
        found = sums[name]
        if found.ordered and found.low != found.high:
            start = head.select(name).hash_rows().to_numpy().tobytes().hex()
            sign = (str(data.schema[name]), str(found.missing), str(found.low), str(found.high), start)
            alike.setdefault(sign, []).append(name)
    pairs = [pair for names in alike.values() for pair in pairwise(names)]
    tests = [(pl.col(a).eq_missing(pl.col(b))).all().alias(str(i)) for i, (a, b) in enumerate(pairs)]
    same = data.lazy.select(tests).collect(engine="streaming").row(0) if tests else ()
    rows = [(b, a) for (a, b), equal in zip(pairs, same, strict=True) if equal]
    return pl.DataFrame(rows, schema=TABLES[0].schema, orient="row")


def texts(material: Material) -> pl.DataFrame:
    """Return the table ``texts``."""
    rows = [row for name in material.features if (row := _text(material, name)) is not None]
    return pl.DataFrame(rows, schema=TABLES[1].schema, orient="row")


def _text(material: Material, name: str) -> tuple[str, float, str, int, float] | None:
    data = material.rows
    if data.schema[name] != pl.String:
        return None
    cell = pl.col(name).str.strip_chars()
    present = cell.is_not_null() & (cell != "")
    number = cell.cast(pl.Float64, strict=False).is_not_null()
    bad = pl.col(name).str.contains_any(list(GARBLED))
    coded = name in material.settings.categorical or roles(material)[name].role == "text"
    start = (
        data.lazy.select(name)
        .head(SAMPLE)
        .select(present.sum().alias("n"), (present & number).sum().alias("k"))
    )
    few = bool(start.select(pl.col("k") < 0.5 * pl.col("n")).collect().item())
    asked = {"n": present.sum(), "garbled": bad.sum()}
    if not (few or coded):
        asked["numbers"] = (present & number).sum()
        asked["odd"] = cell.filter(present & number.not_()).unique().sort().head(_ODD).implode()
    found = data.lazy.select(name).select(**asked).collect(engine="streaming").row(0, named=True)
    n = max(found["n"], 1)
    odd = ", ".join(map(repr, found.get("odd") or []))
    return name, found.get("numbers", 0) / n, odd, found["garbled"], found["garbled"] / n


def stand_ins(material: Material) -> pl.DataFrame:
    """Return the table ``stand_ins``."""
    return pl.DataFrame(list(_stand_ins(material)), schema=TABLES[2].schema, orient="row")


def _stand_ins(material: Material) -> Iterator[tuple[str, float, int, float, float]]:
    data, sums = material.rows, profile(material).columns
    for name in material.features:
        if not data.schema[name].is_numeric():
            continue
        for value in {sums[name].low, sums[name].high} & set(_STAND_INS):
            cell, others = pl.col(name), pl.col(name).filter(pl.col(name) != value)
            found = data.lazy.select(
                (cell == value).sum().alias("rows"), others.min().alias("low"), others.max().alias("high")
            )
            rows, low, high = found.collect(engine="streaming").row(0)
            gap = None if low is None else (low - value if value < low else value - high)
            if rows > 1 and gap is not None and gap > max(high - low, 1):
                yield name, float(value), rows, float(low), float(high)
