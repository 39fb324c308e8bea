"""What a fit says, as something that can be overturned by removing rows (`fragility`).

A conclusion holds or not, and has a margin: a function of θ, smooth where it matters, that is positive while
the conclusion holds and falls towards 0 as it falls. Its gradient tells which rows to remove. What is shown
to people is its measure, in plain units.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from dataaudit.models import LinearModel
from dataaudit.rows import Block

# The narrowest τ, in log-odds: below it a step of one row would pass over the place where it matters.
NARROW = 0.02


class Conclusion(Protocol):
    """Something that a fit says, and what to push to overturn it."""

    def holds(self, theta: Tensor) -> bool:
        """Return whether θ still says so."""

    def margin(self, theta: Tensor) -> float:
        """Return how far the conclusion is from falling; at most 0 when it has."""

    def gradient(self, theta: Tensor) -> Tensor:
        """Return the gradient of the margin."""  # (p,) -> (p,)

    def measure(self, theta: Tensor) -> float:
        """Return what the conclusion is about, for people."""


@dataclass(frozen=True)
class Prediction:
    """The class that a fit gives to a row; margin and measure are its lead over the next class, in log-odds.

    Parameters
    ----------
    model : LinearModel
        The formulas.
    row : Block
        One row; its label does not matter.
    predicted : int
        The class that was predicted.
    """

    model: LinearModel
    row: Block
    predicted: int

    def holds(self, theta: Tensor) -> bool:
        """Return whether the class is still the same."""
        return self.margin(theta) > 0

    def margin(self, theta: Tensor) -> float:
        """Return the lead over the next class."""
        s = _all_scores(self.model, theta, self.row)
        return float(_lead(s, torch.tensor([self.predicted]))[0][0])

    def gradient(self, theta: Tensor) -> Tensor:
        """Return the gradient of the lead."""
        s = _all_scores(self.model, theta, self.row)
        own = torch.tensor([self.predicted])
        one = torch.ones(1, dtype=torch.float64)
        return _lead_gradient(self.row, (own, _lead(s, own)[1]), one, s.shape[1])

    def measure(self, theta: Tensor) -> float:
        """Return the lead over the next class."""
        return self.margin(theta)


@dataclass(frozen=True)
class CoefficientSign:
    """The sign of a coefficient; margin and measure are its magnitude, in log-odds per unit of the feature.

    Parameters
    ----------
    position : int
        Its place in θ: feature j for score a is at ``j·k + a``.
    sign : float
        1.0 or -1.0, as fitted.
    """

    position: int
    sign: float

    def holds(self, theta: Tensor) -> bool:
        """Return whether the sign is still the same."""
        return self.margin(theta) > 0

    def margin(self, theta: Tensor) -> float:
        """Return the coefficient times its sign."""
        return self.sign * float(theta[self.position])

    def gradient(self, theta: Tensor) -> Tensor:
        """Return the gradient of that."""
        direction = torch.zeros_like(theta)
        direction[self.position] = self.sign
        return direction

    def measure(self, theta: Tensor) -> float:
        """Return the coefficient times its sign."""
        return self.margin(theta)


@dataclass(frozen=True)
class SliceErrors:
    """More than `at_most` rows of a slice are predicted wrong; the measure is their number.

    The margin is the number of errors that are too many, each row counted as σ(-lead/τ): 1 where its
    true class is far behind, 0 where it is far ahead, and a half where they tie. So it also sees right
    rows that are about to turn wrong; pushing only the wrong ones moves as many rows the other way. τ
    is half the lead of the last row that must be righted: as much of the slice counts as has to move.

    Parameters
    ----------
    model : LinearModel
        The formulas.
    rows : Block
        The labelled rows of the slice.
    at_most : int
        Errors that are tolerated.
    """

    model: LinearModel
    rows: Block
    at_most: int

    def holds(self, theta: Tensor) -> bool:
        """Return whether there are still too many errors."""
        return self.measure(theta) > self.at_most

    def margin(self, theta: Tensor) -> float:
        """Return how many errors are too many, smoothly."""
        lead, _, tau = self._leads(theta)
        return float(torch.sigmoid(-lead / tau).sum()) - self.at_most

    def gradient(self, theta: Tensor) -> Tensor:
        """Return its gradient at a fixed τ."""
        lead, rival, tau = self._leads(theta)
        share = torch.sigmoid(lead / tau) * torch.sigmoid(-lead / tau) / tau
        return -_lead_gradient(self.rows, (self.rows.y, rival), share, self.model.loss.n_scores + 1)

    def measure(self, theta: Tensor) -> float:
        """Return how many rows are predicted wrong; a row whose classes tie is right."""
        return float((self._leads(theta)[0] < 0).sum())

    def _leads(self, theta: Tensor) -> tuple[Tensor, Tensor, float]:
        """Return the leads of the true classes, their rivals, and τ."""
        lead, rival = _lead(_all_scores(self.model, theta, self.rows), self.rows.y)
        behind = lead[lead < 0].sort(descending=True).values
        too_many = len(behind) - self.at_most
        tau = -float(behind[too_many - 1]) / 2 if too_many > 0 else 0.0
        return lead, rival, max(tau, NARROW)


@dataclass(frozen=True)
class SliceLoss:
    """The mean loss of a slice is above `at_most`; the measure is that loss, in nats.

    Parameters
    ----------
    model : LinearModel
        The formulas.
    rows : Block
        The labelled rows of the slice.
    at_most : float
        The loss to come down to.
    """

    model: LinearModel
    rows: Block
    at_most: float

    def holds(self, theta: Tensor) -> bool:
        """Return whether the loss is still above it."""
        return self.margin(theta) > 0

    def margin(self, theta: Tensor) -> float:
        """Return how far the loss is above it."""
        return self.measure(theta) - self.at_most

    def gradient(self, theta: Tensor) -> Tensor:
        """Return the gradient of the mean loss."""
        share = torch.full_like(self.rows.weight, 1.0 / len(self.rows.y))
        return self.model.gradient(theta, Block(self.rows.X, self.rows.y, share))

    def measure(self, theta: Tensor) -> float:
        """Return the mean loss."""
        return float(self.model.values(theta, self.rows).mean())


def _all_scores(model: LinearModel, theta: Tensor, block: Block) -> Tensor:
    """Return the scores of all classes, the reference's 0 first."""  # -> (b, K)
    return torch.nn.functional.pad(model.scores(theta, block), (1, 0))


def _lead(s: Tensor, own: Tensor) -> tuple[Tensor, Tensor]:
    """Return by how much each row's own class leads its strongest rival, and that rival."""  # (b, K), (b,)
    rival = s.scatter(1, own[:, None], -torch.inf).argmax(1)
    return (s.gather(1, own[:, None]) - s.gather(1, rival[:, None]))[:, 0], rival


def _lead_gradient(block: Block, classes: tuple[Tensor, Tensor], share: Tensor, n_classes: int) -> Tensor:
    """Return the gradient of the weighted sum of leads: own class less rival, without the reference."""
    own, rival = (torch.nn.functional.one_hot(c, n_classes) for c in classes)  # -> (p,)
    pull = share[:, None] * (own - rival)[:, 1:]
    return block.pull(pull).view(-1)
