"""Which column of a training row carries its influence on some test rows.

**Finite effect.** Influence is exact in the row that is put in the place of another: replacing training row z
by zδ changes the loss of test row t, to first order in 1/n, by (Koh & Liang 2017, equation 3)

    (ω/n) (I_up,loss(zδ, t) - I_up,loss(z, t))        I_up,loss(z, t) = -g_tᵀ H⁻¹ g_z,  ω the weight of z

The effect of a column is the mean of that over cells drawn from the column's training distribution (the label
is kept), for the mean loss of the given test rows, in nats. Where a column's cells take few values all of
them are used, with their frequencies; otherwise evenly spaced ones. A negative effect says that this cell
does harm: with another one the test rows would be predicted better. If nothing but that cell matters, its
effect is minus the harm of the whole row; effects of several columns do not add up.

**Terms.** A term of a text is removed; what is left is brought to length 1 again where the encoder does that.

**Gradient.** I_pert,loss/n of the same row and test rows, ``-(1/n) ∂(g_tᵀ H⁻¹ g_z)/∂x`` per unit of an
encoded feature, of a column the entry of largest magnitude. It says nothing about values that the row has: an
indicator that no row nearby carries comes first because its coefficient is large.

With V = H⁻¹ Σ_t g_t/t read as (d+1, k), ``g_tᵀ H⁻¹ g_z`` is ``r(x̃Θ, y)ᵀ (x̃V)``: a changed row costs one
product with [Θ, V]. Draws are systematic (one seeded offset), so the same call gives the same figures.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_array
from torch import Tensor

from dataaudit.cells import cell_text, picture_of
from dataaudit.data.dataset import Dataset
from dataaudit.features import Columns, Feature
from dataaudit.features.text import TextEncoder, gram_columns, without_overlaps
from dataaudit.model.rows import Block
from dataaudit.training.trained import Encoded, Trained

if TYPE_CHECKING:
    from dataaudit.training.networks.network import Network

Reals = NDArray[np.float64]
Rows = NDArray[np.int64]

# Cells that a column is replaced by: all of them up to so many different ones, else evenly spaced ones.
DRAWS = 64
FEW = 16  # of them where a network makes features of every one
# Terms of a row whose removal is reported, those of the largest effects.
TERMS = 20
CELL = 100

FEATURES = pl.Schema(
    {
        "train_row_id": pl.String(),
        "column": pl.String(),
        "level": pl.String(),
        "value": pl.String(),
        "finite_effect": pl.Float64(),
        "gradient": pl.Float64(),
        "rank": pl.Int64(),
    }
)


@dataclass(frozen=True)
class ColumnEffect:
    """What one column, or one term, of a training row does to the mean loss of the test rows."""

    row: int  # position of the training row
    column: str  # the source column
    level: str | None  # the term that is removed; None where the cell is replaced
    finite: float  # change of the mean loss, in nats: negative where another cell is better for them
    gradient: float  # I_pert,loss/n per unit of an encoded feature, the largest of the column


@dataclass(frozen=True)
class _Probe:
    """[Θ, V] and the losses' slope: the influence of any row on the test rows."""

    trained: Trained
    V: Tensor
    coefficients: Tensor

    @property
    def k(self) -> int:
        """Number of scores."""
        return self.trained.objective.model.loss.n_scores

    def scored(self, X: Reals | csr_array | Tensor) -> Tensor:
        """Return ``[x̃Θ, x̃V]`` of rows."""  # (b, d) -> (b, 2k)
        X = torch.from_numpy(X) if isinstance(X, np.ndarray) else X
        return self.trained.objective.model.along(self.trained.fit.theta, self.V.reshape(-1), X)

    def influence(self, scored: Tensor, y: Tensor, weight: Tensor) -> Tensor:
        """Return ω I_up,loss/n of rows on the mean loss of the test rows."""  # (b, 2k), (b,), (b,) -> (b,)
        r = self.trained.objective.model.loss.slope(scored[:, : self.k], y)
        return -weight * (r * scored[:, self.k :]).sum(1) / self.trained.objective.rows.n


