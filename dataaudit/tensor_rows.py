"""Rows of a module as tensors: inputs of any shape and their targets, however they are handed over."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

import torch
from torch import Tensor
from torch.utils import data

from dataaudit.errors import SettingError

Batch = tuple[Tensor, Tensor]
Train = Batch | data.Dataset[Any] | Iterable[Batch]
ROWS: Final = 1024  # of a block
SHUFFLING = (data.RandomSampler, data.SubsetRandomSampler, data.WeightedRandomSampler)


@dataclass(frozen=True)
class TensorRows:
    """Rows held as tensors, cut into blocks.

    Parameters
    ----------
    X, y : Tensor (n, …)
        Inputs and targets.
    """

    X: Tensor
    y: Tensor

    @property
    def n(self) -> int:
        """Number of rows."""
        return len(self.X)

    def blocks(self, rows: int = ROWS) -> Iterator[Batch]:
        """Yield the rows in order."""
        for start in range(0, self.n, rows):
            yield self.X[start : start + rows], self.y[start : start + rows]


def gathered(train: Train) -> TensorRows:
    """Return training rows as tensors.

    Parameters
    ----------
    train : (Tensor, Tensor), Dataset, or iterable of such pairs
        Inputs and targets; or a `DataLoader` that yields them in batches. One that shuffles gives the rows in
        an order that nobody can name, so it is refused.

    Returns
    -------
    TensorRows

    Raises
    ------
    SettingError
        If lengths differ, there are no rows, an input is not finite, or a loader shuffles.
    """
    if isinstance(train, data.Dataset):
        train = data.DataLoader(train, batch_size=ROWS)
    whole = isinstance(train, Tensor | tuple) or (isinstance(train, list) and _tensors(train))
    if whole or not isinstance(train, Iterable):
        return TensorRows(*paired(train, "training"))
    inner = getattr(getattr(train, "batch_sampler", None), "sampler", None)
    if isinstance(getattr(train, "sampler", None), SHUFFLING) or isinstance(inner, SHUFFLING):
        raise SettingError("the loader shuffles, so rows have no names", "make it with shuffle=False")
    parts = [paired(batch, "training") for batch in train]
    if not parts:
        raise SettingError("there are no training rows", "give at least one")
    first = parts[0][0].shape[1:]
    if odd := [X.shape[1:] for X, _ in parts if X.shape[1:] != first]:
        raise SettingError(f"inputs differ in shape: got {(*first,)} and {(*odd[0],)}", "make them one shape")
    X, y = (torch.cat(list(side)) for side in zip(*parts, strict=True))
    return TensorRows(X, y)


def paired(batch: object, which: str) -> Batch:
    """Return inputs and targets, checked.

    Parameters
    ----------
    batch : object
        What was given for them.
    which : str
        What rows they are, for people.

    Raises
    ------
    SettingError
        If they are not two tensors of as many rows, at least one, or an input is not finite.
    """
    pair = tuple(batch) if isinstance(batch, tuple | list) else (batch,)
    if len(pair) != 2 or not _tensors(pair):  # noqa: PLR2004 - inputs and targets
        got = ", ".join(type(part).__name__ for part in pair[:4])
        what = f"{which} rows are two tensors, inputs and targets, rows first: got {got}"
        raise SettingError(what, "give (X, y); torch.from_numpy makes a tensor of an array")
    X, y = pair
    if len(X) != len(y):
        raise SettingError(f"inputs and targets differ: got {len(X)} and {len(y)} rows", "give one each")
    if not len(X):
        raise SettingError(f"there are no {which} rows", "give at least one")
    if not bool(torch.isfinite(X).all()):
        raise SettingError(
            f"inputs of {which} rows are not finite", "fill what is missing, or leave them out"
        )
    return X, y


def _tensors(parts: Iterable[object]) -> bool:
    return all(isinstance(part, Tensor) and part.dim() for part in parts)
