"""How far changes of a training row move the loss of a test row: exact in the change, first order in 1/n.

With zδ in the place of training row z of weight ω, and the model trained again, the loss of test row t moves
by (Koh & Liang 2017, equation 3)

    (ω/n) (I_up,loss(zδ, t) - I_up,loss(z, t))        I_up,loss(z, t) = -r(x̃Θ, y)ᵀ (x̃V),  V = H⁻¹ g_t

so whatever a cell may become costs one row of the product with C = [Θ, V]. Where the basis adds up over
columns (all but RBF features), a column's share of that product is added to what the others give, and all
columns of all rows are done at once; else every candidate is put through the basis.

The slope I_pert,loss = -∂(x̃V·r)/∂x = -(V r + Θ W x̃V) is linear in [r, W x̃V] (2k numbers a row), so its size
over the features of a column is a form of 2k × 2k: no row × feature matrix is made.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import torch
from scipy.sparse import csr_array
from torch import Tensor

from dataaudit.audits.attack.change import Change, Ground
from dataaudit.audits.attack.domain import ABSENT, NONE, Reals, Whole
from dataaudit.encode import Columns
from dataaudit.models import LinearModel
from dataaudit.rows import Block, times

_STEPS: Final = 8  # of Newton's method for scores: a unit each at the most, enough to put rows in order


@dataclass(frozen=True)
class Probe:
    """The loss of one test row, as training rows see it at θ.

    Attributes
    ----------
    model : LinearModel
    theta : Tensor (p,)
    solved : Tensor (p,)
        H⁻¹ g_t there.
    loose : Tensor (d+1, k)
        1 over the diagonal of H.
    n : int
        Training rows.
    """

    model: LinearModel
    theta: Tensor
    solved: Tensor
    loose: Tensor
    n: int

    @property
    def coefficients(self) -> Tensor:
        """[Θ, V], the last row of the intercepts."""  # -> (d+1, 2k)
        return torch.cat([self.model.matrix(self.theta), self.model.matrix(self.solved)], dim=1)

    def scored(self, X: Tensor | csr_array) -> Tensor:
        """Return ``[x̃Θ, x̃V]`` of rows."""  # (b, d) -> (b, 2k)
        return times(X, self.coefficients[:-1]) + self.coefficients[-1]

    def gain(self, scored: Tensor, y: Tensor, weight: Tensor) -> Tensor:
        """Return ω I_up,loss/n: what the rows add to the test loss, in nats."""  # (…, 2k), (b,) -> (…)
        k = scored.shape[-1] // 2
        flat = scored.reshape(-1, 2 * k)
        repeats = len(flat) // len(y)
        r = self.model.loss.slope(flat[:, :k], y.repeat_interleave(repeats))
        value = -(r * flat[:, k:]).sum(1) / self.n * weight.repeat_interleave(repeats)
        return value.view(scored.shape[:-1])

    def rest(self, s: Tensor, q: Tensor, y: Tensor) -> Tensor:
        """Return where scores come to rest: ``s' = s - q r(s')``, each by itself."""  # (b, k) -> (b, k)
        loss, at = self.model.loss, s.clone()
        for _ in range(_STEPS):
            excess = at - s + q * loss.slope(at, y)
            slope = 1.0 + q * loss.curvature(at, y).diagonal(dim1=1, dim2=2)
            at = at - (excess / slope).clamp(-1.0, 1.0)
        return at

    def pull(self, scored: Tensor, y: Tensor, weight: Tensor) -> Tensor:
        """Return the rows' factors of I_pert,loss ω/n: ``-[W x̃V, r] ω/n``, to go with [Θ, V]."""
        k = scored.shape[1] // 2  # (b, 2k) -> (b, 2k)
        bent = (self.model.loss.curvature(scored[:, :k], y) @ scored[:, k:, None])[:, :, 0]
        both = torch.cat([bent, self.model.loss.slope(scored[:, :k], y)], dim=1)
        return -both * (weight / self.n)[:, None]


@dataclass(frozen=True)
class Batch:
    """Some training rows, changed or not, encoded.

    Attributes
    ----------
    rows : ndarray (b,) int64
        Their positions.
    columns : Columns
    block : Block
        In the model's basis.
    numbers, states : ndarray (b, dn), (b, dc)
        As `Ground` has them.
    """

    rows: Whole
    columns: Columns
    block: Block
    numbers: Reals
    states: Whole


def batch_of_rows(ground: Ground, block: Block, rows: Whole) -> Batch:
    """Return training rows as they are."""
    columns = ground.encoded.columns.take(rows)
    return Batch(rows, columns, block, ground.numbers[rows], ground.states[rows])


def batch_of_changes(ground: Ground, changes: list[Change], block: Block) -> Batch:
    """Return changed rows; `block` has their labels and weights."""
    columns = ground.columns(changes)
    return Batch(
        rows=np.array([change.row for change in changes], dtype=np.int64),
        columns=columns,
        block=Block(ground.design(columns), block.y, block.weight),
        numbers=np.array([change.numbers for change in changes]).reshape(len(changes), -1),
        states=np.array([change.states for change in changes]).reshape(len(changes), -1),
    )


