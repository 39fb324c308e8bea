"""Blocks on a device: nothing of a formula stays behind, and without a GPU one line says so."""

from functools import partial

import pytest
import torch

from dataaudit.errors import SettingError
from dataaudit.influence.passes import _contribution, _pulls
from dataaudit.model.device import placed, require_device, resident
from dataaudit.model.linear import LinearModel
from dataaudit.model.losses import SmoothHinge, Softmax, Squared, SquaredHinge
from dataaudit.model.rows import Block, Local, MemoryRows
from dataaudit.options import LabelOptions

LOSSES = [Softmax(2), Softmax(4), SmoothHinge(0.1), SmoothHinge(0.0), SquaredHinge(), Squared()]


def problem(loss, n=7, d=3):
    generator = torch.Generator().manual_seed(0)
    draw = partial(torch.randn, dtype=torch.float64, generator=generator)
    model = LinearModel(loss, d)
    y = torch.arange(n) % (loss.n_scores + 1)
    return model, draw(model.n_params), draw(model.n_params, 2), Block(draw(n, d), y, draw(n).abs())


def formulas(model, theta, V):
    return [
        *(partial(f, theta) for f in (model.scores, model.value, model.gradient, model.curvature)),
        *(partial(f, theta) for f in (model.hessian, model.hessian_diagonal)),
        partial(model.product, theta, V),
        partial(model.pair_influences, theta, V),
        partial(model.moved, V),
        partial(_contribution, model, theta),
        partial(_pulls, model, V),
    ]


@pytest.mark.parametrize("loss", LOSSES, ids=repr)
def test_formulas_leave_nothing_on_another_device(loss):
    # torch's "meta" device has shapes alone: like a GPU it refuses to compute with tensors of the CPU.
    model, theta, V, block = problem(loss)
    with pytest.raises(RuntimeError, match=r"[dD]evice"):
        model.scores(theta, block.to("meta"))
    for formula in formulas(model, theta, V):
        there = partial(
            formula.func, *(a.to("meta") if isinstance(a, torch.Tensor) else a for a in formula.args)
        )
        found = there(block.to("meta"))
        assert (found.device.type, found.shape) == ("meta", formula(block).shape)
    W = model.curvature(theta, block)
    assert model.bend(V.to("meta"), block.to("meta"), W.to("meta")).device.type == "meta"


@pytest.mark.parametrize("loss", LOSSES, ids=repr)
def test_what_is_placed_is_the_same(loss):
    model, theta, V, block = problem(loss)
    for formula in formulas(model, theta, V):
        assert torch.equal(placed(formula, "cpu")(block), formula(block))
    rows = MemoryRows(block.X, block.y, block.weight, 100, device="cpu")
    assert len(list(rows.blocks())) > 1
    torch.testing.assert_close(rows.sum(partial(model.gradient, theta)), model.gradient(theta, block))
    assert resident(block.X, "cpu") is block.X
    assert Local("cpu") == Local()


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_no_gpu_is_one_line():
    with pytest.raises(SettingError, match=r"there is no device cuda: torch .* Hint: leave the device out"):
        require_device("cuda")
    assert require_device("cpu") == "cpu"


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
@pytest.mark.parametrize("loss", LOSSES, ids=repr)
def test_a_gpu_gives_the_same(loss):
    model, theta, V, block = problem(loss)
    for formula in formulas(model, theta, V):
        torch.testing.assert_close(placed(formula, "cuda")(block), formula(block), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", ["gpu", "cuda:", "cuda1", "cuda:x", "mps"])
def test_devices_have_names(name):
    with pytest.raises(SettingError, match="device is neither cpu nor a GPU of NVIDIA"):
        LabelOptions(label="y", device=name)
    assert LabelOptions(label="y", device="cuda:1").device == "cuda:1"
