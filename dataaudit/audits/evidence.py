"""Why a row is suspected: what speaks against its label, and the rows most like it.

**Columns.** The contribution of a source column to a row is the change of its log-odds, label against
suggested label, when the column's cell is replaced by cells of seeded random training rows (the average
over them): exact for any basis, since the row is scored again each time, and in the units of the model.
Terms of a text enter linearly, so each term's share is its weight times its value; so do the features of a
model of the user's own, a dense feature's value being taken from its mean. A word that is about as frequent
in either class, or frequent in both, is left out of what is shown: to the reader it is no reason.

**Rows.** Two rows are alike as far as the model can tell if they would move it the same way. For row i with
direction v = e_label - e_suggested,

    similarity(i, j) = (x̃_i ⊗ v)ᵀ H⁻¹ (x̃_j ⊗ v) / √(vᵀ Q_i v · vᵀ Q_j v)                in [-1, 1]

the cosine in the geometry of H⁻¹, in which influence is measured (RelatIF, Barshan et al. 2020, scales
likewise).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_array
from torch import Tensor

from dataaudit.audits.perturbation import swapped_scores
from dataaudit.features import Columns
from dataaudit.features.text import gram_columns, without_overlaps
from dataaudit.memory import memory_limit
from dataaudit.model.rows import times
from dataaudit.options.progress import ticking
from dataaudit.training.trained import Encoded, RowScores, Trained

SHOWN_CONTRIBUTIONS = 8
_OVERLAPPING = 8  # words or runs of characters that are looked through for one that is shown
# A word is no reason if this share of the rows of both classes have it, or if the share of the class that it
# speaks for is not so many times that of the other: "subject", "the", "der", "les", in any language.
_EVERYWHERE, _TIMES = 0.1, 1.5
OTHER_LABEL, SAME_LABEL = 3, 2
# Rows re-scored per column and suspect: the average of this many replacements.
REPLACEMENTS = 8
RESCORED = 200_000
# Rows compared with all others at a time, and the memory that this may take.
SIMILAR_ROWS, SIMILAR_BYTES = 128, 256 * 2**20
SOLVED = 4  # vectors of parameters of each that a solve takes
SHARDED = 1 << 16  # rows of a shard that are compared at a time


@dataclass(frozen=True)
class Contribution:
    """Log-odds towards the row's label from one column or term; negative speaks against it."""

    row: int
    column: str
    level: str | None
    value: float


@dataclass(frozen=True)
class Neighbour:
    """A training row and how alike it is."""

    row: int
    other: int
    similarity: float


def directions(trained: Trained, scores: RowScores, rows: NDArray[np.int64]) -> Tensor:
    """Return e_label - e_suggested in score space for some rows; of numbers the sign of that difference."""
    if trained.quantity is not None:  # (b,) -> (b, k)
        y = trained.objective.rows.y[torch.from_numpy(rows)]
        return torch.where(y < torch.from_numpy(scores.suggested[rows]), -1.0, 1.0).double()[:, None]
    eye = torch.eye(len(trained.classes), dtype=torch.float64)[:, 1:]
    label = trained.objective.rows.y[torch.from_numpy(rows)]
    return eye[label] - eye[torch.from_numpy(scores.suggested[rows])]


