"""Checks of the audit itself: whether its numbers can be trusted."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl

from dataaudit.audits.validation import Refit
from dataaudit.findings.schemas import HEALTH
from dataaudit.statistics import Checked, agreement
from dataaudit.training.trained import RowScores, Trained

RESIDUAL_LIMIT = 1e-8
SLOPE_TOLERANCE = 0.1
# Nats by which a prediction may miss whatever the slope.
NEGLIGIBLE = 0.01
CALIBRATION_LIMIT = 0.1
CALIBRATION_BINS = 10
FEW_ROWS = 20

Check = tuple[str, float | None, float | None, bool, str]  # name, value, limit, whether it passes, message


def check_health(
    trained: Trained,
    scores: RowScores,
    refits: tuple[Refit, ...],
    *,
    random: Check,
    data: Sequence[Check] = (),
) -> pl.DataFrame:
    """Check convergence, the solver, calibration, verification and the amount of data; and `random_check`.

    What was found in the `data` before any model comes first.
    """
    checks = [
        *data,
        _gradient(trained),
        _residual(trained),
        _calibration(trained, scores),
        verification_check(refits),
        random,
        _rows(trained),
    ]
    return pl.DataFrame(checks, schema=HEALTH, orient="row")


def fit_checks(trained: Trained) -> list[Check]:
    """Return the checks that hold for any audit: convergence, the solver and the smallest class."""
    return [_gradient(trained), _residual(trained), _rows(trained)]


def _gradient(trained: Trained) -> Check:
    fit = trained.fit
    reached = "at a minimum" if fit.converged else "not at a minimum, so influences are biased"
    steps = f"{fit.steps} Newton step{'' if fit.steps == 1 else 's'}"
    message = f"The fit is {reached}: gradient norm {fit.gradient_norm:.1e} after {steps}."
    return ("gradient norm", fit.gradient_norm, fit.tolerance, fit.converged, message)


def _residual(trained: Trained) -> Check:
    prepared, residual = trained.prepared, trained.prepared.residual
    damped = f" with damping {prepared.damping:g}" if prepared.damping else ""
    message = (
        f"The {prepared.method} solver inverts the Hessian{damped} to a relative residual of {residual:.1e}"
    )
    message += "." if residual <= RESIDUAL_LIMIT else ", so influences are estimates."
    return ("solver residual", residual, RESIDUAL_LIMIT, residual <= RESIDUAL_LIMIT, message)


def _calibration(trained: Trained, scores: RowScores) -> Check:
    """Compare leave-one-out confidence with agreement, in bins (Naeini et al. 2015)."""
    confidence, predicted = scores.loo_p.max(1), scores.loo_p.argmax(1)
    right = predicted == trained.objective.rows.y.numpy()
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
    counts = np.bincount(trained.objective.rows.y.numpy(), minlength=len(trained.classes))
    least = int(counts.argmin())
    message = (
        f"The smallest class, “{trained.classes[least]}”, has {counts[least]:,} rows of {counts.sum():,}."
    )
    return ("smallest class", float(counts[least]), float(FEW_ROWS), bool(counts[least] >= FEW_ROWS), message)