def column_effects(
    trained: Trained, rows: Rows, test: Block, *, solved: Tensor | None = None, seed: int = 0
) -> list[list[ColumnEffect]]:
    """Return the effects of every column of some training rows; H⁻¹ ∇ of the test loss may be at hand."""
    if not len(rows) or not len(test.y):
        return [[] for _ in rows]
    probe = _probe(trained, test, solved)
    offset = float(np.random.default_rng(seed).random())
    block = trained.objective.rows.take(torch.from_numpy(rows))
    gradients = [{} for _ in rows] if trained.network is not None else _gradients(probe, block)
    found: list[list[ColumnEffect]] = [[] for _ in rows]
    encoded = trained.encoded
    if trained.network is not None:
        network = trained.network
        swaps: Iterator[tuple[str, Reals, Tensor]] = (
            (name, share, probe.scored(network.design(cells)))
            for name, share, cells in swapped_cells(trained, network.frame[rows], offset=offset)
        )
    elif encoded is None:
        swaps = _swap_features(probe, rows, offset)
    else:
        swaps = _swap_columns(probe, encoded, rows, offset)
    now = probe.influence(probe.scored(block.X), block.y, block.weight)
    for name, share, scored in swaps:  # (R,), (b R, 2k): row by row
        y, weight = (values.repeat_interleave(len(share)) for values in (block.y, block.weight))
        swapped = probe.influence(scored, y, weight).view(len(rows), -1)
        change = swapped @ torch.from_numpy(share) - now
        for position, row in enumerate(rows.tolist()):
            value, slope = float(change[position]), gradients[position].get((name, None), float("nan"))
            found[position].append(ColumnEffect(row, name, None, value, slope))
    if encoded is not None:
        for position, row in enumerate(rows.tolist()):
            found[position].extend(_term_effects(probe, encoded, row, gradients[position]))
    for effects in found:
        effects.sort(key=lambda e: (-abs(e.finite), e.column, e.level or ""))
    return found


def _probe(trained: Trained, test: Block, solved: Tensor | None) -> _Probe:
    model, theta = trained.objective.model, trained.fit.theta
    if solved is None:
        alike = Block(test.X, test.y, torch.full_like(test.weight, 1.0 / len(test.y)))
        solved = trained.prepared.solve(trained.loss_gradient(alike)[:, None])[:, 0]
    V = model.matrix(solved)
    return _Probe(trained, V, torch.cat([model.matrix(theta), V], dim=1))


def _gradients(probe: _Probe, block: Block) -> list[dict[tuple[str, str | None], float]]:
    """Return ω I_pert,loss/n of every row by column, and by term."""
    trained, k = probe.trained, probe.k
    scored = probe.scored(block.X)
    loss, Theta = trained.objective.model.loss, probe.coefficients[:-1, :k]
    bent = (loss.curvature(scored[:, :k], block.y) @ scored[:, k:, None])[:, :, 0]
    slope = -(loss.slope(scored[:, :k], block.y) @ probe.V[:-1].T + bent @ Theta.T)
    found = []
    for values in (block.weight[:, None] * slope / trained.objective.rows.n).numpy():
        mine: dict[tuple[str, str | None], float] = {}
        for feature, value in zip(trained.features, values.tolist(), strict=True):
            keys = [
                (feature.column, None),
                *([(feature.column, feature.level)] if feature.kind == "term" else []),
            ]
            for key in keys:
                if abs(value) >= abs(mine.get(key, 0.0)):
                    mine[key] = value
        found.append(mine)
    return found


Swap = tuple[str, Reals, Tensor]


def _swap_columns(probe: _Probe, encoded: Encoded, rows: Rows, offset: float) -> Iterator[Swap]:
    """Yield, per source column, the weights of the draws and the scores of every row with every draw."""
    for name, weight, mixed in swapped(encoded, encoded.columns.take(rows), offset):
        yield name, weight, probe.scored(encoded.basis.transform(mixed))


def swapped(encoded: Encoded, rows: Columns, offset: float) -> Iterator[tuple[str, Reals, Columns]]:
    """Yield, per source column, the weights of the draws and every row (b R) with the cell of every draw."""
    for name in sorted({f.column for f in rows.features}):
        donors, weight = _draws(encoded.columns, name, offset)
        originals = rows.take(np.repeat(np.arange(rows.n), len(donors)))
        yield name, weight, originals.with_column(name, encoded.columns.take(np.tile(donors, rows.n)))


