"""What the text of a query says before a database sees it: that it is one statement, and if it has an order.

A scanner rather than a parser: strings, quoted names and comments are passed over, parentheses counted. It
errs on the side of "no order", which costs a sort and changes no result.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import pairwise

from dataaudit.errors import SettingError
from dataaudit.sources.wanted import shown

_TOKEN = re.compile(
    r"""
    (?P<gap>      \s+ | --[^\n]* | /\*.*?\*/ )
  | (?P<quoted>   [eE]'(?:[^'\\]|\\.|'')*' | '(?:[^']|'')*' | "(?:[^"]|"")*"
                | \$(?P<tag>\w*)\$.*?\$(?P=tag)\$ )
  | (?P<word>     \w+ )
  | (?P<sign>     . )
    """,
    re.VERBOSE | re.DOTALL,
)


_BEGINS = frozenset(
    ("select", "with", "values", "table", "from", "pivot", "unpivot")
)  # the last three: DuckDB
_GIVE = "give one select, or with … select"


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement of SQL.

    Attributes
    ----------
    text : str
        Without semicolons, spaces and comments at its end; its lines keep their numbers.
    ordered : bool
        Whether ``ORDER BY`` stands outside all parentheses.
    limited : bool
        Whether ``LIMIT`` or ``FETCH`` does.
    """

    text: str
    ordered: bool
    limited: bool


def read_statement(text: str) -> Statement:
    """Look through a query.

    Parameters
    ----------
    text : str
        As given.

    Returns
    -------
    Statement

    Raises
    ------
    SettingError
        If there is none, or more than one.
    """
    depth, end, closed, first = 0, 0, False, ""
    words: list[str] = []
    for token in _TOKEN.finditer(text):
        found, kind = token.group(), token.lastgroup
        if kind == "gap" or found == ";":
            closed |= found == ";" and end > 0
            continue
        if closed:
            raise SettingError("the query holds several statements", _GIVE)
        end = token.end()
        depth += (found == "(") - (found == ")")
        words.append(found.lower() if depth == 0 else "")
        first = found.lower() if first in ("", "(") else first
    if not end:
        raise SettingError("the query is empty", "write e.g. --query 'select * from mail'")
    if first not in _BEGINS:
        raise SettingError(f"the statement is no query: it begins with {shown(first)!r}", _GIVE)
    ordered = any(pair == ("order", "by") for pair in pairwise(words))
    return Statement(text[:end], ordered, limited=bool({"limit", "fetch"} & set(words)))
