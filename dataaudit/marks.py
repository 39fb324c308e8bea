"""Words of evidence in a text: where they stand, and the passage that holds most of them.

Words are found whole, runs of characters wherever they stand. A text that has no room is shown by its
beginning and the passage around its words of evidence. Head and tags of HTML, and the headers of a mail but
for its subject, are left out there: they are the first thousand characters of many a text.
"""

from __future__ import annotations

import html
import re
import unicodedata
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Final

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

Marks = tuple[tuple[str, float], ...]  # words, and what speaks for (> 0) or against a label


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
        parts = [_anywhere(term) if runs or _stands_alone(term) else _as_word(term) for term in found]
        self._pattern = re.compile("|".join(parts), re.IGNORECASE) if parts else None

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
