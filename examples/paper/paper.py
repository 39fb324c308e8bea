"""What the scripts of the paper's figures share: digits, a fit to its minimum, a picture, a table."""

from __future__ import annotations

import argparse

import sys

from pathlib import Path

import numpy as np

import polars as pl

import torch

from numpy.typing import NDArray

from torch import Tensor

from dataaudit.model.linear import LinearModel

from dataaudit.model.losses import Softmax

from dataaudit.model.objective import Objective

from dataaudit.model.rows import Block, MemoryRows

from dataaudit.solvers import Cholesky

from dataaudit.solvers.newton import Fit, FitSettings, minimise


Floats = NDArray[np.float64]
TOLERANCE = 1e-10  # of the gradient: a refit's loss is compared with another one's, both have to be exact
MANY = 20_000  # rows from which on a tenth of them is fitted first

def arguments(doc: str) -> argparse.Namespace:
    """Read ``--data``, ``--out`` and ``--quick``."""
    parser = argparse.ArgumentParser(description=doc.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of the data sets as Parquet")
    parser.add_argument("--out", type=Path, default=Path("paper-figures"), help="where results are written")
    parser.add_argument("--quick", action="store_true", help="fewer rows: minutes instead of an hour")
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    return given

def table(path: Path, *columns: str) -> pl.DataFrame:
    """Read a data set, or say in one line what is wrong with it and end with exit code 2.

    Parameters
    ----------
    path : Path
        A Parquet file.
    columns : str
        What it has to have.
    """
    wrong = ""
    try:
        frame = pl.read_parquet(path)
        if absent := [name for name in columns if name not in frame.columns]:
            wrong = f"column {absent[0]!r} is not there: got {', '.join(frame.columns[:8])}"
        elif frame.is_empty():
            wrong = "there are no rows"
    except (OSError, pl.exceptions.PolarsError) as error:
        wrong = str(error).splitlines()[0]
    if wrong:
        hint = "--data takes the data set as Parquet, or for a figure the folder of them"
        print(f"error: {path.as_posix()}: {wrong}. Hint: {hint}.", file=sys.stderr)
        raise SystemExit(2)
    return frame

def digits(folder: Path, part: str, *, classes: tuple[int, ...] = tuple(range(10))) -> tuple[Tensor, Tensor]:
    """Return MNIST's pixels in [0, 1] and class numbers.

    Parameters
    ----------
    folder : Path
        Of ``mnist_train.parquet`` and ``mnist_test.parquet``: a column of 784 pixels, a column `label`.
    part : str
        ``"train"`` or ``"test"``.
    classes : tuple of int
        Digits to keep; their places here become the class numbers.

    Returns
    -------
    X : Tensor (n, 784)
    y : Tensor (n,)
    """
    frame = table(folder / f"mnist_{part}.parquet", "pixels", "label")
    frame = frame.filter(pl.col("label").is_in(list(classes)))
    X = frame["pixels"].to_numpy().astype(np.float64) / 255
    y = np.searchsorted(np.array(sorted(classes)), frame["label"].to_numpy())
    return torch.from_numpy(X), torch.from_numpy(y.astype(np.int64))

def block(X: Tensor, y: Tensor) -> Block:
    """Return rows of weight 1."""
    return Block(X, y, torch.ones(len(y), dtype=torch.float64))

def trained(X: Tensor, y: Tensor, *, l2: float) -> tuple[Objective, Fit]:
    """Return the softmax objective of some rows, and its minimum.

    Of many rows every tenth is fitted first: its minimum is a start, and the factor of its Hessian makes the
    steps from there cheap.
    """
    rows = MemoryRows(X, y, torch.ones(len(y), dtype=torch.float64))
    objective = Objective(rows, LinearModel(Softmax(int(y.max()) + 1), X.shape[1]), l2)
    start = precondition = None
    if len(y) > MANY:
        few, near = trained(X[::10], y[::10], l2=l2)
        start, precondition = near.theta, Cholesky().prepare(few, near.theta).solve
    settings = FitSettings(tolerance=TOLERANCE)
    fit = minimise(objective, start, precondition=precondition, settings=settings)
    return objective, fit.require_converged()

def loss_at(objective: Objective, theta: Tensor, test: Block) -> float:
    """Return the loss of one test row."""
    return float(objective.model.values(theta, test)[0])

def pearson(a: Floats, b: Floats) -> float:
    """Return Pearson's correlation."""
    return float(np.corrcoef(a, b)[0, 1])

def spearman(a: Floats, b: Floats) -> float:
    """Return Spearman's rank correlation."""
    return pearson(*(pl.Series(values).rank().to_numpy() for values in (a, b)))

def keep(out: Path, name: str, columns: dict[str, Floats]) -> None:
    """Write the numbers behind a picture."""
    pl.DataFrame(columns).write_parquet(out / f"{name}.parquet")

def scatters(path: Path, panels: list[tuple[str, Floats, Floats]], *, across: str, up: str) -> None:
    """Draw predicted against actual, a panel each, with the line on which both are equal."""
    from matplotlib.figure import Figure  # noqa: PLC0415 - only pictures need it

    figure = Figure(figsize=(4.2 * len(panels), 4.2), layout="constrained")
    for at, (title, x, y) in enumerate(panels):
        axes = figure.add_subplot(1, len(panels), at + 1)
        ends = [min(x.min(), y.min()), max(x.max(), y.max())]
        axes.plot(ends, ends, color="0.7", linewidth=1)
        axes.scatter(x, y, s=9, color="#1f6f78")
        axes.set(title=title, xlabel=across, ylabel=up)
    figure.savefig(path)
