"""A network trained again from where it stands, for other rows or labels: what influence predicts, measured.

    minimise over θ   (1/n) Σ ω ℓ(z_i, θ) + ½ Σ λ_j θ_j² + (δ/2) ‖θ - θ̃‖²

δ is the damping of the influence that is to be measured: without weight decay a network has no minimum near
where its training ended, and influence is that of a network which is held there (Bae et al. 2022). By L-BFGS
over all rows (Liu & Nocedal 1989), from a start that a seed moves a little. What it changes is what it leads
to without the change, by the same seed, taken off: training on changes a network by itself.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor

from dataaudit.model.torch import ROWS, ModuleModel, TensorRows

STEPS: Final = 150
MOVED: Final = 0.01  # of the root mean square of θ̃: standard deviation of the start
FLAT, STILL = 1e-6, 1e-10  # gradient, and change of the objective, at which it ends
MEMORY: Final = 20  # pairs that L-BFGS remembers


@dataclass(frozen=True)
class Refit:
    """What is minimised when a network is trained again."""

    model: ModuleModel
    ridge: Tensor  # (p,) λ
    damping: float
    losses: Callable[[Tensor, Tensor, Tensor], Tensor] | None = None  # a faster way to those of the model

    def value(
        self, theta: Tensor, rows: TensorRows, *, weight: Tensor, anchor: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return the objective and its gradient."""
        losses = self.losses or self.model.losses
        at, slope, total = theta.detach(), torch.zeros_like(theta), theta.new_zeros(())
        for (X, y), part in zip(rows.blocks(), torch.split(weight, ROWS), strict=True):
            moved = at.clone().requires_grad_()
            value = losses(moved, X, y) @ part / rows.n
            slope += torch.autograd.grad(value, moved)[0]
            total += value.detach()
        off = at - anchor
        total += 0.5 * (self.ridge * at) @ at + 0.5 * self.damping * off @ off
        return total, slope + self.ridge * at + self.damping * off

    def run(self, rows: TensorRows, weight: Tensor, *, seed: int) -> Tensor:
        """Return θ after training on rows of these weights."""  # weight (n,) -> (p,)
        anchor = self.model.theta
        drawn = torch.randn(
            len(anchor), generator=torch.Generator().manual_seed(seed), dtype=torch.float64
        ).to(anchor)
        theta = (anchor + MOVED * anchor.square().mean().sqrt() * drawn).requires_grad_()
        search = torch.optim.LBFGS(
            [theta],
            max_iter=STEPS,
            history_size=MEMORY,
            tolerance_grad=FLAT,
            tolerance_change=STILL,
            line_search_fn="strong_wolfe",
        )

        def closure() -> Tensor:
            total, theta.grad = self.value(theta, rows, weight=weight, anchor=anchor)
            return total

        search.step(closure)  # type: ignore[no-untyped-call]
        return theta.detach()


def held_near(gradient: Tensor, theta: Tensor) -> float:
    """Return the damping that would hold a network about where its training ended: ‖∇R‖/‖θ̃‖.

    That is the weight decay under which a point with such a gradient may be a minimum; 0 at a minimum.
    """
    size = float(theta.norm())
    return float(gradient.norm()) / size if size else 0.0
