"""Settings of the right type, so that a slip in a call is told in one line."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from numbers import Real
from typing import Any

from dataaudit.errors import SettingError


def require_text(settings: Any, *names: str) -> None:
    """Refuse settings that are neither text nor None.

    Raises
    ------
    SettingError
        If one is something else.
    """
    _require(settings, names, lambda value: isinstance(value, str), said=("text", "give one name in quotes"))


def require_whole(settings: Any, *names: str) -> None:
    """Refuse settings that are neither whole numbers nor None; of a tuple, each.

    Raises
    ------
    SettingError
        If one is something else.
    """
    said = "a whole number", "give one without quotes, such as 3"
    _require(settings, names, _is_whole, said=said)


def require_real(settings: Any, *names: str) -> None:
    """Refuse settings that are neither numbers nor None.

    Raises
    ------
    SettingError
        If one is something else.
    """
    said = "a number", "give one without quotes, such as .1"
    _require(settings, names, lambda value: isinstance(value, Real), said=said)


def _is_whole(value: Any) -> bool:
    try:
        operator.index(value)
    except TypeError:
        return False
    return True


def _require(
    settings: Any, names: Sequence[str], fits: Callable[[Any], bool], *, said: tuple[str, str]
) -> None:
    for name in names:
        value = getattr(settings, name)
        for one in value if isinstance(value, tuple) else (value,):
            if one is not None and not fits(one):
                raise SettingError(f"{name} must be {said[0]}: got {one!r}", said[1])
