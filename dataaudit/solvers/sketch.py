"""Quadratic forms of all rows by random projection, without a factorisation.

With W = R Rᵀ the weighted curvature of a row and X̃ ⊗ R of all of them in B = [(X̃ ⊗ R)ᵀ/√n; (λ C)^½], the
Hessian is H = BᵀB. With ω (n × k) and η (d × k) standard normal,

    z = H⁻¹ Bᵀ [ω; η]        u_i = R_iᵀ (x̃_iᵀ z)/√n        E[u_i u_iᵀ] = h_i        E[(ω - u)(ω - u)ᵀ] = I - h

with h = R_iᵀ Q_i R_i/n the leverage of a row (Johnson & Lindenstrauss 1984; Spielman & Srivastava 2008). Row
by row a = mean u² and b = mean (ω - u)² over m probes are independent, since u and ω - u are orthogonal
projections of one normal vector. Leave-one-out divides by 1 - h, so the two are joined, each weighted by the
inverse of its variance (∝ h², (1-h)²), to

    h = a (b² - ab + a)/(a² + b²)

which is always inside (0, 1); for several scores, along the eigenvectors of the sampled leverage.

The relative error of a form is about √(2/m) (1-h): it serves where an average over rows decides, as in the
choice of λ, and to find the rows that are worth a solve (`projected`). The solves are those of `schur`, to a
tolerance well below that error.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor

from dataaudit.model.objective import Objective
from dataaudit.options.progress import ticking
from dataaudit.solvers.base import damped_ridge
from dataaudit.solvers.dual import square_root
from dataaudit.solvers.schur import Schur

LEAST_CURVATURE: Final = 1e-30  # below this it is as good as none
# Columns that are eliminated for a few probes to a loose tolerance: *measured* on 5,172 mails, more take four
# times as long to factor as all steps that they save.
ELIMINATED: Final = 256


@dataclass(frozen=True)
class Sketch:
    """Settings of the projection."""

    probes: int = 32
    tolerance: float = 0.05  # relative residual of the solves
    seed: int = 0  # of the projection; the same for every λ of a path, so that their losses compare
    damping: float = 0.0  # δ, added to the Hessian

    def quadratic_forms(self, objective: Objective, theta: Tensor) -> Tensor:
        """Return estimates of Q_i at θ."""  # theta (p,) -> (n, k, k)
        return self.prepare(objective, theta).quadratic_forms()

    def prepare(self, objective: Objective, theta: Tensor) -> Sketched:
        """Project the rows at θ."""
        return self.project(
            objective, theta, Schur.of(objective, theta, damping=self.damping, most=ELIMINATED)
        )

    def project(self, objective: Objective, theta: Tensor, inverse: Schur) -> Sketched:
        """Project the rows by an inverse Hessian at hand."""
        n, width, k = objective.rows.n, objective.rows.width + 1, objective.model.loss.n_scores
        R = square_root(objective.curvature(theta))
        roots = [
            torch.linalg.cholesky(objective.l2 * ridge + 1e-300 * torch.eye(k, dtype=torch.float64)).float()
            for ridge in damped_ridge(objective, self.damping)
        ]
        generator = torch.Generator().manual_seed(self.seed)
        u, omega = torch.empty(n, k, self.probes), torch.empty(n, k, self.probes)
        scaled = R.mT.float() / n**0.5
        for probes in ticking(torch.split(torch.arange(self.probes), inverse.columns)):
            drawn = torch.randn(n, k, len(probes), generator=generator)
            eta = torch.randn(width, k, len(probes), generator=generator)
            eta = torch.cat([roots[0] @ eta[:-1], roots[1] @ eta[-1:]])
            B = inverse.pull(scaled.mT @ drawn).add_(eta.view(-1, len(probes)))
            u[:, :, probes] = scaled @ inverse.scores(inverse.solve(B, self.tolerance))
            omega[:, :, probes] = drawn
        # The columns of R are orthogonal, so R⁻ᵀ divides each by its squared length.
        R_inverse_T = R / R.square().sum(1, keepdim=True).clamp_min(LEAST_CURVATURE)
        return Sketched(u, omega, R_inverse_T)


@dataclass(frozen=True)
class Sketched:
    """The projected rows; letters as in the module's docstring."""

    u: Tensor  # (n, k, m), in float32
    omega: Tensor  # (n, k, m)
    R_inverse_T: Tensor  # (n, k, k)

    def quadratic_forms(self) -> Tensor:
        """Return estimates of Q_i."""  # -> (n, k, k)
        return self.joint_forms(torch.arange(len(self.u))[:, None])

    def joint_forms(self, rows: Tensor) -> Tensor:
        """Return estimates of the forms of groups of d rows."""
        (g, d), k = rows.shape, self.u.shape[1]  # (g, d) -> (g, dk, dk)
        H = _joined(self.u[rows].view(g, d * k, -1), self.omega[rows].view(g, d * k, -1))
        R = self.R_inverse_T[rows]
        right = (H.view(g, d * k, d, k).transpose(1, 2) @ R.mT).transpose(1, 2)
        forms: Tensor = len(self.u) * (R @ right.reshape(g, d, k, d * k)).view(g, d * k, d * k)
        return forms


def _joined(u: Tensor, omega: Tensor) -> Tensor:
    """Return the leverage that u and ω - u give together."""  # 2 × (n, k, m) -> (n, k, k), in float64
    A = (u @ u.mT / u.shape[2]).double()
    if A.shape[1] == 1:
        a, E = A[:, :, 0], torch.ones_like(A)
    else:
        a, E = torch.linalg.eigh(A)
    left = E.mT.float() @ (omega - u)
    a, b = a.clamp(1e-30, 3.9), left.square().mean(2).double().clamp(1e-30, 3.9)
    h = a * (b**2 - a * b + a) / (a**2 + b**2)
    joined: Tensor = (E * h[:, None, :]) @ E.mT
    return joined