def number_gains(probe: Probe, ground: Ground, batch: Batch, *, targets: Reals) -> Reals:
    """Return what each number, moved to its target by itself, does to the test loss.

    Parameters
    ----------
    probe : Probe
    ground : Ground
    batch : Batch
        b rows.
    targets : ndarray (b, dn)
        Values of the domain's numbers.

    Returns
    -------
    ndarray (b, dn)
        Changes of the test loss, in nats.
    """
    if not targets.size:
        return np.zeros_like(targets)
    y, weight = batch.block.y, batch.block.weight
    base = probe.scored(batch.block.X)
    scored = _moved(probe, ground, batch, targets, base)
    return (probe.gain(scored, y, weight) - probe.gain(base, y, weight)[:, None]).numpy()


def _moved(probe: Probe, ground: Ground, batch: Batch, targets: Reals, base: Tensor) -> Tensor:
    """Return the scores of all rows with one number after the other at its target."""  # -> (b, dn, 2k)
    numbers, basis = ground.domain.numbers, ground.encoded.basis
    moved = batch.columns.numeric.copy()
    if basis.kernel is not None:
        found = []
        for j, number in enumerate(numbers):
            one = moved.copy()
            one[:, number.place] = targets[:, j]
            found.append(probe.scored(ground.design(replace(batch.columns, numeric=one))))
        return torch.stack(found, dim=1)
    moved[:, [number.place for number in numbers]] = targets
    mine, whose = ground.number_features
    shift = _dense(ground.design(replace(batch.columns, numeric=moved))[:, mine]) - _dense(
        batch.block.X[:, mine]
    )
    parts = shift[:, :, None] * probe.coefficients[mine]  # (b, f, 2k)
    added = parts.new_zeros(len(parts), len(numbers), parts.shape[2]).index_add_(
        1, torch.tensor(whose), parts
    )
    return base[:, None] + added


def category_gains(probe: Probe, ground: Ground, batch: Batch, *, at: int) -> tuple[list[int], Reals]:
    """Return what another level in one of the domain's categories does to the test loss.

    Parameters
    ----------
    probe : Probe
    ground : Ground
    batch : Batch
        b rows.
    at : int
        Which category.

    Returns
    -------
    states : list of int
        All S that a cell may take.
    gains : ndarray (b, S)
        Changes of the test loss, in nats; 0 for the state that a cell has, and where it is missing.
    """
    category, basis = ground.domain.categories[at], ground.encoded.basis
    states, current = sorted(category.donors), batch.states[:, at]
    y, weight = batch.block.y, batch.block.weight
    base = probe.scored(batch.block.X)
    if basis.kernel is not None and np.isin(category.places, basis.kernel_levels).any():
        donors = ground.encoded.columns
        scored = torch.stack([
            probe.scored(ground.design(batch.columns.with_column(category.column, donors.take(
                np.full(len(batch.rows), category.donors[state], dtype=np.int64)
            )))) for state in states
        ], dim=1)  # fmt: skip
    else:
        first = len(batch.columns.numeric_features) + len(batch.columns.vector_features)
        table = torch.cat(
            [probe.coefficients[first + category.places], probe.coefficients.new_zeros(1, base.shape[1])]
        )
        own = np.where(current >= 0, current, NONE)  # the last row of the table stands for no feature
        scored = base[:, None] + table[states][None] - table[own][:, None]
    gains = (probe.gain(scored, y, weight) - probe.gain(base, y, weight)[:, None]).numpy()
    gains[current == ABSENT] = 0.0
    return states, gains


def vector_slopes(probe: Probe, ground: Ground, batch: Batch, *, at: int) -> Reals:
    """Return I_pert,loss ω/n of the coordinates of one of the domain's vectors, per user's unit."""
    vector = ground.domain.vectors[at]  # -> (b, w)
    first = len(batch.columns.numeric_features)
    pull = probe.pull(probe.scored(batch.block.X), batch.block.y, batch.block.weight)
    return (pull @ probe.coefficients[first + vector.places].T).numpy() / vector.encoder.scale


def magnitudes(probe: Probe, ground: Ground, block: Block) -> dict[str, Reals]:
    """Return the size of I_pert,loss ω/n over the features of every source column, and over all (``""``).

    Parameters
    ----------
    probe : Probe
    ground : Ground
    block : Block
        b training rows.

    Returns
    -------
    dict of ndarray (b,)
        Euclidean norms, in nats per unit of the encoded features.
    """
    pull, C = probe.pull(probe.scored(block.X), block.y, block.weight), probe.coefficients[:-1]
    columns: dict[str, list[int]] = {"": list(range(len(C)))}
    for place, feature in enumerate(ground.encoded.basis.features):
        columns.setdefault(feature.column, []).append(place)
    found = {}
    for name, mine in columns.items():
        gram = C[mine].T @ C[mine]
        found[name] = ((pull @ gram) * pull).sum(1).clamp_min(0.0).sqrt().numpy()
    return found


def _dense(X: Tensor | csr_array) -> Tensor:
    return X if isinstance(X, Tensor) else torch.from_numpy(X.toarray())
