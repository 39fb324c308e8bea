"""Slow twins: what the fast code must agree with, written from the definitions and sharing nothing with it.

The objective is spelled with all K classes (`cross_entropy` over [0, scores]) and with the ridge as the sum
of squares of the class-centred coefficients; derivatives come from autograd; inverses are dense.
"""

import numpy as np
import torch
from scipy.special import softmax

MAX_STEPS = 200


def objective_function(case, *, l2=None, weight=None, y=None):
    """Return R(θ) as a differentiable function of the flat θ."""
    X, l2 = case.dense, case.l2 if l2 is None else l2
    weight, y = case.weight if weight is None else weight, case.y if y is None else y
    X1 = torch.cat([X, torch.ones(len(X), 1, dtype=X.dtype)], dim=1)

    def value(theta):
        coefficients = theta.reshape(X1.shape[1], case.n_classes - 1)
        every = torch.cat([torch.zeros_like(coefficients[:, :1]), coefficients], dim=1)
        losses = torch.nn.functional.cross_entropy(X1 @ every, y, reduction="none")
        penalised = every[:-1]
        if case.n_classes > 2:
            penalised = penalised - penalised.mean(dim=1, keepdim=True)
        return (weight * losses).sum() / len(X) + l2 / 2 * (penalised**2).sum()

    return value


def gradient(case, theta, **changes):
    return torch.func.grad(objective_function(case, **changes))(theta)


def hessian(case, theta, **changes):
    H = torch.func.jacrev(torch.func.grad(objective_function(case, **changes)))(theta)
    return (H + H.T) / 2


def quadratic_forms(case, theta, **changes):
    """Return (x̃ᵢᵀ ⊗ I) H⁻¹ (x̃ᵢ ⊗ I) of every row by a dense inverse and Kronecker products."""
    inverse, k = torch.linalg.inv(hessian(case, theta, **changes)), case.n_classes - 1
    forms = []
    for x in case.dense:
        lift = torch.kron(torch.cat([x, x.new_ones(1)])[:, None].contiguous(), torch.eye(k, dtype=x.dtype))
        forms.append(lift.T @ inverse @ lift)
    return torch.stack(forms)


def scores(case, theta):
    X1 = torch.cat([case.dense, torch.ones(len(case.y), 1, dtype=torch.float64)], dim=1)
    return X1 @ theta.reshape(X1.shape[1], -1)


def row_gradients(case, theta):
    """Return the gradient of every row's own loss, (n, p), by autograd."""
    n = len(case.y)
    alone = n * torch.eye(n, dtype=torch.float64)
    return torch.vmap(lambda weight: gradient(case, theta, l2=0.0, weight=weight))(alone)


def minimum(case, start=None, *, weight=None, y=None):
    """Return the minimum by Newton steps with a dense Hessian in NumPy; autograd confirms where it ends."""
    weight, y = case.weight if weight is None else weight, case.y if y is None else y
    X1 = np.hstack([case.dense.numpy(), np.ones((len(y), 1))])
    (n, width), k = X1.shape, case.n_classes - 1
    onehot, omega = np.eye(case.n_classes)[y.numpy()][:, 1:], weight.numpy()
    coupling = np.eye(k) - (1 / case.n_classes if k > 1 else 0)
    ridge = case.l2 * np.kron(np.diag([1.0] * (width - 1) + [0.0]), coupling)
    theta = np.zeros(width * k) if start is None else start.numpy().copy()

    def value(theta):
        s = X1 @ theta.reshape(width, k)
        return omega @ (np.logaddexp.reduce(np.c_[np.zeros(n), s], axis=1) - (s * onehot).sum(1)) / n + (
            theta @ ridge @ theta / 2
        )

    for _ in range(MAX_STEPS):
        P = softmax(np.c_[np.zeros(n), X1 @ theta.reshape(width, k)], axis=1)[:, 1:]
        g = (X1.T @ (omega[:, None] * (P - onehot))).ravel() / n + ridge @ theta
        if np.abs(g).max() < 1e-12:
            break
        W = omega[:, None, None] * (P[:, :, None] * np.eye(k) - P[:, :, None] * P[:, None, :])
        H = np.einsum("ni,nab,nj->iajb", X1, W, X1, optimize=True).reshape(width * k, -1) / n + ridge
        step, size = np.linalg.solve(H, g), 1.0
        while value(theta - size * step) > value(theta) + 1e-14 and size > 1e-6:
            size /= 2
        theta -= size * step
    end = torch.from_numpy(theta)
    assert gradient(case, end, weight=weight, y=y).abs().max() < 1e-10, "the reference did not converge"
    return end


def without(case, row, theta):
    """Return the minimum without one row."""
    weight = case.weight.clone()
    weight[row] = 0.0
    return minimum(case, theta, weight=weight)


def relabelled(case, row, label, theta):
    """Return the minimum with another label for one row."""
    y = case.y.clone()
    y[row] = label
    return minimum(case, theta, y=y)


def up_loss(case, theta, test):
    """Return -g_tᵀ H⁻¹ g_i of every test row and training row, (t, n), by autograd and a dense solve."""
    return -row_gradients(test, theta) @ torch.linalg.solve(
        hessian(case, theta), row_gradients(case, theta).T
    )


def pert_loss(case, theta, test):
    """Return the derivative of Σ_t I_up,loss(i, t) by the cells of row i, (n, d), by autograd through g_i."""
    pull = torch.linalg.solve(hessian(case, theta), row_gradients(test, theta).sum(0))
    k = case.n_classes - 1

    def influence(x, y):
        def loss(theta):
            s = torch.cat([x, x.new_ones(1)]) @ theta.reshape(-1, k)
            return torch.nn.functional.cross_entropy(torch.cat([s.new_zeros(1), s]), y)

        return -pull @ torch.func.grad(loss)(theta)

    return torch.stack([torch.func.grad(influence)(x, y) for x, y in zip(case.dense, case.y, strict=True)])


def newton_step(case, theta, *, weight=None, y=None):
    """Return θ after one Newton step on the changed problem, less the step that θ itself still lacks."""
    left = gradient(case, theta, weight=weight, y=y) - gradient(case, theta)
    return theta - torch.linalg.solve(hessian(case, theta, weight=weight, y=y), left)
