"""Matrices and labels as Python users hand them over, checked and turned into rows."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_array, issparse

from dataaudit.errors import SettingError
from dataaudit.losses import Softmax
from dataaudit.models import LinearModel
from dataaudit.objective import Objective
from dataaudit.rows import MemoryRows


def matrix(X: Any) -> NDArray[np.float64] | csr_array:
    """Return features as float64, dense or sparse by rows.

    Raises
    ------
    SettingError
        If they are no finite matrix of numbers.
    """
    given = X.numpy(force=True) if isinstance(X, torch.Tensor) else X
    try:
        # A copy, since torch shares memory with arrays and does not take read-only ones.
        design = (
            csr_array(X, dtype=np.float64) if issparse(X) else np.array(given, dtype=np.float64, order="C")
        )
    except (TypeError, ValueError) as error:
        raise SettingError(f"X is not a matrix of numbers: {error}", "encode its columns first") from error
    if design.ndim != 2:  # noqa: PLR2004 - rows and columns
        raise SettingError(
            f"X must have rows and columns: got {design.ndim} axes", "X.reshape(-1, 1) is one column"
        )
    if not np.isfinite(design.data if issparse(design) else design).all():
        raise SettingError("X has missing or infinite values", "impute them as before the fit")
    return design


def memory_rows(design: NDArray[np.float64] | csr_array, numbers: NDArray[np.int64]) -> MemoryRows:
    """Return rows of weight 1."""
    X = design if issparse(design) else torch.from_numpy(design)
    y = torch.from_numpy(numbers)
    return MemoryRows(X, y, torch.ones(len(y), dtype=torch.float64))


def softmax_objective(rows: MemoryRows, n_classes: int, l2: float | None) -> Objective:
    """Return the objective of a fit that is made here.

    Raises
    ------
    SettingError
        If λ is negative, or there is one class.
    """
    if l2 is None or l2 < 0:
        raise SettingError(f"l2 must not be negative: got {l2}", "1e-3 is a fair start")
    return Objective(rows, LinearModel(Softmax(n_classes), rows.width), float(l2))


def every_class(numbers: NDArray[np.int64], classes: NDArray[Any]) -> NDArray[np.int64]:
    """Return the class numbers if every class of a model is among them.

    Raises
    ------
    SettingError
        If one is not: the model was fitted on other rows.
    """
    absent = np.setdiff1d(np.arange(len(classes)), numbers)
    if len(absent):
        what = f"class {classes[absent[0]]} of the model has no row in y"
        raise SettingError(what, "give the rows that it was fitted on")
    return numbers
