"""Pointwise losses: what a row contributes as a function of its scores alone.

A loss knows neither features nor parameters. For a row with scores s (k,) and class y it gives the value ℓ,
the slope ∂ℓ/∂s and the curvature ∂²ℓ/∂s². The chain rule through X is the model's work.

`Softmax` with K classes has k = K - 1 scores; class 0 is the reference and has score 0, since K scores with
unpenalised intercepts would make the Hessian singular (adding a constant to all changes nothing)::

    ℓ(s, y) = log(1 + Σ_j exp s_j) - s_y        slope = p - e_y        curvature = diag(p) - p pᵀ

with p the probabilities of classes 1 to K-1 and s_0 = 0, e_0 = 0. For K = 2 this is logistic regression.

Two classes with one score s have others, with the labels ±1 as c and the margin m = c s::

    SmoothHinge     t log(1 + exp u), u = (1 - m)/t      -c σ(u)                 σ(u) σ(-u)/t
    SquaredHinge    max(0, 1 - m)²                       -2 c max(0, 1 - m)      2 where m < 1, else 0
    Squared         (1 - m)²/2                           -c (1 - m) = s - c      1

Numbers, with one score, have the last two, y being a float::

    Normal          (s - y)²/2                           s - y                   1
    Poisson         exp s - y s - y + y log y            exp s - y               exp s

At t = 0 the smooth hinge is the hinge of support vector machines (Koh & Liang 2017, section 4.2), which is
flat but for a kink at m = 1 and so has no curvature; there its slope is that of the limit, -c/2.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from dataaudit.errors import SettingError


class Loss(Protocol):
    """A pointwise loss in k scores."""

    @property
    def n_scores(self) -> int:
        """Number of scores k."""

    def value(self, s: Tensor, y: Tensor) -> Tensor:
        """Return the loss of each row."""  # (b, k), (b,) -> (b,)

    def slope(self, s: Tensor, y: Tensor) -> Tensor:
        """Return ∂ℓ/∂s of each row."""  # (b, k), (b,) -> (b, k)

    def curvature(self, s: Tensor, y: Tensor) -> Tensor:
        """Return ∂²ℓ/∂s² of each row."""  # (b, k), (b,) -> (b, k, k)


@dataclass(frozen=True)
class Softmax:
    """Negative log-likelihood of K classes with K - 1 scores."""

    n_classes: int

    def __post_init__(self) -> None:
        """Check the number of classes."""
        if self.n_classes < 2:  # noqa: PLR2004 - a class needs another one
            raise SettingError(
                f"a classifier needs two classes: got {self.n_classes}", "check the label column"
            )

    @property
    def n_scores(self) -> int:
        """K - 1."""
        return self.n_classes - 1

    def log_probabilities(self, s: Tensor) -> Tensor:
        """Return the log-probability of every class, the reference first."""  # (b, k) -> (b, K)
        return torch.log_softmax(torch.nn.functional.pad(s, (1, 0)), dim=1)

    def value(self, s: Tensor, y: Tensor) -> Tensor:
        """Return ``log(1 + Σ exp s_j) - s_y``."""  # (b, k), (b,) -> (b,)
        if self.n_classes == 2:  # noqa: PLR2004 - softplus keeps full precision for very small losses
            return torch.nn.functional.softplus(torch.where(y == 1, -s[:, 0], s[:, 0]), threshold=700.0)
        logp = self.log_probabilities(s)
        value, wrong = -logp.gather(1, y[:, None])[:, 0], self._others(logp).gather(1, y[:, None])[:, 0]
        return torch.where(wrong < 0.5, -torch.log1p(-wrong), value)  # noqa: PLR2004 - the one that does not cancel

    def slope(self, s: Tensor, y: Tensor) -> Tensor:
        """Return ``p - e_y``."""  # (b, k), (b,) -> (b, k)
        if self.n_classes == 2:  # noqa: PLR2004 - 1 - p would cancel where p is near 1
            sign = 1.0 - 2.0 * y.to(s.dtype)[:, None]
            return sign * torch.sigmoid(sign * s)
        logp = self.log_probabilities(s)
        own = torch.nn.functional.one_hot(y, self.n_classes).bool()
        return torch.where(own, -self._others(logp), logp.exp())[:, 1:]

    def curvature(self, s: Tensor, y: Tensor) -> Tensor:
        """Return ``diag(p) - p pᵀ``, the same for every label."""  # (b, k), (b,) -> (b, k, k)
        del y
        if self.n_classes == 2:  # noqa: PLR2004 - p(1-p) as a product keeps precision in both tails
            return (torch.sigmoid(s) * torch.sigmoid(-s))[:, :, None]
        logp = self.log_probabilities(s)
        p = logp[:, 1:].exp()
        W = -p[:, :, None] * p[:, None, :]
        W.diagonal(dim1=1, dim2=2).copy_(p * self._others(logp)[:, 1:])
        return W

    def _others(self, logp: Tensor) -> Tensor:
        """Return 1 - p of every class as a sum over the others, which keeps precision where p is near 1."""
        return logp.exp() @ (
            1.0 - torch.eye(self.n_classes, dtype=logp.dtype, device=logp.device)
        )  # (b, K) -> (b, K)


@dataclass(frozen=True)
class _Margin:
    """A loss of two classes in one score."""

    @property
    def n_scores(self) -> int:
        """One."""
        return 1


def _sign(s: Tensor, y: Tensor) -> Tensor:
    """Return the labels as ±1."""  # (b, 1), (b,) -> (b,)
    return 2.0 * y.to(s.dtype) - 1.0


@dataclass(frozen=True)
class SmoothHinge(_Margin):
    """The hinge, rounded over a width t around its kink."""

    temperature: float  # t, 0 or more; 0 is the hinge itself

    def __post_init__(self) -> None:
        """Check the temperature."""
        if not 0 <= self.temperature < float("inf"):
            raise SettingError(
                f"the temperature of a hinge is 0 or more: got {self.temperature}", "0.001 is a good one"
            )

    def value(self, s: Tensor, y: Tensor) -> Tensor:
        """Return ``t log(1 + exp((1 - m)/t))``."""  # (b, 1), (b,) -> (b,)
        short = 1.0 - _sign(s, y) * s[:, 0]
        if self.temperature == 0:
            return short.clamp_min(0.0)
        rounding = torch.log1p(torch.exp(-short.abs() / self.temperature))
        return short.clamp_min(0.0) + self.temperature * rounding

    def slope(self, s: Tensor, y: Tensor) -> Tensor:
        """Return ``-c σ((1 - m)/t)``."""  # (b, 1), (b,) -> (b, 1)
        return (-_sign(s, y) * torch.sigmoid(self._reach(s, y)))[:, None]

    def curvature(self, s: Tensor, y: Tensor) -> Tensor:
        """Return ``σ(u) σ(-u)/t``."""  # (b, 1), (b,) -> (b, 1, 1)
        if self.temperature == 0:
            return torch.zeros_like(s)[:, :, None]
        u = self._reach(s, y)
        return (torch.sigmoid(u) * torch.sigmoid(-u) / self.temperature)[:, None, None]

    def _reach(self, s: Tensor, y: Tensor) -> Tensor:
        """Return u, which at t = 0 is 0 at the kink and infinite elsewhere."""  # (b, 1), (b,) -> (b,)
        short = 1.0 - _sign(s, y) * s[:, 0]
        if self.temperature == 0:
            return torch.where(short == 0, 0.0, short.sign() * float("inf"))
        return short / self.temperature


@dataclass(frozen=True)
class SquaredHinge(_Margin):
    """The squared hinge; its curvature jumps at m = 1, where Newton's method takes that of the far side."""

    def value(self, s: Tensor, y: Tensor) -> Tensor:
        """Return ``max(0, 1 - m)²``."""  # (b, 1), (b,) -> (b,)
        return (1.0 - _sign(s, y) * s[:, 0]).clamp_min(0.0) ** 2

    def slope(self, s: Tensor, y: Tensor) -> Tensor:
        """Return ``-2 c max(0, 1 - m)``."""  # (b, 1), (b,) -> (b, 1)
        sign = _sign(s, y)
        return (-2.0 * sign * (1.0 - sign * s[:, 0]).clamp_min(0.0))[:, None]

    def curvature(self, s: Tensor, y: Tensor) -> Tensor:
        """Return 2 where the margin is short, else 0."""  # (b, 1), (b,) -> (b, 1, 1)
        return (2.0 * (_sign(s, y) * s[:, 0] < 1.0).to(s.dtype))[:, None, None]


