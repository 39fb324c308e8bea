"""Inverse curvature of a module layer by layer, for networks too large for anything else.

With the Gauss-Newton matrix G = (1/n) Σ Jᵀ B J, B = S Sᵀ the Hessian of a row's loss in its outputs, and each
column of Jᵀ S a slope of outputs that is followed back to the layers:

block    The block of every layer is inverted by itself, by a factor or conjugate gradients; what lies between
         layers is left out.
ek-fac   A linear layer with inputs a and slopes δ of its outputs has rows' slopes D = Σ_t δ_t a_tᵀ, t the
         places of a convolution. Their second moments are near E[δ δᵀ] ⊗ E[a aᵀ] (Martens & Grosse 2015;
         Grosse & Martens 2016). In the eigenbasis U_δ ⊗ U_a of that product the diagonal of G is taken as it
         is, Λ = E[(U_δᵀ D U_a)²] (George et al. 2018; Grosse et al. 2023), and all else is left out:

             (G + δ I)⁻¹ V  ≈  U_δ ((U_δᵀ V U_a) / (Λ + δ)) U_aᵀ

         Parameters of other layers have the diagonal of G. Labels need not be drawn, as S gives the moments
         exactly; above 16 outputs, 16 random sums of the columns of S stand for all.

The residual of either is that of the whole matrix, so it says what was left out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

import torch
import torch.nn.functional as F  # noqa: N812 - its usual name
from torch import Tensor, nn

from dataaudit.model.torch import ROWS, ModuleModel, TensorRows
from dataaudit.solvers.operator import Curvature, CurvatureSolver, Inverse, Product

OUTPUTS: Final = 16  # slopes that are followed back for each row
BLOCK_BYTES: Final = 64 * 2**20  # of rows' slopes at a time
LEAST: Final = 1e-10  # of the largest eigenvalue: what is smaller is no curvature
USUAL: Final = 0.1  # of the mean eigenvalue: the damping of Grosse et al. where none is given


def module_curvature(
    model: ModuleModel, rows: TensorRows, ridge: Tensor, *, damping: float = 0.0, gauss_newton: bool = False
) -> Curvature:
    """Return ∇²R + δ I at the module's parameters, or the Gauss-Newton matrix in its place."""
    theta = model.theta
    at = partial(model.gauss_newton_at if gauss_newton else model.bend_at, theta)
    kept = at(rows.X, rows.y) if rows.n <= ROWS else None  # its graph; of many rows it is made anew

    def full(V: Tensor) -> Tensor:
        parts = [kept(V)] if kept is not None else (at(X, y)(V) for X, y in rows.blocks())
        return sum(parts, torch.zeros_like(V)) / rows.n + ridge[:, None] * V

    def drawn(chosen: Tensor) -> Product:
        bend = at(rows.X[chosen], rows.y[chosen])
        return lambda V: bend(V) / len(chosen) + ridge[:, None] * V

    return Curvature(len(theta), rows.n, full, drawn, theta, damping)


@dataclass(frozen=True)
class LayerBlocks:
    """Every layer's block of the curvature inverted by itself."""

    model: ModuleModel
    rows: TensorRows
    ridge: Tensor  # (p,)
    gauss_newton: bool
    within: Callable[[int], CurvatureSolver]  # from a number of parameters: how a block is inverted

    def invert(self, curvature: Curvature) -> Inverse:
        """Return the block-diagonal inverse."""
        blocks: dict[str, list[str]] = {}
        for name in self.model.names:
            blocks.setdefault(name.rpartition(".")[0], []).append(name)
        places, found, damping = _places(self.model), list[tuple[Tensor, Product]](), curvature.damping
        for names in blocks.values():
            at = torch.cat([places[name] for name in names])
            own = replace(self.model, parameters=names)
            damped = partial(module_curvature, own, self.rows, self.ridge[at], gauss_newton=self.gauss_newton)
            inverse = self.within(len(at)).invert(damped(damping=curvature.damping))
            found.append((at, inverse.solve))
            damping = max(damping, inverse.damping)

        def solve(B: Tensor) -> Tensor:
            X = torch.empty_like(B)
            for at, one in found:
                X[at] = one(B[at])
            return X

        final = curvature.damped(damping)
        reason = (
            f"asked for; {len(found)} blocks, the largest of {max(len(at) for at, _ in found):,} parameters"
        )
        return Inverse(solve, "block", reason, final.residual(solve), damping)


