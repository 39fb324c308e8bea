"""Classes that are rarer or more frequent in test than in training: one finding that needs no row touched.

A model learns the class rates π of its training rows with everything else. Where test has other rates π' and
each class still looks the same, Bayes' rule moves the score of class c against the first class by

    log(π'_c/π'_0) - log(π_c/π_0)

(Saerens, Latinne & Decaestecker 2002). That is the prediction; the proof is a true refit in which every
training row weighs π'_y/π_y. Both use the labels of the test rows, as everything does that counts errors.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import chdtrc

from dataaudit.audits.mismatch.findings import HIGH_SHARE, MEDIUM_SHARE, MismatchFinding
from dataaudit.audits.mismatch.remedies import Remedies, Remedy
from dataaudit.audits.testset import Evaluation, Tested, evaluate, evaluate_scores
from dataaudit.solvers.newton import minimise
from dataaudit.training.trained import Trained

# Chance of seeing rates so different by accident.
LEVEL = 1e-3
NAMED = 6  # classes

Reals = NDArray[np.float64]


def class_rate_finding(trained: Trained, tested: Tested) -> MismatchFinding | None:
    """Return the finding that class rates differ, where that is why rows are mispredicted."""
    known, new = _counts(trained, tested)
    p = _chance(known, new)
    left, n_errors = int(_moved(trained, tested, known, new).wrong.sum()), int(tested.wrong.sum())
    fixed = n_errors - left
    if p > LEVEL or fixed < MEDIUM_SHARE * n_errors or not n_errors:
        return None
    change = np.abs(new / new.sum() - known / known.sum())
    c = int(change.argmax())
    title = (
        f"{tested.dataset.target}: {known[c] / known.sum():.1%} of the training rows are "
        f"“{trained.classes[c]}”, {new[c] / new.sum():.1%} of the test rows are: classes come at other rates "
        "than the model expects"
    )
    advice = (
        f"Weigh the training rows by class as in test: about {left:,} instead of {n_errors:,} of "
        f"{tested.n:,} test rows would be wrong, no row being touched."
    )
    return MismatchFinding(
        severity="high" if fixed >= HIGH_SHARE * n_errors else "medium",
        title=title,
        rows=np.empty(0, dtype=np.int64),
        errors=np.flatnonzero(tested.wrong),
        slice=None,
        common="",
        fixed=fixed,
        p_value=p,
        harm_per_training_row=0.0,
        advice=advice,
    )


def reweigh(trained: Trained, tested: Tested, number: int) -> Remedies:
    """Train again with rows that weigh as their class does in test."""
    known, new = _counts(trained, tested)
    objective, everywhere, wrong = trained.objective, np.arange(tested.n), np.flatnonzero(tested.wrong)
    share = torch.from_numpy((new / new.sum()) / (known / known.sum()))
    again = minimise(objective.reweighted(objective.rows.weight * share[objective.rows.y]), trained.fit.theta)
    refit = evaluate(trained, tested, again.theta)
    before, after, moved = (
        rows.summary(everywhere, wrong)
        for rows in (tested.evaluation, refit, _moved(trained, tested, known, new))
    )
    ratios = list(zip(trained.classes, share.tolist(), strict=True))
    words = ", ".join(f"{name} {ratio:.3g} times" for name, ratio in ratios[:NAMED])
    tried = Remedy(
        finding=number,
        remedy="reweigh",
        detail=f"training rows weighed as their classes are in test: {words}",
        l2=objective.l2,
        before=before,
        after=after if again.converged else None,
        n_counted=tested.n,
        predicted=moved.error_loss - before.error_loss,
    )
    return Remedies((tried,), _advice(trained, tested, tried, lost=int(share.argmin()), refit=refit))


def _advice(trained: Trained, tested: Tested, tried: Remedy, *, lost: int, refit: Evaluation) -> str:
    """Say what the refit came to, and what it costs the class that weighs less."""
    advice = f"Weigh the training rows by class as in test ({tried.detail.partition(': ')[2]})"
    if tried.after is None:
        return f"{advice}; the refit that would prove it did not converge."
    rows = tested.y == lost
    missed = [int(evaluation.wrong[rows].sum()) for evaluation in (tested.evaluation, refit)]
    before, after = tried.before, tried.after
    return (
        f"{advice}: {after.errors:,} instead of {before.errors:,} of {tested.n:,} test rows are then wrong, "
        f"their mean loss goes from {before.loss:.3g} to {after.loss:.3g} nats; but of the {rows.sum():,} "
        f"that are {trained.classes[lost]} {missed[1]:,} instead of {missed[0]:,} are missed. "
        "Other findings may end with it."
    )


def _counts(trained: Trained, tested: Tested) -> tuple[Reals, Reals]:
    """Return the rows of every class in training and in test; half a row keeps rates above 0."""  # 2 × (K,)
    k = len(trained.classes)
    known, new = (
        np.bincount(y, minlength=k).astype(np.float64) for y in (trained.objective.rows.y.numpy(), tested.y)
    )
    return known, np.maximum(new, 0.5)


def _chance(known: Reals, new: Reals) -> float:
    """Return Pearson's chi-squared p-value for one set of class rates."""
    table = np.stack([known, new])
    expected = table.sum(1, keepdims=True) * table.sum(0) / table.sum()
    return float(chdtrc(table.shape[1] - 1, ((table - expected) ** 2 / expected).sum()))


def _moved(trained: Trained, tested: Tested, known: Reals, new: Reals) -> Evaluation:
    """Evaluate the test rows by the scores that Bayes' rule moves."""
    move = np.log((new / new.sum()) / (known / known.sum()))
    return evaluate_scores(trained, tested, tested.scores + torch.from_numpy(move[1:] - move[0]))
