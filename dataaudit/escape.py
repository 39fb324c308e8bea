"""Escape untrusted text for terminal, page and file: cells, names and what libraries say are hostile.

Characters that steer a terminal or turn the reading direction are shown, never sent: ESC becomes ``␛``, a
right-to-left override ``‹U+202E›``. Letters of every script, joiners and emoji stay as they are. Markup is
the business of each writer; here is only what is dangerous as plain text.
"""

from __future__ import annotations

import re
from typing import Final

# C0 and C1 controls, soft hyphen, bidi marks and overrides, zero-width and invisible ones, separators,
# annotations, lone surrogates, tags. Zero-width joiners and variation selectors are left out: emoji and
# Persian need them.
_DANGEROUS: Final = (
    "\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb"
    "\ud800-\udfff\U000e0000-\U000e007f"
)
_BLOCK: Final = re.compile(f"[{_DANGEROUS}]")  # newline and tab may stay
_LINE: Final = re.compile(f"[{_DANGEROUS}\t\n]")
_SPACE: Final = re.compile("[ \t\n\r\v\f\x85\u2028\u2029]+")
_NEWLINE: Final = re.compile("\r\n?|[\v\f\x85\u2028\u2029]")
_NONCHARACTER: Final = re.compile("[\ufffe\uffff]")  # in no XML document, not even as a reference
_DELETE: Final = 0x7F
_NAME_LENGTH: Final = 300  # of a name in a message: enough for any path, too few to flood a terminal


def block(text: str, length: int = 600) -> str:
    """Return at most `length` characters of a text, its lines kept, every dangerous character shown."""
    cut = _cut(_NEWLINE.sub("\n", text[: 2 * length]), length, whole=len(text) <= 2 * length)
    return _BLOCK.sub(_pictured, cut)


def line(text: str, length: int = 200) -> str:
    """Return at most `length` characters of a text as one line, every dangerous character shown."""
    cut = _cut(_SPACE.sub(" ", text[: 4 * length]).strip(" "), length, whole=len(text) <= 4 * length)
    return _LINE.sub(_pictured, cut)


def console_line(text: str, length: int = 200) -> str:
    """Return `line` without what a CI runner obeys at the start of a line: ``::error``, ``##[group]``.

    A console wraps where it likes, so these marks are changed wherever they stand.
    """
    return inert(line(text, length))


def inert(text: str) -> str:
    """Return a text in which a CI runner finds no command, wherever a line of it begins."""
    return text.replace("::", "∷").replace("##[", "# #[").replace("##vso", "# #vso")


def json_text(text: str) -> str:
    r"""Return JSON text in which dangerous characters are ``\uXXXX``; what it parses to is the same."""
    return _BLOCK.sub(_escaped, text)


def xml_text(text: str) -> str:
    """Return XML text in which dangerous characters are references, or pictures where XML forbids them."""
    return _NONCHARACTER.sub(_pictured, _BLOCK.sub(_referred, text))


def _cut(text: str, length: int, *, whole: bool) -> str:
    if len(text) <= length and whole:
        return text
    return text[: max(length - 1, 0)].rstrip() + "…"


def _pictured(match: re.Match[str]) -> str:
    code = ord(match.group())
    if code < ord(" "):
        return chr(0x2400 + code)  # Unicode's control pictures
    return "␡" if code == _DELETE else f"‹U+{code:04X}›"


def _referred(match: re.Match[str]) -> str:
    code = ord(match.group())
    forbidden = code < ord(" ") or "\ud800" <= match.group() <= "\udfff"
    return _pictured(match) if forbidden else f"&#x{code:X};"


def _escaped(match: re.Match[str]) -> str:
    units = match.group().encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[i]:02x}{units[i + 1]:02x}" for i in range(0, len(units), 2))


def visible(text: str) -> str:
    """Return `text` in one line, with everything unprintable as codes."""
    return _as_codes(" ".join(text.split()))


def shown(name: str) -> str:
    """Return a name with everything unprintable as codes, so that it can stand in one line and in UTF-8."""
    safe = _as_codes(name)
    return safe if len(safe) <= _NAME_LENGTH else safe[:_NAME_LENGTH] + "…"


def _as_codes(text: str) -> str:
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)
