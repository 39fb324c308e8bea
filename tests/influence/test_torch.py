"""Influence on a user's module, beside the closed form, dense Hessians by autograd, and true refits."""

import re
from functools import partial

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy
from torch.utils.data import (
    BatchSampler,
    DataLoader,
    RandomSampler,
    SubsetRandomSampler,
    TensorDataset,
    WeightedRandomSampler,
)

from dataaudit.api.influence import Influence
from dataaudit.errors import NotPositiveDefinite, SettingError, SolveError
from dataaudit.influence.influence import pert_loss, self_influence, up_loss
from dataaudit.model.linear import LinearModel
from dataaudit.model.losses import Softmax
from dataaudit.model.objective import Objective
from dataaudit.model.rows import Block, MemoryRows
from dataaudit.model.torch import ModuleModel
from dataaudit.solvers import Cholesky
from dataaudit.solvers.cg import ConjugateGradients
from dataaudit.solvers.iterative import Direct, Lissa, LowRank
from dataaudit.solvers.newton import FitSettings, minimise
from dataaudit.solvers.operator import of_objective

N, D, L2 = 60, 5, 0.02


def rows(n=N, d=D, classes=2, seed=0):
    generator = torch.Generator().manual_seed(seed)
    X = torch.randn(n, d, dtype=torch.float64, generator=generator)
    return X, torch.randint(classes, (n,), generator=generator)


def logistic(output, target):
    return binary_cross_entropy_with_logits(output[:, 0], target.double())


def sure(X, y):
    return Block(X, y, torch.ones(len(y), dtype=torch.float64))


@pytest.fixture(scope="module")
def linear():
    """A logistic regression without intercept, by the closed form and as a module at the same minimum."""
    X, y = rows()
    objective = Objective(
        MemoryRows(X, y, torch.ones(N, dtype=torch.float64)), LinearModel(Softmax(2), D), L2
    )
    theta = minimise(objective, settings=FitSettings(tolerance=1e-13)).theta
    net = nn.Linear(D, 1).double()
    with torch.no_grad():
        net.weight.copy_(theta[None, :-1])
        net.bias.copy_(theta[-1:])
    return objective, theta, net


def test_a_linear_module_agrees_with_the_closed_form(linear):
    objective, theta, net = linear
    X, y = objective.rows.X, objective.rows.y
    test = rows(seed=1)
    ours = Influence(ModuleModel(net, logistic), (X, y), l2={"weight": L2})
    inverse = torch.linalg.inv(objective.hessian(theta))

    class Given:
        solve = staticmethod(lambda V: inverse @ V)

    torch.testing.assert_close(
        ours.up_loss(test), up_loss(objective, theta, Given, test=sure(*test)), rtol=0, atol=1e-8
    )
    torch.testing.assert_close(
        ours.pert_loss(test), pert_loss(objective, theta, Given, test=sure(*test)), rtol=0, atol=1e-8
    )
    with_ones = torch.cat([X, X.new_ones(N, 1)], dim=1)
    forms = ((with_ones @ inverse) * with_ones).sum(1)[:, None, None]
    torch.testing.assert_close(
        ours.self_influence(), self_influence(objective, theta, forms), rtol=0, atol=1e-8
    )
    assert ours.inverse.method == "cholesky"
    assert ours.inverse.residual < 1e-12


@pytest.fixture(scope="module")
def trained():
    """A network of two layers, trained with a ridge to a true minimum by L-BFGS."""
    torch.manual_seed(0)
    X, y = rows(n=40, classes=3)
    net = nn.Sequential(nn.Linear(D, 4), nn.Tanh(), nn.Linear(4, 3)).double()
    optimiser = torch.optim.LBFGS(
        net.parameters(),
        max_iter=2000,
        tolerance_grad=1e-12,
        tolerance_change=0,
        line_search_fn="strong_wolfe",
    )

    def closure():
        optimiser.zero_grad()
        loss = cross_entropy(net(X), y) + 0.05 / 2 * sum(p.square().sum() for p in net.parameters())
        loss.backward()
        return loss

    optimiser.step(closure)
    return net, X, y


