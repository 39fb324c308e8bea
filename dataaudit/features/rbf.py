"""RBF features by landmarks, and a metric for them learned from the labels.

The Nyström approximation (Williams & Seeger 2001) of the kernel k(z, s) = exp(-γ‖z - s‖²) with S some
training rows is ``k(z, S) K_SS^(-1/2)``: inner products of its rows approximate the kernel. γ is given as
a width γ·d, where d is the total variance of z, and directions in which K_SS is flat are dropped.

An RBF kernel treats all columns alike. With a first kernel model f fitted by least squares, the average
outer product of its gradients

    M = mean_i ∇f(z_i) ∇f(z_i)ᵀ,      ∇f(z) = -2γ Σ_s a_s k(z, s) (z - s)

says how much each direction matters, and z is replaced by M^(1/4) z, twice (the recursion of
Radhakrishnan et al. 2024, "Recursive Feature Machines", with half its exponent). M's diagonal alone
scales columns; all of M turns them as well. It is learned from the labels, so every parameter of it takes
a little from the honesty of leave-one-out: it is learned only where rows outnumber them
`ROWS_PER_PARAMETER` times. Cost: n·m·d for m landmarks and 10 m³ for the eigenvectors of K_SS; the metric
twice that for every class.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

# Eigenvalues of K_SS below this share of the largest are rounding.
FLAT = 1e-6
ROWS_PER_PARAMETER = 25
TURNS = 2
RIDGES = (1e-2, 1e-3, 1e-4, 1e-5)


@dataclass(frozen=True)
class Kernel:
    """Nyström features of an RBF kernel."""

    gamma: float
    landmarks: Array  # (m, q)
    root: Array  # (m, r): K_SS^(-1/2) restricted to directions that are not flat
    metric: Array | None  # (d, q): distances are measured in Z @ metric

    def __call__(self, Z: Array) -> Array:
        """Return the features of rows."""  # (b, d) -> (b, r)
        turned = Z if self.metric is None else Z @ self.metric
        return np.asarray(gaussian(turned, self.landmarks, self.gamma) @ self.root)


def draw_landmarks(n: int, most: int, seed: int) -> NDArray[np.int64]:
    """Return the rows that distances are measured from, in order."""
    return np.sort(np.random.default_rng(seed).choice(n, min(most, n), replace=False))


def fit_kernel(drawn: Array, spread: float, width: float, *, metric: Array | None = None) -> Kernel | None:
    """Take the root of the landmarks' kernel; None without a column that varies."""
    # drawn (m, d), metric (d, q); `width` is γ times the total variance of all rows, `spread`, in the metric
    if spread <= 0.0:
        return None
    S = np.unique(drawn if metric is None else drawn @ metric, axis=0)
    gamma = width / spread
    values, vectors = np.linalg.eigh(gaussian(S, S, gamma))
    kept = values > FLAT * values[-1]
    # An eigenvector's sign is up to the linear algebra library unless it is fixed.
    vectors = vectors[:, kept] * np.where(vectors[0, kept] < 0, -1.0, 1.0)
    return Kernel(gamma, S, vectors / np.sqrt(values[kept]), metric)


def learn_metric(inputs: Array, Y: Array, kernel: Kernel, *, full: bool) -> Array | None:
    """Learn a metric from class indicators Y, beginning at a plain kernel; None where rows are too few."""
    # (n, d), (n, m) -> (d, q); with `full` directions are turned, else columns are only scaled
    if not affordable(*inputs.shape, full=full):
        return None
    metric, S, gamma, root = np.eye(inputs.shape[1]), kernel.landmarks, kernel.gamma, kernel.root
    S0, width = S, gamma * float(inputs.var(0).sum())
    for _ in range(TURNS):
        turned = inputs @ metric
        K = gaussian(turned, S, gamma)
        M = gradient_products(turned, S, gamma, kernel=K, weights=root @ ridge(K @ root, Y))
        metric = metric @ fourth_root(M, full=full)
        spread = float((inputs @ metric).var(0).sum())
        if spread <= 0.0:
            return None
        metric /= spread**0.5
        S, gamma = S0 @ metric, width
        values, vectors = np.linalg.eigh(gaussian(S, S, gamma))
        kept = values > FLAT * values[-1]
        root = vectors[:, kept] / np.sqrt(values[kept])
    return metric


def gaussian(Z: Array, S: Array, gamma: float) -> Array:
    """Return ``exp(-γ‖z - s‖²)`` for all pairs."""  # (b, d), (m, d) -> (b, m)
    distance = (Z**2).sum(1)[:, None] + (S**2).sum(1) - 2.0 * Z @ S.T
    np.maximum(distance, 0.0, out=distance)
    distance *= -gamma
    weight: Array = np.exp(distance, out=distance)
    return weight


def affordable(n: int, d: int, *, full: bool) -> bool:
    """Return whether n rows are enough to learn a metric in d dimensions."""
    return d > 1 and n >= ROWS_PER_PARAMETER * (d * (d + 1) // 2 if full else d)


def ridge(F: Array, Y: Array) -> Array:
    """Return the coefficients of centred least squares, the ridge chosen by leave-one-out error."""
    # (n, r), (n, m) -> (r, m)
    n = len(F)
    F, Y = F - F.mean(0), Y - Y.mean(0)
    w, V = np.linalg.eigh(F.T @ F / n)
    U = F @ V
    projected, squares = U.T @ Y / n, U**2
    found = []
    for l2 in RIDGES:
        shrink = 1.0 / (np.maximum(w, 0.0) + l2)
        left = np.maximum(1.0 - squares @ shrink / n - 1.0 / n, 1e-3)
        error = float((((Y - U @ (shrink[:, None] * projected)) / left[:, None]) ** 2).mean())
        found.append((error, l2, V @ (shrink[:, None] * projected)))
    coefficients: Array = min(found, key=lambda item: item[:2])[2]
    return coefficients


def gradient_products(Z: Array, S: Array, gamma: float, *, kernel: Array, weights: Array) -> Array:
    """Return M, summed over classes."""  # Z (n, d), S (m, d), kernel (n, m), weights (m, c) -> (d, d)
    M = np.zeros((Z.shape[1], Z.shape[1]))
    for a in weights.T:
        K = kernel * a
        gradient = -2.0 * gamma * (Z * K.sum(1, keepdims=True) - K @ S)
        M += gradient.T @ gradient / len(Z)
    return M


def fourth_root(M: Array, *, full: bool) -> Array:
    """Return M^(1/4), or that of its diagonal; directions that do not matter at all are dropped."""
    # (d, d) -> (d, q)
    if not full:
        return np.diag(np.maximum(np.diagonal(M), 0.0) ** 0.25)
    w, V = np.linalg.eigh(M)
    kept = w > 1e-10 * max(float(w[-1]), 1e-300)
    return np.asarray(V[:, kept] * w[kept] ** 0.25)
