"""Cells are written by strangers: what may leave this tool as text.

Characters that steer a terminal or turn the reading direction are shown, never sent: ESC becomes ``␛``, a
right-to-left override ``‹U+202E›``. Letters of every script, joiners and emoji stay as they are. Markup is
the business of each writer; here is only what is dangerous as plain text.

Text for terminals: what a file brought in must not steer them.

What must never be shown: the passwords that the address of a database may hold.

Whatever is written or said goes through here: the command in the provenance, the name of a connection, the
line of an error. The secret is taken out rather than replaced, so that what is left can be typed again: the
driver then asks PGPASSWORD or ~/.pgpass.
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


def block(text: str, length: int = 600) -> str:
    """Return at most `length` characters of a text, its lines kept, every dangerous character shown."""
    cut = _cut(_NEWLINE.sub("\n", text[: 2 * length]), length, whole=len(text) <= 2 * length)
    return _BLOCK.sub(_shown, cut)


def line(text: str, length: int = 200) -> str:
    """Return at most `length` characters of a text as one line, every dangerous character shown."""
    cut = _cut(_SPACE.sub(" ", text[: 4 * length]).strip(" "), length, whole=len(text) <= 4 * length)
    return _LINE.sub(_shown, cut)


def console_line(text: str, length: int = 200) -> str:
    """Return `line` without what a CI runner obeys at the start of a line: ``::error``, ``##[group]``.

    A console wraps where it likes, so these marks are changed wherever they stand.
    """
    return line(text, length).replace("::", "∷").replace("##[", "# #[").replace("##vso", "# #vso")


def json_text(text: str) -> str:
    r"""Return JSON text in which dangerous characters are ``\uXXXX``; what it parses to is the same."""
    return _BLOCK.sub(_escaped, text)


def xml_text(text: str) -> str:
    """Return XML text in which dangerous characters are references, or pictures where XML forbids them."""
    return _NONCHARACTER.sub(_shown, _BLOCK.sub(_referred, text))


def _cut(text: str, length: int, *, whole: bool) -> str:
    if len(text) <= length and whole:
        return text
    return text[: max(length - 1, 0)].rstrip() + "…"


def _shown(match: re.Match[str]) -> str:
    code = ord(match.group())
    if code < ord(" "):
        return chr(0x2400 + code)  # Unicode's control pictures
    return "␡" if code == _DELETE else f"‹U+{code:04X}›"


def _referred(match: re.Match[str]) -> str:
    code = ord(match.group())
    forbidden = code < ord(" ") or "\ud800" <= match.group() <= "\udfff"
    return _shown(match) if forbidden else f"&#x{code:X};"


def _escaped(match: re.Match[str]) -> str:
    units = match.group().encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[i]:02x}{units[i + 1]:02x}" for i in range(0, len(units), 2))


def visible(text: str) -> str:
    r"""Return `text` in one line, with control characters as codes.

    Parameters
    ----------
    text : str
        Anything, also a value from a file.

    Returns
    -------
    str
        Runs of white space are one space; an escape character is ``\x1b``.
    """
    line = " ".join(text.split())
    if line.isprintable():
        return line
    return "".join(
        c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in line
    )


_SECRET = r"(?:password|passwd|pwd|secret|token|sslpassword|oauth_client_secret)"  # noqa: S105 - the names of parameters
# Greedy up to the last @: a password with an unescaped @, / or # in it is no valid address, but still secret.
_IN_WORD = re.compile(r"(?<=://)([^:@/?#]*):.*@", re.DOTALL)
_IN_TEXT = re.compile(r"(?<=://)([^\s:@/?#]*):\S*@")
_PARAMETER = re.compile(rf"(?i)([?&]){_SECRET}=[^&\s'\"]*&?")
_KEY_VALUE = re.compile(rf"(?i)(?<![?&])\b{_SECRET}\s*=\s*(?:'(?:[^'\\]|\\.)*'|[^\s'\"]+)")
_OPTIONS = ("--sql", "--test-sql")


def masked(text: str) -> str:
    """Return a text without the passwords of the addresses in it.

    Parameters
    ----------
    text : str
        Anything: an address, a message, a query.

    Returns
    -------
    str
        ``postgresql://me@host/db`` for ``postgresql://me:secret@host/db?password=secret``.
    """
    return _without_parameters(_IN_TEXT.sub(r"\1@", text))


def masked_words(words: list[str]) -> list[str]:
    """Return the words of a command line without passwords.

    Parameters
    ----------
    words : list of str
        As typed; the word after ``--sql`` may be anything that was taken for a connection.

    Returns
    -------
    list of str
        As many.
    """
    done, before = [], ""
    for word in words:
        address = before in _OPTIONS or word.startswith(tuple(f"{name}=" for name in _OPTIONS))
        done.append(masked(_KEY_VALUE.sub("", _IN_WORD.sub(r"\1@", word)) if address else word))
        before = word
    return done


def _without_parameters(text: str) -> str:
    return re.sub(r"[?&](?=$|\s|'|\")", "", _PARAMETER.sub(r"\1", text)) if _PARAMETER.search(text) else text


_SHOWN = 300  # characters of a name in a message: enough for any path, too few to flood a terminal


def shown(name: str) -> str:
    """Return `name` with everything unprintable escaped, so that it can stand in one line and in UTF-8.

    Parameters
    ----------
    name : str
        A path or other text from outside; may hold newlines, escape codes or undecodable bytes.

    Returns
    -------
    str
        Printable, at most a few hundred characters.
    """
    safe = "".join(c if c.isprintable() else repr(c)[1:-1] for c in name)
    return safe if len(safe) <= _SHOWN else safe[:_SHOWN] + "…"
