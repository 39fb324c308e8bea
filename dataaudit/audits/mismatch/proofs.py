"""Whether what the audit predicts comes true: findings and single traces, trained again.

A finding is proved by the remedies that `remedies` and `class_rates` try. A trace says what removing one
training row does to the loss of one test row; for the strongest ones the row is removed and the model trained
again to its minimum, n and λ kept.

The refits along λ also show label conflicts masked by regularisation: slices with a few training rows of
another label, which do not decide at this λ and would at a smaller one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import polars as pl

from dataaudit.audits.health import Check, verification_check
from dataaudit.audits.mismatch.class_rates import reweigh
from dataaudit.audits.mismatch.findings import LEVEL, NAMED_ROWS, MismatchFinding, slice_p_values
from dataaudit.audits.mismatch.remedies import GridPoint, Remedies, RemedyCase, try_remedies
from dataaudit.audits.mismatch.lift import SliceScore
from dataaudit.audits.testset import Pair, Tested
from dataaudit.audits.validation import Refit
from dataaudit.findings.schemas import TRACE_REFITS
from dataaudit.influence.leave_one_out import refit_without
from dataaudit.options import StepCallback
from dataaudit.training.trained import Trained

# Predicted and measured change of a mean loss, in nats.
Proof = tuple[float | None, float | None]
PROVING = "prove by refits"
# Masked conflicts that are named; errors more, at least, and at least as many more as there are.
MOST, MORE = 3, 3


def prove(
    trained: Trained,
    tested: Tested,
    found: Sequence[MismatchFinding],
    *,
    grid: Sequence[GridPoint],
    refits: int,
    on_step: StepCallback,
) -> list[Remedies]:
    """Try remedies for every finding."""
    if not refits:
        return []
    tried = []
    for number, one in enumerate(found, start=1):
        on_step(PROVING, number - 1, len(found))
        if one.everywhere:
            tried.append(reweigh(trained, tested, number))
            continue
        case = RemedyCase(number, np.sort(one.removable), one.errors)
        if one.slice is not None:
            case = replace(
                case, slice_name=one.slice.name, slice_train=one.slice.train, slice_test=one.slice.test
            )
        refit = number <= refits and (one.severity != "note" or one.p_value <= LEVEL)
        tried.append(try_remedies(trained, case, tested=tested, grid=grid, refit=refit))
    on_step(PROVING, len(found), len(found))
    return tried


def proofs_of(tried: Sequence[Remedies]) -> list[Proof]:
    """Return the predicted and measured change of loss by the main remedy, nothing without one."""
    main = [next((r for r in one.tried if r.remedy in ("remove", "reweigh")), None) for one in tried]
    return [(None, None) if r is None else (r.predicted, r.measured) for r in main]


def proof_checks(proofs: Sequence[Proof], refits: pl.DataFrame) -> list[Check]:
    """Compare what was predicted for findings and for traces with what the refits gave."""
    checks = []
    for name, what, changes in (
        ("proof", "findings", [(p, m) for p, m in proofs if p is not None and m is not None]),
        ("verification", "traces", list(refits.select("predicted", "measured").iter_rows())),
    ):
        if not changes:
            continue
        done = [Refit(at, "removed", *change) for at, change in enumerate(changes)]
        worst = max(done, key=lambda r: abs(r.predicted - r.measured))
        _, value, limit, ok, message = verification_check(done)
        far = f"furthest apart: {worst.predicted:+.3g} predicted, {worst.measured:+.3g} measured"
        checks.append((name, value, limit, ok, f"{message[:-1]} of {what}; {far} nats."))
    return checks


def refit_traces(
    trained: Trained, tested: Tested, pair: Pair, *, traces: pl.DataFrame, count: int
) -> pl.DataFrame:
    """Remove the training rows of the strongest traces one by one, and train again."""
    size = pl.col("delta_loss_if_removed").abs()
    top = traces.sort(size, "train_row_id", "test_row_id", descending=[True, False, False])
    top = top.unique("train_row_id", keep="first", maintain_order=True).head(count)
    places = [
        {name: place for place, name in enumerate(data.row_id.to_list())} for data in (pair.train, pair.test)
    ]
    dense = trained.prepared.method == "cholesky"
    warm = trained.prepared.solve if dense else None
    model, rows = trained.objective.model, []
    for trace in top.iter_rows(named=True):
        train, test = places[0][trace["train_row_id"]], places[1][trace["test_row_id"]]
        again = refit_without(trained.objective, trained.fit, train, precondition=warm)
        block = tested.take(np.array([test]))
        measured = float(model.values(again.theta, block)[0]) - float(tested.loss[test])
        rows.append(
            (trace["test_row_id"], trace["train_row_id"], "removed", trace["delta_loss_if_removed"], measured)
        )
    return pl.DataFrame(rows, schema=TRACE_REFITS, orient="row")


def masked_conflicts(
    trained: Trained, tested: Tested, scores: Sequence[SliceScore], *, grid: Sequence[GridPoint]
) -> tuple[MismatchFinding, ...]:
    """Return notes on slices that would be mispredicted with weaker regularisation."""
    if not grid or grid[0].l2 >= trained.objective.l2:
        return ()
    wrong = grid[0].evaluation.wrong
    found = []
    for score, p in zip(scores, slice_p_values(scores).tolist(), strict=True):
        part = score.slice
        more = int(wrong[part.test].sum()) - score.n_errors
        if p <= LEVEL and part.second_column is None and more >= max(MORE, score.n_errors):
            note = _masked(trained, tested, score, grid=grid, p_value=p)
            found.append((more / len(part.train), note))
    found.sort(key=lambda pair: (-pair[0], pair[1].common))
    return tuple(note for _, note in found[:MOST])


def _masked(
    trained: Trained,
    tested: Tested,
    score: SliceScore,
    *,
    grid: Sequence[GridPoint],
    p_value: float,
) -> MismatchFinding:
    part, l2, weak = score.slice, trained.objective.l2, grid[0].l2
    n, t = len(part.train), len(part.test)
    rows = "its 1 training row" if n == 1 else f"its {n:,} training rows"
    label, train, test = trained.classes[score.predicted_class], score.class_in_train, score.class_in_test
    wrong = [int(point.evaluation.wrong[part.test].sum()) for point in grid]
    title = (
        f"{part.name}: label conflict masked by regularisation: {score.n_errors:,} of {t:,} test rows are "
        f"wrong at λ = {l2:.2g}, {wrong[0]:,} would be at {weak:.2g}, where {rows} decide"
        f"{'s' if n == 1 else ''}, of which {train:,} are “{label}”, against {test:,} in test"
    )
    along = ", ".join(f"{count:,} at {point.l2:.2g}" for count, point in zip(wrong, grid, strict=True))
    advice = (
        f"No action is needed at this λ; a smaller one needs more rows with {part.name}. "
        f"Wrong along λ: {along}."
    )
    return MismatchFinding(
        severity="note",
        title=title,
        rows=part.train[:NAMED_ROWS],
        errors=part.test[tested.wrong[part.test]],
        slice=part,
        common=part.name,
        fixed=score.fixed,
        p_value=p_value,
        harm_per_training_row=score.harm_per_training_row,
        advice=advice,
    )
