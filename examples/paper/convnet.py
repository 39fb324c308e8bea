"""A convolutional network on digits, trained until it nearly stands still: what figure 2, right, needs.

The network is the one of Koh & Liang (2017), section 4.2, with 2,616 parameters: five convolutions of 3 × 3
and eight channels, two of them with stride 2, one of 1 × 1, the mean over positions, a linear layer; tanh in
between.

    R(θ) = (1/n) Σ ℓ(z_i, θ) + (λ/2)‖θ‖²

Minibatches alone leave it far from a minimum, with directions of negative curvature that no damping of 0.01
lifts. So Adam (Kingma & Ba 2015) is followed by L-BFGS in the coordinates ``u = Lᵀ(θ - θ₀)`` in which the
Gauss-Newton matrix ``G + μI = L Lᵀ`` is the identity. G needs nothing but gradients: with p_k the predicted
probability of class k, and g_k the gradient of the cross-entropy if k were the label,

    G = (1/n) Σ_i Σ_k p_k g_k g_kᵀ + λ I          (Martens 2020, section 9: it is Fisher's matrix as well)

It is no Hessian: with μ as large as what it misses, steps in these coordinates have the right size.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

import torch

from paper import Floats

from scipy.optimize import minimize

from torch import Tensor, nn

from dataaudit import ModuleModel


SCALE = 2.0  # of the first weights
CLASSES, CHANNELS = 10, 8
STRIDES = (1, 2, 1, 2, 1)
AT_ONCE = 500  # rows that stay in the cache together
RARE = 1e-5  # probability below which a class adds nothing to the curvature
MEMORY = 100  # pairs that L-BFGS remembers

class Mean(nn.Module):
    """The mean over positions."""

    def forward(self, maps: Tensor) -> Tensor:
        """Average."""  # (b, c, h, w) -> (b, c)
        return maps.mean((2, 3))

def network(seed: int) -> nn.Sequential:
    """Return the network with normal weights and biases of 0.

    Weights have a standard deviation of 2/√(fan-in). From half of that they would have to grow first, slowly,
    against the ridge.
    """
    layers: list[nn.Module] = []
    before = 1
    for stride in STRIDES:
        layers += [nn.Conv2d(before, CHANNELS, 3, stride=stride, padding=1), nn.Tanh()]
        before = CHANNELS
    layers += [nn.Conv2d(CHANNELS, CLASSES, 1), nn.Tanh(), Mean(), nn.Linear(CLASSES, CLASSES)]
    generator = torch.Generator().manual_seed(seed)
    net = nn.Sequential(*layers)
    for values in net.parameters():
        fan_in = values[0].numel()
        scale = SCALE * fan_in**-0.5 if values.dim() > 1 else 0.0
        nn.init.normal_(values, std=scale, generator=generator)
    return net

@dataclass(frozen=True)
class Training:
    """R over some rows.

    Attributes
    ----------
    model : ModuleModel
        The network and its loss.
    X, y : Tensor (n, 1, 28, 28), (n,)
        Rows.
    l2 : float
        λ.
    left_out : int, optional
        A row that adds nothing; the mean stays one over n, as in I_up,loss.
    """

    model: ModuleModel
    X: Tensor
    y: Tensor
    l2: float
    left_out: int | None = None

    def at(self, theta: Tensor) -> tuple[float, Tensor]:
        """Return R and its gradient."""  # (p,) -> number, (p,)
        theta = theta.detach().requires_grad_()
        value, gradient = 0.0, torch.zeros_like(theta)
        for rows in torch.split(torch.arange(len(self.y)), AT_ONCE):
            losses = self.model.losses(theta, self.X[rows], self.y[rows])
            if self.left_out is not None:
                losses = losses * (rows != self.left_out)
            total = losses.sum() / len(self.y)
            gradient += torch.autograd.grad(total, theta)[0]
            value += float(total.detach())
        theta = theta.detach()
        return value + 0.5 * self.l2 * float(theta @ theta), gradient + self.l2 * theta

    def gauss_newton(self, theta: Tensor) -> Tensor:
        """Return G."""  # (p,) -> (p, p)
        G = torch.zeros(len(theta), len(theta), dtype=theta.dtype)
        for rows in torch.split(torch.arange(len(self.y)), AT_ONCE):
            X = self.X[rows]
            of = [self.model.losses(theta, X, torch.full((len(rows),), k)) for k in range(CLASSES)]
            for k, p in enumerate(torch.exp(-torch.stack(of))):
                kept = p > RARE
                if kept.any():
                    target = torch.full((int(kept.sum()),), k)
                    g = self.model.gradients(theta, X[kept], target) * p[kept, None].sqrt()
                    G.addmm_(g.T, g)
        return (G / len(self.y)).double() + self.l2 * torch.eye(len(theta), dtype=torch.float64)

def by_minibatches(training: Training, *, steps: int, rate: float, seed: int) -> Tensor:
    """Return where Adam ends from the network's own parameters, with one cycle of the learning rate."""
    theta = training.model.theta.requires_grad_()
    optimiser = torch.optim.Adam([theta], lr=rate)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, rate, total_steps=steps)
    generator = torch.Generator().manual_seed(seed)
    n, batches = len(training.y), list[Tensor]()
    for _ in range(steps):
        batches = batches or list(torch.split(torch.randperm(n, generator=generator), AT_ONCE))
        rows = batches.pop()
        loss = training.model.losses(theta, training.X[rows], training.y[rows]).mean()
        theta.grad = torch.autograd.grad(loss + 0.5 * training.l2 * (theta @ theta), theta)[0]
        optimiser.step()
        schedule.step()
    return theta.detach()

