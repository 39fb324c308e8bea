"""A kernel machine as a linear model: features whose inner products are the kernel.

With K the kernel of the n training rows and V diag(w) Vᵀ = K, rows z have the features

    F(z) = k(z, X) V diag(w)^(-1/2)

for the r eigenvalues that are above rounding: F F' = K on the training rows, and any function that training
can reach is linear in F with the norm that the machine penalises. Cost: n² d for K and 10 n³ for its
eigenvectors, once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from dataaudit.encode.kernel import gaussian
from dataaudit.solvers.base import memory_limit, require_memory

Array = NDArray[np.float64]
# Eigenvalues below this share of the largest are rounding.
FLAT = 1e-12


@dataclass(frozen=True)
class KernelMap:
    """Features of an RBF kernel on its own training rows.

    Attributes
    ----------
    gamma : float
        γ in ``exp(-γ‖z - x‖²)``.
    rows : ndarray (n, d)
        X.
    root : ndarray (n, r)
        ``V diag(w)^(-1/2)``.
    """

    gamma: float
    rows: Array
    root: Array

    def __call__(self, Z: Array | csr_array) -> Array:
        """Return the features of rows."""  # (b, d) -> (b, r)
        return np.asarray(gaussian(_dense(Z), self.rows, self.gamma) @ self.root)


def kernel_map(model: Any, X: Array | csr_array) -> KernelMap:
    """Return the features of a fitted scikit-learn SVC with an RBF kernel.

    Parameters
    ----------
    model : SVC
        Gives γ, or how it follows from the rows.
    X : ndarray (n, d) or csr_array (n, d)
        The rows that it was fitted on.

    Returns
    -------
    KernelMap
        From rows to features.

    Raises
    ------
    TooLarge
        If the kernel's matrix does not fit in memory.
    """
    n, d = X.shape
    require_memory(4 * 8 * n**2, f"the kernel of {n:,} rows", memory_limit())
    rows, gamma = _dense(X), model.gamma
    if isinstance(gamma, str):
        gamma = 1.0 / d if gamma == "auto" else 1.0 / (d * float(rows.var()) or 1.0)
    values, vectors = np.linalg.eigh(gaussian(rows, rows, float(gamma)))
    kept = values > FLAT * values[-1]
    return KernelMap(float(gamma), rows, vectors[:, kept] / np.sqrt(values[kept]))


def _dense(X: Array | csr_array) -> Array:
    return np.asarray(X if isinstance(X, np.ndarray) else X.toarray())
