"""Quadratic forms of all rows by random projection, without a factorisation.

In the letters of `dual`, with D = F Fᵀ and the weighted features S = Rᵀ (X ⊗ F) (nk × dk), the leverage
without the intercepts is ``P = S Sᵀ M⁻¹``, M = S Sᵀ + nλ I. With m probes, ω (nk × m) and η (dk × m)
standard normal,

    u = M⁻¹ S (Sᵀ ω + √(nλ) η)        E[u uᵀ] = P        E[(ω - u)(ω - u)ᵀ] = I - P

(Johnson & Lindenstrauss 1984; for leverage Drineas et al. 2012). Row by row a = mean u² and b = mean (ω -
u)² are independent, since u and ω - u are orthogonal projections of one normal vector. Leave-one-out
divides by 1 - h, so the two are joined, each weighted by the inverse of its variance (∝ h², (1-h)²), to

    h = a (b² - ab + a)/(a² + b²)

which is always inside (0, 1); for several scores, along the eigenvectors of the sampled leverage. One
right-hand side a score more, α = M⁻¹ [R_1ᵀ; …; R_nᵀ], borders it with the intercepts as in `dual`, and Q =
n R⁻ᵀ H R⁻¹: the rows of u scale with R exactly, since every step of conjugate gradients from 0 is S times
something.

The relative error of a form is about √(2/m), so it serves where an average over rows decides, as in the
choice of λ, and nowhere else. The solves are conjugate gradients in float32 to a tolerance well below that
error, on vectors of nk numbers: about 4·nnz(X)·m·k multiplications a step.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from functools import partial

import torch
from scipy.sparse import csr_array
from torch import Tensor

from dataaudit.model.objective import Objective
from dataaudit.solvers.base import damped_ridge
from dataaudit.solvers.cg import conjugate_gradients
from dataaudit.solvers.dual import square_root

# A curvature below this is as good as none.
LEAST_CURVATURE = 1e-30


@dataclass(frozen=True)
class Sketch:
    """Settings of the projection."""

    probes: int = 32
    tolerance: float = 0.05  # relative residual of the solves
    seed: int = 0  # of the projection; the same for every λ of a path, so that their losses compare
    damping: float = 0.0  # δ, added to the Hessian as in `dual`

    def quadratic_forms(self, objective: Objective, theta: Tensor) -> Tensor:
        """Return estimates of Q_i at θ."""  # theta (p,) -> (n, k, k)
        return self.prepare(objective, theta).quadratic_forms()

    def prepare(self, objective: Objective, theta: Tensor) -> Sketched:
        """Project the rows at θ."""
        n, k, m = objective.rows.n, objective.model.loss.n_scores, self.probes
        ridge = n * objective.l2
        slopes, intercepts = damped_ridge(objective, self.damping)
        weighted = _Weighted.of(objective, theta, slopes)
        normal = partial(torch.randn, dtype=torch.float32, generator=torch.Generator().manual_seed(self.seed))
        omega, eta = normal(n, k, m), normal(objective.rows.width, k, m)
        border = weighted.R.mT.contiguous()
        B = torch.cat(
            [weighted.times(weighted.pull(omega) + ridge**0.5 * eta), weighted.times(weighted.pull(border))],
            dim=2,
        )
        solved, _ = conjugate_gradients(
            lambda V: weighted.normal(V.view(n, k, -1)).view(n * k, -1) + ridge * V,
            B.view(n * k, m + k),
            precondition=lambda V: V,
            tolerance=self.tolerance,
        )
        u, pulled = torch.split(solved.view(n, k, m + k).double(), [m, k], dim=2)
        alpha = (border.double() - pulled) / ridge
        S_alpha = torch.einsum("nck,ncl->kl", border.double(), alpha) + intercepts
        R = weighted.R.double()
        # The columns of R are orthogonal, so R⁻ᵀ divides each by its squared length.
        R_inverse_T = R / R.square().sum(1, keepdim=True).clamp_min(LEAST_CURVATURE)
        return Sketched(u, omega.double(), R_inverse_T, alpha, S_alpha / ridge)


@dataclass(frozen=True)
class Sketched:
    """The projected rows; letters as in the module's docstring."""

    u: Tensor  # (n, k, m)
    omega: Tensor  # (n, k, m)
    R_inverse_T: Tensor  # (n, k, k)
    alpha: Tensor  # (n, k, k)
    border: Tensor  # (k, k)

    def quadratic_forms(self) -> Tensor:
        """Return estimates of Q_i."""  # -> (n, k, k)
        return self.joint_forms(torch.arange(len(self.u))[:, None])

    def joint_forms(self, rows: Tensor) -> Tensor:
        """Return estimates of the forms of groups of d rows."""
        (g, d), k = rows.shape, self.u.shape[1]  # (g, d) -> (g, dk, dk)
        alpha = self.alpha[rows].view(g, d * k, k)
        H = _joined(self.u[rows].view(g, d * k, -1), self.omega[rows].view(g, d * k, -1))
        H = H + alpha @ torch.linalg.solve(self.border, alpha.mT)
        R = self.R_inverse_T[rows]
        right = (H.view(g, d * k, d, k).transpose(1, 2) @ R.mT).transpose(1, 2)
        forms: Tensor = len(self.u) * (R @ right.reshape(g, d, k, d * k)).view(g, d * k, d * k)
        return forms


