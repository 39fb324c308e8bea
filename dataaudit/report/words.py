"""Numbers and rows as people read them; every writer formats through here, so that all say the same."""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Iterable, Iterator
from typing import Final

MISSING: Final = "–"
_SPACE: Final = "\N{NO-BREAK SPACE}"
# How the names of characters begin whose scripts put no spaces between words.
_UNSPACED: Final = (
    *("CJK", "HIRAGANA", "KATAKANA", "BOPOMOFO", "YI ", "THAI", "LAO", "KHMER", "MYANMAR", "TIBETAN"),
    *("TAI ", "NEW TAI", "JAVANESE", "BALINESE"),
)


def known(value: float | None) -> bool:
    """Whether there is a number: not None, not NaN, not infinite."""
    return value is not None and math.isfinite(value)


def count(value: float | None) -> str:
    """``4137`` → ``4,137``."""
    return f"{value:,.0f}" if value is not None and known(value) else MISSING


def share(value: float | None, digits: int = 1) -> str:
    """``0.9712`` → ``97.1 %``; what would round to 0 or 100 says ``< 0.1 %`` or ``> 99.9 %`` instead."""
    if value is None or not known(value):
        return MISSING
    percent, least = 100 * value, 10**-digits
    if 0 < percent < least:
        return f"<{_SPACE}{least:.{digits}f}{_SPACE}%"
    if 100 - least < percent < 100:  # noqa: PLR2004 - per cent
        return f">{_SPACE}{100 - least:.{digits}f}{_SPACE}%"
    return f"{percent:.{digits}f}{_SPACE}%"


def fixed(value: float | None, digits: int = 2) -> str:
    """``-0.123`` → ``−0.12``, with a true minus sign; large and tiny ones in three digits."""
    if value is None or not known(value):
        return MISSING
    small = value != 0 and abs(value) < 0.5 * 10**-digits
    text = f"{value:.3g}" if small or abs(value) >= 1e6 else f"{value:,.{digits}f}"  # noqa: PLR2004
    return text.replace("-", "−")


def signed(value: float | None, digits: int = 2) -> str:
    """``0.123`` → ``+0.12``."""
    text = fixed(value, digits)
    return text if text == MISSING or text.startswith("−") else f"+{text}"


def moved(value: float | None, digits: int = 3) -> str:
    """``-0.282`` → ``falls by 0.282 nats``: a change of loss, never a bare signed number."""
    if value is None or not known(value):
        return "changes by an unknown amount"
    if value == 0:
        return "does not change"
    return f"{'rises' if value > 0 else 'falls'} by {short(abs(value), digits)} nats"


def short(value: float | None, digits: int = 3) -> str:
    """``2.0000001e-4`` → ``0.0002``, ``3.1e-11`` → ``3.1e−11``: so many significant digits."""
    return f"{value:.{digits}g}".replace("-", "−") if value is not None and known(value) else MISSING


def closed(text: str) -> str:
    """Close up ``80 %``: Rich breaks lines at no-break spaces too."""
    return text.replace(f"{_SPACE}%", "%")


def more(n: int, one: str, many: str) -> str:
    """Say how many are not shown; nothing where all are."""
    return f"… and {n:,} more {one if n == 1 else many}." if n > 0 else ""


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
