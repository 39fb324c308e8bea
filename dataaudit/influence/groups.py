"""The fit without a group of rows, or with it down-weighted or relabelled: one Newton step, and the truth.

Removing the rows S from R leaves, from the minimum θ̂ of R, the gradient -(1/n) Σ_S ω g and the Hessian H -
H_S, so Newton's step for the problem without them is (Koh, Ang, Teo & Liang 2019; Pregibon 1981)

    θ' = θ̂ + (H - H_S)⁻¹ (1/n) Σ_S ω g            in general    θ̂ - H'⁻¹ (1/n) Σ_S (ω' g' - ω g)

with g', ω' and H' those of the changed problem at θ̂. The plain sum of influences uses H⁻¹ and thereby misses
that the group also adds to the Hessian in its own directions: for rows that are alike it is several times too
small.

The scores of the rows S of a group without it follow from their joint form Q = X̃ H⁻¹ X̃ᵀ, |S|k × |S|k, alone:

    s₋ = s + (Q/n)(I - W Q/n)⁻¹ (ω r)

with W block diagonal, which is the same step by Woodbury's identity and `leave_one_out` for one row.

Where p is small H' is formed and factored: n p²/k + p³/3 multiplications. Otherwise it is never formed: one
system is solved by conjugate gradients, preconditioned by H⁻¹ at θ̂ where the caller has it (then at most
about as many steps as the group has rows), else by the diagonal of H'.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dataaudit.errors import NotPositiveDefinite, SettingError
from dataaudit.influence.leave_one_out import leave_one_out_scores
from dataaudit.model.objective import Objective
from dataaudit.solvers.cg import conjugate_gradients
from dataaudit.solvers.cholesky import cholesky_solve
from dataaudit.solvers.newton import TINY, Fit, FitSettings, minimise
from dataaudit.solvers.operator import Product

TOLERANCE = 1e-10
JointForms = Callable[[Tensor], Tensor]  # rows (g, d) -> (g, dk, dk), forms of g groups
GroupStep = Callable[
    [Tensor, Tensor], Tensor
]  # rows of a group, some of them (d,) -> (d, k, m), their change
BATCH: Final = 1024  # rows times scores whose joint forms are made at a time
MOST: Final = 1024  # rows times scores of a group up to which its equations are those of rows


def changed_objective(
    objective: Objective, rows: Tensor, *, y: Tensor | None = None, weight: float | None = None
) -> Objective:
    """Return the objective with a group of rows changed; n and the ridge stay as they are.

    Labels y are new ones; weights are multiplied by `weight`, by default 1 with y and 0 (removal) without.
    """  # rows (m,), each once; y (m,)
    factor = (0.0 if y is None else 1.0) if weight is None else weight
    _require_rows(objective, rows)
    labels, weights = objective.rows.y.clone(), objective.rows.weight.clone()
    weights[rows] *= factor
    if y is not None:
        classes = objective.model.loss.n_scores + 1
        if len(y) != len(rows) or (len(y) and not 0 <= int(y.min()) <= int(y.max()) < classes):
            what = f"y must hold one class number from 0 to {classes - 1} for each row"
            raise SettingError(
                f"{what}: got {len(y)} for {len(rows)} rows", "give the new labels of the rows"
            )
        labels[rows] = y
    if factor < 0 or not float(weights.sum()) > 0:
        raise SettingError(
            f"nothing would be left to fit: got {len(rows)} rows at weight {factor:g}", "take fewer rows"
        )
    return objective.relabelled(labels).reweighted(weights)


def _require_rows(objective: Objective, rows: Tensor) -> None:
    """Refuse positions that are not there, or given twice."""
    n = objective.rows.n
    if len(rows) and not 0 <= int(rows.min()) <= int(rows.max()) < n:
        span = f"{int(rows.min())} to {int(rows.max())}"
        raise SettingError(
            f"rows must lie between 0 and {n - 1}: got {span}", "give positions of training rows"
        )
    if len(set(rows.tolist())) < len(rows):
        raise SettingError("a row is in the group twice", "give each row once")


def group_step(
    objective: Objective,
    theta: Tensor,  # (p,) its minimum; elsewhere the step is that of the group alone
    rows: Tensor,  # (m,) positions of the rows, each once
    *,
    y: Tensor | None = None,  # (m,) new labels
    weight: float | None = None,  # as in `changed_objective`
    precondition: Product | None = None,  # H⁻¹ at θ, used where p is large
) -> Tensor:
    """Return the parameters after one Newton step for a changed group of rows."""  # -> (p,)
    changed = changed_objective(objective, rows, y=y, weight=weight)
    before, after = objective.rows.take(rows), changed.rows.take(rows)
    push = objective.model.gradient(theta, before) - objective.model.gradient(theta, after)
    solve = changed_inverse(changed, theta, precondition=precondition)
    return theta + solve(push[:, None] / objective.rows.n)[:, 0]


def changed_inverse(changed: Objective, theta: Tensor, *, precondition: Product | None = None) -> Product:
    """Return ``V -> ∇²R'(θ)⁻¹ V`` for a problem near one whose inverse Hessian may be at hand."""
    p, n = changed.model.n_params, changed.rows.n
    direct = min(FitSettings().direct_limit, max(TINY, 2 * n))
    if p <= (TINY if precondition is not None else direct):
        L, failed = torch.linalg.cholesky_ex(changed.hessian(theta))
        if failed:
            what = f"the Hessian of the changed problem is singular at λ = {changed.l2:g}"
            raise NotPositiveDefinite(what, "raise --l2, or take fewer rows")
        return partial(cholesky_solve, L)
    product = changed.hvp_at(theta)
    if precondition is None:
        diagonal = changed.hessian_diagonal(theta).clamp_min(1e-12)
        precondition = lambda V: V / diagonal[:, None]  # noqa: E731 - as short as it is clear
    inverse = precondition
    return lambda V: conjugate_gradients(product, V, precondition=inverse, tolerance=TOLERANCE)[0]


