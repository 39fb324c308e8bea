"""What a row holds, as a keyed hash: equal for equal rows, wherever they move and whatever holds them.

It is the BLAKE2b of all cells in a spelling on which CSV and Parquet agree::

    missing     null, NaN and the empty text alike, as a CSV file cannot tell them apart
    numbers     whole ones by their digits whatever the type; others by the bits of the nearest float64
    times       microseconds since 1970, in UTC where there is a zone; a date is its midnight
    texts       as they are, with the separator escaped: no two rows share a spelling
    columns     in the order of their names

The hash takes a secret key, since whoever sees the plain hash of a row with few possible contents finds it by
trying them all. Cost: O(cells).
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from dataaudit.errors import MissingColumn

SCHEME: Final = 1  # of the spelling; keys of another scheme are not comparable
SEPARATOR, _ESCAPE = "\x1f", "\x1e"
_SIZE = 16  # bytes of a hash: no collision among 10^9 rows
_ROWS = 100_000  # spelled at once, which bounds memory
_MISSING = _ESCAPE + "0"
_WHOLE = 2.0**53  # up to which float64 holds every whole number


def row_contents(frame: pl.DataFrame, *, columns: Sequence[str], secret: str = "") -> pl.Series:
    """Return a hash of what each row holds in `columns`; equal rows have equal ones."""
    names = sorted(columns)
    for name in names:
        if name not in frame.columns:
            raise MissingColumn(name, frame.columns, "the data")
    begun = start(SEPARATOR.join(names), secret)
    hashes: list[str] = []
    for part in frame.select(names).iter_slices(_ROWS):
        cells = [_cells(column).alias(str(i)) for i, column in enumerate(part.iter_columns())]
        spelled = pl.DataFrame(cells).select(pl.concat_str(pl.all(), separator=SEPARATOR).cast(pl.Binary))
        hashes += [digest(begun, row) for row in spelled.to_series()]
    return pl.Series("key", hashes, dtype=pl.String)


def content_hashes(frame: pl.DataFrame, *, columns: Sequence[str]) -> pl.Series:
    """Return a hash of each row by which the same reader knows it again, in a fraction of the time.

    Numbers and vectors are taken as the bytes of float64, on which no other format need agree.
    """
    names = sorted(columns)
    begun = start(SEPARATOR.join(names), "")
    hashes: list[str] = []
    for part in frame.select(names).iter_slices(_ROWS // 8):
        numbers = [
            _floats(column).reshape(-1, 1) for column in part.iter_columns() if _is_number(column.dtype)
        ]
        vectors = [_vectors(column) for column in part.iter_columns() if _is_vector(column.dtype)]
        cells = [_cells(c) for c in part.iter_columns() if not (_is_number(c.dtype) or _is_vector(c.dtype))]
        table = pl.DataFrame([cell.alias(str(i)) for i, cell in enumerate(cells)])
        if cells:
            texts = table.select(pl.concat_str(pl.all(), separator=SEPARATOR).cast(pl.Binary)).to_series()
            vectors.append(texts.to_list())
        if numbers:
            vectors.append([row.tobytes() for row in np.hstack(numbers)])
        hashes += [digest(begun, b"".join(row))[:16] for row in zip(*vectors, strict=True)]
    return pl.Series("content", hashes or [digest(begun, b"")[:16]] * len(frame), dtype=pl.String)


def _is_number(dtype: pl.DataType) -> bool:
    return dtype.is_numeric() and not isinstance(dtype, pl.Decimal)


def _is_vector(dtype: pl.DataType) -> bool:
    return isinstance(dtype, pl.Array | pl.List) and _is_number(dtype.inner)  # type: ignore[arg-type]


def _floats(column: pl.Series) -> NDArray[np.float64]:
    """Return numbers as float64; all that is missing is the same NaN, and zero has no sign."""
    values: NDArray[np.float64] = column.cast(pl.Float64).fill_nan(None).fill_null(float("nan")).to_numpy()
    return values + 0.0


def _vectors(column: pl.Series) -> list[bytes]:
    """Return the length of each vector and its numbers, as bytes; of a missing one another length."""
    lists = column.arr.to_list() if isinstance(column.dtype, pl.Array) else column
    lengths = lists.list.len().fill_null(0).to_numpy()
    flat = _floats(lists.filter(lists.list.len() > 0).explode())
    ends = np.cumsum(lengths, dtype=np.int64)
    missing = lists.is_null().to_list()
    return [
        (b"-" if null else str(length).encode()) + SEPARATOR.encode() + flat[end - length : end].tobytes()
        for null, length, end in zip(missing, lengths.tolist(), ends.tolist(), strict=True)
    ]


def start(what: str, secret: str) -> blake2b:
    """Return the state from which every row of a table is hashed; a long secret is hashed to fit."""
    key = blake2b(secret.encode(), digest_size=32).digest() if secret else b""
    state = blake2b(digest_size=_SIZE, key=key)
    state.update(f"{SCHEME}{SEPARATOR}{what}{SEPARATOR}".encode())
    return state


def digest(begun: blake2b, data: bytes) -> str:
    """Return the hash of what follows."""
    state = begun.copy()
    state.update(data)
    return state.hexdigest()


def _cells(column: pl.Series) -> pl.Series:
    """Return a column's cells, spelled and escaped; the missing ones by a mark that no cell has."""
    text = (
        pl.Series("cell", _spelled(column), dtype=pl.String)
        .str.replace_all(_ESCAPE, _ESCAPE + _ESCAPE, literal=True)
        .str.replace_all(SEPARATOR, _ESCAPE + "1", literal=True)
    )
    return text.fill_null(_MISSING).replace("", _MISSING)


