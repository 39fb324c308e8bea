"""Sentences of rules, filled in with values by name and by nothing else.

Python's own ``format`` follows attributes and indices out of a value: a pack could read what is none of its
business by ``{value.__class__}``. Here a field is a plain name with a format, and what is missing is a dash.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from string import Formatter
from typing import Any, Final

from dataaudit.errors import SettingError

MISSING: Final = "—"
_CELL = 80  # characters of a value in a sentence
_FORMAT = re.compile(r"[<>^]?\+?[0-9]{0,2}[,_]?(\.[0-9]{1,2})?[a-zA-Z%]?")  # no width that fills the memory


def fields_of(sentence: str, where: str) -> list[str]:
    """Return the names of the fields of a sentence.

    Parameters
    ----------
    sentence : str
        With fields in braces: ``{value:.1%} of {dataset}``.
    where : str
        What to call it in messages.

    Returns
    -------
    list of str
        In their order.

    Raises
    ------
    SettingError
        If braces do not match, or a field is not a plain name.
    """
    try:
        parts = [(name, spec, conversion) for _, name, spec, conversion in Formatter().parse(sentence)]
    except ValueError as error:
        raise SettingError(
            f"{where}: a sentence has unmatched braces: {error}", "double those that are text"
        ) from error
    names = []
    for name, spec, conversion in parts:
        if name is None:
            continue
        if not name.isidentifier() or not _FORMAT.fullmatch(spec or "") or conversion:
            raise SettingError(f"{where}: a field is no plain name: got {{{name}}}", "write e.g. {value:.2%}")
        names.append(name)
    return names


def fill(sentence: str, values: Mapping[str, Any]) -> str:
    """Return the sentence with its fields filled in; long values are cut, missing ones become a dash.

    Parameters
    ----------
    sentence : str
        One that `fields_of` has passed.
    values : mapping
        Name → value.

    Returns
    -------
    str
        In one line. A value that its format does not fit stands as it is.
    """
    out = []
    for text, name, spec, _ in Formatter().parse(sentence):
        out.append(text)
        if name is not None:
            out.append(_shown(values.get(name), spec or ""))
    return "".join(out)


def _shown(value: Any, spec: str) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return MISSING
    try:
        said = format(value, spec)
    except (ValueError, TypeError):
        said = str(value)
    said = " ".join(said.split())
    return said if len(said) <= _CELL else said[: _CELL - 1] + "…"