@dataclass(frozen=True)
class KroneckerFactors:
    """EK-FAC."""

    model: ModuleModel
    rows: TensorRows
    ridge: Tensor  # (p,)
    seed: int = 0  # of the random sums of slopes

    def invert(self, curvature: Curvature) -> Inverse:
        """Return the inverse in the layers' eigenbases."""
        layers, others = self._layers()
        blocks = self._bases(layers)
        values, rest = self._values(layers, blocks, others)
        every, damping = torch.cat([rest, *(value.reshape(-1) for value in values)]), curvature.damping
        if low := float(every.min()) + damping <= LEAST * float(every.max()):
            damping = max(damping, USUAL * float(every.mean()))

        def solve(B: Tensor) -> Tensor:
            X = torch.empty_like(B)
            X[others] = B[others] / (rest + damping)[:, None]
            for block, value in zip(blocks, values, strict=True):
                X[block.at] = block.out(block.into(B[block.at]) / (value + damping)[..., None])
            return X

        reason = f"asked for; {len(layers)} layers in Kronecker factors"
        reason += f", {len(others):,} other parameters by their diagonal" if len(others) else ""
        reason += f"; the damping was raised to {damping:.2e}, a tenth of the mean curvature" if low else ""
        return Inverse(solve, "ek-fac", reason, curvature.damped(damping).residual(solve), damping)

    def _layers(self) -> tuple[list[_Layer], Tensor]:
        """Return the layers that have Kronecker factors, and the positions of all other parameters."""
        net, places, few = self.model.net, _places(self.model), self.rows.X[:3]
        every = [id(value) for _, value in net.named_parameters(remove_duplicate=False)]
        layers = []
        for name, layer in net.named_modules():
            weight, bias = (f"{name}.{own}".removeprefix(".") for own in ("weight", "bias"))
            plain = isinstance(layer, nn.Linear) or (isinstance(layer, nn.Conv2d) and layer.groups == 1)
            if plain and weight in places and every.count(id(layer.weight)) == 1:
                columns = [places[weight].view(len(layer.weight), -1)]
                columns += [places[bias][:, None]] if bias in places else []
                layers.append(_Layer(layer, torch.cat(columns, 1), bias in places))
        calls = _run(net, layers, few)[1]
        pairs = zip(layers, calls, strict=True)
        layers = [layer for layer, met in pairs if len(met) == 1 and len(met[0].a) == len(few)]
        taken = torch.zeros(len(self.ridge), dtype=torch.bool)
        for layer in layers:
            taken[layer.at] = True
        return layers, (~taken).nonzero()[:, 0]

    def _bases(self, layers: Sequence[_Layer]) -> list[_Block]:
        """Return the eigenbases of the moments of slopes and of inputs."""
        moments = [[self.ridge.new_zeros(size, size) for size in layer.at.shape] for layer in layers]
        for slopes in self._slopes(layers):
            for (D, a), pair in zip(slopes.met, moments, strict=True):
                pair[0] += torch.einsum("bto,btp->op", D, D)
                if slopes.first:  # inputs are the same whichever slope is followed
                    pair[1] += torch.einsum("bti,btj->ij", a, a)
        vectors = [[torch.linalg.eigh(one.double()).eigenvectors.to(one) for one in pair] for pair in moments]
        return [_Block(layer.at, *pair) for layer, pair in zip(layers, vectors, strict=True)]

    def _values(
        self, layers: Sequence[_Layer], blocks: Sequence[_Block], others: Tensor
    ) -> tuple[list[Tensor], Tensor]:
        """Return the diagonal of the Gauss-Newton matrix and of the ridge, in the bases and of the others."""
        totals, rest = (
            [torch.zeros_like(self.ridge[block.at]) for block in blocks],
            self.ridge.new_zeros(len(others)),
        )
        names = [name for name, at in _places(self.model).items() if bool(torch.isin(at[:1], others))]
        own = replace(self.model, loss=_weighed, parameters=names) if names else None
        for slopes in self._slopes(layers):
            for at, (D, a) in enumerate(slopes.met):
                totals[at] += blocks[at].squares(D, a)
            if own is not None:
                rest += own.gradients(own.theta, slopes.X, slopes.outputs).square().sum(0)
        pairs = zip(blocks, totals, strict=True)
        values = [total / self.rows.n + block.diagonal(self.ridge[block.at]) for block, total in pairs]
        return values, rest / self.rows.n + self.ridge[others]

    def _slopes(self, layers: Sequence[_Layer]) -> Iterator[_Slopes]:
        """Follow slopes of the outputs back to the layers, some rows at a time."""
        generator = torch.Generator().manual_seed(self.seed)
        unit = _run(self.model.net, layers, self.rows.X[:1])[1]
        largest = max([len(self.ridge), *(met[0].a.numel() for met in unit)])
        size = max(1, min(ROWS, BLOCK_BYTES // (self.ridge.element_size() * largest)))
        for X, y in self.rows.blocks(size):
            outputs, calls = _run(self.model.net, layers, X)
            S = self.model.roots(outputs.detach(), y)
            if S.shape[2] > OUTPUTS:
                signs = 2 * torch.randint(2, (*S.shape[:2], OUTPUTS), generator=generator) - 1
                S = S @ signs.to(S) / OUTPUTS**0.5
            ends = [met[0].end for met in calls]
            for place, column in enumerate(S.unbind(2)):
                back = torch.autograd.grad(
                    outputs, ends, column.view_as(outputs), retain_graph=True, materialize_grads=True
                )
                pairs = [(_by_place(D), met[0].a) for D, met in zip(back, calls, strict=True)]
                yield _Slopes(X, column, place == 0, pairs)


@dataclass(frozen=True)
class _Slopes:
    """A slope of the outputs of some rows, and what it is at the layers."""

    X: Tensor  # (b, …)
    outputs: Tensor  # (b, k)
    first: bool  # of these rows
    met: list[tuple[Tensor, Tensor]]  # of each layer (b, t, o) slopes of its outputs, (b, t, i) its inputs


@dataclass(frozen=True)
class _Met:
    """One call of a layer."""

    a: Tensor  # (b, t, i) its inputs, place by place, with a 1 where there is a bias
    end: Tensor  # zeros that were added to its outputs, to be differentiated by


@dataclass(frozen=True)
class _Layer:
    """A linear or convolutional layer: its parameters are a matrix, the bias the last column."""

    module: nn.Linear | nn.Conv2d
    at: Tensor  # (o, i) positions in θ
    bias: bool

    def inputs(self, X: Tensor) -> Tensor:
        """Return what the matrix is multiplied with, place by place."""  # -> (b, t, i)
        layer = self.module
        if isinstance(layer, nn.Conv2d):
            mode = "constant" if layer.padding_mode == "zeros" else layer.padding_mode
            padded = F.pad(X, layer._reversed_padding_repeated_twice, mode)  # noqa: SLF001 - also of "same"
            a = F.unfold(padded, layer.kernel_size, layer.dilation, stride=layer.stride).mT
        else:
            a = X.reshape(len(X), -1, X.shape[-1])
        return F.pad(a, (0, 1), value=1.0) if self.bias else a


@dataclass(frozen=True)
class _Block:
    """Parameters in a basis of their own, ``left ⊗ right``."""

    at: Tensor  # (o, i) positions in θ
    left: Tensor  # (o, o)
    right: Tensor  # (i, i)

    def into(self, V: Tensor) -> Tensor:
        """Return V in the basis."""  # (o, i, m) -> (o, i, m)
        return torch.einsum("ox,oim,iy->xym", self.left, V, self.right)

    def out(self, V: Tensor) -> Tensor:
        """Return what has V in the basis."""  # (o, i, m) -> (o, i, m)
        return torch.einsum("ox,xym,iy->oim", self.left, V, self.right)

    def squares(self, D: Tensor, a: Tensor) -> Tensor:
        """Return the summed squares of Σ_t δ_t a_tᵀ in the basis."""  # (b, t, o), (b, t, i) -> (o, i)
        D, a = D @ self.left, a @ self.right
        if D.shape[1] == 1:
            return D[:, 0].square().T @ a[:, 0].square()
        return torch.einsum("bto,bti->boi", D, a).square().sum(0)

    def diagonal(self, values: Tensor) -> Tensor:
        """Return the diagonal, in the basis, of a matrix that is diagonal without it."""  # (o, i) -> (o, i)
        return self.left.square().T @ values @ self.right.square()


def _run(net: nn.Module, layers: Sequence[_Layer], X: Tensor) -> tuple[Tensor, list[list[_Met]]]:
    """Run a module; return its outputs, and the calls of each layer."""
    calls: list[list[_Met]] = [[] for _ in layers]

    def watched(layer: _Layer, mine: list[_Met]) -> Callable[[nn.Module, tuple[Tensor, ...], Tensor], Tensor]:
        def met(_: nn.Module, given: tuple[Tensor, ...], output: Tensor) -> Tensor:
            end = torch.zeros_like(output, requires_grad=True)
            mine.append(_Met(layer.inputs(given[0].detach()), end))
            return output + end

        return met

    with ExitStack() as stack, torch.enable_grad():
        for layer, mine in zip(layers, calls, strict=True):
            stack.callback(layer.module.register_forward_hook(watched(layer, mine)).remove)
        return net(X), calls


def _by_place(slopes: Tensor) -> Tensor:
    """Return slopes of a layer's outputs, rows first and channels last."""  # -> (b, t, o)
    if slopes.dim() == 4:  # noqa: PLR2004 - rows, channels, height, width
        return slopes.flatten(2).mT
    return slopes.reshape(len(slopes), -1, slopes.shape[-1])


def _places(model: ModuleModel) -> dict[str, Tensor]:
    """Return the positions of parameters in θ."""
    known = dict(model.net.named_parameters())
    sizes = [known[name].numel() for name in model.names]
    return dict(zip(model.names, torch.split(torch.arange(sum(sizes)), sizes), strict=True))


def _weighed(outputs: Tensor, slopes: Tensor) -> Tensor:
    return (outputs.reshape(-1) * slopes.reshape(-1)).sum()
