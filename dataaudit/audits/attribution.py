"""What one prediction owes to the training rows, the columns and its own cells.

**Rows.** With x̃ the features of a row and a 1 for the intercepts, r the slope of its loss and Q(z, t) the
form ``(x̃_zᵀ ⊗ I) H⁻¹ (x̃_t ⊗ I)`` (k, k), the influence of training row z on test row t is (Koh & Liang
2017, equation 2)

    I_up,loss(z, t) = -r_zᵀ Q(z, t) r_t                 removing z changes the loss of t by -I/n, first order

The paper's figure 1 leaves out one part at a time. For two classes with labels y = ±1, whose slope is
``r_z = -y σ(-y θᵀx̃)``,

    without the training loss     -y_t y σ(-y_t θᵀx̃_t) · x̃_tᵀ H⁻¹ x̃
    without H⁻¹                   -y_t y σ(-y_t θᵀx̃_t) σ(-y θᵀx̃) · x̃_tᵀ x̃

For softmax the first is ``r_z/(1 - p_z)`` in the place of r_z, p_z being the probability of the row's own
label: the slope of a row that is not fitted at all, which pushes its label up by 1 and the other classes down
in the ratio of their probabilities; for K = 2 that is -y. The second is ``-(x̃_tᵀx̃) r_zᵀ C⁻¹ r_t`` with C the
form of the ridge (`model.linear`), which is the product of the gradients by all K classes, whichever is the
reference; for K = 2, C = 1. The paper has two classes: for more, both are our generalisation.

**Support vector machines.** Training rows pull by the slope of the hinge; the loss of the test row is the
log-loss of its calibrated probability (`Trained.calibration`, held fixed), so that it is in nats whatever the
model. Without the training loss a row that is not fitted pulls by 1, as for two classes above.

**Removal.** By the row's own Newton step the scores of t move by ``1/n Q(z, t)ᵀ (I - W Q(z, z)/n)⁻¹ r_z``
without z, which is the leverage-corrected leave-one-out; the change of loss is that of the moved scores. For
two classes it is what the traces of a mismatch give.

**Relative influence** (RelatIF; Barshan et al. 2020) is ``I(z, t)/√-I(z, z)``: rows that move everything do
not come first because of that.

**Neighbours** are the nearest rows by cosine and by Euclidean distance of the features x. They know neither
the label nor the training loss nor H⁻¹ (section 2.3): what is alike need not be responsible.

**Columns.** The contribution of a column is the score of the predicted class over its strongest rival, less
the mean of that over cells drawn from the column's training distribution; a term of a text contributes its
value times its coefficient. In log-odds.

Cost: one solve, one pass over the training rows, and for each row shown a solve with k columns by a factor,
with two columns where there is none.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_array
from torch import Tensor

from dataaudit.audits.perturbation import swapped, swapped_scores
from dataaudit.audits.testset import Tested
from dataaudit.features.text import gram_columns, without_overlaps
from dataaudit.influence.amip import own_steps
from dataaudit.influence.influence import loss_gradients
from dataaudit.model.rows import Block, times
from dataaudit.training.trained import Trained

Rows = NDArray[np.int64]
Reals = NDArray[np.float64]
Measure = Literal["cosine", "euclidean"]
MEASURES: tuple[Measure, ...] = ("cosine", "euclidean")
# Neighbours measured again without cancellation, for each one that is asked for.
SPARE = 8


@dataclass(frozen=True)
class Attribution:
    """Influence of all n training rows on one test row, whole and in parts; positive is harmful."""

    influence: Reals  # (n,) I_up,loss, in nats times n
    without_train_loss: Reals  # (n,) the same as if no training row were fitted, in nats times n
    without_hessian: Reals  # (n,) the negative product of the two gradients
    solved: Tensor  # (p,) H⁻¹ times the gradient of the test row

    def strongest(self, k: int) -> Rows:
        """Return the positions of the k most harmful and k most helpful rows; ties go by position."""
        order = np.argsort(-self.influence, kind="stable")
        harmful = order[:k][self.influence[order[:k]] > 0]
        order = np.argsort(self.influence, kind="stable")
        helpful = order[:k][self.influence[order[:k]] < 0]
        return np.concatenate([harmful, helpful])


@dataclass(frozen=True)
class Nearest:
    """Training rows near to a test row."""

    measure: Measure
    rows: Rows  # (k,) positions, the nearest first
    values: Reals  # (k,) cosines, or distances, in the encoded features


@dataclass(frozen=True)
class ColumnContribution:
    """What one column, or one term, of the test row adds to the score of its predicted class."""

    column: str  # the source column
    level: str | None  # the term; None for a whole column
    value: float  # in log-odds of the predicted class over its strongest rival


def attribute(trained: Trained, test: Block) -> Attribution:
    """Return the influence of every training row on one test row, with its parts left out in turn."""
    model, theta = trained.objective.model, trained.fit.theta
    r_t = trained.loss_slope(model.scores(theta, test), test.y)  # (1, k)
    along = model.outer(test, torch.cat([r_t, torch.linalg.solve(model.coupling, r_t.T).T]))  # (p, 2)
    along[:, :1] = trained.prepared.solve(along[:, :1])
    parts: list[Tensor] = []
    for block in trained.objective.rows.blocks():
        s = model.scores(theta, block)
        r, (moved, alike) = model.loss.slope(s, block.y), model.moved(along, block).unbind(2)  # Q(z, t) r_t
        unfitted = _unfitted(s, block.y) if trained.quantity is None else r.sign()
        values = r * moved, unfitted * moved, r * alike
        parts.append(-torch.stack([value.sum(1) for value in values]))
    influence, unfit, alike = torch.cat(parts, 1)
    return Attribution(influence.numpy(), unfit.numpy(), alike.numpy(), along[:, 0])


def rank_by_size(values: Reals) -> Rows:
    """Return every row's place by size, 1 for the largest; ties go by position."""  # (n,) -> (n,)
    place = np.empty(len(values), dtype=np.int64)
    place[np.argsort(-np.abs(values), kind="stable")] = np.arange(1, len(values) + 1)
    return place


