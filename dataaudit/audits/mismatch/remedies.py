"""What to do about a finding, each thing tried: predicted, then measured by training again.

For the responsible training rows S of a finding

    remove        without S                              group Newton step, then the true refit (`groups`)
    down-weight   S at half weight                       the same
    relabel       S with the label that its test rows    the same; only where a row of S has another one.
                  have, or of two classes swapped:       Of a slice, the one that promises fewer errors
    ridge         λ along a grid, S untouched            refits, each started at the one before
    collect       more rows of the slice                 how many, from the interval of its label rate

`predicted` and `measured` are changes of the mean loss of the finding's mispredicted test rows, in nats.
Errors are counted on the whole slice where the finding names one, since a cure must not break what was right;
else on the finding's own rows.

**Collecting.** Let c be the class that the finding's test rows have, p its share among the slice's test rows,
and k of n training rows of the slice have it. With m more rows like those of test the share is (k + mp)/(n +
m), and m is the least number for which Wilson's 95 % interval

    (p̂ + z²/2N ± z √(p̂(1-p̂)/N + z²/4N²)) / (1 + z²/N),        N = n + m, p̂ = (k + mp)/N

lies above one half: from then on the slice's own rows speak for c beyond doubt, whatever the regularisation
borrows from elsewhere. Where p is not above one half itself no number of rows does that, and none is given.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import polars as pl
import torch
from torch import Tensor

from dataaudit.audits.mismatch.tracing import loss_gain, move_relabelled, relabellings
from dataaudit.audits.testset import ErrorSummary, Evaluation, Rows, Tested, evaluate
from dataaudit.features.columns import counted
from dataaudit.findings.schemas import REMEDIES
from dataaudit.influence.groups import group_step, refit_group
from dataaudit.model.rows import Block
from dataaudit.solvers.newton import minimise
from dataaudit.statistics import wilson
from dataaudit.training.trained import Trained

# A cure leaves at most this share of the errors, and raises the loss of all test rows by no more than this
# share. Where it leaves half of them it helps.
LEFT, HALF, DEARER = 0.2, 0.5, 0.01
# λ of the grid over the λ in use; below it, to show where an error comes from.
FACTORS = (0.1, 10**-0.5, 1.0, 10**0.5, 10.0, 10**1.5, 100.0)
HALF_WEIGHT = 0.5
MOST_COLLECTED = 100_000
NO_ROWS: Rows = np.empty(0, dtype=np.int64)


@dataclass(frozen=True)
class RemedyCase:
    """A finding for which remedies are tried."""

    number: int  # of the finding
    rows: Rows  # (r,) positions of the responsible training rows, each once
    errors: Rows  # (e,) positions of the mispredicted test rows that trace back to them
    slice_name: str | None = None  # the slice in words, as ``age = [0-10)``
    slice_train: Rows = field(default_factory=NO_ROWS.copy)  # of the slice; empty without one
    slice_test: Rows = field(default_factory=NO_ROWS.copy)

    @property
    def counted(self) -> Rows:
        """Test rows on which errors are counted."""
        return self.slice_test if len(self.slice_test) else self.errors


@dataclass(frozen=True)
class Remedy:
    """One thing tried."""

    finding: int  # number of the finding
    remedy: str  # ``"remove"``, ``"down-weight"``, ``"relabel"``, ``"ridge"``, ``"collect"`` or ``"reweigh"``
    detail: str  # what was done, in words
    l2: float  # λ
    before: ErrorSummary  # without it
    after: ErrorSummary | None  # with it, by a refit; None where it cannot be tried
    n_counted: int  # rows on which errors are counted
    predicted: float | None = None  # change of the mean loss of the finding's test rows by one Newton step

    @property
    def measured(self) -> float | None:
        """Change of the mean loss of the finding's test rows, trained again."""
        return None if self.after is None else self.after.error_loss - self.before.error_loss

    @property
    def cures(self) -> bool:
        """Whether most errors are gone, and the test rows as a whole no worse."""
        return self._leaves(LEFT)

    @property
    def helps(self) -> bool:
        """Whether half of the errors are gone at least, and the test rows as a whole no worse."""
        return self._leaves(HALF)

    def _leaves(self, share: float) -> bool:
        if self.after is None or not self.before.errors:
            return False
        fewer = self.after.errors <= share * self.before.errors
        return fewer and self.after.test_loss <= (1.0 + DEARER) * self.before.test_loss


@dataclass(frozen=True)
class GridPoint:
    """The minimum at one λ."""

    l2: float  # λ
    theta: Tensor  # (p,) parameters
    evaluation: Evaluation  # the test rows there


@dataclass(frozen=True)
class Remedies:
    """Everything tried for a finding, and what to do."""

    tried: tuple[Remedy, ...]  # in the order of the module's table, ridges by λ
    advice: str  # one or two sentences


