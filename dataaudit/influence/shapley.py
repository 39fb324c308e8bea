"""Shapley values of training rows for a nearest-neighbour classifier, in closed form.

The k nearest rows vote, and the utility of a set of rows is the share of their votes for the right class of
a test row. With the n training rows in the order of their distance from it, α_1 the nearest, and a_i whether
the label of α_i is right, the Shapley value of every row is (Jia et al. 2019, theorem 1, for k ≤ n)

    s(α_n) = a_n / n        s(α_i) = s(α_{i+1}) + (a_i - a_{i+1}) / k · min(k, i) / i

They add up to the utility of all rows. Values for several test rows are averaged.
"""

from __future__ import annotations

import torch
from torch import Tensor

from dataaudit.errors import SettingError

BLOCK: int = 2**24  # distances at a time


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
