"""Curvature layer by layer, beside dense Gauss-Newton matrices made entry by entry."""

import pytest
import torch
from torch import nn
from torch.func import functional_call, grad, jacrev
from torch.nn.functional import cross_entropy, mse_loss

import dataaudit
from dataaudit import ModuleInfluence, ModuleModel
from dataaudit.errors import SettingError
from dataaudit.influence import layers

N = 12


def data(*shape, classes=3, seed=0):
    generator = torch.Generator().manual_seed(seed)
    X = torch.randn(N, *shape, dtype=torch.float64, generator=generator)
    return X, torch.randint(classes, (N,), generator=generator)


def made(*parts):
    torch.manual_seed(1)
    return nn.Sequential(*[part() if isinstance(part, type) else part for part in parts]).double().eval()


def dense():
    torch.manual_seed(1)
    return made(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 3)), (4,)


def convolved():
    torch.manual_seed(1)
    net = made(
        nn.Conv2d(2, 3, 3, padding="same", padding_mode="circular"),
        nn.ReLU(inplace=True),
        nn.Conv2d(3, 2, 2, stride=2, bias=False),
        nn.Flatten(),
        nn.Linear(8, 3),
    )
    return net, (2, 4, 4)


def by_hand(net, X, y, loss=cross_entropy):
    """Return the Jacobian of the outputs (n, k, p), and the Hessian of each row's loss in them (n, k, k)."""
    names, shapes = zip(*[(name, p.shape) for name, p in net.named_parameters()], strict=True)
    theta = torch.cat([p.detach().reshape(-1) for p in net.parameters()])

    def outputs(theta):
        parts = theta.split([s.numel() for s in shapes])
        return functional_call(
            net, {n: p.view(s) for n, p, s in zip(names, parts, shapes, strict=True)}, (X,)
        )

    J, out = jacrev(outputs)(theta), outputs(theta).detach()
    B = torch.stack(
        [jacrev(grad(lambda o, t=t: loss(o[None], t[None])))(o) for o, t in zip(out, y, strict=True)]
    )
    return J.detach(), B


def gauss_newton(net, X, y, loss=cross_entropy):
    J, B = by_hand(net, X, y, loss)
    return torch.einsum("nkp,nkl,nlq->pq", J, B, J) / len(X)


def quiet(net, rows, loss=cross_entropy, **asked):
    with pytest.warns(UserWarning, match="did not end at a minimum|leaves a relative residual"):
        return ModuleInfluence(ModuleModel(net, loss), rows, **asked)


@pytest.mark.parametrize("make", [dense, convolved])
def test_the_product_is_that_with_the_dense_matrix(make):
    net, shape = make()
    X, y = data(*shape)
    inf = quiet(net, (X, y), l2=0.1, damping=0.2, hessian="gauss-newton", solver="cholesky")
    G = gauss_newton(net, X, y)
    A = G + 0.3 * torch.eye(len(G)).double()
    torch.testing.assert_close(inf.curvature.dense(), A)
    assert inf.inverse.damping == 0.2
    J, B = by_hand(net, X, y)
    few = torch.einsum("nkp,nkl,nlq->pq", J[:4], B[:4], J[:4]) / 4 + 0.1 * torch.eye(len(G)).double()
    torch.testing.assert_close(inf.curvature.drawn(torch.arange(4))(torch.eye(len(G)).double()), few)


def test_blocks_are_those_of_the_dense_matrix():
    net, shape = dense()
    X, y = data(*shape)
    inf = quiet(net, (X, y), l2={"0": 0.1, "2": 0.2}, damping=0.05, solver="block")
    G, cut = gauss_newton(net, X, y), 25
    ridge = torch.cat([torch.full((cut,), 0.15), torch.full((18,), 0.25)]).double()
    A = torch.block_diag(G[:cut, :cut], G[cut:, cut:]) + torch.diag(ridge)
    B = torch.randn(43, 2, dtype=torch.float64)
    torch.testing.assert_close(inf.inverse.solve(B), torch.linalg.solve(A, B))
    X_of_b = torch.linalg.solve(A, probes := inf.curvature.normal(4, 0))
    left = ((G + torch.diag(ridge)) @ X_of_b - probes).norm(dim=0) / probes.norm(dim=0)
    assert inf.inverse.residual == pytest.approx(float(left.max()))
    exact = quiet(net, (X, y), damping=5.0, solver="block", hessian="exact")
    assert exact.inverse.solve(B).shape == B.shape


@pytest.mark.parametrize("make", [dense, convolved])
def test_corrected_eigenvalues_are_the_diagonal_of_the_matrix_in_the_basis(make):
    net, shape = make()
    X, y = data(*shape)
    inf = quiet(net, (X, y), l2={"0.weight": 0.1}, damping=0.01, solver="ek-fac")
    G = gauss_newton(net, X, y) + torch.diag(inf.ridge)
    found = inf.inverse.solve(torch.eye(len(G)).double())
    values, U = torch.linalg.eigh(found)
    torch.testing.assert_close(found, found.T)
    # In the basis of the inverse, the matrix has the diagonal 1 / values - δ.
    torch.testing.assert_close((U.T @ G @ U).diagonal(), 1 / values - 0.01, rtol=1e-6, atol=1e-9)
    assert inf.inverse.residual > 0
    assert f"{sum(hasattr(part, 'weight') for part in net)} layers in Kronecker factors" in inf.inverse.reason


