"""Whether what the audit predicts comes true: findings and single traces, trained again.

A finding is proved by the remedies that `remedies` and `priors` try. A trace says what removing one training
row does to the loss of one test row; for the strongest ones the row is removed and the model trained again to
its minimum, n and the ridge held fixed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import polars as pl

from dataaudit.audits.asked import StepCallback
from dataaudit.audits.case import Case, GridPoint, Remedies
from dataaudit.audits.discover import LEVEL, Found
from dataaudit.audits.health import Check, verification_check
from dataaudit.audits.pair import Pair
from dataaudit.audits.priors import reweigh
from dataaudit.audits.remedies import try_remedies
from dataaudit.audits.tested import Tested
from dataaudit.audits.trained import Trained
from dataaudit.audits.verify import Refit
from dataaudit.leaveout import refit_without
from dataaudit.mismatch_findings import TRACE_REFITS

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
