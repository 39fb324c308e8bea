"""Which encoding a text is in: what its first bytes or its zeros say, what is named, or what its letters say.

Whatever it was, the readers get UTF-8. A guess is a guess: the file is named with what it was taken for.
"""

from __future__ import annotations

import codecs
import re
from itertools import islice

from dataaudit.errors import DataError, UnreadableFile

_SAMPLE = 4096  # bytes in which zeros are counted
_ZEROS = 0.05  # least share of characters with a zero byte in UTF-16 without a mark: separators, at least
_BEYOND, _ENDS = re.compile(rb'[\x80-\xff][^\s,;"]{0,40}'), re.compile(rb'[\s,;"]')
_BEFORE, _MOST_WORDS = 20, 5000  # bytes of a word before its first beyond ASCII; words looked at
_ASCII = bytes(range(128))
_LATIN = 0.45  # share of bytes beyond ASCII in such words up to which letters are Latin with accents
_SURER = (
    1.5  # how much likelier than Windows-1252 another page must be: most of what nobody can tell is western
)
_WESTERN = "cp1252"
_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # before UTF-16, whose mark it begins with
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_LATIN_PAGES = ("cp1250", "cp1252", "cp1254", "cp1257", "iso8859-2")
_CODE_PAGES = (
    *_LATIN_PAGES,
    *("cp1251", "cp1253", "cp1255", "cp1256", "cp1258", "cp866", "cp874", "koi8-r", "koi8-u"),
    *("cp932", "euc_jis_2004", "gb18030", "big5hkscs", "cp949"),
)


def decode(data: bytes, name: str, *, named: str | None = None) -> tuple[bytes, str, tuple[str, ...]]:
    """Return a text as UTF-8, Python's name of what it was, and notes; `named` is what the user says."""
    marked = next((encoding for mark, encoding in _MARKS if data.startswith(mark)), "")
    encoding = _resolved(named, marked) if named else marked or _by_zeros(data)
    if named and encoding == "utf-8":
        _require_utf8(data, name)
        return data, "", ()
    if encoding:
        note = f"{name} is read as {shown_encoding(encoding)}."
        return _utf8(data, encoding, name), encoding, () if named else (note,)
    if 0 in data or _first_bad(data) is None:
        return data, "", ()
    if data.startswith(codecs.BOM_UTF8) or _is_mostly_utf8(data):
        _require_utf8(data, name)
    for encoding in _guesses(data):
        try:
            text = data.decode(encoding)
        except UnicodeDecodeError:
            continue
        note = (
            f"{name} is read as {shown_encoding(encoding)}, a guess: if letters look wrong, add --encoding."
        )
        return text.encode(), encoding, (note,)
    _require_utf8(data, name)
    raise AssertionError("it is not UTF-8")


def encode(text: bytes, encoding: str, name: str) -> bytes:
    """Return UTF-8 in another encoding."""
    if not encoding:
        return text
    try:
        return text.decode().encode(encoding)
    except UnicodeEncodeError as error:
        what = f"{name} is in {shown_encoding(encoding)}, which has no {error.object[error.start]!r}"
        raise DataError(
            what, "use a class without it, or convert the file to UTF-8 and audit that"
        ) from error


def origin_encoding(kind: str) -> str:
    """Return the encoding that the format of an origin names; empty for UTF-8."""
    parts = kind.split("+")[1:]
    return next((part for part in parts if part not in ("gzip", "zstd", "zip")), "")


def shown_encoding(encoding: str) -> str:
    """Return the name that people know."""
    number = encoding.removeprefix("cp125")
    return f"Windows-125{number}" if number != encoding else encoding.removesuffix("-le").removesuffix("-be")


def _resolved(named: str, marked: str) -> str:
    """Return Python's name; the byte order of UTF-16 and UTF-32 is what the mark says, else the usual one."""
    encoding = codecs.lookup(named).name
    if encoding in ("utf-16", "utf-32"):
        return marked if marked.startswith(encoding) else f"{encoding}-le"
    return "utf-8" if encoding in ("utf-8", "utf-8-sig", "ascii") else encoding


def _by_zeros(data: bytes) -> str:
    """Return UTF-16 where every other byte, and no other, is zero often enough."""
    if len(data) % 2 or 0 not in data:
        return ""
    sample = data[:_SAMPLE]
    first, second = sample[::2].count(0), sample[1::2].count(0)
    if bool(first) == bool(second) or max(first, second) < _ZEROS * len(sample) / 2:
        return ""
    encoding = "utf-16-be" if first else "utf-16-le"
    try:
        data.decode(encoding)
    except UnicodeDecodeError:
        return ""
    return encoding


def _guesses(data: bytes) -> list[str]:
    """Return code pages that the words beyond ASCII may be in, the most likely first."""
    import chardet  # noqa: PLC0415 - few files need it

    words = b" ".join(dict.fromkeys(_words(data)))
    letters = b"".join(word for word in words.split(b" ") if len(word) > 1)  # a letter alone says nothing
    beyond = len(letters.translate(None, _ASCII)) / max(len(letters), 1)
    found = chardet.detect_all(
        words,
        ignore_threshold=True,
        include_encodings=_CODE_PAGES if beyond > _LATIN else _LATIN_PAGES,
        no_match_encoding=_WESTERN,
        compat_names=False,
    )
    scores = {codecs.lookup(each["encoding"]).name: each["confidence"] for each in found if each["encoding"]}
    names = sorted(scores, key=lambda name: -scores[name])
    first = names[:1] if names and scores[names[0]] > _SURER * scores.get(_WESTERN, 0.0) else []
    return list(dict.fromkeys([*first, _WESTERN, *names, "latin-1"]))


def _words(data: bytes) -> list[bytes]:
    """Return the first words that are not ASCII, each cut to a few dozen bytes."""
    found = islice(_BEYOND.finditer(data), _MOST_WORDS)
    return [_ENDS.split(data[max(0, met.start() - _BEFORE) : met.start()])[-1] + met[0] for met in found]


def _utf8(data: bytes, encoding: str, name: str) -> bytes:
    try:
        return data.decode(encoding).encode()
    except UnicodeError as error:
        at = getattr(error, "start", None)
        place = "" if at is None else f": got byte 0x{data[at]:02x} at byte {at} (line {_line_at(data, at)})"
        what = f"{name} is not {shown_encoding(encoding)}{place}"
        raise UnreadableFile(what, "name another with --encoding, such as utf-8 or cp1252") from error


def _is_mostly_utf8(data: bytes) -> bool:
    """Whether more characters beyond ASCII are whole than broken: one bad byte makes no code page."""
    text = b" ".join(_words(data)).decode(errors="replace")
    broken = text.count("\ufffd")
    return sum(not character.isascii() for character in text) - broken > broken


def _require_utf8(data: bytes, name: str) -> None:
    bad = _first_bad(data)
    if bad is not None:
        place = f"got byte 0x{data[bad]:02x} at byte {bad} (line {_line_at(data, bad)})"
        raise UnreadableFile(
            f"{name} is not UTF-8: {place}",
            "name its encoding with --encoding, such as cp1252, or fix the byte",
        )


def _first_bad(data: bytes) -> int | None:
    """Return the first byte that is not UTF-8."""
    try:
        data.decode()
    except UnicodeDecodeError as error:
        return error.start
    return None


def _line_at(data: bytes, offset: int) -> int:
    return data.count(b"\n", 0, offset) + 1
