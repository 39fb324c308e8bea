"""The losses of left-out rows along λ, and the search for the ridge that suits them.

The choice is the largest λ whose loss is above the least by no more than 1.5 standard errors of the
difference, row by row. The one-standard-error rule proper (Breiman et al. 1984) takes the error of the loss
itself, which is ten times larger: on 13 tables with flipped labels it allows a ridge that is plainly worse
for finding them. There 1.5 to 2 was best.

The search looks far above its start before it goes down: one step from the whole fit says little of rows that
fit themselves, so with hardly any ridge the loss may dip once more, and a descent would end there.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from dataaudit.influence.groups import Groups
from dataaudit.options import NOT_KEPT

LEAST, MOST = 1e-7, 1e2
STANDARD_ERRORS = 1.5
# Features are of unit variance: from here on hardly more than the shares of the classes is left of a fit.
STRONG = 1.0
FAR, STEP = 100.0, 10.0


@dataclass(frozen=True)
class PathLoss:
    """One λ."""

    l2: float
    losses: Tensor  # (b,) left-out losses of the judged rows, or groups, in nats; infinite if the fit failed
    theta: Tensor  # (p,) parameters near the minimum, float64, laid out as in `model.linear`

    @property
    def mean(self) -> float:
        """Mean loss."""
        return float(self.losses.mean())

    @property
    def standard_error(self) -> float:
        """Standard error of the mean, over rows, or groups."""
        return standard_error(self.losses)


def standard_error(values: Tensor) -> float:
    """Return the standard error of a mean."""
    return float(values.std() / len(values) ** 0.5) if len(values) > 1 else math.inf


class Curve(ABC):
    """Fits and judges one λ after another."""

    dear: bool  # whether a λ costs more than a second or so

    def __init__(self) -> None:
        self.found: dict[float, PathLoss] = {}
        self.starts: dict[float, Tensor] = {}  # where the fits at other λ may start
        self.kept = NOT_KEPT
        self.on_point: Callable[[], None] = lambda: None  # after every one that is new

    @abstractmethod
    def _evaluate(self, l2: float) -> PathLoss:
        """Return the left-out losses at a new λ, and add to the starts."""

    def at(self, l2: float) -> PathLoss:
        """Return the left-out losses at λ."""
        if l2 not in self.found:
            self.found[l2], self.starts[l2] = self.kept.once(f"{l2!r}", lambda: self._new(l2))
            self.on_point()
        return self.found[l2]

    def _new(self, l2: float) -> tuple[PathLoss, Tensor]:
        return self._evaluate(l2), self.starts.get(l2, torch.empty(0))

    def search(self, start: float) -> PathLoss:
        """Search from one λ, and return the choice; everything that was tried is in `found`."""
        far = [start * FAR]
        while far[-1] * FAR <= STRONG:
            far.append(far[-1] * FAR)
        # From the strongest, which takes few steps and leaves few to the next.
        for l2 in reversed(far if far[0] <= STRONG else [start * STEP]):
            self._try(l2)
        self.at(start)
        best = self._best()
        if not self.dear:
            self._try(best.l2 * STEP**-0.5)  # which is tried in the end, and is near to where the next starts
        lower = self._try(best.l2 / STEP)
        towards = 1 / STEP if lower.mean < best.mean else STEP
        while (further := self._try(best.l2 * towards)).mean < best.mean:
            best = further
        if not self.dear:
            for factor in (STEP**-0.5, STEP**0.5):
                self._try(best.l2 * factor)
        return self.choice()

    def choice(self) -> PathLoss:
        """Return the largest λ that is not clearly worse than the best."""
        best = self._best()
        if not math.isfinite(best.mean):
            return max(self.found.values(), key=lambda point: point.l2)

        def near(point: PathLoss) -> bool:
            difference = point.losses - best.losses
            return float(difference.mean()) <= STANDARD_ERRORS * standard_error(difference)

        return max((p for p in self.found.values() if p is best or near(p)), key=lambda point: point.l2)

    def nearest(self, l2: float) -> PathLoss | None:
        """Return what was found at the λ that is nearest, to start from."""
        return min(self.found.values(), key=lambda point: abs(math.log(point.l2 / l2)), default=None)

    def _best(self) -> PathLoss:
        return min(self.found.values(), key=lambda point: point.mean)

    def _try(self, l2: float) -> PathLoss:
        l2 = float(f"{l2:.4g}")
        if LEAST <= l2 <= MOST:
            return self.at(l2)
        return PathLoss(l2, torch.tensor([math.inf]), torch.empty(0))


def group_sums(values: Tensor, groups: Groups) -> Tensor:
    """Return the sum over each group."""  # (n,) -> (g,)
    number = torch.from_numpy(np.unique(groups.group, return_inverse=True)[1].reshape(-1))
    sums: Tensor = values.new_zeros(int(number.max()) + 1).index_add_(0, number, values)
    return sums