def _spelled(column: pl.Series) -> pl.Series:
    """Return a column as text, null where a cell is missing."""
    dtype = column.dtype
    if dtype.is_float():
        return _numbers(column)
    if isinstance(dtype, pl.Decimal):
        return _numbers(column.cast(pl.Float64))
    if isinstance(dtype, pl.Date):
        column = column.cast(pl.Datetime("us"))
    if isinstance(column.dtype, pl.Datetime):
        return _times(column)
    if isinstance(dtype, pl.Array):
        column = column.arr.to_list()
    if isinstance(column.dtype, pl.List):
        return _lists(column)
    if isinstance(dtype, pl.Struct):
        return _structs(column)
    if isinstance(dtype, pl.Binary):
        return column.bin.encode("hex")
    return column.cast(pl.String)


def _numbers(column: pl.Series) -> pl.Series:
    if column.dtype != pl.Float64:
        column = column.cast(pl.String).cast(pl.Float64)  # 0.1 as float32 is 0.1 in a CSV file
    values = column.fill_nan(None)
    bits = pl.Series(values.fill_null(0.0).to_numpy().view(np.int64))
    frame = pl.DataFrame({"value": values, "bits": bits})
    whole = (pl.col("value") == pl.col("value").round()) & (pl.col("value").abs() <= _WHOLE)
    digits = pl.col("value").cast(pl.Int64, strict=False).cast(pl.String)
    spelled = pl.when(whole).then(digits).otherwise("f" + pl.col("bits").cast(pl.String))
    return frame.select(pl.when(pl.col("value").is_not_null()).then(spelled).alias("cell")).to_series()


def _times(column: pl.Series) -> pl.Series:
    micros = column.dt.cast_time_unit("us").to_physical()
    finer = column.dt.nanosecond() % 1000
    zone = "Z" if column.dtype.time_zone else ""  # type: ignore[attr-defined]
    frame = pl.DataFrame({"micros": micros, "finer": finer})
    rest = pl.when(pl.col("finer") != 0).then("." + pl.col("finer").cast(pl.String)).otherwise(pl.lit(""))
    spelled = pl.lit("t") + pl.col("micros").cast(pl.String) + rest + zone
    return frame.select(spelled.alias("cell")).to_series()


def _lists(column: pl.Series) -> pl.Series:
    lengths = column.list.len().fill_null(0)
    owner = np.repeat(np.arange(len(column)), lengths.to_numpy())
    cells = _cells(column.filter(lengths > 0).explode())
    joined = (
        pl.DataFrame({"owner": owner, "cell": cells})
        .group_by("owner", maintain_order=True)
        .agg(pl.col("cell").str.join(SEPARATOR))
    )
    rows = pl.DataFrame({"owner": np.arange(len(column)), "given": column.is_not_null()})
    met = rows.join(joined, on="owner", how="left", maintain_order="left")
    bare = pl.lit("[") + pl.col("cell").fill_null("")
    return met.select(pl.when(pl.col("given")).then(bare).alias("cell")).to_series()


def _structs(column: pl.Series) -> pl.Series:
    fields = column.struct.unnest()
    cells = [_cells(fields[name]).alias(str(i)) for i, name in enumerate(sorted(fields.columns))]
    rows = pl.DataFrame([*cells, column.is_not_null().alias("given")])
    joined = pl.concat_str(pl.exclude("given"), separator=SEPARATOR)
    return rows.select(pl.when(pl.col("given")).then(joined).alias("cell")).to_series()
