"""Which digit gives a row which class: the same ones on the page and in the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

_DIGITS: Final = "1234567890"


def class_keys(classes: Sequence[str]) -> tuple[str, ...]:
    """Return the key of each class: a digit its own, the others in order those that are left."""
    own = {name for name in classes if len(name) == 1 and name in _DIGITS}
    left = iter([digit for digit in _DIGITS if digit not in own])
    return tuple(name if name in own else next(left, "") for name in classes)