def dense(net, X, y, l2):
    """The Hessian and the rows' gradients, entry by entry, by torch.autograd."""
    names = [name for name, _ in net.named_parameters()]
    shapes = [p.shape for p in net.parameters()]

    def loss(theta, X, y):
        parts = theta.split([s.numel() for s in shapes])
        values = {n: p.view(s) for n, p, s in zip(names, parts, shapes, strict=True)}
        return cross_entropy(torch.func.functional_call(net, values, (X,)), y)

    theta = torch.cat([p.detach().reshape(-1) for p in net.parameters()])
    H = (
        torch.autograd.functional.hessian(lambda t: loss(t, X, y), theta)
        + l2 * torch.eye(len(theta)).double()
    )
    G = torch.stack(
        [
            torch.autograd.functional.jacobian(lambda t, i=i: loss(t, X[i : i + 1], y[i : i + 1]), theta)
            for i in range(len(X))
        ]
    )
    return H, G


def test_a_network_agrees_with_dense_autograd_hessians(trained):
    net, X, y = trained
    H, G = dense(net, X, y, 0.05)
    inf = Influence(ModuleModel(net, cross_entropy), (X, y), l2=0.05)
    assert inf.at_minimum
    assert not inf.notes
    solved = torch.linalg.solve(H, G.T)
    torch.testing.assert_close(inf.self_influence(), (G * solved.T).sum(1), rtol=1e-6, atol=1e-9)
    torch.testing.assert_close(inf.up_loss((X[:7], y[:7])), -(G[:7] @ solved), rtol=1e-6, atol=1e-9)
    torch.testing.assert_close(inf.up_params((X[:3], y[:3])), -solved[:, :3], rtol=1e-6, atol=1e-9)


def test_perturbation_is_the_derivative_of_the_influence(trained):
    net, X, y = trained
    test = (X[:4], y[:4])
    inf = Influence(ModuleModel(net, cross_entropy), (X, y), l2=0.05)
    slopes, eps = inf.pert_loss(test), 1e-6
    moved = -inf.inverse.solve(inf.model.gradient(inf.theta, *test)[:, None])[:, 0]
    for row, cell in ((0, 0), (7, 3), (39, 4)):
        there = [X[row : row + 1].clone() for _ in range(2)]
        there[0][0, cell] += eps
        there[1][0, cell] -= eps
        up, down = (inf.model.gradient(inf.theta, x, y[row : row + 1]) @ moved for x in there)
        assert float(slopes[row, cell]) == pytest.approx(float(up - down) / (2 * eps), rel=1e-5)


SETTINGS = {
    "cg": ConjugateGradients(tolerance=1e-10),
    "cg, plain": ConjugateGradients(tolerance=1e-10, preconditioner="none"),
    "arnoldi": LowRank(rank=43, steps=43, floor=0.05),
}


@pytest.mark.parametrize("name", SETTINGS)
def test_matrix_free_solvers_agree_with_the_factor(trained, name):
    net, X, y = trained
    model = ModuleModel(net, cross_entropy)
    exact = Influence(model, (X, y), l2=0.05, solver="cholesky").up_loss((X[:5], y[:5]))
    inf = Influence(model, (X, y), l2=0.05, solver=SETTINGS[name])
    torch.testing.assert_close(inf.up_loss((X[:5], y[:5])), exact, rtol=1e-6, atol=1e-7)
    assert inf.inverse.residual < 1e-6


def test_lissa_comes_near_and_says_how_near(trained):
    net, X, y = trained
    model = ModuleModel(net, cross_entropy)
    exact = Influence(model, (X, y), l2=0.05, damping=0.1).up_loss((X[:5], y[:5])).flatten()
    settings = Lissa(depth=400, repeats=4, batch=20)
    with pytest.warns(UserWarning, match="the lissa solver leaves a relative residual .* rough"):
        near = Influence(model, (X, y), l2=0.05, damping=0.1, solver=settings)
    assert "raise the damping" in near.notes[0]
    both = torch.stack([exact, near.up_loss((X[:5], y[:5])).flatten()])
    assert float(torch.corrcoef(both)[0, 1]) > 0.98
    assert 0 < near.inverse.residual < 0.5
    assert "scale" in near.inverse.reason


