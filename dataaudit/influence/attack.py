"""Training inputs of a module, moved by little until test rows are mispredicted.

The step is that of Koh & Liang (2017, section 5.2) on the inputs themselves,

    x := Π(x + α sign(I_pert,loss(x, t)))        Π: within ±`within` of what x was, between `low` and `high`

with I_pert,loss = -(Σ_t g_t)ᵀ A⁻¹ ∂g/∂x through the whole module, by two reverse passes. After each step θ is
trained again, from where it was: by Newton steps with the inverse Hessian of the unchanged rows, as few
changed rows hardly touch it, each halved until the objective falls. A module that is not convex in θ comes to
rest at a point nearby, which need not be where training from scratch would end: `retrain` takes a training of
the user's own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor

from dataaudit.errors import SettingError
from dataaudit.model.torch import Batch, ModuleModel, TensorRows
from dataaudit.solvers.operator import Product

Retrain = Callable[[Tensor, Tensor], ModuleModel]
STRIDE: Final = 0.25  # of what an input may move, a step
SURE: Final = 0.1  # lead of another class from which a test row is pushed no further
_PATIENCE: Final = 2  # steps without a gain
_NEWTON, _HALVINGS, _LEAST = 100, 20, 1e-4
_STILL: Final = {torch.float64: 1e-9, torch.float32: 1e-5}  # gradient norm at which training ends


@dataclass(frozen=True)
class ModuleAttack:
    """What became of test rows once training inputs were changed and the module was trained again.

    Attributes
    ----------
    rows : Tensor (m,)
        Positions of the training rows that were changed.
    inputs : Tensor (m, …)
        Their inputs as changed.
    loss_before, loss_predicted, loss_after : Tensor (t,)
        Of the test rows, in nats where the loss is: before, by one Newton step, after training.
    predicted_before, predicted_after : Tensor (t,)
        Their likeliest class: the largest output, or of a single one whether it is above 0.
    theta : Tensor (p,)
        The parameters after training.
    gradient_norm : float
        Largest entry of the gradient there.
    steps : int
        Sign steps, each with a training.
    """

    rows: Tensor
    inputs: Tensor
    loss_before: Tensor
    loss_predicted: Tensor
    loss_after: Tensor
    predicted_before: Tensor
    predicted_after: Tensor
    theta: Tensor
    gradient_norm: float
    steps: int

    @property
    def flipped(self) -> Tensor:
        """Which test rows get another class than before."""  # (t,)
        return self.predicted_before != self.predicted_after


@dataclass(frozen=True)
class Bounds:
    """How far inputs may move."""

    within: float
    low: float
    high: float

    def __post_init__(self) -> None:
        if not self.within > 0:
            raise SettingError(f"within must be above 0: got {self.within:g}", "give half a level, 0.5 / 255")
        if not self.low < self.high:
            raise SettingError(f"low must be below high: got {self.low:g} and {self.high:g}", "exchange them")

    def settle(self, wanted: Tensor, original: Tensor) -> Tensor:
        """Return the allowed inputs nearest to the wanted ones; one that is outside already may stay."""
        near = torch.minimum(torch.maximum(wanted, original - self.within), original + self.within)
        low, high = original.clamp_max(self.low), original.clamp_min(self.high)
        return torch.minimum(torch.maximum(near, low), high)


@dataclass(frozen=True)
class _Point:
    """Changed inputs, and the parameters trained on them."""

    inputs: Tensor  # (m, …)
    theta: Tensor
    loss: Tensor  # (t,)
    margin: Tensor  # (t,) lead of the class that was predicted before
    predicted: Tensor  # (t,)

    def worth(self, before: Tensor) -> tuple[int, float]:
        """Return how many test rows flip, then their summed loss."""
        return int((self.predicted != before).sum()), float(self.loss.sum())


@dataclass(frozen=True)
class InputAttack:
    """The search for changes of some training inputs."""

    model: ModuleModel
    train: TensorRows
    ridge: Tensor  # (p,) λ of every entry of θ
    solve: Product  # with A⁻¹ of the unchanged rows
    test: Batch
    bounds: Bounds
    retrain: Retrain | None = None

    def run(self, rows: int | Sequence[int], steps: int) -> ModuleAttack:
        """Take steps until all test rows flip, or nothing is gained; return the point that is worth most."""
        model, train = self.model, self.train
        theta = self.trained(train, model.theta)
        chosen = self.chosen(rows, theta)
        original = train.X[chosen]
        start = now = best = self.point(original, theta, before=None)
        taken = idle = 0
        while taken < steps and idle < _PATIENCE and best.worth(start.predicted)[0] < len(start.loss):
            slope = self.slope(now, chosen)
            stride = STRIDE * self.bounds.within
            moved = self.bounds.settle(now.inputs + stride * slope.sign(), original)
            if torch.equal(moved, now.inputs):
                break
            now = self.point(
                moved, self.trained(_with(train, chosen, moved), now.theta), before=start.predicted
            )
            better = now.worth(start.predicted) > best.worth(start.predicted)
            best, idle, taken = (now, 0, taken + 1) if better else (best, idle + 1, taken + 1)
        changed = _with(train, chosen, best.inputs)
        gradient = self.gradient(changed, start.theta)
        step = start.theta - self.solve(gradient[:, None])[:, 0]
        return ModuleAttack(
            chosen,
            best.inputs,
            start.loss,
            model.losses(step, *self.test).detach(),
            best.loss,
            start.predicted,
            best.predicted,
            best.theta,
            float(self.gradient(changed, best.theta).abs().max()),
            taken,
        )

    def chosen(self, rows: int | Sequence[int], theta: Tensor) -> Tensor:
        """Return the training rows to change: those named, else those that could add most, to first order."""
        train = self.train
        if not isinstance(rows, int):
            at = torch.as_tensor(list(rows), dtype=torch.int64)
            if not len(at) or not 0 <= int(at.min()) <= int(at.max()) < train.n:
                raise SettingError(f"rows must lie from 0 to {train.n - 1}: got {list(rows)}", "name some")
            return at
        if not 0 < rows <= train.n:
            raise SettingError(f"rows must be from 1 to {train.n}: got {rows}", "leave it out")
        solved = self._solved(theta, self.test)
        reach = []
        for X, y in train.blocks():
            slope = self.model.mixed(theta, solved, X, y=y)
            far = self.bounds.settle(X + self.bounds.within * slope.sign(), X) - X
            reach.append((slope * far).flatten(1).sum(1))
        return torch.cat(reach).topk(rows).indices

    def slope(self, now: _Point, rows: Tensor) -> Tensor:
        """Return I_pert,loss of the inputs on the test rows that are not plainly mispredicted by now."""
        left = now.margin > -SURE
        X, y = self.test
        some = (X[left], y[left]) if bool(left.any()) else self.test
        solved = self._solved(now.theta, some)
        return self.model.mixed(now.theta, solved, now.inputs, y=self.train.y[rows])

    def _solved(self, theta: Tensor, test: Batch) -> Tensor:
        gradient = self.model.gradient(theta, *test)[:, None]
        return -self.solve(gradient)[:, 0]

    def point(self, inputs: Tensor, theta: Tensor, *, before: Tensor | None) -> _Point:
        """Return what parameters make of the test rows."""
        X, y = self.test
        outputs = self.model.outputs(theta, X)
        scores = outputs if outputs.dim() > 1 and outputs.shape[1] > 1 else _both(outputs.reshape(len(X)))
        predicted = scores.argmax(1)
        own = (predicted if before is None else before)[:, None]
        lead = scores.gather(1, own) - scores.scatter(1, own, -torch.inf).max(1, keepdim=True).values
        loss = self.model.losses(theta, X, y).detach()
        return _Point(inputs, theta, loss, lead[:, 0], predicted)

    def trained(self, train: TensorRows, start: Tensor) -> Tensor:
        """Return the parameters trained on some rows."""
        if self.retrain is not None:
            return self.retrain(train.X, train.y).theta
        theta = start
        value, gradient = self.value(train, theta), self.gradient(train, theta)
        for _ in range(_NEWTON):
            if float(gradient.abs().max()) <= _STILL[theta.dtype]:
                break
            direction = -self.solve(gradient[:, None])[:, 0]
            for halving in range(_HALVINGS):
                near = theta + direction / 2**halving
                found = self.value(train, near)
                if found <= value + _LEAST / 2**halving * float(gradient @ direction):
                    break
            else:
                break  # rounding hides what is left
            theta, value = near, found
            gradient = self.gradient(train, theta)
        return theta

    def value(self, train: TensorRows, theta: Tensor) -> float:
        """Return R(θ) on some rows."""
        total = sum(float(self.model.losses(theta, *block).detach().sum()) for block in train.blocks())
        return total / train.n + float(self.ridge @ theta**2) / 2

    def gradient(self, train: TensorRows, theta: Tensor) -> Tensor:
        """Return ∇R(θ) on some rows."""
        total = torch.zeros_like(theta)
        for block in train.blocks():
            total += self.model.gradient(theta, *block)
        return total / train.n + self.ridge * theta


def _both(score: Tensor) -> Tensor:
    return torch.stack([torch.zeros_like(score), score], dim=1)


def _with(train: TensorRows, rows: Tensor, inputs: Tensor) -> TensorRows:
    """Return training rows with other inputs in some of them."""
    X = train.X.clone()
    X[rows] = inputs
    return TensorRows(X, train.y)
