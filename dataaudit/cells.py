"""A cell as people see it: text cut to length, a vector by its first numbers, pixels as a picture.

A vector is taken for a picture where its numbers make a square, or three (red, green and blue, plane by
plane or pixel by pixel, whichever is smoother), are none below 0, and fit one of the usual ranges, 0 to 1, 16
or 255: 28 × 28 numbers are looked at, not read. So are lists of rows of pixels, of any sides, and these with
channels first or last, ``(3, h, w)`` or ``(h, w, 3)``, whatever their range: a large one by every second,
third, … pixel. It is kept as a PNG (ISO/IEC 15948) in a ``data:`` URI, in the place of the cell's text; what
is no such picture of ours, or is large, is text like any other.

A text that has no room is shown by its beginning and the passage with most words of evidence. Head and tags
of HTML, and the headers of a mail but for its subject, are left out there: they may be its first thousand
characters. Words are found whole, runs of characters wherever they stand.

When two cells say the same, or almost, their forms are equal, whatever type holds the cells. When two rows
hold the same, their hashes are, by which a later reading of the same file knows a row again.
"""

from __future__ import annotations

import base64
import binascii
import html
import math
import re
import struct
import unicodedata
import zlib
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
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
_HEADER: Final = struct.Struct(">IIBBBBB")  # width, height, bits, grey or colour, and three zeros
_GREY, _COLOUR = 0, 2  # as PNG numbers them
_CHANNELS: Final = (1, 3, 4)  # grey, colour, and colour with opacity, which is left out
_HASHED: Final = 1 << 14  # rows at once, which bounds memory
_HASH: Final = 8  # bytes: one pair among 10^6 rows is alike by chance once in 10^7 tables
_DRAWN: Final = " ▀▄█"  # of two pixels, one above the other: none, upper, lower, both

# How the names of characters begin whose scripts put no spaces between words.
_UNSPACED: Final = (
    *("CJK", "HIRAGANA", "KATAKANA", "BOPOMOFO", "YI ", "THAI", "LAO", "KHMER", "MYANMAR", "TIBETAN"),
    *("TAI ", "NEW TAI", "JAVANESE", "BALINESE"),
)
_READ: Final = 100_000  # characters that are searched for a passage
_LONG: Final = 200  # characters of a passage from which on it has the beginning of the text as well
_OPENING: Final = 4  # the part of it that the beginning takes, as 1 in so many
_HITS: Final = 200  # words of evidence that are looked at
_EDGE: Final = 16  # characters that are given up so that a passage begins with a whole word
_TAG: Final = re.compile(
    r"<(!doctype|html|head|body|div|p|br|table|td|a|span|font|img)\b[^<>]*>", re.IGNORECASE
)
_UNSEEN: Final = re.compile(
    r"<!--.*?(-->|\Z)|<(head|style|script)\b.*?(</\2\s*>|\Z)|<[a-z!/?][^<>]{0,2000}(>|\Z)",
    re.IGNORECASE | re.DOTALL,
)
_HEADERS: Final = re.compile(r"\A(?:[A-Za-z][\w-]*:[^\n]*(?:\n[ \t][^\n]*)*\n){3,}(?=[ \t\r]*\n|\Z)")
_SUBJECT: Final = re.compile(r"^subject:[^\n]*", re.IGNORECASE | re.MULTILINE)
_MAIL: Final = re.compile(
    r"^(from|to|received|message-id|return-path|mime-version):", re.IGNORECASE | re.MULTILINE
)
_WORD: Final = re.compile(r"\w+")
KEPT: Final = 1_200  # characters of a text that a table of cells keeps

Marks = tuple[tuple[str, float], ...]  # words, and what speaks for (> 0) or against a label


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


def kept_cell(value: object, limit: int = KEPT, *, marks: Marks = ()) -> str:
    """Return a cell as the tables keep it: pixels as a picture, a passage of a long text, or `cell_text`."""
    if isinstance(value, str):
        return passage(value, marks, limit)
    picture = picture_of(_array(value)) if isinstance(value, pl.Series | list) else None
    return picture or cell_text(value, limit)


def _vector_text(value: pl.Series | list[Any]) -> str:
    numbers = _array(value)
    if (picture := picture_of(numbers)) and (pixels := pixels_of(picture)) is not None:
        return pixels_text(pixels)
    numbers = numbers.reshape(-1)
    begin = ", ".join(f"{number:.3g}" for number in numbers[:_COORDINATES])
    return f"{begin}{', …' if numbers.size > _COORDINATES else ''} ({numbers.size:,} numbers)"


