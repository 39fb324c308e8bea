"""Everything that can go wrong for a user, as one tree.

::

    AuditError                  one line for people, exit code 2
    ├─ DataError                a file or a table is not what was said
    │  ├─ UnreadableFile        no such file, empty, cut short, not text, not a table
    │  ├─ MissingColumn         a column that was named is not there
    │  └─ BadTarget             one class, nulls, too many classes
    │     └─ AskTask            numbers that may be classes or not
    ├─ EncodeError              no usable feature, or test data that do not fit the training encoding
    ├─ FitError                 the model cannot be fitted as asked
    │  └─ NotConverged          the gradient is not small enough to trust influence
    ├─ SolveError               the Hessian cannot be inverted as asked
    │  ├─ NotPositiveDefinite   the factorisation failed
    │  └─ TooLarge              it would need more memory than there is
    ├─ ClusterError             a scheduler does not answer, or its workers differ from this machine
    ├─ SettingError             an option has a value that makes no sense
    └─ WriteError               the output cannot be written

Messages read ``what happened: got <value>. Hint: <one thing to do>.`` in one line, without the secrets of the
addresses in them.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any, Self, TypeVar

from dataaudit.secrets import masked_text


class AuditError(Exception):
    """Something that the user can fix; the command line prints it as one line and exits with 2.

    Parameters
    ----------
    what : str
        What happened, with the value that was met.
    hint : str
        One thing to do about it.
    """

    def __init__(self, what: str, hint: str = "") -> None:
        self.what = masked_text(" ".join(what.split()).rstrip("."))
        self.hint = masked_text(" ".join(hint.split()).rstrip("."))
        stop = "" if self.hint.endswith("?") else "."
        super().__init__(f"{self.what}. Hint: {self.hint}{stop}" if hint else f"{self.what}.")

    def hinted(self, hint: str) -> Self:
        """Return the same error with another hint."""
        return _made(type(self), self.what, hint)

    def __reduce__(self) -> tuple[Any, ...]:
        """Let an error come back from another process: a subclass may take other arguments than these."""
        return _made, (type(self), self.what, self.hint)


Raised = TypeVar("Raised", bound=AuditError)


def _made(kind: type[Raised], what: str, hint: str) -> Raised:
    made = kind.__new__(kind)
    AuditError.__init__(made, what, hint)
    return made


class DataError(AuditError):
    """A file or a table is not what was said."""


class UnreadableFile(DataError):
    """A file is absent, empty, cut short, or not of its format."""


class MissingColumn(DataError):
    """A column that was named is not there; close matches are offered."""

    def __init__(self, column: str, present: Iterable[str], where: str) -> None:
        present = list(present)
        shown = ", ".join(present[:12]) + (", …" if len(present) > 12 else "")  # noqa: PLR2004 - a line's worth
        have = f"the columns are {shown}" if present else "give a table that has columns"
        super().__init__(f"column {column!r} is not in {where}", suggestion(column, present, have))


class BadTarget(DataError):
    """The label column cannot be used as classes."""


class AskTask(BadTarget):
    """The label column may hold classes or numbers, and nobody said which."""


class EncodeError(AuditError):
    """Features cannot be made from these columns."""


class FitError(AuditError):
    """The model cannot be fitted as asked."""


class NotConverged(FitError):
    """The fit stopped away from a minimum, where influence is biased."""


class SolveError(AuditError):
    """The Hessian cannot be inverted as asked."""


class NotPositiveDefinite(SolveError):
    """The Hessian has no Cholesky factor."""


class TooLarge(SolveError):
    """A dense matrix would not fit in memory; the message says how many bytes it needs."""


class ClusterError(AuditError):
    """A scheduler does not answer, or its workers differ from this machine."""


class SettingError(AuditError):
    """An option has a value that makes no sense."""


class WriteError(AuditError):
    """The output cannot be written."""


def closest(name: str, options: Iterable[str], *, least: float = 0.6) -> str | None:
    """Return the option most like `name`, without regard to case, or None below a ratio of `least`."""
    folded = {option.casefold(): option for option in options}
    matches = difflib.get_close_matches(name.casefold(), folded, n=1, cutoff=least)
    return folded[matches[0]] if matches else None


def suggestion(name: str, options: Iterable[str], otherwise: str = "") -> str:
    """Return a hint for an unknown name: the option most like it, else `otherwise` or all options."""
    options = list(options)
    near = closest(name, options)
    return f"did you mean {near!r}?" if near else otherwise or f"use one of {', '.join(options)}"
