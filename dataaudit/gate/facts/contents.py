"""Facts about what the cells of a column are: equal columns, numbers as text, garbled texts, -999."""

from __future__ import annotations

from itertools import pairwise
from typing import Final

import polars as pl

from dataaudit.gate.data import Material
from dataaudit.gate.facts.columns import SAMPLE, profile, roles
from dataaudit.gate.facts.table import FactTable, Inapplicable, Rows

_STAND_INS: Final = tuple(sign * (10**digits - 1) for digits in (2, 3, 4, 5, 6) for sign in (-1, 1))
_ODD: Final = 3  # cells shown
# What UTF-8 becomes if it is read as Latin-1, and what stands for a byte that could not be read.
GARBLED: Final = ("\ufffd", *(lead + chr(code) for lead in "ÂÃ" for code in range(0x80, 0xC0)), "â€")


@FactTable("column text, twin text", scope="column", key=("column", "twin"))
def equal_columns(material: Material) -> Rows:
    """Feature columns that equal an earlier one, the twin, in every row."""
    data, sums = material.rows, profile(material).columns
    if len(material.features) < 2:  # noqa: PLR2004 - a pair
        raise Inapplicable("There are fewer than two feature columns.")
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
    return [(b, a) for (a, b), equal in zip(pairs, same, strict=True) if equal]


@FactTable(
    "column text, numbers_share real, odd text, garbled whole, garbled_share real",
    scope="column",
    key=("column",),
    score="garbled",
    cells={"odd"},
    empty="There is no text column.",
)
def texts(material: Material) -> Rows:
    """Each text column: the share of its cells that are numbers, others of them; garbled texts."""
    return [_text(material, name) for name in material.features if material.rows.schema[name] == pl.String]


def _text(material: Material, name: str) -> tuple[str, float, str, int, float]:
    data = material.rows
    cell = pl.col(name).str.strip_chars()
    present = cell.is_not_null() & (cell != "")
    number = cell.cast(pl.Float64, strict=False).is_not_null()
    bad = pl.col(name).str.contains_any(list(GARBLED))
    coded = name in material.settings.categorical or roles(material)[name].role == "text"
    counts = (present & number).sum() < 0.5 * present.sum()
    few = bool(data.lazy.select(name).head(SAMPLE).select(counts).collect().item())
    asked = {"n": present.sum(), "garbled": bad.sum()}
    if not (few or coded):
        asked["numbers"] = (present & number).sum()
        asked["odd"] = cell.filter(present & number.not_()).unique().sort().head(_ODD).implode()
    found = data.lazy.select(name).select(**asked).collect(engine="streaming").row(0, named=True)
    n = max(found["n"], 1)
    odd = ", ".join(map(repr, found.get("odd") or []))
    return name, found.get("numbers", 0) / n, odd, found["garbled"], found["garbled"] / n


@FactTable(
    "column text, value real, rows whole, low real, high real",
    scope="column",
    key=("column", "value"),
    score="rows",
    cells={"value", "low", "high"},
)
def stand_ins(material: Material) -> Rows:
    """Columns in which -999 or its like lies far from all other values, from low to high."""
    data, sums = material.rows, profile(material).columns
    numbers = [name for name in material.features if data.schema[name].is_numeric()]
    if not numbers:
        raise Inapplicable("There is no column of numbers.")
    for name in numbers:
        for value in {sums[name].low, sums[name].high} & set(_STAND_INS):
            cell, others = pl.col(name), pl.col(name).filter(pl.col(name) != value)
            asked = {"rows": (cell == value).sum(), "low": others.min(), "high": others.max()}
            rows, low, high = data.lazy.select(**asked).collect(engine="streaming").row(0)
            gap = None if low is None else (low - value if value < low else value - high)
            if rows > 1 and gap is not None and gap > max(high - low, 1):
                yield name, float(value), rows, float(low), float(high)