def _array(value: pl.Series | list[Any]) -> NDArray[np.float64]:
    """Return the numbers of a vector, or of rows of pixels, as far as it has any."""
    series, shape = pl.Series(value), [len(value)]
    while isinstance(series.dtype, pl.List | pl.Array):
        shape.append(len(series[0]) if len(series) and series[0] is not None else 0)
        series = series.explode()
    numbers: NDArray[np.float64] = series.cast(pl.Float64, strict=False).to_numpy()
    return numbers.reshape(shape) if math.prod(shape) == len(numbers) else numbers


def picture_of(values: ArrayLike) -> str | None:
    """Return pixels as a PNG in a ``data:`` URI, or None if they make no picture."""
    found = np.asarray(values, dtype=np.float64)
    pixels, low = _laid_out(found), 0.0
    if pixels is None or min(pixels.shape[:2]) < SIDES[0] or not np.isfinite(pixels).all():
        return None
    top = next((top for top in _RANGES if pixels.max() <= top), None)
    if top is None or pixels.min() < 0:
        if found.ndim < 3:  # noqa: PLR2004 - channels make it a picture, in whatever range
            return None
        low, top = float(pixels.min()), float(np.ptp(pixels)) or 1.0
    return _encoded(np.rint((pixels - low) * (255 / top)).astype(np.uint8))


