"""Words of evidence marked in a text: whole words, and runs of characters wherever they stand."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator
from typing import Final

# How the names of characters begin whose scripts put no spaces between words.
_UNSPACED: Final = (
    *("CJK", "HIRAGANA", "KATAKANA", "BOPOMOFO", "YI ", "THAI", "LAO", "KHMER", "MYANMAR", "TIBETAN"),
    *("TAI ", "NEW TAI", "JAVANESE", "BALINESE"),
)


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