def test_lissa_refuses_what_diverges_or_has_not_converged(trained):
    net, X, y = trained
    model = ModuleModel(net, cross_entropy)
    with pytest.raises(SolveError, match="LiSSA diverges at step"):
        Influence(model, (X, y), l2=0.05, solver=Lissa(depth=2000, repeats=1, scale=0.05))
    with pytest.raises(SolveError, match=r"that of no estimate being 1|diverges"):
        Influence(model, (X, y), l2=0.05, solver=Lissa(depth=2, repeats=1, batch=1, scale=0.3))


@pytest.mark.filterwarnings("ignore:the lissa solver leaves:UserWarning")
def test_what_residual_of_lissa_is_refused_can_be_set(trained):
    net, X, y = trained
    asked = {"l2": 0.05, "damping": 0.1}
    near = Influence(
        ModuleModel(net, cross_entropy),
        (X, y),
        solver=Lissa(depth=50, repeats=2, batch=5, accept=9.0),
        **asked,
    )
    strict = Lissa(depth=50, repeats=2, batch=5, accept=near.inverse.residual)
    with pytest.raises(SolveError, match="relative residual"):
        Influence(ModuleModel(net, cross_entropy), (X, y), solver=strict, **asked)
    loose = Lissa(depth=50, repeats=2, batch=5, accept=1.01 * near.inverse.residual)
    again = Influence(ModuleModel(net, cross_entropy), (X, y), solver=loose, **asked)
    assert again.inverse.residual == near.inverse.residual


def untrained():
    torch.manual_seed(3)
    return nn.Sequential(nn.Linear(D, 6), nn.Tanh(), nn.Linear(6, 3)).double()


def test_away_from_a_minimum_damping_is_raised_and_the_newton_part_told_apart():
    X, y = rows(n=50, classes=3)
    model = ModuleModel(untrained(), cross_entropy)
    with pytest.warns(UserWarning, match="did not end at a minimum") as told:
        inf = Influence(model, (X, y), solver="cholesky")
    assert not inf.at_minimum
    assert told[0].filename == __file__
    assert inf.notes == (str(told[0].message),)
    parts = dense(model.net, X, y, 0.0)[1].norm(dim=1) / 50
    times = float(inf.gradient.norm() / parts.median())
    assert f"up to {float(inf.gradient.abs().max()):.1e} and is {times:,.0f} times as long" in inf.notes[0]
    assert inf.inverse.damping > 0
    assert "the damping was raised to" in inf.inverse.reason
    eigenvalues = torch.linalg.eigvalsh(dense(model.net, X, y, inf.inverse.damping)[0])
    assert eigenvalues[0] > 0
    A = dense(model.net, X, y, inf.inverse.damping)[0]
    torch.testing.assert_close(inf.newton_step, -torch.linalg.solve(A, inf.gradient), rtol=1e-6, atol=1e-9)
    torch.testing.assert_close(
        inf.newton_loss((X[:2], y[:2])), model.gradients(inf.theta, X[:2], y[:2]) @ inf.newton_step
    )
    for solver in ("cg", "arnoldi"):
        with pytest.raises((NotPositiveDefinite, SolveError), match=r"(?s)Hint: raise the damping"):
            Influence(model, (X, y), solver=solver)


def test_the_last_layer_alone_is_a_linear_model_of_its_inputs(trained):
    net, X, y = trained
    whole = ModuleModel(net, cross_entropy, parameters=["2"])
    assert whole.names == ("2.weight", "2.bias")
    head = nn.Linear(4, 3).double()
    head.load_state_dict(net[2].state_dict())
    inner = net[:2](X).detach()
    one = Influence(whole, (X, y), l2=0.05).up_loss((X[:6], y[:6]))
    two = Influence(ModuleModel(head, cross_entropy), (inner, y), l2=0.05).up_loss((inner[:6], y[:6]))
    torch.testing.assert_close(one, two, rtol=1e-9, atol=1e-12)