def _laid_out(values: NDArray[np.float64]) -> NDArray[np.float64] | None:
    """Return rows of pixels, (h, w) or (h, w, 3), of no more than `SIDES` allow."""
    if values.ndim == 3 and values.shape[0] in _CHANNELS:  # noqa: PLR2004 - channels first
        values = values.transpose(1, 2, 0)
    if values.ndim == 3 and values.shape[2] in _CHANNELS:  # noqa: PLR2004 - and last
        step = -(-max(values.shape[:2]) // SIDES[1])
        found = values[::step, ::step, : max(1, values.shape[2] // 3 * 3)]
        return found if found.shape[2] > 1 else found[:, :, 0]
    if values.ndim == 2:  # noqa: PLR2004 - rows of grey
        return values if max(values.shape) <= SIDES[1] else None
    for channels in (1, 3):
        side = math.isqrt(values.size // channels)
        if values.ndim == 1 and SIDES[0] <= side <= SIDES[1] and channels * side**2 == values.size:
            planes = values.reshape(channels, side, side).transpose(1, 2, 0)
            whole = values.reshape(side, side, channels)
            rough = [np.abs(np.diff(one, axis=1)).sum() for one in (planes, whole)]
            return np.squeeze(planes if rough[0] <= rough[1] else whole, axis=() if channels > 1 else 2)
    return None


def pixels_of(text: str) -> NDArray[np.uint8] | None:
    """Return the values of a picture that `picture_of` made."""  # -> (h, w) or (h, w, 3)
    if not text.startswith(PREFIX):
        return None
    try:
        data = base64.b64decode(text.removeprefix(PREFIX), validate=True)
        width, height, _, kind, *_ = _HEADER.unpack_from(data, len(_SIGNATURE) + 8)
        start = data.index(b"IDAT") + 4
        channels = 3 if kind == _COLOUR else 1
        size = (width * channels + 1) * height
        if not all(SIDES[0] <= side <= SIDES[1] for side in (width, height)):
            return None
        flat = zlib.decompressobj().decompress(data[start:], size + 1)  # never more than a picture's worth
    except (binascii.Error, struct.error, ValueError, zlib.error):
        return None
    if len(flat) != size:
        return None
    pixels = np.frombuffer(flat, dtype=np.uint8).reshape(height, -1)[:, 1:]
    pixels = pixels.reshape(height, width, channels) if channels > 1 else pixels
    return pixels if _encoded(pixels) == text else None


def pixels_text(pixels: NDArray[np.uint8]) -> str:
    """Return the size of a picture in words."""  # (h, w) or (h, w, 3)
    height, width = pixels.shape[:2]
    return f"{height} × {width} pixels"


def drawn(text: str) -> str:
    """Return a picture in block characters, two pixels each, bright ones set; empty if it is not one."""
    pixels = pixels_of(text)
    if pixels is None:
        return ""
    grey = pixels if pixels.ndim == 2 else pixels.mean(2)  # noqa: PLR2004 - rows and columns
    bright = np.pad(grey >= 128, ((0, len(pixels) % 2), (0, 0)))  # noqa: PLR2004 - half of the range
    kinds = bright[::2] + 2 * bright[1::2].astype(np.intp)
    return "\n".join("".join(_DRAWN[kind] for kind in row).rstrip() for row in kinds)


def _encoded(pixels: NDArray[np.uint8]) -> str:
    (height, width), kind = pixels.shape[:2], _GREY if pixels.ndim == 2 else _COLOUR  # noqa: PLR2004 - likewise
    rows = np.pad(
        pixels.reshape(height, -1), ((0, 0), (1, 0))
    )  # each begins with the number of its filter, none
    parts = [
        (b"IHDR", _HEADER.pack(width, height, 8, kind, 0, 0, 0)),
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
    """Return a hash of each row's cells in some columns, whatever their order.

    It is the sum of a hash of each cell, which is that of 64 bits and of the column's name: the bits of a
    number as float64, of a date as it is stored, else the hash of what the cell holds, made once for a value.
    Unlike on the keys of the gate, no other format need agree on that, so it takes a fraction of their time.
    """
    names = sorted(columns)
    keys = _blake(name.encode(errors="surrogatepass") for name in names)
    hashes = [pl.Series("content", [] if names else ["0" * 2 * _HASH] * frame.height, dtype=pl.String)]
    for part in frame.select(names).iter_slices(_HASHED):
        total = np.zeros(len(part), dtype=np.uint64)
        for key, column in zip(keys, part.iter_columns(), strict=True):
            total += _mixed(_bits(column) ^ key)
        octets = pl.Series("content", _mixed(total).astype(">u8").view(np.uint8).reshape(-1, _HASH))
        hashes.append(octets.arr.to_list().cast(pl.Binary).bin.encode("hex"))
    return pl.concat(hashes)


def _blake(texts: Iterable[bytes]) -> NDArray[np.uint64]:
    return np.frombuffer(
        b"".join(blake2b(text, digest_size=_HASH).digest() for text in texts), dtype=np.uint64
    )


def _mixed(bits: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Return numbers of which each bit depends on all of those given, in their place."""
    # The finaliser of splitmix64 (Steele, Lea & Flood 2014).
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        bits ^= bits >> np.uint64(shift)
        bits *= np.uint64(factor)
    bits ^= bits >> np.uint64(31)
    return bits


def _bits(column: pl.Series) -> NDArray[np.uint64]:
    """Return 64 bits for each cell: equal ones where cells are."""
    if _is_number(column.dtype) or column.dtype == pl.Boolean:
        return _float64(column).view(np.uint64)
    if column.dtype.is_temporal():
        whole = column.to_physical().cast(pl.Int64).fill_null(pl.Int64.min())
        return whole.to_numpy().view(np.uint64)
    if isinstance(column.dtype, pl.Array | pl.List) and _is_number(column.dtype.inner):  # type: ignore[arg-type]
        return _blake(_vectors(column))
    return _of_texts(_texts(column))


def _of_texts(texts: pl.Series) -> NDArray[np.uint64]:
    """Return the hash of each text, made once where few are different."""
    values = texts.unique()
    few = 2 * len(values) < len(texts)
    hashes = _blake(
        b"" if text is None else b"=" + text.encode(errors="surrogatepass")
        for text in (values.drop_nulls() if few else texts).to_list()
    )
    if not few:
        return hashes
    codes = texts.cast(pl.Enum(values.drop_nulls())).to_physical().cast(pl.UInt32).fill_null(len(hashes))
    found: NDArray[np.uint64] = np.append(hashes, _blake([b""]))[codes.to_numpy()]
    return found


def _is_number(dtype: pl.DataType) -> bool:
    return dtype.is_numeric() and not isinstance(dtype, pl.Decimal)


def _float64(column: pl.Series) -> NDArray[np.float64]:
    """Return numbers as float64; all that is missing is the same NaN, and zero has no sign."""
    values: NDArray[np.float64] = column.cast(pl.Float64).to_numpy() + 0.0
    values[np.isnan(values)] = np.nan
    return values


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


def _texts(column: pl.Series) -> pl.Series:
    """Return what cells hold as text: as JSON, but for bytes and objects, which Polars cannot write."""
    if column.dtype in (pl.String, pl.Categorical, pl.Enum):
        return column.cast(pl.String)
    if "Binary" in str(column.dtype) or "Object" in str(column.dtype):
        texts = [None if value is None else str(value) for value in column.to_list()]
        return pl.Series(column.name, texts, dtype=pl.String)
    return column.to_frame("").select(pl.struct(pl.all()).struct.json_encode()).to_series()


class Marker:
    """What finds the words of evidence in a text, the longest first; a pair may be parted by anything.

    A run of characters is found within words too: a run has a space at an end, or a character of a script
    that puts no spaces between words, or no letters.
    """

    def __init__(self, terms: Iterable[tuple[str, float]]) -> None:
        self._values: dict[str, float] = {}
        runs = False
        for term, value in terms:
            runs |= term != term.strip() and not _stands_alone(term)
            self._values.setdefault(term.strip().casefold(), value)  # the strongest comes first
        found = sorted(filter(None, self._values), key=len, reverse=True)
        if not runs and all(_WORD.fullmatch(term) and not _stands_alone(term) for term in found):
            self._pattern = _WORD if found else None  # to look words up takes less than to compile a pattern
            return
        parts = [_anywhere(term) if runs or _stands_alone(term) else _as_word(term) for term in found]
        self._pattern = re.compile("|".join(parts), re.IGNORECASE)

    def spans(self, text: str) -> Iterator[tuple[int, int, float]]:
        """Yield where a word begins and ends, and its value."""
        for found in self._pattern.finditer(text) if self._pattern else ():
            word = found[0].casefold()
            value = self._values.get(word, self._values.get(" ".join(re.split(r"\W+", word))))
            if value is not None:
                yield *found.span(), value


def _anywhere(term: str) -> str:
    return r"\W+".join(map(re.escape, term.split()))


def _as_word(term: str) -> str:
    return rf"(?<!\w){_anywhere(term)}(?!\w)"


def _stands_alone(term: str) -> bool:
    """Tell whether a character stands without spaces around it: of a script that has none, or no letter."""
    return any(
        unicodedata.name(c, "").startswith(_UNSPACED) or unicodedata.category(c) in ("So", "Sk") for c in term
    )


def readable(text: str) -> str:
    """Return a text without the head and the tags of HTML, and of a mail's headers the subject alone."""
    head = _HEADERS.match(text)
    if head and _MAIL.search(head[0]):
        subject = _SUBJECT.search(head[0])
        text = f"{subject[0] if subject else ''}\n{text[head.end() :]}".strip()
    if _TAG.search(text[:_READ]):
        text = html.unescape(_UNSEEN.sub(" ", text)).strip() or text
    return text


def passage(text: str, marks: Marks, length: int) -> str:
    """Return a text, or of one that is longer its beginning and the passage with most words of evidence."""
    if len(text) <= length:
        return text
    text = readable(text)[:_READ]
    if len(text) <= length:
        return text
    opening = length // _OPENING if length >= _LONG else 0
    room = length - opening - 4  # an ellipsis at each end, and the blanks around the first
    start = _densest(_hits(text, marks), room, length, len(text))
    if start <= opening + _EDGE:
        return text[: length - 1].rstrip() + "…"
    start = _whole_word(text, start)
    end = start + room
    gap = "\n…\n" if "\n" in text else " … "
    before = f"{_whole_words(text, opening)}{gap}" if opening else "…"
    return f"{before}{text[start:end].strip()}{'…' if end < len(text) else ''}"


@lru_cache(1000)  # a row is shown as a line, as a cell, and on the terminal
def _hits(text: str, marks: Marks) -> list[tuple[int, int, str, float]]:
    """Return where the words of evidence begin and end, which they are, and how much they say."""
    found = []
    for start, end, value in marker(marks).spans(text):
        found.append((start, end, text[start:end].casefold(), abs(value)))
        if len(found) == _HITS:
            break
    return found


def _densest(hits: list[tuple[int, int, str, float]], room: int, begin: int, size: int) -> int:
    """Return where the passage begins that says most, each word counted once; 0 where the beginning does."""

    def says(start: int, end: int) -> float:
        return sum({word: value for s, e, word, value in hits if s >= start and e <= end}.values())

    best, most, last = 0, says(0, begin), 0
    for start, *_ in hits:
        if (value := says(start, start + room)) > most:
            best, most = start, value
            last = max(e for s, e, *_ in hits if s >= start and e <= start + room)
    if not best:
        return 0
    return max(0, min(best - (room - (last - best)) // 2, size - room))


def _whole_word(text: str, start: int) -> int:
    blank = text.find(" ", start, start + _EDGE)
    return blank + 1 if start and blank >= 0 else start


def _whole_words(text: str, end: int) -> str:
    blank = max(text.rfind(space, end - _EDGE, end) for space in " \n")
    return text[: blank if blank > 0 else end].rstrip()


@lru_cache(maxsize=4096)
def marker(marks: Marks) -> Marker:
    """Return what finds some words; a page asks for those of a row many times."""
    return Marker(marks)
