"""The check of what an interval without looks rests on: that mistakes are random within a class."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray
from torch import Tensor

from dataaudit.audits.health import Check
from dataaudit.data.dataset import Dataset
from dataaudit.findings.schemas import RANDOM
from dataaudit.model.rows import MemoryRows, times
from dataaudit.noise import NoiseModel
from dataaudit.noise.residuals import Excess, bins, excess, strongest
from dataaudit.training.trained import RowScores, Trained

LIMIT: Final = 1e-3  # p-value, corrected for the number of groups
BATCHES, BINS, REGIONS = 10, 8, 12
LEVELS: Final = 200  # a column with more is no grouping
COLUMNS: Final = 200
CURE: Final = "Look at rows drawn for the count: audit review FOLDER --sample 60."


def random_check(
    dataset: Dataset, trained: Trained, scores: RowScores, *, noise: NoiseModel, seed: int
) -> Check:
    """Compare where the suspected rows are with where random mistakes would be."""
    if not noise.identified:
        message = "No interval is claimed without looks, so nothing rests on how mistakes are spread."
        return (RANDOM, None, LIMIT, True, message)
    groupings = (*_groupings(dataset, scores), ("likeness", _nearest(trained.objective.rows, seed)))
    found = strongest((name, excess(noise, group)) for name, group in groupings)
    if found is None:
        return (
            RANDOM,
            None,
            LIMIT,
            True,
            "Too few rows are suspected to see whether they are random mistakes.",
        )
    name, most = found
    if most.p >= LIMIT:
        message = "The suspected rows are spread over the file, the columns and the confidence of the model"
        return (RANDOM, most.p, LIMIT, True, f"{message} as random mistakes would be.")
    message = (
        f"The suspected rows gather in {_where(name, most, dataset)}: {most.found:,.0f} where random "
        f"mistakes would be {most.expected:,.0f}, so no interval is claimed without looks. {CURE}"
    )
    return (RANDOM, most.p, LIMIT, False, message)


def claim(noise: NoiseModel, random: Check) -> dict[str, Any]:
    """Return the `claim` of a provenance: what may be said of the number of wrong labels without looks."""
    return {
        "identified": noise.identified,
        "overlapping": noise.overlapping,
        "random": random[3],
        "undetermined": noise.undetermined,
    }


def _groupings(dataset: Dataset, scores: RowScores) -> Iterator[tuple[str, NDArray[np.int64]]]:
    """Yield the groupings of the rows by name; a column's has a point before it."""
    n = dataset.n
    yield "order", np.arange(n) * BATCHES // max(n, 1)
    yield "confidence", bins(scores.loo_p.max(axis=1), BINS)
    columns = [name for name in dataset.frame.columns if name != dataset.target]
    for name in columns[:COLUMNS]:
        group = _levels(dataset.frame[name])
        if group is not None:
            yield f".{name}", group


def _nearest(rows: MemoryRows, seed: int) -> NDArray[np.int64]:
    """Return which of a few rows, drawn by chance, each row is most like, by the cosine of its features."""
    drawn = np.sort(np.random.default_rng(seed).permutation(rows.n)[:REGIONS])
    block = rows.take(torch.from_numpy(drawn))
    X = block.X if isinstance(block.X, Tensor) else torch.from_numpy(block.X.toarray())
    size = torch.linalg.vector_norm(X, dim=1, keepdim=True).clamp_min(1e-300)
    return times(rows.X, (X / size).T.contiguous()).argmax(1).numpy()


def _levels(column: pl.Series) -> NDArray[np.int64] | None:
    """Return a number for each level of a column, or for each of some bins; None where it has neither."""
    if column.dtype.is_numeric() or column.dtype.is_temporal():
        values = column.to_physical().cast(pl.Float64, strict=False).fill_null(0.0).fill_nan(0.0).to_numpy()
        group = bins(np.nan_to_num(values), BINS)
    elif column.dtype in (pl.String, pl.Boolean, pl.Categorical, pl.Enum):
        if column.n_unique() > LEVELS:
            return None
        group = column.cast(pl.String).rank("dense").fill_null(0).cast(pl.Int64).to_numpy()
    else:
        return None
    return group if group.min() < group.max() else None


def _where(name: str, most: Excess, dataset: Dataset) -> str:
    """Say in which rows they gather."""
    match name:
        case "order":
            n = dataset.n
            first, last = -(-most.group * n // BATCHES), -(-(most.group + 1) * n // BATCHES)
            return f"rows {first + 1:,} to {last:,} of {n:,}, as in a batch"
        case "likeness":
            return "rows that are alike"
        case "confidence":
            return f"part {most.group + 1} of {BINS} by the confidence of the model"
    return f"a level of “{name[1:61]}”"
