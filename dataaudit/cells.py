"""A cell as people see it: text cut to length, a vector by its first numbers, pixels as a picture.

A vector is taken for a picture where its numbers make a square, are none below 0, and fit one of the usual
ranges, 0 to 1, 16 or 255: 28 × 28 numbers are looked at, not read. It is kept as a PNG of grey values
(ISO/IEC 15948) in a ``data:`` URI, in the place of the cell's text; what is no such picture of ours, or is
large, is text like any other.

When two cells say the same, or almost, their forms are equal, whatever type holds the cells. When two rows
hold the same, their hashes are, by which a later reading of the same file knows a row again.
"""

from __future__ import annotations

import base64
import binascii
import math
import struct
import zlib
from collections.abc import Sequence
from hashlib import blake2b
from typing import Any, Final

import numpy as np
import polars as pl
from numpy.typing import ArrayLike, NDArray

CLASS_FIELDS: Final = ("name", "label", "class")  # of a struct, that say what it is
FIGURES: Final = 3  # of a number with decimals
PREFIX: Final = "data:image/png;base64,"
SIDES: Final = (8, 64)  # pixels, from and to
_COORDINATES: Final = 6  # of a vector that are shown
_LARGE: Final = 1e6
_RANGES: Final = (1.0, 16.0, 255.0)
_SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"
_HEADER: Final = struct.Struct(">IIBBBBB")  # width, height, bits, grey, and three zeros
_HASHED: Final = 10_000  # rows at once, which bounds memory
_HASH: Final = 8  # bytes: one pair among 10^6 rows is alike by chance once in 10^7 tables
_DRAWN: Final = " ▀▄█"  # of two pixels, one above the other: none, upper, lower, both


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


def picture_of(values: ArrayLike) -> str | None:
    """Return pixels as a PNG in a ``data:`` URI, or None if they make no picture."""  # (s·s,)
    pixels = np.asarray(values, dtype=np.float64).reshape(-1)
    side = math.isqrt(pixels.size)
    if side * side != pixels.size or not SIDES[0] <= side <= SIDES[1] or not np.isfinite(pixels).all():
        return None
    top = next((top for top in _RANGES if pixels.max() <= top), None)
    if top is None or pixels.min() < 0:
        return None
    return _encoded(np.rint(pixels * (255 / top)).astype(np.uint8).reshape(side, side))


def pixels_of(text: str) -> NDArray[np.uint8] | None:
    """Return the grey values of a picture that `picture_of` made."""  # -> (s, s)
    if not text.startswith(PREFIX):
        return None
    try:
        data = base64.b64decode(text.removeprefix(PREFIX), validate=True)
        side = _HEADER.unpack_from(data, len(_SIGNATURE) + 8)[0]
        start = data.index(b"IDAT") + 4
        size = (side + 1) * side
        flat = zlib.decompressobj().decompress(data[start:], size + 1)  # never more than a picture's worth
    except (binascii.Error, struct.error, ValueError, zlib.error):
        return None
    if not SIDES[0] <= side <= SIDES[1] or len(flat) != size:
        return None
    pixels = np.frombuffer(flat, dtype=np.uint8).reshape(side, side + 1)[:, 1:]
    return pixels if _encoded(pixels) == text else None


def pixels_text(count: int) -> str:
    """Return the size of a square picture in words."""
    side = math.isqrt(count)
    return f"{side} × {side} pixels"


def drawn(text: str) -> str:
    """Return a picture in block characters, two pixels each, bright ones set; empty if it is not one."""
    pixels = pixels_of(text)
    if pixels is None:
        return ""
    bright = np.pad(pixels >= 128, ((0, len(pixels) % 2), (0, 0)))  # noqa: PLR2004 - half of the range
    kinds = bright[::2] + 2 * bright[1::2].astype(np.intp)
    return "\n".join("".join(_DRAWN[kind] for kind in row).rstrip() for row in kinds)


