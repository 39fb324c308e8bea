"""What nearest rows say: how near those are that influence a prediction, and what votes are worth.

The first is NNIF (Cohen, Sapiro & Giryes 2020).

For an input as people meet it, the training rows that help its prediction most are among its nearest
neighbours. For an adversarial or foreign one they are not: the model decides by other rows than those next to
it. With the training rows in the order of their distance from the input in some embedding, the ranks
and distances of the m most helpful and the m most harmful rows are features of a detector.

Nearest rows also vote. The utility of a set of rows is the share of the votes of its k nearest for the right
class of a test row. With the n training rows in the order of their distance from it, α_1 the nearest, and a_i
whether the label of α_i is right, the Shapley value of every row is (Jia et al. 2019, theorem 1, for k ≤ n)

    s(α_n) = a_n / n        s(α_i) = s(α_{i+1}) + (a_i - a_{i+1}) / k · min(k, i) / i

They add up to the utility of all rows. Values for several test rows are averaged.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor

from dataaudit.errors import SettingError

BLOCK: Final = 2**24  # distances at a time


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
    return ranked(influences, torch.cdist(given, known), rows=rows)


def ranked(influences: Tensor, distances: Tensor, *, rows: int) -> Neighbourhood:
    """Compare influences with distances."""  # (t, n), (t, n)
    n = influences.shape[1]
    m = min(rows, n)
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


def knn_shapley(
    X: Tensor,  # (n, d)
    y: Tensor,  # (n,)
    *,
    test: tuple[Tensor, Tensor] | None = None,  # (t, d), (t,); without, each row is judged by all others
    k: int = 5,
) -> Tensor:
    """Return the mean Shapley value of every training row."""  # -> (n,)
    n = len(X) - (test is None)
    if not 1 <= k <= n:
        raise SettingError(f"k must lie between 1 and {n} rows: got {k}", "5 is a fair start")
    given, labels = (X, y) if test is None else test
    total, place = X.new_zeros(len(X)), torch.arange(1, n, dtype=X.dtype)
    weight = place.clamp_max(k) / (place * k)
    for part in torch.split(torch.arange(len(given)), max(1, BLOCK // len(X))):
        distances = torch.cdist(given[part], X)
        if test is None:
            distances[torch.arange(len(part)), part] = torch.inf  # a row is no neighbour of itself
        order = distances.argsort(dim=1, stable=True)[:, :n]
        right = (y[order] == labels[part, None]).to(X.dtype)
        steps = (right[:, :-1] - right[:, 1:]) * weight
        last = right[:, -1:] / n
        values = torch.cat([steps.flip(1).cumsum(1).flip(1) + last, last], dim=1)
        total.index_add_(0, order.reshape(-1), values.reshape(-1))
    return total / len(given)
