"""From training rows to the domain in which they may change; see `domain` for what that is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from dataaudit.audits.attack.domain import (
    ABSENT,
    NONE,
    Allowed,
    Category,
    Domain,
    Limits,
    Number,
    Reals,
    Vector,
    Whole,
    Words,
)
from dataaudit.audits.trained import Encoded
from dataaudit.encode import Columns, Feature
from dataaudit.encode.categorical import CategoricalEncoder
from dataaudit.encode.numeric import BooleanEncoder, DatetimeEncoder, NumericEncoder
from dataaudit.encode.text import TextEncoder
from dataaudit.encode.vector import VectorEncoder
from dataaudit.sources import Dataset

_DECIMALS: Final = 6  # a column with more of them is taken as continuous
_HALF: Final = 0.499  # of a level: what is nearer to the next one would round to it
_BYTE: Final = 255


def fit_domain(encoded: Encoded, dataset: Dataset, limits: Limits) -> Domain:
    """Learn from the training rows what may change.

    Parameters
    ----------
    encoded : Encoded
        Encoders, basis and the encoded training rows.
    dataset : Dataset
        The training rows.
    limits : Limits
        How much of a row may change.

    Returns
    -------
    Domain
    """
    columns, allowed = encoded.columns, list[Allowed]()
    numbers, categories, texts, vectors = list[Number](), list[Category](), list[Words](), list[Vector]()
    for encoder in encoded.encoding.encoders:
        name, cells = encoder.column, dataset.frame.get_column(encoder.column)
        match encoder:
            case NumericEncoder():
                number, said = _number(name, columns, cells, limits)
                numbers += [] if number is None else [number]
            case BooleanEncoder() | CategoricalEncoder():
                category, said = _category(name, columns, limits)
                categories += [] if category is None else [category]
            case TextEncoder():
                place = _places(columns.term_features, name)
                texts += [Words(name, encoder, int(place[0]))] if limits.words and len(place) else []
                most = f"at most {limits.words} words of a row"
                said = Allowed(name, "words" if limits.words else "fixed", most)
            case VectorEncoder():
                vector, said = _vector(encoder, encoded, cells, limits)
                vectors += [] if vector is None else [vector]
            case DatetimeEncoder() | _:
                said = Allowed(name, "fixed", "dates stay as they are")
        allowed.append(said)
    return Domain(limits, tuple(numbers), tuple(categories), tuple(texts), tuple(vectors), tuple(allowed))


def _number(name: str, columns: Columns, cells: pl.Series, limits: Limits) -> tuple[Number | None, Allowed]:
    places = _places(columns.numeric_features, name)
    if not len(places):
        return None, Allowed(name, "fixed", "all its values are the same")
    values = columns.numeric[:, places[0]]
    present = _present(columns, name) & cells.is_not_null().to_numpy()
    seen = values[present]
    low, high, spread = float(seen.min()), float(seen.max()), _spread(seen)
    decimals = _decimals(seen)
    width = limits.within * spread
    facts = {"spread": spread, "low": low, "high": high, "decimals": decimals}
    if width <= 0 or (decimals is not None and width < 10.0**-decimals * (1 - 1e-9)):
        what = "a step of its last digit" if decimals else "a step of one"
        why = f"{what} is more than {100 * limits.within:g} % of its spread"
        return None, Allowed(name, "fixed", why if width > 0 else "numbers may not move", **facts)  # type: ignore[arg-type]
    number = Number(name, int(places[0]), low, high, spread, width, decimals, present)
    return number, Allowed(name, "number", f"at most {width:.3g} from its value", **facts)  # type: ignore[arg-type]


def _category(name: str, columns: Columns, limits: Limits) -> tuple[Category | None, Allowed]:
    mine = columns.level_features
    places = [
        j for j in _places(mine, name).tolist() if mine[j].kind != "missing" and mine[j].level != "(missing)"
    ]
    part = columns.levels[:, places].tocsr()
    states = np.full(columns.n, NONE, dtype=np.int64)
    rows = np.repeat(np.arange(columns.n), np.diff(part.indptr))
    states[rows] = part.indices
    states[~_present(columns, name)] = ABSENT
    kept, first = np.unique(states, return_index=True)
    donors = {int(s): int(at) for s, at in zip(kept, first, strict=True) if s != ABSENT}
    if limits.swaps == 0 or len(donors) <= 1:
        why = "categories may not change" if len(donors) > 1 else "all its values are the same"
        return None, Allowed(name, "fixed", why, levels=len(donors))
    most = "another level that training has"
    category = Category(name, np.array(places, dtype=np.int64), states, donors)
    return category, Allowed(name, "category", most, levels=len(donors))


def _vector(
    encoder: VectorEncoder, encoded: Encoded, cells: pl.Series, limits: Limits
) -> tuple[Vector | None, Allowed]:
    name = encoder.column
    if encoded.basis.kernel is not None:
        return None, Allowed(name, "fixed", "vectors move under --basis linear alone")
    places = _places(encoded.columns.vector_features, name)
    values = encoded.columns.vectors[:, places] * encoder.scale + encoder.mean
    pixels = _bytes(cells)
    low, high = values.min(0), values.max(0)
    if pixels:
        spread, width = np.ones(len(places)), np.full(len(places), _HALF)
        low, high = np.zeros(len(places)), np.full(len(places), float(_BYTE))
    else:
        spread = np.array([_spread(column) for column in values.T])
        width = limits.within * spread
    if not len(places) or not (width > 0).any() or limits.within == 0:
        return None, Allowed(name, "fixed", "numbers may not move")
    how = "less than half a level a pixel" if pixels else "each coordinate like a number"
    facts = Allowed(
        name, "pixels" if pixels else "vector", how, spread=float(spread.mean()),
        low=float(low.min()), high=float(high.max()),
    )  # fmt: skip
    return Vector(name, places, encoder, low, high, spread, width, pixels), facts


def _places(features: Sequence[Feature], name: str) -> Whole:
    """Return where a column's features are, its missing indicator left out of numbers and vectors."""
    return np.array([j for j, f in enumerate(features) if f.column == name], dtype=np.int64)


