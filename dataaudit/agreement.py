"""How well predicted changes of loss agree with measured ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

# Through fewer points a correlation says nothing.
FEWEST = 3


class Checked(Protocol):
    """A change whose effect was predicted and then measured by a refit."""

    @property
    def change(self) -> str:
        """Kind of change: ``"removed"`` or ``"relabelled"``."""

    @property
    def predicted(self) -> float:
        """Predicted change of loss, in nats."""

    @property
    def measured(self) -> float:
        """Measured change of loss, in nats."""


@dataclass(frozen=True)
class Agreement:
    """Predictions against measurements.

    Attributes
    ----------
    slope : float
        Least-squares slope through the origin of predicted on measured, of the kind of change for which it is
        furthest from 1: changes of labels move the loss most and would hide the others.
    pearson : float
        Correlation over all changes; nan for fewer than three, or where either does not vary.
    """

    slope: float
    pearson: float


def agreement(refits: Sequence[Checked]) -> Agreement:
    """Compare predictions with measurements.

    Parameters
    ----------
    refits : sequence of Checked
        What was predicted and measured; pairs that are not finite do not count.

    Returns
    -------
    Agreement
        Slope and correlation; nan where there is nothing to compare.
    """
    finite = [r for r in refits if np.isfinite((r.predicted, r.measured)).all()]
    slopes = [
        _slope([r for r in finite if r.change == change]) for change in sorted({r.change for r in finite})
    ]
    slopes = [slope for slope in slopes if np.isfinite(slope)]
    predicted, measured = (np.array([getattr(r, name) for r in finite]) for name in ("predicted", "measured"))
    flat = len(finite) < FEWEST or measured.std() == 0 or predicted.std() == 0
    return Agreement(
        slope=max(slopes, key=lambda slope: abs(slope - 1.0)) if slopes else float("nan"),
        pearson=float("nan") if flat else float(np.corrcoef(predicted, measured)[0, 1]),
    )


def _slope(refits: Sequence[Checked]) -> float:
    """Return Σ predicted·measured / Σ measured²."""
    norm = sum(r.measured**2 for r in refits)
    return sum(r.predicted * r.measured for r in refits) / norm if norm > 0 else float("nan")
