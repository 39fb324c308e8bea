"""Problems as data: every test of the numerical core runs over this list, so a new kind joins them all."""

from dataclasses import dataclass

import numpy as np
import torch
from scipy.sparse import csr_array, random_array

from dataaudit.model.linear import LinearModel
from dataaudit.model.losses import Softmax
from dataaudit.model.objective import Objective
from dataaudit.model.rows import MemoryRows


@dataclass(frozen=True)
class Case:
    """A small classification problem; `X` is a float64 tensor or a csr_array."""

    name: str
    X: torch.Tensor | csr_array
    y: torch.Tensor
    weight: torch.Tensor
    n_classes: int
    l2: float = 1e-2

    @property
    def dense(self):
        """X as a tensor, whatever it is held as."""
        return self.X if isinstance(self.X, torch.Tensor) else torch.from_numpy(self.X.toarray())

    def objective(self, l2=None, *, weight=None, y=None, block_bytes=2**26):
        """The objective, with other weights, labels or λ where given."""
        rows = MemoryRows(
            self.X, self.y if y is None else y, self.weight if weight is None else weight, block_bytes
        )
        return Objective(
            rows, LinearModel(Softmax(self.n_classes), self.X.shape[1]), self.l2 if l2 is None else l2
        )


def make(name, n, d, n_classes, *, sparse=False, weighted=False, noise=1.0, l2=1e-2):
    """Rows whose classes follow a linear rule with noise; `weighted` gives weights up to 3, one of them 0."""
    rng = np.random.default_rng(n * 1000 + d * 10 + n_classes)
    if sparse:
        X = csr_array(
            random_array((n, d), density=0.2, rng=rng, data_sampler=rng.standard_normal, format="csr")
        )
        dense = X.toarray()
    else:
        dense = rng.standard_normal((n, d))
        X = torch.from_numpy(dense)
    scores = dense @ rng.standard_normal((d, n_classes)) / d**0.5 + noise * rng.gumbel(size=(n, n_classes))
    y = scores.argmax(1)
    y[:n_classes] = np.arange(n_classes)
    weight = rng.uniform(0.2, 3.0, n) if weighted else np.ones(n)
    if weighted:
        weight[n // 2] = 0.0
    return Case(name, X, torch.from_numpy(y), torch.from_numpy(weight), n_classes, l2)


def _duplicated():
    """Every row twice and every column twice: without a ridge the Hessian is singular."""
    case = make("", 14, 4, 2)
    X = torch.cat([case.X, case.X]).repeat(1, 2)
    return Case("duplicated rows and columns", X, case.y.repeat(2), torch.ones(28, dtype=torch.float64), 2)


def _separable(n_classes):
    """Classes that a plane separates with a wide margin: only the ridge keeps the minimum finite."""
    case = make("", 18, 3, n_classes, noise=0.0)
    centres = 6.0 * torch.eye(n_classes, 3, dtype=torch.float64)
    X = 0.3 * case.X + centres[case.y]
    return Case(f"separable, {n_classes} classes", X, case.y, case.weight, n_classes, 1e-3)


CASES = [
    make("binary dense tall", 40, 5, 2),
    make("binary dense wide", 20, 50, 2),
    make("binary sparse tall", 60, 12, 2, sparse=True),
    make("binary sparse wide", 20, 60, 2, sparse=True),
    make("binary weighted tall", 40, 4, 2, weighted=True),
    make("binary weighted wide", 16, 30, 2, weighted=True, sparse=True),
    make("softmax dense tall", 45, 4, 3),
    make("softmax dense wide", 20, 30, 3),
    make("softmax sparse tall", 60, 6, 4, sparse=True),
    make("softmax sparse wide", 18, 40, 3, sparse=True),
    make("softmax weighted", 30, 5, 4, weighted=True),
    _duplicated(),
    _separable(2),
    _separable(3),
]
IDS = [case.name for case in CASES]
