"""A finding to be mended, what was tried on it, and what came of it: plain data."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

Positions = NDArray[np.int64]

# A cure leaves at most this share of the errors, and raises the loss of all test rows by no more than this
# share. Where it leaves half of them it helps.
LEFT, HALF, DEARER = 0.2, 0.5, 0.01


def _none() -> Positions:
    return np.empty(0, dtype=np.int64)


@dataclass(frozen=True)
class Case:
    """A finding to be mended.

    Attributes
    ----------
    number : int
        Of the finding.
    rows : ndarray (r,) int64
        Positions of the responsible training rows, each once.
    errors : ndarray (e,) int64
        Positions of the mispredicted test rows that trace back to them.
    slice_name : str or None
        The slice in words, as ``age = [0-10)``.
    slice_train, slice_test : ndarray of int64
        Positions of its training and test rows; empty without one.
    """

    number: int
    rows: Positions
    errors: Positions
    slice_name: str | None = None
    slice_train: Positions = field(default_factory=_none)
    slice_test: Positions = field(default_factory=_none)

    @property
    def counted(self) -> Positions:
        """Test rows on which errors are counted."""
        return self.slice_test if len(self.slice_test) else self.errors


@dataclass(frozen=True)
class Outcome:
    """Test errors and losses under some parameters; losses are means in nats.

    Attributes
    ----------
    errors, test_errors : int
        Mispredicted rows among those counted, and among all test rows.
    loss, error_loss, test_loss : float
        Of the rows counted, of the finding's mispredicted rows, and of all test rows.
    """

    errors: int
    loss: float
    error_loss: float
    test_errors: int
    test_loss: float


@dataclass(frozen=True)
class Judged:
    """All test rows under some parameters.

    Attributes
    ----------
    wrong : ndarray (t,)
        Which are mispredicted.
    loss : ndarray (t,)
        Their losses, in nats.
    """

    wrong: NDArray[np.bool_]
    loss: NDArray[np.float64]

    def outcome(self, counted: Positions, errors: Positions) -> Outcome:
        """Count errors among some rows; average losses over them, and over a finding's mispredicted ones."""
        return Outcome(
            errors=int(self.wrong[counted].sum()),
            loss=_mean(self.loss[counted]),
            error_loss=_mean(self.loss[errors]),
            test_errors=int(self.wrong.sum()),
            test_loss=_mean(self.loss),
        )


def _mean(values: NDArray[np.float64]) -> float:
    return float(values.mean()) if len(values) else float("nan")


@dataclass(frozen=True)
class Remedy:
    """One thing tried.

    Attributes
    ----------
    finding : int
        Number of the finding.
    remedy : str
        ``"remove"``, ``"down-weight"``, ``"relabel"``, ``"ridge"``, ``"collect"`` or ``"reweigh"``.
    detail : str
        What was done, in words.
    l2 : float
        λ.
    before, after : Outcome
        Without it and with it; `after` is None where it cannot be tried.
    predicted : float or None
        Change of the mean loss of the finding's test rows by the group Newton step.
    n_counted : int
        Rows on which errors are counted.
    """

    finding: int
    remedy: str
    detail: str
    l2: float
    before: Outcome
    after: Outcome | None
    n_counted: int
    predicted: float | None = None

    @property
    def measured(self) -> float | None:
        """Change of the mean loss of the finding's test rows, trained again."""
        return None if self.after is None else self.after.error_loss - self.before.error_loss

    @property
    def cures(self) -> bool:
        """Whether most errors are gone, and the test rows as a whole no worse."""
        return self._leaves(LEFT)

    @property
    def helps(self) -> bool:
        """Whether half of the errors are gone at least, and the test rows as a whole no worse."""
        return self._leaves(HALF)

    def _leaves(self, share: float) -> bool:
        if self.after is None or not self.before.errors:
            return False
        fewer = self.after.errors <= share * self.before.errors
        return fewer and self.after.test_loss <= (1.0 + DEARER) * self.before.test_loss


@dataclass(frozen=True)
class GridPoint:
    """The minimum at one λ.

    Attributes
    ----------
    l2 : float
        λ.
    theta : Tensor (p,)
        Parameters.
    judged : Judged
        The test rows there.
    """

    l2: float
    theta: Tensor
    judged: Judged


@dataclass(frozen=True)
class Remedies:
    """Everything tried for a finding, and what to do.

    Attributes
    ----------
    tried : tuple of Remedy
        In the order of the table in `remedies`, ridges by λ.
    advice : str
        One or two sentences.
    """

    tried: tuple[Remedy, ...]
    advice: str