@dataclass(frozen=True)
class _Weighted:
    """S = Rᵀ (X ⊗ F) as products, in float32; a sparse X in both directions, which is twice as fast."""

    X: Tensor
    XT: Tensor
    R: Tensor  # (n, k, k)
    F: Tensor  # (k, k)

    @classmethod
    def of(cls, objective: Objective, theta: Tensor, ridge: Tensor) -> _Weighted:
        """Weigh the rows by their curvature at θ, under the form of the slopes' ridge."""
        X = objective.rows.X
        R = square_root(objective.curvature(theta)).float()
        F = torch.linalg.cholesky(torch.linalg.inv(ridge)).float()
        if isinstance(X, Tensor):
            return cls(X.float(), X.float().T, R, F)
        return cls(threaded(X), threaded(csr_array(X.T)), R, F)

    def times(self, V: Tensor) -> Tensor:
        """Return S V."""  # (d, k, m) -> (n, k, m)
        n, (_, k, m) = len(self.R), V.shape
        XV = (self.X @ V.reshape(-1, k * m)).view(n, k, m)
        return (self.F * self.R) * XV if k == 1 else self.R.mT @ (self.F @ XV)

    def pull(self, U: Tensor) -> Tensor:
        """Return Sᵀ U."""  # (n, k, m) -> (d, k, m)
        (n, k, m), R = U.shape, self.R
        weighed = (self.F * R) * U if k == 1 else self.F.T @ (R @ U)
        return (self.XT @ weighed.reshape(n, k * m)).view(-1, k, m)

    def normal(self, U: Tensor) -> Tensor:
        """Return S Sᵀ U."""  # (n, k, m) -> (n, k, m)
        return self.times(self.pull(U))


def threaded(X: csr_array) -> Tensor:
    """Return a sparse matrix as torch's, in float32: its products run on all cores, scipy's on one."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Sparse CSR tensor support is in beta state")
        return torch.sparse_csr_tensor(
            torch.from_numpy(X.indptr),
            torch.from_numpy(X.indices),
            torch.from_numpy(X.data.astype("float32")),
            size=X.shape,
            check_invariants=False,
        )


def _joined(u: Tensor, omega: Tensor) -> Tensor:
    """Return the leverage that u and ω - u give together."""  # 2 × (n, k, m) -> (n, k, k)
    a, E = torch.linalg.eigh(u @ u.mT / u.shape[2])
    a, b = a.clamp(1e-30, 3.9), (E.mT @ (omega - u)).square().mean(2).clamp(1e-30, 3.9)
    h = a * (b**2 - a * b + a) / (a**2 + b**2)
    joined: Tensor = (E * h[:, None, :]) @ E.mT
    return joined