def _unfitted(s: Tensor, y: Tensor) -> Tensor:
    """Return ``r/(1 - p_y)`` without dividing: the distribution over the other classes, less e_y."""
    s = torch.nn.functional.pad(s, (1, 0))  # (b, k) -> (b, k)
    own = torch.nn.functional.one_hot(y, s.shape[1]).bool()
    others = torch.softmax(s.masked_fill(own, -torch.inf), dim=1)
    return (others - own.to(s.dtype))[:, 1:]


def loss_without(trained: Trained, test: Block, rows: Rows) -> Reals:
    """Return what the removal of each of some training rows does to the loss of one test row, in nats."""
    s, without = _scores_without(trained, test, rows)
    change = trained.loss(without, test.y.expand(len(rows))) - trained.loss(s, test.y)
    return np.asarray(change.numpy())


def prediction_without(trained: Trained, test: Block, rows: Rows) -> Reals:
    """Return what it does to a predicted number, in the unit of the label; of classes nan."""  # -> (b,)
    if trained.quantity is None:
        return np.full(len(rows), np.nan)
    now, then = (trained.quantity.of_scores(s[:, 0].numpy()) for s in _scores_without(trained, test, rows))
    return np.asarray(then - now)


def _scores_without(trained: Trained, test: Block, rows: Rows) -> tuple[Tensor, Tensor]:
    """Return the scores of one test row, and without each of some training rows."""  # -> (1, k), (b, k)
    model, theta, solve = trained.objective.model, trained.fit.theta, trained.prepared.solve
    s = model.scores(theta, test)
    if not len(rows):
        return s, s[:0]
    at, changed = torch.from_numpy(rows), trained.prepared.changed
    if changed is None:
        return s, s + own_steps(trained.objective, theta, solve, v=solve(model.lifted(test)), rows=at)
    return s, s + model.moved(changed.steps(at), test)[0].T  # a solve a row, where that would take k