def contributions(
    trained: Trained, scores: RowScores, rows: NDArray[np.int64], *, seed: int
) -> list[list[Contribution]]:
    """Return the strongest contributions for every given row, strongest first."""  # rows (b,)
    if not len(rows):
        return []
    v = directions(trained, scores, rows)
    if trained.network is not None:
        own = trained.objective.scores(trained.fit.theta)[torch.from_numpy(rows)]
        there, offset = trained.network.frame[rows], float(np.random.default_rng(seed).random())
        parts = [
            (name, ((own - others) * v).sum(1).tolist())
            for name, others in swapped_scores(trained, trained.network, frame=there, offset=offset)
        ]
        each = [
            [Contribution(int(row), name, None, values[at]) for name, values in parts if values[at]]
            for at, row in enumerate(rows)
        ]
        return [sorted(mine, key=lambda c: (-abs(c.value), c.column))[:SHOWN_CONTRIBUTIONS] for mine in each]
    linear = np.array([f.kind == "term" or trained.encoded is None for f in trained.features])
    found = _linear_contributions(trained, rows, v, linear)
    if trained.encoded is not None:
        for column, values in _column_effects(trained, trained.encoded, rows, v, seed):
            for position, value in enumerate(values):
                found[position].append(Contribution(int(rows[position]), column, None, float(value)))
    encoders = trained.encoded.encoding.encoders if trained.encoded is not None and linear.any() else ()
    grams = gram_columns(encoders) if encoders else set()
    for row in found:
        row.sort(key=lambda c: (-abs(c.value), c.column, c.level or ""))
        row[:] = (
            without_overlaps(row, grams, most=SHOWN_CONTRIBUTIONS) if grams else row[:SHOWN_CONTRIBUTIONS]
        )
    return found


def _linear_contributions(
    trained: Trained, rows: NDArray[np.int64], v: Tensor, linear: NDArray[np.bool_]
) -> list[list[Contribution]]:
    """Return x_j θ_jᵀ v for the features that enter linearly and are not zero."""
    Theta = trained.objective.model.matrix(trained.fit.theta)[:-1]
    X = trained.objective.rows.take(torch.from_numpy(rows)).X
    if isinstance(X, Tensor):
        if trained.encoded is None and isinstance(everything := trained.objective.rows.X, Tensor):
            X = X - everything.mean(0)  # a raw column's zero may be far from any of its values
        X = csr_array(X.numpy())
    found: list[list[Contribution]] = []
    judged = linear.any() and trained.encoded is not None and bool(trained.classes)
    counts = _class_counts(trained) if judged else None
    for position, row in enumerate(rows):
        here = slice(X.indptr[position], X.indptr[position + 1])
        index, value = X.indices[here], X.data[here]
        index, value = index[linear[index]], value[linear[index]]
        effect = value * (Theta[torch.from_numpy(index).long()] @ v[position]).numpy()
        if counts is not None:
            is_reason = _reasons(counts, v[position], index, effect)
            index, effect = index[is_reason], effect[is_reason]
        strongest = np.argsort(-np.abs(effect), kind="stable")[: _OVERLAPPING * SHOWN_CONTRIBUTIONS]
        features = [(trained.features[index[j]], float(effect[j])) for j in strongest if effect[j] != 0.0]
        found.append([Contribution(int(row), f.column, f.level, value) for f, value in features])
    return found


def _class_counts(trained: Trained) -> tuple[csr_array, NDArray[np.float64]]:
    """Return the rows of each class that have each feature, and all its rows."""  # (K, d), (K,)
    X, y, K = trained.objective.rows.X, trained.objective.rows.y.numpy(), len(trained.classes)
    X = X if isinstance(X, csr_array) else csr_array(X.numpy())
    has = csr_array((np.ones(X.nnz, dtype=np.float32), X.indices, X.indptr), shape=X.shape)
    of_class = csr_array((np.ones(len(y), dtype=np.float32), y, np.arange(len(y) + 1)), shape=(len(y), K))
    return csr_array(of_class.T @ has), np.bincount(y, minlength=K).astype(np.float64)


