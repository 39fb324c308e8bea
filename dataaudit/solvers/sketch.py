"""Quadratic forms of all rows by random projection, without a factorisation.

With m probes, Ω₁ (n·k) and Ω₂ (p) standard normal,

    Z = H⁻¹ (Σ_i x̃_i ⊗ R_i ω_i /√n + √λ Ω₂)        E[Z Zᵀ] = H⁻¹ H H⁻¹ = H⁻¹        Q_i ≈ (x̃_iᵀ Z)(x̃_iᵀ Z)ᵀ/m

(Johnson & Lindenstrauss 1984; for leverage Drineas et al. 2012). The relative error of a form is about
√(2/m), so it serves where an average over rows decides, as in the choice of λ, and nowhere else.

Leave-one-out divides by 1 - h, which such an error could turn negative. But Ω₁ tells 1 - h as well: with ω a
row of Ω₁ and u = R_iᵀ x̃_iᵀ Z/√n its part in the span of the weighted features, a = mean u² estimates h and
b = mean (ω - u)² estimates 1 - h, independently, since u and ω - u are orthogonal projections of one normal
vector. The two, weighted by the inverse of their variances (∝ h², (1-h)²), give

    ĥ = a (b² - ab + a)/(a² + b²)

always inside (0, 1); for several scores, along the eigenvectors of the sampled leverage. The m solves
are conjugate gradients in float32 to a tolerance well below that error: about 4·nnz(X)·m·k multiplications a
step.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache, partial
from itertools import pairwise

import numpy as np
import torch
from scipy.sparse import csr_array
from torch import Tensor

from dataaudit.objective import Objective
from dataaudit.rows import Block, MemoryRows
from dataaudit.solvers.cg import conjugate_gradients
from dataaudit.solvers.dual import square_root


@dataclass(frozen=True)
class Sketch:
    """Settings of the projection.

    Parameters
    ----------
    probes : int
        m.
    tolerance : float
        Relative residual of the solves.
    seed : int
        Of the projection; the same for every λ of a path, so that their losses compare.
    """

    probes: int = 32
    tolerance: float = 0.05
    seed: int = 0

    def quadratic_forms(self, objective: Objective, theta: Tensor) -> Tensor:
        """Return estimates of Q_i at θ.

        Parameters
        ----------
        objective : Objective
            The training objective.
        theta : Tensor (p,)
            Where H is taken.

        Returns
        -------
        Tensor (n, k, k)
            The estimates, float64.
        """
        k, m, n = objective.model.loss.n_scores, self.probes, objective.rows.n
        normal = partial(torch.randn, dtype=torch.float32, generator=torch.Generator().manual_seed(self.seed))
        block, W, model = _single(objective.rows), objective.curvature(theta), objective.model
        R, probes = square_root(W), normal(n, k, m)
        B = block.pull((R.float() @ probes).view(n, k * m)).view(-1, m) / n**0.5
        root = (objective.l2**0.5 * torch.linalg.cholesky(model.coupling)).float()
        B.view(-1, k, m)[:-1] += root @ normal(model.width, k, m)
        inverse, W = (
            objective.hessian_diagonal(theta).clamp_min(1e-12).reciprocal().float()[:, None],
            W.float(),
        )
        Z, _ = conjugate_gradients(
            lambda V: model.bend(W, V, block) / n + objective.l2 * model.ridge(V),
            B,
            precondition=lambda V: V * inverse,
            tolerance=self.tolerance,
        )
        V = block.scores(Z.view(-1, k * m)).view(n, k, m).double()
        return _calibrated(V, R / n**0.5, probes.double())


def _calibrated(V: Tensor, R: Tensor, probes: Tensor) -> Tensor:
    """Return ``V Vᵀ/m``, corrected by what the probes themselves say of the leverage."""
    m = V.shape[2]  # (n, k, m), (n, k, k), (n, k, m) -> (n, k, k)
    Q, inside = V @ V.mT / m, R.mT @ V
    outside = probes - inside
    a, E = torch.linalg.eigh(inside @ inside.mT / m)
    a, b = a.clamp(1e-30, 3.9), (E.mT @ outside).square().mean(2).clamp_max(3.9)
    gain = (b**2 - a * b + a) / (a**2 + b**2)
    QRE = Q @ R @ E
    correction: Tensor = QRE @ (((gain - 1) / a)[:, :, None] * QRE.mT)
    return Q + correction


@dataclass(frozen=True)
class _Single(Block):
    """All rows in float32; a sparse X in bands of rows, and so its transpose, a thread for each band.

    SciPy multiplies on one thread, but lets others run; row by row a transposed product is twice as fast.
    """

    bands: tuple[csr_array, ...] = ()
    transposed: tuple[csr_array, ...] = ()

    def scores(self, V: Tensor) -> Tensor:
        """Return ``[X, 1] V``."""  # (d+1, m) -> (n, m)
        return _banded(self.bands, V[:-1]).add_(V[-1]) if self.bands else super().scores(V)

    def pull(self, U: Tensor) -> Tensor:
        """Return ``[X, 1]' U``."""  # (n, m) -> (d+1, m)
        if not self.bands:
            return super().pull(U)
        return torch.cat([_banded(self.transposed, U), U.sum(0, keepdim=True)])


def _single(rows: MemoryRows) -> _Single:
    """Return all rows as one block in float32."""
    weight = rows.weight.float()
    if isinstance(rows.X, Tensor):
        return _Single(rows.X.float(), rows.y, weight)
    X = rows.X.astype("float32")
    return _Single(X, rows.y, weight, bands=_bands(X), transposed=_bands(csr_array(X.T)))


def _bands(X: csr_array) -> tuple[csr_array, ...]:
    """Cut a matrix into as many bands of rows as there are threads, of about equally many numbers."""
    shares = np.arange(1, torch.get_num_threads()) * X.nnz // torch.get_num_threads()
    edges = [0, *np.searchsorted(X.indptr, shares).tolist(), X.shape[0]]
    return tuple(X[start:stop] for start, stop in pairwise(edges))


def _banded(bands: tuple[csr_array, ...], V: Tensor) -> Tensor:
    """Return the product of a matrix in bands with V."""
    columns = V.numpy()
    products = _pool(len(bands), os.getpid()).map(lambda band: torch.from_numpy(band @ columns), bands)
    return torch.cat(list(products))


@cache
def _pool(threads: int, process: int) -> ThreadPoolExecutor:
    """Return this process's threads; those of a parent do not survive a fork."""
    del process
    return ThreadPoolExecutor(threads)
