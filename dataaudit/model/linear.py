"""What one block of rows contributes to the objective, as pure functions of (θ, block).

A model holds formulas and no data. The linear model has scores ``s = [x, 1] Θ`` with Θ of shape (d+1, k), the
last row being the intercepts; the parameter vector θ of length p = (d+1)k is Θ read row by row. With r the
slope and W the curvature of the loss at s, and x̃ = [x, 1],

    gradient  Σ ω x̃ ⊗ r        Hessian  Σ ω (x̃ x̃ᵀ) ⊗ W        H v  Σ ω x̃ ⊗ (W (x̃ᵀ V))

The ridge on a feature's k coefficients is their sum of squares for one score. For K - 1 softmax scores it has
the form C = I - 11ᵀ/K, which is what the sum of squares of K symmetric coefficients amounts to: no class is
special for being the reference, and scikit-learn's multinomial fit has the same minimum. Intercepts are free
unless asked otherwise: liblinear penalises its intercept b as the coefficient b/scale of a constant feature,
which is the ridge τ b² with τ = 1/scale².

Cost of a gradient or a product with the Hessian: 2·nnz(X)·k multiplications; of a Hessian: b d² k(k+1)/2, and
little more than half of that where d is well above `STRIP`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Final

import torch
from scipy.sparse import csr_array
from torch import Tensor

from dataaudit.model.losses import Loss
from dataaudit.model.rows import Block, times
from dataaudit.model.split import Split

STRIP: Final = 128  # columns of a Gram matrix made at a time, wide enough for fast products


@dataclass(frozen=True)
class LinearModel:
    """Scores that are linear in the features."""

    loss: Loss
    width: int
    intercept_ridge: float = 0.0  # τ, the ridge on the intercepts relative to that on the coefficients

    @property
    def n_params(self) -> int:
        """Length p of θ, intercepts included."""
        return (self.width + 1) * self.loss.n_scores

    @property
    def coupling(self) -> Tensor:
        """The form C of the ridge ``(λ/2) Σ_j θ_jᵀ C θ_j`` on a feature's k coefficients θ_j."""  # -> (k, k)
        k = self.loss.n_scores
        C = torch.eye(k, dtype=torch.float64)
        return C if k == 1 else C - 1.0 / (k + 1)

    def ridge(self, V: Tensor) -> Tensor:
        """Return the ridge's Hessian at λ = 1 times V's columns."""  # (p, m) -> (p, m)
        k, m = self.loss.n_scores, V.shape[1]
        product = V.view(self.width + 1, k, m)
        product = self.coupling.to(V.dtype) @ product if k > 1 else product.clone()
        product[-1] *= self.intercept_ridge
        return product.view(-1, m)

    def matrix(self, theta: Tensor) -> Tensor:
        """Return θ as Θ."""  # (p,) -> (d+1, k)
        return theta.view(self.width + 1, self.loss.n_scores)

    def scores(self, theta: Tensor, block: Block) -> Tensor:
        """Return the scores of each row."""  # -> (b, k)
        return block.scores(self.matrix(theta))

    def values(self, theta: Tensor, block: Block) -> Tensor:
        """Return the unweighted loss of each row."""  # -> (b,)
        return self.loss.value(self.scores(theta, block), block.y)

    def value(self, theta: Tensor, block: Block) -> Tensor:
        """Return the weighted sum of losses."""  # -> ()
        return block.weight @ self.values(theta, block)

    def gradient(self, theta: Tensor, block: Block) -> Tensor:
        """Return the weighted sum of gradients."""  # -> (p,)
        slope = self.loss.slope(self.scores(theta, block), block.y)
        return self.pull(block, (block.weight[:, None] * slope)[:, :, None])[:, 0]

    def curvature(self, theta: Tensor, block: Block) -> Tensor:
        """Return the weighted curvature ω W of each row."""  # -> (b, k, k)
        return self.curvature_at(self.scores(theta, block), block.y, block.weight)

    def curvature_at(self, s: Tensor, y: Tensor, weight: Tensor) -> Tensor:
        """Return the weighted curvature of rows with known scores."""  # (b, k), (b,), (b,) -> (b, k, k)
        return weight[:, None, None] * self.loss.curvature(s, y)

    def bend(self, V: Tensor, block: Block, W: Tensor) -> Tensor:
        """Return ``Σ x̃ ⊗ (W (x̃ᵀ V))``, the weighted sum of Hessians times the columns of V."""
        return self._bent(block, W, self.moved(V, block))  # (p, m), (b, k, k) -> (p, m)

    def product(self, theta: Tensor, V: Tensor, block: Block) -> Tensor:
        """Return the same with the curvature at θ, by one pass over the rows for both."""
        moved = self.moved(torch.cat([theta[:, None], V], dim=1), block)  # (p,), (p, m) -> (p, m)
        W = self.loss.curvature(moved[:, :, 0], block.y)
        return self._bent(block, block.weight[:, None, None] * W, moved[:, :, 1:])

    def pair_influences(self, theta: Tensor, solved: Tensor, block: Block) -> Tensor:
        """Return I_up,loss of b training rows on t test rows whose ``H⁻¹ g_t`` is known."""
        r = self.loss.slope(self.scores(theta, block), block.y)  # (p,), (p, t) -> (b, t)
        moved = self.moved(solved, block)
        return (moved * -r[:, :, None]).sum(1) if len(r.T) > 1 else moved[:, 0].mul_(-r)

    def moved(self, V: Tensor, block: Block) -> Tensor:
        """Return by how much the scores of each row move along the columns of V."""
        k, m = self.loss.n_scores, V.shape[1]  # (p, m) -> (b, k, m)
        return block.scores(V.reshape(self.width + 1, k * m)).view(-1, k, m)

    def along(self, theta: Tensor, v: Tensor, X: Tensor | csr_array) -> Tensor:
        """Return the scores of rows, and how they move along v."""  # (p,), (p,) -> (b, 2k)
        C = torch.cat([self.matrix(theta), self.matrix(v)], dim=1)
        return times(X, C[:-1]) + C[-1]

    def pull(self, block: Block, U: Tensor) -> Tensor:
        """Return ``Σ x̃ ⊗ u``, the sum over rows of what moves θ where their scores move."""
        _, k, m = U.shape  # (b, k, m) -> (p, m)
        return block.pull(U.reshape(-1, k * m)).reshape(-1, m)

    def outer(self, block: Block, U: Tensor) -> Tensor:
        """Return ``x̃ ⊗ u`` of every row, a column a row."""  # (b, k) -> (p, b)
        return block.outer(U)

    def lifted(self, block: Block) -> Tensor:
        """Return ``x̃ ⊗ I`` of every row, k columns a row."""  # -> (p, b k)
        X, k = block.dense(), self.loss.n_scores
        return torch.einsum("bd,kl->dkbl", X, torch.eye(k, dtype=X.dtype)).reshape(-1, len(X) * k)

    def _bent(self, block: Block, W: Tensor, moved: Tensor) -> Tensor:
        bent = W * moved if moved.shape[1] == 1 else W @ moved  # (b, k, k), (b, k, m) -> (p, m)
        return self.pull(block, bent)

    def hessian(self, theta: Tensor, block: Block) -> Tensor:
        """Return the weighted sum of Hessians, dense."""  # -> (p, p)
        return self.hessian_at(self.curvature(theta, block), block)

    def hessian_at(self, W: Tensor, block: Block) -> Tensor:
        """Return the weighted sum of Hessians of rows with known curvature."""  # (b, k, k) -> (p, p)
        k, width = self.loss.n_scores, self.width + 1
        gram = block.X.gram if isinstance(block.X, Split) else partial(_gram, block.dense())
        H = W.new_empty(width, k, width, k)
        for a in range(k):
            for b in range(a + 1):
                part = gram(W[:, a, b])
                H[:, a, :, b] = part
                H[:, b, :, a] = part
        return H.view(width * k, width * k)

    def hessian_diagonal(self, theta: Tensor, block: Block) -> Tensor:
        """Return the diagonal of the weighted sum of Hessians."""  # -> (p,)
        W = self.curvature(theta, block).diagonal(dim1=1, dim2=2)
        squared: Any
        if isinstance(block.X, Split):
            squared = block.X.squared()
        else:
            squared = block.X**2 if isinstance(block.X, Tensor) else block.X.multiply(block.X).tocsr()
        return replace(block, X=squared).pull(W.contiguous()).view(-1)


def _gram(X: Tensor, w: Tensor) -> Tensor:
    """Return ``Xᵀ diag(w) X``, of which only the strips from the diagonal on are multiplied."""
    weighted, G = X * w[:, None], X.new_empty(X.shape[1], X.shape[1])  # (b, m), (b,) -> (m, m)
    for start in range(0, X.shape[1], STRIP):
        strip = X[:, start : start + STRIP].T @ weighted[:, start:]
        G[start : start + STRIP, start:] = strip
        G[start:, start : start + STRIP] = strip.T
    return G