def test_a_ridge_may_differ_from_parameter_to_parameter():
    model = ModuleModel(untrained(), cross_entropy)
    found = model.ridge({"0": 0.1, "0.bias": 0.0, "2.weight": 0.3})
    sizes = {"0.weight": 6 * D, "0.bias": 6, "2.weight": 18, "2.bias": 3}
    parts = dict(zip(sizes, found.split(list(sizes.values())), strict=True))
    values = {"0.weight": 0.1, "0.bias": 0.0, "2.weight": 0.3, "2.bias": 0.0}
    assert all((part == values[name]).all() for name, part in parts.items())
    assert torch.equal(model.ridge(0.2), torch.full_like(found, 0.2))


def test_a_loader_is_the_same_as_its_tensors_and_must_not_shuffle(trained):
    net, X, y = trained
    model, rows = ModuleModel(net, cross_entropy), TensorDataset(X, y)
    expected = Influence(model, (X, y), l2=0.05).self_influence()
    for train in (rows, [X, y], DataLoader(rows, batch_size=7), [(X[:30], y[:30]), (X[30:], y[30:])]):
        assert torch.equal(Influence(model, train, l2=0.05).self_influence(), expected)
    shuffled = (
        {"shuffle": True},
        {"sampler": SubsetRandomSampler(range(len(X)))},
        {"sampler": WeightedRandomSampler([1.0] * len(X), len(X))},
        {"batch_sampler": BatchSampler(RandomSampler(rows), 7, drop_last=False)},
    )
    for how in shuffled:
        with pytest.raises(SettingError, match="the loader shuffles"):
            Influence(model, DataLoader(rows, **how), l2=0.05)


class Last(nn.Module):
    """A recurrent layer, and a linear one on its last output."""

    def __init__(self):
        super().__init__()
        self.inner, self.head = nn.LSTM(2, 3, batch_first=True), nn.Linear(3, 2)

    def forward(self, X):
        return self.head(self.inner(X)[0][:, -1])


def attention():
    layer = nn.TransformerEncoderLayer(2, 1, 4, dropout=0.0, batch_first=True)
    return nn.Sequential(layer, nn.Flatten(), nn.Linear(8, 2))


@pytest.mark.parametrize("make", [Last, attention])
def test_layers_of_sequences_agree_with_dense_autograd_hessians(make):
    torch.manual_seed(5)
    net = make().double().eval()
    X, y = torch.randn(12, 4, 2, dtype=torch.float64), torch.randint(2, (12,))
    with sdpa_kernel(SDPBackend.MATH):
        H, G = dense(net, X, y, 1.0)
    with pytest.warns(UserWarning, match="did not end at a minimum"):
        inf = Influence(ModuleModel(net, cross_entropy), (X, y), damping=1.0)
    torch.testing.assert_close(inf.self_influence(), (G * torch.linalg.solve(H, G.T).T).sum(1))


def test_weights_of_classes_count_where_the_loss_is_a_sum(trained):
    net, X, y = trained
    weight = torch.tensor([1.0, 5.0, 0.2], dtype=torch.float64)
    plain, weighted = (
        ModuleModel(net, loss).gradients(ModuleModel(net, loss).theta, X, y)
        for loss in (cross_entropy, nn.CrossEntropyLoss(weight, reduction="sum"))
    )
    torch.testing.assert_close(weighted, weight[y][:, None] * plain)
    for loss in (nn.CrossEntropyLoss(weight), partial(cross_entropy, weight=weight)):
        with pytest.raises(SettingError, match='reduction="sum"'):
            ModuleModel(net, loss)


def test_a_tied_weight_has_each_of_its_names():
    net = nn.ModuleDict({"a": nn.Linear(3, 3), "head": nn.Linear(3, 3)})
    net["head"].weight = net["a"].weight
    assert ModuleModel(net, cross_entropy, ["head"]).names == ("a.weight", "head.bias")


def test_a_second_derivative_that_is_wrong_is_refused():
    """The layer's own backward pass, as torch's fused weight_norm has it, may be differentiated wrongly."""

    class Wrong(torch.autograd.Function):
        generate_vmap_rule = True

        @staticmethod
        def forward(W):
            return W.square()

        @staticmethod
        def setup_context(ctx, inputs, _):
            ctx.save_for_backward(*inputs)

        @staticmethod
        def backward(ctx, slope):
            (W,) = ctx.saved_tensors
            return 2 * W * slope + (W * slope).cumsum(0) - (W * slope).detach().cumsum(0)

    class Squared(nn.Module):
        def __init__(self):
            super().__init__()
            self.W = nn.Parameter(torch.randn(3, D, dtype=torch.float64))

        def forward(self, X):
            return X @ Wrong.apply(self.W).T

    torch.manual_seed(0)
    with pytest.raises(SolveError, match=r"differ by .* from their mirror image"):
        Influence(ModuleModel(Squared(), cross_entropy), rows(classes=3), damping=1.0)


