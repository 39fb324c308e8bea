"""A cell as people see it: text cut to length, a vector by its first numbers, pixels as a picture."""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from dataaudit.picture import picture_of, pixels_text

_COORDINATES: Final = 6  # of a vector that are shown
_LARGE: Final = 1e6


def cell_text(value: object, limit: int = 600) -> str:
    """Return a cell as text, cut to `limit` characters; of a vector its size and how it begins."""
    if isinstance(value, pl.Series | list):
        return _vector_text(value)
    text = "" if value is None else str(value)
    return text if len(text) <= limit else text[: limit - 1] + "…"


def is_missing(value: object) -> bool:
    """Whether a cell has nothing in it: null, NaN, or an empty text."""
    if isinstance(value, float):
        return math.isnan(value)
    return value is None or (isinstance(value, str) and not value)


def number_text(value: float) -> str:
    """Return a number in six digits, or without its fraction where it is larger."""
    return f"{value:.0f}" if _LARGE <= abs(value) < math.inf else f"{value:.6g}"


def kept_cell(value: object, limit: int = 600) -> str:
    """Return a cell as the tables keep it: `cell_text`, but pixels as a picture."""
    picture = picture_of(_numbers(value)) if isinstance(value, pl.Series | list) else None
    return picture or cell_text(value, limit)


def _vector_text(value: pl.Series | list[Any]) -> str:
    numbers = _numbers(value)
    if picture_of(numbers):
        return pixels_text(numbers.size)
    begin = ", ".join(f"{number:.3g}" for number in numbers[:_COORDINATES])
    return f"{begin}{', …' if numbers.size > _COORDINATES else ''} ({numbers.size:,} numbers)"


def _numbers(value: pl.Series | list[Any]) -> NDArray[np.float64]:
    """Return the numbers of a vector, as far as it has any."""
    series = pl.Series(value)
    while isinstance(series.dtype, pl.List | pl.Array):
        series = series.explode()
    numbers: NDArray[np.float64] = series.cast(pl.Float64, strict=False).to_numpy()
    return numbers