@dataclass(frozen=True)
class Coordinates:
    """``u = Lᵀ(θ - θ₀)``.

    Attributes
    ----------
    L : Tensor (p, p)
        Lower triangular.
    """

    L: Tensor

    def step(self, u: Tensor) -> Tensor:
        """Return ``θ - θ₀``."""  # (p, m) -> (p, m)
        moved: Tensor = torch.linalg.solve_triangular(self.L.T, u, upper=True)
        return moved

    def slope(self, gradient: Tensor) -> Tensor:
        """Return the gradient with respect to u."""  # (p, m) -> (p, m)
        pulled: Tensor = torch.linalg.solve_triangular(self.L, gradient.double(), upper=False)
        return pulled

    def inverse(self, V: Tensor) -> Tensor:
        """Return ``(L Lᵀ)⁻¹ V``."""  # (p, m) -> (p, m)
        return self.step(self.slope(V)).to(V)

def coordinates(training: Training, theta: Tensor, *, metric: float) -> Coordinates:
    """Return those of G + μI at θ, with μ the metric."""  # at (p,)
    G = training.gauss_newton(theta)
    return Coordinates(torch.linalg.cholesky(G + metric * torch.eye(len(G), dtype=G.dtype)))

def settled(training: Training, theta: Tensor, at: Coordinates, *, evaluations: int) -> Tensor:
    """Return where L-BFGS goes on to, in coordinates.

    Parameters
    ----------
    training : Training
    theta : Tensor (p,)
        The start.
    at : Coordinates
    evaluations : int
        Of R and its gradient, about.

    Returns
    -------
    Tensor (p,)
    """

    def moved(u: Floats) -> Tensor:
        return (theta.double() + at.step(torch.from_numpy(u)[:, None])[:, 0]).to(theta)

    def value(u: Floats) -> tuple[float, Floats]:
        found, gradient = training.at(moved(u))
        return found, at.slope(gradient[:, None])[:, 0].numpy()

    options = {"maxcor": MEMORY, "maxfun": evaluations, "maxiter": evaluations, "ftol": 0.0, "gtol": 0.0}
    found = minimize(value, np.zeros(len(theta)), jac=True, method="L-BFGS-B", options=options)
    return moved(found.x)
