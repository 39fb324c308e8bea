"""A network as the linear model that it is near the point where it stands: scores and their Jacobian.

With f(x, θ) the scores of a row and J(x) = ∂f/∂θ at the given θ̃, the model in Δ = θ - θ̃ is

    s(x, Δ) = f(x, θ̃) + J(x) Δ
    R̃(Δ) = (1/n) Σ ω ℓ(s_i(Δ), y_i) - ḡᵀΔ + ½ Σ_j (λ_j + δ) Δ_j²         ḡ = (1/n) Σ ω J_iᵀ r_i at Δ = 0

(the neural tangent model; Jacot et al. 2018). Its Hessian is Gauss and Newton's, (1/n) Σ ω JᵀWJ + λ + δ,
positive definite wherever the network stands, so that leverages are below 1 and everything that is
said of a linear model holds. ḡ makes Δ = 0 the minimum: what training on would do is no row's doing.

A row's f and J lie side by side in X: k q numbers of J, then the k scores. Where θ has more than `MOST`
entries J is folded to `FOLDED` columns: each parameter adds itself, with a random sign, to one of them
(count sketch; Charikar, Chen & Farach-Colton 2002), which keeps inner products right on average.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Final

import torch
from scipy.sparse import csr_array
from torch import Tensor

from dataaudit.model.linear import LinearModel
from dataaudit.model.objective import Objective
from dataaudit.model.rows import Block

MOST: Final = 3000
FOLDED: Final = 2000


@dataclass(frozen=True)
class TangentModel(LinearModel):
    """Scores that are linear in the move from where a network stands."""

    @property
    def n_params(self) -> int:
        """Length q of Δ."""
        return self.width // self.loss.n_scores - 1

    @property
    def coupling(self) -> Tensor:
        """The form of the ridge: none between scores, whose parameters are shared."""  # -> (k, k)
        return torch.eye(self.loss.n_scores, dtype=torch.float64)

    def _jacobian(self, block: Block) -> Tensor:
        k = self.loss.n_scores
        X = block.X if isinstance(block.X, Tensor) else torch.from_numpy(block.X.toarray())
        return X[:, :-k].reshape(-1, k, self.n_params)  # (b, k, q)

    def matrix(self, theta: Tensor) -> Tensor:
        """Return Δ as a column: it has no coefficients of features."""  # (q,) -> (q, 1)
        return theta[:, None]

    def scores(self, theta: Tensor, block: Block) -> Tensor:
        """Return the scores of each row."""  # -> (b, k)
        at: Tensor = torch.as_tensor(block.X[:, -self.loss.n_scores :])
        return at + self._jacobian(block) @ theta

    def moved(self, V: Tensor, block: Block) -> Tensor:
        """Return by how much the scores of each row move along the columns of V."""  # (q, m) -> (b, k, m)
        return self._jacobian(block) @ V

    def along(self, theta: Tensor, v: Tensor, X: Tensor | csr_array) -> Tensor:
        """Return the scores of rows, and how they move along v."""  # (q,), (q,) -> (b, 2k)
        rows, k = torch.as_tensor(X), self.loss.n_scores
        both = rows[:, :-k].reshape(-1, k, self.n_params) @ torch.stack([theta, v], dim=1)
        return torch.cat([rows[:, -k:] + both[:, :, 0], both[:, :, 1]], dim=1)

    def product(self, theta: Tensor, V: Tensor, block: Block) -> Tensor:
        """Return the weighted sum of Hessians at Δ times the columns of V."""  # (q,), (q, m) -> (q, m)
        return self.bend(V, block, self.curvature(theta, block))

    def pull(self, block: Block, U: Tensor) -> Tensor:
        """Return ``Σ Jᵀ u``."""  # (b, k, m) -> (q, m)
        return self._jacobian(block).flatten(0, 1).T @ U.flatten(0, 1)

    def outer(self, block: Block, U: Tensor) -> Tensor:
        """Return ``Jᵀ u`` of every row, a column a row."""  # (b, k) -> (q, b)
        return (self._jacobian(block) * U[:, :, None]).sum(1).T.contiguous()

    def lifted(self, block: Block) -> Tensor:
        """Return ``Jᵀ`` of every row, k columns a row."""  # -> (q, b k)
        return self._jacobian(block).flatten(0, 1).T.contiguous()

    def hessian_at(self, W: Tensor, block: Block) -> Tensor:
        """Return the weighted sum of Hessians of rows with known curvature."""  # (b, k, k) -> (q, q)
        J = self._jacobian(block)
        return J.flatten(0, 1).T @ (W @ J).flatten(0, 1)

    def hessian_diagonal(self, theta: Tensor, block: Block) -> Tensor:
        """Return the diagonal of the weighted sum of Hessians."""  # -> (q,)
        J = self._jacobian(block)
        return (J * (self.curvature(theta, block) @ J)).sum((0, 1))


@dataclass(frozen=True)
class TangentObjective(Objective):
    """R̃(Δ): its minimum is where the network stands."""

    decay: Tensor  # (q,) λ + δ of each entry
    start: Tensor  # (q,) ḡ, by the labels and weights as they are in the data

    def value(self, theta: Tensor) -> float:
        """Return R̃(Δ)."""
        return super().value(theta) - float(self.start @ theta)

    def gradient(self, theta: Tensor) -> Tensor:
        """Return ∇R̃(Δ)."""  # (q,) -> (q,)
        return super().gradient(theta) - self.start

    def _ridge(self, V: Tensor) -> Tensor:
        return self.decay[:, None] * V

    def with_ridge(self, H: Tensor) -> Tensor:
        """Return the Hessian from the sum of the rows' own, in its place."""  # (q, q) -> (q, q)
        H.div_(self.rows.n)
        H.diagonal().add_(self.decay)
        return H

    def hessian_diagonal(self, theta: Tensor) -> Tensor:
        """Return the diagonal of the Hessian."""  # (q,) -> (q,)
        own = self.rows.map(lambda block: self.model.hessian_diagonal(theta, block))
        return torch.stack(list(own)).sum(0) / self.rows.n + self.decay


@dataclass(frozen=True)
class Fold:
    """From p columns to q: none where p is small."""

    p: int

    @property
    def q(self) -> int:
        """Number of columns that are left."""
        return self.p if self.p <= MOST else FOLDED

    @cached_property
    def _where(self) -> tuple[Tensor, Tensor]:
        drawn = torch.Generator().manual_seed(0)
        signs = torch.randint(2, (self.p,), generator=drawn) * 2.0 - 1.0
        return torch.randint(self.q, (self.p,), generator=drawn), signs.double()

    def __call__(self, J: Tensor) -> Tensor:
        """Return the columns added up."""  # (b, k, p) -> (b, k, q)
        if self.q == self.p:
            return J
        columns, signs = self._where
        return J.new_zeros(*J.shape[:2], self.q).index_add_(2, columns, J * signs)

    def unfold(self, v: Tensor) -> Tensor:
        """Return the direction in p columns that folded ones move along."""  # (q,) -> (p,)
        if self.q == self.p:
            return v
        columns, signs = self._where
        return v[columns] * signs