def _present(columns: Columns, name: str) -> NDArray[np.bool_]:
    """Tell which training rows have a cell in a column, by its missing indicator."""
    features = columns.level_features
    gone = [
        j
        for j in _places(features, name).tolist()
        if features[j].kind == "missing" or features[j].level == "(missing)"
    ]
    return np.asarray(columns.levels[:, gone].sum(axis=1) == 0).reshape(-1)


def _spread(values: Reals) -> float:
    """Return the interquartile range, or the next wider one that is not 0."""
    low, first, third, high = np.quantile(values, (0.05, 0.25, 0.75, 0.95))
    return float(next((size for size in (third - first, high - low) if size > 0), np.ptp(values)))


def _decimals(values: Reals) -> int | None:
    """Return the most decimals of any value, None where they are many."""
    for digits in range(_DECIMALS + 1):
        if np.allclose(values, np.round(values, digits), rtol=0, atol=1e-9 * 10.0**-digits):
            return digits
    return None


def _bytes(cells: pl.Series) -> bool:
    """Tell whether vectors hold whole numbers from 0 to 255, by type or by value."""
    inner = cells.dtype
    while isinstance(inner, pl.Array | pl.List):
        inner = inner.inner  # type: ignore[assignment]  # a class or an instance, both compare alike
    if inner == pl.UInt8:
        return True
    flat = cells.drop_nulls()
    while flat.dtype.is_nested():
        flat = flat.explode()
    flat = flat.drop_nulls()
    if not inner.is_integer() or not len(flat):
        return False
    low, high = flat.min(), flat.max()
    return bool(low is not None and high is not None and low >= 0 and high <= _BYTE)  # type: ignore[operator]
