"""A user's `torch.nn.Module` as a model: losses and their derivatives of first and second order, by autograd.

θ is the vector of the parameters that are looked at, of length p, in the module's order; the others stay as
they are, which is how "the last layer alone" is asked for. With ℓ(θ; x, y) the loss of one row,

    gradients   ∇_θ ℓ of every row               one reverse pass a row, mapped over rows
    H v         ∇_θ (vᵀ Σ ∇_θ ℓ)                 Pearlmutter (1994): a reverse pass over the gradient
    Jᵀ B J v    B = ∇²ℓ in the outputs           Gauss-Newton (Schraudolph 2002): three reverse passes
    mixed       ∇_x (vᵀ ∇_θ ℓ) of every row      the same through the whole module down to its inputs

The module is called on batches and has to treat rows one by one: in training mode, dropout and batch
normalisation do not. Its rows are tensors, inputs of any shape and their targets, however they are handed
over (`gathered`).
"""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Final

import torch
import torch.nn.functional as F  # noqa: N812 - its usual name
from torch import Tensor, nn
from torch.func import functional_call, grad, jacrev, vjp, vmap
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils import data

from dataaudit.errors import SettingError, suggestion

RowLoss = Callable[[Tensor, Tensor], Tensor]
Batch = tuple[Tensor, Tensor]
Train = Batch | data.Dataset[Any] | Iterable[Batch]
ROWS: Final = 1024  # of a block
SHUFFLING = (data.RandomSampler, data.SubsetRandomSampler, data.WeightedRandomSampler)


