"""Influence on a user's module, beside the closed form, dense Hessians by autograd, and true refits."""

import pytest
import torch
from torch import nn
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy
from torch.utils.data import DataLoader, TensorDataset

from dataaudit.errors import NotPositiveDefinite, SettingError, SolveError
from dataaudit.fit import FitSettings, minimise
from dataaudit.influence import pert_loss, self_influence, up_loss
from dataaudit.losses import Softmax
from dataaudit.lowlevel import Influence
from dataaudit.models import LinearModel
from dataaudit.module_model import ModuleModel
from dataaudit.objective import Objective
from dataaudit.rows import Block, MemoryRows
from dataaudit.solvers import Cholesky
from dataaudit.solvers.iterative import ConjugateGradients, Direct, Lissa, LowRank
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
    near = Influence(model, (X, y), l2=0.05, damping=0.1, solver=settings)
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
    model = ModuleModel(net, cross_entropy)
    loader = DataLoader(TensorDataset(X, y), batch_size=7)
    one, two = (Influence(model, train, l2=0.05).self_influence() for train in (loader, (X, y)))
    assert torch.equal(one, two)
    with pytest.raises(SettingError, match="the loader shuffles"):
        Influence(model, DataLoader(TensorDataset(X, y), batch_size=7, shuffle=True), l2=0.05)


def test_images_and_single_precision_work():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Tanh(), nn.Flatten(), nn.Linear(2 * 36, 3))
    X, y = torch.randn(30, 1, 8, 8), torch.randint(3, (30,))
    with pytest.warns(UserWarning, match="did not end at a minimum"):
        inf = Influence(ModuleModel(net, cross_entropy), (X, y), damping=1.0)
    assert inf.pert_loss((X[:2], y[:2])).shape == X.shape
    assert inf.self_influence().shape == (30,)
    assert inf.up_loss((X[:2], y[:2])).dtype == torch.float32


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
        lambda: Influence(ModuleModel(untrained(), cross_entropy), rows(classes=3), solver="lisa"),
        "did you mean 'lissa'",
    ),
    "negative damping": (
        lambda: Influence(ModuleModel(untrained(), cross_entropy), rows(classes=3), damping=-1),
        "cannot be negative",
    ),
    "a negative ridge": (
        lambda: Influence(ModuleModel(untrained(), cross_entropy), rows(classes=3), l2={"0": -1.0}),
        "l2 cannot be negative",
    ),
    "a ridge on an unknown name": (
        lambda: Influence(ModuleModel(untrained(), cross_entropy), rows(classes=3), l2={"2.wieght": 1.0}),
        "did you mean '2.weight'",
    ),
    "a ridge by name on no module": (
        lambda: Influence(None, *rows(), l2={"weight": 1.0}),
        "l2 by name is for modules",
    ),
    "lengths that differ": (
        lambda: Influence(ModuleModel(untrained(), cross_entropy), (torch.zeros(3, D), torch.zeros(2))),
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