def _encoded(grey: NDArray[np.uint8]) -> str:
    side = len(grey)
    rows = np.pad(grey, ((0, 0), (1, 0)))  # each row begins with the number of its filter, none
    parts = [
        (b"IHDR", _HEADER.pack(side, side, 8, 0, 0, 0, 0)),
        (b"IDAT", zlib.compress(rows.tobytes(), 9)),
        (b"IEND", b""),
    ]
    return PREFIX + base64.b64encode(_SIGNATURE + b"".join(_chunk(*part) for part in parts)).decode()


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def hashable(name: str, dtype: pl.DataType) -> pl.Expr:
    """Return cells whose hash is that of what they say, whatever the type that holds them."""
    cell = pl.col(name)
    if dtype.is_float():
        return cell.cast(pl.Float64).fill_nan(None)
    if dtype.is_decimal():
        return cell.cast(pl.Float64)
    if isinstance(dtype, pl.Categorical | pl.Enum):
        return cell.cast(pl.String)
    return cell


def normal_form(name: str, dtype: pl.DataType, *, text: bool) -> pl.Expr:
    """Return what almost equal cells have in common."""
    cell = hashable(name, dtype)
    if text:
        bare = cell.cast(pl.String).str.to_lowercase().str.replace_all(r"[\d]+", "0")
        # Vowel signs and other marks are part of a word, and emoji may be all that a text says.
        return bare.str.replace_all(r"[^\p{L}\p{M}\p{N}\p{Emoji_Presentation}]+", " ").str.strip_chars()
    if isinstance(dtype, pl.String | pl.Categorical | pl.Enum):
        return cell.str.strip_chars().str.to_lowercase()
    return cell.round_sig_figs(FIGURES) if dtype.is_float() else cell


def content_hashes(frame: pl.DataFrame, *, columns: Sequence[str]) -> pl.Series:
    """Return a hash of each row's cells in some columns, in the order of their names.

    Numbers and vectors are taken as the bytes of float64, all other cells as JSON. Unlike on the keys of the
    gate, no other format need agree on that, so it takes a fraction of their time: O(cells).
    """
    names = sorted(columns)
    start = blake2b("\x1f".join(names).encode(errors="surrogatepass"), digest_size=_HASH)
    hashes: list[str] = []
    for part in frame.select(names).iter_slices(_HASHED):
        pieces, numbers, others = list[Sequence[bytes]](), list[NDArray[np.float64]](), list[pl.Series]()
        for column in part.iter_columns():
            if _is_number(column.dtype):
                numbers.append(_float64(column))
            elif isinstance(column.dtype, pl.Array | pl.List) and _is_number(column.dtype.inner):  # type: ignore[arg-type]
                pieces.append(_vectors(column))
            else:
                others.append(_writable(column))
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


def _float64(column: pl.Series) -> NDArray[np.float64]:
    """Return numbers as float64; all that is missing is the same NaN, and zero has no sign."""
    values: NDArray[np.float64] = column.cast(pl.Float64).fill_nan(None).fill_null(float("nan")).to_numpy()
    return values + 0.0


def _vectors(column: pl.Series) -> list[bytes]:
    """Return the length of each vector and its numbers as bytes; of a missing one a dash."""
    lists = column.arr.to_list() if isinstance(column.dtype, pl.Array) else column
    lengths = lists.list.len().fill_null(0).to_numpy()
    flat = _float64(lists.filter(lists.list.len() > 0).explode())
    ends = np.cumsum(lengths, dtype=np.int64).tolist()
    return [
        b"-" if null else b"%d:" % length + flat[end - length : end].tobytes()
        for null, length, end in zip(lists.is_null().to_list(), lengths.tolist(), ends, strict=True)
    ]


def _writable(column: pl.Series) -> pl.Series:
    """Return a column that Polars can write as JSON, which bytes and objects are not."""
    if "Binary" in str(column.dtype) or "Object" in str(column.dtype):
        texts = [None if value is None else str(value) for value in column.to_list()]
        return pl.Series(column.name, texts, dtype=pl.String)
    return column
