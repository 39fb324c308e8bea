"""What must never be shown: the passwords that the address of a database may hold.

Whatever is written or said goes through here: the command in the provenance, the name of a connection, the
line of an error. The secret is taken out rather than replaced, so that what is left can be typed again: the
driver then asks PGPASSWORD or ~/.pgpass.
"""

from __future__ import annotations

import re

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
