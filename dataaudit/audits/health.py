"""Checks of the audit itself: whether its numbers can be trusted, and the count of wrong labels."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any, Final

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray
from torch import Tensor

from dataaudit.audits.validation import Refit
from dataaudit.data.dataset import Dataset
from dataaudit.findings.schemas import HEALTH, RANDOM
from dataaudit.model.rows import Block, Rows, times
from dataaudit.noise import NoiseModel
from dataaudit.noise.residuals import Excess, bins, excess, misfit, strongest
from dataaudit.solvers.operator import rough
from dataaudit.statistics import Checked, agreement
from dataaudit.training.trained import RowScores, Trained

RESIDUAL_LIMIT = 1e-8
SLOPE_TOLERANCE = 0.1
# Nats by which a prediction may miss whatever the slope.
NEGLIGIBLE = 0.01
CALIBRATION_LIMIT = 0.1
CALIBRATION_BINS = 10
FEW_ROWS = 20
# Of the check of random mistakes.
LIMIT: Final = 1e-3  # p-value, corrected for the number of groups
BATCHES, BINS, REGIONS = 10, 8, 12
LEVELS: Final = 200  # a column with more is no grouping
COLUMNS: Final = 200
CURE: Final = "Look at rows drawn for the count: audit review FOLDER --sample 60."

Check = tuple[str, float | None, float | None, bool, str]  # name, value, limit, whether it passes, message


def check_health(
    trained: Trained,
    scores: RowScores,
    refits: tuple[Refit, ...],
    *,
    random: Check,
    data: Sequence[Check] = (),
    values: Sequence[Check] | None = None,  # of labels that are numbers, in the place of those of classes
) -> pl.DataFrame:
    """Check convergence, the solver, calibration, verification and the amount of data; and `random_check`.

    What was found in the `data` before any model comes first.
    """
    checks = [
        *data,
        _gradient(trained),
        _residual(trained),
        *([calibration(scores.loo_p, trained.objective.rows.y.numpy())] if values is None else values),
        verification_check(refits),
        random,
        *([_rows(trained)] if values is None else ()),
    ]
    return pl.DataFrame(checks, schema=HEALTH, orient="row")


def fit_checks(trained: Trained) -> list[Check]:
    """Return the checks that hold for any audit: convergence, the solver and the smallest class."""
    return [_gradient(trained), _residual(trained), *([_rows(trained)] if trained.classes else ())]


def _gradient(trained: Trained) -> Check:
    fit = trained.fit
    if trained.network is not None:
        there = "at a minimum" if fit.converged else "not at a minimum"
        message = (
            f"The network stands {there}: gradient norm {fit.gradient_norm:.1e}. What training on would do "
            "by itself is in no influence; proofs take it off."
        )
        return ("gradient norm", fit.gradient_norm, fit.tolerance, fit.converged, message)
    reached = "at a minimum" if fit.converged else "not at a minimum, so influences are biased"
    steps = f"{fit.steps} Newton step{'' if fit.steps == 1 else 's'}"
    message = f"The fit is {reached}: gradient norm {fit.gradient_norm:.1e} after {steps}."
    return ("gradient norm", fit.gradient_norm, fit.tolerance, fit.converged, message)


def _residual(trained: Trained) -> Check:
    prepared, residual = trained.prepared, trained.prepared.residual
    damping = prepared.damping if trained.network is None else trained.network.damping
    damped = f" with damping {damping:.3g}" if damping else ""
    message = (
        f"The {prepared.method} solver inverts the Hessian{damped} to a relative residual of {residual:.1e}"
    )
    message += "." if residual <= RESIDUAL_LIMIT else ", so influences are estimates."
    if warned := rough(residual):
        message += f" {warned}"
    return ("solver residual", residual, RESIDUAL_LIMIT, residual <= RESIDUAL_LIMIT, message)


def calibration(p: NDArray[np.float64], y: NDArray[np.int64]) -> Check:
    """Compare confidence out of sample with agreement, in bins (Naeini et al. 2015)."""  # (n, K), (n,)
    confidence = p.max(1)
    right = p.argmax(1) == y
    bins = np.minimum((confidence * CALIBRATION_BINS).astype(int), CALIBRATION_BINS - 1)
    gaps = [abs(float((right[bins == b] - confidence[bins == b]).sum())) for b in range(CALIBRATION_BINS)]
    error = sum(gaps) / len(right)
    # By chance alone a gap of a bin is |N(0, v)| with v = Σ p (1 − p), of mean √(2 v / π).
    spread = np.bincount(bins, confidence * (1.0 - confidence), CALIBRATION_BINS)
    limit = CALIBRATION_LIMIT + float(np.sqrt(2.0 * spread / np.pi).sum()) / len(right)
    message = (
        f"Left out, rows carry the predicted label {right.mean():.1%} of the time where the model "
        f"expects {confidence.mean():.1%}; calibration error {error:.3f}."
    )
    if error > limit:
        message += " Right labels may look wrong, and wrong ones right: leave columns out, or give more rows."
    return ("calibration", error, limit, error <= limit, message)


def verification_check(refits: Sequence[Checked]) -> Check:
    """Compare predicted with measured changes."""
    if not refits:
        message = "No refit was asked for: predictions of this run are unchecked."
        return ("verification", None, None, True, message)
    found = agreement(refits)
    gap = abs(found.slope - 1.0)
    shown = "" if np.isnan(found.pearson) else f", correlation {found.pearson:.4f}"
    message = f"Predicted against actual over {len(refits)} refits: slope {found.slope:.3f}{shown}."
    # Where classes are far apart the losses are so small that their ratio says nothing.
    furthest = max(abs(r.predicted - r.measured) for r in refits)
    ok = bool(gap <= SLOPE_TOLERANCE or furthest <= NEGLIGIBLE)
    return ("verification", gap, SLOPE_TOLERANCE, ok, message)


def _rows(trained: Trained) -> Check:
    return smallest_class(trained.objective.rows.y.numpy(), trained.classes)


def smallest_class(y: NDArray[np.int64], classes: Sequence[str]) -> Check:
    """Say how many rows the smallest class has."""
    counts = np.bincount(y, minlength=len(classes))
    least = int(counts.argmin())
    message = f"The smallest class, “{classes[least]}”, has {counts[least]:,} rows of {counts.sum():,}."
    return ("smallest class", float(counts[least]), float(FEW_ROWS), bool(counts[least] >= FEW_ROWS), message)


def random_check(
    dataset: Dataset, trained: Trained | None, scores: RowScores, *, noise: NoiseModel, seed: int
) -> Check:
    """Compare where the suspected rows are with where random mistakes would be.

    Which rows are alike takes a model that is trained here.
    """
    if not noise.identified:
        message = "No interval is claimed without looks, so nothing rests on how mistakes are spread."
        return (RANDOM, None, LIMIT, True, message)
    apart = np.arange(dataset.n)
    groupings = [*_groupings(dataset, scores)]
    if trained is not None:
        apart = np.sort(trained.apart(apart))
        groupings.append(("likeness", _nearest(trained.objective.rows, seed)))
    found = strongest(
        (name, (misfit if name == "confidence" else excess)(noise, group, rows=apart))
        for name, group in groupings
    )
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


def _nearest(rows: Rows, seed: int) -> NDArray[np.int64]:
    """Return which of a few rows, drawn by chance, each row is most like, by the cosine of its features."""
    drawn = np.sort(np.random.default_rng(seed).permutation(rows.n)[:REGIONS])
    block = rows.take(torch.from_numpy(drawn))
    X = block.X if isinstance(block.X, Tensor) else torch.from_numpy(block.X.toarray())
    size = torch.linalg.vector_norm(X, dim=1, keepdim=True).clamp_min(1e-300)
    return torch.cat(list(rows.map(partial(_most_like, (X / size).T.contiguous())))).numpy()


def _most_like(directions: Tensor, block: Block) -> Tensor:
    return times(block.X, directions).argmax(1)  # (d, m) -> (b,)


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
            return f"part {most.group + 1} of {BINS} by the confidence of the model, or lack elsewhere"
    return f"a level of “{name[1:61]}”"