def ridge_grid(
    trained: Trained, tested: Tested, *, factors: Sequence[float] = FACTORS
) -> tuple[GridPoint, ...]:
    """Fit along λ once, for all findings."""
    centre = trained.objective.l2
    points = [GridPoint(centre, trained.fit.theta, tested.evaluation)]
    if centre <= 0.0:
        return ()
    upward = sorted(f for f in factors if f > 1.0)
    downward = sorted((f for f in factors if f < 1.0), reverse=True)
    for side in (upward, downward):
        theta = trained.fit.theta
        for factor in side:
            fit = minimise(replace(trained.objective, l2=factor * centre), theta)
            theta = fit.theta
            if fit.converged:
                points.append(GridPoint(factor * centre, theta, evaluate(trained, tested, theta)))
    return tuple(sorted(points, key=lambda point: point.l2))


def try_remedies(
    trained: Trained, case: RemedyCase, *, tested: Tested, grid: Sequence[GridPoint] = (), refit: bool = True
) -> Remedies:
    """Try every remedy for a finding."""
    inquiry = _Inquiry(trained, case, tested)
    tried = [*(inquiry.groups() if refit else ()), *inquiry.ridges(grid)]
    collected = inquiry.collect()
    if collected is not None:
        tried.append(collected)
    return Remedies(tuple(tried), _advice(case, tried, trained.objective.l2))


@dataclass(frozen=True)
class _Inquiry:
    """A finding with the model and the test rows that remedies are measured by."""

    trained: Trained
    case: RemedyCase
    tested: Tested

    @property
    def before(self) -> ErrorSummary:
        """The test rows as the model predicts them."""
        return self.summary(self.tested.evaluation)

    def summary(self, evaluation: Evaluation) -> ErrorSummary:
        """Return what the finding asks of the test rows."""
        return evaluation.summary(self.case.counted, self.case.errors)

    def error_loss(self, theta: Tensor) -> float:
        """Return the mean loss of the finding's test rows alone."""
        block: Block = self.tested.take(self.case.errors)
        losses = self.trained.objective.model.values(theta, block)
        return float(losses.mean())  # nan without rows

    def groups(self) -> list[Remedy]:
        """Remove, down-weight and relabel the responsible rows: predict, then train again."""
        if not len(self.case.rows):
            return []
        rows = torch.from_numpy(self.case.rows)
        changes: list[tuple[str, str, Tensor, Tensor | None, float]] = []
        some = counted(len(rows), "training row")
        if self._leaves_classes(self.case.rows):
            changes.append(("remove", f"{some} removed", rows, None, 0.0))
        changes.append(("down-weight", f"{some} at half weight", rows, None, HALF_WEIGHT))
        relabelled = self._relabelled()
        if relabelled is not None:
            at, y, what = relabelled
            changes.append(("relabel", what, torch.from_numpy(at), torch.from_numpy(y), 1.0))
        return [self._group(change) for change in changes]

    def _group(self, change: tuple[str, str, Tensor, Tensor | None, float]) -> Remedy:
        remedy, detail, rows, y, weight = change
        objective, fit, near = self.trained.objective, self.trained.fit, self.trained.prepared.precondition
        step = group_step(objective, fit.theta, rows, y=y, weight=weight, precondition=near)
        warm = near if self.trained.prepared.method == "cholesky" else None
        again = refit_group(objective, fit, rows, y=y, weight=weight, precondition=warm)
        return Remedy(
            self.case.number, remedy, detail, objective.l2, self.before,
            self.summary(evaluate(self.trained, self.tested, again.theta)) if again.converged else None,
            len(self.case.counted), predicted=self.error_loss(step) - self.before.error_loss,
        )  # fmt: skip

    def _leaves_classes(self, rows: Rows) -> bool:
        """Tell whether every class keeps a training row without the given ones."""
        left = np.delete(self.trained.objective.rows.y.numpy(), rows)
        return len(np.unique(left)) == len(self.trained.classes)

    def _relabelled(self) -> tuple[Rows, Rows, str] | None:
        """Return the responsible rows that get another label, that label, and both in words."""
        case, trained = self.case, self.trained
        if not len(case.errors):
            return None
        label, y = self._usual_label(), trained.objective.rows.y.numpy()[case.rows]
        options = relabellings(trained, case.rows, label)
        options = options if case.slice_name else [new for new in options if (new == label).all()]
        if not options:
            return None
        moves = [move_relabelled(trained, case.rows, new) for new in options]
        falls = [loss_gain(trained, self.tested, case.counted, move=move)[1] for move in moves]
        new = options[int(np.argmax(falls))]  # the first of equals: one label for all
        rows = case.rows[new != y]
        some = counted(len(rows), "training row")
        swapped = f"{' and '.join(trained.classes)} swapped in {some}"
        what = f"{some} relabelled as {trained.classes[label]}" if (new == label).all() else swapped
        return rows, new[new != y], what

    def _usual_label(self) -> int:
        """Return the label that most of the finding's test rows have."""
        return int(np.bincount(self.tested.y[self.case.errors], minlength=len(self.trained.classes)).argmax())

    def ridges(self, grid: Sequence[GridPoint]) -> list[Remedy]:
        """Try every λ of the grid."""
        used = self.trained.objective.l2
        return [
            Remedy(
                self.case.number, "ridge", f"λ = {point.l2:.3g}, {point.l2 / used:.3g} times the one in use",
                point.l2, self.before, self.summary(point.evaluation), len(self.case.counted),
            )
            for point in grid
        ]  # fmt: skip

    def collect(self) -> Remedy | None:
        """Say how many more rows of the slice would settle its label."""
        case = self.case
        if case.slice_name is None or not len(case.slice_test) or not len(case.errors):
            return None
        label = self._usual_label()
        k = int((self.trained.objective.rows.y.numpy()[case.slice_train] == label).sum())
        p = float((self.tested.y[case.slice_test] == label).mean())
        more = rows_to_collect(k, len(case.slice_train), p)
        name, class_name = case.slice_name, self.trained.classes[label]
        has = f"{k} of the {counted(len(case.slice_train), 'training row')} of {name} are {class_name}"
        share = f"{p:.0%} of its test rows"
        if more is None:
            detail = f"{has}, {share}: more rows of this slice alone would not settle its label"
        elif more == 0:
            detail = f"{has}, {share}: these rows are enough to tell, so more of them are not what is missing"
        else:
            detail = f"about {more:,} more rows of {name} ({has}, {share})"
        used = self.trained.objective.l2
        return Remedy(case.number, "collect", detail, used, self.before, None, len(case.counted))


