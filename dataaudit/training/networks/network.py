"""A user's network with the way from a table's rows to its inputs: scores, Jacobians, and true refits."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import Any, Final

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_array, vstack
from torch import Tensor, nn
from torch.func import grad, vjp
from torch.nn.attention import SDPBackend, sdpa_kernel

from dataaudit.data.dataset import first_line
from dataaudit.errors import AuditError, SettingError
from dataaudit.features.columns import counted
from dataaudit.influence.retrain import Refit
from dataaudit.memory import memory_limit, require_memory
from dataaudit.model.losses import Softmax
from dataaudit.model.tangent import Fold
from dataaudit.model.torch import ModuleModel, TensorRows, digest_of, explained
from dataaudit.options import NOT_KEPT, Checkpoint

INPUT, LABEL = "input", "label"
BLOCK_BYTES: Final = 64 * 2**20  # of the Jacobians that are made at a time
ROWS: Final = 1024  # that are predicted at a time
SEEN: Final = 4  # frames of which inputs are kept
MOVED: Final = 256  # numbers of a vector that are moved at a time, each in a row of its own
EVEN: Final = 1e-5  # of the largest input: what moves in proportion may differ by, in single precision


@dataclass(frozen=True, eq=False)
class Network:
    """A network with the way from a table's rows to its inputs."""

    model: ModuleModel  # a copy, in float64
    given: ModuleModel  # the user's own
    frame: pl.DataFrame  # (n) the training rows
    target: str  # the column of labels
    order: Tensor  # (K,) the module's output of each class; of one output, whether it is of the second class
    ridge: Tensor  # (p,) λ
    damping: float
    weights: Tensor  # (K,) by which the module's loss weighs a class
    factor: Tensor  # (n,) that of each training row
    refits: dict[str, list[Tensor]] = field(default_factory=dict)  # θ by each seed, by what was changed
    # Inputs of frames, the last ones.
    made: dict[int, tuple[pl.DataFrame, Tensor]] = field(default_factory=dict)

    @property
    def digest(self) -> str:
        """A hash of the user's own."""
        return digest_of(self.given)

    @property
    def single(self) -> int:
        """Seeds that prove what one row does: of refits from where it stands one is as good as several."""
        return self.given.seeds if self.given.retrain else 1

    @cached_property
    def theta(self) -> Tensor:
        """θ̃."""  # (p,)
        return self.model.theta

    @cached_property
    def fold(self) -> Fold:
        """How the columns of Jacobians are folded."""
        return Fold(len(self.theta))

    def inputs(self, frame: pl.DataFrame) -> Tensor:
        """Return what the module is called on."""  # -> (b, …)
        if id(frame) in self.made:
            return self.made[id(frame)][1]
        given = frame.drop(self.target, strict=False)
        try:
            made = _stacked(given) if self.given.features is None else self.given.features(given)
        except (AuditError, MemoryError):
            raise
        except Exception as error:
            what = f"features cannot be made of these rows: {type(error).__name__}: {first_line(error)}"
            raise SettingError(what, "try features(frame) by itself: it gets a frame of Polars") from error
        X = torch.as_tensor(made)
        if len(X) != frame.height:
            what = f"features gives {counted(len(X), 'row')} for {counted(frame.height, 'row')}"
            raise SettingError(what, "return one input a row, in their order")
        if X.is_floating_point() or (self.given.features is None and not self._embeds):
            X = X.double()
        if not bool(torch.isfinite(X).all()):
            raise SettingError("inputs of the module are not finite", "fill what is missing in features=")
        if len(self.made) >= SEEN:
            self.made.pop(next(key for key in self.made if key != id(self.frame)))
        self.made[id(frame)] = (frame, X)
        return X

    @property
    def _embeds(self) -> bool:  # so that whole numbers stay what they are
        return any(isinstance(layer, nn.Embedding | nn.EmbeddingBag) for layer in self.model.net.modules())

    def head(self, outputs: Tensor) -> Tensor:
        """Return the log-odds of every class against the first."""  # (b, …) -> (b, k)
        if len(self.order) == 1:
            sign = 2.0 * float(self.order[0]) - 1.0
            return sign * outputs.reshape(len(outputs), 1)
        found = outputs[:, self.order]
        return found[:, 1:] - found[:, :1]

    def targets(self, y: Tensor) -> Tensor:
        """Return class numbers as the module's loss has them."""  # (b,) -> (b,) or (b, 1)
        if len(self.order) > 1:
            return self.order[y]
        own = y if bool(self.order[0]) else 1 - y
        return own.double().reshape(-1, *self._one)

    @cached_property
    def _one(self) -> tuple[int, ...]:  # the shape of an output of one number
        return ()

    def scores(self, theta: Tensor, X: Tensor) -> Tensor:
        """Return the scores of inputs."""  # -> (b, k)
        parts = torch.split(X, ROWS)
        return torch.cat([self.head(self.model.outputs(theta, part)) for part in parts])

    def design(self, frame: pl.DataFrame, kept: Checkpoint = NOT_KEPT) -> NDArray[np.float64]:
        """Return the rows of the tangent model: their Jacobians, side by side, and their scores."""
        X, p = self.inputs(frame), len(self.theta)  # -> (b, k (q + 1))
        k = max(1, len(self.order) - 1)
        require_memory(
            8 * len(X) * k * (self.fold.q + 1),
            f"the gradients of {counted(len(X), 'row')} in {self.fold.q:,} parameters and {k + 1:,} classes",
            memory_limit(),
        )
        step = max(1, BLOCK_BYTES // (8 * k * p))
        parts = [
            kept.once(f"gradients of rows from {at}", partial(self._packed, X[at : at + step]))
            for at in range(0, len(X), step)
        ]
        return torch.cat(parts).numpy()

    def _packed(self, X: Tensor) -> Tensor:
        J = self.fold(self.model.jacobians(self.theta, X, self.head))
        return torch.cat([J.flatten(1), self.head(self.model.outputs(self.theta, X))], dim=1)

    def slopes(self, frame: pl.DataFrame, delta: Tensor, v: Tensor, *, y: Tensor) -> Tensor:
        """Return I_pert,loss of every number of the inputs: the slope of -rᵀJv, at Δ of the tangent model."""
        X, loss = self.inputs(frame), Softmax(max(2, len(self.order)))  # (q,), (q,) -> (b, d)
        ways = self.fold.unfold(delta), self.fold.unfold(v)

        def influence(some: Tensor, labels: Tensor) -> Tensor:
            s, pull = vjp(lambda theta: self.head(self.model.at(theta, some)), self.theta)[:2]
            push = vjp(lambda slopes: pull(slopes)[0], torch.zeros_like(s))[1]  # w -> Jᵀ w is linear
            moved, along = (push(way)[0] for way in ways)
            value: Tensor = -(loss.slope(s + moved, labels) * along).sum()
            return value

        pairs = zip(torch.split(X, ROWS), torch.split(y, ROWS), strict=True)
        with explained(), sdpa_kernel(SDPBackend.MATH):
            parts = [grad(influence)(*pair).detach().flatten(1) for pair in pairs]
        return torch.cat(parts)

    def follows(self, column: str, places: NDArray[np.int64], by: NDArray[np.float64]) -> csr_array | None:
        """Return how much inputs move with numbers of a column of vectors; None if not in proportion."""
        rows = self.frame.drop_nulls(column)  # (w,), (w,) -> (d, w)
        cells = [np.array(rows[column][at].to_list(), dtype=np.float64) for at in (0, rows.height - 1)]
        signs = np.where(np.random.default_rng(0).random(len(places)) < 0.5, -1.0, 1.0)  # noqa: PLR2004 - a coin
        parts = list[csr_array]()
        for some in np.array_split(np.arange(len(places)), -(-len(places) // MOVED)):
            moved = np.tile(cells[0].ravel(), (len(some) + 1, 1))
            moved[np.arange(len(some)), places[some]] += by[some]
            X = self._moved(rows[0], column, moved.reshape(-1, *cells[0].shape))
            if X is None:
                return None
            parts.append(csr_array((X[:-1] - X[-1]) / by[some, None]))
        found = csr_array(vstack(parts).T)
        last = np.tile(cells[1].ravel(), (2, 1))
        last[0, places] += signs * by
        X = self._moved(rows[-1], column, last.reshape(-1, *cells[1].shape))
        if X is None or not found.nnz:
            return None
        return (
            found if np.allclose(found @ (signs * by), X[0] - X[1], atol=EVEN * np.abs(X[1]).max()) else None
        )

    def _moved(
        self, row: pl.DataFrame, column: str, cells: NDArray[np.float64]
    ) -> NDArray[np.float64] | None:
        kind = row[column].dtype  # of lists it is found
        real = pl.Array(pl.Float64, kind.shape) if isinstance(kind, pl.Array) else None
        frame = row[[0] * len(cells)].with_columns(pl.Series(column, cells.tolist(), dtype=real))
        X = self.inputs(frame)
        return X.flatten(1).numpy() if X.is_floating_point() else None

    def retrained(
        self,
        known: pl.DataFrame,  # (n) training rows
        new: pl.DataFrame,  # (t) rows to predict
        *,
        y: Tensor,  # (n,) class numbers
        weight: Tensor,  # (n,) that of the objective
        seeds: int | None = None,
        kept: Checkpoint = NOT_KEPT,
    ) -> list[Tensor]:
        """Return by each seed the scores of rows once the network is trained again on others."""  # (t, k)
        X, there = self.inputs(known), self.inputs(new)
        key, asked = _hash(X, y, weight), seeds or self.given.seeds
        thetas = self.refits.setdefault(key, [])
        for seed in range(len(thetas), asked):
            refit = partial(self._refitted, X, y, weight, seed)
            thetas.append(kept.once(f"refit {key} of seed {seed}", refit))
        return [self._said(theta, there) for theta in thetas[:asked]]

    def _refitted(self, X: Tensor, y: Tensor, weight: Tensor, seed: int) -> Tensor:
        if self.given.retrain is None:
            refit = Refit(self.model, self.ridge, self.damping, losses=self._losses)
            return refit.run(TensorRows(X, self.targets(y)), weight / self.factor, seed=seed)
        if not bool(((weight == 0) | (weight == self.factor)).all()):
            raise SettingError("retrain takes rows or leaves them: these have other weights", "leave it out")
        rows, dtype = weight > 0, self.given.theta.dtype
        X = X[rows].to(dtype) if X.is_floating_point() else X[rows]
        targets = self.targets(y[rows])
        net = self.given.retrain(X, targets.to(dtype) if targets.is_floating_point() else targets, seed)
        made = ModuleModel(copy.deepcopy(net).double().eval(), self.given.loss)
        if len(made.names) != len(self._whole.names):
            what = "retrain gives a module of other parameters than the one that is audited"
            raise SettingError(what, "make the same layers")
        return made.theta

    def _losses(self, theta: Tensor, X: Tensor, y: Tensor) -> Tensor:
        """Return the losses of rows, times what their classes weigh, by one pass over all of them."""
        s = self.head(self.model.at(theta, X))
        several = len(self.order) > 1
        classes = torch.argsort(self.order)[y] if several else _own(y.reshape(-1), self.order)
        return Softmax(s.shape[1] + 1).value(s, classes) * self.weights[classes]

    @cached_property
    def _whole(self) -> ModuleModel:
        """The network with all its parameters, which training anew gives other values."""
        return ModuleModel(self.model.net, self.model.loss)

    def _said(self, theta: Tensor, X: Tensor) -> Tensor:
        model = self.model if self.given.retrain is None else self._whole
        return torch.cat([self.head(model.outputs(theta, part)) for part in torch.split(X, ROWS)])


def _own(targets: Tensor, order: Tensor) -> Tensor:
    """Return class numbers of the targets of a module with one output."""
    ones = targets.long()
    return ones if bool(order[0]) else 1 - ones


def _hash(*parts: Tensor) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part.contiguous().numpy().data)
    return digest.hexdigest()[:16]


def _stacked(frame: pl.DataFrame) -> Tensor:
    """Return the one column of vectors, else all columns as numbers."""
    nested = [name for name, dtype in frame.schema.items() if dtype.is_nested()]
    if len(nested) > 1 or (not nested and not all(kind.is_numeric() for kind in frame.dtypes)):
        odd = nested or [name for name, kind in frame.schema.items() if not kind.is_numeric()]
        what = f"columns {', '.join(map(repr, odd[:3]))} are no numbers for a module"
        raise SettingError(what, "say how inputs are made: ModuleModel(…, features=lambda frame: …)")
    if not nested:
        return torch.from_numpy(frame.cast(pl.Float64).to_numpy(writable=True))
    return torch.from_numpy(np.array(frame[nested[0]].to_list()))


def framed(sources: Sequence[Any], model: ModuleModel) -> tuple[list[Any], ModuleModel]:
    """Return inputs and targets as tables, and the model that takes them out of these; others as they are."""
    tables = [_framed(source) if _are_tensors(source) else (source, None) for source in sources]
    made = next((features for _, features in tables if features is not None), None)
    given = model if model.features is not None or made is None else replace(model, features=made)
    return [table for table, _ in tables], given


def _are_tensors(source: Any) -> bool:
    pair = isinstance(source, tuple | list) and len(source) == 2  # noqa: PLR2004 - inputs and targets
    return pair and all(isinstance(part, Tensor | np.ndarray) for part in source)


def _framed(source: Sequence[Any]) -> tuple[pl.DataFrame, Callable[[pl.DataFrame], Tensor]]:
    X, y = (torch.as_tensor(part).detach().cpu() for part in source)
    if len(X) != len(y) or not len(X):
        raise SettingError(f"inputs and labels differ: got {len(X)} and {len(y)} rows", "give one each")
    columns = {
        INPUT: pl.Series(X.reshape(len(X), *(X.shape[1:] or [1])).numpy()),
        LABEL: y.reshape(-1).numpy(),
    }
    return pl.DataFrame(columns), partial(_shaped, shape=X.shape[1:], kind=X.dtype)


def is_bare(frame: pl.DataFrame) -> bool:
    """Tell whether rows came as inputs and targets alone."""
    return frame.columns == [INPUT, LABEL]


def _shaped(frame: pl.DataFrame, *, shape: Sequence[int], kind: torch.dtype) -> Tensor:
    numbers = torch.from_numpy(np.array(frame[INPUT].to_numpy()))
    return numbers.to(kind).reshape(len(numbers), *shape)