def relative_influence(trained: Trained, rows: Rows, influence: Reals) -> Reals:
    """Return RelatIF of some training rows."""  # rows (b,), influence (b,) -> (b,)
    at, changed = torch.from_numpy(rows), trained.prepared.changed
    if changed is not None:
        return np.asarray(influence / changed.self_influence(at).clamp_min(1e-300).sqrt().numpy())
    block = trained.objective.rows.take(at)
    gradients = loss_gradients(trained.objective.model, trained.fit.theta, block)
    own = (gradients * trained.prepared.solve(gradients)).sum(0).clamp_min(1e-300).sqrt()
    return np.asarray(influence / own.numpy())


def nearest(trained: Trained, tested: Tested, k: int) -> tuple[Nearest, ...]:
    """Return the k training rows nearest to one test row, by each measure; a network's by its inputs."""
    if trained.network is not None:
        X, (x,) = (
            trained.network.inputs(frame).flatten(1).double()
            for frame in (trained.network.frame, tested.dataset.frame)
        )
    else:
        X, x = trained.objective.rows.X, tested.block.dense()[0, :-1]
    squares = torch.from_numpy(X.multiply(X).sum(1)) if isinstance(X, csr_array) else (X * X).sum(1)
    products, size = times(X, x[:, None])[:, 0], float(x @ x)
    lengths = (squares.sqrt() * size**0.5).clamp_min(1e-300)
    rough = {"cosine": -products / lengths, "euclidean": squares - 2 * products}
    found = []
    for measure in MEASURES:
        some = torch.argsort(rough[measure], stable=True)[: SPARE * k].sort().values
        Z = X[some] if isinstance(X, Tensor) else torch.from_numpy(X[some.numpy()].toarray())
        if measure == "cosine":
            exact = -(Z @ x) / (Z.norm(dim=1) * x.norm()).clamp_min(1e-300)
        else:
            exact = (Z - x).norm(dim=1)
        order = torch.argsort(exact, stable=True)[:k]
        values = exact[order].abs() if measure == "euclidean" else -exact[order]
        found.append(Nearest(measure, some[order].numpy(), values.numpy()))
    return tuple(found)


def column_contributions(
    trained: Trained, tested: Tested, *, against: tuple[int, int], seed: int
) -> list[ColumnContribution]:
    """Return what the columns and terms of one test row add to a class over another, largest first.

    Of runs of characters that overlap, the largest alone.
    """
    encoded, network = trained.encoded, trained.network
    if encoded is None and network is None:
        return []
    offset = float(np.random.default_rng(seed).random())
    eye = torch.eye(len(trained.classes), dtype=torch.float64)[:, 1:]
    v = eye[against[0]] - eye[against[1]] if trained.classes else torch.ones(1, dtype=torch.float64)  # (k,)
    if network is not None:
        found = [
            ColumnContribution(name, None, float((tested.scores - others)[0] @ v))
            for name, others in swapped_scores(trained, network, frame=tested.dataset.frame, offset=offset)
        ]
        return sorted(found, key=lambda part: (-abs(part.value), part.column))
    if encoded is None:
        return []
    pull = trained.calibration[0] * (trained.objective.model.matrix(trained.fit.theta) @ v)  # (d+1,)
    x = tested.block.dense()[0]
    terms = [
        ColumnContribution(feature.column, feature.level, value)
        for feature, value in zip(trained.features, (x * pull)[:-1].tolist(), strict=True)
        if feature.kind == "term"
    ]
    own = float(x @ pull)
    texts = {part.column for part in terms}
    whole = []
    for name, share, mixed in swapped(encoded, tested.columns, offset):
        if name in texts:
            continue
        X = encoded.basis.transform(mixed)
        X = torch.from_numpy(X) if isinstance(X, np.ndarray) else X
        scores = times(X, pull[:-1, None])[:, 0] + pull[-1]
        whole.append(ColumnContribution(name, None, own - float(scores @ torch.from_numpy(share))))
    found = [part for part in (*terms, *whole) if part.value != 0.0]
    found.sort(key=lambda part: (-abs(part.value), part.column, part.level or ""))
    return without_overlaps(found, gram_columns(encoded.encoding.encoders), most=len(found))