def test_the_damping_is_raised_no_more_than_is_needed():
    X, y = rows(n=50, classes=3)
    model = ModuleModel(untrained(), cross_entropy)
    least = -float(torch.linalg.eigvalsh(dense(model.net, X, y, 0.0)[0])[0])
    with pytest.warns(UserWarning, match="did not end at a minimum"):
        raised = Influence(model, (X, y), solver="cholesky").inverse.damping
    assert least < raised < 1.11 * least
    with pytest.raises(NotPositiveDefinite, match="raise the damping above") as told:
        Influence(model, (X, y), solver="cg")
    said = float(re.search(r"above (\S+?)\.?$", str(told.value)).group(1))
    assert said == pytest.approx(least, rel=1e-2)


def test_rows_of_vanishing_gradients_are_solved_in_single_precision_too():
    torch.manual_seed(0)
    net, (X, y) = nn.Linear(D, 3), rows(classes=3)
    with pytest.warns(UserWarning, match="did not end at a minimum"):
        inf = Influence(ModuleModel(net, cross_entropy), (X.float(), y), damping=0.1, solver="cg")
    B = torch.stack([torch.full((18,), 1e-30), torch.zeros(18), torch.ones(18)], dim=1)
    found = inf.inverse.solve(B)
    torch.testing.assert_close(found[:, 0] * 1e30, found[:, 2], rtol=1e-3, atol=1e-3)
    assert not found[:, 1].any()


def test_images_and_single_precision_work():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Tanh(), nn.Flatten(), nn.Linear(2 * 36, 3))
    X, y = torch.randn(30, 1, 8, 8), torch.randint(3, (30,))
    with pytest.warns(UserWarning, match="did not end at a minimum"):
        inf = Influence(ModuleModel(net, cross_entropy), (X, y), damping=1.0)
    assert inf.pert_loss((X[:2], y[:2])).shape == X.shape
    assert inf.self_influence().shape == (30,)
    assert inf.up_loss((X[:2], y[:2])).dtype == torch.float32


class Dropping(nn.Module):
    """Drops by a function, which no layer shows."""

    def __init__(self):
        super().__init__()
        self.inner = nn.Linear(D, 3).double()

    def forward(self, X):
        return nn.functional.dropout(self.inner(X), training=True)


def settled():
    """Influence at a minimum, by a ridge so large that there is little to train."""
    net = nn.Linear(D, 2).double()
    nn.init.zeros_(net.weight)
    nn.init.zeros_(net.bias)
    X, _ = rows(n=2)
    return Influence(ModuleModel(net, cross_entropy), (torch.cat([X, X]), torch.tensor([0, 0, 1, 1])), l2=1.0)


def asked(train, **settings):
    return Influence(ModuleModel(untrained(), cross_entropy), train, **settings)


