"""Whether what the audit predicts comes true: findings and single traces, trained again.

A finding is proved by the remedies that `remedies` and `priors` try. A trace says what removing one training
row does to the loss of one test row; for the strongest ones the row is removed and the model trained again to
its minimum, n and the ridge held fixed.

Slices that only the ridge keeps right: a few training rows of the other label do not decide at this λ.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import polars as pl

from dataaudit.audits.health import Check, verification_check
from dataaudit.audits.mismatch.class_rates import reweigh
from dataaudit.audits.mismatch.findings import LEVEL, NAMED_ROWS, Found, adjusted
from dataaudit.audits.mismatch.remedies import Case, GridPoint, Remedies, try_remedies
from dataaudit.audits.mismatch.slices import SliceScore
from dataaudit.audits.testset import Pair, Tested
from dataaudit.audits.validation import Refit
from dataaudit.findings.schemas import TRACE_REFITS
from dataaudit.influence.leave_one_out import refit_without
from dataaudit.options import StepCallback
from dataaudit.training.trained import Trained

# Predicted and measured change of a mean loss, in nats.
Proof = tuple[float | None, float | None]
PROVING = "prove by refits"


def prove(
    trained: Trained,
    tested: Tested,
    found: Sequence[Found],
    *,
    grid: Sequence[GridPoint],
    refits: int,
    on_step: StepCallback,
) -> list[Remedies]:
    """Try remedies for every finding.

    Parameters
    ----------
    trained : Trained
        The model.
    tested : Tested
        Test rows and predictions.
    found : sequence of Found
        The findings, in their order.
    grid : sequence of GridPoint
        Minima along λ.
    refits : int
        Findings whose rows are changed and the model trained again; the others get the grid alone.
    on_step : callable
        Called with (stage, done, total).

    Returns
    -------
    list of Remedies
        One per finding; none at all where no refit is wanted.
    """
    if not refits:
        return []
    tried = []
    for number, one in enumerate(found, start=1):
        on_step(PROVING, number - 1, len(found))
        if one.everywhere:
            tried.append(reweigh(trained, tested, number))
            continue
        case = Case(number, np.sort(one.removable), one.errors)
        if one.slice is not None:
            case = replace(
                case, slice_name=one.slice.name, slice_train=one.slice.train, slice_test=one.slice.test
            )
        refit = number <= refits and (one.severity != "note" or one.p_value <= LEVEL)
        tried.append(try_remedies(trained, case, tested=tested, grid=grid, refit=refit))
    on_step(PROVING, len(found), len(found))
    return tried


def proofs_of(tried: Sequence[Remedies]) -> list[Proof]:
    """Return the predicted and measured change of loss by the main remedy, nothing where there is none."""
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
    """Remove the training rows of the strongest traces one by one, and train again.

    Parameters
    ----------
    trained : Trained
        The model.
    tested : Tested
        Test rows.
    pair : Pair
        Names of the rows.
    traces : pl.DataFrame
        By the schema `mismatch_findings.TRACES`.
    count : int
        Training rows to remove; each is checked on the test row that it moves most.

    Returns
    -------
    pl.DataFrame
        By the schema `mismatch_findings.TRACE_REFITS`.
    """
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


MOST = 3
# Errors more, at least, for a slice to be mentioned; and at least as many more as there are.
MORE = 3


def held_by_ridge(
    trained: Trained, tested: Tested, scores: Sequence[SliceScore], *, grid: Sequence[GridPoint]
) -> tuple[Found, ...]:
    """Return notes on slices that would be mispredicted with a weaker ridge.

    Parameters
    ----------
    trained : Trained
        The model.
    tested : Tested
        Test rows and predictions.
    scores : sequence of SliceScore
        All slices.
    grid : sequence of GridPoint
        Minima by increasing λ; the first one is compared with.

    Returns
    -------
    tuple of Found
        Notes on at most 3 slices whose labels differ between training and test, the one with most errors more
        per training row first.
    """
    if not grid or grid[0].l2 >= trained.objective.l2:
        return ()
    weak = grid[0]
    wrong = weak.judged.wrong
    found = []
    for score, chance in zip(scores, adjusted(scores), strict=True):
        part = score.slice
        more = int(wrong[part.test].sum()) - score.n_errors
        if chance <= LEVEL and part.second_column is None and more >= max(MORE, score.n_errors):
            found.append((more / len(part.train), _note(trained, tested, score, grid=grid, more=more)))
    found.sort(key=lambda pair: (-pair[0], pair[1].common))
    chances = dict(zip((s.slice.name for s in scores), adjusted(scores).tolist(), strict=True))
    return tuple(replace(note, p_value=chances[note.common]) for _, note in found[:MOST])


def _note(
    trained: Trained, tested: Tested, score: SliceScore, *, grid: Sequence[GridPoint], more: int
) -> Found:
    part, l2, weak = score.slice, trained.objective.l2, grid[0].l2
    n, t = len(part.train), len(part.test)
    rows = "its 1 training row" if n == 1 else f"its {n:,} training rows"
    title = (
        f"{part.name}: {score.n_errors:,} of {t:,} test rows are wrong at λ = {l2:.2g}, at {weak:.2g} "
        f"{score.n_errors + more:,} would be: the ridge keeps {rows} from deciding, of which "
        f"{score.drawn_train:,} are “{trained.classes[score.drawn_to]}”, against {score.drawn_test:,} in test"
    )
    along = ", ".join(f"{int(point.judged.wrong[part.test].sum()):,} at {point.l2:.2g}" for point in grid)
    advice = (
        f"Nothing to mend as long as λ stays; a model with less ridge needs more rows with {part.name}. "
        f"Wrong along λ: {along}."
    )
    errors = part.test[tested.wrong[part.test]]
    return Found(
        "note", title, part.train[:NAMED_ROWS], errors, part, part.name, score.fixed, 1.0, score.toll, advice
    )  # fmt: skip
