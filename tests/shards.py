"""Shards of a matrix on disk, as workers of another process read them, and what kills a worker."""

import os
import signal
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from scipy.sparse import csr_array

from dataaudit.model.rows import ShardedRows


@dataclass(frozen=True)
class Slab:
    """Some rows of an .npy file."""

    path: str
    start: int
    stop: int
    sparse: bool = False

    @property
    def n(self):
        return self.stop - self.start

    def features(self):
        X = np.array(np.load(self.path, mmap_mode="r")[self.start : self.stop])
        return csr_array(X) if self.sparse else torch.from_numpy(X)

    def take(self, rows):
        return self.features()[rows]


def dying(flag, model, theta, block):
    """The gradient of a block; the first worker that finds a file dies."""
    if Path(flag).exists():
        Path(flag).unlink()
        os.kill(os.getpid(), signal.SIGKILL)
    return model.gradient(theta, block)


def given(vector, block):
    """What was sent."""
    return vector


def write(path, X):
    """Write a matrix for slabs to read."""
    np.save(path, X.toarray() if isinstance(X, csr_array) else np.asarray(X))
    return str(path)


def sharded(path, rows, cuts, engine, *, sparse=False):
    """The rows as slabs between cuts."""
    ends = [0, *cuts, rows.n]
    slabs = tuple(Slab(path, a, b, sparse) for a, b in pairwise(ends))
    return ShardedRows(slabs, rows.y, rows.weight, rows.width, engine)


def killing(pid, block):
    """What ends another process, such as the scheduler, amid a sum."""
    os.kill(pid, signal.SIGKILL)
    return block.y