def _reasons(
    counts: tuple[csr_array, NDArray[np.float64]],
    v: Tensor,
    index: NDArray[np.int64],
    effect: NDArray[np.float64],
) -> NDArray[np.bool_]:
    """Tell which terms of a row are a reason in themselves: by the rows of its two classes without it.

    Where none is by its frequencies, all do that are not everywhere.
    """
    whole = np.append(-float(v.sum()), v.numpy())  # classes are e_1 … e_K, of which v leaves the first out
    label, suggested = int(whole.argmax()), int(whole.argmin())
    rows = counts[0][[label, suggested]].toarray()[:, index] - [[1.0], [0.0]]
    own, other = (rows + 0.5) / (counts[1][[label, suggested]] - [1.0, 0.0] + 1.0)[:, None]
    speaks, is_silent = np.where(effect > 0, (own, other), (other, own))
    is_rare = np.minimum(own, other) < _EVERYWHERE
    is_reason = is_rare & (speaks >= _TIMES * is_silent)
    return np.asarray(is_reason if is_reason.any() else is_rare)


def _column_effects(
    trained: Trained, encoded: Encoded, rows: NDArray[np.int64], v: Tensor, seed: int
) -> list[tuple[str, NDArray[np.float64]]]:
    """Return, per column that is no text, what its cells add to each row's log-odds."""
    columns, b = encoded.columns, len(rows)
    names = sorted({f.column for f in columns.features if f.kind != "term"})
    if not names:
        return []
    repeats = max(1, min(REPLACEMENTS, RESCORED // (len(names) * b)))
    drawn = np.random.default_rng(seed).integers(columns.n, size=repeats * b)
    Theta, taken = trained.objective.model.matrix(trained.fit.theta), np.tile(rows, repeats)

    def log_odds(part: Columns) -> NDArray[np.float64]:
        X = encoded.basis.transform(part)
        s = times(X if isinstance(X, csr_array) else torch.from_numpy(X), Theta[:-1]) + Theta[-1]
        return (s * v.repeat(repeats, 1)).sum(1).view(repeats, b).mean(0).numpy()

    if encoded.basis.kernel is not None:  # the columns act together
        original, donors = columns.take(taken), columns.take(drawn)
        base = log_odds(original)
        return [(name, base - log_odds(original.with_column(name, donors))) for name in names]
    own, other = (trained.objective.rows.take(torch.from_numpy(some)).X for some in (taken, drawn))
    moved = csr_array(own - other)
    effects = moved.multiply((v.repeat(repeats, 1) @ Theta[:-1].T).numpy()).tocsr()
    place = {name: at for at, name in enumerate(names)}
    at = np.array([place.get(f.column, len(names)) for f in trained.features])  # terms go last, and away
    of_column = csr_array((np.ones(len(at)), (np.arange(len(at)), at)), shape=(len(at), len(names) + 1))
    summed = np.asarray((effects @ of_column).todense()).reshape(repeats, b, -1).mean(0)
    return [(name, summed[:, j]) for j, name in enumerate(names)]


def neighbours(trained: Trained, scores: RowScores, rows: NDArray[np.int64]) -> list[list[Neighbour]]:
    """Return the rows most alike to each given row: some of other labels, then some of its own."""
    found: list[list[Neighbour]] = []
    n, k = trained.forms.shape[:2]
    held = n if trained.objective.rows.in_memory else SHARDED  # rows that are compared at a time
    room, each = (
        min(SIMILAR_BYTES, memory_limit() // 8),
        8 * k * (held + SOLVED * trained.objective.rows.width),
    )
    size = max(1, min(SIMILAR_ROWS, room // each))
    y = trained.objective.rows.y.numpy()
    y = y if trained.quantity is None else np.zeros(len(y), dtype=np.int64)
    for chunk in ticking(np.array_split(rows, -(-len(rows) // size)) if len(rows) else ()):
        wanted = [(scores.suggested[chunk], OTHER_LABEL), (y[chunk], SAME_LABEL)]
        if trained.quantity is not None:  # whatever their values
            wanted = [(y[chunk], OTHER_LABEL + SAME_LABEL)]
        best = [_Most(chunk, labels, count) for labels, count in wanted]
        start = 0
        for similarity in _similarity(trained, scores, chunk):
            here = y[start : start + len(similarity)]
            for one in best:
                one.add(similarity, here, start)
            start += len(similarity)
        found += [[pair for one in best for pair in one.of(at)] for at in range(len(chunk))]
    return found


class _Most:
    """The rows of one label that are most alike to each of b rows, as far as rows were seen."""

    def __init__(self, rows: NDArray[np.int64], labels: NDArray[np.int64], count: int) -> None:
        self.rows, self.labels, self.count = rows, labels, count
        self.values = np.full((len(rows), count), -np.inf)  # the largest first; ties by position
        self.others = np.zeros((len(rows), count), dtype=np.int64)

    def add(self, similarity: NDArray[np.float64], y: NDArray[np.int64], start: int) -> None:
        """Look at some more rows."""  # (m, b), (m,)
        if np.isfinite(self.values).all():  # few of them are among the first
            at, asked = np.divmod(np.flatnonzero(similarity > self.values[:, -1]), len(self.rows))
            known = (y[at] == self.labels[asked]) & (start + at != self.rows[asked])
            for j in np.unique(asked[known]):
                some = at[known & (asked == j)]
                self._merge(j, similarity[some, j], start + some)
            return
        for label in np.unique(self.labels):
            asked, there = np.flatnonzero(self.labels == label), np.flatnonzero(y == label)
            if len(there):
                values = similarity[there][:, asked]
                self._add(asked, values, start + there)

    def _add(self, asked: NDArray[np.int64], values: NDArray[np.float64], others: NDArray[np.int64]) -> None:
        at = np.minimum(np.searchsorted(others, self.rows[asked]), len(others) - 1)
        mine = np.flatnonzero(others[at] == self.rows[asked])
        values[at[mine], mine] = -np.inf
        least = self.values[asked, -1]
        for j in np.flatnonzero(values.max(0) > least):
            column, row = values[:, j], asked[j]
            if self.count < len(column):
                least[j] = max(
                    least[j], np.nextafter(np.partition(column, -self.count)[-self.count], -np.inf)
                )
            some = np.flatnonzero(column > least[j])
            self._merge(row, column[some], others[some])

    def _merge(self, row: int, values: NDArray[np.float64], others: NDArray[np.int64]) -> None:
        both = np.concatenate([self.values[row], values])
        order = np.argsort(-both, kind="stable")[: self.count]
        self.others[row] = np.concatenate([self.others[row], others])[order]
        self.values[row] = both[order]

    def of(self, at: int) -> list[Neighbour]:
        """Return those of one row, the most alike first."""
        row, pairs = int(self.rows[at]), zip(self.others[at], self.values[at], strict=True)
        return [Neighbour(row, int(other), float(value)) for other, value in pairs if np.isfinite(value)]


def _similarity(
    trained: Trained, scores: RowScores, rows: NDArray[np.int64]
) -> Iterator[NDArray[np.float64]]:
    """Yield the similarity of every training row to the given ones, block by block."""  # (b,) -> (m, b)
    objective, v = trained.objective, directions(trained, scores, rows)
    B = objective.model.outer(objective.rows.take(torch.from_numpy(rows)), v)
    own = torch.einsum("bk,bkl,bl->b", v, trained.forms[torch.from_numpy(rows)], v).clamp_min(1e-300).sqrt()
    Z, start = trained.prepared.to_three_digits(B) / own, 0
    if v.shape[1] == 1:  # all directions are one, but for the sign
        Z, v = Z * v.T, v[:1]
    for products in objective.rows.map(partial(objective.model.moved, Z)):
        forms = trained.forms[start : start + len(products)]
        inner = (products * v.T[None]).sum(1) if v.shape[1] > 1 else products[:, 0]
        sizes = (forms.flatten(1) @ (v[:, :, None] * v[:, None]).flatten(1).T).clamp_min(1e-300).sqrt()
        yield inner.div_(sizes).numpy()
        start += len(products)