def rows_to_collect(k: int, n: int, p: float) -> int | None:
    """Return how many more rows a slice needs until Wilson's interval of its label rate is above one half."""

    def settled(m: int) -> bool:
        return n + m > 0 and wilson(k + m * p, n + m)[0] > 1.0 / 2.0

    if settled(0):
        return 0
    if not settled(MOST_COLLECTED):
        return None
    low, high = 0, MOST_COLLECTED
    # With more rows the share moves towards p, above one half, and its interval narrows.
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if settled(middle) else (middle, high)
    return high


def _advice(case: RemedyCase, tried: list[Remedy], l2: float) -> str:
    """Return what to do: the mildest cure first."""
    named = f"the {len(case.counted)} test rows of {case.slice_name}"
    where = f"of {named if case.slice_name else 'its test rows'}"
    stronger = [r for r in tried if r.remedy == "ridge" and r.cures and r.l2 > l2]
    said = []
    if stronger:
        best = min(stronger, key=lambda r: r.l2)
        at = f"at λ = {best.l2:.3g} {_errors(best)} {where}"
        said.append(f"Stronger regularisation cures it: {at}, no row being touched.")
    group = [r for r in tried if r.remedy in ("relabel", "remove") and r.helps]
    if group:
        best = min(group, key=lambda r: (r.after.errors if r.after else 0, r.remedy != "relabel"))
        verb = "Check" if len(case.rows) == 1 else "Check these"
        said.append(
            f"{verb} {counted(len(case.rows), 'training row')}: with {best.detail}, {_errors(best)} {where}."
        )
    collected = next((r for r in tried if r.remedy == "collect" and r.detail.startswith("about")), None)
    if collected is not None:
        also = "Or collect" if said else f"{_in_vain(tried)} collect"
        said.append(f"{also} {collected.detail}.")
    if said or _changed(tried):
        nothing = "Nothing that was tried cures it: the errors do not come from these rows alone."
        return " ".join(said) or nothing
    return _in_vain(tried).removesuffix(", or") + "."


def _changed(tried: list[Remedy]) -> bool:
    """Whether the responsible rows were changed at all."""
    return any(r.remedy in ("remove", "down-weight", "relabel") for r in tried)


def _in_vain(tried: list[Remedy]) -> str:
    """Say what does not cure it, as far as it was tried, and what to do before more rows are collected."""
    ridge = any(r.remedy == "ridge" for r in tried)
    if _changed(tried):
        return "Neither the rows nor λ cure it:" if ridge else "Changing its rows does not cure it:"
    alone = "λ does not cure it, and its" if ridge else "Its"
    return f"{alone} rows were not changed here: check their labels, or"


def _errors(remedy: Remedy) -> str:
    left = 0 if remedy.after is None else remedy.after.errors
    return f"{left} instead of {remedy.before.errors} are mispredicted"


def remedy_table(remedies: Sequence[Remedies]) -> pl.DataFrame:
    """Return the table of remedies."""
    rows = []
    for r in (remedy for found in remedies for remedy in found.tried):
        after = r.after
        rows.append(
            (
                r.finding, r.remedy, r.detail, r.l2, r.n_counted, r.before.errors, after and after.errors,
                r.before.loss, after and after.loss, r.before.test_errors, after and after.test_errors,
                r.before.test_loss, after and after.test_loss, r.predicted, r.measured,
                None if after is None else r.cures,
            )
        )  # fmt: skip
    return pl.DataFrame(rows, schema=REMEDIES, orient="row")
