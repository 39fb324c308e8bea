"""What a row holds, as a hash, by which a later reading of the same file knows it again.

Numbers and vectors are taken as the bytes of float64, all other cells as JSON. No other format need agree on
that, as the keys of the gate do, so it takes a fraction of their time: O(cells).
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

_ROWS: Final = 10_000  # spelled at once, which bounds memory
_SIZE: Final = 8  # bytes of a hash: one pair among 10^6 rows is alike by chance once in 10^7 tables


def content_hashes(frame: pl.DataFrame, *, columns: Sequence[str]) -> pl.Series:
    """Return a hash of each row's cells in some columns, in the order of their names."""
    names = sorted(columns)
    start = blake2b("\x1f".join(names).encode(errors="surrogatepass"), digest_size=_SIZE)
    hashes: list[str] = []
    for part in frame.select(names).iter_slices(_ROWS):
        pieces, numbers, others = list[Sequence[bytes]](), list[NDArray[np.float64]](), list[pl.Series]()
        for column in part.iter_columns():
            if _is_number(column.dtype):
                numbers.append(_floats(column))
            elif isinstance(column.dtype, pl.Array | pl.List) and _is_number(column.dtype.inner):  # type: ignore[arg-type]
                pieces.append(_vectors(column))
            else:
                others.append(_plain(column))
        pieces.append([row.tobytes() for row in np.array(numbers).reshape(len(numbers), len(part)).T])
        if others:
            text = pl.DataFrame(others).select(pl.struct(pl.all()).struct.json_encode().cast(pl.Binary))
            pieces.append(text.to_series().to_list())
        for row in zip(*pieces, strict=True):
            state = start.copy()
            state.update(b"".join(row))
            hashes.append(state.hexdigest())
    return pl.Series("content", hashes, dtype=pl.String)


def _is_number(dtype: pl.DataType) -> bool:
    return dtype.is_numeric() and not isinstance(dtype, pl.Decimal)


def _floats(column: pl.Series) -> NDArray[np.float64]:
    """Return numbers as float64; all that is missing is the same NaN, and zero has no sign."""
    values: NDArray[np.float64] = column.cast(pl.Float64).fill_nan(None).fill_null(float("nan")).to_numpy()
    return values + 0.0


def _vectors(column: pl.Series) -> list[bytes]:
    """Return the length of each vector and its numbers as bytes; of a missing one a dash."""
    lists = column.arr.to_list() if isinstance(column.dtype, pl.Array) else column
    lengths = lists.list.len().fill_null(0).to_numpy()
    flat = _floats(lists.filter(lists.list.len() > 0).explode())
    ends = np.cumsum(lengths, dtype=np.int64).tolist()
    return [
        b"-" if null else b"%d:" % length + flat[end - length : end].tobytes()
        for null, length, end in zip(lists.is_null().to_list(), lengths.tolist(), ends, strict=True)
    ]


def _plain(column: pl.Series) -> pl.Series:
    """Return a column that Polars can write as JSON, which bytes and objects are not."""
    if "Binary" in str(column.dtype) or "Object" in str(column.dtype):
        texts = [None if value is None else str(value) for value in column.to_list()]
        return pl.Series(column.name, texts, dtype=pl.String)
    return column
