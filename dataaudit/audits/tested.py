"""Test rows under a trained model: what it predicts for them, and which of them it gets wrong."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dataaudit.audits.case import Judged
from dataaudit.audits.trained import Trained
from dataaudit.encode import Columns, Encoding
from dataaudit.errors import DataError, MissingColumn, SettingError
from dataaudit.rows import Block
from dataaudit.sources import Dataset


@dataclass(frozen=True)
class Tested:
    """Labelled test rows and their predictions; t rows, K classes, k = K - 1 scores.

    Attributes
    ----------
    dataset : Dataset
        The test rows, label column included.
    y : ndarray (t,) int64
        Class numbers, in the order of the trained model's classes.
    columns : Columns
        The rows by the training encoding.
    block : Block
        The rows in the model's basis, of weight 1.
    scores : Tensor (t, k)
        Scores, the first class being the reference.
    p : ndarray (t, K)
        Probabilities.
    loss : ndarray (t,)
        Loss of the given label, in nats.
    notes : tuple of str
        Decisions, in sentences.
    """

    dataset: Dataset
    y: NDArray[np.int64]
    columns: Columns
    block: Block
    scores: Tensor
    p: NDArray[np.float64]
    loss: NDArray[np.float64]
    notes: tuple[str, ...] = ()

    @property
    def n(self) -> int:
        """Number of test rows."""
        return len(self.y)

    @cached_property
    def predicted(self) -> NDArray[np.int64]:
        """The likeliest class of every row."""  # (t,)
        return np.asarray(self.p.argmax(1), dtype=np.int64)

    @cached_property
    def wrong(self) -> NDArray[np.bool_]:
        """Which rows are mispredicted."""  # (t,)
        return np.asarray(self.predicted != self.y)

    @property
    def judged(self) -> Judged:
        """The rows under the model's own parameters."""
        return Judged(self.wrong, self.loss)

    def take(self, rows: NDArray[np.int64]) -> Block:
        """Return some rows as a block."""  # (b,) positions
        at = torch.from_numpy(rows)
        X = self.block.X[at] if isinstance(self.block.X, Tensor) else self.block.X[rows]
        return Block(X, self.block.y[at], self.block.weight[at])


def judge(trained: Trained, tested: Tested, theta: Tensor) -> Judged:
    """Predict the test rows with other parameters."""  # (p,)
    return judge_scores(trained, tested, trained.objective.model.scores(theta, tested.block))


def judge_scores(trained: Trained, tested: Tested, scores: Tensor) -> Judged:
    """Judge the test rows by other scores."""  # (t, k)
    loss = trained.loss(scores, tested.block.y).numpy()
    # The reference class has score 0.
    odds = torch.nn.functional.pad(trained.log_odds(scores), (1, 0))
    return Judged(odds.argmax(1).numpy() != tested.y, loss)


def predict(
    trained: Trained,
    dataset: Dataset,
    y: NDArray[np.int64],
    *,
    notes: tuple[str, ...] = (),
    encoding: Encoding | None = None,
) -> Tested:
    """Encode test rows as the training rows were, and predict them.

    Parameters
    ----------
    trained : Trained
        The model.
    dataset : Dataset
        Labelled test rows.
    y : ndarray (t,) int64
        Their class numbers.
    notes : tuple of str
        What was decided about them so far.
    encoding : Encoding, optional
        Of the columns, for a model of the user's own, which has none.

    Returns
    -------
    Tested
        Rows and predictions.

    Raises
    ------
    SettingError
        If the model came from the user, and there is no encoding.
    MissingColumn
        If the rows lack a column that the model uses.
    DataError
        If there are no rows.
    """
    encoding = encoding if trained.encoded is None else trained.encoded.encoding
    if encoding is None:
        raise SettingError("a model of your own encodes its columns by itself", "leave model out")
    if not len(y):
        raise DataError("no test row can be used: none has a label that training knows", "give labelled rows")
    for role in trained.roles:
        if role.role != "left out" and role.column not in dataset.frame.columns:
            raise MissingColumn(role.column, dataset.frame.columns, "the test rows")
    columns = encoding.transform(dataset.frame)
    X = trained.design(dataset.frame) if trained.encoded is None else trained.encoded.basis.transform(columns)
    labels = torch.from_numpy(y)
    weight = torch.ones(len(y), dtype=torch.float64)
    block = Block(torch.from_numpy(X) if isinstance(X, np.ndarray) else X, labels, weight)
    scores = trained.objective.model.scores(trained.fit.theta, block)
    p, loss = trained.log_probabilities(scores).exp(), trained.loss(scores, labels)
    return Tested(dataset, y, columns, block, scores, p.numpy(), loss.numpy(), notes)