@dataclass(frozen=True)
class ModuleModel:
    """A module and its loss.

    Parameters
    ----------
    net : torch.nn.Module
        In evaluation mode. It is not changed.
    loss : callable
        ``(outputs, targets) -> scalar`` on a batch, such as ``torch.nn.functional.cross_entropy``: it is
        called on batches of one row, so that ``mean`` and ``sum`` are the same, save with class weights: a
        mean divides by them, a sum keeps them. The ridge is not part of it.
    parameters : sequence of str, optional
        Names, or beginnings of names, of the parameters to look at (``["head"]``); by default all that
        require a gradient.
    features : callable, optional
        For audits of a table: from a Polars frame of its rows, without the label, to the tensor of inputs.
        By default the one column of vectors, else all columns as numbers.
    classes : sequence, optional
        For audits of a table: the label that each output stands for; by default they are sorted.
    l2 : float or mapping of str to float
        Weight decay of its training: λ as `ModuleInfluence` takes it.
    retrain : callable, optional
        ``(X, y, seed) -> torch.nn.Module`` trains such a network anew. By default refits go on from where
        the module stands (`ModuleInfluence.retrain`).
    seeds : int
        How many refits prove a finding.

    Raises
    ------
    SettingError
        If layers mix rows or drop at random, as in training mode, if class weights would cancel, no parameter
        is left, or a name is unknown.
    """

    net: nn.Module
    loss: RowLoss
    parameters: Sequence[str] | None = None
    features: Callable[[Any], Tensor] | None = field(default=None, kw_only=True)
    classes: Sequence[Any] | None = field(default=None, kw_only=True)
    l2: float | Mapping[str, float] = field(default=0.0, kw_only=True)
    retrain: Callable[[Tensor, Tensor, int], nn.Module] | None = field(default=None, kw_only=True)
    seeds: int = field(default=3, kw_only=True)

    def __post_init__(self) -> None:
        """Check the layers, the loss and the names."""
        for name, layer in self.net.named_modules():
            if wrong := _mixes(layer):
                raise SettingError(f"layer {name!r} ({type(layer).__name__}) {wrong[0]}", wrong[1])
        if _forgets_weights(self.loss):
            what = "the mean over class weights is the same for one row whatever its weight"
            raise SettingError(what, 'give the loss reduction="sum"')
        if not self.names:
            raise SettingError("no parameter requires a gradient", "name some with parameters=")

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the parameters in θ, in the module's order."""
        known = dict(self.net.named_parameters())
        if self.parameters is None:
            return tuple(name for name, value in known.items() if value.requires_grad)
        every = dict(self.net.named_parameters(remove_duplicate=False))  # tied ones by each of their names
        asked = {id(every[name]) for name in _chosen(tuple(every), self.parameters)}
        return tuple(name for name, value in known.items() if id(value) in asked)

    @property
    def theta(self) -> Tensor:
        """The parameters as they are, a copy."""  # -> (p,)
        known = dict(self.net.named_parameters())
        return torch.cat([known[name].detach().reshape(-1) for name in self.names])

    def moved(self, theta: Tensor, dtype: torch.dtype) -> ModuleModel:
        """Return a copy with other parameters."""  # (p,)
        net = copy.deepcopy(self.net)
        known = dict(net.named_parameters())
        with torch.no_grad():
            for name, value in self._named(theta).items():
                known[name].copy_(value)
        return replace(self, net=net.to(dtype))

    def ridge(self, l2: float | Mapping[str, float]) -> Tensor:
        """Return λ of every entry of θ.

        Parameters
        ----------
        l2 : float or mapping of str to float
            One λ for all of θ, or by name or beginning of a name: the last that fits; what none fits has no
            ridge.

        Returns
        -------
        Tensor (p,)

        Raises
        ------
        SettingError
            If a λ is negative, or a name is not one of θ's.
        """
        by_name = dict.fromkeys(self.names, l2) if isinstance(l2, int | float) else l2
        if bad := [value for value in by_name.values() if not value >= 0]:
            raise SettingError(f"l2 cannot be negative: got {bad[0]}", "leave it out")
        known = dict(self.net.named_parameters())
        found = {name: torch.zeros_like(known[name]).reshape(-1) for name in self.names}
        for asked, value in by_name.items():
            for name in _chosen(self.names, [asked]):
                found[name].fill_(value)
        return torch.cat(list(found.values()))

    def losses(self, theta: Tensor, X: Tensor, y: Tensor) -> Tensor:
        """Return the loss of each row."""  # (p,), (b, …), (b, …) -> (b,)
        with explained(), sdpa_kernel(SDPBackend.MATH):  # the fused kernels have no second derivative
            outputs = functional_call(self.net, self._named(theta), (X,))
            values: Tensor = vmap(self._one)(outputs, y)
        return values

    def at(self, theta: Tensor, X: Tensor) -> Tensor:
        """Return what the module says of each row."""  # (p,), (b, …) -> (b, …)
        with explained():
            found: Tensor = functional_call(self.net, self._named(theta), (X,))
        return found

    def outputs(self, theta: Tensor, X: Tensor) -> Tensor:
        """Return what the module says of each row, without a graph."""  # (p,), (b, …) -> (b, …)
        with torch.no_grad():
            return self.at(theta, X)

    def gradient(self, theta: Tensor, X: Tensor, y: Tensor) -> Tensor:
        """Return the sum of gradients."""  # -> (p,)
        return self._slope(theta, X, y).detach()

    def gradients(self, theta: Tensor, X: Tensor, y: Tensor) -> Tensor:
        """Return the gradient of each row."""  # -> (b, p)

        def single(moved: Tensor, row: Tensor, target: Tensor) -> Tensor:
            return self.losses(moved, row[None], target[None])[0]

        if len(X) and self._recurrent:
            return torch.stack([grad(single)(theta, *row) for row in zip(X, y, strict=True)]).detach()
        with explained():
            each: Tensor = vmap(grad(single), in_dims=(None, 0, 0))(theta, X, y)
        return each.detach()

    def jacobians(self, theta: Tensor, X: Tensor, head: Callable[[Tensor], Tensor]) -> Tensor:
        """Return how k numbers that are made of each row's output move with θ."""  # -> (b, k, p)

        def single(moved: Tensor, row: Tensor) -> Tensor:
            with sdpa_kernel(SDPBackend.MATH):
                return head(functional_call(self.net, self._named(moved), (row[None],)))[0]

        with explained():
            if self._recurrent:
                return torch.stack([jacrev(single)(theta, row) for row in X]).detach()
            each: Tensor = vmap(jacrev(single), in_dims=(None, 0))(theta, X)
        return each.detach()

    @property
    def _recurrent(self) -> bool:  # such layers write in place, which does not map over rows
        return any(isinstance(layer, nn.RNNBase) for layer in self.net.modules())

    def bend_at(self, theta: Tensor, X: Tensor, y: Tensor) -> Callable[[Tensor], Tensor]:
        """Return ``V -> (Σ ∇² ℓ) V``; the graph of the gradient is made once."""  # (p, m) -> (p, m)
        with explained():
            pull: Callable[[Tensor], tuple[Tensor]] = vjp(lambda moved: self._slope(moved, X, y), theta)[1]
        columns = vmap(lambda v: pull(v)[0], in_dims=1, out_dims=1)

        return _detached(columns)

    def gauss_newton_at(self, theta: Tensor, X: Tensor, y: Tensor) -> Callable[[Tensor], Tensor]:
        """Return ``V -> (Σ Jᵀ B J) V``: the Hessian without the module's own curvature, never negative."""

        def forward(moved: Tensor) -> Tensor:
            found: Tensor = functional_call(self.net, self._named(moved), (X,))
            return found

        def slope(found: Tensor) -> Tensor:
            total: Tensor = vmap(self._one)(found, y).sum()
            return total

        with explained(), sdpa_kernel(SDPBackend.MATH):
            outputs, pull = vjp(forward, theta)[:2]
            push = vjp(lambda slopes: pull(slopes)[0], torch.zeros_like(outputs))[1]  # u -> Jᵀ u is linear
            bend = vjp(grad(slope), outputs)[1]

        def single(v: Tensor) -> Tensor:
            product: Tensor = pull(bend(push(v)[0])[0])[0]
            return product

        return _detached(vmap(single, in_dims=1, out_dims=1))  # (p, m) -> (p, m)

    def roots(self, outputs: Tensor, y: Tensor) -> Tensor:
        """Return S with S Sᵀ the Hessian of each row's loss in its outputs; what is negative is left out."""
        with explained():  # (b, …), (b, …) -> (b, k, k)
            each: Tensor = vmap(jacrev(grad(self._one)))(outputs, y)
        values, vectors = torch.linalg.eigh(each.detach().reshape(len(y), *[outputs[0].numel()] * 2))
        found: Tensor = vectors * values.clamp_min(0.0).sqrt()[:, None, :]
        return found

    def mixed(self, theta: Tensor, v: Tensor, X: Tensor, *, y: Tensor) -> Tensor:
        """Return ``∇_x (vᵀ ∇_θ ℓ)`` of each row, in the shape of X."""  # (p,), (p,), (b, …) -> (b, …)
        if not X.is_floating_point():
            what = f"inputs are {X.dtype}, which have no small changes"
            raise SettingError(what, "look at the outputs of an embedding: make it a module of its own")
        with explained():
            slopes: Tensor = grad(lambda inputs: self._slope(theta, inputs, y) @ v)(X)
        return slopes.detach()

    def _slope(self, theta: Tensor, X: Tensor, y: Tensor) -> Tensor:
        """Return the sum of gradients, itself differentiable."""  # -> (p,)
        slope: Tensor = grad(lambda moved: self.losses(moved, X, y).sum())(theta)
        return slope

    def _one(self, output: Tensor, target: Tensor) -> Tensor:
        value = self.loss(output[None], target[None])
        if value.numel() != 1:
            raise SettingError(f"the loss of one row has {value.numel()} values", "let it be a single one")
        return value.reshape(())

    def _named(self, theta: Tensor) -> dict[str, Tensor]:
        """Return θ in the module's shapes, by name."""
        known = dict(self.net.named_parameters())
        sizes = [known[name].numel() for name in self.names]
        parts = zip(self.names, torch.split(theta, sizes), strict=True)
        return {name: part.view_as(known[name]) for name, part in parts}


