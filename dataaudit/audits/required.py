"""Settings of the right type, so that a slip in a call is told in one line."""

from __future__ import annotations

import numbers
import operator
from typing import Any

from dataaudit.errors import SettingError


def require_text(settings: Any, *names: str) -> None:
    """Refuse settings that are neither text nor None.

    Raises
    ------
    SettingError
        If one is something else.
    """
    for name in names:
        value = getattr(settings, name)
        if value is not None and not isinstance(value, str):
            raise SettingError(f"{name} must be text: got {value!r}", "give one name in quotes")


def require_whole(settings: Any, *names: str) -> None:
    """Refuse settings that are neither whole numbers nor None; of a tuple, each.

    Raises
    ------
    SettingError
        If one is something else.
    """
    for name in names:
        value = getattr(settings, name)
        for one in value if isinstance(value, tuple) else (value,):
            try:
                _ = one is None or operator.index(one)
            except TypeError:
                what = f"{name} must be a whole number: got {one!r}"
                raise SettingError(what, "give one without quotes, such as 3") from None


def require_real(settings: Any, *names: str) -> None:
    """Refuse settings that are neither numbers nor None.

    Raises
    ------
    SettingError
        If one is something else.
    """
    for name in names:
        value = getattr(settings, name)
        if value is not None and not isinstance(value, numbers.Real):
            raise SettingError(
                f"{name} must be a number: got {value!r}", "give one without quotes, such as .1"
            )