BAD = {
    "a layer that mixes": (
        lambda: ModuleModel(nn.Sequential(nn.BatchNorm1d(D)), cross_entropy),
        "is in training mode",
    ),
    "an unknown name": (
        lambda: ModuleModel(untrained(), cross_entropy, ["2.wieght"]),
        "did you mean '2.weight'",
    ),
    "nothing to look at": (lambda: ModuleModel(nn.Tanh(), cross_entropy), "no parameter requires a gradient"),
    "a loss a row": (
        lambda: Influence(ModuleModel(untrained(), lambda o, t: o), rows(classes=3)),
        "the loss of one row has 3 values",
    ),
    "an unknown solver": (
        lambda: asked(rows(classes=3), solver="lisa"),
        "did you mean 'lissa'",
    ),
    "negative damping": (
        lambda: asked(rows(classes=3), damping=-1),
        "damping must be 0 or more: got -1",
    ),
    "a negative ridge": (
        lambda: asked(rows(classes=3), l2={"0": -1.0}),
        "l2 cannot be negative",
    ),
    "a ridge on an unknown name": (
        lambda: asked(rows(classes=3), l2={"2.wieght": 1.0}),
        "did you mean '2.weight'",
    ),
    "a ridge by name on no module": (
        lambda: Influence(None, *rows(), l2={"weight": 1.0}),
        "l2 by name is for modules",
    ),
    "rows that mix": (
        lambda: ModuleModel(
            nn.Sequential(nn.BatchNorm1d(D, track_running_stats=False)).eval(), cross_entropy
        ),
        "has no running statistics",
    ),
    "a recurrent layer that drops": (
        lambda: ModuleModel(nn.LSTM(2, 3, 2, dropout=0.5), cross_entropy),
        "is in training mode",
    ),
    "dropout by a function": (
        lambda: Influence(ModuleModel(Dropping(), cross_entropy), rows(classes=3)),
        "cannot take these rows: .*random",
    ),
    "no wrapped module": (lambda: Influence(untrained(), rows(classes=3)), r"ModuleModel\(net, loss\)"),
    "arrays": (
        lambda: asked(tuple(map(np.asarray, rows()))),
        "got ndarray, ndarray",
    ),
    "inputs alone": (lambda: asked(rows()[0]), "got Tensor"),
    "no rows": (
        lambda: asked((torch.zeros(0, D), torch.zeros(0))),
        "there are no training rows",
    ),
    "values that are missing": (
        lambda: Influence(
            ModuleModel(untrained(), cross_entropy), (torch.full((3, D), np.nan), torch.zeros(3))
        ),
        "are not finite",
    ),
    "another width": (
        lambda: asked(rows(d=D + 1, classes=3)),
        "cannot take these rows: .*shapes",
    ),
    "another precision": (
        lambda: Influence(ModuleModel(untrained().float(), cross_entropy), rows(classes=3)),
        "cannot take these rows: .*dtype",
    ),
    "half precision": (
        lambda: Influence(ModuleModel(untrained().bfloat16(), cross_entropy), rows(classes=3)),
        "call net.float",
    ),
    "a class too many": (
        lambda: asked(rows(classes=9)),
        "cannot take these rows",
    ),
    "test rows of another width": (
        lambda: settled().up_loss((torch.zeros(2, D + 1).double(), torch.zeros(2).long())),
        "cannot take these rows",
    ),
    "test rows that are missing": (
        lambda: settled().pert_loss((torch.full((2, D), np.nan).double(), torch.zeros(2).long())),
        "inputs of test rows are not finite",
    ),
    "no solver": (
        lambda: asked(rows(classes=3), solver=None),
        "neither a name nor settings",
    ),
    "a misspelt preconditioner": (
        lambda: ConjugateGradients(preconditioner="diagonl"),
        "did you mean 'diagonal'",
    ),
    "no steps": (lambda: ConjugateGradients(max_steps=0), "need positive settings"),
    "no rank": (lambda: LowRank(rank=0), "needs positive settings"),
    "no scale": (lambda: Lissa(scale=float("nan")), "needs positive settings"),
    "lengths that differ": (
        lambda: asked((torch.zeros(3, D), torch.zeros(2))),
        "got 3 and 2 rows",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_told_in_a_line(name):
    make, said = BAD[name]
    with pytest.raises(SettingError, match=said):
        make()


def test_the_operator_of_a_linear_model_is_its_hessian(linear):
    objective, theta, _ = linear
    curvature = of_objective(objective, theta, damping=0.5)
    H = objective.hessian(theta) + 0.5 * torch.eye(D + 1).double()
    torch.testing.assert_close(curvature.dense(), H)
    every = curvature.drawn(torch.arange(N))(torch.eye(D + 1).double())
    torch.testing.assert_close(every, objective.hessian(theta))
    exact = Cholesky().prepare(objective, theta)
    B = curvature.normal(3, 1)
    for settings in (Direct(), ConjugateGradients(tolerance=1e-12), LowRank(rank=6, steps=6)):
        inverse = settings.invert(of_objective(objective, theta))
        torch.testing.assert_close(inverse.solve(B), exact.solve(B), rtol=1e-6, atol=1e-8)