def test_one_layer_and_one_row_are_exact():
    net = made(nn.Linear(4, 3))
    X, y = data(4)
    inf = quiet(net, (X[:1], y[:1]), damping=0.1, solver="ek-fac")
    A = gauss_newton(net, X[:1], y[:1]) + 0.1 * torch.eye(15).double()
    torch.testing.assert_close(inf.inverse.solve(torch.eye(15).double()), torch.linalg.inv(A))
    assert inf.inverse.residual < 1e-12
    torch.testing.assert_close(inf.self_influence()[0], _own(net, X[:1], y[:1], A))


def _own(net, X, y, A):
    J, _ = by_hand(net, X, y)
    slope = torch.func.grad(lambda o: cross_entropy(o, y))(net(X).detach())[0] @ J[0]
    return slope @ torch.linalg.solve(A, slope)


class Mixed(nn.Module):
    """One layer with factors, and others: a norm, an embedding tied to the head, one called twice."""

    def __init__(self):
        super().__init__()
        self.words, self.head = nn.Embedding(5, 4), nn.Linear(4, 5, bias=False)
        self.head.weight = self.words.weight
        self.norm, self.twice, self.inner = nn.LayerNorm(4), nn.Linear(4, 4), nn.Linear(4, 4)
        self.unused = nn.Linear(2, 2)

    def forward(self, X):
        inner = self.inner(self.norm(self.words(X))).tanh().mean(1)
        return self.head(self.twice(self.twice(inner)))


def test_other_parameters_get_the_diagonal():
    net = made(Mixed)[0]
    X, y = torch.randint(5, (N, 3)), torch.randint(5, (N,))
    inf = quiet(net, (X, y), damping=0.1, solver="ek-fac")
    G = gauss_newton(net, X, y)
    names = dict(net.named_parameters())
    assert "1 layers in Kronecker factors" in inf.inverse.reason
    start = 0
    for name, value in names.items():
        at = slice(start, start := start + value.numel())
        if not name.startswith("inner"):
            column = inf.inverse.solve(torch.eye(len(G)).double())[at, at]
            torch.testing.assert_close(column, torch.diag(1 / (G[at, at].diagonal() + 0.1)))


def test_many_outputs_are_followed_back_as_random_sums(monkeypatch):
    net = made(nn.Linear(3, 8))
    X, y = data(3)[0], torch.randn(N, 8, dtype=torch.float64)
    exact = quiet(net, (X, y), mse_loss, damping=0.1, solver="ek-fac").self_influence()
    monkeypatch.setattr(layers, "OUTPUTS", 4)
    few = quiet(net, (X, y), mse_loss, damping=0.1, solver="ek-fac").self_influence()
    assert not torch.equal(few, exact)
    torch.testing.assert_close(few, exact, rtol=0.6, atol=0)


def test_without_curvature_the_damping_is_that_of_the_mean():
    net, shape = dense()
    inf = quiet(net, data(*shape), solver="ek-fac")
    G = gauss_newton(net, *data(*shape))
    assert inf.inverse.damping == pytest.approx(0.1 * float(G.diagonal().mean()))
    assert "a tenth of the mean curvature" in inf.inverse.reason


def test_slips_are_answered_in_a_line():
    net, shape = dense()
    for asked, said in (
        ({"hessian": "gaus-newton"}, "gauss-newton"),
        ({"solver": "ekfac"}, "ek-fac"),
        ({"solver": "ek-fac", "hessian": "exact"}, "leave hessian out"),
    ):
        with pytest.raises(SettingError, match=f"(?s){said}"):
            ModuleInfluence(ModuleModel(net, cross_entropy), data(*shape), damping=1.0, **asked)


def test_the_common_name_takes_the_same_and_refuses_it_for_linear_scores():
    net, shape = dense()
    X, y = data(*shape)
    with pytest.warns(UserWarning, match="did not end|leaves a relative residual"):
        found = dataaudit.Influence(
            ModuleModel(net, cross_entropy), X, y, damping=1.0, hessian="gauss-newton", solver="block"
        )
    assert found.curvature.damping == 1.0
    with pytest.raises(SettingError, match="hessian 'exact' is for modules"):
        dataaudit.Influence(None, X.numpy(), y.numpy(), l2=0.1, hessian="exact")


def test_a_row_leaves_with_its_gauss_newton_part():
    net, shape = dense()
    X, y = data(*shape)
    inf = quiet(net, (X, y), l2=0.1, solver="ek-fac")
    J, B = by_hand(net, X, y)
    A = torch.einsum("nkp,nkl,nlq->pq", J[1:], B[1:], J[1:]) / N + 0.1 * torch.eye(43).double()
    g = inf.model.gradient(inf.theta, X[:1], y[:1])
    moved = inf.theta + torch.linalg.solve(A, g) / N
    change = inf.model.losses(moved, X[:5], y[:5]) - inf.model.losses(inf.theta, X[:5], y[:5])
    torch.testing.assert_close(inf.without([0], (X[:5], y[:5]))[0], change, rtol=1e-4, atol=1e-7)
