"""How near the training rows are that influence a prediction (Cohen, Sapiro & Giryes 2020, "NNIF").

For an input as people meet it, the training rows that help its prediction most are among its nearest
neighbours. For an adversarial or foreign one they are not: the model decides by other rows than those next to
it. With the training rows in the order of their distance from the input in some embedding, the ranks
and distances of the m most helpful and the m most harmful rows are features of a detector.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Neighbourhood:
    """Where the m most helpful and most harmful training rows of t inputs are among their neighbours."""

    helpful_ranks: Tensor  # (t, m) places in the order of distance, from 1; the most helpful row first
    helpful_distances: Tensor  # (t, m) Euclidean, in the embedding
    harmful_ranks: Tensor  # (t, m)
    harmful_distances: Tensor  # (t, m)
    nearest: Tensor  # (t, m) distances of the m nearest rows, for comparison
    n: int  # number of training rows

    @property
    def features(self) -> Tensor:
        """Log-ranks and distances side by side: what a detector is trained on."""  # -> (t, 4 m)
        ranks = [self.helpful_ranks.log(), self.harmful_ranks.log()]
        return torch.cat([*ranks, self.helpful_distances, self.harmful_distances], dim=1)

    @property
    def distance(self) -> Tensor:
        """How far influence and distance are apart: mean log-rank of the helpful rows, less the least."""
        least = torch.arange(1, self.helpful_ranks.shape[1] + 1, dtype=self.helpful_distances.dtype).log()
        return self.helpful_ranks.log().mean(1) - least.mean()  # -> (t,)


def neighbourhood(influences: Tensor, known: Tensor, given: Tensor, *, rows: int) -> Neighbourhood:
    """Compare influences with distances in an embedding."""  # (t, n), (n, e), (t, e)
    n, m = len(known), min(rows, len(known))
    distances = torch.cdist(given, known)
    order = distances.argsort(dim=1, stable=True)
    ranks = torch.empty_like(order).scatter_(1, order, torch.arange(1, n + 1).expand_as(order))
    helpful = influences.topk(m, dim=1, largest=False).indices
    harmful = influences.topk(m, dim=1).indices
    return Neighbourhood(
        ranks.gather(1, helpful),
        distances.gather(1, helpful),
        ranks.gather(1, harmful),
        distances.gather(1, harmful),
        distances.gather(1, order[:, :m]),
        n,
    )
