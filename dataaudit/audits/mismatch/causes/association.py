"""Whether a column says as much of the labels in test as it says of training rows that were left out.

With the contribution c_i of a column to the scores s_i of a row, the loss along s_i + α c_i has at α = 0 the
slope u_i = r_i'c_i and the curvature c_i'W_i c_i. Offsets of the classes, and a factor of all scores (or of
the other columns' part of them) are directions of their own: what they explain of u is taken off by the
information matrix, which leaves the efficient score. Its mean over the test rows less that over the training
rows (left-out scores, to first order) has mean zero where the column means the same; α̂ = - slope/curvature is
-1 where it means nothing. The larger of both ways counts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_array
from torch import Tensor

from dataaudit.audits.mismatch.world import World
from dataaudit.model.rows import Block, times

Reals = NDArray[np.float64]
# Training rows that are looked at.
ROWS: Final = 20_000
# Share of a column's curvature that must be left once the other directions are taken off.
NOTHING: Final = 1e-9


@dataclass(frozen=True)
class Association:
    """How much less a column says of the labels in test."""

    z: float  # difference of the slopes over its standard error; above 0 where it says less
    strength: float  # α̂ of test: 0 where it says as much as training says, -1 nothing, -2 the opposite


def associations(world: World, names: list[str]) -> dict[str, Association]:
    """Return what each source column says in test, as far as its features are its own."""
    if world.trained.network is not None:  # whose features are of no single column
        return dict.fromkeys(names, Association(0.0, 0.0))
    trained, theta = world.trained, world.objective.model.matrix(world.theta)
    n = world.objective.rows.n
    some = np.arange(n) if n <= ROWS else np.sort(np.random.default_rng(0).choice(n, ROWS, replace=False))
    at = torch.from_numpy(some)
    sides = (
        (world.objective.rows.take(at), trained.left_out[at]),
        (world.block, world.scores),
    )
    parts = [_Side.of(world, block, scores) for block, scores in sides]
    found = {}
    for name in names:
        mine = np.array([feature.column == name for feature in trained.features])
        own = torch.where(torch.from_numpy(mine)[:, None], theta[:-1], 0.0)
        ways = []
        for (u, _), (v, strength) in zip(*(side.along(own) for side in parts), strict=True):
            error = float(np.sqrt(u.var() / len(u) + v.var() / len(v)))
            ways.append(Association(float(v.mean() - u.mean()) / error if error > 0 else 0.0, strength))
        found[name] = max(ways, key=lambda one: one.z)
    return found


@dataclass(frozen=True)
class _Side:
    """Rows with the loss's slopes and curvatures along offsets of the classes and the scores themselves."""

    X: Tensor | csr_array
    r: Reals  # (n, k) slopes
    W: Reals  # (n, k, k) curvatures
    slopes: Reals  # (n, k + 1)
    WD: Reals  # (n, k, k + 1)
    information: Reals  # (k + 1, k + 1) D'W D

    @classmethod
    def of(cls, world: World, block: Block, scores: Tensor) -> _Side:
        """Measure rows at some scores."""
        loss = world.objective.model.loss
        r, W = loss.slope(scores, block.y).numpy(), loss.curvature(scores, block.y).numpy()
        n, k = r.shape
        D = np.concatenate([np.broadcast_to(np.eye(k), (n, k, k)), scores.numpy()[:, :, None]], axis=2)
        WD = W @ D
        return cls(
            block.X, r, W, (r[:, None, :] @ D)[:, 0], WD, D.reshape(n * k, -1).T @ WD.reshape(n * k, -1)
        )

    def along(self, own: Tensor) -> list[tuple[Reals, float]]:
        """Return the efficient scores of the rows, and α̂: next to all scores, and to the others."""
        C = times(self.X, own).numpy()  # own (d, k), the coefficients of a column
        curvature = float(((self.W @ C[:, :, None])[:, :, 0] * C).sum())
        cross = self.WD.reshape(C.size, -1).T @ C.reshape(-1)
        gram = np.block([[self.information, cross[:, None]], [cross[None], np.array([[curvature]])]])
        slopes = np.concatenate([self.slopes, (self.r * C).sum(1, keepdims=True)], axis=1)
        found = []
        for part in (0.0, 1.0):  # of the column that is taken from the scores
            others = np.eye(len(gram))[:, :-1]
            others[-1, -1] = -part
            by = np.linalg.lstsq(others.T @ gram @ others, others.T @ gram[:, -1], rcond=None)[0]
            left = curvature - float(by @ (others.T @ gram[:, -1]))
            if left <= NOTHING * curvature:
                found.append((np.full(len(C), np.nan), 0.0))
                continue
            u = slopes[:, -1] - slopes @ others @ by
            found.append((u, -float(u.sum()) / left))
        return found
