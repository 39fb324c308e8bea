"""Quadratic forms of all rows by random projection, without a factorisation.

With m probes, Ω₁ (n·k) and Ω₂ (p) standard normal,

    Z = H⁻¹ (Σ_i x̃_i ⊗ R_i ω_i /√n + √λ Ω₂)        E[Z Zᵀ] = H⁻¹ H H⁻¹ = H⁻¹        Q_i ≈ (x̃_iᵀ Z)(x̃_iᵀ Z)ᵀ/m

(Johnson & Lindenstrauss 1984; for leverage Drineas et al. 2012). The relative error of a form is about √(2/m), so
it serves where an average over rows decides, as in the choice of λ, and nowhere else. The m solves are conjugate
gradients in float32 to a tolerance well below that error: about 4·nnz(X)·m·k multiplications a step.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
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
    tolerance: float = 0.02
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
        generator = torch.Generator().manual_seed(self.seed)
        block, W, model = _single(objective.rows), objective.curvature(theta), objective.model
        spread = square_root(W).float() @ torch.randn(n, k, m, generator=generator)
        B = block.pull(spread.view(n, k * m)).view(-1, m) / n**0.5
        root = (objective.l2**0.5 * torch.linalg.cholesky(model.coupling)).float()
        B.view(-1, k, m)[:-1] += root @ torch.randn(model.width, k, m, generator=generator)
        diagonal, W = objective.hessian_diagonal(theta).clamp_min(1e-12).float(), W.float()
        Z, _ = conjugate_gradients(
            lambda V: model.bend(W, V, block) / n + objective.l2 * model.ridge(V),
            B,
            precondition=lambda V: V / diagonal[:, None],
            tolerance=self.tolerance,
        )
        V = block.scores(Z.view(-1, k * m)).view(n, k, m).double()
        return V @ V.mT / m


def _single(rows: MemoryRows) -> Block:
    """Return all rows as one block in float32."""
    X = rows.X.float() if isinstance(rows.X, Tensor) else rows.X.astype("float32")
    return Block(X, rows.y, rows.weight.float())