def _detached(columns: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    """Return a product with columns that keeps no graph."""

    def product(V: Tensor) -> Tensor:
        with explained():
            found = columns(V)
        return found.detach()

    return product


@contextmanager
def explained() -> Iterator[None]:
    """Raise in a line that a module or its loss cannot take some rows, whatever the library says."""
    try:
        yield
    except (RuntimeError, TypeError, ValueError, IndexError, AttributeError, NotImplementedError) as error:
        cause = (str(error).strip() or type(error).__name__).splitlines()[0]
        what = f"the module, its loss or their derivatives cannot take these rows: {cause}"
        hint = "give inputs and targets in the shapes and dtypes of training, and call net.eval()"
        raise SettingError(what, hint) from error


def _mixes(layer: nn.Module) -> tuple[str, str] | None:
    """Return why a layer does not treat rows one by one, and what to do; None where it does."""
    norms, drops = nn.modules.batchnorm._BatchNorm, nn.modules.dropout._DropoutNd  # noqa: SLF001 - the only common bases
    if isinstance(layer, norms) and layer.running_mean is None:
        return "has no running statistics and mixes rows", "make it with track_running_stats=True"
    dropping = isinstance(layer, nn.RNNBase) and layer.dropout > 0
    if layer.training and (dropping or isinstance(layer, norms | drops)):
        return "is in training mode", "call net.eval() before"
    return None


def _forgets_weights(loss: RowLoss) -> bool:
    """Return whether a loss divides by the weights of its rows' classes, so that one row has none."""
    if isinstance(loss, nn.CrossEntropyLoss | nn.NLLLoss):
        return loss.weight is not None and loss.reduction == "mean"
    if not isinstance(loss, partial) or loss.func not in {F.cross_entropy, F.nll_loss}:
        return False
    return loss.keywords.get("weight") is not None and loss.keywords.get("reduction", "mean") == "mean"


def _chosen(known: Sequence[str], asked: Sequence[str]) -> tuple[str, ...]:
    """Return the names that are asked for, by themselves or by their beginnings."""
    for one in asked:
        if not any(_within(name, one) for name in known):
            hint = suggestion(one, known, f"there are {', '.join(known[:8])}")
            raise SettingError(f"the module has no parameter {one!r}", hint)
    return tuple(name for name in known if any(_within(name, one) for one in asked))


def _within(name: str, asked: str) -> bool:
    return name == asked or name.startswith(f"{asked}.")


@dataclass(frozen=True)
class TensorRows:
    """Rows as tensors, cut into blocks."""

    X: Tensor  # (n, …)
    y: Tensor  # (n, …)

    @property
    def n(self) -> int:
        """Number of rows."""
        return len(self.X)

    def blocks(self, rows: int = ROWS) -> Iterator[Batch]:
        """Yield the rows in order."""
        for start in range(0, self.n, rows):
            yield self.X[start : start + rows], self.y[start : start + rows]


def gathered(train: Train) -> TensorRows:
    """Return training rows as tensors; refuse a loader that shuffles, since its rows have no names."""
    if isinstance(train, data.Dataset):
        train = data.DataLoader(train, batch_size=ROWS)
    whole = isinstance(train, Tensor | tuple) or (isinstance(train, list) and _tensors(train))
    if whole or not isinstance(train, Iterable):
        return TensorRows(*paired(train, "training"))
    inner = getattr(getattr(train, "batch_sampler", None), "sampler", None)
    if isinstance(getattr(train, "sampler", None), SHUFFLING) or isinstance(inner, SHUFFLING):
        raise SettingError("the loader shuffles, so rows have no names", "make it with shuffle=False")
    parts = [paired(batch, "training") for batch in train]
    if not parts:
        raise SettingError("there are no training rows", "give at least one")
    first = parts[0][0].shape[1:]
    if odd := [X.shape[1:] for X, _ in parts if X.shape[1:] != first]:
        raise SettingError(f"inputs differ in shape: got {(*first,)} and {(*odd[0],)}", "make them one shape")
    X, y = (torch.cat(list(side)) for side in zip(*parts, strict=True))
    return TensorRows(X, y)


def paired(batch: object, which: str) -> Batch:
    """Return inputs and targets, checked."""
    pair = tuple(batch) if isinstance(batch, tuple | list) else (batch,)
    if len(pair) != 2 or not _tensors(pair):  # noqa: PLR2004 - inputs and targets
        got = ", ".join(type(part).__name__ for part in pair[:4])
        what = f"{which} rows are two tensors, inputs and targets, rows first: got {got}"
        raise SettingError(what, "give (X, y); torch.from_numpy makes a tensor of an array")
    X, y = pair
    if len(X) != len(y):
        raise SettingError(f"inputs and targets differ: got {len(X)} and {len(y)} rows", "give one each")
    if not len(X):
        raise SettingError(f"there are no {which} rows", "give at least one")
    if not bool(torch.isfinite(X).all()):
        raise SettingError(
            f"inputs of {which} rows are not finite", "fill what is missing, or leave them out"
        )
    return X, y


def _tensors(parts: Iterable[object]) -> bool:
    return all(isinstance(part, Tensor) and part.dim() for part in parts)


def digest_of(model: ModuleModel) -> str:
    """Return a hash of a module's parameters and of what it is audited by."""
    digest = hashlib.sha256(repr((model.names, model.l2, model.seeds, type(model.net).__name__)).encode())
    for value in model.net.state_dict().values():
        digest.update(value.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]