@dataclass(frozen=True)
class Squared(_Margin):
    """Half the squared distance to ±1: least squares as a classifier."""

    def value(self, s: Tensor, y: Tensor) -> Tensor:
        """Return ``(s - c)²/2``."""  # (b, 1), (b,) -> (b,)
        return 0.5 * (s[:, 0] - _sign(s, y)) ** 2

    def slope(self, s: Tensor, y: Tensor) -> Tensor:
        """Return ``s - c``."""  # (b, 1), (b,) -> (b, 1)
        return s - _sign(s, y)[:, None]

    def curvature(self, s: Tensor, y: Tensor) -> Tensor:
        """Return 1."""  # (b, 1), (b,) -> (b, 1, 1)
        return torch.ones_like(s)[:, :, None]


@dataclass(frozen=True)
class _Number:
    """A loss of numbers, half a deviance, in one score."""

    @property
    def n_scores(self) -> int:
        """One."""
        return 1


@dataclass(frozen=True)
class Normal(_Number):
    """Half the squared distance: least squares."""

    def value(self, s: Tensor, y: Tensor) -> Tensor:
        """Return ``(s - y)²/2``."""  # (b, 1), (b,) -> (b,)
        return 0.5 * (s[:, 0] - y) ** 2

    def slope(self, s: Tensor, y: Tensor) -> Tensor:
        """Return ``s - y``."""  # (b, 1), (b,) -> (b, 1)
        return s - y[:, None]

    def curvature(self, s: Tensor, y: Tensor) -> Tensor:
        """Return 1."""  # (b, 1), (b,) -> (b, 1, 1)
        return torch.ones_like(s)[:, :, None]


@dataclass(frozen=True)
class Poisson(_Number):
    """Half the deviance of counts whose logarithmic mean is the score."""

    def value(self, s: Tensor, y: Tensor) -> Tensor:
        """Return ``exp s - y s - y + y log y``."""  # (b, 1), (b,) -> (b,)
        value: Tensor = s[:, 0].exp() - y * s[:, 0] - y + torch.special.xlogy(y, y)
        return value

    def slope(self, s: Tensor, y: Tensor) -> Tensor:
        """Return ``exp s - y``."""  # (b, 1), (b,) -> (b, 1)
        return s.exp() - y[:, None]

    def curvature(self, s: Tensor, y: Tensor) -> Tensor:
        """Return ``exp s``."""  # (b, 1), (b,) -> (b, 1, 1)
        return s.exp()[:, :, None]
