"""A column of row weights, checked."""

from __future__ import annotations

import numpy as np
import polars as pl
from numpy.typing import NDArray

from dataaudit.errors import DataError


def encode_weight(weights: pl.Series) -> NDArray[np.float64]:
    """Return row weights.

    Parameters
    ----------
    weights : pl.Series
        Numbers, not negative, not all 0.

    Returns
    -------
    ndarray (n,) float64
        The weights as they stand.

    Raises
    ------
    DataError
        If a weight is missing, negative, infinite or no number, or if all are 0.
    """
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