def refit_group(
    objective: Objective,
    fit: Fit,  # its minimum, where the refit begins
    rows: Tensor,  # (m,) positions of the rows, each once
    *,
    y: Tensor | None = None,  # (m,) new labels
    weight: float | None = None,  # as in `changed_objective`
    precondition: Product | None = None,
) -> Fit:
    """Return the true minimum with a group of rows removed, down-weighted or relabelled."""
    changed = changed_objective(objective, rows, y=y, weight=weight)
    return minimise(changed, fit.theta, precondition=precondition)


@dataclass(frozen=True)
class Partition:
    """Rows by what leaves together: a group is made of units, the rows of one that are equal to the model.

    A unit's rows share scores and forms, so that a group of copies is as small as one row.
    """

    units: Tensor  # (n,) number of each row's unit
    first: Tensor  # (u,) a row of each unit
    # Each (g, d): the units of groups with several rows, filled up to a power of two by -1: solves for many
    # groups at once cost little more than for one.
    batches: tuple[Tensor, ...]
    together: Tensor  # (n,) whether a row's group has several rows

    @classmethod
    def of(cls, groups: NDArray[np.int64], twins: NDArray[np.int64]) -> Partition:
        """Sort n rows by their group and, within it, by what they are equal to."""  # 2 × (n,)
        pairs = np.stack([groups, twins], axis=1)
        known, first, units = np.unique(pairs, axis=0, return_index=True, return_inverse=True)
        _, start, size = np.unique(known[:, 0], return_index=True, return_counts=True)
        rows = np.add.reduceat(np.bincount(units.reshape(-1)), start)
        room = 2 ** np.ceil(np.log2(size)).astype(np.int64)
        batches = []
        for d in np.unique(room[rows > 1]):
            some, at = (room == d) & (rows > 1), np.arange(d)
            batches.append(torch.from_numpy(np.where(at < size[some, None], start[some, None] + at, -1)))
        several = torch.from_numpy(np.repeat(rows > 1, size)[units.reshape(-1)])
        return cls(torch.from_numpy(units.reshape(-1)), torch.from_numpy(first), tuple(batches), several)

    def sums(self, values: Tensor) -> Tensor:
        """Return the sums over the rows of each unit."""  # (n, …) -> (u, …)
        return values.new_zeros(len(self.first), *values.shape[1:]).index_add_(0, self.units, values)

    def rows(self, units: Tensor) -> Tensor:
        """Return the rows of some units."""  # (d,) -> (m,)
        return torch.nonzero(torch.isin(self.units, units))[:, 0]

    def change(self, forms: JointForms, *, W: Tensor, r: Tensor, step: GroupStep, n_params: int) -> Tensor:
        """Return by how much the scores of each row change when its group leaves; 0 for a row alone.

        Forms are divided by n, and W and r weighted; groups of more equations than parameters take a `step`.
        """  # (n, k, k), (n, k, m) -> (n, k, m)
        (_, k, m), W, r = r.shape, self.sums(W), self.sums(r)
        moved = torch.zeros_like(r)
        for batch in self.batches:
            size = batch.shape[1] * k
            if size > min(MOST, n_params):
                for units in (row[row >= 0] for row in batch):
                    moved[units] = step(self.rows(units), self.first[units])
                continue
            for part in torch.split(batch, max(1, BATCH // size)):
                real, at = part >= 0, part.clamp_min(0)
                own = real[:, :, None, None].to(r.dtype)  # a unit without weight changes no other
                found = _pulled(forms(self.first[at]), own * W[at], (own * r[at]).view(-1, size, m))
                moved[part[real]] = found.view(*part.shape, k, m)[real]
        return moved[self.units]


@dataclass(frozen=True)
class Groups:
    """Which of n rows leave training together, and which of these are equal to the model."""

    group: NDArray[np.int64]  # (n,) rows of one number leave together
    twin: NDArray[np.int64]  # (n,) rows of one number are encoded alike
    copy: NDArray[np.int64]  # (n,) rows of one number from 0 are copies, whatever their labels; -1 for none
    notes: tuple[str, ...] = ()

    @cached_property
    def partition(self) -> Partition:
        """The same as the numerics take it."""
        return Partition.of(self.group, self.twin)

    def take(self, rows: NDArray[np.int64]) -> Groups:
        """Return the groups of some rows."""  # (b,) positions
        return Groups(self.group[rows], self.twin[rows], self.copy[rows])

    def draw(self, most: int, seed: int) -> NDArray[np.int64] | None:
        """Return at most so many rows of whole groups, in order; None where groups are too large for that."""
        sizes = np.bincount(self.group)
        order = np.random.default_rng(seed).permutation(len(sizes))
        drawn = order[np.cumsum(sizes[order]) <= most]
        rows = np.flatnonzero(np.isin(self.group, drawn))
        return rows if 2 * len(rows) >= most else None

    def mates(self, row: int) -> NDArray[np.int64]:
        """Return the rows that leave with a row, itself among them."""
        return np.flatnonzero(self.group == self.group[row])


def _pulled(Q: Tensor, W: Tensor, r: Tensor) -> Tensor:
    """Return ``Q (I - W Q)⁻¹ r`` of each group, for blocks W on a diagonal."""
    g, d, k, _ = W.shape  # (g, dk, dk), (g, d, k, k), (g, dk, m) -> (g, dk, m)
    curved = (W @ Q.view(g, d, k, d * k)).view(g, d * k, d * k)
    eye = torch.eye(d * k, dtype=Q.dtype)
    moved: Tensor = Q @ torch.linalg.solve_ex(eye - curved, r)[0]  # singular: infinite, and never chosen
    return moved


def few_at_once(joint: JointForms, partition: Partition, k: int) -> JointForms:
    """Return joint forms that are made by one solve, where the rows that they are asked for are few."""
    asked = [batch[batch >= 0] for batch in partition.batches if 1 < batch.shape[1] * k <= MOST]
    rows = torch.from_numpy(np.unique(partition.first[torch.cat(asked)].numpy())) if asked else None
    if rows is None or len(rows) * k > BATCH:
        return joint
    Q = joint(rows[None]).view(len(rows), k, len(rows), k)

    def taken(some: Tensor) -> Tensor:
        (g, d), at = some.shape, torch.searchsorted(rows, some)
        blocks = Q[at[:, :, None], :, at[:, None, :]]  # (g, d, d, k, k)
        return blocks.transpose(2, 3).reshape(g, d * k, d * k)

    return taken


def scores_without_groups(
    objective: Objective,
    theta: Tensor,
    forms: Tensor,  # (n, k, k)
    *,
    joint: JointForms,
    partition: Partition,
    precondition: Product | None = None,  # as in `group_step`
) -> Tensor:
    """Return the scores that every row would have if its group had not been in the training set."""
    n, loss = objective.rows.n, objective.model.loss  # -> (n, k)
    s, W = objective.scores(theta), objective.curvature(theta)
    r = objective.rows.weight[:, None] * loss.slope(s, objective.rows.y)

    def divided(rows: Tensor) -> Tensor:
        return (joint(rows) if rows.shape[1] > 1 else forms[rows[:, 0]]) / n

    def step(group: Tensor, rows: Tensor) -> Tensor:
        moved = group_step(objective, theta, group, precondition=precondition)
        return (objective.model.scores(moved, objective.rows.take(rows)) - s[rows])[:, :, None]

    alone = leave_one_out_scores(objective, theta, forms)
    change = partition.change(divided, W=W, r=r[:, :, None], step=step, n_params=MOST)[:, :, 0]
    return torch.where(partition.together[:, None], s + change, alone)
