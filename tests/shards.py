"""Shards of a matrix on disk, as workers of another process read them."""

from dataclasses import dataclass

import numpy as np
import torch
from scipy.sparse import csr_array


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
        X = np.load(self.path, mmap_mode="r")[self.start : self.stop]
        return csr_array(X) if self.sparse else torch.from_numpy(np.array(X))