def swapped_cells(
    trained: Trained, frame: pl.DataFrame, *, offset: float
) -> Iterator[tuple[str, Reals, pl.DataFrame]]:
    """Yield, per column of a network's rows, the weights of the draws, and each row (b R) with each draw."""
    network, table = trained.network, trained.table
    if network is None or table is None:
        return
    names = sorted({f.column for f in table.columns.features} & set(frame.columns))
    for name in names if len(names) > 1 else ():  # of a single one it would be another row
        donors, weight = _draws(table.columns, name, offset)
        few = np.arange(0, len(donors), -(-len(donors) // FEW))
        rows = frame[np.repeat(np.arange(frame.height), len(few))]
        cells = network.frame[name].gather(np.tile(donors[few], frame.height))
        share = weight[few] / weight[few].sum()
        yield name, share, rows.with_columns(cells)


def swapped_scores(
    trained: Trained, network: Network, *, frame: pl.DataFrame, offset: float
) -> Iterator[tuple[str, Tensor]]:
    """Yield, per column, the mean scores of a network's rows with the cells of others in it."""
    for name, share, cells in swapped_cells(trained, frame, offset=offset):
        scores = network.scores(network.theta, network.inputs(cells))
        yield name, torch.from_numpy(share) @ scores.view(frame.height, len(share), -1)


def slope_pictures(trained: Trained, rows: Rows, test: Block) -> list[tuple[int, str]]:
    """Return as pictures the size of I_pert,loss in every pixel that a network sees of training rows."""
    network = trained.network
    if network is None or not len(rows):
        return []
    frame, y = network.frame[rows], trained.objective.rows.y[torch.from_numpy(rows)]
    X = network.inputs(frame)
    if not X.is_floating_point():
        return []
    slopes = network.slopes(frame, trained.fit.theta, _probe(trained, test, None).V.reshape(-1), y=y).abs()
    shown = (slopes / slopes.amax(1, keepdim=True).clamp_min(1e-300)).view(X.shape)
    if shown.dim() == 4:  # noqa: PLR2004 - rows, channels, height and width
        shown = shown.amax(1)
    pictures = [picture_of(one.numpy()) for one in shown]
    return [(row, one) for row, one in zip(rows.tolist(), pictures, strict=True) if one]


def _draws(columns: Columns, name: str, offset: float) -> tuple[Rows, Reals]:
    """Return training rows whose cells stand for a column's distribution, and their weights."""
    # One number per cell: different cells agree in it with probability zero.
    random, key = np.random.default_rng(0), np.zeros(columns.n)
    for part, features in (
        (columns.numeric, columns.numeric_features),
        (columns.vectors, columns.vector_features),
        (columns.levels, columns.level_features),
        (columns.terms, columns.term_features),
    ):
        mine = np.array([feature.column == name for feature in features], dtype=bool)
        if mine.any():
            key += part @ np.where(mine, random.random(len(features)) + 0.5, 0.0)
    _, first, counts = np.unique(key, return_index=True, return_counts=True)
    if len(first) <= DRAWS:
        return first.astype(np.int64), counts / columns.n
    order = np.argsort(key, kind="stable")
    return _spaced(order, offset), np.full(DRAWS, 1.0 / DRAWS)


def _spaced(order: Rows, offset: float) -> Rows:
    """Return evenly spaced entries, the first one at a random place."""
    return order[((np.arange(DRAWS) + offset) / DRAWS * len(order)).astype(np.int64)]


def _swap_features(probe: _Probe, rows: Rows, offset: float) -> Iterator[Swap]:
    """Yield the same for a model of the user's own, whose columns are its features, each linear."""
    trained = probe.trained
    n = trained.objective.rows.n
    order = np.random.default_rng(int(offset * 2**32)).permutation(n)
    drawn = _spaced(order, offset) if n > DRAWS else np.arange(n)
    mine, theirs = (trained.objective.rows.take(torch.from_numpy(part)) for part in (rows, drawn))
    # Where X is sparse, the features that a row has are swapped, and no others.
    sparse = None if isinstance(mine.X, Tensor) else mine.X.indices
    used = np.arange(len(trained.features)) if sparse is None else np.unique(sparse)
    scored, own, other = probe.scored(mine.X), mine.dense(), theirs.dense()
    share = np.full(len(drawn), 1.0 / len(drawn))
    for j in used.tolist():
        change = other[None, :, j] - own[:, None, j]  # (b, R)
        moved = scored[:, None] + change[:, :, None] * probe.coefficients[j]
        yield trained.features[j].column, share, moved.reshape(-1, 2 * probe.k)


def _term_effects(
    probe: _Probe, encoded: Encoded, row: int, gradients: dict[tuple[str, str | None], float]
) -> list[ColumnEffect]:
    """Return the effects of removing terms, the strongest ones."""
    columns, objective = encoded.columns, probe.trained.objective
    here = slice(columns.terms.indptr[row], columns.terms.indptr[row + 1])
    if here.stop == here.start:
        return []
    at, value = columns.terms.indices[here], columns.terms.data[here]
    features = [columns.term_features[j] for j in at]
    first = len(columns.features) - len(columns.term_features)
    shares = (
        torch.from_numpy(value)[:, None] * probe.coefficients[torch.from_numpy(first + at.astype(np.int64))]
    )
    block = objective.rows.take(torch.tensor([row]))
    whole = probe.scored(block.X)  # (1, 2k)
    scored = _without_terms(whole, shares, value, features, _unit_columns(encoded))
    now = probe.influence(whole, block.y, block.weight)
    change = probe.influence(scored, block.y, block.weight) - now
    effects = [
        ColumnEffect(row, f.column, f.level, float(c), gradients.get((f.column, f.level), float("nan")))
        for f, c in zip(features, change, strict=True)
    ]
    effects.sort(key=lambda e: (-abs(e.finite), e.column, e.level or ""))
    return without_overlaps(effects, gram_columns(encoded.encoding.encoders), most=TERMS)


def _unit_columns(encoded: Encoded) -> set[str]:
    """Return the text columns whose rows have length 1."""
    texts = [e for e in encoded.encoding.encoders if isinstance(e, TextEncoder)]
    return {e.column for e in texts if e.weighting == "tfidf"}


def _without_terms(
    whole: Tensor, shares: Tensor, value: Reals, features: list[Feature], unit: set[str]
) -> Tensor:
    """Return the scores of a row without each of its terms."""  # (1, 2k), (m, 2k), (m,) -> (m, 2k)
    scored = whole - shares
    for column in {f.column for f in features} & unit:
        mine = torch.tensor([f.column == column for f in features])
        left = 1.0 - torch.from_numpy(value)[mine] ** 2
        # A text of one word is empty without it.
        stretch = torch.where(left > 1e-12, left.clamp_min(1e-12).rsqrt(), 1.0) - 1.0  # noqa: PLR2004 - rounding
        rest = shares[mine].sum(0) - shares[mine]
        scored[mine] += stretch[:, None] * rest
    return scored


def sum_effects(effects: list[list[ColumnEffect]]) -> list[tuple[str, float]]:
    """Sum the effects of whole columns over training rows, as for a finding."""
    sums: dict[str, float] = {}
    for effect in (e for row in effects for e in row if e.level is None):
        sums[effect.column] = sums.get(effect.column, 0.0) + effect.finite
    return sorted(sums.items(), key=lambda item: (-abs(item[1]), item[0]))


def feature_table(dataset: Dataset, effects: list[list[ColumnEffect]]) -> pl.DataFrame:
    """Return the table of features: one row per training row and column, or term."""
    rows = [
        (dataset.row_id[e.row], e.column, e.level, _value(dataset, e), e.finite, e.gradient, rank)
        for mine in effects
        for rank, e in enumerate(mine, start=1)
    ]
    return pl.DataFrame(rows, schema=FEATURES, orient="row")


def _value(dataset: Dataset, effect: ColumnEffect) -> str | None:
    if effect.level is not None:
        return effect.level
    if effect.column not in dataset.frame.columns:
        return None
    return cell_text(dataset.frame[effect.column][effect.row], CELL)
